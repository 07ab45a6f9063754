"""Opening, closing, loops: how long a client lives, and what ends with it."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from golem_client import (
    ConnectionFailedError,
    ConnectionLostError,
    GolemClient,
    Outcome,
    RetryPolicy,
)
from tests.samples import PROMISE_ID, client_of
from tests.scripted_server import TRUE, ScriptedServer, answer, late, stall


@pytest.fixture
def server_of_another_thread() -> Iterator[ScriptedServer]:
    """A server whose loop outlives the loops of the test."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ScriptedServer()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(5)
    yield server
    asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


async def test_after_closing_a_call_is_a_runtime_error() -> None:
    """The words are ours, and say what to do."""
    async with ScriptedServer() as server:
        async with client_of(server) as client:
            await client.complete_json(PROMISE_ID, 1)
        with pytest.raises(RuntimeError, match="this GolemClient is closed: make a new one"):
            await client.complete_json(PROMISE_ID, 1)
        with pytest.raises(RuntimeError, match="closed"):
            await client.__aenter__()
        assert repr(client).endswith("closed>")


async def test_closing_twice_or_unused_does_nothing() -> None:
    """A client that never sent anything, and one that is closed, close quietly."""
    client = GolemClient("http://localhost")
    await client.aclose()
    await client.aclose()


async def test_closing_leaves_nothing_open() -> None:
    """No connection is left, and no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with ScriptedServer() as server:
            client = client_of(server)
            await asyncio.gather(*(client.complete_json(PROMISE_ID, n) for n in range(5)))
            await client.aclose()
            await asyncio.sleep(0.02)
            assert server.open_connections == 0
        del client
        gc.collect()


async def test_a_call_in_an_attempt_ends_when_the_client_closes() -> None:
    """It was sent, so its fate is unknown, and the error says why."""
    async with ScriptedServer(stall) as server:
        client = client_of(server, timeout=60.0, attempt_timeout=60.0)
        call = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
        await server.is_asked()
        await client.aclose()
        with pytest.raises(ConnectionLostError, match="client was closed") as caught:
            await asyncio.wait_for(call, 5)
    assert (caught.value.attempts, caught.value.may_have_completed) == (1, True)
    assert len(server.requests) == 1


async def test_a_call_in_a_sleep_ends_when_the_client_closes() -> None:
    """Nothing is sent after closing; what an earlier attempt may have done is told."""
    policy = RetryPolicy(min_delay=30.0, max_delay=30.0)
    async with ScriptedServer(answer(503, b"")) as server:
        client = client_of(server, timeout=60.0, retry=policy)
        call = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
        while client.pressure.width == 100:  # noqa: ASYNC110 - nothing tells of an answer
            await asyncio.sleep(0.001)
        await client.aclose()
        with pytest.raises(ConnectionFailedError, match="client was closed") as caught:
            await asyncio.wait_for(call, 5)
    assert (caught.value.attempts, caught.value.may_have_completed) == (1, True)
    assert len(server.requests) == 1


async def test_a_call_waiting_for_a_slot_ends_when_the_client_closes() -> None:
    """It never sent anything."""
    async with ScriptedServer(stall) as server:
        client = client_of(server, timeout=60.0, max_connections=1)
        calls = [asyncio.create_task(client.complete_json(PROMISE_ID, n)) for n in range(4)]
        await server.is_asked()
        await client.aclose()
        ended = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
    assert [type(error) for error in ended] == [ConnectionLostError] + [ConnectionFailedError] * 3
    assert [error.attempts for error in ended] == [1, 0, 0, 0]  # type: ignore[union-attr]
    assert len(server.requests) == 1


async def test_a_call_waiting_for_its_token_ends_when_the_client_closes() -> None:
    """The callable is cancelled like any other wait."""

    async def slow() -> str:
        await asyncio.sleep(60)
        return "never-reached-0000"

    client = GolemClient("http://localhost", token=slow)
    call = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
    await asyncio.sleep(0.01)
    await client.aclose()
    with pytest.raises(ConnectionFailedError, match="client was closed") as caught:
        await asyncio.wait_for(call, 5)
    assert caught.value.attempts == 0


def test_a_client_outlives_the_loop_of_its_first_use(
    server_of_another_thread: ScriptedServer,
) -> None:
    """asyncio.run twice: the second loop gets a session of its own, and nothing is leaked."""
    client = GolemClient(server_of_another_thread.url)

    async def complete() -> Outcome:
        return (await client.complete_json(PROMISE_ID, 1)).outcome

    assert [asyncio.run(complete()), asyncio.run(complete())] == [Outcome.FULFILLED] * 2
    asyncio.run(client.aclose())
    gc.collect()
    assert server_of_another_thread.connections == 2


def test_two_loops_at_once_are_a_runtime_error(server_of_another_thread: ScriptedServer) -> None:
    """A client belongs to one loop as long as that lives."""
    client = GolemClient(server_of_another_thread.url)

    async def complete() -> None:
        await client.complete_json(PROMISE_ID, 1)

    with asyncio.Runner() as first:
        first.run(complete())
        with pytest.raises(RuntimeError, match="another event loop"):
            asyncio.run(complete())
        first.run(complete())
        first.run(client.aclose())


def test_a_borrowed_connector_of_another_loop_is_a_runtime_error() -> None:
    """The words are ours."""
    with asyncio.Runner() as first:

        async def borrow() -> aiohttp.TCPConnector:
            return aiohttp.TCPConnector()

        connector = first.run(borrow())
        client = GolemClient("http://localhost", connector=connector)

        async def complete() -> None:
            await client.complete_json(PROMISE_ID, 1)

        with pytest.raises(RuntimeError, match="borrowed connector belongs to another event loop"):
            asyncio.run(complete())
        first.run(connector.close())


async def test_a_borrowed_connector_that_is_closed_fails_the_call() -> None:
    """Its owner closed it too early: nothing was sent."""
    connector = aiohttp.TCPConnector()
    await connector.close()
    async with GolemClient(
        "http://localhost", connector=connector, retry=RetryPolicy.none()
    ) as client:
        with pytest.raises(ConnectionFailedError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert not caught.value.may_have_completed


async def test_tasks_share_a_client_and_its_connections() -> None:
    """Fifty tasks, ten connections, each task its own answer."""
    async with (
        ScriptedServer(late(0.005, TRUE)) as server,
        client_of(server, max_connections=10) as client,
    ):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.complete_json(PROMISE_ID, n)) for n in range(50)]
        assert {task.result().outcome for task in tasks} == {Outcome.FULFILLED}
        assert server.connections <= 10
        assert sorted(int(request.payload) for request in server.requests) == list(range(50))


def test_with_without_async_says_what_to_write() -> None:
    client: Any = GolemClient("http://localhost")
    with pytest.raises(TypeError, match="use `async with`"), client:
        pass
