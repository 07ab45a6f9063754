"""Every statement that changes the tables, as values. No engine, no connection.

Each works in one round trip and needs no isolation beyond READ COMMITTED: accepting is one
upsert, and a claim skips what others have locked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs
from sqlalchemy import (
    BigInteger,
    Text,
    and_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from golem_client.outbox.entry import COLUMNS
from golem_client.outbox.tables import ENTRIES, KEYS, MICROSECONDS, Hidden, Now, Payload

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy import Select, Update

    from golem_client.outbox.settling import Claimed, Settlement

    Insert = postgresql.Insert | sqlite.Insert

CHANNEL = "golem_outbox"
"""On which PostgreSQL notifies of new rows."""

DIALECTS = ("sqlite", "postgresql")

_E = ENTRIES.c
_DEAD: Any = literal_column("'dead'")
_CLAIMED = ("id", "slot", "promise_id", "state", "is_encrypted", "may_have_stored", "failures")


@attrs.frozen(kw_only=True)
class Acceptance:
    """A completion that is to be accepted, checked and encoded; its fields are columns.

    Attributes:
        slot: That of its promise; that of its key, where it waits while the key is not bound.
        promise_id: The promise, as text; None where a key stands for it.
        key: The key; None where it is accepted by its promise.
    """

    slot: str
    promise_id: str | None
    key: str | None
    payload: Hidden
    is_encrypted: bool
    trace: str | None


def promise_slot(promise_id: str) -> str:
    """Return the slot of a row whose promise is known."""
    return f"p:{promise_id}"


def key_slot(key: str) -> str:
    """Return the slot of a row that waits for its key to be bound."""
    return f"k:{key}"


def entry_columns() -> list[Any]:
    """Return the columns that an Entry is made of."""
    return [_E[name] for name in COLUMNS]


def insert_into(dialect: str, table: Any) -> Insert:
    """Return an INSERT that knows ON CONFLICT."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def accepting(dialect: str) -> Insert:
    """Return the upsert of rows by promise; the values, an Acceptance's fields, come later."""
    inserted = insert_into(dialect, ENTRIES).values(
        state=literal_column("'pending'"), accepted_at=Now(), counted_from=Now(), due_at=Now()
    )
    return _reviving(inserted)


def values_of(accepted: Acceptance) -> dict[str, Any]:
    """Return the values for `accepting`."""
    return attrs.asdict(accepted, recurse=False)


def accepting_by_key(dialect: str, accepted: Acceptance) -> Insert:
    """Return the upsert of one row by its key, which may be bound or not.

    On PostgreSQL it locks the key's row, so that it waits for a `bind` that is under way; SQLite
    has one writer at a time anyway.
    """
    key = literal(accepted.key, Text)
    if dialect == "postgresql":
        noted = insert_into(dialect, KEYS).values(key=key, noted_at=Now())
        locked = cast("postgresql.Insert", noted).on_conflict_do_update(
            index_elements=[KEYS.c.key], set_={"key": noted.excluded.key}
        )
        bound: Any = locked.returning(KEYS.c.promise_id).cte("bound")
    else:
        found = select(KEYS.c.promise_id).where(KEYS.c.key == key).scalar_subquery()
        bound = select(found.label("promise_id")).subquery("bound")
    promise_id = bound.c.promise_id
    is_bound = promise_id.is_not(None)
    row = select(
        case((is_bound, literal("p:", Text) + promise_id), else_=literal("k:", Text) + key),
        promise_id,
        key,
        case((is_bound, literal_column("'pending'")), else_=literal_column("'waiting'")),
        literal(accepted.payload, Payload),
        literal(accepted.is_encrypted),
        literal(accepted.trace, Text),
        Now(),
        Now(),
        case((is_bound, Now())),
    ).where(true())  # without a WHERE, SQLite takes ON CONFLICT for a join's
    names = ("slot", "promise_id", "key", "state", "payload", "is_encrypted", "trace")
    times = ("accepted_at", "counted_from", "due_at")
    return _reviving(insert_into(dialect, ENTRIES).from_select([*names, *times], row))


def _reviving(inserted: Insert) -> Insert:
    """Let the upsert revive a row that is dead, and leave every other as it is.

    The new payload replaces the old one only where no attempt may have stored the old one.
    """
    new = inserted.excluded
    may_be_stored = or_(_E.may_have_stored, _E.is_claimed)
    kept = {
        name: case((may_be_stored, _E[name]), else_=new[name])
        for name in ("payload", "is_encrypted")
    }
    fresh = ("state", "promise_id", "trace", "accepted_at", "counted_from", "due_at")
    statement: Insert = inserted.on_conflict_do_update(
        index_elements=[_E.slot],
        set_={
            **kept,
            **{name: new[name] for name in fresh},
            "key": func.coalesce(new.key, _E.key),
            "error": null(),
            "failures": literal_column("0"),
            "settled_at": null(),
        },
        where=_E.state == _DEAD,
    )
    return statement


def notification() -> Any:
    """Return what tells PostgreSQL's listeners, once it is committed, that there are new rows."""
    return select(_notify())


def notifying(statement: Insert) -> sqlalchemy.Insert:
    """Return the statement, with a notification for listeners where it writes a row."""
    return statement.returning(_notify())


def _notify() -> Any:
    return func.pg_notify(literal_column(f"'{CHANNEL}'"), literal_column("''"))


def found_by_key(key: str) -> Select[*tuple[Any, ...]]:
    """Return the query for the row that accepting by this key finds."""
    bound = select(literal("p:", Text) + KEYS.c.promise_id).where(
        KEYS.c.key == key, KEYS.c.promise_id.is_not(None)
    )
    slot = func.coalesce(bound.scalar_subquery(), literal(key_slot(key), Text))
    return select(*entry_columns()).where(_E.slot == slot)


def binding(dialect: str, key: str, promise_id: str) -> Insert:
    """Return what binds a key to a promise, or binds it again."""
    inserted = insert_into(dialect, KEYS).values(key=key, promise_id=promise_id, noted_at=Now())
    return inserted.on_conflict_do_update(
        index_elements=[KEYS.c.key],
        set_={"promise_id": inserted.excluded.promise_id, "noted_at": inserted.excluded.noted_at},
    )


def freeing(key: str, promise_id: str) -> Update:
    """Return what gives a waiting row its promise, unless the promise has a row."""
    other = ENTRIES.alias("other")
    taken = select(other.c.id).where(other.c.slot == promise_slot(promise_id)).exists()
    return _waiting(key, ~taken).values(
        slot=promise_slot(promise_id),
        promise_id=promise_id,
        state="pending",
        counted_from=Now(),
        due_at=Now(),
    )


def refusing(key: str, promise_id: str) -> Update:
    """Return what makes a row dead that still waits once its key is bound."""
    error = f"the promise {promise_id} had been accepted before its key was bound to it"
    return _waiting(key).values(state="dead", error=error, settled_at=Now())


def _waiting(key: str, *more: Any) -> Update:
    return update(ENTRIES).where(_E.slot == key_slot(key), _E.state == "waiting", *more)


def claiming(dialect: str, state: str, limit: int, lease: str, seconds: float) -> Update:
    """Return what claims rows that are due, the oldest first.

    The claim itself records that the payload may be out: after a crash, the next claim finds
    `is_claimed`, and remembers it in `may_have_stored`.
    """
    due = (
        select(_E.id)
        .where(_E.state == state, _E.due_at <= Now())
        .order_by(_E.due_at, _E.id)
        .limit(limit)
    )
    if dialect == "postgresql":
        # As a plain subquery it may be run again, and lock more rows than the limit.
        locked = due.with_for_update(skip_locked=True).cte("due")
        due = select(locked.prefix_with("MATERIALIZED").c.id)
    return (
        update(ENTRIES)
        .where(_E.id.in_(due))
        .values(
            may_have_stored=or_(_E.may_have_stored, _E.is_claimed),
            is_claimed=true(),
            lease=lease,
            due_at=Now() + int(seconds * MICROSECONDS),
        )
        .returning(
            *(_E[name] for name in _CLAIMED),
            _E.payload,
            _E.trace,
            (Now() - _E.counted_from).label("age"),
        )
    )


def _settling() -> Update:
    def value(name: str) -> Any:
        return bindparam(f"new_{name}", type_=_E[name].type)

    copied = ("state", "error", "failures", "may_have_stored")
    due_in = bindparam("due_in", type_=BigInteger())
    is_end = bindparam("is_end", type_=_E.is_claimed.type)
    wipes = bindparam("wipes", type_=_E.is_claimed.type)
    return (
        update(ENTRIES)
        .where(and_(_E.id == bindparam("row"), _E.lease == bindparam("held")))
        .values(
            **{name: value(name) for name in copied},
            outcome=func.coalesce(value("outcome"), _E.outcome),
            attempts=_E.attempts + value("attempts"),
            is_claimed=literal_column("false"),
            lease=null(),
            due_at=Now() + due_in,
            settled_at=case((is_end, Now()), else_=_E.settled_at),
            payload=case((wipes, null()), else_=_E.payload),
        )
    )


SETTLING = _settling()
"""What writes a settlement into a row, as long as its lease is held; the values come with it."""


def values_of_settlement(row: Claimed, lease: str, settled: Settlement) -> dict[str, Any]:
    """Return the values for `SETTLING`."""
    copied = ("error", "attempts", "failures", "may_have_stored")
    due_in = settled.due_in
    return {
        **{f"new_{name}": getattr(settled, name) for name in copied},
        "row": row.id,
        "held": lease,
        "new_state": str(settled.state),
        "new_outcome": None if settled.outcome is None else str(settled.outcome),
        "due_in": None if due_in is None else int(due_in.total_seconds() * MICROSECONDS),
        "is_end": settled.is_end,
        "wipes": settled.wipes,
    }


def retrying(which: Any) -> Update:
    """Return what makes rows due now: dead ones again, others sooner. Completed ones stay so."""
    is_dead = and_(_E.state == "dead", _E.promise_id.is_not(None))
    waits = and_(_E.state.in_(("pending", "completed")), _E.due_at.is_not(None), _E.lease.is_(None))
    return (
        update(ENTRIES)
        .where(which, or_(is_dead, waits))
        .values(
            state=case((is_dead, literal_column("'pending'")), else_=_E.state),
            counted_from=case((is_dead, Now()), else_=_E.counted_from),
            settled_at=case((is_dead, null()), else_=_E.settled_at),
            error=case((is_dead, null()), else_=_E.error),
            failures=literal_column("0"),
            due_at=Now(),
        )
    )
