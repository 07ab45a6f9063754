"""Python values as payload bytes. These are all the rules.

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
pydantic model or dataclass                 what its `model_dump_json()` returns    struct
Enum                                        its value                               unit variants
UUID                                        hyphenated                              uuid::Uuid
datetime, date, time                        ISO 8601                                chrono
Decimal                                     str of it                               rust_decimal
timedelta                                   `{"secs": 1, "nanos": 500000000}`       Duration
bytes, bytearray, memoryview                array of numbers                        Vec<u8>
ComponentId, WorkerId, PromiseId            as Golem's REST writes them
==========================================  ======================================  =============

- Keys must be text, integers, enums of those, or UUIDs, and no two may give the same text.
- An instance of a subclass is written with all fields of its own class, where its base class is
  declared too. A field's key is the name of its attribute, including a leading underscore.
- Values must match their declared types, in fields and with `as_type`; otherwise PayloadError is
  raised. An int is accepted as a float. A bool is not accepted as an int, a datetime not as a
  date, and text not as a sequence. An annotation that cannot be resolved is ignored.
- A datetime without a zone can only be read as chrono's NaiveDateTime.
- A declared union of several classes must be tagged, as a Rust enum is by default: see
  `make_converter`, also for untagged enums, key styles and hooks of your own.
- pydantic 2.7 or later writes its models by their own settings and serializers: by default NaN as
  null, bytes as text, a timedelta as ISO 8601, and of a subclass only the fields that are declared.
  Hooks, tags and key styles do not apply inside a model. Its JSON is checked for depth, NaN and
  keys that occur twice, and its sets are put in order.
- Floats are written with as few digits as identify them. serde_json without its feature
  `float_roundtrip` may read another last digit: send a Decimal where that matters.

Refused, before anything is sent:

- NaN and infinities, lone surrogates, integers of over 308 digits (serde_json reads none),
  negative timedeltas, datetimes with seconds in their offset (as time zones had before 1900), times
  with a time zone;
- values that contain themselves, or are nested deeper than 127 levels (serde_json reads no more);
- mappings that hold several values for a key, as form data and query parameters do;
- all other classes, such as Path, generators and numpy's (but float64 is a float); classes that
  have fields and are also text, a number or a container; fields that were never set; subclasses
  that add annotations and are not decorated as their base class is;
- bytes *as* the value, unless `as_type=bytes`: use `complete_bytes`;
- JSON of more than `max_bytes`.

The message of the `PayloadError` begins with the JSON path, such as `$.items[2].price`, and says
what to do. It never shows the value, but the path shows keys, cut to 40 characters.

How a value becomes bytes: `PayloadConverter` finds its rule, a hook of yours or one of ours; the
rule checks the types and returns a plain tree; `to_json` writes the tree and checks the text.
"""

from __future__ import annotations

from typing import Any

from cattrs import Converter
from typing_extensions import TypeForm

from golem_client.errors import PayloadError
from golem_client.frames import made_without_locals
from golem_client.payload.converter import PayloadConverter, make_converter
from golem_client.payload.json_text import to_json
from golem_client.payload.refusals import RefusedError, refused

__all__ = ["PayloadConverter", "encode_bytes", "encode_json", "encode_text", "make_converter"]

_DEFAULT = make_converter()


def encode_json(
    value: Any,
    as_type: TypeForm[Any] | None = None,
    converter: Converter | None = None,
    *,
    max_bytes: int = 2**25,
) -> bytes:
    """Return the value as JSON, by the rules of this package.

    Args:
        value: What the worker is to read.
        as_type: The type to write it as, where its class alone does not decide: unions, generics.
        converter: A converter from `make_converter`. None means the default one.
        max_bytes: The largest payload allowed. By default 32 MiB, the most that Golem takes.

    Raises:
        PayloadError: The value cannot be a payload. Nothing else is raised.
    """
    try:
        return _encoded(value, as_type, converter or _DEFAULT, max_bytes)
    except Exception as error:  # noqa: BLE001  hooks and properties may raise anything
        message = refused(error).message
    # Raised out here, so that no traceback holds the value: not by the error above, which would
    # be the context of this one, nor by a local variable.
    del value
    raise PayloadError(message)


@made_without_locals
def encode_bytes(data: bytes | bytearray | memoryview, *, max_bytes: int = 2**25) -> bytes:
    """Return a copy of the bytes, so that changing a bytearray later changes nothing.

    Args:
        data: The payload, verbatim.
        max_bytes: The largest payload allowed. By default 32 MiB, the most that Golem takes.

    Raises:
        PayloadError: `data` is not bytes, or is larger than `max_bytes`.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise _not_of("bytes; use complete_text for text", data)
    return _checked(bytes(data), max_bytes)


@made_without_locals
def encode_text(text: str, *, max_bytes: int = 2**25) -> bytes:
    """Return the text as UTF-8.

    Args:
        text: The payload.
        max_bytes: The largest payload allowed. By default 32 MiB, the most that Golem takes.

    Raises:
        PayloadError: `text` is not text, UTF-8 cannot carry it, or it is larger than `max_bytes`.
    """
    if not isinstance(text, str):
        raise _not_of("text; use complete_bytes for bytes", text)
    try:
        return _checked(str.encode(text), max_bytes)
    except UnicodeEncodeError as error:
        place = f"a lone surrogate at index {error.start}"
    raise PayloadError(f"The payload is text with {place}, which UTF-8 cannot carry; repair it")


def _not_of(kind_and_way: str, value: Any) -> PayloadError:
    return PayloadError(
        f"The payload is of type {type(value).__name__}, not {kind_and_way}, complete_json for "
        "everything else"
    )


def _checked(payload: bytes, max_bytes: int) -> bytes:
    if len(payload) > max_bytes:
        raise PayloadError(
            f"the payload has {len(payload)} bytes, and max_payload_bytes is {max_bytes}"
        )
    return payload


def _encoded(value: Any, as_type: Any, converter: Converter, max_bytes: int) -> bytes:
    if not isinstance(converter, PayloadConverter):
        raise RefusedError("the converter is not from make_converter(), whose rules are needed")
    if isinstance(value, bytes | bytearray | memoryview) and as_type in (None, Any, object):
        raise RefusedError("is bytes, not JSON; use complete_bytes, or pass as_type=bytes")
    return to_json(converter.tree(value, as_type, max_bytes), max_bytes)
