"""Which failures are not those of a line: it is sent again, unless the run ends."""

from __future__ import annotations

from datetime import timedelta

import attrs

from golem_client import (
    AuthenticationError,
    ConnectionFailedError,
    ConnectionLostError,
    GolemClient,
    GolemError,
    RateLimitedError,
    ServerError,
)
from golem_client.bulk.hold import is_rate_limit
from golem_client.outbox.pace import Pace
from golem_client.outbox.settling import Claimed, Rules

_LONGEST_PAUSE = 3600.0
"""A server that asks for a longer pause, in seconds, ends the run."""

_MOST_IN_VAIN = 10


class BulkPace(Pace):
    """Sends every line at once, and spares those that an outage or a limited rate held up.

    They wait at the client's gate, which decides how many go on. A line whose time is up there has
    another turn.

    Attributes:
        reason: Why the run ends early; None while it goes on.
        spared: The last failure that was not that of its line, which is sent again, by this run
            or the next one.
    """

    def __init__(self, client: GolemClient) -> None:
        super().__init__()
        self.reason: GolemError | None = None
        self.spared: GolemError | None = None
        self._client = client
        self._answered_at = self._closed_at = 0.0
        self._in_vain = 0

    def room(self, free: int, under_way: int, now: float) -> int:  # noqa: ARG002
        """Return how many lines may be begun. It is asked twice a second, at least."""
        self._see_whether_closed(now)
        return free

    def note_answer(self, now: float) -> None:
        """Note that Golem answered."""
        self._answered_at = now

    def note_failure(self, error: BaseException, began: float, now: float) -> None:
        """Note a failure that may be that of every line."""
        if not isinstance(error, GolemError):
            return
        self._see_whether_closed(now)
        if self._ends_the_run(error):
            self.reason = self.reason or error
        elif not is_rate_limit(error) and not self._is_outage(error, began):
            return
        self.spared = error

    def _see_whether_closed(self, now: float) -> None:
        if not self._client.pressure.open:
            self._closed_at = now

    def _ends_the_run(self, error: GolemError) -> bool:
        if isinstance(error, AuthenticationError):
            return error.is_certain
        if isinstance(error, RateLimitedError):
            return (error.retry_after or 0.0) > _LONGEST_PAUSE
        # Where the gate stays open though nothing was ever reached, the host does not exist, or
        # its certificate is refused.
        is_in_vain = isinstance(error, ConnectionFailedError) and self._client.pressure.open
        self._in_vain = self._in_vain + 1 if is_in_vain and not self._answered_at else 0
        return self._in_vain > _MOST_IN_VAIN

    def _is_outage(self, error: GolemError, began: float) -> bool:
        if isinstance(error, ServerError | ConnectionLostError) and began > self._answered_at:
            return True  # the gate may still be open when an outage begins
        # Where the gate was closed, Golem may be back by now, but it took this line's time. One
        # that fails while others are answered fails for a reason of its own.
        was_closed = error.worth_retrying and began < self._closed_at
        return was_closed or isinstance(error, ConnectionFailedError)


@attrs.frozen(kw_only=True)
class BulkRules(Rules):
    """A line has failed, unless the pace has just spared it: then it soon has its next turn.

    Attributes:
        pace: Notes each failure before it is asked here.
    """

    pace: BulkPace
    give_up_after: timedelta = timedelta(0)
    nudge_after: timedelta | None = None
    longest_delay: timedelta = timedelta(seconds=0.25)

    def gives_up(self, row: Claimed, ended: BaseException) -> bool:  # noqa: ARG002
        """Whether the line has failed."""
        return ended is not self.pace.spared
