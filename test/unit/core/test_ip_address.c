#include "core/ip_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *written(const struct ip_address *address)
{
    static char storage[IP_TEXT_MAX];
    struct buf out;
    buf_init(&out, storage, sizeof(storage) - 1);
    ip_address_write(address, &out);
    assert_false(out.overflow);
    storage[out.len] = '\0';
    return storage;
}

static struct ip_address address_of(const char *text)
{
    struct ip_address address;
    assert_true(ip_address_parse(span_of(text), &address));
    return address;
}

static void test_addresses_are_read_and_written(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"0.0.0.0", "0.0.0.0"},
        {"192.0.2.255", "192.0.2.255"},
        {"::1", "::1"},
        {"2001:DB8:0:0::1", "2001:db8::1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct ip_address address = address_of(rows[i][0]);
        assert_string_equal(written(&address), rows[i][1]);
    }
}

static void test_whatever_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        " ",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "256.0.0.1",
        "01.2.3.4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.4:80",
        "[::1]",
        "[::1]:80",
        "::1%lo",
        "0x7f.0.0.1",
        "1.2.3.-4",
        "+1.2.3.4",
        ":::",
        "1::2::3",
        "12345::",
        "::1.2.3",
        "unknown",
        "localhost",
        "_hidden",
        "1.2.3.4\n",
        "::g",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7",
        "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555",
        "00000000000000000000000000000000000000000000000000000000000000000000000000000001",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ip_address address = {.bytes = {9}};
        assert_false(ip_address_parse(span_of(rows[i]), &address));
        assert_int_equal(address.bytes[0], 9);
    }
    struct ip_address address;
    assert_false(ip_address_parse(SPAN("1.2.3.4\0"), &address));
    assert_false(ip_address_parse((struct span){NULL, 0}, &address));
}

/* Numbers that look random and are the same in every run. */
static size_t any_below(size_t limit)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(state >> 33) % limit;
}

/* Whatever is accepted means the same after it was written. */
static void test_random_texts_are_refused_or_stable(void **state)
{
    (void)state;
    static const char letters[] = "0123456789abcdefF:.:.::./%[] ,x";
    uint32_t accepted = 0;
    for (int round = 0; round < 200000; round++) {
        /* In the very heap bytes, so that a sanitizer sees one read too many. */
        const size_t len = any_below(20);
        char *text = malloc(len + 1);
        assert_non_null(text);
        for (size_t i = 0; i < len; i++)
            text[i] = letters[any_below(sizeof(letters) - 1)];
        struct ip_address address;
        struct ip_networks networks;
        if (ip_address_parse((struct span){text, len}, &address)) {
            const struct ip_address again = address_of(written(&address));
            assert_true(ip_address_equal(&address, &again));
            accepted++;
        }
        if (ip_networks_parse((struct span){text, len}, &networks) == NULL)
            for (uint32_t i = 0; i < networks.count; i++)
                assert_true(ip_networks_hold(&networks, &networks.entries[i].base));
        free(text);
    }
    assert_true(accepted > 0);
}

static void test_party_is_the_64_of_ipv6(void **state)
{
    (void)state;
    struct ip_address party = address_of("2001:db8:1:2:3:4:5:6");
    party = ip_address_party(&party);
    assert_string_equal(written(&party), "2001:db8:1:2::");
    party = address_of("192.0.2.1");
    party = ip_address_party(&party);
    assert_string_equal(written(&party), "192.0.2.1");
}

static void test_networks_hold_their_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *list, *address;
        bool held;
    } rows[] = {
        {"", "10.0.0.1", false},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.2/31,2001:db8::/33", "2001:db8:7fff::1", true},
        {"192.0.2.2/31,2001:db8::/33", "2001:db8:8000::1", false},
        {"2001:db8::1", "2001:db8::1", true},
        {"8000::/1", "ffff::", true},
        {"8000::/1", "10.0.0.1", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ip_networks networks;
        const struct ip_address address = address_of(rows[i].address);
        assert_null(ip_networks_parse(span_of(rows[i].list), &networks));
        assert_int_equal(ip_networks_hold(&networks, &address), rows[i].held);
    }
}

static void test_wrong_networks_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        uint32_t good;
        const char *why;
    } rows[] = {
        {",", 0, "is not a numeric address"},
        {"10.0.0.0/8,", 1, "is not a numeric address"},
        {"10.0.0.0/8, ::1", 1, "is not a numeric address"},
        {"10.0.0.0/33", 0, "has no prefix of 1..32 bits"},
        {"10.0.0.0/", 0, "has no prefix of 1..32 bits"},
        {"10.0.0.0/8/8", 0, "has no prefix of 1..32 bits"},
        {"10.0.0.0/08", 0, "has no prefix of 1..32 bits"},
        {"10.0.0.0/-1", 0, "has no prefix of 1..32 bits"},
        {"10.0.0.0/255.0.0.0", 0, "has no prefix of 1..32 bits"},
        {"2001:db8::/129", 0, "has no prefix of 1..128 bits"},
        {"::1,::1,0.0.0.0/0", 2, "takes everybody in"},
        {"::/0", 0, "takes everybody in"},
        {"10.0.0.1/8", 0, "has bits behind its prefix"},
        {"2001:db8::1/127", 0, "has bits behind its prefix"},
    };
    struct ip_networks networks;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *why = ip_networks_parse(span_of(rows[i].list), &networks);
        assert_non_null(why);
        assert_string_equal(why, rows[i].why);
        assert_int_equal(networks.count, rows[i].good);
    }
    char storage[8 * (IP_NETWORKS_MAX + 1)];
    struct buf list;
    buf_init(&list, storage, sizeof(storage));
    for (int i = 0; i < IP_NETWORKS_MAX; i++)
        buf_add_text(&list, i == 0 ? "::1" : ",::1");
    assert_null(ip_networks_parse(buf_span(&list), &networks));
    buf_add_text(&list, ",::1");
    assert_string_equal(ip_networks_parse(buf_span(&list), &networks), "is one network too many");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_read_and_written),
        cmocka_unit_test(test_whatever_is_no_address_is_refused),
        cmocka_unit_test(test_random_texts_are_refused_or_stable),
        cmocka_unit_test(test_party_is_the_64_of_ipv6),
        cmocka_unit_test(test_networks_hold_their_addresses),
        cmocka_unit_test(test_wrong_networks_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
