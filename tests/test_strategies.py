"""What the Hypothesis strategies promise to those who test with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from golem_client import GolemClient, PromiseId, RetryPolicy
from golem_client.payload import encode_json
from golem_client.testing import FakeGolem, Fault, worker_json
from golem_client.testing.faults import WEATHER
from golem_client.testing.strategies import (
    Payload,
    component_ids,
    fault_schedules,
    faults,
    payload_values,
    promise_id_spellings,
    promise_ids,
    spellings_of,
    worker_ids,
    worker_names,
)

QUICK = RetryPolicy(min_delay=0.001, max_delay=0.004)


def drawn(strategy: st.SearchStrategy[Any], number: int = 200) -> list[Any]:
    """Return what is drawn first, the same in every run."""
    values = []

    @settings(derandomize=True, database=None, max_examples=number, phases=[Phase.generate])
    @given(strategy)
    def collect(value: Any) -> None:
        values.append(value)

    collect()
    return values


@given(st.data(), st.one_of(component_ids(), worker_ids(), promise_ids()))
def test_a_spelling_of_an_id_is_read_as_the_id(data: st.DataObject, an_id: Any) -> None:
    """Of each of the three kinds, also within an answer of Golem's."""
    assert an_id == type(an_id).parse(data.draw(spellings_of(an_id)))


@given(promise_id_spellings())
def test_a_promise_comes_with_a_spelling_of_its_own(pair: tuple[PromiseId, Any]) -> None:
    """As a pair, for tests of code that takes ids."""
    promise_id, spelling = pair
    assert promise_id == PromiseId.parse(spelling)


KINDS_OF_SPELLINGS: dict[str, Callable[[Any], bool]] = {
    "bytes": lambda spelling: isinstance(spelling, bytes),
    "JSON text": lambda spelling: isinstance(spelling, str) and spelling.startswith("{"),
    "array": lambda spelling: isinstance(spelling, list),
    "answer": lambda spelling: isinstance(spelling, dict) and "result" in spelling,
    "camel case": lambda spelling: isinstance(spelling, dict) and "oplogIdx" in spelling,
    "kebab case": lambda spelling: isinstance(spelling, dict) and "oplog-idx" in spelling,
    "agent": lambda spelling: isinstance(spelling, dict) and "agentId" in spelling,
}


def test_spellings_are_of_every_kind() -> None:
    """None is so rare that a test would miss it."""
    spellings = [spelling for _, spelling in drawn(promise_id_spellings(), 200)]
    missing = [name for name, fits in KINDS_OF_SPELLINGS.items() if not any(map(fits, spellings))]
    assert [] == missing


def test_worker_names_hold_every_stumbling_block() -> None:
    """Whatever a careless reader or URL takes for something else."""
    assert set('/:%" {\\+?#\u00a0\u0301') - set("".join(drawn(worker_names()))) == set()


@given(payload_values())
def test_a_payload_arrives_as_it_says(payload: Payload) -> None:
    """By the rules of `golem_client.payload`, and as the fake's worker reads it."""
    arrives = worker_json.read(encode_json(payload.value))
    assert (payload.arrives, repr(payload.arrives)) == (arrives, repr(arrives))


def everything_in(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return [value]
    return [held for inner in value for held in everything_in(inner)]


def test_payloads_are_of_every_type() -> None:
    """Each can be the whole of a payload, except bytes: `complete_json` refuses them there."""
    payloads = [payload.value for payload in drawn(payload_values())]
    kinds = {
        type(None), bool, int, float, str, UUID, Decimal, datetime, date, time, timedelta,
        list, tuple, dict,
    }  # fmt: skip
    assert set() == kinds - set(map(type, payloads))
    assert bytes not in map(type, payloads)
    assert bytes in {type(held) for value in payloads for held in everything_in(value)}


def test_every_weather_is_a_fault() -> None:
    """What a random schedule draws from, Hypothesis draws from."""
    assert set(map(id, WEATHER)) == set(map(id, drawn(faults())))


def test_a_schedule_is_shorter_than_the_default_policy_is_patient() -> None:
    """Else a test of a call that succeeds would fail once in a while."""
    lengths = set(map(len, drawn(fault_schedules())))
    assert 0 in lengths
    assert max(lengths) < RetryPolicy().max_attempts


@settings(max_examples=30, deadline=None)
@given(fault_schedules())
async def test_the_default_policy_outlives_every_schedule(schedule: list[Fault]) -> None:
    """The call returns, and the promise is completed with what was sent."""
    async with (
        FakeGolem() as golem,
        GolemClient(golem.url, token=golem.token, retry=QUICK) as client,
    ):
        promise_id = golem.create_promise()
        for fault in schedule:
            golem.fault_next(fault)
        await client.complete_json(promise_id, {"approved": True})
        golem.assert_completed_json(promise_id, {"approved": True})
