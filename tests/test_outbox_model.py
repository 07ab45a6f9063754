"""The outbox's laws, whatever happens in which order, on both databases.

A small Golem keeps what it stored and from which row it came. Deliveries are taken apart into what
a process does one after the other, so that each can be the last: claim, send, settle. Payloads are
all different.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from golem_client import (
    Completion,
    ConnectionFailedError,
    ConnectionLostError,
    Outcome,
    PromiseId,
    PromiseNotFoundError,
)
from golem_client.outbox import Key, Outbox, State
from golem_client.outbox.settling import Claimed, Rules, Settlement, handed_back, settlement
from golem_client.outbox.statements import SETTLING, claiming, values_of_settlement
from golem_client.outbox.worker import _claimed
from tests.databases import BOTH, url_of
from tests.samples import PROMISE_ID

PROMISES = [PromiseId(PROMISE_ID.worker_id, n) for n in range(2)]
KEYS = [Key("a")]
RULES = Rules(give_up_after=timedelta(days=1), nudge_after=None)

FATES = ["answered", "answered", "lost", "lost before", "unsent", "not found", "held"]


@attrs.define(eq=False)
class Delivery:
    """A claimed row in the hands of a worker."""

    row: Claimed
    lease: str
    settlement: Settlement


class Machine(RuleBasedStateMachine):
    """What may happen to an outbox, and what must be true after each step."""

    driver = "aiosqlite"
    deliveries = Bundle("deliveries")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.serial = itertools.count()
        self.golem: dict[str, int] = {}
        """The row that completed each promise; 0 is somebody else."""
        self.received: dict[int, set[bytes]] = {}
        """The payloads that may be stored, of each row."""
        self.ended: dict[int, str] = {}
        """The outcome of each row, once it had one."""
        self.accepted: set[int] = set()
        self.run(self.begin())

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    async def begin(self) -> None:
        url = url_of(self.driver, Path(self.folder.name))
        self.engine: AsyncEngine = create_async_engine(url, poolclass=StaticPool)
        self.outbox = Outbox(self.engine)
        if self.driver == "aiosqlite":
            async with self.engine.connect() as connection:
                await connection.execute(text("PRAGMA synchronous = OFF"))
        else:
            await self.do("DROP TABLE IF EXISTS golem_outbox_entries")
            await self.do("DROP TABLE IF EXISTS golem_outbox_keys")
        await self.outbox.create_tables()

    def teardown(self) -> None:
        self.run(self.engine.dispose())
        self.runner.close()
        self.folder.cleanup()

    async def do(self, statement: str) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(statement))

    async def rows(self) -> list[Any]:
        query = text("SELECT * FROM golem_outbox_entries ORDER BY id")
        async with self.engine.connect() as connection:
            return list((await connection.execute(query)).mappings())

    def payload(self) -> bytes:
        return b"%d" % next(self.serial)

    @initialize()
    def accept_some(self) -> None:
        names: list[PromiseId | Key] = [*PROMISES, *KEYS]
        for name in names:
            self.accept_one(name)

    @rule(name=st.sampled_from([*PROMISES, *KEYS]))
    def accept(self, name: PromiseId | Key) -> None:
        self.accept_one(name)

    def accept_one(self, name: PromiseId | Key) -> None:
        self.run(self.outbox.complete_bytes(name, self.payload()))
        self.accepted = {row["id"] for row in self.run(self.rows())}

    @rule(key=st.sampled_from(KEYS), promise=st.sampled_from(PROMISES))
    def bind(self, key: Key, promise: PromiseId) -> None:
        self.run(self.outbox.bind(key, promise))

    @rule(promise=st.sampled_from(PROMISES))
    def somebody_else_completes(self, promise: PromiseId) -> None:
        self.golem.setdefault(str(promise), 0)

    @rule(promise=st.sampled_from(PROMISES), discards=st.sampled_from([False, False, True]))
    def look_after(self, promise: PromiseId, discards: bool) -> None:
        self.run((self.outbox.discard if discards else self.outbox.retry)(promise))
        if discards:
            self.accepted = {row["id"] for row in self.run(self.rows())}

    @rule(
        target=deliveries,
        limit=st.integers(1, 2),
        fate=st.sampled_from(FATES),
        outlives=st.booleans(),
        settles=st.booleans(),
    )
    def deliver(self, limit: int, fate: str, outlives: bool, settles: bool) -> Any:
        """Claim and send, after all back-offs and leases or before; settle at once, or later.

        A worker that dies does so too: it never settles.
        """
        return self.deliver_some(limit, fate, outlives, settles)

    @rule(target=deliveries, fate=st.sampled_from(FATES))
    def take_over(self, fate: str) -> Any:
        """Once every back-off and every lease is over, and to the end."""
        return self.deliver_some(2, fate, outlives=True, settles=True)

    def deliver_some(self, limit: int, fate: str, outlives: bool, settles: bool) -> Any:
        if outlives:
            self.run(self.do("UPDATE golem_outbox_entries SET due_at = 0 WHERE due_at > 0"))
        lease = f"lease {next(self.serial)}"
        claimed = self.run(self.claim(limit, lease))
        deliveries = [Delivery(row, lease, self.send(row, fate)) for row in claimed]
        if settles:
            for delivery in deliveries:
                self.settle_one(delivery)
        return multiple(*deliveries)

    async def claim(self, limit: int, lease: str) -> list[Claimed]:
        dialect = self.engine.dialect.name
        async with self.engine.begin() as connection:
            statement = claiming(dialect, "pending", limit, lease, 60)
            return [_claimed(row) for row in (await connection.execute(statement)).mappings()]

    def send(self, row: Claimed, fate: str) -> Settlement:
        """Let Golem receive the payload, or not, and return what the worker makes of it."""
        ended: Any
        if fate == "held":
            return handed_back(row)
        if fate in ("answered", "lost"):
            self.received.setdefault(row.id, set()).add(bytes(row.payload))
            is_first = row.promise_id not in self.golem
            self.golem.setdefault(row.promise_id, row.id)
            outcome = Outcome.FULFILLED if is_first else Outcome.ALREADY_FULFILLED
            ended = Completion(outcome, 1) if fate == "answered" else ConnectionLostError("lost")
        elif fate == "lost before":
            ended = ConnectionLostError("lost")
        elif fate == "unsent":
            ended = ConnectionFailedError("refused")
        else:
            ended = PromiseNotFoundError("no", 500)
        return settlement(row, ended, RULES, chance=0.5)

    @rule(delivery=deliveries)
    def settle_late(self, delivery: Delivery) -> None:
        """Or twice: it counts only while the lease is held."""
        self.settle_one(delivery)

    def settle_one(self, delivery: Delivery) -> None:
        async def transaction() -> None:
            async with self.engine.begin() as connection:
                values = values_of_settlement(delivery.row, delivery.lease, delivery.settlement)
                await connection.execute(SETTLING, [values])

        self.run(transaction())

    @invariant()
    def laws(self) -> None:
        rows = self.run(self.rows())
        assert self.accepted <= {row["id"] for row in rows}, "a row is lost"
        for row in rows:
            if row["outcome"] is not None:
                assert row["state"] == State.COMPLETED
                assert self.ended.setdefault(row["id"], row["outcome"]) == row["outcome"]
                by = self.golem[row["promise_id"]]
                if row["outcome"] == Outcome.FULFILLED:
                    assert by == row["id"], "FULFILLED, and the payload is another's"
                if row["outcome"] == Outcome.ALREADY_FULFILLED:
                    assert by != row["id"], "ALREADY_FULFILLED by its own payload"
        for payloads in self.received.values():
            assert len(payloads) <= 1, "Golem was sent two payloads of one row"


@pytest.mark.parametrize("driver", BOTH)
def test_the_laws_hold(driver: str) -> None:
    """Accept, bind, claim, send, lose, crash, outlive a lease, settle late, retry, discard."""
    machine = type("Machine", (Machine,), {"driver": driver})
    quick = settings(
        max_examples=10,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(machine, settings=quick)
