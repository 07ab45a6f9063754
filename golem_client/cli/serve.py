"""`golem-promise serve`: a FakeGolem whose workers' side is HTTP too, for any language."""

from __future__ import annotations

import asyncio
import base64
import errno
import inspect
import json
import math
import os
import shlex
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import click

from golem_client import PromiseId
from golem_client.cli.exit_codes import ExitCode
from golem_client.cli.screen import say, warn
from golem_client.testing import Answer, FakeGolem, ReceivedRequest
from golem_client.testing.server import HOST

_PROMISES = "/_fake/promises"
_FAULTS = "/_fake/faults"
_WAYS = f"POST, GET or DELETE {_PROMISES} or {_FAULTS}, or GET {_PROMISES}/ID"
_MAX_COUNT = 1_000_000
_MAX_WAIT = 3600.0
_MAX_KEPT_REQUESTS = 1000

_Types = dict[str, tuple[type, ...]]
_PROMISE_FIELDS: _Types = {
    **dict.fromkeys(("workerName", "componentId"), (str,)),
    **dict.fromkeys(("oplogIdx", "count"), (int,)),
}
_FAULT_FIELDS: _Types = {
    **dict.fromkeys(("fault", "promise_id", "location"), (str,)),
    **dict.fromkeys(("times", "status", "by"), (int,)),
    **dict.fromkeys(("seconds", "back_after"), (int, float)),
    "applied": (bool,),
    "retry_after": (int, float, str),
    "body": (str, dict),
    "headers": (dict,),
}
_KINDS = {
    name.removesuffix("_next"): inspect.signature(partial(getattr(FakeGolem, name), None))
    for name in dir(FakeGolem)
    if name.endswith("_next") and name not in ("fault_next", "raw_next")
}
"""The kinds of faults, each with its fields: the methods of FakeGolem."""


@click.command(
    epilog="""\b
Examples:
  golem-promise serve -v
  golem-promise serve --port 0 --dialect 1.3
  golem-promise serve --faults 0.2 --seed 7

\b
Then, from any language, with URL=http://127.0.0.1:9881:
  curl -X POST $URL/_fake/promises
      create a promise; the answer has its id, and a curl that completes it
      (body: {"workerName", "componentId", "oplogIdx"}, or {"count": 1000})
  curl $URL/_fake/promises
      list them by page: "next" is the address of the next page, or null
  curl "$URL/_fake/promises/ID?wait=30"
      show one, as soon as it is completed or 30 seconds have passed
  curl -X DELETE $URL/_fake/promises
      delete them all, and the faults on order
  curl -X POST $URL/_fake/faults -d '{"fault": "drop", "applied": true}'
      let the next completion meet a fault
  curl $URL/_fake/faults
      list the kinds of faults with their fields, and those on order
      (curl -X DELETE cancels them)

The first line of the standard output is the address. What is stored is lost
when the command ends. Ctrl-C ends it.
"""
)
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    metavar="ADDRESS",
    help="The address to listen on; 0.0.0.0 also serves other machines and containers.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9881,
    show_default=True,
    metavar="PORT",
    help="The port; 0 chooses a free one.",
)
@click.option(
    "--dialect",
    type=click.Choice(["1.1", "1.2", "1.3", "1.5"]),
    default="1.5",
    show_default=True,
    help="The version of Golem to imitate.",
)
@click.option(
    "--faults",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="RATE",
    help="The share of completions that meet a fault, from 0 to 1: lost answers, resets, 502s.",
)
@click.option("--seed", default=0, metavar="N", help="The same seed gives the same faults.")
@click.option("-v", "--verbose", is_flag=True, help="Log each request to the standard error.")
@click.pass_context
def serve(ctx: click.Context, /, *, host: str, verbose: bool, port: int, **options: Any) -> None:
    """Run a small Golem on this machine, to develop against.

    It answers completions as Golem does. Other routes play the worker: they create promises, show
    them with their payloads, and wait until one is completed.
    """
    golem = ServedGolem(
        host=HOST if host == "localhost" else host,
        port=port,
        log=warn if verbose else lambda _: None,
        **options,
    )
    try:
        asyncio.run(_serve(golem))
    except OSError as error:
        number = error.errno or 0  # below 0 for a name that is not found
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        todo = "Name an address of this machine by --host."
        if number in (errno.EADDRINUSE, errno.EACCES):
            todo = "Name another port by --port, or 0."
        warn(f"cannot listen on {host}, port {port}: {reason}. {todo}")
        ctx.exit(ExitCode.FAILED)
    counts = golem.counts()
    warn(f"stopped: {counts['completed']} promises completed, {counts['pending']} pending")


async def _serve(golem: ServedGolem) -> None:
    """Serve until a signal says to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with golem:
        for name in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows: there, Ctrl-C is a KeyboardInterrupt
                loop.add_signal_handler(name, stop.set)
        say(golem.url)
        say(f"This is a fake Golem {golem.dialect}. Its token is every local Golem's, no secret:")
        say(f"  {golem.token}")
        say("Create a promise; the answer has a curl that completes it:")
        say(f"  curl -X POST {golem.url}{_PROMISES}")
        say("Or complete it by its id:")
        say(f"  golem-promise complete ID --json true --url {golem.url}")
        say("More: golem-promise serve --help. Ctrl-C ends it; what is stored is lost then.")
        await stop.wait()


class MethodError(Exception):
    """A method that a route does not have."""


_STATUSES = ((ValueError, 400), (LookupError, 404), (MethodError, 405), (RuntimeError, 503))
"""The statuses of what a request raises; a RuntimeError says that the server is being stopped."""


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
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(dialect=dialect, port=port, host=host)
        self._weather = partial(self.random_faults, faults, seed=seed)
        self._weather()
        self._promises: dict[PromiseId, None] = {}
        self._log = log

    def counts(self) -> dict[str, int]:
        """Return how many promises are pending and completed."""
        completed = sum(self.payload(promise_id) is not None for promise_id in self._promises)
        return {"pending": len(self._promises) - completed, "completed": completed}

    async def answer_instead(self, method: str, path: str, body: bytes) -> Answer | None:
        """Answer what is below `/_fake`; leave the rest to Golem."""
        bare, _, query = path.partition("?")
        bare = bare.rstrip("/")
        if bare not in (_PROMISES, _FAULTS) and not bare.startswith(f"{_PROMISES}/"):
            return None
        try:
            answer = _json(await self._route(method, bare, parse_qs(query), body))
        except tuple(kind for kind, _ in _STATUSES) as error:
            status = next(status for kind, status in _STATUSES if isinstance(error, kind))
            answer = _json({"error": str(error.args[0])}, status)
        self._log(f"{method} {path} -> {answer.status}")
        return answer

    def answered(self, request: ReceivedRequest) -> None:
        """Log a request at its end. A server runs for long: what came is not kept for ever."""
        self._log(_log_line(request))
        if len(self.requests) > _MAX_KEPT_REQUESTS:
            self.clear_requests()

    async def _route(
        self, method: str, path: str, query: dict[str, list[str]], body: bytes
    ) -> dict[str, Any]:
        match method, path.split("/", 3)[2:]:
            case "POST", ["promises"]:
                answer = self._create(_read_fields(body, _PROMISE_FIELDS))
            case "GET", ["promises"]:
                limit = int(_number(query, "limit", 100, _MAX_COUNT))
                answer = self._list(limit, int(_number(query, "offset", 0, _MAX_COUNT)))
            case "GET", ["promises", text]:
                answer = await self._show_when(unquote(text), _number(query, "wait", 0, _MAX_WAIT))
            case "DELETE", ["promises"]:
                answer = self._delete_all()
            case "POST", ["faults"]:
                answer = {"ordered": self._order_fault(_read_fields(body, _FAULT_FIELDS))}
            case "GET", ["faults"]:
                answer = self._list_faults()
            case "DELETE", ["faults"]:
                self._cancel_faults()
                answer = self._list_faults()
            case _:
                raise MethodError(_WAYS)
        return answer

    def _list_faults(self) -> dict[str, Any]:
        kinds = {kind: list(signature.parameters) for kind, signature in _KINDS.items()}
        return {"ordered": [str(order) for order in self.pending_faults], "kinds": kinds}

    def _create(self, fields: dict[str, Any]) -> dict[str, Any]:
        count = fields.get("count", 1)
        if not 1 <= count <= _MAX_COUNT or (count > 1 and "oplogIdx" in fields):
            raise ValueError(
                f"count must be from 1 to {_MAX_COUNT}, without oplogIdx if there are several"
            )
        created = [
            self.create_promise(
                worker_name=fields.get("workerName"),
                component_id=fields.get("componentId"),
                oplog_idx=fields.get("oplogIdx"),
            )
            for _ in range(count)
        ]
        self._promises.update(dict.fromkeys(created))
        if "count" in fields:
            return {"ids": [str(promise_id) for promise_id in created]}
        return self._shown(created[0])

    def _list(self, limit: int, offset: int) -> dict[str, Any]:
        page = list(self._promises)[offset : offset + limit]
        end, total = offset + len(page), len(self._promises)
        following = f"{self.url}{_PROMISES}?limit={limit}&offset={end}"
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
        self._cancel_faults()
        return {"deleted": deleted}

    def _cancel_faults(self) -> None:
        """Cancel what is on order; the faults of the command line stay."""
        self.clear_faults()
        self._weather()

    def _order_fault(self, fields: dict[str, Any]) -> str:
        kind = fields.pop("fault", "fail" if "status" in fields else "")
        if kind not in _KINDS:
            raise ValueError(f"fault must be one of {', '.join(_KINDS)}")
        try:
            bound = _KINDS[kind].bind(**fields)
        except TypeError as error:
            takes = ", ".join(_KINDS[kind].parameters)
            raise ValueError(f"{error}; {kind} takes {takes}") from None
        return str(getattr(self, f"{kind}_next")(*bound.args, **bound.kwargs))

    async def _show_when(self, text: str, seconds: float) -> dict[str, Any]:
        """Show a promise once it is completed, or when the time is up."""
        promise_id = PromiseId.parse(text)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.await_promise(promise_id)
        return self._shown(promise_id)

    def _shown(self, promise_id: PromiseId) -> dict[str, Any]:
        payload = self.payload(promise_id)
        worker = promise_id.worker_id
        name = quote(worker.worker_name, safe="")
        complete_url = f"{self.url}/v1/components/{worker.component_id}/workers/{name}/complete"
        return {
            "id": str(promise_id),
            "json": promise_id.to_json(),
            "state": "pending" if payload is None else "completed",
            "payload": None if payload is None else _shown_payload(payload),
            "url": f"{self.url}{_PROMISES}/{quote(str(promise_id), safe='/')}",
            "completeUrl": complete_url,
            "curl": _curl(complete_url, self.token, promise_id.oplog_idx),
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
    with suppress(ValueError, RecursionError):
        shown["text"] = payload.decode()
        value = json.loads(shown["text"])
        json.dumps(value, allow_nan=False)
        shown["json"] = value
    return shown


def _read_fields(body: bytes, types: _Types) -> dict[str, Any]:
    """Return the fields of a request; unknown ones are refused, as they would have no effect."""
    fields = None
    with suppress(ValueError, RecursionError):
        fields = json.loads(body.strip() or b"{}")
    if not isinstance(fields, dict):
        raise ValueError("the body must be a JSON object, or nothing")  # noqa: TRY004 - a 400
    for name, value in fields.items():
        if name not in types:
            raise ValueError(f"no field {name!r}: there are {', '.join(sorted(types))}")
        if type(value) not in types[name]:  # not isinstance: a bool is an int, too
            kinds = " or ".join(kind.__name__ for kind in types[name])
            raise ValueError(f"{name} must be of type {kinds}")
    return fields


def _number(query: dict[str, list[str]], name: str, default: float, most: float) -> float:
    number = math.nan
    with suppress(ValueError):
        number = float(query.get(name, [default])[0])
    if not 0 <= number <= most:
        raise ValueError(f"{name} must be a number from 0 to {most:g}")
    return number


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode() + b"\n", "application/json")
