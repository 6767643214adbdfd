"""The sandbox: what an intruder in the process would try is refused, what the service does is not.

That every feature works under it is what all the other tests show: it is on unless SECCOMP=0.
"""

import errno
import os
import signal
import subprocess

import pytest

from harness.faults import SESSIONS, terminate
from harness.machine import BUILD, wait_until
from harness.payments import new_key, payload, post
from harness.service import PATIENT, Service, run_command

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
    if line.get("seccomp") == 0:
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


def test_kernel_that_takes_no_filter_ends_the_start_unless_told_to_do_without(database, possible):
    """A wall that was asked for and is not there must not be found out later."""
    preloaded = {"LD_PRELOAD": LIBRARY.with_name("libno_seccomp.so")}
    settings = Service(database.url(), preloaded).settings

    refused = run_command("serve", settings=settings)

    assert refused.returncode == 1
    assert "cannot start: seccomp (SECCOMP=0 does without): Invalid argument" in refused.stderr


def test_a_broken_invariant_still_ends_the_process(start_intruded):
    service = start_intruded({})

    service.signal(signal.SIGUSR2)

    assert service.wait(5) == -signal.SIGABRT


@pytest.fixture
def encrypted(database, tmp_path):
    """The cluster speaks TLS; gives the file of the authority that signed for localhost."""
    certificate, key = database.cluster.data / "server.crt", database.cluster.data / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    owner = database.cluster.data.stat()
    for file in (certificate, key):
        os.chown(file, owner.st_uid, owner.st_gid)
        file.chmod(0o600)
    authority = tmp_path / "authority.pem"
    authority.write_bytes(certificate.read_bytes())
    database.run("ALTER SYSTEM SET ssl = on")
    database.run("SELECT pg_reload_conf()")
    wait_until(lambda: database.value("SHOW ssl") == "on")
    yield authority
    database.run("ALTER SYSTEM RESET ssl")
    database.run("SELECT pg_reload_conf()")
    wait_until(lambda: database.value("SHOW ssl") == "off")
    for file in (certificate, key):
        file.unlink()


def test_database_is_found_by_name_and_over_tls(start_service, book, possible, encrypted):
    """Both begin after the sandbox was entered, and read files of the system for the first time."""
    plain = book.database.url().replace("127.0.0.1", "localhost")
    service = start_service(
        {**PATIENT, "ENVIRONMENT": "production"},
        url=f"{plain}?sslmode=verify-full&sslrootcert={encrypted}",
    )
    wallet = book.wallet()

    assert post(service, payload(wallet), new_key()).status == 201
    encrypted_ones = book.database.backends("pid IN (SELECT pid FROM pg_stat_ssl WHERE ssl)")
    assert len(encrypted_ones) == SESSIONS
    terminate(book.database, encrypted_ones)
    wait_until(lambda: post(service, payload(wallet), new_key()).status == 201)
    wait_until(lambda: service.metrics().value("pool_connections", state="idle") == 6)
