#include "core/secret.h"
#include "http/api/access_note.h"
#include "http/api/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char storage[4096];
static struct buf out;

static const char *written(enum problem problem, const struct problem_details *details,
                           struct span instance)
{
    buf_init(&out, storage, sizeof(storage) - 1);
    problem_write(&out, problem, details, instance, "0123456789abcdef0123456789abcdef");
    assert_false(out.overflow);
    storage[out.len] = '\0';
    return storage;
}

static void test_key_problems_carry_the_legacy_text(void **state)
{
    (void)state;
    const struct problem_details none = {0};

    assert_string_equal(
        written(PROBLEM_API_KEY_MISSING, &none, SPAN("/api/payment/simulate")),
        "{\"type\":\"urn:problem:payment-latency-api:api-key-missing\",\"title\":\"API key "
        "missing\",\"status\":401,\"detail\":\"send the key in one X-API-Key "
        "field\",\"instance\":\"/api/payment/simulate\",\"error\":\"Missing "
        "X-API-Key header\",\"trace_id\":\"0123456789abcdef0123456789abcdef\"}\n");
    assert_non_null(strstr(written(PROBLEM_API_KEY_INVALID, &none, SPAN("")),
                           "\"error\":\"Invalid API key\","));
}

static void test_errors_and_mismatch_are_written(void **state)
{
    (void)state;
    const struct problem_details details = {
        .detail = "why",
        .errors = {{.pointer = "/amount", .detail = "first"},
                   {.pointer = "/merchant/mcc", .detail = "second"}},
        .error_count = 2,
        .mismatch = "amount",
    };

    const char *text = written(PROBLEM_INVALID_PARAMETER, &details, SPAN(""));

    assert_non_null(strstr(text, "\"status\":422,\"detail\":\"why\",\"error\":"));
    assert_non_null(strstr(text, ",\"errors\":[{\"pointer\":\"/amount\",\"detail\":\"first\"},"
                                 "{\"pointer\":\"/merchant/mcc\",\"detail\":\"second\"}],"
                                 "\"mismatch\":[\"amount\"]}\n"));
}

static void test_state_and_amounts_of_a_hold_are_written(void **state)
{
    (void)state;

    assert_non_null(strstr(
        written(PROBLEM_ALREADY_RESOLVED, &(struct problem_details){.state = "captured"}, SPAN("")),
        ",\"state\":\"captured\"}\n"));
    assert_non_null(
        strstr(written(PROBLEM_AMOUNT_EXCEEDS_OPEN,
                       &(struct problem_details){.has_limit = true, .asked_minor = 999999999999},
                       SPAN("")),
               ",\"asked\":999999999999,\"limit\":0}\n"));
}

static void test_key_path_and_method_problems_have_a_detail(void **state)
{
    (void)state;
    const struct problem_details none = {0};
    static const enum problem kinds[] = {PROBLEM_API_KEY_MISSING, PROBLEM_API_KEY_INVALID,
                                         PROBLEM_NOT_FOUND, PROBLEM_METHOD_NOT_ALLOWED};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        assert_non_null(strstr(written(kinds[i], &none, SPAN("")), ",\"detail\":\""));
    assert_null(strstr(written(PROBLEM_INTERNAL, &none, SPAN("")), "detail"));
}

static void test_detail_is_the_first_error_where_there_is_none(void **state)
{
    (void)state;
    struct problem_details details = {
        .errors = {{.pointer = "/amount", .detail = "must be 1", .instead = "a string"},
                   {.pointer = "", .detail = "unknown", .position = 7}},
        .error_count = 2,
    };

    const char *text = written(PROBLEM_INVALID_PARAMETER, &details, SPAN(""));
    assert_non_null(strstr(text, ",\"detail\":\"/amount must be 1, not a string\","));
    assert_non_null(strstr(text,
                           ",\"errors\":[{\"pointer\":\"/amount\",\"detail\":\"must be 1, not "
                           "a string\"},{\"pointer\":\"\",\"position\":7,\"detail\":"
                           "\"unknown\"}]}\n"));
    details.errors[0] = details.errors[1];
    assert_non_null(
        strstr(written(PROBLEM_INVALID_PARAMETER, &details, SPAN("")), ",\"detail\":\"unknown\","));
}

static void test_offset_is_told_to_people_and_programs(void **state)
{
    (void)state;
    const struct problem_details details = {.detail = "broken", .has_offset = true, .offset = 17};

    const char *text = written(PROBLEM_INVALID_JSON, &details, SPAN(""));

    assert_non_null(strstr(text, ",\"detail\":\"broken, found at offset 17\","));
    assert_non_null(strstr(text, ",\"offset\":17}\n"));
}

static void test_whoever_may_come_again_is_told_whether_money_moved(void **state)
{
    (void)state;
    const struct problem_details none = {0};
    for (unsigned i = 0; i < PROBLEMS; i++) {
        const struct problem_kind *kind = problem_kind((enum problem)i);
        const char *text = written((enum problem)i, &none, SPAN(""));
        const bool again = strstr(kind->headers, "Retry-After: ") != NULL || kind->status == 504 ||
                           kind->status == 500 || kind->status == 408;
        const bool open = i == PROBLEM_OUTCOME_UNKNOWN || i == PROBLEM_IDEMPOTENCY_IN_FLIGHT;
        assert_int_equal(strstr(text, "\",\"applied\":\"no\"}\n") != NULL, again && !open);
        assert_int_equal(strstr(text, "\",\"applied\":\"unknown\"}\n") != NULL, open);
        if (kind->status == 503)
            assert_string_equal(kind->headers, "Retry-After: 1\r\n");
    }
}

static void test_instance_is_escaped(void **state)
{
    (void)state;
    const struct problem_details none = {0};

    const char *text = written(PROBLEM_NOT_FOUND, &none, SPAN("/a\"b\\c\n\xff"));

    assert_non_null(strstr(text, "\"instance\":\"/a\\\"b\\\\c\\"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_null(strchr(text, '\xff'));
}

static void test_instance_ends_where_a_key_begins(void **state)
{
    (void)state;
    const struct problem_details none = {0};

    const char *text = written(PROBLEM_NOT_FOUND, &none, SPAN("/api/payment/simulate/by-key/k"));

    assert_non_null(strstr(text, "\"instance\":\"/api/payment/simulate/by-key/\""));
}

static void test_instance_that_may_be_a_card_number_is_left_out(void **state)
{
    (void)state;
    const struct problem_details none = {0};
    char path[32] = "/x/4";
    memset(path + 4, '1', 15); /* a synthetic number that passes the check */

    assert_null(strstr(written(PROBLEM_NOT_FOUND, &none, span_of(path)), "instance"));
}

static void test_slugs_are_unique(void **state)
{
    (void)state;

    for (unsigned i = 0; i < PROBLEMS; i++) {
        const struct problem_kind *kind = problem_kind((enum problem)i);
        for (unsigned other = 0; other < i; other++)
            assert_string_not_equal(problem_kind((enum problem)other)->slug, kind->slug);
        assert_true(kind->status >= 400 && kind->status <= 505);
        assert_true(kind->title[0] != '\0' && kind->error[0] != '\0');
    }
}

static void test_errors_of_the_server_have_a_problem_of_the_same_status(void **state)
{
    (void)state;
    for (unsigned i = HTTP_ERROR_NONE + 1; i < HTTP_ERRORS; i++) {
        const enum http_error error = (enum http_error)i;
        const struct problem_kind *kind = problem_kind(problem_of_http_error(error));
        assert_int_equal(kind->status, http_error_kind(error)->status);
        assert_string_equal(kind->headers, http_error_kind(error)->headers);
    }
}

static void test_error_of_the_server_is_written_and_noted(void **state)
{
    (void)state;
    const struct http_error_report report = {
        .refusal = {HTTP_ERROR_URI_TOO_LONG, "The request target is too long."},
        .path = SPAN("/x"),
        .trace_id = "0123456789abcdef0123456789abcdef",
    };
    struct access_note note = {0};
    buf_init(&out, storage, sizeof(storage));

    const struct span type = problem_format_error(&report, &out, &note);

    assert_true(span_equal(type, SPAN("application/problem+json")));
    const char expected[] =
        "{\"type\":\"urn:problem:payment-latency-api:uri-too-long\",\"title\":\"URI too long\","
        "\"status\":414,\"detail\":\"The request target is too long.\",\"instance\":\"/x\","
        "\"error\":\"URI too long\",\"trace_id\":\"0123456789abcdef0123456789abcdef\"}\n";
    assert_true(span_equal(buf_span(&out), span_of(expected)));
    assert_string_equal(note.problem, "uri-too-long");
}

static void test_headers_that_rfcs_demand(void **state)
{
    (void)state;

    assert_string_equal(problem_kind(PROBLEM_API_KEY_MISSING)->headers,
                        "WWW-Authenticate: ApiKey realm=\"payment-latency-api\"\r\n");
    assert_string_equal(problem_kind(PROBLEM_OVERLOADED)->headers, "Retry-After: 1\r\n");
    assert_string_equal(problem_kind(PROBLEM_DATABASE_UNAVAILABLE)->headers, "Retry-After: 1\r\n");
    assert_string_equal(problem_kind(PROBLEM_WALLET_UNAVAILABLE)->headers, "Retry-After: 1\r\n");
    assert_string_equal(problem_kind(PROBLEM_UNSUPPORTED_MEDIA_TYPE)->headers,
                        "Accept: application/json\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_problems_carry_the_legacy_text),
        cmocka_unit_test(test_errors_and_mismatch_are_written),
        cmocka_unit_test(test_state_and_amounts_of_a_hold_are_written),
        cmocka_unit_test(test_key_path_and_method_problems_have_a_detail),
        cmocka_unit_test(test_detail_is_the_first_error_where_there_is_none),
        cmocka_unit_test(test_offset_is_told_to_people_and_programs),
        cmocka_unit_test(test_whoever_may_come_again_is_told_whether_money_moved),
        cmocka_unit_test(test_instance_is_escaped),
        cmocka_unit_test(test_instance_ends_where_a_key_begins),
        cmocka_unit_test(test_instance_that_may_be_a_card_number_is_left_out),
        cmocka_unit_test(test_slugs_are_unique),
        cmocka_unit_test(test_errors_of_the_server_have_a_problem_of_the_same_status),
        cmocka_unit_test(test_error_of_the_server_is_written_and_noted),
        cmocka_unit_test(test_headers_that_rfcs_demand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
