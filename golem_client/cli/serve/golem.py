"""The Golem that `serve` runs: a FakeGolem whose workers' side is HTTP too, for any language.

The kinds of faults are the methods of FakeGolem that end in _next. `golem-promise serve --help`
has the routes.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import math
import shlex
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from golem_client import PromiseId
from golem_client.testing import Answer, FakeGolem, ReceivedRequest
from golem_client.testing.messages import Delivery, Incoming
from golem_client.testing.server import HOST

PROMISES = "/_fake/promises"
FAULTS = "/_fake/faults"

_MAX_COUNT = 1_000_000
_MAX_WAIT = 3600.0
_MAX_KEPT_REQUESTS = 1000

_PROMISE_FIELDS: dict[str, tuple[type, ...]] = {
    "workerName": (str,),
    "componentId": (str,),
    "oplogIdx": (int,),
    "count": (int,),
}
_FAULT_FIELDS: dict[str, tuple[type, ...]] = {
    "fault": (str,),
    "promise_id": (str,),
    "times": (int,),
    "applied": (bool,),
    "status": (int,),
    "by": (int,),
    "seconds": (int, float),
    "back_after": (int, float),
    "retry_after": (int, float, str),
    "location": (str,),
    "body": (str, dict),
    "headers": (dict,),
}


_SERIAL: ContextVar[int] = ContextVar("serial")
"""The number of the request that a task answers."""


class RequestError(Exception):
    """A request to `/_fake` that cannot be served: the status, and what is wrong."""


class ServedGolem(FakeGolem):
    """A FakeGolem that creates promises, shows them and waits for them on request.

    Its options are those of the command; `log` takes a line for each request.
    """

    def __init__(
        self,
        *,
        dialect: str = "1.5",
        host: str = HOST,
        port: int = 0,
        faults: float = 0.0,
        seed: int = 0,
        latency: float = 0.0,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(dialect=dialect, port=port)
        self._server.host = host
        self._weather = (faults, seed, latency)
        self._set_weather()
        self._promises: dict[PromiseId, None] = {}
        self._log = log

    @property
    def url(self) -> str:
        """The URL under which this machine reaches the server."""
        host = self._server.host
        with suppress(ValueError):
            address = ip_address(host)
            if address.is_unspecified:
                host = HOST if address.version == 4 else "[::1]"
            elif address.version == 6:
                host = f"[{host}]"
        return f"http://{host}:{self._port}"

    def counts(self) -> dict[str, int]:
        """Return how many promises are pending and completed."""
        completed = sum(self.payload(promise_id) is not None for promise_id in self._promises)
        return {"pending": len(self._promises) - completed, "completed": completed}

    async def answer_instead(self, method: str, path: str, body: bytes) -> Answer | None:
        """Answer what is below `/_fake`; leave the rest to Golem."""
        bare, _, query = path.partition("?")
        bare = bare.rstrip("/")
        if bare not in (PROMISES, FAULTS) and not bare.startswith(f"{PROMISES}/"):
            return None
        try:
            answer = _json(await self._route(method, bare, parse_qs(query), body))
        except RequestError as error:
            status, message = error.args
            answer = _json({"error": message}, status)
        self._log(f"{method} {path} -> {answer.status}")
        return answer

    async def _respond(self, incoming: Incoming, connection: int) -> Delivery:
        """Log the request. A server runs for long: what came is not kept for ever."""
        _SERIAL.set(-1)
        delivery = await super()._respond(incoming, connection)
        if (request := self._received.get(_SERIAL.get())) is not None:
            self._log(_log_line(request))
        if len(self._received) > _MAX_KEPT_REQUESTS:
            self.clear_requests()
        return delivery

    def _recorded(self, *what: Any) -> Any:
        note = super()._recorded(*what)
        _SERIAL.set(next(reversed(self._received)))
        return note

    def _set_weather(self) -> None:
        faults, seed, latency = self._weather
        self.random_faults(faults, seed=seed)
        self.latency(latency)

    async def _route(
        self, method: str, path: str, query: dict[str, list[str]], body: bytes
    ) -> dict[str, Any]:
        match method, path:
            case "POST", "/_fake/promises":
                return self._create(_read_fields(body, _PROMISE_FIELDS))
            case "GET", "/_fake/promises":
                limit = _number(query, "limit", 100, _MAX_COUNT)
                return self._list(int(limit), int(_number(query, "offset", 0, _MAX_COUNT)))
            case "DELETE", "/_fake/promises":
                return self._delete_all()
            case "POST", "/_fake/faults":
                return self._order_fault(_read_fields(body, _FAULT_FIELDS))
            case "GET", _ if path != FAULTS:
                text = unquote(path.removeprefix(f"{PROMISES}/"))
                return await self._show_when(text, _number(query, "wait", 0, _MAX_WAIT))
        raise RequestError(
            405, f"POST, GET or DELETE {PROMISES}, GET {PROMISES}/ID, or POST {FAULTS}"
        )

    def _create(self, fields: dict[str, Any]) -> dict[str, Any]:
        count = fields.get("count", 1)
        if not 1 <= count <= _MAX_COUNT or (count > 1 and "oplogIdx" in fields):
            raise RequestError(
                400, f"count must be from 1 to {_MAX_COUNT}, without oplogIdx if there are several"
            )
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

    def _list(self, limit: int, offset: int) -> dict[str, Any]:
        page = list(self._promises)[offset : offset + limit]
        end, total = offset + len(page), len(self._promises)
        following = f"{self.url}{PROMISES}?limit={limit}&offset={end}"
        return {
            **self.counts(),
            "page": f"{offset + 1} to {end} of {total}" if page else f"none of {total}",
            "next": following if page and end < total else None,
            "promises": [self._shown(promise_id) for promise_id in page],
        }

    def _delete_all(self) -> dict[str, Any]:
        deleted = len(self._promises)
        for promise_id in self._promises:
            with suppress(LookupError):
                self.delete_promise(promise_id)
        self._promises.clear()
        self.clear_faults()
        self._set_weather()
        return {"deleted": deleted}

    def _order_fault(self, fields: dict[str, Any]) -> dict[str, Any]:
        kinds = {
            name.removesuffix("_next"): getattr(self, name)
            for name in dir(FakeGolem)
            if name.endswith("_next") and name not in ("fault_next", "raw_next")
        }
        kind = fields.pop("fault", "fail" if "status" in fields else "")
        if kind not in kinds:
            raise RequestError(400, f"fault must be one of {', '.join(kinds)}")
        signature = inspect.signature(kinds[kind])
        try:
            bound = signature.bind(**fields)
            order = kinds[kind](*bound.args, **bound.kwargs)
        except (TypeError, ValueError) as error:
            raise RequestError(
                400, f"{error.args[0]}; {kind} takes {', '.join(signature.parameters)}"
            ) from None
        return {"ordered": str(order)}

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
        worker = promise_id.worker_id
        name = quote(worker.worker_name, safe="")
        path = f"/v1/components/{worker.component_id}/workers/{name}/complete"
        return {
            "id": str(promise_id),
            "json": promise_id.to_json(),
            "state": "pending" if payload is None else "completed",
            "payload": None if payload is None else _shown_payload(payload),
            "url": f"{self.url}{PROMISES}/{quote(str(promise_id), safe='/')}",
            "completeUrl": self.url + path,
            "curl": _curl(self.url + path, self.token, promise_id.oplog_idx),
        }


def _curl(url: str, token: str, oplog_idx: int) -> str:
    """Return a command that completes a promise with the JSON `true`."""
    body = json.dumps({"oplogIdx": oplog_idx, "data": list(b"true")})
    headers = ["-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {token}"]
    return shlex.join(["curl", "-X", "POST", url, *headers, "-d", body])


def _log_line(request: ReceivedRequest) -> str:
    """Return a request for the log, without its payload."""
    size = "" if request.payload is None else f" ({len(request.payload)} bytes)"
    word = request.answer.decode() if request.answer in (b"true", b"false") else ""
    answer = "no answer" if request.status is None else f"{request.status} {word}".strip()
    fault = f", fault: {request.fault}" if request.fault else ""
    return f"{request.method} {request.promise_id or request.path}{size} -> {answer}{fault}"


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


def _read_fields(body: bytes, kinds: dict[str, tuple[type, ...]]) -> dict[str, Any]:
    """Return the fields of a request; unknown ones are refused, as they would have no effect."""
    if not body.strip():
        return {}
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise RequestError(400, "the body must be a JSON object, or nothing")
    for name, value in fields.items():
        if name not in kinds:
            raise RequestError(400, f"no field {name!r}: there are {', '.join(kinds)}")
        if type(value) not in kinds[name]:  # not isinstance: a bool is no int here
            names = " or ".join(kind.__name__ for kind in kinds[name])
            raise RequestError(400, f"{name} must be of type {names}")
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
