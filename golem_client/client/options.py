"""The options of a client, checked, with what every request needs of them made once."""

from __future__ import annotations

import ssl as tls
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from urllib.parse import urlsplit

import aiohttp
import attrs
import cattrs
from multidict import CIMultiDict

from golem_client.client.events import Observer
from golem_client.config import (
    Secret,
    checked_count,
    checked_headers,
    checked_seconds,
    checked_token,
    checked_type,
    checked_url,
    is_private_transport,
    proxy_for,
)
from golem_client.payload import PayloadConverter
from golem_client.retry import RetryPolicy
from golem_client.version import __version__

if TYPE_CHECKING:
    from golem_client.config.environment import Connection

TokenSource = Callable[..., Awaitable[str]]
"""An async callable that returns a token: called with no argument, or with `refresh=True`."""

Tls = bool | tls.SSLContext | aiohttp.Fingerprint
Overload = Literal["wait", "ignore"]


class ChangeableOptions(TypedDict, total=False):
    """The options that `GolemClient.with_options` takes."""

    timeout: float
    attempt_timeout: float
    retry: RetryPolicy
    converter: cattrs.Converter | None
    headers: Mapping[str, str] | None
    overload: Overload


class ClientOptions(ChangeableOptions, total=False):
    """The options of `GolemClient` besides its address and token."""

    max_connections: int
    max_payload_bytes: int
    ssl: Tls
    trust_env: bool
    connector: aiohttp.BaseConnector | None
    observers: Sequence[Observer]


def _token(token: str | TokenSource | Secret | None) -> TokenSource | Secret | None:
    if isinstance(token, str):
        return Secret(checked_token(token))
    if token is None or isinstance(token, Secret) or callable(token):
        return token
    raise TypeError("token must be a string or an async callable that returns one")


def _by(check: Callable[[str, Any], object]) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Return a validator of attrs that makes this check."""

    def validate(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        check(field.name, value)

    return validate


def _is_any_of(*types: type | None) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    return _by(lambda name, value: checked_type(name, value, *types))


def _has_our_rules(name: str, converter: cattrs.Converter | None) -> None:
    if converter is not None and not isinstance(converter, PayloadConverter):
        raise TypeError(f"{name} must be one that make_converter() made: any other lacks its rules")


def _is_overload(name: str, value: Overload) -> None:
    if value not in ("wait", "ignore"):
        raise ValueError(f'{name} must be "wait" or "ignore"')


def _are_observers(name: str, observers: Sequence[Observer]) -> None:
    checked_type(name, observers, Sequence)
    for observer in observers:
        if not all(callable(getattr(observer, method, None)) for method in ("call", "attempt")):
            raise TypeError(f"each of {name}= must have the methods call() and attempt()")


def bearer(token: Secret) -> dict[str, str]:
    """Return the header that carries the token."""
    return {"Authorization": f"Bearer {token.reveal()}"}


OWN_HEADERS = CIMultiDict(
    {
        "User-Agent": f"golem-client/{__version__} aiohttp/{aiohttp.__version__}",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
    }
)
"""The headers of each request. One to a webhook has no others: they may be secret."""


def _all_headers(settings: Settings) -> CIMultiDict[str]:
    headers = OWN_HEADERS.copy()
    headers.update(settings.headers)
    if isinstance(settings.token, Secret):
        headers.update(bearer(settings.token))
    return headers


def _proxy(settings: Settings) -> str | None:
    return proxy_for(settings.base_url) if settings.trust_env else None


@attrs.frozen(kw_only=True)
class Settings:
    """The address, the token and every option of a client, each with its default and its check.

    A test compares this list with the constructor, `ClientOptions` and the environment's variables.

    Attributes:
        proxy: The proxy of the environment, where `trust_env` asks for it.
        request_headers: Every header of a completion, the fixed token's included.
    """

    base_url: str = attrs.field(converter=checked_url)
    token: TokenSource | Secret | None = attrs.field(converter=_token)
    timeout: float = attrs.field(default=30.0, validator=_by(checked_seconds))
    attempt_timeout: float = attrs.field(default=10.0, validator=_by(checked_seconds))
    retry: RetryPolicy = attrs.field(default=RetryPolicy(), validator=_is_any_of(RetryPolicy))
    converter: cattrs.Converter | None = attrs.field(default=None, validator=_by(_has_our_rules))
    headers: Mapping[str, str] = attrs.field(default=None, converter=checked_headers, repr=False)
    max_connections: int = attrs.field(default=100, validator=_by(checked_count))
    max_payload_bytes: int = attrs.field(default=4_000_000, validator=_by(checked_count))
    ssl: Tls = attrs.field(
        default=True, validator=_is_any_of(bool, tls.SSLContext, aiohttp.Fingerprint)
    )
    trust_env: bool = attrs.field(default=False, validator=_is_any_of(bool))
    connector: aiohttp.BaseConnector | None = attrs.field(
        default=None, validator=_is_any_of(aiohttp.BaseConnector, None)
    )
    overload: Overload = attrs.field(default="wait", validator=_by(_is_overload))
    observers: Sequence[Observer] = attrs.field(default=(), validator=_by(_are_observers))
    proxy: str | None = attrs.field(
        init=False, repr=False, default=attrs.Factory(_proxy, takes_self=True)
    )
    request_headers: CIMultiDict[str] = attrs.field(
        init=False, repr=False, default=attrs.Factory(_all_headers, takes_self=True)
    )

    def changed(self, changes: ChangeableOptions) -> Settings:
        """Return the same settings with other options; a TypeError where one cannot be changed."""
        unknown = sorted(changes.keys() - ChangeableOptions.__annotations__.keys())
        if unknown:
            raise TypeError(f"with_options() cannot change {', '.join(unknown)}")
        changed = attrs.evolve(self, **changes)
        object.__setattr__(changed, "proxy", self.proxy)  # as the warning of the constructor saw it
        return changed


def checked_webhook_url(url: str) -> str:
    """Return the URL of a webhook; a ValueError that does not show it, where it is none."""
    if not isinstance(url, str):
        raise TypeError("url must be a string")
    url = checked_url(url, name="url")
    if not is_private_transport(url):
        raise ValueError("url must be https, or http to this machine: whoever reads it can use it")
    if not urlsplit(url).path:
        raise ValueError("url has no path: it is not a webhook of an agent")
    return url


def of_environment(
    found: Connection, token: str | TokenSource | None, given: ClientOptions
) -> dict[str, Any]:
    """Return the arguments for a client: those given come before the environment's."""
    from golem_client.config.environment import options_from_env  # noqa: PLC0415 - costly

    if token is None and found.token is not None:
        token = found.token.reveal()
    own = {} if found.verifies_tls else {"ssl": False}
    return {
        "base_url": found.url,
        "token": token,
        **options_from_env(RetryPolicy),
        **own,
        **given,
    }
