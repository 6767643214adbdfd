"""Load of several kinds at once by the bench's client, each kind counted apart.

The client is a program of its own, so that load is neither slow nor noisy; what it sends is a
script written here, one request a line, and what it got is read from its log.
"""

import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from harness.machine import BUILD, OUT, seconds
from harness.payments import MEAL_ES, new_key, payload
from harness.service import API_KEY, SIMULATE, WALLET_PATH

PROGRAM = BUILD / "test" / "bench" / "mixed_load"
SPARE_S = 30


@dataclass
class Kind:
    """One kind of load. With a rate: due at a Poisson process's times, whatever becomes of the
    others. Without: each connection sends its next `think_ms` after its answer, `pause_ms` later
    when that was not 2xx."""

    name: str
    port: int
    lines: list
    rate: float = 0
    connections: int = 16
    think_ms: float = 0
    pause_ms: float = 0
    once: bool = False


def line(method, path, key="", body=None):
    return "\t".join((method, path, key, "" if body is None else json.dumps(body)))


def hold_lines(wallets, amount=100, program=MEAL_ES, key=None):
    """A hold on each wallet in turn, every one with a key of its own unless `key` is given."""
    pattern = key or new_key() + "-{n}"
    return [
        line("POST", SIMULATE, pattern, payload(wallet, amount, program)) for wallet in wallets
    ]


def evaluate_lines(wallets):
    return [line("POST", SIMULATE, "", payload(wallet, effect="evaluate")) for wallet in wallets]


def find_lines(transaction_ids):
    return [line("GET", f"{SIMULATE}/{transaction_id}") for transaction_id in transaction_ids]


def wallet_lines(wallets):
    """What each wallet has and holds: a sum over its newest ledger rows, and a short answer."""
    return [line("GET", f"{WALLET_PATH}/wal_{wallet}") for wallet in wallets]


def void_lines(transaction_ids):
    return [
        line("POST", f"{SIMULATE}/{transaction_id}/void") for transaction_id in transaction_ids
    ]


def step_lines(step, transaction_ids, body=None):
    """A step of each hold in turn, every one with a key of its own."""
    pattern = new_key() + "-{n}"
    return [
        line("POST", f"{SIMULATE}/{transaction_id}/{step}", pattern, body)
        for transaction_id in transaction_ids
    ]


READY_LINES = [line("GET", "/readyz")]


@dataclass
class Answer:
    key: str
    status: int
    """0: the connection ended instead."""
    due_s: float
    """Since the start of the counted time; below 0 in the warm-up."""
    took_ms: float
    body: bytes

    def json(self):
        return json.loads(self.body)

    def problem(self):
        """The slug of a problem; '' of anything else."""
        return self.json()["type"].rpartition(":")[2] if self.status >= 400 else ""


@dataclass
class Counted:
    """What one kind of load got. Several runs add up."""

    offered: int = 0
    answers: list = field(default_factory=list)
    """Of the counted time."""
    every: list = field(default_factory=list)
    """Those of the warm-up, too."""

    def __iadd__(self, other):
        self.offered += other.offered
        self.answers += other.answers
        self.every += other.every
        return self

    def statuses(self):
        counts = {}
        for answer in self.answers:
            counts[answer.status] = counts.get(answer.status, 0) + 1
        return dict(sorted(counts.items()))

    def share(self, *classes):
        """Of what was offered, how much was answered with such a status (2: any 2xx)."""
        answered = sum(answer.status // 100 in classes for answer in self.answers)
        return answered / max(self.offered, 1)

    def percentile_ms(self, percent, chosen=lambda answer: answer.status // 100 == 2):
        """Nearest rank, of the answers chosen (2xx); 0 when there are none."""
        times = sorted(answer.took_ms for answer in self.answers if chosen(answer))
        if not times:
            return 0.0
        return times[max(-(-len(times) * percent // 100), 1) - 1]

    def __str__(self):
        return (
            f"offered {self.offered}, answered {self.statuses()}, 2xx"
            f" {100 * self.share(2):.1f} %, p50 {self.percentile_ms(50):.2f} ms,"
            f" p99 {self.percentile_ms(99):.2f} ms"
        )


def words(kind, folder, is_logged):
    """The client's argument for this kind of load; its script and its log lie in the folder."""
    script, log = (Path(folder) / f"{kind.name}.{what}" for what in ("script", "log"))
    script.write_text("".join(f"{text}\n" for text in kind.lines), encoding="ascii")
    return (
        f"name={kind.name},port={kind.port},script={script},rate={kind.rate},"
        f"connections={kind.connections},think_ms={kind.think_ms},pause_ms={kind.pause_ms},"
        f"once={int(kind.once)}" + (f",log={log}" if is_logged else "")
    )


class Running:
    """Load under way; result() waits for its end: {name: Counted}."""

    def __init__(self, kinds, lasting_s, warmup_s, api_key):
        OUT.mkdir(parents=True, exist_ok=True)
        self.folder = tempfile.TemporaryDirectory(prefix="load-", dir=OUT)
        self.kinds = kinds
        self.limit_s = lasting_s + warmup_s + SPARE_S
        self.process = subprocess.Popen(
            [str(PROGRAM), str(lasting_s), str(warmup_s)]
            + [words(kind, self.folder.name, True) for kind in kinds],
            env={"API_SECRET_KEY": api_key},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def result(self):
        with self.folder:
            try:
                out, err = self.process.communicate(timeout=seconds(self.limit_s))
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()
                raise
            assert self.process.returncode == 0, err.decode()
            told = json.loads(out)["classes"]
            return {
                kind.name: self._counted(kind, told[kind.name]["offered"]) for kind in self.kinds
            }

    def _counted(self, kind, offered):
        log = Path(self.folder.name) / f"{kind.name}.log"
        every = list(_entries(log.read_bytes()))
        return Counted(offered, [answer for answer in every if answer.due_s >= 0], every)


def _entries(log):
    at = 0
    while at < len(log):
        ends = []
        for _ in range(5):
            ends.append(log.index(b"\t", ends[-1] + 1 if ends else at))
        key, status, due_us, took_us, length = log[at : ends[-1]].split(b"\t")
        at = ends[-1] + 1 + int(length)
        yield Answer(
            key.decode(),
            int(status),
            int(due_us) / 1e6,
            int(took_us) / 1e3,
            log[at - int(length) : at],
        )


def start_load(kinds, lasting_s, warmup_s=0.3, api_key=API_KEY):
    assert PROGRAM.exists(), f"{PROGRAM} is missing: it is built with the tests"
    return Running(kinds, lasting_s, warmup_s, api_key)


def run_load(kinds, lasting_s, warmup_s=0.3, api_key=API_KEY):
    return start_load(kinds, lasting_s, warmup_s, api_key).result()


def send_all(port, lines, connections=16, limit_s=60):
    """Every line once, its answers in any order."""
    return run_load(
        [Kind("all", port, lines, connections=connections, once=True)], limit_s, 0
    )["all"]
