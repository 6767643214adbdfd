"""The statement of the steps itself, on a real server: every answer it has, several steps of one
hold in one statement, two sessions at once, and limits that get back what they gave."""

import random
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from harness.machine import wait_until
from harness.payments import MEAL_ES, new_key
from harness.postgres import Database
from harness.service import migrate
from harness.statements import STOP, Hold, Session, Step, built, stopping

AMOUNT_MAX = 999_999_999_999
ROWS_MAX = 100
"""Ledger rows of a hold after its first: PAYMENT_STEPS_MAX."""
TWIN = 1_000_000
"""A wallet's twin has the same row, this much higher: one is folded, the other goes one by one."""
CASES, ROUNDS, BATCH_MAX, SEED = 24, 3, 32, 20260229


@pytest.fixture
def session():
    opened = []

    def open_one(database, make=built):
        opened.append(Session(database, make))
        return opened[-1]

    yield open_one
    for own in opened:
        own.connection.close()


@pytest.fixture
def own(database, session):
    return session(database)


def blocked(database):
    return wait_until(
        lambda: database.backends("wait_event_type = 'Lock'"), what="a statement that waits"
    )


def held(session, wallet, amount=1_000, **more):
    (answer,) = session.hold("hold_batch", [Hold(wallet, amount, **more)])
    assert (answer.how, answer.code) == ("new", "00")
    return answer.txn


def rows_of(database, hold):
    """(kind, amount, balance after) of a hold's ledger rows, in their order."""
    return database.rows(
        "SELECT kind::text, amount, balance_after FROM pay.transfer"
        " WHERE %s IN (txn_id, hold_id, pending_id) ORDER BY wallet_version",
        hold,
    )


def state_of(database, wallet):
    return database.rows(
        "SELECT balance, day_spent, day_count, month_spent FROM pay.wallet WHERE wallet_id = %s",
        wallet,
    )[0]


# ---- what each step does ----


def test_a_whole_life(database, book, own):
    wallet = book.wallet(balance=5_000)
    hold = held(own, wallet, 1_000)

    steps = [
        own.step("C", hold, 300),
        own.step("I", hold, 500),
        own.step("V", hold, 200),
        own.step("C", hold, 400, final=True),
        own.step("R", hold, 100),
        own.step("R", hold),
    ]

    assert {step.how for step in steps} == {"new"} and {step.code for step in steps} == {"00"}
    assert [step.amount for step in steps] == [300, 500, 200, 400, 100, 600]
    assert [step.amounts for step in steps] == [
        (1_000, 300, 0, 0, 0),
        (1_500, 300, 0, 0, 0),
        (1_500, 300, 200, 0, 0),
        (1_500, 700, 800, 0, 0),
        (1_500, 700, 800, 0, 100),
        (1_500, 700, 800, 0, 700),
    ]
    assert rows_of(database, hold) == [
        ("H", 1_000, 4_000),
        ("C", 300, 4_000),
        ("I", 500, 3_500),
        ("V", 200, 3_700),
        ("C", 400, 3_700),
        ("V", 600, 4_300),
        ("R", 100, 4_400),
        ("R", 600, 5_000),
    ]
    assert [step.balance for step in steps] == [4_000, 3_500, 3_700, 4_300, 4_400, 5_000]
    assert {(step.wallet, step.currency, step.mcc, step.hold) for step in steps} == {
        (wallet, "EUR", 5812, hold)
    }


def test_without_an_amount_a_step_takes_all_there_is(database, book, own):
    wallet = book.wallet(balance=5_000)
    captured, voided = held(own, wallet, 1_000), held(own, wallet, 700)
    own.steps([Step("C", captured, 1), Step("V", voided, 1)])

    steps = [own.step("C", captured), own.step("R", captured), own.step("V", voided)]

    assert [step.amount for step in steps] == [999, 1_000, 699]
    assert book.balance(wallet) == 5_000


def test_pending_id_stands_on_the_first_row_only(database, book, own):
    """By it a process of the version before knows that it has nothing to void here."""
    wallet = book.wallet(book.program(over_capture_bps=10_000))
    holds = {kind: held(own, wallet) for kind in "CVI"} | {"O": held(own, wallet)}
    for kind in "CVI":
        own.steps([Step(kind, holds[kind], 10), Step("V", holds[kind], 10)])
    own.step("C", holds["O"], 1_010)

    first = database.rows(
        "SELECT pending_id, array_agg(kind::text) FROM pay.transfer WHERE pending_id = ANY (%s)"
        " GROUP BY 1",
        list(holds.values()),
    )
    assert dict(first) == {hold: [kind] for kind, hold in holds.items()}


def test_replay_tells_what_is_on_record_whatever_came_after(book, own):
    hold = held(own, book.wallet())
    step = Step("C", hold, 300)
    (first,) = own.steps([step])
    own.step("V", hold)

    (again,) = own.steps([replace(step, txn=uuid.uuid4())])

    assert again == replace(first, how="replay")


def test_key_of_a_hold_is_a_replay_of_that_hold(book, own):
    wallet, key = book.wallet(), new_key()
    hold = held(own, wallet, key=key)

    answer = own.step("C", hold, 300, key=key)
    own.step("V", hold, key=(step_key := new_key()))
    (of_step,) = own.hold("hold_fold", [Hold(wallet, key=step_key)])

    assert (answer.how, answer.kind, answer.txn, answer.hold) == ("replay", "H", hold, None)
    assert answer.amounts == (None,) * 5
    assert (of_step.how, of_step.code) == ("replay", "00")


@pytest.mark.parametrize("kind", "CVIR")
def test_unknown_declined_and_anothers_holds_are_not_found(database, book, own, kind):
    wallet = book.wallet(balance=1_000)
    hold = held(own, wallet)
    step = own.step("C", hold, 1)
    (declined,) = own.hold("hold_batch", [Hold(wallet, 5_000)])

    answers = own.steps(
        [
            Step(kind, uuid.uuid4(), 1),
            Step(kind, declined.txn, 1),
            Step(kind, hold, 1, client=2),
            Step(kind, step.txn, 1),
        ]
    )

    assert {answer.how for answer in answers} == {"not_found"}
    assert book.decisions(wallet) == 3


RESOLVED = [
    # what came before, then the step that is refused, then the state that tells why
    ([("V", None)], "CVIR", ("voided",) * 4),
    ([("C", None)], "CVI", ("captured",) * 3),
    ([("C", None), ("R", None)], "CVIR", ("refunded",) * 4),
    ([("C", 100), ("V", None)], "CVI", ("captured",) * 3),
    ([("C", 100), ("R", None)], "R", ("refunded",)),
    ([("V", 100)], "R", ("open",)),
]


@pytest.mark.parametrize("before, refused, states", RESOLVED)
def test_step_in_the_wrong_state_is_told_the_state(book, own, before, refused, states):
    hold = held(own, book.wallet())
    for kind, amount in before:
        last = own.step(kind, hold, amount)

    answers = own.steps([Step(kind, hold, 1) for kind in refused])

    assert {answer.how for answer in answers} == {"resolved"}
    assert tuple(answer.state for answer in answers) == states
    assert {answer.amounts for answer in answers} == {last.amounts}


def test_hold_past_its_time_is_neither_captured_nor_incremented_but_voided(database, book, own):
    wallet = book.wallet(balance=1_000)
    hold, partly = held(own, wallet, 400), held(own, wallet, 400)
    own.step("C", partly, 100)
    database.run(
        "UPDATE pay.simulation SET expires_at = now() WHERE txn_id = ANY (%s)", [hold, partly]
    )

    answers = own.steps(
        [Step(kind, which, 1) for which in (hold, partly) for kind in "CI"]
        + [Step("R", partly), Step("V", partly), Step("V", hold)]
    )

    assert [(answer.how, answer.state) for answer in answers[:4]] == [("resolved", "expired")] * 4
    assert [answer.how for answer in answers[4:]] == ["new"] * 3
    assert book.balance(wallet) == 1_000


def test_hold_expires_when_its_program_says_or_sooner(database, book, own):
    wallet = book.wallet(book.program(hold_ttl_s=1_000))
    asked = {None: 1_000, 10: 10, 2_000: 1_000}

    holds = [Hold(wallet, 1, expires_in_s=limit) for limit in asked]
    apart = [*own.hold("hold_fold", holds)]
    for hold in holds:
        apart += own.hold("hold_batch", [replace(hold, key=new_key(), txn=uuid.uuid4())])
    (declined,) = own.hold("hold_batch", [Hold(wallet, 10**9)])
    step = own.step("C", apart[0].txn)

    told = {
        txn: (lasts and lasts.total_seconds())
        for txn, lasts in database.rows(
            "SELECT txn_id, expires_at - created_at FROM pay.simulation"
        )
    }
    assert [told[answer.txn] for answer in apart] == [*asked.values()] * 2
    assert told[declined.txn] is None and told[step.txn] is None


EXCEEDS = [("C", 1_000, 601, 600), ("V", 1_000, 601, 600), ("R", 1_000, 401, 400)]


@pytest.mark.parametrize("kind, amount, asked, limit", EXCEEDS)
def test_more_than_there_is_exceeds_and_names_the_limit(book, own, kind, amount, asked, limit):
    hold = held(own, book.wallet(), amount)
    last = own.step("C", hold, 400)

    answer = own.step(kind, hold, asked)

    assert (answer.how, answer.amount, answer.limit) == ("exceeds", asked, limit)
    assert answer.amounts == last.amounts
    assert own.step(kind, hold, limit).how == "new"


def test_over_capture_is_allowed_as_far_as_the_program_says(database, book, own):
    """A part of what was authorised, and of increments; floored; all captures together."""
    wallet = book.wallet(book.program(over_capture_bps=1_999), balance=5_000)
    hold = held(own, wallet, 1_003)
    own.step("I", hold, 2)
    most = 1_005 * 1_999 // 10_000

    tip, rest = own.step("C", hold, 1_005 + 50), own.step("C", hold)
    refused = own.step("C", held(own, wallet, 1_005), 1_005 + most + 1)
    second = held(own, wallet, 1_005)
    whole = own.step("C", second, 1_005 + most)

    assert (tip.amounts, rest.how, rest.state) == ((1_055, 1_055, 0, 0, 0), "resolved", "captured")
    assert (refused.how, refused.limit) == ("exceeds", 1_005 + most)
    assert whole.amounts == (1_005 + most, 1_005 + most, 0, 0, 0)
    assert rows_of(database, second)[1:] == [
        ("O", most, whole.balance),
        ("C", 1_005 + most, whole.balance),
    ]


def test_over_captures_of_one_hold_share_what_is_allowed(book, own):
    wallet = book.wallet(book.program(over_capture_bps=1_000), balance=5_000)
    hold = held(own, wallet, 1_000)
    own.step("C", hold, 1_060)
    own_limit = own.step("I", hold, 10)

    assert own_limit.how == "resolved"
    hold = held(own, wallet, 1_000)
    first, second = own.steps([Step("C", hold, 400), Step("C", hold, 701)])
    assert (first.how, second.how, second.limit) == ("new", "exceeds", 700)


def test_over_capture_takes_no_more_than_the_balance_and_asks_no_limit(book, own):
    program = book.program(over_capture_bps=10_000, txn_max=1_000, day_max=1_000, day_count_max=1)
    wallet = book.wallet(program, balance=1_300)
    hold = held(own, wallet, 1_000)

    refused, taken = own.step("C", hold, 1_301), own.step("C", hold, 1_300)

    assert (refused.how, refused.limit) == ("exceeds", 1_300)
    assert (taken.how, taken.balance) == ("new", 0)


def test_blocked_wallet_is_captured_voided_and_refunded_but_not_incremented(database, book, own):
    wallet = book.wallet()
    hold = held(own, wallet)
    database.run("UPDATE pay.wallet SET status = 'B' WHERE wallet_id = %s", wallet)

    answers = own.steps([Step("I", hold, 1), Step("C", hold, 1), Step("R", hold), Step("V", hold)])

    assert {answer.how for answer in answers} == {"new"}
    assert [answer.code for answer in answers] == ["62", "00", "00", "00"]


DECLINED = {
    "51": {"balance": 1_000},
    "61": {"txn_max": 1_000},
    "65": {"day_count_max": 1},
}


@pytest.mark.parametrize("code", DECLINED)
def test_declined_increment_is_on_record_and_leaves_the_hold_as_it_was(database, book, own, code):
    limits = dict(DECLINED[code])
    balance = limits.pop("balance", 100_000)
    wallet = book.wallet(book.program(**limits), balance=balance)
    hold = held(own, wallet)
    step = Step("I", hold, 1_001)

    (answer,) = own.steps([step])
    (again,) = own.steps([replace(step, txn=uuid.uuid4())])

    assert (answer.how, answer.code, answer.amount) == ("new", code, 1_001)
    assert answer.amounts == (1_000, 0, 0, 0, 0)
    assert again == replace(answer, how="replay")
    assert rows_of(database, hold) == [("H", 1_000, balance - 1_000)]
    assert own.step("C", hold).how == "new"


def test_increment_counts_against_the_limits_as_a_hold_does(database, book, own):
    wallet = book.wallet(book.program(day_max=1_500, day_count_max=2), balance=5_000)
    hold = held(own, wallet)

    codes = [step.code for step in own.steps([Step("I", hold, 501), Step("I", hold, 500)])]

    assert codes == ["61", "00"]
    assert state_of(database, wallet) == (3_500, 1_500, 2, 1_500)
    assert own.step("I", hold, 1).code == "65"


def test_amounts_of_a_hold_stay_within_twelve_digits(database, book, own):
    far = {name: 10**15 for name in ("txn_max", "day_max", "month_max")}
    wallet = book.wallet(book.program(over_capture_bps=10_000, **far), balance=3 * AMOUNT_MAX)
    hold = held(own, wallet, AMOUNT_MAX - 10)

    over = own.step("I", hold, 11), own.step("C", hold, AMOUNT_MAX)
    full = own.step("I", hold, 10), own.step("I", hold, 1)

    assert [(answer.how, answer.limit) for answer in over[:1]] == [("exceeds", 10)]
    assert (over[1].how, over[1].amounts[0]) == ("new", AMOUNT_MAX)
    assert [answer.how for answer in full] == ["resolved", "resolved"]


def test_hold_has_so_many_rows_and_can_then_still_be_voided_whole(database, book, own):
    hold = held(own, book.wallet())
    steps = [Step("CVI"[turn % 3], hold, 1) for turn in range(ROWS_MAX)]
    for first in range(0, ROWS_MAX, BATCH_MAX):
        answers = own.steps(steps[first : first + BATCH_MAX])
        assert {answer.how for answer in answers} == {"new"}

    answers = own.steps([Step(kind, hold, 1) for kind in "CVIR"] + [Step("V", hold, 10**6)])
    whole = own.step("V", hold)

    assert [answer.how for answer in answers] == ["too_many"] * 4 + ["exceeds"]
    assert (whole.how, len(rows_of(database, hold))) == ("new", ROWS_MAX + 2)


def test_late_step_writes_nothing_and_its_key_stays_free(book, own):
    wallet = book.wallet()
    hold, key = held(own, wallet), new_key()

    late = own.step("V", hold, key=key, budget_us=-1)

    assert (late.how, book.decisions(wallet)) == ("late", 1)
    assert own.step("V", hold, key=key).how == "new"


def test_other_regions_database_has_no_row(database, book, own):
    hold = held(own, book.wallet())
    own.connection.execute("BEGIN")
    with database.connect() as admin:
        region = admin.execute("SELECT region FROM pay.region").fetchone()[0]
        admin.execute("UPDATE pay.region SET region = 'mx-central-1'")
        try:
            with pytest.raises(AssertionError):
                own.step("V", hold)
        finally:
            admin.execute("UPDATE pay.region SET region = %s", [region])
    own.connection.execute("ROLLBACK")
    assert own.step("V", hold).how == "new"


# ---- limits get back what they gave ----


@pytest.fixture
def limits(cluster, binary):
    """A database of its own: what is set by hand here, no ledger explains."""
    own = Database(cluster, f"step_limits_{uuid.uuid4().hex[:8]}")
    own.create()
    migrate(own)
    own.run(
        "INSERT INTO pay.program VALUES (1, 'eu-south-2', 'ES', 'meal', 'EUR', 'Europe/Madrid',"
        " 1000000, 1000000, 1000000, 1000, -1);"
        " INSERT INTO pay.program_mcc VALUES (1, 5812);"
        " INSERT INTO pay.wallet (wallet_id, program_id, valid_thru, balance)"
        " VALUES (1, 1, '2099-12-31', 100000)"
    )
    return own


def age(database, hold, days):
    """As if all that happened to the hold so far had been so many days ago."""
    database.run(
        "UPDATE pay.transfer SET created_at = created_at - %s WHERE %s IN (txn_id, hold_id)",
        timedelta(days=days),
        hold,
    )


def today(database):
    return database.value("SELECT (now() AT TIME ZONE 'Europe/Madrid')::date")


def set_counters(database, **columns):
    words = ", ".join(f"{name} = %s" for name in columns)
    database.run(f"UPDATE pay.wallet SET {words}", *columns.values())


def test_void_after_the_counters_were_reset_gives_the_money_back(limits, session):
    own = session(limits)
    holds = [held(own, 1) for _ in range(3)]
    set_counters(limits, day_spent=0, day_count=0, month_spent=500)

    answers = own.steps([Step("V", hold) for hold in holds])

    assert {answer.how for answer in answers} == {"new"}
    assert state_of(limits, 1) == (100_000, 0, 0, 0)


def test_void_gives_the_limits_back_and_the_count_when_nothing_was_used(limits, session):
    own = session(limits)
    hold, other, partly = held(own, 1, 1_000), held(own, 1, 10), held(own, 1, 500)
    own.step("I", hold, 100)

    own.step("V", hold, 300)
    assert state_of(limits, 1)[1:] == (1_310, 4, 1_310)
    own.step("V", hold)
    assert state_of(limits, 1)[1:] == (510, 3, 510)
    own.steps([Step("C", other), Step("R", other), Step("C", partly, 200, final=True)])
    assert state_of(limits, 1)[1:] == (210, 3, 210)


def test_hold_of_another_day_gives_back_to_the_month_only(limits, session):
    own = session(limits)
    hold, new = held(own, 1, 1_000), held(own, 1, 10)
    day = today(limits)
    back = 1 if day.day > 1 else 0
    age(limits, hold, back or 40)

    own.step("I", hold, 50)
    own.step("V", hold)

    month = 1_010 if back == 0 else 10
    assert state_of(limits, 1)[1:] == (1_010, 3, month)
    assert own.step("V", new).how == "new"
    assert state_of(limits, 1)[1:3] == (1_000, 2)


def test_hold_of_another_month_gives_nothing_back_but_the_money(limits, session):
    own = session(limits)
    hold = held(own, 1, 1_000)
    age(limits, hold, 40)

    own.step("V", hold)

    assert state_of(limits, 1) == (100_000, 1_000, 1, 1_000)


def test_days_only_move_forward(limits, session):
    """A wallet whose day lies ahead is decided in that day, by holds and steps."""
    own = session(limits)
    ahead = today(limits) + timedelta(days=1)
    set_counters(limits, day=ahead, day_spent=999_000, day_count=5, month_spent=999_000)

    (over,) = own.hold("hold_batch", [Hold(1, 1_001)])
    hold = held(own, 1, 900)
    increments = own.steps([Step("I", hold, 101), Step("I", hold, 100)])
    own.step("V", hold, 50)

    assert over.code == "61"
    assert [step.code for step in increments] == ["61", "00"]
    assert limits.value("SELECT day FROM pay.wallet") == ahead


def test_counters_of_days_gone_by_are_no_ones(limits, session):
    own = session(limits)
    hold = held(own, 1, 900)
    age(limits, hold, 40)
    set_counters(limits, day=today(limits) - timedelta(days=40))

    own.step("I", hold, 100)

    assert state_of(limits, 1)[1:] == (100, 1, 100)
    assert limits.value("SELECT day FROM pay.wallet") == today(limits)


# ---- several steps in one statement: as one by one ----


def make_twins(database, draw):
    """Programs with limits that a few holds reach, wallets, and their twins."""
    for number in range(1, 11):
        database.run(
            "INSERT INTO pay.program VALUES (%s,'eu-south-2','ES','meal','EUR','Europe/Madrid',"
            "%s,%s,%s,%s,%s,%s,%s)",
            number,
            draw.choice([100, 100, 10**9]),
            draw.choice([400, 10**9]),
            draw.choice([600, 10**9]),
            draw.choice([4, 6, 10**9]),
            -number,
            draw.choice([60, 604_800]),
            draw.choice([0, 1_000, 10_000]),
        )
        database.run("INSERT INTO pay.program_mcc VALUES (%s, 5812)", number)
    for number in range(1, CASES * 3 + 1):
        row = draw.randint(1, 10), draw.choice([90, 250, 700, 10**9])
        for wallet in (number, number + TWIN):
            database.run(
                "INSERT INTO pay.wallet (wallet_id, program_id, valid_thru, balance)"
                " VALUES (%s, %s, '2099-12-31', %s)",
                wallet,
                *row,
            )


def make_holds(session, draw, wallets):
    """Holds of wallets and their twins: {hold: its twin}, in an order of ids that both share."""
    twins = {}
    for wallet in wallets * 2:
        low, amount = uuid.uuid4(), draw.choice([10, 40, 100])
        for shift, txn in ((0, low), (TWIN, (high := uuid.UUID(int=low.int ^ 1)))):
            session.hold("hold_batch", [Hold(wallet + shift, amount, txn=txn)])
        twins[low] = high
    return twins


def draw_step(draw, holds, earlier):
    if earlier and draw.random() < 0.1:
        return replace(draw.choice(earlier), txn=uuid.uuid4())
    kind = draw.choice("CCVVIIR")
    amount = draw.choice([1, 5, 5, 20, 50, 110])
    return Step(
        kind,
        draw.choice(holds) if draw.random() < 0.97 else uuid.uuid4(),
        amount if kind == "I" or draw.random() < 0.8 else None,
        final=draw.random() < 0.2,
        key=None if kind == "V" and draw.random() < 0.3 else new_key(),
        budget_us=draw.choice([60_000_000] * 20 + [-1]),
    )


def one_by_one(session, steps, twins, wallets):
    """What the twins answer, each wallet's holds in turn, as the statement takes them."""
    order = sorted(
        range(len(steps)), key=lambda at: (wallets.get(steps[at].hold, 0), steps[at].hold, at)
    )
    answers = [None] * len(steps)
    for at in order:
        step = steps[at]
        (answers[at],) = session.steps(
            [
                replace(
                    step,
                    hold=twins.get(step.hold, step.hold),
                    key=step.key and "twin-" + step.key,
                    txn=uuid.uuid4(),
                )
            ]
        )
    return answers


def comparable(answer, shift=0):
    wallet = answer.wallet - shift if answer.wallet is not None else None
    told = (answer.how, answer.kind, answer.code, answer.amount, answer.balance, answer.amounts)
    return *told, answer.limit, answer.state, wallet


def test_fold_answers_and_writes_what_its_steps_would_one_by_one(limits, session):
    draw = random.Random(SEED)
    limits.run("DELETE FROM pay.program_mcc; DELETE FROM pay.wallet; DELETE FROM pay.program")
    make_twins(limits, draw)
    own, other = session(limits), session(limits)
    seen = defaultdict(int)

    for case in range(CASES):
        wallets = [case * 3 + place for place in (1, 2, 3)][: draw.choice([1, 2, 3])]
        twins = make_holds(own, draw, wallets)
        of_hold = dict(limits.rows("SELECT txn_id, wallet_id FROM pay.simulation"))
        earlier = []
        for _ in range(ROUNDS):
            count = draw.randint(1, BATCH_MAX)
            drawn = [draw_step(draw, list(twins), earlier) for _ in range(count)]
            steps = list({step.key or step.txn: step for step in drawn}.values())
            locked = [wallet for wallet in wallets if draw.random() < 0.1]
            with other.connection.transaction():
                other.lock(locked + [wallet + TWIN for wallet in locked])
                expected = one_by_one(own, steps, twins, of_hold)
                answers = own.steps(steps)
            told = [comparable(answer) for answer in answers]
            assert told == [comparable(answer, TWIN) for answer in expected], (case, steps)
            done = [step for step, answer in zip(steps, answers) if answer.how == "new"]
            earlier += [step for step in done if step.key]
            for answer in answers:
                seen[answer.how, answer.kind, answer.code] += 1

    assert unequal_twins(limits) == []
    assert {("new", kind, "00") for kind in "CVIR"} <= set(seen)
    assert {("new", "I", code) for code in ("51", "61", "65")} <= set(seen)
    hows = {how for how, _, _ in seen}
    assert hows >= {"new", "replay", "busy", "late", "not_found", "resolved", "exceeds"}


def unequal_twins(database):
    """Wallets, ledgers and records that differ between the folded and their twins."""
    return database.rows(
        f"""WITH side AS (
          SELECT w.wallet_id % {TWIN} AS wallet, w.wallet_id < {TWIN} AS folded,
                 to_jsonb(w) - 'wallet_id' AS state,
                 (SELECT jsonb_agg(jsonb_build_array(t.wallet_version, t.amount, t.balance_after,
                                                     t.kind, t.pending_id IS NULL)
                                   ORDER BY t.wallet_version)
                    FROM pay.transfer t
                   WHERE greatest(t.debit_account, t.credit_account) = w.wallet_id) AS ledger,
                 (SELECT jsonb_agg(jsonb_build_array(s.code, s.effect, s.amount, s.balance_after,
                                                     s.captured, s.released, s.refunded)
                                   ORDER BY s.code, s.effect, s.amount, s.balance_after, s.captured,
                                            s.released, s.refunded)
                    FROM pay.simulation s WHERE s.wallet_id = w.wallet_id) AS records
            FROM pay.wallet w)
        SELECT wallet FROM (SELECT wallet, state, ledger, records FROM side GROUP BY 1, 2, 3, 4
                            HAVING count(*) <> 2) odd"""
    )


# ---- two sessions ----


def test_step_of_a_locked_wallet_is_busy_at_once_and_the_others_go_on(database, book, session):
    locked, free = book.wallet(), book.wallet()
    other, own = session(database), session(database)
    holds = [held(own, locked), held(own, free)]

    with other.connection.transaction():
        other.lock([locked])
        answers = own.steps([Step("V", hold) for hold in holds])

    assert [(answer.how, answer.wallet) for answer in answers] == [("busy", locked), ("new", free)]
    assert book.decisions(locked) == 1


def test_wallet_that_changed_after_the_snapshot_is_busy(database, book, session):
    """The sums would be older than the row: a hold that is resolved would be resolved again."""
    changed, same = book.wallet(balance=1_000), book.wallet(balance=1_000)
    own, other = session(database, stopping), session(database)
    holds = [held(other, changed, 400), held(other, same, 400)]

    with database.connect() as gate, ThreadPoolExecutor(1) as pool:
        gate.execute("SELECT pg_advisory_lock(%s)", [STOP])
        answers = pool.submit(own.steps, [Step("V", hold) for hold in holds])
        blocked(database)
        assert other.step("C", holds[0]).how == "new"
        gate.execute("SELECT pg_advisory_unlock(%s)", [STOP])

        assert [answer.how for answer in answers.result()] == ["busy", "new"]
    assert other.step("V", holds[0]).state == "captured"


def claimed_meanwhile(database, session, own_hold, steps, key):
    """Runs the steps while another session claims `key` and commits as soon as they wait for it."""
    other, own = session(database), session(database)
    with ThreadPoolExecutor(1) as pool:
        with other.connection.transaction():
            assert other.step("I", own_hold, 1, key=key).how == "new"
            answers = pool.submit(own.steps, steps)
            blocked(database)
        return own, answers


def test_statement_fails_whole_when_the_key_of_a_step_is_lost(database, book, session, own):
    wallet, key = book.wallet(), new_key()
    hold, elsewhere = held(own, wallet), held(own, book.wallet())
    steps = [Step("C", hold, 10), Step("C", hold, 20, key=key), Step("C", hold, 30)]

    again, answers = claimed_meanwhile(database, session, elsewhere, steps, key)

    with pytest.raises(psycopg.errors.DivisionByZero):
        answers.result()
    assert len(rows_of(database, hold)) == 1
    assert [answer.how for answer in again.steps(steps)] == ["new", "replay", "new"]


def test_declined_increment_whose_key_is_lost_is_told_what_won(database, book, session, own):
    wallet, key = book.wallet(balance=1_000), new_key()
    hold, elsewhere = held(own, wallet), held(own, book.wallet())
    steps = [Step("C", hold, 10), Step("I", hold, 20, key=key), Step("C", hold, 30)]

    _, answers = claimed_meanwhile(database, session, elsewhere, steps, key)

    told = [(answer.how, answer.code, answer.hold) for answer in answers.result()]
    assert told == [("new", "00", hold), ("race", "00", elsewhere), ("new", "00", hold)]


def test_wait_for_a_key_ends_with_the_sessions_limit(database, book, session, own):
    hold, elsewhere, key = held(own, book.wallet()), held(own, book.wallet()), new_key()
    other = session(database)

    with other.connection.transaction():
        other.step("V", elsewhere, key=key)
        own.connection.execute("SET lock_timeout = '5ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            own.step("C", hold, key=key)

    assert rows_of(database, hold) == [("H", 1_000, 99_000)]
    assert own.step("C", hold).how == "new"


def test_wallets_of_two_programs_share_a_statement(book, own):
    wallets = [book.wallet(MEAL_ES), book.wallet(book.program(over_capture_bps=10_000))]
    holds = [held(own, wallet) for wallet in wallets]

    answers = own.steps([Step("C", hold, 1_001) for hold in holds])

    assert [(answer.how, answer.limit) for answer in answers] == [("exceeds", 1_000), ("new", None)]
