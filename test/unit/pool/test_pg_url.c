#include "pool/pg_dns.h"
#include "pool/pg_url_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char why_bytes[256];

/* The reason, "" when the URL is accepted. */
static const char *refusal(const char *text, bool tls_required)
{
    struct buf why;
    buf_init(&why, why_bytes, sizeof(why_bytes) - 1);
    const enum err err = pg_url_check(text, tls_required, &why);
    why_bytes[why.len] = '\0';
    assert_int_equal(err, why.len == 0 ? ERR_OK : ERR_INVALID);
    return why_bytes;
}

static const struct pg_pool_config CONFIG = {
    .application_name = "test", .statement_timeout_ms = 60, .lock_timeout_ms = 40};

/* In place: a URL's values point into itself. */
static void complete(struct pg_url *url, const char *text, const char *address)
{
    assert_int_equal(pg_url_parse(url, text, NULL), ERR_OK);
    pg_url_complete(url, address, &CONFIG);
}

static void assert_param(const struct pg_url *url, const char *keyword, const char *value)
{
    const char *found = pg_url_get(url, keyword);
    assert_non_null(found);
    assert_string_equal(found, value);
}

static void test_check_accepts_a_uri(void **state)
{
    (void)state;
    assert_string_equal(refusal("postgresql://u:p@db.internal:5433/pay", false), "");
    assert_string_equal(refusal("postgres://u@10.0.0.7/pay?sslmode=require", false), "");
    assert_string_equal(refusal("postgresql://u@[::1]:5433/pay", false), "");
}

static void test_check_accepts_key_value_and_socket_path(void **state)
{
    (void)state;
    assert_string_equal(refusal("host=/run/postgresql user=u dbname=pay", false), "");
    assert_string_equal(refusal("hostaddr=10.0.0.7 user=u", false), "");
}

static void test_check_refuses_what_does_not_parse_without_quoting_it(void **state)
{
    (void)state;
    const char *const bad[] = {"postgresql://u:topword@db:5432/pay?nonsense=topword",
                               "mysql://u:topword@db/pay", "user='topword",
                               "postgresql://u:top%zzword@db/pay", ""};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_string_not_equal(refusal(bad[i], false), "");
        assert_null(strstr(why_bytes, "top"));
    }
}

static void test_check_refuses_what_is_no_port(void **state)
{
    (void)state;
    const char *const reason = "its port is not in 1..65535";

    assert_string_equal(refusal("postgresql://u@h:65535/pay", false), "");
    assert_string_equal(refusal("postgresql://u@h:65536/pay", false), reason);
    assert_string_equal(refusal("postgresql://u@h:0/pay", false), reason);
    assert_string_equal(refusal("postgresql://u@h:notaport/pay", false), reason);
}

static void test_check_refuses_several_hosts(void **state)
{
    (void)state;
    assert_non_null(strstr(refusal("postgresql://u@a,b/pay", false), "one host"));
    assert_non_null(strstr(refusal("postgresql://u@a:1,b:2/pay", false), "one host"));
    assert_non_null(strstr(refusal("host=a user=u port=1,2", false), "one host"));
    assert_non_null(strstr(refusal("hostaddr=10.0.0.1,10.0.0.2 user=u", false), "one host"));
}

static void test_check_refuses_what_libpq_would_have_to_look_up(void **state)
{
    (void)state;
    assert_non_null(strstr(refusal("postgresql://db/pay", false), "no user"));
    assert_non_null(strstr(refusal("user=u dbname=pay", false), "no host"));
    assert_non_null(strstr(refusal("service=pay", false), "service"));
    assert_non_null(strstr(refusal("hostaddr=db.internal user=u", false), "numeric"));
}

static void test_check_refuses_a_host_name_at_the_limit(void **state)
{
    (void)state;
    char text[PG_DNS_HOST_MAX + 32], name[PG_DNS_HOST_MAX + 1];

    memset(name, 'a', sizeof(name));
    name[PG_DNS_HOST_MAX - 1] = '\0';
    snprintf(text, sizeof(text), "user=u host=%s", name);
    assert_string_equal(refusal(text, false), "");
    name[PG_DNS_HOST_MAX - 1] = 'a';
    name[PG_DNS_HOST_MAX] = '\0';
    snprintf(text, sizeof(text), "user=u host=%s", name);
    assert_non_null(strstr(refusal(text, false), "too long"));
}

static void test_check_refuses_options_over_the_limit(void **state)
{
    (void)state;
    char text[PG_URL_OPTIONS_MAX + 64], options[PG_URL_OPTIONS_MAX + 2];

    memset(options, 'x', sizeof(options));
    options[PG_URL_OPTIONS_MAX] = '\0';
    snprintf(text, sizeof(text), "host=h user=u options=%s", options);
    assert_string_equal(refusal(text, false), "");
    options[PG_URL_OPTIONS_MAX] = 'x';
    options[PG_URL_OPTIONS_MAX + 1] = '\0';
    snprintf(text, sizeof(text), "host=h user=u options=%s", options);
    assert_non_null(strstr(refusal(text, false), "too long"));
}

static void test_tls_is_required_but_in_dev_and_where_it_is_allowed_to_do_without(void **state)
{
    (void)state;
    static const struct {
        const char *environment;
        bool said, insecure, required;
    } CASES[] = {{"prod", true, false, true}, {"prod", true, true, false},
                 {"dev", true, false, false}, {"dev", true, true, false},
                 {"dev", false, false, true}, {"dev", false, true, false}};

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct config config = {.environment_said = CASES[i].said,
                                .database_tls_insecure = CASES[i].insecure};
        memcpy(config.environment, CASES[i].environment, strlen(CASES[i].environment) + 1);
        assert_int_equal(pg_url_tls_required(&config), CASES[i].required);
    }
}

static void test_check_wants_verify_full_where_tls_is_required(void **state)
{
    (void)state;
    assert_non_null(strstr(refusal("postgresql://u@db/pay", true), "verify-full"));
    assert_non_null(strstr(refusal("postgresql://u@db/pay?sslmode=require", true), "verify-full"));
    assert_non_null(
        strstr(refusal("postgresql://u@db/pay?sslmode=verify-full", true), "sslrootcert"));
    assert_string_equal(
        refusal("postgresql://u@db/pay?sslmode=verify-full&sslrootcert=/etc/ca.pem", true), "");
}

static void test_name_is_only_what_needs_a_resolver(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
    } cases[] = {
        {"host=db.internal. user=u", "db.internal."},
        {"host=10.0.0.7 user=u", NULL},
        {"host=::1 user=u", NULL},
        {"host=/run/postgresql user=u", NULL},
        {"host=@abstract user=u", NULL},
        {"host=db hostaddr=10.0.0.7 user=u", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pg_url url;
        assert_int_equal(pg_url_parse(&url, cases[i].text, NULL), ERR_OK);
        const char *name = pg_url_name(&url);
        if (cases[i].name == NULL)
            assert_null(name);
        else
            assert_string_equal(name, cases[i].name);
        pg_url_close(&url);
    }
}

static void test_complete_gives_libpq_host_and_address(void **state)
{
    (void)state;
    struct pg_url url;
    complete(&url, "postgresql://u:p%40ss@db.internal/pay", "10.0.0.7");

    assert_param(&url, "host", "db.internal");
    assert_param(&url, "hostaddr", "10.0.0.7");
    assert_param(&url, "password", "p@ss");
    assert_param(&url, "dbname", "pay");
    pg_url_close(&url);

    complete(&url, "postgresql://u@10.0.0.9/", NULL);
    assert_param(&url, "hostaddr", "10.0.0.9");
    assert_param(&url, "dbname", "u");
    pg_url_close(&url);
}

static void test_complete_leaves_a_socket_path_without_address(void **state)
{
    (void)state;
    struct pg_url url;
    complete(&url, "host=/run/postgresql user=u", NULL);

    assert_null(pg_url_get(&url, "hostaddr"));
    pg_url_close(&url);
}

static void test_complete_names_every_file_libpq_would_search(void **state)
{
    (void)state;
    static const char *const files[] = {"passfile", "sslcert", "sslkey", "sslcrl", "sslrootcert"};
    struct pg_url url;
    complete(&url, "postgresql://u@db/pay?sslcert=/etc/client.pem", "10.0.0.7");

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        assert_non_null(pg_url_get(&url, files[i]));
    assert_param(&url, "sslcert", "/etc/client.pem");
    pg_url_close(&url);
}

static void test_complete_overrides_what_the_budget_needs(void **state)
{
    (void)state;
    struct pg_url url;
    complete(
        &url,
        "postgresql://u@db/pay?gssencmode=prefer&application_name=x&target_session_attrs=standby"
        "&tcp_user_timeout=0&options=-c%20work_mem%3D8MB%20-c%20statement_timeout%3D0",
        "10.0.0.7");

    assert_param(&url, "gssencmode", "disable");
    assert_param(&url, "application_name", "test");
    assert_param(&url, "target_session_attrs", "any");
    assert_param(&url, "tcp_user_timeout", "3000");
    const char *options = pg_url_get(&url, "options");
    const char *theirs = strstr(options, "statement_timeout=0");
    assert_ptr_equal(strstr(options, "-c work_mem=8MB"), options);
    assert_non_null(theirs);
    assert_non_null(strstr(theirs, "statement_timeout=60 -c lock_timeout=40"));
    pg_url_close(&url);
}

static void test_complete_ends_the_arrays(void **state)
{
    (void)state;
    struct pg_url url;
    complete(&url, "postgresql://u@db/pay", "10.0.0.7");

    for (uint32_t i = 0; i < url.count; i++) {
        assert_non_null(url.keywords[i]);
        assert_non_null(url.values[i]);
    }
    assert_null(url.keywords[url.count]);
    assert_null(url.values[url.count]);
    pg_url_close(&url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_accepts_a_uri),
        cmocka_unit_test(test_check_accepts_key_value_and_socket_path),
        cmocka_unit_test(test_check_refuses_what_does_not_parse_without_quoting_it),
        cmocka_unit_test(test_check_refuses_what_is_no_port),
        cmocka_unit_test(test_check_refuses_several_hosts),
        cmocka_unit_test(test_check_refuses_what_libpq_would_have_to_look_up),
        cmocka_unit_test(test_check_refuses_a_host_name_at_the_limit),
        cmocka_unit_test(test_check_refuses_options_over_the_limit),
        cmocka_unit_test(test_tls_is_required_but_in_dev_and_where_it_is_allowed_to_do_without),
        cmocka_unit_test(test_check_wants_verify_full_where_tls_is_required),
        cmocka_unit_test(test_name_is_only_what_needs_a_resolver),
        cmocka_unit_test(test_complete_gives_libpq_host_and_address),
        cmocka_unit_test(test_complete_leaves_a_socket_path_without_address),
        cmocka_unit_test(test_complete_names_every_file_libpq_would_search),
        cmocka_unit_test(test_complete_overrides_what_the_budget_needs),
        cmocka_unit_test(test_complete_ends_the_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
