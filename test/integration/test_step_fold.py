"""Steps that share statements, with keys that another process wins meanwhile: a chain that breaks is
asked again in halves, and each key moves its money once.
"""

import threading

from harness.machine import in_threads
from harness.payments import new_key, problem
from harness.service import PATIENT
from harness.steps import amounts, capture, held

WALLETS, STEPS_EACH, PER_HOLD = 2, 120, 60
KEYS = 90
"""A hold takes no more than 100 steps."""
AGAIN = ("idempotency-in-flight", "wallet-busy", "overloaded", "deadline-exceeded")
TRIES_MAX = 200


def until_decided(process, transaction, key, decided=(201,)):
    """The answer to a capture of 1 that is sent again for as long as that is what it says."""
    pause = threading.Event()
    for _ in range(TRIES_MAX):
        answer = capture(process, transaction, 1, key=key)
        if answer.status in decided:
            return answer
        assert problem(answer) in AGAIN, answer
        pause.wait(0.02)
    raise AssertionError(f"not decided after {TRIES_MAX} tries")


def test_chains_of_steps_with_raced_keys_move_each_amount_once(service, start_service, book):
    """Every key is asked for in both processes at once, and all of them are of few holds."""
    processes = [service, start_service(PATIENT)]
    wallets = [book.wallet() for _ in range(WALLETS)]
    asked = []
    for wallet in wallets:
        for _ in range(STEPS_EACH // PER_HOLD):
            transaction = held(service, wallet, 1000)
            asked += [(transaction, new_key()) for _ in range(PER_HOLD)]

    def race(index):
        mine = asked[index // 2 :: 20]
        return [until_decided(processes[index % 2], *one) for one in mine]

    answers = in_threads(40, race)

    for pair in range(20):
        for first, second in zip(answers[2 * pair], answers[2 * pair + 1], strict=True):
            assert first.body == second.body
    for transaction in {transaction for transaction, _ in asked}:
        last = capture(service, transaction, 1)
        assert amounts(last) == {
            "authorised": 1000,
            "captured": PER_HOLD + 1,
            "open": 1000 - PER_HOLD - 1,
        }
    for process in processes:
        assert process.metrics().value("lane_folded_total", lane="step") > 0


def test_one_key_for_steps_of_two_holds_at_once_is_one_steps(service, start_service, book):
    """Each process has a wallet of its own, so neither finds the other's locked: they meet at the
    key, in the middle of a chain."""
    processes = [service, start_service(PATIENT)]
    holds = [held(process, book.wallet(), 1000) for process in processes]
    keys = [new_key() for _ in range(KEYS)]

    def race(index):
        side = index % 2
        return [
            until_decided(processes[side], holds[side], key, decided=(201, 422))
            for key in keys[index // 2 :: 20]
        ]

    answers = in_threads(40, race)

    for pair in range(20):
        for both in zip(answers[2 * pair], answers[2 * pair + 1], strict=True):
            assert sorted(answer.status for answer in both) == [201, 422], both
            reused = max(both, key=lambda answer: answer.status)
            assert problem(reused) == "idempotency-key-reused"
    captured = sum(
        amounts(capture(process, transaction, 1))["captured"]
        for process, transaction in zip(processes, holds, strict=True)
    )
    assert captured == KEYS + len(holds)
