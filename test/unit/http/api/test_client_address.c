#include "http/api/client_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct ip_networks trusted;
static struct http_request request;

static void forwarded(const char *value)
{
    request.headers[request.header_count++] =
        (struct http_header){SPAN("x-forwarded-for"), span_of(value)};
}

static const char *client(const char *peer)
{
    static char storage[IP_TEXT_MAX];
    struct buf out;
    const struct ip_address address = client_address_of(&trusted, peer, &request);
    buf_init(&out, storage, sizeof(storage) - 1);
    ip_address_write(&address, &out);
    storage[out.len] = '\0';
    return storage;
}

static int set_up(void **state)
{
    (void)state;
    request = (struct http_request){0};
    return ip_networks_parse(SPAN("10.0.0.0/8,2001:db8::/32"), &trusted) == NULL ? 0 : -1;
}

static void test_one_line_of_hops(void **state)
{
    static const char *const rows[][3] = {
        /* peer, X-Forwarded-For, client */
        {"10.0.0.1", "203.0.113.7", "203.0.113.7"},
        {"10.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7"},
        {"10.0.0.1", "1.1.1.1,203.0.113.7 ,\t10.9.9.9,10.8.8.8", "203.0.113.7"},
        {"10.0.0.1", "10.3.3.3,10.2.2.2", "10.3.3.3"},
        {"2001:db8::1", "2a00::7, 2001:db8::2", "2a00::7"},
        {"10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"},
        /* a client can claim what it likes to the left of itself */
        {"10.0.0.1", "<script>, 203.0.113.7", "203.0.113.7"},
        {"10.0.0.1", ",,, 203.0.113.7", "203.0.113.7"},
        /* the peer is not ours: nothing is believed */
        {"203.0.113.9", "1.1.1.1", "203.0.113.9"},
        {"203.0.113.9", "10.0.0.1", "203.0.113.9"},
        /* not a list of addresses: the peer */
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "unknown", "10.0.0.1"},
        {"10.0.0.1", "203.0.113.7:443", "10.0.0.1"},
        {"10.0.0.1", "[2a00::7]", "10.0.0.1"},
        {"10.0.0.1", "203.0.113.7,", "10.0.0.1"},
        {"10.0.0.1", "203.0.113.7 10.2.2.2", "10.0.0.1"},
        {"10.0.0.1", "203.0.113.7, junk, 10.2.2.2", "10.0.0.1"},
        {"10.0.0.1", "203.0.113.007", "10.0.0.1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)set_up(state);
        forwarded(rows[i][1]);
        assert_string_equal(client(rows[i][0]), rows[i][2]);
    }
}

static void test_several_lines_are_one_list(void **state)
{
    (void)state;
    forwarded("1.1.1.1");
    request.headers[request.header_count++] =
        (struct http_header){SPAN("Forwarded"), SPAN("for=2.2.2.2")};
    forwarded("203.0.113.7, 10.2.2.2");
    forwarded("10.3.3.3");
    assert_string_equal(client("10.0.0.1"), "203.0.113.7");
    forwarded("");
    assert_string_equal(client("10.0.0.1"), "10.0.0.1");
}

static void test_without_header_request_or_proxies_it_is_the_peer(void **state)
{
    (void)state;
    assert_string_equal(client("10.0.0.1"), "10.0.0.1");
    const struct ip_address peer = client_address_of(&trusted, "10.0.0.1", NULL);
    assert_int_equal(peer.bytes[15], 1);
    forwarded("203.0.113.7");
    trusted.count = 0;
    assert_string_equal(client("10.0.0.1"), "10.0.0.1");
    assert_string_equal(client(""), "::");
}

static void test_hops_are_bounded(void **state)
{
    (void)state;
    char storage[16 * (CLIENT_HOPS_MAX + 1)];
    struct buf list;
    buf_init(&list, storage, sizeof(storage) - 1);
    buf_add_text(&list, "203.0.113.7");
    for (int i = 0; i < CLIENT_HOPS_MAX - 1; i++)
        buf_add_text(&list, ",10.2.2.2");
    storage[list.len] = '\0';
    forwarded(storage);
    assert_string_equal(client("10.0.0.1"), "203.0.113.7");
    forwarded("10.4.4.4");
    assert_string_equal(client("10.0.0.1"), "10.0.0.1");
}

/* Numbers that look random and are the same in every run. */
static size_t any_below(size_t limit)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(state >> 33) % limit;
}

/* Whatever is sent, the client is the peer or one of the addresses in it. */
static void test_random_lists(void **state)
{
    static const char *const parts[] = {"203.0.113.7", "10.2.2.2",    ",",    ", ",
                                        " ",           "2a00::7",     "x",    ".443",
                                        "\t",          "2001:db8::9", "\x80", "["};
    for (int round = 0; round < 20000; round++) {
        (void)set_up(state);
        char *lines[2];
        for (size_t line = 0; line < 2; line++) {
            char text[256];
            struct buf list;
            buf_init(&list, text, sizeof(text));
            for (size_t i = any_below(12); i > 0; i--)
                buf_add_text(&list, parts[any_below(sizeof(parts) / sizeof(parts[0]))]);
            lines[line] = malloc(list.len + 1);
            assert_non_null(lines[line]);
            memcpy(lines[line], text, list.len);
            request.headers[request.header_count++] =
                (struct http_header){SPAN("X-Forwarded-For"), {lines[line], list.len}};
        }
        const char *found = client("10.0.0.1");
        assert_true(strcmp(found, "203.0.113.7") == 0 || strcmp(found, "10.2.2.2") == 0 ||
                    strcmp(found, "2a00::7") == 0 || strcmp(found, "2001:db8::9") == 0 ||
                    strcmp(found, "10.0.0.1") == 0);
        free(lines[0]);
        free(lines[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_line_of_hops, set_up),
        cmocka_unit_test_setup(test_several_lines_are_one_list, set_up),
        cmocka_unit_test_setup(test_without_header_request_or_proxies_it_is_the_peer, set_up),
        cmocka_unit_test_setup(test_hops_are_bounded, set_up),
        cmocka_unit_test_setup(test_random_lists, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
