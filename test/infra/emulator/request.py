"""One AWS API call as the emulator sees it, and the answers a filler gives."""

import io
import json
import re
from html import escape
from urllib.parse import parse_qs, unquote

SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request")


class Request:
    """Method, path, body; the region and the service are those the signature names."""

    def __init__(self, environ):
        self.method = environ["REQUEST_METHOD"]
        # The undecoded path: an ARN inside it has %2F where a path has slashes.
        raw_path, _, self.query = environ.get("RAW_URI", environ["PATH_INFO"]).partition("?")
        self.parts = [unquote(part) for part in raw_path.strip("/").split("/")]
        self.raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(self.raw)  # moto reads it again
        scope = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        self.region, self.service = scope.groups() if scope else ("", "")
        self.target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]

    @property
    def form(self):
        """Body of the query protocol (RDS, EC2, IAM, STS)."""
        if self.raw[:1] in (b"{", b"<"):
            return {}
        return {k: v[0] for k, v in parse_qs(self.raw.decode(errors="replace")).items()}

    @property
    def json(self):
        return json.loads(self.raw) if self.raw[:1] == b"{" else {}

    def query_value(self, name, default=None):
        return parse_qs(self.query).get(name, [default])[0]

    @property
    def operation(self):
        """The operation's name where the protocol has one; method and path otherwise."""
        return (
            self.target or self.form.get("Action") or f"{self.method} /{'/'.join(self.parts[:4])}"
        )


class Answer:
    def __init__(self, status, content_type, text, headers=()):
        self.status = status
        self.body = text.encode()
        self.headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(self.body))),
            *headers,
        ]


def json_answer(document):
    return Answer("200 OK", "application/json", json.dumps(document))


def json_error(status, code, message):
    text = json.dumps({"__type": code, "message": message})
    return Answer(status, "application/json", text, [("x-amzn-ErrorType", code)])


def query_answer(action, inner):
    xml = (
        f"<{action}Response><{action}Result>{inner}</{action}Result>"
        f"<ResponseMetadata><RequestId>emulator</RequestId></ResponseMetadata></{action}Response>"
    )
    return Answer("200 OK", "text/xml", xml)


def query_error(code, message):
    error = f"<Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message>"
    xml = f"<ErrorResponse><Error>{error}</Error><RequestId>emulator</RequestId></ErrorResponse>"
    return Answer("404 Not Found", "text/xml", xml)
