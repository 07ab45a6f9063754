"""The fake's place on the network: everything that touches a socket, and nothing that decides."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import select
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from aiohttp import web

from golem_client.testing.messages import Answer, Delivery, Ending, Incoming

HOST = "127.0.0.1"

_SLICE_SECONDS = 0.25
# Slices in which the loop does nothing before it counts as blocked. Slices are counted, and not
# the time: a process that was stopped for long is not blocked.
_PATIENCE = 10

_WORDS = (
    "The event loop of this FakeGolem is blocked, so that it cannot answer: a test that calls "
    "blocking code (requests, FastAPI's TestClient, Flask, Django, BlockingGolemClient) needs a "
    "fake in a thread of its own: FakeGolem.in_thread(), or the fixture blocking_fake_golem"
)

_log = logging.getLogger("golem_client.testing")

# Given a request and the number of its connection, it returns what the client gets.
Respond = Callable[[Incoming, int], Awaitable[Delivery]]


class Server:
    """An HTTP server, by default on a loopback port, that can also misbehave.

    It stands on aiohttp's low-level server: routing would decode the path before Golem's rules
    see it, and a fault needs the transport.
    """

    def __init__(self, respond: Respond, host: str = HOST) -> None:
        self.host = host
        self._respond = respond
        self._listener: asyncio.Server | None = None
        self._place: socket.socket | None = None
        self._watch: _StarvationWatch | None = None
        self._connections: set[_Connection] = set()
        self._exchanges: set[asyncio.Task[Any]] = set()
        self._numbers = itertools.count(1)

    async def start(self, port: int = 0) -> int:
        """Listen on this port, and return it; 0 lets the system choose."""
        loop = asyncio.get_running_loop()
        manager = web.Server(self._exchange)

        def connection() -> _Connection:
            return _Connection(manager, self._connections, next(self._numbers))

        self._give_up_place()
        self._listener = await loop.create_server(connection, self.host, port, reuse_address=True)
        listening = self._listener.sockets[0]
        self._watch = _StarvationWatch(loop, listening.fileno())
        number: int = listening.getsockname()[1]
        return number

    async def stop(self, *, keeps_port: bool = False) -> None:
        """Stop listening, and drop every connection with whatever is under way on it.

        A port that is kept for `start` cannot be taken by another program meanwhile, which would
        then get what is meant for this one.
        """
        self._give_up_place()
        listener, self._listener = self._listener, None
        if listener is None or self._watch is None:
            return
        self._watch.stop()
        listening = listener.sockets[0]
        family, address = listening.family, listening.getsockname()
        try:
            # asyncio (3.11 to 3.13) leaks a connection that it has accepted and not made by then.
            with suppress(NotImplementedError):  # Windows
                asyncio.get_running_loop().remove_reader(listening.fileno())
            for _ in range(4):
                await asyncio.sleep(0)
        finally:
            listener.close()
        if keeps_port:
            self._place = socket.socket(family)
            self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):  # it was taken at this moment, or the system does not allow it
                self._place.bind(address)
        exchanges = list(self._exchanges)
        for exchange in exchanges:
            exchange.cancel()
        await asyncio.gather(*exchanges, return_exceptions=True)
        await self.drop_connections()
        await listener.wait_closed()

    def _give_up_place(self) -> None:
        if self._place is not None:
            self._place.close()
            self._place = None

    async def drop_connections(self) -> None:
        """Close every connection, idle or not."""
        for connection in list(self._connections):
            await connection.drop()

    async def _exchange(self, request: web.BaseRequest) -> web.StreamResponse:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._exchanges.add(task)
        try:
            return await self._serve(request, cast("_Connection", request.protocol))
        finally:
            self._exchanges.discard(task)

    async def _serve(self, request: web.BaseRequest, connection: _Connection) -> web.StreamResponse:
        try:
            # Not request.read(), which limits the size: Golem's own server has no limit.
            body = await request.content.read()
        except ConnectionError:
            return web.Response()
        incoming = Incoming(request.method, request.raw_path, request.headers, body)
        delivery = await self._respond(incoming, connection.number)
        if whole := delivery.whole:
            return web.Response(status=whole.status, body=whole.body, headers=whole.all_headers())
        await connection.break_off(delivery)
        return web.Response()


class _Connection(web.RequestHandler):
    """A client's connection, which has a number, and keeps itself in a register while it lives."""

    def __init__(self, manager: web.Server, register: set[_Connection], number: int) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # no access log: the annotation does not know
            auto_decompress=False,  # Golem reads a body as it comes
        )
        self.number = number
        self.lost = asyncio.Event()
        self._register = register
        self._wire: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._register.add(self)
        # aiohttp forgets its transport when it closes it, which may be long before it is closed.
        self._wire = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._register.discard(self)
        self.lost.set()

    async def drop(self) -> None:
        """Close the connection, and wait until it is."""
        self.close()
        if self._wire is not None:
            self._wire.abort()
        await self.lost.wait()

    async def break_off(self, delivery: Delivery) -> None:
        """Send what is to be sent, and end the connection as the delivery says."""
        transport = self._wire
        if transport is None or transport.is_closing():
            return
        transport.write(delivery.wire)
        if delivery.ending is Ending.STALL:
            await self.lost.wait()
        elif delivery.ending is Ending.RESET:
            # With no time to linger, closing sends RST instead of FIN.
            no_time = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, no_time
            )
            transport.abort()
        else:
            transport.close()


class _StarvationWatch:
    """Answers new connections with the reason while the loop is blocked by the test.

    Without it, the client waits for an answer that cannot come, and the test fails with a riddle.
    It runs in a daemon thread from its creation until `stop`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, listening: int) -> None:
        self._loop = loop
        self._listening = socket.socket(fileno=os.dup(listening))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="FakeGolem watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()
        self._listening.close()

    def _run(self) -> None:
        beat, idle = threading.Event(), 0
        beat.set()
        with suppress(RuntimeError):  # the loop was closed without the fake's end
            while not self._ended.wait(_SLICE_SECONDS):
                idle = 0 if beat.is_set() else idle + 1
                if not idle:
                    beat.clear()
                    self._loop.call_soon_threadsafe(beat.set)
                elif idle >= _PATIENCE:
                    self._answer_who_waits(beat)

    def _answer_who_waits(self, beat: threading.Event) -> None:
        while not beat.is_set() and select.select([self._listening], [], [], 0)[0]:
            with suppress(OSError):
                connection, _ = self._listening.accept()
                _log.error(_WORDS)
                with connection:
                    connection.settimeout(0.5)
                    connection.recv(65_536)
                    # A client does not repeat a 409, and shows its text.
                    connection.sendall(Answer.json(409, {"error": _WORDS}).wire())
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65_536):
                        pass
