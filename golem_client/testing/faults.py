"""What can go wrong between a client and Golem, as data.

There is one mechanism: a fault says how often Golem takes the request in, when, what the client
gets instead of Golem's answer, how much of it, and what becomes of the connection. Everything that
a test can order from a FakeGolem is a value of these fields.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from golem_client.testing.messages import Answer, Delivery, Ending, reason
from golem_client.testing.promises import PromiseKey

_TRUE, _FALSE = (Answer.json(200, stored) for stored in (True, False))


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        name: What it is, for the text of an assertion.
        takes: How often Golem takes the request in: 0 and nothing is applied, 1, or 2 for one
            that is repeated on the way. What Golem says last is its answer.
        delay: Seconds that pass before the client gets anything.
        late: Whether Golem takes the request in for the last time only after the delay.
        wakes: Whether a worker that awaits the promise is woken by what is taken in before the
            delay. If not, it sleeps on until another completion of the promise arrives.
        true_to_both: Whether `true` is answered where Golem says `false`. Such a fault waits for
            a request whose promise is completed already.
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
    answer: Answer | bytes | None = None
    keep: int | None = None
    ending: Ending = Ending.KEEP

    @property
    def applied(self) -> bool:
        """Whether Golem takes the request in before the client gets anything."""
        return self.takes > self.late

    def can_meet(self, *, is_completed: bool) -> bool:
        """Return whether it can meet a request for a promise that is completed, or is not."""
        return is_completed or not self.true_to_both

    def deliver(self, answer: Answer | None) -> Delivery:
        """Return what the client gets, given what Golem answered, if it was asked."""
        if self.true_to_both and answer == _FALSE:
            answer = _TRUE
        instead = answer if self.answer is None else self.answer
        if instead is None and self.keep is None:  # Golem itself never answers
            return Delivery(b"", ending=Ending.STALL)
        return Delivery(b"" if instead is None else instead, self.keep, self.ending)


POD_LOST = "Failed to connect to pod: The operation was cancelled operation was canceled"
"""What Golem 1.2 says of an executor that is killed in mid-call."""

NO_FAULT = Fault(name="none")


def dropped(*, applied: bool) -> Fault:
    """Return a connection that is closed without a byte of an answer."""
    return Fault(name="drop", takes=int(applied), keep=0, ending=Ending.CLOSE)


def reset(*, applied: bool) -> Fault:
    """Return a connection that is reset (RST) without a byte of an answer."""
    return Fault(name="reset", takes=int(applied), keep=0, ending=Ending.RESET)


def stalled(*, applied: bool) -> Fault:
    """Return a connection on which nothing comes, until the client leaves."""
    return Fault(name="stall", takes=int(applied), keep=0, ending=Ending.STALL)


def truncated(by: int, *, applied: bool) -> Fault:
    """Return an answer without its last bytes, after which the connection is closed.

    It is Golem's own where the request was applied, a proxy's where it was not.
    """
    if by < 1:
        raise ValueError(f"by is the number of bytes that are missing, and {by} is none")
    answer = None if applied else html_page(502)
    return Fault(name="truncate", takes=int(applied), answer=answer, keep=-by, ending=Ending.CLOSE)


def answered(
    answer: Answer | bytes, *, applied: bool, name: str = "answer", ending: Ending = Ending.KEEP
) -> Fault:
    """Return another's answer in place of Golem's."""
    return Fault(name=name, takes=int(applied), answer=answer, ending=ending)


def delayed(seconds: float, *, applied: bool) -> Fault:
    """Return Golem's own answer, late; a request not applied before is applied after."""
    return Fault(name="delay", delay=seconds, late=not applied)


def echoed() -> Fault:
    """Return Golem's answer to its own repetition of the request."""
    return Fault(name="echo", takes=2)


def true_to_both() -> Fault:
    """Return `true` for a completion that comes second."""
    return Fault(name="true to both", true_to_both=True)


def sleep_on() -> Fault:
    """Return Golem's own answer; the payload is stored, and the worker not woken."""
    return Fault(name="sleep on", wakes=False)


def killed(answer: Answer, *, applied: bool) -> Fault:
    """Return an executor that is killed, of which the worker service tells at once."""
    return Fault(name="executor killed", takes=int(applied), wakes=False, answer=answer)


def killed_and_back(seconds: float, *, applied: bool) -> Fault:
    """Return an executor that is killed, and asked again by Golem when it is back."""
    takes = 1 + int(applied)
    return Fault(name="executor killed", takes=takes, late=True, delay=seconds, wakes=False)


def html_page(status: int) -> Answer:
    """Return the page of an nginx before Golem."""
    title = f"{status} {reason(status)}".strip()
    lines = (
        "<html>",
        f"<head><title>{title}</title></head>",
        "<body>",
        f"<center><h1>{title}</h1></center>",
        "<hr><center>nginx</center>",
        "</body>",
        "</html>",
        "",
    )
    return Answer(status, "\r\n".join(lines).encode(), "text/html")


WEATHER: tuple[Fault, ...] = (
    dropped(applied=True),
    dropped(applied=False),
    reset(applied=True),
    reset(applied=False),
    truncated(2, applied=True),
    truncated(2, applied=False),
    echoed(),
    answered(html_page(502), applied=False, name="html"),
    answered(html_page(503), applied=False, name="html"),
    answered(html_page(504), applied=True, name="html"),
)
"""What a random schedule draws from unless it is told otherwise: all of it can be retried."""


@attrs.define(eq=False)
class FaultOrder:
    """A fault on order.

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
    """Faults from a seed.

    What the n-th request of a promise meets depends on the seed, the promise and n alone, however
    the requests of other promises lie between.
    """

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
    """A delay before each answer, with jitter from a seed, as reproducible as the faults."""

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
        self.random_faults = RandomFaults()
        self.latency = Latency()
        self.orders: list[FaultOrder] = []
        self._requests: Counter[PromiseKey | None] = Counter()

    def order(self, order: FaultOrder) -> FaultOrder:
        """Take an order; the oldest that fits a request is served first."""
        self.orders.append(order)
        return order

    def start_anew(self) -> None:
        """Count the requests of each promise from here on, as a schedule's n-th."""
        self._requests.clear()

    def next_fault(self, key: PromiseKey | None, *, is_completed: bool = False) -> Fault:
        """Return what happens to the request that comes now.

        It needs to know whether its promise is completed already: some faults wait for that.
        """
        nth = self._requests[key]
        self._requests[key] += 1
        fault = self._ordered(key, is_completed) or self._random(key, nth, is_completed)
        latency = self.latency.delay_for(str(key), nth)
        return attrs.evolve(fault, delay=fault.delay + latency) if latency else fault

    def _random(self, key: PromiseKey | None, nth: int, is_completed: bool) -> Fault:  # noqa: FBT001
        fault = self.random_faults.fault_for(str(key), nth)
        return fault if fault.can_meet(is_completed=is_completed) else NO_FAULT

    def _ordered(self, key: PromiseKey | None, is_completed: bool) -> Fault | None:  # noqa: FBT001
        for order in self.orders:
            if (
                order.pending
                and order.promise_key in (None, key)
                and order.fault.can_meet(is_completed=is_completed)
            ):
                order.fired += 1
                return order.fault
        return None


def retry_after(value: float | str | None) -> Mapping[str, str]:
    """Return the header that asks to wait: seconds, or any text."""
    return {} if value is None else {"Retry-After": str(value)}
