"""What a test does with a fake Golem, apart from the network and from waiting.

One class over a store of promises, a table of Golem's generations and a list of faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import attrs

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.testing import worker_json
from golem_client.testing.dialects import WELL_KNOWN_TOKEN, dialect_for
from golem_client.testing.faults import (
    ECHO,
    WEATHER,
    Fault,
    FaultOrder,
    FaultPlan,
    Latency,
    RandomFaults,
    answered,
    lost,
    truncated,
)
from golem_client.testing.fixed_methods import FixedMethods
from golem_client.testing.messages import Ending, ReceivedRequest, proxys_page, shown
from golem_client.testing.promises import PromiseKey, WorkerKey, checked_bytes
from golem_client.testing.routes import Installation
from golem_client.testing.server import HOST

USUAL_COMPONENT = UUID("679ae459-8700-41d9-920c-7e2887459c94")
"""The component of promises for which a test names none. It is deployed from the start."""

_POD_LOST = "Failed to connect to pod: The operation was cancelled operation was canceled"


class Golem(FixedMethods):
    """What `FakeGolem` and `BlockingFakeGolem` have in common; use one of these."""

    def __init__(self, *, dialect: str = "1.5", token: str = WELL_KNOWN_TOKEN) -> None:
        self._golem = Installation(dialect_for(dialect, token), token)
        self._golem.promises.components.add(USUAL_COMPONENT)
        self._plan = FaultPlan()
        self._received: dict[int, ReceivedRequest] = {}
        self._host, self._port = HOST, 0
        self._closed = False

    @property
    def dialect(self) -> str:
        """The generation of Golem that it plays."""
        return self._golem.dialect.name

    @property
    def url(self) -> str:
        """The base URL for a client, without a slash at its end."""
        if not self._port:
            raise RuntimeError("a FakeGolem has a URL only within its `with` or `async with`")
        host = {"0.0.0.0": HOST, "::": "::1"}.get(self._host, self._host)  # noqa: S104
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    @property
    def token(self) -> str:
        """The token that it knows."""
        return self._golem.token

    def create_promise(
        self,
        *,
        worker_name: str | None = None,
        component_id: ComponentId | UUID | str | None = None,
        oplog_idx: int | None = None,
    ) -> PromiseId:
        """Create a promise, its worker and its component if they are not there; return its id.

        Args:
            worker_name: The worker; by default always the same, with a name as workers of this
                generation have.
            component_id: The component; by default always the same.
            oplog_idx: Where in the worker's oplog the promise is created; by default after the
                last. A promise that exists is returned as it is, as in a replay.

        Raises:
            ValueError: This generation does not accept the worker's name, or no id can hold it.
        """
        dialect, promises = self._golem.dialect, self._golem.promises
        name = dialect.usual_name if worker_name is None else worker_name
        dialect.check_name(name)
        worker = WorkerKey(_component(component_id), name)
        if oplog_idx is None:
            dialect = self._golem.dialect
            oplog_idx = promises.next_idx(worker, dialect.first_oplog_idx, dialect.oplog_step)
        promise_id = PromiseId(WorkerId(ComponentId(worker.component), name), oplog_idx)
        promises.create(PromiseKey.of(promise_id))
        return promise_id

    def complete_promise(self, promise_id: Any, payload: bytes) -> bool:
        """Complete the promise from within a worker; return whether this payload is stored.

        Raises:
            LookupError: There is no such promise.
            TypeError: The payload is not bytes.
        """
        content = checked_bytes(payload, "complete_promise_json")
        return self._golem.promises.write(self._existing(promise_id), content)

    def complete_promise_json(self, promise_id: Any, value: Any) -> bool:
        """Complete the promise from within a worker, with JSON as serde_json writes it."""
        return self.complete_promise(promise_id, worker_json.write(value))

    def poll_promise(self, promise_id: Any) -> bytes | None:
        """Return the payload if the promise is completed, None if it is pending."""
        return self._golem.promises.payload(self._existing(promise_id))

    def delete_promise(self, promise_id: Any) -> None:
        """Delete the promise and its payload; in a real Golem, only workers of 1.1 and 1.2 can."""
        self._golem.promises.delete(self._existing(promise_id))

    def delete_worker(self, worker_id: Any) -> None:
        """Delete a worker, by its id or the id of one of its promises, which all stay.

        A completion is then answered 404, and stored all the same. A worker created again under
        the same name starts a new oplog, and finds the old promises in it.
        """
        if isinstance(worker_id, PromiseId):
            worker_id = worker_id.worker_id
        self._golem.promises.delete_worker(
            PromiseKey.of(PromiseId(WorkerId.parse(worker_id), 0)).worker
        )

    def forget_component(self, component_id: ComponentId | UUID | str | None = None) -> None:
        """Undeploy a component, by default the usual one: its promises cannot be completed."""
        self._golem.promises.components.discard(_component(component_id))

    def webhook_url(self, promise_id: Any) -> str:
        """Return the URL by which anybody completes the promise: a POST of the raw payload.

        Golem 1.5 gives an agent such a URL for its own promise. The answer is 204, for a
        duplicate too.

        Raises:
            LookupError: There is no such promise.
            ValueError: Its worker is not an agent, or this generation has no webhooks.
        """
        if not self._golem.dialect.has_webhooks:
            raise ValueError(f"Golem {self.dialect} has no webhooks: they came with 1.5")
        key = self._existing(promise_id)
        if "(" not in key.worker.name:
            raise ValueError(f"webhooks are for agents, and {key.worker.name!r} is not one")
        return self.url + self._golem.webhook_path(key)

    def drop_next(self, *, applied: bool, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Close the connection without a byte of an answer."""
        return self._order(lost("drop", Ending.CLOSE, applied=applied), promise_id, times)

    def reset_next(self, *, applied: bool, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Reset the connection (RST) without a byte of an answer."""
        return self._order(lost("reset", Ending.RESET, applied=applied), promise_id, times)

    def stall_next(self, *, applied: bool, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Answer nothing, and keep the connection open until the client closes it."""
        return self._order(lost("stall", Ending.STALL, applied=applied), promise_id, times)

    def delay_next(
        self, seconds: float, *, applied: bool = True, promise_id: Any = None, times: int = 1
    ) -> FaultOrder:
        """Answer as Golem does, `seconds` late.

        With `applied=False` Golem takes the request in that late, too, even when its client is
        gone by then. So it can store this payload after that of the client's next attempt.
        """
        return self._order(Fault(name="delay", delay=seconds, late=not applied), promise_id, times)

    def truncate_next(
        self, *, by: int = 1, applied: bool = True, promise_id: Any = None, times: int = 1
    ) -> FaultOrder:
        """Close the connection before the last `by` bytes of the answer.

        It is Golem's answer with `applied=True`, a proxy's page without.
        """
        return self._order(truncated(by, applied=applied), promise_id, times)

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
            promise_id: As for every fault.
            times: As for every fault.
        """
        more = {} if retry_after is None else {"Retry-After": str(retry_after)}
        answer = self._golem.dialect.made_up(status, body, {**more, **(headers or {})})
        return self._order(answered(f"status {status}", answer, applied=applied), promise_id, times)

    def html_next(
        self, status: int = 502, *, applied: bool = False, promise_id: Any = None, times: int = 1
    ) -> FaultOrder:
        """Answer the HTML page of a proxy."""
        fault = answered(f"html {status}", proxys_page(status), applied=applied)
        return self._order(fault, promise_id, times)

    def redirect_next(
        self,
        location: str = "/elsewhere",
        *,
        status: int = 302,
        applied: bool = False,
        promise_id: Any = None,
        times: int = 1,
    ) -> FaultOrder:
        """Redirect to the location; the default is a path of the fake's that answers 404."""
        answer = attrs.evolve(proxys_page(status), headers={"Location": location})
        fault = answered(f"redirect {status}", answer, applied=applied)
        return self._order(fault, promise_id, times)

    def raw_next(
        self, data: bytes, *, applied: bool = False, promise_id: Any = None, times: int = 1
    ) -> FaultOrder:
        """Send these bytes in place of an answer, and close the connection."""
        fault = Fault(name="raw bytes", takes=int(applied), answer=data, ending=Ending.CLOSE)
        return self._order(fault, promise_id, times)

    def echo_next(self, *, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Let Golem itself send the request twice, as its routing may do.

        The answer is `false`, although this request stored the payload.
        """
        return self._order(ECHO, promise_id, times)

    def true_to_both_next(self, *, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Answer `true` to a completion that comes second, though its payload is not stored.

        Golem up to 1.5.7 on SQLite does that to callers who race. The order waits for a request
        whose promise is completed already, so that it can be given before either call.
        """
        return self._order(Fault(name="true to both", true_to_both=True), promise_id, times)

    def sleep_on_next(self, *, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Store the payload and answer `true`, and let the worker sleep on.

        `await_promise` does not return before a further completion of the promise arrives, which
        is answered `false`. Golem does so when an executor is killed right after its answer.
        """
        return self._order(Fault(name="sleep on", wakes=False), promise_id, times)

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
            promise_id: As for every fault.
            times: As for every fault.
        """
        fault = Fault(name="executor killed", takes=int(applied), wakes=False)
        if back_after is None:
            answer = self._golem.dialect.error(500, _POD_LOST, "INTERNAL_ROUTING_FAILURE")
            fault = attrs.evolve(fault, answer=answer)
        else:
            fault = attrs.evolve(fault, takes=fault.takes + 1, late=True, delay=back_after)
        return self._order(fault, promise_id, times)

    def fault_next(self, fault: Fault, *, promise_id: Any = None, times: int = 1) -> FaultOrder:
        """Order any fault; the other methods are shorthand for this one."""
        return self._order(fault, promise_id, times)

    def _order(self, fault: Fault, promise_id: Any, times: int) -> FaultOrder:
        key = None if promise_id is None else self._golem.key(promise_id)
        order = FaultOrder(fault, key, times)
        self._plan.orders.append(order)
        return order

    def random_faults(
        self, rate: float, *, seed: int, faults: Sequence[Fault] | None = None
    ) -> None:
        """Let each completion meet one of the faults with a probability of `rate`.

        The same seed gives the same faults: what the n-th request of a promise meets depends on
        the seed, the promise and n alone. Faults on order go first. The default faults are lost
        answers, broken ones and a proxy's pages: a client survives them by repeating the request.
        The rate is from 0 to 1; 0 ends it.
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

    def payload(self, promise_id: Any) -> bytes | None:
        """Return the payload that is stored for the promise; None where there is none.

        Unlike `poll_promise`, it raises no LookupError where there is no such promise.
        """
        return self._golem.promises.payload(self._golem.key(promise_id))

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """All requests, in the order in which their last bytes came; webhooks are among them."""
        return tuple(self._received.values())

    def requests_for(self, promise_id: Any) -> tuple[ReceivedRequest, ...]:
        """Return the requests that were for the promise."""
        wanted = self._golem.key(promise_id).to_id()
        return tuple(request for request in self.requests if request.promise_id == wanted)

    def clear_requests(self) -> None:
        """Forget the requests that came so far."""
        self._received.clear()

    def assert_completed(self, promise_id: Any, payload: bytes | None = None) -> None:
        """Fail unless the promise is completed, with this payload if one is given."""
        __tracebackhide__ = True
        stored = self.payload(promise_id)
        payload = None if payload is None else checked_bytes(payload, "assert_completed_json")
        if stored is None or payload not in (None, stored):
            wanted = "completed" if payload is None else f"completed with {shown(payload)}"
            self._fail(promise_id, wanted, _state(stored))

    def assert_completed_json(self, promise_id: Any, value: Any) -> None:
        """Fail unless the promise is completed with this JSON; `True` and `1` are different."""
        __tracebackhide__ = True
        stored, wanted = self.payload(promise_id), worker_json.write(value)
        if stored is None or not worker_json.equal(stored, wanted):
            self._fail(promise_id, f"completed with {shown(wanted)}", _state(stored))

    def assert_pending(self, promise_id: Any) -> None:
        """Fail if anything is stored for the promise."""
        __tracebackhide__ = True
        stored = self.payload(promise_id)
        if stored is not None:
            self._fail(promise_id, "pending", _state(stored))

    def assert_requested(self, promise_id: Any, *, times: int = 1) -> None:
        """Fail unless exactly this number of requests, or none for 0, was for the promise."""
        __tracebackhide__ = True
        came = len(self.requests_for(promise_id))
        if came != times:
            self._fail(promise_id, f"requested {_times(times)}", f"requested {_times(came)}")

    def assert_faults_fired(self) -> None:
        """Fail if a fault was ordered more often than requests have met it."""
        __tracebackhide__ = True
        if self.pending_faults:
            lines = ["expected every fault on order to have fired; these did not:"]
            lines += [f"  {order}" for order in self.pending_faults]
            raise AssertionError("\n".join([*lines, *_listed("requests", self.requests)]))

    def _fail(self, promise_id: Any, expected: str, came: str) -> None:
        __tracebackhide__ = True
        own = self.requests_for(promise_id)
        others = [request for request in self.requests if request not in own]
        lines = [f"expected promise {self._golem.key(promise_id)} to be {expected}"]
        lines += [f"but it is {came}", *_listed("its requests", own)]
        raise AssertionError("\n".join([*lines, *_listed("other requests", others)]))

    def _payload_now(self, promise_id: Any) -> tuple[PromiseKey, bytes | None]:
        """Return the promise, and its payload if a worker that awaits it has it at once."""
        key = self._existing(promise_id)
        if self._golem.promises.is_ready(key):
            return key, self._golem.promises.payload(key)
        if self._closed:
            raise RuntimeError(f"the FakeGolem is closed: nobody can complete {key} any more")
        return key, None

    def _read(self, promise_id: Any, payload: bytes, type_: Any) -> Any:
        try:
            return worker_json.read(payload, type_)
        except ValueError as error:
            raise ValueError(
                f"the worker cannot read the payload of {self._golem.key(promise_id)}: {error}"
            ) from error

    def _existing(self, promise_id: Any) -> PromiseKey:
        key = self._golem.key(promise_id)
        if not self._golem.promises.exists(key):
            raise LookupError(f"there is no promise {key}: create_promise() makes one")
        return key


def _component(component_id: ComponentId | UUID | str | None) -> UUID:
    if component_id is None:
        return USUAL_COMPONENT
    return component_id if isinstance(component_id, UUID) else ComponentId.parse(component_id).uuid


def _state(stored: bytes | None) -> str:
    return "pending" if stored is None else f"completed with {shown(stored)}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _listed(title: str, requests: Iterable[ReceivedRequest]) -> list[str]:
    lines = [f"  {request}" for request in requests]
    return [f"{title}:", *lines] if lines else [f"{title}: none"]
