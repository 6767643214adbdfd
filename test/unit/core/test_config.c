#include "core/config.h"
#include "core/config_table_private.h"
#include "test/unit/core/config_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct config config;
static char key_64[CONFIG_API_KEY_LEN + 1];

static enum err load(void)
{
    return config_fixture_load(&config, CONFIG_SERVE);
}

static void assert_refused(const char *expected)
{
    assert_int_equal(load(), ERR_INVALID);
    assert_string_equal(config_fixture_errors(), expected);
}

static int set_up(void **state)
{
    memset(key_64, 'k', CONFIG_API_KEY_LEN);
    return config_fixture_set_up(state);
}

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(load(), ERR_OK);
    assert_string_equal(config_fixture_errors(), "");
    assert_string_equal(config_fixture_warnings(), "");

    assert_string_equal(config.database_url, "postgresql://app:hush@db/pay");
    assert_string_equal(config.database_url_file, "");
    assert_string_equal(config.api_secret_key_previous, "");
    assert_string_equal(config.bind_address, "0.0.0.0");
    assert_int_equal(config.port, 8080);
    assert_int_equal(config.log_level, LOG_INFO);
    assert_false(config.database_tls_insecure);
    assert_int_equal(config.request_budget_ms, 100);
    assert_int_equal(config.queue_wait_max_ms, 25);
    assert_int_equal(config.pool_size, 6);
    assert_int_equal(config.statement_timeout_ms, 60);
    assert_int_equal(config.lock_timeout_ms, 40);
    assert_int_equal(config.lane_wallet_max, 256);
    assert_int_equal(config.poison_hold_s, 60);
    assert_int_equal(config.http_idle_timeout_ms, 75000);
    assert_int_equal(config.drain_timeout_ms, 10000);
    assert_int_equal(config.secrets_watch_ms, 5000);
}

static void test_empty_is_the_same_as_not_set(void **state)
{
    (void)state;
    config_fixture_set("PORT", "");
    config_fixture_set("PORT_FILE", "");
    config_fixture_set("REGION", "");
    config_fixture_set("ENVIRONMENT", "");
    config_fixture_set("API_SECRET_KEY", key_64);
    assert_int_equal(load(), ERR_OK);

    assert_int_equal(config.port, 8080);
    assert_string_equal(config.region, "unknown");
    assert_string_equal(config.environment, "dev");
    assert_false(config_is_dev(&config));
    assert_string_equal(config_fixture_warnings(),
                        "REGION: is not set, using unknown\n"
                        "ENVIRONMENT: is not set, using dev\n"
                        "ENVIRONMENT: only when dev is said are short keys and a database without "
                        "verify-full allowed\n");
}

static void test_every_problem_is_told_at_once(void **state)
{
    (void)state;
    config_fixture_set("DATABASE_URL", NULL);
    config_fixture_set("API_SECRET_KEY", "");
    config_fixture_set("PORT", "70000");
    config_fixture_set("LOG_LEVEL", "loud");
    config_fixture_set("DATABASE_TLS_INSECURE", "yes");
    config_fixture_set("POOL_SIZE", "0x6");
    assert_refused("DATABASE_URL: is required; set it or DATABASE_URL_FILE\n"
                   "API_SECRET_KEY: is required; set it or API_SECRET_KEY_FILE\n"
                   "DATABASE_TLS_INSECURE: \"yes\" is not 0 or 1\n"
                   "PORT: 70000 is not in 0..65535\n"
                   "LOG_LEVEL: \"loud\" is not one of debug info warn error\n"
                   "POOL_SIZE: \"0x6\" is not a whole number in decimal digits\n");
}

static void test_numbers_at_their_bounds(void **state)
{
    (void)state;
    config_fixture_set("PORT", "0");
    config_fixture_set("POOL_SIZE", "64");
    config_fixture_set("ACCESS_LOG_SAMPLE", "1000000");
    assert_int_equal(load(), ERR_OK);
    assert_int_equal(config.port, 0);
    assert_int_equal(config.pool_size, 64);
    assert_int_equal(config.access_log_sample, 1000000);

    config_fixture_set("PORT", "65536");
    config_fixture_set("POOL_SIZE", "0");
    config_fixture_set("ACCESS_LOG_SAMPLE", "99999999999999999999999");
    assert_refused("PORT: 65536 is not in 0..65535\n"
                   "ACCESS_LOG_SAMPLE: 99999999999999999999999 is not in 0..1000000\n"
                   "POOL_SIZE: 0 is not in 1..64\n");
}

static void test_only_decimal_digits_are_a_number(void **state)
{
    (void)state;
    static const char *const BAD[] = {" 80", "80 ", "+80", "-1", "8e1", "80.0", "0x50", "eighty"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        config_fixture_set("PORT", BAD[i]);
        assert_int_equal(load(), ERR_INVALID);
        assert_non_null(
            strstr(config_fixture_errors(), "is not a whole number in decimal digits\n"));
    }
}

static void test_refused_values_are_escaped_and_cut(void **state)
{
    (void)state;
    char hostile[200];
    memset(hostile, 'x', sizeof(hostile) - 1);
    hostile[sizeof(hostile) - 1] = '\0';
    hostile[0] = '\n';
    config_fixture_set("PORT", hostile);
    assert_int_equal(load(), ERR_INVALID);

    const char *text = config_fixture_errors();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_true(strlen(text) < 120);
}

static void test_text_must_be_visible_ascii(void **state)
{
    (void)state;
    static const char *const BAD[] = {"eu south", "eu\nsouth", "eu\tsouth", "\xc3\xb1", "\x7f"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        config_fixture_set("REGION", BAD[i]);
        assert_refused("REGION: contains a byte that is not visible ASCII (a space, a control "
                       "byte, ...)\n");
    }
}

static void test_keys_must_be_visible_ascii(void **state)
{
    (void)state;
    config_fixture_set("API_SECRET_KEY", "a key");
    assert_refused("API_SECRET_KEY: contains a byte that is not visible ASCII (a space, a control "
                   "byte, ...)\n");
}

static void test_connection_string_may_have_spaces_but_no_control_byte(void **state)
{
    (void)state;
    config_fixture_set("DATABASE_URL", "host=db user=app password='a b'");
    assert_int_equal(load(), ERR_OK);
    config_fixture_set("DATABASE_URL", "host=db\nuser=app");
    assert_refused("DATABASE_URL: contains a control byte\n");
}

static void test_text_has_a_greatest_length(void **state)
{
    (void)state;
    char text[CONFIG_TEXT_MAX + 1];
    memset(text, 'r', sizeof(text));
    text[CONFIG_TEXT_MAX - 1] = '\0';
    config_fixture_set("REGION", text);
    assert_int_equal(load(), ERR_OK);
    assert_string_equal(config.region, text);

    text[CONFIG_TEXT_MAX - 1] = 'r';
    text[CONFIG_TEXT_MAX] = '\0';
    assert_refused("REGION: is longer than 255 bytes\n");
}

static void test_secrets_have_a_greatest_length(void **state)
{
    (void)state;
    char text[CONFIG_SECRET_MAX + 1];
    memset(text, 's', sizeof(text));
    text[CONFIG_SECRET_MAX - 1] = '\0';
    config_fixture_set("DATABASE_URL", text);
    assert_int_equal(load(), ERR_OK);

    text[CONFIG_SECRET_MAX - 1] = 's';
    text[CONFIG_SECRET_MAX] = '\0';
    assert_refused("DATABASE_URL: is longer than 2047 bytes\n");
}

static void test_short_keys_are_for_dev_only(void **state)
{
    (void)state;
    config_fixture_set("API_SECRET_KEY_PREVIOUS", "old");
    assert_int_equal(load(), ERR_OK);
    assert_true(config_key_is_valid(&config, "x"));
    assert_false(config_key_is_valid(&config, ""));

    static const char *const OTHERS[] = {"production", NULL};
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
        config_fixture_set("ENVIRONMENT", OTHERS[i]);
        assert_refused("API_SECRET_KEY: has 5 characters; outside ENVIRONMENT=dev it needs at "
                       "least 64\n"
                       "API_SECRET_KEY_PREVIOUS: has 3 characters; outside ENVIRONMENT=dev it "
                       "needs at least 64\n");
    }
}

static void test_64_characters_are_enough_outside_dev(void **state)
{
    (void)state;
    config_fixture_set("ENVIRONMENT", "production");
    config_fixture_set("API_SECRET_KEY", key_64);
    assert_int_equal(load(), ERR_OK);
    assert_false(config_is_dev(&config));
    assert_true(config_key_is_valid(&config, key_64));
    assert_false(config_key_is_valid(&config, key_64 + 1));

    config_fixture_set("API_SECRET_KEY", key_64 + 1);
    assert_refused("API_SECRET_KEY: has 63 characters; outside ENVIRONMENT=dev it needs at least "
                   "64\n");
}

/* Not even a key that could not be used is looked at: the job may share its settings with the
 * service and lack the file. */
static void test_migrate_needs_and_reads_no_key(void **state)
{
    (void)state;
    config_fixture_set("ENVIRONMENT", "production");
    config_fixture_set("API_SECRET_KEY", NULL);
    assert_int_equal(config_fixture_load(&config, CONFIG_MIGRATE), ERR_OK);
    assert_string_equal(config_fixture_errors(), "");

    config_fixture_set("API_SECRET_KEY", "two words");
    config_fixture_set("API_SECRET_KEY_PREVIOUS_FILE", "/no/such/file");
    assert_int_equal(config_fixture_load(&config, CONFIG_MIGRATE), ERR_OK);
    assert_string_equal(config.api_secret_key, "");
    assert_string_equal(config.api_secret_key_previous_file, "");
    assert_string_equal(config.database_url, "postgresql://app:hush@db/pay");
}

static void test_migrate_is_held_to_every_other_rule(void **state)
{
    (void)state;
    config_fixture_set("DATABASE_URL", NULL);
    config_fixture_set("PORT", "70000");
    config_fixture_set("LOCK_TIMEOUT_MS", "61");
    assert_int_equal(config_fixture_load(&config, CONFIG_MIGRATE), ERR_INVALID);
    assert_string_equal(config_fixture_errors(),
                        "DATABASE_URL: is required; set it or DATABASE_URL_FILE\n"
                        "PORT: 70000 is not in 0..65535\n"
                        "LOCK_TIMEOUT_MS: 61 is more than STATEMENT_TIMEOUT_MS, which is 60\n");
}

static void test_timeouts_and_limits_must_be_in_order(void **state)
{
    (void)state;
    config_fixture_set("LOCK_TIMEOUT_MS", "70");
    config_fixture_set("STATEMENT_TIMEOUT_MS", "69");
    config_fixture_set("REQUEST_BUDGET_MS", "68");
    config_fixture_set("HTTP_ACTIVE_MAX", "11");
    config_fixture_set("HTTP_CONN_MAX", "10");
    config_fixture_set("HTTP_URI_BYTES_MAX", "601");
    config_fixture_set("HTTP_HEADER_BYTES_MAX", "600");
    assert_int_equal(load(), ERR_INVALID);
    assert_non_null(strstr(config_fixture_errors(),
                           "LOCK_TIMEOUT_MS: 70 is more than STATEMENT_TIMEOUT_MS, which is 69\n"));
    assert_non_null(strstr(config_fixture_errors(),
                           "HTTP_ACTIVE_MAX: 11 is more than HTTP_CONN_MAX, which is 10\n"));
    assert_non_null(
        strstr(config_fixture_errors(),
               "HTTP_URI_BYTES_MAX: 601 is more than HTTP_HEADER_BYTES_MAX, which is 600\n"));

    config_fixture_set("LOCK_TIMEOUT_MS", "69");
    config_fixture_set("HTTP_ACTIVE_MAX", "10");
    config_fixture_set("HTTP_URI_BYTES_MAX", "600");
    assert_refused("STATEMENT_TIMEOUT_MS: 69 is more than REQUEST_BUDGET_MS, which is 68\n");
}

static void test_order_is_not_judged_on_a_refused_value(void **state)
{
    (void)state;
    config_fixture_set("REQUEST_BUDGET_MS", "soon");
    config_fixture_set("STATEMENT_TIMEOUT_MS", "500");
    assert_refused("REQUEST_BUDGET_MS: \"soon\" is not a whole number in decimal digits\n");
}

static void test_trusted_proxies_must_be_networks(void **state)
{
    (void)state;
    assert_int_equal(load(), ERR_OK);
    assert_string_equal(config.trusted_proxies, "");
    assert_int_equal(config.auth_failures_per_s, 100);
    config_fixture_set("TRUSTED_PROXIES", "10.0.0.0/8,2001:db8::/32");
    assert_int_equal(load(), ERR_OK);
    assert_string_equal(config.trusted_proxies, "10.0.0.0/8,2001:db8::/32");
    config_fixture_set("TRUSTED_PROXIES", "10.0.0.0/8,10.0.0.1/8");
    assert_refused("TRUSTED_PROXIES: entry 2 has bits behind its prefix\n");
    config_fixture_set("TRUSTED_PROXIES", "proxy");
    assert_refused("TRUSTED_PROXIES: entry 1 is not a numeric address\n");
    config_fixture_set("TRUSTED_PROXIES", "0.0.0.0/0");
    assert_refused("TRUSTED_PROXIES: entry 1 takes everybody in\n");
}

static void test_bind_address_must_be_numeric(void **state)
{
    (void)state;
    config_fixture_set("BIND_ADDRESS", "::");
    assert_int_equal(load(), ERR_OK);
    config_fixture_set("BIND_ADDRESS", "localhost");
    assert_refused("BIND_ADDRESS: is not a numeric IPv4 or IPv6 address\n");
}

/* What `print` writes, NUL-terminated; the caller frees it. */
static char *printed(void (*print)(const struct config *, FILE *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    print(&config, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void print_help(const struct config *unused, FILE *out)
{
    (void)unused;
    config_print_help(out);
}

static void test_print_shows_everything_but_secrets(void **state)
{
    (void)state;
    config_fixture_set("API_SECRET_KEY", key_64);
    config_fixture_set("DATABASE_URL", NULL);
    config_fixture_set("DATABASE_URL_FILE", config_fixture_path());
    config_fixture_write_file("host=db password=hush", 21);
    assert_int_equal(load(), ERR_OK);
    char *text = printed(config_print);

    assert_non_null(strstr(text, "DATABASE_URL=***(21 bytes)\nDATABASE_URL_FILE=test_config_"));
    assert_non_null(strstr(text, "API_SECRET_KEY=***(64 bytes)\n"));
    assert_non_null(strstr(text, "API_SECRET_KEY_PREVIOUS=\n"));
    assert_non_null(strstr(text, "REGION=eu-south-2\n"));
    assert_non_null(strstr(text, "PORT=8080\n"));
    assert_non_null(strstr(text, "LOG_LEVEL=info\n"));
    assert_non_null(strstr(text, "DATABASE_TLS_INSECURE=0\n"));
    assert_null(strstr(text, "hush"));
    assert_null(strstr(text, "kkkk"));
    free(text);
}

static void test_help_has_a_line_for_every_setting(void **state)
{
    (void)state;
    char *text = printed(print_help);
    for (uint32_t i = 0; i < setting_count(); i++) {
        char line[64];
        snprintf(line, sizeof(line), "\n%s ", CONFIG_SETTINGS[i].name);
        if (strstr(text, line) == NULL)
            fail_msg("%s is missing", CONFIG_SETTINGS[i].name);
    }
    assert_non_null(strstr(text, "\nREQUEST_BUDGET_MS         100       10..60000 ms  "));
    assert_non_null(strstr(text, "\nLOG_LEVEL                 info      debug info warn error   "));
    assert_non_null(strstr(text, "\nDATABASE_URL              required  "));
    free(text);
}

static void test_operations_have_a_port_of_their_own_unless_it_is_the_same(void **state)
{
    (void)state;
    assert_int_equal(load(), ERR_OK);
    assert_int_equal(config.ops_port, 9090);
    assert_true(config.metrics_on_api_port);
    assert_true(config_has_ops_port(&config));

    config_fixture_set("METRICS_ON_API_PORT", "0");
    assert_int_equal(load(), ERR_OK);
    config_fixture_set("OPS_PORT", "8080");
    assert_refused("METRICS_ON_API_PORT: 0 needs an OPS_PORT that is not PORT\n");

    config_fixture_set("METRICS_ON_API_PORT", "1");
    assert_int_equal(load(), ERR_OK);
    assert_false(config_has_ops_port(&config));

    config_fixture_set("PORT", "0");
    config_fixture_set("OPS_PORT", "0");
    assert_int_equal(load(), ERR_OK);
    assert_true(config_has_ops_port(&config));
}

static void test_names_are_unique(void **state)
{
    (void)state;
    assert_int_equal(setting_count(), 49);
    for (uint32_t i = 0; i < setting_count(); i++) {
        for (uint32_t k = i + 1; k < setting_count(); k++)
            assert_string_not_equal(CONFIG_SETTINGS[i].name, CONFIG_SETTINGS[k].name);
    }
}

static void test_wipe_leaves_no_secret(void **state)
{
    (void)state;
    config_fixture_set("API_SECRET_KEY_PREVIOUS", "old");
    assert_int_equal(load(), ERR_OK);
    config_wipe(&config);

    static const char ZEROS[CONFIG_SECRET_MAX];
    assert_memory_equal(config.database_url, ZEROS, sizeof(ZEROS));
    assert_memory_equal(config.api_secret_key, ZEROS, sizeof(ZEROS));
    assert_memory_equal(config.api_secret_key_previous, ZEROS, sizeof(ZEROS));
    assert_string_equal(config.region, "eu-south-2");
}

static void test_a_full_error_buffer_still_refuses(void **state)
{
    (void)state;
    char small[8], more[8];
    struct buf errors, warnings;
    buf_init(&errors, small, sizeof(small));
    buf_init(&warnings, more, sizeof(more));
    config_fixture_set("PORT", "x");
    assert_int_equal(config_load(&config, CONFIG_SERVE, config_fixture_env, &errors, &warnings),
                     ERR_INVALID);
    assert_true(errors.overflow);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, config_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_empty_is_the_same_as_not_set),
        TEST(test_every_problem_is_told_at_once),
        TEST(test_numbers_at_their_bounds),
        TEST(test_only_decimal_digits_are_a_number),
        TEST(test_refused_values_are_escaped_and_cut),
        TEST(test_text_must_be_visible_ascii),
        TEST(test_keys_must_be_visible_ascii),
        TEST(test_connection_string_may_have_spaces_but_no_control_byte),
        TEST(test_text_has_a_greatest_length),
        TEST(test_secrets_have_a_greatest_length),
        TEST(test_short_keys_are_for_dev_only),
        TEST(test_64_characters_are_enough_outside_dev),
        TEST(test_migrate_needs_and_reads_no_key),
        TEST(test_migrate_is_held_to_every_other_rule),
        TEST(test_timeouts_and_limits_must_be_in_order),
        TEST(test_order_is_not_judged_on_a_refused_value),
        TEST(test_bind_address_must_be_numeric),
        TEST(test_trusted_proxies_must_be_networks),
        TEST(test_print_shows_everything_but_secrets),
        TEST(test_help_has_a_line_for_every_setting),
        TEST(test_operations_have_a_port_of_their_own_unless_it_is_the_same),
        TEST(test_names_are_unique),
        TEST(test_wipe_leaves_no_secret),
        TEST(test_a_full_error_buffer_still_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
