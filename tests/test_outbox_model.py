"""The outbox's laws, whatever happens in which order, on both databases.

A small Golem keeps what it stored, from which row it came, and whose worker sleeps on. Deliveries
are taken apart into what workers do one after the other, so that each step can be the last of a
worker, and so that another worker may be in between: claim, send, settle. Payloads are all
different. What each step must come to is worked out from what has happened, not from the tables.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, create_engine, event, text
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
from golem_client.outbox import Key, Outbox, State, settling
from golem_client.outbox.settling import Claimed, Rules, Settlement, handed_back, settlement
from golem_client.outbox.statements import SETTLING, claiming, values_of_settlement
from golem_client.outbox.worker import _claimed
from tests.databases import BOTH, url_of
from tests.samples import PROMISE_ID

T = TypeVar("T")

PROMISES = [PromiseId(PROMISE_ID.worker_id, n) for n in range(2)]
KEY = Key("a")
NAMES: list[PromiseId | Key] = [*PROMISES, KEY]
RULES = Rules(give_up_after=timedelta(days=1), nudge_after=timedelta(minutes=1))

CHANGES = [
    *("accept", "accept", "accept"),
    "bind",
    "somebody else completes",
    "retry",
    "discard",
    "prune",
    "all is well for a while",
]
UNSENT = ("held", "unsent", "not found")  # after which nothing of a delivery can be stored
FATES = ["answered", "sleeps on", "lost", "lost before", "cut", "not found", *UNSENT]


@attrs.define(eq=False)
class Delivery:
    """A claimed row in the hands of a worker."""

    row: Claimed
    lease: str
    others: bool
    """Whether another delivery of the row may have stored its payload."""
    fate: str = "held"
    settlement: Settlement | None = None
    outcome: Outcome | None = None


class Machine(RuleBasedStateMachine):
    """What may happen to an outbox, and what must be true after each step."""

    runner: asyncio.Runner
    engine: AsyncEngine
    quick: Engine | None
    """An engine without threads for what is not done by the outbox: they are most of the time."""
    outbox: Outbox
    deliveries = Bundle("deliveries")

    def __init__(self) -> None:
        super().__init__()
        self.serial = itertools.count()
        self.golem: dict[str, int] = {}
        """The row that completed each promise; 0 is somebody else."""
        self.asleep: set[str] = set()
        self.sent: dict[int, set[bytes]] = defaultdict(set)
        """The payloads that may be stored, of each row."""
        self.payloads: dict[int, bytes] = {}
        """The payload that each row must hold, and send."""
        self.out: dict[int, set[str]] = defaultdict(set)
        """The leases of each row under which its payload may have been stored."""
        self.owners: dict[int, str] = {}
        """The lease of each row's last claim, until it is settled."""
        self.running: set[str] = set()
        """The leases that are not over."""
        self.outcomes: dict[int, Outcome] = {}
        self.refused: set[int] = set()
        """Rows whose second sending was refused for good."""
        self.rows: dict[int, Any] = {}
        self.run(self.begin())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def begin(self) -> None:
        for table in ("golem_outbox_entries", "golem_outbox_keys"):
            await self.do(f"DELETE FROM {table}")

    async def do(self, statement: Any, *values: Any) -> list[Any]:
        """Execute a statement in a transaction of its own, and return its rows."""
        statement = text(statement) if isinstance(statement, str) else statement
        if self.quick is not None:
            with self.quick.begin() as connection:
                return rows_of(connection.execute(statement, *values))
        async with self.engine.begin() as other:
            return rows_of(await other.execute(statement, *values))

    async def read(self) -> dict[int, Any]:
        """Read all rows anew, and return those of before."""
        rows = await self.do("SELECT * FROM golem_outbox_entries")
        before, self.rows = self.rows, {row["id"]: dict(row) for row in rows}
        for id_, row in self.rows.items():
            payload = row["payload"]
            row["payload"] = None if payload is None else bytes(payload)
            assert payload is None or self.payloads.get(id_, row["payload"]) == row["payload"]
        return before

    @initialize(others=st.sets(st.sampled_from(PROMISES)))
    def accept_some(self, others: set[PromiseId]) -> None:
        self.golem = {str(promise): 0 for promise in others}
        for name in NAMES:
            self.accept_one(name)

    # One rule for all: Hypothesis would switch many of them off in each example.
    @rule(
        what=st.sampled_from(CHANGES),
        name=st.sampled_from(NAMES),
        promise=st.sampled_from(PROMISES),
    )
    def change(self, what: str, name: PromiseId | Key, promise: PromiseId) -> None:
        if what == "accept":
            self.accept_one(name)
        elif what == "bind":
            self.bind(promise)
        elif what == "somebody else completes":
            self.golem.setdefault(str(promise), 0)
        elif what == "retry":
            self.retry(name)
        elif what == "all is well for a while":
            self.all_is_well_for_a_while()
        else:
            self.delete(name, prunes=what == "prune")

    def accept_one(self, name: PromiseId | Key) -> None:
        """Every row stays; a new payload is taken where none may be out."""
        payload = b"%d" % next(self.serial)
        is_new = False

        async def work() -> None:
            nonlocal is_new
            entry = await self.outbox.complete_bytes(name, payload)
            dead = {id_ for id_, row in self.rows.items() if row["state"] == "dead"}
            rows = await self.do("SELECT id, state FROM golem_outbox_entries")
            states = {row["id"]: row["state"] for row in rows}
            assert set(self.rows) <= set(states), "a row is lost"
            added = set(states) - set(self.rows)
            revived = {id_ for id_ in dead if states[id_] != "dead"}
            assert entry.is_new == bool(added | revived)
            for id_ in added | {id_ for id_ in revived if not self.out[id_]}:
                self.payloads[id_] = payload
            await self.read()

        self.run(work())

    def bind(self, promise: PromiseId) -> None:
        """What waits gets its promise, or is dead where the promise has a row."""

        async def work() -> None:
            is_taken = any(row["slot"] == f"p:{promise}" for row in self.rows.values())
            await self.outbox.bind(KEY, promise)
            before = await self.read()
            for id_, row in before.items():
                if row["state"] == "waiting":
                    expected = ("dead", None) if is_taken else ("pending", str(promise))
                    assert expected == (self.rows[id_]["state"], self.rows[id_]["promise_id"])
                else:
                    assert row == self.rows[id_]

        self.run(work())

    def retry(self, name: PromiseId | Key) -> None:
        """What a worker has stays with that worker."""

        async def work() -> None:
            await self.outbox.retry(name)
            for id_, row in (await self.read()).items():
                is_over = row["state"] == "completed" and row["due_at"] is None
                if row["lease"] is not None or is_over:
                    assert row == self.rows[id_]
                assert (row["state"], self.rows[id_]["state"]) != ("completed", "pending")

        self.run(work())

    def delete(self, name: PromiseId | Key, *, prunes: bool) -> None:
        """Nothing is pruned that is to be sent."""

        async def work() -> None:
            await (self.outbox.prune(older_than=0) if prunes else self.outbox.discard(name))
            before = await self.read()
            for id_ in set(before) - set(self.rows):
                assert not prunes or before[id_]["state"] in ("completed", "dead")
                assert not prunes or before[id_]["due_at"] is None

        self.run(work())

    async def let_time_pass(self) -> None:
        """Every back-off, every wait for a second sending and every lease is over."""
        self.running.clear()
        await self.do("UPDATE golem_outbox_entries SET due_at = 0 WHERE due_at IS NOT NULL")
        await self.read()

    @rule(
        target=deliveries,
        room=st.integers(1, 3),
        fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=4),
        dawdles=st.sampled_from([False, False, True]),
    )
    def deliver(self, room: int, fates: list[str], dawdles: bool) -> Any:
        """Workers, one after the other, take rows once all waits are over, send and settle them.

        One that dawdles takes what is left, and settles later, or dies.
        """

        async def work() -> list[Delivery]:
            deliveries: list[Delivery] = []
            for fate in fates:
                if not dawdles:
                    await self.let_time_pass()
                deliveries += await self.claim(room)
                for delivery in deliveries:
                    if delivery.settlement is None:
                        self.send(delivery, fate)
                        if not dawdles:
                            await self.settle_one(delivery)
            return deliveries

        return multiple(*self.run(work()))

    async def claim(self, room: int) -> list[Delivery]:
        lease = f"lease {next(self.serial)}"
        claimed: list[Claimed] = []
        for state in ("pending", "completed"):
            if left := room - len(claimed):
                statement = claiming(state, left, lease, 60)
                found = [_claimed(row) for row in await self.do(statement)]
                claimed += sorted(found, key=lambda row: row.id)
            assert len(claimed) <= room
        deliveries = []
        for row in claimed:
            assert self.owners.get(row.id) not in self.running, "another worker has it"
            assert self.outcomes.get(row.id) is not Outcome.ALREADY_FULFILLED
            assert self.payloads[row.id] == bytes(row.payload)
            assert bool(self.out[row.id]) == row.may_have_stored
            deliveries.append(Delivery(row, lease, bool(self.out[row.id])))
            self.out[row.id].add(lease)
            self.owners[row.id] = lease
        self.running.add(lease)
        await self.read()
        return deliveries

    def send(self, delivery: Delivery, fate: str) -> None:
        """Let Golem receive the payload, or not, and work out what the worker makes of it."""
        row, ended = delivery.row, None
        delivery.fate = fate
        if fate in ("answered", "sleeps on", "lost", "cut"):
            self.sent[row.id].add(bytes(row.payload))
            assert 1 == len(self.sent[row.id]), "Golem was sent two payloads of one row"
            is_first = row.promise_id not in self.golem
            self.golem.setdefault(row.promise_id, row.id)
            self.asleep.discard(row.promise_id)
            if is_first and fate != "answered":
                self.asleep.add(row.promise_id)
            said = Outcome.FULFILLED if is_first else Outcome.ALREADY_FULFILLED
            ended = Completion(said, 1)
            if fate in ("answered", "sleeps on"):
                is_unsure = not is_first and delivery.others
                delivery.outcome = Outcome.FULFILLED_BY_UNKNOWN if is_unsure else said
        failures: dict[str, BaseException] = {
            "lost": ConnectionLostError("lost"),
            "lost before": ConnectionLostError("lost"),
            "cut": asyncio.CancelledError(),
            "unsent": ConnectionFailedError("refused"),
            "not found": PromiseNotFoundError("no", 500),
        }
        if fate == "held":
            delivery.settlement = handed_back(row)
        else:
            end = failures.get(fate, ended)
            assert end is not None
            delivery.settlement = settlement(row, end, RULES, chance=0.5)

    @rule(delivery=deliveries)
    def settle(self, delivery: Delivery) -> None:
        """Late: another worker may have taken over; or a second time."""
        self.run(self.settle_one(delivery))

    async def settle_one(self, delivery: Delivery) -> None:
        row, lease = delivery.row, delivery.lease
        assert delivery.settlement is not None
        await self.do(SETTLING, [values_of_settlement(row, lease, delivery.settlement)])
        before = await self.read()
        if self.owners.get(row.id) != lease or row.id not in self.rows:
            assert before == self.rows, "a row was settled under a lease that is not its own"
            return
        del self.owners[row.id]
        if delivery.fate in UNSENT:
            self.out[row.id].discard(lease)
        after, first = self.rows[row.id], self.outcomes.get(row.id)
        assert after["lease"] is None
        if first is None:
            self.settle_first(delivery, after)
        else:
            assert first == after["outcome"], "the first outcome stays"
            assert before[row.id]["settled_at"] == after["settled_at"]
            if after["due_at"] is None and delivery.fate == "not found":
                self.refused.add(row.id)

    def settle_first(self, delivery: Delivery, after: Any) -> None:
        row, outcome = delivery.row, delivery.outcome
        assert outcome == after["outcome"]
        by = self.golem.get(row.promise_id)
        if outcome is None:
            dead = delivery.fate == "not found"
            assert (State.DEAD if dead else State.PENDING) == after["state"]
            assert dead == (after["due_at"] is None)
            assert dead == (after["settled_at"] is not None)
            assert after["payload"] is not None
            return
        self.outcomes[row.id] = outcome
        assert State.COMPLETED == after["state"]
        assert outcome is not Outcome.FULFILLED or by == row.id, "another's payload is stored"
        if outcome is Outcome.ALREADY_FULFILLED:
            assert by != row.id, "ALREADY_FULFILLED by its own payload"
        nudges = outcome is not Outcome.ALREADY_FULFILLED
        assert nudges == (after["due_at"] is not None) == (after["payload"] is not None)

    def all_is_well_for_a_while(self) -> None:
        """Everything arrives, and every worker wakes whose promise one of our rows completed."""

        async def work() -> None:
            for _ in range(5):
                await self.let_time_pass()
                claimed = await self.claim(9)
                for delivery in claimed:
                    self.send(delivery, "answered")
                    await self.settle_one(delivery)
            for id_, row in self.rows.items():
                assert row["state"] != "pending"
                if row["state"] == "completed":
                    assert (None, None) == (row["due_at"], row["payload"])
                    promise = row["promise_id"]
                    sleeps_on = promise in self.asleep and self.golem[promise] == id_
                    assert id_ in self.refused or not sleeps_on

        self.run(work())


def rows_of(result: Any) -> list[Any]:
    return list(result.mappings()) if result.returns_rows else []


def without_syncing(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")


async def made(url: str) -> tuple[AsyncEngine, Outbox]:
    engine = create_async_engine(url, poolclass=StaticPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", without_syncing)
    async with engine.begin() as connection:
        for table in ("golem_outbox_entries", "golem_outbox_keys"):
            await connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
    outbox = Outbox(engine)
    await outbox.create_tables()
    return engine, outbox


@pytest.mark.parametrize("driver", BOTH)
def test_the_laws_hold(driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept, bind, claim, send, lose, crash, outlive a lease, settle late, nudge, look after."""
    # A second passes by itself on a busy machine, and then other rows would be due.
    monkeypatch.setattr(settling, "FIRST_DELAY", settling.LONGEST_DELAY)
    some = settings(
        max_examples=12 if driver == "aiosqlite" else 5,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    with asyncio.Runner() as runner:
        engine, outbox = runner.run(made(url_of(driver, tmp_path)))
        quick = None
        if driver == "aiosqlite":
            quick = create_engine(url_of("pysqlite", tmp_path), poolclass=StaticPool)
            event.listen(quick, "connect", without_syncing)
        parts = {"runner": runner, "engine": engine, "quick": quick, "outbox": outbox}
        try:
            run_state_machine_as_test(type("Machine", (Machine,), parts), settings=some)
        finally:
            runner.run(engine.dispose())
            if quick is not None:
                quick.dispose()
