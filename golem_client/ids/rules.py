"""What Golem allows in an id, and how a refusal shows what it refuses.

Nothing here runs code of the value's own: a subclass may override anything, and a refusal must
not fail for it. So types are asked by `type()`, and values read by their built-in type's methods.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from golem_client.errors import InvalidIdError

if TYPE_CHECKING:
    from collections.abc import Callable

# Golem 1.2 and later; 1.1 allows 100 bytes and fewer characters, and says so itself.
MAX_NAME_BYTES = 512
MAX_U64 = 2**64 - 1
MIN_I64 = -(2**63)
SHOWN = 80

# At most 20 digits, as 64 bits have: int() of a million digits would take long.
_DECIMAL = re.compile(r"0|-?[1-9][0-9]{0,19}")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def checked_name(worker_name: str) -> str:
    """Return the worker name as a plain str; refuse what no Golem takes or no URL carries."""
    name = worker_name if type(worker_name) is str else exact(worker_name)
    if type(name) is not str:
        raise InvalidIdError(f"the worker name must be a str, not {shown(name)}")
    is_usual = name.isascii() and name.isprintable() and len(name) <= MAX_NAME_BYTES
    if (not is_usual or name in ("", ".", "..")) and (problem := _problem_of(name)):
        raise InvalidIdError(f"the worker name {problem}")
    return name


def _problem_of(name: str) -> str | None:
    if not name:
        return "is empty"
    if name in (".", ".."):
        return f"is {name!r}, which no URL can carry: clients and proxies resolve it as a path"
    # Counting characters first spares encoding a huge name: each takes one byte or more.
    if len(name) > MAX_NAME_BYTES:
        return f"has {len(name)} characters; Golem allows {MAX_NAME_BYTES} bytes: {shown(name)}"
    if unsafe := _UNSAFE.search(name):
        code = ord(unsafe[0])
        what = "a lone surrogate" if code >= 0xD800 else "a control character"
        return f"has {what}, U+{code:04X}, at position {unsafe.start()}: {shown(name)}"
    size = len(name.encode())
    if size > MAX_NAME_BYTES:
        return f"has {size} bytes of UTF-8; Golem allows {MAX_NAME_BYTES}: {shown(name)}"
    return None


def checked_index(oplog_idx: int) -> int:
    """Return the oplog index as a plain int; refuse what is no unsigned 64-bit number."""
    index = oplog_idx if type(oplog_idx) is int else exact(oplog_idx)
    if type(index) is not int:
        raise InvalidIdError(f"the oplog index must be an int, not {shown(index)}")
    if not 0 <= index <= MAX_U64:
        raise InvalidIdError(f"the oplog index must be from 0 to {MAX_U64}, not {shown(index)}")
    return index


def checked_half(bits: int, name: str) -> int:
    """Return half of a UUID as an unsigned number; the JVM and SQL write halves signed."""
    half = exact(bits)
    if type(half) is not int:
        raise InvalidIdError(f"{name} must be an int, not {shown(half)}")
    if not MIN_I64 <= half <= MAX_U64:
        raise InvalidIdError(f"{name} must be a number of 64 bits, not {shown(half)}")
    return half & MAX_U64


def checked_uuid(uuid: UUID) -> UUID:
    """Return the UUID as a plain `uuid.UUID`; database drivers have subclasses of their own."""
    if type(uuid) is UUID:
        return uuid
    if issubclass(type(uuid), UUID):
        try:
            return UUID(int=uuid.int)
        except Exception:  # noqa: BLE001, S110 - a subclass's own code may raise anything
            pass
    raise InvalidIdError(f"the component's uuid must be a uuid.UUID, not {shown(uuid)}")


def uuid_of_halves(high_bits: int, low_bits: int) -> UUID:
    """Return the UUID of its first and its last 8 bytes, big-endian, as the uuid crate does."""
    return UUID(int=checked_half(high_bits, "high_bits") << 64 | checked_half(low_bits, "low_bits"))


def decimal(text: str, name: str) -> int:
    """Return the number that the text is in decimal, as Golem prints numbers; nothing looser."""
    if _DECIMAL.fullmatch(text):
        return int(text)
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        problem = "is not a whole number in the digits 0 to 9"
    elif digits.startswith("0"):
        problem = "has a leading zero" if digits.strip("0") else "is a zero with extra signs"
    else:
        problem = "is larger than 64 bits"
    raise InvalidIdError(f"{name} {problem}: {shown(text)}")


def exact(value: object) -> object:
    """Return the value as the very type that JSON has for it, where it is of a subclass."""
    kind = type(value)
    if kind is str or kind is dict or kind is int or kind is list:
        return value
    copy = next(
        (copy for base, copy in _COPIES if issubclass(kind, base) and kind is not bool), None
    )
    return copy(value) if copy else value


def _plain_dict(record: dict[object, object]) -> dict[object, object]:
    # Not dict.copy: that calls the keys() of a subclass that has an __iter__ of its own. And only
    # keys that are text: others would be hashed anew, by a method of their own.
    items = dict.items(record)
    return {exact(key): value for key, value in items if issubclass(type(key), str)}


_COPIES: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, str.__str__),
    (dict, _plain_dict),
    (list, list.copy),
    (int, int.__int__),
)


def shown(value: object) -> str:
    """Return at most 80 ASCII characters, none of them a control character, for the value."""
    if type(value) is str:
        return _cut(ascii(value[: SHOWN + 1]))
    if type(value) is int and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    # Each type by `is`: `in` would call the __eq__ of a foreign metaclass.
    if value is None or type(value) is int or type(value) is float or type(value) is bool:
        return repr(value)
    if type(value) is dict:
        keys = [key[:SHOWN] for key in islice(value, SHOWN) if type(key) is str]
        return _cut(f"an object with the keys {ascii(keys)[1:-1]}") if keys else "an object"
    if type(value) is list:
        return f"an array of {len(value)} items"
    return _cut(f"a value of {ascii(type.__repr__(type(value)))[2:-2]}")


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
