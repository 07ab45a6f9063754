"""A worker awaits a promise, a client completes it over HTTP, the worker wakes up.

python examples/quickstart.py                # a fake Golem, in this process
GOLEM_URL=http://localhost:9881 GOLEM_AUTH_TOKEN=... python examples/quickstart.py PROMISE_ID
"""

import asyncio
import os
import sys

from golem_client import GolemClient, GolemError
from golem_client.testing import FakeGolem

DECISION = {"approved": True, "by": "ada"}


async def complete_against_the_fake() -> None:
    async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
        promise_id = golem.create_promise()
        worker = asyncio.create_task(golem.await_promise_json(promise_id))
        print(f"A worker created promise {promise_id} and sleeps.")
        done = await client.complete_json(promise_id, DECISION)
        print(f"The client completed it over HTTP: {done.outcome.name}")
        print(f"The worker woke up and received {await worker}")


async def complete_for_real(promise_id: str) -> None:
    async with GolemClient.from_env(timeout=5.0) as client:  # GOLEM_URL, GOLEM_AUTH_TOKEN, profiles
        done = await client.complete_json(promise_id, DECISION)
    print(f"Promise {promise_id} is completed: {done.outcome.name}")


def main() -> None:
    if len(sys.argv) == 2:
        try:
            asyncio.run(complete_for_real(sys.argv[1]))
        except (GolemError, ValueError) as error:  # ValueError: a variable, or golem-cli's profile
            sys.exit(f"{type(error).__name__}: {error}")
    elif not os.environ.get("GOLEM_URL"):
        asyncio.run(complete_against_the_fake())
    else:
        sys.exit("GOLEM_URL is set: name the promise to complete, as in quickstart.py PROMISE_ID")


if __name__ == "__main__":
    main()
