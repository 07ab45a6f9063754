"""UUIDs and worker names: which each generation of Golem accepts, and what it makes of them."""

from __future__ import annotations

import re
from uuid import UUID

MAX_BYTES = 512

_HYPHENATED = "-".join(f"[0-9a-fA-F]{{{length}}}" for length in (8, 4, 4, 4, 12))
_UUID = re.compile(
    rf"[0-9a-fA-F]{{32}}|{_HYPHENATED}|\{{{_HYPHENATED}\}}|urn:uuid:{_HYPHENATED}",
)
# `.` does not cross newlines, as in Golem.
_AGENT_ID = re.compile(r"([^(]+)\((.*)\)(?:\[([^\]]+)\])?")
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"?|[^"]+')


def read_uuid(text: str) -> UUID | None:
    """Return the UUID in any syntax that Rust's uuid crate reads, or None."""
    return UUID(text) if _UUID.fullmatch(text) else None


class BadNameError(ValueError):
    """The generation does not accept the name; the text is Golem's own."""


def name_of_1_1(name: str) -> str:
    """Golem 1.1: 1 to 100 bytes of Unicode alphanumerics, `_` and `-`, no dash first."""
    if not 1 <= len(name.encode()) <= 100:
        raise BadNameError("Worker name must be between 1 and 100 characters")
    if _has_whitespace(name):
        raise BadNameError("Worker name must not contain spaces")
    if not all(char.isalnum() or char in "_-" for char in name):
        rule = "Worker name must contain only alphanumeric characters, underscores, and dashes"
        raise BadNameError(rule)
    if name.startswith("-"):
        raise BadNameError("Worker name must not start with a dash")
    return name


def name_of_1_2(name: str) -> str:
    """Golem 1.2 and 1.3: 1 to 512 bytes, no white space, no `/`, no dash first."""
    if not 1 <= len(name.encode()) <= MAX_BYTES:
        raise BadNameError("Worker name must be between 1 and 512 characters")
    if _has_whitespace(name):
        raise BadNameError("Worker name must not contain whitespaces")
    if "/" in name:
        raise BadNameError("Worker name must not contain '/'")
    if name.startswith("-"):
        raise BadNameError("Worker name must not start with '-'")
    return name


def name_of_1_5(name: str) -> str:
    """Golem 1.5: an agent id, which is normalised, or a name without `/`; 512 bytes of either."""
    agent_id = _normalised(name)
    if agent_id is not None:
        _check_length("Agent id", "agent id", agent_id)
        return agent_id
    _check_length("Legacy worker id", "worker id", name)
    if "/" in name:
        raise BadNameError(f"Legacy worker id cannot contain '/', worker id: {name}")
    return name


def _normalised(name: str) -> str | None:
    """Return the agent id without its needless white space, or None where it is no agent id."""
    match = _AGENT_ID.fullmatch(name.strip())
    if match is None or not match[1].strip():
        return None
    type_name, params, phantom = match.groups()
    agent_id = f"{type_name.strip()}({_without_whitespace(params)})"
    if phantom is None:
        return agent_id
    uuid = read_uuid(phantom.strip())
    return None if uuid is None else f"{agent_id}[{uuid}]"


def _without_whitespace(params: str) -> str:
    """Drop ASCII white space outside double-quoted strings."""
    return "".join(
        part if part.startswith('"') else re.sub(r"[ \t\r\n]", "", part)
        for part in _STRINGS.findall(params)
    )


def _check_length(kind: str, label: str, name: str) -> None:
    if (length := len(name.encode())) > MAX_BYTES:
        raise BadNameError(
            f"{kind} is too long: {length}, max length: {MAX_BYTES}, {label}: {name}"
        )


def _has_whitespace(name: str) -> bool:
    # Rust's white space, which leaves out the four separators that Python counts in.
    return any(char.isspace() and char not in "\x1c\x1d\x1e\x1f" for char in name)
