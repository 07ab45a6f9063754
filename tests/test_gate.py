"""The gate's rules, on a clock of its own: who may send while Golem is in trouble."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import cast

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from golem_client import RateLimitedError, ServerError
from golem_client.client.gate import Gate, HeldError, Ticket
from tests.virtual_time import VirtualTimeLoop

LIMITED = RateLimitedError("slow down", 429)


class Steps:
    """A gate without calls that wait, and with a clock that each step sets."""

    def __init__(self, width: int) -> None:
        self.now = 0.0
        clock = SimpleNamespace(time=lambda: self.now)
        self.gate = Gate(cast("asyncio.AbstractEventLoop", clock), width)

    def at(self, now: float) -> Gate:
        self.now = now
        return self.gate

    def begin(self, now: float) -> Ticket:
        return self.at(now)._begin(now)

    def may_begin(self, now: float) -> bool:
        return self.at(now).may_begin(now)


def fail(state: Steps, now: float, times: int = 1) -> None:
    for _ in range(times):
        state.at(now).failed(state.begin(now))


def closed(now: float = 0.0) -> Steps:
    """Return a gate that a failure at width one has closed."""
    state = Steps(1)
    fail(state, now)
    return state


class TestWidth:
    """How many attempts may be under way."""

    def test_it_begins_with_all_connections(self) -> None:
        """As many as `max_connections`, and not one more."""
        state = Steps(3)
        for _ in range(3):
            assert state.may_begin(0.0)
            state.begin(0.0)
        assert not state.may_begin(0.0)
        assert state.gate.opens_at() is None

    def test_a_failure_halves_it(self) -> None:
        """Down to one; one more closes the gate."""
        state, widths = Steps(100), []
        while not state.gate.is_down:
            widths.append(state.gate.width)
            fail(state, 0.0)
        assert [100, 50, 25, 12, 6, 3, 1] == widths
        assert (1, False) == (state.gate.width, state.at(0.0).is_open)

    def test_a_failure_after_an_answer_changes_nothing(self) -> None:
        """One dead executor hangs only its own promises."""
        state = Steps(100)
        hanging = [state.begin(0.0) for _ in range(50)]
        state.gate.answered(state.begin(0.0))
        for ticket in hanging:
            state.at(10.0).failed(ticket)
        assert (100, True) == (state.gate.width, state.at(10.0).is_open)

    def test_an_answer_before_the_attempt_protects_nobody(self) -> None:
        """Also where the clock shows the same time for both."""
        state = Steps(100)
        state.gate.answered(state.begin(0.0))
        fail(state, 0.0)
        assert 50 == state.gate.width

    def test_an_answer_widens_it_by_one(self) -> None:
        """To no more than it was."""
        state, widths = Steps(8), []
        fail(state, 0.0, 2)
        for _ in range(8):
            state.gate.answered(state.begin(0.0))
            widths.append(state.gate.width)
        assert [3, 4, 5, 6, 7, 8, 8, 8] == widths

    def test_what_a_call_cuts_off_says_nothing(self) -> None:
        """It only leaves its place."""
        state = Steps(2)
        tickets = [state.begin(0.0), state.begin(0.0)]
        state.gate.cut_off(tickets[0])
        assert (2, True) == (state.gate.width, state.may_begin(0.0))
        state.begin(0.0)
        assert not state.may_begin(0.0)

    def test_what_is_cut_off_does_not_protect_from_failures(self) -> None:
        """Only an answer does."""
        state = Steps(8)
        first, second = state.begin(0.0), state.begin(0.0)
        state.gate.cut_off(first)
        state.at(1.0).failed(second)
        assert 4 == state.gate.width


class TestProbes:
    """Single attempts while the gate is closed."""

    def test_their_times(self) -> None:
        """0.1, 0.2, 0.4, 0.4, … seconds, whether or not they end."""
        state, now = closed(), 0.0
        times: list[float] = []
        while len(times) < 6:
            opens_at = state.gate.opens_at()
            assert opens_at is not None
            assert not state.may_begin(opens_at - 0.001)
            times.append(opens_at - now)
            now = opens_at
            assert state.may_begin(now)
            state.begin(now)
            assert not state.may_begin(now)
        assert times == pytest.approx([0.1, 0.2, 0.4, 0.4, 0.4, 0.4])

    def test_failed_probes_do_not_change_their_times(self) -> None:
        """Nor do attempts from before the closing that fail late."""
        state = Steps(2)
        late = state.begin(0.0)
        fail(state, 0.0, 2)
        assert state.gate.is_down
        state.at(0.05).failed(late)
        fail(state, 0.1)
        assert 0.3 == pytest.approx(state.gate.opens_at())

    def test_each_closing_begins_anew(self) -> None:
        """The first probe of the next outage comes after 0.1 s again."""
        state = closed()
        for now in (0.1, 0.3):
            state.begin(now)
        state.gate.answered(state.begin(0.7))
        assert state.at(0.7).is_open
        fail(state, 1.0)
        assert 1.1 == pytest.approx(state.gate.opens_at())

    def test_any_answer_opens(self) -> None:
        """That of an attempt from before the closing as well."""
        state = Steps(2)
        late = state.begin(0.0)
        fail(state, 0.0, 2)
        state.gate.answered(late)
        assert (True, 2) == (state.at(5.0).is_open, state.gate.width)

    def test_attempts_of_before_take_no_room_after(self) -> None:
        """They may hang until their time is up."""
        state = Steps(4)
        hanging = [state.begin(0.0) for _ in range(4)]
        for ticket in hanging[:3]:
            state.at(10.0).failed(ticket)
        probes = [state.begin(10.1 + 0.4 * n) for n in range(5)]
        state.gate.answered(probes[4])
        assert (2, 0) == (state.gate.width, state.gate.under_way)
        new = [state.begin(12.0), state.begin(12.0)]
        assert not state.may_begin(12.0)
        for ticket in [hanging[3], *probes[:4]]:
            state.at(13.0).failed(ticket)
        assert (2, False) == (state.gate.width, state.may_begin(13.0))
        state.gate.cut_off(new[0])
        assert state.may_begin(13.0)

    def test_what_an_answer_overtook_takes_no_room_either(self) -> None:
        """Where failures narrowed the gate, and one of the attempts that hang did not close it."""
        state = Steps(8)
        hanging = [state.begin(0.0) for _ in range(6)]
        late, later = state.begin(9.0), state.begin(9.5)
        state.at(10.0).failed(hanging[0])
        assert (4, 7, False) == (state.gate.width, state.gate.under_way, state.may_begin(10.0))
        state.gate.answered(late)
        assert (5, 1, True) == (state.gate.width, state.gate.under_way, state.may_begin(10.0))
        for ticket in hanging[1:]:
            state.at(11.0).failed(ticket)
        assert (5, 1) == (state.gate.width, state.gate.under_way)
        state.gate.cut_off(later)
        assert 0 == state.gate.under_way

    def test_in_a_gate_that_is_not_too_full_they_count(self) -> None:
        """Slow attempts are not more than the width allows."""
        state = Steps(3)
        slow = [state.begin(0.0), state.begin(0.0)]
        state.gate.answered(state.begin(0.0))
        assert (3, 2) == (state.gate.width, state.gate.under_way)
        state.gate.cut_off(slow[0])
        assert 1 == state.gate.under_way


class TestHold:
    """`Retry-After`, for the whole session."""

    def test_nobody_begins_before_its_end(self) -> None:
        """Then as many as before."""
        state = Steps(4)
        state.at(0.0).hold(2.0, LIMITED)
        assert [False, False, True] == [state.may_begin(now) for now in (0.0, 1.9, 2.0)]
        assert [2.0, 0.5, 0.0] == [state.at(now).seconds_held for now in (0.0, 1.5, 2.0)]
        assert [False, True] == [state.at(now).is_open for now in (1.9, 2.0)]
        assert (2.0, 4) == (state.gate.opens_at(), state.gate.width)

    @pytest.mark.parametrize("seconds", [60.5, 999_999.0, float("inf")])
    def test_sixty_seconds_are_the_most(self, seconds: float) -> None:
        """Whatever the server asks for."""
        state = Steps(4)
        state.at(5.0).hold(seconds, LIMITED)
        assert (False, True) == (state.may_begin(64.9), state.may_begin(65.0))

    @pytest.mark.parametrize("seconds", [0.0, -3.0, 1.0, 1.9])
    def test_a_shorter_one_does_not_shorten_it(self, seconds: float) -> None:
        """The longest holds."""
        state = Steps(4)
        state.at(0.0).hold(2.0, LIMITED)
        state.at(0.0).hold(seconds, LIMITED)
        assert 2.0 == state.at(0.0).seconds_held

    def test_none_at_all_closes_nothing(self) -> None:
        """Zero seconds are no pause."""
        state = Steps(4)
        state.at(0.0).hold(0.0, LIMITED)
        assert state.at(0.0).is_open

    def test_probes_wait_for_its_end(self) -> None:
        """The first comes as soon as it is over."""
        state = closed()
        state.at(0.0).hold(2.0, LIMITED)
        assert [False, False, True] == [state.may_begin(now) for now in (0.1, 1.9, 2.0)]
        assert 2.0 == state.gate.opens_at()

    def test_an_answer_does_not_end_it(self) -> None:
        """Another part of Golem may have given it."""
        state = closed()
        ticket = state.begin(0.1)
        state.at(0.1).hold(2.0, LIMITED)
        state.gate.answered(ticket)
        assert (False, True) == (state.at(0.2).is_open, state.at(2.1).is_open)

    def test_how_long(self) -> None:
        """An outage after a pause counts from its own beginning; one within it does not."""
        state = Steps(1)
        state.at(10.0).hold(2.0, LIMITED)
        fail(state, 11.0)
        assert 2.0 == state.at(12.0).seconds_down
        state.gate.answered(state.begin(12.0))
        fail(state, 3600.0)
        assert 5.0 == state.at(3605.0).seconds_down

    def test_a_full_gate_waits_for_a_place_not_for_a_time(self) -> None:
        """After a pause as before it."""
        state = Steps(1)
        state.begin(0.0)
        state.at(0.0).hold(1.0, LIMITED)
        assert state.gate.opens_at() is None


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    loop = VirtualTimeLoop()
    yield loop
    loop.close()


@attrs.define(eq=False)
class Caller:
    """A call at the gate: it waits, then it has a ticket until somebody ends its attempt."""

    number: int
    deadline: float
    task: asyncio.Task[None]
    ticket: Ticket | None = None
    is_late: bool = False
    held: HeldError | None = None


class Traffic:
    """Calls at a gate, in virtual time."""

    def __init__(self, loop: VirtualTimeLoop, width: int) -> None:
        self.loop = loop
        self.gate = Gate(loop, width)
        self.callers: list[Caller] = []
        self.entered: list[int] = []

    def run(self, seconds: float = 0.0) -> None:
        """Let time pass; without any, let happen what can happen now."""
        self.loop.run_until_complete(_sleep_a_little(seconds))

    def call(self, timeout: float = 1e6, *, is_return: bool = False) -> Caller:
        """Begin a call, which tries to enter as the client does."""
        number, deadline = len(self.callers), self.loop.now + timeout
        caller = Caller(number, deadline, self.loop.create_task(self._enter(number, is_return)))
        self.callers.append(caller)
        return caller

    async def _enter(self, number: int, is_return: bool) -> None:
        caller = self.callers[number]
        ticket = self.gate.try_enter(self.loop.now)
        try:
            if ticket is None:
                async with asyncio.timeout_at(caller.deadline):
                    ticket = await self.gate.enter(caller.deadline, is_return=is_return)
        except TimeoutError:
            caller.is_late = True
        except HeldError as held:
            caller.held = held
        else:
            caller.ticket = ticket
            self.entered.append(number)

    @property
    def waiting(self) -> list[Caller]:
        return [caller for caller in self.callers if not caller.task.done()]

    @property
    def under_way(self) -> list[Caller]:
        return [caller for caller in self.callers if caller.ticket is not None]

    def end(self, caller: Caller, how: Callable[[Ticket], None]) -> None:
        ticket, caller.ticket = caller.ticket, None
        assert ticket is not None
        how(ticket)

    def close_gate(self) -> None:
        """Fail until the gate is closed."""
        while not self.gate.is_down:
            caller = self.call()
            self.run()
            self.end(caller, self.gate.failed)

    def cancel_all(self) -> None:
        for caller in self.waiting:
            caller.task.cancel()
        self.run()


async def _sleep_a_little(seconds: float) -> None:
    await asyncio.sleep(seconds)
    for _ in range(4):
        await asyncio.sleep(0)


class TestWaiting:
    """Who is let through when."""

    def test_first_come_first_served(self, loop: VirtualTimeLoop) -> None:
        """One at a time, in the order of arrival."""
        traffic = Traffic(loop, 1)
        callers = [traffic.call() for _ in range(5)]
        for caller in callers:
            traffic.run()
            traffic.end(caller, traffic.gate.answered)
        assert [0, 1, 2, 3, 4] == traffic.entered

    def test_nobody_overtakes_those_who_wait(self, loop: VirtualTimeLoop) -> None:
        """A place that is free belongs to the first in line, who has not run yet."""
        traffic = Traffic(loop, 1)
        first, _ = traffic.call(), traffic.call()
        traffic.run()
        traffic.end(first, traffic.gate.cut_off)
        assert traffic.gate.try_enter(loop.now) is None
        traffic.run()
        assert [0, 1] == traffic.entered

    def test_nor_where_the_time_has_come_and_they_have_not_been_woken(
        self, loop: VirtualTimeLoop
    ) -> None:
        """A pause is over, and a new call comes before the timer has run."""
        traffic = Traffic(loop, 1)
        traffic.gate.hold(2.0, LIMITED)
        traffic.call()
        traffic.run()
        loop.now += 3.0
        assert traffic.gate.may_begin(loop.now)
        assert traffic.gate.try_enter(loop.now) is None
        traffic.run()
        assert [0] == traffic.entered

    def test_those_who_failed_go_first_once_it_is_open(self, loop: VirtualTimeLoop) -> None:
        """They are older."""
        traffic = Traffic(loop, 1)
        busy = traffic.call()
        traffic.run()
        traffic.call()
        traffic.call(is_return=True)
        traffic.run()
        traffic.end(busy, traffic.gate.answered)
        traffic.run()
        assert [0, 2] == traffic.entered
        traffic.cancel_all()

    def test_those_who_failed_probe_last(self, loop: VirtualTimeLoop) -> None:
        """A promise that always fails must not be the only one that probes."""
        traffic = Traffic(loop, 8)
        traffic.close_gate()
        closing = len(traffic.entered)
        returned, fresh = traffic.call(is_return=True), traffic.call()
        traffic.run(0.15)
        assert [fresh.number] == traffic.entered[closing:]
        traffic.run(0.25)
        assert [fresh.number, returned.number] == traffic.entered[closing:]

    def test_probes_come_by_themselves(self, loop: VirtualTimeLoop) -> None:
        """Nobody has to end for the next to begin."""
        traffic = Traffic(loop, 8)
        traffic.close_gate()
        began, closing = loop.now, len(traffic.entered)
        times: list[float] = []
        for _ in range(5):
            traffic.call()
        while len(traffic.entered) < closing + 5 and loop.now < began + 60:
            before = len(traffic.entered)
            traffic.run(0.01)
            times += [loop.now - began] * (len(traffic.entered) - before)
        assert times == pytest.approx([0.1, 0.3, 0.7, 1.1, 1.5], abs=0.03)

    def test_a_probe_waits_for_a_slot(self, loop: VirtualTimeLoop) -> None:
        """Attempts that hang keep theirs; the next probe goes as soon as one has ended."""
        traffic = Traffic(loop, 1)
        traffic.close_gate()
        first, _ = traffic.call(), traffic.call()
        traffic.run(5.0)
        assert [0, 1] == traffic.entered
        traffic.end(first, traffic.gate.failed)
        traffic.run()
        assert [0, 1, 2] == traffic.entered

    def test_who_ignores_it_waits_for_a_slot_alone(self, loop: VirtualTimeLoop) -> None:
        """Neither an outage nor a pause is anything to it; a full house is."""
        traffic = Traffic(loop, 2)
        traffic.close_gate()
        traffic.gate.hold(2.0, LIMITED)
        tickets = [traffic.gate.try_enter(loop.now, ignores=True) for _ in range(3)]
        assert [True, True, False] == [ticket is not None for ticket in tickets]
        assert tickets[0] is not None
        entering = loop.create_task(traffic.gate.enter(loop.now + 9.0, ignores=True))
        traffic.run()
        assert not entering.done()
        traffic.gate.cut_off(tickets[0])
        traffic.run()
        assert entering.done()
        assert 0 == traffic.gate.free

    def test_after_a_hold_all_go_on_by_themselves(self, loop: VirtualTimeLoop) -> None:
        """At its end, and not before."""
        traffic = Traffic(loop, 4)
        traffic.gate.hold(2.0, LIMITED)
        for _ in range(6):
            traffic.call()
        traffic.run(1.9)
        assert [] == traffic.entered
        traffic.run(0.2)
        assert [0, 1, 2, 3] == traffic.entered
        traffic.cancel_all()

    def test_pressure_tells_it_all(self, loop: VirtualTimeLoop) -> None:
        """Open, width, waiting, for how long."""
        traffic = Traffic(loop, 2)
        assert (True, 2, 0, 0.0) == attrs.astuple(traffic.gate.pressure())
        traffic.close_gate()
        traffic.call()
        traffic.call(is_return=True)
        traffic.run(0.05)
        pressure = traffic.gate.pressure()
        assert (False, 1, 2) == (pressure.open, pressure.width, pressure.waiting)
        assert 0.05 == pytest.approx(pressure.seconds_down)
        traffic.cancel_all()
        assert 0 == traffic.gate.pressure().waiting


class TestLeaving:
    """A call that is cancelled, at any point."""

    def test_in_the_line(self, loop: VirtualTimeLoop) -> None:
        """The next one takes its turn."""
        traffic = Traffic(loop, 1)
        callers = [traffic.call() for _ in range(3)]
        traffic.run()
        callers[1].task.cancel()
        traffic.run()
        assert 1 == traffic.gate.pressure().waiting
        traffic.end(callers[0], traffic.gate.answered)
        traffic.run()
        assert [0, 2] == traffic.entered

    def test_between_being_let_through_and_running_on(self, loop: VirtualTimeLoop) -> None:
        """Its place goes to the next."""
        traffic = Traffic(loop, 1)
        callers = [traffic.call() for _ in range(3)]
        traffic.run()
        traffic.end(callers[0], traffic.gate.answered)
        callers[1].task.cancel()
        traffic.run()
        assert [0, 2] == traffic.entered

    def test_just_before_being_let_through(self, loop: VirtualTimeLoop) -> None:
        """It is passed over."""
        traffic = Traffic(loop, 1)
        callers = [traffic.call() for _ in range(3)]
        traffic.run()
        callers[1].task.cancel()
        traffic.end(callers[0], traffic.gate.answered)
        traffic.run()
        assert [0, 2] == traffic.entered

    def test_as_the_only_probe(self, loop: VirtualTimeLoop) -> None:
        """The next probe comes all the same."""
        traffic = Traffic(loop, 1)
        traffic.close_gate()
        probe, _ = traffic.call(), traffic.call()
        traffic.run(0.15)
        traffic.end(probe, traffic.gate.cut_off)
        traffic.run(0.2)
        assert [0, 1, 2] == traffic.entered

    def test_while_it_is_refused(
        self, loop: VirtualTimeLoop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nobody hears of the refusal, and asyncio does not complain."""
        traffic = Traffic(loop, 1)
        traffic.call()
        waiter = traffic.call(timeout=5.0)
        traffic.run()
        traffic.gate.hold(30.0, LIMITED)
        waiter.task.cancel()
        traffic.run()
        assert waiter.task.cancelled()
        assert 0 == traffic.gate.pressure().waiting
        assert [] == [record for record in caplog.records if record.name == "asyncio"]

    def test_thousands_at_once(self, loop: VirtualTimeLoop) -> None:
        """Each in constant time."""
        traffic = Traffic(loop, 1)
        for _ in range(5000):
            traffic.call()
        traffic.run()
        traffic.cancel_all()
        assert 0 == traffic.gate.pressure().waiting


class TestRefusing:
    """Calls whose deadline a `Retry-After` outlasts."""

    def test_those_who_wait_and_those_who_come(self, loop: VirtualTimeLoop) -> None:
        """At once, with the answer that asked for it; the others wait."""
        traffic = Traffic(loop, 1)
        traffic.call()
        waiting = [traffic.call(timeout=5.0), traffic.call(timeout=50.0)]
        traffic.run()
        traffic.gate.hold(30.0, LIMITED)
        traffic.run(1.0)
        late = [traffic.call(timeout=5.0), traffic.call(timeout=50.0)]
        traffic.run()
        held = [caller.held for caller in (*waiting, *late)]
        assert [True, False, True, False] == [each is not None for each in held]
        assert [30.0, 29.0] == [each.seconds for each in held if each is not None]
        assert {RateLimitedError} == {type(each.cause) for each in held if each is not None}
        assert 2 == traffic.gate.pressure().waiting
        traffic.cancel_all()

    def test_a_call_that_comes_back_too(self, loop: VirtualTimeLoop) -> None:
        """Whichever line it stands in."""
        traffic = Traffic(loop, 1)
        traffic.call()
        waiter = traffic.call(timeout=5.0, is_return=True)
        traffic.run()
        traffic.gate.hold(30.0, LIMITED)
        traffic.run()
        assert waiter.held is not None

    def test_the_answer_that_asks_for_most_is_named(self, loop: VirtualTimeLoop) -> None:
        """A later one that asks for less does not take its place."""
        traffic = Traffic(loop, 1)
        traffic.gate.hold(30.0, LIMITED)
        traffic.gate.hold(1.0, ServerError("away", 503))
        caller = traffic.call(timeout=5.0)
        traffic.run()
        assert caller.held is not None
        assert RateLimitedError is type(caller.held.cause)

    def test_later_notes_of_the_first_call_are_its_own(self, loop: VirtualTimeLoop) -> None:
        """The gate keeps the answer as it came."""
        error = RateLimitedError("slow down", 429)
        traffic = Traffic(loop, 1)
        traffic.gate.hold(30.0, error)
        error.add_note("before it, once: another answer")
        caller = traffic.call(timeout=5.0)
        traffic.run()
        assert caller.held is not None
        assert not hasattr(caller.held.cause, "__notes__")

    def test_after_the_pause_nobody_is_refused(self, loop: VirtualTimeLoop) -> None:
        """Its answer is forgotten."""
        traffic = Traffic(loop, 1)
        traffic.gate.hold(1.0, LIMITED)
        traffic.run(1.1)
        traffic.call()
        waiter = traffic.call(timeout=0.5)
        traffic.run(0.1)
        assert waiter in traffic.waiting
        traffic.cancel_all()


class TestDozing:
    """Calls that sleep between two attempts."""

    @staticmethod
    def woken_after(loop: VirtualTimeLoop, gate: Gate, then: Callable[[], None]) -> float:
        """Doze ten seconds with thirty left; do something after one; return the time slept."""

        async def doze() -> float:
            began = loop.now
            loop.call_later(1.0, then)
            await gate.doze(10.0, began + 30.0)
            return loop.now - began

        return loop.run_until_complete(doze())

    def test_they_sleep_their_time(self, loop: VirtualTimeLoop) -> None:
        """Where nothing happens."""
        assert 10.0 == pytest.approx(self.woken_after(loop, Gate(loop, 2), lambda: None))

    def test_they_wake_when_the_way_is_free(self, loop: VirtualTimeLoop) -> None:
        """By the first answer after an outage."""
        traffic = Traffic(loop, 1)
        traffic.close_gate()
        gate, ticket = traffic.gate, Ticket(0)
        assert 1.0 == pytest.approx(self.woken_after(loop, gate, lambda: gate.answered(ticket)))

    def test_an_answer_as_any_other_wakes_nobody(self, loop: VirtualTimeLoop) -> None:
        """Their own back-off is for their own promises."""
        gate, ticket = Gate(loop, 2), Ticket(0)
        assert 10.0 == pytest.approx(self.woken_after(loop, gate, lambda: gate.answered(ticket)))

    @pytest.mark.parametrize(("seconds", "slept"), [(60.0, 1.0), (20.0, 10.0)])
    def test_they_wake_to_be_refused(
        self, loop: VirtualTimeLoop, seconds: float, slept: float
    ) -> None:
        """Where a `Retry-After` outlasts their deadline, and only there."""
        gate = Gate(loop, 2)
        taken = self.woken_after(loop, gate, lambda: gate.hold(seconds, LIMITED))
        assert slept == pytest.approx(taken)

    def test_one_that_is_cancelled_is_forgotten(self, loop: VirtualTimeLoop) -> None:
        """And its alarm with it."""
        gate = Gate(loop, 2)
        task = loop.create_task(gate.doze(10.0, 1e9))
        loop.run_until_complete(_sleep_a_little(0.0))
        task.cancel()
        loop.run_until_complete(_sleep_a_little(0.0))
        assert task.cancelled()
        assert not gate._dozing


class TestLog:
    """One line when it closes, one when it opens."""

    @pytest.fixture(autouse=True)
    def _all_levels(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "golem_client")

    def test_an_outage_is_two_lines(
        self, loop: VirtualTimeLoop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """However many fail meanwhile."""
        traffic = Traffic(loop, 4)
        traffic.close_gate()
        for _ in range(5):
            caller = traffic.call()
            traffic.run(0.5)
            traffic.end(caller, traffic.gate.failed)
        caller = traffic.call()
        traffic.run(0.5)
        for _ in range(3):
            traffic.end(caller, traffic.gate.answered)
            caller = traffic.call()
            traffic.run()
        assert [logging.WARNING] * 2 == [record.levelno for record in caplog.records]
        assert [
            "Golem is down or overloaded: calls wait, and single attempts probe",
            "Golem answers again, after 3 s",
        ] == caplog.messages

    def test_a_pause_is_one_line(
        self, loop: VirtualTimeLoop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With its length; one that changes nothing is not logged."""
        gate = Gate(loop, 4)
        gate.hold(90.0, LIMITED)
        gate.hold(1.0, LIMITED)
        assert ["the server asks all calls to wait for 60 s"] == caplog.messages


class GateMachine(RuleBasedStateMachine):
    """Calls come, leave, fail, are answered and are cancelled, in any order, at any time."""

    @initialize(width=st.integers(1, 5))
    def begin(self, width: int) -> None:
        self.loop = VirtualTimeLoop()
        self.width = width
        self.traffic = Traffic(self.loop, width)
        self.held_until = 0.0
        self.entered_before = 0

    @rule(timeout=st.sampled_from([0.05, 1.0, 10.0, 1e6]), is_return=st.booleans())
    def come(self, timeout: float, *, is_return: bool) -> None:
        self.traffic.call(timeout, is_return=is_return)

    @precondition(lambda self: self.traffic.under_way)
    @rule(data=st.data(), how=st.sampled_from(["answered", "failed", "failed", "cut_off"]))
    def end(self, data: st.DataObject, how: str) -> None:
        caller = data.draw(st.sampled_from(self.traffic.under_way))
        self.traffic.end(caller, getattr(self.traffic.gate, how))

    @precondition(lambda self: self.traffic.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.traffic.waiting)).task.cancel()

    @rule(seconds=st.sampled_from([0.0, 0.5, 5.0, 999_999.0]))
    def hold(self, seconds: float) -> None:
        self.traffic.run()
        self.traffic.gate.hold(seconds, LIMITED)
        self.held_until = max(self.held_until, self.loop.now + min(seconds, 60.0))
        self.entered_before = len(self.traffic.entered)

    @rule(seconds=st.sampled_from([0.3, 50.0, 1e5]))
    def jump(self, seconds: float) -> None:
        self.loop.now += seconds

    @rule(seconds=st.sampled_from([0.0, 0.0, 0.1, 0.4, 3.0]))
    def wait(self, seconds: float) -> None:
        """Without it, several things happen before any task runs on."""
        self.traffic.run(seconds)
        traffic, gate, now = self.traffic, self.gate, self.loop.now
        if now < self.held_until:
            assert self.entered_before == len(traffic.entered)
        assert [] == [caller for caller in traffic.waiting if caller.deadline < now - 0.001]
        assert len(traffic.waiting) == gate.pressure().waiting
        assert self.width == gate.free + len(traffic.under_way)
        tickets = [caller.ticket for caller in traffic.under_way if caller.ticket is not None]
        assert set(gate._counted) <= set(tickets)
        if traffic.waiting and gate.is_open:
            assert gate.under_way >= gate.width

    @invariant()
    def no_width_beyond(self) -> None:
        assert 1 <= self.gate.width <= self.width
        if not self.gate.is_down:
            assert 0 <= self.gate.under_way <= self.width

    @invariant()
    def each_attempt_has_a_slot(self) -> None:
        """Who has been let through has one before its task runs on: see `wait`."""
        assert self.width >= self.traffic.gate.free + len(self.traffic.under_way)

    @property
    def gate(self) -> Gate:
        return self.traffic.gate

    def teardown(self) -> None:
        """Golem is back: everybody is let through soon, and the gate is open."""
        if not hasattr(self, "traffic"):
            return
        traffic = self.traffic
        for _ in range(400):
            traffic.run(0.4)
            for caller in traffic.under_way:
                traffic.end(caller, traffic.gate.answered)
            if not traffic.waiting and self.loop.now > self.held_until:
                break
        assert [] == traffic.waiting
        probe = traffic.call()
        traffic.run(1.0)
        traffic.end(probe, traffic.gate.answered)
        assert traffic.gate.pressure().open
        assert 0 == traffic.gate.under_way
        self.loop.close()


GateMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestGateMachine = GateMachine.TestCase
