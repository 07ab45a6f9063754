"""The plain text spellings of ids: a component, and what follows it.

Each way to write a component is one row, with the Golem that writes it. Rows match at the start
of a text and have no optional parts, so that no text makes them go back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID

from golem_client.errors import InvalidIdError
from golem_client.ids.rules import decimal, shown, uuid_of_halves

# Python's own idea of white space includes control characters (U+001C to U+001F, U+0085).
WHITE_SPACE = " \t\n\r\v\f"

_UUID = r"([0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12})"
_HALF = r"(0|[1-9][0-9]{0,19})"


def _uuid_of_decimals(high_bits: str, low_bits: str) -> UUID:
    return uuid_of_halves(int(high_bits), int(low_bits))


HYPHENATED = re.compile(_UUID)
COMPONENT_SPELLINGS: tuple[tuple[re.Pattern[str], Callable[..., UUID]], ...] = (
    # Golem, all versions; golem-rust 1.4 and later
    (HYPHENATED, UUID),
    # the uuid crate, simple and braced
    (re.compile(r"([0-9A-Fa-f]{32})"), UUID),
    (re.compile(rf"\{{{_UUID}\}}"), UUID),
    # golem-rust 1.1 to 1.3
    (re.compile(rf"Uuid \{{ high-bits: {_HALF}, low-bits: {_HALF} \}}"), _uuid_of_decimals),
)

# The uuid crate's URN; and those of Golem, all versions.
_UUID_URN = "urn:uuid:"
_COMPONENT_URN = "urn:component:"
_WORKER_URN = "urn:worker:"
_VERSION_IN_URN = re.compile(r"/[0-9]{1,20}")

_FROM_ITS_WORKER = "an id is such as f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"
# For callers who pass the key of an order, say.
_NO_KEYS = f"{_FROM_ITS_WORKER}; a name of your own needs an outbox, as Key(name)"

# Golem's Redis holds a promise under `<uuid>:<name>:<index>`, and its completion beside it.
_REDIS_COMPLETION = ":completed"


def component_from_text(text: str, where: str = "") -> UUID:
    """Read a component id, alone or in a URN, whose version is ignored."""
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

    White space at the end is part of the name. In the URNs of Golem 1.1, the name of a function
    may follow the worker's; it looks like a name with a slash, and is read as one.
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
    if bare[:4].lower() == "urn:":
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
    """Return the component with which the text begins, and the rest of the text."""
    for pattern, uuid_of in COMPONENT_SPELLINGS:
        if found := pattern.match(bare):
            return uuid_of(*found.groups()), bare[found.end() :]
    advice = _NO_KEYS if noun == "promise id" else ""
    raise _refusal(noun, "it does not begin with a component's UUID", text, advice)


def _refusal(noun: str, problem: str, text: str, advice: str = "") -> InvalidIdError:
    message = f"not a {noun}: {problem}: {shown(text)}"
    if noun == "promise id":
        advice = advice or _FROM_ITS_WORKER
    return InvalidIdError(f"{message}; {advice}" if advice else message)
