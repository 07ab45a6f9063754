"""How an asyncio class of ours becomes one that blocks: its methods run in the process's loop."""

from __future__ import annotations

import asyncio
import functools
import os
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from typing_extensions import TypeForm

from golem_client.frames import made_without_locals
from golem_client.threads import LoopThread, ProcessLoop, Tenant

A = TypeVar("A", bound=Tenant)
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
C = TypeVar("C", bound=type)

LOOP = ProcessLoop("golem_client.blocking")


def run(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine in the loop of the process, and block until it has ended.

    Raises:
        RuntimeError: An event loop runs in the calling thread, which this would stop; or the
            interpreter ends.
    """
    try:
        loop = _loop()
    except RuntimeError:
        coroutine.close()
        raise
    return loop.run(coroutine)


def _loop() -> LoopThread:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise RuntimeError(
            "this call would block the event loop that runs in this thread: "
            "await a GolemClient or an Outbox here, or make this call by asyncio.to_thread()"
        )
    return LOOP.get()


class Blocking(Generic[A]):
    """The base of the classes that block in place of an asyncio object.

    The object is closed when this one is dropped, and at exit; forked children leave it alone.
    """

    _inner: A
    _original: object

    def _lodge(self, inner: A) -> None:
        self._inner = inner
        LOOP.lodge(inner)
        weakref.finalize(self, _close_later, inner, os.getpid()).atexit = False

    def _delegate(self) -> A:
        """Return the asyncio object whose methods are called."""
        LOOP.lodge(self._inner)  # anew in the child of a fork, which uses it
        return self._inner

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_inner', 'not made')!s}>"

    def close(self) -> None:
        """Close it as `aclose` of the asyncio class does; a second time does nothing."""
        if not LOOP.has_ended:  # else it is closed, and what is left half read is collected
            run(self._delegate().aclose())

    def __enter__(self) -> Self:
        run(self._delegate().__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _close_later(inner: Tenant, pid: int) -> None:
    """Close what was dropped in this process: in any thread, also at the interpreter's end."""
    loop = LOOP.running()
    if loop is not None and pid == os.getpid():
        loop.start(inner.aclose())


class BlockingHandle(Generic[T]):
    """The base of the typed handles on one promise."""

    def __init__(self, owner: Any, promise_id: Any, type_: TypeForm[T]) -> None:
        self.id = owner._delegate().promise(promise_id, type_).id  # noqa: SLF001 - our own class
        self._owner = owner
        self._type = type_

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._delegate())[1:]}"

    def _delegate(self) -> Any:
        return self._owner._delegate().promise(self.id, self._type)  # noqa: SLF001 - as above


def delegated(
    method: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], R]:
    """Return the method that calls one of the asyncio object which does not wait."""

    @made_without_locals
    @functools.wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(self._delegate(), *args, **kwargs)

    return call


def blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Any, P], R]:
    """Return the method that runs a coroutine method in the process's loop, and blocks."""

    @made_without_locals
    @functools.wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return run(method(self._delegate(), *args, **kwargs))

    return call


def with_parameters_of(
    method: Callable[Concatenate[Any, P], Any],
) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]:
    """Give a method the parameters of another one, for type checkers and for `help()`."""

    def decorate(function: Callable[..., R]) -> Callable[Concatenate[Any, P], R]:
        return functools.wraps(method)(made_without_locals(function))

    return decorate


def with_docstrings_of(theirs: type) -> Callable[[C], C]:
    """Give the members of a class that are written out the docstrings of what they stand for."""

    def decorate(ours: C) -> C:
        for name, member in vars(ours).items():
            if not name.startswith("_") and member.__doc__ is None:
                getattr(member, "__func__", member).__doc__ = getattr(theirs, name).__doc__
        return ours

    return decorate
