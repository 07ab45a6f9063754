"""Many completions at a time: each has its result, and nothing runs on when the loop ends."""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, suppress
from typing import Any

import aiohttp
import pytest

from golem_client import (
    AttemptTimeoutError,
    AuthenticationError,
    Completion,
    ConnectionFailedError,
    GolemClient,
    GolemError,
    InvalidIdError,
    Outcome,
    PayloadError,
    PermissionDeniedError,
    PromiseId,
    PromiseNotFoundError,
    RateLimitedError,
    RetryPolicy,
)
from golem_client.bulk import (
    BulkRun,
    BulkStoppedError,
    DuplicateItemError,
    Item,
    Result,
    complete_many,
)
from golem_client.bulk import hold as holds
from golem_client.bulk.hold import Hold
from golem_client.client import gate as client_gate
from golem_client.testing import FakeGolem
from tests.samples import PROMISE_ID, client_of
from tests.scripted_server import (
    FALSE,
    RESET,
    TRUE,
    Exchange,
    ScriptedServer,
    answer,
    late,
    stall,
)

ONCE = RetryPolicy.none()
FORBIDDEN = answer(403, b'{"error":"not allowed"}')
UNAUTHORISED = answer(401, b"authorization error", "text/plain")
LIMITED = answer(429, b"slow down", "text/plain")


def ids(count: int) -> list[PromiseId]:
    return [PromiseId(PROMISE_ID.worker_id, index) for index in range(count)]


def texts(count: int) -> list[Item]:
    return [Item.of_text(promise_id, "x", tag=n) for n, promise_id in enumerate(ids(count))]


async def all_of(run: BulkRun) -> list[Result]:
    return [result async for result in run]


async def until_error(run: BulkRun, results: list[Result]) -> None:
    """Collect the results, also where an error ends the run."""
    async for result in run:
        results += [result]


def outcomes(results: Iterable[Result]) -> list[Outcome | None]:
    return [
        result.ended.outcome if isinstance(result.ended, Completion) else None for result in results
    ]


def running() -> list[str]:
    """Return what of a run is running now."""
    coroutines = [getattr(task.get_coro(), "__name__", "") for task in asyncio.all_tasks()]
    return [name for name in coroutines if name in ("_complete", "_next_of")]


async def a_moment() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Watched:
    """A source that knows how far it was read."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.read = 0
        self._items = iter(items)

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        item = next(self._items)
        self.read += 1
        return item


async def later(items: Iterable[Item]) -> AsyncIterator[Item]:
    for item in items:
        await asyncio.sleep(0)
        yield item


class TestResults:
    """One for each item, whatever becomes of it."""

    async def test_every_promise_gets_its_own_payload(self) -> None:
        """Whatever its kind, and with lost answers and other bad weather on the way."""
        async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
            promises = [golem.create_promise() for _ in range(90)]
            golem.random_faults(0.2, seed=1)
            items = [
                [
                    Item.of_json(promise, {"n": n}),
                    Item.of_text(promise, f"{n}"),
                    Item.of_bytes(promise, b"%d" % n),
                ][n % 3]
                for n, promise in enumerate(promises)
            ]
            results = await all_of(complete_many(client, items, concurrency=16))
        expected = [b'{"n":%d}' % n if n % 3 == 0 else b"%d" % n for n in range(90)]
        assert expected == [golem.payload(promise) for promise in promises]
        assert {Completion} == {type(result.ended) for result in results}
        assert Counter(items) == Counter(result.item for result in results)

    @pytest.mark.parametrize(
        "source",
        [list, tuple, iter, Watched, later, lambda items: (item for item in items)],
        ids=["list", "tuple", "iterator", "own iterator", "async generator", "generator"],
    )
    async def test_items_come_from_anything_iterable(self, source: Any) -> None:
        """Sync and async alike."""
        items = texts(5)
        async with ScriptedServer() as server, client_of(server) as client:
            results = await all_of(complete_many(client, source(items), concurrency=2))
        assert Counter(items) == Counter(result.item for result in results)

    async def test_no_items_are_no_results(self) -> None:
        """And no request."""
        async with ScriptedServer() as server, client_of(server) as client:
            assert [] == await all_of(complete_many(client, []))
        assert [] == server.requests

    async def test_an_items_failure_is_its_result(self) -> None:
        """The others go on: a bad id, a bad payload, a promise that is not there."""
        async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
            promise, other = golem.create_promise(), golem.create_promise()
            wrong: Any = 7
            items = [
                Item.of_text("no id", "x", tag="id"),
                Item.of_json(other, float("nan"), tag="json"),
                Item.of_text(golem.create_promise(), wrong, tag="text"),
                Item.of_bytes(golem.create_promise(), wrong, tag="bytes"),
                Item.of_text(f"{promise}9", "x", tag="nowhere"),
                Item.of_text(promise, "x", tag="good"),
            ]
            ends = {item.tag: ended async for item, ended in complete_many(client, items)}
        assert {
            "id": InvalidIdError,
            "json": PayloadError,
            "text": PayloadError,
            "bytes": PayloadError,
            "nowhere": PromiseNotFoundError,
            "good": Completion,
        } == {tag: type(ended) for tag, ended in ends.items()}
        golem.assert_completed(promise, b"x")

    async def test_many_bad_items_do_not_keep_others_from_running(self) -> None:
        """Items that need no wait hand the loop on all the same."""
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with ScriptedServer() as server, client_of(server) as client:
            other = asyncio.create_task(count_turns())
            items = [Item.of_text("no id", "x")] * 100
            await all_of(complete_many(client, items, concurrency=100))
            other.cancel()
        assert turns >= 50

    async def test_a_result_is_a_pair_and_names_its_parts(self) -> None:
        """`completion` or `error` is None."""
        item, done, error = texts(1)[0], Completion(Outcome.FULFILLED, 1), PayloadError("no")
        assert (item, done) == tuple(Result(item, done))
        good, bad = Result(item, done), Result(item, error)
        assert (done, None) == (good.completion, good.error)
        assert (None, error) == (bad.completion, bad.error)

    async def test_a_failure_does_not_keep_its_payload_in_memory(self) -> None:
        """Its traceback, whose frames hold it, is dropped."""
        async with ScriptedServer(answer(400)) as server, client_of(server) as client:
            (result,) = await all_of(complete_many(client, texts(1)))
        assert result.error is not None
        assert result.error.__traceback__ is None


class TestItems:
    """What an item is made of."""

    def test_no_payload_is_shown(self) -> None:
        """A repr may end in a log."""
        item = Item.of_json(PROMISE_ID, "secret")
        assert "secret" not in repr(item)
        assert "w1" in repr(item)

    def test_the_kind_is_always_said(self) -> None:
        """There is no default, and no other kind."""
        wrong: Any = Item
        with pytest.raises(TypeError):
            wrong(PROMISE_ID, payload=b"x")
        with pytest.raises(ValueError, match="kind") as caught:
            wrong(PROMISE_ID, "secret", "json")  # in the wrong order
        assert "secret" not in repr(caught.value)

    def test_bytes_are_taken_as_they_are_now(self) -> None:
        """A buffer may be used again before its item is sent."""
        buffer = bytearray(b"ab")
        item = Item.of_bytes(PROMISE_ID, buffer)
        buffer[:] = b"xx"
        assert b"ab" == item.payload

    async def test_a_json_item_is_encoded_as_its_type(self) -> None:
        """As `complete_json(…, as_type)` does."""
        async with ScriptedServer() as server, client_of(server) as client:
            await all_of(complete_many(client, [Item.of_json(PROMISE_ID, b"\x01", bytes)]))
        assert b"[1]" == server.requests[0].payload


class TestMisuse:
    """What no item's result can tell."""

    @pytest.mark.parametrize("concurrency", [0, -1])
    async def test_concurrency_is_at_least_one(self, concurrency: int) -> None:
        """Anything below would wait for ever."""
        with pytest.raises(ValueError, match="concurrency"):
            complete_many(GolemClient("http://127.0.0.1:1"), [], concurrency=concurrency)

    @pytest.mark.parametrize("concurrency", [True, 2.0, "2"])
    async def test_concurrency_is_an_integer(self, concurrency: Any) -> None:
        """Nothing is rounded."""
        with pytest.raises(TypeError, match="concurrency"):
            complete_many(GolemClient("http://127.0.0.1:1"), [], concurrency=concurrency)

    async def test_items_are_iterable(self) -> None:
        """The error comes at the call."""
        wrong: Any = 7
        with pytest.raises(TypeError, match="iterable of Item, not of type int"):
            complete_many(GolemClient("http://127.0.0.1:1"), wrong)

    @pytest.mark.parametrize("wrong", [(PROMISE_ID, b"x"), str(PROMISE_ID), None])
    async def test_what_is_no_item_ends_the_run(self, wrong: Any) -> None:
        """A tuple says nothing of the kind of its payload; what was sent has its result."""
        results: list[Result] = []
        async with ScriptedServer() as server, client_of(server) as client:
            with pytest.raises(TypeError, match="of the class Item, not"):
                await until_error(complete_many(client, [*texts(2), wrong]), results)
        assert [0, 1] == sorted(result.item.tag for result in results)

    async def test_results_are_for_one_reader_at_a_time(self) -> None:
        """Two tasks would share the results by chance."""
        async with ScriptedServer(stall) as server, client_of(server) as client:
            run = complete_many(client, texts(2))
            reader = asyncio.create_task(all_of(run))
            await server.is_asked()
            with pytest.raises(RuntimeError, match="one reader"):
                await anext(run)
            await run.aclose()
            assert [] == await reader


class TestBounds:
    """Never more than `concurrency` items are out of their source without their result."""

    async def test_no_more_are_under_way_than_asked_for(self) -> None:
        """And so many are, if the source has them."""
        under_way, most = 0, 0

        async def counted(exchange: Exchange) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.002)
            under_way -= 1
            await TRUE(exchange)

        async with ScriptedServer(counted) as server, client_of(server) as client:
            await all_of(complete_many(client, texts(40), concurrency=5))
        assert 5 == most

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_the_source_is_not_read_ahead_of_the_results(self, is_async: bool) -> None:
        """A slow reader makes the run wait."""
        source = Watched(texts(30))
        items = later(source) if is_async else source
        ahead = []
        got = 0
        async with ScriptedServer() as server, client_of(server) as client:
            async for _ in complete_many(client, items, concurrency=4):
                got += 1
                await asyncio.sleep(0.003)
                ahead.append(source.read - got + 1)
        assert 30 == got
        assert 4 == max(ahead)

    async def test_bad_items_are_not_read_ahead_either(self) -> None:
        """Each needs no time, and still waits for its reader."""
        source = Watched([Item.of_text("no id", "x")] * 30)
        async with aclosing(
            complete_many(GolemClient("http://127.0.0.1:1"), source, concurrency=3)
        ) as run:
            await anext(run)
            assert 3 == source.read

    async def test_nothing_starts_before_a_result_is_asked_for(self) -> None:
        """To make a run costs nothing."""
        source = Watched(texts(3))
        async with ScriptedServer() as server, client_of(server) as client:
            run = complete_many(client, source)
            await a_moment()
            assert (0, []) == (source.read, running())
            await run.aclose()


class TestSource:
    """A source that fails."""

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_its_exception_comes_after_the_results(self, is_async: bool) -> None:
        """What is under way is finished and handed out first."""

        def failing() -> Iterator[Item]:
            yield from texts(3)
            raise LookupError("the table is gone")

        results: list[Result] = []
        slow = late(0.02, TRUE)
        async with ScriptedServer(slow) as server, client_of(server) as client:
            source = later(failing()) if is_async else failing()
            run = complete_many(client, source)
            with pytest.raises(LookupError, match="the table is gone"):
                await until_error(run, results)
            assert [0, 1, 2] == sorted(result.item.tag for result in results)
            assert [] == running()
            with pytest.raises(StopAsyncIteration):
                await anext(run)

    async def test_a_cancelled_source_is_a_failed_one(self) -> None:
        """It is no reason to wait for ever."""

        async def cancelled() -> AsyncIterator[Item]:
            yield texts(1)[0]
            raise asyncio.CancelledError

        results: list[Result] = []
        async with ScriptedServer() as server, client_of(server) as client:
            with pytest.raises(asyncio.CancelledError):
                await until_error(complete_many(client, cancelled()), results)
        assert 1 == len(results)

    async def test_a_slow_source_does_not_hold_up_results(self) -> None:
        """Results are handed out while the next item is waited for."""
        more = asyncio.Event()

        async def slow() -> AsyncIterator[Item]:
            yield texts(1)[0]
            await more.wait()

        async with ScriptedServer() as server, client_of(server) as client:
            run = complete_many(client, slow())
            assert 0 == (await anext(run)).item.tag
            more.set()
            with pytest.raises(StopAsyncIteration):
                await anext(run)


class TestLeaving:
    """Nothing runs on, however the loop is left."""

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_after_aclosing_nothing_is_left(self, is_async: bool) -> None:
        """Not for a moment, and no connection either."""
        async with ScriptedServer(TRUE, stall) as server, client_of(server) as client:
            source = later(texts(20)) if is_async else texts(20)
            async with aclosing(complete_many(client, source, concurrency=4)) as run:
                async for _ in run:
                    break
                assert [] != running()
            assert [] == running()

    async def test_a_break_alone_ends_it_too(self) -> None:
        """A moment later, without a warning."""
        async with ScriptedServer(TRUE, stall) as server, client_of(server) as client:
            async for _ in complete_many(client, texts(20), concurrency=4):
                assert 3 <= len(running())
                break
            await a_moment()
            assert [] == running()

    async def test_an_error_in_the_body_ends_it_too(self) -> None:
        """It passes as it is."""

        async def divide(run: BulkRun) -> None:
            async for _ in run:
                raise ZeroDivisionError

        async with ScriptedServer(TRUE, stall) as server, client_of(server) as client:
            with pytest.raises(ZeroDivisionError):
                await divide(complete_many(client, later(texts(20)), concurrency=4))
            await a_moment()
            assert [] == running()

    async def test_a_cancelled_reader_leaves_nothing(self) -> None:
        """The cancellation passes once all has ended."""
        async with ScriptedServer(stall) as server, client_of(server) as client:
            reader = asyncio.create_task(all_of(complete_many(client, later(texts(9)))))
            await server.is_asked()
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            assert [] == running()

    async def test_a_timeout_around_the_loop_works(self) -> None:
        """It is a cancellation like any other."""
        async with ScriptedServer(stall) as server, client_of(server) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await all_of(complete_many(client, texts(3)))
            assert [] == running()

    async def test_a_task_group_that_fails_ends_it(self) -> None:
        """The error of the sibling is the only one."""

        async def fail(server: ScriptedServer) -> None:
            await server.is_asked()
            raise LookupError("sibling")

        async def both(client: GolemClient, server: ScriptedServer) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(all_of(complete_many(client, texts(3))))
                group.create_task(fail(server))

        async with ScriptedServer(stall) as server, client_of(server) as client:
            with pytest.raises(ExceptionGroup) as caught:
                await both(client, server)
            assert [] == running()
        assert [LookupError] == [type(error) for error in caught.value.exceptions]

    async def test_closing_ends_a_waiting_reader(self) -> None:
        """From another task: the loop simply ends. A second time it does nothing."""
        async with ScriptedServer(stall) as server, client_of(server) as client:
            run = complete_many(client, texts(3))
            reader = asyncio.create_task(all_of(run))
            await server.is_asked()
            await run.aclose()
            await run.aclose()
            assert [] == await reader

    async def test_a_closed_run_has_no_more_results(self) -> None:
        """Closed before its start, it never starts."""
        async with ScriptedServer() as server, client_of(server) as client:
            run = complete_many(client, texts(3))
            await run.aclose()
            assert [] == await all_of(run)
        assert [] == server.requests

    def test_a_run_dropped_after_its_loop_is_no_trouble(self) -> None:
        """Nothing is scheduled on a loop that is closed."""

        async def begin() -> BulkRun:
            async with ScriptedServer(TRUE, stall) as server, client_of(server) as client:
                run = complete_many(client, texts(3))
                await anext(run)
            return run

        run = asyncio.run(begin())
        del run


class TestStopping:
    """What will hit every item ends the run."""

    async def test_a_refused_token_stops_the_run(self) -> None:
        """Whatever was sent has its result; the rest is in its source."""
        source = Watched(texts(50))
        results: list[Result] = []
        async with ScriptedServer(TRUE, TRUE, UNAUTHORISED) as server, client_of(server) as client:
            with pytest.raises(BulkStoppedError) as stopped:
                await until_error(complete_many(client, source, concurrency=3), results)
        assert len(server.requests) == len(results) == source.read
        assert source.read <= 7
        assert [n for n, _ in enumerate(results)] == sorted(result.item.tag for result in results)
        assert AuthenticationError is type(stopped.value.reason)
        assert stopped.value.__cause__ is stopped.value.reason
        assert "AuthenticationError" in str(stopped.value)
        assert 50 - source.read == len(list(source))

    async def test_the_error_says_how_many_were_not_sent(self) -> None:
        """Where the source tells its length; else, how many were."""
        async with ScriptedServer(UNAUTHORISED) as server, client_of(server) as client:
            with pytest.raises(BulkStoppedError, match=r"^49 items were not sent") as stopped:
                await all_of(complete_many(client, texts(50), concurrency=1))
            assert 49 == stopped.value.unsent
            with pytest.raises(BulkStoppedError, match="what follows item 1, ") as stopped:
                await all_of(complete_many(client, iter(texts(50)), concurrency=1))
            assert stopped.value.unsent is None

    async def test_an_item_that_was_on_its_way_out_of_the_source_is_kept(self) -> None:
        """It cannot be put back, so that the run has it."""
        more, asked = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[Item]:
            yield texts(1)[0]
            await asked.wait()
            yield texts(2)[1]

        async def refused(exchange: Exchange) -> None:
            asked.set()
            await more.wait()
            await UNAUTHORISED(exchange)

        results: list[Result] = []
        async with ScriptedServer(refused) as server, client_of(server) as client:
            run = complete_many(client, slow(), concurrency=2)
            reader = asyncio.create_task(until_error(run, results))
            await asked.wait()
            run._run._hold.note_outage(math.inf)  # the item has come, and waits
            await a_moment()
            more.set()
            with pytest.raises(BulkStoppedError):
                await reader
        assert [0] == [result.item.tag for result in results]
        assert [1] == [item.tag for item in run.unsent]

    async def test_a_403_is_its_items_own(self) -> None:
        """Permissions are those of an environment: other items may be allowed."""
        async with ScriptedServer(TRUE, FORBIDDEN, TRUE) as server, client_of(server) as client:
            results = await all_of(complete_many(client, texts(3), concurrency=1))
        kinds = [type(result.ended) for result in results]
        assert [Completion, PermissionDeniedError, Completion] == kinds

    async def test_an_unclear_401_is_its_items_own(self) -> None:
        """Golem 1.3 says so of one unknown component, too."""
        unclear = answer(401, b'{"error":"Unauthorized: Get project error"}')
        async with ScriptedServer(unclear) as server, client_of(server, retry=ONCE) as client:
            results = await all_of(complete_many(client, texts(5)))
        assert [AuthenticationError] * 5 == [type(result.ended) for result in results]

    async def test_a_closed_client_is_a_runtime_error(self) -> None:
        """What was under way when it closed has its result first."""
        results: list[Result] = []
        async with ScriptedServer(stall) as server, client_of(server) as client:
            run = complete_many(client, texts(9), concurrency=2)
            reader = asyncio.create_task(until_error(run, results))
            await server.is_asked()
            await asyncio.sleep(0.01)
            await client.aclose()
            with pytest.raises(RuntimeError, match="closed"):
                await reader
            assert [] == running()
        assert {0, 1} == {result.item.tag for result in results}

    async def test_what_a_token_source_raises_passes_through(self) -> None:
        """Once, and with the promise in a note."""

        async def no_token() -> str:
            raise LookupError("no vault")

        async with ScriptedServer() as server, client_of(server, token=no_token) as client:
            with pytest.raises(LookupError, match="no vault") as caught:
                await all_of(complete_many(client, texts(5)))
        assert PROMISE_ID.worker_id.worker_name in "".join(caught.value.__notes__)

    @pytest.mark.parametrize("travel", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
    @pytest.mark.parametrize(
        "error", [DuplicateItemError("twice"), BulkStoppedError("no", PayloadError("why"), 3)]
    )
    def test_the_errors_travel(self, error: GolemError, travel: Any) -> None:
        """As all of the package do."""
        other = travel(error)
        assert (type(error), str(error)) == (type(other), str(other))
        assert getattr(error, "unsent", 0) == getattr(other, "unsent", 0)


class TestDuplicates:
    """Two payloads for one promise are not left to chance."""

    async def test_a_promise_that_is_under_way_is_reported(self) -> None:
        """In whatever spelling it comes again; only the first is sent."""
        slow = late(0.02, TRUE)
        items = [
            Item.of_text(PROMISE_ID, "first"),
            Item.of_text(PROMISE_ID.to_json(), "second"),
            Item.of_text(f"  {PROMISE_ID} ", "third"),
        ]
        async with ScriptedServer(slow) as server, client_of(server) as client:
            ends = {item.payload: ended async for item, ended in complete_many(client, items)}
        assert [b"first"] == [request.payload for request in server.requests]
        assert isinstance(ends["first"], Completion)
        for name in ("second", "third"):
            error = ends[name]
            assert isinstance(error, DuplicateItemError)
            assert (PROMISE_ID, 0, False) == (
                error.promise_id,
                error.attempts,
                error.may_have_completed,
            )

    async def test_a_promise_that_has_ended_is_sent_again(self) -> None:
        """Golem then says that it was completed before."""
        items = [Item.of_text(PROMISE_ID, "a"), Item.of_text(PROMISE_ID, "b")]
        async with ScriptedServer(TRUE, FALSE) as server, client_of(server) as client:
            results = await all_of(complete_many(client, items, concurrency=1))
        assert [Outcome.FULFILLED, Outcome.ALREADY_FULFILLED] == outcomes(results)


class TestRateLimits:
    """They hold the whole run, and fail no item."""

    async def test_a_refusal_holds_everybody(self) -> None:
        """Then all go on, and the item that was refused has its result."""
        times: list[float] = []

        async def noted(exchange: Exchange) -> None:
            times.append(asyncio.get_running_loop().time())
            step = LIMITED if len(times) == 5 else TRUE
            await asyncio.sleep(0.005)
            await step(exchange)

        async with ScriptedServer(noted) as server, client_of(server, retry=ONCE) as client:
            results = await all_of(complete_many(client, texts(30), concurrency=4))
        assert [Outcome.FULFILLED] * 30 == outcomes(results)
        assert 31 == len(times)
        pauses = [n for n in range(1, 31) if times[n] - times[n - 1] > 0.2]
        assert 1 == len(pauses)
        assert pauses[0] <= 5 + 3
        assert [2] == [result.ended.attempts for result in results if result.ended.attempts > 1]

    async def test_the_pause_can_be_read(self) -> None:
        """A program that shows progress can say why there is none."""
        step = answer(429, b"slow down", "text/plain", Retry_After="9")
        async with ScriptedServer(step) as server, client_of(server, retry=ONCE) as client:
            run = complete_many(client, texts(3), concurrency=1)
            assert 0 == run.pause
            reader = asyncio.create_task(all_of(run))
            await server.is_asked()
            await asyncio.sleep(0.05)
            assert 8 < run.pause <= 9
            await run.aclose()
            assert [] == await reader
        assert 1 == len(server.requests)

    async def test_a_lost_answer_is_not_forgotten(self) -> None:
        """After it, `false` is FULFILLED_BY_UNKNOWN, although another call got it."""
        steps = (RESET, LIMITED, FALSE)
        policy = RetryPolicy(max_attempts=2, min_delay=0.001)
        async with ScriptedServer(*steps) as server, client_of(server, retry=policy) as client:
            (result,) = await all_of(complete_many(client, texts(1)))
        assert Completion(Outcome.FULFILLED_BY_UNKNOWN, attempts=3) == result.ended

    async def test_a_lost_answer_is_not_forgotten_by_an_error_either(self) -> None:
        """`may_have_completed` and the attempts are those of all calls."""
        steps = (RESET, LIMITED, answer(400))
        policy = RetryPolicy(max_attempts=2, min_delay=0.001)
        async with ScriptedServer(*steps) as server, client_of(server, retry=policy) as client:
            (result,) = await all_of(complete_many(client, texts(1)))
        assert result.error is not None
        assert (True, 3) == (result.error.may_have_completed, result.error.attempts)

    @pytest.mark.parametrize(
        "options",
        [{"retry": ONCE}, {"timeout": 0.06}, {"timeout": 0.06, "max_connections": 1}],
        ids=["each call sends once", "each call waits at the gate", "one probes for all"],
    )
    async def test_a_limit_without_end_stops_the_run(
        self, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
    ) -> None:
        """After ten pauses in a row that nothing came through."""
        monkeypatch.setattr(holds, "_FIRST_PAUSE", 0.0001)
        monkeypatch.setattr(holds, "_OUTAGE_PAUSE", 0.0001)
        monkeypatch.setattr(client_gate, "_FIRST_PROBE", 0.001)
        monkeypatch.setattr(client_gate, "_LAST_PROBE", 0.004)
        results: list[Result] = []
        async with ScriptedServer(LIMITED) as server, client_of(server, **options) as client:
            with pytest.raises(BulkStoppedError, match="48 items were not sent") as stopped:
                await until_error(complete_many(client, texts(50), concurrency=2), results)
        assert stopped.value.worth_retrying
        assert 2 == len(results)
        attempts = sum(result.error.attempts for result in results if result.error)
        assert attempts > 0
        if "timeout" not in options:  # a deadline can end an attempt before it is sent
            assert len(server.requests) >= attempts

    async def test_a_wait_of_hours_stops_the_run(self) -> None:
        """Better told than waited for in silence."""
        step = answer(429, b"slow down", "text/plain", Retry_After="86400")
        async with ScriptedServer(step) as server, client_of(server) as client:
            with pytest.raises(BulkStoppedError) as stopped:
                await all_of(complete_many(client, texts(5), concurrency=1))
        assert RateLimitedError is type(stopped.value.reason)
        assert 1 == len(server.requests)


class TestOutages:
    """A Golem that is away holds the run, for as long as it is."""

    @pytest.mark.parametrize("retry", [ONCE, RetryPolicy()], ids=["once", "default"])
    async def test_no_item_fails(self, retry: RetryPolicy) -> None:
        """Although the outage lasts longer than a call may."""
        async with FakeGolem() as golem:
            promises = [golem.create_promise() for _ in range(30)]
            items = [Item.of_text(promise, "x") for promise in promises]
            async with GolemClient(
                golem.url, token=golem.token, timeout=0.4, retry=retry, max_connections=4
            ) as client:
                await client.complete_text(golem.create_promise(), "x")
                async with golem.outage():
                    with pytest.raises(GolemError):
                        await asyncio.gather(
                            *(client.complete_text(each, "x") for each in promises[:9])
                        )
                    while client.pressure.open:
                        with suppress(GolemError):
                            await client.complete_text(promises[0], "x")
                    run = complete_many(client, items, concurrency=10)
                    reader = asyncio.create_task(all_of(run))
                    for _ in range(2):
                        await asyncio.sleep(0.25)
                    assert not reader.done()
                results = await reader
        assert [Outcome.FULFILLED] * 30 == outcomes(results)
        assert 30 <= sum(result.ended.attempts for result in results)

    async def test_a_pause_beyond_the_deadline_fails_no_item(self) -> None:
        """The client refuses the calls at once; the run waits the pause out."""
        limit = answer(503, b"", Retry_After="1")
        options: dict[str, Any] = {"timeout": 0.9, "retry": ONCE}
        async with ScriptedServer(limit, TRUE) as server, client_of(server, **options) as client:
            with pytest.raises(GolemError):
                await client.complete_text(ids(4)[3], "x")
            results = await all_of(complete_many(client, texts(3)))
        assert [Completion(Outcome.FULFILLED, 1)] * 3 == [result.ended for result in results]
        assert 4 == len(server.requests)

    async def test_what_is_known_of_the_calls_before_is_not_forgotten(self) -> None:
        """A payload that was sent and not answered may be what a later `false` is about."""
        steps = [stall, RESET, FALSE]
        options: dict[str, Any] = {"timeout": 0.6, "attempt_timeout": 0.2, "max_connections": 1}
        async with ScriptedServer(*steps) as server, client_of(server, **options) as client:
            (result,) = await all_of(complete_many(client, texts(1)))
        assert Completion(Outcome.FULFILLED_BY_UNKNOWN, attempts=3) == result.ended

    async def test_closing_ends_a_run_that_is_held(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """At once; the outage goes on."""
        monkeypatch.setattr(holds, "_OUTAGE_PAUSE", 60.0)
        options: dict[str, Any] = {"timeout": 0.05, "max_connections": 1}
        async with ScriptedServer(RESET) as server, client_of(server, **options) as client:
            run = complete_many(client, texts(9), concurrency=3)
            reader = asyncio.create_task(all_of(run))
            await asyncio.sleep(0.2)
            assert 50 < run.pause <= 60
            async with asyncio.timeout(5):
                await run.aclose()
                assert [] == await reader
        assert [] == running()

    async def test_a_closed_connector_is_no_outage(self) -> None:
        """It never opens again: the items have their errors."""
        connector = aiohttp.TCPConnector()
        options: dict[str, Any] = {"timeout": 0.05, "max_connections": 1, "connector": connector}
        async with ScriptedServer(RESET) as server, client_of(server, **options) as client:
            with pytest.raises(GolemError):
                await client.complete_text(PROMISE_ID, "x")
            assert not client.pressure.open
            await connector.close()
            results = await all_of(complete_many(client, texts(3)))
        assert [ConnectionFailedError] * 3 == [type(result.ended) for result in results]

    async def test_one_promise_that_hangs_fails_alone(self) -> None:
        """Golem answers the others, so that it is not down."""

        async def one_hangs(exchange: Exchange) -> None:
            await (stall if b'"oplogIdx":7,' in exchange.request.body else TRUE)(exchange)

        policy = RetryPolicy(max_attempts=2, min_delay=0.001)
        options: dict[str, Any] = {"attempt_timeout": 0.4, "retry": policy}
        async with (
            ScriptedServer(late(0.005, one_hangs)) as server,
            client_of(server, **options) as client,
        ):
            results = await all_of(complete_many(client, texts(60), concurrency=4))
        failed = [result for result in results if result.error is not None]
        assert [7] == [result.item.tag for result in failed]
        assert [AttemptTimeoutError] == [type(result.error) for result in failed]


class TestHold:
    """For how long."""

    @staticmethod
    def limit(retry_after: float | None = None) -> RateLimitedError:
        return RateLimitedError("slow down", retry_after=retry_after)

    def test_limits_of_calls_under_way_together_are_one(self) -> None:
        """Sixty-four of them are no sixty-four pauses."""
        hold = Hold()
        for _ in range(64):
            assert hold.note_limit(self.limit(), 0.0, started_in=0)
        assert (1, 0.25) == (hold.number, hold.seconds_left(0.0))

    def test_the_server_says_how_long(self) -> None:
        """The longest of what it says to calls under way together."""
        hold = Hold()
        for seconds in (3.0, 9.0, 1.0):
            hold.note_limit(self.limit(seconds), 0.0, started_in=0)
        assert [9.0, 1.0, 0.0] == [hold.seconds_left(now) for now in (0.0, 8.0, 10.0)]

    def test_pauses_in_vain_grow(self) -> None:
        """Also where the server asks for less; an answer between them ends that."""
        hold, pauses = Hold(), []
        for number in range(5):
            now = 1000.0 * number
            hold.note_limit(self.limit(0.5), now, started_in=number)
            pauses.append(hold.seconds_left(now))
            if number == 3:
                hold.note_answer()
        assert [0.5, 0.5, 1.0, 2.0, 0.5] == pauses

    @pytest.mark.parametrize(("seconds", "is_waited_for"), [(3600.0, True), (3601.0, False)])
    def test_an_hour_is_the_longest(self, seconds: float, *, is_waited_for: bool) -> None:
        """More is told instead."""
        limit = self.limit(seconds)
        assert is_waited_for == Hold().note_limit(limit, 0.0, started_in=0)

    def test_ten_in_vain_are_the_most(self) -> None:
        """The eleventh is hopeless."""
        hold = Hold()
        waited_for = [hold.note_limit(self.limit(), 0.0, started_in=n) for n in range(11)]
        assert [True] * 10 + [False] == waited_for
