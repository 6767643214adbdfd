"""Residency: a service never serves another region's data, and says why."""

from harness.machine import wait_until
from harness.payments import FOOD_MX, MEAL_ES, evaluate, new_key, payload, post, problem
from harness.service import PATIENT, SIMULATE

OTHER = {**PATIENT, "REGION": "mx-central-1", "DB_PROBE_INTERVAL_MS": "50"}


def mismatches(service):
    return service.events("region_mismatch")


def test_service_of_another_region_is_alive_but_never_ready(start_service):
    service = start_service(OTHER, ready=False)
    wait_until(lambda: mismatches(service), what="the log line")

    assert (service.probe("/livez"), service.probe("/readyz")) == (200, 503)


def test_mismatch_is_logged_once_and_names_both_regions(start_service):
    service = start_service(OTHER, ready=False)
    wait_until(lambda: mismatches(service), what="the log line")
    probes = service.metrics().value("db_query_duration_seconds_count", query="probe")
    wait_until(
        lambda: (
            service.metrics().value("db_query_duration_seconds_count", query="probe") >= probes + 3
        )
    )

    (line,) = mismatches(service)

    assert line["severity_text"] == "ERROR"
    assert (line["database.region"], line["configured.region"]) == ("eu-south-2", "mx-central-1")


def test_verbose_readiness_names_the_region(start_service):
    service = start_service(OTHER, ready=False)
    wait_until(lambda: mismatches(service), what="the log line")

    answer = service.call("GET", "/readyz?verbose", key=None)

    assert answer.status == 503
    assert "[-]region" in answer.text
    assert "[+]schema" in answer.text


def test_verbose_readiness_of_a_ready_service_is_all_good(service):
    text = service.call("GET", "/readyz?verbose", key=None).text

    assert "[-]" not in text
    assert all(f"[+]{part}" in text for part in ("db", "schema", "region"))


def test_wallet_of_another_region_is_declined(service, book):
    wallet = book.wallet(FOOD_MX)

    codes = [
        evaluate(service, wallet, program=FOOD_MX).json()["response_code"],
        post(service, payload(wallet, program=FOOD_MX), new_key()).json()["response_code"],
    ]

    assert codes == ["93", "93"]
    assert book.holds(wallet) == 0


def test_service_of_another_region_records_and_moves_nothing_of_this_one(start_service, book):
    wallet = book.wallet(MEAL_ES)
    service = start_service(OTHER, ready=False)
    wait_until(lambda: mismatches(service), what="the log line")
    wait_until(lambda: service.metrics().value("pool_breaker_state") == 0, what="a connection")

    answer = post(service, payload(wallet), new_key())

    assert (answer.status, problem(answer)) == (503, "wrong-region")
    assert answer.header("Retry-After") == "1"
    assert book.holds(wallet) == 0
    decided = "SELECT count(*) FROM pay.simulation WHERE wallet_id = %s"
    assert book.database.value(decided, wallet) == 0


def test_change_of_region_is_in_the_audit_log(start_service, book):
    service = start_service(OTHER, ready=False)
    wait_until(lambda: mismatches(service), what="the log line")

    book.database.run("UPDATE pay.region SET region = 'mx-central-1'")
    try:
        wait_until(service.ready)
    finally:
        book.database.run("UPDATE pay.region SET region = 'eu-south-2'")
    wait_until(lambda: len(mismatches(service)) == 2)

    lines = service.events("residency_guard")
    assert [line["result"] for line in lines] == ["shut", "open", "shut"]
    assert {line["event.category"] for line in lines} == {"audit"}
    assert [line["database.region"] for line in lines] == [
        "eu-south-2", "mx-central-1", "eu-south-2",
    ]  # fmt: skip
    assert {line["configured.region"] for line in lines} == {"mx-central-1"}


def test_readiness_of_another_region_follows_the_database(start_service, book):
    """Health is what the last probe saw, not what the first one saw."""
    service = start_service(OTHER, ready=False)
    wait_until(lambda: mismatches(service), what="the log line")

    book.database.run("UPDATE pay.region SET region = 'mx-central-1'")
    try:
        wait_until(service.ready)
    finally:
        book.database.run("UPDATE pay.region SET region = 'eu-south-2'")
    wait_until(lambda: service.probe("/readyz") == 503)


def test_stricter_isolation_is_never_ready(start_service, book):
    """Under SERIALIZABLE two holds of one wallet would fail instead of waiting for each other."""
    strict = book.database.url() + "?options=-c%20default_transaction_isolation%3Dserializable"
    service = start_service({**PATIENT, "DB_PROBE_INTERVAL_MS": "50"}, ready=False, url=strict)
    wait_until(
        lambda: service.metrics().value("db_query_duration_seconds_count", query="probe") > 0
    )

    assert (service.probe("/livez"), service.probe("/readyz")) == (200, 503)


def test_legacy_call_needs_the_reference_purchase(service):
    assert service.call("GET", SIMULATE).json()["status"] == "approved"
