"""A FastAPI handler that takes a promise id in any spelling; what is none is answered with 422."""

import asyncio

import httpx
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

from golem_client import GolemClient, GolemError, PromiseId
from golem_client.testing import FakeGolem

app = FastAPI()


class Decision(BaseModel):
    promise_id: PromiseId
    approved: bool


@app.post("/decide")
async def decide(decision: Decision, request: Request) -> PromiseId:
    client: GolemClient = request.app.state.golem
    try:
        await client.complete_json(decision.promise_id, {"approved": decision.approved})
    except GolemError as error:
        raise HTTPException(503 if error.worth_retrying else 422, str(error)) from None
    return decision.promise_id


async def main() -> None:
    async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
        app.state.golem, promise_id = client, golem.create_promise()
        body = {"promise_id": str(promise_id), "approved": True}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as caller:
            print((await caller.post("http://app/decide", json=body)).json())
        print(await golem.await_promise_json(promise_id))


if __name__ == "__main__":
    asyncio.run(main())
