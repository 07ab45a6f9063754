"""The results file of `golem-promise bulk`: what has ended, so that nothing is sent twice.

One line, one record, written and flushed as deliveries end. A record is known by its promise, never
by the number of its line: the input may be edited between two runs. Nothing in it is made from a
payload. A kill can tear the last record only; it is cut off, and written anew from the journal. A
lock keeps a second process away for as long as the first one lives.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from golem_client import PromiseId
from golem_client.cli.bulk.tally import BAD_LINE, COMPLETED, FAILED
from golem_client.cli.exit_codes import ExitCode

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from golem_client.cli.bulk.plan import Index

_BEGINNING = b'{"line":'
_BINARY = getattr(os, "O_BINARY", 0)


class ResultsError(Exception):
    """The results file or its journal cannot be used, or not any more; the text is for people.

    Attributes:
        code: The exit code of the command.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.code = code


class ResultsFile:
    """A results file that is open for more records, and locked.

    Raises:
        ResultsError: It is another process's at the moment, or no results file.
        OSError: It cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # What is recorded is nobody else's business: 0600.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o600)
        self._file = open(file, "a+b", buffering=0)  # noqa: SIM115 - closed by __exit__
        if sys.platform == "win32":  # has no fcntl: there, two processes are not kept apart
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            if not isinstance(error, BlockingIOError):
                raise
            busy = f"{path} is being written by another golem-promise bulk"
            raise ResultsError(busy) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a pipe or a terminal has nothing to be synchronised
            os.fsync(self._file.fileno())
        self._file.close()

    def load_into(self, index: Index) -> None:
        """Read the records there are, and cut off what a kill has left of a last one."""
        self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as reader:
            end, is_ended = _load(reader, self.path, index)
        self._file.truncate(end)
        if not is_ended:
            self._write(b"\n")

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write records at once: from now on, a kill of this process does not lose them.

        Raises:
            ResultsError: They cannot be written.
        """
        lines = [json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in records]
        try:
            self._write(b"".join(lines))
        except OSError as error:
            problem = f"{self.path} cannot be written: {error.strerror}"
            raise ResultsError(problem, ExitCode.FAILED) from None

    def _write(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) :]


def load_only(path: Path, index: Index) -> None:
    """Read the records there are, and change nothing.

    Raises:
        ResultsError: It is no results file.
        OSError: It cannot be read.
    """
    if path.exists():
        with path.open("rb") as reader:
            _load(reader, path, index)


def _load(reader: BinaryIO, path: Path, index: Index) -> tuple[int, bool]:
    """Load each record; return where the last one ends, and whether its line is ended."""
    end, last = 0, b"\n"
    for number, raw in enumerate(reader, 1):
        record = _record(raw)
        if record is not None:
            index.load(record)
            end, last = end + len(raw), raw
        # The end of the file may be the beginning of a record that a kill has torn.
        elif raw.endswith(b"\n") or (number == 1 and not _BEGINNING.startswith(raw[:8])):
            raise ResultsError(
                f"line {number} of {path} is no record of golem-promise bulk: "
                "name another file for the results"
            )
    return end, last.endswith(b"\n")


def _record(raw: bytes) -> dict[str, Any] | None:
    """Return a record as this command writes it; None for anything else."""
    with suppress(ValueError, RecursionError, TypeError, LookupError):
        record = json.loads(raw)
        if type(record["line"]) is not int:
            return None
        outcome, promise_id = record["outcome"], record["id"]
        if outcome == BAD_LINE:
            is_record = isinstance(record["message"], str)
        else:
            is_record = str(PromiseId.parse(promise_id)) == promise_id
        return record if is_record and outcome in (*COMPLETED, FAILED, BAD_LINE) else None
    return None
