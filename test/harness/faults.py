"""What the fault tests share: load that remembers, clients that retry, and knives."""

import threading

from harness.http import Closed
from harness.machine import seconds, wait_until
from harness.payments import new_key, payload, post

BUDGET_S = 0.1
NOTICE_S = 0.25
"""What a loaded machine may add to a deadline before a test calls it missed."""

LOCK_WALLET = "SELECT 1 FROM pay.wallet WHERE wallet_id = %s FOR UPDATE"
"""A hold of this wallet waits in the service's memory."""
LOCK_DECISIONS = "LOCK TABLE pay.simulation IN SHARE MODE"
"""Every hold's statement waits in the server; who only reads goes on."""
SESSIONS = 7
"""A service's own: those of its pool, and the probe's."""
OF_PROBE = "application_name LIKE '%% probe'"
NO_PROBES = {"DB_PROBE_INTERVAL_MS": "60000"}


def post_until_created(service, wallet, key, amount=100, limit=10):
    """What a client does after an unknown outcome: the same key again until there is a decision."""

    def created():
        try:
            answer = post(service, payload(wallet, amount), key)
        except (OSError, Closed):
            return None
        return answer if answer.status == 201 else None

    return wait_until(created, limit, "a decision on retry")


def closed_connections(service):
    return service.metrics().value("pool_closed_total")


def waits_in_memory(service):
    """A hold or void of this service waits for a wallet that somebody else has locked."""
    return service.metrics().value("lane_parked_wallets") > 0


def waits_in_server(database):
    """The backends of statements that wait for a lock."""
    return database.backends("wait_event_type = 'Lock'")


def hold_up(other, where, wallet):
    """A transaction in session `other` makes holds of this wallet wait, in "memory" or "server"."""
    other.execute("BEGIN")
    if where == "memory":
        other.execute(LOCK_WALLET, (wallet,))
    else:
        other.execute(LOCK_DECISIONS)


def is_held_up(service, database, where):
    return waits_in_memory(service) if where == "memory" else waits_in_server(database)


def terminate(database, pids):
    for pid in pids:
        database.run("SELECT pg_terminate_backend(%s)", pid)


class Load:
    """Holds, one after another from several threads, until stopped; remembers what it was told."""

    def __init__(self, service, wallets):
        self.service = service
        self.told = []
        self.stopping = threading.Event()
        self.threads = [
            threading.Thread(target=self._run, args=(wallet,), daemon=True) for wallet in wallets
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: len(self.told) > 20, what="load")
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(seconds(10))

    def _run(self, wallet):
        while not self.stopping.is_set():
            key = new_key()
            answer = post(self.service, payload(wallet, 1), key)
            self.told.append((wallet, key, answer.status))
            if answer.status != 201:
                self.stopping.wait(0.01)

    def statuses(self):
        return {status for _, _, status in self.told}


KILL_EVERY_S = 0.25


class Killer(threading.Thread):
    """Ends backends of the service, one after another, whatever they are doing."""

    def __init__(self, database, chance):
        super().__init__(daemon=True)
        self.database = database
        self.chance = chance
        self.stopping = threading.Event()
        self.killed = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join(seconds(10))

    def run(self):
        while not self.stopping.wait(KILL_EVERY_S):
            busy = self.database.backends("state = 'active'") or self.database.backends()
            if busy:
                pid = self.chance.choice(busy)
                self.database.run("SELECT pg_terminate_backend(%s)", pid)
                self.killed += 1


def own_backends(gate, database):
    """The backends behind this test's gate: those of the shared service have other peers."""
    return _backends_behind(gate, database, "true")


def own_pool_backends(gate, database):
    """Of them, those that work for callers."""
    return _backends_behind(gate, database, f"NOT {OF_PROBE}")


def own_probe_backends(gate, database):
    return _backends_behind(gate, database, OF_PROBE)


def _backends_behind(gate, database, where):
    ports = [link.server.getsockname()[1] for link in gate.all_links()]
    return [
        row[0]
        for row in database.rows(
            f"SELECT pid FROM pg_stat_activity WHERE client_port = ANY(%s) AND {where}", ports
        )
    ]


def full_again(service, connects):
    """The pool is whole, after at least so many connects."""
    metrics = service.metrics()
    up = sum(metrics.value("pool_connections", state=state) for state in ("idle", "busy"))
    return up == 6 and metrics.value("pool_connects_total") >= connects
