/*
 * pg_dns against a scripted name server: one UDP socket on loopback, served by the same reactor,
 * that answers with the records the test has put up, refuses, or says nothing.
 */
#include "core/clock.h"
#include "pool/pg_dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* DNS numbers: RFC 1035 sections 3.2.2 and 4.1.1, RFC 3596. */
enum { TYPE_A = 1, TYPE_AAAA = 28, RCODE_OK = 0, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3 };
enum { HEADER_BYTES = 12, PACKET_MAX = 512, RECORDS_MAX = 4, TURNS_MAX = 2000 };

static struct {
    struct reactor_io io;
    struct sockaddr_in address;
    bool silent;
    unsigned rcode;
    const char *records[RECORDS_MAX]; /* an IPv6 one has a colon */
    unsigned questions;
} server;

static struct {
    unsigned count, changes;
    char address[PG_DNS_ADDRESS_MAX]; /* "": none */
} told;

static struct reactor *reactor;
static struct pg_dns *dns;
static uint64_t skipped_us;
static uint64_t start_us;

/* Moves only when a test says so. */
static uint64_t test_clock(void)
{
    return start_us + skipped_us;
}

static void on_answer(void *owner, const char *address, bool changed)
{
    assert_ptr_equal(owner, &told);
    told.count++;
    told.changes += changed;
    snprintf(told.address, sizeof(told.address), "%s", address != NULL ? address : "");
}

static size_t add_record(unsigned char *at, const char *text, unsigned type)
{
    const size_t size = type == TYPE_A ? 4 : 16;
    const unsigned char head[] = {
        0xC0, HEADER_BYTES, 0, (unsigned char)type, 0, 1, 0, 0, 0, 5, 0, (unsigned char)size};
    memcpy(at, head, sizeof(head));
    assert_int_equal(inet_pton(type == TYPE_A ? AF_INET : AF_INET6, text, at + sizeof(head)), 1);
    return sizeof(head) + size;
}

static void on_question(struct reactor_io *io, uint32_t events)
{
    unsigned char packet[PACKET_MAX];
    struct sockaddr_in from;
    socklen_t from_size = sizeof(from);
    (void)events;
    const ssize_t got = recvfrom(io->fd, packet, sizeof(packet) / 2, MSG_DONTWAIT,
                                 (struct sockaddr *)&from, &from_size);
    server.questions++;
    if (got <= HEADER_BYTES || server.silent)
        return;

    size_t end = HEADER_BYTES;
    while (packet[end] != 0)
        end += (size_t)packet[end] + 1;
    const unsigned type = packet[end + 2];
    end += 5; /* the root label, type and class */

    packet[2] = 0x81; /* an answer */
    packet[3] = (unsigned char)(0x80 | server.rcode);
    memset(packet + 6, 0, 6);
    for (size_t i = 0; i < RECORDS_MAX && server.records[i] != NULL; i++) {
        const unsigned of = strchr(server.records[i], ':') != NULL ? TYPE_AAAA : TYPE_A;
        if (of != type || server.rcode != RCODE_OK)
            continue;
        packet[7]++;
        end += add_record(packet + end, server.records[i], type);
    }
    assert_int_equal(sendto(io->fd, packet, end, 0, (struct sockaddr *)&from, from_size),
                     (ssize_t)end);
}

static void turn_until_told(unsigned count)
{
    for (int i = 0; i < TURNS_MAX && told.count < count; i++)
        assert_int_equal(reactor_turn(reactor, CLOCK_US_PER_MS), ERR_OK);
    assert_int_equal(told.count, count);
}

/* Asks and waits for the outcome. */
static void resolve(const char *host)
{
    const unsigned before = told.count;
    pg_dns_resolve(dns, host);
    assert_int_equal(told.count, before);
    turn_until_told(before + 1);
}

static int set_up(void **state)
{
    (void)state;
    char servers[64];
    socklen_t size = sizeof(server.address);

    memset(&server, 0, sizeof(server));
    memset(&told, 0, sizeof(told));
    skipped_us = 0;
    start_us = clock_mono_us();
    clock_replace(test_clock, NULL);
    assert_int_equal(reactor_create(&reactor, 8), ERR_OK);

    server.address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_not_equal(fd, -1);
    assert_int_equal(bind(fd, (struct sockaddr *)&server.address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&server.address, &size), 0);
    server.io = (struct reactor_io){.fd = fd, .on_ready = on_question};
    assert_int_equal(reactor_add(reactor, &server.io, REACTOR_READ), ERR_OK);

    assert_int_equal(pg_dns_create(&dns, reactor, on_answer, &told), ERR_OK);
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", (unsigned)ntohs(server.address.sin_port));
    pg_dns_set_servers(dns, servers);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    const int fd = server.io.fd;
    pg_dns_destroy(dns);
    reactor_remove(reactor, &server.io);
    close(fd);
    reactor_destroy(reactor);
    clock_replace(NULL, NULL);
    return 0;
}

static void test_resolve_gives_the_address(void **state)
{
    (void)state;
    server.records[0] = "192.0.2.7";

    resolve("db.example.test");

    bool fresh;
    assert_string_equal(told.address, "192.0.2.7");
    assert_int_equal(told.changes, 0);
    assert_string_equal(pg_dns_last(dns, "db.example.test", &fresh), "192.0.2.7");
    assert_true(fresh);
}

static void test_resolve_takes_a_name_with_a_final_dot(void **state)
{
    (void)state;
    server.records[0] = "192.0.2.7";

    resolve("db.example.test.");

    assert_string_equal(told.address, "192.0.2.7");
}

static void test_resolve_prefers_ipv4(void **state)
{
    (void)state;
    server.records[0] = "2001:db8::7";
    server.records[1] = "192.0.2.7";

    resolve("db.example.test");

    assert_string_equal(told.address, "192.0.2.7");
    assert_int_equal(server.questions, 1);
}

static void test_resolve_takes_ipv6_where_there_is_no_ipv4(void **state)
{
    (void)state;
    server.records[0] = "2001:db8::7";

    resolve("db.example.test");

    assert_string_equal(told.address, "2001:db8::7");
}

static void test_resolve_joins_the_lookup_under_way(void **state)
{
    (void)state;
    server.records[0] = "192.0.2.7";

    pg_dns_resolve(dns, "db.example.test");
    pg_dns_resolve(dns, "db.example.test");
    turn_until_told(1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(reactor_turn(reactor, CLOCK_US_PER_MS), ERR_OK);

    assert_int_equal(told.count, 1);
    assert_int_equal(pg_dns_stats(dns)->lookups_total, 1);
}

static void test_failure_gives_the_last_good_answer(void **state)
{
    (void)state;
    server.records[0] = "192.0.2.7";
    resolve("db.example.test");

    server.rcode = RCODE_NXDOMAIN;
    resolve("db.example.test");

    assert_string_equal(told.address, "192.0.2.7");
    assert_int_equal(told.changes, 0);
    assert_int_equal(pg_dns_stats(dns)->failures_total, 1);
}

static void test_failure_without_an_earlier_answer_gives_none(void **state)
{
    (void)state;
    server.rcode = RCODE_SERVFAIL;

    resolve("db.example.test");

    bool fresh = true;
    assert_string_equal(told.address, "");
    assert_null(pg_dns_last(dns, "db.example.test", &fresh));
    assert_false(fresh);
}

static void test_silent_server_is_given_up_at_the_limit_and_asked_again(void **state)
{
    (void)state;
    server.records[0] = "192.0.2.7";
    server.silent = true;
    pg_dns_resolve(dns, "db.example.test");
    for (int i = 0; i < TURNS_MAX && server.questions == 0; i++)
        assert_int_equal(reactor_turn(reactor, CLOCK_US_PER_MS), ERR_OK);

    skipped_us = (uint64_t)PG_DNS_TIMEOUT_MS * CLOCK_US_PER_MS - 1;
    assert_int_equal(reactor_turn(reactor, 0), ERR_OK);
    assert_int_equal(told.count, 0);
    skipped_us++;
    assert_int_equal(reactor_turn(reactor, 0), ERR_OK);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.address, "");

    server.silent = false;
    resolve("db.example.test");
    assert_string_equal(told.address, "192.0.2.7");
}

static void test_another_address_is_a_change(void **state)
{
    (void)state;
    server.records[0] = "192.0.2.7";
    resolve("db.example.test");

    server.records[0] = "192.0.2.8";
    resolve("db.example.test");

    assert_string_equal(told.address, "192.0.2.8");
    assert_int_equal(told.changes, 1);
    assert_int_equal(pg_dns_stats(dns)->changes_total, 1);
}

static void test_rotated_answers_keep_the_known_address(void **state)
{
    (void)state;
    server.records[0] = "192.0.2.7";
    resolve("db.example.test");

    server.records[0] = "192.0.2.8";
    server.records[1] = "192.0.2.7";
    resolve("db.example.test");

    assert_string_equal(told.address, "192.0.2.7");
    assert_int_equal(told.changes, 0);
}

static void test_expired_address_gives_way_to_the_first_one(void **state)
{
    (void)state;
    server.records[0] = "192.0.2.7";
    resolve("db.example.test");

    bool fresh = true;
    pg_dns_expire(dns);
    assert_non_null(pg_dns_last(dns, "db.example.test", &fresh));
    assert_false(fresh);
    server.records[0] = "192.0.2.8";
    server.records[1] = "192.0.2.7";
    resolve("db.example.test");

    assert_string_equal(told.address, "192.0.2.8");
    assert_non_null(pg_dns_last(dns, "db.example.test", &fresh));
    assert_true(fresh);
}

static void test_answer_is_fresh_until_its_age_limit(void **state)
{
    (void)state;
    bool fresh = false;
    server.records[0] = "192.0.2.7";
    resolve("db.example.test");

    skipped_us += (uint64_t)PG_DNS_FRESH_MS * CLOCK_US_PER_MS - 1;
    (void)pg_dns_last(dns, "db.example.test", &fresh);
    assert_true(fresh);
    skipped_us++;
    assert_non_null(pg_dns_last(dns, "db.example.test", &fresh));
    assert_false(fresh);
}

static void test_another_host_forgets_the_answer(void **state)
{
    (void)state;
    bool fresh;
    server.records[0] = "192.0.2.7";
    resolve("db.example.test");
    assert_null(pg_dns_last(dns, "other.example.test", &fresh));

    server.rcode = RCODE_SERVFAIL;
    resolve("other.example.test");

    assert_string_equal(told.address, "");
    assert_int_equal(told.changes, 0);
}

static void test_another_host_takes_over_the_lookup_under_way(void **state)
{
    (void)state;
    server.silent = true;
    pg_dns_resolve(dns, "db.example.test");
    for (int i = 0; i < TURNS_MAX && server.questions == 0; i++)
        assert_int_equal(reactor_turn(reactor, CLOCK_US_PER_MS), ERR_OK);

    server.silent = false;
    server.records[0] = "192.0.2.7";
    pg_dns_resolve(dns, "other.example.test");
    turn_until_told(1);

    bool fresh;
    assert_string_equal(pg_dns_last(dns, "other.example.test", &fresh), "192.0.2.7");
}

static void test_destroy_abandons_a_lookup(void **state)
{
    (void)state;
    server.silent = true;

    pg_dns_resolve(dns, "db.example.test");
    for (int i = 0; i < TURNS_MAX && server.questions == 0; i++)
        assert_int_equal(reactor_turn(reactor, CLOCK_US_PER_MS), ERR_OK);
    pg_dns_destroy(dns);
    dns = NULL;
    skipped_us += 2 * (uint64_t)PG_DNS_TIMEOUT_MS * CLOCK_US_PER_MS;
    assert_int_equal(reactor_turn(reactor, 0), ERR_OK);

    assert_int_equal(told.count, 0);
}

#define DNS_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DNS_TEST(test_resolve_gives_the_address),
        DNS_TEST(test_resolve_takes_a_name_with_a_final_dot),
        DNS_TEST(test_resolve_prefers_ipv4),
        DNS_TEST(test_resolve_takes_ipv6_where_there_is_no_ipv4),
        DNS_TEST(test_resolve_joins_the_lookup_under_way),
        DNS_TEST(test_failure_gives_the_last_good_answer),
        DNS_TEST(test_failure_without_an_earlier_answer_gives_none),
        DNS_TEST(test_silent_server_is_given_up_at_the_limit_and_asked_again),
        DNS_TEST(test_another_address_is_a_change),
        DNS_TEST(test_rotated_answers_keep_the_known_address),
        DNS_TEST(test_expired_address_gives_way_to_the_first_one),
        DNS_TEST(test_answer_is_fresh_until_its_age_limit),
        DNS_TEST(test_another_host_forgets_the_answer),
        DNS_TEST(test_another_host_takes_over_the_lookup_under_way),
        DNS_TEST(test_destroy_abandons_a_lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
