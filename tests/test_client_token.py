"""A callable as token: when it is asked, how, and what becomes of what it raises."""

from __future__ import annotations

import asyncio
import functools
from contextlib import suppress
from typing import Any

import pytest

from golem_client import (
    AuthenticationError,
    DeadlineExceededError,
    PermissionDeniedError,
    RetryPolicy,
)
from tests.samples import PROMISE_ID, client_of
from tests.scripted_server import CLOSE, TRUE, ScriptedServer, answer, stall

DENIED = answer(401, b'{"code":"AUTH_UNAUTHORIZED","error":"no"}')


def sources(asked: list[dict[str, object]]) -> dict[str, Any]:
    """Return callables of each kind, which note what they are asked with."""

    def fresh(**asking: object) -> str:
        asked.append(asking)
        return f"token-{len(asked):08}"

    async def plain() -> str:
        return fresh()

    async def takes(*, refresh: bool = False) -> str:
        return fresh(refresh=refresh)

    async def takes_anything(**options: object) -> str:
        return fresh(**options)

    async def positional_only(refresh: bool = False, /) -> str:
        return fresh(positional=refresh)

    async def other(*, force: bool = False) -> str:
        return fresh(force=force)

    class Vault:
        async def __call__(self, refresh: bool = False) -> str:
            return fresh(refresh=refresh)

        async def get(self, *, refresh: bool = False) -> str:
            return fresh(refresh=refresh)

    return {
        "plain": plain,
        "takes": takes,
        "takes anything": takes_anything,
        "positional only": positional_only,
        "another keyword": other,
        "an object": Vault(),
        "a method": Vault().get,
        "a partial": functools.partial(takes),
    }


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("plain", {}, {}),
        ("takes", {"refresh": False}, {"refresh": True}),
        ("takes anything", {}, {"refresh": True}),
        ("positional only", {"positional": False}, {"positional": False}),
        ("another keyword", {"force": False}, {"force": False}),
        ("an object", {"refresh": False}, {"refresh": True}),
        ("a method", {"refresh": False}, {"refresh": True}),
        ("a partial", {"refresh": False}, {"refresh": True}),
    ],
)
async def test_refresh_is_asked_for_after_a_401_where_the_callable_takes_it(
    kind: str, first: dict[str, object], second: dict[str, object]
) -> None:
    asked: list[dict[str, object]] = []
    source = sources(asked)[kind]
    async with ScriptedServer(DENIED, TRUE) as server, client_of(server, token=source) as client:
        done = await client.complete_json(PROMISE_ID, 1)
    assert asked == [first, second]
    assert done.attempts == 2
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer token-00000001", "Bearer token-00000002"]


@pytest.mark.parametrize("step", [CLOSE, answer(503, b""), answer(429, b"")])
async def test_no_other_failure_asks_for_a_token_again(step: Any) -> None:
    """One token for each call, and none without a call."""
    asked: list[dict[str, object]] = []
    source = sources(asked)["takes"]
    async with ScriptedServer(step, TRUE) as server, client_of(server, token=source) as client:
        await client.complete_json(PROMISE_ID, 1)
        await client.complete_json(PROMISE_ID, 2)
    assert asked == [{"refresh": False}] * 2
    assert len(server.requests) == 3


async def test_a_403_is_no_reason_for_another_token() -> None:
    asked: list[dict[str, object]] = []
    source = sources(asked)["takes"]
    async with (
        ScriptedServer(answer(403, b'{"error":"no"}')) as server,
        client_of(server, token=source) as client,
    ):
        with pytest.raises(PermissionDeniedError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (len(asked), caught.value.attempts, caught.value.worth_retrying) == (1, 1, True)


async def test_a_policy_of_none_does_not_repeat_after_a_401() -> None:
    asked: list[dict[str, object]] = []
    source = sources(asked)["takes"]
    async with (
        ScriptedServer(DENIED, TRUE) as server,
        client_of(server, token=source, retry=RetryPolicy.none()) as client,
    ):
        with pytest.raises(AuthenticationError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (len(asked), len(server.requests)) == (1, 1)
    assert (caught.value.worth_retrying, caught.value.may_have_completed) == (True, False)


class VaultError(Exception):
    """The caller's own."""


@pytest.mark.parametrize(
    ("steps", "fails_at", "note"),
    [
        ([TRUE], 1, "it is not completed by this call"),
        ([DENIED, TRUE], 2, "it is not completed by this call"),
        ([CLOSE, DENIED, TRUE], 2, "an earlier attempt may have completed it"),
    ],
    ids=["at once", "after a 401", "after a lost answer and a 401"],
)
async def test_what_it_raises_leaves_with_a_note_on_what_is_known(
    steps: list[Any], fails_at: int, note: str
) -> None:
    asked = 0

    async def source() -> str:
        nonlocal asked
        asked += 1
        if asked == fails_at:
            raise VaultError("sealed")
        return "some-token-000000"

    async with ScriptedServer(*steps) as server, client_of(server, token=source) as client:
        with pytest.raises(VaultError, match="sealed") as caught:
            await client.complete_json(PROMISE_ID, 1)
        assert (await client.complete_json(PROMISE_ID, 2)).attempts == 1
    (told,) = caught.value.__notes__
    assert str(PROMISE_ID) in told
    assert told.endswith(note)


async def test_a_cancellation_in_it_is_one() -> None:
    async def source() -> str:
        raise asyncio.CancelledError

    async with ScriptedServer() as server, client_of(server, token=source) as client:
        with pytest.raises(asyncio.CancelledError):
            await client.complete_json(PROMISE_ID, 1)
    assert server.connections == 0


async def test_its_time_counts_in_a_renewal_too() -> None:
    """What was sent before is known to have stored nothing."""

    async def source(*, refresh: bool = False) -> str:
        await asyncio.sleep(10 if refresh else 0)
        return "some-token-000000"

    async with (
        ScriptedServer(DENIED) as server,
        client_of(server, token=source, timeout=0.05) as client,
    ):
        with pytest.raises(DeadlineExceededError, match="for its token") as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (caught.value.attempts, caught.value.may_have_completed) == (1, False)


async def test_a_cancellation_that_the_callable_swallows_is_not_counted_later() -> None:
    """Some libraries end their own waits by cancelling the task, and never take that back."""

    async def source() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        return "some-token-000000"

    async with (
        ScriptedServer(stall, TRUE) as server,
        client_of(server, token=source, attempt_timeout=0.2) as client,
    ):
        assert 2 == (await client.complete_json(PROMISE_ID, 1)).attempts
