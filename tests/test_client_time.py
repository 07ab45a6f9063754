"""Deadlines and cancellation: in an attempt, in a sleep, in the wait for a slot or a token."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Self

import pytest

from golem_client import (
    AttemptTimeoutError,
    Completion,
    ConnectionLostError,
    DeadlineExceededError,
    GolemClient,
    Outcome,
    RateLimitedError,
    RetryPolicy,
    ServerError,
)
from tests.leftovers import leftovers
from tests.samples import PROMISE_ID, client_of
from tests.scripted_server import TRUE, ScriptedServer, Step, answer, late, raw, serving, stall

SLACK = 0.8
TRICKLE = raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\ntr")


class Watch:
    """How long a block took, in seconds."""

    def __enter__(self) -> Self:
        self.started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self.started


@pytest.mark.parametrize("step", [stall, TRICKLE], ids=["no answer", "half an answer"])
async def test_a_deadline_in_an_attempt(step: Step) -> None:
    """The whole time is up while Golem is silent: sent, so it may have completed."""
    async with ScriptedServer(step) as server, client_of(server, timeout=0.1) as client:
        with Watch() as watch, pytest.raises(DeadlineExceededError, match="in attempt 1") as caught:
            await client.complete_json(PROMISE_ID, 1)
    error = caught.value
    assert isinstance(error, TimeoutError)
    assert (error.attempts, error.may_have_completed, error.worth_retrying) == (1, True, True)
    assert 0.1 <= watch.seconds < 0.1 + SLACK
    assert (error.__cause__, error.__context__) == (None, None)


async def test_timeout_of_a_call_overrides_the_clients() -> None:
    """`timeout=` is for this call alone."""
    async with ScriptedServer(stall) as server, client_of(server, timeout=30.0) as client:
        with Watch() as watch, pytest.raises(DeadlineExceededError, match=r"0\.05 s"):
            await client.complete_json(PROMISE_ID, 1, timeout=0.05)
    assert watch.seconds < 0.05 + SLACK


async def test_an_attempt_that_takes_too_long_is_repeated() -> None:
    """attempt_timeout bounds one attempt; its fate is unknown."""
    async with (
        ScriptedServer(stall, TRUE) as server,
        client_of(server, attempt_timeout=0.05) as client,
    ):
        done = await client.complete_json(PROMISE_ID, 1)
    assert (done.outcome, done.attempts) == (Outcome.FULFILLED, 2)


async def test_no_answer_within_attempt_timeout_and_no_attempt_left() -> None:
    """The last attempt timed out: AttemptTimeoutError, which may have completed."""
    policy = RetryPolicy(max_attempts=2, min_delay=0.001)
    async with (
        ScriptedServer(stall) as server,
        client_of(server, attempt_timeout=0.05, retry=policy) as client,
    ):
        with pytest.raises(AttemptTimeoutError, match=r"attempt_timeout of 0\.05 s") as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (caught.value.attempts, caught.value.may_have_completed) == (2, True)


async def test_no_sleep_passes_the_deadline() -> None:
    """When no further attempt fits, the last error comes now, with a note that says so."""
    policy = RetryPolicy(min_delay=20.0, max_delay=20.0)
    async with (
        ScriptedServer(answer(503, b"")) as server,
        client_of(server, timeout=10.0, retry=policy) as client,
    ):
        with Watch() as watch, pytest.raises(ServerError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert watch.seconds < SLACK
    assert "no further attempt fits in the time" in caught.value.__notes__[-1]
    assert caught.value.worth_retrying


async def test_a_retry_after_beyond_the_deadline_fails_now() -> None:
    """Waiting would be in vain, and the error says for how long the server asked."""
    async with (
        ScriptedServer(answer(429, b"", Retry_After="120")) as server,
        client_of(server, timeout=10.0) as client,
    ):
        with Watch() as watch, pytest.raises(RateLimitedError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert watch.seconds < SLACK
    assert caught.value.retry_after == 120.0
    assert "Retry-After is 120 s" in caught.value.__notes__[-1]


async def test_a_deadline_in_the_wait_for_a_slot() -> None:
    """All connections are busy until the time is up: nothing was sent."""
    async with (
        ScriptedServer(stall) as server,
        client_of(server, max_connections=1, timeout=5.0) as client,
    ):
        busy = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
        await server.is_asked()
        with (
            Watch() as watch,
            pytest.raises(DeadlineExceededError, match="free connection") as caught,
        ):
            await client.complete_json(PROMISE_ID, 2, timeout=0.05)
        assert (caught.value.attempts, caught.value.may_have_completed) == (0, False)
        assert watch.seconds < 0.05 + SLACK
        busy.cancel()
        with suppress(asyncio.CancelledError):
            await busy
        assert len(server.requests) == 1


async def test_a_deadline_in_the_wait_for_a_slot_after_a_lost_attempt() -> None:
    """What an earlier attempt may have stored is not forgotten."""
    async with (
        ScriptedServer(late(0.03, raw(b"junk\r\n\r\n")), stall) as server,
        client_of(server, max_connections=1, timeout=0.2) as client,
    ):
        first = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
        await server.is_asked()
        second = asyncio.create_task(client.complete_json(PROMISE_ID, 2, timeout=0.15))
        with pytest.raises(DeadlineExceededError):
            await second
        with pytest.raises(DeadlineExceededError) as caught:
            await first
    assert caught.value.may_have_completed


async def test_a_deadline_in_the_wait_for_the_token() -> None:
    """The callable's time counts against the deadline."""

    async def slow() -> str:
        await asyncio.sleep(30)
        return "never-reached-0000"

    async with ScriptedServer() as server, client_of(server, token=slow, timeout=0.05) as client:
        with pytest.raises(DeadlineExceededError, match="token") as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (caught.value.attempts, caught.value.may_have_completed) == (0, False)
    assert server.connections == 0


async def test_the_deadline_bounds_many_attempts() -> None:
    """However many attempts fit, the call does not outlive its time."""
    policy = RetryPolicy(max_attempts=10_000, min_delay=0.01, max_delay=0.01)
    async with (
        ScriptedServer(answer(503, b"")) as server,
        client_of(server, timeout=0.2, retry=policy) as client,
    ):
        with Watch() as watch, pytest.raises((ServerError, DeadlineExceededError)):
            await client.complete_json(PROMISE_ID, 1)
    assert watch.seconds < 0.2 + SLACK
    assert len(server.requests) > 1


async def cancelled(call: asyncio.Task[Completion]) -> None:
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_cancelled_in_an_attempt() -> None:
    """The call ends at once, nothing is repeated, and the connection is gone."""
    async with ScriptedServer(stall) as server, client_of(server) as client:
        call = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
        await server.is_asked()
        with Watch() as watch:
            await cancelled(call)
        assert watch.seconds < SLACK
        await asyncio.sleep(0.02)
        assert [] == leftovers(client)
        assert len(server.requests) == 1


async def test_cancelled_in_a_sleep() -> None:
    """Between two attempts as well: no further one is made."""
    policy = RetryPolicy(min_delay=20.0, max_delay=20.0)
    async with (
        ScriptedServer(answer(503, b"")) as server,
        client_of(server, retry=policy, timeout=60.0) as client,
    ):
        call = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
        await server.is_asked()
        await asyncio.sleep(0.02)
        with Watch() as watch:
            await cancelled(call)
        assert watch.seconds < SLACK
        assert len(server.requests) == 1


async def test_cancelled_in_the_wait_for_a_slot() -> None:
    """A waiting call leaves the queue, and the slot goes to the next."""
    async with (
        ScriptedServer(late(0.1, TRUE)) as server,
        client_of(server, max_connections=1) as client,
    ):
        calls = [asyncio.create_task(client.complete_json(PROMISE_ID, n)) for n in range(3)]
        await asyncio.sleep(0.03)
        await cancelled(calls[1])
        done = await asyncio.gather(calls[0], calls[2])
        assert [completion.attempts for completion in done] == [1, 1]
        assert [int(request.payload) for request in server.requests] == [0, 2]


async def test_cancelled_while_connecting() -> None:
    """Before anything was sent: the half-made connection is dropped."""
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await reader.read()
        left.set()

    async with (
        serving(silent) as url,
        GolemClient(url.replace("http:", "https:"), retry=RetryPolicy.none()) as client,
    ):
        call = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
        await asyncio.sleep(0.03)
        await cancelled(call)
        await asyncio.wait_for(left.wait(), 5)


async def test_a_timeout_of_the_callers_own_passes_as_theirs() -> None:
    """asyncio.timeout around a call raises the caller's TimeoutError, not an error of ours."""
    async with ScriptedServer(stall) as server, client_of(server) as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                await client.complete_json(PROMISE_ID, 1)
        assert type(caught.value) is TimeoutError


async def test_the_default_policy_outlives_a_restart_of_the_server() -> None:
    """Ten attempts at the default delays span more than 20 s, within the default deadline."""
    policy = RetryPolicy()
    shortest = sum(min(policy.max_delay, policy.min_delay * policy.multiplier**n) for n in range(9))
    assert shortest > 20.0
    assert shortest * (1 + policy.max_jitter_factor) < 40.0
    assert ConnectionLostError.worth_retrying


def test_a_clock_may_show_zero() -> None:
    """A loop counts from wherever it likes: one whose time is virtual, from nothing."""

    class Still(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return 0.0

    async def complete() -> Completion:
        once = RetryPolicy.none()
        async with ScriptedServer() as server, client_of(server, retry=once) as client:
            return await client.complete_json(PROMISE_ID, 1)

    with asyncio.Runner(loop_factory=Still) as runner:
        assert Outcome.FULFILLED is runner.run(complete()).outcome
