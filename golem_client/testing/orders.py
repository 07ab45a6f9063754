"""Faults on order: what a test asks a fake Golem to do wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from golem_client.testing import faults
from golem_client.testing.completion import Installation
from golem_client.testing.dialects import GOLEMS_OWN
from golem_client.testing.faults import (
    WEATHER,
    Fault,
    FaultOrder,
    FaultPlan,
    Latency,
    RandomFaults,
)
from golem_client.testing.messages import TEXT, Answer, Ending


class FaultOrders:
    """The part of a fake Golem that takes orders for faults.

    The methods named `…_next` order a fault for the next request that completes a promise, and
    return the order, which counts how often it has `fired`. With `promise_id=` it is for the
    requests of one promise, with `times=` for more than one request. `applied=` says whether
    Golem completes the promise before the fault: if so, only the answer is lost. Orders are
    served oldest first.
    """

    def __init__(self, golem: Installation) -> None:
        self._golem = golem
        self._plan = FaultPlan()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        raise NotImplementedError

    def drop_next(self, *, applied: bool, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Close the connection without a byte of an answer."""
        return self.fault_next(faults.dropped(applied=applied), promise_id=promise_id, times=times)

    def reset_next(self, *, applied: bool, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Reset the connection (RST) without a byte of an answer."""
        return self.fault_next(faults.reset(applied=applied), promise_id=promise_id, times=times)

    def stall_next(self, *, applied: bool, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Answer nothing, and keep the connection open until the client leaves."""
        return self.fault_next(faults.stalled(applied=applied), promise_id=promise_id, times=times)

    def delay_next(
        self, seconds: float, *, applied: bool = True, promise_id: Any = None, times: int = 1
    ) -> FaultOrder:
        """Answer as ever, `seconds` late.

        With `applied=False` Golem gets the request that late, even when its client has left
        meanwhile: it may come after the client's next attempt.
        """
        fault = faults.delayed(seconds, applied=applied)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def truncate_next(
        self, *, by: int = 1, applied: bool = True, promise_id: Any = None, times: int = 1
    ) -> FaultOrder:
        """Close the connection before the last `by` bytes of the answer.

        It is Golem's answer with `applied=True`, a proxy's page without.
        """
        fault = faults.truncated(by, applied=applied)
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
        """Answer a status.

        Args:
            status: The status.
            applied: Whether Golem completes the promise before.
            body: The body: text, bytes, or a mapping for JSON. By default one in the shape of
                this generation for a status that Golem itself answers, the page of an nginx for
                another.
            retry_after: `Retry-After`: seconds, or any text.
            headers: More headers; a `Content-Type` and a `Date` win over the fake's.
            promise_id: The promise whose requests are meant; None for any.
            times: The number of requests that it is to meet.
        """
        answer = self._failure(status, body)
        more = dict(answer.headers) | dict(faults.retry_after(retry_after)) | dict(headers or {})
        whole = Answer(answer.status, answer.body, answer.content_type, more)
        fault = faults.answered(whole, applied=applied, name=f"status {status}")
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def html_next(
        self, status: int = 502, *, applied: bool = False, promise_id: Any = None, times: int = 1
    ) -> FaultOrder:
        """Answer the HTML page of a proxy."""
        fault = faults.answered(faults.html_page(status), applied=applied, name=f"html {status}")
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
        """Redirect to the location, by default a path of the fake's that knows no request."""
        where = f"{self.url}/elsewhere" if location is None else location
        page = faults.html_page(status)
        answer = Answer(status, page.body, page.content_type, {"Location": where})
        fault = faults.answered(answer, applied=applied, name=f"redirect {status}")
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def raw_next(
        self, data: bytes, *, applied: bool = False, promise_id: Any = None, times: int = 1
    ) -> FaultOrder:
        """Send these bytes in place of an answer, and close the connection."""
        fault = faults.answered(data, applied=applied, name="raw bytes", ending=Ending.CLOSE)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def echo_next(self, *, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Let Golem's own routing repeat the request.

        It is then answered `false` although it is what stored the payload.
        """
        return self.fault_next(faults.echoed(), promise_id=promise_id, times=times)

    def true_to_both_next(self, *, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Answer `true` to the next completion that comes second, though its payload is not stored.

        Golem up to 1.5.7 on SQLite does that to callers who race. The order waits for a promise
        that is completed already, so it can be given before either call.
        """
        return self.fault_next(faults.true_to_both(), promise_id=promise_id, times=times)

    def sleep_on_next(self, *, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Store the payload and answer `true`, and let the worker sleep on.

        `await_promise` does not return before a further completion of the promise arrives, which
        is answered `false`. Golem does so when an executor is killed right after its answer.
        """
        return self.fault_next(faults.sleep_on(), promise_id=promise_id, times=times)

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
            back_after: None answers a 500 at once. A number of seconds lets Golem repeat the
                request itself when its executor is back: the answer comes that late, and is
                `true`, or with `applied=True` `false`, although this request stored the payload.
            promise_id: The promise whose requests are meant; None for any.
            times: The number of requests that it is to meet.
        """
        if back_after is None:
            answer = self._golem.dialect.error(500, faults.POD_LOST, "INTERNAL_ROUTING_FAILURE")
            fault = faults.killed(answer, applied=applied)
        else:
            fault = faults.killed_and_back(back_after, applied=applied)
        return self.fault_next(fault, promise_id=promise_id, times=times)

    def fault_next(self, fault: Fault, *, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Order any fault; the other methods are shorthand for this one."""
        key = None if promise_id is None else self._golem.key(promise_id)
        return self._plan.order(FaultOrder(fault, key, times))

    def random_faults(
        self, rate: float, *, seed: int, faults: Sequence[Fault] | None = None
    ) -> None:
        """Let each request meet one of the faults with a probability of `rate`.

        The same seed gives the same faults: what the n-th request of a promise meets depends on
        the seed, the promise and n alone. Faults on order go first.

        Args:
            rate: From 0 to 1; 0 ends it.
            seed: Any number.
            faults: The faults to choose from; by default lost, broken and foreign answers that a
                client can survive by repeating.
        """
        self._plan.random_faults = RandomFaults(
            rate=rate, seed=seed, faults=WEATHER if faults is None else tuple(faults)
        )
        self._plan.start_anew()

    def latency(self, seconds: float, *, jitter: float = 0.0, seed: int = 0) -> None:
        """Answer every completion `seconds` late, and up to `jitter` seconds more, at random.

        Golem takes the request in at once: only its answer is late.
        """
        self._plan.latency = Latency(seconds=seconds, jitter=jitter, seed=seed)
        self._plan.start_anew()

    @property
    def pending_faults(self) -> tuple[FaultOrder, ...]:
        """The orders that have not been served in full."""
        return tuple(order for order in self._plan.orders if order.pending)

    def clear_faults(self) -> None:
        """Cancel what is on order, random faults and latency."""
        self._plan.orders.clear()
        self._plan.random_faults = RandomFaults()
        self._plan.latency = Latency()

    def _failure(self, status: int, body: str | bytes | Mapping[str, Any] | None) -> Answer:
        match body:
            case None if status in GOLEMS_OWN:
                return self._golem.dialect.error(status)
            case None:
                return faults.html_page(status)
            case bytes():
                return Answer(status, body, "application/octet-stream")
            case str():
                return Answer(status, body.encode(), TEXT)
            case _:
                return Answer.json(status, dict(body))
