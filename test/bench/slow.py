"""A copy of the database in which every decision takes its time, once per statement.

The service is not changed, nor is its own database: pay.program of the copy is a view that sleeps.
"""

import os
import subprocess
import time

NAME = "pay_slow"
ROWS = 32  # a full batch


def psql(sql, database):
    """As the cluster's superuser, whose settings build/bench has put in our environment."""
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database], input=sql,
                          capture_output=True, text=True, timeout=120, check=False, env=os.environ)
    if done.returncode != 0:
        raise SystemExit(f"psql failed: {done.stderr}")
    return done.stdout.strip()


def create(seconds):
    """Before anybody is connected to the original: it is the template."""
    psql(f"DROP DATABASE IF EXISTS {NAME}; CREATE DATABASE {NAME} TEMPLATE pay;", "postgres")
    # The sleep is a materialized CTE, so it happens once however many rows are looked up.
    psql(f"""
        ALTER TABLE pay.program RENAME TO program_fast;
        CREATE VIEW pay.program AS
          WITH nap AS MATERIALIZED (SELECT pg_sleep({seconds}))
          SELECT f.* FROM pay.program_fast f, nap;
        ALTER VIEW pay.program OWNER TO pay_owner;
        GRANT SELECT ON pay.program TO pay_app;
        ANALYZE;""", NAME)
    check(seconds)


def check(seconds):
    """A full batch must sleep once, or nothing measured here would mean anything."""
    wallets = ",".join(map(str, range(1, ROWS + 1)))
    sql = f"""
        PREPARE q(bigint[]) AS
          SELECT count(p.program_id) FROM unnest($1) WITH ORDINALITY AS r(wallet_id, n)
            LEFT JOIN pay.wallet w ON w.wallet_id = r.wallet_id
            LEFT JOIN pay.program p ON p.program_id = w.program_id;
        SELECT clock_timestamp() AS start \\gset
        EXECUTE q('{{{wallets}}}');
        SELECT extract(epoch FROM clock_timestamp() - :'start'::timestamptz);"""
    count, took = psql(sql, NAME).split("\n")
    if count != str(ROWS) or not seconds <= float(took) < 2 * seconds + 0.02:
        raise SystemExit(f"the slowed statement took {took} s for {count} rows instead of {seconds} s")


def drop():
    """After the service on it has ended; its backends may take a moment longer."""
    end = time.monotonic() + 10
    while psql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{NAME}'", "postgres") != "0":
        if time.monotonic() > end:
            raise SystemExit(f"somebody is still connected to {NAME}")
        time.sleep(0.05)
    psql(f"DROP DATABASE {NAME}", "postgres")
