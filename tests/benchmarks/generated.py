# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
"""Measures the generated clients; `peers` makes the environment that this runs in."""

from __future__ import annotations

import asyncio
import random
from importlib.metadata import version
from uuid import UUID

import aiohttp
import openapi_client
from peer_client import AuthenticatedClient
from peer_client.api.worker import complete_promise
from peer_client.models import CompleteParameters

from golem_client import GolemClient
from tests.benchmarks import server
from tests.benchmarks.completions import COMPONENT, CONCURRENCY, PROMISE_ID, TOKEN, bare, ours
from tests.benchmarks.rounds import compare, table

SMALL = b'{"approved":true,"by":"ada","amount":4200}'
LARGE = random.Random(1).randbytes(100_000)


def with_httpx(client, payload):
    async def call(_):
        body = CompleteParameters(oplog_idx=42, data=list(payload))
        return await complete_promise.asyncio(UUID(COMPONENT), "w1", client=client, body=body)

    return call


def with_generated_aiohttp(api, payload):
    async def call(_):
        body = openapi_client.CompleteParameters(oplogIdx=42, data=list(payload))
        return await api.complete_promise(COMPONENT, "w1", body)

    return call


def ours_with(client, payload):
    async def call(_):
        return await client.complete_bytes(PROMISE_ID, payload)

    return call


async def measure():
    with server.running() as base:
        configuration = openapi_client.Configuration(host=base, access_token=TOKEN)
        async with (
            aiohttp.ClientSession() as session,
            GolemClient(base, token=TOKEN) as client,
            AuthenticatedClient(base, token=TOKEN) as httpx_client,
            openapi_client.ApiClient(configuration) as api_client,
        ):
            api = openapi_client.WorkerApi(api_client)
            assert await with_httpx(httpx_client, SMALL)(0) is True
            assert await with_generated_aiohttp(api, SMALL)(0) is True
            contestants = {
                "bare aiohttp": bare(session, base),
                "golem-client": ours(client),
                "openapi-generator (aiohttp)": with_generated_aiohttp(api, SMALL),
                "openapi-python-client (httpx)": with_httpx(httpx_client, SMALL),
            }
            taken = await compare(contestants, rounds=7, calls=400, concurrency=CONCURRENCY)
            print(f"a small completion, concurrency {CONCURRENCY}")
            print(table(taken, "bare aiohttp"), end="\n\n")
            contestants = {
                "golem-client": ours_with(client, LARGE),
                "openapi-generator (aiohttp)": with_generated_aiohttp(api, LARGE),
                "openapi-python-client (httpx)": with_httpx(httpx_client, LARGE),
            }
            taken = await compare(contestants, rounds=5, calls=20, concurrency=5)
            print("100 kB of bytes, concurrency 5")
            print(table(taken, "golem-client"))


if __name__ == "__main__":
    names = ("aiohttp", "httpx", "pydantic", "openapi-python-client", "openapi-generator-cli")
    print(", ".join(f"{name} {version(name)}" for name in names), end="\n\n")
    asyncio.run(measure())
