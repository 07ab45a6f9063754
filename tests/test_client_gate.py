"""Calls through an outage: they wait together, within their deadlines, and go on together."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from golem_client import (
    AttemptTimeoutError,
    Completion,
    ConnectionFailedError,
    ConnectionLostError,
    DeadlineExceededError,
    GolemClient,
    GolemError,
    Outcome,
    RateLimitedError,
    RetryPolicy,
    ServerError,
)
from golem_client.client import gate
from golem_client.testing import FakeGolem
from tests.leftovers import leftovers
from tests.samples import PROMISE_ID, QUICK, TOKEN, client_of
from tests.scripted_server import FALSE, TRUE, Exchange, ScriptedServer, answer, stall

ONCE = RetryPolicy.none()
AWAY = answer(503, b"")
LIMITED = answer(429, b"slow down", "text/plain")


class Weather:
    """A step that may be changed while the server runs."""

    def __init__(self, step: Any) -> None:
        self.step = step

    async def __call__(self, exchange: Exchange) -> None:
        await self.step(exchange)


async def close_gate(client: GolemClient) -> None:
    """Complete until the gate is closed; the server must be away."""
    impatient = client.with_options(retry=ONCE)
    for _ in range(20):
        if not client.pressure.open:
            return
        with pytest.raises(GolemError):
            await impatient.complete_json(PROMISE_ID, 1)
    raise AssertionError("the gate does not close")


def calls_of(client: GolemClient, count: int, **options: Any) -> list[asyncio.Task[Completion]]:
    return [
        asyncio.create_task(client.complete_json(PROMISE_ID, n, **options)) for n in range(count)
    ]


class TestWaiting:
    """Calls wait at the gate, inside their own deadlines."""

    async def test_all_are_completed_once_golem_is_back(self) -> None:
        """While it was away, single requests asked; afterwards each call needed one."""
        weather = Weather(AWAY)
        async with ScriptedServer(weather) as server, client_of(server) as client:
            await close_gate(client)
            before = len(server.requests)
            calls = calls_of(client, 200)
            await asyncio.sleep(0.25)
            assert 1 <= len(server.requests) - before <= 2
            weather.step = TRUE
            done = await asyncio.gather(*calls)
            assert [Outcome.FULFILLED] * 200 == [each.outcome for each in done]
            assert [1] * 195 == sorted(each.attempts for each in done)[:195]
            assert client.pressure.open
            assert [] == leftovers(client)

    async def test_the_deadline_says_for_how_long_golem_was_down(self) -> None:
        """Nothing was sent, so nothing is stored."""
        async with ScriptedServer(AWAY) as server, client_of(server) as client:
            await close_gate(client)
            other = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
            await asyncio.sleep(0)
            before = len(server.requests)
            began = time.monotonic()
            with pytest.raises(DeadlineExceededError, match=r"has been down for .* s \(.*503") as e:
                await client.complete_json(PROMISE_ID, 1, timeout=0.06)
            assert 0.06 <= time.monotonic() - began < 2
            error = e.value
            assert (0, False, True) == (
                error.attempts,
                error.may_have_completed,
                error.worth_retrying,
            )
            assert 0.05 < error.seconds_down < 2
            assert before == len(server.requests)
            other.cancel()

    async def test_a_deadline_in_a_probe_says_so_too(self) -> None:
        """It was sent, and may have completed."""
        weather = Weather(AWAY)
        async with ScriptedServer(weather) as server, client_of(server) as client:
            await close_gate(client)
            weather.step = stall
            with pytest.raises(DeadlineExceededError, match=r"in attempt 1; Golem has been") as e:
                await client.complete_json(PROMISE_ID, 1, timeout=0.2)
            assert (1, True) == (e.value.attempts, e.value.may_have_completed)
            assert e.value.seconds_down > 0.15
            assert "Check base_url and that Golem is up" in str(e.value)
            assert not client.pressure.open  # it says nothing about Golem

    async def test_without_an_outage_it_says_nothing_of_one(self) -> None:
        """A slow answer alone is none."""
        async with ScriptedServer(stall) as server, client_of(server, timeout=0.05) as client:
            with pytest.raises(DeadlineExceededError) as caught:
                await client.complete_json(PROMISE_ID, 1)
        assert 0 == caught.value.seconds_down
        assert "down" not in str(caught.value)

    async def test_probes_use_up_no_attempt(self) -> None:
        """A call may probe more often than its policy lets it attempt."""
        weather = Weather(AWAY)
        policy = RetryPolicy(max_attempts=2, min_delay=0.001)
        async with ScriptedServer(weather) as server, client_of(server, retry=policy) as client:
            await close_gate(client)
            call = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
            before = len(server.requests)
            async with asyncio.timeout(10):
                while len(server.requests) < before + 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            weather.step = TRUE
            assert (await call).attempts >= 4

    async def test_calls_in_back_off_are_woken(self) -> None:
        """They do not sleep out what one answer has made pointless."""
        weather = Weather(AWAY)
        policy = RetryPolicy(min_delay=20.0, max_delay=20.0)
        async with (
            ScriptedServer(weather) as server,
            client_of(server, retry=policy, timeout=60.0) as client,
        ):
            sleeper = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
            await server.is_asked()
            await asyncio.sleep(0.02)
            await close_gate(client)
            weather.step = TRUE
            async with asyncio.timeout(5):
                await client.complete_json(PROMISE_ID, 2)
                assert 2 == (await sleeper).attempts

    async def test_a_policy_that_never_sends_twice_waits_and_sends_once(self) -> None:
        """Neither an outage nor its end makes it send again."""
        weather = Weather(AWAY)
        async with ScriptedServer(weather) as server, client_of(server, retry=ONCE) as client:
            await close_gate(client)
            before = len(server.requests)
            calls = calls_of(client, 3, timeout=0.2)
            ended = await asyncio.gather(*calls, return_exceptions=True)
            kinds = [type(error) for error in ended]
            assert [ServerError, DeadlineExceededError, DeadlineExceededError] == kinds
            assert [1, 0, 0] == [getattr(error, "attempts", None) for error in ended]
            assert before + 1 == len(server.requests)
            weather.step = TRUE
            done = await asyncio.gather(*calls_of(client, 3))
            assert [Completion(Outcome.FULFILLED, 1)] * 3 == done
            assert before + 4 == len(server.requests)

    async def test_a_lost_answer_is_not_forgotten_at_the_gate(self) -> None:
        """`false` after it is nobody's for certain."""
        weather = Weather(AWAY)
        async with ScriptedServer(weather) as server, client_of(server) as client:
            await close_gate(client)
            call = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
            await asyncio.sleep(0.15)
            weather.step = FALSE
            assert Outcome.FULFILLED_BY_UNKNOWN is (await call).outcome

    async def test_a_cancelled_call_leaves_the_line(self) -> None:
        """At once, and without a trace."""
        async with ScriptedServer(AWAY) as server, client_of(server) as client:
            await close_gate(client)
            calls = calls_of(client, 50)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert 50 == client.pressure.waiting
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            assert all(call.cancelled() for call in calls)
            assert 0 == client.pressure.waiting
            assert [] == leftovers(client)

    async def test_refused_connections_close_the_gate_too(self) -> None:
        """On a real socket that nobody listens on any more."""
        async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
            promises = [golem.create_promise() for _ in range(40)]
            await client.complete_text(promises[0], "x")
            async with golem.outage():
                calls = [
                    asyncio.create_task(client.complete_text(each, "x")) for each in promises[1:]
                ]
                await asyncio.sleep(0.15)
                assert not client.pressure.open
            async with asyncio.timeout(5):
                done = await asyncio.gather(*calls)
        assert {Outcome.FULFILLED} == {each.outcome for each in done}


class TestRetryAfter:
    """It holds the whole session."""

    async def test_nobody_sends_before_its_end(self) -> None:
        """Also those who had no part in it."""
        limit = answer(429, b"", Retry_After="1")
        async with ScriptedServer(limit, TRUE) as server, client_of(server) as client:
            began = time.monotonic()
            first = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
            await server.is_asked()
            await asyncio.sleep(0.02)
            pressure = client.pressure
            assert (False, 50) == (pressure.open, pressure.width)
            assert pressure.seconds_down > 0
            await client.complete_json(PROMISE_ID, 2)
            assert 1.0 <= time.monotonic() - began < 5
            await first
            assert client.pressure.open

    @pytest.mark.parametrize(
        ("status", "kind"), [(429, RateLimitedError), (503, ServerError)], ids=["429", "503"]
    )
    async def test_who_cannot_wait_so_long_fails_at_once(
        self, status: int, kind: type[Exception]
    ) -> None:
        """With the answer that asked for it; nothing was sent."""
        limit = answer(status, b"", Retry_After="999999")
        async with ScriptedServer(limit) as server, client_of(server) as client:
            with pytest.raises(kind) as first:
                await client.complete_json(PROMISE_ID, 1)
            began = time.monotonic()
            with pytest.raises(kind) as caught:
                await client.complete_json(PROMISE_ID, 2)
            assert time.monotonic() - began < 2
        error: Any = caught.value
        assert first.value is not error
        assert (status, 0, False) == (error.status, error.attempts, error.may_have_completed)
        assert error.worth_retrying
        assert PROMISE_ID == error.promise_id
        assert "asked everybody to wait" in error.__notes__[-1]
        assert 1 == len(error.__notes__)
        assert 1 == len(server.requests)

    async def test_who_waits_already_fails_at_once_too(self) -> None:
        """As soon as the answer is there; a call in its back-off as well."""
        weather = Weather(AWAY)
        sleepy = RetryPolicy(min_delay=20.0, max_delay=20.0)
        async with ScriptedServer(weather) as server, client_of(server, timeout=40.0) as client:
            dozing = asyncio.create_task(
                client.with_options(retry=sleepy).complete_json(PROMISE_ID, 1)
            )
            await server.is_asked()
            await asyncio.sleep(0.02)
            await close_gate(client)
            weather.step = answer(503, b"", Retry_After="60")
            calls = calls_of(client, 20)
            async with asyncio.timeout(5):
                ended = await asyncio.gather(dozing, *calls, return_exceptions=True)
        assert {ServerError} == {type(error) for error in ended}
        attempts = sorted(getattr(error, "attempts", -1) for error in ended)
        assert [0] * 19 + [1, 1] == attempts


class TestIgnoring:
    """`overload="ignore"`."""

    async def test_each_call_sleeps_out_its_own_back_off(self) -> None:
        """Nobody learns from the others, and the gate stays open."""
        async with (
            ScriptedServer(AWAY) as server,
            client_of(server, overload="ignore") as client,
        ):
            calls = calls_of(client, 5)
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert {ServerError} == {type(error) for error in ended}
            assert 50 == len(server.requests)
            assert (True, 100) == (client.pressure.open, client.pressure.width)

    async def test_it_goes_through_a_closed_gate(self) -> None:
        """A client made by with_options shares the gate, and may pass it."""
        weather = Weather(AWAY)
        async with ScriptedServer(weather) as server, client_of(server) as client:
            await close_gate(client)
            other = client.with_options(overload="ignore")
            waiting = client.with_options(timeout=0.04)
            assert not other.pressure.open
            assert not waiting.pressure.open
            weather.step = TRUE
            await other.complete_json(PROMISE_ID, 1)
            with pytest.raises(DeadlineExceededError, match="down"):
                await waiting.complete_json(PROMISE_ID, 1)

    async def test_retry_after_does_not_hold_it(self) -> None:
        """Nor does its answer hold others."""
        limit = answer(429, b"", Retry_After="30")
        async with ScriptedServer(limit, TRUE) as server, client_of(server) as client:
            with pytest.raises(RateLimitedError):
                await client.with_options(overload="ignore").complete_json(PROMISE_ID, 1, timeout=5)
            await client.complete_json(PROMISE_ID, 1, timeout=5)

    async def test_the_environment_knows_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """GOLEM_CLIENT_OVERLOAD=ignore."""
        async with ScriptedServer(AWAY) as server:
            monkeypatch.setenv("GOLEM_CLIENT_OVERLOAD", "ignore")
            monkeypatch.setenv("GOLEM_URL", server.url)
            monkeypatch.setenv("GOLEM_AUTH_TOKEN", TOKEN)
            async with GolemClient.from_env() as client:
                quick = client.with_options(retry=QUICK)
                await asyncio.gather(*calls_of(quick, 3), return_exceptions=True)
                assert client.pressure.open
        assert 30 == len(server.requests)


class TestClosing:
    """The client closes while hundreds wait."""

    async def test_each_ends_at_once(self) -> None:
        """By what it had sent: nothing, or something of unknown fate."""
        weather = Weather(AWAY)
        async with ScriptedServer(weather) as server:
            client = client_of(server, timeout=60.0)
            await close_gate(client)
            probed = len(server.requests)
            calls = calls_of(client, 400)
            while len(server.requests) == probed:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
            before = len(server.requests)
            assert 390 < client.pressure.waiting <= 400  # some probe
            began = time.monotonic()
            await client.aclose()
            async with asyncio.timeout(5):
                ended = await asyncio.gather(*calls, return_exceptions=True)
            assert time.monotonic() - began < 5
            await asyncio.sleep(0.02)
            assert before == len(server.requests)
            assert (True, 0, 0.0) == (
                client.pressure.open,
                client.pressure.waiting,
                client.pressure.seconds_down,
            )
        under_way = [error for error in ended if isinstance(error, ConnectionLostError)]
        assert len(under_way) <= 1  # the probe, where its answer was still to come
        assert {ConnectionFailedError} == {type(each) for each in ended if each not in under_way}
        assert all("client was closed" in str(error) for error in ended)
        known = [(e.attempts, e.may_have_completed) for e in ended]  # type: ignore[union-attr]
        assert {(0, False), (1, True)} == set(known)
        assert 390 < known.count((0, False)) < 400


class TestBadWeather:
    """No livelock, no starvation."""

    async def test_503_and_200_alternate(self) -> None:
        """Every call ends, and with few requests more than twice as many."""
        numbers = iter(range(10**6))

        async def alternating(exchange: Exchange) -> None:
            await (TRUE if next(numbers) % 2 else AWAY)(exchange)

        async with ScriptedServer(alternating) as server, client_of(server) as client:
            async with asyncio.timeout(20):
                done = await asyncio.gather(*calls_of(client, 100))
            assert 100 == len(done)
            assert len(server.requests) <= 220
            assert [] == leftovers(client)

    async def test_one_in_ten_is_let_through(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The others hear 429: all get there in the end, at the pace of the probes."""
        monkeypatch.setattr(gate, "_FIRST_PROBE", 0.002)
        monkeypatch.setattr(gate, "_LAST_PROBE", 0.008)
        numbers = iter(range(10**6))

        async def strict(exchange: Exchange) -> None:
            await (LIMITED if next(numbers) % 10 else TRUE)(exchange)

        policy = RetryPolicy(max_attempts=200, min_delay=0.001, max_delay=0.004)
        async with (
            ScriptedServer(strict) as server,
            client_of(server, retry=policy, max_connections=16) as client,
        ):
            async with asyncio.timeout(10):
                done = await asyncio.gather(*calls_of(client, 12))
            assert 12 == len(done)
            assert [] == leftovers(client)

    async def test_promises_that_hang_do_not_slow_the_others(self) -> None:
        """One dead executor: the gate stays as wide as it was."""

        async def partial(exchange: Exchange) -> None:
            await (stall if exchange.request.payload == b"0" else TRUE)(exchange)

        policy = RetryPolicy(max_attempts=2, min_delay=0.001)
        options: dict[str, Any] = {"retry": policy, "max_connections": 40}
        async with ScriptedServer(partial) as server, client_of(server, **options) as client:
            patient = client.with_options(attempt_timeout=0.3)
            hanging = [
                asyncio.create_task(patient.complete_json(PROMISE_ID, 0, timeout=60))
                for _ in range(20)
            ]
            healthy = 0
            while not all(task.done() for task in hanging):
                await client.complete_json(PROMISE_ID, 1)
                healthy += 1
                assert (True, 40) == (client.pressure.open, client.pressure.width)
            ended = await asyncio.gather(*hanging, return_exceptions=True)
        assert healthy > 10
        assert {AttemptTimeoutError} == {type(each) for each in ended}


class TestTelling:
    """What one sees of it."""

    async def test_pressure_before_the_first_call(self) -> None:
        """Open, and as wide as can be."""
        pressure = GolemClient("http://127.0.0.1:1", max_connections=7).pressure
        assert (True, 7, 0, 0.0) == (
            pressure.open,
            pressure.width,
            pressure.waiting,
            pressure.seconds_down,
        )

    async def test_an_outage_is_two_lines_in_the_log(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """At INFO: when it closes, and when it opens, with how long."""
        caplog.set_level(logging.INFO, "golem_client")
        weather = Weather(AWAY)
        async with ScriptedServer(weather) as server, client_of(server) as client:
            await close_gate(client)
            calls = calls_of(client, 30)
            await asyncio.sleep(0.15)
            weather.step = TRUE
            await asyncio.gather(*calls)
        lines = [line for line in caplog.messages if line.startswith("Golem ")]
        assert 2 == len(lines)
        assert lines[0].startswith("Golem is down or overloaded")
        seconds = float(lines[1].removeprefix("Golem answers again, after ")[:-2])
        assert 0.1 < seconds < 5
