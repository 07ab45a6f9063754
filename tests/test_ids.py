"""The ids as values, and what text and objects they refuse; `test_id_spellings` has the forms."""

from __future__ import annotations

import copy
import enum
import inspect
import json
import pickle
import typing
from collections import OrderedDict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import pytest

import golem_client
from golem_client.errors import InvalidIdError
from golem_client.ids import AgentId, AnyPromiseId, ComponentId, PromiseId, WorkerId

if TYPE_CHECKING:
    from collections.abc import Callable

UUID_TEXT = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
COMPONENT = ComponentId(UUID(UUID_TEXT))
WORKER = WorkerId(COMPONENT, "w1")
PROMISE = PromiseId(WORKER, 42)
IDS: list[Any] = [COMPONENT, WORKER, PROMISE]
REST: dict[str, Any] = {"workerId": {"componentId": UUID_TEXT, "workerName": "w1"}, "oplogIdx": 42}


def refusal(function: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(InvalidIdError) as caught:
        function(*arguments)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value.message


def test_the_canonical_text_of_each_id() -> None:
    """`str()` is the form that Golem's server prints."""
    expected = [UUID_TEXT, f"{UUID_TEXT}/w1", f"{UUID_TEXT}/w1/42"]
    assert expected == [str(an_id) for an_id in IDS]


def test_the_json_of_each_id_is_that_of_golems_rest_api() -> None:
    """`to_json()` is camel case."""
    expected = [UUID_TEXT, {"componentId": UUID_TEXT, "workerName": "w1"}, REST]
    assert expected == [an_id.to_json() for an_id in IDS]


def test_the_urn_of_a_worker_has_its_name_as_it_is() -> None:
    """Golem 1.2 and later encode nothing in a URN."""
    worker = WorkerId(COMPONENT, 'MyAgent("a/b c%")')
    assert f'urn:worker:{UUID_TEXT}/MyAgent("a/b c%")' == worker.urn
    assert worker == WorkerId.parse(worker.urn)


def test_an_agent_id_is_a_worker_id() -> None:
    """Golem 1.3 changed the word, not the thing."""
    assert AgentId is WorkerId


@pytest.mark.parametrize("an_id", IDS, ids=lambda an_id: type(an_id).__name__)
class TestEveryId:
    def test_reads_its_own_text_and_json(self, an_id: Any) -> None:
        """As a value, as JSON text, and as the bytes of either."""
        text = json.dumps(an_id.to_json())
        for value in (str(an_id), str(an_id).encode(), an_id.to_json(), text, text.encode()):
            assert an_id == type(an_id).parse(value)

    def test_parses_to_itself(self, an_id: Any) -> None:
        """An id that is one already is not made again."""
        assert an_id is type(an_id).parse(an_id)

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickles(self, an_id: Any, protocol: Any) -> None:
        """Every protocol keeps the value."""
        assert an_id == pickle.loads(pickle.dumps(an_id, protocol))

    def test_copies(self, an_id: Any) -> None:
        """Both copies are equal, with the same hash."""
        for twin in (copy.copy(an_id), copy.deepcopy(an_id)):
            assert (an_id, hash(an_id)) == (twin, hash(twin))

    def test_cannot_be_changed(self, an_id: Any) -> None:
        """Neither a field nor a new attribute can be set."""
        for name in (attrs.fields(type(an_id))[0].name, "other"):
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(an_id, name, None)
        assert not hasattr(an_id, "__dict__")

    def test_is_no_other_kind_of_id(self, an_id: Any) -> None:
        """Not even where the one holds the other."""
        others: set[Any] = {ComponentId, WorkerId, PromiseId} - {type(an_id)}
        for other in others:
            assert type(an_id).__name__ in refusal(other.parse, an_id)


def test_ids_are_ordered_by_component_then_name_then_index() -> None:
    """So that sorted ids stand together by worker."""
    other = WorkerId(ComponentId(UUID(int=1)), "z")
    ordered = [PromiseId(other, 7), PromiseId(WORKER, 9), PromiseId(WORKER, 10)]
    ordered.append(PromiseId(WorkerId(COMPONENT, "w2"), 0))
    shuffled = [ordered[place] for place in (2, 0, 3, 1)]
    assert ordered == sorted(shuffled)
    assert other.component_id < WORKER.component_id


@pytest.mark.parametrize(
    ("text", "high_bits", "low_bits"),
    [
        (UUID_TEXT, 17878533706586264016, 12062047867550723062),
        (UUID_TEXT, -568210367123287600, -6384696206158828554),
        ("679ae459-8700-41d9-920c-7e2887459c94", 7465530405488181721, 10523925141791284372),
        ("00000000-0000-0000-ffff-ffffffffffff", 0, -1),
        ("80000000-0000-0000-8000-000000000000", -(2**63), 2**63),
    ],
)
def test_a_component_is_made_of_its_halves(text: Any, high_bits: Any, low_bits: Any) -> None:
    """Signed halves are taken; the properties are unsigned."""
    component = ComponentId.from_bits(high_bits, low_bits)
    assert text == str(component)
    assert (high_bits % 2**64, low_bits % 2**64) == (component.high_bits, component.low_bits)


@pytest.mark.parametrize("half", [2**64, -(2**63) - 1, True, 1.0, "1", None])
def test_a_half_is_an_int_of_64_bits(half: Any) -> None:
    """Either half is checked, and named."""
    assert "high_bits must be" in refusal(ComponentId.from_bits, half, 1)
    assert "low_bits must be" in refusal(ComponentId.from_bits, 1, half)


class DriverUUID(UUID):
    """As asyncpg has one."""


def test_a_component_converts_from_and_to_a_uuid() -> None:
    """Also from a database driver's own subclass, of which only the value is kept."""
    for uuid in (UUID(UUID_TEXT), DriverUUID(UUID_TEXT)):
        for component in (ComponentId(uuid), ComponentId.parse(uuid)):
            assert (component, type(component.uuid)) == (COMPONENT, UUID)


class Name(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    W1 = "w1"


class Index(enum.IntEnum):
    THE_ONE = 42


class Bits(enum.IntEnum):
    ONE = 1


def test_subclasses_of_str_and_int_are_made_plain() -> None:
    """An enum's member is its value, and pickles without the enum."""
    promise = PromiseId(WorkerId(COMPONENT, Name.W1), Index.THE_ONE)
    assert (PROMISE, str, int) == (
        promise,
        type(promise.worker_id.worker_name),
        type(promise.oplog_idx),
    )


@pytest.mark.parametrize(
    "name",
    [
        "w",
        "a/b",
        "a:b",
        "...",
        " ",
        "-w",
        "é" * 256,
        "x" * 512,
        "\u2028",
        "\U0010ffff",
        "42",
        'A("x")',
    ],
    ids=ascii,
)
def test_any_name_that_some_golem_takes_is_valid(name: Any) -> None:
    """Each version has rules of its own, and says so itself."""
    promise = PromiseId(WorkerId(COMPONENT, name), 0)
    assert promise == PromiseId.parse(str(promise)) == PromiseId.parse(promise.to_json())


BAD_NAMES = [
    ("", "is empty"),
    (".", "no URL can carry"),
    ("..", "no URL can carry"),
    ("x" * 513, "513 characters"),
    ("é" * 257, "514 bytes"),
    *((f"a{chr(code)}", f"U+{code:04X}, at position 1") for code in (0, 9, 10, 31, 127, 128, 159)),
    ("a\ud800", "lone surrogate, U+D800"),
    ("a\udfff", "lone surrogate, U+DFFF"),
]


@pytest.mark.parametrize(("name", "fragment"), BAD_NAMES, ids=lambda value: ascii(value)[:20])
def test_names_that_no_golem_takes_or_no_url_carries_are_refused(name: Any, fragment: Any) -> None:
    """By the constructor as by every way to parse."""
    assert fragment in refusal(WorkerId, COMPONENT, name)
    assert fragment in refusal(WorkerId.parse, f"{UUID_TEXT}/{name}")
    assert fragment in refusal(PromiseId.parse, f"{UUID_TEXT}/{name}/42")
    assert fragment in refusal(
        PromiseId.parse, {**REST, "workerId": {"componentId": UUID_TEXT, "workerName": name}}
    )


@pytest.mark.parametrize("value", [None, 1, b"w1", [], object()], ids=type)
def test_the_constructors_refuse_other_types(value: Any) -> None:
    """With the class's own error, so that one `except` is enough."""
    assert "must be a uuid.UUID" in refusal(ComponentId, value)
    assert "must be a ComponentId" in refusal(WorkerId, value, "w1")
    assert "must be a str" in refusal(WorkerId, COMPONENT, value)
    assert "must be a WorkerId" in refusal(PromiseId, value, 42)


@pytest.mark.parametrize("index", [-1, 2**64, 10**5000, True, 42.0, "42", None], ids=type)
def test_an_index_is_an_int_of_64_bits_without_a_sign(index: Any) -> None:
    """A bool is no number here."""
    assert "the oplog index must be" in refusal(PromiseId, WORKER, index)


@pytest.mark.parametrize("index", [0, 1, 2**63, 2**64 - 1])
def test_every_index_of_64_bits_is_valid(index: Any) -> None:
    """Also above what JavaScript holds."""
    promise = PromiseId(WORKER, index)
    assert (
        promise == PromiseId.parse(str(promise)) == PromiseId.parse(json.dumps(promise.to_json()))
    )


class Text(str):
    __slots__ = ()


def test_subclasses_of_text_and_objects_are_read_as_what_they_hold() -> None:
    """Enums of strings, ordered dicts and what libraries return for JSON."""
    worker = OrderedDict({Text(key): Text(value) for key, value in REST["workerId"].items()})
    record = OrderedDict({Text("workerId"): worker, "oplogIdx": Index.THE_ONE})
    for value in (Text(PROMISE), record, [record]):
        assert PROMISE == PromiseId.parse(value)
    component = {"highBits": Bits.ONE, "lowBits": Bits.ONE}
    assert ComponentId.from_bits(1, 1) == ComponentId.parse(component)
    assert ComponentId.from_bits(1, 1) == ComponentId.from_bits(Bits.ONE, Bits.ONE)


JUNK: list[object] = [
    None, True, 0, 42, -1, 1.5, float("nan"), 10**10000, 1j, (), (1, 2), set(), object(), type,
    [], {}, [[]], [None], {"": ""}, {1: 2}, {("a",): 1}, b"", b"\xff", bytearray(b"\x80"),
    "", " ", "\0", "\ud800", "{", "[", '"', "}", "urn:", "null", "42", "NaN", "{}", "[]", '""',
    MappingProxyType(REST), memoryview(b"x"), lambda: None, "[[", '["', '{"', "{a:", "Uuid {",
    "Uuid { high-bits: 1, low-bits: 99999999999999999999 }/w1/42", '{a: "\\u{110000}"}',
]  # fmt: skip


@pytest.mark.parametrize("cls", [ComponentId, WorkerId, PromiseId])
def test_whatever_is_no_id_is_refused_with_one_error(cls: Any) -> None:
    """It has nothing chained to it."""
    assert [] == [value for value in JUNK if not refusal(cls.parse, value).isprintable()]


def test_a_cyclic_object_is_refused() -> None:
    """Nothing deeper than an id is looked at."""
    cyclic: dict[str, object] = {}
    cyclic["result"] = cyclic
    looped: list[object] = []
    looped.append(looped)
    for value in (cyclic, looped):
        assert "no answer of Golem's" in refusal(PromiseId.parse, value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 500, "\n" * 500 + "x", "\x1b[31m" * 99, "{" + "a" * 500, '{"' + "a" * 500, "é" * 500,
        {"k" * 500: 1}, {f"k{i}": 1 for i in range(500)}, f"{UUID_TEXT}/{'n' * 600}/1",
        f"{UUID_TEXT}/n/{'7' * 600}", {**REST, "oplogIdx": "7" * 600}, {**REST, "oplogIdx": 7**900},
        {**REST, "workerId": {"componentId": "c" * 600, "workerName": "n"}},
        {**REST, "workerId": "w" * 600},
    ],
    ids=lambda value: ascii(value)[:20],
)  # fmt: skip
def test_a_message_shows_at_most_80_characters_of_the_value(value: Any) -> None:
    """And nothing that a terminal or a log would take for more than text."""
    message = refusal(PromiseId.parse, value)
    assert message.isprintable()
    assert message.isascii()
    assert not any(character * 81 in message for character in "xaekn7cw")
    assert len(message) < 320


@pytest.mark.parametrize("cls", [ComponentId, WorkerId, PromiseId])
def test_the_annotations_of_every_public_method_resolve(cls: Any) -> None:
    """For frameworks and documentation tools that read them."""
    for name in vars(cls):
        member = inspect.getattr_static(cls, name)
        function = member.fget if isinstance(member, property) else getattr(cls, name)
        if not name.startswith("_") and inspect.isroutine(function):
            assert "return" in typing.get_type_hints(function)


def test_what_parse_takes_has_a_public_name() -> None:
    """Users annotate their own functions with it."""
    assert AnyPromiseId == typing.get_type_hints(PromiseId.parse)["value"]
    assert golem_client.AnyPromiseId is AnyPromiseId
    assert {PromiseId, str, bytes, bytearray} < set(typing.get_args(AnyPromiseId))


def test_a_message_shows_the_beginning_of_a_long_value() -> None:
    """80 characters, with the quotes and the dots."""
    assert refusal(WorkerId.parse, "x" * 500).endswith(f": '{'x' * 76}...")
    assert refusal(WorkerId.parse, "x" * 78).endswith(f": '{'x' * 78}'")
