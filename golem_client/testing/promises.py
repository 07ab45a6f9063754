"""What Golem's executors keep: promises, payloads, and who waits for them."""

from __future__ import annotations

import asyncio
from uuid import UUID

import attrs

from golem_client.ids import ComponentId, PromiseId, WorkerId


@attrs.frozen
class WorkerKey:
    """A worker, by any name at all: Golem accepts names that our ids refuse."""

    component: UUID
    name: str

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
        worker = promise_id.worker_id
        return cls(WorkerKey(worker.component_id.uuid, worker.worker_name), promise_id.oplog_idx)

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
    """The store. The first write wins; it knows no other rule.

    A payload may be there without its promise: Golem 1.1 and 1.2 write before they look for the
    promise, and deleting a worker deletes neither.

    Attributes:
        components: The components that are deployed.
        deleted_workers: The workers that are deleted and were not created again.
        writes: The number of payloads that were ever stored.
    """

    def __init__(self) -> None:
        self.components: set[UUID] = set()
        self.deleted_workers: set[WorkerKey] = set()
        self.writes = 0
        self._created: set[PromiseKey] = set()
        self._payloads: dict[PromiseKey, bytes] = {}
        self._last_idx: dict[WorkerKey, int] = {}
        self._asleep: set[PromiseKey] = set()
        self._awaited: dict[PromiseKey, asyncio.Future[bytes]] = {}

    def next_idx(self, worker: WorkerKey, first: int, step: int) -> int:
        """Return the oplog index of the worker's next promise."""
        return self._last_idx.get(worker, first - step) + step

    def create(self, key: PromiseKey) -> None:
        """Create the promise, its worker and its component, or leave what exists as it is."""
        self.components.add(key.worker.component)
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
            if future := self._awaited.pop(key, None):
                future.set_result(self._payloads[key])
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
        """Delete the promise and its payload; whoever waits for it gets a LookupError."""
        self._created.discard(key)
        self._payloads.pop(key, None)
        self._fail(key, LookupError(f"the promise {key} was deleted while a worker awaited it"))

    def delete_worker(self, worker: WorkerKey) -> None:
        """Delete the worker, and nothing of its promises; its oplog starts anew."""
        self.deleted_workers.add(worker)
        self._last_idx.pop(worker, None)
        for key in [key for key in self._awaited if key.worker == worker]:
            self._fail(key, LookupError(f"the worker of {key} was deleted while it awaited it"))

    def close(self) -> None:
        """End all waiting with a RuntimeError."""
        for key in list(self._awaited):
            message = f"the FakeGolem was closed while a worker awaited {key}"
            self._fail(key, RuntimeError(message))

    async def wait(self, key: PromiseKey) -> bytes:
        """Return the payload once it is there."""
        if self.is_ready(key):
            return self._payloads[key]
        if key not in self._awaited:
            self._awaited[key] = future = asyncio.get_running_loop().create_future()
            # Where nobody waits any more, asyncio would report the error that ends the waiting.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._awaited[key])  # one who gives up ends no one else's wait

    def _fail(self, key: PromiseKey, error: Exception) -> None:
        if future := self._awaited.pop(key, None):
            future.set_exception(error)


def checked_bytes(payload: bytes, other: str) -> bytes:
    """Return the payload, or raise a TypeError that names the method for other values."""
    __tracebackhide__ = True
    if isinstance(payload, bytes | bytearray | memoryview):
        return bytes(payload)  # of a number, it would be so many zeros
    raise TypeError(f"payload must be bytes, not {type(payload).__name__}; for JSON use {other}()")
