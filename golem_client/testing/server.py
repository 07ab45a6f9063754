"""The fake's place on the network: everything that touches a socket, and nothing that decides."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web

from golem_client.testing.messages import Answer, Delivery, Ending, Incoming

HOST = "127.0.0.1"

Respond = Callable[[Incoming, int], Awaitable[Delivery]]
"""Given a request and the number of its connection, returns what the client gets."""


class Server:
    """An HTTP server, by default on a loopback port, that can also misbehave.

    It stands on aiohttp's low-level server: routing would decode the path before Golem's rules
    see it, and a fault needs the transport.

    Attributes:
        host: Where it listens.
    """

    def __init__(self, respond: Respond) -> None:
        self.host = HOST
        self._respond = respond
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._exchanges: set[asyncio.Task[Any]] = set()
        self._numbers = itertools.count(1)

    async def start(self, port: int = 0) -> int:
        """Listen on this port, and return it; 0 lets the system choose."""
        loop = asyncio.get_running_loop()
        manager = web.Server(self._exchange)

        def connection() -> _Connection:
            return _Connection(manager, loop, self._connections, next(self._numbers))

        self._listener = await loop.create_server(connection, self.host, port, reuse_address=True)
        number: int = self._listener.sockets[0].getsockname()[1]
        return number

    @property
    def listening_socket(self) -> socket.socket:
        """A socket that listens where the server does, for the caller to close."""
        if self._listener is None:
            raise RuntimeError("the server does not listen")
        first = self._listener.sockets[0]
        return socket.fromfd(first.fileno(), first.family, socket.SOCK_STREAM)

    async def stop(self) -> None:
        """Stop listening, and drop every connection with whatever is under way on it."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.close()
        await self._end(self._exchanges)
        await self.drop_connections()
        await listener.wait_closed()

    async def drop_connections(self) -> None:
        """Close every connection, idle or not."""
        for connection in list(self._connections):
            await connection.drop()

    @staticmethod
    async def _end(tasks: set[asyncio.Task[Any]]) -> None:
        ending = list(tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _exchange(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        self._exchanges.add(task)
        try:
            return await self._serve(request)
        finally:
            self._exchanges.discard(task)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Connection)  # noqa: S101 - we made it
        try:
            # Not request.read(), which limits the size: Golem's own server has no limit.
            body = await request.content.read()
        except ConnectionError:
            return web.Response()
        incoming = Incoming(request.method, request.raw_path, request.headers, body)
        delivery = await self._respond(incoming, connection.number)
        if delivery.whole is not None:
            return _response(delivery.whole)
        await connection.break_off(delivery)
        return web.Response()


class _Connection(web.RequestHandler):
    """A client's connection, which has a number, and tells when it is lost."""

    def __init__(
        self,
        manager: web.Server,
        loop: asyncio.AbstractEventLoop,
        register: set[_Connection],
        number: int,
    ) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type] # no access log: the annotation does not know
            auto_decompress=False,  # Golem reads a body as it comes
            max_line_size=65_536,
            max_field_size=500_000,
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
            _reset(transport)
        else:
            transport.close()


def _reset(transport: asyncio.Transport) -> None:
    # With no time to linger, closing sends RST instead of FIN.
    sock: socket.socket = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.all_headers())
