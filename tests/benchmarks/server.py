"""The other end of a benchmark: a process of its own that answers `true` as fast as Python can.

It reads just enough of a request to find its end, so that the client is what is measured.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n"
    b"content-length: 4\r\n\r\ntrue"
)


class Answering(asyncio.Protocol):
    """Counts bytes until a request is whole, then answers."""

    rate = 0
    """The bytes a second that it takes in; 0 is no limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.head = b""
        self.missing = 0
        self.due = 0.0

    def data_received(self, data: bytes) -> None:
        if self.rate:
            self.transport.pause_reading()
            loop = asyncio.get_running_loop()
            self.due = max(self.due, loop.time()) + len(data) / self.rate
            loop.call_at(self.due, self.transport.resume_reading)
        if self.missing:
            self.missing -= len(data)
        else:
            self.head += data
            head, found, rest = self.head.partition(b"\r\n\r\n")
            if not found:
                return
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self.missing = int(length) - len(rest)
            self.head = b""
        if self.missing == 0:
            self.transport.write(ANSWER)


async def main() -> None:
    Answering.rate = int(sys.argv[1])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until our parent leaves


@contextmanager
def running(rate: int = 0) -> Iterator[str]:
    """Run the server in a process of its own; yield its URL.

    Args:
        rate: The bytes a second that it takes in, to stand for a link; 0 is no limit.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.server", str(rate)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()
            process.kill()


if __name__ == "__main__":
    asyncio.run(main())
