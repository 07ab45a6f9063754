"""JSON as Rust's serde_json accepts it, read by the standard library.

Golem reads request bodies with serde_json, and so does a worker's `await_promise_json`. What it
refuses is refused here too; its error texts are not imitated.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 127
"""serde_json's limit is 128, and it refuses the level that reaches it."""

_NEEDS_A_LOOK = re.compile(r"[0-9]{19}|-0")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class JsonError(ValueError):
    """serde_json does not accept the text."""


def loads(data: bytes) -> Any:
    """Return the value of the JSON text.

    Raises:
        JsonError: serde_json would refuse it.
    """
    try:
        text = data.decode()
        # The hook costs a call for each number, and a payload has one for each byte.
        parse_int = _int if _NEEDS_A_LOOK.search(text) else int
        value = json.loads(text, parse_constant=_refuse, parse_float=_float, parse_int=parse_int)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        where = f"at line {error.lineno} column {error.colno}"
        raise JsonError(f"expected value {where}") from None
    except UnicodeError:
        raise JsonError("invalid unicode code point") from None
    except ValueError as error:
        raise JsonError(f"number out of range: {error}") from None
    except RecursionError:
        raise JsonError("recursion limit exceeded") from None
    if _depth(data) > MAX_DEPTH:
        raise JsonError("recursion limit exceeded")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def _int(text: str) -> int | float:
    """Return a float for what is no 64-bit integer, and for `-0`."""
    if text == "-0" or len(text) > 20:
        return _float(text)
    number = int(text)
    return number if -(2**63) <= number < 2**64 else _float(text)


def _depth(data: bytes) -> int:
    # A cheap upper bound first: most texts have fewer brackets than levels are allowed.
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", _STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
