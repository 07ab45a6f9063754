"""Every statement that changes the tables, as values. No engine, no connection.

Each works in one round trip and needs no isolation beyond READ COMMITTED: accepting is one
upsert, and a claim skips what others have locked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from golem_client.outbox.entry import COLUMNS
from golem_client.outbox.tables import ENTRIES, KEYS, MICROSECONDS, Hidden, Now, Payload

if TYPE_CHECKING:
    from sqlalchemy import Select, Update

    from golem_client.outbox.settling import Claimed, Settlement

    Insert = postgresql.Insert | sqlite.Insert

CHANNEL = "golem_outbox"
"""On which PostgreSQL notifies of new rows."""

INSERTS: Any = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""An INSERT that knows ON CONFLICT, for each dialect."""

_E = ENTRIES.c
ENTRY_COLUMNS = [_E[name] for name in COLUMNS]

_PENDING, _COMPLETED, _DEAD = (
    sa.literal_column(f"'{state}'", sa.Text) for state in ("pending", "completed", "dead")
)
_ZERO: Any = sa.literal_column("0")
_MAY_BE_STORED = sa.or_(_E.may_have_stored, _E.is_claimed)
_CLAIMED = ("id", "slot", "promise_id", "state", "payload", "is_encrypted", "failures", "trace")
_SETTLED = ("state", "outcome", "error", "attempts", "failures", "may_have_stored")


@attrs.frozen(kw_only=True)
class Acceptance:
    """A completion that is to be accepted, checked and encoded; its fields are columns.

    Attributes:
        promise_id: The promise, as text; None where a key stands for it.
        key: The key; None where it is accepted by its promise.
    """

    promise_id: str | None
    key: str | None
    payload: Hidden
    is_encrypted: bool
    trace: str | None

    @property
    def slot(self) -> str:
        """The slot of its promise; that of its key, where it waits while the key is not bound."""
        by_key = self.promise_id is None
        return f"k:{self.key}" if by_key else f"p:{self.promise_id}"


def promise_slot(promise_id: Any) -> Any:
    """Return the slot of a row whose promise is known; of text or of a column."""
    return "p:" + promise_id


def accepting(dialect: str) -> Insert:
    """Return the upsert of rows by promise; the values, an Acceptance's fields, come later."""
    now = Now()
    inserted = INSERTS[dialect](ENTRIES).values(
        state=_PENDING, accepted_at=now, counted_from=now, due_at=now
    )
    return _reviving(inserted)


def values_of(accepted: Acceptance) -> dict[str, Any]:
    """Return the values for `accepting`."""
    return {**attrs.asdict(accepted, recurse=False), "slot": accepted.slot}


def accepting_by_key(dialect: str, accepted: Acceptance) -> Insert:
    """Return the upsert of one row by its key, which may be bound or not.

    On PostgreSQL it locks the key's row, so that it waits for a `bind` that is under way; SQLite
    has one writer at a time anyway.
    """
    key = sa.literal(accepted.key, sa.Text)
    if dialect == "postgresql":
        noted = postgresql.insert(KEYS).values(key=key, noted_at=Now())
        locked = noted.on_conflict_do_update(
            index_elements=[KEYS.c.key], set_={"key": noted.excluded.key}
        )
        bound: Any = locked.returning(KEYS.c.promise_id).cte("bound")
    else:
        found = sa.select(KEYS.c.promise_id).where(KEYS.c.key == key).scalar_subquery()
        bound = sa.select(found.label("promise_id")).subquery("bound")
    promise_id = bound.c.promise_id
    is_bound = promise_id.is_not(None)
    now = Now()
    values = {
        "slot": sa.case((is_bound, promise_slot(promise_id)), else_=accepted.slot),
        "promise_id": promise_id,
        "key": key,
        "state": sa.case((is_bound, _PENDING), else_="waiting"),
        "payload": sa.literal(accepted.payload, Payload),
        "is_encrypted": sa.literal(accepted.is_encrypted),
        "trace": sa.literal(accepted.trace, sa.Text),
        "accepted_at": now,
        "counted_from": now,
        "due_at": sa.case((is_bound, now)),
    }
    # Without a WHERE, SQLite takes ON CONFLICT for a join's.
    row = sa.select(*values.values()).where(sa.true())
    return _reviving(INSERTS[dialect](ENTRIES).from_select(list(values), row))


def _reviving(inserted: Insert) -> Insert:
    """Let the upsert revive a row that is dead, and leave every other as it is.

    The new payload replaces the old one only where no attempt may have stored the old one.
    """
    new = inserted.excluded
    kept = ("payload", "is_encrypted")
    fresh = ("state", "promise_id", "trace", "accepted_at", "counted_from", "due_at")
    statement: Insert = inserted.on_conflict_do_update(
        index_elements=[_E.slot],
        set_={
            **{name: sa.case((_MAY_BE_STORED, _E[name]), else_=new[name]) for name in kept},
            **{name: new[name] for name in fresh},
            "key": sa.func.coalesce(new.key, _E.key),
            "error": sa.null(),
            "failures": _ZERO,
            "settled_at": sa.null(),
        },
        where=_E.state == _DEAD,
    )
    return statement


def notifying(dialect: str, statement: Any, *columns: Any) -> Any:
    """Return the statement, which returns these columns of each row that it writes.

    On PostgreSQL it tells listeners, once it is committed, that there are new rows.
    """
    if dialect == "postgresql":
        empty: Any = sa.literal_column("''")
        columns += (sa.func.pg_notify(sa.literal_column(f"'{CHANNEL}'"), empty).label("notified"),)
    return statement.returning(*columns) if columns else statement


def found_by_key(accepted: Acceptance) -> Select[*tuple[Any, ...]]:
    """Return the query for the row that accepting by a key has found."""
    bound = sa.select(promise_slot(KEYS.c.promise_id)).where(KEYS.c.key == accepted.key)
    slot = sa.func.coalesce(bound.scalar_subquery(), accepted.slot)
    return sa.select(*ENTRY_COLUMNS).where(_E.slot == slot)


def binding(dialect: str, key: str, promise_id: str) -> Insert:
    """Return what binds a key to a promise, or binds it again."""
    inserted = INSERTS[dialect](KEYS).values(key=key, promise_id=promise_id, noted_at=Now())
    new = inserted.excluded
    statement: Insert = inserted.on_conflict_do_update(
        index_elements=[KEYS.c.key],
        set_={"promise_id": new.promise_id, "noted_at": new.noted_at},
    )
    return statement


def freeing(key: str, promise_id: str) -> Update:
    """Return what gives a waiting row its promise, unless the promise has a row."""
    slot, other = promise_slot(promise_id), ENTRIES.alias("other")
    taken = sa.select(other.c.id).where(other.c.slot == slot).exists()
    facts = {"slot": slot, "promise_id": promise_id, "state": _PENDING}
    return _waiting(key).where(~taken).values(**facts, counted_from=Now(), due_at=Now())


def refusing(key: str, promise_id: str) -> Update:
    """Return what makes a row dead that still waits once its key is bound."""
    error = f"the promise {promise_id} had been accepted before its key was bound to it"
    return _waiting(key).values(state=_DEAD, error=error, settled_at=Now())


def _waiting(key: str) -> Update:
    return sa.update(ENTRIES).where(_E.slot == f"k:{key}", _E.state == "waiting")


def claiming(state: str, limit: int, lease: str, seconds: float) -> Update:
    """Return what claims rows that are due, the oldest first.

    The claim itself records that the payload may be out: after a crash, the next claim finds
    `is_claimed`, and remembers it in `may_have_stored`.
    """
    due = sa.select(_E.id).where(_E.state == state, _E.due_at <= Now())
    due = due.order_by(_E.due_at, _E.id).limit(limit).with_for_update(skip_locked=True)
    # As a plain subquery, PostgreSQL may run it again, and lock more rows than the limit.
    once = sa.select(due.cte("due").prefix_with("MATERIALIZED").c.id)
    age = (Now() - _E.counted_from).label("age")
    return (
        sa.update(ENTRIES)
        .where(_E.id.in_(once))
        .values(
            may_have_stored=_MAY_BE_STORED,
            is_claimed=sa.true(),
            lease=lease,
            due_at=Now() + int(seconds * MICROSECONDS),
        )
        .returning(*(_E[name] for name in _CLAIMED), _E.may_have_stored, age)
    )


def _settling() -> Update:
    new: Any = {name: sa.bindparam(f"new_{name}", type_=_E[name].type) for name in _SETTLED}
    due_in = sa.bindparam("due_in", type_=sa.BigInteger())
    new["outcome"] = sa.func.coalesce(_E.outcome, new["outcome"])  # the first one stays
    is_completed, last_error = new["state"] == _COMPLETED, sa.func.coalesce(new["error"], _E.error)
    new["error"] = sa.case((is_completed, sa.null()), else_=last_error)
    new["attempts"] = _E.attempts + new["attempts"]
    is_over = sa.and_(is_completed, due_in.is_(None))
    settled_at = sa.func.coalesce(_E.settled_at, Now())
    return (
        sa.update(ENTRIES)
        .where(_E.id == sa.bindparam("row"), _E.lease == sa.bindparam("held"))
        .values(
            **new,
            is_claimed=sa.literal_column("false"),
            lease=sa.null(),
            due_at=Now() + due_in,
            settled_at=sa.case((new["state"] == _PENDING, sa.null()), else_=settled_at),
            payload=sa.case((is_over, sa.null()), else_=_E.payload),
        )
    )


SETTLING = _settling()
"""What writes a settlement into a row, as long as its lease is held; the values come with it."""


def values_of_settlement(row: Claimed, lease: str, settled: Settlement) -> dict[str, Any]:
    """Return the values for `SETTLING`."""
    due_in = None if settled.due_in is None else settled.due_in.total_seconds()
    return {
        **{f"new_{name}": getattr(settled, name) for name in _SETTLED},
        "row": row.id,
        "held": lease,
        "due_in": None if due_in is None else int(due_in * MICROSECONDS),
    }


def retrying(which: Any) -> Update:
    """Return what makes rows due now: dead ones again, others sooner. Completed ones stay so."""
    is_dead = sa.and_(_E.state == _DEAD, _E.promise_id.is_not(None))
    waits = sa.and_(_E.state != _DEAD, _E.due_at.is_not(None), _E.lease.is_(None))
    anew = {"state": _PENDING, "counted_from": Now(), "settled_at": sa.null(), "error": sa.null()}
    return (
        sa.update(ENTRIES)
        .where(which, sa.or_(is_dead, waits))
        .values(
            **{name: sa.case((is_dead, value), else_=_E[name]) for name, value in anew.items()},
            failures=_ZERO,
            due_at=Now(),
        )
    )
