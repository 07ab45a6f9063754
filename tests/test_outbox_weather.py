"""Weather that is rare: clocks that differ, leases that run out, refused connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from golem_client import GolemClient, OutboxError, Outcome, PromiseId, RetryPolicy
from golem_client.outbox import Entry, Outbox, State, database, worker
from golem_client.outbox.worker import Settled
from tests.databases import BOTH, empty_database, postgresql_url
from tests.samples import PROMISE_ID, TOKEN
from tests.scripted_server import FALSE, TRUE, Exchange, ScriptedServer, serving, stall

LISTENERS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
)
OTHER_ID = PromiseId(PROMISE_ID.worker_id, 9)
ENTRIES = "golem_outbox_entries"


@pytest.fixture(params=BOTH)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with empty_database(request.param, tmp_path) as engine:
        yield engine


async def made(engine: AsyncEngine, **options: Any) -> Outbox:
    outbox = Outbox(engine, **{"nudge_after": None, **options})
    await outbox.create_tables()
    return outbox


async def execute(engine: AsyncEngine, statement: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(statement))


async def execute_scalar(engine: AsyncEngine, query: str) -> Any:
    async with engine.connect() as connection:
        return (await connection.execute(text(query))).scalar()


async def until_listening(engine: AsyncEngine) -> None:
    can_listen = engine.dialect.name == "postgresql"
    async with asyncio.timeout(10):
        while can_listen and not await execute_scalar(engine, LISTENERS):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


async def until_failed(outbox: Outbox) -> Entry:
    async with asyncio.timeout(10):
        while True:
            entry = await outbox.entry(PROMISE_ID)
            if entry is not None and entry.error and entry.due_at:
                return entry
            await asyncio.sleep(0.005)


# Clocks

NOW = {
    "aiosqlite": "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    "asyncpg": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
}


def skewed(connection: Any, hours: int) -> None:
    """Let SQLite's clock differ from this machine's."""

    def julianday(_: str) -> float:
        return time.time() / 86400 + 2440587.5 + hours / 24

    connection.driver_connection._conn.create_function("julianday", 1, julianday)


async def engine_with_a_clock(driver: str, folder: Path, hours: int) -> AsyncEngine:
    if driver == "aiosqlite":
        engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'x.sqlite'}")
        event.listen(engine.sync_engine, "connect", lambda raw, _: skewed(raw, hours))
        return engine
    function = (
        "CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz AS "
        f"$$ SELECT pg_catalog.clock_timestamp() + interval '{hours} hours' $$ LANGUAGE sql"
    )
    async with empty_database(driver, folder) as plain:
        for statement in ("DROP SCHEMA IF EXISTS skewed CASCADE", "CREATE SCHEMA skewed", function):
            await execute(plain, statement)
    settings = {"search_path": "skewed, pg_catalog, public"}
    return create_async_engine(postgresql_url(), connect_args={"server_settings": settings})


@pytest.mark.parametrize("driver", BOTH)
@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_workers_own_clock_does_not_count(driver: str, hours: int, tmp_path: Path) -> None:
    """The database's does: it is hours off, so that each look at another clock would show."""
    engine = await engine_with_a_clock(driver, tmp_path, hours)
    outbox = await made(engine, nudge_after=60)
    ids = [PromiseId(PROMISE_ID.worker_id, n) for n in range(3)]
    entries = [await outbox.complete_text(id_, "x") for id_ in ids]
    off = entries[0].accepted_at - datetime.now(UTC) - timedelta(hours=hours)
    assert abs(off) < timedelta(minutes=1)
    leases = {0: "+ 30000000", 1: "- 1000000"}  # of another worker: one is over
    for n, span in leases.items():
        await execute(
            engine,
            f"UPDATE {ENTRIES} SET lease = 'x', is_claimed = true, due_at = {NOW[driver]} {span} "
            f"WHERE promise_id = '{ids[n]}'",
        )
    async with ScriptedServer(FALSE) as server, GolemClient(server.url, token=TOKEN) as client:
        async with outbox.delivering(client):
            after = [await outbox.wait(id_, timeout=10) for id_ in ids[1:]]
        assert 2 == len(server.requests)
    assert [Outcome.FULFILLED_BY_UNKNOWN, Outcome.ALREADY_FULFILLED] == [e.outcome for e in after]
    assert after[0].due_at is not None
    nudged_in = after[0].due_at - entries[1].accepted_at
    assert timedelta(seconds=60) <= nudged_in < timedelta(seconds=90)
    await engine.dispose()


# Leases


async def test_a_worker_does_not_send_a_row_again_that_it_has(engine: AsyncEngine) -> None:
    """Its lease runs out while its call is under way, and nobody else is there to take over."""
    outbox = await made(engine)
    gate = asyncio.Event()

    async def late(exchange: Exchange) -> None:
        await gate.wait()
        await TRUE(exchange)

    claims = f"SELECT lease FROM {ENTRIES} WHERE promise_id = '{PROMISE_ID}'"
    async with (
        ScriptedServer(TRUE, late, FALSE) as server,
        GolemClient(server.url, token=TOKEN) as client,
        outbox.delivering(client),
    ):
        await outbox.complete_text(OTHER_ID, "x")
        await outbox.wait(OTHER_ID)
        await outbox.complete_text(PROMISE_ID, "x")
        await until(lambda: 2 == len(server.requests))

        first = await execute_scalar(engine, claims)
        overdue = f"UPDATE {ENTRIES} SET due_at = 0 WHERE promise_id = '{PROMISE_ID}'"
        await execute(engine, overdue)
        async with asyncio.timeout(10):
            while await execute_scalar(engine, claims) == first:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        assert 2 == len(server.requests)
        gate.set()
        await asyncio.sleep(0.05)  # what the first call settles counts no more
        await execute(engine, overdue)
        entry = await outbox.wait(PROMISE_ID, timeout=10)
        assert 3 == len(server.requests)
    assert (Outcome.FULFILLED_BY_UNKNOWN, 1) == (entry.outcome, entry.attempts)


async def test_a_call_ends_before_its_lease(engine: AsyncEngine) -> None:
    """Whatever the client's own timeout is."""
    outbox = await made(engine, lease=0.4)
    async with (
        ScriptedServer(stall) as server,
        GolemClient(server.url, token=TOKEN, timeout=60) as client,
        outbox.delivering(client),
    ):
        began = time.monotonic()
        await outbox.complete_text(PROMISE_ID, "x")
        entry = await until_failed(outbox)
        assert "DeadlineExceededError" in (entry.error or "")
        assert time.monotonic() - began < 5


async def test_what_was_claimed_too_slowly_is_handed_back(engine: AsyncEngine) -> None:
    """Its lease might end before its call does; unsent, it leaves no doubt behind."""
    outbox = await made(engine, lease=1)
    run, delays = outbox._database.run, [0.3]
    settled: list[Settled] = []

    async def slow(work: Any, **options: Any) -> Any:
        result = await run(work, **options)
        if result and delays and getattr(result[0], "payload", None):
            await asyncio.sleep(delays.pop())
        return result

    await outbox.complete_text(PROMISE_ID, "x")
    outbox._database.run = slow  # type: ignore[method-assign]
    async with ScriptedServer(FALSE) as server, GolemClient(server.url, token=TOKEN) as client:
        worker = outbox._worker(client, on_settled=settled.extend)
        running = asyncio.create_task(worker.run())
        entry = await outbox.wait(PROMISE_ID, timeout=10)
        worker.stop()
        await running
        assert 1 == len(server.requests)
    assert [None] == [one.ended for one in settled[:-1]]
    assert Outcome.ALREADY_FULFILLED == entry.outcome


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_what_is_claimed_while_a_worker_stops_is_handed_back(
    engine: AsyncEngine, is_cancelled: bool
) -> None:
    """It is due at once, and nobody needs to doubt that it was sent."""
    outbox = await made(engine)
    run, claimed, gate = outbox._database.run, asyncio.Event(), asyncio.Event()

    async def slow(work: Any, **options: Any) -> Any:
        result = await run(work, **options)
        if result and getattr(result[0], "payload", None):
            claimed.set()
            await gate.wait()
        return result

    await outbox.complete_text(PROMISE_ID, "x")
    outbox._database.run = slow  # type: ignore[method-assign]
    async with ScriptedServer() as server, GolemClient(server.url, token=TOKEN) as client:
        worker = outbox._worker(client)
        running = asyncio.create_task(worker.run())
        await claimed.wait()
        running.cancel() if is_cancelled else worker.stop()
        await asyncio.sleep(0)
        gate.set()
        await asyncio.wait([running])
        assert [] == server.requests
    async with engine.connect() as connection:
        marks = f"SELECT state, is_claimed, may_have_stored, lease FROM {ENTRIES}"
        row = (await connection.execute(text(marks))).one()
    assert ("pending", False, False, None) == tuple(row)
    entry = await outbox.entry(PROMISE_ID)
    assert entry is not None
    assert entry.due_at is not None
    assert entry.due_at - entry.accepted_at < timedelta(seconds=30)


async def test_a_delivery_that_ends_with_the_loop_leaves_no_lease(engine: AsyncEngine) -> None:
    """A loop that ends cancels every task at once, in any order."""
    outbox = await made(engine)
    await outbox.complete_text(PROMISE_ID, "x")
    async with ScriptedServer(stall) as server, GolemClient(server.url, token=TOKEN) as client:
        before = asyncio.all_tasks()
        delivering = asyncio.create_task(outbox.deliver(client))
        await server.is_asked()
        await until_listening(engine)  # asyncpg 0.30 leaks a connection that is half made
        tasks = asyncio.all_tasks() - before
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert delivering.cancelled()
    lease = f"SELECT lease FROM {ENTRIES} WHERE may_have_stored AND state = 'pending'"
    async with engine.connect() as connection:
        assert [(None,)] == [tuple(row) for row in await connection.execute(text(lease))]


# Refused connections


async def test_golem_refuses_connections_for_a_while(engine: AsyncEngine) -> None:
    """One row at a time is tried; nothing is sent, so that each outcome is certain later."""
    outbox = await made(engine)
    ids = [PromiseId(PROMISE_ID.worker_id, n) for n in range(20)]
    async with ScriptedServer() as server:
        address = server.url
    port = int(address.rpartition(":")[2])
    options: Any = {"token": TOKEN, "retry": RetryPolicy.none(), "timeout": 1}
    async with GolemClient(address, **options) as client, outbox.delivering(client):
        await asyncio.gather(*(outbox.complete_text(id_, "x") for id_ in ids))
        await until_any_failed(outbox)
        again = ScriptedServer(FALSE)
        async with serving(again._serve, port=port):
            entries = [await outbox.wait(id_, timeout=20) for id_ in ids]
    assert {Outcome.ALREADY_FULFILLED} == {entry.outcome for entry in entries}
    assert 20 == len(again.requests)


async def until_any_failed(outbox: Outbox) -> None:
    async with asyncio.timeout(10):
        while not [entry async for entry in outbox.entries() if entry.error]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_postgresql_refuses_connections_for_a_while(tmp_path: Path) -> None:
    """Accepting says so; once it is back, what was under way is settled, and a worker listens."""
    ending = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    gate = asyncio.Event()

    async def late(exchange: Exchange) -> None:
        await gate.wait()
        await TRUE(exchange)

    url = postgresql_url()
    its_own = Path(url.rpartition("host=")[2]) / ".s.PGSQL.5432"
    async with empty_database("psycopg", tmp_path) as other, AsyncExitStack() as stack:
        # A path of a socket is short.
        socket = Path(stack.enter_context(TemporaryDirectory())) / its_own.name
        socket.symlink_to(its_own)
        hidden = socket.with_name("hidden")
        engine = create_async_engine(url.replace(str(its_own.parent), str(socket.parent)))
        stack.push_async_callback(engine.dispose)
        outbox = await made(engine)
        async with (
            ScriptedServer(late, TRUE) as server,
            GolemClient(server.url, token=TOKEN) as client,
            outbox.delivering(client),
        ):
            await outbox.complete_text(PROMISE_ID, "x")
            await server.is_asked()
            async with other.connect() as connection:
                socket.rename(hidden)
                try:
                    await connection.execute(text(ending))
                    for _ in range(2):
                        with pytest.raises(OutboxError) as caught:
                            await outbox.complete_text(OTHER_ID, "y")
                        assert caught.value.worth_retrying
                    gate.set()
                    await asyncio.sleep(0.1)
                finally:
                    hidden.rename(socket)
            entry = await outbox.wait(PROMISE_ID, timeout=10)
            assert 1 == len(server.requests)
            assert 1 == (await outbox.counts()).completed
            await until_listening(other)
    assert (State.COMPLETED, Outcome.FULFILLED, 1) == (entry.state, entry.outcome, entry.attempts)


async def test_a_cancelled_delivery_leaves_no_connection_half_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the one that claims nor the one that listens, where the database does not answer."""
    monkeypatch.setattr(worker, "_LAST_WORDS_SECONDS", 0.05)
    monkeypatch.setattr(database, "_AWAY_SECONDS", 0.05)
    opened: list[int] = []
    closed: list[int] = []

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        opened.append(1)
        await reader.read()
        closed.append(1)

    async with serving(silent) as url, GolemClient("http://localhost:1", token=TOKEN) as client:
        address = url.replace("http://", "postgresql+asyncpg://u:p@")
        outbox = Outbox(create_async_engine(f"{address}/x", connect_args={"ssl": False}))
        delivering = asyncio.create_task(outbox.deliver(client))
        async with asyncio.timeout(10):
            while len(opened) < 2:  # noqa: ASYNC110 - a connection does not tell
                await asyncio.sleep(0.005)
            delivering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await delivering
            while len(closed) < len(opened):  # noqa: ASYNC110 - nor does its end
                await asyncio.sleep(0.005)
