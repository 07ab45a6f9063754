"""From a value of any kind to the parts of an id.

Text is decoded where it is JSON (`json_text`) or a record in another notation (`record_text`).
The answer of Golem that may stand around an id is taken off here. What is left is read by
`records`, or by `plain_text`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar
from uuid import UUID

from golem_client.errors import InvalidIdError
from golem_client.ids.json_text import is_json, value_of_json
from golem_client.ids.plain_text import (
    WHITE_SPACE,
    component_from_text,
    promise_from_text,
    worker_from_text,
)
from golem_client.ids.record_text import is_record, value_of_record
from golem_client.ids.records import (
    COMPONENT_KEYS,
    PROMISE_KEYS,
    WORKER_KEYS,
    Fields,
    Record,
    component_from_octets,
    component_from_record,
    fields_of,
    promise_from_record,
    worker_from_record,
)
from golem_client.ids.rules import shown

Parts = TypeVar("Parts")

# Answers to invocations, from the outside in; `[]` is an array of one. Any layer may be absent:
# Golem 1.3 dropped an array, and callers take layers off. None comes twice or in another order.
ANSWERS = (
    ("result", "value", "[]"),  # Golem 1.1 to 1.4: {"result": {"typ": …, "value": [id]}}
    ("result", "elements", "[]", "value"),  # Golem 1.5: {"result": {"elements": [{"value": id}]}}
    ("result_json", "value"),  # golem-cli 1.3 and 1.4, --format json
    ("result_wave", "[]"),  # golem-cli 1.3 and 1.4, beside the former: ["{worker-id: …}"]
)
# golem-cli 1.5 writes "result" and "result_json"; the first is what 1.5 and later agree on.
LAYERS = ("result", "result_json", "result_wave", "value", "elements")
# What golem-cli puts there is text, in which a worker's own text is a quoted string.
PRINTED = (["result"], ["result_wave", "[]"])
# What golem-cli 1.3 to 1.5 puts before that text, when it prints text.
_HEADING = re.compile(r"[ \t\r\n]*+(?:Invocation results? in [ -9;-~]{1,40}:(?:[ \t\r\n]*+- )?|- )")


class Kind(Generic[Parts]):
    """How to read one kind of id, down to the parts that its class is made of.

    Attributes:
        noun: The id, in messages.
        keys: The field for each key of its record.
        marks: The fields by which the record differs from an answer around it: the answers of
            Golem 1.5 have an agentId of their own.
        from_text: Reads plain text.
        from_record: Reads the record.
        from_octets: Reads an array of 16 numbers, where that is an id.
    """

    def __init__(
        self,
        noun: str,
        keys: Mapping[str, str],
        marks: set[str],
        from_text: Callable[[str], Parts],
        from_record: Callable[[Record, Fields, str], Parts],
        from_octets: Callable[[list[Any], str], Parts] | None = None,
    ) -> None:
        self.noun = noun
        self.keys = keys
        self.marks = marks
        self.from_text = from_text
        self.from_record = from_record
        self.from_octets = from_octets


COMPONENT: Kind[UUID] = Kind(
    "component id",
    COMPONENT_KEYS,
    {"uuid", "high_bits", "low_bits"},
    component_from_text,
    component_from_record,
    component_from_octets,
)
WORKER: Kind[tuple[UUID, str]] = Kind(
    "worker id", WORKER_KEYS, {"component_id"}, worker_from_text, worker_from_record
)
PROMISE: Kind[tuple[UUID, str, int]] = Kind(
    "promise id", PROMISE_KEYS, {"oplog_idx"}, promise_from_text, promise_from_record
)


def read(value: object, kind: Kind[Parts]) -> Parts:
    """Return the parts of the id that the value spells; its class still has to check them."""
    text = _text_of(value, kind) if isinstance(value, (bytes, bytearray)) else value
    if isinstance(text, str) and (heading := _HEADING.match(text)):
        text = text[heading.end() :]
    node = _decoded(text)
    if node is text and isinstance(text, str):
        return kind.from_text(text)
    return _from_json(node, kind)


def _text_of(value: bytes | bytearray, kind: Kind[Any]) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is not UTF-8"
    raise InvalidIdError(f"not a {kind.noun}: {problem}")


def _decoded(value: object) -> object:
    """Return what JSON text or a record in another notation holds; anything else as it is."""
    if not isinstance(value, str):
        return value
    text = value.strip(WHITE_SPACE)
    if is_record(text):
        return value_of_record(text)
    return value_of_json(text) if is_json(text) else value


def _from_json(node: object, kind: Kind[Parts]) -> Parts:
    """Take off the answer around an id, layer by layer, and read the record or text within."""
    path = where = ""
    layers: list[str] = []
    while not isinstance(node, str):
        if isinstance(node, dict):
            fields = fields_of(node, kind.keys, where)
            if not kind.marks.isdisjoint(fields) or (layer := _layer(node)) is None:
                return _from_record(node, fields, where, kind)
            path, node = f"{where}{layer}", node[layer]
            if layer == "elements" and not isinstance(node, list):
                raise InvalidIdError(f"not a {kind.noun}: {path} must be an array")
        elif isinstance(node, list) and len(node) == 1:
            layer, path, node = "[]", f"{path}[0]", node[0]
        elif isinstance(node, list) and len(node) == 16 and kind.from_octets:
            return kind.from_octets(node, path or "the array")
        else:
            raise InvalidIdError(f"not a {kind.noun}: {_why_no_id(node, path)}")
        where = f"{path}."
        layers.append(layer)
        if not any(_has_layers(answer, layers) for answer in ANSWERS):
            raise InvalidIdError(f"not a {kind.noun}: no answer of Golem's holds one at {path}")
    return _from_inner_text(_decoded(node) if layers in PRINTED else node, kind)


def _from_inner_text(text: object, kind: Kind[Parts]) -> Parts:
    """Read plain text, or text in which the worker itself has encoded the id."""
    node = _decoded(text)
    if node is text and isinstance(text, str):
        return kind.from_text(text)
    if not isinstance(node, dict):
        raise InvalidIdError(f"not a {kind.noun}: JSON text within JSON holds {shown(node)}")
    return _from_record(node, fields_of(node, kind.keys, ""), "", kind)


def _from_record(record: Record, fields: Fields, where: str, kind: Kind[Parts]) -> Parts:
    if not fields:
        raise InvalidIdError(f"not a {kind.noun}: {shown(record)} has no field of one")
    return kind.from_record(record, fields, where)


def _layer(record: Record) -> str | None:
    return next((layer for layer in LAYERS if layer in record), None)


def _has_layers(answer: tuple[str, ...], layers: list[str]) -> bool:
    rest = iter(answer)
    return all(layer in rest for layer in layers)


def _why_no_id(node: object, path: str) -> str:
    if node is None and path:
        return f"{path} is null: the invocation returned nothing"
    if isinstance(node, list):
        return f"an array around an id has one item, but {path or 'this'} is {shown(node)}"
    return f"{path or 'this'} is {shown(node)}, which is neither text nor decoded JSON of one"
