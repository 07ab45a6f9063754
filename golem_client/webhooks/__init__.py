"""Complete promises with other people's signed requests.

    from golem_client.webhooks import Complete, Webhook, stripe

    async def route(event):
        order = await orders.find(event["data"]["object"]["id"])
        return order and Complete(order.promise_id, {"event": event["id"], "paid": True})

    hook = Webhook(stripe("whsec_…"), route, to=client)
    app.add_route("/hooks/stripe", hook.starlette, methods=["POST"])  # Starlette, FastAPI
    web_app.router.add_post("/hooks/stripe", hook.aiohttp)

A webhook checks the signature, decodes the event, asks `route` which promise it completes, and
answers so that the sender repeats the event only when that can help. With `to=outbox` an event is
safe once it is answered, even if Golem is away for days or its promise is not known yet (`Key`).

Each of these rules, when broken, has lost somebody a payment. Look the promise up by what the
signature covers: an id in the URL lets anybody complete anything. Build the payload from the event
alone, so that a repeated delivery sends the same bytes. Do not filter out repeated deliveries:
completing again is harmless, and wakes a worker whose wake-up was lost.

`receive` is for every other framework. Django, as an asynchronous view::

    @csrf_exempt
    async def stripe_hook(request):
        answer = await hook.receive(request.headers, request.body)
        return HttpResponse(answer.body, status=answer.status, headers=answer.headers)

Flask has threads instead of an event loop: run one loop in a thread, and do there all that is
asynchronous, making the client or the outbox included::

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    app.config["MAX_CONTENT_LENGTH"] = 1_000_000

    @app.post("/hooks/stripe")
    def stripe_hook():
        receiving = hook.receive(request.headers, request.get_data())
        answer = asyncio.run_coroutine_threadsafe(receiving, loop).result()
        return answer.body, answer.status, dict(answer.headers)
"""

from golem_client.answer import Answer
from golem_client.webhooks.completions import Complete, CompleteBytes, CompleteText
from golem_client.webhooks.signatures import (
    Verifier,
    github,
    hmac_sha256,
    slack,
    standard_webhooks,
    stripe,
    twilio,
)
from golem_client.webhooks.webhook import Webhook

__all__ = [
    "Answer",
    "Complete",
    "CompleteBytes",
    "CompleteText",
    "Verifier",
    "Webhook",
    "github",
    "hmac_sha256",
    "slack",
    "standard_webhooks",
    "stripe",
    "twilio",
]
