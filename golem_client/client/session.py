"""The connections of one client in one event loop."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import warnings
import weakref
from collections.abc import AsyncGenerator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiohttp

from golem_client.client.gate import Gate
from golem_client.client.options import Settings

# Golem answers with few and short headers, but what stands before it may add many.
_LIMITS: dict[str, Any] = {"max_line_size": 64 * 1024, "max_field_size": 64 * 1024}
if "max_headers" in inspect.signature(aiohttp.ClientSession).parameters:  # since aiohttp 3.14
    _LIMITS["max_headers"] = 1000

CLOSED = "this GolemClient is closed: make a new one"
_OTHER_LOOP = (
    "this GolemClient is in use in another event loop: make one client per loop, or use "
    "golem_client.blocking.BlockingGolemClient, which threads may share"
)


_NEVER = float("inf")


class Wait:
    """What a call waits in, one wait after another: `with wait.until(when): await …`.

    It ends as `asyncio.timeout` does, with a TimeoutError, and when the session is closed. All
    waits of a session share one timer, which makes them cheap.

    Attributes:
        ends_at: When the present wait ends, by the loop's clock; infinity where there is none.
        is_expired: Whether the present wait, or the last one, was ended so.
    """

    ends_at = _NEVER
    is_expired = False

    def __init__(self, session: Session) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        self._session = session
        self._task = task
        self._cancelling = self._cancelling_before = task.cancelling()

    def until(self, when: float) -> Self:
        """Prepare a wait that ends at this time; at once where the session is closed."""
        # Closing wakes the calls that wait already; nothing would wake one that begins later.
        self.ends_at = when = -_NEVER if self._session.is_closed else when
        self._session.watch(when)
        return self

    def expire(self) -> None:
        """End the present wait, if it is not over or ended already."""
        if self.ends_at < _NEVER:
            self.ends_at, self.is_expired = _NEVER, True
            self._task.cancel()

    def __enter__(self) -> None:
        self.is_expired = False
        self._cancelling_before = self._task.cancelling()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.ends_at = _NEVER
        # A cancellation of the task by anybody else wins.
        is_ours = self.is_expired and self._task.uncancel() <= self._cancelling_before
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError


class Session:
    """What one client keeps in one event loop.

    The aiohttp session has no default headers, because aiohttp sends those to a proxy, in the
    clear; and no cookies and no limits of time.

    Attributes:
        waits: What the calls under way wait in.
        first_uses: When each connection carried its first request.
        is_answered: Whether any attempt has had an answer.
        is_over: Whether the session was closed, by the client or with its loop.
    """

    is_over = True  # until it is opened

    def __init__(self, settings: Settings) -> None:
        borrowed = settings.connector
        self.loop = asyncio.get_running_loop()
        try:
            self.http = aiohttp.ClientSession(
                loop=self.loop,
                connector=borrowed or aiohttp.TCPConnector(limit=settings.max_connections),
                connector_owner=borrowed is None,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                **_LIMITS,
            )
        except RuntimeError:
            raise RuntimeError("the borrowed connector belongs to another event loop") from None
        self.gate = Gate(self.loop, settings.max_connections)
        self.waits: set[Wait] = set()
        self.first_uses: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
        self.is_answered = self.is_over = False
        self.pid = os.getpid()
        self._base_url = settings.base_url
        self._borrowed = borrowed
        self._alarm: asyncio.Handle | None = None
        self._alarm_at = _NEVER
        self._until_loop_ends = self._end_with_the_loop()
        with suppress(StopIteration):  # run it to its `yield`, as `await anext(…)` does
            self._until_loop_ends.__anext__().send(None)

    def __del__(self) -> None:
        if not (self.is_over or self.http.closed or self.pid != os.getpid()):
            what = f"unclosed GolemClient of {self._base_url}: use `async with`, or await aclose()"
            warnings.warn(what, ResourceWarning, stacklevel=2, source=self)

    @property
    def is_closed(self) -> bool:
        """Whether the client was closed, or the connector that it borrows."""
        return self.is_over or (self._borrowed is not None and self._borrowed.closed)

    @property
    def is_elsewhere(self) -> bool:
        """Whether its loop has ended, or is that of the process from which this one was forked."""
        return self.loop.is_closed() or self.pid != os.getpid()

    def watch(self, until: float) -> None:
        """End waits at this time, if their `ends_at` still says so then."""
        alarm = self._alarm
        if alarm is None or until < self._alarm_at:
            if alarm is not None:
                alarm.cancel()
            self._alarm_at = until  # uvloop's handle of a time that is over does not know it
            # Weak, so that the timer does not keep alive a session that is dropped.
            session: weakref.ref[Session] = weakref.ref(self)
            self._alarm = self.loop.call_at(until, self._ring, session)

    def ring(self) -> None:
        """End the waits that are over, and set the timer for the next."""
        self._alarm = None
        now = self.loop.time()
        for wait in self.waits:
            if wait.ends_at <= now:
                wait.expire()
        earliest = min((wait.ends_at for wait in self.waits), default=_NEVER)
        if earliest < _NEVER:
            self.watch(earliest)

    @staticmethod
    def _ring(session: weakref.ref[Session]) -> None:
        found = session()
        if found is not None:
            found.ring()

    async def _end_with_the_loop(self) -> AsyncGenerator[None]:
        """Close the session when the loop ends: `asyncio.run` closes async generators."""
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        """End the calls under way, and close the connections."""
        if self.is_over:
            return
        self.is_over = True
        for wait in self.waits:
            wait.expire()
        try:
            await asyncio.sleep(0)
        finally:  # also where the closing is cancelled: it is not repeated
            await self.http.close()


class Sessions:
    """The session of a client, shared with every client that `with_options` made of it."""

    def __init__(self) -> None:
        self.is_closed = False
        self.current: Session | None = None
        self._lock = threading.Lock()
        self._of_parents: list[Session] = []

    def here(self, settings: Settings) -> Session:
        """Return the session of the running loop; open it where there is none."""
        session = self.current
        if session is None or session.loop is not asyncio.get_running_loop() or session.is_over:
            with self._lock:  # several threads may make their first calls at the same time
                session = self.current = self._usable() or Session(settings)
        return session

    def _usable(self) -> Session | None:
        session = self.current
        if self.is_closed:
            raise RuntimeError(CLOSED)
        if session is None or session.loop is asyncio.get_running_loop():
            return None if session is None or session.is_over else session
        if not session.is_elsewhere:
            raise RuntimeError(_OTHER_LOOP)
        self._keep(session)
        return None

    def _keep(self, session: Session) -> None:
        # The connections of a parent are its own: they must not even be closed here.
        if session.pid != os.getpid():
            self._of_parents.append(session)

    async def close(self) -> None:
        """Close the session, unless it is in use in another loop that is alive: a RuntimeError."""
        with self._lock:
            session = self.current
            if session is not None and session.is_elsewhere:
                self._keep(session)
                session = None
            if session is not None and session.loop is not asyncio.get_running_loop():
                raise RuntimeError(_OTHER_LOOP)
            self.is_closed, self.current = True, None
        if session is not None:
            await session.close()
