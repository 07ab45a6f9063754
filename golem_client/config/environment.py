"""What the environment says: where Golem is, with which token, and for how long to try.

An address and a token come from the first of these that names one:

1. the arguments of `GolemClient.from_env`
2. `GOLEM_URL` and `GOLEM_AUTH_TOKEN`
3. the profile of golem-cli that `GOLEM_PROFILE` names, or else the default one of its file, found
   in `GOLEM_CONFIG_DIR` or `~/.golem` (see `profiles`); without a file that is the profile `local`,
   a Golem on this machine: `GOLEM_BUILTIN_LOCAL_URL`, or port 9881

A profile's token is sent to that profile's server alone: with `GOLEM_URL` no profile is read, and
`GOLEM_PROFILE` beside it is an error unless `GOLEM_AUTH_TOKEN` is set. `GOLEM_AUTH_TOKEN` goes to
whatever address is in force, a profile's too, as in golem-cli. Golem's well-known local token,
which is not a secret, is used where there is no other and the address is on this machine. A profile
that accepts any certificate does so where it names the address.

Times and retries have variables of their own. golem-cli's `GOLEM_HTTP_TIMEOUT` and its like are
not read: they are ISO-8601 durations, and bound other things.

| variable | value | default |
| --- | --- | --- |
| `GOLEM_CLIENT_TIMEOUT` | seconds for a whole call | 30 |
| `GOLEM_CLIENT_ATTEMPT_TIMEOUT` | seconds for one attempt | 10 |
| `GOLEM_CLIENT_RETRY_MAX_ATTEMPTS` | the most attempts of one call; 1 sends once | 10 |
| `GOLEM_CLIENT_RETRY_MIN_DELAY` | seconds before the first repeat | 0.1 |
| `GOLEM_CLIENT_RETRY_MAX_DELAY` | the most seconds before a repeat | 5 |
| `GOLEM_CLIENT_RETRY_MULTIPLIER` | how much longer each delay is than the last | 2 |
| `GOLEM_CLIENT_RETRY_MAX_JITTER_FACTOR` | the part of a delay that chance adds at most | 0.5 |
| `GOLEM_CLIENT_OVERLOAD` | `wait` or `ignore`: what calls do while Golem is overloaded | `wait` |
| `GOLEM_CLIENT_TRUST_ENV` | `true` or `false`: whether to use the environment's proxy | `false` |

Numbers are plain decimals. A variable that is set and empty is an error, as it is most likely a
secret or a setting that did not arrive, and a payload sent to the wrong Golem cannot be taken back.
Nothing here changes the environment, and no error shows a value that may be a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import attrs

from golem_client.config.options import (
    LOCAL_TOKEN,
    Secret,
    checked_seconds,
    checked_token,
    checked_url,
)
from golem_client.config.profiles import WELL_KNOWN, Environment, Profile, find_profile
from golem_client.config.proxy import is_loopback
from golem_client.frames import made_without_locals

_GIVEN = "the arguments"


@attrs.frozen
class Connection:
    """Where Golem is, and with which token.

    Attributes:
        url: Its address.
        url_from: What names the address, for people.
        token: The token; None where there is none, or where the caller has its own.
        token_from: What names the token, or why there is none. It shows no token.
        verifies_tls: Whether the server's certificate is checked; a profile may say no.
    """

    url: str
    url_from: str
    token: Secret | None
    token_from: str
    verifies_tls: bool = attrs.field(default=True, kw_only=True)


@made_without_locals
def connection_from_env(
    base_url: str | None = None, *, needs_token: bool = True, environ: Environment | None = None
) -> Connection:
    """Return where `GolemClient.from_env` connects to, by default by the process's environment.

    Raises:
        ValueError: A variable or a profile is wrong; the text says which, where, and what to do.
    """
    environ = os.environ if environ is None else environ
    profile = None
    if base_url is not None:
        url, url_from = checked_url(base_url), _GIVEN
    elif (text := _variable("GOLEM_URL", environ)) is not None:
        url, url_from = checked_url(text, name="GOLEM_URL"), "GOLEM_URL"
        if needs_token and "GOLEM_PROFILE" in environ and "GOLEM_AUTH_TOKEN" not in environ:
            raise ValueError(
                "GOLEM_URL and GOLEM_PROFILE both name a server, and a profile's token goes to its "
                "own alone: set GOLEM_AUTH_TOKEN, or unset one of the two"
            )
    else:
        profile = find_profile(_variable("GOLEM_PROFILE", environ), "GOLEM_PROFILE", environ)
        url, url_from = profile.url, _url_from(profile)
    token, token_from = _token(profile, url, environ) if needs_token else (None, _GIVEN)
    verifies_tls = profile is None or not profile.allows_insecure
    return Connection(url, url_from, token, token_from, verifies_tls=verifies_tls)


@made_without_locals
def connection_from_profile(
    name: str,
    *,
    needs_token: bool = True,
    environ: Environment | None = None,
    source: str = "the name of a profile",
) -> Connection:
    """Return where `GolemClient.from_profile` connects to: address and token of the profile alone.

    Raises:
        ValueError: There is no such profile, or it is wrong, or has no token. The text calls the
            name by its `source`.
    """
    if not isinstance(name, str):
        raise TypeError(f"{source} must be a string")
    profile = find_profile(name, source, os.environ if environ is None else environ)
    token, token_from = _own_token(profile) if needs_token else (None, _GIVEN)
    verifies_tls = not profile.allows_insecure
    return Connection(profile.url, _url_from(profile), token, token_from, verifies_tls=verifies_tls)


@made_without_locals
def options_from_env(
    retry_policy: Callable[..., Any], *, environ: Environment | None = None
) -> dict[str, Any]:
    """Return the options that the environment sets: the table of this module.

    `retry_policy` is the class `RetryPolicy`. A variable that makes no sense is a ValueError.
    """
    environ = os.environ if environ is None else environ
    options: dict[str, Any] = {}
    for option in ("timeout", "attempt_timeout"):
        name = f"GOLEM_CLIENT_{option.upper()}"
        if (seconds := _number(name, environ)) is not None:
            options[option] = checked_seconds(name, seconds)
    for option, values in _WORDS.items():
        name = f"GOLEM_CLIENT_{option.upper()}"
        if (word := _variable(name, environ)) is not None:
            if word not in values:
                raise ValueError(f"{name} must be {' or '.join(map(repr, values))}")
            options[option] = values[word]
    fields = {name: _number(f"{_RETRY}{name.upper()}", environ) for name in _DELAYS}
    fields["max_attempts"] = _integer(f"{_RETRY}MAX_ATTEMPTS", environ)
    fields = {name: value for name, value in fields.items() if value is not None}
    if fields:
        options["retry"] = _policy(retry_policy, fields)
    return options


def _variable(name: str, environ: Environment) -> str | None:
    """Return a variable without surrounding white space; None where it is not set."""
    value = environ.get(name)
    if value is None:
        return None
    if not value.strip():
        raise ValueError(f"{name} is set and empty: give it a value, or unset it")
    return value.strip()


def _url_from(profile: Profile) -> str:
    return f"{profile.where} ({profile.url_key})"


def _token(profile: Profile | None, url: str, environ: Environment) -> tuple[Secret | None, str]:
    """Return the token for an address, and what names it or why there is none."""
    name = "GOLEM_AUTH_TOKEN"
    text = _variable(name, environ)
    if text is not None:
        return Secret(checked_token(text, name=name)), name
    if profile is not None:
        return _own_token(profile)
    if is_loopback(url):
        return Secret(LOCAL_TOKEN), WELL_KNOWN
    return None, "no token: nothing names one"


def _own_token(profile: Profile) -> tuple[Secret | None, str]:
    token = profile.required_token()
    if token is not None:
        return token, f"{profile.where} ({profile.token_key})"
    if is_loopback(profile.url):
        return Secret(LOCAL_TOKEN), WELL_KNOWN
    return None, f"no token: {profile.token_key}"


_RETRY = "GOLEM_CLIENT_RETRY_"
_DELAYS = ("min_delay", "max_delay", "multiplier", "max_jitter_factor")
_WORDS: dict[str, dict[str, Any]] = {
    "overload": {"wait": "wait", "ignore": "ignore"},
    "trust_env": {"true": True, "false": False},
}


def _number(name: str, environ: Environment) -> float | None:
    text = _variable(name, environ)
    if text is not None and not re.fullmatch(r"[0-9]{1,30}(\.[0-9]{1,30})?", text):
        raise ValueError(
            f'{name} must be a plain number such as 30 or 2.5, not a duration like "30s" or "PT30S"'
        )
    return None if text is None else float(text)


def _integer(name: str, environ: Environment) -> int | None:
    number = _number(name, environ)
    if number is not None and not number.is_integer():
        raise ValueError(f"{name} must be a whole number such as 5")
    return None if number is None else int(number)


def _policy(retry_policy: Callable[..., Any], fields: dict[str, Any]) -> Any:
    """Make the policy; its refusals name the variables."""
    try:
        return retry_policy(**fields)
    except ValueError as error:
        reason = re.sub(r"RetryPolicy\.(\w+)", lambda m: f"{_RETRY}{m[1].upper()}", str(error))
    raise ValueError(reason)
