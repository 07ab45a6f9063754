"""A FastAPI handler that takes a promise id in any spelling; what is none is answered with 422."""

import asyncio

import httpx
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from golem_client import GolemClient, GolemError, PromiseId
from golem_client.testing import FakeGolem


class Decision(BaseModel):
    promise_id: PromiseId
    approved: bool


def app_with(client: GolemClient) -> FastAPI:
    app = FastAPI()

    @app.post("/decide")
    async def decide(decision: Decision) -> PromiseId:
        try:
            await client.complete_json(decision.promise_id, {"approved": decision.approved})
        except GolemError as error:
            raise HTTPException(503 if error.worth_retrying else 422, str(error)) from None
        return decision.promise_id

    return app


async def main() -> None:
    async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
        promise_id = golem.create_promise()
        body = {"promise_id": str(promise_id), "approved": True}
        transport = httpx.ASGITransport(app_with(client))
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as caller:
            print(await caller.post("/decide", json=body))
        print(await golem.await_promise_json(promise_id))


if __name__ == "__main__":
    asyncio.run(main())
