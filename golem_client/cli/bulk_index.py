"""What is known of every promise of a run, by what is recorded and what came before."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

BAD_LINE = "bad_line"
FAILED = "failed"
NOTHING_YET = ""


@attrs.frozen(kw_only=True)
class Known:
    """What is known of a promise.

    Attributes:
        fingerprint: Of the promise with its payload.
        outcome: How it ended.
        line: The line that named it: in this run where `is_seen`, else when it was recorded.
        is_seen: Whether a line of this run has named it.
        may_be_ours: Whether an earlier run may have stored the payload without a word of it.
    """

    fingerprint: str
    outcome: str = NOTHING_YET
    line: int = 0
    is_seen: bool = False
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
            "CREATE TABLE promises (id TEXT PRIMARY KEY, fingerprint TEXT, outcome TEXT,"
            " line INTEGER, is_seen INTEGER, may_be_ours INTEGER) WITHOUT ROWID"
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
            "SELECT fingerprint, outcome, line, is_seen, may_be_ours FROM promises WHERE id = ?",
            (promise_id,),
        ).fetchone()
        if row is None:
            return None
        fingerprint, outcome, line, is_seen, may_be_ours = row
        return Known(
            fingerprint=fingerprint,
            outcome=outcome,
            line=line,
            is_seen=bool(is_seen),
            may_be_ours=bool(may_be_ours),
        )

    def put(self, promise_id: str, known: Known) -> None:
        """Know this of the promise from now on."""
        self._db.execute(
            "INSERT OR REPLACE INTO promises VALUES (?, ?, ?, ?, ?, ?)",
            (
                promise_id,
                known.fingerprint,
                known.outcome,
                known.line,
                known.is_seen,
                known.may_be_ours,
            ),
        )

    def add_bad_line(self, digest: str) -> bool:
        """Know the bad line; return whether it is new."""
        query = "INSERT OR IGNORE INTO bad_lines VALUES (?)"
        return self._db.execute(query, (digest,)).rowcount > 0

    def load(self, record: Mapping[str, Any]) -> None:
        """Know what a record says; of two about one promise, the later one."""
        if record["outcome"] == BAD_LINE:
            self.add_bad_line(record["fingerprint"])
            return
        self.put(
            record["id"],
            Known(
                fingerprint=record["fingerprint"],
                outcome=record["outcome"],
                line=record["line"],
                may_be_ours=record.get("may_have_completed") is True,
            ),
        )
