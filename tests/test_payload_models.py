"""pydantic models: the keys of model_dump, the values by our rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import pydantic
import pytest
from pydantic import dataclasses as pydantic_dataclasses
from pydantic.alias_generators import to_camel

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
    fee: Decimal = Decimal("1.0")


class Inner(pydantic.BaseModel):
    took: timedelta
    raw: bytes


class Wider(Inner):
    more: Decimal


class Outer(pydantic.BaseModel):
    inner: Inner
    items: list[Inner] = []
    by_day: dict[date, int] = {}
    parts: set[str] = set()
    id: PromiseId | None = None
    decision: Approved | Rejected | None = None


class Aliased(pydantic.BaseModel):
    first_name: str = pydantic.Field(default="a", serialization_alias="Vorname")


class AliasedAlways(Aliased):
    model_config = pydantic.ConfigDict(serialize_by_alias=True, alias_generator=to_camel)

    last_name: str = "b"


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
    at: datetime
    took: Annotated[timedelta, pydantic.PlainSerializer(lambda took: took.total_seconds())]
    many: list[Annotated[int, pydantic.PlainSerializer(hex, when_used="json")]]
    plain: Decimal

    @pydantic.field_serializer("at")
    def _seconds(self, at: datetime) -> int:
        return int(at.timestamp())


class Whole(pydantic.BaseModel):
    price: Decimal
    took: timedelta

    @pydantic.model_serializer(mode="wrap")
    def _versioned(self, write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {"version": 2, **write(self)}


class Root(pydantic.RootModel[list[Inner]]):
    pass


class RootOfUnion(pydantic.RootModel[Approved | Rejected]):
    pass


class RootWithSerializer(pydantic.RootModel[Annotated[int, pydantic.PlainSerializer(hex)]]):
    pass


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


class Loose(pydantic.BaseModel):
    """Values that are of other types than their annotations, as pydantic makes them."""

    model_config = pydantic.ConfigDict(use_enum_values=True, arbitrary_types_allowed=True)

    colour: Colour
    past: pydantic.PastDate
    aware: list[pydantic.AwareDatetime]
    either: list[pydantic.PastDate] | list[int] = [date(2020, 1, 1)]
    count: Annotated[int, pydantic.AfterValidator(str)]


@pydantic_dataclasses.dataclass
class Data:
    past: pydantic.PastDate
    hidden: str = pydantic.Field(default=SECRET, exclude=True)
    took: timedelta = timedelta(seconds=2)


@pydantic_dataclasses.dataclass
class SerializedData:
    at: timedelta

    @pydantic.field_serializer("at")
    def _seconds(self, at: timedelta) -> float:
        return at.total_seconds()


INNER = Inner(took=timedelta(seconds=1), raw=b"\x01")
INNER_JSON = '{"took":{"secs":1,"nanos":0},"raw":[1]}'
REST = '"by_day":{},"parts":[],"id":null,"decision":null'
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)

WRITTEN = [
    (
        "nested",
        Outer(inner=INNER, items=[INNER]),
        f'{{"inner":{INNER_JSON},"items":[{INNER_JSON}],{REST}}}',
    ),
    (
        "subclass",
        Outer(inner=Wider(took=timedelta(0), raw=b"", more=Decimal("1.0"))),
        f'{{"inner":{{"took":{{"secs":0,"nanos":0}},"raw":[],"more":"1.0"}},"items":[],{REST}}}',
    ),
    ("names", Aliased(), '{"first_name":"a"}'),
    ("aliases by configuration", AliasedAlways(), '{"Vorname":"a","lastName":"b"}'),
    ("excluded and private", Hidden(), '{"shown":1}'),
    ("computed", Computed(net=Decimal("1.5")), '{"net":"1.5","gross":"3.0"}'),
    ("extra", Extra(known=1, more=timedelta(1)), '{"known":1,"more":{"secs":86400,"nanos":0}}'),  # type: ignore[call-arg]
    (
        "own serializers",
        Serialized(at=MOMENT, took=timedelta(seconds=1.5), many=[255], plain=Decimal("1.0")),
        '{"at":1767225600,"took":1.5,"many":["0xff"],"plain":"1.0"}',
    ),
    (
        "serializer of the whole",
        Whole(price=Decimal("1.0"), took=timedelta(1)),
        '{"version":2,"price":"1.0","took":{"secs":86400,"nanos":0}}',
    ),
    ("root", Root([INNER]), f"[{INNER_JSON}]"),
    ("root with a serializer", RootWithSerializer(255), '"0xff"'),
    ("generic", Page[Inner](items=[INNER]), f'{{"items":[{INNER_JSON}]}}'),
    (
        "loose types",
        Loose(colour=Colour.RED, past=date(2020, 1, 1), aware=[MOMENT], count=5),
        '{"colour":"red","past":"2020-01-01","aware":["2026-01-01T00:00:00+00:00"],"either":["2020-01-01"],"count":"5"}',
    ),
    ("dataclass", Data(date(2020, 1, 1)), '{"past":"2020-01-01","took":{"secs":2,"nanos":0}}'),
    ("dataclass with a serializer", SerializedData(timedelta(seconds=2)), '{"at":2.0}'),
]


@pytest.mark.parametrize(("name", "model", "expected"), WRITTEN, ids=[row[0] for row in WRITTEN])
def test_models_are_written(name: str, model: Any, expected: str) -> None:
    """By their keys in model_dump, with our values."""
    assert encode_json(model).decode() == expected, name
    as_type: Any = list.__class_getitem__(type(model))
    assert encode_json([model], as_type).decode() == f"[{expected}]"


def test_unions_in_models_are_tagged() -> None:
    """Where a field declares the union, and in a root model."""
    converter = make_converter(externally_tagged=[Approved | Rejected])
    model = Outer(inner=INNER, decision=Rejected("no"))
    assert encode_json(model, converter=converter).endswith(
        b'"decision":{"Rejected":{"reason":"no","fee":"1.0"}}}'
    )
    assert encode_json(RootOfUnion(Approved()), converter=converter) == b'"Approved"'


def test_models_are_variants() -> None:
    """A model without fields is a unit variant, others are struct variants."""

    class Empty(pydantic.BaseModel):
        pass

    union: Any = Empty | Inner
    converter = make_converter(externally_tagged=[union])
    expected = f'["Empty",{{"Inner":{INNER_JSON}}}]'
    assert encode_json([Empty(), INNER], list[union], converter).decode() == expected


def test_a_style_is_not_for_aliases() -> None:
    """An alias that is asked for is spelled as it is."""
    converter = make_converter(key_style="SCREAMING_SNAKE_CASE")
    assert encode_json(Aliased(), converter=converter) == b'{"FIRST_NAME":"a"}'
    assert encode_json(AliasedAlways(), converter=converter) == b'{"Vorname":"a","lastName":"b"}'


def test_hooks_win_inside_models() -> None:
    """For the model itself, and for what is in it."""
    converter = make_converter()
    converter.register_unstructure_hook(timedelta, lambda took: took.total_seconds())
    assert encode_json(INNER, converter=converter) == b'{"took":1.0,"raw":[1]}'
    converter.register_unstructure_hook(Inner, lambda inner: inner.raw.hex())
    assert encode_json(Root([INNER]), converter=converter) == b'["01"]'


class Cyclic(pydantic.BaseModel):
    name: str = SECRET
    next: Any = None


class Located(pydantic.BaseModel):
    where: Path = Path(SECRET)
    secret: pydantic.SecretStr = pydantic.SecretStr(SECRET)


class Failing(pydantic.BaseModel):
    a: int = 1
    b: int = 2

    @pydantic.field_serializer("b")
    def _fail(self, _: int) -> int:
        raise ValueError(SECRET)


def _cycle() -> Cyclic:
    cyclic = Cyclic()
    cyclic.next = [cyclic]
    return cyclic


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (_cycle(), "$.next[0]: contains itself"),
        (Cyclic(next=[float("nan")]), "$.next[0]: is not a finite number"),
        (Outer(inner=Inner(took=timedelta(-1), raw=b"")), "$.inner.took: is a negative timedelta"),
        (
            Outer(inner=INNER, by_day={date(2026, 1, 1): 1}),
            "$.by_day: has a key that is of type date",
        ),
        (Located(), f"$.where: is of type {type(Path()).__name__}, for which there is no rule"),
        (Cyclic(next=pydantic.SecretStr(SECRET)), "$.next: is of type SecretStr, for which"),
        (Inner.model_construct(raw=b""), "$: has no value in its field 'took'; set it"),
        (Cyclic(next=Rejected(5)), "$.next.reason: is of type int, where str is declared"),  # type: ignore[arg-type]
        (Failing(), "$: could not be read: PydanticSerializationError was raised by"),
    ],
)
def test_models_are_refused(value: Any, message: str) -> None:
    """With a path, and never with the value."""
    with pytest.raises(PayloadError) as caught:
        encode_json(value)
    assert caught.value.message.startswith(message)
    assert SECRET not in repr(caught.value)
    assert caught.value.__context__ is None


def test_a_model_is_not_another() -> None:
    """As as_type, a model is a class like any other."""
    with pytest.raises(PayloadError, match=r"^\$: is of type Aliased, where Inner is declared"):
        encode_json(Aliased(), Inner)


def test_ids_are_fields() -> None:
    """Also where pydantic writes the field itself."""
    encoded = encode_json(Outer(inner=INNER, id=PROMISE))
    assert f'"id":{encode_json(PROMISE).decode()}' in encoded.decode()


def test_uuid_keys_collide_with_their_text() -> None:
    """As everywhere."""
    with pytest.raises(PayloadError, match="text of two keys"):
        encode_json(Cyclic(next={UUID(int=1): 1, str(UUID(int=1)): 2}))
