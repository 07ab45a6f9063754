"""What type checkers see of the blocking classes; only type-checked, never run."""

from __future__ import annotations

from typing import assert_type

from golem_client import Completion
from golem_client.blocking import (
    BlockingGolemClient,
    BlockingOutbox,
    BlockingOutboxPromise,
    BlockingPromise,
)
from golem_client.outbox import Entry, Key, State


def of_the_client(client: BlockingGolemClient) -> None:
    assert_type(
        BlockingGolemClient("http://localhost", token="t", timeout=3.0), BlockingGolemClient
    )
    assert_type(BlockingGolemClient.local(timeout=2.0), BlockingGolemClient)
    assert_type(BlockingGolemClient.cloud("t"), BlockingGolemClient)
    assert_type(BlockingGolemClient.from_env(), BlockingGolemClient)
    assert_type(client.with_options(timeout=1.0), BlockingGolemClient)
    assert_type(client.complete_json("id", {}, timeout=3.0), Completion)
    assert_type(client.complete_bytes("id", b"x"), Completion)
    assert_type(client.call_webhook("https://x", {}), Completion)
    assert_type(client.promise("id", int), BlockingPromise[int])
    assert_type(client.promise("id", int).complete(3), Completion)
    with client as entered:
        assert_type(entered, BlockingGolemClient)
    client.promise("id", int).complete("3")  # type: ignore[arg-type]
    client.complete_json("id")  # type: ignore[call-arg]
    client.complete_bytes("id", 3)  # type: ignore[arg-type]
    BlockingGolemClient("http://localhost", tken="t")  # type: ignore[call-arg]
    BlockingGolemClient.local(timeut=2.0)  # type: ignore[call-arg]
    client.with_options(ssl=False)  # type: ignore[call-arg]


def of_the_outbox(outbox: BlockingOutbox, client: BlockingGolemClient) -> None:
    assert_type(BlockingOutbox.open("golem.sqlite", lease=30.0), BlockingOutbox)
    assert_type(outbox.complete_json(Key("order-17"), {}), Entry)
    assert_type(outbox.entry("id"), Entry | None)
    assert_type(outbox.wait("id", timeout=3.0), Entry)
    assert_type(outbox.promise("id", int), BlockingOutboxPromise[int])
    assert_type(outbox.promise("id", int).complete(3), Entry)
    with outbox as entered, outbox.delivering(client):
        assert_type(entered, BlockingOutbox)
    for entry in outbox.entries(state=State.DEAD):
        assert_type(entry, Entry)
    outbox.promise("id", int).complete("3")  # type: ignore[arg-type]
    outbox.complete_json("id", {}, timeout=3.0)  # type: ignore[call-arg]
