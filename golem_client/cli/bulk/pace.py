"""When a run waits, and when it ends early: failures that are not those of a line."""

from __future__ import annotations

import attrs

from golem_client import (
    AuthenticationError,
    ConnectionFailedError,
    ConnectionLostError,
    DeadlineExceededError,
    GolemClient,
    GolemError,
    ServerError,
)
from golem_client.bulk.hold import Hold, is_outage, is_rate_limit
from golem_client.outbox.pace import Pace
from golem_client.outbox.settling import Claimed, Rules

_MOST_IN_VAIN = 10


class BulkPace(Pace):
    """Sends every line at once, but pauses in an outage and when the server limits the rate.

    In an outage, lines wait at the client's gate, and those whose time is up there wait for their
    next turn. A run that never reached anything, though the gate stayed open, ends: the host does
    not exist, or its certificate is refused.

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
        self._hold = Hold()
        self._limited_at = 0.0
        self._is_limited = False
        self._answered_at = 0.0
        self._closed_at = 0.0
        self._in_vain = 0

    def room(self, free: int, under_way: int, now: float) -> int:  # noqa: ARG002
        """Return how many lines may be begun. It is asked twice a second, at least."""
        self._see_whether_closed(now)
        return 0 if self.reason is not None or self._hold.seconds_left(now) else free

    def seconds_left(self, now: float, most: float) -> float:
        """Return after how many seconds to look again."""
        return min(self._hold.seconds_left(now), most) or most

    def note_answer(self, now: float) -> None:
        """Note that Golem answered."""
        self._answered_at = now
        self._is_limited = False
        self._hold.note_answer()

    def note_failure(self, error: BaseException, began: float, now: float) -> None:
        """Note a failure that may be that of every line."""
        if not isinstance(error, GolemError):  # from the token's callable
            return
        self._see_whether_closed(now)
        self._is_limited = is_rate_limit(error)
        if self._is_limited:
            goes_on = self._note_limit(error, began, now)
        elif self._is_outage(error, began):
            self._hold.note_outage(now)
            goes_on = not self._is_unreachable(error)
        elif isinstance(error, AuthenticationError) and error.is_certain:
            goes_on = False
        else:
            return
        self.spared = error
        if not goes_on:
            self.reason = self.reason or error

    def why_held(self, now: float) -> str:
        """Return why nothing moves, for people; empty where the run is not held."""
        if self._is_limited and (pause := self._hold.seconds_left(now)):
            return f"rate limited, going on in {pause:.0f} s"
        down = self._client.pressure.seconds_down
        return f"Golem has been down or overloaded for {down:.0f} s: the run waits" if down else ""

    def _note_limit(self, error: GolemError, began: float, now: float) -> bool:
        is_late = began < self._limited_at  # the limits of calls under way together are one
        if not is_late:
            self._limited_at = now
        return self._hold.note_limit(error, now, started_in=self._hold.number - is_late)

    def _is_outage(self, error: GolemError, began: float) -> bool:
        if isinstance(error, ServerError | ConnectionLostError):
            # The gate may still be open when an outage begins. But where others have been
            # answered meanwhile, it is this line that fails.
            return began > self._answered_at
        if isinstance(error, DeadlineExceededError) and began < self._closed_at:
            return True  # Golem may be back by now, but it took this line's time
        is_down = is_outage(error, is_open=self._client.pressure.open)
        return is_down or isinstance(error, ConnectionFailedError)

    def _see_whether_closed(self, now: float) -> None:
        if not self._client.pressure.open:
            self._closed_at = now

    def _is_unreachable(self, error: GolemError) -> bool:
        if self._answered_at or not isinstance(error, ConnectionFailedError):
            return False
        self._in_vain = self._in_vain + 1 if self._client.pressure.open else 0
        return self._in_vain > _MOST_IN_VAIN


@attrs.frozen(kw_only=True)
class BulkRules(Rules):
    """A line has failed, unless the pace has just spared it.

    Attributes:
        pace: Notes each failure before it is asked here.
    """

    pace: BulkPace

    def gives_up(self, row: Claimed, ended: BaseException) -> bool:  # noqa: ARG002
        """Whether the line has failed."""
        return ended is not self.pace.spared
