"""What is under way, on disk: after a kill, the next run knows what may have been sent.

Without that, two things would go wrong after a kill. A line that was sent, and not recorded, would
be reported as fulfilled by somebody else; and one that was edited meanwhile would be sent with
another payload, which Golem 1.3.0 to 1.5.7 may hand to the waiting worker.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ENTRY = re.compile(rb"([0-9a-f]{32}) ([0-9a-f]{32})\n")
_LENGTH = 66
_NOTHING = b" " * (_LENGTH - 1) + b"\n"


class UnderWay:
    """A small file beside the results file, with an entry for each line under way.

    It is gone when nothing is under way. An entry tells a promise and its payload by hashes; it is
    written in place, in one piece, and so is whole or not there after a kill.

    Args:
        path: Where it is, or is to be.
        read_only: Whether to leave it as it is.

    Raises:
        OSError: It cannot be read or written.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        content = path.read_bytes() if path.exists() else b""
        entries = [
            _ENTRY.fullmatch(content, at, at + _LENGTH) for at in range(0, len(content), _LENGTH)
        ]
        self._left = {entry[1].decode(): entry[2].decode() for entry in entries if entry}
        self._slots = {entry[1].decode(): n for n, entry in enumerate(entries) if entry}
        self._free = [n for n, entry in enumerate(entries) if not entry]
        self._next = len(entries)
        self._file = None if read_only else path.open("r+b" if path.exists() else "w+b", 0)

    def close(self) -> None:
        """Close the file, and remove it where nothing is under way."""
        if self._file is None:
            return
        self._file.close()
        if not self._slots:
            self._path.unlink(missing_ok=True)

    def left_with(self, promise_id: str) -> str | None:
        """Return the fingerprint that an earlier run left under way; None where it left none."""
        return self._left.get(_hash(promise_id))

    def begin(self, promise_id: str, fingerprint: str) -> None:
        """Note that the promise is about to be sent with this payload."""
        key = _hash(promise_id)
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = self._free.pop() if self._free else self._next
            self._next = max(self._next, slot + 1)
        self._write(slot, f"{key} {fingerprint}\n".encode())

    def end(self, promise_id: str) -> None:
        """Note that it is known what became of the promise."""
        key = _hash(promise_id)
        slot = self._slots.pop(key, None)
        if slot is None:
            return
        self._left.pop(key, None)
        self._write(slot, _NOTHING)
        self._free.append(slot)

    def _write(self, slot: int, entry: bytes) -> None:
        if self._file is not None:
            self._file.seek(slot * _LENGTH)
            self._file.write(entry)


def _hash(promise_id: str) -> str:
    return blake2b(promise_id.encode(), digest_size=16).hexdigest()
