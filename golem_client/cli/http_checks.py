"""What `doctor` asks Golem over HTTP: its health, and what it thinks of the token.

The question about the token is a completion that no Golem can take: its worker name is longer than
any version allows and holds a slash, its component is the nil UUID and its index is 0, which no
promise has. Golem 1.1 and 1.2, which store a payload before they look for its promise, refuse the
name before that. 1.3 refuses it after it has seen that the token is well-formed; 1.4 and later
look the token up first. So a refusal of the name tells of the token from 1.4 on, and of nothing
before. Nothing that Golem says is shown, but its version.
"""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import aiohttp
import attrs

from golem_client.cli.checks import Check, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from golem_client.cli.checks import Way

_NAME = quote("golem-promise/doctor/" + 600 * "x", safe="")
_PROBE = f"/v1/components/{UUID(int=0)}/workers/{_NAME}/complete"
_MAX_BODY = 64 * 1024


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
            return "", ""
        errors = body.get("errors")
        words = errors[0] if isinstance(errors, list) and errors else body.get("error")
        code = body.get("code")
        return (
            code if isinstance(code, str) else "",
            words if isinstance(words, str) else "",
        )


async def check_http(way: Way, timeout: float) -> list[Check]:
    """Check health, redirects and the token, as far as there is an answer."""
    async with _session(way, timeout) as session:
        health = await _ask(session, "GET", f"{way.url}/healthcheck")
        version = await _ask(session, "GET", f"{way.url}/version")
        bearer = {"Authorization": f"Bearer {way.token.reveal()}"} if way.token else {}
        probe = await _ask(
            session, "POST", way.url + _PROBE, json={"oplogIdx": 0, "data": []}, headers=bearer
        )
    return [
        read_health(health, version),
        read_redirects([health, probe], way),
        read_probe(probe, has_token=way.token is not None),
    ]


@asynccontextmanager
async def _session(way: Way, timeout: float) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(ssl=way.tls() if way.is_tls else True)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout),
    ) as session:
        yield session


async def _ask(
    session: aiohttp.ClientSession, method: str, url: str, **request: Any
) -> Reply | str:
    """Return the answer, or why there is none."""
    try:
        async with session.request(method, url, allow_redirects=False, **request) as response:
            body = await response.content.read(_MAX_BODY)
            location = response.headers.get("Location", "")
            return Reply(response.status, location, body.decode("utf-8", "replace"))
    except TimeoutError:
        return "no answer in time"
    except (aiohttp.ClientError, OSError, ValueError):
        return "no answer: the connection broke"


def read_health(health: Reply | str, version: Reply | str) -> Check:
    """Say what the health endpoint says; some ways to a Golem have none."""
    if isinstance(health, str):
        todo = "check that it is Golem's HTTP port, and not that of gRPC"
        return Check("health", State.FAILED, health, todo)
    if health.status == 200 and health.json == {}:
        return Check("health", State.OK, f"healthy{_version(version)}")
    if health.status == 200:
        todo = "check that the address is Golem's"
        return Check("health", State.NOTE, "an answer, but not as Golem's", todo)
    if health.status == 404:
        found = "no health endpoint at this address: cannot tell"
        return Check("health", State.NOTE, found)
    todo = "look at Golem's log" if health.status >= 500 else "check that the address is Golem's"
    return Check("health", State.NOTE, f"status {health.status}", todo)


def _version(reply: Reply | str) -> str:
    """Return Golem's version for people; 1.2 and 1.3 do not tell it at this address."""
    body = reply.json if isinstance(reply, Reply) and reply.status == 200 else None
    version = body.get("version") if isinstance(body, dict) else None
    if isinstance(version, str) and re.fullmatch(r"[\w.+-]{1,40}", version, re.ASCII):
        return f", Golem {version}"
    return ""


def read_redirects(replies: list[Reply | str], way: Way) -> Check:
    """Say where requests are led, which is nowhere: redirects are never followed."""
    for reply in replies:
        if isinstance(reply, Reply) and reply.is_redirect:
            found = f"status {reply.status}, to {place(reply.location, way)}"
            todo = "make the address the one it leads to: redirects are not followed"
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
    shown = f"{parts.scheme or urlsplit(way.url).scheme}://{host}"
    if way.token is not None and way.token.reveal() in shown:
        return "an address that cannot be shown"
    return "".join(char for char in shown if char.isprintable())[:80]


_ACCEPTED = Check("token", State.OK, "accepted")
_UNKNOWN = "cannot tell"


def read_probe(probe: Reply | str, *, has_token: bool) -> Check:
    """Say what Golem thinks of the token."""
    if isinstance(probe, str):
        return Check("token", State.NOTE, f"{_UNKNOWN}: {probe}", "look at Golem's log")
    code, words = probe.said
    if probe.status == 401:
        return _refused(probe, words, has_token=has_token)
    if probe.status == 403:
        found = f"{_UNKNOWN}: forbidden (403) before it was looked at"
        return Check("token", State.NOTE, found, "check what is in front of Golem")
    return _read_refusal_of_name(probe.status, code, words)


def _read_refusal_of_name(status: int, code: str, words: str) -> Check:
    # 1.5 has a code, and 1.4 these words: both come after the token was looked up.
    knows = code in ("INVALID_WORKER_ID", "COMPONENT_NOT_FOUND") or words.startswith(
        ("Invalid agent id: ", "Couldn't retrieve component: ")
    )
    if knows and status in (400, 404):
        return _ACCEPTED
    if status == 400 and words.startswith("Invalid worker name: "):
        found = f"{_UNKNOWN}: Golem 1.1 and 1.2 ask for none, and 1.3 looks only at its form here"
        return Check("token", State.NOTE, found)
    if status == 404:
        todo = "check the address: it is that of Golem's API, without /v1"
        return Check("token", State.FAILED, "no Golem API at this address (404)", todo)
    return Check("token", State.NOTE, f"{_UNKNOWN}: status {status}")


def _refused(probe: Reply, words: str, *, has_token: bool) -> Check:
    if not has_token:
        todo = "set GOLEM_AUTH_TOKEN, or log in with golem-cli and use its profile"
        return Check("token", State.FAILED, "Golem asks for a token, and there is none", todo)
    if words.startswith("Unauthorized: Get project error"):
        found = f"{_UNKNOWN}: Golem 1.3 says the same of a bad token and of an unknown component"
        return Check("token", State.NOTE, found)
    if probe.text.strip() == "authorization error":
        todo = "check that it is whole: a UUID for 1.3; 16 or more of A-Z a-z 0-9 _ - for 1.4 on"
        return Check("token", State.FAILED, "Golem says that it is no token at all", todo)
    todo = "check it, log in again with golem-cli, or make a new one"
    return Check("token", State.FAILED, "Golem does not know it (401)", todo)
