"""Every statement that changes the tables, as values. No engine, no connection.

Each works in one round trip and needs no isolation beyond READ COMMITTED: accepting is one
upsert, and a claim skips what others have locked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    literal_column(f"'{state}'", Text) for state in ("pending", "completed", "dead")
)
_ZERO: Any = literal_column("0")
_MAY_BE_STORED = or_(_E.may_have_stored, _E.is_claimed)
_CLAIMED = ("id", "slot", "promise_id", "state", "payload", "is_encrypted", "failures", "trace")
_SETTLED = ("state", "outcome", "error", "attempts", "failures", "may_have_stored")


@attrs.frozen(kw_only=True)
class Acceptance:
    """A completion that is to be accepted, checked and encoded; its fields are columns.

    Attributes:
        promise_id: The promise, as text; None where a key stands for it.
        key: The key; None where it is accepted by its promise.
        slot: That of its promise; that of its key, where it waits while the key is not bound.
    """

    promise_id: str | None
    key: str | None
    payload: Hidden
    is_encrypted: bool
    trace: str | None
    slot: str = attrs.field(init=False)

    @slot.default
    def _slot(self) -> str:
        return f"k:{self.key}" if self.promise_id is None else promise_slot(self.promise_id)


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
    return attrs.asdict(accepted, recurse=False)


def accepting_by_key(dialect: str, accepted: Acceptance) -> Insert:
    """Return the upsert of one row by its key, which may be bound or not.

    On PostgreSQL it locks the key's row, so that it waits for a `bind` that is under way; SQLite
    has one writer at a time anyway.
    """
    key = literal(accepted.key, Text)
    if dialect == "postgresql":
        noted = postgresql.insert(KEYS).values(key=key, noted_at=Now())
        locked = noted.on_conflict_do_update(
            index_elements=[KEYS.c.key], set_={"key": noted.excluded.key}
        )
        bound: Any = locked.returning(KEYS.c.promise_id).cte("bound")
    else:
        found = select(KEYS.c.promise_id).where(KEYS.c.key == key).scalar_subquery()
        bound = select(found.label("promise_id")).subquery("bound")
    promise_id = bound.c.promise_id
    is_bound = promise_id.is_not(None)
    now = Now()
    values = {
        "slot": case((is_bound, promise_slot(promise_id)), else_=accepted.slot),
        "promise_id": promise_id,
        "key": key,
        "state": case((is_bound, _PENDING), else_="waiting"),
        "payload": literal(accepted.payload, Payload),
        "is_encrypted": literal(accepted.is_encrypted),
        "trace": literal(accepted.trace, Text),
        "accepted_at": now,
        "counted_from": now,
        "due_at": case((is_bound, now)),
    }
    row = select(*values.values()).where(
        true()
    )  # without it, SQLite takes ON CONFLICT for a join's
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
            **{name: case((_MAY_BE_STORED, _E[name]), else_=new[name]) for name in kept},
            **{name: new[name] for name in fresh},
            "key": func.coalesce(new.key, _E.key),
            "error": null(),
            "failures": _ZERO,
            "settled_at": null(),
        },
        where=_E.state == _DEAD,
    )
    return statement


def notifying(dialect: str, statement: Any, *columns: Any) -> Any:
    """Return the statement, which returns these columns of each row that it writes.

    On PostgreSQL it tells listeners, once it is committed, that there are new rows.
    """
    if dialect == "postgresql":
        empty: Any = literal_column("''")
        columns += (func.pg_notify(literal_column(f"'{CHANNEL}'"), empty).label("notified"),)
    return statement.returning(*columns) if columns else statement


def found_by_key(accepted: Acceptance) -> Select[*tuple[Any, ...]]:
    """Return the query for the row that accepting by a key has found."""
    bound = select(promise_slot(KEYS.c.promise_id)).where(KEYS.c.key == accepted.key)
    slot = func.coalesce(bound.scalar_subquery(), accepted.slot)
    return select(*ENTRY_COLUMNS).where(_E.slot == slot)


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
    taken = select(other.c.id).where(other.c.slot == slot).exists()
    facts = {"slot": slot, "promise_id": promise_id, "state": _PENDING}
    return _waiting(key).where(~taken).values(**facts, counted_from=Now(), due_at=Now())


def refusing(key: str, promise_id: str) -> Update:
    """Return what makes a row dead that still waits once its key is bound."""
    error = f"the promise {promise_id} had been accepted before its key was bound to it"
    return _waiting(key).values(state=_DEAD, error=error, settled_at=Now())


def _waiting(key: str) -> Update:
    return update(ENTRIES).where(_E.slot == f"k:{key}", _E.state == "waiting")


def claiming(state: str, limit: int, lease: str, seconds: float) -> Update:
    """Return what claims rows that are due, the oldest first.

    The claim itself records that the payload may be out: after a crash, the next claim finds
    `is_claimed`, and remembers it in `may_have_stored`.
    """
    due = select(_E.id).where(_E.state == state, _E.due_at <= Now())
    due = due.order_by(_E.due_at, _E.id).limit(limit).with_for_update(skip_locked=True)
    # As a plain subquery, PostgreSQL may run it again, and lock more rows than the limit.
    once = select(due.cte("due").prefix_with("MATERIALIZED").c.id)
    age = (Now() - _E.counted_from).label("age")
    return (
        update(ENTRIES)
        .where(_E.id.in_(once))
        .values(
            may_have_stored=_MAY_BE_STORED,
            is_claimed=true(),
            lease=lease,
            due_at=Now() + int(seconds * MICROSECONDS),
        )
        .returning(*(_E[name] for name in _CLAIMED), _E.may_have_stored, age)
    )


def _settling() -> Update:
    new = {name: bindparam(f"new_{name}", type_=_E[name].type) for name in _SETTLED}
    due_in = bindparam("due_in", type_=BigInteger())
    is_over = and_(new["state"] == _COMPLETED, due_in.is_(None))
    return (
        update(ENTRIES)
        .where(_E.id == bindparam("row"), _E.lease == bindparam("held"))
        .values(
            **new
            | {
                "outcome": func.coalesce(_E.outcome, new["outcome"]),  # the first one stays
                "attempts": _E.attempts + new["attempts"],
            },
            is_claimed=literal_column("false"),
            lease=null(),
            due_at=Now() + due_in,
            settled_at=case(
                (new["state"] == _PENDING, null()), else_=func.coalesce(_E.settled_at, Now())
            ),
            payload=case((is_over, null()), else_=_E.payload),
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
    is_dead = and_(_E.state == _DEAD, _E.promise_id.is_not(None))
    waits = and_(_E.state != _DEAD, _E.due_at.is_not(None), _E.lease.is_(None))
    anew = {"state": _PENDING, "counted_from": Now(), "settled_at": null(), "error": null()}
    return (
        update(ENTRIES)
        .where(which, or_(is_dead, waits))
        .values(
            **{name: case((is_dead, value), else_=_E[name]) for name, value in anew.items()},
            failures=_ZERO,
            due_at=Now(),
        )
    )
