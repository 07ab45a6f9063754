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

- Keys are text, integers, enums of those, or UUIDs, and all different once they are text.
- Subclasses are written by their own class: no field of a subclass is lost where its base is
  declared. A field's key is the name of its attribute, with a leading underscore too.
- Values must match their declared types, in fields and with `as_type`; otherwise PayloadError is
  raised. An int may stand for a float, but a bool for no int, a datetime for no date, and text
  for no sequence. An annotation that cannot be resolved is ignored.
- A datetime without a zone can only be read as chrono's NaiveDateTime.
- A declared union of several classes must be tagged, because a Rust enum is by default: see
  `make_converter`, also for untagged enums and for key styles.
- A hook that the user registers wins over every rule, for a class and its subclasses, as
  everywhere in cattrs. What it returns is taken as it is and only checked; values in it that are
  not plain are written by these rules.
- Floats are written shortest, and serde_json without its feature `float_roundtrip` may read
  one that is off in the last digits: send a Decimal where that matters.

pydantic 2.7 or later writes its models, whatever their settings and serializers: by default NaN as
null, bytes as text, a timedelta as ISO 8601, and of a subclass only the fields that are declared.
Hooks, tags and key styles do not reach inside a model. What comes out is checked: depth, one key
twice, numbers; sets are put in order. A value that is not of its field's type is refused.

Refused, before anything is sent:

- NaN and infinities, lone surrogates, integers of over 308 digits (serde_json reads none),
  negative timedeltas, datetimes with seconds in their offset, times with a time zone;
- values that contain themselves, or are nested deeper than 127 levels (serde_json reads no more);
- mappings that hold several values for a key, as form data and query parameters do;
- other classes, among them Path, generators and numpy's (but float64 is a float); classes with
  fields that are text, numbers or containers besides; fields that were never set; subclasses that
  add annotations and are not decorated as their base is;
- bytes *as* the value, unless `as_type=bytes`: `complete_bytes` is for those;
- JSON of more than `max_bytes`.

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
from golem_client.payload.refusals import RefusedError

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
    except RefusedError as refusal:
        message = f"{refusal.json_path}: {refusal.reason}"
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
    return to_json(converter.tree(value, as_type, max_bytes), max_bytes)
