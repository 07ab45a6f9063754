"""The plain text spellings of ids: a component's, and what follows it.

Each way to write a component is one row, with the Golem that writes it; another one is another
row. Rows match at the start of a text and have no optional parts, so no text makes them go back.
Text that holds a record is read elsewhere: JSON by `json_text`, and the notations of Rust, WAVE
and MoonBit by `record_text`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from golem_client.errors import InvalidIdError
from golem_client.ids.rules import decimal, shown, uuid_of_halves

if TYPE_CHECKING:
    from collections.abc import Callable

# Python's own idea of white space includes control characters (U+001C to U+001F, U+0085).
WHITE_SPACE = " \t\n\r\v\f"

_UUID = r"([0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12})"
HYPHENATED = re.compile(_UUID)
_HALF = r"(0|[1-9][0-9]{0,19})"


class ComponentSpelling(NamedTuple):
    """How a component's id can stand at the start of a text."""

    written_by: str
    pattern: re.Pattern[str]
    uuid: Callable[..., UUID]


def _uuid_of_decimals(high_bits: str, low_bits: str) -> UUID:
    return uuid_of_halves(int(high_bits), int(low_bits))


COMPONENT_SPELLINGS = (
    ComponentSpelling("Golem, all versions; golem-rust 1.4.0-", HYPHENATED, UUID),
    ComponentSpelling("uuid crate, simple", re.compile(r"([0-9A-Fa-f]{32})"), UUID),
    ComponentSpelling("uuid crate, braced", re.compile(rf"\{{{_UUID}\}}"), UUID),
    ComponentSpelling(
        "golem-rust 1.1.0-1.3.0",
        re.compile(rf"Uuid \{{ high-bits: {_HALF}, low-bits: {_HALF} \}}"),
        _uuid_of_decimals,
    ),
)

# URNs are Golem's of all versions, but for urn:uuid:, which is the uuid crate's.
_UUID_URN = "urn:uuid:"
_COMPONENT_URN = "urn:component:"
_WORKER_URN = "urn:worker:"
_VERSION_IN_URN = re.compile(r"/[0-9]{1,20}")

# Golem's Redis holds a promise under `<uuid>:<name>:<index>`, its completion beside it.
_REDIS_COMPLETION = ":completed"


def component_at_start(text: str) -> tuple[UUID, int] | None:
    """Return the component with which the text begins, and where it ends; None for no component."""
    for spelling in COMPONENT_SPELLINGS:
        if found := spelling.pattern.match(text):
            return spelling.uuid(*found.groups()), found.end()
    return None


def component_from_text(text: str, where: str = "") -> UUID:
    """Read a component's id, alone or in a URN, whose version is passed over."""
    noun = f"component id at {where}" if where else "component id"
    bare = text.strip(WHITE_SPACE)
    urn = next(filter(bare.startswith, (_COMPONENT_URN, _UUID_URN)), "")
    uuid, rest = _split(bare.removeprefix(urn), noun, text)
    if not rest or (urn == _COMPONENT_URN and _VERSION_IN_URN.fullmatch(rest)):
        return uuid
    raise _refusal(
        noun,
        "more follows its UUID",
        text,
        "WorkerId.parse reads a worker's id, PromiseId.parse a promise's",
    )


def worker_from_text(text: str) -> tuple[UUID, str]:
    """Read `<component>/<name>`, `<component>:<name>` or a URN; all of the rest is the name.

    White space at the end is the name's. Golem 1.1 writes URNs that end in the name of a function
    after the worker's; nothing tells it from a name with a slash, so it is taken as one.
    """
    bare = text.lstrip(WHITE_SPACE)
    uuid, rest = _split(bare.removeprefix(_WORKER_URN), "worker id", text)
    separators = "/" if bare.startswith(_WORKER_URN) else "/:"
    if rest and rest[0] in separators:
        return uuid, rest[1:]
    raise _refusal("worker id", "no '/' and worker name follow the component's UUID", text)


def promise_from_text(text: str) -> tuple[UUID, str, int]:
    """Read `<component>/<name>/<index>`, or with colons, as Golem's keys in Redis.

    Names may contain slashes and colons, so the component is taken from the left, the index from
    the right, and the separator after the component is the one before the index.
    """
    bare = text.strip(WHITE_SPACE)
    if bare.startswith("urn:"):
        raise _refusal(
            "promise id",
            "there are no URNs of promises",
            text,
            "from a worker's URN, make PromiseId(WorkerId.parse(urn), oplog_idx)",
        )
    uuid, rest = _split(bare, "promise id", text)
    separator = rest[:1]
    if separator not in ("/", ":"):
        raise _refusal("promise id", "no '/' and worker name follow the component's UUID", text)
    if separator == ":":
        rest = rest.removesuffix(_REDIS_COMPLETION)
    name, found, index = rest[1:].rpartition(separator)
    if not found:
        raise _refusal("promise id", f"no {separator!r} and oplog index follow the name", text)
    return uuid, name, decimal(index, "the oplog index, the last part of a promise id,")


def _split(bare: str, noun: str, text: str) -> tuple[UUID, str]:
    found = component_at_start(bare)
    if found is None:
        raise _refusal(noun, "it does not begin with a component's UUID", text)
    uuid, end = found
    return uuid, bare[end:]


def _refusal(noun: str, problem: str, text: str, advice: str = "") -> InvalidIdError:
    message = f"not a {noun}: {problem}: {shown(text)}"
    return InvalidIdError(f"{message}; {advice}" if advice else message)
