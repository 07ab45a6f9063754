"""Who may call: tokens and origins (facts 1, 2.2, 8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from golem_client.testing import uuid_crate

if TYPE_CHECKING:
    from uuid import UUID

WELL_KNOWN_TOKEN = "5c832d93-ff85-4a8f-9803-513950fdfdb1"  # noqa: S105 - public, facts 6
"""The token of a Golem on one's own machine."""

COOKIE = "GOLEM_SESSION"

ReadToken = Callable[[str], object | None]
"""Given a token, returns what Golem compares, or None where it is no token at all."""

_OPAQUE = re.compile(r"[A-Za-z0-9_-]{16,}")
# Golem means any of its subdomains, and takes the text as a regular expression.
_ORIGIN = re.compile("https://*.golem.cloud")


def is_foreign(origin: str | None) -> bool:
    """Return whether the `Origin` is one that the worker service refuses."""
    return origin is not None and _ORIGIN.search(origin) is None


def bearer(headers: Mapping[str, str]) -> str | None:
    """Return the bearer token of the request, of whatever syntax."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def uuid_token(text: str) -> UUID | None:
    """Golem 1.3: a UUID, in any syntax of the uuid crate."""
    try:
        return uuid_crate.parse(text)
    except ValueError:
        return None


def opaque_token(text: str) -> str | None:
    """Golem 1.4 and later: sixteen characters or more of `[A-Za-z0-9_-]`."""
    return text if _OPAQUE.fullmatch(text) else None


def secret(headers: Mapping[str, str], read: ReadToken) -> object | None:
    """Return the secret that Golem goes by: the cookie's before the header's, if well-formed."""
    sent = (_session_cookie(headers), bearer(headers))
    secrets = (read(token) for token in sent if token)
    return next((secret for secret in secrets if secret is not None), None)


def _session_cookie(headers: Mapping[str, str]) -> str | None:
    for pair in headers.get("Cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value.strip('"')
    return None
