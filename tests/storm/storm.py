"""A storm: many calls through bad weather, and afterwards the history of each promise."""

from __future__ import annotations

import asyncio
import gc
import random
import resource
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs

from golem_client import Completion, GolemError, Outcome, PromiseId, RetryPolicy
from golem_client.testing import FakeGolem
from tests.storm.calls import Caller, is_quiet
from tests.storm.ledger import (
    Broken,
    Call,
    Law,
    Story,
    broken_laws,
    echoes,
    is_told_of_closing,
    lies,
    slow_echoes,
)
from tests.storm.weather import (
    ONE_OF_TWO_IS_AWAY,
    STORM,
    WITHOUT_LENGTH,
    Alternating,
    back_after,
)

CALLS_IN_A_BATCH = 1000
CALLS_A_SECOND = 1200
FORSAKEN = UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
_FLAT_BYTES = 24 * 2**20
_MISREPORTED = (
    Law.MINE,
    Law.ANOTHERS,
    Law.UNKNOWN,
    Law.NOT_APPLIED,
    Law.NOT_CRYING_WOLF,
    Law.WORTHLESS,
    Law.WORTH,
    Law.COUNTED,
)
_CALLERS: dict[str, dict[str, Any]] = {
    "steady": {},
    "narrow": {"max_connections": 8},
    "hasty": {"timeout": 0.1, "attempt_timeout": 5.0},
    "patient": {},
    "once": {"retry": RetryPolicy.none()},
    # It is closed in the middle of long pauses, which must not go on.
    "leaving": {
        "max_connections": 20,
        "retry": RetryPolicy(min_delay=1.0, max_delay=2.0),
        "timeout": 8.0,
    },
}


@attrs.define
class Report:
    """What came of a storm."""

    calls: int = 0
    attempts: int = 0
    requests: int = 0
    endings: Counter[str] = attrs.field(factory=Counter)
    broken: Counter[Law] = attrs.field(factory=Counter)
    evidence: list[Broken] = attrs.field(factory=list)
    echoes: int = 0
    slow_echoes: int = 0
    lies: int = 0
    leaked: Counter[str] = attrs.field(factory=Counter)
    latest: float = 0.0
    lag: float = 0.0
    seconds: float = 0.0
    early_bytes: int = 0
    last_bytes: int = 0

    def charge(self, law: Law, evidence: str) -> None:
        """Note that a law is broken."""
        self.broken[law] += 1
        if self.broken[law] <= 5:
            self.evidence.append((law, evidence))

    def leak(self, what: str, number: int) -> None:
        """Note that something was left behind."""
        self.leaked[what] += number
        if number:
            self.charge(Law.TIDY, f"{number} {what}")

    def is_flat(self) -> bool:
        """Whether the memory did not grow after the first tenth."""
        return self.last_bytes - self.early_bytes < _FLAT_BYTES

    def is_clean(self) -> bool:
        """Whether every law held."""
        return not self.broken and self.is_flat()

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield the rows of the table."""
        yield "calls", f"{self.calls}"
        yield "attempts, as told", f"{self.attempts}"
        yield "requests, as they came", f"{self.requests}"
        for ending in (*Outcome, *sorted(self.endings.keys() - set(Outcome))):
            yield f"  {ending}", f"{self.endings[ending]}"
        yield "echoes (Golem's own repetition; no client can tell)", f"{self.echoes}"
        yield "  and those of a second or more, told as unknown", f"{self.slow_echoes}"
        yield "true to two callers (Golem's own lie; no client can tell)", f"{self.lies}"
        yield "lost", f"{self.broken[Law.COMPLETED]}"
        yield "misreported", f"{sum(self.broken[law] for law in _MISREPORTED)}"
        for what in ("slots", "connections", "tasks", "unheard exceptions"):
            yield f"leaked {what}", f"{self.leaked[what]}"
        for law in Law:
            yield f"broken: {law}", f"{self.broken[law]}"
        yield "latest end after a deadline, ms", f"{1000 * max(self.latest, 0):.0f}"
        yield "longest pause of the loop, ms", f"{1000 * self.lag:.0f}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield "peak memory, MiB", f"{peak:.0f}"
        growth = (self.last_bytes - self.early_bytes) / 2**20
        yield "growth after the first tenth, MiB", f"{growth:.1f}"
        yield "seconds", f"{self.seconds:.1f}"

    def table(self) -> str:
        """Return the table, with the evidence for what is broken."""
        rows = list(self.rows())
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}} {value:>9}" for name, value in rows]
        lines += [f"BROKEN: {law}\n    {evidence}" for law, evidence in self.evidence]
        return "\n".join(lines)


class Storm:
    """Calls through bad weather, in batches, each judged before the next.

    Args:
        golem: The fake, which is entered.
        url: Where the clients call: the fake's own, or a proxy's before it.
        seed: What the weather and the callers' moods depend on.
        rate: The part of the requests that meet a fault.
        through_proxy: Whether connections to the fake are not the clients' own.
        echo_seconds: From how many seconds on the client takes a `false` for Golem's repetition.
    """

    def __init__(
        self,
        golem: FakeGolem,
        url: str,
        *,
        seed: int,
        rate: float,
        through_proxy: bool,
        echo_seconds: float = 1.0,
    ) -> None:
        self.report = Report()
        self._golem = golem
        self._url = url
        self._seed = seed
        self._rate = rate
        self._through_proxy = through_proxy
        self._echo_seconds = echo_seconds
        self._weather = (*STORM, *back_after(1.05 * echo_seconds))
        if not through_proxy:
            self._weather += WITHOUT_LENGTH
        self._serial = 0
        self._callers: dict[str, Caller] = {}
        self._disturbances: list[tuple[float, float]] = []

    async def rage(self, calls: int) -> None:
        """Make this many calls, and judge them."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_unheard)
        tasks, began = asyncio.all_tasks(), loop.time()
        self._callers = {name: self._caller(name) for name in _CALLERS}
        number = 0
        while (missing := calls - self.report.calls) > 0:
            await self._batch(number, min(missing, CALLS_IN_A_BATCH))
            number += 1
            gc.collect()
            self.report.last_bytes = _resident_bytes()
            if self.report.calls <= max(calls // 10, CALLS_IN_A_BATCH):
                self.report.early_bytes = self.report.last_bytes
        for caller in self._callers.values():
            await caller.close()
        await self._is_deserted(tasks)
        self.report.seconds = loop.time() - began
        loop.set_exception_handler(None)

    def _caller(self, name: str) -> Caller:
        options = _CALLERS[name]
        if name == "patient":  # it waits for a Golem that repeats the request inside
            seconds = self._echo_seconds
            options = {"attempt_timeout": 1.3 * seconds, "timeout": 3 * seconds}
        return Caller(self._url, self._golem.token, **options)

    def _on_unheard(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.report.leak("unheard exceptions", 1)
        self.report.evidence.append((Law.TIDY, repr(context)))

    async def _is_deserted(self, tasks: set[asyncio.Task[Any]]) -> None:
        """Count what is left when every client is closed."""
        for _ in range(100):
            if not self._golem._server._connections or self._through_proxy:
                break
            await asyncio.sleep(0.01)
        if not self._through_proxy:
            self.report.leak("connections", len(self._golem._server._connections))
        serving = [task for task in asyncio.all_tasks() - tasks if not _is_of_the_server(task)]
        self.report.leak("tasks", len(serving))

    async def _batch(self, number: int, calls: int) -> None:
        dice = random.Random(f"{self._seed}/{number}")
        self._golem.random_faults(self._rate, seed=dice.randrange(2**32), faults=self._weather)
        if number % 8 == 7:
            faults = Alternating(rate=1.0, seed=self._seed, faults=ONE_OF_TWO_IS_AWAY)
            self._golem._plan.change(faults)
        self._golem.latency(0.0, jitter=0.01, seed=dice.randrange(2**32))
        plan = self._plan(dice, calls)
        async with measured_lag() as lag:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._havoc(dice, calls))
                doings = [group.create_task(promise.run()) for promise in plan]
            if not await is_quiet(self._golem):
                self.report.leak("requests", len(self._golem._server._exchanges))
            if self._through_proxy:
                await asyncio.sleep(0.05)
        self.report.lag = max(self.report.lag, lag.longest)
        await self._judge([doing.result() for doing in doings], slack=0.1 + 3 * lag.longest)
        for name, caller in self._callers.items():
            self._check(name, caller)

    def _plan(self, dice: random.Random, calls: int) -> list[_Promise]:
        plan: list[_Promise] = []
        spread = calls / CALLS_A_SECOND
        while calls:
            completers = min(calls, dice.choice((1, 1, 2, 3, 4)))
            calls -= completers
            plan.append(_Promise(self, self._id(dice), random.Random(dice.random())))
            plan[-1].schedule(completers, spread)
        return plan

    def _id(self, dice: random.Random) -> tuple[PromiseId, str]:
        golem, chance = self._golem, dice.random()
        if chance < 0.03:
            self._serial += 1
            usual = golem.create_promise(worker_name="usual")
            return attrs.evolve(usual, oplog_idx=10**12 + self._serial), "never created"
        if chance < 0.06:
            promise_id = golem.create_promise(worker_name=f"gone-{dice.randrange(10**6)}")
            golem.delete_worker(promise_id)
            return promise_id, "worker deleted"
        if chance < 0.08:
            promise_id = golem.create_promise(worker_name="lost", component_id=FORSAKEN)
            golem.forget_component(FORSAKEN)
            return promise_id, "component forgotten"
        name = f"busy-{dice.randrange(100)}"
        return golem.create_promise(worker_name=name), ("by worker" if chance < 0.12 else "usual")

    async def _havoc(self, dice: random.Random, calls: int) -> None:
        """Do to all of them at once what happens to all at once."""
        loop = asyncio.get_running_loop()
        spread = calls / CALLS_A_SECOND
        ends = loop.time() + spread
        await asyncio.sleep(dice.uniform(0.2, 0.5) * spread)
        self._golem.fail_next(429, retry_after=dice.choice((0.1, 0.2, 0.3)))
        with self._disturbance():
            await self._golem.drop_connections()
        await asyncio.sleep(dice.uniform(0.0, 0.3) * spread)
        await self._close("leaving")
        if dice.random() < 0.3:
            with self._disturbance():
                async with self._golem.outage():
                    await asyncio.sleep(0.03)
        await asyncio.sleep(max(ends - loop.time(), 0.0) + 0.1)
        await self._close("leaving")

    async def _close(self, name: str) -> None:
        """Close a client under way, and put another in its place."""
        leaving = self._callers[name]
        self._callers[name] = self._caller(name)
        await leaving.close()
        await asyncio.sleep(0.05)
        self._check(f"{name}, closed", leaving)

    def _check(self, name: str, caller: Caller) -> None:
        for leftover in caller.leftovers():
            self.report.leak("slots", 1)
            self.report.evidence.append((Law.TIDY, f"{name}: {leftover}"))

    @contextmanager
    def _disturbance(self) -> Iterator[None]:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            yield
        finally:
            self._disturbances.append((began, clock()))

    async def _judge(self, stories: list[Story], slack: float) -> None:
        requests = defaultdict(list)
        for request in self._golem.requests:
            requests[request.promise_id].append(request)
        self._golem.clear_requests()
        self._golem.clear_faults()
        for told in stories:
            promise_id = told.calls[0].promise_id
            story = attrs.evolve(
                told,
                requests=requests.pop(promise_id, []),
                stored=self._golem.payload(promise_id),
                disturbances=self._disturbances,
                slack=slack,
                lag=slack,
                echo_seconds=self._echo_seconds,
            )
            story = attrs.evolve(story, calls=[await self._once_more(one) for one in story.calls])
            self._count(story)
            for law, evidence in broken_laws(story):
                self.report.charge(law, evidence)
            self._golem._golem.promises.delete(self._golem._golem.key(promise_id))
        self._disturbances.clear()
        for strangers in requests.values():
            self.report.charge(Law.ONE_PAYLOAD, f"for a promise of no call: {strangers[0]}")
        self._golem.clear_requests()

    async def _once_more(self, call: Call) -> Call:
        error = call.error
        if error is None or error.worth_retrying:
            return call
        return await self._callers["steady"].call_again(call)

    def _count(self, story: Story) -> None:
        self.report.echoes += echoes(story)
        self.report.slow_echoes += slow_echoes(story)
        self.report.lies += lies(story)
        self.report.requests += len(story.requests)
        for call in story.calls:
            told = call.told
            self.report.calls += 1
            if isinstance(told, Completion | GolemError):
                self.report.attempts += told.attempts
            if isinstance(told, Completion):
                ending: str = told.outcome
            else:
                ending = "told that the client is closed" if is_told_of_closing(told) else ""
            self.report.endings[ending or type(told).__name__] += 1
            self.report.latest = max(self.report.latest, call.seconds - call.timeout)


class _Promise:
    """One promise of a batch, with what its completers are going to do."""

    def __init__(self, storm: Storm, named: tuple[PromiseId, str], dice: random.Random) -> None:
        self._storm = storm
        self._promise_id, self._kind = named
        self._dice = dice
        self._calls: list[tuple[float, str, bytes, float | None]] = []
        self._starts = 0.0

    def schedule(self, completers: int, spread: float) -> None:
        """Decide who calls when, and who is cancelled when."""
        dice = self._dice
        self._starts = dice.uniform(0, spread)
        for _ in range(completers):
            self._storm._serial += 1
            payload = f"call {self._storm._serial}".encode()
            cancel = dice.uniform(0, 0.03) if dice.random() < 0.12 else None
            start = self._starts + dice.choice((0.0, 0.0, dice.uniform(0, 0.03)))
            self._calls.append((start, dice.choice(list(_CALLERS)), payload, cancel))

    async def run(self) -> Story:
        """Let the completers call, and the worker where it does so itself."""
        by_worker: bytes | None = None
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._call(*call)) for call in self._calls]
            if self._kind == "by worker":
                await asyncio.sleep(self._starts + self._dice.uniform(0, 0.02))
                if self._storm._golem.complete_promise(self._promise_id, b"by the worker"):
                    by_worker = b"by the worker"
        calls = [task.result() for task in tasks]
        return Story(calls=calls, requests=(), stored=None, by_worker=by_worker)

    async def _call(self, start: float, name: str, payload: bytes, cancel: float | None) -> Call:
        await asyncio.sleep(start)
        caller = self._storm._callers[name]
        return await caller.call(self._promise_id, payload, cancel_after=cancel)


@attrs.define
class Lag:
    """How long the loop was busy with something else, at most."""

    longest: float = 0.0


@asynccontextmanager
async def measured_lag() -> AsyncIterator[Lag]:
    """Measure the lag of the loop meanwhile: what is late by less is not late by our doing."""
    lag = Lag()
    clock = asyncio.get_running_loop().time

    async def beat() -> None:
        while True:
            began = clock()
            await asyncio.sleep(0.005)
            lag.longest = max(lag.longest, clock() - began - 0.005)

    beating = asyncio.create_task(beat())
    try:
        yield lag
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


def _is_of_the_server(task: asyncio.Task[Any]) -> bool:
    """Whether it serves one of the fake's connections: aiohttp has one task for each."""
    return "RequestHandler.start" in repr(task.get_coro())


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
