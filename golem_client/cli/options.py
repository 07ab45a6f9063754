"""What the commands have in common: where Golem is, and with which token.

There is no `--token`: everybody on the machine can read a command line. A token comes from
`GOLEM_AUTH_TOKEN`, from `--token-file`, or from a profile of golem-cli.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs
import click

from golem_client import GolemClient, InsecureTransportWarning, RetryPolicy
from golem_client.cli.screen import warn
from golem_client.config import checked_token, checked_url, insecurity
from golem_client.config.environment import (
    Connection,
    connection_from_env,
    connection_from_profile,
    options_from_env,
)
from golem_client.config.options import Secret
from golem_client.config.proxy import Proxy, find_proxy

F = TypeVar("F", bound=Callable[..., Any])

MAX_PAYLOAD_BYTES = 4_000_000
"""What every Golem takes, and the client's own limit."""

DOCTOR = "'golem-promise doctor', with the same options, looks for the cause"

_LARGEST_TOKEN_FILE = 64 * 1024


@attrs.frozen
class Way:
    """The way to Golem.

    Attributes:
        found: Address and token, and what names them.
        proxy: The proxy on the way; None where there is none.
        options: The options of the client that the environment sets.
        insecurity: Why the token is not safe on this way; None where it is, or there is none.
    """

    found: Connection
    proxy: Proxy | None
    options: dict[str, Any]
    insecurity: str | None

    def client(self, **options: Any) -> GolemClient:
        """Return a client; options that are not None win over the environment's."""
        given = {name: value for name, value in options.items() if value is not None}
        own = {} if self.found.verifies_tls else {"ssl": False}
        token = None if self.found.token is None else self.found.token.reveal()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureTransportWarning)  # `insecurity` says it
            return GolemClient(self.found.url, token=token, **{**self.options, **given, **own})


@attrs.frozen
class Target:
    """Where Golem is, as the command line says; what it does not say, the environment does."""

    url: str | None = None
    profile: str | None = None
    token_file: Path | None = None

    def way(self) -> Way:
        """Return the way to it; raise a ValueError that names the setting that is wrong."""
        if self.url is not None and self.profile is not None:
            raise click.UsageError("--url and --profile name two servers: give one of them")
        # Like every command, and unlike the library: the environment's proxy is used.
        options = {"trust_env": True, **options_from_env(RetryPolicy)}
        url = None if self.url is None else checked_url(self.url, name="--url")
        given = self._given_token()
        if self.profile is not None:
            found = connection_from_profile(
                self.profile, needs_token=given is None, source="--profile"
            )
        else:
            found = connection_from_env(url, needs_token=given is None)
        if url is not None:
            found = attrs.evolve(found, url_from="--url")
        if given is not None:
            token_from = f"--token-file {self.token_file}"
            found = attrs.evolve(found, token=given, token_from=token_from)
        proxy = find_proxy(found.url, os.environ) if options["trust_env"] else None
        reason = None
        if found.token is not None:
            url = None if proxy is None else proxy.url
            reason = insecurity(found.url, proxy=url, verifies_tls=found.verifies_tls)
        return Way(found, proxy, options, reason)

    def client(self, **options: Any) -> GolemClient:
        """Return a client of it; options that are not None win over the environment's."""
        try:
            way = self.way()
            client = way.client(**options)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        if way.insecurity is not None:
            warn(way.insecurity)
        return client

    def _given_token(self) -> Secret | None:
        """Return the token of `--token-file`; None where there is no such option."""
        if self.token_file is None:
            return None
        name = f"the token in --token-file {self.token_file}"
        try:
            with self.token_file.open("rb") as file:
                text = file.read(_LARGEST_TOKEN_FILE).decode("utf-8-sig")
        except OSError as error:
            raise ValueError(f"--token-file {self.token_file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{name} is not text in UTF-8") from None
        return Secret(checked_token(text, name=name))


_OPTIONS_OF_THE_LIBRARY = (
    (r"\btoken=", "the token (--token-file, GOLEM_AUTH_TOKEN or the profile's)"),
    (r" GolemClient\.local\(\) has that .* golem-cli\.", ""),
    (r"\bbase_url\b", "--url (or GOLEM_URL)"),
    (r", or more max_connections,", ""),
    (r"\btimeout=", "--timeout"),
    (r"\battempt_timeout\b", "GOLEM_CLIENT_ATTEMPT_TIMEOUT"),
    (r"\bmax_payload_bytes is\b", "the most that every Golem takes is"),
    (r" or ssl=", ""),
    (r"; a name of your own needs an outbox, as Key\(name\)", ""),
)


def in_options(text: str) -> str:
    """Return a text of the library with the options of the command instead of the library's."""
    for name, option in _OPTIONS_OF_THE_LIBRARY:
        text = re.sub(name, option, text)
    return text


def target_options(command: F) -> F:
    """Give a command the options that say where Golem is; it takes them as `target`."""

    @wraps(command)
    def targeted(
        *args: Any, url: str | None, profile: str | None, token_file: Path | None, **options: Any
    ) -> Any:
        return command(*args, target=Target(url, profile, token_file), **options)

    for option in reversed(_TARGET):
        targeted = option(targeted)
    return cast("F", targeted)


def output_option(command: F) -> F:
    """Give a command `--output`; it takes `output`, "text" or "json"."""
    return click.option(
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Text for people, or one line of JSON.",
    )(command)


def concurrency_option(what: str) -> Callable[[F], F]:
    """Return the option `--concurrency`."""
    kind = click.IntRange(1, 1000)
    return click.option("--concurrency", type=kind, default=64, show_default=True, help=what)


def seconds_option(name: str, what: str) -> Callable[[F], F]:
    """Return an option that takes a finite number of seconds greater than 0, or nothing."""
    return click.option(name, type=float, callback=_seconds, metavar="SECONDS", help=what)


def _no_token(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        instead = "use --token-file, GOLEM_AUTH_TOKEN or --profile"
        raise click.UsageError(f"there is no --token, as others can see arguments: {instead}", ctx)


def _seconds(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is None or (value > 0 and math.isfinite(value)):
        return value
    raise click.BadParameter("it must be a finite number greater than 0", ctx, param)


_TARGET = (
    click.option("--url", metavar="URL", help="Golem's address, instead of GOLEM_URL."),
    click.option(
        "--profile", metavar="NAME", help="A profile of golem-cli: its address and token."
    ),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="A file that holds the token, instead of GOLEM_AUTH_TOKEN.",
    ),
    click.option("--token", hidden=True, expose_value=False, callback=_no_token),
)
