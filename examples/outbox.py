"""Accept a completion durably, and let it be delivered: also while Golem is away.

python examples/outbox.py
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from golem_client import GolemClient
from golem_client.outbox import Key, Outbox
from golem_client.testing import FakeGolem


async def main() -> None:
    file = Path(tempfile.mkdtemp()) / "golem.sqlite"
    async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
        promise_id = golem.create_promise()

        async with await Outbox.open(file) as outbox:  # the web server's process
            await outbox.complete_json(Key("order-17"), {"paid": True})
            await outbox.bind("order-17", promise_id)  # earlier or later: as the worker tells it
            entry = await outbox.complete_json(Key("order-17"), {"paid": True})
            print(f"Accepted: {entry.state}; a redelivered event is new: {entry.is_new}")

        async with await Outbox.open(file) as outbox:  # after a crash, or in another process
            async with outbox.delivering(client):
                entry = await outbox.wait(promise_id, timeout=30)
            print(f"Delivered: {entry.state}, {entry.outcome}")
        print(f"The worker received {await golem.await_promise_json(promise_id)}")


if __name__ == "__main__":
    asyncio.run(main())
