"""The outbox for threads."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, Generic, Self, TypeVar, Unpack

from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import TypeForm

from golem_client import AnyPromiseId
from golem_client.blocking.client import BlockingGolemClient
from golem_client.blocking.delegation import (
    LOOP,
    Blocking,
    BlockingHandle,
    blocking,
    delegated,
    run,
    with_docstrings_of,
    with_parameters_of,
)
from golem_client.frames import made_without_locals
from golem_client.outbox import Entry, Key, Outbox, OutboxPromise, State
from golem_client.outbox.database import Database
from golem_client.outbox.outbox import OutboxOptions
from golem_client.outbox.worker import Worker, stopping_on_sigterm

T = TypeVar("T")


@with_docstrings_of(Outbox)
class BlockingOutbox(Blocking[Outbox]):
    """An outbox for programs that are not asyncio.

        with BlockingOutbox.open("golem.sqlite") as outbox:
            with outbox.delivering(client):  # a BlockingGolemClient
                entry = outbox.complete_json(promise_id, {"approved": True})

    It takes the arguments of `golem_client.outbox.Outbox` and has its
    methods, made blocking. Any number of threads may share one; an engine
    that it borrows is then used in the thread of this package alone. After a
    fork the child gets database connections of its own at its first use; a
    delivery that the parent had begun goes on in the parent alone. Fork
    before an SQLite engine of your own has a connection; `open` sees to that.

    In a thread whose event loop runs, a call is a RuntimeError: use `Outbox`
    there.
    """

    @with_parameters_of(Outbox.__init__)
    def __init__(self, engine: AsyncEngine, **options: Any) -> None:
        self._start(Outbox(engine, **options), partial(_of_engine, engine, options))

    @classmethod
    @made_without_locals
    def open(  # noqa: D102
        cls, path: str | os.PathLike[str], **options: Unpack[OutboxOptions]
    ) -> Self:
        made, opened = cls.__new__(cls), _of_file(path, options)
        # The child of a fork may have gone to another folder: daemons do.
        again = partial(_of_file, str(opened.engine.url.database), options)
        made._start(opened, again)  # noqa: SLF001 - our own class
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
    statement = delegated(Outbox.statement)
    statement_text = delegated(Outbox.statement_text)
    statement_bytes = delegated(Outbox.statement_bytes)

    @property
    def engine(self) -> AsyncEngine:
        """The engine."""
        return self._delegate().engine

    def promise(  # noqa: D102
        self, promise_id: AnyPromiseId | Key, type_: TypeForm[T]
    ) -> BlockingOutboxPromise[T]:
        return BlockingOutboxPromise(self, promise_id, type_)

    def entries(self, *, state: State | str | None = None) -> Iterator[Entry]:  # noqa: D102
        found = self._delegate().entries(state=state)
        while (entry := run(_next(found))) is not None:
            yield entry

    @made_without_locals
    def deliver(self, client: BlockingGolemClient, *, concurrency: int = 64) -> None:  # noqa: D102
        _check_client(client)
        inner = client._delegate()  # noqa: SLF001 - our own class
        worker = self._delegate()._worker(inner, concurrency=concurrency)  # noqa: SLF001 - as above
        with stopping_on_sigterm(lambda: LOOP.get().start(_stop(worker))):
            run(worker.run())

    @made_without_locals
    def delivering(  # noqa: D102
        self, client: BlockingGolemClient, *, concurrency: int = 64
    ) -> AbstractContextManager[None]:
        _check_client(client)
        return _Delivering(self, client, concurrency)

    def _start(self, outbox: Outbox, make: Callable[[], Outbox]) -> None:
        self._lodge(outbox)
        self._make = make
        self._pid = os.getpid()
        self._making = threading.Lock()

    def _delegate(self) -> Outbox:
        if self._pid != os.getpid():
            with self._making:
                if self._pid != os.getpid():
                    self._lodge(self._make())
                    self._pid = os.getpid()
        return super()._delegate()


def _check_client(client: object) -> None:
    if not isinstance(client, BlockingGolemClient):
        raise TypeError(f"client is a BlockingGolemClient, not {type(client).__name__}")


class _Delivering(AbstractContextManager[None]):
    def __init__(
        self, outbox: BlockingOutbox, client: BlockingGolemClient, concurrency: int
    ) -> None:
        inner, theirs = outbox._delegate(), client._delegate()  # noqa: SLF001 - our own classes
        self._delivery = inner.delivering(theirs, concurrency=concurrency)
        self._holds = outbox, client  # which would be closed if they were dropped

    def __enter__(self) -> None:
        self._pid = os.getpid()
        run(self._delivery.__aenter__())

    def __exit__(self, *error: object) -> None:
        # The child of a fork has no delivery; and at the interpreter's end it has ended already.
        if self._pid == os.getpid() and not LOOP.has_ended:
            run(self._delivery.__aexit__(*error))  # type: ignore[arg-type]


class BlockingOutboxPromise(BlockingHandle[T], Generic[T]):
    """A promise whose worker awaits a `T`; made by `BlockingOutbox.promise`.

    Attributes:
        id: The promise, or the key that stands for it.
    """

    complete = blocking(OutboxPromise[T].complete)


def _of_file(path: str | os.PathLike[str], options: OutboxOptions) -> Outbox:
    opened = run(Outbox.open(path, **options))
    _files.add(opened._database)  # noqa: SLF001 - our own class
    return opened


def _of_engine(engine: AsyncEngine, options: dict[str, Any]) -> Outbox:
    engine.sync_engine.dispose(close=False)  # the connections of the parent are the parent's
    return Outbox(engine, **options)


# A child of a fork inherits what SQLite, in its memory, says of locks that the parent held. Nobody
# lets go of those in the child: it would find the database locked for ever. So no file is open at
# the moment of a fork.
_files: weakref.WeakSet[Database] = weakref.WeakSet()
_paused: list[Database] = []


def _pause() -> None:
    for database in tuple(_files):
        with suppress(RuntimeError):  # an event loop runs in this thread, or ours ends
            run(database.pause())
            _paused.append(database)


def _resume() -> None:
    while _paused:
        with suppress(RuntimeError):
            run(_paused.pop().resume())


def _forget() -> None:
    _files.clear()
    _paused.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_pause, after_in_parent=_resume, after_in_child=_forget)


async def _stop(worker: Worker) -> None:
    worker.stop()


async def _next(entries: AsyncIterator[Entry]) -> Entry | None:
    return await anext(entries, None)
