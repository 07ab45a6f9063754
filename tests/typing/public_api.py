"""The types of the public calls: checked by mypy and pyright, never run.

Where a call must be an error, the comment that silences it is itself an error once the call is
none: mypy by `warn_unused_ignores`, pyright by the line below.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import Any, Literal, assert_type
from uuid import UUID

import aiohttp
import attrs

from golem_client import (
    AgentId,
    AnyPromiseId,
    AttemptTimeoutError,
    Completion,
    ComponentId,
    ConnectionLostError,
    DeadlineExceededError,
    GolemClient,
    GolemError,
    InvalidIdError,
    OplogIndex,
    Outcome,
    PayloadError,
    Promise,
    PromiseId,
    PromiseNotFoundError,
    RateLimitedError,
    ResponseError,
    RetryPolicy,
    WorkerId,
    make_converter,
)


@attrs.frozen
class Approved:
    by: str


@attrs.frozen
class Rejected:
    reason: str


@attrs.frozen
class Unrelated:
    number: int


async def fresh_token() -> str:
    return "token"


def fixed_token() -> str:
    return "token"


async def clients_are_made(connector: aiohttp.BaseConnector) -> None:
    assert_type(GolemClient("http://golem"), GolemClient)
    assert_type(GolemClient("http://golem", token="token"), GolemClient)
    assert_type(GolemClient("http://golem", token=fresh_token), GolemClient)
    assert_type(GolemClient.local(), GolemClient)
    assert_type(GolemClient.local(timeout=5, retry=RetryPolicy.none()), GolemClient)
    assert_type(GolemClient.cloud("token"), GolemClient)
    assert_type(GolemClient.cloud(fresh_token, headers={"X-Request-Id": "1"}), GolemClient)
    assert_type(
        GolemClient(
            "http://golem",
            token=None,
            timeout=30,
            attempt_timeout=10.0,
            retry=RetryPolicy(),
            converter=make_converter(),
            headers=None,
            max_connections=100,
            max_payload_bytes=4_000_000,
            ssl=False,
            trust_env=True,
            connector=connector,
        ),
        GolemClient,
    )
    async with GolemClient("http://golem") as client:
        assert_type(client, GolemClient)
    assert_type(await client.aclose(), None)


class OwnClient(GolemClient):
    """A subclass keeps its own type."""


async def subclasses_keep_their_type() -> None:
    assert_type(OwnClient.local(), OwnClient)
    assert_type(OwnClient.cloud("token"), OwnClient)
    async with OwnClient("http://golem") as client:
        assert_type(client, OwnClient)


def clients_are_not_made(session: aiohttp.ClientSession) -> None:
    GolemClient()  # type: ignore[call-arg]
    GolemClient(1)  # type: ignore[arg-type]
    GolemClient("http://golem", "token")  # type: ignore[call-arg]
    GolemClient("http://golem", token=b"token")  # type: ignore[arg-type]
    GolemClient("http://golem", token=fixed_token)  # type: ignore[arg-type]
    GolemClient("http://golem", timeout=None)  # type: ignore[arg-type]
    GolemClient("http://golem", retry=3)  # type: ignore[arg-type]
    GolemClient("http://golem", session=session)  # type: ignore[call-arg]
    GolemClient("http://golem", connector=session)  # type: ignore[arg-type]
    GolemClient.local(token="token")  # type: ignore[call-arg]
    GolemClient.local("http://golem")  # type: ignore[arg-type, call-arg]
    GolemClient.local(timeout="5")  # type: ignore[arg-type]
    GolemClient.cloud()  # type: ignore[call-arg]


async def promises_are_completed(client: GolemClient, promise_id: PromiseId) -> None:
    assert_type(await client.complete_bytes(promise_id, b"payload"), Completion)
    assert_type(await client.complete_bytes(promise_id, bytearray(b"payload")), Completion)
    assert_type(await client.complete_bytes(promise_id, memoryview(b"payload")), Completion)
    assert_type(await client.complete_text(promise_id, "payload", timeout=5), Completion)
    assert_type(await client.complete_json(promise_id, {"approved": True}), Completion)
    assert_type(await client.complete_json(promise_id, Approved("me"), Approved), Completion)
    assert_type(
        await client.complete_json(promise_id, Approved("me"), Approved | Rejected), Completion
    )
    assert_type(await client.complete_json(promise_id, [1], as_type=list[int]), Completion)
    assert_type(await client.complete_json(promise_id, None, timeout=1.5), Completion)


async def an_id_comes_in_any_spelling(client: GolemClient, decoded: dict[str, Any]) -> None:
    assert_type(await client.complete_text("uuid/w1/42", "payload"), Completion)
    assert_type(await client.complete_text(b"uuid/w1/42", "payload"), Completion)
    assert_type(await client.complete_text(decoded, "payload"), Completion)
    assert_type(await client.complete_text([decoded], "payload"), Completion)


async def promises_are_not_completed(client: GolemClient, promise_id: PromiseId) -> None:
    await client.complete_bytes(promise_id)  # type: ignore[call-arg]
    await client.complete_bytes(promise_id, "text")  # type: ignore[arg-type]
    await client.complete_bytes(promise_id, [1, 2])  # type: ignore[arg-type]
    await client.complete_bytes(promise_id, b"payload", 5)  # type: ignore[call-arg]
    await client.complete_text(promise_id, b"bytes")  # type: ignore[arg-type]
    await client.complete_json(promise_id)  # type: ignore[call-arg]
    await client.complete_json(promise_id, 1, 2)  # type: ignore[arg-type]
    await client.complete_text(42, "payload")  # type: ignore[arg-type]
    await client.complete_text(None, "payload")  # type: ignore[arg-type]


async def typed_promises(client: GolemClient, promise_id: PromiseId) -> None:
    one = client.promise(promise_id, Approved)
    assert_type(one, Promise[Approved])
    assert_type(one.id, PromiseId)
    assert_type(await one.complete(Approved("me")), Completion)
    assert_type(await one.complete(Approved("me"), timeout=5), Completion)

    either = client.promise("uuid/w1/42", Approved | Rejected)
    assert_type(either, Promise[Approved | Rejected])
    assert_type(await either.complete(Rejected("no")), Completion)

    assert_type(client.promise(promise_id, list[int]), Promise[list[int]])
    assert_type(client.promise(promise_id, Approved | None), Promise[Approved | None])
    assert_type(client.promise(promise_id, Literal["yes", "no"]), Promise[Literal["yes", "no"]])


async def typed_promises_refuse(client: GolemClient, promise_id: PromiseId) -> None:
    one = client.promise(promise_id, Approved)
    await one.complete(Rejected("no"))  # type: ignore[arg-type]
    await one.complete(None)  # type: ignore[arg-type]
    await one.complete()  # type: ignore[call-arg]
    await one.complete(Approved("me"), 5)  # type: ignore[call-arg]

    either = client.promise(promise_id, Approved | Rejected)
    await either.complete(Unrelated(1))  # type: ignore[arg-type]

    client.promise(promise_id)  # type: ignore[call-arg]


def completions_tell(done: Completion) -> None:
    assert_type(done.outcome, Outcome)
    assert_type(done.attempts, int)
    assert_type(done.by_this_call, bool | None)
    assert_type(done.outcome.by_this_call, bool | None)
    done.attempts = 2  # type: ignore[misc]


def outcomes_are_exhaustive(outcome: Outcome) -> int:
    match outcome:
        case Outcome.FULFILLED:
            return 1
        case Outcome.ALREADY_FULFILLED:
            return 2
        case Outcome.FULFILLED_BY_UNKNOWN:
            return 3


def ids_are_read(value: object, promise: AnyPromiseId, uuid: UUID) -> None:
    assert_type(ComponentId.parse(value), ComponentId)
    assert_type(WorkerId.parse(value), WorkerId)
    assert_type(AgentId.parse(value), WorkerId)
    assert_type(PromiseId.parse(promise), PromiseId)
    PromiseId.parse(uuid)  # type: ignore[arg-type]
    assert_type(ComponentId(uuid), ComponentId)
    assert_type(ComponentId.from_bits(1, 2), ComponentId)
    assert_type(WorkerId(ComponentId(uuid), "w1"), WorkerId)
    assert_type(PromiseId(WorkerId(ComponentId(uuid), "w1"), 42), PromiseId)


def ids_are_written(promise_id: PromiseId) -> None:
    worker_id = promise_id.worker_id
    component_id = worker_id.component_id
    assert_type(worker_id, WorkerId)
    assert_type(worker_id.worker_name, str)
    assert_type(worker_id.urn, str)
    assert_type(component_id, ComponentId)
    assert_type(component_id.uuid, UUID)
    assert_type(component_id.high_bits, int)
    assert_type(component_id.low_bits, int)
    assert_type(component_id.to_json(), str)
    assert_type(promise_id.oplog_idx, OplogIndex)
    assert_type(promise_id.oplog_idx, int)
    assert_type(str(promise_id), str)


def ids_are_ordered_and_hashable(one: PromiseId, other: PromiseId) -> None:
    assert_type(sorted({one, other}), list[PromiseId])
    assert_type(one < other, bool)


def ids_refuse(promise_id: PromiseId, worker_id: WorkerId) -> None:
    PromiseId("uuid/w1/42")  # type: ignore[arg-type, call-arg]
    PromiseId(worker_id, "42")  # type: ignore[arg-type]
    WorkerId("uuid", "w1")  # type: ignore[arg-type]
    promise_id.oplog_idx = 43  # type: ignore[misc]


def policies_are_data() -> None:
    assert_type(RetryPolicy(), RetryPolicy)
    assert_type(RetryPolicy.none(), RetryPolicy)
    policy = RetryPolicy(
        max_attempts=3, min_delay=1, max_delay=2.5, multiplier=2, max_jitter_factor=0.1
    )
    assert_type(policy.max_attempts, int)
    assert_type(policy.min_delay, float)
    assert_type(policy.delay(3), float)
    policy.max_attempts = 4  # type: ignore[misc]
    RetryPolicy(attempts=3)  # type: ignore[call-arg]
    RetryPolicy(max_attempts="3")  # type: ignore[arg-type]


def errors_tell(
    error: GolemError, response: ResponseError, limited: RateLimitedError
) -> int | None:
    assert_type(error.message, str)
    assert_type(error.promise_id, PromiseId | None)
    assert_type(error.attempts, int)
    assert_type(error.may_have_completed, bool)
    assert_type(error.worth_retrying, bool)
    assert_type(response.status, int)
    assert_type(response.code, str | None)
    assert_type(limited.retry_after, float | None)
    return error.status  # type: ignore[attr-defined, no-any-return]


def errors_are_also_what_people_catch(
    deadline: DeadlineExceededError, payload: PayloadError, wrong_id: InvalidIdError
) -> None:
    timeout: TimeoutError = deadline
    values: list[ValueError] = [payload, wrong_id]
    golem: list[GolemError] = [deadline, payload, wrong_id]
    del timeout, values, golem


async def a_caller_needs_no_table(client: GolemClient, promise_id: PromiseId) -> int:
    try:
        await client.complete_json(promise_id, {})
    except PromiseNotFoundError as error:
        assert_type(error.status, int)
    except (ConnectionLostError, AttemptTimeoutError) as error:
        assert_type(error.may_have_completed, bool)
    except GolemError as error:
        return 503 if error.worth_retrying else 422
    return 200
