"""A small completion, in CPU time, against a bare aiohttp POST of a prepared body.

python -m tests.benchmarks.completions [--rounds 15] [--calls 2000]
"""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import aiohttp
from tenacity import retry, stop_after_attempt, wait_exponential
from yarl import URL

from golem_client import GolemClient, PromiseId
from tests.benchmarks import server
from tests.benchmarks.rounds import Call, compare, run, table

COMPONENT = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
PROMISE_ID = PromiseId.parse(f"{COMPONENT}/w1/42")
VALUE = {"approved": True, "by": "ada", "amount": 4200}
BODY = b'{"oplogIdx":42,"data":[%s]}' % b",".join(
    b"%d" % byte for byte in b'{"approved":true,"by":"ada","amount":4200}'
)
TOKEN = "5c832d93-ff85-4a8f-9803-513950fdfdb1"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
CONCURRENCY = 50


def url_of(base: str, name: str = "w1") -> str:
    return f"{base}/v1/components/{COMPONENT}/workers/{name}/complete"


def agent(n: int) -> str:
    return f'PaymentAgent("order-{n}")'


def bare(session: aiohttp.ClientSession, base: str) -> Call:
    url = url_of(base)

    async def call(_: int) -> object:
        async with session.post(url, data=BODY, headers=HEADERS) as response:
            return await response.read()

    return call


def bare_to_distinct_urls(session: aiohttp.ClientSession, base: str) -> Call:
    async def call(n: int) -> object:
        url = URL(url_of(base, quote(agent(n), safe="")), encoded=True)
        async with session.post(url, data=BODY, headers=HEADERS) as response:
            return await response.read()

    return call


def with_json(session: aiohttp.ClientSession, base: str) -> Call:
    url = url_of(base)

    async def call(_: int) -> object:
        data = list(b'{"approved":true,"by":"ada","amount":4200}')
        body = {"oplogIdx": 42, "data": data}
        async with session.post(url, json=body, headers=HEADERS) as response:
            return await response.json()

    return call


def with_tenacity(session: aiohttp.ClientSession, base: str) -> Call:
    return retry(stop=stop_after_attempt(5), wait=wait_exponential(), reraise=True)(
        with_json(session, base)
    )


def ours(client: GolemClient) -> Call:
    async def call(_: int) -> object:
        return await client.complete_json(PROMISE_ID, VALUE)

    return call


def ours_to_distinct_workers(client: GolemClient) -> Call:
    worker = PROMISE_ID.worker_id

    async def call(n: int) -> object:
        worker_id = type(worker)(worker.component_id, agent(n))
        return await client.complete_json(PromiseId(worker_id, 42), VALUE)

    return call


async def compared(rounds: int, calls: int) -> None:
    connector = aiohttp.TCPConnector(limit=100)
    with server.running() as base:
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            GolemClient(base, token=TOKEN) as client,
        ):
            small = {
                "bare aiohttp": bare(session, base),
                "golem-client": ours(client),
                "aiohttp with json=": with_json(session, base),
                "aiohttp, json=, tenacity": with_tenacity(session, base),
            }
            taken = await compare(small, rounds=rounds, calls=calls, concurrency=CONCURRENCY)
            print(table(taken, "bare aiohttp"), end="\n\n")
            distinct = {
                "bare aiohttp, distinct URLs": bare_to_distinct_urls(session, base),
                "golem-client, distinct workers": ours_to_distinct_workers(client),
            }
            taken = await compare(distinct, rounds=rounds, calls=calls, concurrency=CONCURRENCY)
            print(table(taken, "bare aiohttp, distinct URLs"))


def measure(rounds: int, calls: int) -> None:
    asyncio.run(compared(rounds, calls))


if __name__ == "__main__":
    run(measure, __doc__, package="aiohttp", concurrency=CONCURRENCY)
