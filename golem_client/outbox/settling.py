"""What becomes of a row after a delivery, and the options that say so. Pure: no clock, no I/O.

A row was claimed before it was sent, and its claim recorded that the payload may be out. So
`may_have_stored` of a claimed row covers every earlier claim, those of workers that died too;
`combined` does the rest.
"""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta

import attrs

from golem_client import (
    AuthenticationError,
    Completion,
    GolemError,
    Outcome,
    PermissionDeniedError,
)
from golem_client.frames import is_ours
from golem_client.outbox.entry import State
from golem_client.outcome import combined

FIRST_DELAY = timedelta(seconds=1)
LONGEST_DELAY = timedelta(minutes=15)
_JITTER = 0.25
_LONGEST_ERROR = 1000
_LONGEST_SECONDS = 100 * 366 * 86_400.0


@attrs.frozen(kw_only=True)
class Claimed:
    """A row as its claim found it, with its payload as it is stored.

    Attributes:
        state: `pending`, or `completed` where the payload is sent a second time.
        may_have_stored: Whether an earlier claim may have stored the payload.
        failures: The failed deliveries in a row.
        age: Since when it is delivered in vain, by the database's clock.
    """

    id: int
    slot: str
    promise_id: str
    state: State
    payload: bytes = attrs.field(repr=False)
    is_encrypted: bool
    may_have_stored: bool
    failures: int
    age: timedelta
    trace: str | None = None


@attrs.frozen(kw_only=True)
class Settlement:
    """What is written into a row whose delivery has ended, one way or another.

    Attributes:
        attempts: The requests sent by this delivery.
        due_in: After which time it is sent again; None for never. A completed row's payload is
            wiped then.
    """

    state: State
    outcome: Outcome | None = None
    error: str | None = None
    attempts: int = 0
    failures: int = 0
    may_have_stored: bool
    due_in: timedelta | None = None

    @property
    def is_end(self) -> bool:
        """Whether it is completed or dead."""
        return self.state is not State.PENDING


@attrs.frozen(kw_only=True)
class Rules:
    """When a worker gives up, and when it sends a second time; see `Outbox`.

    Attributes:
        longest_delay: The longest back-off that no server asked for.
    """

    give_up_after: timedelta
    nudge_after: timedelta | None
    longest_delay: timedelta = LONGEST_DELAY

    def gives_up(
        self,
        row: Claimed,
        ended: BaseException,  # noqa: ARG002 - for rules that look at it
    ) -> bool:
        """Whether a row is dead after a failure that could pass."""
        return row.age >= self.give_up_after


def handed_back(row: Claimed) -> Settlement:
    """Return what is written where a claimed row was never sent: the claim's mark goes."""
    return Settlement(
        state=row.state,
        failures=row.failures,
        may_have_stored=row.may_have_stored,
        due_in=timedelta(0),
    )


def settlement(
    row: Claimed, ended: Completion | BaseException, rules: Rules, *, chance: float
) -> Settlement:
    """Return what is written after a delivery that was begun.

    It ended with what the client's call returned or raised; with a `CancelledError` where the
    worker cut it off. The chance, from 0 to 1, is for the jitter. A completed row keeps its first
    outcome and gets no error, however its second sending ends.
    """
    is_first = row.state is State.PENDING
    if isinstance(ended, asyncio.CancelledError):
        return attrs.evolve(handed_back(row), may_have_stored=True)
    if isinstance(ended, Completion):
        outcome = combined(ended.outcome, may_have_stored=row.may_have_stored)
        # After ALREADY_FULFILLED the stored payload may be another one: Golem 1.3.0 to 1.5.7 may
        # hand the bytes of a later duplicate to a worker that waits.
        nudges = is_first and outcome is not Outcome.ALREADY_FULFILLED
        return Settlement(
            state=State.COMPLETED,
            outcome=outcome,
            attempts=ended.attempts,
            may_have_stored=True,
            due_in=rules.nudge_after if nudges else None,
        )
    known = ended if isinstance(ended, GolemError) else None
    failed = Settlement(
        state=row.state,
        error=error_text(ended) if is_first else None,
        attempts=known.attempts if known else 0,
        failures=row.failures + 1,
        may_have_stored=row.may_have_stored or not known or known.may_have_completed,
    )
    may_pass = is_worth_retrying(ended)
    if may_pass and not rules.gives_up(row, ended):
        due_in = delay_after(row.failures, ended, chance, rules.longest_delay)
        return attrs.evolve(failed, due_in=due_in)
    if not is_first:
        return failed
    was_given_up = f"given up after {rules.give_up_after}: "
    begin = was_given_up if may_pass and rules.give_up_after else ""
    return attrs.evolve(failed, state=State.DEAD, error=f"{begin}{failed.error}")


def delay_after(
    failures: int, ended: object, chance: float, longest: timedelta = LONGEST_DELAY
) -> timedelta:
    """Return the back-off after a failed delivery: from a second to a quarter of an hour."""
    delay = min(FIRST_DELAY * (1 << min(failures, 20)), longest)
    asked = min(getattr(ended, "retry_after", None) or 0.0, LONGEST_DELAY.total_seconds())
    return max(delay, timedelta(seconds=asked)) * (1 + _JITTER * chance)


def is_worth_retrying(ended: BaseException) -> bool:
    """Whether the same delivery, later, can succeed.

    Somebody can mend a token or a grant. An error that is not a GolemError comes from the token's
    callable, and can pass.
    """
    if isinstance(ended, AuthenticationError | PermissionDeniedError):
        return True
    return not isinstance(ended, GolemError) or ended.worth_retrying


def error_text(ended: BaseException) -> str:
    """Return a failure for people: no payload, no token, nothing that a database refuses."""
    name = type(ended).__name__
    if not isinstance(ended, GolemError):
        if is_ours(ended):  # the client is closed, or in use in another event loop
            return f"{name}: {ended}"
        # Its words are the user's own code's, and may hold a secret.
        return f"{name} was raised instead of a completion: see the token's callable"
    words = f"{name}: {ended.message}".replace("\0", "\ufffd").encode(errors="replace").decode()
    return words if len(words) <= _LONGEST_ERROR else f"{words[: _LONGEST_ERROR - 1]}…"


def span(name: str, value: object, *, may_be_zero: bool = False) -> timedelta:
    """Return a time that is given in seconds or as a timedelta; a century at most."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{name} is seconds or a timedelta, not of type {type(value).__name__}")
    if not (0 < seconds < math.inf or (may_be_zero and seconds == 0)):
        least = "not negative" if may_be_zero else "greater than 0"
        raise ValueError(f"{name} must be finite and {least}")
    return timedelta(seconds=min(seconds, _LONGEST_SECONDS))


def size(name: str, value: object) -> int:
    """Return a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is a whole number, not of type {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1")
    return value
