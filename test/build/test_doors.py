"""build/lib/doors notices a breach of every wall: each is planted once, in a copy of the tree."""

import shutil
import subprocess

import pytest

from harness.machine import ROOT

pytestmark = pytest.mark.delivery

INCLUDES = [
    ("core/buf.c", "pool/pg_pool.h"),
    ("core/buf.h", "http/server/http_server.h"),
    ("pool/pg_array.c", "http/server/http_server.h"),
    ("http/server/transport.c", "pool/pg_pool.h"),
    ("http/server/http_conn.c", "http/api/problem.h"),
    ("http/server/http_conn.c", "http/main/drain.h"),
    ("http/api/json.c", "http/main/drain.h"),
    ("http/server/http_conn.c", "buf.h"),
    ("core/log.c", "sys/epoll.h"),
    ("pool/pg_conn.c", "sodium.h"),
    ("http/api/json.c", "libpq-fe.h"),
    ("pool/pg_conn.c", "ares.h"),
    ("http/server/http_head.c", "llhttp.h"),
    ("http/api/payment_body.c", "jansson.h"),
    ("http/server/http_conn.c", "mbedtls/ssl.h"),
    ("http/api/json.c", "http/server/http_head_private.h"),
    ("core/buf.c", "pool/pg_url_private.h"),
    ("pool/pg_lane.h", "pool/pg_lane_private.h"),
]
# In two halves, or this file would be a breach itself.
LINES = [
    ("core/buf.c", "strcpy" + "(to, from);"),
    ("pool/pg_conn.c", "PQexec" + "(conn, text);"),
    ("http/api/json.c", "sleep" + "(1);"),
    ("core/buf.c", "/* TO" + "DO */"),
    ("core/buf.c", "/* /" + "root/x */"),
    ("core/buf.c", "/* -----BEGIN " + "PRIVATE KEY */"),
    ("core/buf.c", "/* NO" + "LINT */"),
    ("core/buf.c", "/* " + "x" * 95 + " */"),
    ("core/buf.c", "\n" * 450),
    ("pool/sql/decision.inc.sql", "("),
    ("pool/sql/find.sql", ")"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    own = tmp_path_factory.mktemp("tree")
    for name in ("core", "pool", "http", "build/lib"):
        shutil.copytree(ROOT / name, own / name)
    (own / "test").mkdir()
    return own


def breaches(tree):
    done = subprocess.run(
        [tree / "build" / "lib" / "doors"], capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == bool(done.stderr)
    return set(done.stderr.splitlines())


@pytest.fixture(scope="module")
def known(tree):
    return breaches(tree)


def check_noticed(tree, known, name, line):
    file = tree / name
    text = file.read_text(encoding="utf-8")
    file.write_text(text + line + "\n", encoding="utf-8")
    try:
        new = breaches(tree) - known
    finally:
        file.write_text(text, encoding="utf-8")
    assert any(told.strip().startswith(name) for told in new), "not noticed"


@pytest.mark.parametrize("name, header", INCLUDES)
def test_a_planted_include_is_noticed(tree, known, name, header):
    mark = '"{}"' if header.startswith(("core/", "pool/", "http/", "buf.h")) else "<{}>"
    check_noticed(tree, known, name, "#include " + mark.format(header))


@pytest.mark.parametrize("name, line", LINES, ids=lambda value: value.strip()[:24] or "longest")
def test_a_planted_line_is_noticed(tree, known, name, line):
    check_noticed(tree, known, name, line)
