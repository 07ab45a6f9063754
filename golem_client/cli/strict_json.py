"""JSON that is sent as it stands, read as strictly as serde_json does: it cannot be taken back."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 127
"""serde_json refuses the 128th open bracket."""


_SURROGATE = re.compile("[\ud800-\udfff]")
_TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"


class JsonError(ValueError):
    """The text is not JSON as serde_json reads it. The message shows nothing of the text."""


def read_json(text: str, *, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value of a JSON text that serde_json reads, and that means one thing.

    Raises:
        JsonError: It is not JSON, or holds NaN, an infinity, a number beyond the range of f64, an
            object with a key twice, a lone surrogate, or too many levels.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_number
        )
        _check(value, max_depth)
    except json.JSONDecodeError as error:
        message = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        message = _TOO_DEEP
    else:
        return value
    raise JsonError(message)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise JsonError("an object has a key twice")
    return value


def _constant(name: str) -> None:
    raise JsonError(f"{name} is not a JSON number")


def _number(digits: str) -> float:
    """Return an integer; a float, maybe an infinity, where no integer of Rust's can be so long."""
    return int(digits) if len(digits) < 300 else float(digits)


def _check(value: Any, levels: int) -> None:
    """Check numbers and texts, and that no more than so many levels of brackets are open."""
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise JsonError("a text holds a lone surrogate")
    elif isinstance(value, float):
        if math.isinf(value):
            raise JsonError("a number is beyond the range of f64")
    elif isinstance(value, dict | list):
        if not levels:
            raise JsonError(_TOO_DEEP)
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            _check(inner, levels - 1)
