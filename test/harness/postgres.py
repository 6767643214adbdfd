"""A private PostgreSQL: one cluster per test session, in the tests' own directory, on a free port.

Runs as an unprivileged user (PostgreSQL refuses root). Superuser access is by trust, everybody
else's by password, so that a connection string in a test holds a secret worth not leaking.
"""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

from harness.machine import OUT, free_port, seconds

APP_ROLE = "pay_app"
APP_PASSWORD = "pw" + secrets.token_hex(12)
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 120
shared_buffers = 64MB
fsync = off
max_wal_size = 2GB
autovacuum = off
log_min_messages = warning
log_min_error_statement = panic
"""
ACCESS = """
host all postgres 127.0.0.1/32 trust
host all all      127.0.0.1/32 scram-sha-256
"""


def bin_dir():
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    assert versions, "PostgreSQL's server programs are missing: run build/deps"
    return versions[-1].parent


class Cluster:
    def __init__(self):
        self.port = free_port()
        self.bin = bin_dir()
        self.home = _home()
        self.data = self.home / "data"

    def create(self):
        self._run(
            "initdb",
            "-D",
            self.data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        )
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as settings:
            settings.write(SETTINGS + f"port = {self.port}\n")
        (self.data / "pg_hba.conf").write_text(ACCESS, encoding="ascii")
        self.start()
        with self.connect("postgres") as admin:
            admin.execute(f"CREATE ROLE {APP_ROLE} LOGIN PASSWORD '{APP_PASSWORD}'")

    def start(self):
        self._run(
            "pg_ctl",
            "-D",
            self.data,
            "-w",
            "-t",
            int(seconds(30)),
            "-l",
            self.home / "postgres.log",
            "start",
        )

    def stop(self, mode="fast"):
        self._run("pg_ctl", "-D", self.data, "-w", "-t", int(seconds(30)), "-m", mode, "stop")

    def destroy(self):
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.home)

    def connect(self, database, role="postgres"):
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=role,
            password=APP_PASSWORD,
            autocommit=True,
            connect_timeout=10,
        )

    def _run(self, program, *arguments):
        command = [str(self.bin / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # The server inherits the descriptors, so its start must not be given a pipe to hold open.
        with open(self.home / "commands.log", "ab") as log:
            done = subprocess.run(
                command,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
        assert done.returncode == 0, f"{program} failed: see {self.home}/commands.log"


def _home():
    """A directory that the server's user may enter: below OUT, or in the system's temporary one."""
    OUT.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="postgres-", dir=OUT))
    if os.geteuid() != 0:
        return home
    user = pwd.getpwnam("postgres")
    os.chown(home, user.pw_uid, user.pw_gid)
    reachable = (
        subprocess.run(
            ["runuser", "-u", "postgres", "--", "test", "-w", str(home)], check=False
        ).returncode
        == 0
    )
    if reachable:
        return home
    home.rmdir()
    home = Path(tempfile.mkdtemp(prefix="payment-latency-api-"))
    os.chown(home, user.pw_uid, user.pw_gid)
    return home


class Database:
    """One database. Every call opens its own connection, so that a restart breaks none."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name

    def create(self):
        with self.cluster.connect("postgres") as admin:
            admin.execute(f"CREATE DATABASE {self.name}")

    def connect(self, role="postgres"):
        return self.cluster.connect(self.name, role)

    def url(self, role=APP_ROLE, port=None):
        password = f":{APP_PASSWORD}" if role == APP_ROLE else ""
        return f"postgresql://{role}{password}@127.0.0.1:{port or self.cluster.port}/{self.name}"

    def run(self, sql, *values):
        with self.connect() as connection:
            return connection.execute(sql, values or None).rowcount

    def rows(self, sql, *values):
        with self.connect() as connection:
            return connection.execute(sql, values or None).fetchall()

    def value(self, sql, *values):
        return self.rows(sql, *values)[0][0]

    def backends(self, where="true"):
        """Process ids of the service's backends."""
        return [
            row[0]
            for row in self.rows(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND usename = %s AND " + where,
                self.name,
                APP_ROLE,
            )
        ]
