#!/usr/bin/env python3
"""Callers of every kind, for deploy/grafana/record: callers.py PORT SECONDS.

The key is in API_SECRET_KEY.

Holds, the same hold again, a key used for another hold, voids, look-ups, evaluations, declines of
three kinds, a wrong API key and a wrong field. Failures are part of it and are not reported.
"""

import http.client
import json
import os
import random
import sys
import threading
import time
import uuid

CALLERS = 12
PAUSE_S = 0.04  # at most, between two requests
WALLETS = 100_000  # of build/lib/demo.sql
SIMULATE = "/api/payment/simulate"


class Caller:
    def __init__(self, port, seed):
        self.port = port
        self.random = random.Random(seed)
        self.connection = None
        self.steps = [
            (40, self.hold),
            (15, self.hold_twice),
            (3, self.reuse_key),
            (12, self.hold_and_void),
            (8, lambda: self.hold(mcc="7995")),  # a merchant the program does not permit
            (7, lambda: self.hold(amount=9_000_000)),  # over the limit
            (3, lambda: self.hold(wallet=WALLETS * 10)),  # unknown
            (10, self.evaluate),
            (1, lambda: self.call("GET", SIMULATE, key="wrong")),
            (1, lambda: self.call("GET", SIMULATE + "?color=red")),
        ]

    def call(self, method, target, body=None, headers=None, key=None):
        """The answer's members; {} for whatever else happened."""
        fields = {"X-API-Key": key or os.environ["API_SECRET_KEY"], **(headers or {})}
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            self.connection.request(method, target, body, fields)
            return json.loads(self.connection.getresponse().read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError):
            self.connection = None
            return {}

    def hold(self, key=None, amount=None, wallet=None, mcc="5812"):
        body = {
            "wallet_id": f"wal_{wallet or self.random.randrange(2, WALLETS)}",
            "amount": amount or self.random.randrange(300, 1990),
            "currency": "EUR",
            "merchant": {"mcc": mcc, "country": "ES"},
        }
        headers = {"Content-Type": "application/json", "Idempotency-Key": key or uuid.uuid4().hex}
        return self.call("POST", SIMULATE, json.dumps(body), headers)

    def hold_twice(self):
        key, wallet = uuid.uuid4().hex, self.random.randrange(2, WALLETS)
        for _ in range(2):
            self.hold(key, 750, wallet)

    def reuse_key(self):
        key = uuid.uuid4().hex
        self.hold(key, 500, 77)
        self.hold(key, 501, 77)

    def hold_and_void(self):
        transaction = self.hold().get("transaction_id")
        if transaction:
            self.call("GET", f"{SIMULATE}/{transaction}")
            for _ in range(self.random.randrange(1, 3)):
                self.call("POST", f"{SIMULATE}/{transaction}/void")

    def evaluate(self):
        wallet = self.random.randrange(2, WALLETS)
        query = f"wallet_id=wal_{wallet}&amount=1250&currency=EUR&mcc=5812&merchant_country=ES"
        self.call("GET", f"{SIMULATE}?{query}")

    def run(self, end):
        weights, actions = zip(*self.steps, strict=True)
        while time.monotonic() < end:
            self.random.choices(actions, weights)[0]()
            time.sleep(self.random.random() * PAUSE_S)


def main():
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    end = time.monotonic() + seconds
    callers = [
        threading.Thread(target=Caller(port, seed).run, args=(end,)) for seed in range(CALLERS)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()


if __name__ == "__main__":
    main()
