"""A Golem that is away for ten seconds under a steady load: our client, and what people paste.

    python -m tests.recovery
    python -m tests.recovery --rate 100 --outage 10

The same load goes through the same outage: through GolemClient with its defaults, and through plain
aiohttp with a plain tenacity decorator, once as patient as ours and once as it is often pasted:
five attempts, from one second up. Each call completes a promise of its own, and
nobody else does: whoever is told that another was first is told something that is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import quote

import aiohttp
import attrs
from tenacity import retry, stop_after_attempt, stop_after_delay, wait_exponential

from golem_client import Completion, GolemClient, GolemError, Outcome, PromiseId
from golem_client.testing import FakeGolem

BEFORE_SECONDS = 5.0
AFTER_SECONDS = 20.0
GIVEN_UP_SECONDS = 30.0
LATENCY_SECONDS = 0.1
PAYLOAD = b'{"approved":true}'


class DownError(Exception):
    """The plain client was answered something that is no 200."""


Complete = Callable[[PromiseId], Awaitable[str]]


@attrs.frozen
class Ended:
    """A call: when it began and ended, in seconds from the beginning, and what it was told."""

    began: float
    ended: float
    told: str

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


@attrs.define
class Way:
    """A way to complete promises, and how it went.

    Attributes:
        name: What stands over its column.
        calls: The calls that ended.
        completed: How many promises were completed in the end.
        stored: How many were, of those whose call failed.
        requests: How many requests it took, as far as they arrived.
    """

    name: str
    calls: list[Ended] = attrs.field(factory=list)
    completed: int = 0
    stored: int = 0
    requests: int = 0

    @property
    def good(self) -> list[Ended]:
        """The calls that came to an answer."""
        return [call for call in self.calls if call.told in ANSWERS]

    def rate(self, begin: float, end: float) -> float:
        """Return the calls answered in a second, on average from one time to another."""
        return sum(begin <= call.ended < end for call in self.good) / (end - begin)

    def percentile(self, percent: int, calls: list[Ended]) -> float:
        """Return the seconds within which so many of the calls were answered."""
        times = sorted(call.seconds for call in calls)
        if len(times) < 2:
            return times[0] if times else 0.0
        return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


ANSWERS = {"true": "told: mine", "false": "told: another's", "unknown": "told: nobody can know"}


async def through_ours(client: GolemClient, promise_id: PromiseId) -> str:
    """Complete it with our defaults."""
    try:
        done: Completion = await client.complete_bytes(promise_id, PAYLOAD)
    except GolemError as error:
        return type(error).__name__
    words = {Outcome.FULFILLED: "true", Outcome.ALREADY_FULFILLED: "false"}
    return words.get(done.outcome, "unknown")


PATIENT: dict[str, Any] = {
    "stop": stop_after_attempt(10) | stop_after_delay(GIVEN_UP_SECONDS),
    "wait": wait_exponential(multiplier=0.1, max=5.0),
}
PASTED: dict[str, Any] = {
    "stop": stop_after_attempt(5),
    "wait": wait_exponential(multiplier=1, max=10),
}


def plain(http: aiohttp.ClientSession, url: str, token: str, decorated: dict[str, Any]) -> Complete:
    """Return what people write in an hour."""

    @retry(**decorated)  # type: ignore[untyped-decorator]
    async def post(path: str, body: dict[str, object]) -> bool:
        async with http.post(
            url + path, json=body, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            if answer.status != 200:
                raise DownError
            word: bool = await answer.json()
            return word

    async def complete(promise_id: PromiseId) -> str:
        worker = promise_id.worker_id
        name = quote(worker.worker_name, safe="")
        path = f"/v1/components/{worker.component_id}/workers/{name}/complete"
        try:
            word = await post(path, {"oplogIdx": promise_id.oplog_idx, "data": list(PAYLOAD)})
        except Exception as error:  # noqa: BLE001 - whatever it fails with, it has failed
            return type(error).__name__
        return "true" if word else "false"

    return complete


async def under_load(
    golem: FakeGolem, complete: Complete, way: Way, rate: float, outage: float
) -> None:
    """Begin so many calls a second, with an outage in the midst, and wait for all of them."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    ids = []

    async def one(promise_id: PromiseId) -> None:
        began = loop.time() - start
        told = await complete(promise_id)
        way.calls.append(Ended(began, loop.time() - start, told))

    async def be_away() -> None:
        await asyncio.sleep(BEFORE_SECONDS)
        async with golem.outage():
            await asyncio.sleep(outage)

    async with asyncio.TaskGroup() as group:
        group.create_task(be_away())
        for number in range(int(rate * (BEFORE_SECONDS + outage + AFTER_SECONDS))):
            await asyncio.sleep(start + number / rate - loop.time())
            ids.append(golem.create_promise())
            group.create_task(one(ids[-1]))
    stored = {each for each in ids if golem.payload(each) is not None}
    way.completed = len(stored)
    way.requests = len(golem.requests)
    way.stored = len(stored) - len(way.good)


async def measure(rate: float, outage: float) -> list[Way]:
    """Send the same load once in each way."""
    ours = Way("golem-client")
    async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
        golem.latency(LATENCY_SECONDS)
        await under_load(golem, lambda each: through_ours(client, each), ours, rate, outage)
    ways = [ours]
    for name, decorated in (("tenacity, patient", PATIENT), ("tenacity, 5 times", PASTED)):
        ways.append(Way(name))
        async with FakeGolem() as golem, aiohttp.ClientSession() as http:
            golem.latency(LATENCY_SECONDS)
            complete = plain(http, golem.url, golem.token, decorated)
            await under_load(golem, complete, ways[-1], rate, outage)
    return ways


def rows(ways: list[Way], outage: float) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows of the table."""
    end = max(call.ended for way in ways for call in way.calls)
    back = BEFORE_SECONDS + outage
    yield "calls", [str(len(way.calls)) for way in ways]
    yield "failed", [str(len(way.calls) - len(way.good)) for way in ways]
    yield "  completed all the same", [str(max(way.stored, 0)) for way in ways]
    for answer, words in ANSWERS.items():
        yield words, [str(sum(call.told == answer for call in way.calls)) for way in ways]
    yield (
        "  misreported: another's, and it was mine",
        [str(sum(call.told == "false" for call in way.calls)) for way in ways],
    )
    yield "promises completed", [str(way.completed) for way in ways]
    yield "requests that arrived", [str(way.requests) for way in ways]
    for title, first, last in (
        ("begun before the outage", 0.0, BEFORE_SECONDS - 0.1),
        ("begun during the outage", BEFORE_SECONDS - 0.1, back),
        ("begun after the outage", back, end + 1),
    ):
        for percent in (50, 99):
            times = [
                way.percentile(percent, [one for one in way.good if first <= one.began < last])
                for way in ways
            ]
            yield f"p{percent} to answered, {title}, s", [f"{time:.3f}" for time in times]
    lasts = [
        max((one.ended for one in way.good if one.began < back), default=back) - back
        for way in ways
    ]
    yield "the last of the backlog, s after the outage", [f"{last:.2f}" for last in lasts]
    yield "answered each second:", ["" for _ in ways]
    for second in range(int(end) + 1):
        title = "away" if BEFORE_SECONDS <= second < back else ""
        yield f"  {second:>3} s {title}", [f"{way.rate(second, second + 1):.0f}" for way in ways]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.recovery",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rate", type=float, default=50.0, help="calls begun each second")
    parser.add_argument("--outage", type=float, default=10.0, help="seconds")
    options = parser.parse_args()
    ways = asyncio.run(measure(options.rate, options.outage))
    failures = [Counter(one.told for one in way.calls if one.told not in ANSWERS) for way in ways]
    lines = [f"{'':<45}" + "".join(f"{way.name:>20}" for way in ways)]
    lines += [f"{title:<45}" + "".join(f"{cell:>20}" for cell in cells)
              for title, cells in rows(ways, options.outage)]  # fmt: skip
    lines += [
        f"failures of {way.name}: {dict(kinds)}" for way, kinds in zip(ways, failures, strict=True)
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
