"""The outbox for threads."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack, cast

from sqlalchemy import Insert
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import TypeForm

from golem_client import AnyPromiseId, PromiseId
from golem_client.blocking.client import BlockingGolemClient
from golem_client.blocking.delegation import (
    Blocking,
    Lodging,
    blocking,
    close_dropped,
    run,
    with_docstring_of,
    with_parameters_of,
)
from golem_client.outbox import Entry, Key, Outbox, OutboxPromise, State
from golem_client.outbox.outbox import OutboxOptions
from golem_client.threads import Tenant

T = TypeVar("T")


class BlockingOutbox(Blocking[Outbox]):
    """An outbox for programs that are not asyncio; see `golem_client.outbox.Outbox`.

        with BlockingOutbox.open("golem.sqlite") as outbox, outbox.delivering(client):
            entry = outbox.complete_json(promise_id, {"approved": True})

    It takes the arguments of `Outbox` and has its methods, made blocking. Any number of threads
    may share one; an engine that it borrows is then used in the thread of this package alone.
    After a fork the child gets database connections of its own at its first use; a delivery that
    the parent had begun goes on in the parent alone.

    In a thread whose event loop runs, a call is a RuntimeError: use `Outbox` there.
    """

    @with_parameters_of(Outbox.__init__)
    def __init__(self, engine: AsyncEngine, **options: Any) -> None:
        self._start(partial(_of_engine, engine, options), Outbox(engine, **options))

    def _start(self, make: Callable[[], Outbox], outbox: Outbox) -> None:
        self._make = make
        self._outbox = outbox
        self._lodging = Lodging(outbox)
        self._pid = os.getpid()
        self._making = threading.Lock()

    @classmethod
    @with_docstring_of(Outbox.open)
    def open(  # noqa: D102
        cls, path: str | os.PathLike[str], **options: Unpack[OutboxOptions]
    ) -> Self:
        made = cls.__new__(cls)
        make = partial(_of_file, path, options, cls.__name__)
        made._start(make, make())  # noqa: SLF001 - our own class
        return made

    create_tables = blocking(Outbox.create_tables)
    complete_bytes = blocking(Outbox.complete_bytes)
    complete_text = blocking(Outbox.complete_text)
    complete_json = blocking(Outbox.complete_json)
    bind = blocking(Outbox.bind)
    entry = blocking(Outbox.entry)
    wait = blocking(Outbox.wait)
    retry = blocking(Outbox.retry)
    discard = blocking(Outbox.discard)
    prune = blocking(Outbox.prune)
    counts = blocking(Outbox.counts)

    @property
    def engine(self) -> AsyncEngine:
        """The engine."""
        return self._delegate().engine

    @with_docstring_of(Outbox.promise)
    def promise(  # noqa: D102
        self, promise_id: AnyPromiseId | Key, type_: TypeForm[T]
    ) -> BlockingOutboxPromise[T]:
        return BlockingOutboxPromise(self, self._delegate().promise(promise_id, type_).id, type_)

    @with_docstring_of(Outbox.statement)
    def statement(  # noqa: D102
        self, promise_id: AnyPromiseId | Key, value: Any, as_type: TypeForm[Any] | None = None
    ) -> Insert:
        return self._delegate().statement(promise_id, value, as_type)

    @with_docstring_of(Outbox.statement_text)
    def statement_text(self, promise_id: AnyPromiseId | Key, text: str) -> Insert:  # noqa: D102
        return self._delegate().statement_text(promise_id, text)

    @with_docstring_of(Outbox.statement_bytes)
    def statement_bytes(  # noqa: D102
        self, promise_id: AnyPromiseId | Key, data: bytes | bytearray | memoryview
    ) -> Insert:
        return self._delegate().statement_bytes(promise_id, data)

    @with_docstring_of(Outbox.entries)
    def entries(self, *, state: State | str | None = None) -> Iterator[Entry]:  # noqa: D102
        found = self._delegate().entries(state=state)
        name = type(self).__name__
        try:
            while (entry := run(_next(found), name)) is not None:
                yield entry
        finally:
            close_dropped(cast("Tenant", found))

    @with_docstring_of(Outbox.deliver)
    def deliver(self, client: BlockingGolemClient, *, concurrency: int = 64) -> None:  # noqa: D102
        delivery = self._delegate().deliver(client._delegate(), concurrency=concurrency)  # noqa: SLF001
        run(delivery, type(self).__name__)

    @with_docstring_of(Outbox.delivering)
    @contextmanager
    def delivering(  # noqa: D102
        self, client: BlockingGolemClient, *, concurrency: int = 64
    ) -> Iterator[None]:
        name = type(self).__name__
        delivery = self._delegate().delivering(client._delegate(), concurrency=concurrency)  # noqa: SLF001
        run(delivery.__aenter__(), name)
        try:
            yield
        except GeneratorExit:  # dropped, not left: nobody waits for the delivery's end
            raise
        except BaseException as error:
            run(delivery.__aexit__(type(error), error, error.__traceback__), name)
            raise
        run(delivery.__aexit__(None, None, None), name)

    @with_docstring_of(Outbox.aclose)
    def close(self) -> None:  # noqa: D102
        run(self._delegate().aclose(), type(self).__name__)

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._outbox)[1:]}"

    def __enter__(self) -> Self:
        run(self._delegate().__aenter__(), type(self).__name__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _delegate(self) -> Outbox:
        if self._pid != os.getpid():
            with self._making:
                if self._pid != os.getpid():
                    self._outbox = self._make()
                    self._lodging = Lodging(self._outbox)
                    self._pid = os.getpid()
        return self._outbox


class BlockingOutboxPromise(Generic[T]):
    """A promise whose worker awaits a `T`; made by `BlockingOutbox.promise`.

    Attributes:
        id: The promise, or the key that stands for it.
    """

    def __init__(
        self, outbox: BlockingOutbox, promise_id: PromiseId | Key, type_: TypeForm[T]
    ) -> None:
        self.id = promise_id
        self._outbox = outbox
        self._type = type_

    @with_docstring_of(OutboxPromise.complete)
    def complete(self, value: T) -> Entry:  # noqa: D102
        outbox = self._outbox._delegate()  # noqa: SLF001 - it is made by the outbox
        acceptance = outbox.promise(self.id, self._type).complete(value)
        del value
        return run(acceptance, "BlockingOutbox")


def _of_file(path: str | os.PathLike[str], options: OutboxOptions, name: str) -> Outbox:
    return run(Outbox.open(path, **options), name)


def _of_engine(engine: AsyncEngine, options: dict[str, Any]) -> Outbox:
    engine.sync_engine.dispose(close=False)  # the connections of the parent are the parent's
    return Outbox(engine, **options)


async def _next(entries: AsyncIterator[Entry]) -> Entry | None:
    return await anext(entries, None)
