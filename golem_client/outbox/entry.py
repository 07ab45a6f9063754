"""What an outbox says about one accepted completion, and about all of them."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from golem_client.ids import PromiseId
from golem_client.outbox.key import Key
from golem_client.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(enum.StrEnum):
    """How far an entry is.

    `WAITING`: its key is not bound to a promise yet. `PENDING`: it is being delivered, or will be
    at its `due_at`. `COMPLETED`: its promise is completed; `outcome` says by whom. `DEAD`: it is
    not tried again until somebody retries it; `error` says why.
    """

    WAITING = "waiting"
    PENDING = "pending"
    COMPLETED = "completed"
    DEAD = "dead"


@attrs.frozen(kw_only=True)
class Entry:
    """One accepted completion, as it was when it was read. It holds no payload.

    Attributes:
        promise_id: The promise; None while its key is not bound.
        key: The key under which it was accepted; None where it was accepted by its promise.
        state: How far it is.
        outcome: By whom the promise is completed; None unless it is `completed`.
        attempts: The number of requests sent so far, those of the second sending included.
        error: The last failure, for people; None once the promise is completed.
        accepted_at: When it was accepted, by the database's clock, in UTC.
        due_at: When it is sent next, at the earliest: a lease under way ends then. None where
            nothing is to be sent.
        settled_at: When it became completed or dead; None before.
        is_new: Whether this call stored its payload; None where the entry was only read.
    """

    promise_id: PromiseId | None
    key: Key | None
    state: State
    outcome: Outcome | None
    attempts: int
    error: str | None
    accepted_at: datetime
    due_at: datetime | None
    settled_at: datetime | None
    is_new: bool | None = None

    @property
    def is_settled(self) -> bool:
        """Whether it is completed or dead."""
        return self.state in (State.COMPLETED, State.DEAD)


COLUMNS = ("id", "slot", *(f.name for f in attrs.fields(Entry) if f.name != "is_new"))
"""What an entry is read from. No payload."""


def entry_of(row: Mapping[str, Any], *, is_new: bool | None = None) -> Entry:
    """Return the entry of a row with the COLUMNS."""
    promise_id, key, outcome = row["promise_id"], row["key"], row["outcome"]
    return Entry(
        promise_id=None if promise_id is None else PromiseId.parse(promise_id),
        key=None if key is None else Key(key),
        state=State(row["state"]),
        outcome=None if outcome is None else Outcome(outcome),
        attempts=row["attempts"],
        error=row["error"],
        accepted_at=_time(row["accepted_at"]),
        due_at=_time(row["due_at"]),
        settled_at=_time(row["settled_at"]),
        is_new=is_new,
    )


@attrs.frozen(kw_only=True)
class Counts:
    """How many entries are in each state.

    Attributes:
        waiting: Those whose key is not bound.
        pending: Those that are to be delivered.
        completed: Those whose promise is completed.
        dead: Those that need somebody to look at them.
        oldest_pending: How long ago the oldest pending entry was accepted; None without one.
    """

    waiting: int = 0
    pending: int = 0
    completed: int = 0
    dead: int = 0
    oldest_pending: timedelta | None = None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _time(microseconds: int | None) -> Any:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
