"""Converters: hooks of the user, tagged unions, key styles, ids."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, Flag, StrEnum
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    TypedDict,
    TypeVar,
    get_type_hints,
)
from uuid import UUID

import attrs
import pytest
from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn, override
from typing_extensions import TypeAliasType

from golem_client.errors import InvalidIdError, PayloadError
from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.payload import PayloadConverter, encode_json, make_converter
from golem_client.payload import converter as converter_module

SECRET = "hunter2"
T = TypeVar("T")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
PROMISE = PromiseId.parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42")


class Colour(StrEnum):
    RED = "red"


class Name(str):
    __slots__ = ()


@attrs.frozen
class Money:
    amount: Decimal
    currency: str = "EUR"


@attrs.frozen
class Coin(Money):
    metal: str = "gold"


@attrs.frozen
class Bill:
    total: Money
    at: datetime
    notes: list[str] = attrs.field(factory=list)


@dataclass
class Tree:
    name: str
    children: list[Tree]


BILL = Bill(Money(Decimal("1.10")), MOMENT, ["a"])


def _written(converter: Converter, value: Any, as_type: Any = None) -> str:
    return encode_json(value, as_type, converter).decode()


def test_a_hook_for_a_class_wins() -> None:
    """Where the class is declared, where a subclass is, and where nothing is."""
    converter = make_converter()
    converter.register_unstructure_hook(Money, lambda money: f"{money.amount} {money.currency}")
    assert _written(converter, [BILL.total]) == '["1.10 EUR"]'
    assert _written(converter, BILL).startswith('{"total":"1.10 EUR",')
    assert _written(converter, [Coin(Decimal(1))]) == '["1 EUR"]'


@pytest.mark.parametrize(
    ("cls", "hook", "value", "expected"),
    [
        (datetime, lambda at: int(at.timestamp()), {"at": MOMENT}, '{"at":1767225600}'),
        (date, lambda day: day.year, [date(2026, 1, 1)], "[2026]"),
        (str, lambda text: f"<{text}>", ["a", {"b": "c"}], '["<a>",{"<b>":"<c>"}]'),
        (int, repr, [1, True, {2: 3}], '["1",true,{"2":"3"}]'),
        (float, lambda number: round(number, 1), [1.25], "[1.2]"),
        (bytes, lambda value: value.hex(), [b"\xff"], '["ff"]'),
        (UUID, lambda value: value.hex, [UUID(int=0)], f'["{"0" * 32}"]'),
        (type(None), lambda _: "nothing", [None], '["nothing"]'),
        (bool, int, [True], "[1]"),
        (list, lambda each: {"items": [*each]}, [[1]], '{"items":[[1]]}'),
        (dict, sorted, [{"b": 1, "a": 2}], '[["a","b"]]'),
        (Enum, lambda member: member.name, [Colour.RED], '["RED"]'),
        (Colour, lambda member: member.name, {Colour.RED: Colour.RED}, '{"RED":"RED"}'),
        (date, date.isoformat, {date(2026, 1, 1): 1}, '{"2026-01-01":1}'),
        (complex, lambda each: [each.real, each.imag], [1j], "[[0.0,1.0]]"),
        (PromiseId, str, [PROMISE], f'["{PROMISE}"]'),
    ],
)
def test_a_hook_for_any_type_wins(cls: Any, hook: Any, value: Any, expected: str) -> None:
    """Plain types, the standard library's, enums, keys, ids, and types that the rules refuse."""
    converter = make_converter()
    converter.register_unstructure_hook(cls, hook)
    assert _written(converter, value) == expected


def test_a_hook_for_dates_is_not_used_for_datetimes() -> None:
    """A datetime is a date, and would lose its time."""
    converter = make_converter()
    converter.register_unstructure_hook(date, lambda day: day.strftime("%d.%m.%Y"))
    assert _written(converter, [MOMENT]) == '["2026-01-01T00:00:00+00:00"]'


def test_a_hook_for_a_declaration_wins() -> None:
    """NewType, Annotated, unions and generics are looked up as they are declared."""
    millis = NewType("millis", datetime)
    marked = Annotated[int, "hex"]
    converter = make_converter()
    converter.register_unstructure_hook(millis, lambda at: int(at.timestamp() * 1000))
    converter.register_unstructure_hook(int | None, lambda value: value or 0)
    converter.register_unstructure_hook_func(lambda t: t == marked, hex)
    converter.register_unstructure_hook_func(lambda t: t == list[float], sum)
    assert _written(converter, [MOMENT], list[millis]) == "[1767225600000]"
    assert _written(converter, [None, 5], list[int | None]) == "[0,5]"
    assert _written(converter, [255], list[marked]) == '["0xff"]'
    assert _written(converter, {"a": [1.5, 2.5]}, dict[str, list[float]]) == '{"a":4.0}'


def test_a_hook_for_a_named_union_wins_inside_another() -> None:
    """Also where the converter was in use before the hook was registered."""
    named = Annotated[int | str, "named"]
    as_type: Any = list[named | None]
    converter = make_converter()
    assert _written(converter, [1, "a", None], as_type) == '[1,"a",null]'
    converter.register_unstructure_hook_func(lambda t: t == named, lambda each: {"named": each})
    assert _written(converter, [1, "a", None], as_type) == '[{"named":1},{"named":"a"},null]'


def test_a_hook_gets_only_what_it_is_declared_for() -> None:
    """A value of another type is refused before the hook sees it."""
    converter = make_converter()
    converter.register_unstructure_hook(Money, lambda _: "any")
    with pytest.raises(PayloadError, match=r"^\$\.total: is of type str, where Money is declared"):
        encode_json(Bill("5", MOMENT), converter=converter)  # type: ignore[arg-type]


def test_what_a_hook_returns_is_not_converted_twice() -> None:
    """Plain values in it are final; all others are written by the rules and other hooks."""
    converter = make_converter()
    converter.register_unstructure_hook(str, lambda text: f"<{text}>")
    converter.register_unstructure_hook(Money, lambda m: {"eur": ["a", m.amount, {Name("k"): m}]})
    converter.register_unstructure_hook(Coin, lambda coin: coin.metal)
    with pytest.raises(PayloadError):
        encode_json(Money(Decimal(1)), converter=converter)  # it returns itself, for ever
    converter.register_unstructure_hook(Money, lambda m: {"eur": ("a", [m.amount], Coin(m.amount))})
    expected = '[{"eur":["a",["1.0"],"gold"]},"<b>"]'
    assert _written(converter, [Money(Decimal("1.0")), "b"]) == expected


def test_a_hook_that_changes_nothing_leaves_the_rule() -> None:
    """What it returns untouched is written as if there were no hook."""
    converter = make_converter()
    for cls in (datetime, Money, Colour, Name):
        converter.register_unstructure_hook(cls, lambda value: value)
    value = {"a": [MOMENT, Money(Decimal(1)), Colour.RED, Name("n")]}
    assert _written(converter, value) == encode_json(value).decode()


def test_a_hook_for_a_union_may_change_nothing() -> None:
    """The rule of the union writes what the hook leaves as it is."""
    converter = make_converter()
    converter.register_unstructure_hook(int | str, lambda value: value)
    assert _written(converter, [1, "a"], list[int | str]) == '[1,"a"]'


def test_a_hook_for_a_kind_of_container_wins_where_the_kind_is_not_declared() -> None:
    """A hook for a subclass is used also where its base class is declared."""

    class Stack(list[int]): ...

    class Spot(NamedTuple):
        x: int

    class Table(dict[str, int]): ...

    converter = make_converter()
    for cls in (Stack, Spot, Table):
        converter.register_unstructure_hook(cls, lambda value: f"{len(value)}")
    assert _written(converter, [Stack([1]), [2]], list[list[int]]) == '["1",[2]]'
    assert _written(converter, [Spot(1), (2,)], list[tuple[int]]) == '["1",[2]]'
    assert _written(converter, [Table(a=1), {"b": 2}], list[dict[str, int]]) == '["1",{"b":2}]'


def test_hooks_that_return_each_other_are_refused() -> None:
    """The recursion ends as a PayloadError."""
    converter = make_converter()
    converter.register_unstructure_hook(Money, lambda money: Name(money.currency))
    converter.register_unstructure_hook(Name, lambda name: Money(Decimal(1), name))
    with pytest.raises(PayloadError, match=r"^\$\[0\]: could not be read: RecursionError"):
        encode_json([Name("a")], converter=converter)


def test_what_a_hook_returns_is_checked() -> None:
    """The path goes on inside what it returns."""
    converter = make_converter()
    converter.register_unstructure_hook(Money, lambda _: {"amount": [float("nan")]})
    with pytest.raises(PayloadError, match=r"^\$\.total\.amount\[0\]: is not a finite number"):
        encode_json(BILL, converter=converter)


def test_a_hook_may_wrap_the_rule() -> None:
    """The rule that a converter had before is a hook like any other."""
    converter = make_converter()
    rule = converter.get_unstructure_hook(Money)
    converter.register_unstructure_hook(Money, lambda money: {**rule(money), "version": 2})
    expected = '{"amount":"1.10","currency":"EUR","version":2}'
    assert _written(converter, Money(Decimal("1.10"))) == expected
    coin = '{"amount":"1","currency":"EUR","metal":"gold","version":2}'
    assert _written(converter, [Coin(Decimal(1))]) == f"[{coin}]"


def test_cattrs_own_hooks_are_the_users() -> None:
    """make_dict_unstructure_fn renames and omits, and our rules serve its fields."""
    converter = make_converter()
    converter.register_unstructure_hook(
        Bill, make_dict_unstructure_fn(Bill, converter, at=override(rename="type"))
    )
    expected = (
        '{"total":{"amount":"1.10","currency":"EUR"},'
        '"type":"2026-01-01T00:00:00+00:00","notes":["a"]}'
    )
    assert _written(converter, BILL) == expected


def test_a_refusal_inside_a_hook_has_both_of_its_paths() -> None:
    """Only the hook knows what is between them."""
    converter = make_converter()
    converter.register_unstructure_hook(
        Bill, make_dict_unstructure_fn(Bill, converter, at=override(rename="type"))
    )
    bill = Bill(Money(Decimal("NaN")), MOMENT)
    expected = r"^\$\.bills\[0\]: in what a hook wrote, \$\.amount: is not a finite number"
    with pytest.raises(PayloadError, match=expected):
        encode_json({"bills": [bill]}, converter=converter)


def test_overrides_of_cattrs_are_written_by_its_own_function() -> None:
    """Without a hook they are refused, not ignored."""

    @attrs.frozen
    class Renamed:
        type_: Annotated[str, override(rename="kind")]
        count: Annotated[int, override(omit_if_default=True)] = 0

    converter = make_converter()
    with pytest.raises(PayloadError, match=r"override in its field 'type_'; .* make_dict_unstruct"):
        encode_json(Renamed("a"), converter=converter)
    # cattrs reads them from the annotations only since 25.2.
    kind, count = override(rename="kind"), override(omit_if_default=True)
    hook = make_dict_unstructure_fn(Renamed, converter, type_=kind, count=count)
    converter.register_unstructure_hook(Renamed, hook)
    assert _written(converter, Renamed("a")) == '{"kind":"a"}'


class BoomError(Exception):
    """What a hook raises."""


def _boom(value: object) -> Any:
    error = BoomError(SECRET, value)
    error.add_note(SECRET)
    raise error


@pytest.mark.parametrize("declared", [None, Bill], ids=["undeclared", "declared"])
def test_a_hook_that_raises_is_a_refusal(declared: Any) -> None:
    """The error names the place and the exception's class, never its text."""
    converter = make_converter()
    converter.register_unstructure_hook(Money, _boom)
    with pytest.raises(PayloadError) as caught:
        encode_json(BILL, declared, converter)
    error = caught.value
    assert error.message == (
        "$.total: could not be read: BoomError was raised by a hook, a property or a field that is "
        "not set"
    )
    assert (error.__cause__, error.__context__) == (None, None)
    assert not hasattr(error, "__notes__")


def test_a_factory_that_raises_is_a_refusal() -> None:
    """A factory makes hooks; its error is translated as a hook's is."""
    converter = make_converter()
    converter.register_unstructure_hook_factory(lambda t: t is Money, _boom)
    with pytest.raises(PayloadError, match=r"^\$\.total: could not be read: BoomError"):
        encode_json(BILL, converter=converter)


def test_hooks_that_recurse_for_ever_are_refused() -> None:
    """A cycle through cattrs' own hooks ends as a PayloadError as well."""
    converter = make_converter()
    converter.register_unstructure_hook(Tree, make_dict_unstructure_fn(Tree, converter))
    tree = Tree(SECRET, [])
    tree.children.append(tree)
    with pytest.raises(PayloadError, match=r"^\$.*RecursionError"):
        encode_json(tree, converter=converter)


def test_a_copy_has_the_hooks_and_the_rules() -> None:
    """cattrs' copy() keeps the hooks and the options of make_converter()."""
    converter = make_converter(externally_tagged=[Decision], key_style="camelCase")
    converter.register_unstructure_hook(Money, lambda money: str(money.amount))
    copied = converter.copy()
    copied.register_unstructure_hook(datetime, lambda at: at.year)
    value = [Rejected("no"), Money(Decimal(1)), MOMENT, {"snake_case": 1}]
    assert _written(copied, value) == '[{"Rejected":{"reason":"no"}},"1",2026,{"snake_case":1}]'
    assert '"2026-01-01T00:00:00+00:00"' in _written(converter, value)


@pytest.mark.parametrize("id_", [PROMISE, PROMISE.worker_id, PROMISE.worker_id.component_id])
def test_ids_go_both_ways(id_: ComponentId | WorkerId | PromiseId) -> None:
    """An id is written as its REST JSON and read by its own parser."""
    converter = make_converter()
    assert converter.unstructure(id_) == id_.to_json()
    assert converter.structure(id_.to_json(), type(id_)) == id_
    assert converter.structure(str(id_), type(id_)) == id_
    with pytest.raises(InvalidIdError):
        converter.structure("not an id", type(id_))


@attrs.frozen
class Request:
    promise_id: PromiseId
    workers: list[WorkerId]


def test_ids_in_classes_go_both_ways() -> None:
    """As fields of the user's own classes."""
    converter = make_converter()
    request = Request(PROMISE, [PROMISE.worker_id])
    assert converter.structure(converter.unstructure(request), Request) == request


@attrs.frozen
class Approved:
    pass


@attrs.frozen
class Rejected:
    reason: str


@attrs.frozen
class Late(Rejected):
    by: int = 0


@attrs.frozen
class Moved:
    x: int
    y: int


class Shift(NamedTuple):
    x: int


@attrs.define(eq=False)
class Branch:
    left: Any
    right: Any


class Typed(TypedDict):
    a: int


@attrs.frozen
class Pair(Generic[T]):
    both: tuple[T, T]


Decision = Approved | Rejected
Either = Approved | Moved
Named = TypeAliasType("Named", Decision)
No = NewType("No", Rejected)
Renamed = Annotated[Approved, "x"] | No
OtherNo = TypeAliasType("OtherNo", Rejected)
Aliased = Approved | OtherNo


@pytest.mark.parametrize(
    ("value", "as_type", "expected"),
    [
        (Rejected("a"), Decision, '{"Rejected":{"reason":"a"}}'),
        (Rejected("a"), None, '{"Rejected":{"reason":"a"}}'),
        (Rejected("a"), Any, '{"Rejected":{"reason":"a"}}'),
        (Rejected("a"), Decision | None, '{"Rejected":{"reason":"a"}}'),
        (Rejected("a"), Decision | str, '{"Rejected":{"reason":"a"}}'),
        (Rejected("a"), Annotated[Decision, "x"], '{"Rejected":{"reason":"a"}}'),
        (Rejected("a"), Named, '{"Rejected":{"reason":"a"}}'),
        (Rejected("a"), Renamed, '{"Rejected":{"reason":"a"}}'),
        (Rejected("a"), Aliased, '{"Rejected":{"reason":"a"}}'),
        (Rejected("a"), Rejected, '{"reason":"a"}'),
        (Rejected("a"), Rejected | str, '{"reason":"a"}'),
        ("a", Decision | str, '"a"'),
        ([Approved()], list[Decision], '["Approved"]'),
        ({"a": Approved()}, dict[str, Decision], '{"a":"Approved"}'),
        ({"a": (Approved(),)}, None, '{"a":["Approved"]}'),
    ],
)
def test_where_a_union_is_tagged(value: Any, as_type: Any, expected: str) -> None:
    """Declared as the union, alone or in a wider one, or not at all; not as one of its classes."""
    converter = make_converter(externally_tagged=[Decision])
    assert _written(converter, value, as_type) == expected


@pytest.mark.parametrize(
    "tagged",
    [Decision, [Decision], (Named,), Named, {Decision: {}}, Annotated[Decision, "x"], Renamed],
    ids=["union", "list", "tuple of an alias", "alias", "mapping", "annotated", "renamed"],
)
def test_a_union_is_tagged_however_it_is_given(tagged: Any) -> None:
    """The union itself, several, or a mapping that can name variants."""
    converter = make_converter(externally_tagged=tagged)
    assert _written(converter, [Rejected("a"), Approved()]) == (
        '[{"Rejected":{"reason":"a"}},"Approved"]'
    )


def test_a_class_is_a_union_of_one() -> None:
    """Also an enum, which is iterable."""
    assert _written(make_converter(externally_tagged=Rejected), Rejected("a")) == (
        '{"Rejected":{"reason":"a"}}'
    )
    converter = make_converter(externally_tagged=Colour)
    assert _written(converter, Colour.RED) == '"red"'


ADVICE = (
    ": is declared as Approved | Rejected, and a Rust enum by default expects the variant's name "
    "around its content: use make_converter(externally_tagged=[that union]). If the Rust enum is "
    "#[serde(untagged)], or its tag is a field, say so on a converter from make_converter(): "
    "converter.register_unstructure_hook(that union, converter.unstructure)."
)


@attrs.frozen
class Answer:
    decision: Decision | None


@pytest.mark.parametrize(
    ("value", "as_type", "path"),
    [
        (Rejected("a"), Decision, "$"),
        ([Approved()], list[Decision], "$[0]"),
        (Answer(Approved()), None, "$.decision"),
        (Approved(), Named, "$"),
        ("neither", Decision, "$"),
    ],
)
def test_a_declared_union_of_classes_must_be_tagged(value: Any, as_type: Any, path: str) -> None:
    """A Rust enum cannot read a value without a tag; the message names both ways out."""
    with pytest.raises(PayloadError) as caught:
        encode_json(value, as_type)
    assert str(caught.value) == path + ADVICE


def test_a_hook_by_a_predicate_is_for_scalars_too() -> None:
    """The last one wins, but for one that is registered for the class itself."""
    converter = make_converter()
    converter.register_unstructure_hook(float, lambda _: "a float")
    converter.register_unstructure_hook_func(lambda t: t is Decimal, lambda _: "first")
    converter.register_unstructure_hook_func(lambda t: t in (Decimal, float), float)

    @converter.register_unstructure_hook_factory(lambda t: issubclass(t, datetime))
    def seconds(_: Any, own: Any) -> Any:
        return lambda each: [own.unstructure(each.date()), each.hour]

    converter.register_unstructure_hook_factory(lambda t: t.no_such_name, lambda _: str)
    value = {"a": Decimal("1.5"), "b": [datetime(2026, 1, 1, 9)], "c": 1.5, "d": date(2026, 1, 1)}  # noqa: DTZ001
    expected = '{"a":1.5,"b":[["2026-01-01",9]],"c":"a float","d":"2026-01-01"}'
    assert _written(converter, value) == _written(converter.copy(), value) == expected
    assert _written(converter, [Decimal("1.5")], list[Decimal]) == "[1.5]"


@pytest.mark.parametrize("union", [Renamed, Aliased])
def test_classes_by_other_names_must_be_tagged_too(union: Any) -> None:
    """They are the same classes, and their Rust enum is the same."""
    for value, as_type in [(Rejected("a"), union), ([Approved()], list[union | None])]:
        with pytest.raises(PayloadError, match="use make_converter\\(externally_tagged="):
            encode_json(value, as_type)


def test_a_hook_for_another_name_of_a_class_counts() -> None:
    """As one for the class itself does."""
    for named in (No, Rejected):
        converter = make_converter()
        converter.register_unstructure_hook(named, lambda each: {"no": each.reason})
        assert _written(converter, Rejected("a"), Renamed) == '{"no":"a"}'


def test_the_advice_for_an_untagged_enum_works() -> None:
    """Each value is then written as its own class, and must still be of the union."""
    converter = make_converter()
    converter.register_unstructure_hook(Decision, converter.unstructure)
    assert _written(converter, [Rejected("a"), Approved()], list[Decision]) == '[{"reason":"a"},{}]'
    assert _written(converter, Answer(Rejected("a"))) == '{"decision":{"reason":"a"}}'
    assert _written(converter, Answer(None)) == '{"decision":null}'
    with pytest.raises(PayloadError, match=r"^\$\.decision: is of type Moved, where"):
        encode_json(Answer(Moved(1, 2)), converter=converter)  # type: ignore[arg-type]


def test_classes_with_hooks_of_their_own_need_no_tag() -> None:
    """The user's hooks write the tag, for example as a field."""
    converter = make_converter()
    for cls in (Approved, Rejected):
        converter.register_unstructure_hook(cls, lambda each: {"type": type(each).__name__})
    assert _written(converter, Approved(), Decision) == '{"type":"Approved"}'


def test_a_class_beside_a_tagged_union_must_be_tagged_too() -> None:
    """The wider union is not the tagged one."""
    converter = make_converter(externally_tagged=Decision)
    with pytest.raises(PayloadError, match="externally_tagged"):
        encode_json(Moved(1, 2), Decision | Moved, converter)


def test_a_hook_registered_after_use_is_used() -> None:
    """Whichever way of cattrs registers it."""
    converter = make_converter(externally_tagged=Decision)
    value = [Rejected("a"), Money(Decimal(1)), MOMENT, Moved(1, 2)]
    before = '[{"Rejected":{"reason":"a"}},{"amount":"1","currency":"EUR"},'
    assert _written(converter, value).startswith(before)

    @converter.register_unstructure_hook
    def _money(money: Money) -> str:
        return money.currency

    converter.register_unstructure_hook_func(lambda t: t is Rejected, lambda each: each.reason)

    @converter.register_unstructure_hook_factory(lambda t: t is Moved)
    def _moved(_: Any) -> Any:
        return lambda moved: moved.x

    assert _written(converter, value) == '[{"Rejected":"a"},"EUR","2026-01-01T00:00:00+00:00",1]'


def test_unions_may_come_from_an_iterator() -> None:
    """They are read once, and kept for later hooks and copies."""
    unions: Any = iter([Decision])
    converter = make_converter(externally_tagged=unions)
    converter.register_unstructure_hook(Money, lambda money: money.currency)
    assert _written(converter.copy(), [Approved(), Money(Decimal(1))]) == '["Approved","EUR"]'


def test_a_hook_serves_a_class_that_the_rules_refuse() -> None:
    """And its subclasses, where it is declared."""

    @attrs.define(eq=False)
    class Labelled(str):  # noqa: SLOT000 - attrs gives it slots
        extra: str = "x"

    class Longer(Labelled): ...

    converter = make_converter()
    converter.register_unstructure_hook(Labelled, lambda each: each.extra)
    assert _written(converter, [Labelled(), Longer()], list[Labelled]) == '["x","x"]'


def test_a_variant_that_a_hook_returns_is_tagged() -> None:
    """Its own hook writes the content, as everywhere."""
    converter = make_converter(externally_tagged=Decision)
    converter.register_unstructure_hook(Rejected, lambda rejected: rejected.reason)
    converter.register_unstructure_hook(Money, lambda money: Rejected(money.currency))
    assert _written(converter, [Money(Decimal(1))]) == '[{"Rejected":"EUR"}]'


def test_the_value_of_an_enum_is_final() -> None:
    """A hook for every text does not change the value of an enum."""

    class Status(Enum):
        DONE = "done"

    converter = make_converter()
    converter.register_unstructure_hook(str, lambda text: f"<{text}>")
    assert _written(converter, ["a", Status.DONE]) == '["<a>","done"]'


def test_threads_may_share_a_converter() -> None:
    """Also at first use, when the rules of a class that names itself are made."""
    tree = Tree("a", [Tree("b", []), Tree("c", [Tree("d", [])])])
    expected = encode_json(tree)
    for _ in range(20):
        converter = make_converter()
        with ThreadPoolExecutor(4) as pool:
            encoded = pool.map(lambda _, c=converter: encode_json(tree, converter=c), range(8))
            assert set(encoded) == {expected}


def test_a_cycle_of_variants_is_refused() -> None:
    """It is refused with its path; many references to few variants are refused as quickly."""
    converter = make_converter(externally_tagged=Branch | Approved)
    value = Branch(SECRET, None)
    value.right = [value]
    path = r"^\$\.Branch\.right\[0\]\.Branch\.right\[0\]\.Branch\.right….*or contains itself"
    with pytest.raises(PayloadError, match=path):
        encode_json(value, converter=converter)
    bomb = Branch("a" * 40, None)
    for _ in range(60):
        bomb = Branch(bomb, bomb)
    with pytest.raises(PayloadError, match="max_payload_bytes"):
        encode_json(bomb, converter=converter, max_bytes=100_000)


def test_an_alias_can_be_tagged() -> None:
    """The union may have a name of its own."""
    converter = make_converter(externally_tagged=[Named])
    assert _written(converter, Approved(), Decision) == '"Approved"'


def test_a_single_class_can_be_tagged() -> None:
    """A Rust enum of one variant, or a Python enum by itself."""
    converter = make_converter(externally_tagged=[Rejected, Colour])
    assert _written(converter, [Rejected("a"), Colour.RED]) == '[{"Rejected":{"reason":"a"}},"red"]'
    assert _written(converter, Rejected("a"), Rejected) == '{"Rejected":{"reason":"a"}}'
    assert _written(converter, [Rejected("a")], list[Rejected]) == '[{"Rejected":{"reason":"a"}}]'


def test_a_subclass_of_a_variant_is_not_a_variant() -> None:
    """Rust has no name for it: as the union it is refused, by itself it is written untagged."""
    converter = make_converter(externally_tagged=[Decision])
    assert _written(converter, Late("a")) == '{"reason":"a","by":0}'
    declarations: list[Any] = [Decision, Decision | None]
    for declared in declarations:
        with pytest.raises(PayloadError, match=r"^\$: is of type Late, where Approved | Rejected"):
            encode_json(Late("a"), declared, converter)


def test_a_variant_of_two_unions_needs_as_type() -> None:
    """Only if they name it differently."""
    converter = make_converter(externally_tagged={Decision: {Approved: "Yes"}, Either: {}})
    assert _written(converter, Approved(), Decision) == '"Yes"'
    assert _written(converter, Approved(), Either) == '"Approved"'
    with pytest.raises(PayloadError, match=r"several tagged unions .* as_type="):
        encode_json([Approved()], converter=converter)
    alike = make_converter(externally_tagged=[Decision, Either])
    assert _written(alike, [Approved()]) == '["Approved"]'


def test_the_exact_class_wins_in_a_union() -> None:
    """The hook for its base class is not used."""
    converter = make_converter()
    converter.register_unstructure_hook(Money, lambda money: f"{money.amount}")
    converter.register_unstructure_hook(Coin, lambda coin: coin.metal)
    assert _written(converter, [Coin(Decimal(1))], list[Money | Coin]) == '["gold"]'


def test_a_key_style_leaves_tags_alone() -> None:
    """Key styles are for fields; names of variants stay."""
    union = Moved | Approved
    converter = make_converter(externally_tagged={union: {}}, key_style="SCREAMING_SNAKE_CASE")
    assert _written(converter, Moved(1, 2)) == '{"Moved":{"X":1,"Y":2}}'


def test_a_users_hook_writes_the_content() -> None:
    """The tag is the union's, the content the hook's."""
    converter = make_converter(externally_tagged=[Decision])
    converter.register_unstructure_hook(Rejected, lambda rejected: rejected.reason)
    assert _written(converter, [Rejected("a")], list[Decision]) == '[{"Rejected":"a"}]'


def test_a_users_hook_for_the_union_wins() -> None:
    """It replaces the tag, too."""
    converter = make_converter(externally_tagged=[Decision])
    converter.register_unstructure_hook(Decision, lambda value: {"t": type(value).__name__})
    assert _written(converter, Rejected("a"), Decision) == '{"t":"Rejected"}'


def test_variants_are_checked_inside() -> None:
    """The path has the tag in it."""
    converter = make_converter(externally_tagged=Approved | Rejected | Shift)
    with pytest.raises(
        PayloadError, match=r"^\$\[0\]\.Rejected\.reason: is of type int, where str"
    ):
        encode_json([Rejected(5)], converter=converter)  # type: ignore[arg-type]
    with pytest.raises(PayloadError, match=r"^\$\[0\]\.Shift: is of type str, where int"):
        encode_json([Shift("a")], converter=converter)  # type: ignore[arg-type]


class Permission(Flag):
    READ = 1
    WRITE = 2


@pytest.mark.parametrize(
    ("tagged", "error", "words"),
    [
        ([str], TypeError, "str cannot be a variant; declare an attrs class, a dataclass, a Named"),
        ([Approved | str], TypeError, "str cannot be"),
        ({Decision: {Moved: "M"}}, ValueError, "has no variant"),
        ({Decision: {Approved: "Rejected"}}, ValueError, "several variants named"),
        ({Decision: {Approved: ""}}, ValueError, "name of the variant Approved must be text"),
        ({Decision: {Approved: 5}}, ValueError, "name of the variant Approved must be text"),
        ([Approved | Permission], TypeError, "Permission cannot be a variant"),
        (
            {Pair[int] | Pair[str]: {Pair[int]: "A", Pair[str]: "B"}},
            TypeError,
            "several variants of one class",
        ),
        ([Approved | Typed], TypeError, "cannot be a variant"),
        ([Approved | Literal["a"]], TypeError, "cannot be"),
        ([Any], TypeError, "cannot be"),
        ([5], TypeError, "cannot be"),
    ],
    ids=lambda case: str(case)[:40],
)
def test_unions_that_cannot_be_tagged(tagged: Any, error: type[Exception], words: str) -> None:
    """Refused when the converter is made."""
    with pytest.raises(error, match=words):
        make_converter(externally_tagged=tagged)


def test_a_variant_that_cannot_be_written_is_refused() -> None:
    """It is refused when it is used, for its own reason."""

    class Forgotten(Rejected):
        more: int = 0

    converter = make_converter(externally_tagged=[Approved | Forgotten])
    with pytest.raises(PayloadError, match="'more' is not a field"):
        encode_json(Forgotten("a"), converter=converter)


def test_the_types_of_the_converters_methods_resolve() -> None:
    """Those that replace cattrs' own too, which have its documentation."""
    methods = [each for each in vars(PayloadConverter).values() if inspect.isfunction(each)]
    assert all(get_type_hints(method) is not None for method in methods)
    assert "decorator" in str(PayloadConverter.register_unstructure_hook.__doc__)


def test_the_examples_of_make_converter() -> None:
    """They are run as doctests."""
    results = doctest.testmod(converter_module)
    assert (results.failed, results.attempted > 0) == (0, True)


def test_an_unknown_key_style_is_an_error() -> None:
    """It is not ignored."""
    with pytest.raises(ValueError, match="key_style='camel' is not one of camelCase"):
        make_converter(key_style="camel")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("style", "keys"),
    [
        (None, ["first_name", "_hidden", "a1_b", "URL", "x__y", "größe"]),
        ("camelCase", ["firstName", "hidden", "a1B", "uRL", "xY", "größe"]),
        ("PascalCase", ["FirstName", "Hidden", "A1B", "URL", "XY", "Größe"]),
        ("kebab-case", ["first-name", "-hidden", "a1-b", "URL", "x--y", "größe"]),
        ("SCREAMING_SNAKE_CASE", ["FIRST_NAME", "_HIDDEN", "A1_B", "URL", "X__Y", "GRößE"]),
        ("SCREAMING-KEBAB-CASE", ["FIRST-NAME", "-HIDDEN", "A1-B", "URL", "X--Y", "GRößE"]),
    ],
)
def test_key_styles_are_serdes(style: Any, keys: list[str]) -> None:
    """As `rename_all` writes fields: it changes the case of ASCII letters alone."""
    names = ["first_name", "_hidden", "a1_b", "URL", "x__y", "größe"]
    cls = attrs.make_class("Styled", {name: attrs.field(default=0) for name in names})
    tree: Mapping[str, int] = make_converter(key_style=style).unstructure(cls())
    assert list(tree) == keys


def test_two_fields_with_one_key_are_refused() -> None:
    """Of two fields with one key, one would be lost."""
    cls = attrs.make_class("Styled", {"a_b": attrs.field(default=1), "aB": attrs.field(default=2)})
    with pytest.raises(PayloadError, match=r"^\$\.aB: is the text of two keys"):
        encode_json(cls(), converter=make_converter(key_style="camelCase"))


def test_a_style_leaves_dictionaries_alone() -> None:
    """TypedDicts too: their keys are spelled in the program."""
    converter = make_converter(key_style="PascalCase")
    value = {"snake_case": [Shift(1), {"other_key": Moved(1, 2)}]}
    assert _written(converter, value) == '{"snake_case":[[1],{"other_key":{"X":1,"Y":2}}]}'
    assert _written(converter, {"a": 1}, Typed) == '{"a":1}'
