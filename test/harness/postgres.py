"""A private PostgreSQL: one cluster per test session, in the tests' own directory, on a free port.

build/lib/pg.sh makes, starts and stops it; nobody logs in without a password, so that a connection
string in a test holds a secret worth not leaking.
"""

import hmac
import os
import re
import secrets
import subprocess
import tempfile
from pathlib import Path

import psycopg

from harness.machine import OUT, ROOT

LAUNCHER = ROOT / "build" / "lib" / "pg.sh"
APP_ROLE = "pay_app"
APP_PASSWORD = "pw" + secrets.token_hex(12)
OPS_ROLE = "pay_ops"
OPS_PASSWORD = "pw" + secrets.token_hex(12)
SETTINGS = {
    "max_connections": "120",
    "shared_buffers": "64MB",
    "max_wal_size": "2GB",
    "autovacuum": "off",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
}


class Cluster:
    """The server keeps its port and its data over stop() and start(), until destroy()."""

    def __init__(self):
        OUT.mkdir(parents=True, exist_ok=True)
        self.home = Path(tempfile.mkdtemp(prefix="postgres-", dir=OUT))
        self.home.chmod(0o755)  # the server's user, which is not root, must get through
        self.data = self.home / "pgdata"
        self.port = None
        self.passwords = {APP_ROLE: APP_PASSWORD, OPS_ROLE: OPS_PASSWORD}

    def create(self):
        self.start()
        with self.connect("postgres") as admin:
            for role, password in self.passwords.items():
                if role != "postgres":
                    admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
            # Here and not in SETTINGS, which nothing can change while the server runs.
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("SELECT pg_reload_conf()")

    def start(self):
        words = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
        told = self._run("launch", PG_SETTINGS=words, PG_PORT=str(self.port or ""))
        settings = dict(re.findall(r"^(\w+)='(.*)'$", told, re.M))
        self.port = int(settings["PGPORT"])
        self.passwords["postgres"] = settings["PGPASSWORD"]

    def stop(self, mode="fast"):
        self._run("stop", mode)

    def destroy(self):
        self._run("remove")
        for file in self.home.iterdir():
            file.unlink()
        self.home.rmdir()

    def connect(self, database, role="postgres"):
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=role,
            password=self.passwords[role],
            autocommit=True,
            connect_timeout=10,
        )

    def _run(self, verb, *words, **settings):
        done = subprocess.run(
            [LAUNCHER, verb, self.home, *words],
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{LAUNCHER.name} {verb}: {done.stderr}"
        return done.stdout


class Database:
    """One database. Every call opens its own connection, so that a restart breaks none."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self._hash_key = None

    def create(self):
        with self.cluster.connect("postgres") as admin:
            admin.execute(f"CREATE DATABASE {self.name}")

    def connect(self, role="postgres"):
        return self.cluster.connect(self.name, role)

    def url(self, role=APP_ROLE, port=None):
        login = f"{role}:{self.cluster.passwords[role]}"
        return f"postgresql://{login}@127.0.0.1:{port or self.cluster.port}/{self.name}"

    def run(self, sql, *values):
        with self.connect() as connection:
            return connection.execute(sql, values or None).rowcount

    def rows(self, sql, *values):
        with self.connect() as connection:
            return connection.execute(sql, values or None).fetchall()

    def value(self, sql, *values):
        return self.rows(sql, *values)[0][0]

    def key_hash(self, key):
        """What is stored of an Idempotency-Key here, computed beside the service."""
        if self._hash_key is None:
            self._hash_key = self.value("SELECT key FROM pay.idempotency_secret")
        return hmac.digest(self._hash_key, key.encode(), "sha256")[:16]

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
