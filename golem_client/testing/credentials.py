"""Who may call: tokens, cookies and origins."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote
from uuid import UUID

from golem_client.testing.names import read_uuid

WELL_KNOWN_TOKEN = "5c832d93-ff85-4a8f-9803-513950fdfdb1"  # noqa: S105 - in Golem's own sources
"""The token of a Golem on one's own machine."""

ReadToken = Callable[[str], object | None]
"""Given a token, returns what Golem compares, or None where it is no token at all."""

_OPAQUE = re.compile(r"[A-Za-z0-9_-]{16,}")
_ORIGIN = re.compile(r"https://.*\.golem\.cloud")


def is_foreign(origin: str) -> bool:
    """Return whether the `Origin` is not one of `https://*.golem.cloud`."""
    return _ORIGIN.fullmatch(origin) is None


def bearer(headers: Mapping[str, str]) -> str | None:
    """Return the bearer token of the request, of whatever syntax."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def uuid_token(text: str) -> UUID | None:
    """Golem 1.3: a UUID, in any syntax of the uuid crate."""
    return read_uuid(text)


def opaque_token(text: str) -> str | None:
    """Golem 1.4 and later: sixteen characters or more of `[A-Za-z0-9_-]`."""
    return text if _OPAQUE.fullmatch(text) else None


def secret(headers: Mapping[str, str], read: ReadToken) -> object | None:
    """Return the secret that Golem goes by: the cookie's before the header's, if well-formed."""
    sent = (_session_cookie(headers), bearer(headers))
    secrets = (read(token) for token in sent if token)
    return next((secret for secret in secrets if secret is not None), None)


def _session_cookie(headers: Mapping[str, str]) -> str | None:
    """Return the cookie's value. It is percent-decoded; quotes are a part of it."""
    for pair in headers.get("Cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == "GOLEM_SESSION":
            return unquote(value)
    return None
