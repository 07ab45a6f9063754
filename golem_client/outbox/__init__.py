"""Accept a completion now, durably, and deliver it for days. Needs the extra `outbox`.

    async with await Outbox.open("golem.sqlite") as outbox, outbox.delivering(client):
        entry = await outbox.complete_json(promise_id, {"approved": True})

An entry is in one of four states:

===========  ===========================================  ==========================================
state        it is left by                                to
===========  ===========================================  ==========================================
waiting      `bind` of its key                            pending; dead where its promise has a row
pending      an answer of Golem's `true` or `false`       completed
pending      a refusal that no later call can mend,       dead
             or `give_up_after`
completed    (sent once more after `nudge_after`)         completed, its payload wiped
dead         `retry`, or accepting the promise again      pending
===========  ===========================================  ==========================================

Delivery is at least once, by any number of workers. A worker claims a row with a lease by the
database's clock, and the claim itself records that the payload may be out: after a crash between
the claim and its settlement, Golem's `false` is `FULFILLED_BY_UNKNOWN`, never a false
`ALREADY_FULFILLED`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from golem_client.outbox.entry import Counts, Entry, State
from golem_client.outbox.key import Key

if TYPE_CHECKING:
    from golem_client.outbox.outbox import Outbox, OutboxPromise
    from golem_client.outbox.tables import golem_outbox

__all__ = ["Counts", "Entry", "Key", "Outbox", "OutboxPromise", "State", "golem_outbox"]

_HOMES = {"Outbox": "outbox", "OutboxPromise": "outbox", "golem_outbox": "tables"}


def __getattr__(name: str) -> Any:
    """Import what needs SQLAlchemy when it is asked for: `Key` alone does not."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"golem_client.outbox.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("sqlalchemy", "aiosqlite", "greenlet"):
            raise
    raise ImportError(
        f'{name} needs {missing}, which the extra has: pip install "golem-client[outbox]"'
    )
