#!/usr/bin/env python3
"""AWS on loopback: the moto server, with our own answers for the calls it lacks.

usage: server.py PORT LOG

Runs in the environment out/tools/moto; `control.py` makes that, starts and stops this. LOG gets
one JSON line for each call: who answered it (moto, or the name of a filler), the service, the
operation, the status. It proves order, wiring and arguments. It is not AWS: no quotas, no
authorisation, no timing.
"""

import json
import os
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")

from fill_eks import EksFiller  # noqa: E402  (after the settings that moto reads when imported)
from fill_kms import KmsFiller  # noqa: E402
from fill_rds import RdsFiller  # noqa: E402
from moto.iam.access_control import PermissionResult  # noqa: E402
from moto.moto_server.werkzeug_app import (  # noqa: E402
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.s3.models import FakeBucket, FakeDeleteMarker  # noqa: E402
from request import Request  # noqa: E402
from werkzeug.serving import run_simple  # noqa: E402

FILLERS = (EksFiller, KmsFiller, RdsFiller)


class Emulator:
    """Asks each filler first; what none of them answers goes to moto."""

    def __init__(self, moto, account, log):
        self.moto = moto
        self.fillers = [filler(account) for filler in FILLERS]
        self.log = log
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        request = Request(environ)
        with self.lock:  # the fillers keep plain dictionaries
            answer, filler = self.ask_fillers(request)
        if answer is None:
            status, headers, body = self.ask_moto(environ)
            with self.lock:
                body, filler = self.correct(request, body)
            headers = [(k, v) for k, v in headers if k.lower() != "content-length"]
            headers.append(("Content-Length", str(len(body))))
        else:
            status, headers, body = answer.status, answer.headers, answer.body
        self.note(request, filler or "moto", status)
        start_response(status, headers)
        return [body]

    def ask_fillers(self, request):
        for filler in self.fillers:
            answer = filler.answer(request)
            if answer is not None:
                return answer, filler.name
        return None, None

    def correct(self, request, body):
        """What moto forgot, put back; and who did that."""
        for filler in self.fillers:
            corrected = filler.correct(request, body)
            if corrected != body:
                return corrected, "moto, corrected by " + filler.name
        return body, None

    def ask_moto(self, environ):
        seen = []

        def start_response(status, headers, _exc_info=None):
            seen[:] = [status, headers]

        pieces = self.moto(environ, start_response)
        try:
            body = b"".join(pieces)
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
        return seen[0], seen[1], body

    def note(self, request, who, status):
        line = {
            "by": who,
            "service": request.service,
            "operation": request.operation,
            "region": request.region,
            "status": int(status.split()[0]),
        }
        with self.lock:
            self.log.write(json.dumps(line) + "\n")
            self.log.flush()


def main():
    port, log = int(sys.argv[1]), sys.argv[2]
    account = os.environ.get("MOTO_ACCOUNT_ID", "123456789012")
    # moto takes "deny plain HTTP" for "deny": a condition that it cannot judge refuses everybody.
    # So bucket policies are stored and not enforced, like every other policy here.
    FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL
    # moto fails when a delete marker is the last version of an object that goes.
    FakeDeleteMarker.dispose = lambda *_: None
    with open(log, "a", encoding="utf-8") as file:
        app = Emulator(DomainDispatcherApplication(create_backend_app), account, file)
        run_simple("127.0.0.1", port, app, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
