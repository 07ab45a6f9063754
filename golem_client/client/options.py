"""The options of a client, checked, with what every request needs of them made once."""

from __future__ import annotations

import inspect
import ssl as tls
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict
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
    overload: Overload
    observers: Sequence[Observer]


class ChangeableOptions(TypedDict, total=False):
    """The options that `GolemClient.with_options` takes."""

    timeout: float
    attempt_timeout: float
    retry: RetryPolicy
    converter: cattrs.Converter | None
    headers: Mapping[str, str] | None
    overload: Overload


Field: TypeAlias = "attrs.Attribute[Any]"


def _is_seconds(_: Options, field: Field, value: float) -> None:
    checked_seconds(field.name, value)


def _is_count(_: Options, field: Field, value: int) -> None:
    checked_count(field.name, value)


def _is_any_of(*types: type | None) -> Callable[[Options, Field, Any], None]:
    def check(_: Options, field: Field, value: Any) -> None:
        checked_type(field.name, value, *types)

    return check


def _has_our_rules(_: Options, __: Field, converter: cattrs.Converter | None) -> None:
    if converter is not None and not isinstance(converter, PayloadConverter):
        raise TypeError(
            "converter must be one that make_converter() made: any other lacks its rules"
        )


def _is_overload(_: Options, __: Field, value: Overload) -> None:
    if value not in ("wait", "ignore"):
        raise ValueError('overload must be "wait" or "ignore"')


def _are_observers(_: Options, __: Field, observers: Sequence[Observer]) -> None:
    if not isinstance(observers, Sequence):
        raise TypeError("observers must be a sequence")
    for observer in observers:
        if not all(callable(getattr(observer, name, None)) for name in ("call", "attempt")):
            raise TypeError("each of observers= must have the methods call() and attempt()")


@attrs.frozen(kw_only=True)
class Options:
    """Every option of `GolemClient`, with its default and its check.

    A test compares this list with the constructor, `ClientOptions`, `with_options` and the
    environment's variables.
    """

    timeout: float = attrs.field(default=30.0, validator=_is_seconds)
    attempt_timeout: float = attrs.field(default=10.0, validator=_is_seconds)
    retry: RetryPolicy = attrs.field(default=RetryPolicy(), validator=_is_any_of(RetryPolicy))
    converter: cattrs.Converter | None = attrs.field(default=None, validator=_has_our_rules)
    headers: Mapping[str, str] = attrs.field(default=None, converter=checked_headers, repr=False)
    max_connections: int = attrs.field(default=100, validator=_is_count)
    max_payload_bytes: int = attrs.field(default=4_000_000, validator=_is_count)
    ssl: Tls = attrs.field(
        default=True, validator=_is_any_of(bool, tls.SSLContext, aiohttp.Fingerprint)
    )
    trust_env: bool = attrs.field(default=False, validator=_is_any_of(bool))
    connector: aiohttp.BaseConnector | None = attrs.field(
        default=None, validator=_is_any_of(aiohttp.BaseConnector, None)
    )
    overload: Overload = attrs.field(default="wait", validator=_is_overload)
    observers: Sequence[Observer] = attrs.field(default=(), validator=_are_observers)


@attrs.frozen
class Token:
    """Where the token of each call comes from.

    Attributes:
        fixed: The token; None where a callable returns it, or there is none.
        source: The callable; None where there is none.
        takes_refresh: Whether the callable takes the keyword `refresh`.
    """

    fixed: Secret | None = None
    source: TokenSource | None = None
    takes_refresh: bool = False

    @classmethod
    def of(cls, token: str | TokenSource | None) -> Token:
        """Check the option `token`."""
        if token is None:
            return cls()
        if isinstance(token, str):
            return cls(Secret(checked_token(token)))
        if not callable(token):
            raise TypeError("token must be a string or an async callable that returns one")
        return cls(None, token, _takes_refresh(token))


def _takes_refresh(source: TokenSource) -> bool:
    try:
        parameters = inspect.signature(source).parameters.values()
    except (TypeError, ValueError):  # a callable written in C says nothing of its parameters
        return False
    return any(
        parameter.kind is parameter.VAR_KEYWORD
        or (parameter.name == "refresh" and parameter.kind is not parameter.POSITIONAL_ONLY)
        for parameter in parameters
    )


_OWN_HEADERS = {
    "User-Agent": f"golem-client/{__version__} aiohttp/{aiohttp.__version__}",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
}


def _headers(settings: Settings) -> CIMultiDict[str]:
    headers = CIMultiDict(_OWN_HEADERS)
    headers.update(settings.options.headers)
    if settings.token.fixed is not None:
        headers.update(bearer(settings.token.fixed))
    return headers


def bearer(token: Secret) -> dict[str, str]:
    """Return the header that carries the token."""
    return {"Authorization": f"Bearer {token.reveal()}"}


@attrs.frozen
class Settings:
    """The address, the token and the options of a client, ready for its calls.

    Attributes:
        headers: Every header of a completion, the fixed token's included.
        webhook_headers: Every header of a request to a webhook: nothing secret.
        proxy: The proxy of the environment, where `trust_env` asks for it.
    """

    base_url: str
    token: Token
    options: Options
    proxy: str | None = attrs.field(repr=False)
    headers: CIMultiDict[str] = attrs.field(
        init=False, repr=False, default=attrs.Factory(_headers, takes_self=True)
    )
    webhook_headers: CIMultiDict[str] = attrs.field(
        init=False, repr=False, factory=lambda: CIMultiDict(_OWN_HEADERS)
    )

    @classmethod
    def of(cls, base_url: str, token: str | TokenSource | None, options: Options) -> Settings:
        """Check address and token.

        Raises:
            ValueError: One of them makes no sense.
            TypeError: One of them is of another type.
        """
        url = checked_url(base_url)
        return cls(url, Token.of(token), options, proxy_for(url) if options.trust_env else None)

    def with_options(self, changes: ChangeableOptions) -> Settings:
        """Return the same settings with other options.

        Raises:
            TypeError: One of them cannot be changed.
        """
        unknown = sorted(changes.keys() - ChangeableOptions.__annotations__.keys())
        if unknown:
            raise TypeError(f"with_options() cannot change {', '.join(unknown)}")
        options = attrs.evolve(self.options, **changes)
        return Settings(self.base_url, self.token, options, self.proxy)


def checked_webhook_url(url: str) -> str:
    """Return the URL of a webhook, checked.

    Raises:
        ValueError: It is not https, nor http to this machine. The text does not show it.
    """
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
) -> tuple[str | TokenSource | None, ClientOptions]:
    """Return token and options: those given, before those of the environment and of a profile."""
    from golem_client.config.environment import options_from_env  # noqa: PLC0415 - costly

    if token is None and found.token is not None:
        token = found.token.reveal()
    options = options_from_env(RetryPolicy)
    if not found.verifies_tls:
        options["ssl"] = False
    return token, {**options, **given}  # type: ignore[typeddict-item]
