"""What can go wrong between a client and Golem, as data, and which request meets it.

There is one mechanism: a fault says how often Golem takes the request in, when, what the client
gets instead of Golem's answer, how much of it, and what becomes of the connection. Everything that
a test can order from a FakeGolem is a value of these fields.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs

from golem_client.testing.messages import Answer, Delivery, Ending, proxys_page
from golem_client.testing.promises import PromiseKey

_TRUE, _FALSE = (Answer.json(200, stored) for stored in (True, False))


def _check_answer(_: object, __: object, answer: Any) -> None:
    if not isinstance(answer, Answer | bytes | None):
        raise TypeError(f"an answer is an Answer or bytes, not {answer!r}")


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that goes wrong: give it to `FakeGolem.fault_next`.

    Attributes:
        name: What it is, for the text of an assertion.
        takes: How often Golem takes the request in: 0 and nothing is applied, 1, or 2 for one
            that is repeated on the way. Golem's answer is that to the last of them.
        delay: Seconds that pass before the client gets anything.
        late: Whether Golem takes the request in for the last time only after the delay.
        wakes: Whether a worker that awaits the promise is woken by what is taken in before the
            delay. If not, it sleeps on until another completion of the promise arrives.
        true_to_both: Whether the answer is `true` where Golem's would be `false`. Such a fault
            waits for a request whose promise is completed already.
        answer: What the client gets instead of Golem's answer; raw bytes are allowed. None
            leaves Golem's own.
        keep: The part of the answer's bytes that goes out, as in `wire[:keep]`.
        ending: What then becomes of the connection.
    """

    name: str
    takes: int = attrs.field(default=1, validator=attrs.validators.in_((0, 1, 2)))
    delay: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    late: bool = False
    wakes: bool = True
    true_to_both: bool = False
    answer: Answer | bytes | None = attrs.field(default=None, validator=_check_answer)
    keep: int | None = None
    ending: Ending = Ending.KEEP

    @property
    def applied(self) -> bool:
        """Whether Golem takes the request in before the client gets anything."""
        return self.takes > self.late

    def deliver(self, answer: Answer | None) -> Delivery:
        """Return what the client gets, given Golem's answer; None if there is none."""
        if self.true_to_both and answer == _FALSE:
            answer = _TRUE
        instead = answer if self.answer is None else self.answer
        if instead is None and self.keep is None:  # Golem itself never answers
            return Delivery(b"", ending=Ending.STALL)
        return Delivery(b"" if instead is None else instead, self.keep, self.ending)


NO_FAULT = Fault(name="none")


def lost(name: str, ending: Ending, *, applied: bool) -> Fault:
    """Return a fault in which the connection ends without a byte of an answer."""
    return Fault(name=name, takes=int(applied), keep=0, ending=ending)


def truncated(by: int, *, applied: bool) -> Fault:
    """Return a fault in which the answer lacks its end."""
    if by < 1:
        raise ValueError(f"by is the number of bytes that are missing: at least 1, not {by}")
    answer = None if applied else proxys_page(502)
    return Fault(name="truncate", takes=int(applied), answer=answer, keep=-by, ending=Ending.CLOSE)


def answered(name: str, answer: Answer, *, applied: bool) -> Fault:
    """Return a fault in which the client gets this answer."""
    return Fault(name=name, takes=int(applied), answer=answer)


ECHO = Fault(name="echo", takes=2)

WEATHER: tuple[Fault, ...] = (
    *(lost("drop", Ending.CLOSE, applied=applied) for applied in (True, False)),
    *(lost("reset", Ending.RESET, applied=applied) for applied in (True, False)),
    *(truncated(2, applied=applied) for applied in (True, False)),
    ECHO,
    answered("html", proxys_page(502), applied=False),
    answered("html", proxys_page(503), applied=False),
    answered("html", proxys_page(504), applied=True),
)
"""The faults of `random_faults` by default: a client survives each by repeating the request."""


@attrs.define(eq=False)
class FaultOrder:
    """A fault on order, as the methods named `…_next` return it.

    Attributes:
        fault: What goes wrong.
        promise_key: The promise that it is for; None for any.
        times: How often it is to happen.
        fired: How often it has happened.
    """

    fault: Fault
    promise_key: PromiseKey | None = None
    times: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    fired: int = attrs.field(default=0, init=False)

    @property
    def pending(self) -> int:
        """How often it is still to happen."""
        return self.times - self.fired

    def __str__(self) -> str:
        where = "any promise" if self.promise_key is None else f"promise {self.promise_key}"
        applied = "applied" if self.fault.applied else "not applied"
        return f"{self.fault.name} ({applied}) for {where}: fired {self.fired} of {self.times}"


@attrs.frozen(kw_only=True)
class RandomFaults:
    """Faults by chance, the same for the same seed, whatever other promises' requests come."""

    rate: float = attrs.field(
        default=0.0, validator=[attrs.validators.ge(0), attrs.validators.le(1)]
    )
    seed: int = 0
    faults: Sequence[Fault] = WEATHER

    def fault_for(self, promise: str, nth: int) -> Fault:
        """Return what the n-th request of the promise meets."""
        dice = _dice(self.seed, promise, nth)
        return dice.choice(self.faults) if dice.random() < self.rate else NO_FAULT


@attrs.frozen(kw_only=True)
class Latency:
    """A delay before each answer, with jitter from a seed."""

    seconds: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    jitter: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    seed: int = 0

    def delay_for(self, promise: str, nth: int) -> float:
        """Return the seconds before the answer to the n-th request of the promise."""
        if not self.jitter:
            return self.seconds
        return self.seconds + self.jitter * _dice(self.seed, promise, nth).random()


def _dice(seed: int, promise: str, nth: int) -> random.Random:
    return random.Random(f"{seed}/{promise}/{nth}")  # noqa: S311 - dice for a test


class FaultPlan:
    """Which fault meets which request: first what is on order, then what chance brings."""

    def __init__(self) -> None:
        self.orders: list[FaultOrder] = []
        self._random_faults = RandomFaults()
        self._latency = Latency()
        self._requests: Counter[PromiseKey] = Counter()

    def change(self, to: RandomFaults | Latency) -> None:
        """Take these from now on, and count the requests of each promise anew."""
        if isinstance(to, Latency):
            self._latency = to
        else:
            self._random_faults = to
        self._requests.clear()

    def next_fault(self, key: PromiseKey, *, is_completed: bool = False) -> Fault:
        """Return what happens to the request that comes now; the oldest fitting order is first."""
        nth = self._requests[key]
        self._requests[key] += 1
        fault = self._random_faults.fault_for(str(key), nth)
        if fault.true_to_both and not is_completed:
            fault = NO_FAULT
        for order in self.orders:
            fits = order.pending and order.promise_key in (None, key)
            if fits and (is_completed or not order.fault.true_to_both):
                order.fired += 1
                fault = order.fault
                break
        latency = self._latency.delay_for(str(key), nth)
        return attrs.evolve(fault, delay=fault.delay + latency) if latency else fault
