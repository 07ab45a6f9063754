"""A server that does what it is told, on real sockets: what no mock and no framework can do."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

import attrs


@attrs.frozen
class Received:
    """One request as it came."""

    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def payload(self) -> bytes:
        return bytes(json.loads(self.body)["data"])


@attrs.frozen
class Exchange:
    """What a step may do with one request."""

    request: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: ScriptedServer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        with suppress(ConnectionError):
            await self.writer.drain()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Step = Callable[[Exchange], Awaitable[None]]


def message(
    status: int = 200,
    body: bytes = b"true",
    content_type: str = "application/json; charset=utf-8",
    **headers: str,
) -> bytes:
    """Return an HTTP answer; `Retry_After="1"` becomes the header `Retry-After`."""
    lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(body)}"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answer(
    status: int = 200,
    body: bytes = b"true",
    content_type: str = "application/json; charset=utf-8",
    **headers: str,
) -> Step:
    """Answer, and keep the connection."""
    return raw(message(status, body, content_type, **headers))


def raw(data: bytes) -> Step:
    """Send these bytes, and keep the connection."""

    async def step(exchange: Exchange) -> None:
        await exchange.send(data)

    return step


def raw_then_close(data: bytes = b"") -> Step:
    """Send these bytes and end the connection, as an orderly server would."""

    async def step(exchange: Exchange) -> None:
        await exchange.send(data)
        exchange.writer.close()

    return step


def raw_then_reset(data: bytes = b"") -> Step:
    """Send these bytes and reset the connection, as a crash would."""

    async def step(exchange: Exchange) -> None:
        await exchange.send(data)
        if data:
            await asyncio.sleep(0.01)
        exchange.reset()

    return step


async def stall(exchange: Exchange) -> None:
    """Answer nothing until the server ends."""
    await exchange.server.ended.wait()


def late(seconds: float, then: Step) -> Step:
    """Do something a little later."""

    async def step(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await then(exchange)

    return step


TRUE = answer()
FALSE = answer(body=b"false")
CLOSE = raw_then_close()
RESET = raw_then_reset()


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(
    handle: Handler, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[str]:
    """Serve each connection with a coroutine, on a loopback port, free for 0; yield the URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await handle(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=2**26, ssl=tls)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        # asyncio leaks a connection that it has accepted and not made before the server closes.
        asyncio.get_running_loop().remove_reader(server.sockets[0].fileno())
        for _ in range(4):
            await asyncio.sleep(0)
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


class ScriptedServer:
    """Runs one step for each request in the order of arrival, then the last one for ever.

    Attributes:
        url: Where it listens.
        requests: Every request that came whole.
        open_connections: How many are open now.
        connections: How many there were.
    """

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps) or [TRUE]
        self.requests: list[Received] = []
        self.open_connections = 0
        self.connections = 0
        self.ended = asyncio.Event()
        self._asked = asyncio.Event()
        self._serving = serving(self._serve)

    async def __aenter__(self) -> Self:
        self.url = await self._serving.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.ended.set()
        await self._serving.__aexit__(kind, error, traceback)

    async def is_asked(self) -> None:
        """Wait for the first request."""
        await self._asked.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        number = self.connections
        try:
            while not writer.is_closing():
                request = await _read_request(reader, number)
                self.requests.append(request)
                self._asked.set()
                step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
                await step(Exchange(request, reader, writer, self))
        finally:
            self.open_connections -= 1


async def _read_request(reader: asyncio.StreamReader, number: int) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(first.split(" ")[1], headers, body, number)
