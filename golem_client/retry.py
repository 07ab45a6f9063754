"""When to try again, and what the attempts of one call mean together.

`RetryPolicy` is plain data. `repeat` runs the further attempts of one call after the first one
failed: a call that succeeds at once does not pay for tenacity. It sees verdicts, and knows nothing
of HTTP. Each call has a tenacity loop of its own, because a shared one loses count.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import attrs
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_result,
    stop_after_attempt,
    stop_before_delay,
)
from tenacity.stop import stop_base

from golem_client.errors import GolemError
from golem_client.outcome import Completion, Outcome, combined

if TYPE_CHECKING:
    from golem_client.wire import Verdict


def _is_finite(policy: RetryPolicy, field: attrs.Attribute[float], value: float) -> None:
    low = 1.0 if field.name == "multiplier" else 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"RetryPolicy.{field.name} must be a number")
    if not low <= value <= sys.float_info.max:  # math.isfinite fails on an integer beyond it
        raise ValueError(f"RetryPolicy.{field.name} must be a finite number from {low:g} up")
    if field.name == "max_delay" and value < policy.min_delay:
        raise ValueError("RetryPolicy.max_delay must not be below min_delay")


def _is_count(_: RetryPolicy, field: attrs.Attribute[int], value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"RetryPolicy.{field.name} must be an integer")
    if value < 1:
        raise ValueError(f"RetryPolicy.{field.name} must be at least 1")


@attrs.frozen(repr=False)
class RetryPolicy:
    """When to try again; the names are those of Golem's own retry policy.

    Whether an attempt is worth repeating depends on its answer, not on the policy; and the
    deadline of the call always wins. The default outlives a restart of the server.

    Attributes:
        max_attempts: The most attempts of one call; 1 never sends twice. Attempts that probe
            for all calls whether Golem is back, while it is down, do not count.
        min_delay: The first delay, in seconds.
        max_delay: The longest delay, in seconds. `Retry-After` may ask for more.
        multiplier: How much longer each delay is than the one before it.
        max_jitter_factor: The most that is added to a delay by chance, as a part of it.
    """

    max_attempts: int = attrs.field(default=10, validator=_is_count)
    min_delay: float = attrs.field(default=0.1, validator=_is_finite)
    max_delay: float = attrs.field(default=5.0, validator=_is_finite)
    multiplier: float = attrs.field(default=2.0, validator=_is_finite)
    max_jitter_factor: float = attrs.field(default=0.5, validator=_is_finite)

    def __repr__(self) -> str:
        """Show what differs from the default, so that signatures stay short in `help()`."""
        fields = attrs.fields(RetryPolicy)
        values = [(field.name, getattr(self, field.name), field.default) for field in fields]
        shown = [f"{name}={value!r}" for name, value, default in values if value != default]
        return f"RetryPolicy({', '.join(shown)})"

    @classmethod
    def none(cls) -> RetryPolicy:
        """Never send twice, whatever happens."""
        return cls(max_attempts=1)

    def delay(self, n: int, *, floor: float = 0.0) -> float:
        """Return the delay before the n-th repeat, counted from 0, in seconds.

        It is `min(max_delay, min_delay * multiplier**n)`, or `floor` (a `Retry-After`) if that is
        longer, plus up to `max_jitter_factor` of the former.
        """
        try:
            own = min(self.max_delay, self.min_delay * self.multiplier**n)
        except OverflowError:
            own = self.max_delay if self.min_delay else 0.0
        jitter = own * self.max_jitter_factor * random.random()  # noqa: S311 - spreads load
        return max(own, floor) + jitter


_FULFILLED_AT_ONCE = Completion(Outcome.FULFILLED, attempts=1)

LONGEST_RETRY_AFTER = 60.0
"""A `Retry-After` of more seconds counts as this many."""


async def repeat(
    first: Verdict,
    attempt: Callable[[], Awaitable[Verdict]],
    *,
    policy: RetryPolicy,
    seconds_left: float,
    is_down: Callable[[], bool],
    pause: Callable[[float], Awaitable[None]],
    on_repeat: Callable[[Verdict, float], None],
) -> str:
    """Run further attempts of one call, until one is not to be repeated or none is left.

    Two kinds of attempts do not count against the policy and are repeated without a pause. Those
    that may be repeated at once: but a second such one in a row is an ordinary failure, so that a
    server that closes each connection is not hammered. And those that failed while Golem is down:
    then `attempt` itself waits, together with all other calls.

    Args:
        first: The verdict on the first attempt, which is to be repeated.
        attempt: Makes one more attempt. Every attempt sends the same bytes.
        policy: When to try again.
        seconds_left: The seconds until the deadline of the call.
        is_down: Whether Golem is down at this moment.
        pause: Sleeps for that many seconds, or less where a repeat becomes useful earlier.
        on_repeat: Called before each repeat, with the verdict that asks for it and the pause.

    Returns:
        Why no further attempt was made, where the time was too short; else "".
    """
    if policy.max_attempts == 1:
        return ""
    verdicts: list[Verdict] = []
    note = ""

    def counts(verdict: Verdict) -> bool:
        if not verdict.repeat or verdict.max_repeats is not None:
            return True
        is_second = len(verdicts) > 1 and verdicts[-2].at_once
        return not is_down() and (not verdict.at_once or is_second)

    async def counted_attempt() -> Verdict:
        verdicts.append(await attempt() if verdicts else first)
        while not counts(verdicts[-1]):
            on_repeat(verdicts[-1], 0.0)
            verdicts.append(await attempt())
        return verdicts[-1]

    def wait(state: RetryCallState) -> float:
        asked = min(verdicts[-1].retry_after or 0.0, LONGEST_RETRY_AFTER)
        return policy.delay(state.attempt_number - 1, floor=asked)

    enough = stop_after_attempt(policy.max_attempts) | _StopAfterRepeats(verdicts)

    def give_up(state: RetryCallState) -> None:
        nonlocal note
        if enough(state):
            return
        left = max(seconds_left - (state.seconds_since_start or 0.0), 0.0)
        note = (
            f"no further attempt fits in the time: {left:.3g} s are left, "
            f"and the next would come after {state.upcoming_sleep:.3g} s"
        )
        if verdicts[-1].retry_after is not None:
            note += f" (the server's Retry-After is {verdicts[-1].retry_after:.6g} s)"

    loop = AsyncRetrying(
        retry=retry_if_result(lambda verdict: verdict.repeat),
        wait=wait,
        stop=enough | stop_before_delay(seconds_left),
        sleep=pause,
        before_sleep=lambda state: on_repeat(verdicts[-1], state.upcoming_sleep),
        retry_error_callback=give_up,
    )
    await loop(counted_attempt)
    return note


class _StopAfterRepeats(stop_base):
    """Stop where an answer of several meanings is not to be repeated more often."""

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        self._verdicts = verdicts

    def __call__(self, retry_state: RetryCallState) -> bool:  # noqa: ARG002 - the name is tenacity's
        limit = self._verdicts[-1].max_repeats
        same = sum(verdict.max_repeats is not None for verdict in self._verdicts)
        return limit is not None and same > limit


def conclusion(verdicts: Sequence[Verdict], note: str = "") -> Completion:
    """Return what the attempts of one call mean together.

    Raises:
        GolemError: The last attempt's error, with the earlier ones as notes.
    """
    last = verdicts[-1]
    if last.answer and len(verdicts) == 1:
        return _FULFILLED_AT_ONCE
    if last.error is not None:
        last.error.may_have_completed = last.may_have_stored
        raise told(last.error, verdicts[:-1], len(verdicts), note)
    answered = Outcome.FULFILLED if last.answer else Outcome.ALREADY_FULFILLED
    may_have_stored = any(verdict.may_have_stored for verdict in verdicts)
    return Completion(combined(answered, may_have_stored=may_have_stored), len(verdicts))


def told(
    error: GolemError, earlier: Sequence[Verdict], attempts: int, note: str = ""
) -> GolemError:
    """Let the error that ends a call say what is known of all of its attempts."""
    error.attempts = attempts
    error.may_have_completed |= any(verdict.may_have_stored for verdict in earlier)
    sentences = [
        f"{type(verdict.error).__name__}: {verdict.error.message}"
        for verdict in earlier
        if verdict.error is not None
    ]
    for sentence, same in groupby(sentences):
        times = len(list(same))
        error.add_note(f"before it, {f'{times} times' if times > 1 else 'once'}: {sentence}")
    if note:
        error.add_note(note)
    return error
