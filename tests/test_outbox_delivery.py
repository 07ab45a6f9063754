"""Delivering: truth, waking, take-over and bad weather, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from golem_client import GolemClient, OutboxError, Outcome, PromiseId, RetryPolicy
from golem_client.outbox import Entry, Key, Outbox, State, pace, settling, worker
from golem_client.testing import FakeGolem
from golem_client.testing.faults import ECHO, WEATHER
from tests.databases import BOTH, DRIVERS, another_engine, empty_database
from tests.samples import QUICK, TOKEN
from tests.scripted_server import FALSE, TRUE, Exchange, ScriptedServer, answer, stall

AWAY = "ALTER TABLE golem_outbox_entries RENAME TO gone"
BACK = "ALTER TABLE gone RENAME TO golem_outbox_entries"


@pytest.fixture(params=BOTH)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with empty_database(request.param, tmp_path) as engine:
        yield engine


@pytest.fixture
async def outbox(engine: AsyncEngine) -> AsyncIterator[Outbox]:
    async with Outbox(engine, nudge_after=None) as outbox:
        await outbox.create_tables()
        yield outbox


@pytest.fixture
async def golem() -> AsyncIterator[FakeGolem]:
    async with FakeGolem() as golem:
        yield golem


@pytest.fixture
async def client(golem: FakeGolem) -> AsyncIterator[GolemClient]:
    async with GolemClient(golem.url, token=golem.token, retry=QUICK) as client:
        yield client


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.002)


async def change(outbox: Outbox, assignments: str) -> None:
    """Do to every row what time, or another process, would do."""
    async with outbox.engine.begin() as connection:
        await connection.execute(text(f"UPDATE golem_outbox_entries SET {assignments}"))


async def waited(outbox: Outbox, promise_id: PromiseId | str | Key) -> Entry:
    return await outbox.wait(promise_id, timeout=10)


async def payloads(outbox: Outbox) -> list[Any]:
    async with outbox.engine.connect() as connection:
        query = text("SELECT payload FROM golem_outbox_entries ORDER BY id")
        return list((await connection.execute(query)).scalars())


class TestDelivering:
    """What is accepted arrives."""

    async def test_what_was_accepted_before_and_meanwhile_arrives(
        self, outbox: Outbox, golem: FakeGolem, client: GolemClient
    ) -> None:
        """With its own payload, once; and the payload is wiped."""
        ids = [golem.create_promise() for _ in range(60)]
        accepting = [outbox.complete_text(id_, f"t{n}") for n, id_ in enumerate(ids)]
        await asyncio.gather(*accepting[:40])
        async with outbox.delivering(client, concurrency=16):
            await asyncio.gather(*accepting[40:])
            entries = [await waited(outbox, id_) for id_ in ids]
        assert {(State.COMPLETED, Outcome.FULFILLED, 1, None)} == {
            (entry.state, entry.outcome, entry.attempts, entry.due_at) for entry in entries
        }
        assert [f"t{n}".encode() for n in range(60)] == [golem.payload(id_) for id_ in ids]
        assert 60 == len(golem.requests)
        assert [None] * 60 == await payloads(outbox)

    async def test_a_new_row_is_delivered_at_once(
        self, outbox: Outbox, golem: FakeGolem, client: GolemClient
    ) -> None:
        """In the same process: accepted, and bound. A worker looks by itself after 0.5 s."""
        times = []
        async with outbox.delivering(client):
            for n in range(5):
                id_ = golem.create_promise()
                if n % 2:
                    await outbox.complete_text(Key(f"k{n}"), "x")
                began = time.monotonic()
                await (outbox.bind(f"k{n}", id_) if n % 2 else outbox.complete_text(id_, "x"))
                await until(lambda id_=id_: golem.payload(id_) is not None)  # type: ignore[misc]
                times.append(time.monotonic() - began)
        assert min(times[1:]) < 0.25

    async def test_a_row_of_a_statement_is_delivered_within_a_second(
        self, outbox: Outbox, golem: FakeGolem, client: GolemClient
    ) -> None:
        """Nobody tells this process of it."""
        async with outbox.delivering(client):
            await asyncio.sleep(0.05)
            id_ = golem.create_promise()
            async with AsyncSession(outbox.engine) as session, session.begin():
                await session.execute(outbox.statement(id_, 1))
            began = time.monotonic()
            await until(lambda: golem.payload(id_) is not None)
        assert time.monotonic() - began < 3

    @pytest.mark.parametrize("driver", DRIVERS[1:])
    async def test_postgresql_notifies_of_another_process_rows(
        self, driver: str, tmp_path: Path, golem: FakeGolem, client: GolemClient
    ) -> None:
        """A worker looks by itself 0.5 s after the last row."""
        async with empty_database(driver, tmp_path) as engine:
            outbox, other = (
                Outbox(one, nudge_after=None) for one in (engine, another_engine(engine))
            )
            await outbox.create_tables()
            times = []
            async with outbox.delivering(client):
                await asyncio.sleep(0.1)
                for _ in range(4):
                    id_ = golem.create_promise()
                    await other.complete_text(id_, "x")
                    began = time.monotonic()
                    await until(lambda id_=id_: golem.payload(id_) is not None)  # type: ignore[misc]
                    times.append(time.monotonic() - began)
            async with engine.connect() as connection:
                listening = await connection.execute(text("SELECT pg_listening_channels()"))
                assert [] == listening.all()
        assert min(times[1:]) < 0.25

    async def test_a_dead_promise_is_dead_at_once(
        self,
        outbox: Outbox,
        golem: FakeGolem,
        client: GolemClient,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """It is logged, without the payload, and a retry sends the same again."""
        gone = golem.create_promise()
        golem.delete_promise(gone)
        async with outbox.delivering(client):
            await outbox.complete_text(gone, "secret")
            entry = await waited(outbox, gone)
            assert (State.DEAD, None) == (entry.state, entry.outcome)
            assert "PromiseNotFoundError" in (entry.error or "")
            await outbox.retry(gone)
            await until(lambda: 2 == len(golem.requests))
            await waited(outbox, gone)
        (first, _) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert str(gone) == first.__dict__["golem_promise"]
        assert "secret" not in caplog.text
        assert [b"secret"] == await payloads(outbox)

    async def test_a_deleted_worker_is_dead(
        self, outbox: Outbox, golem: FakeGolem, client: GolemClient
    ) -> None:
        """Its payload may have been stored: it is kept as it is."""
        id_ = golem.create_promise()
        golem.delete_worker(id_.worker_id)
        async with outbox.delivering(client):
            await outbox.complete_text(id_, "old")
            assert State.DEAD == (await waited(outbox, id_)).state
        await outbox.complete_text(id_, "new")
        assert [b"old"] == await payloads(outbox)

    async def test_bad_weather_delivers_all_the_same(
        self, outbox: Outbox, golem: FakeGolem, client: GolemClient
    ) -> None:
        """And each outcome is true: FULFILLED only where the payload is ours."""
        # Not the echo of Golem's own repetition, which no client can tell.
        golem.random_faults(0.3, seed=5, faults=[f for f in WEATHER if f.name != ECHO.name])
        ids = [golem.create_promise() for _ in range(60)]
        for n, id_ in enumerate(ids):
            if n % 10 == 0:
                golem.complete_promise(id_, b"another's")
        async with outbox.delivering(client, concurrency=8):
            for id_ in ids:
                await outbox.complete_text(id_, "ours")
            entries = [await waited(outbox, id_) for id_ in ids]
        for id_, entry in zip(ids, entries, strict=True):
            is_ours = golem.payload(id_) == b"ours"
            wrong = Outcome.ALREADY_FULFILLED if is_ours else Outcome.FULFILLED
            assert State.COMPLETED == entry.state
            assert wrong != entry.outcome


class TestTruth:
    """After a crash nobody is told that another was first."""

    @pytest.mark.parametrize(
        ("step", "expected"), [(FALSE, Outcome.FULFILLED_BY_UNKNOWN), (TRUE, Outcome.FULFILLED)]
    )
    async def test_a_crash_between_claim_and_settlement(
        self, engine: AsyncEngine, step: Any, expected: Outcome
    ) -> None:
        """The claim recorded that the payload may be out; the lease ends, another takes over."""
        outbox = Outbox(engine, nudge_after=None)
        await outbox.create_tables()
        id_ = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"
        await outbox.complete_text(id_, "x")
        async with ScriptedServer(step) as server, GolemClient(server.url, token=TOKEN) as client:
            await change(outbox, "is_claimed = true, lease = 'of a dead worker', due_at = 0")
            async with outbox.delivering(client):
                assert expected == (await waited(outbox, id_)).outcome

    async def test_without_a_crash_false_is_told_as_it_is(
        self, outbox: Outbox, golem: FakeGolem, client: GolemClient
    ) -> None:
        """Nothing of ours can have been there before."""
        id_ = golem.create_promise()
        golem.complete_promise(id_, b"another's")
        async with outbox.delivering(client):
            await outbox.complete_text(id_, "x")
            assert Outcome.ALREADY_FULFILLED == (await waited(outbox, id_)).outcome

    async def test_a_connection_that_was_refused_stored_nothing(
        self, outbox: Outbox, golem: FakeGolem
    ) -> None:
        """A claim that is known to have sent nothing takes its mark back."""
        id_ = golem.create_promise()
        golem.complete_promise(id_, b"another's")
        options: Any = {"token": golem.token, "retry": RetryPolicy.none()}
        async with (
            GolemClient("http://127.0.0.1:1", **options) as away,
            outbox.delivering(away),
        ):
            await outbox.complete_text(id_, "x")
            await until_failed(outbox, id_)
        async with GolemClient(golem.url, **options) as client, outbox.delivering(client):
            await outbox.retry(id_)
            entry = await waited(outbox, id_)
        assert Outcome.ALREADY_FULFILLED == entry.outcome

    async def test_a_late_settlement_changes_nothing(
        self, engine: AsyncEngine, outbox: Outbox
    ) -> None:
        """A lease that ran out while its call was under way: the row is another worker's."""
        id_ = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"
        gate = asyncio.Event()

        async def late_true(exchange: Exchange) -> None:
            await gate.wait()
            await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")

        other = Outbox(another_engine(engine), nudge_after=None)
        async with (
            ScriptedServer(late_true, FALSE) as server,
            GolemClient(server.url, token=TOKEN) as slow,
            GolemClient(server.url, token=TOKEN) as quick,
        ):
            await outbox.complete_text(id_, "x")
            async with outbox.delivering(slow):
                await server.is_asked()
                await change(outbox, "due_at = 0")
                outbox_worker = other._worker(quick, concurrency=1)
                running = asyncio.create_task(outbox_worker.run())
                assert Outcome.FULFILLED_BY_UNKNOWN == (await waited(other, id_)).outcome
                outbox_worker.stop()
                await running
                gate.set()
        entry = await other.entry(id_)
        assert entry is not None
        assert (Outcome.FULFILLED_BY_UNKNOWN, 1) == (entry.outcome, entry.attempts)

    async def test_cancelling_remembers_what_may_be_out(self, outbox: Outbox) -> None:
        """Its lease is given back: the next worker need not wait."""
        id_ = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"
        await outbox.complete_text(id_, "x")
        async with ScriptedServer(stall) as server, GolemClient(server.url, token=TOKEN) as client:
            delivering = asyncio.create_task(outbox.deliver(client))
            await server.is_asked()
            delivering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await delivering
        async with outbox.engine.connect() as connection:
            query = text("SELECT may_have_stored, is_claimed, lease FROM golem_outbox_entries")
            assert (True, False, None) == tuple(
                value if value is None else bool(value)
                for value in (await connection.execute(query)).one()
            )
        async with (
            ScriptedServer(FALSE) as server,
            GolemClient(server.url, token=TOKEN) as client,
            outbox.delivering(client),
        ):
            assert Outcome.FULFILLED_BY_UNKNOWN == (await waited(outbox, id_)).outcome

    async def test_a_delivery_that_is_cut_off_keeps_the_last_failure(self, outbox: Outbox) -> None:
        """Until the promise is completed, the entry says why it is not."""
        id_ = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"
        await outbox.complete_text(id_, "x")
        once = RetryPolicy.none()
        async with (
            ScriptedServer(answer(503, b"busy"), stall) as server,
            GolemClient(server.url, token=TOKEN, retry=once) as client,
        ):
            delivering = asyncio.create_task(outbox.deliver(client))
            failed = await until_failed(outbox, id_)
            await until(lambda: 2 == len(server.requests))
            delivering.cancel()
            await asyncio.wait([delivering])
        entry = await outbox.entry(id_)
        assert entry is not None
        assert failed.error == entry.error
        async with (
            ScriptedServer(TRUE) as server,
            GolemClient(server.url, token=TOKEN) as client,
            outbox.delivering(client),
        ):
            assert (await waited(outbox, id_)).error is None

    async def test_two_workers_share_the_rows(
        self, engine: AsyncEngine, golem: FakeGolem, client: GolemClient
    ) -> None:
        """Each row is sent by one of them."""
        ids = [golem.create_promise() for _ in range(60)]
        outboxes = [Outbox(another_engine(engine), nudge_after=None) for _ in range(2)]
        await outboxes[0].create_tables()
        await asyncio.gather(*(outboxes[0].complete_text(id_, "x") for id_ in ids))
        async with (
            outboxes[0].delivering(client, concurrency=8),
            outboxes[1].delivering(client, concurrency=8),
        ):
            for id_ in ids:
                assert Outcome.FULFILLED == (await waited(outboxes[0], id_)).outcome
        assert 60 == len(golem.requests)


async def until_failed(outbox: Outbox, promise_id: PromiseId | str) -> Entry:
    async with asyncio.timeout(10):
        while True:
            entry = await outbox.entry(promise_id)
            if entry is not None and entry.error and entry.due_at:
                return entry
            await asyncio.sleep(0.005)


class TestWaking:
    """Golem can answer `true` and lose the wake-up."""

    async def test_every_worker_wakes_in_the_nudges_time(
        self, engine: AsyncEngine, golem: FakeGolem, client: GolemClient
    ) -> None:
        """By a second sending of the same bytes; the first outcome stays, the payload goes."""
        outbox = Outbox(engine, nudge_after=0.1)
        await outbox.create_tables()
        ids = [golem.create_promise() for _ in range(8)]
        waiting = [asyncio.create_task(golem.await_promise(id_)) for id_ in ids]
        for id_ in ids:
            golem.sleep_on_next(promise_id=id_)
        async with outbox.delivering(client):
            for id_ in ids:
                await outbox.complete_text(id_, "x")
            assert {b"x"} == set(await asyncio.wait_for(asyncio.gather(*waiting), 5))
            await until_wiped(outbox)
            entries = [entry async for entry in outbox.entries()]
        assert {(Outcome.FULFILLED, 2, None)} == {
            (e.outcome, e.attempts, e.due_at) for e in entries
        }
        assert 16 == len(golem.requests)

    async def test_a_completed_entry_has_no_error_where_the_key_is_missing(
        self, engine: AsyncEngine, golem: FakeGolem, client: GolemClient, caplog: Any
    ) -> None:
        """Its promise is completed, and the log says that the second sending waits for the key."""
        outbox = Outbox(engine, keys=[Fernet.generate_key()], nudge_after=3600)
        await outbox.create_tables()
        id_ = golem.create_promise()
        async with outbox.delivering(client):
            await outbox.complete_text(id_, "x")
            await waited(outbox, id_)
        await outbox.retry(id_)
        without = Outbox(engine)
        async with without.delivering(client):
            await until(lambda: "without keys=" in caplog.text)
        entry = await without.entry(id_)
        assert entry is not None
        assert (State.COMPLETED, None) == (entry.state, entry.error)
        assert entry.due_at is not None

    async def test_another_payload_is_never_sent_again(
        self, engine: AsyncEngine, golem: FakeGolem, client: GolemClient
    ) -> None:
        """After ALREADY_FULFILLED the stored payload may be another one."""
        outbox = Outbox(engine, nudge_after=0)
        await outbox.create_tables()
        ids = [golem.create_promise() for _ in range(2)]
        golem.complete_promise(ids[0], b"another's")
        async with outbox.delivering(client):
            await outbox.complete_text(ids[0], "x")
            await waited(outbox, ids[0])
            await outbox.complete_text(ids[1], "x")
            await until_wiped(outbox)
        assert [ids[0], ids[1], ids[1]] == [request.promise_id for request in golem.requests]

    async def test_new_rows_go_before_second_sendings(
        self, outbox: Outbox, golem: FakeGolem, client: GolemClient
    ) -> None:
        """However many of these are due."""
        ids = [golem.create_promise() for _ in range(6)]
        for id_ in ids[:3]:
            await outbox.complete_text(id_, "x")
        await change(outbox, "state = 'completed', outcome = 'fulfilled', due_at = 0")
        for id_ in ids[3:]:
            await outbox.complete_text(id_, "x")
        async with outbox.delivering(client, concurrency=1):
            await until(lambda: 6 == len(golem.requests))
        assert ids[3:] + ids[:3] == [request.promise_id for request in golem.requests]


async def until_wiped(outbox: Outbox) -> None:
    async with asyncio.timeout(10):
        while set(await payloads(outbox)) != {None}:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class TestBadWeather:
    """What may be away is waited for, and nothing is lost."""

    @pytest.fixture
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pace, "_FIRST_PAUSE_SECONDS", 0.1)
        monkeypatch.setattr(settling, "FIRST_DELAY", timedelta(seconds=0.1))

    async def test_while_golem_is_down_one_row_is_tried(self, outbox: Outbox) -> None:
        """Of many; the others are not touched."""
        ids = [f"f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/{n}" for n in range(50)]
        await asyncio.gather(*(outbox.complete_text(id_, "x") for id_ in ids))
        down = answer(503, b"down", "text/plain")
        async with ScriptedServer(down) as server:
            options: Any = {"token": TOKEN, "retry": RetryPolicy.none()}
            async with GolemClient(server.url, **options) as client, outbox.delivering(client):
                await asyncio.sleep(0.3)
                assert 1 == len(server.requests)
                server.steps = [TRUE]
                for id_ in ids:
                    await waited(outbox, id_)
        assert 51 == len(server.requests)

    @pytest.mark.usefixtures("soon")
    async def test_a_refused_token_loses_nothing(
        self, outbox: Outbox, golem: FakeGolem, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is logged; once it is mended, everything goes out."""
        id_ = golem.create_promise()
        tokens = ["wrong-but-well-formed-token"]

        async def token() -> str:
            return tokens[-1]

        async with (
            GolemClient(golem.url, token=token, retry=QUICK) as client,
            outbox.delivering(client),
        ):
            await outbox.complete_text(id_, "x")
            entry = await until_failed(outbox, id_)
            assert (State.PENDING, "AuthenticationError") == (
                entry.state,
                (entry.error or "").split(":")[0],
            )
            tokens.append(golem.token)
            assert Outcome.FULFILLED == (await waited(outbox, id_)).outcome
        assert "AuthenticationError" in caplog.text

    @pytest.mark.usefixtures("soon")
    async def test_what_the_token_callable_raises_stops_nothing(
        self, outbox: Outbox, golem: FakeGolem, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nor are its words logged."""
        id_ = golem.create_promise()
        failures = [LookupError("secret")]

        async def token() -> str:
            if failures:
                raise failures.pop()
            return golem.token

        async with GolemClient(golem.url, token=token) as client, outbox.delivering(client):
            await outbox.complete_text(id_, "x")
            assert State.COMPLETED == (await waited(outbox, id_)).state
        assert "LookupError" in caplog.text
        assert "secret" not in caplog.text

    async def test_a_client_that_is_closed_is_named(
        self, outbox: Outbox, golem: FakeGolem, client: GolemClient
    ) -> None:
        """Its error holds no secret; a client that is open delivers the entry later."""
        id_ = golem.create_promise()
        await outbox.complete_text(id_, "x")
        await client.aclose()
        async with outbox.delivering(client):
            failed = await until_failed(outbox, id_)
        assert failed.error == "RuntimeError: this GolemClient is closed: make a new one"
        assert State.PENDING == failed.state

    async def test_without_the_key_nothing_is_sent(
        self, engine: AsyncEngine, golem: FakeGolem, client: GolemClient
    ) -> None:
        """The row stays, says so, and goes out once the key is there."""
        key = Fernet.generate_key()
        right = Outbox(engine, keys=[Fernet.generate_key(), key], nudge_after=None)
        await right.create_tables()
        id_ = golem.create_promise()
        await Outbox(engine, keys=[key]).complete_text(id_, "x")
        for keys, words in [((), "without keys="), ([Fernet.generate_key()], "not among keys=")]:
            wrong = Outbox(engine, keys=keys)
            await wrong.retry(id_)
            async with wrong.delivering(client):
                async with asyncio.timeout(5):
                    while words not in ((await wrong.entry(id_)).error or ""):  # type: ignore[union-attr] # noqa: ASYNC110
                        await asyncio.sleep(0.005)
        assert () == golem.requests
        await right.retry(id_)
        async with right.delivering(client):
            assert Outcome.FULFILLED == (await waited(right, id_)).outcome

    async def test_a_database_that_goes_away_is_waited_for(
        self, engine: AsyncEngine, golem: FakeGolem, client: GolemClient
    ) -> None:
        """Here its table does; what is under way is settled when it is back."""
        outbox = Outbox(engine, nudge_after=None)
        await outbox.create_tables()
        id_ = golem.create_promise()
        golem.latency(0.1)
        async with outbox.delivering(client):
            await outbox.complete_text(id_, "x")
            await until(lambda: golem.requests)
            for statement in (AWAY, BACK):
                async with engine.begin() as connection:
                    await connection.execute(text(statement))
                if statement == AWAY:
                    with pytest.raises(OutboxError):
                        await outbox.complete_text(golem.create_promise(), "x")
                    await asyncio.sleep(0.2)
            assert Outcome.FULFILLED == (await waited(outbox, id_)).outcome
        assert 1 == len(golem.requests)

    async def test_ending_does_not_wait_for_ever_for_a_database_that_is_away(
        self,
        outbox: Outbox,
        golem: FakeGolem,
        client: GolemClient,
        caplog: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """What was sent and could not be settled is left to its lease, which remembers it."""
        monkeypatch.setattr(worker, "_LAST_WORDS_SECONDS", 0.1)
        golem.latency(0.1)
        await outbox.complete_text(golem.create_promise(), "x")
        async with asyncio.timeout(10):
            async with outbox.delivering(client):
                await until(lambda: golem.requests)
                async with outbox.engine.begin() as connection:
                    await connection.execute(text(AWAY))
        assert "1 rows are left to their leases" in caplog.text
        async with outbox.engine.begin() as connection:
            await connection.execute(text(BACK))
        assert 1 == (await outbox.counts()).pending

    async def test_missing_tables_are_no_weather(
        self, engine: AsyncEngine, client: GolemClient
    ) -> None:
        """Waiting would not mend it: `deliver` and `delivering` raise."""
        with pytest.raises(OutboxError, match="create_tables"):
            await Outbox(engine).deliver(client)
        with pytest.raises(OutboxError, match="create_tables"):
            async with Outbox(engine).delivering(client):
                pass

    async def test_it_is_given_up_in_the_end(self, engine: AsyncEngine) -> None:
        """With the last error."""
        outbox = Outbox(engine, give_up_after=timedelta(microseconds=1))
        await outbox.create_tables()
        id_ = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"
        options: Any = {"token": TOKEN, "retry": RetryPolicy.none()}
        async with (
            GolemClient("http://127.0.0.1:1", **options) as client,
            outbox.delivering(client),
        ):
            await outbox.complete_text(id_, "x")
            entry = await waited(outbox, id_)
        assert State.DEAD == entry.state
        assert "given up" in (entry.error or "")
        assert "ConnectionFailedError" in (entry.error or "")


class TestEnding:
    """Closing loses nothing."""

    async def test_leaving_waits_for_what_is_under_way(
        self, outbox: Outbox, golem: FakeGolem, client: GolemClient
    ) -> None:
        """And settles it."""
        id_ = golem.create_promise()
        golem.latency(0.1)
        async with outbox.delivering(client):
            await outbox.complete_text(id_, "x")
            await until(lambda: golem.requests)
        entry = await outbox.entry(id_)
        assert entry is not None
        assert Outcome.FULFILLED == entry.outcome

    async def test_an_error_of_the_body_passes_through(
        self, outbox: Outbox, client: GolemClient
    ) -> None:
        """And ends the delivery."""
        with pytest.raises(ZeroDivisionError):
            async with outbox.delivering(client):
                _ = 1 // 0

    async def test_the_longest_times_mean_never(
        self, engine: AsyncEngine, golem: FakeGolem, client: GolemClient
    ) -> None:
        """A database has no number for them."""
        longest = timedelta.max
        options: Any = {"give_up_after": longest, "nudge_after": longest, "lease": longest}
        async with Outbox(engine, **options) as outbox:
            await outbox.create_tables()
            id_ = golem.create_promise()
            async with outbox.delivering(client):
                await outbox.complete_text(id_, "x")
                assert Outcome.FULFILLED == (await waited(outbox, id_)).outcome
            assert 0 == await outbox.prune(older_than=longest)

    async def test_waiting_has_an_end(self, outbox: Outbox) -> None:
        """Where nobody delivers."""
        await outbox.complete_text("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42", "x")
        with pytest.raises(TimeoutError):
            await outbox.wait("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42", timeout=0.05)

    async def test_waiting_is_cancelled_while_entries_change(self, outbox: Outbox) -> None:
        """A cancellation counts also where news come at the same moment."""
        id_ = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"
        waiting = asyncio.create_task(outbox.wait(id_))
        await asyncio.sleep(0.05)
        await outbox.bind("k", id_)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=1)
        assert waiting.cancelled()

    async def test_closing_the_outbox_ends_its_deliveries(
        self, engine: AsyncEngine, client: GolemClient
    ) -> None:
        """And then nothing is accepted."""
        outbox = Outbox(engine)
        await outbox.create_tables()
        delivering = asyncio.create_task(outbox.deliver(client))
        await asyncio.sleep(0.05)
        await outbox.aclose()
        await asyncio.wait_for(delivering, 5)


async def test_a_sigterm_ends_every_delivery_of_the_process(
    tmp_path: Path, client: GolemClient
) -> None:
    """Also where the one that began first has ended before."""
    async with (
        await Outbox.open(tmp_path / "a") as first,
        await Outbox.open(tmp_path / "b") as second,
        await Outbox.open(tmp_path / "c") as third,
    ):
        outboxes = (first, second, third)
        deliveries = [asyncio.create_task(each.deliver(client)) for each in outboxes]
        await asyncio.sleep(0.05)
        deliveries[0].cancel()
        await asyncio.wait([deliveries[0]])
        assert signal.SIG_DFL is not signal.getsignal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait(deliveries, timeout=5)
        assert [True, False, False] == [each.done() and each.cancelled() for each in deliveries]
        assert all(each.done() for each in deliveries)
    assert signal.SIG_DFL is signal.getsignal(signal.SIGTERM)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
async def test_a_sigterm_ends_the_child_of_a_fork(tmp_path: Path, client: GolemClient) -> None:
    """Nothing is delivered in it. A pool of multiprocessing would wait for it for ever."""
    async with await Outbox.open(tmp_path / "a") as outbox:
        delivering = asyncio.create_task(outbox.deliver(client))
        await asyncio.sleep(0.05)
        child = os.fork()
        if not child:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert signal.SIGTERM == os.waitpid(child, 0)[1]  # noqa: ASYNC222 - it has ended
        delivering.cancel()
        await asyncio.wait([delivering])


@pytest.mark.parametrize("driver", [DRIVERS[2]])
async def test_psycopg_delivers(
    driver: str, tmp_path: Path, golem: FakeGolem, client: GolemClient
) -> None:
    """As the other drivers do."""
    async with empty_database(driver, tmp_path) as engine:
        outbox = Outbox(engine, nudge_after=0)
        await outbox.create_tables()
        id_ = golem.create_promise()
        async with outbox.delivering(client):
            await outbox.complete_text(Key("k"), "x")
            await outbox.bind("k", id_)
            assert Outcome.FULFILLED == (await waited(outbox, id_)).outcome
            await until_wiped(outbox)
