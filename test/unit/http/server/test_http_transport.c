/* The seam: what a transport may say at every step, and that what it holds is never waited for. */

#include "scripted_transport.h"
#include "server_fixture.h"

#define GET_NOW "GET /now HTTP/1.1\r\n" HOST "\r\n"
#define GET_LATER "GET /later HTTP/1.1\r\n" HOST "\r\n"

static struct scripted scripted;

static int setup_scripted(void **state)
{
    memset(&scripted, 0, sizeof scripted);
    if (setup(state) != 0)
        return -1;
    start_server(&CONFIG, &TRANSPORT_SCRIPTED, &scripted);
    return 0;
}

/* Whatever happened: each transport that was opened is closed once, and ended at most once. */
static int teardown_scripted(void **state)
{
    teardown(state);
    return scripted.closed == scripted.opened && scripted.ended <= scripted.opened ? 0 : -1;
}

/* ---- FREE -> HANDSHAKE -> IDLE, and the handshake's ends ---- */

static void test_handshake_takes_its_steps(void **state)
{
    (void)state;
    script_add(&scripted.handshake, TRANSPORT_WANT_WRITE);
    script_add(&scripted.handshake, TRANSPORT_WANT_READ);
    struct client client = dial();

    wait_for_state(HTTP_CONN_HANDSHAKE, 1);
    settle();
    assert_int_equal(scripted.handshake.at, 2); /* it could write, and waits for the client now */
    assert_loop_rests();
    ask(&client, GET_NOW, "GET /now [] ");

    wait_for_state(HTTP_CONN_IDLE, 1);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(scripted.closed, 1);
}

static void test_handshake_that_fails_ends_the_connection(void **state)
{
    (void)state;
    script_add(&scripted.handshake, TRANSPORT_FAILED);
    struct client failed = dial();
    expect_end(&failed);
    script_add(&scripted.handshake, TRANSPORT_WANT_READ);
    script_add(&scripted.handshake, TRANSPORT_END);
    struct client ended = dial();
    say(&ended, "?");
    expect_end(&ended);

    assert_int_equal(closed(HTTP_CLOSE_HANDSHAKE), 2);
    assert_int_equal(scripted.closed, 2);
    assert_int_equal(app.finished, 0);
    hang_up(&failed);
    hang_up(&ended);
}

static void test_handshake_has_a_deadline(void **state)
{
    (void)state;
    script_add(&scripted.handshake, TRANSPORT_WANT_READ);
    struct client client = dial();
    wait_for_state(HTTP_CONN_HANDSHAKE, 1);

    advance_ms(HEAD_MS - 200);
    assert_int_equal(http_server_count(server, HTTP_CONN_HANDSHAKE), 1);
    advance_ms(400);

    expect_end(&client);
    assert_int_equal(closed(HTTP_CLOSE_HANDSHAKE), 1);
    hang_up(&client);
}

static void test_transport_that_cannot_be_opened(void **state)
{
    (void)state;
    scripted.open_fails = true;
    struct client client = dial();

    expect_end(&client);

    assert_int_equal(closed(HTTP_CLOSE_CROWDED), 1);
    assert_int_equal(scripted.opened + scripted.closed + scripted.ended, 0);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
}

/* ---- pending ---- */

static void test_request_that_came_with_the_handshake_is_served(void **state)
{
    (void)state;
    scripted.hoards = true;
    struct client client = dial();
    wait_for_state(HTTP_CONN_HANDSHAKE, 1);

    ask(&client, GET_NOW, "GET /now [] ");

    wait_for_state(HTTP_CONN_IDLE, 1);
    assert_loop_rests();
    hang_up(&client);
}

static void test_held_bytes_are_read_without_the_descriptor(void **state)
{
    (void)state;
    scripted.hoards = true;
    scripted.piece_max = 3;
    struct client client = dial();

    say(&client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\nabcdefg" GET_NOW
                 "POST /item/1/void HTTP/1.1\r\n" HOST
                 "Transfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n" GET_NOW);

    expect(&client, "POST /now [] abcdefg");
    expect(&client, "GET /now [] ");
    expect(&client, "POST /item/1/void [1] xyz");
    expect(&client, "GET /now [] ");
    assert_int_equal(client.len, 0);
    wait_for_state(HTTP_CONN_IDLE, 1);
    assert_loop_rests();
    hang_up(&client);
}

static void test_half_a_head_that_is_held_leaves_the_loop_at_rest(void **state)
{
    (void)state;
    scripted.hoards = true;
    scripted.piece_max = 2;
    struct client client = dial();
    say(&client, "GET /now HT");

    wait_for_state(HTTP_CONN_HEAD, 1);
    assert_loop_rests();
    say(&client, "TP/1.1\r\n" HOST "\r\n");

    expect(&client, "GET /now [] ");
    hang_up(&client);
}

static void test_held_request_behind_a_late_answer(void **state)
{
    (void)state;
    scripted.hoards = true;
    scripted.piece_max = strlen(GET_LATER);
    struct client client = dial();
    say(&client, GET_LATER GET_NOW);
    wait_for_state(HTTP_CONN_HANDLING, 1);
    assert_int_equal(TRANSPORT_SCRIPTED.pending((struct transport *)(void *)&scripted),
                     strlen(GET_NOW));
    assert_loop_rests();

    answer_later(0);

    expect(&client, "GET /later [] ");
    expect(&client, "GET /now [] ");
    hang_up(&client);
}

static void test_lingering_throws_away_what_is_held(void **state)
{
    (void)state;
    scripted.hoards = true;
    scripted.piece_max = 256;
    struct client client = dial();
    char text[8 * 1024];
    memset(text, 'b', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    say(&client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 9000\r\n\r\n");
    say(&client, text);

    expect(&client, "413 Content Too Large");

    wait_for_state(HTTP_CONN_LINGER, 1);
    assert_int_equal(TRANSPORT_SCRIPTED.pending((struct transport *)(void *)&scripted), 0);
    say(&client, text);
    settle();
    assert_int_equal(TRANSPORT_SCRIPTED.pending((struct transport *)(void *)&scripted), 0);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_REFUSED), 1);
    assert_int_equal(scripted.ended, 1);
}

/* ---- reading and writing want this and that ---- */

static void test_reading_waits_for_what_it_wants(void **state)
{
    (void)state;
    script_add(&scripted.read, TRANSPORT_WANT_WRITE);
    script_add(&scripted.read, TRANSPORT_WANT_READ);
    script_add(&scripted.read, TRANSPORT_WANT_WRITE);
    struct client client = dial();

    ask(&client, GET_NOW, "GET /now [] ");

    assert_int_equal(scripted.read.at, 3);
    assert_loop_rests(); /* and no longer for a socket that takes bytes */
    hang_up(&client);
}

/* As in a change of keys: it took all there is, and must send before it can go on. */
static void test_reading_that_must_write_first(void **state)
{
    (void)state;
    struct client client = dial();
    wait_for_state(HTTP_CONN_IDLE, 1);
    scripted.hoards = true;
    scripted.secretive = true;
    script_add(&scripted.read, TRANSPORT_WANT_WRITE);

    ask(&client, GET_NOW, "GET /now [] ");

    assert_loop_rests();
    hang_up(&client);
}

static void test_writing_waits_for_what_it_wants(void **state)
{
    (void)state;
    script_add(&scripted.write, TRANSPORT_WANT_WRITE);
    script_add(&scripted.write, TRANSPORT_WANT_READ);
    struct client client = dial();
    say(&client, GET_NOW);

    wait_for_state(HTTP_CONN_WRITING, 1);
    settle();
    assert_int_equal(scripted.write.at, 2);
    assert_loop_rests(); /* it wants to read, and there is nothing */
    assert_int_equal(app.finished, 0);
    say(&client, GET_NOW);

    expect(&client, "GET /now [] ");
    expect(&client, "GET /now [] ");
    wait_for_state(HTTP_CONN_IDLE, 1);
    hang_up(&client);
}

static void test_answers_leave_in_pieces(void **state)
{
    (void)state;
    scripted.piece_max = 7;
    struct client client = dial();

    ask(&client, GET_NOW GET_NOW, "GET /now [] HTTP/1.1 200 OK\r\n");

    expect(&client, "GET /now [] ");
    assert_string_equal(app.log, "GET /now 200;GET /now 200;");
    hang_up(&client);
}

static void test_write_that_fails_drops_the_answer(void **state)
{
    (void)state;
    script_add(&scripted.write, TRANSPORT_WANT_WRITE);
    script_add(&scripted.write, TRANSPORT_FAILED);
    struct client client = dial();
    say(&client, GET_NOW);

    expect_end(&client);

    assert_int_equal(closed(HTTP_CLOSE_RESET), 1);
    assert_int_equal(scripted.ended, 0); /* nobody is left to be told */
    assert_string_equal(app.log, "GET /now 200 dropped;");
    hang_up(&client);
}

static void test_interim_answer_that_cannot_leave_at_once(void **state)
{
    (void)state;
    script_add(&scripted.write, TRANSPORT_WANT_WRITE);
    struct client client = dial();

    ask(&client, "POST /now HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n");
    wait_for_state(HTTP_CONN_BODY, 1);
    ask(&client, "abc", "POST /now [] abc");

    hang_up(&client);
}

static void test_lingering_reads_may_want_and_fail(void **state)
{
    (void)state;
    struct client client = dial();
    ask(&client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 9000\r\n\r\n", "}\n");
    wait_for_state(HTTP_CONN_LINGER, 1);
    script_add(&scripted.read, TRANSPORT_WANT_WRITE);
    script_add(&scripted.read, TRANSPORT_WANT_READ);
    script_add(&scripted.read, TRANSPORT_FAILED);
    scripted.read.at = 0;

    say(&client, "b");
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);

    assert_int_equal(scripted.read.at, 3);
    assert_int_equal(closed(HTTP_CLOSE_REFUSED), 1);
    hang_up(&client);
}

/* A client that is refused for slowness in the same turn in which its next input waits to be
 * served: the refusal is the last word, even if it cannot leave at once. */
static void test_refused_client_is_not_served_meanwhile(void **state)
{
    (void)state;
    struct client client = dial();
    say(&client, GET_LATER GET_LATER);
    wait_for_state(HTTP_CONN_HANDLING, 1);
    answer_later(0); /* the second request goes on at the end of the turn */
    now_us += (uint64_t)(HEAD_MS + 200) * CLOCK_US_PER_MS; /* the loop stood still */
    script_add(&scripted.write, TRANSPORT_WANT_WRITE);

    turn();

    assert_int_equal(app.later_count, 0);
    assert_string_equal(app.log, "GET /later 200;");
    expect(&client, "503 Service Unavailable"); /* it was sent in time */
    expect_end(&client);
    assert_int_equal(app.later_count, 0);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_REFUSED), 1);
}

/* ---- no exchange: IDLE -> LINGER without one ---- */

static struct client busy[EXCHANGE_MAX];

/* Every exchange is at work. */
static void crowd(void)
{
    for (unsigned i = 0; i < EXCHANGE_MAX; i++) {
        busy[i] = dial();
        say(&busy[i], GET_LATER);
        wait_for_state(HTTP_CONN_HANDLING, i + 1);
    }
}

static void disperse(void)
{
    for (unsigned i = 0; i < EXCHANGE_MAX; i++) {
        answer_later(0);
        expect(&busy[i], "GET /later [] ");
        hang_up(&busy[i]);
    }
}

static void test_crowded_answer_leaves_in_pieces(void **state)
{
    (void)state;
    struct client client = dial();
    crowd();
    scripted.piece_max = 100;
    script_add(&scripted.read, TRANSPORT_WANT_WRITE);
    script_add(&scripted.read, TRANSPORT_WANT_READ);

    say(&client, GET_NOW);

    expect(&client, "HTTP/1.1 503 Service Unavailable\r\nDate: ");
    expect(&client, "Connection: close\r\n\r\n{");
    expect(&client, "}\n");
    expect_end(&client);
    hang_up(&client);
    settle();
    assert_int_equal(closed(HTTP_CLOSE_CROWDED), 1);
    assert_int_equal(app.last_note.error, HTTP_ERROR_OVERLOADED);
    disperse();
}

static void test_crowded_answer_is_not_waited_for(void **state)
{
    (void)state;
    const enum transport_status wants[] = {TRANSPORT_WANT_READ, TRANSPORT_WANT_WRITE};
    crowd();
    for (unsigned i = 0; i < 2; i++) {
        struct client client = dial();
        script_add(&scripted.write, wants[i]);
        say(&client, GET_NOW);
        expect_end(&client);
        assert_int_equal(closed(HTTP_CLOSE_SLOW_READER), i + 1);
        hang_up(&client);
    }
    disperse();
}

static void test_crowded_client_that_is_gone(void **state)
{
    (void)state;
    struct client ended = dial(), failed = dial(), unwritable = dial();
    crowd();
    shutdown(ended.fd, SHUT_WR);
    expect_end(&ended);
    assert_int_equal(closed(HTTP_CLOSE_PEER), 1);

    script_add(&scripted.read, TRANSPORT_FAILED);
    say(&failed, "x");
    expect_end(&failed);
    script_add(&scripted.write, TRANSPORT_FAILED);
    say(&unwritable, "x");
    expect_end(&unwritable);

    assert_int_equal(closed(HTTP_CLOSE_RESET), 2);
    hang_up(&ended);
    hang_up(&failed);
    hang_up(&unwritable);
    disperse();
}

/* ---- the end ---- */

static void test_destroy_closes_every_transport(void **state)
{
    (void)state;
    app.forgets = true;
    script_add(&scripted.handshake, TRANSPORT_OK);
    script_add(&scripted.handshake, TRANSPORT_OK);
    script_add(&scripted.handshake, TRANSPORT_WANT_READ);
    struct client idle = dial(), handling = dial(), shaking = dial();
    ask(&idle, GET_NOW, "GET /now [] ");
    say(&handling, GET_LATER);
    wait_for_state(HTTP_CONN_HANDLING, 1);
    wait_for_state(HTTP_CONN_HANDSHAKE, 1);

    stop_server();

    assert_int_equal(scripted.opened, 3);
    assert_int_equal(scripted.closed, 3);
    hang_up(&idle);
    hang_up(&handling);
    hang_up(&shaking);
}

#undef TEST
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_scripted, teardown_scripted)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_handshake_takes_its_steps),
        TEST(test_handshake_that_fails_ends_the_connection),
        TEST(test_handshake_has_a_deadline),
        TEST(test_transport_that_cannot_be_opened),
        TEST(test_request_that_came_with_the_handshake_is_served),
        TEST(test_held_bytes_are_read_without_the_descriptor),
        TEST(test_half_a_head_that_is_held_leaves_the_loop_at_rest),
        TEST(test_held_request_behind_a_late_answer),
        TEST(test_lingering_throws_away_what_is_held),
        TEST(test_reading_waits_for_what_it_wants),
        TEST(test_reading_that_must_write_first),
        TEST(test_writing_waits_for_what_it_wants),
        TEST(test_answers_leave_in_pieces),
        TEST(test_write_that_fails_drops_the_answer),
        TEST(test_interim_answer_that_cannot_leave_at_once),
        TEST(test_lingering_reads_may_want_and_fail),
        TEST(test_refused_client_is_not_served_meanwhile),
        TEST(test_crowded_answer_leaves_in_pieces),
        TEST(test_crowded_answer_is_not_waited_for),
        TEST(test_crowded_client_that_is_gone),
        TEST(test_destroy_closes_every_transport),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
