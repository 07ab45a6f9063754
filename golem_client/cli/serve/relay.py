"""A port of this machine's other addresses that leads to a server on its own.

FakeGolem listens on 127.0.0.1 alone. Bytes and ends of connections are passed on as they come, so
that a client sees the same faults through it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from urllib.parse import urlsplit


@asynccontextmanager
async def relaying(host: str, port: int, url: str) -> AsyncIterator[str]:
    """Listen on an address and pass everything on to this URL; yield the URL of the address.

    Raises:
        OSError: It cannot be listened on.
    """
    parts = urlsplit(url)
    tasks: set[asyncio.Task[None]] = set()
    ends: set[asyncio.StreamWriter] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.add(writer)
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection(parts.hostname, parts.port)
        except OSError:
            await _close(writer, ends)
            return
        ends.add(far_writer)
        there = asyncio.create_task(_pass_on(reader, far_writer))
        await _pass_on(far_reader, writer)
        await _close(writer, ends)
        await _close(far_writer, ends)
        await there

    server = await asyncio.start_server(relay, host, port)
    async with server:
        try:
            yield _url(host, server.sockets[0].getsockname()[1])
        finally:
            server.close()
            # Their tasks are not cancelled: asyncio 3.11 logs that as an error.
            while tasks:
                for end in ends:
                    end.transport.abort()
                await asyncio.wait(tasks, timeout=0.05)


async def _close(writer: asyncio.StreamWriter, ends: set[asyncio.StreamWriter]) -> None:
    ends.discard(writer)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes until it ends: by an end, or by a reset."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()
    except ConnectionError:
        with suppress(OSError):
            # With no time to linger, closing sends RST instead of FIN.
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


def _url(host: str, port: int) -> str:
    """Return the URL under which this machine reaches the address, too."""
    with suppress(ValueError):
        address = ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "[::1]"
        elif address.version == 6:
            host = f"[{host}]"
    return f"http://{host}:{port}"
