"""Hypothesis strategies: ids and their spellings, payloads, and faults.

    @given(promise_id_spellings())
    def test_links_are_read(pair):
        promise_id, spelling = pair
        assert read_link(make_link(spelling)) == promise_id

Hypothesis comes with `golem-client[hypothesis]`, and this module is imported by its name only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, timedelta
from typing import Any, NamedTuple

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.testing.faults import WEATHER, Fault

try:
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy
except ImportError as _error:
    raise ImportError(
        "golem_client.testing.strategies needs Hypothesis: pip install 'golem-client[hypothesis]'"
    ) from _error

AnyId = ComponentId | WorkerId | PromiseId

NAMES_LIKE_OTHER_THINGS = (
    "42", "w/1/42", "a/b", "a:b", "a:completed", ":", "/", " a ", "{", '"', "\\", "%2F", "...",
    "urn:worker:x", 'MyAgent("x", [1, 2])[f81d4fae-7dec-11d0-a765-00a0c91e6bf6]', "\u00a0",
    "e\u0301", "a+b", "a?b#c",
)  # fmt: skip
"""Worker names that a careless reader, or a careless URL, takes for something else."""


def component_ids() -> SearchStrategy[ComponentId]:
    """Generate components."""
    return st.uuids().map(ComponentId)


def worker_names() -> SearchStrategy[str]:
    """Generate worker names, often ones that look like something else.

    Which of them a Golem accepts depends on its version.
    """
    characters = st.characters(exclude_categories=["Cc", "Cs"])
    of_any = st.text(characters, min_size=1, max_size=128).filter(lambda name: name.strip("."))
    return st.one_of(st.sampled_from(NAMES_LIKE_OTHER_THINGS), of_any)


def worker_ids() -> SearchStrategy[WorkerId]:
    """Generate workers."""
    return st.builds(WorkerId, component_ids(), worker_names())


def promise_ids() -> SearchStrategy[PromiseId]:
    """Generate promises."""
    return st.builds(PromiseId, worker_ids(), st.integers(0, 2**64 - 1))


def spellings_of(an_id: AnyId) -> SearchStrategy[Any]:
    """Generate spellings of an id: text, JSON, an answer around it, each also as text or bytes."""
    urn = [an_id.urn] if isinstance(an_id, WorkerId) else []
    forms = [str(an_id), *urn, *(_renamed(an_id.to_json(), names) for names in _KEYS)]
    values = [answer(form) for form in forms for answer in _ANSWERS]
    texts = [str(an_id), *urn, *map(json.dumps, values)]
    return st.sampled_from([*values, *texts, *map(str.encode, texts)])


def promise_id_spellings() -> SearchStrategy[tuple[PromiseId, Any]]:
    """Generate promises, each with one of its spellings."""
    return promise_ids().flatmap(lambda an_id: st.tuples(st.just(an_id), spellings_of(an_id)))


class Payload(NamedTuple):
    """A value for `complete_json`, and the JSON in which it arrives.

    Attributes:
        value: What is sent.
        arrives: What a worker reads, and `FakeGolem.await_promise_json` returns.
    """

    value: Any
    arrives: Any


def payload_values(*, max_leaves: int = 12) -> SearchStrategy[Payload]:
    """Generate values for `complete_json`, of types of the standard library.

    Integers have 64 bits, signed or unsigned, as in Rust. Bytes occur inside other values only: a
    payload that is bytes as a whole is for `complete_bytes`.
    """
    inner = st.recursive(_scalars() | _byte_strings(), _containers, max_leaves=max_leaves)
    return _scalars() | _containers(inner)


def faults() -> SearchStrategy[Fault]:
    """Generate faults that meet one request and can be retried."""
    return st.sampled_from(WEATHER)


def fault_schedules(
    *, max_size: int = 5, of: Sequence[Fault] | None = None
) -> SearchStrategy[list[Fault]]:
    """Return lists of faults for one request after another: pass each to `FakeGolem.fault_next`.

    Five faults are fewer than the attempts of the default `RetryPolicy`. Give the client short
    delays: `RetryPolicy(min_delay=0.001, max_delay=0.01)`.

    Args:
        max_size: The most faults in a list.
        of: The faults to choose from; by default those of `faults()`.
    """
    return st.lists(st.sampled_from(WEATHER if of is None else of), max_size=max_size)


_KEYS: tuple[dict[str, str], ...] = (
    {},
    {"workerId": "agentId", "workerName": "agentId"},
    {"workerId": "worker_id", "componentId": "component_id", "workerName": "worker_name",
     "oplogIdx": "oplog_idx"},
    {"workerId": "agent-id", "componentId": "component-id", "workerName": "agent-id",
     "oplogIdx": "oplog-idx"},
)  # fmt: skip
"""What the languages of Golem's workers write in place of the keys of its REST API."""

_ANSWERS: tuple[Callable[[Any], Any], ...] = (
    lambda value: value,
    lambda value: [value],
    lambda value: {"result": {"typ": {"type": "Tuple"}, "value": [value]}},
    lambda value: {"agentId": {}, "result": {"type": "Tuple", "elements": [{"value": value}]}},
)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if not isinstance(value, dict):
        return value
    return {names.get(key, key): _renamed(held, names) for key, held in value.items()}


def _integers() -> SearchStrategy[int]:
    return st.integers(-(2**63), 2**64 - 1)


def _scalars() -> SearchStrategy[Payload]:
    """Return what is not a container: themselves, or a text."""
    plain = (
        st.none()
        | st.booleans()
        | _integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
    )
    moments = st.datetimes() | st.datetimes(timezones=st.just(UTC)) | st.dates() | st.times()
    return st.one_of(
        plain.map(lambda value: Payload(value, value)),
        st.uuids().map(lambda value: Payload(value, str(value))),
        st.decimals(allow_nan=False, allow_infinity=False).map(lambda v: Payload(v, str(v))),
        moments.map(lambda value: Payload(value, value.isoformat())),
        st.timedeltas(min_value=timedelta(0)).map(lambda value: Payload(value, _duration(value))),
    )


def _byte_strings() -> SearchStrategy[Payload]:
    return st.binary(max_size=16).map(lambda value: Payload(value, list(value)))


def _containers(inner: SearchStrategy[Payload]) -> SearchStrategy[Payload]:
    lists = st.lists(inner, max_size=4)
    keys = (st.text(), _integers(), st.uuids())  # of one kind: two of different ones may collide
    mappings = st.one_of(*(st.dictionaries(key, inner, max_size=4) for key in keys))
    return st.one_of(
        lists.map(lambda items: Payload(_values(items), _arriving(items))),
        lists.map(lambda items: Payload(tuple(_values(items)), _arriving(items))),
        st.frozensets(_integers(), max_size=4).map(lambda items: Payload(items, sorted(items))),
        mappings.map(
            lambda items: Payload(
                dict(zip(items, _values(items.values()), strict=True)),
                dict(zip(map(str, items), _arriving(items.values()), strict=True)),
            )
        ),
    )


def _values(payloads: Any) -> list[Any]:
    return [payload.value for payload in payloads]


def _arriving(payloads: Any) -> list[Any]:
    return [payload.arrives for payload in payloads]


def _duration(value: timedelta) -> dict[str, int]:
    seconds, rest = divmod(value, timedelta(seconds=1))
    return {"secs": seconds, "nanos": rest.microseconds * 1000}
