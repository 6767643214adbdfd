"""Databases beside the one that build/bench has made, each as a binary makes it, with the demo's wallets."""

import os
import subprocess
from pathlib import Path

from slow import psql

DEMO = Path(__file__).resolve().parents[2] / "build" / "lib" / "demo.sql"


def create(name, binary, url, region):
    """The binary migrates it; returns its URL, for the same login as `url`."""
    psql(f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name};", "postgres")
    env = os.environ
    owner = (f"postgresql://{env['PGUSER']}:{env['PGPASSWORD']}@{env['PGHOST']}:{env['PGPORT']}/{name}"
             "?sslmode=disable")
    _run([binary, "migrate"], {"DATABASE_URL": owner, "API_SECRET_KEY": "x" * 64, "REGION": region,
                               "ENVIRONMENT": "dev", "PATH": env["PATH"]})
    _run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"region={region}", "-d", name, "-f", DEMO], env)
    return url.replace("/pay?", f"/{name}?")


def _run(arguments, env):
    done = subprocess.run(list(map(str, arguments)), env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{arguments[0]} failed: {done.stderr}{done.stdout}")
