"""What `doctor` asks Golem over HTTP: its health, and what it thinks of the token.

The question about the token is a completion that no Golem can take: its worker name is longer than
any version allows and holds a slash, its component is the nil UUID and its index is 0, which no
promise has. Golem 1.1 and 1.2, which store a payload before they look for its promise, refuse the
name before that. 1.3 refuses it after it has seen that the token is well-formed; 1.4 and later
look the token up first. So a refused name says that the token is known from 1.4 on, and nothing
about it before. Nothing of an answer is shown but Golem's version.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import aiohttp
import attrs

from golem_client.cli.doctor.checks import Check, State
from golem_client.cli.doctor.connection import certificate_problem, speaks_tls, tls_context
from golem_client.cli.options import Way

_NAME = quote("golem-promise/doctor/" + 600 * "x", safe="")
_PROBE = f"/v1/components/{UUID(int=0)}/workers/{_NAME}/complete"
_MAX_BODY = 64 * 1024
_NOT_GOLEM = (
    "check the address: another server, a login page or a proxy answers there (Golem's address "
    "has no /v1)"
)


@attrs.frozen
class Silence:
    """Why there is no answer, and what to do."""

    reason: str
    todo: str = "check that it is Golem's HTTP port, and not that of gRPC"


@attrs.frozen
class Reply:
    """As much of an answer as is looked at."""

    status: int
    location: str = ""
    text: str = ""

    @property
    def is_redirect(self) -> bool:
        """Whether it leads elsewhere."""
        return 300 <= self.status < 400

    @property
    def json(self) -> Any:
        """Its body as JSON; None where it is none."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None

    @property
    def said(self) -> tuple[str, str]:
        """What Golem says in an error: its code, or "", and its words, or ""."""
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
        return self.said != ("", "")

    def __str__(self) -> str:
        is_html = self.text.lstrip()[:1] == "<"
        return f"status {self.status}{', a web page' if is_html else ''}"


_FRAMEWORK_TEXTS = ("authorization error", "not found", "request-origin not allowed")


async def check_answers(way: Way, timeout: float) -> list[Check]:
    """Check health, redirects and the token, as far as there is an answer."""
    url, token = way.found.url, way.found.token
    bearer = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls_context(way)),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout),
    ) as session:
        health = await _ask(session, way, "GET", "/healthcheck")
        if _may_be_tls(way, health) and await speaks_tls(url, timeout):
            todo = f"try {url.replace('http:', 'https:', 1)}"
            return [Check("health", State.FAILED, "the port speaks TLS, not plain HTTP", todo)]
        if isinstance(health, Silence):
            return [Check("health", State.FAILED, health.reason, health.todo)]
        version = await _ask(session, way, "GET", "/version")
        body = {"oplogIdx": 0, "data": []}
        probe = await _ask(session, way, "POST", _PROBE, json=body, headers=bearer)
    if url.startswith("https:"):
        # aiohttp 3.14 does not wait for TLS connections that the server has closed.
        await asyncio.sleep(0.05)
    redirect = read_redirects([health, probe], way)
    if redirect.state is State.FAILED:
        return [redirect]
    return [
        read_health(health, version, probe),
        redirect,
        read_probe(probe, has_token=token is not None),
    ]


def _may_be_tls(way: Way, health: Reply | Silence) -> bool:
    """Return whether a TLS port could answer so to plain HTTP."""
    is_direct_http = way.found.url.startswith("http:") and way.proxy is None
    return is_direct_http and (isinstance(health, Silence) or health.status == 400)


async def _ask(
    session: aiohttp.ClientSession, way: Way, method: str, path: str, **request: Any
) -> Reply | Silence:
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


def _why_no_answer(error: Exception, way: Way) -> Silence:
    if isinstance(error, TimeoutError):
        return Silence("no answer in time")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused_by_proxy(way, error.status)
    refusal = getattr(error, "certificate_error", None)
    if isinstance(refusal, ssl.SSLCertVerificationError):
        return Silence(*certificate_problem(refusal, way.found.url))
    return Silence("no answer: the connection broke")


def _refused_by_proxy(way: Way, status: int) -> Silence:
    login = "give it a user and a password: http://user:password@host:port"
    todo = login if status == 407 else "ask who runs the proxy"
    return Silence(f"the proxy {way.proxy} answers {status} and opens no way", todo)


def read_health(health: Reply, version: Reply | Silence, probe: Reply | Silence) -> Check:
    """Say what the health endpoint says; some ways to a Golem have none."""
    if health.status == 200 and health.json == {}:
        return Check("health", State.OK, f"healthy{_version(version)}")
    if not isinstance(probe, Reply) or not probe.is_golems:
        return Check("health", State.FAILED, f"not Golem's answer: {health}", _NOT_GOLEM)
    if health.status == 404:
        return Check("health", State.NOTE, "no health endpoint at this address: cannot tell")
    return Check("health", State.NOTE, f"not Golem's answer: {health}", "look at Golem's log")


def _version(reply: Reply | Silence) -> str:
    """Return Golem's version for people; 1.2 and 1.3 do not tell it at this address."""
    body = reply.json if isinstance(reply, Reply) and reply.status == 200 else None
    version = body.get("version") if isinstance(body, dict) else None
    if isinstance(version, str) and re.fullmatch(r"[\w.+-]{1,40}", version, re.ASCII):
        return f", Golem {version}"
    return ""


def read_redirects(replies: list[Reply | Silence], way: Way) -> Check:
    """Say where requests are led: redirects are never followed."""
    for reply in replies:
        if isinstance(reply, Reply) and reply.is_redirect:
            found = f"status {reply.status}, to {place(reply.location, way)}"
            todo = "use the address that it leads to: redirects are not followed"
            return Check("redirects", State.FAILED, found, todo)
    return Check("redirects", State.OK, "none")


def place(location: str, way: Way) -> str:
    """Return the server of a URL: the rest of it may be a secret."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "another address"
    host = parts.netloc.rpartition("@")[2]
    if not host:
        return "another path of the same server"
    shown = f"{parts.scheme or urlsplit(way.found.url).scheme}://{host}"
    if way.found.token is not None and way.found.token.reveal() in shown:
        return "an address that cannot be shown"
    return "".join(char for char in shown if char.isprintable())[:80]


_UNKNOWN = "cannot tell"


def read_probe(probe: Reply | Silence, *, has_token: bool) -> Check:
    """Say what Golem thinks of the token."""
    if isinstance(probe, Silence):
        return Check("token", State.FAILED, f"{_UNKNOWN}: {probe.reason}", "look at Golem's log")
    if not probe.is_golems:
        return Check("token", State.FAILED, f"not Golem's answer: {probe}", _NOT_GOLEM)
    code, words = probe.said
    if probe.status == 401:
        return _refused(words, has_token=has_token)
    return _read_refused_name(probe.status, code, words)


def _read_refused_name(status: int, code: str, words: str) -> Check:
    # 1.5 has a code, and 1.4 these words: both come after the token was looked up.
    knows = code in ("INVALID_WORKER_ID", "COMPONENT_NOT_FOUND") or words.startswith(
        ("Invalid agent id: ", "Couldn't retrieve component: ")
    )
    if knows and status in (400, 404):
        return Check("token", State.OK, "accepted")
    if status == 400 and words.startswith("Invalid worker name: "):
        found = f"{_UNKNOWN}: Golem 1.1 and 1.2 ask for none, and 1.3 looks only at its form here"
        return Check("token", State.NOTE, found)
    if status == 404:
        return Check("token", State.FAILED, "no Golem API at this address (404)", _NOT_GOLEM)
    return Check("token", State.NOTE, f"{_UNKNOWN}: status {status}", "look at Golem's log")


def _refused(words: str, *, has_token: bool) -> Check:
    if not has_token:
        todo = "set GOLEM_AUTH_TOKEN, or log in with golem-cli and use its profile"
        return Check("token", State.FAILED, "Golem asks for a token, and there is none", todo)
    if words.startswith("Unauthorized: Get project error"):
        found = f"{_UNKNOWN}: Golem 1.3 says the same of a bad token and of an unknown component"
        return Check("token", State.NOTE, found)
    if words == "authorization error":
        todo = "check that it is whole: a UUID for 1.3; 16 or more of A-Z a-z 0-9 _ - for 1.4 on"
        return Check("token", State.FAILED, "Golem says that it is no token at all", todo)
    todo = "check it, log in again with golem-cli, or make a new one"
    return Check("token", State.FAILED, "Golem does not know it (401)", todo)
