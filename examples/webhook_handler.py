"""Stripe says that a payment is settled, and the workflow that waits for it goes on (aiohttp).

GOLEM_URL=… GOLEM_AUTH_TOKEN=… STRIPE_SECRET=whsec_… OUTBOX=golem.sqlite python webhook_handler.py
"""

import os
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from golem_client import GolemClient
from golem_client.outbox import Key, Outbox
from golem_client.webhooks import Complete, Webhook, stripe


async def make_app() -> web.Application:
    async def settled(event: Any) -> Complete:
        return Complete(Key(event["data"]["object"]["id"]), event["data"]["object"])

    async def bind(request: web.Request) -> web.Response:  # for our own workers: keep it internal
        await outbox.bind(request.match_info["payment"], await request.text())
        return web.Response(status=204)

    async def deliver(_: web.Application) -> AsyncIterator[None]:
        async with outbox, GolemClient.from_env() as client, outbox.delivering(client):
            yield

    outbox = await Outbox.open(os.environ["OUTBOX"])
    hook = Webhook(stripe(os.environ["STRIPE_SECRET"]), settled, to=outbox)
    app = web.Application()
    app.add_routes([web.post("/hooks/stripe", hook.aiohttp), web.put("/promises/{payment}", bind)])
    app.cleanup_ctx.append(deliver)
    return app


if __name__ == "__main__":
    if missing := {"GOLEM_URL", "OUTBOX", "STRIPE_SECRET"} - os.environ.keys():
        raise SystemExit(f"Set these variables first: {', '.join(sorted(missing))}")
    web.run_app(make_app())
