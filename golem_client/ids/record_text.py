r"""Records as Rust, WAVE and MoonBit print them, to the values in them.

The three differ from JSON in the same few ways: labels are bare, a comma may follow the last
field, strings escape as `\u{…}`, and Rust puts the name of the struct before the brace.

| notation | written by | example |
| --- | --- | --- |
| Rust `{:?}` and `{:#?}` | golem-rust | `PromiseId { worker-id: WorkerId { … }, oplog-idx: 42 }` |
| WAVE | golem-cli 1.1 to 1.4 | `{worker-id: {component-id: …, worker-name: "w1"}, oplog-idx: 42}` |
| MoonBit `Show` | Golem 1.5's MoonBit SDK | `{agent_id: {…, agent_id: "w1"}, oplog_idx: 42}` |
"""

from __future__ import annotations

import re
import sys

from golem_client.errors import InvalidIdError
from golem_client.ids.rules import shown

# A promise holds a worker holds a component holds a UUID.
MAX_DEPTH = 8

# Every repetition is possessive: none gives back what it took, so none is tried twice.
_SPACE = r"[ \t\r\n]*+"
_STRUCT = r"(?:PromiseId|WorkerId|AgentId|ComponentId|Uuid)"
_LABEL = rf"([A-Za-z][A-Za-z0-9_-]*+){_SPACE}:{_SPACE}"

# golem-rust 1.1 to 1.3 begin plain text with such a struct as well; there, a separator follows it.
_START = re.compile(rf"(?!Uuid \{{[^}}]*+\}}[/:])(?:{_STRUCT}{_SPACE}\{{|\{{{_SPACE}{_LABEL})")
_OPEN = re.compile(rf"(?:{_STRUCT}{_SPACE})?\{{{_SPACE}")
_FIELD = re.compile(_LABEL)
_NUMBER = re.compile(rf"(-?[0-9]++){_SPACE}")
_STRING = re.compile(rf'"([^"\\]*+(?:\\.[^"\\]*+)*+)"{_SPACE}')
_COMMA = re.compile(rf",{_SPACE}")
_CLOSE = re.compile(rf",?+{_SPACE}\}}{_SPACE}")
_ESCAPE = re.compile(r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|(.))", re.DOTALL)
_ESCAPED = {'"': '"', "'": "'", "\\": "\\", "n": "\n", "r": "\r", "t": "\t", "b": "\b", "0": "\0"}


def is_record(text: str) -> bool:
    """Return whether the text begins as a record in one of the notations."""
    return _START.match(text) is not None


def value_of_record(text: str) -> object:
    """Return the record as JSON would have it; numbers become `{"#bigint": "…"}`.

    So they stay apart from strings, and from JSON's own numbers, which JavaScript may have rounded.
    """
    outside: dict[str, object] = {}
    records, label, position = [outside], "", 0
    while True:
        if opening := _OPEN.match(text, position):
            position = opening.end()
            record: dict[str, object] = {}
            records[-1][label] = record
            records.append(record)
            if len(records) > MAX_DEPTH:
                raise InvalidIdError(f"the record is nested deeper than an id: {shown(text)}")
        else:
            records[-1][label], position = _leaf(text, position)
        while closing := _CLOSE.match(text, position):
            position = closing.end()
            records.pop()
            if len(records) == 1:
                if position < len(text):
                    raise _refusal("nothing more", position, text)
                return outside[""]
        label, position = _label(text, position, records[-1])


def _leaf(text: str, position: int) -> tuple[object, int]:
    if number := _NUMBER.match(text, position):
        return {"#bigint": number[1]}, number.end()
    if string := _STRING.match(text, position):
        return _ESCAPE.sub(_unescaped, string[1]), string.end()
    raise _refusal("a record, a string in double quotes or a number", position, text)


def _label(text: str, position: int, record: dict[str, object]) -> tuple[str, int]:
    if record:
        comma = _COMMA.match(text, position)
        if comma is None:
            raise _refusal("a comma or a closing brace", position, text)
        position = comma.end()
    field = _FIELD.match(text, position)
    if field is None:
        raise _refusal("a label and a colon", position, text)
    if field[1] in record:
        raise InvalidIdError(f"the record has the field {shown(field[1])} twice")
    return field[1], field.end()


def _unescaped(escape: re.Match[str]) -> str:
    code, character = escape.groups()
    if code and int(code, 16) <= sys.maxunicode:
        return chr(int(code, 16))
    if character in _ESCAPED:
        return _ESCAPED[character]
    raise InvalidIdError(f"a string in the record has the unknown escape {shown(escape[0])}")


def _refusal(expected: str, position: int, text: str) -> InvalidIdError:
    problem = f"expected {expected} at position {position}"
    return InvalidIdError(f"the text begins as a record but is none: {problem}: {shown(text)}")
