"""pydantic models: written by pydantic itself, whatever their settings are, and checked by us."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, NewType, TypeVar
from uuid import UUID

import attrs
import pydantic
import pytest
from pydantic import dataclasses as pydantic_dataclasses
from pydantic import v1 as pydantic_v1
from pydantic.alias_generators import to_camel
from typing_extensions import TypeAliasType, TypedDict

from golem_client.errors import PayloadError
from golem_client.ids import PromiseId
from golem_client.payload import encode_json, make_converter

SECRET = "hunter2"
T = TypeVar("T")
PROMISE = PromiseId.parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42")


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Approved:
    pass


@dataclass(frozen=True)
class Rejected:
    reason: str


class Inner(pydantic.BaseModel):
    took: timedelta
    raw: bytes


class Wider(Inner):
    more: Decimal


class Outer(pydantic.BaseModel):
    inner: Inner
    items: list[Inner] = []
    by_day: dict[date, int] = {}
    id: PromiseId | None = None
    decision: Approved | Rejected | None = None


class Settings(pydantic.BaseModel):
    """Settings of many kinds at once, which nested serializers must keep."""

    model_config = pydantic.ConfigDict(
        ser_json_bytes="base64", ser_json_timedelta="float", use_enum_values=True
    )

    raw: bytes
    took: timedelta
    colour: Colour
    text: pydantic.Base64Str
    url: pydantic.HttpUrl
    where: Path
    number: NewType("Number", int)  # type: ignore[valid-type]
    ratio: float = float("nan")


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(serialize_by_alias=True, alias_generator=to_camel)

    first_name: str = pydantic.Field(default="a", serialization_alias="Vorname")
    last_name: str = "b"


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # json_encoders is deprecated, and in use

    class Encoded(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(json_encoders={Decimal: float})

        price: Decimal


class Hidden(pydantic.BaseModel):
    shown: int = 1
    hidden: str = pydantic.Field(default=SECRET, exclude=True)
    _private: str = SECRET


class Computed(pydantic.BaseModel):
    net: Decimal

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def gross(self) -> Decimal:
        return self.net * 2


class Extra(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    known: int


class Serialized(pydantic.BaseModel):
    took: Annotated[timedelta, pydantic.PlainSerializer(lambda took: took.total_seconds())]
    many: list[Annotated[int, pydantic.PlainSerializer(hex, when_used="json")]]

    @pydantic.model_serializer(mode="wrap")
    def _versioned(self, write: Any) -> dict[str, Any]:
        return {"version": 2, **write(self)}


class OwnDump(pydantic.BaseModel):
    a: int | None = None

    def model_dump_json(self, **options: Any) -> str:
        return super().model_dump_json(exclude_none=True, **options)


class OwnWords(pydantic.BaseModel):
    dumped: str

    def model_dump_json(self, **_: Any) -> str:
        return self.dumped


class Root(pydantic.RootModel[list[Inner]]):
    pass


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


class Row(pydantic.BaseModel):
    id: int
    names: dict[str, list[str | None]] = {}


@pydantic_dataclasses.dataclass
class Data:
    past: pydantic.PastDate
    hidden: str = pydantic.Field(default=SECRET, exclude=True)
    took: timedelta = timedelta(seconds=2)


class Tags(pydantic.BaseModel):
    tags: set[str]
    by_name: dict[str, frozenset[str]] = {}


class Free(pydantic.BaseModel):
    value: Any = None


class Mixed(pydantic.BaseModel):
    groups: set[frozenset[str]]


INNER = Inner(took=timedelta(seconds=1), raw=b"ab")
SETTINGS = Settings(
    raw=b"\xff",
    took=timedelta(seconds=1.5),
    colour=Colour.RED,
    text="aGk=",
    url="https://example.org",  # type: ignore[arg-type]
    where=Path("x"),
    number=1,
)
MODELS: list[Any] = [
    *(Outer(inner=INNER, items=[INNER], by_day={date(2026, 1, 1): 1}, id=PROMISE),),
    *(SETTINGS, Aliased(), Encoded(price=Decimal("1.5")), Hidden(), Computed(net=Decimal("1.5"))),
    *(Extra(known=1, more=timedelta(1)), Root([INNER]), Page[Inner](items=[INNER])),  # type: ignore[call-arg]
    *(Serialized(took=timedelta(1), many=[255]), OwnDump(), Row(id=1, names={"a": ["b", None]})),
    Free(value=[1, {"a": Decimal("1.0")}]),
]


def _name(model: Any) -> str:
    return type(model).__name__


@pytest.mark.parametrize("model", MODELS, ids=_name)
def test_a_model_is_what_its_model_dump_json_says(model: Any) -> None:
    """Undeclared or declared; a key style leaves it alone, since it has alias generators."""
    expected = json.loads(model.model_dump_json())
    styled = make_converter(key_style="SCREAMING_SNAKE_CASE")
    assert json.loads(encode_json(model)) == expected
    assert json.loads(encode_json(model, type(model))) == expected
    assert json.loads(encode_json(model, pydantic.BaseModel, styled)) == expected
    assert make_converter().unstructure(model) == expected


@pytest.mark.parametrize("model", MODELS, ids=_name)
def test_a_model_inside_others_is_the_same(model: Any) -> None:
    """In lists, which are written at once, and among other values, where marks are replaced."""
    expected = json.loads(model.model_dump_json())
    nothing: list[Any] = []
    values: list[Any] = [[model, model], [model, 1], {"a": {"b": model}}, (model, nothing)]
    assert json.loads(encode_json(values)) == [
        *([expected, expected], [expected, 1], {"a": {"b": expected}}, [expected, []])
    ]
    as_type: Any = list.__class_getitem__(type(model))
    assert json.loads(encode_json([model, model], as_type)) == [expected, expected]
    assert make_converter().unstructure([model, model]) == [expected, expected]


def test_a_simple_model_is_written_byte_by_byte_as_pydantic_does() -> None:
    """No second encoder changes a float."""

    class Floats(pydantic.BaseModel):
        values: list[float]

    model = Floats(values=[1e16, 1e-7, 5e-324, 1.0])
    assert encode_json(model) == model.model_dump_json().encode()
    assert encode_json([model]) == b"[" + model.model_dump_json().encode() + b"]"


def test_dataclasses_of_pydantic_are_written_by_pydantic() -> None:
    """They have no model_dump_json; TypeAdapter writes the same."""
    data = Data(date(2020, 1, 1))
    expected = pydantic.TypeAdapter(Data).dump_json(data)
    assert encode_json(data) == expected == b'{"past":"2020-01-01","took":"PT2S"}'
    assert encode_json([data, data]) == b"[" + expected + b"," + expected + b"]"


@attrs.frozen
class Holder:
    any_model: pydantic.BaseModel
    as_any: pydantic.SerializeAsAny[Inner]
    plain: pydantic.JsonValue
    quoted: Quoted | None = None


Quoted = TypeAliasType("Quoted", "list[Inner]")


class Keyed(TypedDict):
    model: pydantic.BaseModel


def test_a_class_decides_what_its_declaration_leaves_open() -> None:
    """BaseModel, SerializeAsAny, JsonValue, and names in quotes."""
    wider = Wider(took=timedelta(1), raw=b"", more=Decimal("1.0"))
    expected = json.loads(wider.model_dump_json())
    holder = Holder(wider, wider, {"a": [1, {"b": None}]}, [wider])
    assert json.loads(encode_json(holder)) == {
        "any_model": expected,
        "as_any": expected,
        "plain": {"a": [1, {"b": None}]},
        "quoted": [expected],
    }
    assert json.loads(encode_json({"model": wider}, Keyed)) == {"model": expected}


def test_a_list_of_models_loses_no_field_of_a_subclass() -> None:
    """pydantic itself would write the fields of the declared class alone."""
    wider = Wider(took=timedelta(1), raw=b"", more=Decimal("1.0"))
    for models in ([wider, wider], [INNER, wider]):
        expected = [json.loads(model.model_dump_json()) for model in models]
        assert json.loads(encode_json(models, list[Inner])) == expected


def test_inside_a_model_pydantic_decides() -> None:
    """Tags, hooks and rules of ours are for what is around a model."""
    converter = make_converter(externally_tagged=Approved | Rejected)
    converter.register_unstructure_hook(timedelta, lambda took: took.total_seconds())
    model = Outer(inner=INNER, decision=Rejected("no"))
    assert json.loads(encode_json([model, Rejected("no"), timedelta(1)], converter=converter)) == [
        *(json.loads(model.model_dump_json()), {"Rejected": {"reason": "no"}}, 86400.0)
    ]


def test_a_hook_for_a_model_wins() -> None:
    """Also in a list, which would be written at once."""
    converter = make_converter()
    converter.register_unstructure_hook(Row, lambda row: row.id)
    assert encode_json([Row(id=1), Row(id=2)], converter=converter) == b"[1,2]"
    assert encode_json([Row(id=1)], list[Row], converter) == b"[1]"


def test_models_are_variants() -> None:
    """A model without fields is a unit variant, others are struct variants."""

    class Empty(pydantic.BaseModel):
        pass

    union: Any = Empty | Row
    converter = make_converter(externally_tagged=union)
    expected = b'["Empty",{"Row":{"id":1,"names":{}}}]'
    assert encode_json([Empty(), Row(id=1)], list[union], converter) == expected
    assert encode_json([Empty(), Row(id=1)], converter=converter) == expected
    assert encode_json([Row(id=1)], converter=converter) == b'[{"Row":{"id":1,"names":{}}}]'


def test_a_computed_field_is_content() -> None:
    """A model with nothing but computed fields is not a unit variant."""

    class Now(pydantic.BaseModel):
        @pydantic.computed_field  # type: ignore[prop-decorator]
        @property
        def year(self) -> int:
            return 2026

    converter = make_converter(externally_tagged=Now)
    assert encode_json(Now(), converter=converter) == b'{"Now":{"year":2026}}'


def test_a_set_of_models_has_an_order() -> None:
    """It is not written at once, as a list of models is."""

    class Frozen(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(frozen=True)

        id: str

    rows = [Frozen(id=str(number)) for number in range(100, 200)]
    assert encode_json(set(rows)) == encode_json(rows)


class Cyclic(pydantic.BaseModel):
    name: str = SECRET
    next: Any = None


class Failing(pydantic.BaseModel):
    a: int = 1

    @pydantic.field_serializer("a")
    def _fail(self, _: int) -> int:
        raise ValueError(SECRET)


class Constants(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(ser_json_inf_nan="constants")

    ratio: float = float("nan")


class Twice(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(serialize_by_alias=True)

    a: int = 1
    b: int = pydantic.Field(default=2, serialization_alias="a")


class TwiceByExtra(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", serialize_by_alias=True)

    a: int = pydantic.Field(default=1, serialization_alias="b")


class Keys(pydantic.BaseModel):
    by_key: dict[int | str, int]


class OtherInJson(pydantic.BaseModel):
    """A dump to Python does not show where the sets are in the JSON."""

    tags: Annotated[
        Any, pydantic.PlainSerializer(lambda tags: {**tags, "n": len(tags)}, when_used="json")
    ]


def _cycle() -> Cyclic:
    cyclic = Cyclic()
    cyclic.next = [cyclic]
    return cyclic


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _changed() -> Row:
    row = Row(id=1)
    row.id = SECRET  # type: ignore[assignment]
    return row


_NOT_WRITTEN = (
    "could not be written by pydantic: {}; call model_dump_json(warnings='error') to see why"
)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (_cycle(), _NOT_WRITTEN.format("PydanticSerializationError")),
        (Failing(), _NOT_WRITTEN.format("PydanticSerializationError")),
        (_changed(), _NOT_WRITTEN.format("PydanticSerializationError")),
        (Row(id=1, names={"a": ["\ud800"]}), _NOT_WRITTEN.format("PydanticSerializationError")),
        (Twice(), "is a pydantic model that writes one key twice"),
        (OwnWords(dumped='{"a":1,"a":2}'), "is a pydantic model that writes one key twice"),
        (OwnWords(dumped="{a: 1}"), "could not be read: JSONDecodeError"),
        (TwiceByExtra(b=2), "is a pydantic model that writes one key twice"),  # type: ignore[call-arg]
        (Free(value={1: 1, "1": 2}), "is a pydantic model that writes one key twice"),
        (Keys(by_key={1: 1, "1": 2}), "is a pydantic model that writes one key twice"),
        (OtherInJson(tags={"a": {1, 2}}), "is a pydantic model with a set in it"),
        (Mixed(groups={frozenset("ab"), frozenset("c")}), "is a pydantic model with a set in it"),
        (pydantic_v1.create_model("Old")(), "is of type Old, which cannot be written as JSON"),
    ],
    ids=lambda case: case[:30] if isinstance(case, str) else type(case).__name__,
)
def test_models_are_refused(model: Any, reason: str) -> None:
    """With the path of the model and the reason, and never with the value."""
    for value, path in [(model, "$"), ({"a": [model, model]}, "$.a[0]"), ([1, model], "$[1]")]:
        with pytest.raises(PayloadError) as caught:
            encode_json(value)
        assert caught.value.message.startswith(f"{path}: {reason}")
        assert SECRET not in repr(caught.value)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_what_pydantic_writes_is_checked() -> None:
    """Depth, and constants that are not JSON: with the path inside the model."""
    with pytest.raises(PayloadError, match=r"^\$\.ratio: is not a finite number"):
        encode_json(Constants())
    with pytest.raises(PayloadError, match=r"^\$\[1\]\.ratio: is not a finite number"):
        encode_json([Constants(ratio=1.0), Constants()])
    assert encode_json(Free(value=_deep(126)))
    with pytest.raises(PayloadError, match=r"^\$\.value\[0\].*nested deeper"):
        encode_json(Free(value=_deep(127)))
    with pytest.raises(PayloadError, match=r"^\$\[0\]\.value.*nested deeper"):
        encode_json([Free(value=_deep(126))])
    with pytest.raises(PayloadError, match="max_payload_bytes"):
        encode_json([Row(id=1)] * 10, max_bytes=100)


@pytest.mark.parametrize("text", ['"', "\\", '\\"', '"]', "]]", '[\\"['])
def test_no_text_hides_the_depth(text: str) -> None:
    """Brackets, quotes and backslashes in a text do not count as structure."""
    assert encode_json(Free(value=[text, _deep(125), text]))
    with pytest.raises(PayloadError, match="nested deeper"):
        encode_json(Free(value=[text, _deep(126), text]))


def test_a_text_may_say_nan() -> None:
    """NaN inside a text is text."""
    assert encode_json(Row(id=1, names={"NaN": ["Infinity"]})) == (
        b'{"id":1,"names":{"NaN":["Infinity"]}}'
    )


def test_nan_is_null_by_default() -> None:
    """pydantic writes it so unless the model's settings differ."""
    assert json.loads(encode_json(SETTINGS))["ratio"] is None


def test_a_model_is_not_another() -> None:
    """As as_type, a model is a class like any other."""
    with pytest.raises(PayloadError, match=r"^\$: is of type Aliased, where Inner is declared"):
        encode_json(Aliased(), Inner)


def test_uuid_keys_collide_with_their_text() -> None:
    """Inside a model as elsewhere."""
    with pytest.raises(PayloadError, match="writes one key twice"):
        encode_json(Free(value={UUID(int=1): 1, str(UUID(int=1)): 2}))
