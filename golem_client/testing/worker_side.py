"""The worker's side of the fake: what golem-rust offers to a worker, and what happens to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload
from uuid import UUID

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.testing import worker_json
from golem_client.testing.dialects import Check
from golem_client.testing.promises import PromiseKey, WorkerKey

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from golem_client.testing.completion import Installation

T = TypeVar("T")

USUAL_COMPONENT = UUID("679ae459-8700-41d9-920c-7e2887459c94")
"""The component of promises for which a test names none. It is deployed from the start."""

_IDX_STEP = 5
"""What lies between two promises in an oplog: nobody should count on the next number."""


class WorkerSide:
    """The promise functions of golem-rust, and the fate of workers and components.

    Ids are accepted in any form that `PromiseId.parse` accepts. A promise that does not exist is
    a LookupError: in a real worker, it is a trap.
    """

    _golem: Installation
    _closed: bool

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
            first = self._golem.dialect.first_oplog_idx
            oplog_idx = self._golem.promises.next_idx(worker, first, _IDX_STEP)
        worker_id = WorkerId(ComponentId(component), worker.name)
        promise_id = PromiseId(worker_id, oplog_idx)
        self._golem.promises.create(PromiseKey.of(promise_id))
        return promise_id

    async def await_promise(self, promise_id: Any) -> bytes:
        """Wait until the promise is completed, and return its payload.

        Raises:
            LookupError: There is no such promise, or it or its worker is deleted meanwhile.
            RuntimeError: The fake is closed, or is being closed, so that nobody can complete it.
        """
        key = self._existing(promise_id)
        if self._closed and not self._golem.promises.is_ready(key):
            raise RuntimeError(f"the FakeGolem is closed: nobody can complete {key} any more")
        return await self._golem.promises.wait(key)

    @overload
    async def await_promise_json(self, promise_id: Any, type: None = None) -> Any: ...

    @overload
    async def await_promise_json(self, promise_id: Any, type: TypeForm[T]) -> T: ...

    async def await_promise_json(self, promise_id: Any, type: Any = None) -> Any:  # noqa: A002
        """Wait until the promise is completed, and return its payload read as JSON.

        Args:
            promise_id: The promise.
            type: What to make of the JSON: a class, or any type that cattrs structures. It is as
                strict as serde: no number is made of a string, no `1` of `1.0`.

        Raises:
            ValueError: The payload is not such JSON. In a real worker this is final: a payload
                cannot be taken back.
            LookupError: As in `await_promise`.
            RuntimeError: As in `await_promise`.
        """
        payload = await self.await_promise(promise_id)
        try:
            return worker_json.read(payload, type)
        except ValueError as error:
            raise ValueError(
                f"the worker cannot read the payload of {self._golem.key(promise_id)}: {error}"
            ) from error

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
        """Undeploy a component, by default the usual one: its promises cannot be reached."""
        component = USUAL_COMPONENT if component_id is None else _uuid(component_id)
        self._golem.promises.deployed_components.discard(component)

    def payload(self, promise_id: Any) -> bytes | None:
        """Return what is stored for the promise, whether or not it exists; None for nothing."""
        return self._golem.promises.payload(self._golem.key(promise_id))

    @property
    def _writes_blindly(self) -> bool:
        checks = self._golem.dialect.checks
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
