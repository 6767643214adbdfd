"""A raw HTTP client: sends exactly the bytes it is given, in any pieces, and can break off."""

import json
import socket
import struct
import time

from harness.machine import seconds


class Closed(Exception):
    """The peer ended the connection where an answer was expected."""


class Response:
    def __init__(self, version, status, reason, fields, body):
        self.version = version
        self.status = status
        self.reason = reason
        self.fields = fields
        self.body = body

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} is sent {len(values)} times"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def closes(self):
        return (self.header("Connection") or "").lower() == "close"

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:300]!r}>"


def request_bytes(method, target, headers=None, body=None, version="HTTP/1.1"):
    """headers: a dict or a list of pairs; Host and, with a body, Content-Length are added."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    names = {name.lower() for name, _ in pairs}
    lines = [f"{method} {target} {version}"]
    if "host" not in names:
        lines.append("Host: localhost")
    lines += [f"{name}: {value}" for name, value in pairs]
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


class Connection:
    def __init__(self, port, limit=10.0, source="127.0.0.1"):
        self.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=seconds(limit), source_address=(source, 0)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.limit = limit

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def request(self, method, target, headers=None, body=None, version="HTTP/1.1"):
        self.send(request_bytes(method, target, headers, body, version))
        return self.response(method)

    def response(self, method="GET"):
        """The next answer; 100 Continue counts as one. Raises Closed when the peer ends instead."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        version, status, reason = first.split(" ", 2)
        fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines]
        response = Response(version, int(status), reason, fields, b"")
        assert response.header("Transfer-Encoding") is None
        bodyless = method == "HEAD" or response.status < 200 or response.status == 204
        length = 0 if bodyless else int(response.header("Content-Length"))
        while len(self.buffer) < length:
            self._receive()
        response.body, self.buffer = self.buffer[:length], self.buffer[length:]
        return response

    def ended(self, limit=None):
        """True when the peer ends the connection and nothing more came before; a reset counts."""
        self.socket.settimeout(seconds(limit or self.limit))
        try:
            while True:
                more = self.socket.recv(65536)
                if not more:
                    return self.buffer == b""
                self.buffer += more
        except ConnectionError:
            return self.buffer == b""
        except TimeoutError:
            return False

    def silent(self, limit):
        """True when neither a byte nor the end comes within the limit."""
        self.socket.settimeout(limit)
        try:
            more = self.socket.recv(65536)
            self.buffer += more
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(seconds(self.limit))

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Ends with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    def _until(self, mark):
        while mark not in self.buffer:
            self._receive()
        end = self.buffer.index(mark) + len(mark)
        taken, self.buffer = self.buffer[:end], self.buffer[end:]
        return taken

    def _receive(self):
        try:
            more = self.socket.recv(65536)
        except ConnectionError as failure:
            raise Closed(f"{failure!r} after {self.buffer!r}") from failure
        if not more:
            raise Closed(f"end of stream after {self.buffer!r}")
        self.buffer += more


def call(port, method, target, headers=None, body=None, limit=10.0):
    """One request on a connection of its own."""
    with Connection(port, limit) as connection:
        return connection.request(method, target, headers, body)


def timed(work):
    """(seconds it took, its result)."""
    start = time.monotonic()
    result = work()
    return time.monotonic() - start, result


def converse(port, data, limit=5.0):
    """Sends the bytes: (the answers until the peer ended the connection, whether it did)."""
    with Connection(port, limit) as connection:
        connection.send(data)
        answers = []
        while True:
            try:
                answers.append(connection.response())
            except Closed:
                return answers, True
            except TimeoutError:
                return answers, False
