"""A service in which the n-th call of one kind fails: the records that test/nth/nth_failure.c shares."""

import errno
import mmap
import struct

from harness.machine import BUILD

LIBRARY = BUILD / "test" / "nth" / "libnth_failure.so"
RECORD = struct.Struct("32sii3Q")
_CALLS_AT = 40
"""Of a record: calls, fail_at, failed."""


class Nth:
    """The kinds of call that are counted, and which of them fails next."""

    def __init__(self, file, kinds):
        self.path = file
        self.kinds = list(kinds)
        file.write_bytes(b"".join(RECORD.pack(kind.encode(), 0, 0, 0, 0, 0) for kind in self.kinds))
        with open(file, "r+b") as shared:
            self.records = mmap.mmap(shared.fileno(), 0)

    def settings(self):
        """The environment of the process in which they fail."""
        return {"LD_PRELOAD": str(LIBRARY), "NTH_FILE": str(self.path)}

    def arm(self, kind, number, error):
        """The call of that kind that is `number`-th from now fails; 0: none does. Counts begin again."""
        at = self.kinds.index(kind) * RECORD.size
        name = kind.encode()
        self.records[at : at + RECORD.size] = RECORD.pack(name, error, 0, 0, number, 0)

    def disarm(self, kind):
        at = self.kinds.index(kind) * RECORD.size + _CALLS_AT + 8
        self.records[at : at + 8] = bytes(8)

    def calls(self, kind):
        return self._read(kind)[3]

    def failed(self, kind):
        return self._read(kind)[5]

    def _read(self, kind):
        return RECORD.unpack_from(self.records, self.kinds.index(kind) * RECORD.size)


def name_of(error):
    return errno.errorcode[error]
