"""The options of a client, checked, with what every request needs of them made once."""

from __future__ import annotations

import ssl as tls
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypedDict
from urllib.parse import urlsplit

import aiohttp
import attrs
import cattrs
from multidict import CIMultiDict

from golem_client.config import (
    Secret,
    checked_count,
    checked_headers,
    checked_seconds,
    checked_token,
    checked_type,
    checked_url,
    proxy_for,
)
from golem_client.payload.converter import PayloadConverter
from golem_client.retry import RetryPolicy
from golem_client.version import __version__

TokenSource = Callable[[], Awaitable[str]]
Tls = bool | tls.SSLContext | aiohttp.Fingerprint


class ClientOptions(TypedDict, total=False):
    """The options of `GolemClient` besides its address and token."""

    timeout: float
    attempt_timeout: float
    retry: RetryPolicy
    converter: cattrs.Converter | None
    headers: Mapping[str, str] | None
    max_connections: int
    max_payload_bytes: int
    ssl: Tls
    trust_env: bool
    connector: aiohttp.BaseConnector | None


@attrs.frozen(kw_only=True)
class Settings:
    """The options of `GolemClient`, each in the form in which a call uses it."""

    base_url: str
    host: str
    token: Secret | None
    token_source: TokenSource | None
    timeout: float
    attempt_timeout: float
    retry: RetryPolicy
    converter: cattrs.Converter | None
    headers: CIMultiDict[str]
    max_connections: int
    max_payload_bytes: int
    ssl: Tls
    proxy: str | None = attrs.field(repr=False)
    connector: aiohttp.BaseConnector | None


def bearer(token: Secret) -> dict[str, str]:
    """Return the header that carries the token."""
    return {"Authorization": f"Bearer {token.reveal()}"}


def checked_settings(
    base_url: str, token: str | TokenSource | None, options: Mapping[str, Any]
) -> Settings:
    """Check the options: each of `ClientOptions`.

    Raises:
        ValueError: An option makes no sense.
        TypeError: An option is of another type.
    """
    url = checked_url(base_url)
    secret = Secret(checked_token(token)) if isinstance(token, str) else None
    if not (token is None or isinstance(token, str) or callable(token)):
        raise TypeError("token must be a string or an async callable that returns one")
    return Settings(
        base_url=url,
        host=urlsplit(url).hostname or "",
        token=secret,
        token_source=None if isinstance(token, str) else token,
        timeout=checked_seconds("timeout", options["timeout"]),
        attempt_timeout=checked_seconds("attempt_timeout", options["attempt_timeout"]),
        retry=checked_type("retry", options["retry"], RetryPolicy),
        converter=_from_make_converter(options["converter"]),
        headers=_headers(checked_headers(options["headers"])),
        max_connections=checked_count("max_connections", options["max_connections"]),
        max_payload_bytes=checked_count("max_payload_bytes", options["max_payload_bytes"]),
        ssl=checked_type("ssl", options["ssl"], bool, tls.SSLContext, aiohttp.Fingerprint),
        proxy=proxy_for(url) if options["trust_env"] else None,
        connector=checked_type("connector", options["connector"], aiohttp.BaseConnector, None),
    )


def _headers(own: Mapping[str, str]) -> CIMultiDict[str]:
    agent = f"golem-client/{__version__} aiohttp/{aiohttp.__version__}"
    headers = CIMultiDict({"User-Agent": agent})
    headers.update(own)
    headers.update({"Accept-Encoding": "identity", "Content-Type": "application/json"})
    return headers


def _from_make_converter(converter: cattrs.Converter | None) -> cattrs.Converter | None:
    if converter is None or isinstance(converter, PayloadConverter):
        return converter
    raise TypeError("converter must be one that make_converter() made: any other lacks its rules")
