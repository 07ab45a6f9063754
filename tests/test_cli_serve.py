"""`golem-promise serve`: the routes of the development server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import shlex
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp
import pytest
from yarl import URL

from golem_client import GolemClient, PromiseId, RetryPolicy
from golem_client.cli.serve import ServedGolem
from tests.command_line import golem_promise

QUICK = RetryPolicy(min_delay=0.001, max_delay=0.01)
ID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"


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
    url = path if path.startswith("http") else f"{golem.url}/_fake/promises{path}"
    async with http.request(method, url, **more) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, five seconds at most."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.01)


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


async def test_many_are_created_at_once_and_listed_by_page(
    golem: ServedGolem, http: aiohttp.ClientSession
) -> None:
    """Each page says which it is and where the next one is."""
    _, made = await ask(http, golem, "POST", json={"count": 250})
    pages = [(await ask(http, golem, "GET"))[1]]
    while pages[-1]["next"] is not None:
        pages.append((await ask(http, golem, "GET", pages[-1]["next"]))[1])
    assert ["1 to 100 of 250", "101 to 200 of 250", "201 to 250 of 250"] == [
        page["page"] for page in pages
    ]
    assert made["ids"] == [one["id"] for page in pages for one in page["promises"]]
    assert {(250, 0)} == {(page["pending"], page["completed"]) for page in pages}


@pytest.mark.parametrize(
    ("path", "page", "following"),
    [
        ("?limit=2", "1 to 2 of 3", "?limit=2&offset=2"),
        ("?limit=2&offset=1", "2 to 3 of 3", None),
        ("?offset=3", "none of 3", None),
        ("?limit=0", "none of 3", None),
    ],
)
async def test_a_page(
    golem: ServedGolem, http: aiohttp.ClientSession, path: str, page: str, following: str | None
) -> None:
    """It may be as large as the caller wants it."""
    await ask(http, golem, "POST", json={"count": 3})
    _, listed = await ask(http, golem, "GET", path)
    url = None if following is None else f"{golem.url}/_fake/promises{following}"
    assert (page, url) == (listed["page"], listed["next"])


async def test_the_ready_curl_completes_the_promise(
    golem: ServedGolem, http: aiohttp.ClientSession
) -> None:
    """Its words are those of a shell; here its request is sent without one."""
    _, made = await ask(http, golem, "POST", json={"workerName": 'Agent("it\'s")'})
    curl, *words = shlex.split(made["curl"])
    options = dict(zip(words[::2], words[1::2], strict=False))
    url = next(word for word in words if word.startswith("http"))
    headers = [word.split(": ") for word in words if ": " in word and not word.startswith("{")]
    async with http.request(
        options["-X"], URL(url, encoded=True), headers=dict(headers), data=words[-1]
    ) as response:
        assert ("curl", 200, "true") == (curl, response.status, await response.text())
    _, shown = await ask(http, golem, "GET", made["url"])
    assert shown["payload"]["json"] is True


async def test_delete_forgets_promises_and_faults(
    golem: ServedGolem, http: aiohttp.ClientSession
) -> None:
    """And those who wait are told."""
    _, made = await ask(http, golem, "POST")
    golem.drop_next(applied=True)
    waiting = asyncio.create_task(ask(http, golem, "GET", f"{made['url']}?wait=20"))
    await asyncio.sleep(0.1)
    assert (200, {"deleted": 1}) == await ask(http, golem, "DELETE")
    assert 404 == (await asyncio.wait_for(waiting, 5))[0]
    assert ((), {"pending": 0, "completed": 0}) == (golem.pending_faults, golem.counts())
    assert 404 == (await ask(http, golem, "GET", made["url"]))[0]


async def test_delete_keeps_the_faults_of_the_command_line(http: aiohttp.ClientSession) -> None:
    """They are what the server was started with."""
    async with ServedGolem(faults=1.0, seed=3) as golem:
        await ask(http, golem, "DELETE")
        await ask(http, golem, "DELETE", f"{golem.url}/_fake/faults")
        _, made = await ask(http, golem, "POST")
        with contextlib.suppress(aiohttp.ClientError):
            async with http.post(made["completeUrl"], json={"oplogIdx": 1, "data": []}) as response:
                await response.read()
        assert golem.requests[-1].fault is not None


class TestFaults:
    """`POST /_fake/faults`."""

    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            ({"fault": "drop", "applied": True}, "drop (applied) for any promise: fired 0 of 1"),
            ({"fault": "drop", "applied": False, "times": 3}, "drop (not applied) for any"),
            (
                {"fault": "stall", "applied": False, "promise_id": ID},
                f"stall (not applied) for promise {ID}",
            ),
            ({"fault": "fail", "status": 429, "retry_after": 2}, "status 429 (not applied)"),
            ({"status": 503}, "status 503 (not applied)"),
            ({"fault": "html"}, "html 502"),
            ({"fault": "delay", "seconds": 0.5}, "delay (applied)"),
            ({"fault": "truncate", "by": 2}, "truncate (applied)"),
            ({"fault": "echo"}, "echo"),
            ({"fault": "redirect", "location": "http://x/"}, "redirect 302"),
        ],
    )
    async def test_one_is_ordered(
        self, golem: ServedGolem, http: aiohttp.ClientSession, order: Any, expected: str
    ) -> None:
        """The next completion meets it."""
        status, said = await ask(http, golem, "POST", f"{golem.url}/_fake/faults", json=order)
        assert (200, expected) == (status, said["ordered"][: len(expected)])
        assert [said["ordered"]] == [str(order) for order in golem.pending_faults]

    async def test_a_client_meets_it(self, golem: ServedGolem, http: aiohttp.ClientSession) -> None:
        """And comes through."""
        order = {"fault": "drop", "applied": True}
        await ask(http, golem, "POST", f"{golem.url}/_fake/faults", json=order)
        async with GolemClient(golem.url, token=golem.token) as client:
            done = await client.complete_text(golem.create_promise(), "x")
        assert (2, None) == (done.attempts, done.by_this_call)

    async def test_they_are_listed_and_cancelled(
        self, golem: ServedGolem, http: aiohttp.ClientSession
    ) -> None:
        """With the fields of each kind; promises stay."""
        url = f"{golem.url}/_fake/faults"
        await ask(http, golem, "POST")
        await ask(http, golem, "POST", url, json={"fault": "echo", "times": 2})
        _, listed = await ask(http, golem, "GET", url)
        assert ["echo (applied) for any promise: fired 0 of 2"] == listed["ordered"]
        assert ["applied", "promise_id", "times"] == listed["kinds"]["drop"]
        assert "status" in listed["kinds"]["fail"]
        _, listed = await ask(http, golem, "DELETE", url)
        assert ([], ()) == (listed["ordered"], golem.pending_faults)
        assert 1 == golem.counts()["pending"]

    @pytest.mark.parametrize(
        ("order", "message"),
        [
            ({}, "fault must be one of "),
            ({"fault": "zork"}, "fault must be one of "),
            ({"fault": "raw"}, "fault must be one of "),
            ({"fault": "drop"}, "argument: 'applied'; drop takes applied, promise_id, times"),
            (
                {"fault": "echo", "applied": True},
                "argument 'applied'; echo takes promise_id, times",
            ),
            ({"fault": "drop", "applied": 1}, "applied must be of type bool"),
            ({"fault": "fail", "status": True}, "status must be of type int"),
            ({"fault": "fail", "status": "503"}, "status must be of type int"),
            ({"fault": "delay", "seconds": "1"}, "seconds must be of type int or float"),
            ({"fault": "html", "zork": 1}, "no field 'zork'"),
            ({"fault": "html", "promise_id": "zork"}, ""),
            ({"fault": "html", "times": 0}, ""),
            ({"fault": "delay", "seconds": -1}, ""),
            ({"fault": "truncate", "by": 0}, "by is the number of bytes"),
        ],
    )
    async def test_a_wrong_order(
        self, golem: ServedGolem, http: aiohttp.ClientSession, order: Any, message: str
    ) -> None:
        """It says what is wrong; nothing is ordered."""
        status, said = await ask(http, golem, "POST", f"{golem.url}/_fake/faults", json=order)
        assert (400, True, ()) == (status, message in said["error"], golem.pending_faults)


class TestLog:
    """`serve -v`."""

    async def test_each_request_is_one_line(self, http: aiohttp.ClientSession) -> None:
        """What came, and what was answered; no payload and no token."""
        lines: list[str] = []
        async with ServedGolem(dialect="1.5", port=0, log=lines.append) as golem:
            _, made = await ask(http, golem, "POST")
            golem.drop_next(applied=False)
            async with GolemClient(golem.url, token=golem.token) as client:
                await client.complete_text(made["id"], "zorro")
            async with http.get(f"{golem.url}/healthcheck\u001b[2J") as response:
                await response.read()
        assert [
            "POST /_fake/promises -> 200",
            f"POST {made['id']} (5 bytes) -> no answer, fault: drop",
            f"POST {made['id']} (5 bytes) -> 200 true",
            "GET /healthcheck%1B%5B2J -> 404",
        ] == lines
        assert not any("zorro" in line or golem.token in line for line in lines)

    async def test_it_is_written_while_the_server_runs(self, http: aiohttp.ClientSession) -> None:
        """Not at its end."""
        lines: list[str] = []
        async with ServedGolem(dialect="1.5", port=0, log=lines.append) as golem:
            async with http.get(f"{golem.url}/healthcheck") as response:
                await response.read()
            assert ["GET /healthcheck -> 200"] == lines


@pytest.mark.parametrize(
    ("host", "expected"),
    [("0.0.0.0", "http://127.0.0.1:"), ("127.0.0.3", "http://127.0.0.3:")],
)
async def test_its_url_is_one_that_this_machine_reaches(
    http: aiohttp.ClientSession, host: str, expected: str
) -> None:
    """That of all addresses is none."""
    async with (
        ServedGolem(host=host) as golem,
        http.get(f"{golem.url}/healthcheck") as response,
    ):
        assert (expected, 200) == (golem.url[: len(expected)], response.status)


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
        ("GET", "?offset=-1", None, 400, "offset must be a number from 0 to"),
        ("PUT", "", None, 405, "POST, GET or DELETE"),
        ("DELETE", "/x", None, 405, "POST, GET or DELETE"),
        ("POST", "/x", None, 405, "POST, GET or DELETE"),
        ("POST", "", b"{", 400, "the body must be a JSON object"),
        ("POST", "", b"[" * 100_000, 400, "the body must be a JSON object"),
        ("POST", "", b"[]", 400, "the body must be a JSON object"),
        (
            "POST",
            "",
            b'{"worker_name": "x"}',
            400,
            "there are componentId, count",
        ),
        ("POST", "", b'{"workerName": 1}', 400, "workerName must be of type str"),
        ("POST", "", b'{"oplogIdx": true}', 400, "oplogIdx must be of type int"),
        ("POST", "", b'{"oplogIdx": -1}', 400, ""),
        ("POST", "", b'{"componentId": "zork"}', 400, ""),
        ("POST", "", b'{"workerName": ""}', 400, ""),
        ("POST", "", b'{"count": 0}', 400, "count must be from 1 to"),
        ("POST", "", b'{"count": 2, "oplogIdx": 4}', 400, "without oplogIdx"),
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


async def test_it_does_not_keep_what_came(
    golem: ServedGolem, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server runs for long, and may always have a request under way."""
    golem.stall_next(applied=False)
    path = f"/v1/components/{UUID(int=1)}/workers/w/complete"
    body = {"oplogIdx": 1, "data": []}
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(http.post(golem.url + path, json=body))
        for _ in range(1001):
            async with http.get(golem.url + "/healthcheck") as response:
                await response.read()
        await until(lambda: len(golem.requests) < 100)
        hanging.cancel()


@pytest.mark.parametrize(
    "options",
    [
        ["--faults", "1.5"],
        ["--port", "70000"],
        ["--host"],
        ["--dialect", "2.0"],
    ],
)
async def test_wrong_options(options: list[str]) -> None:
    """Nothing is served."""
    assert 2 == (await golem_promise("serve", *options)).code


async def test_a_port_that_is_taken(golem: ServedGolem) -> None:
    """It says what to do."""
    ran = await golem_promise("serve", "--port", golem.url.rpartition(":")[2])
    port = golem.url.rpartition(":")[2]
    assert (
        f"golem-promise: cannot listen on 127.0.0.1, port {port}: Address already in use. Name "
        "another port by --port, or 0.\n"
    ) == ran.err
    assert (1, "") == (ran.code, ran.out)


async def test_a_host_that_is_none_of_ours() -> None:
    """An address of others, and a name that nobody has."""
    # asyncio of Python 3.13 does not say why an address cannot be bound.
    cannot = "(Cannot assign|could not bind)"
    for host, reason in (("192.0.2.1", cannot), ("golem.invalid", "Name or service")):
        ran = await golem_promise("serve", "--host", host, "--port", "0")
        assert 1 == ran.code
        assert re.search(f"cannot listen on {re.escape(host)}, port 0: {reason}", ran.err)
        assert ran.err.endswith(" Name an address of this machine by --host.\n")


async def test_the_counts_are_of_what_was_created(
    golem: ServedGolem, http: aiohttp.ClientSession
) -> None:
    """For the last line."""
    _, made = await ask(http, golem, "POST", json={"count": 3})
    golem.complete_promise(made["ids"][1], b"")
    assert {"pending": 2, "completed": 1} == golem.counts()
