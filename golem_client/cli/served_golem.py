"""The Golem that `serve` runs: a FakeGolem whose worker's side is HTTP too, for any language.

POST /_fake/promises            create a promise; the body, if any, is a JSON object with
workerName, componentId, oplogIdx, or count for many
GET  /_fake/promises            how many are pending and completed, and the first of them;
?limit=1000 for more
GET  /_fake/promises/{id}       one, with its state and payload; ?wait=30 waits so many
seconds at most until it is completed
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from golem_client import PromiseId
from golem_client.testing import Answer, FakeGolem

PROMISES = "/_fake/promises"

_MAX_COUNT = 1_000_000
_MAX_WAIT = 3600.0
_KEPT_REQUESTS = 1000
_FIELDS = {"workerName": str, "componentId": str, "oplogIdx": int, "count": int}


class RequestError(Exception):
    """A request to `/_fake` that cannot be served; the text says what is wrong."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


class ServedGolem(FakeGolem):
    """A FakeGolem that creates promises, shows them and waits for them on request."""

    def __init__(self, *, dialect: str, port: int) -> None:
        super().__init__(dialect=dialect, port=port)
        self._promises: dict[PromiseId, None] = {}
        self._served = 0

    async def answer_instead(self, method: str, path: str, body: bytes) -> Answer | None:
        """Answer what is below `/_fake`; leave the rest to Golem."""
        self._forget_requests()
        bare, _, query = path.partition("?")
        if bare.rstrip("/") != PROMISES and not bare.startswith(f"{PROMISES}/"):
            return None
        try:
            return _json(await self._answer(method, bare.rstrip("/"), parse_qs(query), body))
        except RequestError as error:
            return _json({"error": error.message}, error.status)

    def counts(self) -> dict[str, int]:
        """Return how many promises are pending and completed."""
        completed = sum(self.payload(promise_id) is not None for promise_id in self._promises)
        return {"pending": len(self._promises) - completed, "completed": completed}

    def path(self, promise_id: PromiseId) -> str:
        """Return the path under which a promise is shown."""
        return f"{PROMISES}/{quote(str(promise_id), safe='/')}"

    async def _answer(
        self, method: str, path: str, query: dict[str, list[str]], body: bytes
    ) -> dict[str, Any]:
        match method, path:
            case "POST", "/_fake/promises":
                return self._create(_read_fields(body))
            case "GET", "/_fake/promises":
                return self._list(int(_number(query, "limit", 100, _MAX_COUNT)))
            case "GET", _:
                text = unquote(path.removeprefix(f"{PROMISES}/"))
                return await self._show_when(text, _number(query, "wait", 0, _MAX_WAIT))
        raise RequestError(405, f"POST or GET {PROMISES}, or GET {PROMISES}/ID")

    def _create(self, fields: dict[str, Any]) -> dict[str, Any]:
        count = fields.get("count", 1)
        if not 1 <= count <= _MAX_COUNT or (count > 1 and "oplogIdx" in fields):
            raise RequestError(400, f"count must be from 1 to {_MAX_COUNT}, and goes by itself")
        created = [self._create_one(fields) for _ in range(count)]
        if "count" in fields:
            return {"ids": [str(promise_id) for promise_id in created]}
        return self._shown(created[0])

    def _create_one(self, fields: dict[str, Any]) -> PromiseId:
        try:
            promise_id = self.create_promise(
                worker_name=fields.get("workerName"),
                component_id=fields.get("componentId"),
                oplog_idx=fields.get("oplogIdx"),
            )
        except ValueError as error:
            raise RequestError(400, str(error)) from None
        self._promises[promise_id] = None
        return promise_id

    def _list(self, limit: int) -> dict[str, Any]:
        first = list(self._promises)[:limit]
        return {**self.counts(), "promises": [self._shown(promise_id) for promise_id in first]}

    async def _show_when(self, text: str, seconds: float) -> dict[str, Any]:
        """Show a promise once it is completed, or when the time is up."""
        try:
            promise_id = PromiseId.parse(text)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.await_promise(promise_id)
            return self._shown(promise_id)
        except ValueError as error:
            raise RequestError(400, str(error)) from None
        except LookupError as error:
            raise RequestError(404, str(error.args[0])) from None
        except RuntimeError:
            raise RequestError(503, "the server is being stopped") from None

    def _shown(self, promise_id: PromiseId) -> dict[str, Any]:
        payload = self.payload(promise_id)
        return {
            "id": str(promise_id),
            "json": promise_id.to_json(),
            "state": "pending" if payload is None else "completed",
            "payload": None if payload is None else _shown_payload(payload),
            "url": self.url + self.path(promise_id),
            "completeUrl": self.url + _complete_path(promise_id),
        }

    def _forget_requests(self) -> None:
        """Keep only the latest requests: a server runs for long, and a fake keeps them all."""
        self._served += 1
        if self._served % _KEPT_REQUESTS == 0:
            self.clear_requests()


def _complete_path(promise_id: PromiseId) -> str:
    worker = promise_id.worker_id
    name = quote(worker.worker_name, safe="")
    return f"/v1/components/{worker.component_id}/workers/{name}/complete"


def _shown_payload(payload: bytes) -> dict[str, Any]:
    """Return a payload in every way in which it can be shown."""
    shown: dict[str, Any] = {"base64": base64.b64encode(payload).decode()}
    with suppress(UnicodeDecodeError):
        shown["text"] = payload.decode()
    with suppress(ValueError, RecursionError):
        value = json.loads(payload.decode())
        json.dumps(value, allow_nan=False)
        shown["json"] = value
    return shown


def _read_fields(body: bytes) -> dict[str, Any]:
    """Return the fields of a request; what is unknown is refused, as it would be without effect."""
    if not body.strip():
        return {}
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise RequestError(400, "the body must be a JSON object, or nothing")
    for name, value in fields.items():
        kind = _FIELDS.get(name)
        if kind is None:
            raise RequestError(400, f"no field {name!r}: there are {', '.join(_FIELDS)}")
        if not isinstance(value, kind) or isinstance(value, bool):
            raise RequestError(400, f"{name} must be {'a text' if kind is str else 'an integer'}")
    return fields


def _number(query: dict[str, list[str]], name: str, default: float, most: float) -> float:
    values = query.get(name, [])
    try:
        number = float(values[0]) if values else default
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise RequestError(400, f"{name} must be a number from 0 to {most:g}")
    return number


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode() + b"\n", "application/json")
