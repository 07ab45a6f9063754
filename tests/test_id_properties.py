"""What holds for every id, every spelling and every junk; and how long the worst of it takes."""

from __future__ import annotations

import contextlib
import json
import pickle
import sys
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from golem_client.errors import InvalidIdError
from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.ids.json_forms import parts_as_rest_writes_them
from golem_client.ids.reading import PROMISE, read

if TYPE_CHECKING:
    from collections.abc import Callable

# --- Strategies: ids, and the spellings of an id -------------------------------------------------

NAMES_LIKE_OTHER_THINGS = (
    "42", "w/1/42", "a/b", "a:b", "a:completed", ":", "/", " a ", "{", '"', "\\", "%2F", "...",
    "urn:worker:x", 'MyAgent("x", [1, 2])[f81d4fae-7dec-11d0-a765-00a0c91e6bf6]', "\u00a0",
    "e\u0301",
)  # fmt: skip


def component_ids() -> st.SearchStrategy[ComponentId]:
    """Return every component."""
    return st.uuids().map(ComponentId)


def worker_names() -> st.SearchStrategy[str]:
    """Return every worker name, and often one that looks like something else."""
    characters = st.characters(exclude_categories=["Cc", "Cs"])
    of_any = st.text(characters, min_size=1, max_size=128).filter(lambda name: name.strip("."))
    return st.one_of(st.sampled_from(NAMES_LIKE_OTHER_THINGS), of_any)


def worker_ids() -> st.SearchStrategy[WorkerId]:
    """Return every worker."""
    return st.builds(WorkerId, component_ids(), worker_names())


def promise_ids() -> st.SearchStrategy[PromiseId]:
    """Return every promise."""
    return st.builds(PromiseId, worker_ids(), st.integers(0, 2**64 - 1))


def component_texts(component: ComponentId) -> list[str]:
    """Return each text that begins a worker's or a promise's text as well."""
    text, halves = str(component), (component.high_bits, component.low_bits)
    display = "Uuid {{ high-bits: {}, low-bits: {} }}".format(*halves)
    return [text, text.upper(), text.replace("-", ""), f"{{{text}}}", display]


def numbers(number: int) -> list[object]:
    """Return each JSON form of the number."""
    return [number, str(number), f"{number}n", {"#bigint": str(number)}]


def signed(half: int) -> int:
    """Return the half of a UUID as the JVM has it."""
    return half - 2**64 if half >= 2**63 else half


def component_jsons(component: ComponentId) -> list[object]:
    """Return each JSON form of the component, with keys in snake case."""
    high, low = component.high_bits, component.low_bits
    pairs = [*zip(numbers(high), numbers(low), strict=True), (signed(high), str(signed(low)))]
    halves = [{"high_bits": one, "low_bits": other} for one, other in pairs]
    texts = component_texts(component)
    return [*texts, *halves, *({"uuid": uuid} for uuid in (*texts, *halves))]


def worker_jsons(worker: WorkerId) -> list[dict[str, object]]:
    """Return each record of the worker, with keys in snake case."""
    return [
        {"component_id": component, key: worker.worker_name}
        for component in component_jsons(worker.component_id)
        for key in ("worker_name", "agent_id")
    ]


def promise_jsons(promise: PromiseId) -> list[dict[str, object]]:
    """Return each record of the promise, with keys in snake case."""
    return [
        {key: worker, "oplog_idx": index}
        for worker in worker_jsons(promise.worker_id)
        for key in ("worker_id", "agent_id")
        for index in numbers(promise.oplog_idx)
    ]


def _camel(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(map(str.title, others))


KEY_CASES: list[Callable[[str], str]] = [str, _camel, lambda key: key.replace("_", "-")]

ANSWERS: list[Callable[[object], object]] = [
    lambda value: value,
    lambda value: {"result": {"typ": {"type": "Tuple"}, "value": [value]}},
    lambda value: {"result": {"typ": {"type": "Record"}, "value": value}},
    lambda value: {
        "agentId": {"componentId": "x", "agentId": "y"},
        "result": {"type": "Tuple", "elements": [{"type": "ComponentModel", "value": value}]},
    },
    lambda value: [value],
]


def in_case(value: object, case: Callable[[str], str]) -> object:
    """Return the value with the keys of its records, and of theirs, in another case."""
    if not isinstance(value, dict):
        return value
    return {case(key): in_case(held, case) for key, held in value.items()}


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def record_text(value: object, *structs: str, kebab: bool = True) -> str:
    """Return the record in WAVE or MoonBit, or with the names of structs, in Rust's notation."""
    if not isinstance(value, dict):
        return _quoted(value) if isinstance(value, str) else str(value)
    struct, *inner = structs or ("",)
    fields = [
        f"{key.replace('_', '-') if kebab else key}: {record_text(held, *inner, kebab=kebab)}"
        for key, held in value.items()
    ]
    return f"{struct} {{ {', '.join(fields)} }}" if struct else f"{{{', '.join(fields)}}}"


def record_texts(promise: PromiseId) -> list[str]:
    """Return the promise in Rust's debug notation, in WAVE and as MoonBit shows it."""
    component = promise.worker_id.component_id
    uuid = {"high_bits": component.high_bits, "low_bits": component.low_bits}
    texts = []
    for key, name_key in (("worker_id", "worker_name"), ("agent_id", "agent_id")):
        worker = {"component_id": {"uuid": uuid}, name_key: promise.worker_id.worker_name}
        record = {key: worker, "oplog_idx": promise.oplog_idx}
        for kebab in (True, False):
            texts.append(record_text(record, kebab=kebab))
            structs = ("PromiseId", "WorkerId", "ComponentId", "Uuid")
            texts.append(record_text(record, *structs, kebab=kebab))
    return texts


def promise_texts(promise: PromiseId) -> list[str]:
    """Return each text of the promise."""
    name, index = promise.worker_id.worker_name, promise.oplog_idx
    return [
        f"{component}{separator}{name}{separator}{index}"
        for component in component_texts(promise.worker_id.component_id)
        for separator in ("/", ":")
    ] + record_texts(promise)


@st.composite
def promise_spellings(draw: st.DrawFn, promise: PromiseId) -> object:
    """Return one spelling of the promise: a text or JSON, an answer around it, text or bytes."""
    case = draw(st.sampled_from(KEY_CASES))
    record = in_case(draw(st.sampled_from(promise_jsons(promise))), case)
    text = draw(st.sampled_from([*promise_texts(promise), json.dumps(record)]))
    value = draw(st.sampled_from(ANSWERS))(draw(st.sampled_from([record, text])))
    if value is not text:
        value = draw(st.sampled_from([value, json.dumps(value)]))
    return value.encode() if isinstance(value, str) and draw(st.booleans()) else value


def looks_rounded(component: ComponentId) -> bool:
    """Tell whether both halves are what JavaScript prints for a rounded number."""
    halves = (component.high_bits, component.low_bits)
    return all(half > 2**53 and Decimal(repr(float(half))) == half for half in halves)


# --- Properties ----------------------------------------------------------------------------------


@given(st.data(), promise_ids())
def test_every_spelling_of_every_promise_is_read(data: st.DataObject, promise: PromiseId) -> None:
    """Whatever the worker's language made of it."""
    assume(not looks_rounded(promise.worker_id.component_id))
    assert promise == PromiseId.parse(data.draw(promise_spellings(promise)))


@given(worker_ids())
def test_every_spelling_of_every_worker_is_read(worker: WorkerId) -> None:
    """All of them, for each worker."""
    assume(not looks_rounded(worker.component_id))
    records = [in_case(json_form, case) for json_form in worker_jsons(worker) for case in KEY_CASES]
    texts = [
        f"{component}{separator}{worker.worker_name}"
        for component in component_texts(worker.component_id)
        for separator in ("/", ":")
    ]
    for spelling in (*records, *texts, worker.urn):
        assert worker == WorkerId.parse(spelling)


@given(component_ids())
def test_every_spelling_of_every_component_is_read(component: ComponentId) -> None:
    """All of them, for each component."""
    assume(not looks_rounded(component))
    for spelling in [*component_texts(component), *component_jsons(component), component.uuid]:
        assert component == ComponentId.parse(spelling)
    urns = [f"urn:uuid:{component}", f"urn:component:{component}", f"urn:component:{component}/3"]
    assert [component] * 3 == [ComponentId.parse(urn) for urn in urns]
    assert component == ComponentId.from_bits(component.high_bits, component.low_bits)


@given(st.one_of(component_ids(), worker_ids(), promise_ids()))
def test_every_id_reads_its_own_text_and_json_and_pickles(an_id: Any) -> None:
    """Also as JSON text, and as the bytes of either."""
    text, as_json = str(an_id), json.dumps(an_id.to_json())
    for value in (text, an_id.to_json(), as_json, text.encode(), as_json.encode()):
        assert an_id == type(an_id).parse(value)
    assert an_id == pickle.loads(pickle.dumps(an_id))


@given(promise_ids(), st.sampled_from(["workerId", "agentId"]))
def test_the_short_cut_for_rest_reads_nothing_differently(promise: PromiseId, key: str) -> None:
    """It returns what the long way returns, or leaves it to that."""
    worker, index = promise.to_json().values()
    value = {key: worker, "oplogIdx": index}
    assert read(value, PROMISE) == parts_as_rest_writes_them(value)
    assert parts_as_rest_writes_them({**value, "agent-id": worker}) is None


@given(promise_ids(), promise_ids())
def test_no_two_promises_share_a_spelling(one: PromiseId, other: PromiseId) -> None:
    """Also where they differ in one part alone."""
    assume(one.worker_id.worker_name != other.worker_id.worker_name)
    twin = PromiseId(
        WorkerId(one.worker_id.component_id, other.worker_id.worker_name), one.oplog_idx
    )
    assert set(promise_texts(one)).isdisjoint(promise_texts(twin))
    forms = [{json.dumps(form) for form in promise_jsons(promise)} for promise in (one, twin)]
    assert forms[0].isdisjoint(forms[1])


PIECES = st.sampled_from(
    ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "/", ":", "42", "w1", "urn:", "worker:", "{", "}", "[",
     "]", '"', ",", " ", "\\", "\\u{", "Uuid {", "PromiseId {", "oplog-idx", "oplogIdx", "workerId",
     "componentId", "agentId", "uuid", "value", "result", "elements", "null", "-", "0", "1e9", "n"]
)  # fmt: skip
JSON_LIKE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), PIECES, st.binary()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.one_of(PIECES, st.text()), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(st.one_of(st.text(), st.binary(), st.lists(PIECES).map("".join), JSON_LIKE))
def test_junk_raises_only_invalid_id_error(value: object) -> None:
    """And what is no junk is an id that reads back."""
    classes: tuple[Any, ...] = (ComponentId, WorkerId, PromiseId)
    for cls in classes:
        with contextlib.suppress(InvalidIdError):
            an_id = cls.parse(value)
            assert an_id == cls.parse(str(an_id))


# --- Time ----------------------------------------------------------------------------------------

SIZE = 1_000_000
U = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


def million(piece: str, before: str = "", after: str = "") -> str:
    """Return about a million characters."""
    return before + piece * (SIZE // len(piece)) + after


LONG = {
    "quotes": million('"'),
    "escaped quotes": million('\\"', '"'),
    "backslashes": million("\\", '"'),
    "open arrays": million("["),
    "open objects": million('{"a":'),
    "arrays and quotes": million('["'),
    "deep in an unknown field": million("[", '{"oplogIdx": 1, "x": '),
    "white space": million(" "),
    "white space in a record": million(" ", "{a: 1", "}"),
    "white space and commas": million(" ,", "{a: 1"),
    "digits": million("1"),
    "digits in JSON": million("1", "[", "]"),
    "digits in a fraction": million("1", '{"oplogIdx": 0.', "}"),
    "digits in an index": million("1", f"{U}/w1/"),
    "digits in a display": million("1", "Uuid { high-bits: "),
    "zeros in an index": million("0", f"{U}/w1/"),
    "slashes": million("/", U),
    "a name": million("é", f"{U}/", "/1"),
    "labels": million("a", "{"),
    "fields": "{" + ",".join(f"a{number:05}:1" for number in range(SIZE // 9)) + "}",
    "keys": json.dumps({f"{number:06}": 0 for number in range(SIZE // 12)}),
    "objects": million('{"a":1},', "[", "1]"),
    "escapes in a record": million("\\u{1}", '{a: "', '"}'),
    "an open string in a record": million("x", '{a: "'),
    "structs": million("Uuid { "),
    "hexadecimal digits": million("f"),
    "surrogates": million("\ud800"),
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_megabyte_of_anything_takes_less_than_a_second(text: str) -> None:
    """Of processor time, for each of the three classes; nothing takes more than linear time."""
    limit = 1 if sys.gettrace() is None else 6  # coverage's tracing is not ours to pay for
    for cls in (ComponentId, WorkerId, PromiseId):
        begin = time.process_time()
        with pytest.raises(InvalidIdError):
            cls.parse(text)
        assert time.process_time() - begin < limit
