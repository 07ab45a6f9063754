"""The environment's proxy: what it is shown, whom it is asked for, and what a caller is warned of.

The proxy is scripted, because none that is installed shows what CONNECT carried.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from golem_client import (
    ConnectionFailedError,
    GolemClient,
    InsecureTransportWarning,
    Outcome,
    RetryPolicy,
)
from tests.authority import Certificate, authority
from tests.samples import PROMISE_ID, TOKEN
from tests.scripted_server import ScriptedServer, message, raw, serving

KEY = "key-of-the-user-77c1"
SECRETS = (TOKEN.encode(), KEY.encode())


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing of proxies yet."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


class Tunnel:
    """A proxy that connects its clients to wherever they want, or refuses with a status.

    Attributes:
        heads: The heads of the CONNECT requests.
        url: Where it listens.
    """

    def __init__(self, status: int = 200) -> None:
        self.heads: list[bytes] = []
        self.url = ""
        self._status = status

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if self._status != 200:
            writer.write(message(self._status, b"<html>no</html>", "text/html"))
            return
        host, port = head.split(b" ")[1].decode().split(":")
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        there, thither = await asyncio.open_connection(host, int(port))
        back = asyncio.create_task(_pump(there, writer))
        try:
            await _pump(reader, thither)
        finally:
            back.cancel()
            thither.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)


@asynccontextmanager
async def tunnel(status: int = 200) -> AsyncIterator[Tunnel]:
    proxy = Tunnel(status)
    async with serving(proxy.serve) as proxy.url:
        yield proxy


@asynccontextmanager
async def a_golem_with_tls(certificate: Certificate) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Yield the address of a server that answers `true`, and the requests that came."""
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readuntil(b"]}")
        writer.write(message())
        await writer.drain()
        await reader.read()

    async with serving(serve, certificate.shown()) as url:
        yield url.replace("http:", "https:"), came


async def test_connect_carries_neither_the_token_nor_the_users_headers(
    proxied: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever runs the proxy must not be able to complete promises; inside TLS both arrive."""
    root = authority(tmp_path)
    async with tunnel() as proxy, a_golem_with_tls(root) as (url, came):
        proxied.setenv("HTTPS_PROXY", proxy.url.removeprefix("http://"))  # no scheme: curl's form
        async with GolemClient(
            url, token=TOKEN, headers={"X-Api-Key": KEY}, trust_env=True, ssl=root.trusted()
        ) as client:
            done = await client.complete_json(PROMISE_ID, 1)
    assert done.outcome is Outcome.FULFILLED
    ((head,), (request,)) = (proxy.heads, came)
    assert head.startswith(b"CONNECT 127.0.0.1:")
    assert [secret in head for secret in SECRETS] == [False, False]
    assert b"authorization" not in head.lower()
    assert [secret in request for secret in SECRETS] == [True, True]


async def test_a_proxy_for_plain_http_gets_the_request_as_it_is(
    proxied: pytest.MonkeyPatch,
) -> None:
    """The whole address is asked for, and nothing is added for the proxy itself."""
    async with ScriptedServer() as proxy:
        proxied.setenv("HTTP_PROXY", proxy.url)
        with pytest.warns(InsecureTransportWarning, match="through the proxy"):
            client = GolemClient("http://localhost:1", token=TOKEN, trust_env=True)
        async with client:
            await client.complete_json(PROMISE_ID, 1)
            proxied.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # nobody was warned of this one
            await client.with_options(timeout=5.0).complete_json(PROMISE_ID, 1)
    request, by_another = proxy.requests
    assert request == attrs.evolve(by_another, connection=request.connection)
    assert request.target.startswith("http://localhost:1/v1/components/")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert "proxy-authorization" not in request.headers


@pytest.mark.parametrize(
    ("no_proxy", "is_asked"),
    [
        ("127.0.0.0/8", False),
        ("127.0.0.1", False),
        ("127.0.*", False),
        ("127.0.0.1:PORT", False),
        ("example.com, 127.0.0.1", False),
        ("*", False),
        ("127.0.0.1:1", True),
        ("10.0.0.0/8", True),
        ("::1", True),
        ("", True),
    ],
)
async def test_no_proxy_is_honoured_as_it_is_written(
    proxied: pytest.MonkeyPatch, no_proxy: str, *, is_asked: bool
) -> None:
    async with ScriptedServer() as proxy, ScriptedServer() as server:
        proxied.setenv("HTTP_PROXY", proxy.url)
        proxied.setenv("NO_PROXY", no_proxy.replace("PORT", server.url.rpartition(":")[2]))
        async with GolemClient(server.url, trust_env=True) as client:
            await client.complete_json(PROMISE_ID, 1)
        assert (len(proxy.requests), len(server.requests)) == (is_asked, not is_asked)


@pytest.mark.parametrize("status", [407, 503])
async def test_a_proxy_that_refuses_is_told_with_its_status(
    proxied: pytest.MonkeyPatch, status: int
) -> None:
    """Nothing was sent to Golem, and the message says who refused."""
    async with tunnel(status) as proxy:
        proxied.setenv("HTTPS_PROXY", proxy.url)
        async with GolemClient(
            "https://golem.example", token=TOKEN, trust_env=True, retry=RetryPolicy.none()
        ) as client:
            with pytest.raises(ConnectionFailedError, match=f"proxy .*status {status}") as caught:
                await client.complete_json(PROMISE_ID, 1)
    error = caught.value
    assert (error.attempts, error.may_have_completed, error.worth_retrying) == (1, False, True)
    assert [TOKEN.encode() in head for head in proxy.heads] == [False]


async def test_a_proxy_that_is_not_there(proxied: pytest.MonkeyPatch) -> None:
    """The message does not blame Golem's address."""
    async with ScriptedServer() as gone:
        url = gone.url
    proxied.setenv("HTTPS_PROXY", url)
    async with GolemClient(
        "https://golem.example", trust_env=True, retry=RetryPolicy.none()
    ) as client:
        with pytest.raises(ConnectionFailedError, match="cannot connect to the proxy"):
            await client.complete_json(PROMISE_ID, 1)


async def test_a_webhook_has_the_proxy_of_its_own_address(proxied: pytest.MonkeyPatch) -> None:
    """Not that of the client's; and none where the environment is not asked for."""
    hook, once = "https://127.0.0.1:1/workers/x/y", RetryPolicy.none()
    async with tunnel(403) as proxy:
        proxied.setenv("HTTPS_PROXY", proxy.url)
        async with GolemClient("http://127.0.0.1:1", trust_env=True, retry=once) as client:
            with pytest.raises(ConnectionFailedError, match="refused to connect: status 403"):
                await client.call_webhook(hook, b"raw")
        async with GolemClient("http://127.0.0.1:1", retry=once) as client:
            with pytest.raises(ConnectionFailedError, match="cannot connect to 127"):
                await client.call_webhook(hook, b"raw")
    assert [b"CONNECT 127.0.0.1:1 "] == [head[:20] for head in proxy.heads]


async def test_no_proxy_reads_a_webhook_on_this_machine(proxied: pytest.MonkeyPatch) -> None:
    """Its plain http would show the URL, by which anybody completes the promise."""
    answers = raw(b"HTTP/1.1 204 No Content\r\n\r\n")
    async with ScriptedServer(answers) as golem, ScriptedServer() as proxy:
        proxied.setenv("HTTP_PROXY", proxy.url)
        async with GolemClient("https://golem.example", trust_env=True) as client:
            await client.call_webhook(f"{golem.url}/workers/x/y", b"raw")
    assert ["/workers/x/y"] == [request.target for request in golem.requests]
    assert [] == proxy.requests


# Warnings


class Ours(GolemClient):
    """A subclass as users write one."""


class OursWithOptions(GolemClient):
    """One with a constructor of its own."""

    def __init__(self, base_url: str, **options: Any) -> None:
        super().__init__(base_url, **options)


PLAIN = "http://golem.example"
MAKERS: dict[str, Callable[[], GolemClient]] = {
    "constructor": lambda: GolemClient(PLAIN, token=TOKEN),
    "subclass": lambda: Ours(PLAIN, token=TOKEN),
    "subclass with a constructor": lambda: OursWithOptions(PLAIN, token=TOKEN),
    "local": lambda: GolemClient.local(trust_env=True),
    "subclass, local": lambda: OursWithOptions.local(trust_env=True),
    "cloud": lambda: GolemClient.cloud(TOKEN, ssl=False),
    "subclass, cloud": lambda: Ours.cloud(TOKEN, ssl=False),
    "from_env": lambda: GolemClient.from_env(timeout=9.0),
    "subclass, from_env": lambda: OursWithOptions.from_env(timeout=9.0),
    "from_profile": lambda: GolemClient.from_profile("plain"),
    "from_profile without checks": lambda: GolemClient.from_profile("careless"),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))
def test_one_warning_points_at_the_line_that_made_the_client(
    make: Callable[[], GolemClient], proxied: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whichever constructor it was; and a warning that is an error is raised there."""
    (tmp_path / ".golem").mkdir()
    profiles: dict[str, dict[str, Any]] = {
        "plain": {"customUrl": PLAIN},
        "careless": {"customUrl": "https://golem.example", "allowInsecure": True},
    }
    static = {"auth": {"Static": {"secret": TOKEN}}}
    content = {"profiles": {name: profile | static for name, profile in profiles.items()}}
    (tmp_path / ".golem" / "config-v4.json").write_text(json.dumps(content))
    proxied.setenv("HOME", str(tmp_path))
    proxied.setenv("GOLEM_CONFIG_DIR", str(tmp_path / ".golem"))
    proxied.setenv("HTTP_PROXY", "http://proxy.example:3128")
    proxied.setenv("GOLEM_AUTH_TOKEN", TOKEN)
    if "env" in inspect.getsource(make).partition("lambda")[2]:
        proxied.setenv("GOLEM_URL", PLAIN)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make()
    (warning,) = caught
    assert warning.category is InsecureTransportWarning
    assert (warning.filename, warning.lineno) == (__file__, make.__code__.co_firstlineno)
    assert TOKEN not in str(warning.message)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GolemClient(PLAIN, trust_env=True),
        lambda: GolemClient("https://localhost", token=TOKEN, ssl=False),
        lambda: GolemClient("https://golem.example", token=TOKEN, trust_env=True),
        lambda: GolemClient("https://golem.example", token=TOKEN, ssl=ssl.create_default_context()),
        GolemClient.local,
    ],
    ids=["no token", "loopback unchecked", "https by proxy", "a context", "local"],
)
def test_nothing_else_warns(make: Callable[[], GolemClient], proxied: pytest.MonkeyPatch) -> None:
    proxied.setenv("HTTP_PROXY", "http://proxy.example:3128")
    proxied.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make()
