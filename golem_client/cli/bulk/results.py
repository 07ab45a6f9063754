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

from golem_client import InvalidIdError, PromiseId
from golem_client.cli.bulk.tally import BAD_LINE, COMPLETED, FAILED
from golem_client.cli.exit_codes import ExitCode

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
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

    Attributes:
        path: Where it is.

    Raises:
        ResultsError: It is another process's at the moment, or no results file.
        OSError: It cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # What is recorded is nobody else's business: 0600.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o600)
        self._file = open(file, "a+b", buffering=0)  # noqa: SIM115 - closed by __exit__
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
        else:
            return
        raise ResultsError(problem, ExitCode.FAILED)

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


def _records(reader: BinaryIO, path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
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


def _record(raw: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or type(record.get("line")) is not int:
        return None
    outcome = record.get("outcome")
    if outcome == BAD_LINE:
        return record if isinstance(record.get("message"), str) else None
    return record if outcome in (*COMPLETED, FAILED) and _is_id(record.get("id")) else None


def _is_id(value: object) -> bool:
    """Whether it is an id as this command writes it."""
    if not isinstance(value, str):
        return False
    try:
        return str(PromiseId.parse(value)) == value
    except InvalidIdError:
        return False
