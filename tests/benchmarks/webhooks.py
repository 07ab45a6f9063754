"""A delivery, in CPU time, against a bare Starlette route with the same completion.

python -m tests.benchmarks.webhooks [--rounds 15] [--calls 2000]
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import platform
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from golem_client import GolemClient, PromiseId
from golem_client.webhooks import Complete, Webhook, stripe
from tests.benchmarks import server
from tests.benchmarks.rounds import Call, compare, cpu_per_call, table

PROMISE_ID = PromiseId.parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42")
SECRET = "whsec_benchmark"
EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_intent.succeeded",
    "data": {"object": {"id": "pi_17", "amount": 4200, "metadata": {"note": "x" * 2000}}},
}
BODY = json.dumps(EVENT).encode()
CONCURRENCY = 20
AIM = 150e-6


def payload_of(event: Any) -> Any:
    return {"event": event["id"], "amount": event["data"]["object"]["amount"]}


async def route(event: Any) -> Complete:
    return Complete(PROMISE_ID, payload_of(event))


def bare(client: GolemClient) -> Callable[[Request], Awaitable[Response]]:
    async def receive(request: Request) -> Response:
        await client.complete_json(PROMISE_ID, payload_of(json.loads(await request.body())))
        return Response(status_code=204)

    return receive


def delivering(app: Starlette, path: str) -> Call:
    """Return a call that delivers the event as a server does, without a socket of its own."""
    stamp = int(time.time())
    signature = hmac.new(SECRET.encode(), b"%d.%s" % (stamp, BODY), "sha256").hexdigest()
    headers = [
        (b"host", b"localhost"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(BODY)),
        (b"stripe-signature", f"t={stamp},v1={signature}".encode()),
        (b"user-agent", b"Stripe/1.0"),
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": headers,
    }

    async def call(_: int) -> object:
        statuses: list[int] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": BODY, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await app(dict(scope), receive, send)
        assert statuses == [204]
        return statuses

    return call


async def measure(rounds: int, calls: int) -> None:
    with server.running() as url:
        async with GolemClient(url, token="t" * 36) as client:
            app = Starlette()
            app.add_route("/bare", bare(client), methods=["POST"])
            hook = Webhook(stripe(SECRET), route, to=client)
            app.add_route("/hook", hook.starlette, methods=["POST"])
            contestants = {
                "bare Starlette route": delivering(app, "/bare"),
                "webhook, Stripe's signature": delivering(app, "/hook"),
            }
            await cpu_per_call(contestants["bare Starlette route"], 200, CONCURRENCY)
            taken = await compare(contestants, rounds=rounds, calls=calls, concurrency=CONCURRENCY)
    print(table(taken, "bare Starlette route"))
    plain, ours = taken.values()
    more = sorted(b - a for a, b in zip(plain, ours, strict=True))
    median = more[len(more) // 2]
    print(
        f"a delivery costs {median * 1e6:.0f} µs more ({more[0] * 1e6:.0f} to "
        f"{more[-1] * 1e6:.0f}); the aim is {AIM * 1e6:.0f}: {'met' if median <= AIM else 'missed'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, starlette {version('starlette')}")
    asyncio.run(measure(options.rounds, options.calls))


if __name__ == "__main__":
    main()
