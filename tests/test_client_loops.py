"""Loops, threads, and connectors of somebody else: who may call, and what closing means."""

from __future__ import annotations

import asyncio
import gc
import inspect
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import aiohttp
import pytest

from golem_client import (
    Completion,
    ConnectionFailedError,
    ConnectionLostError,
    GolemClient,
    GolemError,
    RetryPolicy,
    ServerError,
)
from tests.leftovers import leftovers
from tests.samples import PROMISE_ID, client_of
from tests.scripted_server import CLOSE, TRUE, Exchange, ScriptedServer, answer, late, stall


@pytest.fixture
def server_elsewhere() -> Iterator[ScriptedServer]:
    """A server whose loop outlives the loops of the test."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ScriptedServer(late(0.01, TRUE))
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(5)
    yield server
    asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


async def calls_at_once(client: GolemClient, number: int) -> list[Completion]:
    return await asyncio.gather(*(client.complete_json(PROMISE_ID, n) for n in range(number)))


async def test_several_first_calls_open_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = counted_sessions(monkeypatch)
    async with ScriptedServer() as server, client_of(server) as client:
        await calls_at_once(client, 20)
    assert len(opened) == 1


def test_several_first_calls_in_a_second_loop_open_one_session(
    server_elsewhere: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = counted_sessions(monkeypatch)
    client = GolemClient(server_elsewhere.url)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            asyncio.run(calls_at_once(client, 10))
        asyncio.run(client.aclose())
        gc.collect()
    assert len(opened) == 3
    assert all(session.closed for session in opened)


def counted_sessions(
    monkeypatch: pytest.MonkeyPatch, seconds: float = 0.0
) -> list[aiohttp.ClientSession]:
    """Return the list of the sessions that are opened from now on, each in so many seconds."""
    opened: list[aiohttp.ClientSession] = []
    usual = aiohttp.ClientSession.__init__

    def counted(self: aiohttp.ClientSession, *args: object, **kwargs: object) -> None:
        opened.append(self)
        time.sleep(seconds)
        usual(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", counted)
    return opened


@pytest.mark.filterwarnings("error")
def test_the_end_of_a_loop_closes_its_connections(server_elsewhere: ScriptedServer) -> None:
    """Without `aclose()`: a script that forgets it leaves no ResourceWarning behind."""
    client = GolemClient(server_elsewhere.url)
    asyncio.run(calls_at_once(client, 3))
    del client
    gc.collect()


class LoopLikeUvloops(asyncio.SelectorEventLoop):
    """It calls what is due at once, by a handle that knows no time, as uvloop 0.23 does."""

    def call_at(self, when: float, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        is_due = when <= self.time()
        at: Any = self.call_soon if is_due else partial(super().call_at, when)
        return at(*args, **options)


def test_calls_without_time_end_in_uvloop_too(server_elsewhere: ScriptedServer) -> None:
    """Their errors are ours, however many share the client's timer."""

    async def calls() -> list[Completion | BaseException]:
        async with GolemClient(server_elsewhere.url, attempt_timeout=1e-9, timeout=0.2) as client:
            several = (client.complete_json(PROMISE_ID, 1) for _ in range(3))
            return list(await asyncio.gather(*several, return_exceptions=True))

    with asyncio.Runner(loop_factory=LoopLikeUvloops) as runner:
        assert all(isinstance(each, GolemError) for each in runner.run(calls()))


async def test_a_client_that_is_dropped_unclosed_is_named() -> None:
    """Besides aiohttp's "Unclosed client session", which nobody can find in their program."""
    async with ScriptedServer() as server:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            await client_of(server).complete_json(PROMISE_ID, 1)
            gc.collect()
        await asyncio.sleep(0.01)
    said = [str(each.message) for each in caught if server.url in str(each.message)]
    advice = "use `async with`, or await aclose()"
    assert said == [f"unclosed GolemClient of {server.url}: {advice}"]


@pytest.mark.parametrize("moments", range(12))
async def test_a_call_that_opens_while_the_client_closes_sends_nothing_more(
    moments: int,
) -> None:
    """However the two interleave: it is sent before the closing or not at all."""
    async with ScriptedServer() as server:
        client = client_of(server, retry=RetryPolicy.none())
        call = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
        for _ in range(moments):
            await asyncio.sleep(0)
        await client.aclose()
        sent = len(server.requests)
        told = (await asyncio.gather(call, return_exceptions=True))[0]
        await asyncio.sleep(0.01)
        assert len(server.requests) == sent
        assert isinstance(told, Completion | GolemError | RuntimeError)
        if isinstance(told, ConnectionFailedError | RuntimeError):
            assert sent == 0
        if isinstance(told, RuntimeError):
            assert "this GolemClient is closed" in str(told)


@pytest.mark.parametrize("moments", range(0, 40, 2))
async def test_closing_while_stale_connections_are_passed_over(moments: int) -> None:
    """aiohttp's own words about a closed session stay inside."""
    answers = late(0.005, TRUE)
    async with ScriptedServer(answers, answers, answers, CLOSE) as server:
        client = client_of(server)
        await calls_at_once(client, 3)
        call = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
        while len(server.requests) < 4:  # noqa: ASYNC110 - turns of the loop are what it counts
            await asyncio.sleep(0)
        for _ in range(moments):
            await asyncio.sleep(0)
        await client.aclose()
        with pytest.raises(GolemError) as caught:
            await asyncio.wait_for(call, 5)
    assert caught.value.may_have_completed


async def test_any_number_of_stale_connections_is_passed_over() -> None:
    """Each is one turn of a loop, and not one more frame on the stack."""
    number = 90
    came, together = 0, asyncio.Event()

    async def wait_for_all(exchange: Exchange) -> None:
        nonlocal came
        came += 1
        if came == number:
            together.set()
        await together.wait()
        await TRUE(exchange)

    async with (
        ScriptedServer(*[wait_for_all] * number, CLOSE, TRUE) as server,
        client_of(server, max_connections=number) as client,
    ):
        await calls_at_once(client, number)
        usual = sys.getrecursionlimit()
        sys.setrecursionlimit(len(inspect.stack(0)) + 70)
        try:
            done = await client.complete_json(PROMISE_ID, 1)
        finally:
            sys.setrecursionlimit(usual)
        assert (done.attempts, server.connections) == (2, number + 1)


@pytest.mark.parametrize("moments", range(4))
async def test_a_closing_that_is_cancelled_closes_all_the_same(
    moments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second cancellation may meet the `async with` on its way out."""
    opened = counted_sessions(monkeypatch)
    async with ScriptedServer() as server:
        client = client_of(server)
        await calls_at_once(client, 2)
        closing = asyncio.create_task(client.aclose())
        for _ in range(moments):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await client.aclose()
        assert [session.closed for session in opened] == [True]


# Other loops, other threads

IN_ANOTHER_LOOP = r"another event loop.*golem_client\.blocking\.BlockingGolemClient"


def test_another_living_loop_may_neither_call_nor_close(server_elsewhere: ScriptedServer) -> None:
    """It is said before anything is sent, and the client works on in its own loop."""
    client = GolemClient(server_elsewhere.url)
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(calls_at_once(client, 1))
        for _ in range(2):
            with pytest.raises(RuntimeError, match=IN_ANOTHER_LOOP):
                second.run(calls_at_once(client, 1))
            with pytest.raises(RuntimeError, match=IN_ANOTHER_LOOP):
                second.run(client.aclose())
        assert "closed" not in repr(client)
        first.run(calls_at_once(client, 1))
        assert first.run(left_behind(client)) == []
        first.run(client.aclose())
        second.run(client.aclose())
    assert len(server_elsewhere.requests) == 2


async def left_behind(client: GolemClient) -> list[str]:
    return leftovers(client)


def test_threads_that_share_a_client_are_told_one_thing(
    server_elsewhere: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One loop has it; all others are refused in the same words, and send nothing."""
    opened = counted_sessions(monkeypatch, seconds=0.02)
    client = GolemClient(server_elsewhere.url)
    number = 6
    at_once, done = threading.Barrier(number), threading.Barrier(number)
    told: list[object] = []

    def work() -> None:
        async def call() -> object:
            try:
                return await client.complete_json(PROMISE_ID, 1)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
                return error

        with asyncio.Runner() as runner:
            runner.get_loop()
            at_once.wait(5)
            told.append(runner.run(call()))
            done.wait(5)

    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    errors = [one for one in told if isinstance(one, BaseException)]
    assert {type(one) for one in errors} == {RuntimeError}
    assert len({str(one) for one in errors}) == 1
    assert "BlockingGolemClient" in str(errors[0])
    assert (len(told), len(errors), len(opened)) == (number, number - 1, 1)
    assert len(server_elsewhere.requests) == 1


# Borrowed connectors


async def test_the_owner_closes_the_connector_under_waiting_calls() -> None:
    """aiohttp cancels who waits in its pool; nobody asked for a cancellation."""
    async with ScriptedServer(stall) as server:
        connector = aiohttp.TCPConnector(limit=1)
        async with client_of(server, connector=connector, max_connections=10) as client:
            calls = [asyncio.create_task(client.complete_json(PROMISE_ID, n)) for n in range(3)]
            await server.is_asked()
            await asyncio.sleep(0.01)
            await connector.close()
            told = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
            with pytest.raises(ConnectionFailedError):
                await client.complete_json(PROMISE_ID, 4)
    assert sorted(type(one).__name__ for one in told) == [
        "ConnectionFailedError",
        "ConnectionFailedError",
        "ConnectionLostError",
    ]
    for one in told:
        assert isinstance(one, GolemError)
        assert one.may_have_completed == isinstance(one, ConnectionLostError)
        assert (one.__cause__, one.__context__) == (None, None)
    assert len(server.requests) == 1


async def test_a_closed_connector_is_named_also_where_the_server_asked_for_a_pause() -> None:
    """The pause is of no use to a call that can send nothing after it."""
    async with ScriptedServer(answer(503, b"", Retry_After="30")) as server:
        connector = aiohttp.TCPConnector()
        async with client_of(server, connector=connector, retry=RetryPolicy.none()) as client:
            with pytest.raises(ServerError):
                await client.complete_json(PROMISE_ID, 1)
            await connector.close()
            with pytest.raises(ConnectionFailedError, match="closed"):
                await client.complete_json(PROMISE_ID, 2, timeout=5)


async def test_a_cancellation_stays_one_although_the_connector_is_closed() -> None:
    async with ScriptedServer(stall) as server:
        connector = aiohttp.TCPConnector(limit=1)
        async with client_of(server, connector=connector) as client:
            calls = [asyncio.create_task(client.complete_json(PROMISE_ID, n)) for n in range(2)]
            await server.is_asked()
            await asyncio.sleep(0.01)
            for call in calls:
                call.cancel()
            await connector.close()
            told = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in told] == [asyncio.CancelledError] * 2


async def test_a_task_that_cancels_itself_is_cancelled() -> None:
    """Its count of cancellations is what it was; but its connector is open."""

    def cancels(_: object) -> socket.socket:
        raise asyncio.CancelledError

    async with ScriptedServer() as server:
        connector = aiohttp.TCPConnector(socket_factory=cancels)
        async with client_of(server, connector=connector) as client:
            with pytest.raises(asyncio.CancelledError):
                await client.complete_json(PROMISE_ID, 1)
        await connector.close()
    assert server.requests == []
