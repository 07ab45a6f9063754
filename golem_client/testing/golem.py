"""What a test does with a fake Golem, apart from waiting: promises, faults, assertions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.testing import worker_json
from golem_client.testing.dialects import DIALECTS, WELL_KNOWN_TOKEN, Check, Dialect
from golem_client.testing.faults import FaultOrders
from golem_client.testing.messages import ReceivedRequest, shown
from golem_client.testing.promises import PromiseKey, WorkerKey
from golem_client.testing.routes import Installation, Routes
from golem_client.testing.server import HOST

USUAL_COMPONENT = UUID("679ae459-8700-41d9-920c-7e2887459c94")
"""The component of promises for which a test names none. It is deployed from the start."""


class Golem(FaultOrders):
    """What `FakeGolem` and `BlockingFakeGolem` have in common; use one of these."""

    def __init__(
        self, *, dialect: str = "1.5", token: str = WELL_KNOWN_TOKEN, port: int = 0
    ) -> None:
        super().__init__(Installation(_dialect(dialect), token))
        _check_token(self._golem.dialect, token)
        self._golem.promises.deploy(USUAL_COMPONENT)
        self._routes = Routes(self._golem)
        self._received: dict[int, ReceivedRequest] = {}
        self._wanted_port = port
        self._port = 0
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
        return f"http://{HOST}:{self._port}"

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
        """Create a promise, and the worker and the component if they are not there.

        Args:
            worker_name: The worker; by default always the same, with a name as workers of this
                generation have. Golem 1.5 normalises agent ids, and so does the fake.
            component_id: The component; by default always the same.
            oplog_idx: Where in the worker's oplog the promise is created; by default after the
                last. A promise that exists is returned as it is, as in a replay.

        Returns:
            Its id, as the worker would hand it out.

        Raises:
            ValueError: This generation does not accept the worker's name, or it is no part of
                an id.
        """
        component = USUAL_COMPONENT if component_id is None else _uuid(component_id)
        name = self._golem.dialect.usual_name if worker_name is None else worker_name
        worker = WorkerKey(component, self._golem.dialect.worker_name(name))
        if oplog_idx is None:
            dialect = self._golem.dialect
            first, step = dialect.first_oplog_idx, dialect.oplog_step
            oplog_idx = self._golem.promises.next_idx(worker, first, step)
        worker_id = WorkerId(ComponentId(component), worker.name)
        promise_id = PromiseId(worker_id, oplog_idx)
        self._golem.promises.create(PromiseKey.of(promise_id))
        return promise_id

    def complete_promise(self, promise_id: Any, payload: bytes) -> bool:
        """Complete the promise from within a worker; return whether this payload is stored.

        Raises:
            LookupError: There is no such promise. Golem 1.1 keeps the payload all the same, for
                a promise created later under this id.
        """
        key = self._golem.key(promise_id)
        if self._writes_blindly:
            stored = self._golem.promises.write(key, bytes(payload))
            self._existing(promise_id)
            return stored
        return self._golem.promises.write(self._existing(promise_id), bytes(payload))

    def complete_promise_json(self, promise_id: Any, value: Any) -> bool:
        """Complete the promise from within a worker, with JSON as serde_json writes it."""
        return self.complete_promise(promise_id, worker_json.write(value))

    def poll_promise(self, promise_id: Any) -> bytes | None:
        """Return the payload if the promise is completed, None if it is pending."""
        return self._golem.promises.payload(self._existing(promise_id))

    def delete_promise(self, promise_id: Any) -> None:
        """Delete the promise and its payload.

        Workers can do that in Golem 1.1 and 1.2 only; the fake lets them in every generation.
        """
        self._golem.promises.delete(self._existing(promise_id))

    def delete_worker(self, worker_id: Any) -> None:
        """Delete a worker, by its id or a `PromiseId` of its, and nothing of its promises.

        A completion is from then on answered 404, and stored all the same. A worker created
        again under the same name starts a new oplog, and meets the old promises in it.
        """
        self._golem.promises.delete_worker(self._worker(worker_id))

    def forget_component(self, component_id: ComponentId | UUID | str | None = None) -> None:
        """Undeploy a component, by default the usual one; its promises cannot be completed then."""
        component = USUAL_COMPONENT if component_id is None else _uuid(component_id)
        self._golem.promises.undeploy(component)

    def payload(self, promise_id: Any) -> bytes | None:
        """Return the payload that is stored for the promise; None where there is none.

        Unlike `poll_promise`, it raises no LookupError where there is no such promise.
        """
        return self._golem.promises.payload(self._golem.key(promise_id))

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
        key, _ = self._existing(promise_id), self.url
        if "(" not in key.worker.name:
            raise ValueError(f"webhooks are for agents, and {key.worker.name!r} is not one")
        return self._routes.webhooks.url(key)

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """All requests, in the order in which their last bytes came; webhooks are among them."""
        return tuple(self._received.values())

    def requests_for(self, promise_id: Any) -> tuple[ReceivedRequest, ...]:
        """Return the requests that were for the promise."""
        key = self._golem.key(promise_id)
        return tuple(request for request in self.requests if _names(request, key))

    def clear_requests(self) -> None:
        """Forget the requests that came so far."""
        self._received.clear()

    def assert_completed(self, promise_id: Any, payload: bytes | None = None) -> None:
        """Fail unless the promise is completed, with this payload if one is given."""
        __tracebackhide__ = True
        stored = self._golem.promises.payload(self._golem.key(promise_id))
        if stored is None or payload not in (None, stored):
            wanted = "completed" if payload is None else f"completed with {shown(payload)}"
            self._fail(promise_id, wanted, _state(stored))

    def assert_completed_json(self, promise_id: Any, value: Any) -> None:
        """Fail unless the promise is completed with this JSON; `True` and `1` are different."""
        __tracebackhide__ = True
        stored = self._golem.promises.payload(self._golem.key(promise_id))
        wanted = worker_json.write(value)
        if stored is None or not worker_json.equal(stored, wanted):
            self._fail(promise_id, f"completed with {shown(wanted)}", _state(stored))

    def assert_pending(self, promise_id: Any) -> None:
        """Fail if anything is stored for the promise."""
        __tracebackhide__ = True
        stored = self._golem.promises.payload(self._golem.key(promise_id))
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
        pending = [order for order in self._plan.orders if order.pending]
        if pending:
            lines = ["expected every fault on order to have fired; these did not:"]
            lines += [f"  {order}" for order in pending]
            raise AssertionError("\n".join([*lines, *_listed("requests", self.requests)]))

    def _fail(self, promise_id: Any, expected: str, came: str) -> None:
        __tracebackhide__ = True
        key = self._golem.key(promise_id)
        others = [request for request in self.requests if not _names(request, key)]
        lines = [f"expected promise {key} to be {expected}", f"but it is {came}"]
        lines += _listed("its requests", self.requests_for(promise_id))
        lines += _listed("other requests", others)
        raise AssertionError("\n".join(lines))

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

    @property
    def _writes_blindly(self) -> bool:
        checks = list(self._golem.dialect.steps)
        return checks.index(Check.WRITE) < checks.index(Check.PROMISE)

    def _existing(self, promise_id: Any) -> PromiseKey:
        key = self._golem.key(promise_id)
        if not self._golem.promises.exists(key):
            raise LookupError(f"there is no promise {key}: create_promise() makes one")
        return key

    def _worker(self, worker_id: Any) -> WorkerKey:
        if isinstance(worker_id, PromiseId):
            worker_id = worker_id.worker_id
        worker = WorkerKey.of(WorkerId.parse(worker_id))
        return WorkerKey(worker.component, self._golem.dialect.worker_name(worker.name))


def _uuid(component_id: ComponentId | UUID | str) -> UUID:
    if isinstance(component_id, UUID):
        return component_id
    return ComponentId.parse(component_id).uuid


def _names(request: ReceivedRequest, key: PromiseKey) -> bool:
    return request.promise_id is not None and PromiseKey.of(request.promise_id) == key


def _state(stored: bytes | None) -> str:
    return "pending" if stored is None else f"completed with {shown(stored)}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _listed(title: str, requests: Iterable[ReceivedRequest]) -> list[str]:
    lines = [f"  {request}" for request in requests]
    return [f"{title}:", *lines] if lines else [f"{title}: none"]


def _dialect(name: str) -> Dialect:
    if name not in DIALECTS:
        raise ValueError(f"no dialect {name!r}: there are {', '.join(DIALECTS)}")
    return DIALECTS[name]


def _check_token(dialect: Dialect, token: str) -> None:
    if dialect.read_token is not None and dialect.read_token(token) is None:
        raise ValueError(
            f"this is no token of Golem {dialect.name}: "
            "1.3 takes a UUID, 1.5 sixteen characters or more of [A-Za-z0-9_-]"
        )
