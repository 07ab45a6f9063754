"""UUIDs as Rust's uuid crate reads them: its syntaxes, and its words for the rest (facts 2.2)."""

from __future__ import annotations

import re
from uuid import UUID

_HEX = "[0-9a-fA-F]"
_HYPHENATED = "-".join(f"{_HEX}{{{length}}}" for length in (8, 4, 4, 4, 12))
_SYNTAX = re.compile(
    rf"{_HEX}{{32}}|{_HYPHENATED}|\{{{_HYPHENATED}\}}|urn:uuid:{_HYPHENATED}",
)
_GROUPS = (8, 4, 4, 4, 12)


def parse(text: str) -> UUID:
    """Return the UUID; a ValueError has the crate's text."""
    if _SYNTAX.fullmatch(text):
        return UUID(text)
    raise ValueError(_complaint(text))


def _complaint(text: str) -> str:
    inner, offset = _unwrapped(text)
    if (bad := re.search(r"[^0-9a-fA-F-]", inner)) is not None:
        at = len(inner[: bad.start()].encode()) + offset + 1
        return (
            "invalid character: expected an optional prefix of `urn:uuid:` followed by "
            f"[0-9a-fA-F-], found `{bad[0]}` at {at}"
        )
    groups = inner.split("-")
    if len(groups) == 1 and not offset:
        return f"invalid length: expected length 32 for simple format, found {len(text)}"
    if len(groups) != len(_GROUPS):
        return f"invalid group count: expected 5, found {len(groups)}"
    return _wrong_group(groups)


def _unwrapped(text: str) -> tuple[str, int]:
    if text.startswith("{") and text.endswith("}") and len(text) > 1:
        return text[1:-1], 1
    prefix = "urn:uuid:"
    return (text[len(prefix) :], len(prefix)) if text.startswith(prefix) else (text, 0)


def _wrong_group(groups: list[str]) -> str:
    sizes = [
        (index, size, len(group))
        for index, (size, group) in enumerate(zip(_GROUPS, groups, strict=True))
    ]
    index, size, found = next(row for row in sizes if row[1] != row[2])
    return f"invalid group length in group {index}: expected {size}, found {found}"
