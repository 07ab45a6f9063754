"""Make calls, and note what their callers saw."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from golem_client import GolemClient, PromiseId, RetryPolicy
from golem_client.testing import FakeGolem
from tests.leftovers import leftovers
from tests.storm.ledger import Call, Told

QUICK = RetryPolicy(min_delay=0.002, max_delay=0.02)


class Caller:
    """A client, with the options that it was made with, and the time of its closing.

    Attributes:
        client: The client.
        timeout: Its deadline of a call, in seconds.
        attempt_timeout: Its time of an attempt, in seconds.
        closed_at: When its closing began, on the clock of the loop; None while it is open.
    """

    def __init__(self, url: str, token: str, **options: Any) -> None:
        usual: dict[str, Any] = {"timeout": 5.0, "attempt_timeout": 0.15, "retry": QUICK}
        options = usual | options
        self.timeout: float = options["timeout"]
        self.attempt_timeout: float = options["attempt_timeout"]
        self.client = GolemClient(url, token=token, **options)
        self.closed_at: float | None = None

    async def close(self) -> None:
        """Close the client, and note when that began."""
        if self.closed_at is None:
            self.closed_at = asyncio.get_running_loop().time()
        await self.client.aclose()

    async def call(
        self,
        promise_id: PromiseId,
        payload: bytes,
        *,
        cancel_after: float | None = None,
        timeout: float | None = None,
    ) -> Call:
        """Complete the promise, and note what the caller was told."""
        clock = asyncio.get_running_loop().time
        started = clock()
        completing: Awaitable[Told] = self.client.complete_bytes(
            promise_id, payload, timeout=timeout
        )
        told, cancelled = await _told(completing, clock, cancel_after)
        ended = clock()
        return Call(
            promise_id=promise_id,
            payload=payload,
            started=started,
            seconds=ended - started,
            timeout=timeout or self.timeout,
            attempt_timeout=self.attempt_timeout,
            told=told,
            closed=None if self.closed_at is None else max(self.closed_at - started, 0.0),
            cancelled=None if cancelled is None else cancelled - started,
        )

    async def call_again(self, call: Call) -> Call:
        """Make a call that is not worth retrying once more, and note what it came to."""
        again = await self.call(call.promise_id, call.payload)
        return attrs.evolve(call, again=again.told)

    def leftovers(self) -> list[str]:
        """Return what calls have left behind in the client, when none is under way."""
        return leftovers(self.client)


async def _told(
    completing: Awaitable[Told], clock: Callable[[], float], cancel_after: float | None
) -> tuple[Told, float | None]:
    if cancel_after is None:
        try:
            return await completing, None
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return error, None
        except Exception as error:  # noqa: BLE001 - whatever it is, the ledger judges it
            return error, None
    task = asyncio.ensure_future(completing)
    await asyncio.wait([task], timeout=cancel_after)
    cancelled = clock() if task.cancel() else None
    results = await asyncio.gather(task, return_exceptions=True)
    return results[0], cancelled


async def is_quiet(golem: FakeGolem, seconds: float = 5.0) -> bool:
    """Wait until the fake has nothing under way; what was just sent to it has arrived by then."""
    end = time.monotonic() + seconds
    quiet = 0
    while quiet < 3:
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.002)
        quiet = 0 if golem._server._exchanges else quiet + 1
    return True
