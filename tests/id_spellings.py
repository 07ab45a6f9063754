"""Every spelling of an id: the forms in which Golem, its SDKs and its command lines write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.testing.strategies import promise_ids

AnyId = ComponentId | WorkerId | PromiseId


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
