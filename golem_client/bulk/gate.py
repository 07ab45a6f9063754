"""How a rate limit slows a whole run down, not only the item that met it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from golem_client import RateLimitedError

_FIRST_PAUSE = 0.125
_LONGEST_OWN_PAUSE = 60.0
_LONGEST_PAUSE = 3600.0
"""What is asked to wait longer than that, in seconds, is better told than waited for in silence."""

_MOST_PAUSES = 10
"""So many pauses in a row after which nothing got through: the limit is no limit of a rate."""


class Gate:
    """How many calls a run may have under way: none during a pause, then one, then ever more.

    The client repeats by itself what is refused for a moment: each call under way then sleeps as
    long as the server asks, and so sooner or later all of them. Here arrives what it gave up.

    Attributes:
        width: The most calls at the same time, at present.
        is_open: Whether there is no pause.
        pauses: The number of pauses so far; a call notes it when it starts.
    """

    def __init__(self, width: int, on_open: Callable[[], None]) -> None:
        self.width = width
        self.is_open = True
        self.pauses = 0
        self._widest = width
        self._on_open = on_open
        self._in_vain = 0
        self._opens_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def seconds_left(self) -> float:
        """How long the pause still is."""
        if self.is_open:
            return 0.0
        return max(self._opens_at - asyncio.get_running_loop().time(), 0.0)

    def refuse(self, error: RateLimitedError, *, started_in: int) -> bool:
        """Pause the run after a refusal; return False where there is no sense in waiting.

        Args:
            error: What the server said.
            started_in: The number of pauses when the refused call started. Refusals of calls
                that were under way together are one.
        """
        if started_in == self.pauses:
            self.pauses += 1
            self._in_vain += 1
        seconds = min(_FIRST_PAUSE * 2.0**self._in_vain, _LONGEST_OWN_PAUSE)
        if error.retry_after is not None:
            seconds = max(error.retry_after, seconds if self._in_vain > 1 else 0.0)
        if seconds > _LONGEST_PAUSE or self._in_vain > _MOST_PAUSES:
            return False
        self.width = 1
        self._close(seconds)
        return True

    def let_through(self) -> None:
        """Widen the gate: the server has taken a request."""
        self._in_vain = 0
        self.width = min(self.width + 1, self._widest)

    def give_up(self) -> None:
        """Forget the pause."""
        self.is_open = True
        if self._timer is not None:
            self._timer.cancel()

    def _close(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        opens_at = loop.time() + seconds
        if not self.is_open and opens_at <= self._opens_at:
            return
        self.give_up()
        self.is_open = False
        self._opens_at = opens_at
        self._timer = loop.call_at(opens_at, self._open)

    def _open(self) -> None:
        self.is_open = True
        self._on_open()
