"""How many attempts may be under way while Golem is in trouble.

Calls share what they learn here: a failure narrows the gate for all of them, an answer widens it.

Theory of operation. The width is the number of attempts that may be under way. An attempt that is
to be repeated halves it, but only if no attempt has been answered since that one began: one dead
executor of Golem hangs only its own promises, and must not slow down the others. A failure at
width one closes the gate. Then single attempts probe, the first after 0.1 s, at most 0.4 s apart,
whether or not an earlier probe still waits for its answer. The first answer opens the gate again.
Attempts from before an opening no longer count against the width: they may hang. Nor,
while the gate is fuller than it is wide, do those that began before an attempt that is answered.

Calls are let through in order. One that comes back from a failed attempt goes before those that
have had none, because it is older; but while the gate is closed it goes after them, so that a
single promise that fails for reasons of its own does not make all the probes.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections import OrderedDict
from typing import TypeAlias

import attrs

from golem_client.errors import ResponseError

logger = logging.getLogger("golem_client")

_FIRST_PROBE = 0.1
_LAST_PROBE = 0.4
_LONGEST_HOLD = 60.0


@attrs.define(eq=False)
class Ticket:
    """One attempt that the gate let through; `answers` is the number of answers before it."""

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


class HeldError(Exception):
    """An answer, `cause`, asked for a pause that outlasts the deadline: so many seconds more."""

    def __init__(self, cause: ResponseError, seconds: float) -> None:
        super().__init__()
        self.cause = cause
        self.seconds = seconds


# The calls that wait, in order of arrival, each with its deadline. Plain dictionaries take linear
# time to find their first key after many have left.
_Queue: TypeAlias = "OrderedDict[asyncio.Future[Ticket], float]"


class Gate:
    """The gate of one session, with the calls that wait at it.

    It has the slots, too: one for each attempt under way, also of calls that ignore its state;
    `free` is how many are left. The wait for one is outside of the attempt, so that a burst does
    not abandon requests that it has just sent.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_width: int) -> None:
        self.width = self.free = self._max_width = max_width
        self.is_down = False
        self._loop = loop
        self._counted: dict[Ticket, None] = {}  # in the order of their beginning
        self._answers = 0
        self._closed_at = self._probe_at = self._held_until = 0.0
        self._probe_delay = _FIRST_PROBE
        self._down_because = ""
        self._hold_error: ResponseError | None = None
        self._fresh: _Queue = OrderedDict()
        self._returned: _Queue = OrderedDict()
        self._ignoring: _Queue = OrderedDict()
        self._dozing: dict[asyncio.Future[None], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def under_way(self) -> int:
        """The number of attempts under way that count against the width."""
        return len(self._counted)

    @property
    def is_open(self) -> bool:
        """Whether more than single attempts are let through."""
        return not self.is_down and self._loop.time() >= self._held_until

    @property
    def seconds_down(self) -> float:
        """How long the gate has been closed, in seconds; 0 where it is open."""
        return 0.0 if self.is_open else self._loop.time() - self._closed_at

    @property
    def trouble(self) -> str:
        """For how long Golem has been down, and why, in words; empty where it is not."""
        seconds = self.seconds_down
        return f"Golem has been down for {seconds:.3g} s{self._down_because}" if seconds else ""

    @property
    def seconds_held(self) -> float:
        """How much longer the server's pause is, in seconds; 0 where there is none."""
        return max(self._held_until - self._loop.time(), 0.0)

    def pressure(self) -> Pressure:
        """Return the state at this moment."""
        waiting = len(self._fresh) + len(self._returned) + len(self._ignoring)
        return Pressure(self.is_open, self.width, waiting, self.seconds_down)

    def may_begin(self, now: float) -> bool:
        """Whether the state of the gate lets an attempt begin."""
        if now < self._held_until:
            return False
        return now >= self._probe_at if self.is_down else len(self._counted) < self.width

    def opens_at(self) -> float | None:
        """Return when an attempt may begin; None where only the end of another can decide that."""
        if self.is_down:
            return max(self._probe_at, self._held_until)
        return self._held_until if len(self._counted) < self.width else None

    def try_enter(self, now: float, *, ignores: bool = False) -> Ticket | None:
        """Let an attempt through at once; None where it has to wait."""
        if not self.free:
            return None
        if ignores:
            self.free -= 1
            return Ticket(0)
        if self._fresh or self._returned or not self.may_begin(now):
            return None
        return self._begin(now)

    async def enter(
        self, deadline: float, *, is_return: bool = False, ignores: bool = False
    ) -> Ticket:
        """Wait until an attempt may begin; a HeldError where it may not before the deadline.

        Args:
            deadline: The call's; only a pause that the server asked for is compared with it.
            is_return: Whether the call has made an attempt before.
            ignores: Whether it waits for a slot alone. Such an attempt only ever is `cut_off`.
        """
        error, seconds = self._hold_error, self.seconds_held
        if error is not None and seconds and self._held_until > deadline and not ignores:
            raise HeldError(error, seconds)
        turn: asyncio.Future[Ticket] = self._loop.create_future()
        queue = self._returned if is_return else self._fresh
        if ignores:
            queue = self._ignoring
        queue[turn] = deadline
        self._admit()
        try:
            return await turn
        except asyncio.CancelledError:
            is_gone = queue.pop(turn, None) is None
            if is_gone and not turn.cancelled() and turn.exception() is None:
                self.cut_off(turn.result())
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
        """Note an attempt that ended with an answer that is not to be repeated."""
        self.free += 1
        if self.is_down:
            self.is_down = False
            seconds = self._loop.time() - self._closed_at
            logger.warning("Golem answers again, after %.3g s", seconds)
            self._counted.clear()
            for awake in self._dozing:
                _wake(awake)
        elif len(self._counted) > self.width and ticket in self._counted:
            while (oldest := next(iter(self._counted))) is not ticket:
                del self._counted[oldest]
        self._counted.pop(ticket, None)
        self._answers += 1
        if self.width < self._max_width:
            self.width += 1
        if self._fresh or self._returned or self._ignoring:
            self._admit()

    def failed(self, ticket: Ticket, reason: str = "") -> None:
        """Note an attempt that ended in a way that asks for a repeat, and why."""
        self.free += 1
        self._counted.pop(ticket, None)
        self._down_because = reason and f" ({reason})"
        if not self.is_down and self._answers == ticket.answers:
            if self.width > 1:
                self.width //= 2
            else:
                self._close()
        self._admit()

    def cut_off(self, ticket: Ticket) -> None:
        """Note an attempt that ended because of its own call: its deadline, a cancellation."""
        self.free += 1
        self._counted.pop(ticket, None)
        self._admit()

    def hold(self, seconds: float, error: ResponseError) -> None:
        """Close the gate, because this answer asked for a pause of so many seconds."""
        now, seconds = self._loop.time(), min(seconds, _LONGEST_HOLD)
        until = now + seconds
        if until <= max(self._held_until, now):
            return
        self._note_closing()
        self._held_until = until
        self._hold_error = error = copy.copy(error)  # the call adds notes of its own to it
        logger.info("the server asks all calls to wait for %.3g s", seconds)
        for queue in (self._returned, self._fresh):
            for turn in [each for each, deadline in queue.items() if deadline < until]:
                del queue[turn]
                if not turn.done():
                    turn.set_exception(HeldError(error, seconds))
        for awake, deadline in self._dozing.items():
            if deadline < until:
                _wake(awake)
        self._admit()

    def _begin(self, now: float) -> Ticket:
        if self.is_down:
            self._plan_probe(now)
        self.free -= 1
        ticket = Ticket(self._answers)
        self._counted[ticket] = None
        return ticket

    def _close(self) -> None:
        self._note_closing()
        self.is_down = True
        self._probe_delay = _FIRST_PROBE
        self._plan_probe(self._loop.time())
        what = "Golem is down or overloaded%s: calls wait, and single attempts probe"
        logger.warning(what, self._down_because)

    def _note_closing(self) -> None:
        if self.is_open:
            self._closed_at = self._loop.time()

    def _plan_probe(self, now: float) -> None:
        self._probe_at = now + self._probe_delay
        self._probe_delay = min(2 * self._probe_delay, _LAST_PROBE)

    def _admit(self) -> None:
        """Let through the calls that may begin, and come back when more may."""
        now = self._loop.time()
        while self._ignoring and self.free:
            turn, _ = self._ignoring.popitem(last=False)
            if not turn.done():
                self.free -= 1
                turn.set_result(Ticket(0))
        while (self._fresh or self._returned) and self.free and self.may_begin(now):
            first, second = self._returned, self._fresh
            if self.is_down:
                first, second = second, first
            turn, _ = (first or second).popitem(last=False)
            if not turn.done():
                turn.set_result(self._begin(now))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waits = self.free and (self._fresh or self._returned)
        opens_at = self.opens_at() if waits else None
        if opens_at is not None:
            self._timer = self._loop.call_at(opens_at, self._admit)


def _wake(awake: asyncio.Future[None]) -> None:
    if not awake.done():
        awake.set_result(None)
