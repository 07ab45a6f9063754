"""What a client sends, what it accepts, and what it returns when all is well."""

from __future__ import annotations

import ssl
import warnings
from typing import Any

import aiohttp
import attrs
import cattrs
import pytest

from golem_client import (
    GolemClient,
    InsecureTransportWarning,
    InvalidIdError,
    Outcome,
    PayloadError,
    Promise,
    make_converter,
)
from golem_client.version import __version__
from tests.samples import PROMISE_ID, TOKEN, client_of
from tests.scripted_server import FALSE, TRUE, ScriptedServer, answer


@attrs.frozen
class Decision:
    approved: bool


async def test_one_request_goes_to_the_promises_own_path() -> None:
    """The completion is one POST of oplogIdx and data, with the token and nothing of a browser."""
    async with ScriptedServer() as server, client_of(server) as client:
        await client.complete_bytes(PROMISE_ID, b"\x00*\xff")
    (request,) = server.requests
    assert (
        request.target == "/v1/components/f81d4fae-7dec-11d0-a765-00a0c91e6bf6/workers/w1/complete"
    )
    assert request.body == b'{"oplogIdx":42,"data":[  0, 42,255]}'
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["user-agent"].startswith(f"golem-client/{__version__} ")
    assert {"cookie", "origin", "referer"}.isdisjoint(request.headers)


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ('MyAgent("a/b")', "MyAgent%28%22a%2Fb%22%29"),
        ("a%2Fb", "a%252Fb"),
        ("a+b c", "a%2Bb%20c"),
        ("{x}", "%7Bx%7D"),
        ("é", "%C3%A9"),
        ("..a", "..a"),
    ],
)
async def test_a_worker_name_travels_as_one_encoded_segment(name: str, segment: str) -> None:
    """Golem decodes each raw segment once, so nothing may be normalised on the way."""
    promise_id = {
        "workerId": {"componentId": str(PROMISE_ID.worker_id.component_id), "workerName": name},
        "oplogIdx": 1,
    }
    async with ScriptedServer() as server, client_of(server) as client:
        await client.complete_bytes(promise_id, b"x")
    assert server.requests[0].target.split("/")[5] == segment


@pytest.mark.parametrize("suffix", ["/golem/api", "/golem/api/"])
async def test_a_path_in_the_base_url_is_kept(suffix: str) -> None:
    """A Golem behind a gateway is addressed by the gateway's path."""
    async with ScriptedServer() as server, GolemClient(server.url + suffix) as client:
        await client.complete_bytes(PROMISE_ID, b"x")
    assert server.requests[0].target.startswith("/golem/api/v1/components/")


@pytest.mark.parametrize(
    ("method", "value", "payload"),
    [
        ("complete_bytes", b"\x00\xff", b"\x00\xff"),
        ("complete_bytes", bytearray(b"ab"), b"ab"),
        ("complete_bytes", memoryview(b"abcd")[::2], b"ac"),
        ("complete_bytes", b"", b""),
        ("complete_text", "héé", "héé".encode()),
        ("complete_json", {"approved": True}, b'{"approved":true}'),
        ("complete_json", None, b"null"),
    ],
)
async def test_each_method_sends_its_payload(method: str, value: object, payload: bytes) -> None:
    """Bytes go verbatim, text as UTF-8, values as JSON."""
    async with ScriptedServer() as server, client_of(server) as client:
        await getattr(client, method)(PROMISE_ID, value)
    assert server.requests[0].payload == payload


async def test_a_large_payload_arrives_whole() -> None:
    """Four million bytes, more than one slice, come out as they went in."""
    payload = bytes(range(256)) * 15_625
    async with ScriptedServer() as server, client_of(server) as client:
        await client.complete_bytes(PROMISE_ID, payload)
    assert server.requests[0].payload == payload


@pytest.mark.parametrize(
    ("step", "outcome", "by_this_call"),
    [(TRUE, Outcome.FULFILLED, True), (FALSE, Outcome.ALREADY_FULFILLED, False)],
)
async def test_golems_first_word_is_the_outcome(
    step: Any, outcome: Outcome, by_this_call: bool
) -> None:
    """True means this payload is stored, false that another was, and one request was sent."""
    async with ScriptedServer(step) as server, client_of(server) as client:
        done = await client.complete_json(PROMISE_ID, 1)
    assert (done.outcome, done.by_this_call, done.attempts) == (outcome, by_this_call, 1)


async def test_ids_are_accepted_in_other_spellings() -> None:
    """Text, bytes and the REST JSON name the same promise."""
    async with ScriptedServer() as server, client_of(server) as client:
        for spelling in (str(PROMISE_ID), str(PROMISE_ID).encode(), PROMISE_ID.to_json()):
            await client.complete_json(spelling, 1)
    assert len({request.target for request in server.requests}) == 1


@pytest.mark.parametrize(
    ("method", "value", "error"),
    [
        ("complete_json", object(), PayloadError),
        ("complete_json", b"bytes", PayloadError),
        ("complete_text", b"bytes", PayloadError),
        ("complete_bytes", "text", PayloadError),
        ("complete_bytes", b"x" * 101, PayloadError),
        ("complete_text", "é" * 51, PayloadError),
        ("complete_json", "x" * 100, PayloadError),
    ],
)
async def test_a_payload_that_cannot_go_is_refused_before_any_request(
    method: str, value: object, error: type[Exception]
) -> None:
    """The error carries the promise id, and nothing was sent."""
    async with ScriptedServer() as server, client_of(server, max_payload_bytes=100) as client:
        with pytest.raises(error) as caught:
            await getattr(client, method)(PROMISE_ID, value)
    assert caught.value.promise_id == PROMISE_ID  # type: ignore[attr-defined]
    assert caught.value.attempts == 0  # type: ignore[attr-defined]
    assert server.connections == 0


async def test_a_wrong_id_is_refused_before_any_request() -> None:
    """No connection is made for something that is no id."""
    async with ScriptedServer() as server, client_of(server) as client:
        with pytest.raises(InvalidIdError):
            await client.complete_json("not-an-id", 1)
    assert server.connections == 0


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
async def test_a_senseless_timeout_of_a_call_is_refused(timeout: float) -> None:
    """Zero would mean "no limit" to aiohttp."""
    async with ScriptedServer() as server, client_of(server) as client:
        with pytest.raises(ValueError, match="timeout"):
            await client.complete_json(PROMISE_ID, 1, timeout=timeout)
    assert server.connections == 0


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("timeout", 0, ValueError),
        ("timeout", True, TypeError),
        ("attempt_timeout", float("inf"), ValueError),
        ("retry", 3, TypeError),
        ("converter", object(), TypeError),
        ("converter", cattrs.Converter(), TypeError),
        ("headers", {"Authorization": "x"}, ValueError),
        ("headers", {"cookie": "x"}, ValueError),
        ("headers", {"Origin": "x"}, ValueError),
        ("headers", {"HOST": "x"}, ValueError),
        ("headers", {"Content-Type": "x"}, ValueError),
        ("headers", {"Content-Length": "1"}, ValueError),
        ("headers", {"X-Good": "line\nbreak"}, ValueError),
        ("max_connections", 0, ValueError),
        ("max_payload_bytes", -1, ValueError),
        ("ssl", "yes", TypeError),
        ("connector", object(), TypeError),
        ("observers", [object()], TypeError),
        ("observers", object(), TypeError),
        ("overload", "fail", ValueError),
        ("token", "", ValueError),
        ("token", " \n", ValueError),
        ("token", "a\nb", ValueError),
        ("token", "schlüssel", ValueError),
        ("token", 5, TypeError),
        ("base_url", "ftp://host", ValueError),
        ("base_url", "https://user:pass@host", ValueError),
        ("base_url", "https://host/?q=1", ValueError),
        ("base_url", "https://host/#f", ValueError),
        ("base_url", "host:9881", ValueError),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_when_the_client_is_made(
    option: str, value: object, error: type[Exception]
) -> None:
    """A wrong option is an error before any I/O, and its value is not shown."""
    options: dict[str, Any] = {"base_url": "http://127.0.0.1:1", option: value}
    with pytest.raises(error, match=option) as caught:
        GolemClient(**options)
    assert "pass" not in str(caught.value).replace("password", "")


async def test_headers_of_the_caller_are_added() -> None:
    """Own headers go with each request, also another User-Agent."""
    headers = {"X-Request-Source": "billing", "user-agent": "billing/3"}
    async with ScriptedServer() as server, client_of(server, headers=headers) as client:
        await client.complete_json(PROMISE_ID, 1)
    assert server.requests[0].headers["x-request-source"] == "billing"
    assert server.requests[0].headers["user-agent"] == "billing/3"


async def test_a_token_from_a_file_may_end_in_a_newline() -> None:
    """White space around a token is stripped."""
    async with ScriptedServer() as server, client_of(server, token=f" {TOKEN}\n") as client:
        await client.complete_json(PROMISE_ID, 1)
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


async def test_no_cookie_is_kept() -> None:
    """A GOLEM_SESSION cookie would override the token."""
    step = answer(Set_Cookie="GOLEM_SESSION=evil; Path=/")
    async with ScriptedServer(step) as server:
        # A jar of aiohttp's takes no cookie from a bare address.
        url = server.url.replace("127.0.0.1", "localhost")
        async with GolemClient(url, token=TOKEN) as client:
            await client.complete_json(PROMISE_ID, 1)
            await client.complete_json(PROMISE_ID, 1)
    assert "cookie" not in server.requests[1].headers


def test_a_token_over_plain_http_warns_once() -> None:
    """Anything but this machine gets one warning, and only where there is a token."""
    with pytest.warns(InsecureTransportWarning, match="http://golem.example") as caught:
        GolemClient("http://golem.example", token=TOKEN)
    assert len(caught) == 1
    assert TOKEN not in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("http://golem.example", None),
        ("https://golem.example", TOKEN),
        ("http://localhost:9881", TOKEN),
        ("http://127.8.9.1", TOKEN),
        ("http://[::1]:9881", TOKEN),
    ],
)
def test_nothing_else_warns(url: str, token: str | None) -> None:
    """TLS, this machine, or no token: no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GolemClient(url, token=token)


def test_local_and_cloud_are_golems_own_addresses() -> None:
    """The addresses and the local token are those of golem-cli."""

    class Recording(GolemClient):
        def __init__(self, base_url: str, **options: Any) -> None:
            super().__init__(base_url, **options)
            self.options = options

    local, cloud = Recording.local(timeout=5.0), GolemClient.cloud(TOKEN)
    assert repr(local) == "<Recording http://localhost:9881>"
    assert repr(cloud) == "<GolemClient https://release.api.golem.cloud>"
    token = "5c832d93-ff85-4a8f-9803-513950fdfdb1"
    assert local.options == {"token": token, "timeout": 5.0}


def test_cloud_without_a_token_is_an_error() -> None:
    """Golem Cloud knows nobody without one."""
    with pytest.raises(ValueError, match="Golem Cloud needs a token"):
        GolemClient.cloud(None)  # type: ignore[arg-type]


async def test_a_converter_of_the_caller_encodes() -> None:
    """Hooks on a converter made by make_converter are used."""
    converter = make_converter()
    converter.register_unstructure_hook(Decision, lambda decision: int(decision.approved))
    async with ScriptedServer() as server, client_of(server, converter=converter) as client:
        await client.complete_json(PROMISE_ID, Decision(approved=True))
    assert server.requests[0].payload == b"1"


async def test_a_typed_promise_completes_with_its_type() -> None:
    """A Promise[Decision] sends a Decision."""
    async with ScriptedServer() as server, client_of(server) as client:
        promise = client.promise(str(PROMISE_ID), Decision)
        assert isinstance(promise, Promise)
        assert promise.id == PROMISE_ID
        assert repr(promise) == f"<Promise[Decision] {PROMISE_ID}>"
        mistaken: Any = client.promise
        assert "hunter2" not in repr(mistaken(PROMISE_ID, ["hunter2"]))
        done = await promise.complete(Decision(approved=True))
    assert done.outcome is Outcome.FULFILLED
    assert server.requests[0].payload == b'{"approved":true}'


async def test_a_typed_promise_refuses_another_type() -> None:
    """A value that is not a Decision is a PayloadError before anything is sent."""
    async with ScriptedServer() as server, client_of(server) as client:
        promise = client.promise(PROMISE_ID, Decision)
        with pytest.raises(PayloadError):
            await promise.complete({"approved": True})  # type: ignore[arg-type]
    assert server.connections == 0


async def test_a_promise_of_none_takes_nothing_else() -> None:
    """None is a type here, and not "as the value tells"."""
    async with ScriptedServer() as server, client_of(server) as client:
        promise = client.promise(PROMISE_ID, None)
        with pytest.raises(PayloadError):
            await promise.complete(5)  # type: ignore[arg-type]
        await promise.complete(None)
    assert [request.payload for request in server.requests] == [b"null"]


async def test_a_borrowed_connector_is_used_and_left_open() -> None:
    """Its owner closes it."""
    connector = aiohttp.TCPConnector(limit=2)
    async with ScriptedServer() as server:
        async with client_of(server, connector=connector) as client:
            await client.complete_json(PROMISE_ID, 1)
            assert len(connector._conns) == 1
        assert not connector.closed
        await connector.close()


async def test_a_context_for_tls_is_accepted() -> None:
    """An ssl.SSLContext is an option like another."""
    context = ssl.create_default_context()
    async with ScriptedServer() as server, client_of(server, ssl=context) as client:
        assert (await client.complete_json(PROMISE_ID, 1)).attempts == 1


async def test_the_proxy_of_the_environment_is_used_only_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """trust_env sends the request through the proxy; without it the environment is ignored."""
    async with ScriptedServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        async with GolemClient("http://golem.invalid", trust_env=True) as client:
            await client.complete_json(PROMISE_ID, 1)
        async with ScriptedServer() as server, client_of(server) as client:
            await client.complete_json(PROMISE_ID, 1)
    assert proxy.requests[0].target.startswith("http://golem.invalid/v1/components/")
    assert len(proxy.requests) == len(server.requests) == 1
