"""When a call tries again, and what its tries mean together: no network, and a clock of our own."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import attrs
import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from golem_client.errors import (
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    ConnectionLostError,
    GolemError,
    PromiseNotFoundError,
    ServerError,
)
from golem_client.outcome import Completion, Outcome
from golem_client.retry import RetryPolicy, conclusion, repeat
from golem_client.wire import Verdict

WITHOUT_JITTER = RetryPolicy(max_jitter_factor=0)
TRUE = Verdict(answer=True, may_have_stored=True)
FALSE = Verdict(answer=False)


def lost() -> Verdict:
    """Return an attempt of unknown fate."""
    return Verdict(error=ConnectionLostError("lost"), repeat=True, may_have_stored=True)


def unsent() -> Verdict:
    """Return an attempt that cannot have stored."""
    return Verdict(error=ConnectionFailedError("unsent"), repeat=True)


def stale() -> Verdict:
    """Return an attempt over a connection that the server had closed."""
    return attrs.evolve(lost(), at_once=True)


def refused() -> Verdict:
    """Return an attempt that is permanent and stored nothing."""
    return Verdict(error=BadRequestError("refused", 400))


def rate_limited(retry_after: float | None) -> Verdict:
    return attrs.evolve(unsent(), retry_after=retry_after)


def ambiguous() -> Verdict:
    """Return Golem 1.3's answer of three meanings, repeated at most twice."""
    return Verdict(error=AuthenticationError("which?", 401), repeat=True, max_repeats=2)


async def settle_all(
    attempt: Callable[[], Awaitable[Verdict]], *, time_left: Callable[[], float], **options: Any
) -> Completion:
    """Settle a call from its first attempt on, as a client does."""
    verdicts: list[Verdict] = []

    async def noted() -> Verdict:
        verdicts.append(await attempt())
        return verdicts[-1]

    first, note = await noted(), ""
    if first.repeat:
        options.setdefault("is_down", lambda: False)
        note = await repeat(first, noted, seconds_left=time_left(), **options)
    return conclusion(verdicts, note)


@attrs.define
class Run:
    """One call, its verdicts scripted; time passes only where it is told to.

    Attributes:
        script: What the attempts end with, one after the other; the last one for ever.
        timeout: The seconds that the call has.
        attempt_seconds: The seconds that each attempt takes.
        pauses: The pauses between the attempts, in seconds.
        left: The seconds left after each pause.
        repeats: What `on_repeat` was told.
    """

    script: Sequence[Verdict]
    policy: RetryPolicy = WITHOUT_JITTER
    timeout: float = 1000.0
    attempt_seconds: float = 0.0
    now: float = 0.0
    sent: int = 0
    pauses: list[float] = attrs.Factory(list)
    left: list[float] = attrs.Factory(list)
    repeats: list[tuple[Verdict, float]] = attrs.Factory(list)
    down: Iterator[bool] = attrs.Factory(lambda: iter(()))

    async def attempt(self) -> Verdict:
        verdict = self.script[min(self.sent, len(self.script) - 1)]
        self.sent += 1
        self.now += self.attempt_seconds
        return verdict

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        self.left.append(self.time_left())

    def time_left(self) -> float:
        return self.timeout - self.now

    def on_repeat(self, verdict: Verdict, wait: float) -> None:
        self.repeats.append((verdict, wait))

    async def settle(self) -> Completion:
        clock = SimpleNamespace(monotonic=lambda: self.now)
        with patch.object(tenacity, "time", clock):  # tenacity measures the time by itself
            return await settle_all(
                self.attempt,
                policy=self.policy,
                time_left=self.time_left,
                is_down=lambda: next(self.down, False),
                pause=self.pause,
                on_repeat=self.on_repeat,
            )

    async def error(self) -> GolemError:
        """Return the error that the call ends with."""
        with pytest.raises(GolemError) as caught:
            await self.settle()
        return caught.value


class TestPolicy:
    """The policy is plain data that makes sense."""

    def test_the_defaults_are_the_contracts(self) -> None:
        """Golem's own names for a retry policy; delays in seconds."""
        assert {
            "max_attempts": 10,
            "min_delay": 0.1,
            "max_delay": 5.0,
            "multiplier": 2.0,
            "max_jitter_factor": 0.5,
        } == attrs.asdict(RetryPolicy())

    def test_the_defaults_outlive_a_restart(self) -> None:
        """Without jitter, the nine delays between ten attempts take 21.3 seconds."""
        policy = RetryPolicy(max_jitter_factor=0)
        assert sum(map(policy.delay, range(9))) == pytest.approx(21.3)

    def test_none_is_one_attempt(self) -> None:
        """Nothing else about it differs from the default."""
        assert RetryPolicy(max_attempts=1) == RetryPolicy.none()

    @pytest.mark.parametrize(
        "options",
        [
            {"max_attempts": 1},
            {"max_attempts": 10**9},
            {"min_delay": 0},
            {"min_delay": 0.0, "max_delay": 0.0},
            {"min_delay": 5.0, "max_delay": 5.0},
            {"min_delay": 1, "max_delay": 2, "multiplier": 3, "max_jitter_factor": 4},
            {"multiplier": 1},
            {"max_delay": 1e308},
            {"max_jitter_factor": 0},
        ],
        ids=str,
    )
    def test_what_makes_sense_is_accepted(self, options: dict[str, Any]) -> None:
        """Limits belong to the range; integers are numbers."""
        policy = RetryPolicy(**options)
        assert options == {name: getattr(policy, name) for name in options}

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"max_attempts": 0}, "max_attempts"),
            ({"max_attempts": -1}, "max_attempts"),
            ({"min_delay": -0.1}, "min_delay"),
            ({"min_delay": math.nan}, "min_delay"),
            ({"min_delay": math.inf}, "min_delay"),
            ({"min_delay": -math.inf}, "min_delay"),
            ({"max_delay": math.inf}, "max_delay"),
            ({"max_delay": math.nan}, "max_delay"),
            ({"max_delay": -1}, "max_delay"),
            ({"max_delay": 10**400}, "max_delay"),
            ({"max_delay": 0.05}, "max_delay"),
            ({"min_delay": 6.0}, "max_delay"),
            ({"multiplier": 0.99}, "multiplier"),
            ({"multiplier": 0}, "multiplier"),
            ({"multiplier": math.inf}, "multiplier"),
            ({"max_jitter_factor": -0.1}, "max_jitter_factor"),
            ({"max_jitter_factor": math.nan}, "max_jitter_factor"),
        ],
        ids=lambda value: None if isinstance(value, str) else str(value)[:40],
    )
    def test_what_makes_no_sense_is_refused(self, options: dict[str, Any], name: str) -> None:
        """The message names the option."""
        with pytest.raises(ValueError, match=rf"^RetryPolicy\.{name} must "):
            RetryPolicy(**options)

    @pytest.mark.parametrize("value", [True, "1", None, 1.0, [1]], ids=repr)
    def test_a_count_is_an_integer(self, value: Any) -> None:
        """A truth value and a float are none."""
        with pytest.raises(TypeError, match=r"^RetryPolicy\.max_attempts must be an integer$"):
            RetryPolicy(max_attempts=value)

    @pytest.mark.parametrize("name", ["min_delay", "max_delay", "multiplier", "max_jitter_factor"])
    @pytest.mark.parametrize("value", [True, "1", None, 1j, [1]], ids=repr)
    def test_a_delay_is_a_number(self, name: str, value: Any) -> None:
        """A truth value and a text are none."""
        with pytest.raises(TypeError, match=rf"^RetryPolicy\.{name} must be a number$"):
            RetryPolicy(**{name: value})

    def test_a_policy_is_frozen(self) -> None:
        """Clients share it."""
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            RetryPolicy().max_attempts = 2  # type: ignore[misc]

    def test_equal_policies_are_equal(self) -> None:
        """It is plain data, and hashable."""
        assert {RetryPolicy(max_attempts=3)} == {RetryPolicy(max_attempts=3)}


class TestDelay:
    """`min(max_delay, min_delay * multiplier**n)`, or the floor, plus jitter."""

    @pytest.mark.parametrize(
        ("n", "expected"), [(0, 0.1), (1, 0.2), (2, 0.4), (5, 3.2), (6, 5.0), (9, 5.0)]
    )
    def test_it_doubles_up_to_the_longest(self, n: int, expected: float) -> None:
        """By default, from 0.1 s to 5 s."""
        assert expected == pytest.approx(RetryPolicy(max_jitter_factor=0).delay(n))

    @pytest.mark.parametrize("n", [1023, 1024, 10**6])
    def test_a_power_beyond_every_double_is_the_longest(self, n: int) -> None:
        """`2.0**1024` is an OverflowError."""
        assert RetryPolicy(max_jitter_factor=0).delay(n) == 5.0

    @pytest.mark.parametrize("n", [0, 1023, 1024, 10**6])
    def test_nothing_times_anything_is_nothing(self, n: int) -> None:
        """Without a first delay there is none later."""
        assert RetryPolicy(min_delay=0.0).delay(n) == 0.0

    def test_integers_are_fine(self) -> None:
        """An integer's power never overflows, but its product with a float does."""
        policy = RetryPolicy(min_delay=0.5, multiplier=2, max_jitter_factor=0)
        assert policy.delay(5000) == 5.0

    def test_jitter_is_a_part_of_the_own_delay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """At most `max_jitter_factor` of it."""
        monkeypatch.setattr(random, "random", lambda: 0.5)
        assert RetryPolicy(min_delay=2.0, max_jitter_factor=0.5).delay(0) == 2.5

    def test_jitter_comes_on_top_of_the_floor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So that callers told the same `Retry-After` do not come back together."""
        monkeypatch.setattr(random, "random", lambda: 0.5)
        assert RetryPolicy(min_delay=2.0, max_jitter_factor=0.5).delay(0, floor=60.0) == 60.5

    @pytest.mark.parametrize(("floor", "expected"), [(0.0, 0.1), (0.05, 0.1), (7.0, 7.0)])
    def test_the_floor_may_exceed_the_longest_delay(self, floor: float, expected: float) -> None:
        """The server's word counts for more than ours."""
        assert expected == RetryPolicy(max_jitter_factor=0).delay(0, floor=floor)

    @given(
        low=st.just(0.0) | st.floats(1e-6, 1e3),
        high=st.floats(1e3, 1e9),
        multiplier=st.floats(1.0, 1e6),
        jitter=st.floats(0.0, 10.0),
        n=st.integers(0, 2000),
        floor=st.floats(0.0, 1e6),
    )
    def test_it_stays_within_the_policy(
        self, low: float, high: float, multiplier: float, jitter: float, n: int, floor: float
    ) -> None:
        """Never below the formula or the floor, never above them plus the whole jitter."""
        policy = RetryPolicy(10, low, high, multiplier, jitter)
        own = float(min(Fraction(high), Fraction(low) * Fraction(multiplier) ** n))
        delay = policy.delay(n, floor=floor)
        least, slack = max(own, floor), 1 + 1e-9
        assert least / slack <= delay <= (least + own * jitter) * slack


class TestOutcome:
    """By whom a promise is completed."""

    @pytest.mark.parametrize(
        ("script", "expected"),
        [
            pytest.param([TRUE], Outcome.FULFILLED, id="true"),
            pytest.param([FALSE], Outcome.ALREADY_FULFILLED, id="false"),
            pytest.param([unsent(), TRUE], Outcome.FULFILLED, id="unsent-true"),
            pytest.param([lost(), TRUE], Outcome.FULFILLED, id="lost-true"),
            pytest.param([stale(), TRUE], Outcome.FULFILLED, id="stale-true"),
            pytest.param([unsent(), FALSE], Outcome.ALREADY_FULFILLED, id="unsent-false"),
            pytest.param(
                [unsent(), unsent(), FALSE], Outcome.ALREADY_FULFILLED, id="unsent-twice-false"
            ),
            pytest.param([lost(), FALSE], Outcome.FULFILLED_BY_UNKNOWN, id="lost-false"),
            pytest.param([stale(), FALSE], Outcome.FULFILLED_BY_UNKNOWN, id="stale-false"),
            pytest.param(
                [unsent(), lost(), FALSE], Outcome.FULFILLED_BY_UNKNOWN, id="unsent-lost-false"
            ),
            pytest.param(
                [lost(), unsent(), FALSE], Outcome.FULFILLED_BY_UNKNOWN, id="lost-unsent-false"
            ),
            pytest.param(
                [lost(), unsent(), unsent(), unsent(), FALSE],
                Outcome.FULFILLED_BY_UNKNOWN,
                id="lost-long-ago-false",
            ),
            pytest.param([ambiguous(), FALSE], Outcome.ALREADY_FULFILLED, id="ambiguous-false"),
            pytest.param(
                [attrs.evolve(unsent(), at_once=True), FALSE],
                Outcome.ALREADY_FULFILLED,
                id="stale-before-the-request-false",
            ),
        ],
    )
    async def test_it_tells_all_that_can_be_known(
        self, script: list[Verdict], expected: Outcome
    ) -> None:
        """`false` after an attempt of unknown fate is by unknown; `true` is always ours."""
        assert Completion(expected, len(script)) == await Run(script).settle()

    @pytest.mark.parametrize(
        ("outcome", "expected"),
        [
            (Outcome.FULFILLED, True),
            (Outcome.ALREADY_FULFILLED, False),
            (Outcome.FULFILLED_BY_UNKNOWN, None),
        ],
    )
    def test_by_this_call(self, outcome: Outcome, expected: bool | None) -> None:
        """True, False, or None where nobody can know."""
        assert (expected, expected) == (outcome.by_this_call, Completion(outcome, 1).by_this_call)

    def test_every_outcome_is_in_the_table(self) -> None:
        """The words are Golem's own metric labels."""
        assert ["fulfilled", "already_fulfilled", "fulfilled_by_unknown"] == list(Outcome)

    @pytest.mark.parametrize("outcome", Outcome)
    def test_a_completion_has_no_truth_value(self, outcome: Outcome) -> None:
        """An `if` on it would take "unknown" for "lost"."""
        with pytest.raises(TypeError, match=r"\.outcome"):
            bool(Completion(outcome, 1))


class TestAttempts:
    """How many attempts there are."""

    async def test_a_call_that_succeeds_at_once_does_not_enter_tenacity(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It would cost a fifth of the whole call."""
        monkeypatch.setattr("golem_client.retry.AsyncRetrying", None)
        assert Completion(Outcome.FULFILLED, 1) == await Run([TRUE]).settle()

    async def test_a_permanent_error_is_not_repeated(self) -> None:
        """The first verdict already settles the call."""
        run = Run([refused(), TRUE])
        await run.error()
        assert run.sent == 1

    @pytest.mark.parametrize("most", [1, 2, 3, 10])
    async def test_the_policy_ends_the_call(self, most: int) -> None:
        """No more than `max_attempts` are sent."""
        run = Run([lost()], RetryPolicy(max_attempts=most))
        await run.error()
        assert most == run.sent

    async def test_an_error_tells_how_many_were_sent(self) -> None:
        """`attempts` is the number of requests."""
        assert (await Run([lost()], RetryPolicy(max_attempts=3)).error()).attempts == 3

    @pytest.mark.parametrize("verdict", [lost(), stale(), ambiguous(), rate_limited(0.0)])
    async def test_no_policy_sends_exactly_once(self, verdict: Verdict) -> None:
        """Come what may: not even a stale connection is repeated."""
        run = Run([verdict], RetryPolicy.none())
        await run.error()
        assert run.sent == 1

    async def test_a_stale_connection_is_repeated_at_once(self) -> None:
        """The server had most likely closed it: a wait would be for nothing."""
        run = Run([stale(), TRUE])
        await run.settle()
        assert [] == run.pauses

    async def test_a_stale_connection_does_not_count_against_the_policy(self) -> None:
        """Two attempts are left after it."""
        run = Run([stale(), lost(), lost(), TRUE], RetryPolicy(max_attempts=2))
        await run.error()
        assert run.sent == 3

    async def test_a_stale_connection_counts_as_an_attempt(self) -> None:
        """It was sent, as far as anybody knows."""
        assert (await Run([stale(), TRUE]).settle()).attempts == 2

    async def test_a_second_stale_connection_in_a_row_waits(self) -> None:
        """A server that closes each connection is not hammered."""
        run = Run([stale(), stale(), stale(), TRUE])
        await run.settle()
        assert [0.1, 0.2] == run.pauses

    async def test_a_second_stale_connection_in_a_row_counts(self) -> None:
        """Only the first in a row is free."""
        run = Run([stale()], RetryPolicy(max_attempts=3))
        await run.error()
        assert run.sent == 4

    async def test_a_stale_connection_after_another_failure_is_free_again(self) -> None:
        """It is the first in its row."""
        run = Run([stale(), lost(), stale(), TRUE])
        await run.settle()
        assert [0.1] == run.pauses

    async def test_an_ambiguous_error_is_repeated_at_most_twice(self) -> None:
        """Three sends, and then it is what it says."""
        run = Run([ambiguous()])
        await run.error()
        assert run.sent == 3

    async def test_an_ambiguous_error_counts_only_its_own(self) -> None:
        """Other failures in between do not use up its repeats."""
        run = Run([lost(), ambiguous(), lost(), ambiguous(), lost(), ambiguous(), TRUE])
        await run.error()
        assert run.sent == 6

    async def test_an_ambiguous_error_keeps_to_the_policy(self) -> None:
        """`max_attempts` may be fewer."""
        run = Run([ambiguous()], RetryPolicy(max_attempts=2))
        await run.error()
        assert run.sent == 2


class TestWhileGolemIsDown:
    """Attempts that probe for all calls are the session's."""

    async def test_they_use_up_no_attempt(self) -> None:
        """Fifty failures while Golem is down, then the policy's three."""
        run = Run([lost()], policy=RetryPolicy(max_attempts=3, max_jitter_factor=0))
        run.down = iter([True] * 50)
        assert (await run.error()).attempts == 53
        assert [0.1, 0.2] == run.pauses

    async def test_they_wait_elsewhere(self) -> None:
        """The attempt itself waits its turn; it is told as a repeat without a pause."""
        run = Run([lost(), TRUE], down=iter([True]))
        assert (await run.settle()).outcome is Outcome.FULFILLED
        assert ([], [0.0]) == (run.pauses, [pause for _, pause in run.repeats])

    async def test_a_policy_of_one_attempt_is_not_repeated(self) -> None:
        """RetryPolicy.none() never sends twice."""
        run = Run([lost()], policy=RetryPolicy.none(), down=iter([True] * 9))
        assert (await run.error()).attempts == 1


class TestTime:
    """The time left rules everything."""

    async def test_the_pauses_are_the_policys(self) -> None:
        """The n-th delay goes before the n-th repeat."""
        run = Run([unsent()] * 4 + [TRUE])
        await run.settle()
        assert run.pauses == pytest.approx([0.1, 0.2, 0.4, 0.8])

    async def test_retry_after_is_a_floor(self) -> None:
        """Where the server asks for more than the policy, it gets it."""
        run = Run([rate_limited(7.0), rate_limited(0.05), TRUE])
        await run.settle()
        assert [7.0, 0.2] == run.pauses

    async def test_a_retry_after_of_zero_is_no_wish_to_hurry(self) -> None:
        """The policy's own delay stays."""
        run = Run([rate_limited(0.0), TRUE])
        await run.settle()
        assert [0.1] == run.pauses

    @pytest.mark.parametrize(("timeout", "sent"), [(7.0, 1), (7.001, 2)])
    async def test_a_retry_after_that_does_not_fit_fails_now(
        self, timeout: float, sent: int
    ) -> None:
        """To sleep and then fail would help nobody."""
        run = Run([rate_limited(7.0), refused()], timeout=timeout)
        await run.error()
        assert sent == run.sent

    async def test_a_retry_after_that_does_not_fit_is_told(self) -> None:
        """The note names both times."""
        error = await Run([rate_limited(7.0)], timeout=2.0).error()
        expected = (
            "no further attempt fits in the time: 2 s are left, and the next would come after 7 s "
            "(the server's Retry-After is 7 s)"
        )
        assert [expected] == error.__notes__

    async def test_an_own_delay_that_does_not_fit_is_told(self) -> None:
        """Without a word of a `Retry-After` that nobody sent."""
        error = await Run([unsent()], timeout=0.05).error()
        expected = (
            "no further attempt fits in the time: 0.05 s are left, and the next would come after "
            "0.1 s"
        )
        assert [expected] == error.__notes__

    async def test_a_time_that_is_up_is_not_negative(self) -> None:
        """A note shows no odd numbers."""
        error = await Run([unsent()], timeout=1.0, attempt_seconds=3.0).error()
        assert error.__notes__[0].startswith("no further attempt fits in the time: 0 s are left")

    @given(
        timeout=st.floats(0.01, 60),
        attempt_seconds=st.floats(0, 3),
        script=st.lists(
            st.sampled_from([lost, unsent, stale, ambiguous, lambda: rate_limited(2.5)]),
            min_size=1,
            max_size=12,
        ),
    )
    def test_no_pause_passes_the_deadline(
        self, timeout: float, attempt_seconds: float, script: list[Any]
    ) -> None:
        """Whatever fails, and however long each attempt takes."""
        run = Run(
            [make() for make in script],
            RetryPolicy(),
            timeout=timeout,
            attempt_seconds=attempt_seconds,
        )
        asyncio.run(run.error())
        assert min(run.left, default=0) >= -1e-9

    async def test_a_policy_that_is_used_up_is_not_told_as_a_matter_of_time(self) -> None:
        """Only the earlier errors are listed."""
        error = await Run([unsent()], RetryPolicy(max_attempts=2), timeout=1.0).error()
        assert ["before it, once: ConnectionFailedError: unsent"] == error.__notes__


class TestErrors:
    """The error of a call is the last attempt's, and tells of the whole call."""

    async def test_it_is_the_last_attempts(self) -> None:
        """That one says where things stand now."""
        last = refused()
        assert last.error is await Run([lost(), unsent(), last]).error()

    async def test_the_earlier_ones_are_notes(self) -> None:
        """In their order, those that repeat as one line."""
        error = await Run([unsent(), unsent(), lost(), unsent(), refused()]).error()
        assert [
            "before it, 2 times: ConnectionFailedError: unsent",
            "before it, once: ConnectionLostError: lost",
            "before it, once: ConnectionFailedError: unsent",
        ] == error.__notes__

    async def test_a_single_attempt_has_no_notes(self) -> None:
        """There is nothing before it to tell."""
        assert not hasattr(await Run([refused()]).error(), "__notes__")

    @pytest.mark.parametrize(
        ("script", "expected"),
        [
            pytest.param([refused()], False, id="refused"),
            pytest.param([unsent(), refused()], False, id="unsent-refused"),
            pytest.param([lost(), refused()], True, id="lost-refused"),
            pytest.param([lost(), unsent(), refused()], True, id="lost-unsent-refused"),
            pytest.param(
                [lost(), Verdict(error=PromiseNotFoundError("no", 500))], True, id="lost-not-found"
            ),
            pytest.param(
                [unsent(), Verdict(error=PromiseNotFoundError("no", 500))],
                False,
                id="unsent-not-found",
            ),
            pytest.param(
                [Verdict(error=PromiseNotFoundError("no", 500), may_have_stored=True)],
                True,
                id="not-found-on-1.1",
            ),
            pytest.param(
                [unsent(), Verdict(error=ConnectionLostError("x"), may_have_stored=False)],
                False,
                id="the-verdict-counts-and-not-the-class",
            ),
        ],
    )
    async def test_it_may_have_completed_if_any_attempt_may_have_stored(
        self, script: list[Verdict], expected: bool
    ) -> None:
        """A permanent error after one of unknown fate proves nothing."""
        assert expected is (await Run(script).error()).may_have_completed

    @pytest.mark.parametrize(
        ("script", "expected"),
        [
            pytest.param([lost()], True, id="given-up-on"),
            pytest.param([lost(), refused()], False, id="permanent"),
        ],
    )
    async def test_whether_a_later_call_can_succeed_is_the_last_ones_to_say(
        self, script: list[Verdict], expected: bool
    ) -> None:
        """What the policy gave up on is worth retrying."""
        run = Run(script, RetryPolicy(max_attempts=2))
        assert expected is (await run.error()).worth_retrying

    async def test_on_repeat_is_told_of_each_repeat(self) -> None:
        """With the verdict that asks for it and the wait before it; not of the end."""
        first, second = unsent(), lost()
        run = Run([first, second, refused()])
        await run.error()
        assert [(first, 0.1), (second, 0.2)] == run.repeats

    async def test_on_repeat_is_not_told_of_a_repeat_that_does_not_fit(self) -> None:
        """Nothing is announced that does not follow."""
        run = Run([unsent()], timeout=0.05)
        await run.error()
        assert [] == run.repeats


class Boom(Exception):  # noqa: N818
    """Something that is none of ours."""


class TestExceptions:
    """What is not a verdict passes through."""

    @pytest.mark.parametrize("before", [[], [lost()]], ids=["first", "later"])
    @pytest.mark.parametrize("kind", [Boom, asyncio.CancelledError, KeyboardInterrupt, TypeError])
    async def test_an_attempts_exception_passes(
        self, before: list[Verdict], kind: type[BaseException]
    ) -> None:
        """Neither repeated nor wrapped; cancellation least of all."""
        verdicts = iter(before)
        raised = kind()

        async def attempt() -> Verdict:
            for verdict in verdicts:
                return verdict
            raise raised

        run = Run(before)
        with pytest.raises(kind) as caught:
            await settle_all(
                attempt,
                policy=run.policy,
                time_left=run.time_left,
                pause=run.pause,
                on_repeat=run.on_repeat,
            )
        assert raised is caught.value

    @pytest.mark.parametrize("kind", [Boom, asyncio.CancelledError])
    async def test_a_pauses_exception_passes(self, kind: type[BaseException]) -> None:
        """Cancelled while it waits, a call ends."""

        async def pause(_: float) -> None:
            raise kind

        run = Run([lost()])
        with pytest.raises(kind):
            await settle_all(
                run.attempt,
                policy=run.policy,
                time_left=run.time_left,
                pause=pause,
                on_repeat=run.on_repeat,
            )

    async def test_a_cancelled_task_ends_at_once(self) -> None:
        """In the middle of a pause, with no attempt after it."""
        run = Run([lost()])
        paused = asyncio.Event()

        async def pause(_: float) -> None:
            paused.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(
            settle_all(
                run.attempt,
                policy=run.policy,
                time_left=run.time_left,
                pause=pause,
                on_repeat=run.on_repeat,
            )
        )
        await paused.wait()
        task.cancel()
        await asyncio.wait([task])
        assert (True, 1) == (task.cancelled(), run.sent)


CALLS = 60


class Interleaved(Run):
    """A call that lets the others go on wherever it could wait."""

    async def attempt(self) -> Verdict:
        await asyncio.sleep(0)
        verdict = await super().attempt()
        await asyncio.sleep(0)
        return verdict

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(0)
        await super().pause(seconds)


def interleaved() -> Iterator[Interleaved]:
    """Yield calls that fail 0, 1, … 5 times, and then succeed."""
    for number in range(CALLS):
        failures = [lost() if (number + n) % 2 else unsent() for n in range(number % 6)]
        yield Interleaved([*failures, TRUE], RetryPolicy(max_attempts=6, max_jitter_factor=0))


class TestConcurrency:
    """Calls at the same time know nothing of each other."""

    async def test_each_gets_its_own_number_of_attempts(self) -> None:
        """Tasks that share one tenacity loop lose count: some stop early, others run twice."""
        done = await asyncio.gather(*(run.settle() for run in interleaved()))
        assert [number % 6 + 1 for number in range(CALLS)] == [each.attempts for each in done]

    async def test_each_waits_its_own_delays(self) -> None:
        """The n-th pause of each call is the n-th delay."""
        runs = list(interleaved())
        await asyncio.gather(*(run.settle() for run in runs))
        delays = [0.1, 0.2, 0.4, 0.8, 1.6]
        assert [delays[: number % 6] for number in range(CALLS)] == [run.pauses for run in runs]

    async def test_each_that_fails_tells_of_its_own_attempts_only(self) -> None:
        """With its own count and its own notes."""
        runs = [
            Interleaved([*[unsent()] * (n % 5), Verdict(error=ServerError(f"{n}", 500))])
            for n in range(CALLS)
        ]
        found = await asyncio.gather(*(run.error() for run in runs))
        assert [(f"{n}", n % 5 + 1) for n in range(CALLS)] == [
            (error.message, error.attempts) for error in found
        ]
