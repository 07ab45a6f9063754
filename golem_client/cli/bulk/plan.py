"""What is known of every promise of a run, and which lines are to be sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import attrs

from golem_client.cli.bulk.lines import BadLine, Line
from golem_client.cli.bulk.tally import BAD_LINE, COMPLETED, REPEATED, Tally


@attrs.frozen(kw_only=True)
class Known:
    """What is known of a promise.

    Attributes:
        digest: Of its payload; None where only its end is known.
        outcome: How it ended; empty where it has not.
        line: The line that named it: in this run where `is_seen`, else when it was recorded; 0
            where only the journal knows it.
        is_seen: Whether a line of this run has named it.
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

    The database is a temporary file without a name, which is gone when the process ends.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(
            "CREATE TABLE promises (id TEXT PRIMARY KEY, digest BLOB, outcome TEXT, line INTEGER,"
            " is_seen INTEGER, attempts INTEGER, may_be_ours INTEGER) WITHOUT ROWID"
        )
        self._db.execute("CREATE TABLE bad_lines (digest TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._db.close()

    @property
    def size(self) -> int:
        """The number of promises."""
        (size,) = self._db.execute("SELECT count(*) FROM promises").fetchone()
        return int(size)

    def find(self, promise_id: str) -> Known | None:
        """Return what is known of the promise; None where it is new."""
        row = self._db.execute(
            "SELECT digest, outcome, line, is_seen, attempts, may_be_ours FROM promises"
            " WHERE id = ?",
            (promise_id,),
        ).fetchone()
        if row is None:
            return None
        digest, outcome, line, is_seen, attempts, may_be_ours = row
        return Known(
            digest=digest,
            outcome=outcome,
            line=line,
            is_seen=bool(is_seen),
            attempts=attempts,
            may_be_ours=bool(may_be_ours),
        )

    def put(self, promise_id: str, known: Known) -> None:
        """Know this of the promise from now on."""
        values = (promise_id, *attrs.astuple(known))
        self._db.execute("INSERT OR REPLACE INTO promises VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def add_bad_line(self, problem: str) -> bool:
        """Know what is recorded of a bad line; return whether it is new."""
        query = "INSERT OR IGNORE INTO bad_lines VALUES (?)"
        return self._db.execute(query, (problem,)).rowcount > 0

    def load(self, record: dict[str, Any]) -> None:
        """Know what a record says; of two about one promise, the later one."""
        if record["outcome"] == BAD_LINE:
            self.add_bad_line(bad_line_key(record["line"], record["message"]))
            return
        known = Known(
            outcome=record["outcome"],
            line=record["line"],
            may_be_ours=record.get("may_have_completed") is True,
        )
        self.put(record["id"], known)


def bad_line_key(number: int, problem: str) -> str:
    """Return what tells a recorded bad line from others: no payload can be guessed from it."""
    return f"{number} {problem}"


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
        known = self.index.find(line.promise_id)
        if known is not None and not self._is_open(known, line):
            self._pass_over(line, known)
            return None
        seen = Known(
            digest=line.digest,
            line=line.number,
            is_seen=True,
            may_be_ours=known is not None and known.may_be_ours,
        )
        self.index.put(line.promise_id, seen)
        self.to_send += 1
        return line

    def _is_open(self, known: Known, line: Line) -> bool:
        if known.is_seen or known.digest not in (None, line.digest):
            return False
        return not known.outcome or (self.retry_failed and known.outcome not in COMPLETED)

    def _pass_over(self, line: Line, known: Known) -> None:
        if known.digest not in (None, line.digest):
            where = f"line {known.line}" if known.is_seen else "an earlier run"
            problem = f"names the promise of {where} with another payload, and is not sent"
            self._refuse(BadLine(line.number, problem, line.digest))
        elif known.is_seen:
            self.tally.now[REPEATED] += 1
        else:
            self.tally.before[known.outcome] += 1
            if not known.line:
                self.on_found(line, known)
            seen = attrs.evolve(known, digest=line.digest, line=line.number, is_seen=True)
            self.index.put(line.promise_id, seen)

    def _refuse(self, line: BadLine) -> None:
        self.tally.now[BAD_LINE] += 1
        self.on_bad_line(line)
