"""`golem-promise doctor`: what it finds on the way, and what it says to do."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from golem_client.cli.doctor import (
    Check,
    Reply,
    certificate_problem,
    place,
    read_health,
    read_probe,
)
from golem_client.testing import FakeGolem
from tests.command_line import Ran, golem_promise
from tests.scripted_server import RESET, ScriptedServer, answer, raw, serving, stall

# Self-signed, for localhost and 127.0.0.1, for a hundred years; nobody trusts it.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUHnRXIbpfES5BhQpivO+UW5HhdYAwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjE2MzY0NVoYDzIxMjYxMDI5
MTYzNjQ1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQK+QNV82t3VHN2RzuIciWWt97EDrlQHqAtyBli1hnREda28Nlp9LaT
gKCpur4dK9tbwcCuUwT+hznoHXbtKkcoo28wbTAdBgNVHQ4EFgQUCuMRt8LLePie
K5Loj56yJeRrj8owHwYDVR0jBBgwFoAUCuMRt8LLePieK5Loj56yJeRrj8owDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhANctXimMt2d8XG6ZgDWNeAEGeJ759TU+ZtOVHXcgdVKjAiEA
nG9vhucOr6DyWLQDhC9C8ACa/39Us0DXIU2lkRxoG68=
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5sT4OMLZbvkok06S
ZhqAWu1dorwwggSCE2X7hNt/UByhRANCAAQK+QNV82t3VHN2RzuIciWWt97EDrlQ
HqAtyBli1hnREda28Nlp9LaTgKCpur4dK9tbwcCuUwT+hznoHXbtKkco
-----END PRIVATE KEY-----
"""
TOKEN = "zorro-4f8c0a5be1d24c7f"
ID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"
GOLEMS = Reply(400, text='{"code":"INVALID_WORKER_ID","errors":["Invalid worker id: x"]}')


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Return an environment in which nothing leads to a Golem."""
    for name in os.environ:
        if name.startswith("GOLEM_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


async def doctor(*arguments: str) -> tuple[Ran, dict[str, tuple[str, str, str]]]:
    """Run it; return each check by its name: state, found, todo."""
    ran = await golem_promise("doctor", "--output", "json", *arguments)
    report = json.loads(ran.out)
    assert report["ok"] is (ran.code == 0)
    checks = {
        check["check"]: (check["state"], check["found"], check["todo"])
        for check in report["checks"]
    }
    return ran, checks


def states(checks: dict[str, tuple[str, str, str]]) -> dict[str, str]:
    return {name: state for name, (state, _, _) in checks.items()}


@pytest.mark.parametrize(
    ("dialect", "token", "found"),
    [
        ("1.1", "note", "cannot tell: Golem 1.1 and 1.2 ask for none"),
        ("1.3", "note", "cannot tell: Golem 1.1 and 1.2 ask for none, and 1.3 looks only"),
        ("1.5", "ok", "accepted"),
    ],
)
async def test_all_is_well(dialect: str, token: str, found: str) -> None:
    """In each dialect, and as far as it can be told."""
    async with FakeGolem(dialect=dialect) as golem:
        promise_id = golem.create_promise()
        ran, checks = await doctor("--url", golem.url)
        assert golem.payload(promise_id) is None
        assert 0 == golem._golem.promises.writes
    assert (0, "") == (ran.code, ran.err)
    assert {
        "address": "ok",
        "token from": "ok",
        "connection": "ok",
        "health": "ok",
        "redirects": "ok",
        "token": token,
    } == states(checks)
    assert found in checks["token"][1]
    assert "healthy, Golem 1." in checks["health"][1]


@pytest.mark.parametrize("dialect", ["1.1", "1.3", "1.5"])
async def test_what_it_asks_can_complete_nothing(dialect: str) -> None:
    """No promise that any Golem could have: name, component and index are each impossible."""
    async with FakeGolem(dialect=dialect) as golem:
        await doctor("--url", golem.url)
        asked = [request for request in golem.requests if request.method != "GET"]
        (probe,) = asked
        assert (True, b"") == (len(probe.path) > 512, probe.payload)
        assert ("/00000000-0000-0000-0000-000000000000/" in probe.path, 400) == (True, probe.status)
        assert b'"oplogIdx": 0' in probe.body


@pytest.mark.parametrize(
    ("dialect", "token", "found"),
    [
        ("1.3", "not-a-uuid", "Golem says that it is not a token at all"),
        ("1.5", "short", "Golem says that it is not a token at all"),
        ("1.5", TOKEN, "Golem does not know it (401)"),
    ],
)
async def test_a_token_that_is_not_accepted(
    settings: pytest.MonkeyPatch, dialect: str, token: str, found: str
) -> None:
    """The check fails, and says what to do."""
    settings.setenv("GOLEM_AUTH_TOKEN", token)
    async with FakeGolem(dialect=dialect) as golem:
        ran, checks = await doctor("--url", golem.url)
    assert (1, "failed", found) == (ran.code, *checks["token"][:2])
    assert (True, False) == (bool(checks["token"][2]), token in ran.out + ran.err)


class TestWay:
    """The steps before HTTP: the first that fails is the last."""

    async def test_a_wrong_setting(self, settings: pytest.MonkeyPatch) -> None:
        """Nothing else can be checked then."""
        settings.setenv("GOLEM_URL", "https://user:zorro@golem")
        ran, checks = await doctor()
        assert (1, {"settings": "failed"}) == (ran.code, states(checks))
        assert ("zorro" in ran.out, "GOLEM_URL must not" in checks["settings"][1]) == (False, True)

    @pytest.mark.parametrize(
        "variable", ["GOLEM_CLIENT_TIMEOUT", "GOLEM_CLIENT_RETRY_MAX_ATTEMPTS"]
    )
    async def test_a_wrong_time(self, settings: pytest.MonkeyPatch, variable: str) -> None:
        """It would fail each command."""
        settings.setenv(variable, "PT30S")
        ran, checks = await doctor("--url", "http://127.0.0.1:1")
        assert (1, {"settings": "failed"}) == (ran.code, states(checks))
        assert checks["settings"][1].startswith(variable)

    async def test_a_name_that_nobody_knows(self) -> None:
        """The reserved domain `invalid` has none."""
        ran, checks = await doctor("--url", "http://golem.invalid")
        assert (1, "failed") == (ran.code, checks["connection"][0])
        assert "no host is named golem.invalid (" in checks["connection"][1]

    async def test_a_name_server_that_is_away(self, settings: pytest.MonkeyPatch) -> None:
        """It says nothing of the name."""

        def away(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        settings.setattr(socket, "getaddrinfo", away)
        ran, checks = await doctor("--url", "http://golem.example")
        assert (1, "failed") == (ran.code, checks["connection"][0])
        assert "golem.example cannot be looked up now (Temporary" in checks["connection"][1]

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:1", "http://localhost:1", "https://127.0.0.1:1"]
    )
    async def test_a_closed_port(self, url: str) -> None:
        """Golem is down, or elsewhere."""
        ran, checks = await doctor("--url", url)
        assert (1, "connection") == (ran.code, list(checks)[-1])
        assert (
            "failed",
            "port 1 refuses connections: nothing listens there",
            "start Golem, or correct the port (a local Golem's is 9881)",
        ) == checks["connection"]

    @pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH])
    async def test_a_host_that_cannot_be_reached(
        self, settings: pytest.MonkeyPatch, number: int
    ) -> None:
        """In the system's words."""

        async def unreachable(*_: object, **__: object) -> None:
            raise OSError(number, "Connect call failed ('192.0.2.1', 1)")

        settings.setattr("aiohappyeyeballs.start_connection", unreachable)
        _, checks = await doctor("--url", "http://127.0.0.1:1")
        assert ("failed", f"port 1: {os.strerror(number)}") == checks["connection"][:2]

    @pytest.mark.parametrize("step", [answer(), answer(404, b"<html>")], ids=["golem", "web"])
    async def test_https_to_a_port_of_plain_http(self, step: Any) -> None:
        """It says to try http."""
        async with ScriptedServer(step) as server:
            url = server.url.replace("http:", "https:")
            ran, checks = await doctor("--url", url, "--timeout", "0.5")
        assert (1, "connection") == (ran.code, list(checks)[-1])
        assert (
            "failed",
            "the port speaks plain HTTP, not TLS",
            f"try {server.url}",
        ) == checks["connection"]

    async def test_https_to_a_server_that_refuses_tls_at_once(self) -> None:
        """FakeGolem answers the handshake with a 400."""
        async with FakeGolem() as golem:
            _, checks = await doctor("--url", golem.url.replace("http:", "https:"))
            assert ("failed", f"try {golem.url}") == checks["connection"][::2]

    async def test_https_to_a_port_that_speaks_neither(self) -> None:
        """It says that nothing came."""
        async with serving(silence) as url:
            _, checks = await doctor("--url", url.replace("http:", "https:"), "--timeout", "0.05")
        assert ("failed", "no answer in time") == checks["connection"][:2]

    async def test_https_to_a_port_of_something_else(self) -> None:
        """It is not told to be HTTP."""

        async def ssh(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")

        async with serving(ssh) as url:
            _, checks = await doctor("--url", url.replace("http:", "https:"))
        state, found, todo = checks["connection"]
        assert ("failed", "no TLS: ", "check that it is Golem's") == (state, found[:8], todo[:24])

    async def test_http_to_a_port_of_tls(self, tmp_path: Path) -> None:
        """It says to try https."""
        async with tls_server(tmp_path) as url:
            ran, checks = await doctor("--url", url.replace("https:", "http:"))
        expected = ("failed", "the port speaks TLS, not plain HTTP", f"try {url}")
        assert (1, expected) == (ran.code, checks["connection"])

    async def test_no_token_and_plain_http(self, settings: pytest.MonkeyPatch) -> None:
        """Both are worth a note."""
        _, without = await doctor("--url", "http://golem.invalid")
        settings.setenv("GOLEM_AUTH_TOKEN", TOKEN)
        ran, checks = await doctor("--url", "http://golem.invalid")
        assert ("note", "note", True) == (
            without["token from"][0],
            checks["transport"][0],
            "unencrypted to http://golem.invalid: use https" in checks["transport"][1],
        )
        assert "transport" not in without
        assert TOKEN not in ran.out


class TestOrigins:
    """Where each setting comes from."""

    async def test_of_a_profile(self, tmp_path: Path) -> None:
        """The file, and the keys in it."""
        auth = {"Static": {"secret": TOKEN}}
        profile = {"customUrl": "http://127.0.0.1:1", "auth": auth}
        (tmp_path / ".golem").mkdir()
        file = tmp_path / ".golem" / "config-v4.json"
        file.write_text(json.dumps({"profiles": {"p": profile}, "defaultProfile": "p"}))
        for arguments in ((), ("--profile", "p")):
            ran, checks = await doctor(*arguments)
            where = f"the profile 'p' of {file}"
            assert (
                f"http://127.0.0.1:1, from {where} (profiles.p.customUrl)",
                f"{where} (profiles.p.auth.Static.secret)",
                False,
            ) == (checks["address"][1], checks["token from"][1], TOKEN in ran.out)

    async def test_of_the_command_line(self, tmp_path: Path) -> None:
        """By the names of its options."""
        (tmp_path / "token").write_text(TOKEN)
        path = str(tmp_path / "token")
        _, checks = await doctor("--url", "http://127.0.0.1:1", "--token-file", path)
        assert ("http://127.0.0.1:1, from --url", f"--token-file {path}") == (
            checks["address"][1],
            checks["token from"][1],
        )

    async def test_of_both_a_url_and_a_profile(self) -> None:
        """They contradict each other."""
        ran = await golem_promise("doctor", "--url", "http://x", "--profile", "p")
        assert ran.code == 2


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    while await reader.read(1024):
        pass


@asynccontextmanager
async def connecting(url: str) -> AsyncIterator[str]:
    """Be a proxy that leads every CONNECT to one server."""
    port = int(url.rpartition(":")[2])

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await asyncio.gather(forward(reader, far_writer), forward(far_reader, writer))
        finally:
            far_writer.close()

    async with serving(handle) as proxy:
        yield proxy


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def tls_server(tmp_path: Path) -> AsyncIterator[str]:
    """Serve `{}` over TLS, with a certificate that nobody trusts."""
    (tmp_path / "certificate.pem").write_text(CERTIFICATE)
    (tmp_path / "key.pem").write_text(KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (await reader.readline()).strip():
                pass
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


class TestTls:
    """Over TLS."""

    async def test_a_certificate_that_nobody_trusts(self, tmp_path: Path) -> None:
        """It says what is wrong with it."""
        async with tls_server(tmp_path) as url:
            ran, checks = await doctor("--url", url)
        assert (1, "failed") == (ran.code, checks["connection"][0])
        found, todo = checks["connection"][1:]
        assert "refused: it is self-signed, so no authority vouches for it (" in found
        assert "SSL_CERT_FILE" in todo

    @pytest.mark.parametrize(
        ("code", "found", "todo"),
        [
            (9, "it is not valid yet", "check the clocks"),
            (10, "it has expired", "renew it"),
            (18, "it is self-signed", "trust it: SSL_CERT_FILE"),
            (19, "no authority of this machine signed it", "trust it: SSL_CERT_FILE"),
            (20, "no authority of this machine signed it", "trust it: SSL_CERT_FILE"),
            (62, "it is for another name", "use the name"),
            (64, "it is for another address", "use the name"),
        ],
    )
    def test_what_is_wrong_with_a_certificate(self, code: int, found: str, todo: str) -> None:
        """In words, and in OpenSSL's."""
        error = ssl.SSLCertVerificationError()
        error.verify_code, error.verify_message = code, "OpenSSL's words"
        said = certificate_problem(error)
        assert (f"the certificate is refused: {found}", todo) == (
            said.found[: 28 + len(found)],
            said.todo[: len(todo)],
        )
        assert said.found.endswith(" (OpenSSL's words)")

    async def test_one_that_is_trusted(self, settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Whoever signed it."""
        settings.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        async with tls_server(tmp_path) as url:
            _, checks = await doctor("--url", url)
        assert ("ok", "ok") == (checks["connection"][0], checks["health"][0])

    async def test_a_profile_that_accepts_any(self, tmp_path: Path) -> None:
        """So does the doctor."""
        async with tls_server(tmp_path) as url:
            auth = {"Static": {"secret": TOKEN}}
            profile = {"customUrl": url, "allowInsecure": True, "auth": auth}
            (tmp_path / ".golem").mkdir()
            file = tmp_path / ".golem" / "config-v4.json"
            file.write_text(json.dumps({"profiles": {"p": profile}}))
            _, checks = await doctor("--profile", "p")
            done = await golem_promise("complete", ID, "--text", "x", "--profile", "p")
        assert ("ok", "ok") == (checks["connection"][0], checks["health"][0])
        assert 8 == done.code  # the server answers, and not as Golem does


class TestHttp:
    """What the address answers."""

    @pytest.fixture(autouse=True)
    def _quick_look(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Look only for a moment whether a server that answers HTTP speaks TLS."""
        quick = aiohttp.ClientTimeout(total=0.1)
        monkeypatch.setattr("golem_client.cli.doctor._QUICK", quick)

    async def test_a_redirect(self) -> None:
        """Where it leads, without what may be a secret."""
        location = "https://user:zorro@golem.example/zorro?zorro=1"
        async with ScriptedServer(answer(301, b"", Location=location)) as server:
            ran, checks = await doctor("--url", server.url)
        assert ("failed", "status 301, to https://golem.example") == checks["redirects"][:2]
        assert (1, False) == (ran.code, "zorro" in ran.out)
        assert ("redirects", False) == (list(checks)[-1], "health" in checks)

    @pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500, 502, 503])
    async def test_a_server_that_answers_html_to_everything(self, status: int) -> None:
        """A web server, a login page, a proxy whose Golem is down."""
        async with ScriptedServer(answer(status, b"\n<html>zorro</html>", "text/html")) as server:
            ran, checks = await doctor("--url", server.url, "--timeout", "5")
        found = f"not Golem's answer: status {status}, a web page"
        assert (1, ("failed", found), ("failed", found)) == (
            ran.code,
            checks["health"][:2],
            checks["token"][:2],
        )
        assert "check the address: another server" in checks["token"][2]
        assert "zorro" not in ran.out

    @pytest.mark.parametrize("body", [b'{"error":"no"}', b"{}", b"[]", b"true", b"no"])
    async def test_a_server_that_answers_json_to_everything(self, body: bytes) -> None:
        """It is no Golem either."""
        async with ScriptedServer(answer(400, body)) as server:
            ran, checks = await doctor("--url", server.url, "--timeout", "5")
        assert (1, "failed", "failed") == (ran.code, checks["health"][0], checks["token"][0])

    @pytest.mark.parametrize(
        ("step", "found"),
        [
            (stall, "no answer in time"),
            (RESET, "no answer: the connection broke"),
            (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "no answer: the connection broke"),
        ],
        ids=["stall", "reset", "ssh"],
    )
    async def test_no_answer(self, step: Any, found: str) -> None:
        """It ends in time, and says nothing of what was not answered."""
        async with ScriptedServer(step) as server:
            ran, checks = await doctor("--url", server.url, "--timeout", "0.1")
        assert (1, ("failed", found)) == (ran.code, checks["connection"][:2])
        assert "health" not in checks

    @pytest.mark.parametrize(
        ("reply", "probe", "state", "found"),
        [
            (Reply(200, text="{}"), GOLEMS, "ok", "healthy"),
            (Reply(200, text="<html>"), GOLEMS, "note", "not Golem's answer: status 200, a web"),
            (Reply(404), GOLEMS, "note", "no health endpoint at this address: cannot tell"),
            (Reply(503), GOLEMS, "note", "not Golem's answer: status 503"),
            (Reply(401), GOLEMS, "note", "not Golem's answer: status 401"),
            (Reply(200, text="{}"), Reply(200, text="<html>"), "ok", "healthy"),
            (Reply(404), Reply(404), "failed", "not Golem's answer: status 404"),
            (
                Reply(404),
                Check("connection", "failed", "x"),
                "failed",
                "not Golem's answer: status 404",
            ),
        ],
    )
    def test_health(self, reply: Reply, probe: Reply | Check, state: str, found: str) -> None:
        """One that is missing is no failure: a proxy may let the API alone through."""
        check = read_health(reply, Reply(404), probe)
        assert (state, found) == (check.state, check.found[: len(found)])

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ('{"version":"1.4.2"}', "healthy, Golem 1.4.2"),
            ('{"version":"\\u001b[2J"}', "healthy"),
            ('{"version":7}', "healthy"),
            ("[]", "healthy"),
        ],
    )
    def test_version(self, text: str, found: str) -> None:
        """Only what looks like one is shown."""
        assert found == read_health(Reply(200, text="{}"), Reply(200, text=text), GOLEMS).found

    @pytest.mark.parametrize(
        ("status", "text", "expected"),
        [
            (400, '{"code":"INVALID_WORKER_ID","errors":["Invalid worker id: x"]}', "accepted"),
            (404, '{"code":"COMPONENT_NOT_FOUND","error":"Component not found"}', "accepted"),
            (400, '{"errors":["Invalid agent id: x"]}', "accepted"),
            (
                404,
                '{"error":"Couldn\'t retrieve component: 0. error: Component not found"}',
                "accepted",
            ),
            (400, '{"errors":["Invalid worker name: x"]}', "cannot tell: Golem 1.1"),
            (401, '{"error":"Unauthorized: Get project error"}', "cannot tell: Golem 1.3"),
            (401, "authorization error", "Golem says that it is not a token"),
            (401, '{"error":"Could not authenticate user using token"}', "Golem does not know it"),
            (403, "request-origin not allowed", "cannot tell: status 403"),
            (404, "not found", "no Golem API"),
            (404, '{"error":"Internal error"}', "no Golem API"),
            (400, '{"error":"no"}', "not Golem's answer: status 400"),
            (400, '{"errors":[]}', "not Golem's answer: status 400"),
            (400, "<html>", "not Golem's answer: status 400, a web page"),
            (500, '{"error":"Internal error","workerError":null}', "cannot tell: status 500"),
            (502, "<html>", "not Golem's answer: status 502, a web page"),
            (401, "<html>", "not Golem's answer: status 401, a web page"),
            (403, "<html>", "not Golem's answer: status 403, a web page"),
            (200, "true", "not Golem's answer: status 200"),
            (400, "[" * 100_000, "not Golem's answer: status 400"),
        ],
    )
    def test_token(self, status: int, text: str, expected: str) -> None:
        """What each generation says of the impossible completion."""
        check = read_probe(Reply(status, text=text), has_token=True)
        assert expected == check.found[: len(expected)]

    def test_no_token(self) -> None:
        """Golem asks for one, and what is before it is not Golem."""
        page = read_probe(Reply(401, text="<html>"), has_token=False)
        assert "not Golem's answer: status 401, a web page" == page.found
        check = read_probe(Reply(401, text="authorization error"), has_token=False)
        assert "Golem asks for a token, and there is none" == check.found

    @pytest.mark.parametrize(
        ("location", "expected"),
        [
            ("https://a.example/x?y#z", "https://a.example"),
            ("/login", "another path of the same server"),
            ("", "another path of the same server"),
            ("https://[", "another address"),
        ],
    )
    def test_where_a_redirect_leads(self, location: str, expected: str) -> None:
        """Its server alone is shown."""
        assert expected == place(location)


class TestProxy:
    """Behind the environment's proxy."""

    async def test_it_is_named_and_used(self, settings: pytest.MonkeyPatch) -> None:
        """Name and port are then the proxy's; its password is not shown."""
        async with ScriptedServer(answer(200, b"{}")) as server:
            proxy = server.url.removeprefix("http://")
            settings.setenv("http_proxy", f"user:zorro@{proxy}")
            ran, checks = await doctor("--url", "http://golem.test:9881")
            asked = [request.target for request in server.requests]
        assert ("ok", f"http://{proxy}, from http_proxy") == checks["proxy"][:2]
        assert ("ok", "ok") == (checks["connection"][0], checks["health"][0])
        assert "http://golem.test:9881/healthcheck" == asked[0]
        assert "zorro" not in ran.out

    async def test_one_for_which_no_proxy_speaks(self, settings: pytest.MonkeyPatch) -> None:
        """There is no line."""
        settings.setenv("http_proxy", "http://127.0.0.1:1")
        settings.setenv("no_proxy", "127.0.0.0/8")
        async with FakeGolem() as golem:
            ran, checks = await doctor("--url", golem.url)
        assert (0, False) == (ran.code, "proxy" in checks)

    @pytest.mark.parametrize(
        ("scheme", "status", "todo"),
        [
            ("https", 407, "give it a user and a password"),
            ("https", 503, "ask who runs the proxy"),
            ("http", 407, "give it a user and a password"),
        ],
    )
    async def test_one_that_refuses(
        self, settings: pytest.MonkeyPatch, scheme: str, status: int, todo: str
    ) -> None:
        """Its status is told; nothing is said of TLS, which was never tried."""
        async with ScriptedServer(answer(status, b"zorro")) as server:
            settings.setenv("ALL_PROXY", server.url)
            ran, checks = await doctor("--url", f"{scheme}://golem.test")
        found = f"the proxy {server.url} answers {status} and opens no way"
        assert ("failed", found) == checks["connection"][:2]
        assert (True, False) == (todo in checks["connection"][2], "zorro" in ran.out)

    async def test_a_certificate_that_nobody_trusts(
        self, settings: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """It is told in the same words as without a proxy."""
        async with tls_server(tmp_path) as url, connecting(url) as proxy:
            settings.setenv("HTTPS_PROXY", proxy)
            ran, checks = await doctor("--url", "https://golem.test")
        assert (1, "failed") == (ran.code, checks["connection"][0])
        assert "the certificate is refused: it is self-signed" in checks["connection"][1]

    async def test_one_that_is_down(self, settings: pytest.MonkeyPatch) -> None:
        """It is the connection that fails."""
        settings.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        _, checks = await doctor("--url", "https://golem.test")
        assert ("connection", "failed") == (list(checks)[-1], checks["connection"][0])


async def test_a_line_a_check_for_people() -> None:
    """The state first."""
    async with FakeGolem() as golem:
        ran = await golem_promise("doctor", "--url", golem.url)
    lines = ran.out.splitlines()
    assert (0, 6) == (ran.code, len(lines))
    assert [line.split()[0] for line in lines] == ["ok"] * 6


async def test_what_to_do_follows_an_arrow() -> None:
    """On the same line."""
    ran = await golem_promise("doctor", "--url", "http://127.0.0.1:1")
    assert " -> start Golem, or correct the port" in ran.out.splitlines()[-1]
