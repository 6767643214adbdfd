"""Connections: order, splits, ends and time."""

import pytest

from harness.faults import hold_up, is_held_up
from harness.http import Closed, converse, request_bytes
from harness.machine import seconds, wait_until
from harness.payments import POST_HEAD, hold_bytes, new_key, problem
from harness.service import Service

LIVEZ = request_bytes("GET", "/livez")


def test_pipelined_requests_are_answered_in_order(service):
    paths = ["/info", "/livez", "/nothing", "/health"] * 10
    with service.connect() as connection:
        connection.send(b"".join(request_bytes("GET", path) for path in paths))
        statuses = [connection.response().status for _ in paths]

    assert statuses == [404 if path == "/nothing" else 200 for path in paths]


@pytest.mark.parametrize("where", ["memory", "server"])
def test_slow_first_request_is_answered_before_a_fast_second(service, book, where):
    wallet = book.wallet()
    with book.database.connect() as other, service.connect() as connection:
        hold_up(other, where, wallet)
        connection.send(hold_bytes(wallet, new_key()) + LIVEZ)
        wait_until(lambda: is_held_up(service, book.database, where))
        other.execute("COMMIT")

        assert [connection.response().status, connection.response().status] == [201, 200]


def test_request_in_single_bytes_is_answered(service, book):
    with service.connect() as connection:
        for byte in hold_bytes(book.wallet(), new_key()):
            connection.send(bytes([byte]))

        assert connection.response().status == 201


@pytest.mark.parametrize("piece", [2, 3, 7, 64])
def test_pipeline_in_pieces_is_answered(service, piece):
    data = LIVEZ * 5
    with service.connect() as connection:
        for start in range(0, len(data), piece):
            connection.send(data[start : start + piece])

        assert [connection.response().status for _ in range(5)] == [200] * 5


def test_bad_second_request_does_not_eat_the_first_answer(service):
    answers, ended = converse(service.port, LIVEZ + b"GET /\0 HTTP/1.1\r\n\r\n")

    assert [answer.status for answer in answers] == [200, 400]
    assert ended


def test_nothing_is_processed_after_connection_close(service):
    answers, ended = converse(
        service.port, b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + LIVEZ
    )

    assert [(answer.status, answer.closes) for answer in answers] == [(200, True)]
    assert ended


def test_http_1_0_is_answered_and_closed(service):
    answers, ended = converse(service.port, b"GET /info HTTP/1.0\r\n\r\n")

    assert [answer.status for answer in answers] == [200]
    assert ended


def test_connection_is_kept_alive(service):
    with service.connect() as connection:
        statuses = [connection.request("GET", "/info").status for _ in range(100)]

    assert statuses == [200] * 100


def test_half_close_after_a_request_is_still_answered(service):
    with service.connect() as connection:
        connection.send(LIVEZ)
        connection.half_close()

        assert connection.response().status == 200
        assert connection.ended()


@pytest.mark.parametrize("where", ["memory", "server"])
def test_half_close_while_a_hold_is_decided_is_still_answered(service, book, where):
    wallet = book.wallet()
    with book.database.connect() as other, service.connect() as connection:
        hold_up(other, where, wallet)
        connection.send(hold_bytes(wallet, new_key()))
        connection.half_close()
        wait_until(lambda: is_held_up(service, book.database, where))
        other.execute("COMMIT")

        assert connection.response().status == 201


@pytest.mark.parametrize(
    "part",
    [
        b"GET /info HTTP/1.1\r\nHost",
        POST_HEAD + b"Content-Length: 10\r\n\r\n{",
        POST_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
def test_half_close_within_a_request_is_never_a_success(service, part):
    with service.connect() as connection:
        connection.send(part)
        connection.half_close()
        answers = []
        try:
            answers.append(connection.response())
        except Closed:
            pass

        assert [answer.status for answer in answers if answer.status < 400] == []
        assert connection.ended()


def test_empty_lines_before_a_request_are_skipped(service):
    with service.connect() as connection:
        connection.send(b"\r\n\r\n" + LIVEZ)

        assert connection.response().status == 200


def test_absolute_target_is_accepted(service):
    with service.connect() as connection:
        connection.send(b"GET http://example.test/livez HTTP/1.1\r\nHost: other.test\r\n\r\n")

        assert connection.response().status == 200


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
def test_upgrade_is_ignored(service, upgrade):
    with service.connect() as connection:
        connection.send(
            request_bytes("GET", "/livez", {"Connection": "Upgrade", "Upgrade": upgrade}) + LIVEZ
        )

        assert [connection.response().status, connection.response().status] == [200, 200]


# Time


@pytest.fixture(scope="module")
def hasty_service(database):
    limit = int(seconds(0.4) * 1000)
    own = Service(
        database.url(),
        {
            "HTTP_HEADER_TIMEOUT_MS": limit,
            "HTTP_BODY_TIMEOUT_MS": limit,
            "HTTP_IDLE_TIMEOUT_MS": limit,
            "HTTP_WRITE_TIMEOUT_MS": limit,
            "HTTP_LINGER_TIMEOUT_MS": limit,
            "HTTP_CONN_MAX": 24,
            "HTTP_ACTIVE_MAX": 24,
        },
    )
    try:
        yield own.start()
    finally:
        own.stop()


def drip(connection, byte):
    """Sends byte after byte, slowly, until an answer or the end comes."""
    while connection.silent(0.02):
        try:
            connection.send(byte)
        except ConnectionError:
            return


def test_slow_header_is_408_however_it_drips(hasty_service):
    with hasty_service.connect() as connection:
        connection.send(b"GET /info HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        drip(connection, b"a")
        answer = connection.response()

    assert (answer.status, problem(answer), answer.closes) == (408, "request-timeout", True)


def test_slow_body_is_408_however_it_drips(hasty_service):
    with hasty_service.connect() as connection:
        connection.send(POST_HEAD + b"Content-Length: 4000\r\n\r\n")
        drip(connection, b" ")
        answer = connection.response()

    assert (answer.status, problem(answer), answer.closes) == (408, "request-timeout", True)


def test_silent_connection_is_closed(hasty_service):
    with hasty_service.connect() as connection:
        assert connection.ended(5)


def test_idle_connection_is_closed(hasty_service):
    with hasty_service.connect() as connection:
        connection.request("GET", "/livez")

        assert connection.ended(5)


def test_client_that_never_reads_is_dropped(hasty_service):
    with hasty_service.connect() as connection:
        connection.socket.settimeout(0.05)
        try:
            while True:
                connection.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        except (TimeoutError, ConnectionError):
            pass

        wait_until(
            lambda: (
                hasty_service.metrics().value(
                    "http_connections_closed_total", reason="write_timeout"
                )
                >= 1
            )
        )


def test_connections_over_the_limit_do_not_harm_and_leave_no_trace(start_service):
    """They wait until others have left; nobody is refused."""
    service = start_service({"HTTP_CONN_MAX": 24, "HTTP_ACTIVE_MAX": 24})
    before = service.metrics()

    crowd = [service.connect() for _ in range(60)]
    for connection in crowd:
        connection.send(request_bytes("GET", "/livez", [("Connection", "close")]))
    statuses = [connection.response().status for connection in crowd]
    for connection in crowd:
        connection.close()

    assert statuses == [200] * 60
    after = wait_until(lambda: only_asker(service.metrics()))
    assert after.value("http_accept_pauses_total") > before.value("http_accept_pauses_total")
    assert after.value("process_open_fds") <= before.value("process_open_fds")


def only_asker(metrics):
    return metrics if metrics.value("http_connections") <= 1 else None


def test_reset_at_any_point_leaves_no_descriptor(hasty_service):
    wait_until(lambda: hasty_service.metrics().value("http_connections") <= 1)
    before = hasty_service.descriptors()
    data = POST_HEAD + b"Idempotency-Key: x\r\nContent-Length: 5\r\n\r\n{}   "

    for end in range(0, len(data) + 1, 9):
        connection = hasty_service.connect()
        connection.send(data[:end])
        connection.reset()

    wait_until(lambda: hasty_service.descriptors() <= before)
    assert hasty_service.alive()
