"""Every route once, as one client of two connections: what test_nth_failure.py runs again and again."""

from harness.http import Closed, Connection, request_bytes
from harness.payments import hold_bytes, new_key, payload, post_bytes, post_headers, purchase_query
from harness.service import API_KEY, SIMULATE

KEY = ("X-API-Key", API_KEY)
NO_ANSWER = None
"""The connection ended instead."""
LIMIT_S = 5.0


class Caller:
    """One keep-alive connection, opened again after its end. An answer that does not come is an error."""

    def __init__(self, port):
        self.port = port
        self.connection = None

    def ask(self, data, method="GET"):
        """The answer to these bytes, or NO_ANSWER."""
        try:
            if self.connection is None:
                self.connection = Connection(self.port, LIMIT_S)
            self.connection.send(data)
            answer = self.connection.response(method)
        except (Closed, ConnectionError):
            self.close()
            return NO_ANSWER
        if answer.closes:
            self.close()
        return answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def get(target, headers=(KEY,), method="GET"):
    return request_bytes(method, target, list(headers))


def post_request(target, body, headers):
    return request_bytes("POST", target, [KEY, *headers], body)


OPERATIONS = (
    ("health", get("/health", ()), 200),
    ("info", get("/info", ()), 200),
    ("livez", get("/livez", ()), 200),
    ("readyz", get("/readyz?verbose", ()), 200),
    ("metrics", get("/metrics", ()), 200),
)
# Whoever tries keys again and again may be told to do it less often.
REFUSED = (
    ("no route", get("/nothing", ()), 404),
    ("no method", request_bytes("DELETE", "/info"), 405),
    ("no key", get(SIMULATE, ()), (401, 429)),
    ("wrong key", get(SIMULATE, [("X-API-Key", "wrong")]), (403, 429)),
    ("no JSON", post_request(SIMULATE, b"{", post_headers(new_key())), 400),
    ("no request", b"NOT HTTP\r\n\r\n", 400),
)


def _text(query):
    return f"{SIMULATE}?{query}"


class Script:
    """One run: what each step was answered. A step that needs another's answer is left out without it."""

    def __init__(self, service, wallet):
        self.caller = Caller(service.port)
        self.wallet = wallet
        self.told = []

    def step(self, name, data, expected, method="GET"):
        answer = self.caller.ask(data, method)
        self.told.append((name, answer and answer.status, expected))
        return answer

    def run(self):
        for name, data, expected in OPERATIONS:
            self.step(name, data, expected)
        self.caller.close()
        self.payments()
        self.caller.close()
        for name, data, expected in REFUSED:
            self.step(name, data, expected)
        self.caller.close()
        return self

    def payments(self):
        self.step("evaluate", get(SIMULATE), 200)
        self.step("purchase", get(_text(purchase_query(self.wallet))), 200)
        self.step("head", get("/info", (), "HEAD"), 200, "HEAD")
        self.step("options", get(SIMULATE, method="OPTIONS"), 204)
        body = post_bytes(payload(self.wallet, effect="evaluate"))
        self.step("evaluate by POST", post_request(SIMULATE, body, post_headers(None)), 200)
        key = new_key()
        first = self.step("hold", hold_bytes(self.wallet, key, 1), 201)
        again = self.step("hold again", hold_bytes(self.wallet, key, 1), 201)
        told = [answer for answer in (first, again) if answer and answer.status == 201]
        if len(told) == 2:
            assert first.body == again.body, "a repeated hold was answered otherwise"
        if told:
            path = f"{SIMULATE}/{told[0].json()['transaction_id']}"
            self.step("find", get(path), 200)
            void = post_request(f"{path}/void", b"", ())
            voided = self.step("void", void, 200)
            # An answer that did not come leaves open whether it was done.
            known = voided and voided.status == 200
            self.step("void again", void, 409 if known else (200, 409))

    def wrong(self, is_hurt):
        """The steps that were answered otherwise than they may be: in a run that was hurt, a step may
        have no answer, or one that says that the service could not."""
        could_not = (NO_ANSWER, 500, 503, 504) if is_hurt else ()
        return [
            (name, status, expected)
            for name, status, expected in self.told
            if status not in could_not
            and status not in (expected if isinstance(expected, tuple) else (expected,))
        ]
