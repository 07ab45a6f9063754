"""What the commands have in common: where Golem is, and with which token.

There is no `--token`: everybody on the machine can read a command line. A token comes from
`GOLEM_AUTH_TOKEN`, from `--token-file`, or from a profile of golem-cli.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click

from golem_client import GolemClient
from golem_client.cli.screen import warn

F = TypeVar("F", bound=Callable[..., Any])

_LARGEST_TOKEN_FILE = 64 * 1024


@attrs.frozen
class Target:
    """Where Golem is, as the command line says; what it does not say, the environment does."""

    url: str | None = None
    profile: str | None = None
    token_file: Path | None = None

    def token(self) -> str | None:
        """Return the token of `--token-file`; None where there is no such option.

        Raises:
            click.UsageError: The file cannot be read, or holds no token.
        """
        if self.token_file is None:
            return None
        try:
            with self.token_file.open("rb") as file:
                token = file.read(_LARGEST_TOKEN_FILE).decode("ascii").strip()
        except OSError as error:
            raise click.UsageError(f"--token-file {self.token_file}: {error.strerror}") from None
        except UnicodeDecodeError:
            token = ""
        if not token or not token.isprintable():
            raise click.UsageError(f"--token-file {self.token_file} does not hold a token")
        return token

    def check(self) -> None:
        """Refuse options that contradict each other, with a click.UsageError."""
        if self.url is not None and self.profile is not None:
            raise click.UsageError("--url and --profile name two servers: give one of them")

    def client(self, **options: Any) -> GolemClient:
        """Return a client of it.

        Raises:
            click.UsageError: A setting is wrong.
        """
        self.check()
        options |= {"token": self.token()}
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                client = self._client(options)
        except ValueError as error:
            raise click.UsageError(str(error).replace("base_url", "--url", 1)) from None
        for warning in caught:
            warn(str(warning.message))
        return client

    def _client(self, options: dict[str, Any]) -> GolemClient:
        if self.profile is not None:
            return GolemClient.from_profile(self.profile, **options)
        return GolemClient.from_env(self.url, **options)


def target_options(command: F) -> F:
    """Give a command the options that say where Golem is; it takes `url, profile, token_file`."""
    for option in reversed(_TARGET):
        command = option(command)
    return command


def output_option(command: F) -> F:
    """Give a command `--output`; it takes `output`, "text" or "json"."""
    return click.option(
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Lines for people, or one line of JSON.",
    )(command)


def seconds_option(name: str, what: str) -> Callable[[F], F]:
    """Return an option that takes a finite number of seconds greater than 0, or nothing."""
    return click.option(name, type=float, callback=_seconds, metavar="SECONDS", help=what)


def _seconds(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is None or (value > 0 and math.isfinite(value)):
        return value
    raise click.BadParameter("it must be a finite number greater than 0", ctx, param)


_TARGET = (
    click.option("--url", metavar="URL", help="Golem's address, instead of GOLEM_URL."),
    click.option("--profile", metavar="NAME", help="A profile of golem-cli: address and token."),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="A file with the token, instead of GOLEM_AUTH_TOKEN.",
    ),
)
