"""From a value of any kind to the parts of an id: what it is, and what is around it.

Text and bytes are plain text (`text_forms`), JSON (`json_text`) or a record in another notation
(`record_text`); the last two, and values that come as decoded JSON, are unwrapped here and read
by `json_forms`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast

import attrs

from golem_client.errors import InvalidIdError
from golem_client.ids.json_forms import (
    COMPONENT_KEYS,
    PROMISE_KEYS,
    WORKER_KEYS,
    Fields,
    component_from_fields,
    fields_of,
    promise_from_fields,
    worker_from_fields,
)
from golem_client.ids.json_text import is_json, value_of_json
from golem_client.ids.record_text import is_record, value_of_record
from golem_client.ids.rules import exact, shown
from golem_client.ids.text_forms import (
    WHITE_SPACE,
    component_from_text,
    promise_from_text,
    worker_from_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Parts = TypeVar("Parts")

# Golem's answers to invocations, from the outside in; `[]` is an array of one. Any of the layers
# may have been taken off before the value comes to us, none can come twice or in another order.
ANSWERS = (
    ("result", "value", "[]"),  # Golem 1.1 and 1.2: {"result": {"typ": …, "value": [id]}}
    ("result", "value"),  # Golem 1.3 and 1.4: {"result": {"typ": …, "value": id}}
    ("result", "elements", "[]", "value"),  # Golem 1.5: {"result": {"elements": [{"value": id}]}}
)
_LAYERS = {layer: layer for answer in ANSWERS for layer in answer if layer != "[]"}


@attrs.frozen
class Kind(Generic[Parts]):
    """How to read one kind of id, down to the parts that its class is made of.

    Attributes:
        noun: The id, in messages.
        keys: The field for each key of its record.
        marks: The fields that tell the record from an answer around it: Golem 1.5's answers have
            an agentId of their own.
        from_text: Reads the plain text forms.
        from_fields: Reads the record.
    """

    noun: str
    keys: Mapping[str, str]
    marks: frozenset[str]
    from_text: Callable[[str], Parts]
    from_fields: Callable[[Fields, str], Parts]


COMPONENT = Kind(
    "component id",
    COMPONENT_KEYS | _LAYERS,
    frozenset({"uuid", "high_bits", "low_bits"}),
    component_from_text,
    component_from_fields,
)
WORKER = Kind(
    "worker id",
    WORKER_KEYS | _LAYERS,
    frozenset({"component_id"}),
    worker_from_text,
    worker_from_fields,
)
PROMISE = Kind(
    "promise id",
    PROMISE_KEYS | _LAYERS,
    frozenset({"oplog_idx"}),
    promise_from_text,
    promise_from_fields,
)


def read(value: object, kind: Kind[Parts]) -> Parts:
    """Return the parts of the id, which its class still has to check."""
    node, path = _unwrapped(_decoded(_text_or_value(value, kind)), kind)
    if type(node) is str:
        # Plain text; or JSON text of the worker's own making, which its answer encoded once more:
        # golem-cli's TypeScript templates do so.
        text, node = node, _decoded(node)
        if node is text:
            return kind.from_text(text)
    if type(node) is not dict:
        raise InvalidIdError(f"not a {kind.noun}: JSON text within JSON holds {shown(node)}")
    prefix = _within(path)
    fields = fields_of(node, kind.keys, prefix)
    if not fields:
        raise InvalidIdError(f"not a {kind.noun}: {shown(node)} has no field of one")
    return kind.from_fields(fields, prefix)


def _text_or_value(value: object, kind: Kind[Parts]) -> object:
    try:
        if issubclass(type(value), bytes):
            return bytes.decode(cast("bytes", value))
        if issubclass(type(value), bytearray):
            return bytearray.decode(cast("bytearray", value))
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is not UTF-8"
    else:
        return exact(value)
    raise InvalidIdError(f"not a {kind.noun}: {problem}")


def _decoded(value: object) -> object:
    """Return what text in JSON or in another notation holds; plain text, and all else, as it is."""
    if type(value) is not str:
        return value
    text = value.strip(WHITE_SPACE)
    if is_record(text):
        return value_of_record(text)
    return value_of_json(text) if is_json(text) else value


def _unwrapped(value: object, kind: Kind[Parts]) -> tuple[object, str]:
    """Take off what Golem's answers put around a text or a record; say where it was in them."""
    node, path = exact(value), ""
    layers: list[str] = []
    while type(node) is not str:
        if type(node) is dict:
            fields = fields_of(node, kind.keys, _within(path))
            layer = next((layer for layer in _LAYERS if layer in fields), None)
            if layer is None or not kind.marks.isdisjoint(fields):
                break
            path, inner = fields[layer]
            if layer == "elements" and type(exact(inner)) is not list:
                raise InvalidIdError(f"not a {kind.noun}: {path} must be an array")
        elif type(node) is list and len(node) == 1:
            layer, path, inner = "[]", f"{path}[0]", node[0]
        else:
            raise InvalidIdError(f"not a {kind.noun}: {_why_no_id(node, path)}")
        layers.append(layer)
        if not any(_has_layers(answer, layers) for answer in ANSWERS):
            raise InvalidIdError(f"not a {kind.noun}: no answer of Golem's holds one at {path}")
        node = exact(inner)
    return node, path


def _has_layers(answer: tuple[str, ...], layers: list[str]) -> bool:
    rest = iter(answer)
    return all(layer in rest for layer in layers)


def _why_no_id(node: object, path: str) -> str:
    if node is None and path:
        return f"{path} is null: the invocation returned nothing"
    if type(node) is list:
        return f"the array around an id holds it alone, and {path or 'this'} is {shown(node)}"
    return f"{path or 'this'} is {shown(node)}, and neither text nor decoded JSON of one"


def _within(path: str) -> str:
    return f"{path}." if path else ""
