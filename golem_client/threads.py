"""One event loop in one thread, for callers that have none."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar, cast

T = TypeVar("T")


class Tenant(Protocol):
    """What has connections in a loop, such as a client."""

    async def __aenter__(self) -> Any: ...

    async def aclose(self) -> None:
        """Close them."""


_GRACE = 2.0
"""Seconds that `LoopThread.stop` gives to what it closes and cancels."""


class LoopThread:
    """A daemon thread that runs an event loop until `stop`.

    In a forked child its thread does not exist: `run` raises there, and `stop` does nothing.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._calls: set[_Call[Any]] = set()
        self._kept: list[Tenant] = []
        self._pid = os.getpid()
        self._runs = True
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the loop runs."""
        return self._runs and self._pid == os.getpid()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop's thread, and block until it has ended.

        It sees the caller's context variables. An interrupted wait (Ctrl-C) cancels it.

        Raises:
            RuntimeError: The loop has ended, before or during the call.
        """
        call = _Call(coroutine, self._calls)
        del coroutine
        try:
            self._begin(call)
            call.ended.acquire()
        except BaseException:
            with suppress(RuntimeError):  # the loop is closed, so that nothing is left to cancel
                self._loop.call_soon_threadsafe(call.cancel)
            raise
        return call.outcome()

    def start(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine in the loop's thread, and do not wait for it."""
        self._begin(_Call(coroutine, self._calls))

    def stop(self, *tenants: Tenant) -> None:
        """Close these; then end the loop, what runs in it, and its thread. Repeating it is safe."""
        if self.is_alive:
            self.start(self._close_and_stop(tenants))
        self._thread.join(2 * _GRACE)

    async def _close_and_stop(self, tenants: tuple[Tenant, ...]) -> None:
        closing = asyncio.gather(*(each.aclose() for each in tenants), return_exceptions=True)
        await asyncio.wait([closing], timeout=_GRACE)
        self._loop.stop()

    def leave_behind(self, tenants: list[Tenant]) -> None:
        """Keep what lives in the loop for good, untouched: for the child of a fork.

        The child shares the parent's sockets and epoll object: closing or collecting them there
        would take the parent's sockets out of the parent's loop, whose calls then never end. The
        frame of a thread that a fork has cut off, unlike a module, lives as long as the process
        (CPython 3.11 to 3.13), and `_run` refers to all this.
        """
        self._kept += tenants

    def _begin(self, call: _Call[Any]) -> None:
        # The call is in the set already, and `_run` closes the loop before it ends what is in the
        # set. So one of the two ends the call, and its caller never waits for ever.
        with suppress(RuntimeError):  # the loop closes at this moment
            if self.is_alive:
                self._loop.call_soon_threadsafe(call.begin)
                return
        call.lose("the thread of this event loop has ended")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            with suppress(SystemExit):  # sys.exit() in a coroutine ends the thread, as in any other
                self._loop.run_forever()
        finally:
            self._runs = False
            self._lose_calls()
            try:
                self._loop.run_until_complete(_cancel_all())
            finally:
                self._loop.close()
                self._lose_calls()

    def _lose_calls(self) -> None:
        for call in tuple(self._calls):
            call.lose("the event loop's thread ended during the call, whose outcome is unknown")


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_GRACE)
    await asyncio.get_running_loop().shutdown_asyncgens()


class _Call(Generic[T]):
    """A coroutine on its way through the loop, for a thread that waits for it.

    `asyncio.run_coroutine_threadsafe` costs 1.4 times as much CPU, and when the loop stops it
    leaves its caller waiting for ever.

    Attributes:
        ended: A lock that is held until the coroutine has ended.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], calls: set[_Call[Any]]) -> None:
        self._coroutine = coroutine
        self._calls = calls
        self._task: asyncio.Task[T] | None = None
        self._error: BaseException | None = None
        self._result: T | None = None
        self.ended = threading.Lock()
        self.ended.acquire()
        calls.add(self)

    def begin(self) -> None:
        if self not in self._calls:
            return
        self._task = asyncio.get_running_loop().create_task(self._coroutine)
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        """Cancel the coroutine, or keep it from beginning."""
        if self._task is None:
            self.lose("this call was interrupted before it began")
        else:
            self._task.cancel()

    def lose(self, why: str) -> None:
        """End the call without its coroutine, which may be cancelled later."""
        if self._task is None:
            self._coroutine.close()
        self._release(RuntimeError(why))

    def outcome(self) -> T:
        error, self._error = self._error, None
        if error is None:
            return cast("T", self._result)
        try:
            raise error
        finally:
            del self, error  # the traceback holds this frame: no circle

    def _end(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self._release(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self._release(error)
        else:
            self._result = task.result()
            self._release(None)

    def _release(self, error: BaseException | None) -> None:
        try:
            self._calls.remove(self)
        except KeyError:  # the loop's end and the coroutine's come in either order
            return
        self._error = error
        self.ended.release()


class ProcessLoop:
    """The one `LoopThread` of a process: started at first use, ended at exit.

    A forked child and a process whose thread has died get a new one at their next use.

    Attributes:
        has_ended: Whether the interpreter ends. All tenants are closed then.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._current: LoopThread | None = None
        self._starting = threading.Lock()
        self.has_ended = False
        self._tenants: weakref.WeakSet[Tenant] = weakref.WeakSet()
        atexit.register(self._stop)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._leave_behind)

    def running(self) -> LoopThread | None:
        """Return the process's loop thread, or None where it does not run; takes no lock."""
        current = self._current
        return current if current is not None and current.is_alive else None

    def get(self) -> LoopThread:
        """Return the process's loop thread; start it where it does not run.

        Raises:
            RuntimeError: The interpreter ends: a thread that is started then never runs.
        """
        running = self.running()
        if running is None:
            with self._starting:
                running = self.running()
                if running is None:
                    if self.has_ended:
                        raise RuntimeError("the interpreter ends: nothing was sent")
                    if self._current is not None:
                        self._current.stop()  # what its loop still closes is free for the next
                    running = self._current = LoopThread(self._name)
        return running

    def lodge(self, tenant: Tenant) -> None:
        """Close this at exit if it is still open. A forked child leaves it alone, or lodges it."""
        self._tenants.add(tenant)

    def _stop(self) -> None:
        self.has_ended = True
        running = self.running()
        if running is not None:
            running.stop(*self._tenants)

    def _leave_behind(self) -> None:
        if self._current is not None:
            self._current.leave_behind([*self._tenants])
        self._current = None
        self._tenants = weakref.WeakSet()
        self._starting = threading.Lock()
