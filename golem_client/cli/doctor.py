"""`golem-promise doctor`: check the way to Golem, and say what to do.

It asks with a completion that no Golem accepts. Every version refuses a worker name that has a
slash and is not an agent id, before anything is stored: 1.1 and 1.2 at once, 1.3 once the token is
well-formed, 1.4 and later once they have looked the token up. So a refused name shows that the
token is known from 1.4 on, and nothing about it before.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import partial
from typing import Any, Literal

import aiohttp
import attrs
import click
from yarl import URL

from golem_client import (
    BadRequestError,
    DeliveryError,
    GolemClient,
    GolemError,
    PromiseId,
    ResponseError,
    RetryPolicy,
)
from golem_client.cli.exit_codes import ExitCode
from golem_client.cli.options import (
    Target,
    Way,
    in_options,
    output_option,
    seconds_option,
    target_options,
)
from golem_client.cli.screen import run_to_the_end, say, say_json

_NO_PROMISE = PromiseId.parse("00000000-0000-0000-0000-000000000000/golem-promise/doctor/0")
_TIMEOUT = 5.0
_QUICK = 1.0  # to look whether the other scheme answers
_MAX_BODY = 64 * 1024

State = Literal["ok", "note", "failed"]


@attrs.frozen
class Check:
    """One line of the report: what was found, and what to do about it."""

    check: str
    state: State
    found: str
    todo: str = ""


@click.command(
    epilog="""\b
Examples:
  golem-promise doctor
  golem-promise doctor --profile cloud
  GOLEM_URL=https://golem.example golem-promise doctor --output json

\b
Exit codes:
  0    no check failed
  1    a check failed: its line says what to do
  2    wrong usage
"""
)
@target_options
@seconds_option("--timeout", "For each request; 5 by default.")
@output_option
@click.pass_context
def doctor(ctx: click.Context, *, target: Target, timeout: float | None, output: str) -> None:
    """Check the way to Golem step by step, and say what to do.

    It checks the settings and where they come from, the proxy, the connection (host name, port and
    TLS), Golem's health, redirects, and whether Golem accepts the token. A step that cannot run has
    no line. Nothing is completed: the request that tests the token names a promise that no Golem
    can have. No secret is shown.
    """
    seconds = timeout or _TIMEOUT
    try:
        way = target.way()
        client = way.client(
            retry=RetryPolicy.none(), attempt_timeout=seconds, timeout=seconds + _QUICK
        )
    except ValueError as error:
        checks = [Check("settings", "failed", str(error))]
    else:
        answers = _check_answers(way, client, seconds)
        checks = [
            *_check_settings(way),
            *run_to_the_end(answers, interrupted="nothing was completed"),
        ]
    failed = any(check.state == "failed" for check in checks)
    if output == "json":
        say_json({"ok": not failed, "checks": [attrs.asdict(check) for check in checks]})
    else:
        for check in checks:
            state = "FAIL" if check.state == "failed" else check.state
            todo = f" -> {check.todo}" if check.todo else ""
            say(f"{state:<5} {check.check:<10} {check.found}{todo}", indent=" " * 17)
    ctx.exit(ExitCode.FAILED if failed else ExitCode.FULFILLED)


def _check_settings(way: Way) -> list[Check]:
    found = way.found
    checks = [Check("address", "ok", f"{found.url}, from {found.url_from}")]
    if way.proxy is not None:
        checks.append(Check("proxy", "ok", f"{way.proxy}, from {way.proxy.variable}"))
    if found.token is None:
        todo = "set GOLEM_AUTH_TOKEN, unless it is a Golem 1.1 or 1.2, which ask for none"
        checks.append(Check("token from", "note", found.token_from, todo))
    else:
        checks.append(Check("token from", "ok", found.token_from))
    if way.insecurity is not None:
        checks.append(Check("transport", "note", way.insecurity))
    return checks


async def _check_answers(way: Way, client: GolemClient, timeout: float) -> list[Check]:
    """Check the connection, health, redirects and the token, as far as there is an answer."""
    error = await _ask(client)
    connection = await _check_connection(way, error)
    if connection.state == "failed":
        return [connection]
    if isinstance(error, ResponseError) and 300 <= error.status < 400:
        found = f"status {error.status}: {error.message}"
        todo = "use the address that it leads to"
        return [connection, Check("redirects", "failed", found, todo)]
    health = await _check_health(way, timeout)
    token = _check_token(error, has_token=way.found.token is not None)
    return [connection, health, Check("redirects", "ok", "none"), token]


async def _ask(client: GolemClient) -> GolemError | None:
    """Ask for the impossible completion; None where the server says that it was done."""
    try:
        async with client:
            await client.complete_bytes(_NO_PROMISE, b"")
    except GolemError as error:
        return error
    return None


async def _check_connection(way: Way, error: GolemError | None) -> Check:
    found = ""
    if isinstance(error, DeliveryError):
        found = in_options(error.message.replace("attempt_timeout", "--timeout"))
    elif isinstance(error, ResponseError) and error.status == 407:
        found = "the proxy of the environment refused to connect: status 407"
    # Servers of TLS answer 400 to plain HTTP, or nothing.
    is_bad_request = isinstance(error, BadRequestError) and not error.from_golem
    if (found or is_bad_request) and way.proxy is None:
        url = URL(way.found.url)
        scheme = {"http": "https", "https": "http"}[url.scheme]
        turned = url.with_port(url.port).with_scheme(scheme)
        status, _ = await _get(turned, _QUICK, ssl=False) or (400, None)
        if status != 400:
            todo = f"try {turned}: it answers there"
            return Check("connection", "failed", found or "the server answers 400", todo)
    if found:
        todo = next(todo for words, todo in _TODOS if re.search(words, found))
        return Check("connection", "failed", found, todo)
    return Check("connection", "ok", "a server answers")


# What to do, by the words of the client; the first match counts.
_TODOS = (
    ("proxy.* status 407", "give it a user and a password: http://user:password@host:port"),
    ("proxy.* status", "ask who runs the proxy"),
    ("no host named", "check it for a typo, and the network"),
    ("cannot be looked up", "check the network and the name server"),
    ("certificate.* not valid yet", "check the clocks of both machines"),
    ("certificate.* expired", "renew it on the server"),
    ("certificate.* another name", "use the name that it is for"),
    ("the certificate of", "trust it: SSL_CERT_FILE=certificate.pem"),
    (
        "proxy.*refused$",
        "nothing listens there: start the proxy, or correct or unset the variable",
    ),
    (
        "refused$",
        "nothing listens there: start Golem, or correct the port (a local Golem's is 9881)",
    ),
    ("TLS|not HTTP|closed|broke", "check that it is Golem's HTTP port, and not that of gRPC"),
    ("", "check host and port, the firewall, and whether a proxy is needed"),
)


async def _check_health(way: Way, timeout: float) -> Check:
    """Ask Golem's health endpoint, which some ways to a Golem do not lead to."""
    proxy = None if way.proxy is None else way.proxy.url
    get = partial(_get, timeout=timeout, ssl=way.found.verifies_tls, proxy=proxy)
    answer = await get(URL(way.found.url) / "healthcheck")
    if answer == (200, {}):
        version = await get(URL(way.found.url) / "version")
        return Check("health", "ok", f"healthy{_version(version)}")
    if answer is None:
        return Check("health", "note", "no answer", _LOG)
    if answer[0] == 404:
        return Check("health", "note", "no health endpoint at this address: cannot tell")
    return Check("health", "note", f"not Golem's answer: status {answer[0]}", _LOG)


async def _get(url: URL, timeout: float, **options: Any) -> tuple[int, Any] | None:
    """Return the status and the JSON of an answer; None where there is none."""
    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        # Not aiohttp.request(): aiohttp 3.14 does not wait there for the end of TLS.
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(url, allow_redirects=False, **options) as response,
        ):
            status, body = response.status, await response.content.read(_MAX_BODY)
    except (aiohttp.ClientError, OSError):
        return None
    with suppress(ValueError, RecursionError):
        return status, json.loads(body)
    return status, None


def _version(answer: tuple[int, Any] | None) -> str:
    """Return Golem's version for people; 1.2 and 1.3 do not answer it at this address."""
    match answer:
        case 200, {"version": str(version)} if re.fullmatch(r"[\w.+-]{1,40}", version, re.ASCII):
            return f", Golem {version}"
    return ""


def _check_token(error: GolemError | None, *, has_token: bool) -> Check:
    """Return what the answer to the impossible completion says of the token."""
    if not isinstance(error, ResponseError):
        found = "it says that a promise is completed which cannot exist"
        return Check("token", "failed", f"not Golem's answer: {found}", _NOT_GOLEM)
    found = f"status {error.status}: {error.message}"
    if error.from_golem and error.status == 401 and not has_token:
        todo = "set GOLEM_AUTH_TOKEN, or log in with golem-cli and use its profile"
        return Check("token", "failed", "Golem asks for a token, and there is none", todo)
    if error.from_golem:
        said = f"{error.status} {error.code or ''}: {error.message}"
        for words, state, known, todo in _VERDICTS:
            if re.match(words, said):
                return Check("token", state, known, todo)
        if error.worth_retrying:
            return Check("token", "note", f"cannot tell: {found}", _LOG)
        found = f"not Golem's answer: {found}"
    return Check("token", "failed", found, _NOT_GOLEM)


_LOG = "look at Golem's log"
_NOT_GOLEM = (
    "check the address: another server, a login page or a proxy answers there (Golem's address "
    "has no /v1)"
)
_BEFORE_1_4 = "cannot tell: Golem 1.1 and 1.2 ask for none, and 1.3 looks only at its form here"
_FORM = "check that it is whole: a UUID for 1.3; 16 or more of A-Z a-z 0-9 _ - for 1.4 on"
_NEW = "check it, log in again with golem-cli, or make a new one"

# What Golem's answers mean; the first match counts. 1.5 has codes, and 1.4 words.
_VERDICTS: tuple[tuple[str, State, str, str], ...] = (
    ("400 INVALID_WORKER_ID|404 COMPONENT_NOT_FOUND", "ok", "accepted", ""),
    ("400 : Invalid agent id|404 : Couldn't retrieve component", "ok", "accepted", ""),
    ("400 : Invalid worker name", "note", _BEFORE_1_4, ""),
    ("404 : not found", "failed", "no Golem API at this address (404)", _NOT_GOLEM),
    ("401 : authorization error", "failed", "Golem says that it is not a token at all", _FORM),
    ("401 ", "failed", "Golem does not know it (401)", _NEW),
)
