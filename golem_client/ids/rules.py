"""What Golem allows in an id, and how a refusal shows the refused value."""

from __future__ import annotations

import re
from uuid import UUID

from golem_client.errors import InvalidIdError

# Golem 1.2 and later; 1.1 allows 100 bytes and fewer characters, and answers so itself.
MAX_NAME_BYTES = 512
MAX_U64 = 2**64 - 1
MIN_I64 = -(2**63)
SHOWN = 80

# At most 20 digits, the most that 64 bits need: int() is slow for a million digits.
_DECIMAL = re.compile(r"0|-?[1-9][0-9]{0,19}")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_URLS = frozenset({"", ".", ".."})


def checked_name(worker_name: str) -> str:
    """Return the worker name; refuse what no Golem accepts or no URL can carry."""
    if not isinstance(worker_name, str):
        raise InvalidIdError(f"the worker name must be a str, not {shown(worker_name)}")
    # A member of an enum becomes its value.
    name = worker_name if type(worker_name) is str else str.__str__(worker_name)
    if name.isascii() and name.isprintable() and len(name) <= MAX_NAME_BYTES:
        if name not in _NOT_IN_URLS:
            return name
        what = f"is {name!r}, which no URL can carry: clients and proxies resolve it as a path"
        raise InvalidIdError(f"the worker name {what if name else 'is empty'}")
    if problem := _problem_of(name):
        raise InvalidIdError(f"the worker name {problem}")
    return name


def _problem_of(name: str) -> str | None:
    # Each character is a byte or more, so a huge name need not be encoded.
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
    """Return the oplog index; refuse what is not an unsigned 64-bit number."""
    if type(oplog_idx) is int and 0 <= oplog_idx <= MAX_U64:
        return oplog_idx
    index = _plain_int(oplog_idx, "the oplog index")
    if not 0 <= index <= MAX_U64:
        raise InvalidIdError(f"the oplog index must be from 0 to {MAX_U64}, not {shown(index)}")
    return index


def uuid_of_halves(high_bits: int, low_bits: int) -> UUID:
    """Return the UUID with these first and last 8 bytes, big-endian, as the uuid crate does."""
    return UUID(
        int=_checked_half(high_bits, "high_bits") << 64 | _checked_half(low_bits, "low_bits")
    )


def _checked_half(bits: int, name: str) -> int:
    half = _plain_int(bits, name)
    if not MIN_I64 <= half <= MAX_U64:
        raise InvalidIdError(f"{name} must be a number of 64 bits, not {shown(half)}")
    return half & MAX_U64


def _plain_int(number: object, name: str) -> int:
    if isinstance(number, int) and not isinstance(number, bool):
        return int(number)
    raise InvalidIdError(f"{name} must be an int, not {shown(number)}")


def checked_uuid(uuid: UUID) -> UUID:
    """Return the UUID as a plain `uuid.UUID`; asyncpg, for one, has a subclass of its own."""
    if type(uuid) is UUID:
        return uuid
    if isinstance(uuid, UUID):
        return UUID(int=uuid.int)
    raise InvalidIdError(f"the component's uuid must be a uuid.UUID, not {shown(uuid)}")


def decimal(text: str, name: str) -> int:
    """Return the number that the text holds, in decimal as Golem prints numbers."""
    if _DECIMAL.fullmatch(text):
        return int(text)
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        problem = "is not a whole number in the digits 0 to 9"
    elif digits.startswith("0"):
        problem = (
            "has a leading zero" if digits.strip("0") else "is zero with extra signs or digits"
        )
    else:
        problem = "is larger than 64 bits"
    raise InvalidIdError(f"{name} {problem}: {shown(text)}")


def shown(value: object) -> str:
    """Return the value in at most 80 printable ASCII characters."""
    if isinstance(value, str):
        return _cut(ascii(value[: SHOWN + 1]))
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    if value is None or isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        keys = [key for key in value if isinstance(key, str)]
        return _cut(f"an object with the keys {ascii(keys)[1:-1]}") if keys else "an object"
    if isinstance(value, list):
        return f"an array of {len(value)} items"
    return _cut(f"a value of class {type(value).__name__!a}")


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
