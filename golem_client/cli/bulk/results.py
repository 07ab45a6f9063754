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
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import text

from golem_client import Outcome
from golem_client.outbox import Outbox

if sys.platform != "win32":
    import fcntl

BAD_LINE = "bad_line"
FAILED = "failed"
COMPLETED = tuple(Outcome)

_OUTCOMES = (*COMPLETED, FAILED, BAD_LINE)
_BEGINNING = b'{"line":'


class ResultsError(Exception):
    """The results file or its journal cannot be used; the text is for people."""


@attrs.define
class Known:
    """What is known of a promise, or of a bad line.

    Attributes:
        outcome: How it ended; empty where it has not.
        unrecorded_attempts: The requests that were sent, where the journal has the outcome, and
            the results do not; else None.
        payload_hash: Of the payload that may be out, or of its line; None where nobody knows.
        line: The line of this run that named it; 0 where none has.
        may_be_ours: Whether an earlier run may have stored the payload, as the results say.
        worth_retrying: Whether what failed can still succeed.
    """

    outcome: str = ""
    unrecorded_attempts: int | None = None
    payload_hash: int | None = None
    line: int = 0
    may_be_ours: bool = attrs.field(default=False, converter=bool)
    worth_retrying: bool = attrs.field(default=False, converter=bool)


class Results:
    """What is known of each promise, by the text of its id, and the results file that it is from.

    It is kept in a temporary database without a name, so that memory does not grow with the number
    of lines; the bad lines that are recorded are in it too, by `bad_line`. Only one process may
    write to the file at a time.

    Attributes:
        path: The file.
        journal: The outbox file beside it.
        size: The number of records that it had.
    """

    def __init__(self, path: Path, *, is_writable: bool = True) -> None:
        self.path = path
        self.journal = path.with_name(f"{path.name}.journal")
        self.size = 0
        self._records: list[str] = []
        self._file = _locked(path) if is_writable else None
        columns = [field.name for field in attrs.fields(Known)]
        self._put = f"REPLACE INTO known VALUES (?{', ?' * len(columns)})"  # noqa: S608 - ours
        self._db = sqlite3.connect("")
        self._db.execute(f"CREATE TABLE known (key TEXT PRIMARY KEY, {', '.join(columns)})")
        try:
            end = self._load() if path.exists() else 0
            if self._file is not None:
                self._file.truncate(end)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file, and forget what is known."""
        self._db.close()
        if self._file is not None:
            self._file.close()

    def __getitem__(self, key: str) -> Known:
        found = self._db.execute("SELECT * FROM known WHERE key = ?", (key,)).fetchone()
        return Known() if found is None else Known(*found[1:])

    def __setitem__(self, key: str, known: Known) -> None:
        self._db.execute(self._put, (key, *attrs.astuple(known)))

    def add(self, line: int, promise_id: str | None, outcome: str, **facts: Any) -> None:
        """Add a record, which `flush` writes."""
        record = {"line": line, "id": promise_id, "outcome": outcome, **facts}
        self._records.append(json.dumps(record, separators=(",", ":")) + "\n")

    def flush(self) -> None:
        """Write what was added: from now on, a kill of this process does not lose it."""
        data, self._records = "".join(self._records).encode(), []
        try:
            while self._file is not None and data:
                data = data[self._file.write(data) :]
        except OSError as error:
            error.filename = str(self.path)
            raise

    def _load(self) -> int:
        """Load each record; return where the last whole one ends."""
        end = 0
        with self.path.open("rb") as reader:
            for number, raw in enumerate(reader, 1):
                if not raw.endswith(b"\n") and (number > 1 or _BEGINNING.startswith(raw[:8])):
                    break  # a kill has torn this record
                try:
                    self._note(json.loads(raw))
                except (ValueError, RecursionError, TypeError, LookupError):
                    raise ResultsError(
                        f"line {number} of {self.path} is not a record of golem-promise bulk: "
                        "name another file for the results"
                    ) from None
                end += len(raw)
                self.size = number
        return end

    def _note(self, record: Mapping[str, Any]) -> None:
        """Note what a record says; raise what Python does where it is none of ours."""
        outcome, line = record["outcome"], record["line"]
        key = bad_line(line, record["message"]) if outcome == BAD_LINE else record["id"]
        if outcome not in _OUTCOMES or type(line) is not int or not isinstance(key, str):
            raise ValueError
        self[key] = Known(
            outcome=outcome,
            may_be_ours=record.get("may_have_completed") is True,
            worth_retrying=record.get("worth_retrying") is True,
        )


def bad_line(number: int, problem: str) -> str:
    """Return the key of a bad line: no id begins so."""
    return f"{number}: {problem}"


def _locked(path: Path) -> FileIO:
    # What is recorded is nobody else's business: 0600.
    file = FileIO(path, "a+", opener=partial(os.open, mode=0o600))
    if sys.platform != "win32":  # which has no fcntl: there, two processes are not kept apart
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            busy = f"{path} is being written by another golem-promise bulk"
            raise ResultsError(busy) from None
    return file


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
async def journal(results: Results, server: str) -> AsyncIterator[Outbox]:
    """Open the journal, and note what it knows and the results do not."""
    async with await Outbox.open(results.journal, nudge_after=None) as outbox:
        async with outbox.engine.begin() as connection:
            await connection.execute(text(_PARK))
            async for promise_id, outcome, attempts, payload in await connection.stream(text(_OUT)):
                known = results[promise_id]
                if outcome is None:
                    known.payload_hash = hash(payload)
                elif known.outcome not in COMPLETED:
                    known.outcome, known.unrecorded_attempts = outcome, attempts
                results[promise_id] = known
            await connection.execute(text(_SERVER))
            name = "INSERT OR IGNORE INTO golem_bulk_server VALUES (:url)"
            await connection.execute(text(name), {"url": server})
            urls = "SELECT url FROM golem_bulk_server WHERE url != :url"
            for (url,) in await connection.execute(text(urls), {"url": server}):
                raise ResultsError(
                    f"{results.journal} is the journal of a run against {url}, and this one is "
                    f"against {server}: name another file for the results"
                )
        yield outbox
