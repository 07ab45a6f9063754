"""When to try again, and what the tries of one call mean together.

`RetryPolicy` is plain data. `settle` runs the attempts of one call: it sees verdicts, and knows
nothing of HTTP. It comes in after the first attempt, which runs bare, so that a call that succeeds
at once does not pay for tenacity; after a failure one tenacity loop of its own carries on (shared
by tasks, a loop loses count), whose first "call" replays the first verdict.
"""

from __future__ import annotations

import random
import sys
from itertools import groupby
from typing import TYPE_CHECKING

import attrs
from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from golem_client.outcome import Completion, Outcome, combined

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from golem_client.errors import GolemError
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


@attrs.frozen
class RetryPolicy:
    """When to try again; the names are those of Golem's own retry policy.

    Whether an attempt is worth repeating is not the policy's business but Golem's; and the
    deadline of the call always wins. The default outlives a restart of the server.

    Attributes:
        max_attempts: The most attempts of one call; 1 sends exactly once, come what may.
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

    @classmethod
    def none(cls) -> RetryPolicy:
        """Send exactly once, come what may."""
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
_ALREADY_FULFILLED = Completion(Outcome.ALREADY_FULFILLED, attempts=1)


def settled_at_once(first: Verdict) -> Completion | None:
    """Return what a call has come to whose first attempt settles it; None where it does not."""
    if first.answer is None:
        return None
    return _FULFILLED_AT_ONCE if first.answer else _ALREADY_FULFILLED


async def settle(
    first: Verdict,
    attempt: Callable[[], Awaitable[Verdict]],
    *,
    policy: RetryPolicy,
    time_left: Callable[[], float],
    pause: Callable[[float], Awaitable[None]],
    on_repeat: Callable[[Verdict, float], None],
) -> Completion:
    """Run further attempts of one call until one settles it.

    Args:
        first: What the first attempt came to.
        attempt: Sends the request once more. Every attempt sends the same bytes.
        policy: When to try again.
        time_left: The seconds until the deadline of the call.
        pause: Sleeps for that many seconds.
        on_repeat: Is told of each repeat: the verdict that asks for it, and the wait in seconds.

    Raises:
        GolemError: The last attempt's error, with the earlier ones as notes.
    """
    tries = _Tries(policy, time_left, [first])
    if first.repeat:
        await tries.carry_on(attempt, pause, on_repeat)
    return tries.conclusion()


@attrs.define
class _Tries:
    """What is known of one call, attempt by attempt."""

    policy: RetryPolicy
    time_left: Callable[[], float]
    verdicts: list[Verdict]
    counted: int = 0
    note: str = ""

    async def carry_on(
        self,
        attempt: Callable[[], Awaitable[Verdict]],
        pause: Callable[[float], Awaitable[None]],
        on_repeat: Callable[[Verdict, float], None],
    ) -> None:
        """Repeat until a verdict settles the call, or the policy or the time ends it."""
        replay = True

        async def replay_then_attempt() -> Verdict:
            nonlocal replay
            if replay:
                replay = False
            else:
                self.verdicts.append(await attempt())
            return self.verdicts[-1]

        def tell(state: RetryCallState) -> None:
            on_repeat(self.verdicts[-1], state.upcoming_sleep)

        loop = AsyncRetrying(
            retry=retry_if_result(lambda verdict: verdict.repeat),
            wait=self._wait,
            stop=self._stop,
            sleep=pause,
            before_sleep=tell,
            retry_error_callback=lambda _: self.verdicts[-1],
        )
        await loop(replay_then_attempt)

    def _is_free(self) -> bool:
        """Whether the last attempt costs nothing: to be repeated at once, and the first in a row.

        A second one in a row is an ordinary failure, so that a server that closes each connection
        is not hammered.
        """
        earlier = self.verdicts[-2].at_once if len(self.verdicts) > 1 else False
        return self.verdicts[-1].at_once and not earlier

    def _wait(self, _: RetryCallState) -> float:
        if self._is_free():
            return 0.0
        self.counted += 1
        return self.policy.delay(self.counted - 1, floor=self.verdicts[-1].retry_after or 0.0)

    def _stop(self, state: RetryCallState) -> bool:
        last = self.verdicts[-1]
        if self.policy.max_attempts == 1 or self.counted >= self.policy.max_attempts:
            return True
        if last.max_repeats is not None:
            alike = sum(verdict.max_repeats is not None for verdict in self.verdicts)
            if alike > last.max_repeats:
                return True
        left = self.time_left()
        if state.upcoming_sleep < left:
            return False
        self.note = (
            f"no further attempt fits in the time: {max(left, 0.0):.3g} s are left, "
            f"and the next would come after {state.upcoming_sleep:.3g} s"
        )
        if last.retry_after is not None:
            self.note += f" (the server's Retry-After is {last.retry_after:.6g} s)"
        return True

    def conclusion(self) -> Completion:
        """Say what the attempts mean together."""
        last = self.verdicts[-1]
        attempts = sum(verdict.attempted for verdict in self.verdicts)
        if last.error is not None:
            raise self._told(last.error, attempts)
        answered = Outcome.FULFILLED if last.answer else Outcome.ALREADY_FULFILLED
        may_have_stored = any(verdict.may_have_stored for verdict in self.verdicts)
        return Completion(combined(answered, may_have_stored=may_have_stored), attempts)

    def _told(self, error: GolemError, attempts: int) -> GolemError:
        """Let the last error tell of the whole call."""
        error.attempts = attempts
        error.may_have_completed = any(verdict.may_have_stored for verdict in self.verdicts)
        earlier = [
            f"{type(verdict.error).__name__}: {verdict.error.message}"
            for verdict in self.verdicts[:-1]
            if verdict.error is not None
        ]
        for told, same in groupby(earlier):
            times = len(list(same))
            error.add_note(f"before it, {f'{times} times' if times > 1 else 'once'}: {told}")
        if self.note:
            error.add_note(self.note)
        return error
