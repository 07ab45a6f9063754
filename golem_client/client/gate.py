"""How many attempts may be under way while Golem is in trouble.

Calls learn from their neighbours here: a failure narrows the gate for everybody, an answer widens
it. `GateState` has the rules, without a clock: `now` is always an argument. `Gate` has the calls
that wait.

Theory of operation. The width is the number of attempts that may be under way. An attempt that is
to be repeated halves it, but only if no attempt has been answered since that one began: one dead
executor of Golem hangs only its own promises, and must not slow down the others. A failure at
width one closes the gate. Then single attempts probe, the first after 0.1 s, at most 0.4 s apart,
whether or not an earlier probe still waits for its answer. The first answer opens the gate again.
Attempts from before a closing or an opening no longer count against the width: they may hang.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

import attrs

from golem_client.errors import ResponseError

logger = logging.getLogger("golem_client")

_FIRST_PROBE = 0.1
_LAST_PROBE = 0.4
_LONGEST_HOLD = 60.0


@attrs.define(eq=False)
class Ticket:
    """One attempt that the gate let through.

    Attributes:
        begun_at: When.
        era: The number of closings and openings before it.
    """

    begun_at: float
    era: int


@attrs.frozen
class Pressure:
    """The state of a client's gate, at one moment.

    Attributes:
        open: Whether attempts are let through: false while Golem is down, or asked for a pause
            by `Retry-After`.
        width: The number of attempts that may be under way at the same time.
        waiting: The number of calls that wait at the gate.
        seconds_down: How long the gate has been closed, in seconds; 0 where it is open.
    """

    open: bool
    width: int
    waiting: int
    seconds_down: float


class GateState:
    """The rules of the gate.

    Attributes:
        width: The number of attempts that may be under way.
        closed_at: When the gate closed; None once an attempt was answered after that.
        is_down: Whether single attempts probe.
    """

    def __init__(self, max_width: int) -> None:
        self.width = max_width
        self.closed_at: float | None = None
        self._max_width = max_width
        self._under_way = 0
        self._era = 0
        self._answered_at = float("-inf")
        self.is_down = False
        self._probe_at = 0.0
        self._probe_delay = _FIRST_PROBE
        self._held_until = float("-inf")

    def is_open(self, now: float) -> bool:
        """Whether more than single attempts are let through."""
        return not self.is_down and now >= self._held_until

    def may_begin(self, now: float) -> bool:
        """Whether an attempt may begin at this time."""
        if now < self._held_until:
            return False
        if self.is_down:
            return now >= self._probe_at
        return self._under_way < self.width

    def opens_at(self) -> float | None:
        """Return from when on an attempt may begin; None where only an answer can decide that."""
        if self.is_down:
            return max(self._probe_at, self._held_until)
        return self._held_until if self._under_way < self.width else None

    def held_until(self, now: float) -> float | None:
        """Return the end of the pause that the server asked for; None where there is none."""
        return self._held_until if now < self._held_until else None

    def begin(self, now: float) -> Ticket:
        """Let an attempt through."""
        self._under_way += 1
        if self.is_down:
            self._plan_probe(now)
        return Ticket(now, self._era)

    def answered(self, ticket: Ticket, now: float) -> None:
        """An attempt ended with an answer that is not to be repeated."""
        self._leave(ticket)
        self._answered_at = now
        if self.is_down:
            self.is_down = False
            self._begin_era()
        self.width = min(self.width + 1, self._max_width)
        self._end_hold_if_over(now)

    def failed(self, ticket: Ticket, now: float) -> None:
        """An attempt ended in a way that asks for a repeat."""
        self._leave(ticket)
        if self.is_down or self._answered_at > ticket.begun_at:
            return
        if self.width > 1:
            self.width //= 2
            return
        self.is_down = True
        self._probe_delay = _FIRST_PROBE
        self._plan_probe(now)
        self._begin_era()
        if self.closed_at is None:
            self.closed_at = now

    def cut_off(self, ticket: Ticket) -> None:
        """An attempt ended for a reason of its own call's: its deadline, a cancellation."""
        self._leave(ticket)

    def hold(self, now: float, seconds: float) -> None:
        """Close the gate for a while, because the server asked for it."""
        self._held_until = max(self._held_until, now + min(seconds, _LONGEST_HOLD))
        if self.closed_at is None and now < self._held_until:
            self.closed_at = now

    def _end_hold_if_over(self, now: float) -> None:
        if now >= self._held_until:
            self.closed_at = None

    def _leave(self, ticket: Ticket) -> None:
        if ticket.era == self._era:
            self._under_way -= 1

    def _begin_era(self) -> None:
        self._era += 1
        self._under_way = 0

    def _plan_probe(self, now: float) -> None:
        self._probe_at = now + self._probe_delay
        self._probe_delay = min(2 * self._probe_delay, _LAST_PROBE)


class HeldError(Exception):
    """The server asked for a pause that outlasts the call's deadline.

    Attributes:
        cause: The error of the answer that asked for it.
        seconds: How much longer the pause is, in seconds.
    """

    def __init__(self, cause: ResponseError, seconds: float) -> None:
        super().__init__()
        self.cause = cause
        self.seconds = seconds


@attrs.define(eq=False)
class _Waiter:
    turn: asyncio.Future[Ticket]
    deadline: float


class Gate:
    """The gate of one session, with the calls that wait at it: first come, first served.

    Args:
        loop: The loop of the session.
        max_width: The most attempts that may be under way.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_width: int) -> None:
        self.state = GateState(max_width)
        self._loop = loop
        self._waiting: deque[_Waiter] = deque()
        self._dozing: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._hold_error: ResponseError | None = None

    @property
    def is_down(self) -> bool:
        """Whether single attempts probe for all."""
        return self.state.is_down

    def pressure(self) -> Pressure:
        """Return the state at this moment."""
        now, state = self._loop.time(), self.state
        is_open = state.is_open(now)
        down = 0.0 if is_open or state.closed_at is None else now - state.closed_at
        return Pressure(is_open, state.width, len(self._waiting), down)

    def try_enter(self, now: float) -> Ticket | None:
        """Let an attempt through at once; None where it has to wait."""
        if self._waiting or not self.state.may_begin(now):
            return None
        return self.state.begin(now)

    async def enter(self, deadline: float) -> Ticket:
        """Wait until an attempt may begin.

        Raises:
            HeldError: It may not before the deadline.
        """
        waiter = _Waiter(self._loop.create_future(), deadline)
        self._waiting.append(waiter)
        self._admit()
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif waiter.turn.done() and not waiter.turn.cancelled() and not waiter.turn.exception():
                self.state.cut_off(waiter.turn.result())
            self._admit()
            raise

    async def doze(self, seconds: float) -> None:
        """Sleep, but not longer than until the gate opens again after Golem was down."""
        awake = self._loop.create_future()
        alarm = self._loop.call_later(seconds, _wake, awake)
        self._dozing.add(awake)
        try:
            await awake
        finally:
            alarm.cancel()
            self._dozing.discard(awake)

    def answered(self, ticket: Ticket) -> None:
        """Note an answer that is not to be repeated."""
        state, now = self.state, self._loop.time()
        was_closed_at, was_down = state.closed_at, state.is_down
        state.answered(ticket, now)
        if was_closed_at is not None and state.closed_at is None:
            logger.info("Golem answers again, after %.3g s", now - was_closed_at)
        if was_down:
            for awake in self._dozing:
                _wake(awake)
        if self._waiting:
            self._admit()

    def failed(self, ticket: Ticket) -> None:
        """Note an attempt that is to be repeated."""
        was_closed_at = self.state.closed_at
        self.state.failed(ticket, self._loop.time())
        self._log_closing(was_closed_at)
        self._admit()

    def cut_off(self, ticket: Ticket) -> None:
        """Note an attempt that its own call ended."""
        self.state.cut_off(ticket)
        self._admit()

    def hold(self, seconds: float, error: ResponseError) -> None:
        """Close the gate, because this answer asked for a pause of so many seconds."""
        was_closed_at = self.state.closed_at
        self.state.hold(self._loop.time(), seconds)
        self._hold_error = error
        self._log_closing(was_closed_at)
        self._admit()

    def _log_closing(self, was_closed_at: float | None) -> None:
        if was_closed_at is None and self.state.closed_at is not None:
            logger.info("Golem is down or overloaded: calls wait, and single attempts probe")

    def _admit(self) -> None:
        """Let through who may begin, refuse who cannot in time, and come back when that changes."""
        now, waiting = self._loop.time(), self._waiting
        held_until = self.state.held_until(now)
        if held_until is not None and self._hold_error is not None:
            for waiter in [each for each in waiting if each.deadline < held_until]:
                waiting.remove(waiter)
                if not waiter.turn.done():
                    waiter.turn.set_exception(HeldError(self._hold_error, held_until - now))
        while waiting and self.state.may_begin(now):
            waiter = waiting.popleft()
            if not waiter.turn.done():
                waiter.turn.set_result(self.state.begin(now))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        opens_at = self.state.opens_at() if waiting else None
        if opens_at is not None:
            self._timer = self._loop.call_at(opens_at, self._admit)


def _wake(awake: asyncio.Future[None]) -> None:
    if not awake.done():
        awake.set_result(None)
