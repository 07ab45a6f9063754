"""What holds for every id, every spelling and every junk; and how long the worst of it takes."""

from __future__ import annotations

import contextlib
import json
import pickle
import sys
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from golem_client.errors import InvalidIdError
from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.testing.strategies import component_ids, promise_ids, worker_ids
from tests.id_spellings import KEY_CASES, json_forms, promise_id_spellings, texts

WORKER_FORMS = (
    WorkerId.to_json,
    lambda worker: {"componentId": str(worker.component_id), "agentId": worker.worker_name},
    lambda worker: {"componentId": worker.component_id.uuid.hex, "agentId": worker.worker_name},
)


@given(promise_id_spellings())
def test_every_spelling_of_every_promise_is_read(pair: tuple[PromiseId, Any]) -> None:
    """Whatever the worker's language made of it."""
    promise, spelling = pair
    assert promise == PromiseId.parse(spelling)


@given(worker_ids())
def test_every_spelling_of_every_worker_is_read(worker: WorkerId) -> None:
    """All of them, for each worker."""
    forms = [form for case in KEY_CASES for form in json_forms(worker, case)]
    for spelling in (*forms, *texts(worker)):
        assert worker == WorkerId.parse(spelling)


@given(component_ids())
def test_every_spelling_of_every_component_is_read(component: ComponentId) -> None:
    """All of them, for each component."""
    for spelling in (*json_forms(component), *texts(component), component.uuid):
        assert component == ComponentId.parse(spelling)
    assert component == ComponentId.parse(f"urn:component:{component}/3")
    assert component == ComponentId.from_bits(component.high_bits, component.low_bits)


ROUNDED = ComponentId.from_bits(*(int(Decimal(repr(float(n)))) for n in (2**63 + 1, 2**63 + 4097)))
"""Two halves that JavaScript may have rounded."""


@pytest.mark.parametrize("case", KEY_CASES, ids=["snake", "camel", "kebab"])
def test_no_spelling_is_one_that_is_refused_for_being_rounded(case: Any) -> None:
    """Of an id whose halves look so, the forms in which they are JSON's integers are left out."""
    an_id = PromiseId(WorkerId(ROUNDED, "w1"), 7)
    halves = {"high_bits": ROUNDED.high_bits, "low_bits": ROUNDED.low_bits}
    with pytest.raises(InvalidIdError, match="JavaScript"):
        ComponentId.parse(halves)
    spellings = [*json_forms(an_id, case), *texts(an_id)]
    assert {an_id} == {PromiseId.parse(spelling) for spelling in spellings}


@given(st.one_of(component_ids(), worker_ids(), promise_ids()))
def test_every_id_reads_its_own_text_and_json_and_pickles(an_id: Any) -> None:
    """Also as JSON text, and as the bytes of either."""
    text, as_json = str(an_id), json.dumps(an_id.to_json())
    for value in (text, an_id.to_json(), as_json, text.encode(), as_json.encode()):
        assert an_id == type(an_id).parse(value)
    assert an_id == pickle.loads(pickle.dumps(an_id))


@given(promise_ids(), st.sampled_from(["workerId", "agentId"]), st.sampled_from(WORKER_FORMS))
def test_the_short_cut_for_rest_reads_nothing_differently(
    promise: PromiseId, key: str, form: Any
) -> None:
    """An unknown field beside the others makes it take the long way."""
    value = {key: form(promise.worker_id), "oplogIdx": promise.oplog_idx}
    for spelling in (value, {**value, "x": 1}, {**value, key: {**value[key], "x": 1}}):
        assert promise == PromiseId.parse(spelling)


@settings(max_examples=40, deadline=None)
@given(promise_ids(), promise_ids())
def test_no_two_promises_share_a_spelling(one: PromiseId, other: PromiseId) -> None:
    """Also where they differ in one part alone."""
    assume(one.worker_id.worker_name != other.worker_id.worker_name)
    twin = PromiseId(
        WorkerId(one.worker_id.component_id, other.worker_id.worker_name), one.oplog_idx
    )
    assert set(texts(one)).isdisjoint(texts(twin))
    forms = [{json.dumps(form) for form in json_forms(promise)} for promise in (one, twin)]
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

SIZE = 200_000
U = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


def many(piece: str, before: str = "", after: str = "") -> str:
    """Return about `SIZE` characters."""
    return before + piece * (SIZE // len(piece)) + after


LONG = {
    "quotes": many('"'),
    "escaped quotes": many('\\"', '"'),
    "backslashes": many("\\", '"'),
    "open arrays": many("["),
    "open objects": many('{"a":'),
    "arrays and quotes": many('["'),
    "deep in an unknown field": many("[", '{"oplogIdx": 1, "x": '),
    "white space": many(" "),
    "white space in a record": many(" ", "{a: 1", "}"),
    "white space and commas": many(" ,", "{a: 1"),
    "digits": many("1"),
    "digits in JSON": many("1", "[", "]"),
    "digits in a fraction": many("1", '{"oplogIdx": 0.', "}"),
    "digits in an index": many("1", f"{U}/w1/"),
    "digits in a display": many("1", "Uuid { high-bits: "),
    "zeros in an index": many("0", f"{U}/w1/"),
    "slashes": many("/", U),
    "a name": many("é", f"{U}/", "/1"),
    "labels": many("a", "{"),
    "fields": "{" + ",".join(f"a{number:05}:1" for number in range(SIZE // 9)) + "}",
    "keys": json.dumps({f"{number:06}": 0 for number in range(SIZE // 12)}),
    "objects": many('{"a":1},', "[", "1]"),
    "escapes in a record": many("\\u{1}", '{a: "', '"}'),
    "an open string in a record": many("x", '{a: "'),
    "structs": many("Uuid { "),
    "structs in parentheses": many("Uuid("),
    "a label in quotes": many("x", "{'", "': 1}"),
    "an open label in quotes": many("x", "{'"),
    "backslashes in a label": many("\\", "{'"),
    "strings in backticks": many("\\`", "{a: `", "`}"),
    "an open string in backticks": many("\"'", "{a: `"),
    "a word": many("t", "{a: ", "}"),
    "digits in a record": many("1", "{a: ", "n}"),
    "digits in JavaScript": many("1", "{highBits: ", ", lowBits: 1}"),
    "closing brackets": many("}", "{a: 1"),
    "a heading": many(" ", "Invocation result in "),
    "headings": many("- "),
    "an array of numbers": many("1,", "[", "1]"),
    "hexadecimal digits": many("f"),
    "surrogates": many("\ud800"),
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_long_text_of_anything_takes_less_than_a_quarter_of_a_second(text: str) -> None:
    """Of processor time, for each of the three classes; nothing takes more than linear time."""
    limit = 0.25 if sys.gettrace() is None else 2  # coverage's tracing is not ours to pay for
    for cls in (ComponentId, WorkerId, PromiseId):
        begin = time.process_time()
        with pytest.raises(InvalidIdError):
            cls.parse(text)
        assert time.process_time() - begin < limit
