"""A Golem that goes away under a steady load: this client, and what people paste.

    python -m tests.recovery
    python -m tests.recovery --rates 50 --faults refused 503 --outage 3

The same load goes through the same outage in three ways: through GolemClient with its defaults,
through one with `overload="ignore"`, and through plain aiohttp with a tenacity decorator that is as
patient as ours. Each call completes a promise of its own, and nobody else does: a caller who hears
that another was first was misinformed.

Faults: `refused` (no listener), `503` (to everything), `hanging` (every other payload is stored,
and nothing is ever answered), `partial` (one promise in twenty hangs for ever, as with one dead
executor). The first three last as long as the outage; `partial` lasts to the end.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Literal

import aiohttp
import attrs
from tenacity import retry, stop_after_attempt, stop_after_delay, wait_exponential

from golem_client import GolemClient, GolemError, Outcome, PromiseId
from golem_client.client.events import AttemptEvent, CallEvent

BEFORE_SECONDS = 3.0
AFTER_SECONDS = 6.0
GIVEN_UP_SECONDS = 30.0
LATENCY_SECONDS = 0.05
COMPONENT = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
PAYLOAD = b'{"approved":true}'

Fault = Literal["", "refused", "503", "hanging", "partial"]
FAULTS: tuple[Fault, ...] = ("refused", "503", "hanging", "partial")


def is_of_the_dead_executor(number: int) -> bool:
    """Whether the promise is one of the twentieth that hangs."""
    return number % 20 == 7


class Golem:
    """A Golem as quick as Python can make it, which stores the first payload of each worker."""

    def __init__(self) -> None:
        self.fault: Fault = ""
        self.stored: set[int] = set()
        self.connections: set[Connection] = set()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), "127.0.0.1", self.port, backlog=4096
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def leave(self) -> None:
        """Refuse connections, and end those that there are."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.transport.abort()

    async def begin(self, fault: Fault) -> None:
        self.fault = fault
        if fault == "refused":
            self.leave()

    async def end(self) -> None:
        was, self.fault = self.fault, ""
        if was == "refused":
            await self.listen()

    def answer(self, number: int) -> tuple[bytes, bytes] | None:
        """Take a request in, and return the answer's status and body; None for no answer."""
        if self.fault == "503":
            return b"503 Service Unavailable", b"{}"
        if self.fault == "hanging":
            if number % 2:
                self.stored.add(number)
            return None
        if self.fault == "partial" and is_of_the_dead_executor(number):
            return None
        is_first = number not in self.stored
        self.stored.add(number)
        return b"200 OK", b"true" if is_first else b"false"


class Connection(asyncio.Protocol):
    """Reads just enough of each request to find its worker and its end."""

    def __init__(self, golem: Golem) -> None:
        self._golem = golem
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._golem.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        self._golem.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return
        self._received = b""
        number = int(head.partition(b"/workers/w")[2].partition(b"/")[0])
        asyncio.get_running_loop().call_later(LATENCY_SECONDS, self._answer, number)

    def _answer(self, number: int) -> None:
        if self.transport.is_closing():
            return
        answer = self._golem.answer(number)
        if answer is not None:
            status, body = answer
            self.transport.write(
                b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (status, len(body), body)
            )


@attrs.frozen
class Ended:
    """A call: when it began and ended, in seconds from the beginning, and what it was told."""

    number: int
    began: float
    ended: float
    told: str

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


ANSWERS = {"true", "false", "unknown"}


@attrs.define
class Way:
    """A way to complete promises, and how it went.

    Attributes:
        name: What stands over its column.
        calls: The calls that ended.
        requests: When each request was begun, refused ones included.
        fault_began: When the fault began.
        fault_ended: When it ended.
    """

    name: str
    calls: list[Ended] = attrs.field(factory=list)
    requests: list[float] = attrs.field(factory=list)
    fault_began: float = 0.0
    fault_ended: float = 0.0

    def good(self, first: float = 0.0, last: float = float("inf")) -> list[Ended]:
        """Return the calls begun between these times that came to an answer."""
        return [one for one in self.calls if one.told in ANSWERS and first <= one.began < last]

    def requests_between(self, first: float, last: float) -> int:
        """Return the number of requests begun between these times."""
        return sum(first <= at < last for at in self.requests)


Complete = Callable[[int], Awaitable[str]]


class Counting:
    """Notes when each attempt begins."""

    def __init__(self, note: Callable[[], None]) -> None:
        self._note = note

    def call(self, _: CallEvent) -> AbstractContextManager[Any] | None:
        return None

    def attempt(self, _: AttemptEvent) -> AbstractContextManager[Any] | None:
        self._note()
        return None


@asynccontextmanager
async def through_ours(
    url: str, note: Callable[[], None], rate: float, overload: Literal["wait", "ignore"]
) -> AsyncIterator[Complete]:
    """Complete with our defaults; a busy program has raised its connections."""
    connections = 100 if rate <= 100 else 1000
    async with GolemClient(
        url,
        token="secret-token",
        max_connections=connections,
        overload=overload,
        observers=[Counting(note)],
    ) as client:
        words = {Outcome.FULFILLED: "true", Outcome.ALREADY_FULFILLED: "false"}

        async def complete(number: int) -> str:
            promise_id = PromiseId.parse(f"{COMPONENT}/w{number}/1")
            try:
                done = await client.complete_bytes(promise_id, PAYLOAD)
            except GolemError as error:
                return type(error).__name__
            return words.get(done.outcome, "unknown")

        yield complete


class DownError(Exception):
    """The plain client was answered something that is no 200."""


@asynccontextmanager
async def through_tenacity(
    url: str, note: Callable[[], None], rate: float
) -> AsyncIterator[Complete]:
    """Complete with what people write in an hour, and as patiently as ours."""
    connector = aiohttp.TCPConnector(limit=100 if rate <= 100 else 1000)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=10)
    ) as http:

        @retry(
            stop=stop_after_attempt(10) | stop_after_delay(GIVEN_UP_SECONDS),
            wait=wait_exponential(multiplier=0.1, max=5.0),
        )
        async def post(number: int) -> bool:
            note()
            async with http.post(
                f"{url}/v1/components/{COMPONENT}/workers/w{number}/complete",
                json={"oplogIdx": 1, "data": list(PAYLOAD)},
                headers={"Authorization": "Bearer secret-token"},
            ) as answer:
                if answer.status != 200:
                    raise DownError
                word: bool = await answer.json()
                return word

        async def complete(number: int) -> str:
            try:
                word = await post(number)
            except Exception as error:  # noqa: BLE001 - whatever it fails with, it has failed
                return type(error).__name__
            return "true" if word else "false"

        yield complete


async def under_load(name: str, fault: Fault, rate: float, outage: float) -> Way:
    """Begin so many calls a second, with a fault in the midst, and wait for all of them."""
    loop, golem, way = asyncio.get_running_loop(), Golem(), Way(name)
    await golem.listen()
    url = f"http://127.0.0.1:{golem.port}"
    start = 0.0

    def note() -> None:
        way.requests.append(loop.time() - start)

    async def one(complete: Complete, number: int) -> None:
        began = loop.time() - start
        told = await complete(number)
        way.calls.append(Ended(number, began, loop.time() - start, told))

    async def trouble() -> None:
        await asyncio.sleep(BEFORE_SECONDS)
        way.fault_began = loop.time() - start
        await golem.begin(fault)
        await asyncio.sleep(outage)
        if fault != "partial":
            await golem.end()
        way.fault_ended = loop.time() - start

    through = (
        through_tenacity(url, note, rate)
        if name == "tenacity"
        else through_ours(url, note, rate, "ignore" if name == "ignore" else "wait")
    )
    async with through as complete:
        await asyncio.gather(*(complete(-number - 1) for number in range(20)))  # connections, code
        way.requests.clear()
        start = loop.time()
        async with asyncio.TaskGroup() as group:
            group.create_task(trouble())
            for number in range(int(rate * (BEFORE_SECONDS + outage + AFTER_SECONDS))):
                await asyncio.sleep(start + number / rate - loop.time())
                group.create_task(one(complete, number))
    golem.leave()
    return way


def percentile(percent: int, calls: list[Ended]) -> float:
    """Return the seconds within which so many of the calls were answered."""
    times = sorted(call.seconds for call in calls)
    if len(times) < 2:
        return times[0] if times else 0.0
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


def rows(ways: list[Way], fault: Fault, rate: float) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows of the table."""
    yield "calls", [str(len(way.calls)) for way in ways]
    yield "failed", [str(len(way.calls) - len(way.good())) for way in ways]
    yield "  of promises that never hang", [
        str(sum(one.told not in ANSWERS and not is_of_the_dead_executor(one.number)
                for one in way.calls)) for way in ways]  # fmt: skip
    for word, title in (("unknown", "told: nobody can know"), ("false", "misinformed: another's")):
        yield title, [str(sum(one.told == word for one in way.calls)) for way in ways]
    spans = [
        ("before", [way.good(0.0, way.fault_began - 2 * LATENCY_SECONDS) for way in ways]),
        ("during", [way.good(way.fault_began, way.fault_ended) for way in ways]),
        ("after", [way.good(way.fault_ended) for way in ways]),
    ]
    for title, spanned in spans:
        calls = spanned
        if fault == "partial":
            calls = [[one for one in each if not is_of_the_dead_executor(one.number)]
                     for each in spanned]  # fmt: skip
        for percent in (50, 99):
            times = [percentile(percent, each) for each in calls]
            yield f"p{percent} of calls begun {title}, s", [f"{time:.3f}" for time in times]
    if fault == "partial":
        return
    lasts = [
        max((one.ended for one in way.good(0.0, way.fault_ended)), default=0.0) - way.fault_ended
        for way in ways
    ]
    yield "backlog gone, s after the outage", [f"{max(last, 0):.2f}" for last in lasts]
    yield "requests during the outage", [
        str(way.requests_between(way.fault_began, way.fault_ended)) for way in ways]  # fmt: skip
    peaks = [
        max(way.requests_between(at, at + 0.1)
            for at in (way.fault_ended + tenth / 10 for tenth in range(10)))
        for way in ways]  # fmt: skip
    yield (
        "highest rate after it, over 0.1 s, times the load",
        [f"{10 * one / rate:.1f}" for one in peaks],
    )


NAMES = ("golem-client", "ignore", "tenacity")


async def measure(fault: Fault, rate: float, outage: float) -> list[Way]:
    """Send the same load once in each way; a small one through all of them at the same time."""
    runs = [under_load(name, fault, rate, outage) for name in NAMES]
    if rate <= 100:
        return list(await asyncio.gather(*runs))
    return [await run for run in runs]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.recovery",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[50.0, 300.0])
    parser.add_argument("--faults", choices=FAULTS, nargs="+", default=FAULTS)
    parser.add_argument("--outage", type=float, default=10.0, help="seconds")
    options = parser.parse_args()
    for rate in options.rates:
        for fault in options.faults:
            ways = asyncio.run(measure(fault, rate, options.outage))
            title = f"{fault}, {rate:g} calls a second, {options.outage:g} s"
            lines = [f"{title:<45}" + "".join(f"{name:>15}" for name in NAMES)]
            lines += [f"{title:<45}" + "".join(f"{cell:>15}" for cell in cells)
                      for title, cells in rows(ways, fault, rate)]  # fmt: skip
            for way in ways:
                kinds = Counter(one.told for one in way.calls if one.told not in ANSWERS)
                if kinds:
                    lines.append(f"failures of {way.name}: {dict(kinds)}")
            sys.stdout.write("\n".join(lines) + "\n\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
