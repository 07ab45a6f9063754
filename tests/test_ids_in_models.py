"""The ids as fields of pydantic models: validated in any spelling, written as REST JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from golem_client.ids import ComponentId, PromiseId, WorkerId

U = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
PROMISE = PromiseId.parse(f"{U}/w1/42")
REST = PROMISE.to_json()


class Approval(BaseModel):
    promise_id: PromiseId
    worker_id: WorkerId | None = None
    component_id: ComponentId | None = None


WHOLE = Approval(
    promise_id=PROMISE,
    worker_id=PROMISE.worker_id,
    component_id=PROMISE.worker_id.component_id,
)
SPELLINGS: list[Any] = [PROMISE, str(PROMISE), REST, json.dumps(REST), [REST], {"result": REST}]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("strict", [True, False])
def test_a_field_takes_any_spelling(spelling: Any, strict: Any) -> None:
    """Strict models too: no spelling is a conversion."""
    approval = Approval.model_validate({"promise_id": spelling}, strict=strict)
    assert approval.promise_id == PROMISE


@pytest.mark.parametrize("spelling", SPELLINGS[1:], ids=lambda value: type(value).__name__)
def test_a_field_takes_any_spelling_from_json(spelling: Any) -> None:
    """As FastAPI reads a body."""
    approval = Approval.model_validate_json(json.dumps({"promise_id": spelling}))
    assert approval.promise_id == PROMISE


def test_a_model_keeps_the_ids_in_python_and_writes_rest_json() -> None:
    """Each mode gives what the other side of it reads."""
    assert WHOLE.model_dump()["promise_id"] is PROMISE
    expected = {"promise_id": REST, "worker_id": REST["workerId"], "component_id": U}
    assert expected == WHOLE.model_dump(mode="json") == json.loads(WHOLE.model_dump_json())
    assert Approval.model_validate(WHOLE.model_dump()) == WHOLE
    assert Approval.model_validate_json(WHOLE.model_dump_json()) == WHOLE


@pytest.mark.parametrize("value", ["w1/42", {**REST, "oplogIdx": 1.5}, None, 42])
def test_an_invalid_id_is_a_validation_error_that_says_why(value: Any) -> None:
    """With the message of `InvalidIdError`, at the field's place."""
    with pytest.raises(ValidationError) as caught:
        Approval.model_validate({"promise_id": value})
    (error,) = caught.value.errors()
    assert error["loc"] == ("promise_id",)
    assert error["type"] == "value_error"


@pytest.mark.parametrize("cls", [ComponentId, WorkerId, PromiseId])
def test_the_json_schema_of_what_is_written_is_that_of_rest(cls: Any) -> None:
    """What a field takes is wider: text and every JSON form besides."""
    adapter = TypeAdapter(cls)
    written = adapter.json_schema(mode="serialization")
    taken = adapter.json_schema()
    assert written["title"] == taken["title"] == cls.__name__
    assert {**taken["anyOf"][0], "title": cls.__name__} == written
    assert {"string", "object", "array"} == {form["type"] for form in taken["anyOf"][1:]}


def test_the_schema_of_a_promise_names_the_fields_of_rest() -> None:
    """And the range of the index."""
    schema = TypeAdapter(PromiseId).json_schema(mode="serialization")
    assert schema["required"] == ["workerId", "oplogIdx"]
    index = {"type": "integer", "minimum": 0, "maximum": 2**64 - 1}
    assert index == schema["properties"]["oplogIdx"]
    assert set(schema["properties"]["workerId"]["properties"]) == {"componentId", "workerName"}


def test_a_whole_model_has_a_schema_in_both_modes() -> None:
    """As OpenAPI asks for."""
    for mode in ("validation", "serialization"):
        properties = Approval.model_json_schema(mode=mode)["properties"]
        assert {"promise_id", "worker_id", "component_id"} == set(properties)
