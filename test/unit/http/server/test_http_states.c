/* Every arrow that is drawn in http_server.h, one test each, seen from outside: how many
 * connections are in which state. The other tests say what happens on the way. */

#include "scripted_transport.h"
#include "server_fixture.h"

#define GET_NOW "GET /now HTTP/1.1\r\n" HOST "\r\n"
#define GET_LATER "GET /later HTTP/1.1\r\n" HOST "\r\n"

static struct scripted scripted;
static struct client client;

static int setup_scripted(void **state)
{
    memset(&scripted, 0, sizeof scripted);
    if (setup(state) != 0)
        return -1;
    start_server(&CONFIG, &TRANSPORT_SCRIPTED, &scripted);
    client = (struct client){.fd = -1};
    return 0;
}

static int teardown_scripted(void **state)
{
    hang_up(&client);
    return teardown(state);
}

/* The one connection is there, and nowhere else. */
static void now_in(enum http_conn_state state)
{
    if (state == HTTP_CONN_FREE) {
        wait_for_state(HTTP_CONN_FREE, CONN_MAX);
        return;
    }
    wait_for_state(state, 1);
    assert_int_equal(http_server_count(server, HTTP_CONN_FREE), CONN_MAX - 1);
}

static void dial_to_idle(void)
{
    client = dial();
    now_in(HTTP_CONN_IDLE);
}

static void say_to(const char *text, enum http_conn_state state)
{
    say(&client, text);
    now_in(state);
}

/* ---- to the right ---- */

static void test_free_to_handshake_to_idle(void **state)
{
    (void)state;
    now_in(HTTP_CONN_FREE);
    script_add(&scripted.handshake, TRANSPORT_WANT_READ);
    client = dial();
    now_in(HTTP_CONN_HANDSHAKE);
    say_to("\r\n", HTTP_CONN_IDLE);
}

static void test_idle_to_head_to_body_to_handling(void **state)
{
    (void)state;
    dial_to_idle();
    say_to("POST /later HTTP/1.1\r\n", HTTP_CONN_HEAD);
    say_to(HOST "Content-Length: 2\r\n\r\na", HTTP_CONN_BODY);
    say_to("b", HTTP_CONN_HANDLING);
}

static void test_idle_to_body(void **state)
{
    (void)state;
    dial_to_idle();
    say_to("POST /later HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\na", HTTP_CONN_BODY);
}

static void test_head_to_handling(void **state)
{
    (void)state;
    dial_to_idle();
    say_to("GET /later HTTP/1.1\r\n", HTTP_CONN_HEAD);
    say_to(HOST "\r\n", HTTP_CONN_HANDLING);
}

static void test_handling_to_writing_to_idle(void **state)
{
    (void)state;
    script_add(&scripted.write, TRANSPORT_WANT_READ);
    dial_to_idle();
    say_to(GET_LATER, HTTP_CONN_HANDLING);
    answer_later(0);
    now_in(HTTP_CONN_WRITING);
    say_to("\r\n", HTTP_CONN_IDLE);
    expect(&client, "GET /later [] ");
}

static void test_handling_to_idle(void **state)
{
    (void)state;
    dial_to_idle();
    say_to(GET_LATER, HTTP_CONN_HANDLING);
    answer_later(0);
    now_in(HTTP_CONN_IDLE);
}

static void test_writing_to_head_of_the_next(void **state)
{
    (void)state;
    script_add(&scripted.write, TRANSPORT_WANT_READ);
    dial_to_idle();
    say_to(GET_NOW, HTTP_CONN_WRITING);
    say_to("GET", HTTP_CONN_HEAD);
    expect(&client, "GET /now [] ");
}

static void test_writing_to_body_after_100_continue(void **state)
{
    (void)state;
    script_add(&scripted.write, TRANSPORT_WANT_READ);
    dial_to_idle();
    say_to("POST /later HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n",
           HTTP_CONN_WRITING);
    say_to("a", HTTP_CONN_BODY);
    expect(&client, "100 Continue");
}

static void test_writing_to_linger_to_free(void **state)
{
    (void)state;
    script_add(&scripted.write, TRANSPORT_WANT_READ);
    dial_to_idle();
    say_to("GET /now HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", HTTP_CONN_WRITING);
    say_to("x", HTTP_CONN_LINGER);
    expect_end(&client);
    shutdown(client.fd, SHUT_WR);
    now_in(HTTP_CONN_FREE);
    assert_int_equal(closed(HTTP_CLOSE_ASKED), 1);
}

static void test_handling_to_linger(void **state)
{
    (void)state;
    dial_to_idle();
    say_to("GET /later HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", HTTP_CONN_HANDLING);
    answer_later(0);
    now_in(HTTP_CONN_LINGER);
}

static void test_handling_to_orphan_to_free(void **state)
{
    (void)state;
    dial_to_idle();
    say_to(GET_LATER, HTTP_CONN_HANDLING);
    hang_up_by_reset(&client);
    now_in(HTTP_CONN_ORPHAN);
    answer_later(0);
    now_in(HTTP_CONN_FREE);
    client.fd = -1;
}

/* ---- refusals skip HANDLING ---- */

static void test_idle_to_linger(void **state)
{
    (void)state;
    dial_to_idle();
    say_to("nonsense\r\n", HTTP_CONN_LINGER);
}

static void test_head_to_linger(void **state)
{
    (void)state;
    dial_to_idle();
    say_to("GET /now HTTP/1.1\r\n", HTTP_CONN_HEAD);
    say_to("Host: a b\r\n\r\n", HTTP_CONN_LINGER);
}

static void test_body_to_linger(void **state)
{
    (void)state;
    dial_to_idle();
    say_to("POST /now HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", HTTP_CONN_BODY);
    say_to("zz\r\n", HTTP_CONN_LINGER);
}

static void test_head_and_body_to_writing(void **state)
{
    (void)state;
    script_add(&scripted.write, TRANSPORT_WANT_READ);
    script_add(&scripted.write, TRANSPORT_OK);
    script_add(&scripted.write, TRANSPORT_WANT_READ);
    dial_to_idle();
    say_to("GET /now HTTP/1.1\r\n", HTTP_CONN_HEAD);
    say_to("Host: a b\r\n\r\n", HTTP_CONN_WRITING);
    hang_up_by_reset(&client);
    now_in(HTTP_CONN_FREE);
    dial_to_idle();
    scripted.write.at = 2;
    say_to("POST /now HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\na", HTTP_CONN_BODY);
    advance_ms(BODY_MS + 200);
    now_in(HTTP_CONN_WRITING);
}

/* ---- to FREE from wherever it is ---- */

static void leave_from(enum http_conn_state state, enum http_close_reason reason)
{
    const uint64_t before = closed(reason);
    now_in(state);
    hang_up_by_reset(&client);
    now_in(HTTP_CONN_FREE);
    assert_int_equal(closed(reason), before + 1);
    client.fd = -1;
}

static void test_every_state_to_free(void **state)
{
    (void)state;
    app.forgets = true;
    script_add(&scripted.handshake, TRANSPORT_WANT_READ);
    script_add(&scripted.handshake, TRANSPORT_FAILED);
    client = dial();
    leave_from(HTTP_CONN_HANDSHAKE, HTTP_CLOSE_HANDSHAKE);
    dial_to_idle();
    leave_from(HTTP_CONN_IDLE, HTTP_CLOSE_RESET);
    dial_to_idle();
    say(&client, "GET");
    leave_from(HTTP_CONN_HEAD, HTTP_CLOSE_RESET);
    dial_to_idle();
    say(&client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\na");
    leave_from(HTTP_CONN_BODY, HTTP_CLOSE_RESET);
    dial_to_idle();
    say(&client, GET_LATER);
    leave_from(HTTP_CONN_HANDLING, HTTP_CLOSE_RESET);
    app.later_count = 0;
    script_add(&scripted.write, TRANSPORT_WANT_READ);
    dial_to_idle();
    say(&client, GET_NOW);
    leave_from(HTTP_CONN_WRITING, HTTP_CLOSE_RESET);
    dial_to_idle();
    say(&client, "nonsense\r\n");
    leave_from(HTTP_CONN_LINGER, HTTP_CLOSE_REFUSED);
}

#undef TEST
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_scripted, teardown_scripted)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_free_to_handshake_to_idle),
        TEST(test_idle_to_head_to_body_to_handling),
        TEST(test_idle_to_body),
        TEST(test_head_to_handling),
        TEST(test_handling_to_writing_to_idle),
        TEST(test_handling_to_idle),
        TEST(test_writing_to_head_of_the_next),
        TEST(test_writing_to_body_after_100_continue),
        TEST(test_writing_to_linger_to_free),
        TEST(test_handling_to_linger),
        TEST(test_handling_to_orphan_to_free),
        TEST(test_idle_to_linger),
        TEST(test_head_to_linger),
        TEST(test_body_to_linger),
        TEST(test_head_and_body_to_writing),
        TEST(test_every_state_to_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
