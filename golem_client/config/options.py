"""Settings: what a client accepts, checked before any I/O.

No message of these checks shows a value that may be a secret.
"""

from __future__ import annotations

import ipaddress
import math
import urllib.request
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import urlsplit

from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

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
        # What frames and describes the body is ours to say.
        "content-type",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "expect",
        "connection",
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


def checked_url(base_url: str) -> str:
    """Return the base URL without a trailing slash.

    Raises:
        ValueError: It is not plain http(s): another scheme, userinfo, a query or a fragment.
    """
    if not isinstance(base_url, str):
        raise TypeError("base_url must be a string")
    if any(char.isspace() or not char.isprintable() or char == "\\" for char in base_url):
        raise ValueError("base_url holds white space, a backslash or control characters")
    url = _read_url(base_url)
    if url is None:
        raise ValueError("base_url cannot be read as a URL: check its host and port")
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError('base_url must start with "http://" or "https://" and name a host')
    if "@" in parts.netloc:
        raise ValueError("base_url must not hold a user name or password: the token is token=")
    if "?" in base_url or "#" in base_url:
        raise ValueError("base_url must not have a query or a fragment")
    return str(url).rstrip("/")


def _read_url(text: str) -> URL | None:
    """Read a URL; None where it is none, so that no error that quotes it becomes a context."""
    try:
        _ = urlsplit(text).port  # urlsplit refuses what yarl takes, and yarl what urlsplit takes
        url = URL(text)
    except ValueError:
        return None
    return None if " " in str(url) else url  # IDNA turns some signs, "¯" say, into a space


def is_private_transport(base_url: str) -> bool:
    """Whether what is sent there cannot be read on the way: TLS, or this machine itself."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme == "https" or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(base_url: str) -> str | None:
    """Return the proxy that the environment names for this address.

    Not aiohttp's `trust_env`: with a matching netrc entry that fails on each request which has a
    token of its own (aiohttp 3.14).

    Raises:
        ValueError: It is not an http(s) proxy.
    """
    parts = urlsplit(base_url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy is None:
        return None
    url = _read_url(proxy)
    if url is None or url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"the proxy for {parts.scheme} that the environment names is not http(s)")
    return proxy


def checked_token(token: str) -> str:
    """Return the token without surrounding white space: one from a file ends in a newline.

    Raises:
        ValueError: It is empty, or no header can carry it.
    """
    if not isinstance(token, str):
        raise TypeError("the token must be a string")
    token = token.strip()
    if not token:
        raise ValueError("the token is empty: leave it out for a Golem that needs none")
    if not (token.isascii() and token.isprintable()):
        raise ValueError("the token holds a character that no header can carry")
    return token


def checked_seconds(name: str, value: float) -> float:
    """Return a time in seconds; aiohttp would take 0 and less for "no limit at all".

    Raises:
        ValueError: It is not finite and greater than 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{name} must be a finite number of seconds greater than 0")
    return seconds


def checked_type(name: str, value: T, *types: type | None) -> T:
    """Return the option as it is.

    Raises:
        TypeError: It is of none of these types; None stands for None itself.
    """
    if any(value is None if type_ is None else isinstance(value, type_) for type_ in types):
        return value
    names = " or ".join(type_.__name__ if type_ else "None" for type_ in types)
    raise TypeError(f"{name} must be a {names}")


def checked_count(name: str, value: int) -> int:
    """Return a count.

    Raises:
        ValueError: It is not at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer")
    if value < 1:
        raise ValueError(f"{name} must be at least 1")
    return value


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return the caller's own headers.

    Raises:
        ValueError: One of them is ours to set, or no request can carry it.
    """
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
    return checked
