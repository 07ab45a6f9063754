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

from typing import Any

from cattrs import Converter
from typing_extensions import TypeForm

from golem_client.errors import PayloadError
from golem_client.payload.converter import PayloadConverter, make_converter
from golem_client.payload.json_text import to_json
from golem_client.payload.refusals import RefusedError, json_path

__all__ = ["PayloadConverter", "encode_bytes", "encode_json", "encode_text", "make_converter"]

_DEFAULT = make_converter()


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
        return _encoded(value, as_type, converter or _DEFAULT, max_bytes)
    except RefusedError as refusal:
        message = f"{json_path(refusal)}: {refusal.reason}"
    except RuntimeError:  # RecursionError is one
        message = "$: could not be read: it changed meanwhile, or the stack was full; try again"
    # Raised out here, so that no traceback holds the value: not by the error above, which would
    # be the context of this one, nor by a local variable.
    del value
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
        kind = type(data).__name__  # type: ignore[unreachable]
        del data  # no traceback holds the payload
        raise PayloadError(
            f"The payload is of type {kind}, not bytes; use complete_text for text, complete_json "
            "for everything else"
        )
    try:
        payload = bytes(data)
    except ValueError:  # a memoryview that was released
        payload = None
    del data
    if payload is None:
        raise PayloadError(
            "The payload is a memoryview that was released; keep it until it is sent"
        )
    if (length := len(payload)) > max_bytes:
        del payload
        raise _too_large(length, max_bytes)
    return payload


def encode_text(text: str, *, max_bytes: int = 2**25) -> bytes:
    """Return the text as UTF-8.

    Args:
        text: The payload.
        max_bytes: The largest payload allowed. By default 32 MiB, the most that Golem takes.

    Raises:
        PayloadError: `text` is not text, UTF-8 cannot carry it, or it is larger than `max_bytes`.
    """
    if not isinstance(text, str):
        kind = type(text).__name__  # type: ignore[unreachable]
        del text  # no traceback holds the payload
        raise PayloadError(
            f"The payload is of type {kind}, not text; use complete_bytes for bytes, complete_json "
            "for everything else"
        )
    try:
        payload, start = str.encode(text), -1
    except UnicodeEncodeError as error:
        payload, start = b"", error.start
    del text
    if start >= 0:
        raise PayloadError(
            f"The text holds a lone surrogate at index {start}, which UTF-8 cannot carry; repair it"
        )
    if (length := len(payload)) > max_bytes:
        del payload
        raise _too_large(length, max_bytes)
    return payload


def _too_large(length: int, max_bytes: int) -> PayloadError:
    return PayloadError(f"the payload has {length} bytes, and max_payload_bytes is {max_bytes}")


def _encoded(value: Any, as_type: Any, converter: Converter, max_bytes: int) -> bytes:
    if not isinstance(converter, PayloadConverter):
        raise RefusedError("the converter is not from make_converter(), whose rules are needed")
    if isinstance(value, bytes | bytearray | memoryview) and as_type in (None, Any, object):
        raise RefusedError("is bytes, not JSON; use complete_bytes, or say as_type=bytes")
    tree, has_written_json = converter.tree(value, as_type, max_bytes)
    return to_json(tree, max_bytes, has_written_json=has_written_json)
