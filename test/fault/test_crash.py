"""Service and clients die at the worst moment; whoever comes back finds one decision per key."""

from harness.faults import hold_up, waits_in_server
from harness.http import Closed
from harness.machine import in_threads, wait_until
from harness.payments import hold_bytes, new_key, payload, post
from harness.service import PATIENT, Service

ROUNDS, HOLDS_PER_ROUND = 20, 5


def send_holds(service, wallets, keys):
    """Puts all of them on the wire; returns their connections."""
    connections = [service.connect() for _ in keys]
    for connection, wallet, key in zip(connections, wallets, keys):
        connection.send(hold_bytes(wallet, key))
    return connections


def answers_of(connections):
    told = []
    for connection in connections:
        with connection:
            try:
                told.append(connection.response().status)
            except Closed:
                told.append(None)
    return told


def test_killed_service_leaves_exactly_one_debit_per_key(database, book):
    """kill -9 after a moving number of answers; then every key is retried at a new process."""
    wallets = [book.wallet(balance=10**6) for _ in range(HOLDS_PER_ROUND)]
    doomed = Service(database.url(), PATIENT)
    for number in range(ROUNDS):
        doomed.start()
        keys = [new_key() for _ in wallets]
        connections = send_holds(doomed, wallets, keys)
        told = answers_of(connections[: number % HOLDS_PER_ROUND])
        doomed.kill()
        answers_of(connections[number % HOLDS_PER_ROUND :])
        assert set(told) <= {201}

        survivor = Service(database.url(), PATIENT).start()
        retried = in_threads(
            len(keys), lambda index: post(survivor, payload(wallets[index]), keys[index]).status
        )
        survivor.stop()

        assert retried == [201] * len(keys)
    assert [book.holds(wallet) for wallet in wallets] == [ROUNDS] * len(wallets)


def test_client_that_resets_while_its_hold_is_decided_has_it_recorded_once(
    start_service, database, book
):
    service = start_service(PATIENT)
    wallet, key = book.wallet(balance=1000), new_key()
    with database.connect() as other:
        hold_up(other, "server", wallet)
        connection = service.connect()
        connection.send(hold_bytes(wallet, key))
        wait_until(lambda: waits_in_server(database))
        connection.reset()
        wait_until(lambda: service.metrics().value("http_connection_states", state="orphan") == 1)
        other.execute("COMMIT")

    wait_until(lambda: book.decisions(wallet) == 1)
    again = post(service, payload(wallet), key)

    assert (again.status, again.header("Idempotent-Replayed")) == (201, "true")
    assert (book.balance(wallet), book.holds(wallet)) == (900, 1)
    wait_until(lambda: service.metrics().value("http_requests_in_flight") == 0)


def test_clients_that_reset_at_random_moments_leave_whole_books(start_service, book):
    service = start_service(PATIENT)
    before = service.descriptors()
    wallets = [book.wallet(balance=10**6) for _ in range(8)]

    def break_off(index):
        for _ in range(25):
            connection = service.connect()
            data = hold_bytes(wallets[index], new_key())
            connection.send(data[:-1] if index % 4 == 0 else data)
            if index % 2:
                connection.silent(0.0005 * index)
            connection.reset()

    in_threads(8, break_off)

    wait_until(lambda: service.metrics().value("http_requests_in_flight") == 0)
    wait_until(lambda: service.descriptors() <= before)
    assert [book.decisions(wallet) for wallet in wallets] == [
        book.holds(wallet) for wallet in wallets
    ]
    assert service.alive()


def test_client_that_half_closes_gets_its_answer(start_service, book):
    service = start_service(PATIENT)
    with service.connect() as connection:
        connection.send(hold_bytes(book.wallet(), new_key()))
        connection.half_close()

        assert connection.response().status == 201
