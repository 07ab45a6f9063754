"""Stripe says that a payment is settled, and the workflow that waits for it goes on (FastAPI)."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Request

from golem_client import GolemClient, PromiseId
from golem_client.outbox import Key, Outbox
from golem_client.webhooks import Complete, Webhook, stripe


async def settled(event: Any) -> Complete:
    return Complete(Key(event["data"]["object"]["id"]), event["data"]["object"])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with GolemClient.from_env() as client, await Outbox.open(os.environ["OUTBOX"]) as outbox:
        hook = Webhook(stripe(os.environ["STRIPE_SECRET"]), settled, to=outbox)
        app.add_route("/hooks/stripe", hook.starlette, methods=["POST"])
        app.state.outbox = outbox
        async with outbox.delivering(client):
            yield


async def outbox_of(request: Request) -> Any:
    return request.app.state.outbox


app = FastAPI(lifespan=lifespan)


@app.put("/promises/{payment}", status_code=204)  # for our own workers: keep it internal
async def bind(
    payment: str, id_: Annotated[PromiseId, Body()], outbox: Annotated[Outbox, Depends(outbox_of)]
) -> None:
    await outbox.bind(payment, id_)
