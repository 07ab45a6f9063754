"""The results file of `golem-promise bulk`: what has ended, so that nothing is sent twice.

One line, one record, written and flushed as its item ends. What identifies a record is the promise
together with the fingerprint of its payload, never the number of the line: the input may be edited
between two runs. A kill can tear the last record only; it is cut off, and its line is sent again
with the same payload, which is harmless. A lock keeps a second process away for as long as the
first one lives.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, cast

from golem_client.cli.bulk_index import BAD_LINE

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

    from golem_client.cli.bulk_index import Index

_BEGINNING = b'{"line":'


class ResultsError(Exception):
    """The results file cannot be used, or not any more; the text is for people."""


class ResultsFile:
    """A results file that is open for more records, and locked.

    Attributes:
        path: Where it is.

    Raises:
        ResultsError: It is another process's at the moment, or no results file.
        OSError: It cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a+b", buffering=0)
        try:
            self._lock()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # a pipe or a terminal has nothing to be synchronised
            os.fsync(self._file.fileno())
        self._file.close()

    def load_into(self, index: Index) -> None:
        """Read the records there are, and cut off what a kill has left of a last one."""
        end, last = 0, b"\n"
        self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as reader:
            for raw, record in _records(reader, self.path):
                if record is not None:
                    index.load(record)
                    end, last = end + len(raw), raw
        self._file.truncate(end)
        if not last.endswith(b"\n"):
            self._write(b"\n")

    def add(self, record: Mapping[str, Any]) -> None:
        """Write a record at once: from now on, a kill of this process does not lose it.

        Raises:
            ResultsError: It cannot be written.
        """
        try:
            self._write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            problem = f"{self.path} cannot be written: {error.strerror}"
        else:
            return
        raise ResultsError(problem)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) :]

    def _lock(self) -> None:
        if sys.platform == "win32":  # has no fcntl: there, two processes are not kept apart
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy = True
        else:
            busy = False
        if busy:
            raise ResultsError(f"{self.path} is being written by another golem-promise bulk")


def load_only(path: Path, index: Index) -> None:
    """Read the records there are, and change nothing.

    Raises:
        ResultsError: It is no results file.
        OSError: It cannot be read.
    """
    if not path.exists():
        return
    with path.open("rb") as reader:
        for _, record in _records(reader, path):
            if record is not None:
                index.load(record)


def _records(reader: BinaryIO, path: Path) -> Iterator[tuple[bytes, Mapping[str, Any] | None]]:
    """Yield each line with its record; None for what a kill has left of a last one."""
    for number, raw in enumerate(reader, 1):
        record = _record(raw)
        if record is None and (raw.endswith(b"\n") or not _may_be_torn(raw, number)):
            raise ResultsError(
                f"line {number} of {path} is no record of golem-promise bulk: "
                "name another file for the results"
            )
        yield raw, record


def _may_be_torn(raw: bytes, number: int) -> bool:
    """Tell whether the end of a file can be the beginning of a record, or follows records."""
    return number > 1 or _BEGINNING.startswith(raw[: len(_BEGINNING)])


def _record(raw: bytes) -> Mapping[str, Any] | None:
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    kinds = {"line": int, "fingerprint": str, "outcome": str}
    if not all(isinstance(record.get(key), kind) for key, kind in kinds.items()):
        return None
    is_bad = record["outcome"] == BAD_LINE
    return (
        cast("Mapping[str, Any]", record) if is_bad or isinstance(record.get("id"), str) else None
    )
