r"""Records as other languages print them, decoded as if they were JSON.

They differ from JSON in a few ways: labels are bare or in single quotes, strings have any quotes
and more escapes, a comma may follow the last field, and the name of the type may stand before it.

| written by | example |
| --- | --- |
| Rust `{:?}` and `{:#?}` | `PromiseId { worker-id: WorkerId { … }, oplog-idx: 42 }` |
| golem-cli 1.1 to 1.4, WAVE | `{worker-id: {component-id: …, worker-name: "w1"}, oplog-idx: 42}` |
| golem-cli 1.5, TypeScript | `{ agentId: { …, agentId: "w1" }, oplogIdx: 42 }` |
| JavaScript, `console.log` | `{ agentId: { …, agentId: 'w1' }, oplogIdx: 42n }` |
| MoonBit | `{agent_id: {…}, oplog_idx: 42}`, `PromiseId::{ agent_id: …, oplog_idx: 42 }` |
| Scala | `PromiseId(agentId = AgentId(…), oplogIdx = 42)`, `{ agentId = …, oplogIdx = 42 }` |
| Python | `PromiseId(agent_id=AgentId(…), oplog_idx=42)`, `{'agent_id': …, 'oplog_idx': 42}` |
"""

from __future__ import annotations

import re
import sys

from golem_client.errors import InvalidIdError
from golem_client.ids.rules import shown

# A promise holds a worker, which holds a component, which holds a UUID.
MAX_DEPTH = 8

# Every repetition is possessive: it never gives back what it matched, so the time is linear.
_SPACE = r"[ \t\r\n]*+"
_STRUCT = rf"(?:PromiseId|WorkerId|AgentId|ComponentId|Uuid){_SPACE}"
_LABEL = rf"(?:([A-Za-z][A-Za-z0-9_-]*+)|'([^'\\]*+)'){_SPACE}([:=]){_SPACE}"

# golem-rust 1.1 to 1.3 begin plain text with such a struct as well, and a separator follows it.
_START = re.compile(
    rf"(?!Uuid \{{[^}}]*+\}}[/:])(?:{_STRUCT}(?:::{_SPACE})?[{{(]|\{{{_SPACE}{_LABEL})"
)
_OPEN = re.compile(rf"(?:{_STRUCT}(?:(\()|(?:::{_SPACE})?\{{)|\{{){_SPACE}")
_FIELD = re.compile(_LABEL)
_LEAF = re.compile(
    r"""(?:(["'`])((?:(?!\1)[^\\]|\\.)*+)\1|(-?[0-9]++)(n?)|([A-Z]?[a-z]++)\b)""" + _SPACE,
    re.DOTALL,
)
_COMMA = re.compile(rf",{_SPACE}")
_CLOSE = re.compile(rf",?+{_SPACE}([}})]){_SPACE}")
_ESCAPE = re.compile(
    r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|(.))",
    re.DOTALL,
)
_ESCAPED = dict(zip("\"'`\\nrtbfv0", "\"'`\\\n\r\t\b\f\v\0", strict=True))
_WORDS = {
    "true": True,
    "false": False,
    "True": True,
    "False": False,
    "null": None,
    "undefined": None,
    "None": None,
}


def is_record(text: str) -> bool:
    """Return whether the text begins as a record in one of the notations."""
    return _START.match(text) is not None


def value_of_record(text: str) -> object:
    """Return the record as JSON would have it; numbers become `{"#bigint": "…"}`.

    So they differ from strings, and from the numbers of JSON, which JavaScript may have rounded.
    Only the halves of a UUID stay numbers where JavaScript has printed them without an `n`.
    """
    outside: dict[str, object] = {}
    open_records, label, is_javascript, position = [(outside, "")], "", False, 0
    while True:
        record, _ = open_records[-1]
        if opening := _OPEN.match(text, position):
            position = opening.end()
            inner: dict[str, object] = {}
            record[label] = inner
            open_records.append((inner, ")" if opening[1] else "}"))
            if len(open_records) > MAX_DEPTH:
                raise InvalidIdError(f"the record is nested deeper than an id: {shown(text)}")
        else:
            record[label], position = _leaf(text, position, is_javascript=is_javascript)
        while closing := _CLOSE.match(text, position):
            record, bracket = open_records.pop()
            if closing[1] != bracket:
                raise _refusal(f"{bracket!r}", closing.start(1), text)
            position = closing.end()
            if len(open_records) == 1:
                if position < len(text):
                    raise _refusal("nothing more", position, text)
                return outside[""]
        label, is_javascript, position = _label(text, position, open_records[-1][0])


def _leaf(text: str, position: int, *, is_javascript: bool) -> tuple[object, int]:
    leaf = _LEAF.match(text, position)
    if leaf is None:
        if text.startswith("[Object]", position):
            problem = f"console.log left out a part of the id, at position {position}"
            raise InvalidIdError(f"{problem}: log its JSON, or its text: {shown(text)}")
        raise _refusal("a record, a string in quotes or a number", position, text)
    quote, string, digits, is_bigint, word = leaf.groups()
    if quote:
        return _ESCAPE.sub(_unescaped, string), leaf.end()
    if digits:
        may_be_rounded = is_javascript and not is_bigint
        return int(digits[:40]) if may_be_rounded else {"#bigint": digits}, leaf.end()
    if word in _WORDS:
        return _WORDS[word], leaf.end()
    raise _refusal("a record, a string in quotes or a number", position, text)


def _label(text: str, position: int, record: dict[str, object]) -> tuple[str, bool, int]:
    if record:
        comma = _COMMA.match(text, position)
        if comma is None:
            raise _refusal("a comma or a closing bracket", position, text)
        position = comma.end()
    field = _FIELD.match(text, position)
    if field is None:
        raise _refusal("a label and a colon", position, text)
    bare, quoted, separator = field.groups()
    label = bare or quoted or ""
    if label in record:
        raise InvalidIdError(f"the record has the field {shown(label)} twice")
    return label, separator == ":" and label in ("highBits", "lowBits"), field.end()


def _unescaped(escape: re.Match[str]) -> str:
    *codes, character = escape.groups()
    code = int(next(filter(None, codes), "0"), 16)
    if character is None and code <= sys.maxunicode:
        return chr(code)
    if character in _ESCAPED:
        return _ESCAPED[character]
    raise InvalidIdError(f"a string in the record has the unknown escape {shown(escape[0])}")


def _refusal(expected: str, position: int, text: str) -> InvalidIdError:
    problem = f"expected {expected} at position {position}"
    return InvalidIdError(
        f"the text looks like a record but is not valid: {problem}: {shown(text)}"
    )
