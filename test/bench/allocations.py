"""Reads what alloc_count.c writes: heap allocations of a process by the object that asked for them."""

import struct
from pathlib import Path

RECORD = struct.Struct("56sQ")

# libpq allocates each result, and its own libraries what they like. Everything else is ours to answer for:
# the executable, and what it asks of libc, jansson, libsodium, c-ares and llhttp.
EXCEPTED = ("libpq.", "libssl.", "libcrypto.", "libgssapi", "libkrb5", "libk5crypto", "libcom_err",
            "libkeyutils", "libldap", "liblber", "libsasl", "libgnutls", "other")


def settings(library, file):
    """The environment of a process that is to be counted."""
    return {"LD_PRELOAD": str(library), "ALLOC_COUNT_FILE": str(file)}


def read(file):
    """Allocations so far, by object; may be read while the process runs."""
    counts = {}
    for name, count in RECORD.iter_unpack(Path(file).read_bytes()):
        if name.strip(b"\0"):
            counts[name.rstrip(b"\0").decode()] = count
    if "executable" not in counts:
        raise RuntimeError(f"{file} holds no counts: was the library loaded?")
    return counts


def between(before, after):
    """What was allocated in between, by object; nothing is left out, not even zeros."""
    return {name: after[name] - before[name] for name in after}


def ours(counts):
    return sum(count for name, count in counts.items() if not name.startswith(EXCEPTED))
