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
    """Generate worker names, often odd ones; which a Golem accepts depends on its version."""
    characters = st.characters(exclude_categories=["Cc", "Cs"])
    of_any = st.text(characters, min_size=1, max_size=128).filter(lambda name: name.strip("."))
    return st.one_of(st.sampled_from(NAMES_LIKE_OTHER_THINGS), of_any)


def worker_ids() -> SearchStrategy[WorkerId]:
    """Generate workers."""
    return st.builds(WorkerId, component_ids(), worker_names())


def promise_ids() -> SearchStrategy[PromiseId]:
    """Generate promises."""
    return st.builds(PromiseId, worker_ids(), st.integers(0, 2**64 - 1))


def spellings_of(an_id: ComponentId | WorkerId | PromiseId) -> SearchStrategy[Any]:
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

    Integers have 64 bits, signed or unsigned, as in Rust.
    """
    inner = st.recursive(_scalars(), _containers, max_leaves=max_leaves)
    return _scalars() | _containers(inner)


def faults() -> SearchStrategy[Fault]:
    """Generate faults that meet one request and can be retried."""
    return st.sampled_from(WEATHER)


def fault_schedules(
    *, max_size: int = 5, of: Sequence[Fault] | None = None
) -> SearchStrategy[list[Fault]]:
    """Generate lists of faults for one request after another, by default of those of `faults()`.

    Pass each to `FakeGolem.fault_next`. Five are fewer than the attempts of the default
    `RetryPolicy`. Give the client short delays: `RetryPolicy(min_delay=0.001, max_delay=0.01)`.
    """
    return st.lists(st.sampled_from(WEATHER if of is None else of), max_size=max_size)


# What the languages of Golem's workers write in place of the keys of its REST API.
_KEYS: tuple[dict[str, str], ...] = (
    {},
    {"workerId": "agentId", "workerName": "agentId"},
    {"workerId": "worker_id", "componentId": "component_id", "workerName": "worker_name",
     "oplogIdx": "oplog_idx"},
    {"workerId": "agent-id", "componentId": "component-id", "workerName": "agent-id",
     "oplogIdx": "oplog-idx"},
)  # fmt: skip

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


def _scalars() -> SearchStrategy[Payload]:
    numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    plain = st.none() | st.booleans() | numbers | st.text()
    moments = st.datetimes() | st.datetimes(timezones=st.just(UTC)) | st.dates() | st.times()
    as_text = st.uuids() | st.decimals(allow_nan=False, allow_infinity=False)
    return st.one_of(
        plain.map(lambda value: Payload(value, value)),
        as_text.map(lambda value: Payload(value, str(value))),
        moments.map(lambda value: Payload(value, value.isoformat())),
        st.timedeltas(min_value=timedelta(0)).map(lambda value: Payload(value, _duration(value))),
    )


def _containers(inner: SearchStrategy[Payload]) -> SearchStrategy[Payload]:
    lists = st.lists(inner, max_size=4)
    bytes_within = st.binary(max_size=16).map(lambda value: Payload([value], [list(value)]))
    return st.one_of(
        bytes_within,
        lists.map(lambda items: Payload([v for v, _ in items], [a for _, a in items])),
        lists.map(lambda items: Payload(tuple(v for v, _ in items), [a for _, a in items])),
        st.dictionaries(st.text(), inner, max_size=4).map(
            lambda items: Payload(
                {key: item.value for key, item in items.items()},
                {key: item.arrives for key, item in items.items()},
            )
        ),
    )


def _duration(value: timedelta) -> dict[str, int]:
    seconds, rest = divmod(value, timedelta(seconds=1))
    return {"secs": seconds, "nanos": rest.microseconds * 1000}
