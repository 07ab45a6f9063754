"""A model of all that a client may be told, held against the client, the fake and its faults.

Hypothesis makes up what happens; after each step the ledger holds what was told against what the
fake has seen and stored. What must hold, whatever happens:

- exactly one payload is stored, and it is one that was sent;
- `FULFILLED` means that it is mine, unless Golem said `true` to a second caller (SQLite, to 1.5.7);
- `ALREADY_FULFILLED` means that it was stored by no attempt that this call saw (quick echoes,
  which are Golem's own repetitions, are counted apart);
- any outcome means that the promise is completed;
- an error with `may_have_completed=False` means that it was never applied by this call;
- `worth_retrying=False` means that the same call would fail again;
- every attempt of a call has identical bytes;
- a call never outlives its deadline by more than a scheduling slack;

and, beyond these, the other laws of `tests/storm/ledger.py`: what was known is not told as
unknown, what is permanent is asked for once, closing and cancelling end a call, and nothing is
left behind.

By hand, for longer: `EXAMPLES=5000 pytest tests/test_model.py --hypothesis-profile=long`.
"""

# pyright: reportAttributeAccessIssue=false
# It takes what Hypothesis's rules return for the machine's own type.

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar
from uuid import UUID

import attrs
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from golem_client import GolemError, PromiseId, RetryPolicy
from golem_client.testing import FakeGolem, ReceivedRequest
from tests.storm.calls import Caller, is_quiet
from tests.storm.ledger import Call, Story, broken_laws
from tests.storm.weather import (
    ECHO,
    KILLED,
    LOST,
    PASSING,
    REFUSED,
    SLOW,
    TRUNCATED,
    UNSEEN,
    WITHOUT_LENGTH,
    back_after,
)

T = TypeVar("T")

# By name, so that a failure is short enough to be read.
WEATHER = {
    f"{fault.name}, {'applied' if fault.applied else 'not applied'}": fault
    for fault in (
        *(*LOST, *TRUNCATED, *WITHOUT_LENGTH, *REFUSED, *PASSING),
        *(*ECHO, *KILLED, *UNSEEN),
    )
}
# Slow faults cost an attempt's time each: a few of them go a long way.
SLOW_WEATHER = {
    f"slow {fault.name}, {fault.takes} {fault.late}": attrs.evolve(
        fault, delay=min(fault.delay, 0.08)
    )
    for fault in (*SLOW, *back_after(0.03))
}
FAULTS = WEATHER | SLOW_WEATHER
CALLERS: dict[str, dict[str, Any]] = {
    "steady": {"attempt_timeout": 0.06},
    "once": {"attempt_timeout": 0.06, "retry": RetryPolicy.none()},
    "twice": {
        "attempt_timeout": 0.06,
        "retry": RetryPolicy(2, 0.001, 0.002),
        "overload": "ignore",
    },
    "impatient": {
        "attempt_timeout": 0.06,
        "retry": RetryPolicy(min_delay=0.001, max_delay=0.004),
        "overload": "ignore",
    },
    "hasty": {"timeout": 0.05, "attempt_timeout": 5.0},
    "one at a time": {"attempt_timeout": 0.06, "max_connections": 1},
    "stranger": {"token": "00000000-0000-4000-8000-000000000000"},
}
# A machine that others share may stop for a while at any time.
SLACK_SECONDS = 1.0

quick_faults = st.sampled_from(list(WEATHER))
bad_weather = st.lists(quick_faults, max_size=3) | st.tuples(
    st.sampled_from(list(SLOW_WEATHER)), quick_faults
)
callers = st.sampled_from(list(CALLERS))
moments = st.sampled_from([0.0, 0.001, 0.003, 0.01])


class Model(RuleBasedStateMachine):
    """What was sent, what was told, and what is stored."""

    promises: Bundle[PromiseId] = Bundle("promises")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.unheard: list[dict[str, Any]] = []
        self.runner.get_loop().set_exception_handler(
            lambda _, context: self.unheard.append(context)
        )
        self.calls: dict[PromiseId, list[Call]] = defaultdict(list)
        self.by_worker: dict[PromiseId, bytes] = {}
        self.cuts: list[tuple[float, float]] = []
        self.serial = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it in the loop of this machine, and let the fake come to rest."""

        async def to_its_end() -> T:
            result = await work
            assert await is_quiet(self.golem)
            return result

        return self.runner.run(to_its_end())

    @initialize(dialect=st.sampled_from(["1.1", "1.2", "1.3", "1.5"]), seed=st.integers(0, 99))
    def begin(self, dialect: str, seed: int) -> None:
        async def entered() -> None:
            self.golem = await FakeGolem(dialect=dialect).__aenter__()
            self.golem.random_faults(0.0, seed=seed)
            self.callers = {name: self.caller(name) for name in CALLERS}

        self.runner.run(entered())

    def caller(self, name: str) -> Caller:
        options = {"token": self.golem.token} | CALLERS[name]
        return Caller(self.golem.url, **options)

    def payload(self) -> bytes:
        self.serial += 1
        return b"call %d" % self.serial

    def note(self, calls: Iterable[Call]) -> None:
        """Keep what was told."""
        for call in calls:
            self.calls[call.promise_id].append(call)
            event(call.outcome or type(call.told).__name__)

    # What there is

    @rule(target=promises)
    def create(self) -> PromiseId:
        self.serial += 1
        component = UUID(int=self.serial)
        return self.golem.create_promise(worker_name=f"w{self.serial}", component_id=component)

    @rule(target=promises)
    def name_one_that_was_never_created(self) -> PromiseId:
        self.serial += 1
        usual = self.golem.create_promise(worker_name="usual")
        return attrs.evolve(usual, oplog_idx=10**9 + self.serial)

    @rule(promise_id=promises)
    def create_it_late(self, promise_id: PromiseId) -> None:
        """On 1.1 it is born completed, if somebody asked for it before."""
        worker = promise_id.worker_id
        self.golem.create_promise(
            worker_name=worker.worker_name,
            component_id=worker.component_id,
            oplog_idx=promise_id.oplog_idx,
        )

    @rule(promise_id=promises)
    def delete_its_worker(self, promise_id: PromiseId) -> None:
        self.golem.delete_worker(promise_id)

    @rule(promise_id=promises)
    def forget_its_component(self, promise_id: PromiseId) -> None:
        self.golem.forget_component(promise_id.worker_id.component_id)

    @rule(promise_id=promises)
    def its_worker_completes_it(self, promise_id: PromiseId) -> None:
        payload = self.payload()
        try:
            stored = self.golem.complete_promise(promise_id, payload)
        except LookupError:
            stored = self.golem.payload(promise_id) == payload
        if stored:
            self.by_worker[promise_id] = payload

    # The weather

    @rule(fault=quick_faults, times=st.integers(1, 3))
    def order_faults_for_whoever_comes(self, fault: str, times: int) -> None:
        self.golem.fault_next(FAULTS[fault], times=times)

    @rule(rate=st.sampled_from([0.0, 0.5]), seed=st.integers(0, 9))
    def change_the_weather(self, rate: float, seed: int) -> None:
        self.golem.random_faults(rate, seed=seed, faults=tuple(WEATHER.values()))

    @rule()
    def make_every_connection_stale(self) -> None:
        self.run(self.golem.drop_connections())

    # The calls

    def order(self, promise_id: PromiseId, weather: Iterable[str]) -> None:
        for fault in weather:
            self.golem.fault_next(FAULTS[fault], promise_id=promise_id)

    @rule(promise_id=promises, weather=bad_weather, name=callers)
    def call(self, promise_id: PromiseId, weather: Iterable[str], name: str) -> None:
        """Meet these faults, and then whatever is on order."""
        self.order(promise_id, weather)
        call = self.run(self.callers[name].call(promise_id, self.payload()))
        self.note([self.once_more(call, name)])

    def once_more(self, call: Call, name: str) -> Call:
        """Make a call that is not worth retrying again, in fair weather: it must fail."""
        if call.error is None or call.error.worth_retrying:
            return call
        self.golem.clear_faults()
        again = self.run(self.callers[name].call(call.promise_id, call.payload))
        self.note([again])
        return attrs.evolve(call, again=again.told)

    @precondition(lambda self: any(self.calls.values()))
    @rule(data=st.data(), name=callers)
    def make_a_call_again(self, data: st.DataObject, name: str) -> None:
        """With the same payload: it is harmless."""
        calls = [call for told in self.calls.values() for call in told]
        call = data.draw(st.sampled_from(calls), label="call")
        self.note([self.run(self.callers[name].call(call.promise_id, call.payload))])

    @rule(
        promise_id=promises,
        weather=bad_weather,
        names=st.lists(callers, min_size=2, max_size=4),
        cancel=st.none() | moments,
    )
    def race(
        self,
        promise_id: PromiseId,
        weather: Iterable[str],
        names: list[str],
        cancel: float | None,
    ) -> None:
        """Several at once; the first of them may be cancelled."""
        self.order(promise_id, weather)
        cancelled = [cancel, *[None] * len(names)]

        async def all_of_them() -> list[Call]:
            calls = [
                self.callers[name].call(promise_id, self.payload(), cancel_after=after)
                for name, after in zip(names, cancelled, strict=False)
            ]
            return await asyncio.gather(*calls)

        self.note(self.run(all_of_them()))

    @rule(promise_id=promises, weather=bad_weather, name=callers, after=moments)
    def close_a_client_under_way(
        self, promise_id: PromiseId, weather: Iterable[str], name: str, after: float
    ) -> None:
        """And put a new one in its place."""
        self.order(promise_id, weather)
        leaving = self.callers[name]

        async def interrupted() -> list[Call]:
            calls = [asyncio.create_task(leaving.call(promise_id, self.payload())) for _ in "12"]
            await asyncio.sleep(after)
            await leaving.close()
            late = await leaving.call(promise_id, self.payload())
            return [*(await asyncio.gather(*calls)), late]

        self.note(self.run(interrupted()))
        assert leaving.leftovers() == []
        self.callers[name] = self.caller(name)

    @rule(promise_id=promises, name=callers)
    def call_while_golem_is_away(self, promise_id: PromiseId, name: str) -> None:
        """Nothing is sent, so nothing may be stored, and it is known."""

        async def in_vain() -> Call:
            clock = asyncio.get_running_loop().time
            began = clock()
            async with self.golem.outage():
                await asyncio.sleep(0.005)  # the client learns that its connections are gone
                timeout = min(self.callers[name].timeout, 0.03)
                call = await self.callers[name].call(promise_id, self.payload(), timeout=timeout)
            self.cuts.append((began, clock()))
            return call

        call = self.run(in_vain())
        self.note([call])
        assert isinstance(call.told, GolemError)
        assert not call.told.may_have_completed
        assert call.told.worth_retrying

    # What must hold

    @invariant()
    def the_ledger_has_no_objection(self) -> None:
        requests: dict[PromiseId | None, list[ReceivedRequest]] = defaultdict(list)
        for request in self.golem.requests:
            requests[request.promise_id].append(request)
        for promise_id, calls in self.calls.items():
            story = Story(
                calls=calls,
                requests=requests.pop(promise_id, []),
                stored=self.golem.payload(promise_id),
                by_worker=self.by_worker.get(promise_id),
                disturbances=self.cuts,
                slack=SLACK_SECONDS,
            )
            assert list(broken_laws(story)) == []
        assert requests == {}

    @invariant()
    def nothing_is_left_behind(self) -> None:
        assert [left for one in self.callers.values() for left in one.leftovers()] == []
        assert self.unheard == []

    def teardown(self) -> None:
        async def left() -> None:
            for caller in self.callers.values():
                await caller.close()
            await asyncio.sleep(0.002)
            assert not self.golem._server._connections
            await self.golem.__aexit__(None, None, None)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        try:
            if hasattr(self, "golem"):
                self.runner.run(left())
        finally:
            self.runner.close()


TestModel = Model.TestCase
if settings.get_current_profile_name() != "long":
    TestModel.settings = settings(
        max_examples=12,
        stateful_step_count=20,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
