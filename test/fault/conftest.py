"""A service that is going to be hurt, and what must be true of it when the test is over."""

import pytest

from harness.gate import Gate
from harness.machine import wait_until


def at_rest(service):
    metrics = service.metrics()
    return (
        metrics.value("http_requests_in_flight") == 0
        and metrics.value("db_queue_depth") == 0
        and metrics.value("lane_in_flight") == 0
        and metrics.value("pool_connections", state="busy") == 0
    )


@pytest.fixture
def start_victim(start_service, book, gate):
    """start_victim(settings, url=None): a service that must come back to rest: ready by itself,
    nothing waiting or in flight, every descriptor given back."""
    victims = []

    def start(settings=None, url=None):
        service = start_service(settings, url=url)
        wait_until(lambda: service.metrics().value("pool_connections", state="idle") == 6)
        victims.append((service, service.descriptors()))
        return service

    yield start
    for service, descriptors in victims:
        wait_until(service.ready, 5, "readiness after the fault")
        wait_until(lambda: at_rest(service), 5, "rest after the fault")
        wait_until(
            lambda: service.descriptors() <= descriptors, 5, "the descriptors before the fault"
        )


@pytest.fixture
def gate(cluster):
    with Gate(cluster.port) as own:
        yield own


@pytest.fixture
def durable(database):
    """Commits that wait for the disk, as they do wherever money is kept."""

    def set_to(value):
        database.run(f"ALTER SYSTEM SET fsync = {value}")
        database.run("SELECT pg_reload_conf()")
        wait_until(lambda: database.value("SHOW fsync") == value)

    set_to("on")
    yield
    set_to("off")
