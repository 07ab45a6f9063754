"""How an asyncio class of ours becomes one that blocks: its methods run in the process's loop."""

from __future__ import annotations

import asyncio
import functools
import os
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from golem_client.threads import ProcessLoop, Tenant

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_LOOP = ProcessLoop("golem_client.blocking")


class Blocking(Generic[A_co]):
    """The base of the classes whose methods `blocking` makes."""

    def _delegate(self) -> A_co:
        """Return the asyncio object whose methods are called."""
        raise NotImplementedError


class Lodging:
    """What all that use one asyncio object hold; with the last of them, the object is closed.

    It is closed at exit, too. Forked children leave its connections alone.

    Args:
        tenant: The asyncio object.
    """

    def __init__(self, tenant: Tenant) -> None:
        _LOOP.lodge(tenant)
        weakref.finalize(self, _close_later, tenant, os.getpid()).atexit = False


def close_dropped(found: Tenant) -> None:
    """Close an iterator that is dropped: in any thread, at the end of the interpreter too."""
    loop = _LOOP.running()
    if loop is not None:
        loop.start(found.aclose())


def _close_later(tenant: Tenant, pid: int) -> None:
    """Close what was dropped; the garbage collector calls this in any thread."""
    loop = _LOOP.running()
    if loop is not None and pid == os.getpid():
        loop.start(tenant.aclose())


def run(coroutine: Coroutine[Any, Any, R], name: str) -> R:
    """Run a coroutine in the loop of the process, and block until it has ended.

    Raises:
        RuntimeError: An event loop runs in the calling thread, which this would stop.
    """
    if _loop_runs_here():
        coroutine.close()
        raise RuntimeError(
            f"{name} would block the event loop that runs in this thread: "
            f"await a {name.removeprefix('Blocking')} here"
        )
    try:
        loop = _LOOP.get()
    except RuntimeError:
        coroutine.close()
        raise
    return loop.run(coroutine)


def _loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def blocking(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Blocking[A], P], R]:
    """Return the method that runs a coroutine method in the process's loop, and blocks."""

    @functools.wraps(method)
    def call(self: Blocking[A], /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            coroutine = method(self._delegate(), *args, **kwargs)
        finally:
            del args, kwargs  # no frame of ours shows a payload in a traceback
        return run(coroutine, type(self).__name__)

    return call


def with_parameters_of(
    method: Callable[Concatenate[Any, P], Any],
) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]:
    """Give a method the parameters of another one, for type checkers and for `help()`."""

    def decorate(function: Callable[..., R]) -> Callable[Concatenate[Any, P], R]:
        return functools.wraps(method)(function)

    return decorate


def with_docstring_of(method: Callable[..., Any]) -> Callable[[F], F]:
    """Give a method that is written out the docstring of the one that it stands for."""

    def decorate(function: F) -> F:
        function.__doc__ = method.__doc__
        return function

    return decorate
