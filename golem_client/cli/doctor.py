"""`golem-promise doctor`: check the way to Golem, and say what to do.

The question about the token is a completion that no Golem can take: its worker name is longer than
any version allows and holds a slash, its component is the nil UUID and its index is 0, which no
promise has. Golem 1.1 and 1.2, which store a payload before they look for its promise, refuse the
name before that. 1.3 refuses it after it has seen that the token is well-formed; 1.4 and later
look the token up first. So a refused name says that the token is known from 1.4 on, and nothing
about it before. Nothing of an answer is shown but Golem's version.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import socket
import ssl
from functools import partial
from typing import Any, Literal
from urllib.parse import quote, urlsplit
from uuid import UUID

import aiohttp
import attrs
import click

from golem_client.cli.exit_codes import ExitCode
from golem_client.cli.options import Target, Way, output_option, seconds_option, target_options
from golem_client.cli.screen import printable, run_to_the_end, say, say_json

_TIMEOUT = 5.0
_QUICK = aiohttp.ClientTimeout(total=1.0)
_PORTS = {"http": 80, "https": 443}
_NAME = quote("golem-promise/doctor/" + 600 * "x", safe="")
_PROBE = f"/v1/components/{UUID(int=0)}/workers/{_NAME}/complete"
_MAX_BODY = 64 * 1024
_UNKNOWN = "cannot tell"
_FRAMEWORK_TEXTS = ("authorization error", "not found", "request-origin not allowed")
_NOT_GOLEM = (
    "check the address: another server, a login page or a proxy answers there (Golem's address "
    "has no /v1)"
)


State = Literal["ok", "note", "failed"]


@attrs.frozen
class Check:
    """One line of the report: what was found, and what to do about it."""

    check: str
    state: State
    found: str
    todo: str = ""


@attrs.frozen
class Reply:
    """As much of an answer as is looked at."""

    status: int
    location: str = ""
    text: str = ""

    @property
    def json(self) -> Any:
        """Its body as JSON; None where it is none."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None

    @property
    def said(self) -> tuple[str, str]:
        """What Golem says in an error: its code, or "", and its words, or ""; for others both."""
        body = self.json
        if not isinstance(body, dict):
            text = self.text.strip()
            return "", text if text in _FRAMEWORK_TEXTS else ""
        errors = body.get("errors") if self.status == 400 else [body.get("error")]
        words = errors[0] if isinstance(errors, list) and errors else None
        code = body.get("code")
        return (code if isinstance(code, str) else "", words if isinstance(words, str) else "")

    @property
    def is_golems(self) -> bool:
        """Whether it is an error as Golem words it."""
        return any(self.said)

    def __str__(self) -> str:
        is_html = self.text.lstrip()[:1] == "<"
        return f"status {self.status}{', a web page' if is_html else ''}"


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
    checks, way = _check_settings(target)
    if way is not None:
        checks += run_to_the_end(
            _check_answers(way, timeout or _TIMEOUT), interrupted="nothing was completed"
        )
    failed = any(check.state == "failed" for check in checks)
    if output == "json":
        say_json({"ok": not failed, "checks": [attrs.asdict(check) for check in checks]})
    else:
        for check in checks:
            state = "FAIL" if check.state == "failed" else check.state
            todo = f" -> {check.todo}" if check.todo else ""
            say(f"{state:<5} {check.check:<10} {check.found}{todo}", indent=" " * 17)
    ctx.exit(ExitCode.FAILED if failed else ExitCode.FULFILLED)


def _check_settings(target: Target) -> tuple[list[Check], Way | None]:
    """Check the settings; a wrong one leaves no way to check."""
    try:
        way = target.way()
    except ValueError as error:
        return [Check("settings", "failed", str(error))], None
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
    return checks, way


async def _check_answers(way: Way, timeout: float) -> list[Check]:
    """Check the connection, health, redirects and the token, as far as there is an answer."""
    token = way.found.token
    bearer = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
    async with aiohttp.ClientSession(
        # aiohttp's own context does not know of an SSL_CERT_FILE that was set after its import.
        connector=aiohttp.TCPConnector(
            ssl=ssl.create_default_context() if way.found.verifies_tls else False
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout),
    ) as session:
        ask = partial(_ask, session, way)
        health = await ask("GET", "/healthcheck")
        if (wrong := await _wrong_scheme(session, way, health)) is not None:
            return [wrong]
        if isinstance(health, Check):
            return [health]
        version = await ask("GET", "/version")
        probe = await ask("POST", _PROBE, json={"oplogIdx": 0, "data": []}, headers=bearer)
    if way.found.url.startswith("https:"):
        # aiohttp 3.14 does not wait for TLS connections that the server has closed.
        await asyncio.sleep(0.05)
    checks = [Check("connection", "ok", "a server answers")]
    redirect = read_redirects([health, probe])
    if redirect.state == "failed":
        return [*checks, redirect]
    token_check = read_probe(probe, has_token=token is not None)
    return [*checks, read_health(health, version, probe), redirect, token_check]


async def _ask(
    session: aiohttp.ClientSession, way: Way, method: str, path: str, **request: Any
) -> Reply | Check:
    """Return the answer, or why there is none."""
    proxy = None if way.proxy is None else way.proxy.url
    try:
        async with session.request(
            method, way.found.url + path, allow_redirects=False, proxy=proxy, **request
        ) as response:
            if response.status == 407:
                return _refused_by_proxy(way, 407)
            body = await response.content.read(_MAX_BODY)
            location = response.headers.get("Location", "")
            return Reply(response.status, location, body.decode("utf-8", "replace"))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _why_no_answer(error, way)


async def _wrong_scheme(
    session: aiohttp.ClientSession, way: Way, health: Reply | Check
) -> Check | None:
    """Find out whether the server speaks TLS where plain HTTP was tried, or the reverse."""
    scheme, _, rest = way.found.url.partition("://")
    is_fine = isinstance(health, Reply) and (scheme == "https" or health.status != 400)
    if is_fine or way.proxy is not None:
        return None
    other = {"http": "https", "https": "http"}[scheme]
    host, port = _server(way.found.url)
    url = f"{other}://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        async with session.get(url, allow_redirects=False, ssl=False, timeout=_QUICK):
            pass
    except (aiohttp.ClientError, OSError, ValueError):
        return None
    speaks = {"http": "plain HTTP, not TLS", "https": "TLS, not plain HTTP"}[other]
    return _no_way(f"the port speaks {speaks}", f"try {other}://{rest}")


def _server(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def _why_no_answer(error: Exception, way: Way) -> Check:
    """Return what an error of the transport means; the first class that fits decides."""
    host, port = _server(way.found.url if way.proxy is None else way.proxy.url)
    match error:
        case aiohttp.ClientHttpProxyError():
            check = _refused_by_proxy(way, error.status)
        case aiohttp.ClientConnectorCertificateError():
            check = certificate_problem(error.certificate_error)
        case aiohttp.ClientConnectorDNSError():
            check = _unknown_name(host, error.os_error)
        case aiohttp.ClientSSLError():
            reason = getattr(error.os_error, "reason", None) or "it broke off"
            check = _no_way(f"no TLS: {reason}", _PORT)
        case aiohttp.ClientConnectorError():
            check = _closed_port(port, error.os_error)
        case TimeoutError():
            check = _no_way("no answer in time", _HOST_AND_PORT)
        case _:
            check = _no_way("no answer: the connection broke", _PORT)
    return check


def _no_way(found: str, todo: str) -> Check:
    return Check("connection", "failed", found, todo)


def _unknown_name(host: str, error: OSError) -> Check:
    found, todo = f"{host} cannot be looked up now", "check the network and the name server"
    if error.errno == socket.EAI_NONAME:
        found, todo = f"no host is named {host}", "check it for a typo, and the network"
    return _no_way(f"{found} ({error.strerror})", todo)


def _closed_port(port: int, error: OSError) -> Check:
    # With several addresses, one error has the text of all and no number.
    numbers = {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}
    if numbers == {errno.ECONNREFUSED}:
        todo = "start Golem, or correct the port (a local Golem's is 9881)"
        return _no_way(f"port {port} refuses connections: nothing listens there", todo)
    words = ", ".join(os.strerror(number) for number in sorted(numbers))
    return _no_way(f"port {port}: {words or 'no connection'}", _HOST_AND_PORT)


_TRUST = "trust it: SSL_CERT_FILE=certificate.pem"
_PORT = "check that it is Golem's HTTP port, and not that of gRPC"
_HOST_AND_PORT = "check host and port, the firewall, and whether a proxy is needed"


def _refused_by_proxy(way: Way, status: int) -> Check:
    login = "give it a user and a password: http://user:password@host:port"
    todo = login if status == 407 else "ask who runs the proxy"
    return _no_way(f"the proxy {way.proxy} answers {status} and opens no way", todo)


def certificate_problem(error: Exception) -> Check:
    """Return what is wrong with a certificate, and what to do."""
    words = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else ""
    found, todo = {
        9: ("it is not valid yet", "check the clocks of both machines"),
        10: ("it has expired", "renew it on the server"),
        18: ("it is self-signed, so no authority vouches for it", _TRUST),
        62: ("it is for another name", "use the name that it is for"),
        64: ("it is for another address", "use the name that it is for"),
    }.get(getattr(error, "verify_code", 0), ("no authority of this machine signed it", _TRUST))
    return _no_way(f"the certificate is refused: {found} ({words})", todo)


def read_health(health: Reply, version: Reply | Check, probe: Reply | Check) -> Check:
    """Say what the health endpoint says; some ways to a Golem have none."""
    if health.status == 200 and health.json == {}:
        return Check("health", "ok", f"healthy{_version(version)}")
    if not isinstance(probe, Reply) or not probe.is_golems:
        return Check("health", "failed", f"not Golem's answer: {health}", _NOT_GOLEM)
    if health.status == 404:
        return Check("health", "note", "no health endpoint at this address: cannot tell")
    return Check("health", "note", f"not Golem's answer: {health}", "look at Golem's log")


def _version(reply: Reply | Check) -> str:
    """Return Golem's version for people; 1.2 and 1.3 do not answer it at this address."""
    body = reply.json if isinstance(reply, Reply) and reply.status == 200 else None
    version = body.get("version") if isinstance(body, dict) else None
    if isinstance(version, str) and re.fullmatch(r"[\w.+-]{1,40}", version, re.ASCII):
        return f", Golem {version}"
    return ""


def read_redirects(replies: list[Reply | Check]) -> Check:
    """Say where requests are led: redirects are never followed."""
    for reply in replies:
        if isinstance(reply, Reply) and 300 <= reply.status < 400:
            found = f"status {reply.status}, to {place(reply.location)}"
            todo = "use the address that it leads to: redirects are not followed"
            return Check("redirects", "failed", found, todo)
    return Check("redirects", "ok", "none")


def place(location: str) -> str:
    """Return the server of a URL: the rest of it may be a secret."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "another address"
    host = parts.netloc.rpartition("@")[2]
    return printable(f"{parts.scheme}://{host}"[:80]) if host else "another path of the same server"


def read_probe(probe: Reply | Check, *, has_token: bool) -> Check:
    """Say what Golem thinks of the token."""
    if isinstance(probe, Check):
        return Check("token", "failed", f"{_UNKNOWN}: {probe.found}", "look at Golem's log")
    if not probe.is_golems:
        return Check("token", "failed", f"not Golem's answer: {probe}", _NOT_GOLEM)
    if probe.status == 401 and not has_token:
        todo = "set GOLEM_AUTH_TOKEN, or log in with golem-cli and use its profile"
        return Check("token", "failed", "Golem asks for a token, and there is none", todo)
    code, words = probe.said
    for status, said, state, found, todo in _VERDICTS:
        if probe.status == status and (code == said or words.startswith(said)):
            return Check("token", state, found, todo)
    return Check("token", "note", f"{_UNKNOWN}: status {probe.status}", "look at Golem's log")


_BY_1_3 = "Golem 1.3 says the same of a bad token and of an unknown component"
_BEFORE_1_4 = "Golem 1.1 and 1.2 ask for none, and 1.3 looks only at its form here"
_FORM = "check that it is whole: a UUID for 1.3; 16 or more of A-Z a-z 0-9 _ - for 1.4 on"
_NEW = "check it, log in again with golem-cli, or make a new one"
_VERDICTS: tuple[tuple[int, str, State, str, str], ...] = (
    # 1.5 says a code and 1.4 words, both after they have looked the token up.
    (400, "INVALID_WORKER_ID", "ok", "accepted", ""),
    (404, "COMPONENT_NOT_FOUND", "ok", "accepted", ""),
    (400, "Invalid agent id: ", "ok", "accepted", ""),
    (404, "Couldn't retrieve component: ", "ok", "accepted", ""),
    (400, "Invalid worker name: ", "note", f"{_UNKNOWN}: {_BEFORE_1_4}", ""),
    (404, "", "failed", "no Golem API at this address (404)", _NOT_GOLEM),
    (401, "Unauthorized: Get project error", "note", f"{_UNKNOWN}: {_BY_1_3}", ""),
    (401, "authorization error", "failed", "Golem says that it is not a token at all", _FORM),
    (401, "", "failed", "Golem does not know it (401)", _NEW),
)
