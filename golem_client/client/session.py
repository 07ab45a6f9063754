"""The connections of one client in one event loop, and the body that travels over them."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp
from multidict import CIMultiDict

from golem_client.client.settings import bearer

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.client_proto import ResponseHandler

    from golem_client.client.call import Call
    from golem_client.client.settings import Settings
    from golem_client.wire import Request


class Session:
    """What one client keeps in one event loop.

    Attributes:
        loop: The loop that all of it belongs to.
        http: The aiohttp session: no cookies, no limits of time of its own, no redirects.
        slots: One for each attempt at the same time. The wait for one is outside of the attempt,
            so that a burst does not abandon requests that it has just sent.
        calls: The calls under way.
        used: The connections that have carried a request before.
    """

    def __init__(self, settings: Settings) -> None:
        borrowed = settings.connector
        self.loop = asyncio.get_running_loop()
        connector = (
            aiohttp.TCPConnector(limit=settings.max_connections) if borrowed is None else borrowed
        )
        try:
            self.http = aiohttp.ClientSession(
                loop=self.loop,
                connector=connector,
                connector_owner=borrowed is None,
                headers={**settings.headers, **(bearer(settings.token) if settings.token else {})},
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            )
        except RuntimeError:
            raise RuntimeError("the borrowed connector belongs to another event loop") from None
        self.connector = connector
        self.slots = asyncio.Semaphore(settings.max_connections)
        self.calls: set[Call] = set()
        self.used: weakref.WeakSet[ResponseHandler] = weakref.WeakSet()
        self._is_closing = False

    @property
    def is_closed(self) -> bool:
        """Whether the client was closed, or the connector that it borrows."""
        return self._is_closing or self.http.closed

    def drop_idle_connections(self, host: str) -> None:
        """Close the idle connections to a host: where one was stale, the others most likely are."""
        # There is no public way (aiohttp 3.14); the pool itself discards what is not connected.
        for key, idle in self.connector._conns.items():  # noqa: SLF001
            if key.host == host:
                for protocol, _ in idle:
                    protocol.close()

    async def close(self) -> None:
        """End the calls under way, and close the connections."""
        self._is_closing = True
        if self.loop.is_closed():
            await self._close_what_a_closed_loop_left()
            return
        for call in self.calls:
            if call.wait is not None:
                with suppress(RuntimeError):  # it is just ending by itself
                    call.wait.reschedule(self.loop.time())
        await asyncio.sleep(0)
        await self.http.close()

    async def _close_what_a_closed_loop_left(self) -> None:
        """Close the sockets of a loop that can run nothing any more, so that none is leaked."""
        if self.http.connector_owner:
            for idle in self.connector._conns.values():  # noqa: SLF001 - as above
                for protocol, _ in idle:
                    # What the loop would have called last; where there is none, the socket is
                    # left to the garbage collector.
                    end = getattr(protocol.transport, "_call_connection_lost", None)
                    if end is not None:
                        end(None)
        await self.http.close()


class Body(aiohttp.Payload):
    """The body of one attempt, which knows how far it got.

    Attributes:
        is_taken: aiohttp has asked for it: false only where `_request` is replaced by a mock.
        is_begun: Its first byte was written: from here on Golem may have stored the payload.
        is_finished: Its last byte was written: before that no answer can be Golem's `true`.
        is_reused: It went over a connection that had carried a request before.
        is_answered: The head of an answer came.
    """

    # aiohttp's own constructor makes such headers for each body.
    _headers = CIMultiDict({"Content-Type": "application/json"})
    _encoding = None
    _filename = None
    _value: Request

    def __init__(self, request: Request, session: Session) -> None:
        self._value = request
        self._session = session
        self.is_taken = False
        self.is_begun = False
        self.is_finished = False
        self.is_reused = False
        self.is_answered = False

    @property
    def size(self) -> int:
        """The number of bytes; aiohttp asks for it when it builds a request, a mock never does."""
        self.is_taken = True
        return self._value.size

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body, unless an answer that nobody asked for waits on the connection.

        aiohttp (3.14) would hand such a one to us as the answer to this request.
        """
        protocol: ResponseHandler = writer.protocol  # type: ignore[attr-defined]
        if protocol.should_close:
            raise aiohttp.ClientConnectionError
        if protocol in self._session.used:
            self.is_reused = True
        else:
            self._session.used.add(protocol)
        for piece in self._value.body():
            if self.is_begun:
                await asyncio.sleep(0)  # a fast reader never makes a write wait
            self.is_begun = True
            await writer.write(piece)
        self.is_finished = True

    def __deepcopy__(self, memo: object) -> Body:
        """Return itself: aioresponses copies what it is given, and would copy the event loop."""
        return self

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text: what tests with aioresponses find in `kwargs["data"]`."""
        return b"".join(self._value.body()).decode(encoding, errors)
