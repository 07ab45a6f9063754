"""What is known of every promise of a run, and which lines are to be sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import attrs

from golem_client.cli.bulk.lines import BadLine, Line
from golem_client.cli.bulk.tally import BAD_LINE, COMPLETED, REPEATED, Tally


@attrs.frozen
class Known:
    """What is known of a promise.

    Attributes:
        digest: Of its payload; None where only its end is known.
        outcome: How it ended; empty where it has not.
        line: The line that named it; 0 where only the journal knows it.
        is_seen: Whether that is a line of this run.
        attempts: The requests that were sent, where only the journal knows it.
        may_be_ours: Whether an earlier run may have stored the payload, as the results say.
    """

    digest: bytes | None = None
    outcome: str = ""
    line: int = 0
    is_seen: bool = False
    attempts: int = 0
    may_be_ours: bool = False


class Index:
    """Every promise of a run and its results file, on disk: memory does not grow with them.

    The database is a temporary file without a name, which is gone when the process ends. A bad
    line that is recorded is known by its number and its problem.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE promises (id TEXT PRIMARY KEY, digest BLOB, outcome TEXT, line INTEGER,"
            " is_seen INTEGER, attempts INTEGER, may_be_ours INTEGER) WITHOUT ROWID; BEGIN"
        )

    def close(self) -> None:
        """Delete it."""
        self._db.close()

    @property
    def size(self) -> int:
        """The number of promises."""
        query = f"SELECT count(*) FROM promises WHERE outcome <> '{BAD_LINE}'"  # noqa: S608
        (size,) = self._db.execute(query).fetchone()
        return int(size)

    def find(self, promise_id: str) -> Known | None:
        """Return what is known of the promise; None where it is new."""
        query = "SELECT * FROM promises WHERE id = ?"
        row = self._db.execute(query, (promise_id,)).fetchone()
        return None if row is None else Known(*row[1:])

    def put(self, promise_id: str, known: Known) -> None:
        """Know this of the promise from now on."""
        values = (promise_id, *attrs.astuple(known))
        self._db.execute("INSERT OR REPLACE INTO promises VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def load(self, record: dict[str, Any]) -> bool:
        """Know what a record says, and return whether it is new; a later one replaces another."""
        outcome, line = record["outcome"], record["line"]
        may_be_ours = record.get("may_have_completed") is True
        key = f"{line} {record['message']}" if outcome == BAD_LINE else record["id"]
        is_new = self.find(key) is None
        self.put(key, Known(outcome=outcome, line=line, may_be_ours=may_be_ours))
        return is_new


@attrs.define
class Plan:
    """Decides on one line after the other, and counts those that need not be sent.

    A promise that is recorded is not sent again, whatever its line says now. One that an earlier
    line of the file names with another payload is a bad line: which of the two is stored must not
    be left to chance; so is one of which an earlier run may have sent another payload.

    Attributes:
        index: What is known of each promise.
        tally: Counts what is decided.
        on_bad_line: Called with each line that cannot be sent.
        on_found: Called with a line of which only the journal knows how it ended.
        retry_failed: Whether what is recorded as failed is to be sent again.
        to_send: The number of lines that are.
    """

    index: Index
    tally: Tally
    on_bad_line: Callable[[BadLine], None]
    on_found: Callable[[Line, Known], None]
    retry_failed: bool = False
    to_send: int = 0

    def line_to_send(self, line: Line | BadLine | None) -> Line | None:
        """Return the line if it is to be sent."""
        if line is None:
            self.tally.empty += 1
            return None
        if isinstance(line, BadLine):
            self._refuse(line)
            return None
        known = self.index.find(line.promise_id) or Known()
        digest = line.digest
        if known.digest not in (None, digest):
            where = f"line {known.line}" if known.is_seen else "an earlier run"
            problem = f"names the promise of {where} with another payload, and is not sent"
            self._refuse(BadLine(line.number, problem))
            return None
        if known.is_seen:
            self.tally.now[REPEATED] += 1
            return None
        seen = attrs.evolve(known, digest=digest, line=line.number, is_seen=True)
        if known.outcome and (known.outcome in COMPLETED or not self.retry_failed):
            self.tally.before[known.outcome] += 1
            if not known.line:
                self.on_found(line, known)
            self.index.put(line.promise_id, seen)
            return None
        self.index.put(line.promise_id, attrs.evolve(seen, outcome=""))
        self.to_send += 1
        return line

    def _refuse(self, line: BadLine) -> None:
        self.tally.now[BAD_LINE] += 1
        self.on_bad_line(line)
