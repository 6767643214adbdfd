/* More clients than there is room for. */
#include "server_fixture.h"

#include <errno.h>

#include <netinet/in.h>
#include <sys/resource.h>

static void test_connections_over_the_limit_wait_in_the_backlog(void **state)
{
    (void)state;
    struct client clients[CONN_MAX + 1];
    for (unsigned i = 0; i <= CONN_MAX; i++)
        clients[i] = dial();
    wait_for_state(HTTP_CONN_IDLE, CONN_MAX);
    ask(&clients[0], "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");
    say(&clients[CONN_MAX], "GET /item/last HTTP/1.1\r\n" HOST "\r\n");
    expect_silence(&clients[CONN_MAX]);
    assert_int_equal(http_server_stats(server)->accept_pauses_total, 1);

    hang_up(&clients[1]);

    expect(&clients[CONN_MAX], "[last] ");
    for (unsigned i = 0; i <= CONN_MAX; i++)
        if (i != 1)
            hang_up(&clients[i]);
}

static void test_the_oldest_idle_connection_makes_room(void **state)
{
    (void)state;
    struct client clients[CONN_MAX + 1];
    for (unsigned i = 0; i < CONN_MAX; i++) {
        clients[i] = dial();
        wait_for_state(HTTP_CONN_IDLE, i + 1);
    }
    advance_ms(1100);

    clients[CONN_MAX] = dial();
    ask(&clients[CONN_MAX], "GET /item/new HTTP/1.1\r\n" HOST "\r\n", "[new] ");

    expect_end(&clients[0]);
    assert_int_equal(closed(HTTP_CLOSE_CROWDED), 1);
    for (unsigned i = 0; i <= CONN_MAX; i++)
        hang_up(&clients[i]);
}

static void test_no_exchange_is_a_503(void **state)
{
    (void)state;
    struct client busy[EXCHANGE_MAX], extra = dial();
    for (unsigned i = 0; i < EXCHANGE_MAX; i++) {
        busy[i] = dial();
        say(&busy[i], "GET /later HTTP/1.1\r\n" HOST "\r\n");
        wait_for_state(HTTP_CONN_HANDLING, i + 1);
    }

    ask(&extra, "GET /now HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 503 Service Unavailable\r\n");
    expect(&extra, "Date: ");
    expect(&extra, "\r\nX-Request-Id: ");
    assert_int_equal(strspn(extra.text, "0123456789abcdef"), HTTP_REQUEST_ID_LEN);
    assert_int_not_equal(strspn(extra.text, "0"), HTTP_REQUEST_ID_LEN);
    expect(&extra, "Retry-After: 1\r\nConnection: close\r\n\r\n{");
    expect(&extra, "}\n");
    expect_end(&extra);
    hang_up(&extra);
    settle();

    assert_int_equal(closed(HTTP_CLOSE_CROWDED), 1);
    assert_int_equal(http_server_stats(server)->refused_total[503], 1);
    for (unsigned i = 0; i < EXCHANGE_MAX; i++) {
        answer_later(0);
        expect(&busy[i], "GET /later [] ");
        hang_up(&busy[i]);
    }
}

static void test_slow_heads_cannot_take_every_exchange(void **state)
{
    (void)state;
    struct client slow[EXCHANGE_MAX], good = dial();
    for (unsigned i = 0; i < EXCHANGE_MAX; i++) {
        slow[i] = dial();
        say(&slow[i], "GET /slow");
        wait_for_state(HTTP_CONN_HEAD, i + 1);
    }

    ask(&good, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");

    expect_end(&slow[0]);
    assert_int_equal(closed(HTTP_CLOSE_CROWDED), 1);
    for (unsigned i = 0; i < EXCHANGE_MAX; i++)
        hang_up(&slow[i]);
    hang_up(&good);
}

static void test_no_descriptor_pauses_accepting(void **state)
{
    (void)state;
    struct client client = dial();
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    say(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n");

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    expect_silence(&client);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(http_server_stats(server)->accept_pauses_total, 1);
    expect_silence(&client);
    advance_ms(600);

    expect(&client, "GET /now [] ");
    hang_up(&client);
}

static void test_slow_bodies_cannot_take_every_exchange(void **state)
{
    (void)state;
    struct client slow[EXCHANGE_MAX], good = dial();
    for (unsigned i = 0; i < EXCHANGE_MAX; i++) {
        slow[i] = dial();
        say(&slow[i], "POST /now HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na");
        wait_for_state(HTTP_CONN_BODY, i + 1);
    }

    ask(&good, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");

    expect_end(&slow[0]);
    for (unsigned i = 0; i < EXCHANGE_MAX; i++)
        hang_up(&slow[i]);
    hang_up(&good);
}

/* ---- places, and what is kept for known callers ---- */

#define KEYED_LATER "GET /later HTTP/1.1\r\n" HOST "X-Key: k\r\n\r\n"
#define KEYED_BODY "POST /later HTTP/1.1\r\n" HOST "X-Key: k\r\nContent-Length: 2\r\n\r\na"

enum { MANY = 8, PLACES = 6 }; /* exchanges, and those that common requests may wait in */

static void start_with_many(void)
{
    struct http_server_config config = CONFIG;
    config.exchange_max = MANY;
    config.conn_max = 2 * MANY;
    start_server(&config, &TRANSPORT_TCP, NULL);
}

static void test_who_does_not_read_gives_way(void **state)
{
    (void)state;
    struct client deaf[PLACES + 1], good;
    start_with_many();
    app.large = 40000;
    for (unsigned i = 0; i < PLACES; i++) {
        deaf[i] = dial_narrow();
        say(&deaf[i], "GET /now HTTP/1.1\r\n" HOST "\r\n");
        wait_for_state(HTTP_CONN_WRITING, i + 1);
    }
    app.large = 0;
    good = dial();
    ask(&good, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] "); /* needs no place */
    assert_int_equal(closed(HTTP_CLOSE_SLOW_READER), 0);

    app.large = 40000;
    deaf[PLACES] = dial_narrow();
    say(&deaf[PLACES], "GET /now HTTP/1.1\r\n" HOST "\r\n");

    expect_end(&deaf[0]);
    assert_int_equal(closed(HTTP_CLOSE_SLOW_READER), 1);
    assert_int_equal(app.dropped, 1);
    wait_for_state(HTTP_CONN_WRITING, PLACES);
    for (unsigned i = 0; i <= PLACES; i++)
        hang_up(&deaf[i]);
    hang_up(&good);
}

static void test_large_answers_are_for_who_reads(void **state)
{
    (void)state;
    struct client deaf[HTTP_LARGE_ANSWERS_MAX], good;
    struct http_server_config config = CONFIG;
    config.exchange_max = 16;
    config.conn_max = 16;
    start_server(&config, &TRANSPORT_TCP, NULL);
    app.large = 40000;
    for (unsigned i = 0; i < HTTP_LARGE_ANSWERS_MAX; i++) {
        deaf[i] = dial_narrow();
        say(&deaf[i], "GET /now HTTP/1.1\r\n" HOST "\r\n");
        wait_for_state(HTTP_CONN_WRITING, i + 1);
    }
    expect(&deaf[0], "L"); /* it does take some */
    settle();

    good = dial();
    ask(&good, "GET /now HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n");

    expect_end(&deaf[1]);
    assert_int_equal(closed(HTTP_CLOSE_SLOW_READER), 1);
    for (unsigned i = 0; i < HTTP_LARGE_ANSWERS_MAX; i++)
        hang_up(&deaf[i]);
    hang_up(&good);
}

static void test_known_callers_bodies_have_places_of_their_own(void **state)
{
    (void)state;
    struct client known, slow[PLACES + 2];
    start_with_many();
    known = dial();
    say(&known, KEYED_BODY);
    wait_for_state(HTTP_CONN_BODY, 1);
    for (unsigned i = 0; i < PLACES + 2; i++) {
        slow[i] = dial();
        say(&slow[i], "GET /slow");
        wait_for_state(HTTP_CONN_HEAD, i < PLACES ? i + 1 : PLACES);
    }
    expect_end(&slow[0]);
    expect_end(&slow[1]);

    say(&known, "b");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    answer_later(0);

    expect(&known, "POST /later [] ab");
    assert_int_equal(closed(HTTP_CLOSE_CROWDED), 2);
    for (unsigned i = 0; i < PLACES + 2; i++)
        hang_up(&slow[i]);
    hang_up(&known);
}

static void test_one_exchange_is_left_to_look_at_others(void **state)
{
    (void)state;
    struct client busy[MANY], probe;
    start_with_many();
    for (unsigned i = 0; i < MANY - 1; i++) {
        busy[i] = dial();
        say(&busy[i], KEYED_LATER);
        wait_for_state(HTTP_CONN_HANDLING, i + 1);
    }
    busy[MANY - 1] = dial();
    ask(&busy[MANY - 1], KEYED_LATER, "HTTP/1.1 503 Service Unavailable\r\n");

    probe = dial();
    ask(&probe, "GET /item/live HTTP/1.1\r\n" HOST "\r\n", "GET /item/live [live] ");

    for (unsigned i = 0; i < MANY - 1; i++)
        answer_later(0);
    for (unsigned i = 0; i < MANY; i++)
        hang_up(&busy[i]);
    hang_up(&probe);
}

/* Every body is a known caller's: the slowest gives way after its second, not before. */
static void test_slow_bodies_of_known_callers_end_where_nothing_is_left(void **state)
{
    (void)state;
    struct client slow[MANY], last;
    start_with_many();
    for (unsigned i = 0; i < MANY - 1; i++) {
        slow[i] = dial();
        say(&slow[i], KEYED_BODY);
        wait_for_state(HTTP_CONN_BODY, i + 1);
    }
    last = dial();
    ask(&last, KEYED_LATER, "HTTP/1.1 503 Service Unavailable\r\n");
    advance_ms(1100);

    say(&last, KEYED_LATER);
    wait_for_state(HTTP_CONN_HANDLING, 1);

    expect_end(&slow[0]);
    answer_later(0);
    expect(&last, "GET /later [] ");
    for (unsigned i = 0; i < MANY - 1; i++)
        hang_up(&slow[i]);
    hang_up(&last);
}

/* ---- a turn ---- */

static void test_turn_that_took_long_serves_the_urgent_only(void **state)
{
    (void)state;
    enum { SLOW_US = 3000 };
    struct client common[3], prompt, known;
    start_with_many();
    for (unsigned i = 0; i < 3; i++)
        common[i] = dial();
    prompt = dial();
    known = dial();
    wait_for_state(HTTP_CONN_IDLE, 5);
    for (unsigned i = 0; i < 3; i++)
        say(&common[i], "GET /now HTTP/1.1\r\n" HOST "\r\n");
    say(&prompt, "GET /item/live HTTP/1.1\r\n" HOST "\r\n");
    say(&known, KEYED_LATER);
    app.takes_us = SLOW_US;

    turn();

    assert_string_equal(app.log, "GET /now 200;GET /item/{id} 200;GET /now 200;");
    assert_int_equal(app.later_count, 1);
    turn();
    assert_string_equal(app.log, "GET /now 200;GET /item/{id} 200;GET /now 200;GET /now 200;");
    answer_later(0);
    for (unsigned i = 0; i < 3; i++)
        hang_up(&common[i]);
    hang_up(&prompt);
    hang_up(&known);
}

static void test_known_callers_have_their_turn_first(void **state)
{
    (void)state;
    enum { SLOW_US = 3000 };
    struct client common[2], known;
    start_with_many();
    for (unsigned i = 0; i < 2; i++)
        common[i] = dial();
    known = dial();
    say(&known, KEYED_LATER KEYED_LATER);
    wait_for_state(HTTP_CONN_HANDLING, 1);
    for (unsigned i = 0; i < 2; i++)
        say(&common[i], "GET /now HTTP/1.1\r\n" HOST "\r\n"
                        "GET /now HTTP/1.1\r\n" HOST "\r\n");
    app.takes_us = SLOW_US;
    turn(); /* each of them leaves some */
    const unsigned before = app.finished;
    assert_true(before < 4);
    answer_later(0);

    turn();

    assert_int_equal(app.later_count, 1);
    assert_int_equal(app.finished, before + 2); /* its first one, and one of theirs */
    answer_later(0);
    for (unsigned i = 0; i < 2; i++)
        hang_up(&common[i]);
    hang_up(&known);
}

static void test_work_left_over_has_no_more_than_the_places(void **state)
{
    (void)state;
    struct client many[PLACES + 3];
    start_with_many();
    for (unsigned i = 0; i < PLACES + 3; i++)
        many[i] = dial();
    wait_for_state(HTTP_CONN_IDLE, PLACES + 3);
    for (unsigned i = 0; i < PLACES + 3; i++)
        say(&many[i], "GET /now HTTP/1.1\r\n" HOST "\r\n");
    app.takes_us = 3000;

    settle();
    settle();

    assert_int_equal(http_server_stats(server)->refused_total[503], 2);
    assert_int_equal(app.finished, PLACES + 3);
    for (unsigned i = 0; i < PLACES + 3; i++)
        hang_up(&many[i]);
}

/* ---- one address ---- */

static void test_address_over_its_share_gives_way_to_others(void **state)
{
    (void)state;
    enum { SLOTS = 140 };
    static struct client greedy[SLOTS + 1];
    struct http_server_config config = CONFIG;
    config.conn_max = SLOTS;
    start_server(&config, &TRANSPORT_TCP, NULL);
    for (unsigned i = 0; i < SLOTS; i++) {
        greedy[i] = dial(); /* all of them, while nobody else asks */
        wait_for_state(HTTP_CONN_IDLE, i + 1);
    }
    struct client other = dial_from(INADDR_LOOPBACK + 1);
    ask(&other, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");
    expect_end(&greedy[0]);
    assert_int_equal(closed(HTTP_CLOSE_PEER_SHARE), 1);

    greedy[SLOTS] = dial();
    expect_end(&greedy[SLOTS]);
    assert_int_equal(closed(HTTP_CLOSE_PEER_SHARE), 2);
    advance_ms(1100);
    hang_up(&greedy[SLOTS]);
    greedy[SLOTS] = dial(); /* in place of one of its own */
    ask(&greedy[SLOTS], "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");
    assert_int_equal(closed(HTTP_CLOSE_PEER_SHARE), 3);
    ask(&other, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");
    for (unsigned i = 0; i <= SLOTS; i++)
        hang_up(&greedy[i]);
    hang_up(&other);
}

/* ---- memory that cannot be had ---- */

static unsigned calls_left; /* of a function below, before it fails */

static bool fails_now(void)
{
    return calls_left > 0 && --calls_left == 0;
}

enum err __real_reactor_add(struct reactor *loop, struct reactor_io *io, uint32_t events);
enum err __wrap_reactor_add(struct reactor *loop, struct reactor_io *io, uint32_t events);
enum err __wrap_reactor_add(struct reactor *loop, struct reactor_io *io, uint32_t events)
{
    if (!fails_now())
        return __real_reactor_add(loop, io, events);
    errno = ENOSPC;
    return ERR_SYSTEM;
}

void *__real_pages_map(size_t size);
void *__wrap_pages_map(size_t size);
void *__wrap_pages_map(size_t size)
{
    return fails_now() ? NULL : __real_pages_map(size);
}

static void test_client_that_cannot_be_watched_is_let_go(void **state)
{
    (void)state;
    struct client lost = dial();
    calls_left = 1;

    expect_end(&lost);

    assert_int_equal(calls_left, 0);
    assert_int_equal(http_server_count(server, HTTP_CONN_FREE), CONN_MAX);
    assert_int_equal(http_server_stats(server)->accept_pauses_total, 1);
    struct client patient = dial();
    say(&patient, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    expect_silence(&patient);
    advance_ms(600);
    expect(&patient, "GET /now [] ");
    hang_up(&lost);
    hang_up(&patient);
}

static void test_server_without_memory_is_not_made(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 6; n++) {
        struct http_server *none = NULL;
        calls_left = n;
        assert_int_equal(http_server_create(&none, reactor, &CONFIG), ERR_SYSTEM);
        assert_int_equal(calls_left, 0);
        assert_null(none);
    }
}

static void test_listener_that_cannot_be_watched_frees_its_port(void **state)
{
    (void)state;
    struct http_listener_config config = {.address = "127.0.0.1",
                                          .port = 0,
                                          .transport = &TRANSPORT_TCP,
                                          .routes = ROUTES,
                                          .route_count = ROUTE_COUNT};
    calls_left = 1;
    assert_int_equal(http_server_listen(server, &config), ERR_SYSTEM);
    assert_int_equal(errno, ENOSPC);

    assert_int_equal(http_server_listen(server, &config), ERR_OK);
    assert_int_not_equal(http_server_port(server, 1), http_server_port(server, 0));
}

static void test_adopted_descriptor_stays_the_callers_without_a_slot(void **state)
{
    (void)state;
    struct client clients[CONN_MAX];
    for (unsigned i = 0; i < CONN_MAX; i++)
        clients[i] = dial();
    wait_for_state(HTTP_CONN_IDLE, CONN_MAX);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);

    assert_int_equal(http_server_adopt(server, 0, pair[0]), ERR_FULL);

    assert_int_equal(close(pair[0]), 0);
    assert_int_equal(close(pair[1]), 0);
    for (unsigned i = 0; i < CONN_MAX; i++)
        hang_up(&clients[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_connections_over_the_limit_wait_in_the_backlog),
        TEST(test_the_oldest_idle_connection_makes_room),
        TEST(test_no_exchange_is_a_503),
        TEST(test_slow_heads_cannot_take_every_exchange),
        TEST(test_no_descriptor_pauses_accepting),
        TEST(test_slow_bodies_cannot_take_every_exchange),
        TEST(test_who_does_not_read_gives_way),
        TEST(test_large_answers_are_for_who_reads),
        TEST(test_known_callers_bodies_have_places_of_their_own),
        TEST(test_one_exchange_is_left_to_look_at_others),
        TEST(test_slow_bodies_of_known_callers_end_where_nothing_is_left),
        TEST(test_turn_that_took_long_serves_the_urgent_only),
        TEST(test_known_callers_have_their_turn_first),
        TEST(test_work_left_over_has_no_more_than_the_places),
        TEST(test_address_over_its_share_gives_way_to_others),
        TEST(test_client_that_cannot_be_watched_is_let_go),
        TEST(test_server_without_memory_is_not_made),
        TEST(test_listener_that_cannot_be_watched_frees_its_port),
        TEST(test_adopted_descriptor_stays_the_callers_without_a_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
