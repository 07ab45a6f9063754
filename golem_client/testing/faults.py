"""What can go wrong between a client and Golem, as data, and how a test orders it.

There is one mechanism: a fault says how often Golem takes the request in, when, what the client
gets instead of Golem's answer, how much of it, and what becomes of the connection. Everything that
a test can order from a FakeGolem is a value of these fields.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from golem_client.testing.dialects import GOLEMS_OWN
from golem_client.testing.messages import Answer, Delivery, Ending, made_up, proxys_page
from golem_client.testing.promises import PromiseKey
from golem_client.testing.routes import Installation

_TRUE, _FALSE = (Answer.json(200, stored) for stored in (True, False))
_POD_LOST = "Failed to connect to pod: The operation was cancelled operation was canceled"


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that goes wrong: give it to `FakeGolem.fault_next`.

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


NO_FAULT = Fault(name="none")


def _cut(name: str, ending: Ending, *, applied: bool) -> Fault:
    return Fault(name=name, takes=int(applied), keep=0, ending=ending)


def _truncated(by: int, *, applied: bool) -> Fault:
    if by < 1:
        raise ValueError(f"by is the number of bytes that are missing, and {by} is none")
    answer = None if applied else proxys_page(502)
    return Fault(name="truncate", takes=int(applied), answer=answer, keep=-by, ending=Ending.CLOSE)


def _answered(name: str, answer: Answer, *, applied: bool) -> Fault:
    return Fault(name=name, takes=int(applied), answer=answer)


ECHO = Fault(name="echo", takes=2)

WEATHER: tuple[Fault, ...] = (
    *(_cut("drop", Ending.CLOSE, applied=applied) for applied in (True, False)),
    *(_cut("reset", Ending.RESET, applied=applied) for applied in (True, False)),
    *(_truncated(2, applied=applied) for applied in (True, False)),
    ECHO,
    _answered("html", proxys_page(502), applied=False),
    _answered("html", proxys_page(503), applied=False),
    _answered("html", proxys_page(504), applied=True),
)
"""What a random schedule draws from unless it is told otherwise: all of it can be retried."""


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
        self.orders: list[FaultOrder] = []
        self._random_faults = RandomFaults()
        self._latency = Latency()
        self._requests: Counter[PromiseKey | None] = Counter()

    def change(self, to: RandomFaults | Latency) -> None:
        """Take these from now on, and count the requests of each promise anew."""
        if isinstance(to, Latency):
            self._latency = to
        else:
            self._random_faults = to
        self._requests.clear()

    def next_fault(self, key: PromiseKey | None, *, is_completed: bool = False) -> Fault:
        """Return what happens to the request that comes now; the oldest fitting order is first."""
        nth = self._requests[key]
        self._requests[key] += 1
        fault = self._random_faults.fault_for(str(key), nth)
        if not fault.can_meet(is_completed=is_completed):
            fault = NO_FAULT
        for order in self.orders:
            fits = order.pending and order.promise_key in (None, key)
            if fits and order.fault.can_meet(is_completed=is_completed):
                order.fired += 1
                fault = order.fault
                break
        latency = self._latency.delay_for(str(key), nth)
        return attrs.evolve(fault, delay=fault.delay + latency) if latency else fault


class FaultOrders:
    """The part of a fake Golem that takes orders for faults."""

    def __init__(self, golem: Installation) -> None:
        self._golem = golem
        self._plan = FaultPlan()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        raise NotImplementedError

    def drop_next(self, *, applied: bool, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Close the connection without a byte of an answer."""
        fault = _cut("drop", Ending.CLOSE, applied=applied)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def reset_next(self, *, applied: bool, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Reset the connection (RST) without a byte of an answer."""
        fault = _cut("reset", Ending.RESET, applied=applied)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def stall_next(self, *, applied: bool, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Answer nothing, and keep the connection open until the client closes it."""
        fault = _cut("stall", Ending.STALL, applied=applied)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def delay_next(
        self, seconds: float, *, applied: bool = True, promise_id: Any = None, times: int = 1
    ) -> FaultOrder:
        """Answer as Golem does, `seconds` late.

        With `applied=False` Golem takes the request in that late, too, even when its client is
        gone by then. So it can store this payload after that of the client's next attempt.
        """
        fault = Fault(name="delay", delay=seconds, late=not applied)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def truncate_next(
        self, *, by: int = 1, applied: bool = True, promise_id: Any = None, times: int = 1
    ) -> FaultOrder:
        """Close the connection before the last `by` bytes of the answer.

        It is Golem's answer with `applied=True`, a proxy's page without.
        """
        fault = _truncated(by, applied=applied)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def fail_next(
        self,
        status: int,
        *,
        applied: bool = False,
        body: str | bytes | Mapping[str, Any] | None = None,
        retry_after: float | str | None = None,
        headers: Mapping[str, str] | None = None,
        promise_id: Any = None,
        times: int = 1,
    ) -> FaultOrder:
        """Answer with a status.

        Args:
            status: The status.
            applied: Whether Golem stores the payload before.
            body: The body: text, bytes, or a mapping for JSON. The default is an error as this
                generation words it for the statuses that Golem itself has (400, 401, 403, 404,
                409, 422, 500), and the page of an nginx for every other.
            retry_after: `Retry-After`: seconds, or any text.
            headers: More headers; a `Content-Type` and a `Date` win over the fake's.
            promise_id: The promise whose requests are meant; None for any.
            times: The number of requests that it is to meet.
        """
        golems_own = self._golem.dialect.error if status in GOLEMS_OWN else None
        more = {} if retry_after is None else {"Retry-After": str(retry_after)}
        answer = made_up(status, body, {**more, **(headers or {})}, golems_own)
        fault = _answered(f"status {status}", answer, applied=applied)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def html_next(
        self, status: int = 502, *, applied: bool = False, promise_id: Any = None, times: int = 1
    ) -> FaultOrder:
        """Answer the HTML page of a proxy."""
        fault = _answered(f"html {status}", proxys_page(status), applied=applied)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def redirect_next(
        self,
        location: str | None = None,
        *,
        status: int = 302,
        applied: bool = False,
        promise_id: Any = None,
        times: int = 1,
    ) -> FaultOrder:
        """Redirect to the location; the default is a path of the fake's that answers 404."""
        where = f"{self.url}/elsewhere" if location is None else location
        answer = attrs.evolve(proxys_page(status), headers={"Location": where})
        fault = _answered(f"redirect {status}", answer, applied=applied)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def raw_next(
        self, data: bytes, *, applied: bool = False, promise_id: Any = None, times: int = 1
    ) -> FaultOrder:
        """Send these bytes in place of an answer, and close the connection."""
        takes = int(applied)
        fault = Fault(name="raw bytes", takes=takes, answer=data, ending=Ending.CLOSE)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def echo_next(self, *, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Let Golem itself send the request twice, as its routing may do.

        The answer is `false`, although this request stored the payload.
        """
        return self.fault_next(ECHO, promise_id=promise_id, times=times)

    def true_to_both_next(self, *, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Answer `true` to a completion that comes second, though its payload is not stored.

        Golem up to 1.5.7 on SQLite does that to callers who race. The order waits for a request
        whose promise is completed already, so that it can be given before either call.
        """
        fault = Fault(name="true to both", true_to_both=True)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def sleep_on_next(self, *, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Store the payload and answer `true`, and let the worker sleep on.

        `await_promise` does not return before a further completion of the promise arrives, which
        is answered `false`. Golem does so when an executor is killed right after its answer.
        """
        fault = Fault(name="sleep on", wakes=False)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def kill_executor_next(
        self,
        *,
        applied: bool,
        back_after: float | None = None,
        promise_id: Any = None,
        times: int = 1,
    ) -> FaultOrder:
        """Kill the executor while it has the request.

        Args:
            applied: Whether the payload is stored before. A worker that awaits it is not woken.
            back_after: The seconds after which the executor is back. Golem itself then repeats
                the request, so the answer comes that late, and with `applied=True` it is `false`
                although this request stored the payload. None: a 500 is answered at once.
            promise_id: The promise whose requests are meant; None for any.
            times: The number of requests that it is to meet.
        """
        name, takes = "executor killed", int(applied)
        if back_after is None:
            answer = self._golem.dialect.error(500, _POD_LOST, "INTERNAL_ROUTING_FAILURE")
            fault = Fault(name=name, takes=takes, wakes=False, answer=answer)
        else:
            fault = Fault(name=name, takes=takes + 1, late=True, delay=back_after, wakes=False)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def fault_next(self, fault: Fault, *, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Order any fault; the other methods are shorthand for this one."""
        key = None if promise_id is None else self._golem.key(promise_id)
        order = FaultOrder(fault, key, times)
        self._plan.orders.append(order)
        return order

    def random_faults(
        self, rate: float, *, seed: int, faults: Sequence[Fault] | None = None
    ) -> None:
        """Let each completion meet one of the faults with a probability of `rate`.

        The same seed gives the same faults: what the n-th request of a promise meets depends on
        the seed, the promise and n alone. Faults on order go first.

        Args:
            rate: From 0 to 1; 0 ends it.
            seed: Any number.
            faults: The faults to choose from. The default is lost answers, broken ones and a
                proxy's pages, all of which a client survives if it repeats the request.
        """
        chosen = WEATHER if faults is None else tuple(faults)
        self._plan.change(RandomFaults(rate=rate, seed=seed, faults=chosen))

    def latency(self, seconds: float, *, jitter: float = 0.0, seed: int = 0) -> None:
        """Answer every completion `seconds` late, and up to `jitter` seconds more, at random.

        Golem takes the request in at once: only its answer is late.
        """
        self._plan.change(Latency(seconds=seconds, jitter=jitter, seed=seed))

    @property
    def pending_faults(self) -> tuple[FaultOrder, ...]:
        """The orders that fewer requests have met than they were given for."""
        return tuple(order for order in self._plan.orders if order.pending)

    def clear_faults(self) -> None:
        """Cancel all orders, random faults and latency."""
        self._plan = FaultPlan()
