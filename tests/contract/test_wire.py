"""The bytes of the endpoint, sent without our client: what it relies on.

Each answer is the same in all versions, but for the few that say so.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from golem_client import GolemClient, Outcome, PromiseId
from tests.contract.golem import Answer, TheGolem

TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"
TRUE, FALSE = Answer(200, JSON, b"true"), Answer(200, JSON, b"false")
# Nobody gets there: index 0 is none, and no oplog is that long.
NEVER = 2**63 + 17


def bad_request(words: str) -> Answer:
    return Answer(400, TEXT, f"parse request payload error: {words}".encode())


async def test_the_answers_are_a_bare_true_and_a_bare_false(
    golem: TheGolem, promise_id: PromiseId
) -> None:
    body = {"oplogIdx": promise_id.oplog_idx, "data": [1]}
    path = golem.path(promise_id)
    assert (await golem.post(path, body), await golem.post(path, body)) == (TRUE, FALSE)


@pytest.mark.parametrize(
    "written",
    [
        '{"data":[1],"oplogIdx":%d}',
        ' {\r\n\t"oplogIdx" : %d , "data" : [  1,  42,255 ] } ',
        '{"oplogIdx":%d,"data":[],"more":{"a":[null]}}',
        '{"oplogIdx":1,"data":[],"data":[2],"oplogIdx":%d}',
    ],
    ids=["other order", "white space", "unknown field", "the last of two fields"],
)
async def test_ways_to_write_the_body(golem: TheGolem, promise_id: PromiseId, written: str) -> None:
    """The padding of our own numbers rests on the second."""
    assert await golem.post(golem.path(promise_id), written % promise_id.oplog_idx) == TRUE


@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=latin-1", "application/vnd.x+json"],
)
async def test_content_types_that_are_json(
    golem: TheGolem, promise_id: PromiseId, kind: str
) -> None:
    body = {"oplogIdx": promise_id.oplog_idx, "data": [1]}
    assert await golem.post(golem.path(promise_id), body, content_type=kind) == TRUE


async def test_how_the_path_is_encoded_does_not_matter(
    golem: TheGolem, promise_id: PromiseId
) -> None:
    """Golem decodes each segment once; and knows a component by any syntax of a UUID."""
    worker = promise_id.worker_id
    every = "".join(f"%{byte:02X}" for byte in worker.worker_name.encode())
    uuid = str(worker.component_id)
    body = {"oplogIdx": promise_id.oplog_idx, "data": [1]}
    answers = [
        await golem.post(f"/v1/components/{component}/workers/{every}/complete", body)
        for component in (uuid, uuid.upper(), uuid.replace("-", ""), f"urn:uuid:{uuid}")
    ]
    assert answers == [TRUE, FALSE, FALSE, FALSE]


REFUSED_BODIES: list[tuple[str, str | bytes, Answer]] = [
    ("nothing", b"", bad_request('Expected input type "CompleteParameters", found null.')),
    ("no json", "}", bad_request("expected value at line 1 column 1")),
    ("a number", "1", bad_request('Expected input type "CompleteParameters", found 1.')),
    (
        "no index",
        '{"oplog_idx":1,"data":[]}',
        bad_request(
            'Expected input type "integer(uint64)", found null. '
            '(occurred while parsing "CompleteParameters")'
        ),
    ),
    (
        "no data",
        '{"oplogIdx":1}',
        bad_request(
            'Expected input type "list_integer(uint8)", found null. '
            '(occurred while parsing "CompleteParameters")'
        ),
    ),
    (
        "a text",
        '{"oplogIdx":1,"data":"secret"}',
        bad_request(
            'Expected input type "list_integer(uint8)", found "secret". '
            '(occurred while parsing "CompleteParameters")'
        ),
    ),
    (
        "256",
        '{"oplogIdx":1,"data":[256]}',
        bad_request(
            'failed to parse "integer(uint8)": Only integers from 0 to 255 are accepted. '
            '(occurred while parsing "list_integer(uint8)") '
            '(occurred while parsing "CompleteParameters")'
        ),
    ),
    (
        "-1",
        '{"oplogIdx":1,"data":[-1]}',
        bad_request(
            'failed to parse "integer(uint8)": invalid integer '
            '(occurred while parsing "list_integer(uint8)") '
            '(occurred while parsing "CompleteParameters")'
        ),
    ),
    (
        "2**64",
        '{"oplogIdx":18446744073709551616,"data":[]}',
        bad_request(
            'failed to parse "integer(uint64)": invalid integer '
            '(occurred while parsing "CompleteParameters")'
        ),
    ),
]


@pytest.mark.parametrize("token", [None, "nobody-knows-this-token"], ids=["known", "unknown"])
async def test_bodies_that_are_refused(golem: TheGolem, token: str | None) -> None:
    """With whatever token: the body is read first. What is refused is echoed."""
    path = f"/v1/components/{'0' * 32}/workers/w/complete"
    for name, body, answer in REFUSED_BODIES:
        assert (name, answer) == (name, await golem.post(path, body, token=token))


async def test_without_a_content_type(golem: TheGolem) -> None:
    words = b"the client request does not include the `Content-Type` header"
    path = f"/v1/components/{'0' * 32}/workers/w/complete"
    assert await golem.post(path, b"{}", content_type=None) == Answer(415, TEXT, words)


async def test_with_another_content_type(golem: TheGolem) -> None:
    words = b"the `Content-Type` requested by the client is not supported: text/plain"
    path = f"/v1/components/{'0' * 32}/workers/w/complete"
    assert await golem.post(path, b"{}", content_type="text/plain") == Answer(415, TEXT, words)


async def test_a_component_that_is_no_uuid(golem: TheGolem) -> None:
    """The name of the parameter differs between versions."""
    answer = await golem.post("/v1/components/nonsense/workers/w/complete", b"{}")
    assert (answer.status, answer.content_type) == (400, TEXT)
    parameter, _, rest = answer.text.removeprefix("failed to parse path `").partition("`: ")
    assert parameter in {"component_id", "param0"}
    assert rest.startswith('failed to parse "string(ComponentId)": ')


async def test_another_method_or_path(golem: TheGolem) -> None:
    path = f"/v1/components/{'0' * 32}/workers/w/complete"
    statuses = [
        (await golem.post(path, b"{}", method="PUT")).status,
        (await golem.post("/v1/nonsense", b"{}")).status,
    ]
    assert statuses == [405, 404]


async def test_what_is_refused_stores_nothing(
    golem: TheGolem, client: GolemClient, promise_id: PromiseId
) -> None:
    path, index = golem.path(promise_id), promise_id.oplog_idx
    for data in ("null", '"text"', "[256]", "[1.0]", "[true]", '["1"]'):
        answer = await golem.post(path, f'{{"oplogIdx":{index},"data":{data}}}')
        assert answer.status == 400
    whole = {"oplogIdx": index, "data": [1]}
    assert (await golem.post(path, whole, content_type="text/plain")).status == 415
    assert (await golem.post(path, whole, method="PUT")).status == 405
    assert (await client.complete_bytes(promise_id, b"1")).outcome is Outcome.FULFILLED


async def test_an_index_keeps_all_of_its_64_bits(golem: TheGolem, promise_id: PromiseId) -> None:
    """Golem names the promise that it does not know, and names it exactly."""
    body = {"oplogIdx": NEVER, "data": []}
    answer = await golem.post(golem.path(promise_id), body)
    assert (answer.status, answer.content_type) == (500, JSON)
    assert str(NEVER) in answer.text


async def test_a_promise_that_does_not_exist_is_a_500(
    golem: TheGolem, promise_id: PromiseId
) -> None:
    """In one of three dialects, each of which names it."""
    answer = await golem.post(golem.path(promise_id), {"oplogIdx": NEVER, "data": []})
    said: dict[str, Any] = json.loads(answer.body)
    assert answer.status == 500
    if "golemError" in said:
        assert said["golemError"]["type"] == "PromiseNotFound"
        assert PromiseId.parse(said["golemError"]["promiseId"]).oplog_idx == NEVER
    else:
        assert said["error"].startswith("Promise not found: ")
        assert said["error"].endswith(f"/{NEVER}")
        assert said.get("code", "INTERNAL_UNKNOWN") == "INTERNAL_UNKNOWN"
        assert said["workerError"] is None


async def test_a_request_without_a_token_is_taken_or_a_401(
    golem: TheGolem, client: GolemClient, promise_id: PromiseId
) -> None:
    """1.1 and 1.2 ask for none; from 1.3 on it is a bare text."""
    await client.complete_bytes(promise_id, b"1")
    body = {"oplogIdx": promise_id.oplog_idx, "data": [1]}
    answer = await golem.post(golem.path(promise_id), body, token="")
    assert answer in (FALSE, Answer(401, TEXT, b"authorization error"))
