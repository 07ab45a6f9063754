"""How many attempts may be under way while Golem is in trouble.

Calls learn from their neighbours here: a failure narrows the gate for everybody, an answer widens
it. `GateState` has the rules, without a clock: `now` is always an argument. `Gate` has the calls
that wait.

Theory of operation. The width is the number of attempts that may be under way. An attempt that is
to be repeated halves it, but only if no attempt has been answered since that one began: one dead
executor of Golem hangs only its own promises, and must not slow down the others. A failure at
width one closes the gate. Then single attempts probe, the first after 0.1 s, at most 0.4 s apart,
whether or not an earlier probe still waits for its answer. The first answer opens the gate again.
Attempts from before an opening no longer count against the width: they may hang. Nor,
while the gate is fuller than it is wide, do those that an answered attempt has overtaken.

Those who wait are served in order. A call that comes back from a failed attempt goes before those
that have had none, because it is older; but while the gate is closed it goes after them, so that a
single promise that fails for reasons of its own is not what probes for all.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections import OrderedDict

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
        answers: The number of answers before it.
    """

    answers: int


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

    A time that lies too far ahead to be of use, because the clock jumped back, counts as past.

    Attributes:
        width: The number of attempts that may be under way.
        is_down: Whether single attempts probe.
        closed_at: When the gate closed last.
    """

    def __init__(self, max_width: int) -> None:
        self.width = max_width
        self.is_down = False
        self.closed_at = 0.0
        self._max_width = max_width
        self._counted: OrderedDict[Ticket, None] = OrderedDict()  # in the order of their beginning
        self._answers = 0
        self._answered_at = float("-inf")
        self._probe_at = 0.0
        self._probe_delay = _FIRST_PROBE
        self._held_until = float("-inf")

    @property
    def under_way(self) -> int:
        """The number of attempts under way that count against the width."""
        return len(self._counted)

    def is_open(self, now: float) -> bool:
        """Whether more than single attempts are let through."""
        return not self.is_down and not self.is_held(now)

    def is_held(self, now: float) -> bool:
        """Whether the server asked for a pause that is not over."""
        return now < self._held_until <= now + _LONGEST_HOLD

    def may_begin(self, now: float) -> bool:
        """Whether an attempt may begin at this time."""
        if now < self._held_until and self.is_held(now):
            return False
        if self.is_down:
            return not now < self._probe_at <= now + _LAST_PROBE
        return len(self._counted) < self.width

    def opens_at(self, now: float) -> float | None:
        """Return when an attempt may begin; None where only the end of another can decide that."""
        held_until = self._held_until if self.is_held(now) else now
        if self.is_down:
            return max(self._probe_at, held_until)
        return held_until if self.under_way < self.width else None

    def seconds_held(self, now: float) -> float:
        """Return how much longer the server's pause is; 0 where there is none."""
        return self._held_until - now if self.is_held(now) else 0.0

    def seconds_closed(self, now: float) -> float:
        """Return for how long the gate is closed, or was when it was closed last."""
        end = max(self._answered_at, self._held_until) if self.is_open(now) else now
        return max(end - self.closed_at, 0.0)

    def begin(self, now: float) -> Ticket:
        """Let an attempt through."""
        if self.is_down:
            self._plan_probe(now)
        ticket = Ticket(self._answers)
        self._counted[ticket] = None
        return ticket

    def answered(self, ticket: Ticket, now: float) -> None:
        """An attempt ended with an answer that is not to be repeated."""
        if self.is_down:
            self.is_down = False
            self._answered_at = now
            self._counted.clear()
        elif len(self._counted) > self.width and ticket in self._counted:
            while next(iter(self._counted)) is not ticket:
                self._counted.popitem(last=False)
        self._counted.pop(ticket, None)
        self._answers += 1
        if self.width < self._max_width:
            self.width += 1

    def failed(self, ticket: Ticket, now: float) -> None:
        """An attempt ended in a way that asks for a repeat."""
        self.cut_off(ticket)
        if self.is_down or self._answers != ticket.answers:
            return
        if self.width > 1:
            self.width //= 2
            return
        self._note_closing(now)
        self.is_down = True
        self._probe_delay = _FIRST_PROBE
        self._plan_probe(now)

    def cut_off(self, ticket: Ticket) -> None:
        """An attempt ended for a reason of its own call's: its deadline, a cancellation."""
        self._counted.pop(ticket, None)

    def hold(self, now: float, seconds: float) -> bool:
        """Close the gate for a while, because the server asked for it.

        Returns:
            Whether that is longer than the gate was to be held already.
        """
        seconds = min(seconds, _LONGEST_HOLD)
        if seconds <= self.seconds_held(now):
            return False
        self._note_closing(now)
        self._held_until = now + seconds
        return True

    def _note_closing(self, now: float) -> None:
        if self.is_open(now):
            self.closed_at = now

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
    """The gate of one session, with the calls that wait at it.

    It has the slots, too: one for each attempt under way, also of calls that ignore its state.
    The wait for one is outside of the attempt, so that a burst does not abandon requests that it
    has just sent.

    Args:
        loop: The loop of the session.
        max_width: The most attempts that may be under way.

    Attributes:
        free: The number of slots that are free.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_width: int) -> None:
        self.state = GateState(max_width)
        self.free = max_width
        self._loop = loop
        # All in order of arrival; ordered dictionaries, because thousands may leave at any place.
        self._fresh: OrderedDict[_Waiter, None] = OrderedDict()
        self._returned: OrderedDict[_Waiter, None] = OrderedDict()
        self._ignoring: OrderedDict[_Waiter, None] = OrderedDict()
        self._dozing: dict[asyncio.Future[None], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._hold_error: ResponseError | None = None
        self._is_told_closed = False

    @property
    def is_down(self) -> bool:
        """Whether single attempts probe for all."""
        return self.state.is_down

    def pressure(self) -> Pressure:
        """Return the state at this moment."""
        now, state = self._loop.time(), self.state
        is_open = state.is_open(now)
        waiting = len(self._fresh) + len(self._returned) + len(self._ignoring)
        return Pressure(
            is_open, state.width, waiting, 0.0 if is_open else state.seconds_closed(now)
        )

    def try_enter(self, now: float, *, ignores: bool = False) -> Ticket | None:
        """Let an attempt through at once; None where it has to wait."""
        if not self.free or self._ignoring:
            return None
        if ignores:
            self.free -= 1
            return Ticket(0)
        if self._fresh or self._returned or not self.state.may_begin(now):
            return None
        self.free -= 1
        return self.state.begin(now)

    async def enter(
        self, deadline: float, *, is_return: bool = False, ignores: bool = False
    ) -> Ticket:
        """Wait until an attempt may begin.

        Args:
            deadline: The call's; nothing but a pause of the server's is compared with it.
            is_return: Whether the call has made an attempt before.
            ignores: Whether it waits for a slot alone. Such an attempt only ever is `cut_off`.

        Raises:
            HeldError: It may not before the deadline.
        """
        now, error = self._loop.time(), self._hold_error
        seconds = self.state.seconds_held(now)
        if error is not None and seconds and now + seconds > deadline and not ignores:
            raise HeldError(error, seconds)
        waiter = _Waiter(self._loop.create_future(), deadline)
        queue = self._returned if is_return else self._fresh
        if ignores:
            queue = self._ignoring
        queue[waiter] = None
        self._admit()
        try:
            return await waiter.turn
        except BaseException:
            if waiter in queue:
                del queue[waiter]
            elif waiter.turn.done() and not waiter.turn.cancelled() and not waiter.turn.exception():
                self.cut_off(waiter.turn.result())
            raise

    async def doze(self, seconds: float, deadline: float) -> None:
        """Sleep, but not longer than until it is clear how the call goes on.

        That is when the gate opens again after Golem was down, or is held beyond the deadline.
        """
        awake = self._loop.create_future()
        alarm = self._loop.call_later(seconds, _wake, awake)
        self._dozing[awake] = deadline
        try:
            await awake
        finally:
            alarm.cancel()
            del self._dozing[awake]

    def answered(self, ticket: Ticket) -> None:
        """Note an answer that is not to be repeated."""
        self.free += 1
        was_down = self.state.is_down
        self.state.answered(ticket, self._loop.time() if was_down else 0.0)
        if was_down:
            for awake in self._dozing:
                _wake(awake)
        if self._is_told_closed or self._fresh or self._returned or self._ignoring:
            self._admit()

    def failed(self, ticket: Ticket) -> None:
        """Note an attempt that is to be repeated."""
        now = self._loop.time()
        self.free += 1
        self._tell(now)
        self.state.failed(ticket, now)
        self._admit()

    def cut_off(self, ticket: Ticket) -> None:
        """Note an attempt that its own call ended."""
        self.free += 1
        self.state.cut_off(ticket)
        self._admit()

    def hold(self, seconds: float, error: ResponseError) -> None:
        """Close the gate, because this answer asked for a pause of so many seconds."""
        now = self._loop.time()
        self._tell(now)
        if not self.state.hold(now, seconds):
            return
        self._hold_error = error = copy.copy(error)  # the call adds notes of its own to it
        seconds = self.state.seconds_held(now)
        for queue in (self._returned, self._fresh):
            for waiter in [each for each in queue if each.deadline < now + seconds]:
                del queue[waiter]
                if not waiter.turn.done():
                    waiter.turn.set_exception(HeldError(error, seconds))
        for awake, deadline in self._dozing.items():
            if deadline < now + seconds:
                _wake(awake)
        self._admit()

    def _tell(self, now: float) -> None:
        """Log that the gate has closed, or opened."""
        is_open = self.state.is_open(now)
        if is_open != self._is_told_closed:
            return
        self._is_told_closed = not is_open
        if is_open:
            seconds = self.state.seconds_closed(now)
            logger.info("Golem is asked again by all calls, after %.3g s", seconds)
        else:
            logger.info("Golem is down or overloaded: calls wait, and single attempts probe")

    def _admit(self) -> None:
        """Let through who may begin, and come back when more may."""
        now, state = self._loop.time(), self.state
        self._tell(now)
        while self._ignoring and self.free:
            waiter, _ = self._ignoring.popitem(last=False)
            self._let_through(waiter, Ticket(0))
        while (self._fresh or self._returned) and self.free and state.may_begin(now):
            first, second = self._returned, self._fresh
            if state.is_down:
                first, second = second, first
            waiter, _ = (first or second).popitem(last=False)
            if not waiter.turn.done():
                self._let_through(waiter, state.begin(now))
        waits = self.free and (self._fresh or self._returned)
        opens_at = state.opens_at(now) if waits else None
        if self._timer is not None:
            if self._timer.when() == opens_at:
                return
            self._timer.cancel()
            self._timer = None
        if opens_at is not None:
            self._timer = self._loop.call_at(opens_at, self._admit_in_time)

    def _let_through(self, waiter: _Waiter, ticket: Ticket) -> None:
        if not waiter.turn.done():
            self.free -= 1
            waiter.turn.set_result(ticket)

    def _admit_in_time(self) -> None:
        self._timer = None
        self._admit()


def _wake(awake: asyncio.Future[None]) -> None:
    if not awake.done():
        awake.set_result(None)
