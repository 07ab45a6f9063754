"""Python values -> payload bytes. These are all the rules.

`encode_json` writes what serde_json, and so golem-rust's `await_promise_json`, reads: compact
UTF-8 JSON without a BOM. The same value gives the same bytes, in every process.

==========================================  ======================================  =============
Python                                      JSON                                    read by
==========================================  ======================================  =============
None, bool, int, float, str                 themselves                              Option, i64 …
list, tuple, deque, any Sequence            array                                   Vec, tuples
NamedTuple                                  array                                   tuple struct
set, frozenset                              array: numbers by size, then the rest   HashSet
                                            by its JSON
dict, any Mapping                           object, in its own order                HashMap
TypedDict                                   object; its keys and no others          struct
attrs class, dataclass                      object of all fields, init=False too    struct
pydantic 2 model                            object: the keys of its model_dump      struct
Enum                                        its value                               unit variants
UUID                                        hyphenated                              uuid::Uuid
datetime, date, time                        ISO 8601                                chrono
Decimal                                     str of it                               rust_decimal
timedelta                                   `{"secs": 1, "nanos": 500000000}`       Duration
bytes, bytearray, memoryview                array of numbers                        Vec<u8>
ComponentId, WorkerId, PromiseId            as Golem's REST writes them
==========================================  ======================================  =============

- Keys are text, integers, enums of those, or UUIDs, and all different once they are text.
- Subclasses are written as what they are: no field of a subclass is lost where its base is
  declared. A field is named as its attribute is, with a leading underscore too.
- What is declared must hold: a field, or a value with `as_type`, that is not of its type is
  refused. An int is a float; a bool is no int, and a datetime no date; text is no sequence. A
  pydantic model validates its own fields. Annotations that cannot be resolved say nothing.
- What a pydantic model has a serializer for, pydantic writes; the rest follows these rules.
- Unions can be externally tagged, and fields have a key style: see `make_converter`.
- A user's hook wins over every rule, for a class and its subclasses, as everywhere in cattrs.
  What it returns is taken as it is and only checked; what is not plain in it meets the rules.
- Floats are written shortest, and serde_json without its feature `float_roundtrip` may read
  one that is off in the last digits: send a Decimal where that matters.

Refused, always before anything is sent:

- NaN and infinities, lone surrogates, integers of over 308 digits (serde_json reads none),
  negative timedeltas, offsets with seconds, times in a zone without an offset;
- values that contain themselves, or are nested deeper than 127 levels (serde_json reads no more);
- classes without a rule, among them Path, generators and numpy's (but float64 is a float);
  classes with fields that are text, numbers or containers besides; fields that were never set;
  subclasses that add annotations and are not decorated as their base is;
- bytes *as* the value, unless `as_type=bytes`: that is what `complete_bytes` is for;
- JSON of more than `max_bytes`, found without writing it.

A refusal is a `PayloadError` that begins with the JSON path, such as `$.items[2].price`, says
what to do, and never shows the value (but the path shows keys, cut to 40 characters). `..` in a
path stands for what is inside a user's hook.
"""

from __future__ import annotations

import json
import math
from itertools import repeat
from typing import TYPE_CHECKING, Any

from golem_client.errors import PayloadError
from golem_client.payload.converter import PayloadConverter, make_converter
from golem_client.payload.refusals import Refusal, TooLargeError
from golem_client.payload.steps import PLAIN
from golem_client.payload.walk import MAX_DEPTH, Walk

if TYPE_CHECKING:
    from cattrs import Converter
    from typing_extensions import TypeForm

__all__ = ["PayloadConverter", "encode_bytes", "encode_json", "encode_text", "make_converter"]

_DEFAULT = make_converter()
_CONTAINERS = frozenset({dict, list, tuple})
_SMALL = frozenset({float, bool, type(None)})
_NO_KEYS = repeat("")
_MANY = 5_000
_JSON = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)


def encode_json(
    value: Any,
    as_type: TypeForm[Any] | None = None,
    converter: Converter | None = None,
    *,
    max_bytes: int = 2**25,
) -> bytes:
    """Return the value as JSON, by the rules above.

    Args:
        value: What the worker is to read.
        as_type: The type to write it as, where its class does not tell: a union, a generic.
        converter: One that `make_converter` made; None is the default one.
        max_bytes: The longest that is allowed; by default what the newest Golem takes.

    Raises:
        PayloadError: The value cannot be a payload. Nothing else is raised.
    """
    try:
        return _encode(value, as_type, converter or _DEFAULT, max_bytes)
    except Refusal as refusal:
        message = refusal.message
    except RuntimeError:  # RecursionError is one
        message = "$: could not be read: it changed meanwhile, or the stack was full; try again"
    # Raised out here, so that the error above is no context of it.
    raise PayloadError(message)


def encode_bytes(data: bytes | bytearray | memoryview, *, max_bytes: int = 2**25) -> bytes:
    """Return a copy of the bytes, so that changing a bytearray later changes nothing.

    Args:
        data: The payload, verbatim.
        max_bytes: The largest payload allowed. By default 32 MiB, the most that Golem takes.

    Raises:
        PayloadError: `data` is not bytes, or is larger than `max_bytes`.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise PayloadError(
            f"The payload is of type {type(data).__name__}, not bytes; use complete_text for "
            "text, complete_json for everything else"
        )
    try:
        payload = bytes(data)
    except ValueError:  # a memoryview that was released
        payload = None
    if payload is None:
        raise PayloadError(
            "The payload is a memoryview that was released; keep it until it is sent"
        )
    return _within(payload, max_bytes)


def encode_text(text: str, *, max_bytes: int = 2**25) -> bytes:
    """Return the text as UTF-8.

    Args:
        text: The payload.
        max_bytes: The largest payload allowed. By default 32 MiB, the most that Golem takes.

    Raises:
        PayloadError: `text` is not text, UTF-8 cannot carry it, or it is larger than `max_bytes`.
    """
    if not isinstance(text, str):
        raise PayloadError(
            f"The payload is of type {type(text).__name__}, not text; use complete_bytes for "
            "bytes, complete_json for everything else"
        )
    start = -1
    try:
        payload = str.encode(text)
    except UnicodeEncodeError as error:
        start = error.start
    if start >= 0:
        raise PayloadError(
            f"The text holds a lone surrogate at index {start}, which UTF-8 cannot carry; repair it"
        )
    return _within(payload, max_bytes)


def _within(payload: bytes, max_bytes: int) -> bytes:
    if len(payload) > max_bytes:
        raise PayloadError(
            f"the payload has {len(payload)} bytes, and max_payload_bytes is {max_bytes}"
        )
    return payload


def _encode(value: Any, as_type: Any, converter: Converter, max_bytes: int) -> bytes:
    if not isinstance(converter, PayloadConverter):
        raise Refusal("$", "the converter is not from make_converter(), whose rules are needed")
    if isinstance(value, bytes | bytearray | memoryview) and _says_nothing(as_type):
        raise Refusal("$", "is bytes, not JSON; use complete_bytes, or say as_type=bytes")
    if as_type is None and _keeps_plain(converter) and _is_plain(value, max_bytes):
        try:
            return _written(value, max_bytes)
        except ValueError:  # not finite, or not Unicode: the walk knows where
            pass
    declared = Any if as_type is None else as_type
    return _written(Walk(converter, max_bytes).run(value, declared), max_bytes)


def _says_nothing(as_type: Any) -> bool:
    return as_type is None or as_type is Any or as_type is object


def _keeps_plain(converter: PayloadConverter) -> bool:
    return converter is _DEFAULT or converter.plain_by_our_rules() == PLAIN


def _written(plain: Any, max_bytes: int) -> bytes:
    encoded = _JSON.encode(plain).encode()
    if len(encoded) > max_bytes:
        raise Refusal("$", str(TooLargeError(max_bytes)))
    return encoded


def _is_plain(value: Any, max_bytes: float) -> bool:
    """Tell whether json writes the value as the walk would, but for floats and surrogates.

    Everything in it is of an exact builtin type; its keys are text; neither depth, length nor
    integers are near a bound. Half the price of the walk, and no copy.
    """
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for container in level:
            max_bytes -= _size(container, inner)
            if max_bytes < 0:
                return False
        if not inner:
            return bool(level)
        if len(inner) > _MANY and len(set(map(id, inner))) < len(inner):
            return False  # small in memory, huge when written: the walk writes what is shared once
        level = inner
    return False


def _size(container: Any, inner: list[Any]) -> float:
    """Return at most the bytes of a container's own JSON, and collect what is in it.

    Infinity stands for a container that is not plain.
    """
    size: float = len(container)
    pairs = container.items() if type(container) is dict else zip(_NO_KEYS, container, strict=False)
    for key, item in pairs:
        if type(key) is not str:
            return math.inf
        size += len(key)
        kind = type(item)
        if kind is str:
            size += len(item)
        elif kind in _CONTAINERS:
            inner.append(item)
        elif kind is int and -(2**63) <= item < 2**64:
            pass
        elif kind not in _SMALL:
            return math.inf
    return size
