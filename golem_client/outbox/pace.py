"""How many rows a worker tries at a time. Pure: times come from the caller."""

from __future__ import annotations

import random

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
_LONGEST_ASKED_SECONDS = 60.0
_SECOND_ROW_SECONDS = 5.0


class Pace:
    """How many rows are tried at a time: all, or one while Golem is down.

    It begins with one, so that a worker that starts during an outage does not send its room full.
    A failure counts only if nothing got through since its call began: one dead executor hangs
    only its own promises, and must not slow the others.
    """

    def __init__(self) -> None:
        self._is_slow = True
        self._failures = 0
        self._next_at = 0.0
        self._answered_at = 0.0
        self._probed_at = 0.0

    def room(self, free: int, under_way: int, now: float) -> int:
        """Return how many rows may be begun."""
        if not self._is_slow:
            return free
        if now < self._next_at or not free:
            return 0
        # A worker that has just started knows of no outage: its first row may merely hang.
        is_patient = under_way and (self._failures or now - self._probed_at < _SECOND_ROW_SECONDS)
        return 0 if is_patient else 1

    def seconds_left(self, now: float, most: float) -> float:
        """Return after how many seconds to look again."""
        return min(max(self._next_at - now, 0.001), most) if now < self._next_at else most

    def note_begin(self, now: float) -> None:
        """Note that a call begins."""
        self._probed_at = now

    def note_answer(self, now: float) -> None:
        """Note that Golem answered a call for good."""
        self._is_slow = False
        self._failures = 0
        self._answered_at = now

    def note_failure(self, error: BaseException, began: float, now: float) -> None:
        """Note that a call was not delivered, for a reason that every row may meet."""
        if began < self._answered_at or (self._failures and began < self._probed_at):
            return
        self._is_slow = True
        asked = min(getattr(error, "retry_after", None) or 0.0, _LONGEST_ASKED_SECONDS)
        pause = min(_FIRST_PAUSE_SECONDS * 2**self._failures, _LONGEST_PAUSE_SECONDS)
        self._failures = min(self._failures + 1, 20)
        self._next_at = now + max(pause, asked) * (1 + 0.25 * random.random())  # noqa: S311
