"""`golem-promise serve`: the routes of the development server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from golem_client import GolemClient, PromiseId
from golem_client.cli.served_golem import ServedGolem
from tests.command_line import golem_promise


@pytest.fixture
async def golem() -> AsyncIterator[ServedGolem]:
    """Return the server, on any free port."""
    async with ServedGolem(dialect="1.5", port=0) as served:
        yield served


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Return what any language has."""
    async with aiohttp.ClientSession() as session:
        yield session


async def ask(
    http: aiohttp.ClientSession, golem: ServedGolem, method: str, path: str = "", **more: Any
) -> tuple[int, Any]:
    async with http.request(method, f"{golem.url}/_fake/promises{path}", **more) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def test_a_promise_lives_its_life(golem: ServedGolem, http: aiohttp.ClientSession) -> None:
    """It is created, shown, completed by REST alone, and shown again."""
    status, made = await ask(http, golem, "POST")
    assert (200, "pending", None) == (status, made["state"], made["payload"])
    body = {"oplogIdx": made["json"]["oplogIdx"], "data": list(b'{"approved":true}')}
    bearer = {"Authorization": f"Bearer {golem.token}"}
    async with http.post(made["completeUrl"], json=body, headers=bearer) as response:
        assert (200, "true") == (response.status, await response.text())
    async with http.get(made["url"]) as response:
        shown = await response.json()
    payload = {
        "base64": base64.b64encode(b'{"approved":true}').decode(),
        "text": '{"approved":true}',
        "json": {"approved": True},
    }
    assert {**made, "state": "completed", "payload": payload} == shown


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", {"base64": "", "text": ""}),
        (b"\xff", {"base64": "/w=="}),
        (b"plain", {"base64": "cGxhaW4=", "text": "plain"}),
        (b"NaN", {"base64": "TmFO", "text": "NaN"}),
        (b'"\\ud800"', {"base64": "Ilx1ZDgwMCI=", "text": '"\\ud800"', "json": "\ud800"}),
        (b"null", {"base64": "bnVsbA==", "text": "null", "json": None}),
    ],
)
async def test_a_payload_is_shown_in_every_way_it_has(
    golem: ServedGolem, http: aiohttp.ClientSession, payload: bytes, expected: dict[str, Any]
) -> None:
    """As bytes always, as text and as JSON where it is."""
    promise_id = golem.create_promise()
    golem.complete_promise(promise_id, payload)
    _, shown = await ask(http, golem, "GET", f"/{quote(str(promise_id), safe='')}")
    assert expected == shown["payload"]


async def test_fields_of_a_promise(golem: ServedGolem, http: aiohttp.ClientSession) -> None:
    """Worker, component and index may be named; the id is a path as it is, too."""
    fields = {
        "workerName": 'MyAgent("a/b c%2F")',
        "componentId": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "oplogIdx": 42,
    }
    _, made = await ask(http, golem, "POST", json=fields)
    promise_id = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6/MyAgent("a/b c%2F")/42'
    assert promise_id == made["id"] == str(PromiseId.parse(made["json"]))
    async with http.get(made["url"]) as response:
        assert promise_id == (await response.json())["id"]


async def test_many_at_once(golem: ServedGolem, http: aiohttp.ClientSession) -> None:
    """For a bulk."""
    _, made = await ask(http, golem, "POST", json={"count": 250})
    _, listed = await ask(http, golem, "GET")
    _, more = await ask(http, golem, "GET", "?limit=240")
    assert (250, 250, 100, 240) == (
        len(set(made["ids"])),
        listed["pending"],
        len(listed["promises"]),
        len(more["promises"]),
    )


async def test_waiting_ends_with_the_completion(
    golem: ServedGolem, http: aiohttp.ClientSession
) -> None:
    """And not before."""
    promise_id = golem.create_promise()
    waiting = asyncio.create_task(ask(http, golem, "GET", f"/{promise_id}?wait=20"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    async with GolemClient(golem.url, token=golem.token) as client:
        await client.complete_text(promise_id, "x")
    _, shown = await asyncio.wait_for(waiting, 5)
    assert ("completed", "x") == (shown["state"], shown["payload"]["text"])


async def test_waiting_ends_when_the_time_is_up(
    golem: ServedGolem, http: aiohttp.ClientSession
) -> None:
    """The promise is then pending."""
    status, shown = await ask(http, golem, "GET", f"/{golem.create_promise()}?wait=0.05")
    assert (200, "pending") == (status, shown["state"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/zork", None, 400, "not a promise id"),
        ("GET", "/f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42", None, 404, "there is no promise"),
        ("GET", "?limit=x", None, 400, "limit must be a number from 0 to"),
        ("GET", "?limit=-1", None, 400, "limit must be"),
        ("GET", "?limit=nan", None, 400, "limit must be"),
        ("GET", "/x?wait=1e9", None, 400, "wait must be a number from 0 to 3600"),
        ("DELETE", "", None, 405, "POST or GET"),
        ("POST", "/x", None, 405, "POST or GET"),
        ("POST", "", b"{", 400, "the body must be a JSON object"),
        ("POST", "", b"[" * 100_000, 400, "the body must be a JSON object"),
        ("POST", "", b"[]", 400, "the body must be a JSON object"),
        ("POST", "", b'{"worker_name": "x"}', 400, "no field 'worker_name': there are workerName"),
        ("POST", "", b'{"workerName": 1}', 400, "workerName must be a text"),
        ("POST", "", b'{"oplogIdx": true}', 400, "oplogIdx must be an integer"),
        ("POST", "", b'{"oplogIdx": -1}', 400, ""),
        ("POST", "", b'{"componentId": "zork"}', 400, ""),
        ("POST", "", b'{"workerName": ""}', 400, ""),
        ("POST", "", b'{"count": 0}', 400, "count must be from 1 to"),
        ("POST", "", b'{"count": 2, "oplogIdx": 4}', 400, "goes by itself"),
    ],
)
async def test_a_wrong_request(
    golem: ServedGolem,
    http: aiohttp.ClientSession,
    method: str,
    path: str,
    body: bytes | None,
    status: int,
    message: str,
) -> None:
    """It is told what is wrong."""
    answered, said = await ask(http, golem, method, path, data=body)
    assert (status, True) == (answered, message in said["error"])


async def test_golems_own_paths_are_golems(golem: ServedGolem, http: aiohttp.ClientSession) -> None:
    """The rest of `/_fake` is not found, as with Golem."""
    for path, expected in (("/healthcheck", 200), ("/_fake", 404), ("/_fake/promisesx", 404)):
        async with http.get(golem.url + path) as response:
            assert (path, expected) == (path, response.status)


async def test_it_does_not_keep_what_came(golem: ServedGolem, http: aiohttp.ClientSession) -> None:
    """A server runs for long."""
    for _ in range(1001):
        async with http.get(golem.url + "/healthcheck") as response:
            await response.read()
    assert len(golem.requests) < 1000


@pytest.mark.parametrize(
    "options",
    [
        ["--faults", "1.5"],
        ["--faults", "nan"],
        ["--latency", "-1"],
        ["--latency", "inf"],
        ["--port", "70000"],
        ["--dialect", "1.2"],
    ],
)
async def test_wrong_options(options: list[str]) -> None:
    """Nothing is served."""
    assert 2 == (await golem_promise("serve", *options)).code


async def test_a_port_that_is_taken(golem: ServedGolem) -> None:
    """It says what to do."""
    ran = await golem_promise("serve", "--port", golem.url.rpartition(":")[2])
    assert (1, "", True) == (ran.code, ran.out, "Name another by --port" in ran.err)


def test_the_counts_are_of_what_was_created() -> None:
    """For the last line."""
    golem = ServedGolem(dialect="1.1", port=0)
    golem._create({"count": 3})
    golem.complete_promise(next(iter(golem._promises)), b"")
    assert {"pending": 2, "completed": 1} == golem.counts()
