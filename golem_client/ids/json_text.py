"""Decodes JSON text, and refuses what the `json` module would lose or guess.

By itself, `json` keeps the last of two equal keys, accepts NaN, recurses as deep as the text is
nested, and takes quadratic time for long integers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import accumulate

from golem_client.errors import InvalidIdError
from golem_client.ids.rules import shown

# Golem's deepest answer, with the type descriptions of 1.1, stays below 30.
MAX_DEPTH = 100

# A brace before anything else than a key begins a braced UUID.
_START = re.compile(r'["\[]|\{[ \t\r\n]*+["}]')
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def is_json(text: str) -> bool:
    """Return whether the text begins as a JSON object, array or string."""
    return _START.match(text) is not None


def value_of_json(text: str) -> object:
    """Return the value of the JSON text; numbers with a fraction or exponent stay floats."""
    if _depth(text) > MAX_DEPTH:
        raise InvalidIdError(f"the JSON is nested deeper than {MAX_DEPTH}: {shown(text)}")
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        problem = f"{error.msg} (position {error.pos})"
    else:
        return value
    raise InvalidIdError(f"the text looks like JSON but is not valid: {problem}: {shown(text)}")


def _depth(text: str) -> int:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return 0
    strings_whole = text.replace("\\\\", "").replace('\\"', "")
    outside_strings = "".join(strings_whole.split('"')[::2])
    return max(accumulate(_STEPS.get(character, 0) for character in outside_strings), default=0)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
    raise InvalidIdError(f"the JSON has the key {shown(twice)} twice in one object")


def _integer(digits: str) -> int | float:
    if digits == "-0":
        return -0.0  # as serde_json reads it
    # 40 digits are out of every range, so the number is refused if it belongs to the id.
    return int(digits[:40])


def _no_constant(name: str) -> object:
    raise InvalidIdError(f"the text looks like JSON but is not valid: it contains {name}")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_constant=_no_constant
)
