"""`golem-promise doctor`: what it finds on the way, and what it says to do."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from golem_client.cli.checks import Way, _about_certificate
from golem_client.cli.http_checks import Reply, place, read_health, read_probe
from golem_client.config import Secret
from golem_client.testing import FakeGolem
from tests.command_line import Ran, golem_promise
from tests.scripted_server import RESET, ScriptedServer, answer, stall

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


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Return an environment in which nothing leads to a Golem."""
    for name in os.environ:
        if name.startswith(("GOLEM_", "SSL_CERT")):
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
        "name": "ok",
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
        ("1.3", "not-a-uuid", "Golem says that it is no token at all"),
        ("1.5", "short", "Golem says that it is no token at all"),
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
        assert (1, "failed", "name") == (ran.code, checks["name"][0], list(checks)[-1])
        assert "golem.invalid is not known" in checks["name"][1]

    async def test_a_closed_port(self) -> None:
        """Golem is down, or elsewhere."""
        ran, checks = await doctor("--url", "http://127.0.0.1:1")
        assert (1, "failed", "connection") == (ran.code, checks["connection"][0], list(checks)[-1])

    async def test_http_where_https_is_meant(self) -> None:
        """The server does not answer the handshake."""
        async with ScriptedServer() as server:
            url = server.url.replace("http:", "https:")
            ran, checks = await doctor("--url", url, "--timeout", "0.3")
        assert (1, "failed", "TLS") == (ran.code, checks["TLS"][0], list(checks)[-1])

    async def test_no_token_and_plain_http(self, settings: pytest.MonkeyPatch) -> None:
        """Both are worth a note."""
        _, without = await doctor("--url", "http://golem.invalid")
        settings.setenv("GOLEM_AUTH_TOKEN", TOKEN)
        ran, checks = await doctor("--url", "http://golem.invalid")
        assert ("note", "note", True) == (
            without["token from"][0],
            checks["transport"][0],
            "use https" in checks["transport"][2],
        )
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
        assert (1, "failed", "TLS") == (ran.code, checks["TLS"][0], list(checks)[-1])
        assert "certificate is refused: self" in checks["TLS"][1]

    async def test_one_that_is_trusted(self, settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Its last day is told."""
        settings.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        async with tls_server(tmp_path) as url:
            _, checks = await doctor("--url", url)
        assert ("ok", True) == (
            checks["TLS"][0],
            "the certificate is good for 3" in checks["TLS"][1],
        )
        assert checks["health"][0] == "ok"

    async def test_a_profile_that_accepts_any(self, tmp_path: Path) -> None:
        """That is worth a note."""
        async with tls_server(tmp_path) as url:
            auth = {"Static": {"secret": TOKEN}}
            profile = {"customUrl": url, "allowInsecure": True, "auth": auth}
            (tmp_path / ".golem").mkdir()
            file = tmp_path / ".golem" / "config-v4.json"
            file.write_text(json.dumps({"profiles": {"p": profile}}))
            _, checks = await doctor("--profile", "p")
        assert ("note", "ok") == (checks["TLS"][0], checks["health"][0])

    def test_one_that_ends_soon(self) -> None:
        """In time to renew it."""
        way = Way("https://x", None, verifies_tls=True)
        assert "note" == _about_certificate(way, "TLSv1.3", "Jan  1 00:00:00 2020 GMT").state.value


class TestHttp:
    """What the address answers."""

    async def test_a_redirect(self) -> None:
        """Where it leads, without what may be a secret."""
        location = "https://user:zorro@golem.example/zorro?zorro=1"
        async with ScriptedServer(answer(301, b"", Location=location)) as server:
            ran, checks = await doctor("--url", server.url)
        assert ("failed", "status 301, to https://golem.example") == checks["redirects"][:2]
        assert (1, False) == (ran.code, "zorro" in ran.out)

    async def test_something_that_is_no_golem(self) -> None:
        """A web server."""
        async with ScriptedServer(answer(404, b"<html>zorro</html>", "text/html")) as server:
            ran, checks = await doctor("--url", server.url)
        assert (1, "note", "failed") == (ran.code, checks["health"][0], checks["token"][0])
        assert "no Golem API at this address" in checks["token"][1]

    @pytest.mark.parametrize("step", [stall, RESET], ids=["stall", "reset"])
    async def test_no_answer(self, step: Any) -> None:
        """It ends in time."""
        async with ScriptedServer(step) as server:
            ran, checks = await doctor("--url", server.url, "--timeout", "0.1")
        assert (1, "failed", "note") == (ran.code, checks["health"][0], checks["token"][0])

    @pytest.mark.parametrize(
        ("reply", "state", "found"),
        [
            (Reply(200, text="{}"), "ok", "healthy"),
            (Reply(200, text="<html>"), "note", "an answer, but not as Golem's"),
            (Reply(404), "note", "no health endpoint at this address: cannot tell"),
            (Reply(503), "note", "status 503"),
            (Reply(401), "note", "status 401"),
        ],
    )
    def test_health(self, reply: Reply, state: str, found: str) -> None:
        """One that is missing is no failure: a proxy may let the API alone through."""
        check = read_health(reply, Reply(404))
        assert (state, found) == (check.state.value, check.found)

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
        assert found == read_health(Reply(200, text="{}"), Reply(200, text=text)).found

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
            (401, "authorization error", "Golem says that it is no token"),
            (401, '{"error":"Could not authenticate user using token"}', "Golem does not know it"),
            (403, "request-origin not allowed", "cannot tell: forbidden"),
            (404, "not found", "no Golem API"),
            (404, '{"error":"Internal error"}', "no Golem API"),
            (400, "<html>", "cannot tell: status 400"),
            (500, '{"error":"Internal error","workerError":null}', "cannot tell: status 500"),
            (502, "<html>", "cannot tell: status 502"),
            (200, "true", "cannot tell: status 200"),
            (400, "[" * 100_000, "cannot tell: status 400"),
        ],
    )
    def test_token(self, status: int, text: str, expected: str) -> None:
        """What each generation says of the impossible completion."""
        check = read_probe(Reply(status, text=text), has_token=True)
        assert expected == check.found[: len(expected)]

    def test_no_token(self) -> None:
        """Golem asks for one."""
        check = read_probe(Reply(401, text="authorization error"), has_token=False)
        assert "Golem asks for a token, and there is none" == check.found

    @pytest.mark.parametrize(
        ("location", "expected"),
        [
            ("https://a.example/x?y#z", "https://a.example"),
            ("//a.example/x", "http://a.example"),
            ("/login", "another path of the same server"),
            ("", "another path of the same server"),
            ("https://[", "another address"),
            (f"https://{TOKEN}.example", "an address that cannot be shown"),
        ],
    )
    def test_where_a_redirect_leads(self, location: str, expected: str) -> None:
        """Its server alone is shown."""
        assert expected == place(location, Way("http://x", Secret(TOKEN), verifies_tls=True))


async def test_a_line_a_check_for_people() -> None:
    """The state first."""
    async with FakeGolem() as golem:
        ran = await golem_promise("doctor", "--url", golem.url)
    lines = ran.out.splitlines()
    assert (0, 7) == (ran.code, len(lines))
    assert [line.split()[0] for line in lines] == ["ok"] * 7


async def test_what_to_do_follows_an_arrow() -> None:
    """On the same line."""
    ran = await golem_promise("doctor", "--url", "http://127.0.0.1:1")
    assert " -> check that Golem is up" in ran.out.splitlines()[-1]
