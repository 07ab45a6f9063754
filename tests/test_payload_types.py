"""Values must match their declared types: `as_type`, and the types of fields."""

from __future__ import annotations

import sys
import typing
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    LiteralString,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Protocol,
    Required,
    TypedDict,
    TypeVar,
    Union,
    runtime_checkable,
)
from uuid import UUID

import attrs
import pytest
from typing_extensions import ReadOnly, TypeAliasType
from typing_extensions import TypedDict as BackportedTypedDict

from golem_client.errors import PayloadError
from golem_client.ids import ComponentId, PromiseId
from golem_client.payload import encode_json, make_converter

if TYPE_CHECKING:
    from fractions import Fraction as Unimported

T = TypeVar("T")
K = TypeVar("K")
ID = UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
PROMISE = PromiseId.parse(f"{ID}/w1/42")
DAY, MOMENT = date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Kind(Enum):
    A = "a"


@attrs.frozen
class Base:
    a: int = 1


@attrs.frozen
class Derived(Base):
    b: int = 2


@dataclass
class Plain:
    a: int
    inner: Base | None = None


@attrs.frozen
class Box(Generic[T]):
    content: T
    more: list[T] = attrs.field(factory=list)


@dataclass
class Pair(Generic[K, T]):
    by_key: dict[K, T]


@attrs.frozen
class Order(Box[int]):
    note: str = ""


@dataclass
class Ordered(Pair[str, list[K]], Generic[T, K]):
    first: T


class Spot(NamedTuple):
    x: int
    label: str | None = None


class Frozen(datetime):
    """As libraries that stop the clock have it."""


class Undecorated(Base):
    kind: ClassVar[str] = "x"

    def double(self) -> int:
        return self.a * 2


class Point(NamedTuple, Generic[T]):
    x: T


class Options(TypedDict, total=False):
    count: Required[int]
    note: str


class Strict(TypedDict):
    count: int
    note: NotRequired[str]


class Other(TypedDict):
    title: str


class Backported(BackportedTypedDict):
    count: ReadOnly[int]
    note: NotRequired[str]


class Many(TypedDict, Generic[T]):
    items: list[T]


class Shape:
    """A base class that the rules refuse."""


@attrs.frozen
class Square(Shape):
    side: int = 1


class HasSide(Protocol):
    side: int


@runtime_checkable
class Closes(Protocol):
    def close(self) -> None: ...


@attrs.frozen
class Vague:
    value: Unimported
    count: int = 1


@dataclass
class Dated:
    """Its field has the name of its type, and a default."""

    date: date | None = None
    datetime: datetime | None = None


class Ranked(list[tuple[int, T]], Generic[T]):
    """Its argument is not the type of its elements."""


Name = NewType("Name", str)
Unresolved = TypeAliasType("Unresolved", "list[Base]")
Listed = TypeAliasType("Listed", list[T], type_params=(T,))
Bounded = TypeVar("Bounded", bound=Base)

ACCEPTED: list[tuple[Any, Any, str]] = [
    (Any, {"a": 1}, '{"a":1}'),
    (object, {"a": 1}, '{"a":1}'),
    (None, 5, "5"),
    (type(None), None, "null"),
    (int, 5, "5"),
    (int, Level.LOW, "1"),
    (float, 5, "5"),
    (float, 5.5, "5.5"),
    (list[float], [1, 2.5], "[1,2.5]"),
    (bool, True, "true"),
    (str, Colour.RED, '"red"'),
    (str, "a", '"a"'),
    (LiteralString, "a", '"a"'),
    (Colour, Colour.RED, '"red"'),
    (Enum, Kind.A, '"a"'),
    (bytes, b"a", "[97]"),
    (UUID, ID, f'"{ID}"'),
    (date, DAY, '"2026-01-01"'),
    (datetime, MOMENT, '"2026-01-01T00:00:00+00:00"'),
    (datetime, Frozen(2026, 1, 1, tzinfo=UTC), '"2026-01-01T00:00:00+00:00"'),
    (ComponentId, PROMISE.worker_id.component_id, f'"{ID}"'),
    (
        Annotated[PromiseId, "x"],
        PROMISE,
        f'{{"workerId":{{"componentId":"{ID}","workerName":"w1"}},"oplogIdx":42}}',
    ),
    (Annotated[int, {"not": "hashable"}], 1, "1"),
    *(
        [(Optional[Annotated[int, {}]], 1, "1")]  # noqa: UP045 - as users write it
        if sys.version_info >= (3, 13)  # before, Python itself refuses it
        else []
    ),
    (list, [1, "a"], '[1,"a"]'),
    (list[int], [1], "[1]"),
    (typing.List[int], [1], "[1]"),  # noqa: UP006
    (Sequence[int], (1,), "[1]"),
    (Iterable[int], {1}, "[1]"),
    (Collection[int], deque([1]), "[1]"),
    (AbstractSet[int], frozenset({1}), "[1]"),
    (deque[int], deque([1]), "[1]"),
    (set[UUID], {ID}, f'["{ID}"]'),
    (Ranked[str], Ranked([(1, "a")]), '[[1,"a"]]'),
    (tuple, (1, "a"), '[1,"a"]'),
    (tuple[int, ...], (1, 2), "[1,2]"),
    (tuple[int, str], (1, "a"), '[1,"a"]'),
    (tuple[()], (), "[]"),
    (dict, {1: "a"}, '{"1":"a"}'),
    (dict[str, int], {"a": 1}, '{"a":1}'),
    (dict[Colour, list[int]], {Colour.RED: [1]}, '{"red":[1]}'),
    (dict[Name, int], {Name("a"): 1}, '{"a":1}'),
    (Mapping[int, str], {1: "a"}, '{"1":"a"}'),
    (Counter[str], Counter("a"), '{"a":1}'),
    (Optional[int], None, "null"),  # noqa: UP045
    (int | None, 5, "5"),
    (Union[int, str], "a", '"a"'),  # noqa: UP007
    (int | bool, True, "true"),
    (float | str, 5, "5"),
    (date | datetime, MOMENT, '"2026-01-01T00:00:00+00:00"'),
    (list[int] | list[str], ["a"], '["a"]'),
    (list[int] | list[str], [], "[]"),
    (list[list[int] | list[str]], [["a"]] * 2, '[["a"],["a"]]'),
    (dict[str, int] | Strict, {"count": 1, "note": "a"}, '{"count":1,"note":"a"}'),
    (Strict | Other, {"title": "a"}, '{"title":"a"}'),
    (list[Strict | Other], [{"title": "a"}, {"count": 1}], '[{"title":"a"},{"count":1}]'),
    (Base | None, None, "null"),
    (Base | Plain | None, None, "null"),
    (Base | str, Derived(), '{"a":1,"b":2}'),
    (Colour | Kind, Kind.A, '"a"'),
    (Unresolved, [Base()], '[{"a":1}]'),
    (list["Base"], [Plain(1)], '[{"a":1,"inner":null}]'),
    (Literal["a", 1], 1, "1"),
    (Literal[Colour.RED], Colour.RED, '"red"'),
    (Name, "a", '"a"'),
    (Final[int], 5, "5"),
    (Base, Base(), '{"a":1}'),
    (Base, Derived(), '{"a":1,"b":2}'),
    (list[Base], [Derived(), Base()], '[{"a":1,"b":2},{"a":1}]'),
    (dict[str, Base | None], {"x": Derived(), "y": None}, '{"x":{"a":1,"b":2},"y":null}'),
    (Plain, Plain(1, Derived()), '{"a":1,"inner":{"a":1,"b":2}}'),
    (Box[int], Box(1, [2]), '{"content":1,"more":[2]}'),
    (Order, Order(1, [2]), '{"content":1,"more":[2],"note":""}'),
    (Ordered[int, str], Ordered({"a": ["b"]}, 1), '{"by_key":{"a":["b"]},"first":1}'),
    (Box[Box[str]], Box(Box("a")), '{"content":{"content":"a","more":[]},"more":[]}'),
    (Box, Box[Any]("a", [1]), '{"content":"a","more":[1]}'),
    (Pair[int, Base], Pair({1: Derived()}), '{"by_key":{"1":{"a":1,"b":2}}}'),
    (Spot, Spot(1), "[1,null]"),
    (Base, Undecorated(), '{"a":1}'),
    (Dated, Dated(DAY), '{"date":"2026-01-01","datetime":null}'),
    (Point[str], Point("a"), '["a"]'),
    (Options, {"count": 1}, '{"count":1}'),
    (Strict, {"note": "a", "count": 1}, '{"note":"a","count":1}'),
    (Many[int], {"items": [1]}, '{"items":[1]}'),
    (Backported, {"count": 1}, '{"count":1}'),
    (Backported | None, {"count": 1, "note": "a"}, '{"count":1,"note":"a"}'),
    (Shape, Square(), '{"side":1}'),
    (HasSide, Square(), '{"side":1}'),
    (Callable[[], int] | int, 5, "5"),
    (T, 5, "5"),
    (Listed[int], [1], "[1]"),
    (Vague, Vague(Decimal(1)), '{"value":"1","count":1}'),  # type: ignore[arg-type]
]

REFUSED: list[tuple[Any, Any, str]] = [
    (type(None), 0, "$"),
    (int, True, "$"),
    (int, 1.0, "$"),
    (int, "1", "$"),
    (float, True, "$"),
    (float, "1", "$"),
    (bool, 1, "$"),
    (str, 5, "$"),
    (str, None, "$"),
    (str, b"a", "$"),
    (bytes, bytearray(b"a"), "$"),
    (Colour, "red", "$"),
    (Level, 1, "$"),
    (date, MOMENT, "$"),
    (datetime, DAY, "$"),
    (UUID, str(ID), "$"),
    (PromiseId, str(PROMISE), "$"),
    (Decimal, 1.5, "$"),
    (list[int], (1,), "$"),
    (list[int], [1, "a"], "$[1]"),
    (list[int], [True], "$[0]"),
    (Sequence[str], "abc", "$"),
    (Iterable[str], {"a": 1}, "$"),
    (set[int], [1], "$"),
    (set[int], {"a"}, "$[*]"),
    (tuple[int, str], (1,), "$"),
    (tuple[int, str], (1, 2), "$[1]"),
    (tuple[int, ...], (1, "a"), "$[1]"),
    (tuple[()], (1,), "$"),
    (dict[str, int], {"a": "b"}, "$.a"),
    (Counter[str], Counter({"a": 1.5}), "$.a"),
    (dict[str, int], {1: 1}, "$"),
    (dict[int, int], {"1": 1}, "$"),
    (dict[Colour, int], {"red": 1}, "$"),
    (dict[str, int], [("a", 1)], "$"),
    (int | None, "a", "$"),
    (list[int] | list[str], [1, "a"], "$"),
    (Strict | Other, {"name": "a"}, "$"),
    (Literal["a", 1], True, "$"),
    (Literal["a", 1], "b", "$"),
    (Name, 5, "$"),
    (Annotated[int, "x"], "a", "$"),
    (list[Annotated[int, {"not": "hashable"}]], ["a"], "$[0]"),
    (Base, Plain(1), "$"),
    (Base, {"a": 1}, "$"),
    (Derived, Base(), "$"),
    (Base, None, "$"),
    (Base | None, Plain(1), "$"),
    (Base | Plain, Plain(1), "$"),
    (Base | Colour, Base(), "$"),
    (list[Base | Plain | str], ["a"], "$[0]"),
    (Spot | Base | None, Spot(1), "$"),
    (Plain, Plain("a"), "$.a"),  # type: ignore[arg-type]
    (list[Plain], [Plain(1, Plain(2))], "$[0].inner"),  # type: ignore[arg-type]
    (Box[int], Box("a"), "$.content"),
    (Order, Order("a"), "$.content"),  # type: ignore[arg-type]
    (None, [Order(1, ["a"])], "$[0].more[0]"),  # type: ignore[list-item]
    (Ordered[int, str], Ordered[Any, Any]({"a": [1]}, 1), "$.by_key.a[0]"),
    (Ordered[int, str], Ordered[Any, Any]({"a": ["b"]}, "c"), "$.first"),
    (Box[int], Box[Any](1, ["a"]), "$.more[0]"),
    (Pair[int, Base], Pair({"a": Base()}), "$.by_key"),
    (Spot, (1, None), "$"),
    (Spot, Spot("a"), "$[0]"),  # type: ignore[arg-type]
    (Point[str], Point(1), "$[0]"),
    (Options, {"note": "a"}, "$"),
    (Options, {"count": 1, "notes": "a"}, "$"),
    (Options, {"count": "a"}, "$.count"),
    (Strict, {}, "$"),
    (Strict, Base(), "$"),
    (Many[int], {"items": ["a"]}, "$.items[0]"),
    (Backported, {"note": "a"}, "$"),
    (Backported, {"count": "a"}, "$.count"),
    (Shape, Base(), "$"),
    (Closes, Base(), "$"),
    (Dated, Dated(5), "$.date"),  # type: ignore[arg-type]
    (Listed[int], ["a"], "$[0]"),
    (Vague, Vague(1, "a"), "$.count"),  # type: ignore[arg-type]
    (type[int], int, "$"),
    ("Base", Base(), "$"),
    (5, 5, "$"),
]


def _name(case: Any) -> str:
    return f"{case[0]} {case[1]!r}"[:70]


@pytest.mark.parametrize(("as_type", "value", "expected"), ACCEPTED, ids=map(_name, ACCEPTED))
def test_a_value_of_the_type_is_written(as_type: Any, value: Any, expected: str) -> None:
    """A value of the type is written by the rules of its own class."""
    assert encode_json(value, as_type).decode() == expected


@pytest.mark.parametrize(("as_type", "value", "path"), REFUSED, ids=map(_name, REFUSED))
def test_a_value_of_another_type_is_refused(as_type: Any, value: Any, path: str) -> None:
    """A value of another type is refused, with the path of the part that does not match."""
    with pytest.raises(PayloadError) as caught:
        encode_json(value, as_type)
    assert caught.value.message.partition(":")[0] == path


def test_a_mismatch_says_what_was_found_and_declared() -> None:
    """The message has both types and what to do."""
    with pytest.raises(PayloadError) as caught:
        encode_json([Base(), "hunter2"], list[Base | None])
    assert caught.value.message == (
        "$[1]: is of type str, where Base | None is declared; pass a value of that type, "
        "or correct the declaration"
    )


def test_a_typed_dict_says_what_is_wrong_with_its_keys() -> None:
    """A missing key is named. A key too many may be a secret, and is not named."""
    with pytest.raises(PayloadError, match=r"^\$: lacks the key 'count' of Strict; add it"):
        encode_json({"note": "a"}, Strict)
    with pytest.raises(PayloadError, match=r"^\$: has a key that Strict lacks; remove it"):
        encode_json({"count": 1, "hunter2": "a"}, Strict)


def test_the_first_member_that_can_write_a_value_does() -> None:
    """Also where another one would write it differently."""
    converter = make_converter()
    converter.register_unstructure_hook(Name, lambda name: {"name": name})
    assert encode_json(["a"], list[str] | list[Name], converter) == b'["a"]'
    assert encode_json([1], list[Name] | list[int], converter) == b"[1]"


def test_trying_a_member_of_a_union_costs_no_room() -> None:
    """A member that does not fit uses up neither depth nor length."""
    value = [[1] * 50] * 200
    encoded = encode_json(value, list[list[str] | list[int]])
    assert encode_json(value, list[list[str] | list[int]], max_bytes=len(encoded)) == encoded


def test_a_value_that_is_too_large_or_too_deep_is_refused_in_a_union() -> None:
    """The refusal names the size or the depth, not the type."""
    either: Any = list[Any] | list[list[Any]]
    with pytest.raises(PayloadError, match="max_payload_bytes"):
        encode_json([[1] * 100], list[either], max_bytes=50)
    deep: Any = [1]
    for _ in range(130):
        deep = [deep]
    with pytest.raises(PayloadError, match="nested deeper"):
        encode_json(deep, either)


@pytest.fixture
def aliases() -> dict[str, Any]:
    """Type statements: Python 3.11 cannot even read them."""
    if sys.hexversion < 0x030C0000:
        pytest.skip("the type statement is of Python 3.12")
    names: dict[str, Any] = {}
    exec("type Json = dict[str, Json] | list[Json] | int | None", names)
    exec("type Nested = list[Nested] | list[int]", names)
    return names


def test_a_recursive_type_holds_at_every_depth(aliases: dict[str, Any]) -> None:
    """A type statement may name itself."""
    assert encode_json({"a": [1, {"b": None}]}, aliases["Json"]) == b'{"a":[1,{"b":null}]}'
    with pytest.raises(PayloadError, match=r"^\$\.a\[0\]: "):
        encode_json({"a": [1.5]}, aliases["Json"])


def test_choosing_in_a_recursive_union_is_quick(aliases: dict[str, Any]) -> None:
    """Members are tried once for each value, not once for each way to it."""
    value: Any = [1]
    for _ in range(60):
        value = [value, value]
    with pytest.raises(PayloadError, match="max_payload_bytes"):
        encode_json(value, aliases["Nested"], max_bytes=100_000)
    deep: Any = [1]
    for _ in range(100):
        deep = [deep]
    assert encode_json(deep, aliases["Nested"])


def test_a_cycle_is_found_behind_a_union() -> None:
    """Trying the members of a union ends as well."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(PayloadError):
        encode_json(value, list[list[Any]] | list[dict[str, Any]])


def test_fields_of_a_class_inside_a_function_are_written_by_their_classes() -> None:
    """Annotations that cannot be resolved are ignored; no field is lost."""

    @attrs.frozen
    class Local:
        base: Base
        mine: Mine

    @attrs.frozen
    class Mine:
        at: datetime = MOMENT

    encoded = encode_json(Local(Derived(), Mine()))
    assert encoded == b'{"base":{"a":1,"b":2},"mine":{"at":"2026-01-01T00:00:00+00:00"}}'


def test_a_dataclass_loses_no_field() -> None:
    """Fields that the constructor does not take are fields."""

    @dataclass
    class Counted:
        a: int
        total: int = field(init=False, default=0)

        def __post_init__(self) -> None:
            self.total = self.a + 1

    assert encode_json(Counted(1)) == b'{"a":1,"total":2}'
