"""`golem-promise doctor`: what it finds on the way, and what it says to do."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from golem_client.testing import FakeGolem
from tests.authority import Certificate, authority
from tests.command_line import Ran, golem_promise
from tests.scripted_server import RESET, ScriptedServer, Step, answer, message, serving

TOKEN = "zorro-4f8c0a5be1d24c7f"
ID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"
REFUSED_NAME = b'{"code":"INVALID_WORKER_ID","errors":["Invalid worker id: x"]}'


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
        ("1.2", "note", "cannot tell: Golem 1.1 and 1.2 ask for none"),
        ("1.3", "note", "cannot tell: Golem 1.1 and 1.2 ask for none, and 1.3 looks only"),
        ("1.5", "ok", "accepted"),
    ],
)
async def test_all_is_well(dialect: str, token: str, found: str) -> None:
    """In each dialect, and as far as it can be told; the question stores nothing."""
    async with FakeGolem(dialect=dialect) as golem:
        ran, checks = await doctor("--url", golem.url)
        asked = [request for request in golem.requests if request.method == "POST"]
        assert 0 == golem._golem.promises.writes
    assert [(400, b"")] == [(request.status, request.payload) for request in asked]
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


@pytest.mark.parametrize(
    ("dialect", "state", "found"),
    [
        ("1.1", "note", "cannot tell"),
        ("1.2", "note", "cannot tell"),
        ("1.3", "failed", "Golem asks for a token, and there is none"),
        ("1.5", "failed", "Golem asks for a token, and there is none"),
    ],
)
async def test_without_a_token(dialect: str, state: str, found: str) -> None:
    """The well-known one is for addresses of this machine, and 0.0.0.0 does not count as one."""
    async with FakeGolem(dialect=dialect) as golem:
        ran, checks = await doctor("--url", golem.url.replace("127.0.0.1", "0.0.0.0"))
    assert ("note", "no token: nothing names one") == checks["token from"][:2]
    assert (state == "failed", state, True) == (
        ran.code == 1,
        checks["token"][0],
        checks["token"][1].startswith(found),
    )


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
        assert "there is no host named golem.invalid: " in checks["connection"][1]
        assert "check it for a typo, and the network" == checks["connection"][2]

    async def test_a_name_server_that_is_away(self, settings: pytest.MonkeyPatch) -> None:
        """It says nothing of the name."""

        def away(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        settings.setattr(socket, "getaddrinfo", away)
        _, checks = await doctor("--url", "http://golem.example")
        assert (
            "failed",
            "the name golem.example cannot be looked up: Temporary failure in name resolution",
            "check the network and the name server",
        ) == checks["connection"]

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:1", "http://localhost:1", "https://127.0.0.1:1"]
    )
    async def test_a_closed_port(self, url: str) -> None:
        """Golem is down, or elsewhere."""
        ran, checks = await doctor("--url", url)
        assert (1, "connection") == (ran.code, list(checks)[-1])
        assert (
            "failed",
            f"cannot connect to {url.rpartition('/')[2]}: Connection refused",
            "nothing listens there: start Golem, or correct the port (a local Golem's is 9881)",
        ) == checks["connection"]

    async def test_a_host_that_cannot_be_reached(self, settings: pytest.MonkeyPatch) -> None:
        """In the system's words."""

        async def unreachable(*_: object, **__: object) -> None:
            raise OSError(errno.EHOSTUNREACH, "Connect call failed ('192.0.2.1', 1)")

        settings.setattr("aiohappyeyeballs.start_connection", unreachable)
        _, checks = await doctor("--url", "http://127.0.0.1:1")
        assert (
            "failed",
            "cannot connect to 127.0.0.1:1: No route to host",
            "check host and port, the firewall, and whether a proxy is needed",
        ) == checks["connection"]

    async def test_https_to_a_port_of_plain_http(self) -> None:
        """It says to try http, whether the server is silent about TLS or refuses it."""
        async with ScriptedServer(answer(404, b"<html>")) as silent, FakeGolem() as refusing:
            for url in (silent.url, refusing.url):
                https = url.replace("http:", "https:")
                ran, checks = await doctor("--url", https, "--timeout", "0.2")
                assert (1, "connection") == (ran.code, list(checks)[-1])
                assert ("failed", f"try {url}: it answers there") == checks["connection"][::2]

    async def test_http_to_a_port_of_tls(self, tmp_path: Path) -> None:
        """It says to try https, whether the server closes the connection or answers 400."""
        async with tls_server(tmp_path) as closing, as_nginx(closing) as refusing:
            for url in (closing, refusing):
                ran, checks = await doctor("--url", url.replace("https:", "http:"))
                assert (1, "connection") == (ran.code, list(checks)[-1])
                https = url.replace("http:", "https:")
                assert ("failed", f"try {https}: it answers there") == checks["connection"][::2]

    async def test_a_port_that_speaks_no_http(self, settings: pytest.MonkeyPatch) -> None:
        """It says nothing of another scheme."""
        settings.setattr("golem_client.cli.doctor._QUICK", 0.05)

        async def ssh(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")

        async with serving(silence) as silent, serving(ssh) as wrong:
            for url, found, todo in (
                (silent, "no complete answer within the --timeout of 0.05 s", "check host and"),
                (
                    silent.replace("http:", "https:"),
                    "no connection within the --timeout",
                    "check h",
                ),
                (wrong, "the answer is not HTTP", "check that it is Golem's HTTP port"),
                (wrong.replace("http:", "https:"), "TLS with ", "check that it is Golem's HTTP"),
            ):
                ran, checks = await doctor("--url", url, "--timeout", "0.05")
                assert (1, "connection") == (ran.code, list(checks)[-1])
                assert ("failed", found, todo) == (
                    checks["connection"][0],
                    checks["connection"][1][: len(found)],
                    checks["connection"][2][: len(todo)],
                )

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

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await lead(reader, writer, url)

    async with serving(handle) as proxy:
        yield proxy


@asynccontextmanager
async def as_nginx(url: str) -> AsyncIterator[str]:
    """Lead TLS to a server, and answer 400 to plain HTTP."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(65536)
        if first[0] == 0x16:  # the handshake of TLS
            await lead(reader, writer, url, first)
        else:
            writer.write(
                message(400, b"The plain HTTP request was sent to HTTPS port", "text/html")
            )

    async with serving(handle) as server:
        yield server


async def lead(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str, first: bytes = b""
) -> None:
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", url.rpartition(":")[2])
    try:
        far_writer.write(first)
        await asyncio.gather(forward(reader, far_writer), forward(far_reader, writer))
    finally:
        far_writer.close()


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


async def healthy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer `{}` to one request, and leave the closing to the client.

    aiohttp 3.14 does not wait for the end of a TLS connection that the server closes.
    """
    await reader.readuntil(b"\r\n\r\n")
    writer.write(message(200, b"{}"))
    await reader.read()


@asynccontextmanager
async def tls_server(folder: Path, certificate: Certificate | None = None) -> AsyncIterator[str]:
    """Serve `{}` over TLS, by default with a self-signed certificate."""
    async with serving(healthy, (certificate or authority(folder)).shown()) as url:
        yield url.replace("http:", "https:")


class TestTls:
    """Over TLS."""

    @pytest.mark.parametrize(
        ("show", "found", "todo"),
        [
            (authority, "it is self-signed, so no authority vouches for it", "trust it: SSL_CERT"),
            (
                lambda folder: authority(folder).signs(folder),
                "it is signed by an authority",
                "trust",
            ),
        ],
    )
    async def test_a_certificate_that_nobody_trusts(
        self, show: Callable[[Path], Certificate], found: str, todo: str, tmp_path: Path
    ) -> None:
        """It says what is wrong with it, and how to trust it."""
        async with tls_server(tmp_path, show(tmp_path)) as url:
            ran, checks = await doctor("--url", url)
        assert (1, "failed") == (ran.code, checks["connection"][0])
        assert f"the certificate of 127.0.0.1 is refused: {found}" in checks["connection"][1]
        assert checks["connection"][2].startswith(todo)

    @pytest.mark.parametrize(
        ("code", "todo"),
        [
            (9, "check the clocks of both machines"),
            (10, "renew it on the server"),
            (62, "use the name that it is for"),
            (64, "use the name that it is for"),
            (21, "trust it: SSL_CERT_FILE=certificate.pem"),
            (70, "trust it: SSL_CERT_FILE=certificate.pem"),
        ],
    )
    async def test_a_certificate_with_another_fault(
        self, settings: pytest.MonkeyPatch, code: int, todo: str
    ) -> None:
        """What to do follows the reason."""
        refused = ssl.SSLCertVerificationError()
        refused.verify_code, refused.verify_message = code, "OpenSSL's words"

        async def refuse(*_: object, **__: object) -> None:
            raise refused

        settings.setattr("aiohappyeyeballs.start_connection", refuse)
        _, checks = await doctor("--url", "https://127.0.0.1:1")
        assert ("failed", todo) == checks["connection"][::2]
        assert "OpenSSL's words" in checks["connection"][1]

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
        monkeypatch.setattr("golem_client.cli.doctor._QUICK", 0.05)

    async def test_a_redirect(self) -> None:
        """Where it leads, without what may be a secret."""
        location = "https://user:zorro@golem.example/login?zorro=1"
        async with ScriptedServer(answer(301, b"", Location=location)) as server:
            ran, checks = await doctor("--url", server.url)
        assert "failed" == checks["redirects"][0]
        assert "status 301: a redirect to https://golem.example/login, " in checks["redirects"][1]
        assert (1, False) == (ran.code, "zorro" in ran.out)
        assert ("redirects", False) == (list(checks)[-1], "health" in checks)

    @pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500, 502, 503])
    async def test_a_server_that_answers_html_to_everything(self, status: int) -> None:
        """A web server, a login page, a proxy whose Golem is down."""
        async with ScriptedServer(answer(status, b"\n<html>zorro</html>", "text/html")) as server:
            ran, checks = await doctor("--url", server.url)
        assert (1, "failed", "note") == (ran.code, checks["token"][0], checks["health"][0])
        found = f"status {status}: an answer that is not Golem's: 19 bytes of text/html"
        assert found == checks["token"][1]
        assert "check the address: another server" in checks["token"][2]
        assert "zorro" not in ran.out

    @pytest.mark.parametrize("status", [200, 400])
    @pytest.mark.parametrize(
        "body", [b'{"error":"no"}', b"{}", b"[]", b"true", b"no", b"[" * 99999]
    )
    async def test_a_server_that_answers_json_to_everything(self, status: int, body: bytes) -> None:
        """It is not Golem either, even if it says that all is completed."""
        async with ScriptedServer(answer(status, body)) as server:
            ran, checks = await doctor("--url", server.url)
        assert (1, "failed") == (ran.code, checks["token"][0])
        assert "not Golem's" in checks["token"][1]

    async def test_a_connection_that_breaks(self) -> None:
        """Nothing is said of what was not answered."""
        async with ScriptedServer(RESET) as server:
            ran, checks = await doctor("--url", server.url)
        assert (1, "connection") == (ran.code, list(checks)[-1])
        assert ("failed", "the connection broke: Connection reset by peer") == (
            checks["connection"][:2]
        )

    @pytest.mark.parametrize(
        ("health", "version", "state", "found"),
        [
            (answer(200, b"{}"), answer(200, b'{"version":"1.4.2"}'), "ok", "healthy, Golem 1.4.2"),
            (answer(200, b"{}"), answer(200, b'{"version":"\\u001b[2J"}'), "ok", "healthy"),
            (answer(200, b"{}"), answer(200, b'{"version":7}'), "ok", "healthy"),
            (answer(200, b"{}"), answer(200, b"[]"), "ok", "healthy"),
            (answer(200, b"{}"), answer(404, b"not found"), "ok", "healthy"),
            (answer(200, b"{}"), RESET, "ok", "healthy"),
            (answer(200, b"<html>"), RESET, "note", "not Golem's answer: status 200"),
            (answer(404), RESET, "note", "no health endpoint at this address: cannot tell"),
            (answer(503), RESET, "note", "not Golem's answer: status 503"),
            (RESET, RESET, "note", "no answer"),
        ],
    )
    async def test_health(self, health: Step, version: Step, state: str, found: str) -> None:
        """One that is missing is no failure: a proxy may let the API alone through."""
        async with ScriptedServer(answer(400, REFUSED_NAME), health, version) as server:
            ran, checks = await doctor("--url", server.url)
        assert (0, state, found) == (ran.code, *checks["health"][:2])
        assert ("ok", "accepted", "") == checks["token"]

    @pytest.mark.parametrize(
        ("status", "body", "state", "found"),
        [
            (
                404,
                b'{"code":"COMPONENT_NOT_FOUND","error":"Component not found"}',
                "ok",
                "accepted",
            ),
            (400, b'{"errors":["Invalid agent id: x"]}', "ok", "accepted"),
            (
                404,
                b'{"error":"Couldn\'t retrieve component: 0. error: Component not found"}',
                "ok",
                "accepted",
            ),
            (404, b'{"error":"Internal error"}', "note", "cannot tell: status 404: Internal error"),
            (
                500,
                b'{"error":"Internal error","workerError":null}',
                "note",
                "cannot tell: status 5",
            ),
            (403, b'{"error":"No"}', "note", "cannot tell: status 403: No"),
            (400, b'{"errors":[]}', "failed", "not Golem's answer: status 400"),
            (400, b'{"errors":["No"]}', "failed", "not Golem's answer: status 400: No"),
        ],
    )
    async def test_token(self, status: int, body: bytes, state: str, found: str) -> None:
        """What the fake's dialects do not say of the impossible completion."""
        async with ScriptedServer(answer(status, body), answer(404)) as server:
            ran, checks = await doctor("--url", server.url)
        assert (int(state == "failed"), state) == (ran.code, checks["token"][0])
        assert found == checks["token"][1][: len(found)]

    async def test_an_address_without_the_api(self) -> None:
        """Golem's framework answers a path that it does not know: /v1 stands there twice."""
        async with FakeGolem() as golem:
            ran, checks = await doctor("--url", f"{golem.url}/v1")
        assert (1, "failed", "no Golem API at this address (404)") == (
            ran.code,
            *checks["token"][:2],
        )


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
        assert {"http://golem.test:9881"} == {
            target.split("/v")[0].split("/h")[0] for target in asked
        }
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
        found = f"the proxy of the environment refused to connect: status {status}"
        assert ("failed", found) == checks["connection"][:2]
        assert server.url in checks["proxy"][1]
        assert (True, False) == (todo in checks["connection"][2], "zorro" in ran.out)

    async def test_a_certificate_that_nobody_trusts(
        self, settings: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """It is told in the same words as without a proxy."""
        async with tls_server(tmp_path) as url, connecting(url) as proxy:
            settings.setenv("HTTPS_PROXY", proxy)
            ran, checks = await doctor("--url", "https://golem.test")
        assert (1, "failed") == (ran.code, checks["connection"][0])
        assert (
            "the certificate of golem.test is refused: it is self-signed" in checks["connection"][1]
        )

    async def test_one_that_is_down(self, settings: pytest.MonkeyPatch) -> None:
        """It is the connection that fails."""
        settings.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        _, checks = await doctor("--url", "https://golem.test")
        assert ("connection", "failed") == (list(checks)[-1], checks["connection"][0])
        assert "nothing listens there: start the proxy" in checks["connection"][2]


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
    assert " -> nothing listens there: start Golem" in ran.out.splitlines()[-1]
