"""Settings: what a client accepts, checked before any I/O.

No message of these checks shows a value that may be a secret.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

from yarl import URL

T = TypeVar("T")

_LONGEST_HOST = 253

LOCAL_URL = "http://localhost:9881"
"""Where a Golem on this machine listens: its router, in every version."""

LOCAL_TOKEN = "5c832d93-ff85-4a8f-9803-513950fdfdb1"  # noqa: S105 - Golem's own, and public
"""The well-known token of a Golem on this machine (1.3 and later; 1.1 and 1.2 ignore tokens)."""

CLOUD_URL = "https://release.api.golem.cloud"
"""Golem Cloud."""

_OURS = frozenset(
    {
        "authorization",  # token= is for that
        "cookie",  # a GOLEM_SESSION cookie overrides the token
        "origin",  # Golem answers 403 to a foreign one
        "host",
        "accept-encoding",  # answers are read as they come
        # What frames and describes the body is ours to say.
        "content-type",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "expect",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
    }
)


class Secret:
    """A text that no repr, no `vars`, no `attrs.asdict` and no pickle shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled: make it anew where it is needed")


def checked_url(base_url: str, *, name: str = "base_url") -> str:
    """Return the base URL without a trailing slash. Errors call it by `name`.

    Raises:
        ValueError: It is not plain http(s): another scheme, userinfo, a query or a fragment; or
            no resolver can look its host up.
    """
    if not isinstance(base_url, str):
        raise TypeError(f"{name} must be a string")
    problem = _problem_of_url(base_url)
    if problem:
        base_url = ""  # it may hold a password: no reporter of tracebacks is to see it
        raise ValueError(f"{name} {problem}")
    return str(URL(base_url)).rstrip("/")


def _problem_of_url(text: str) -> str | None:
    if any(char.isspace() or not char.isprintable() or char == "\\" for char in text):
        return "holds white space, a backslash or control characters"
    if read_url(text) is None:
        return "cannot be read as a URL: check its host and port"
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return 'must start with "http://" or "https://" and name a host'
    if "@" in parts.netloc:
        return "must not hold a user name or password: Golem asks for a token instead"
    if "?" in text or "#" in text:
        return "must not have a query or a fragment"
    return None


def read_url(text: str) -> URL | None:
    """Return the URL in a text; None if it is not one, or no resolver can take its host."""
    try:
        _ = urlsplit(text).port  # urlsplit refuses what yarl takes, and yarl what urlsplit takes
        url = URL(text)
        host = url.raw_host or ""
        if host.replace(".", "").isdigit():
            IPv4Address(host)  # aiohttp (3.14) takes no "127.1"
        # As the resolver does: it raises UnicodeError, a ValueError, for labels that are too long.
        is_host = len(host.encode("idna")) <= _LONGEST_HOST
    except ValueError:
        return None
    # IDNA turns some signs, "¯" say, into a space.
    return url if is_host and " " not in str(url) else None


def checked_token(token: str, *, name: str = "the token") -> str:
    """Return the token without surrounding white space: one from a file ends in a newline.

    Raises:
        ValueError: It is empty, or no header can carry it, or it is more than a token: the word
            "Bearer", quotes, or several words. The text calls it by `name`.
    """
    if not isinstance(token, str):
        raise TypeError(f"{name} must be a string")
    token = token.strip()
    problem = _problem_of_token(token)
    if problem:
        token = ""  # it may be a good one with a slip: no reporter of tracebacks is to see it
        raise ValueError(f"{name} {problem}")
    return token


def _problem_of_token(token: str) -> str | None:
    if not token:
        return "is empty: leave it out for a Golem that needs none"
    if re.match(r"(authorization\s*:\s*)?bearer\b(?![._~+/=-])", token, re.IGNORECASE):
        return 'begins with the word "Bearer": give the token alone, the word is added'
    if any(quote in token for quote in "\"'`"):
        return "holds a quotation mark: give the token without quotes"
    if any(char.isspace() for char in token):
        return "holds white space: give the token alone, which is one word"
    if not (token.isascii() and token.isprintable()):
        return "holds a character that no header can carry: it is not plain ASCII"
    return None


def checked_seconds(name: str, value: float) -> float:
    """Return a time in seconds; aiohttp would take 0 and less for "no limit at all"."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds")
    if not 0 < value <= sys.float_info.max:
        raise ValueError(f"{name} must be a finite number of seconds greater than 0")
    return float(value)


def checked_type(name: str, value: T, *types: type | None) -> T:
    """Return the option, or raise a TypeError if it is not of these types; None is None itself."""
    if any(value is None if type_ is None else isinstance(value, type_) for type_ in types):
        return value
    names = " or ".join(type_.__name__ if type_ else "None" for type_ in types)
    raise TypeError(f"{name} must be a {names}")


def checked_count(name: str, value: int) -> int:
    """Return a count, which is at least 1; aiohttp would take 0 for "no limit at all"."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer")
    if value < 1:
        raise ValueError(f"{name} must be at least 1")
    return value


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return the caller's own headers, or raise a ValueError for one that it must not set."""
    if headers is not None and not isinstance(headers, Mapping):
        raise TypeError("headers must be a mapping of strings to strings")
    checked = dict(headers or {})
    for name, value in checked.items():
        if not all(isinstance(part, str) for part in (name, value)):
            raise TypeError("headers must map strings to strings")
        if not name or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError("a name in headers= is not a header's name")
        if name.lower() in _OURS:
            raise ValueError(f"headers= must not set {name}: this client does")
        if not (value.isascii() and (value.isprintable() or not value)):
            raise ValueError(f"the value of {name} in headers= holds a character it cannot carry")
    if len({name.lower() for name in checked}) < len(headers or ()):
        raise ValueError("headers= holds a header twice")
    return checked
