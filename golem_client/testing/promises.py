"""What Golem's executors keep: promises, payloads, and who waits for them."""

from __future__ import annotations

import asyncio
from uuid import UUID

import attrs

from golem_client.ids import ComponentId, PromiseId, WorkerId


@attrs.frozen
class WorkerKey:
    """A worker, by any name at all: what Golem accepts is not what our ids accept."""

    component: UUID
    name: str

    @classmethod
    def of(cls, worker_id: WorkerId) -> WorkerKey:
        """Return the key of an id of ours."""
        return cls(worker_id.component_id.uuid, worker_id.worker_name)

    def __str__(self) -> str:
        return f"{self.component}/{self.name}"


@attrs.frozen
class PromiseKey:
    """A promise as Golem's store names it."""

    worker: WorkerKey
    oplog_idx: int

    @classmethod
    def of(cls, promise_id: PromiseId) -> PromiseKey:
        """Return the key of an id of ours."""
        return cls(WorkerKey.of(promise_id.worker_id), promise_id.oplog_idx)

    def to_id(self) -> PromiseId | None:
        """Return the id of ours, or None where its worker name cannot be one."""
        try:
            worker_id = WorkerId(ComponentId(self.worker.component), self.worker.name)
            return PromiseId(worker_id, self.oplog_idx)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.worker}/{self.oplog_idx}"


class Promises:
    """The store. First write wins; it knows no rules beyond that.

    A payload may be there without its promise: Golem 1.1 writes before it looks, and
    deleting a worker deletes neither.
    """

    def __init__(self) -> None:
        self.deleted_workers: set[WorkerKey] = set()
        self.writes = 0
        self._deployed: set[UUID] = set()
        self._created: set[PromiseKey] = set()
        self._payloads: dict[PromiseKey, bytes] = {}
        self._last_idx: dict[WorkerKey, int] = {}
        self._asleep: set[PromiseKey] = set()
        self._waiters: dict[PromiseKey, set[asyncio.Future[bytes]]] = {}

    def next_idx(self, worker: WorkerKey, first: int, step: int) -> int:
        """Return the oplog index of the worker's next promise."""
        last = self._last_idx.get(worker)
        return first if last is None else last + step

    def deploy(self, component: UUID) -> None:
        """Let Golem know the component."""
        self._deployed.add(component)

    def undeploy(self, component: UUID) -> None:
        """Let Golem forget the component, and none of its promises."""
        self._deployed.discard(component)

    def is_deployed(self, component: UUID) -> bool:
        """Return whether Golem knows the component."""
        return component in self._deployed

    def create(self, key: PromiseKey) -> None:
        """Create the promise, and with it its worker and component where they are not there.

        One that exists is left as it is, as in a replay of the worker's oplog.
        """
        self.deploy(key.worker.component)
        self.deleted_workers.discard(key.worker)
        self._last_idx[key.worker] = max(self._last_idx.get(key.worker, 0), key.oplog_idx)
        self._created.add(key)

    def exists(self, key: PromiseKey) -> bool:
        """Return whether the promise was created, and not deleted since."""
        return key in self._created

    def write(self, key: PromiseKey, payload: bytes, *, wakes: bool = True) -> bool:
        """Store the payload if none is stored, and return whether it was.

        A first completion that does not wake the worker leaves it asleep until the next one.
        """
        is_first = key not in self._payloads
        if is_first:
            self._payloads[key] = payload
            self.writes += 1
        if wakes:
            self._asleep.discard(key)
            self._wake(key, self._payloads[key])
        elif is_first:
            self._asleep.add(key)
        return is_first

    def is_ready(self, key: PromiseKey) -> bool:
        """Return whether a worker that awaits the promise has its payload at once."""
        return key in self._payloads and key not in self._asleep

    def payload(self, key: PromiseKey) -> bytes | None:
        """Return what is stored under the key, whether or not the promise exists."""
        return self._payloads.get(key)

    def delete(self, key: PromiseKey) -> None:
        """Delete the promise and its payload; whoever waits for it learns of it."""
        self._created.discard(key)
        self._payloads.pop(key, None)
        self._fail(key, LookupError, f"the promise {key} was deleted while a worker awaited it")

    def delete_worker(self, worker: WorkerKey) -> None:
        """Delete the worker, and nothing of its promises; its oplog starts anew."""
        self.deleted_workers.add(worker)
        self._last_idx.pop(worker, None)
        for key in [key for key in self._waiters if key.worker == worker]:
            self._fail(key, LookupError, f"the worker of {key} was deleted while it awaited it")

    def close(self) -> None:
        """End every waiting with a RuntimeError."""
        for key in list(self._waiters):
            self._fail(key, RuntimeError, f"the FakeGolem was closed while a worker awaited {key}")

    async def wait(self, key: PromiseKey) -> bytes:
        """Return the payload once it is there."""
        if self.is_ready(key):
            return self._payloads[key]
        waiter: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(key, set()).add(waiter)
        try:
            return await waiter
        finally:
            self._forget(key, waiter)

    def _wake(self, key: PromiseKey, payload: bytes) -> None:
        for waiter in self._waiters.get(key, ()):
            if not waiter.done():
                waiter.set_result(payload)

    def _fail(self, key: PromiseKey, error: type[Exception], message: str) -> None:
        for waiter in self._waiters.get(key, ()):
            if not waiter.done():
                waiter.set_exception(error(message))

    def _forget(self, key: PromiseKey, waiter: asyncio.Future[bytes]) -> None:
        waiters = self._waiters.get(key, set())
        waiters.discard(waiter)
        if not waiters:
            self._waiters.pop(key, None)
