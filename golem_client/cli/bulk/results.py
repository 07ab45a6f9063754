"""What `golem-promise bulk` keeps of a run: the results file, and the journal beside it.

The results have a line for each promise that has its end, written as deliveries end; the command
goes on from it. A record is known by its promise, since the input may be edited between two runs. A
kill can tear only the last record, which is cut off and written anew from the journal. The
journal is an outbox file, from which the lines are delivered. Nothing in the results is made from a
payload.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, Self

import attrs
from sqlalchemy import text

from golem_client import Outcome
from golem_client.outbox import Outbox

if sys.platform != "win32":
    import fcntl

BAD_LINE = "bad_line"
FAILED = "failed"
COMPLETED = tuple(outcome.value for outcome in Outcome)

_BEGINNING = b'{"line":'


class ResultsError(Exception):
    """The results file or its journal cannot be used; the text is for people."""


@attrs.define
class Known:
    """What is known of a promise.

    Attributes:
        outcome: How it ended; empty where it has not.
        is_recorded: Whether the results say so; else only the journal does.
        attempts: The requests that were sent, where only the journal has the outcome.
        payload_hash: Of the payload that may be out, or of its line; None where nobody knows.
        line: The line of this run that named it; 0 where none has.
        may_be_ours: Whether an earlier run may have stored the payload, as the results say.
        worth_retrying: Whether what failed can still succeed.
    """

    outcome: str = ""
    is_recorded: bool = attrs.field(default=False, converter=bool)
    attempts: int = 0
    payload_hash: int | None = None
    line: int = 0
    may_be_ours: bool = attrs.field(default=False, converter=bool)
    worth_retrying: bool = attrs.field(default=False, converter=bool)


class Index:
    """What is known of each promise, on disk: memory does not grow with the number of lines.

    The database is a temporary file without a name, which is gone when the process ends.
    """

    def __init__(self) -> None:
        columns = [column.name for column in attrs.fields(Known)]
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TABLE promises "
            f"(id TEXT PRIMARY KEY, {', '.join(columns)}) WITHOUT ROWID; BEGIN"
        )
        self._put = f"REPLACE INTO promises VALUES (?{', ?' * len(columns)})"  # noqa: S608 - ours

    def __len__(self) -> int:
        (size,) = self._db.execute("SELECT count(*) FROM promises").fetchone()
        return int(size)

    def __getitem__(self, promise_id: str) -> Known:
        found = self._db.execute("SELECT * FROM promises WHERE id = ?", (promise_id,)).fetchone()
        return Known() if found is None else Known(*found[1:])

    def __setitem__(self, promise_id: str, known: Known) -> None:
        self._db.execute(self._put, (promise_id, *attrs.astuple(known)))

    def close(self) -> None:
        """Delete it."""
        self._db.close()


class Results:
    """What is known of the promises of a run, and the results file that has what is known for good.

    Only one process may write to the file at a time.

    Attributes:
        path: The file; None where nothing is recorded.
        promises: What is known of each, by the text of its id; of a new one, nothing.
        bad_lines: The numbers and problems of the bad lines that are recorded.
    """

    def __init__(self, path: Path | None, *, is_writable: bool = True) -> None:
        self.path = path
        self.bad_lines: set[tuple[int, str]] = set()
        self._file = None if path is None or not is_writable else _locked(path)
        self.promises = Index()
        if path is not None and path.exists():
            try:
                end = self._load(path)
            except BaseException:
                self.__exit__()
                raise
            if self._file is not None:
                self._file.truncate(end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.promises.close()
        if self._file is not None:
            self._file.close()

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write records at once: from now on, a kill of this process does not lose them."""
        if self._file is not None:
            lines = [json.dumps(record, separators=(",", ":")) + "\n" for record in records]
            _write(self._file, "".join(lines).encode())

    def _load(self, path: Path) -> int:
        """Load each record; return where the last whole one ends."""
        end = 0
        with path.open("rb") as reader:
            for number, raw in enumerate(reader, 1):
                record = _record(raw) if raw.endswith(b"\n") else None
                if record is not None:
                    self._know(record)
                    end += len(raw)
                # The end of the file may be the beginning of a record that a kill has torn.
                elif raw.endswith(b"\n") or (number == 1 and not _BEGINNING.startswith(raw[:8])):
                    raise ResultsError(
                        f"line {number} of {path} is not a record of golem-promise bulk: "
                        "name another file for the results"
                    )
        return end

    def _know(self, record: Mapping[str, Any]) -> None:
        if record["outcome"] == BAD_LINE:
            self.bad_lines.add((record["line"], record["message"]))
            return
        self.promises[record["id"]] = Known(
            outcome=record["outcome"],
            is_recorded=True,
            may_be_ours=record.get("may_have_completed") is True,
            worth_retrying=record.get("worth_retrying") is True,
        )


def _locked(path: Path) -> FileIO:
    # What is recorded is nobody else's business: 0600.
    opener = partial(os.open, mode=0o600)
    file = FileIO(path, "a+", opener=opener)
    if sys.platform != "win32":  # which has no fcntl: there, two processes are not kept apart
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            busy = f"{path} is being written by another golem-promise bulk"
            raise ResultsError(busy) from None
    return file


def _write(file: FileIO, data: bytes) -> None:
    try:
        while data:
            data = data[file.write(data) :]
    except OSError as error:
        error.filename = str(file.name)
        raise


def _record(raw: bytes) -> dict[str, Any] | None:
    """Return a record as this command writes it; None for anything else."""
    with suppress(ValueError, RecursionError, TypeError, LookupError):
        record: dict[str, Any] = json.loads(raw)
        named = record["message"] if record["outcome"] == BAD_LINE else record["id"]
        is_known = record["outcome"] in (*COMPLETED, FAILED, BAD_LINE)
        return record if is_known and (type(record["line"]), type(named)) == (int, str) else None
    return None


_SERVER = "CREATE TABLE IF NOT EXISTS golem_bulk_server (url TEXT PRIMARY KEY)"

# What an earlier run left: only lines that are still in the file are sent, so that everything
# waits here until its line comes. Accepting it revives the row, with the payload that may be out.
_PARK = """
UPDATE golem_outbox_entries SET state = 'dead', due_at = NULL, lease = NULL,
  may_have_stored = may_have_stored OR is_claimed, is_claimed = false
WHERE state = 'pending'
"""

_OUT = """
SELECT promise_id, outcome, attempts, CASE WHEN outcome IS NULL THEN payload END
FROM golem_outbox_entries WHERE state = 'completed' OR may_have_stored
"""


@asynccontextmanager
async def journal(path: Path, server: str, results: Results) -> AsyncIterator[Outbox]:
    """Open the journal, and note what it knows and the results do not."""
    async with await Outbox.open(path, nudge_after=None) as outbox:
        async with outbox.engine.begin() as connection:
            await connection.execute(text(_SERVER))
            name = "INSERT OR IGNORE INTO golem_bulk_server VALUES (:url)"
            await connection.execute(text(name), {"url": server})
            for (url,) in await connection.execute(text("SELECT url FROM golem_bulk_server")):
                if url != server:
                    raise ResultsError(
                        f"{path} is the journal of a run against {url}, and this one is against "
                        f"{server}: name another file for the results"
                    )
            await connection.execute(text(_PARK))
            async for promise_id, outcome, attempts, payload in await connection.stream(text(_OUT)):
                known = results.promises[promise_id]
                if outcome is None:
                    known.payload_hash = hash(payload)
                elif known.outcome not in COMPLETED:
                    known.outcome, known.attempts, known.is_recorded = outcome, attempts, False
                results.promises[promise_id] = known
        yield outbox
