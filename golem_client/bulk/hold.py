"""When a run sends nothing, because Golem is away or limits the rate."""

from __future__ import annotations

from golem_client import (
    ConnectionFailedError,
    DeadlineExceededError,
    GolemError,
    RateLimitedError,
)

_OUTAGE_PAUSE = 0.25
_FIRST_PAUSE = 0.125
_LONGEST_OWN_PAUSE = 60.0
_LONGEST_PAUSE = 3600.0
"""A server that asks for a longer pause, in seconds, ends the run, which reports it."""

_MOST_PAUSES = 10
"""After so many pauses in a row in which nothing got through, the run ends."""


def is_outage(error: GolemError, *, is_open: bool) -> bool:
    """Whether a call failed because Golem was down, not because of its own item.

    Args:
        error: How it failed.
        is_open: Whether the client's gate is open now.
    """
    if isinstance(error, DeadlineExceededError) and error.seconds_down:
        return True
    was_sent = error.attempts > 0 and not isinstance(error, ConnectionFailedError)
    return error.worth_retrying and not was_sent and not is_open


def is_rate_limit(error: GolemError) -> bool:
    """Whether a call failed because the rate is limited, at once or until its deadline."""
    notes = getattr(error, "__notes__", ())
    is_late = isinstance(error, DeadlineExceededError)
    limited = f": {RateLimitedError.__name__}: "
    return isinstance(error, RateLimitedError) or (is_late and any(limited in x for x in notes))


class Hold:
    """The pauses of one run. How many calls then go on is decided by the client's gate.

    Attributes:
        number: The number of rate limits so far; a call notes it when it starts.
    """

    def __init__(self) -> None:
        self.number = 0
        self._in_vain = 0
        self._until = 0.0

    def seconds_left(self, now: float) -> float:
        """How long the pause still is; 0 where there is none."""
        return max(self._until - now, 0.0)

    def note_outage(self, now: float) -> None:
        """Pause for a moment: the calls that follow wait at the client's gate."""
        self._until = max(self._until, now + _OUTAGE_PAUSE)

    def note_limit(self, error: GolemError, now: float, *, started_in: int) -> bool:
        """Pause as long as asked, longer each time; return False where waiting makes no sense.

        Args:
            error: How the call ended.
            now: The time.
            started_in: The `number` when the call started. Limits of calls that were under way
                together are one.
        """
        if started_in == self.number:
            self.number += 1
            self._in_vain += 1
        seconds = min(_FIRST_PAUSE * 2.0**self._in_vain, _LONGEST_OWN_PAUSE)
        asked = error.retry_after if isinstance(error, RateLimitedError) else None
        if asked is not None:
            seconds = max(asked, seconds if self._in_vain > 1 else 0.0)
        if seconds > _LONGEST_PAUSE or self._in_vain > _MOST_PAUSES:
            return False
        self._until = max(self._until, now + seconds)
        return True

    def note_answer(self) -> None:
        """Note that Golem has taken a request: the next pause is a first one."""
        self._in_vain = 0
