"""A run: items in, completions under way, results out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress
from typing import Any

import attrs

from golem_client import (
    AuthenticationError,
    BulkStoppedError,
    Completion,
    DuplicateItemError,
    GolemClient,
    GolemError,
    PromiseId,
    ResponseError,
)
from golem_client.bulk.hold import Hold, is_outage, is_rate_limit
from golem_client.bulk.items import Item, Result
from golem_client.bulk.source import Source
from golem_client.outcome import combined


def complete_many(
    client: GolemClient,
    items: Iterable[Item] | AsyncIterable[Item],
    *,
    concurrency: int = 64,
) -> BulkRun:
    """Complete many promises, and yield what became of each as it ends, in no particular order.

        async for item, ended in complete_many(client, items):
            if isinstance(ended, GolemError):
                print(item.tag, ended.worth_retrying, ended)

    An item's failure is its result, and ends nothing. No more than `concurrency` items are out of
    their source without their result being handed out: a slow reader of the results slows the
    run, and memory does not grow with the number of items. Nothing starts before the first result
    is asked for.

    A Golem that is away, or limits the rate, holds the whole run and fails no item: a call that
    failed for that reason is made again, and its result covers all of its calls. An outage
    holds the run for as long as it lasts: to end it earlier, close the run. Meanwhile the client
    finds out whether Golem is back, and `client.pressure` shows how long it has been away.
    A RetryPolicy that never sends twice is kept within each call; of what was sent, only that
    which a rate limit refused is sent again.

    To leave early, close it: `async with aclosing(complete_many(…)) as run` ends with nothing
    running on. Without, a `break`, an error in the loop's body and a cancellation stop it too,
    a moment later. What was under way then has no result: complete it again with the same
    payload, which is harmless.

    Args:
        client: The session. Each item is one call of it, with its timeout and its retries.
        items: The items, from a list, a generator, an async generator: anything iterable. It
            is not closed, and never ahead of the results by more than `concurrency`.
        concurrency: The most items at the same time. More than the client's `max_connections`
            only wait.

    Raises:
        BulkStoppedError: From the loop, once all that was sent has its result: the server refused
            the token (401), or limits the rate with no end in sight: it asked for more than an
            hour, or nothing got through between ten pauses of growing length. The items that
            follow are still in their source.
        TypeError: `items` is not iterable; or, from the loop, something in it is no Item.
        ValueError: `concurrency` is below 1.
        Exception: From the loop, once all that was sent has its result: whatever the source
            raised, or the client's RuntimeError because it is closed.
    """
    if isinstance(concurrency, bool) or not isinstance(concurrency, int):
        raise TypeError("concurrency must be an integer")
    if concurrency < 1:
        raise ValueError("concurrency must be at least 1")
    return BulkRun(_Run(client, items, concurrency))


class BulkRun(AsyncIterator[Result]):
    """The results of `complete_many`, one by one; `aclose()` ends the run.

    It is for one reader. Dropped before its end, it stops by itself.
    """

    def __init__(self, run: _Run) -> None:
        # What is under way knows the inner run only, so that this can be dropped meanwhile.
        self._run = run

    async def __anext__(self) -> Result:
        result = await self._run.next_result()
        if result is None:
            raise StopAsyncIteration
        return result

    async def aclose(self) -> None:
        """Cancel what is under way, and wait until it has ended. A second time it does nothing."""
        await self._run.close()

    @property
    def unsent(self) -> tuple[Item, ...]:
        """What a run that stopped had taken from its source, and did not send: one item at most."""
        return tuple(self._run.unsent)

    @property
    def pause(self) -> float:
        """The seconds until a run that is held sends again; 0 where nothing holds it."""
        return self._run.seconds_held

    def __del__(self) -> None:
        run = getattr(self, "_run", None)
        if run is not None:
            run.abandon()


@attrs.define(eq=False)
class _Call:
    """An item under way, with what is known from its earlier calls, during a hold."""

    item: Item
    promise_id: PromiseId
    started_in: int = 0
    attempts: int = 0
    may_have_completed: bool = False
    failure: GolemError | None = None

    def told(self, ended: Completion | GolemError) -> Completion | GolemError:
        """Return the end of the last call, with the facts of all of them."""
        self.attempts += ended.attempts
        if isinstance(ended, GolemError):
            self.may_have_completed = ended.may_have_completed or self.may_have_completed
            ended.attempts = self.attempts
            ended.may_have_completed = self.may_have_completed
            # Its frames hold the payload, for as long as somebody keeps the result.
            return ended.with_traceback(None)
        outcome = combined(ended.outcome, may_have_stored=self.may_have_completed)
        return Completion(outcome, self.attempts)


class _Run:
    """State of the run. It advances only inside `next_result`, and has no task of its own."""

    def __init__(
        self,
        client: GolemClient,
        items: Iterable[Item] | AsyncIterable[Item],
        concurrency: int,
    ) -> None:
        self._client = client
        self._concurrency = concurrency
        self._news = asyncio.Event()
        self._source = Source(items, self._news.set)
        self._hold = Hold()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: dict[asyncio.Task[Completion], _Call] = {}
        self._ended: deque[asyncio.Task[Completion]] = deque()
        self._again: deque[_Call] = deque()
        self._ids: set[PromiseId] = set()
        self._results: deque[Result] = deque()
        self.unsent: list[Item] = []
        self._reason: GolemError | None = None
        self._failure: BaseException | None = None
        self._is_read = False
        self._is_over = False

    async def next_result(self) -> Result | None:
        """Return the next result, or None at the end."""
        if self._is_read:
            raise RuntimeError("the results of complete_many are for one reader at a time")
        self._is_read = True
        self._loop = asyncio.get_running_loop()
        try:
            result = await self._next_result()
        except BaseException:
            await self.close()
            raise
        finally:
            self._is_read = False
        if result is None:
            await self.close()
        return result

    async def _next_result(self) -> Result | None:
        if self._results:
            await asyncio.sleep(0)  # where nothing is waited for, others must run all the same
        while not self._is_over:
            self._move_on()
            if self._results:
                return self._results.popleft()
            if not self._calls and not self._again and self._takes_no_more():
                self._conclude()
                return None
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.seconds_held or None):
                    await self._news.wait()
        return None

    @property
    def seconds_held(self) -> float:
        """How long nothing is sent."""
        return 0.0 if self._loop is None else self._hold.seconds_left(self._loop.time())

    def _takes_no_more(self) -> bool:
        return self._is_stopping() or self._source.is_ended

    def _is_stopping(self) -> bool:
        return self._reason is not None or self._failure is not None

    def _move_on(self) -> None:
        """Take in what has ended, and start what there is room for."""
        while self._ended:
            task = self._ended.popleft()
            self._take_in(task, self._calls.pop(task))
        if self._is_stopping():
            self._settle_what_waits()
            return
        while not self.seconds_held and len(self._calls) < self._concurrency:
            call = self._again.popleft() if self._again else self._next_call()
            if call is None:
                break
            self._start(call)

    def _next_call(self) -> _Call | None:
        """Return a call for the next item that can be sent; what cannot is a result at once."""
        while len(self._calls) + len(self._results) < self._concurrency:
            item = self._source.take()
            if item is None:
                return None
            try:
                promise_id = PromiseId.parse(item.promise_id)
                self._check_is_alone(promise_id)
            except GolemError as error:
                self._results.append(Result(item, error.with_traceback(None)))
            else:
                return _Call(item, promise_id)
        return None

    def _check_is_alone(self, promise_id: PromiseId) -> None:
        if promise_id in self._ids:
            error = DuplicateItemError("an item under way in this run names the same promise")
            error.promise_id = promise_id
            raise error

    def _start(self, call: _Call) -> None:
        call.started_in = self._hold.number
        self._ids.add(call.promise_id)
        task = asyncio.create_task(_complete(self._client, call.item, call.promise_id))
        self._calls[task] = call
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[Completion]) -> None:
        if not task.cancelled():
            task.exception()  # so that asyncio does not report it where nobody asks any more
        self._ended.append(task)
        self._news.set()

    def _take_in(self, task: asyncio.Task[Completion], call: _Call) -> None:
        """Make a result of a call that has ended, or have it made again."""
        ended: Completion | GolemError
        try:
            ended = task.result()
        except GolemError as error:
            ended = error
        except BaseException as error:  # noqa: BLE001 - it is raised once the others have ended
            self._ids.discard(call.promise_id)
            self._failure = self._failure or error
            error.add_note(f"It ended the call for promise {str(call.promise_id)[:120]}.")
            return
        ended = call.told(ended)
        if isinstance(ended, Completion):
            self._hold.note_answer()
        elif self._is_put_back(ended, call):
            call.failure = ended
            self._again.append(call)
            return
        self._hand_out(call, ended)

    def _is_put_back(self, error: GolemError, call: _Call) -> bool:
        """Whether the call is made again, because what failed it is no matter of its item."""
        now = asyncio.get_running_loop().time()
        if is_rate_limit(error):
            if self._hold.note_limit(error, now, started_in=call.started_in):
                return True
            self._reason = self._reason or error
        elif is_outage(error, is_open=self._client.pressure.open):
            self._hold.note_outage(now)
            return True
        elif isinstance(error, ResponseError):
            self._hold.note_answer()
            if isinstance(error, AuthenticationError) and error.is_certain:
                self._reason = self._reason or error  # every other item would meet it, too
        return False

    def _hand_out(self, call: _Call, ended: Completion | GolemError) -> None:
        self._ids.discard(call.promise_id)
        self._results.append(Result(call.item, ended))

    def _settle_what_waits(self) -> None:
        """Make results of what will not be sent again, and keep what cannot be put back."""
        if (item := self._source.take_what_is_there()) is not None:
            self.unsent.append(item)
        while self._again:
            call = self._again.popleft()
            if call.failure is not None:
                self._hand_out(call, call.failure)

    def _conclude(self) -> None:
        """Raise what ended the run, where it is not simply the end of its source."""
        if self._failure is not None:
            raise self._failure
        if self._reason is not None:
            raise self._stopped(self._reason) from self._reason
        if self._source.failure is not None:
            raise self._source.failure

    def _stopped(self, reason: GolemError) -> BulkStoppedError:
        left = self._source.left
        unsent = None if left is None else left + len(self.unsent)
        if unsent is None:
            which = f"what follows item {self._source.taken - len(self.unsent)}, if anything, was"
        else:
            which = "1 item was" if unsent == 1 else f"{unsent} items were"
        said = f"{type(reason).__name__}: {reason.message}"
        message = f"{which} not sent, and would have met the same: {said}"
        return BulkStoppedError(message, reason, unsent)

    async def close(self) -> None:
        """End everything that is under way, and wait for it."""
        self._cancel()
        tasks: list[asyncio.Task[Any]] = [task for task in self._calls if not task.done()]
        if self._source.pull is not None:
            tasks.append(self._source.pull)
        if tasks:
            await asyncio.wait(tasks)

    def abandon(self) -> None:
        """End everything that is under way, from wherever the last reference was dropped."""
        if self._is_over or self._loop is None:
            return
        with suppress(RuntimeError):  # the loop is closed, and with it all has ended
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._is_over = True
        self._news.set()
        self._source.release()
        for task in self._calls:
            task.cancel()


async def _complete(client: GolemClient, item: Item, promise_id: PromiseId) -> Completion:
    """Have the client complete one item."""
    if item.kind == "json":
        return await client.complete_json(promise_id, item.payload, item.as_type)
    if item.kind == "text":
        return await client.complete_text(promise_id, item.payload)
    return await client.complete_bytes(promise_id, item.payload)
