"""Every status of the HTTP side, and every limit at its edge."""

import json

import pytest

from harness.http import converse
from harness.payments import POST_HEAD, new_key, payload, post, post_bytes, problem
from harness.service import API_KEY, SIMULATE

# Statuses


def test_unknown_path_is_404(service):
    answer = service.call("GET", "/nothing")

    assert (answer.status, problem(answer)) == (404, "not-found")


@pytest.mark.parametrize(
    "path",
    [
        "/health/",
        "/HEALTH",
        "//health",
        "/info%00.txt",
        "/%2e%2e/info",
        "/",
        "/api/payment/simulate/",
        "/api/payment",
        "/%n%s%n",
        "/info;x",
    ],
)
def test_only_exact_paths_are_known(service, path):
    assert service.call("GET", path).status == 404


@pytest.mark.parametrize(
    "method, path, allowed",
    [
        ("DELETE", SIMULATE, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("PUT", SIMULATE, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("PATCH", SIMULATE + "/txn_1", {"GET", "HEAD", "OPTIONS"}),
        ("GET", SIMULATE + "/txn_1/void", {"POST", "OPTIONS"}),
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/metrics", {"GET", "HEAD", "OPTIONS"}),
        ("TRACE", "/info", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_wrong_method_is_405_with_allow(service, method, path, allowed):
    answer = service.call(method, path, {"Content-Length": "0"})

    assert (answer.status, problem(answer)) == (405, "method-not-allowed")
    assert set(answer.header("Allow").replace(" ", "").split(",")) == allowed


def test_trace_never_echoes(service):
    assert b"mirror" not in service.call("TRACE", "/info", {"X-Echo": "mirror"}).body


@pytest.mark.parametrize("path", [SIMULATE, "/health", SIMULATE + "/txn_1/void"])
def test_options_is_204_with_allow(service, path):
    answer = service.call("OPTIONS", path)

    assert answer.status == 204
    assert "OPTIONS" in answer.header("Allow")


def test_unknown_method_is_501(service):
    answers, _ = converse(service.port, b"BREW /info HTTP/1.1\r\nHost: x\r\n\r\n", 0.5)

    assert [answer.status for answer in answers] == [501]


def test_connect_never_opens_a_tunnel(service):
    answers, _ = converse(service.port, b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 0.5)

    assert [answer.status for answer in answers if answer.status < 400] == []


def test_post_without_a_length_is_411(service):
    answers, _ = converse(service.port, POST_HEAD + b"\r\n", 0.5)

    assert [(answer.status, problem(answer)) for answer in answers] == [(411, "length-required")]


def padded(size, wallet):
    body = post_bytes(payload(wallet))
    return body + b" " * (size - len(body))


@pytest.mark.parametrize("size, status", [(4095, 201), (4096, 201), (4097, 413)])
def test_body_limit(service, book, size, status):
    answer = post(service, padded(size, book.wallet()), new_key())

    assert answer.status == status


@pytest.mark.parametrize("size, status", [(4096, 201), (4097, 413)])
def test_body_limit_of_a_chunked_body(service, book, size, status):
    body = padded(size, book.wallet())
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part)
        for part in (body[start : start + 500] for start in range(0, size, 500))
    )
    head = (
        POST_HEAD
        + b"Idempotency-Key: "
        + new_key().encode()
        + b"\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )

    answers, _ = converse(service.port, head + chunks + b"0\r\n\r\n")

    assert [answer.status for answer in answers] == [status]


@pytest.mark.parametrize("length, status", [(2047, 404), (2048, 404), (2049, 414)])
def test_target_limit(service, length, status):
    assert service.call("GET", "/" + "a" * (length - 1)).status == status


@pytest.mark.parametrize("count, status", [(63, 200), (64, 200), (65, 431)])
def test_header_count_limit(service, count, status):
    fields = [(f"X-{number}", "v") for number in range(count - 1)]

    assert service.call("GET", "/info", fields, key=None).status == status


@pytest.mark.parametrize("size, status", [(8000, 200), (8300, 431), (60_000, 431)])
def test_header_bytes_limit(service, size, status):
    assert service.call("GET", "/info", {"X-Pad": "v" * (size - 60)}, key=None).status == status


def test_endless_header_is_refused_before_it_ends(service):
    with service.connect() as connection:
        connection.send(b"GET /info HTTP/1.1\r\nHost: x\r\nX-Pad: " + b"v" * 9000)

        assert connection.response().status == 431
        assert connection.ended()


def test_refused_large_body_can_still_read_its_status(service):
    with service.connect() as connection:
        connection.send(POST_HEAD + b"Content-Length: 300000\r\n\r\n")
        for _ in range(30):
            try:
                connection.send(b" " * 10_000)
            except ConnectionError:
                break
        answer = connection.response()

    assert (answer.status, answer.closes) == (413, True)


@pytest.mark.parametrize(
    "name", ["X-API-Key", "Content-Type", "Accept", "traceparent", "Idempotency-Key"]
)
def test_odd_bytes_in_a_field_are_refused_or_harmless(service, name):
    answer = service.call("GET", SIMULATE, {name: '\x80\xff"\\%n{}'})

    assert answer.status < 500


def test_problem_answers_have_every_member(service):
    body = service.call("GET", "/nothing").json()

    assert list(body)[:3] == ["type", "title", "status"]
    assert set(body) >= {"type", "title", "status", "instance", "error", "trace_id"}
    assert body["instance"] == "/nothing"
    assert json.dumps(body["error"])


# Expectations


def test_expect_continue_gets_100_and_then_the_answer(service, book):
    body = post_bytes(payload(book.wallet()))
    with service.connect() as connection:
        connection.send(
            POST_HEAD
            + b"Idempotency-Key: %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
            % (new_key().encode(), len(body))
        )
        first = connection.response()
        connection.send(body)
        second = connection.response()

    assert (first.status, second.status) == (100, 201)


def test_expect_continue_with_its_body_is_answered(service, book):
    body = post_bytes(payload(book.wallet()))

    answers, _ = converse(
        service.port,
        POST_HEAD + b"Idempotency-Key: %s\r\nExpect: 100-continue\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (new_key().encode(), len(body), body),
    )

    assert [answer.status for answer in answers if answer.status != 100] == [201]


def test_expect_continue_with_too_large_a_body_is_refused_without_100(service):
    with service.connect() as connection:
        connection.send(POST_HEAD + b"Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n")

        assert connection.response().status == 413


def test_expect_continue_of_http_1_0_gets_no_100(service, book):
    body = post_bytes(payload(book.wallet()))
    head = POST_HEAD.replace(b"HTTP/1.1", b"HTTP/1.0")

    answers, _ = converse(
        service.port,
        head + b"Idempotency-Key: %s\r\nExpect: 100-continue\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (new_key().encode(), len(body), body),
    )

    assert [answer.status for answer in answers] == [201]


def test_other_expectation_is_417(service):
    answer = service.call("GET", "/info", {"Expect": "200-ok"})

    assert (answer.status, problem(answer)) == (417, "expectation-failed")


# HEAD


@pytest.mark.parametrize("path", ["/info", "/livez", "/readyz", "/health", "/metrics", SIMULATE])
def test_head_is_200_without_a_body(service, path):
    with service.connect() as connection:
        answer = connection.request("HEAD", path, {"X-API-Key": API_KEY})
        following = connection.request("GET", "/livez")

    assert (answer.status, following.status) == (200, 200)


def test_head_has_the_fields_of_get(service):
    head, get = (service.call(method, "/info") for method in ("HEAD", "GET"))

    names = [[name for name, _ in answer.fields] for answer in (head, get)]
    assert names[0] == names[1]
    assert head.header("Content-Length") == get.header("Content-Length") == str(len(get.body))
