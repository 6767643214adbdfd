"""Anything ambiguous is refused, the connection ends, and what follows is never a request."""

import pytest

from harness.http import converse, request_bytes
from harness.payments import POST_HEAD, new_key, payload, post_bytes
from harness.service import SIMULATE

LIVEZ = request_bytes("GET", "/livez")
LAST = request_bytes("GET", "/livez", {"Connection": "close"})
REFUSED = {400, 501, 505}
CHUNKED = b"Transfer-Encoding: chunked\r\n"
FRAMINGS = {
    "cl-and-te": b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "te-and-cl": CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "cl-twice": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "cl-list": b"Content-Length: 2, 3\r\n\r\n{} ",
    "cl-plus": b"Content-Length: +2\r\n\r\n{}",
    "cl-minus": b"Content-Length: -2\r\n\r\n{}",
    "cl-hex": b"Content-Length: 0x2\r\n\r\n{}",
    "cl-underscore": b"Content-Length: 1_0\r\n\r\n0123456789",
    "cl-fraction": b"Content-Length: 2.0\r\n\r\n{}",
    "cl-exponent": b"Content-Length: 2e0\r\n\r\n{}",
    "cl-space": b"Content-Length: 1 0\r\n\r\n0123456789",
    "cl-empty": b"Content-Length: \r\n\r\n",
    "cl-nul": b"Content-Length: 2\0\r\n\r\n{}",
    "te-unknown": b"Transfer-Encoding: gzip\r\n\r\n",
    "te-not-last": b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "te-twice": CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "te-quoted": b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "te-parameter": b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "te-nul": b"Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n",
    "te-vt": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "te-nbsp": b"Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n",
    "te-empty": b"Transfer-Encoding:\r\n\r\n",
    "te-empty-then-cl": b"Transfer-Encoding:\r\nContent-Length: 2\r\n\r\n{}",
    "te-name-space": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "te-name-tab": b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "te-folded": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "folded-field": b"X-Fold: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "field-space-before-colon": b"X-Field : a\r\nContent-Length: 2\r\n\r\n{}",
    "field-without-name": b": a\r\nContent-Length: 2\r\n\r\n{}",
    "field-without-colon": b"X-Field\r\nContent-Length: 2\r\n\r\n{}",
    "field-nul-in-name": b"X-\0Field: a\r\nContent-Length: 2\r\n\r\n{}",
    "field-nul-in-value": b"X-Field: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    "field-bare-cr": b"X-Field: a\rX-Other: b\r\nContent-Length: 2\r\n\r\n{}",
    "field-bare-lf": b"X-Field: a\nContent-Length: 2\r\n\r\n{}",
    "field-control": b"X-Field: a\x01\r\nContent-Length: 2\r\n\r\n{}",
    "chunk-sign": CHUNKED + b"\r\n+2\r\n{}\r\n0\r\n\r\n",
    "chunk-hex-prefix": CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "chunk-underscore": CHUNKED + b"\r\n1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "chunk-space-before": CHUNKED + b"\r\n 2\r\n{}\r\n0\r\n\r\n",
    "chunk-2-to-64": CHUNKED + b"\r\n10000000000000002\r\n{}\r\n0\r\n\r\n",
    "chunk-longer": CHUNKED + b"\r\n2\r\n{}}\r\n0\r\n\r\n",
    "chunk-shorter": CHUNKED + b"\r\n3\r\n{}\r\n0\r\n\r\n",
    "chunk-bare-lf": CHUNKED + b"\r\n2\n{}\r\n0\r\n\r\n",
    "chunk-extension-bare-lf": CHUNKED + b"\r\n2;a\n{}\r\n0\r\n\r\n",
    "chunk-extension-bare-cr": CHUNKED + b"\r\n2;a\rb\r\n{}\r\n0\r\n\r\n",
    "chunk-not-a-size": CHUNKED + b"\r\nxyz\r\n{}\r\n0\r\n\r\n",
}


def assert_refused(service, data, statuses=REFUSED):
    """One refusal, then the end: nothing that follows is parsed."""
    answers, ended = converse(service.port, data + LIVEZ * 2)
    assert [answer.status for answer in answers if answer.status not in statuses] == []
    assert len(answers) == 1
    assert ended


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_ambiguous_framing_is_refused(service, framing):
    assert_refused(service, POST_HEAD + framing, REFUSED | {411})


@pytest.mark.parametrize("length", [2**31, 2**32, 2**32 + 2, 2**63, 2**64 + 2], ids=hex)
def test_huge_length_is_refused_and_never_wraps(service, length):
    assert_refused(service, POST_HEAD + b"Content-Length: %d\r\n\r\n{}" % length, {400, 413})


def test_huge_chunk_is_refused_and_never_wraps(service):
    assert_refused(service, POST_HEAD + CHUNKED + b"\r\n100000002\r\n{}\r\n0\r\n\r\n", {400, 413})


HEADS = {
    "no-host": b"GET /info HTTP/1.1\r\n\r\n",
    "two-hosts": b"GET /info HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two-equal-hosts": b"GET /info HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "host-space": b"GET /info HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host-path": b"GET /info HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "version-0-9": b"GET /info\r\n\r\n",
    "version-0-9-named": b"GET /info HTTP/0.9\r\nHost: x\r\n\r\n",
    "version-2-0": b"GET /info HTTP/2.0\r\nHost: x\r\n\r\n",
    "version-9-9": b"GET /info HTTP/9.9\r\nHost: x\r\n\r\n",
    "version-1-2": b"GET /info HTTP/1.2\r\nHost: x\r\n\r\n",
    "version-lower-case": b"GET /info http/1.1\r\nHost: x\r\n\r\n",
    "rtsp": b"GET /info RTSP/1.0\r\nHost: x\r\n\r\n",
    "ice": b"SOURCE /info ICE/1.0\r\nHost: x\r\n\r\n",
    "h2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "proxy-line": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "target-nul": b"GET /in\0fo HTTP/1.1\r\nHost: x\r\n\r\n",
    "target-control": b"GET /in\x01fo HTTP/1.1\r\nHost: x\r\n\r\n",
    "target-bare-lf": b"GET /info\nHTTP/1.1\r\nHost: x\r\n\r\n",
    "target-missing": b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
    "target-asterisk": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "method-control": b"G\x01T /info HTTP/1.1\r\nHost: x\r\n\r\n",
    "method-space-before": b" GET /info HTTP/1.1\r\nHost: x\r\n\r\n",
    "line-bare-lf": b"GET /info HTTP/1.1\nHost: x\n\n",
    "line-bare-cr": b"GET /info HTTP/1.1\rHost: x\r\r",
    "te-on-http-1-0": b"POST_HEAD /info HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"
    b"Connection: keep-alive\r\n\r\n"
    b"0\r\n\r\n",
    "tls-client-hello": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
    "binary": bytes(range(128, 256)),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_malformed_head_is_refused(service, head):
    assert_refused(service, head, REFUSED)


@pytest.mark.parametrize("path", ["/info", "/nothing", SIMULATE])
@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: %d\r\n\r\n%s" % (len(LIVEZ), LIVEZ),
        CHUNKED + b"\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(LIVEZ), LIVEZ),
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS"])
def test_unwanted_body_is_never_parsed_as_a_request(service, method, path, framing):
    answers, ended = converse(
        service.port,
        method
        + b" "
        + path.encode()
        + b" HTTP/1.1\r\nHost: x\r\n"
        + framing
        + b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        2,
    )

    assert ended
    assert len(answers) in (1, 2)
    if len(answers) == 2:
        assert answers[1].json()["name"] == "payment-latency-api"


def chunked_hold(wallet, trailer):
    body = post_bytes(payload(wallet))
    return (
        POST_HEAD
        + b"Idempotency-Key: %s\r\n" % new_key().encode()
        + CHUNKED
        + b"\r\n%x;ext=1\r\n%s\r\n0\r\n%s\r\n\r\n" % (len(body), body, trailer)
    )


def test_chunk_extensions_and_trailers_are_read_over(service, book):
    with service.connect() as connection:
        connection.send(chunked_hold(book.wallet(), b"X-Trailer: 1") + LIVEZ)

        assert [connection.response().status, connection.response().status] == [201, 200]


@pytest.mark.parametrize(
    "trailer",
    [
        b"Content-Length: 99",
        b"Transfer-Encoding: chunked",
        b"Host: other",
        b"Idempotency-Key: other",
    ],
)
def test_trailer_that_may_not_be_one_is_refused_or_without_effect(service, book, trailer):
    answers, _ = converse(service.port, chunked_hold(book.wallet(), trailer) + LAST)

    assert [answer.status for answer in answers] in ([201, 200], [400])


@pytest.mark.parametrize(
    "overhead",
    [
        b"".join(b"1;%s\r\n \r\n" % (b"x" * 1000) for _ in range(40)),
        b"1;" + b"x" * 40_000,
        b"0\r\n" + b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1000) for number in range(40)),
    ],
    ids=["extensions", "one-extension", "trailers"],
)
def test_chunk_framing_overhead_is_limited(service, overhead):
    with service.connect() as connection:
        try:
            connection.send(POST_HEAD + CHUNKED + b"\r\n" + overhead)
        except ConnectionError:
            pass
        answer = connection.response()

    assert answer.status in (400, 413, 431)
    assert answer.closes
