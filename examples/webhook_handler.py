"""A third party calls back, signed and redelivered at will; we complete the workflow's promise.

The rules of this recipe, each of which has lost somebody a payment:

- The promise is looked up on our side by what the signature covers. Ids can be guessed, so one in
  an unsigned part of the URL would let anybody complete anything.
- The payload is built from the event alone, with no clock and no random number: a redelivery
  sends identical bytes.
- Nothing is de-duplicated before completing: a repeat is harmless, and wakes a worker whose
  wake-up was lost.
- `timeout=` is below the sender's, so that we answer before it gives up.
- Each outcome is a success: 2xx. What a later call can mend, and our own bad token, is 503: the
  sender comes again. What no call can mend is recorded, and answered as final; never with 410,
  for which senders disable the whole webhook.
"""

import asyncio
import hashlib
import hmac
import json
import logging

import aiohttp
from aiohttp import web

from golem_client import AuthenticationError, GolemClient, GolemError, PermissionDeniedError
from golem_client.testing import FakeGolem

log = logging.getLogger("payments")

CLIENT = web.AppKey("client", GolemClient)
SECRET = web.AppKey("secret", bytes)
PROMISES = web.AppKey("promises", dict[str, str])  # order -> promise id; yours is a table
UNDELIVERABLE = web.AppKey("undeliverable", list[str])  # so is this

SENDER_TIMEOUT = 10.0


def sign(body: bytes, secret: bytes) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


async def payment_settled(request: web.Request) -> web.Response:
    body = await request.read()
    signature = request.headers.get("Signature", "").encode()
    if not hmac.compare_digest(signature, sign(body, request.app[SECRET]).encode()):
        return web.Response(status=401, text="bad signature")
    event = json.loads(body)  # signed, so it is the sender's
    promise_id = request.app[PROMISES].get(event["order"])
    if promise_id is None:
        return recorded(request, event["id"], "no workflow waits for this order")
    payload = {"event": event["id"], "amount": event["amount"], "status": event["status"]}
    client = request.app[CLIENT]
    try:
        done = await client.complete_json(promise_id, payload, timeout=0.8 * SENDER_TIMEOUT)
    except (AuthenticationError, PermissionDeniedError) as error:
        log.error("our own token is refused, event %s must come again: %s", event["id"], error)  # noqa: TRY400
        return web.Response(status=503)
    except GolemError as error:
        if not error.worth_retrying:
            return recorded(request, event["id"], f"{type(error).__name__}: {error}")
        log.error("event %s must come again: %s", event["id"], error)  # noqa: TRY400
        return web.Response(status=503)
    log.info("event %s: %s", event["id"], done.outcome)
    return web.Response(status=204)


def recorded(request: web.Request, event_id: str, why: str) -> web.Response:
    """Keep what nobody can deliver for a person to look at; the sender need not come again."""
    log.error("event %s is undeliverable: %s", event_id, why)
    request.app[UNDELIVERABLE].append(event_id)
    return web.Response(status=204)


def make_app(client: GolemClient, secret: bytes, promises: dict[str, str]) -> web.Application:
    app = web.Application()
    app[CLIENT], app[SECRET], app[PROMISES], app[UNDELIVERABLE] = client, secret, promises, []
    app.router.add_post("/webhooks/payment", payment_settled)
    return app


async def main() -> None:
    secret = b"shared with the sender"
    async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
        promise_id = golem.create_promise()
        runner = web.AppRunner(make_app(client, secret, {"order-17": str(promise_id)}))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/payment"
        event = {"id": "evt-1", "order": "order-17", "amount": 4200, "status": "settled"}
        body = json.dumps(event).encode()
        async with aiohttp.ClientSession() as sender:
            for delivery in ("first", "second"):
                headers = {"Signature": sign(body, secret)}
                async with sender.post(url, data=body, headers=headers) as response:
                    print(f"The {delivery} delivery is answered with {response.status}")
        print(f"The workflow received {await golem.await_promise_json(promise_id)}")
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
