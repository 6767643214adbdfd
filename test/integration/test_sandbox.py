"""The sandbox: what an intruder in the process would try is refused, what the service does is not.

That every feature works under it is what all the other tests show: it is on unless SECCOMP=0.
"""

import errno
import signal

import pytest

from harness.machine import BUILD, wait_until
from harness.payments import new_key, payload, post
from harness.service import PATIENT

LIBRARY = BUILD / "test" / "sandbox" / "libattempts.so"
# What each comes to where nothing forbids it.
UNBOUND = {
    "execve": errno.ENOENT,
    "execveat": errno.ENOENT,
    "ptrace": errno.ESRCH,
    "process_vm_readv": errno.ESRCH,
    "clone": errno.EINVAL,
    "kill": errno.ESRCH,
    "open_to_write": errno.ENOENT,
    "mprotect_exec": 0,
    "bind": errno.EBADF,
    "socket_of_another_family": errno.EAFNOSUPPORT,
}


def status_of(service, field):
    """What the kernel says of the process."""
    with open(f"/proc/{service.process.pid}/status", encoding="ascii") as lines:
        (value,) = [line.split(":")[1].strip() for line in lines if line.startswith(f"{field}:")]
    return int(value)


def attempts(service):
    def told():
        lines = [line for line in service.errors if line.startswith("attempts ")]
        return lines and lines[0]

    service.signal(signal.SIGUSR1)
    words = wait_until(told, what="the attempts' line").split()[1:]
    return {name: int(value) for name, value in (word.split("=") for word in words)}


@pytest.fixture
def start_intruded(start_service, possible):
    assert LIBRARY.exists(), f"{LIBRARY} is missing: build all"
    return lambda settings: start_service({**PATIENT, "LD_PRELOAD": LIBRARY, **settings})


@pytest.fixture(scope="module")
def possible(patient_service):
    """Not in builds whose runtime needs at the exit what the sandbox forbids."""
    (line,) = patient_service.events("started")
    if line["seccomp"] == 0:
        pytest.skip("this build cannot enter the sandbox")


def test_running_service_is_confined(service, possible):
    assert status_of(service, "Seccomp") == 2  # by a filter
    assert status_of(service, "NoNewPrivs") == 1


def test_what_an_intruder_would_try_is_refused(start_intruded, book):
    service = start_intruded({})
    wallet = book.wallet()

    found = attempts(service)

    print(found)
    assert found == {name: errno.EPERM for name in UNBOUND}
    assert post(service, payload(wallet), new_key()).status == 201


def test_without_it_nothing_of_that_is_refused(start_intruded):
    """So it is the filter that refused, and it can be switched off."""
    service = start_intruded({"SECCOMP": "0"})

    assert attempts(service) == UNBOUND
    assert (status_of(service, "Seccomp"), status_of(service, "NoNewPrivs")) == (0, 1)
    (line,) = service.events("started")
    assert line["seccomp"] == 0


def test_a_broken_invariant_still_ends_the_process(start_intruded):
    service = start_intruded({})

    service.signal(signal.SIGUSR2)

    assert service.wait(5) == -signal.SIGABRT
