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
from decimal import Decimal
from typing import Any, NamedTuple

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.testing.faults import WEATHER, Fault

try:
    from hypothesis import strategies as st
    from hypothesis.strategies import DrawFn, SearchStrategy
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
    return _spelling_of(an_id)


@st.composite
def _spelling_of(draw: DrawFn, an_id: AnyId) -> Any:
    form, key_case = draw(st.sampled_from(_snake_forms(an_id))), draw(st.sampled_from(KEY_CASES))
    record = _in_case(form, key_case)
    as_text = [json.dumps(record)] if isinstance(record, dict) else []
    text = draw(st.sampled_from([*texts(an_id), *as_text]))
    value = draw(st.sampled_from(_ANSWERS))(draw(st.sampled_from([record, text])))
    if value is not text:
        value = draw(st.sampled_from([value, json.dumps(value)]))
    return value.encode() if isinstance(value, str) and draw(st.booleans()) else value


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


def texts(an_id: AnyId) -> list[str]:
    """Return every text of the id that is not JSON."""
    if isinstance(an_id, ComponentId):
        return [*_component_texts(an_id), f"urn:uuid:{an_id}", f"urn:component:{an_id}"]
    if isinstance(an_id, WorkerId):
        return [*_joined(an_id.component_id, an_id.worker_name), an_id.urn]
    worker_id, index = an_id.worker_id, str(an_id.oplog_idx)
    return _joined(worker_id.component_id, worker_id.worker_name, index) + _record_texts(an_id)


def _camel(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(map(str.title, others))


KEY_CASES: tuple[Callable[[str], str], ...] = (str, _camel, lambda key: key.replace("_", "-"))
"""Each makes of a key in snake case one that a language of Golem's writes."""


def json_forms(an_id: AnyId, key_case: Callable[[str], str] = str) -> list[Any]:
    """Return every JSON form of the id, by default with keys in snake case."""
    return [_in_case(form, key_case) for form in _snake_forms(an_id)]


def _snake_forms(an_id: AnyId) -> list[Any]:
    if isinstance(an_id, ComponentId):
        plain = [*_component_texts(an_id), *_halves(an_id)]
        return plain + [{"uuid": form} for form in plain]
    if isinstance(an_id, WorkerId):
        return [
            {"component_id": component, key: an_id.worker_name}
            for component in _snake_forms(an_id.component_id)
            for key in ("worker_name", "agent_id")
        ]
    return [
        {key: worker, "oplog_idx": index}
        for worker in _snake_forms(an_id.worker_id)
        for key in ("worker_id", "agent_id")
        for index in _numbers(an_id.oplog_idx)
    ]


def _component_texts(component: ComponentId) -> list[str]:
    """Return each text that begins a worker's or a promise's text as well."""
    text = str(component)
    display = f"Uuid {{ high-bits: {component.high_bits}, low-bits: {component.low_bits} }}"
    return [text, text.upper(), text.replace("-", ""), f"{{{text}}}", display]


def _joined(component: ComponentId, *parts: str) -> list[str]:
    return [
        separator.join((text, *parts))
        for text in _component_texts(component)
        for separator in ("/", ":")
    ]


def _numbers(number: int) -> list[Any]:
    """Return each JSON form of the number."""
    return [number, str(number), f"{number}n", {"#bigint": str(number)}]


def _signed(half: int) -> int:
    """Return the half of a UUID as the JVM has it."""
    return half - 2**64 if half >= 2**63 else half


def _halves(component: ComponentId) -> list[Any]:
    """Return the two halves in each JSON form, but for a form in which they are refused."""
    high, low = component.high_bits, component.low_bits
    pairs = [*zip(_numbers(high), _numbers(low), strict=True), (_signed(high), str(_signed(low)))]
    if _looks_rounded(component):
        del pairs[0]
    return [{"high_bits": one, "low_bits": other} for one, other in pairs]


def _looks_rounded(component: ComponentId) -> bool:
    """Tell whether both halves are what JavaScript prints for a rounded number.

    Such a component is refused where its halves are integers of JSON: about one in a million.
    """
    halves = (component.high_bits, component.low_bits)
    return all(half > 2**53 and Decimal(repr(float(half))) == half for half in halves)


_ANSWERS: list[Callable[[Any], Any]] = [
    lambda value: value,
    lambda value: {"result": {"typ": {"type": "Tuple"}, "value": [value]}},
    lambda value: {"result": {"typ": {"type": "Record"}, "value": value}},
    lambda value: {
        "agentId": {"componentId": "x", "agentId": "y"},
        "result": {"type": "Tuple", "elements": [{"type": "ComponentModel", "value": value}]},
    },
    lambda value: [value],
]


def _in_case(value: Any, case: Callable[[str], str]) -> Any:
    """Return the value with the keys of its records, and of theirs, in another case."""
    if not isinstance(value, dict):
        return value
    return {case(key): _in_case(held, case) for key, held in value.items()}


def _record_texts(promise: PromiseId) -> list[str]:
    """Return the promise in Rust's debug notation, in WAVE and as MoonBit shows it."""
    component = promise.worker_id.component_id
    uuid = {"high_bits": component.high_bits, "low_bits": component.low_bits}
    structs = ("PromiseId", "WorkerId", "ComponentId", "Uuid")
    records = [
        {key: {"component_id": {"uuid": uuid}, name: promise.worker_id.worker_name}}
        | {"oplog_idx": promise.oplog_idx}
        for key, name in (("worker_id", "worker_name"), ("agent_id", "agent_id"))
    ]
    return [
        _record_text(record, *names, kebab=kebab)
        for record in records
        for names in ((), structs)
        for kebab in (True, False)
    ]


def _record_text(value: Any, *structs: str, kebab: bool) -> str:
    """Return the record in WAVE or MoonBit, or with the names of structs, in Rust's notation."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if not isinstance(value, dict):
        return str(value)
    struct, *inner = structs or ("",)
    fields = [
        f"{key.replace('_', '-') if kebab else key}: {_record_text(held, *inner, kebab=kebab)}"
        for key, held in value.items()
    ]
    return f"{struct} {{ {', '.join(fields)} }}" if struct else f"{{{', '.join(fields)}}}"


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
