/* Whole conversations over a transport that says everything the seam allows, at random: what is
 * answered does not depend on how the bytes came and went. */

#include "core/secret.h"
#include "server_fixture.h"
#include "transport_jitter.h"

enum { SEEDS = 60, PIPELINED = 3 * HTTP_REQUESTS_PER_WAKE };

/* Printed: JITTER_SEED repeats all conversations of a run. */
static uint64_t first_seed;
static struct jitter jitter;

static int choose_seeds(void **state)
{
    (void)state;
    uint32_t random = 0;
    if (secret_init() != ERR_OK)
        return -1;
    secret_random(&random, sizeof random);
    first_seed = (uint64_t)random + 1;
    const char *given = getenv("JITTER_SEED");
    if (given != NULL && !span_parse_u64(span_of(given), UINT64_MAX, &first_seed))
        return -1;
    print_message("JITTER_SEED=%llu\n", (unsigned long long)first_seed);
    return 0;
}

/* A server of its own for one conversation; at the end nothing of it is left. */
static void converse(void (*conversation)(void))
{
    for (uint64_t seed = first_seed; seed < first_seed + SEEDS; seed++) {
        jitter = (struct jitter){.seed = seed};
        start_server(&CONFIG, &TRANSPORT_JITTER, &jitter);
        memset(&app, 0, sizeof app);
        conversation();
        wait_for_state(HTTP_CONN_FREE, CONN_MAX);
        assert_int_equal(jitter.open, 0);
    }
}

static void one_after_the_other(void)
{
    struct client client = dial();
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");
    ask(&client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", "POST /now [] abc");
    ask(&client,
        "POST /item/8/void HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
        "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n",
        "POST /item/8/void [8] hello world");
    wait_for_state(HTTP_CONN_IDLE, 1);
    assert_int_equal(client.len, 0);
    hang_up(&client);
}

static void pipelined(void)
{
    struct client client = dial();
    char text[8192] = "";
    for (unsigned i = 0; i < PIPELINED; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "GET /item/%u HTTP/1.1\r\n" HOST "\r\n", i);
    say(&client, text);
    for (unsigned i = 0; i < PIPELINED; i++) {
        char needle[32];
        snprintf(needle, sizeof needle, " /item/%u [%u] ", i, i);
        expect(&client, needle);
    }
    wait_for_state(HTTP_CONN_IDLE, 1);
    assert_int_equal(client.len, 0);
    assert_int_equal(app.finished, PIPELINED);
    hang_up(&client);
}

static void late(void)
{
    struct client client = dial();
    say(&client, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n"
                 "GET /later HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    answer_later(0);
    expect(&client, "GET /later [] ");
    expect(&client, "GET /now [] ");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    answer_later(0);
    expect(&client, "GET /later [] ");
    hang_up(&client);
}

static void refused_and_read_to_the_end(void)
{
    struct client client = dial();
    char body[2000];
    memset(body, 'b', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    say(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n"
                 "POST /now HTTP/1.1\r\n" HOST "Content-Length: 1999\r\n\r\n");
    say(&client, body);
    expect(&client, "GET /now [] ");
    expect(&client, "413 Content Too Large");
    expect(&client, "Connection: close\r\n\r\n{");
    expect(&client, "}\n");
    expect_end(&client);
    hang_up(&client);
}

static void large(void)
{
    struct client client = dial();
    app.large = (size_t)100 * 1024;
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\nGET /item/5 HTTP/1.1\r\n" HOST "\r\n",
        "\r\n\r\nGET /now [] L");
    expect(&client, "LHTTP/1.1 200 OK");
    expect(&client, "\r\n\r\nGET /item/5 [5] L");
    while (client.len < app.large - 17)
        expect(&client, "");
    assert_int_equal(client.len, app.large - 17);
    hang_up(&client);
}

static void left_midway(void)
{
    struct client half = dial(), reset = dial();
    app.forgets = true;
    say(&half, "GET /now HTTP/1.1\r\n" HOST "\r\nPOST /now HTTP/1.1\r\n");
    shutdown(half.fd, SHUT_WR);
    expect(&half, "GET /now [] ");
    expect_end(&half);
    assert_int_equal(half.len, 0);
    say(&reset, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    hang_up_by_reset(&reset);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_PEER_MIDWAY), 1);
    assert_int_equal(closed(HTTP_CLOSE_RESET), 1);
    hang_up(&half);
}

#define CONVERSATION(name)                                                                         \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        converse(name);                                                                            \
    }
CONVERSATION(one_after_the_other)
CONVERSATION(pipelined)
CONVERSATION(late)
CONVERSATION(refused_and_read_to_the_end)
CONVERSATION(large)
CONVERSATION(left_midway)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_after_the_other),         TEST(test_pipelined), TEST(test_late),
        TEST(test_refused_and_read_to_the_end), TEST(test_large),     TEST(test_left_midway),
    };
    return cmocka_run_group_tests(tests, choose_seeds, NULL);
}
