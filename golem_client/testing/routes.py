"""What Golem does with a request, with no I/O: from the bytes that came to its answer.

Every generation reads a completion in the same order: path, content type, body, token syntax.
The checks that follow differ; `dialects.py` has their order and their answers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn
from urllib.parse import unquote, unquote_to_bytes

import attrs

from golem_client.ids import PromiseId
from golem_client.testing import worker_json
from golem_client.testing.dialects import BadNameError, Check, Dialect, Refusal, read_uuid
from golem_client.testing.messages import Answer, Incoming, bearer_token, compact_json
from golem_client.testing.promises import PromiseKey, Promises, WorkerKey

_MAX_U64 = 2**64 - 1
_JSON_TYPE = re.compile(r"\s*application/(?:json|[^\s;/]+\+json)\s*(?:;.*)?", re.IGNORECASE)
_ORIGIN = re.compile(r"https://.*\.golem\.cloud")
_ENVELOPE_BYTES = 64
"""About what a message to the executor has beside the payload and the worker's name."""


@attrs.frozen
class Installation:
    """One Golem: a generation, its token, and what it keeps."""

    dialect: Dialect
    token: str = attrs.field(repr=False)
    promises: Promises = attrs.field(factory=Promises)

    def key(self, promise_id: Any) -> PromiseKey:
        """Return the key of an id in any form that `PromiseId.parse` accepts."""
        return self.canonical(PromiseKey.of(PromiseId.parse(promise_id)))

    def canonical(self, key: PromiseKey) -> PromiseKey:
        """Return the key under the name that Golem makes of its own, or raise a BadNameError."""
        name = self.dialect.worker_name(key.worker.name)
        return PromiseKey(WorkerKey(key.worker.component, name), key.oplog_idx)

    def secret(self, headers: Mapping[str, str]) -> object | None:
        """Return what Golem compares of a request's token: the cookie's comes before the header's.

        A token that is none in its generation does not count.
        """
        read = self.dialect.read_token
        sent = (_session_cookie(headers), bearer_token(headers))
        return next((secret for token in sent if read and token and (secret := read(token))), None)

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Return whether the request's token is this Golem's, or none is asked for."""
        read = self.dialect.read_token
        return read is None or self.secret(headers) == read(self.token)


def _session_cookie(headers: Mapping[str, str]) -> str | None:
    for pair in headers.get("Cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == "GOLEM_SESSION":
            return unquote(value)  # quotes are a part of it
    return None


@attrs.frozen
class Call:
    """A request as read, and not answered yet.

    Attributes:
        key: The promise, where the request came as far as to name one.
        payload: The payload, likewise.
        complete: Does what the request asks for, and returns the answer; None for no answer ever.
            It may be done again. Its argument says whether the worker is woken.
        is_completion: Whether it asks to complete a promise, rightly or not: faults are for these.
    """

    key: PromiseKey | None
    payload: bytes | None
    complete: Callable[[bool], Answer | None]
    is_completion: bool = True

    @classmethod
    def refused(cls, answer: Answer, *, is_completion: bool = True) -> Call:
        """Return a request that asks for nothing but the answer."""
        return cls(None, None, lambda _: answer, is_completion)


@attrs.frozen
class Completion:
    """A payload for a promise, on its way through the checks of a generation.

    Attributes:
        golem: The Golem that is asked.
        key: The promise, under the name that Golem makes of what was sent.
        payload: The payload.
        headers: The headers of the request.
        bad_name: What Golem has against the worker's name; None for nothing.
    """

    golem: Installation
    key: PromiseKey
    payload: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)
    bad_name: str | None = None

    def run(self, wakes: bool = True) -> Answer | None:  # noqa: FBT001, FBT002
        """Complete the promise, and return what Golem answers; None for nothing, ever."""
        dialect = self.golem.dialect
        if dialect.read_token is not None and self.golem.secret(self.headers) is None:
            return Answer.text(401, "authorization error")
        stored, failed = self.take_in(dialect.steps, wakes=wakes)
        return self.refused(dialect.steps[failed]) if failed else Answer.json(200, stored)

    def take_in(self, checks: Iterable[Check], *, wakes: bool) -> tuple[bool, Check | None]:
        """Return whether the payload was stored, and the check that then failed, if one did."""
        stored = False
        for check in checks:
            if check is Check.WRITE:
                stored = self.golem.promises.write(self.key, self.payload, wakes=wakes)
            elif not _PASSES[check](self):
                return stored, check
        return stored, None

    def refused(self, refusal: Refusal | None) -> Answer | None:
        """Return what this generation answers where a check fails; None for no answer ever."""
        if refusal is None:
            return None
        if refusal.golem_error is not None:
            return Answer.json(refusal.status, {"golemError": refusal.golem_error(self.key)})
        return self.golem.dialect.error(refusal.status, self.said(refusal), refusal.code)

    def said(self, refusal: Refusal) -> str:
        """Return the refusal's message about this completion."""
        return refusal.text.format(call=self)

    @property
    def size(self) -> int:
        """The bytes of the whole message to the executor: the payload and the promise's id."""
        return len(self.payload) + len(self.key.worker.name.encode()) + _ENVELOPE_BYTES

    @property
    def compressed_size(self) -> int:
        """The bytes of the message once it is compressed, which is done only where it matters."""
        if self.size <= self.limit:
            return self.size
        return min(self.size, len(zlib.compress(self.payload)) + _ENVELOPE_BYTES)

    @property
    def limit(self) -> int:
        """The bytes that the executor takes."""
        return self.golem.dialect.message_limit


_PASSES: Mapping[Check, Callable[[Completion], bool]] = {
    Check.NAME: lambda call: call.bad_name is None,
    Check.TOKEN: lambda call: call.golem.knows(call.headers),
    Check.COMPONENT: lambda call: call.golem.promises.is_deployed(call.key.worker.component),
    Check.COMPRESSED_SIZE: lambda call: call.compressed_size <= call.limit,
    Check.SIZE: lambda call: call.size <= call.limit,
    Check.PROMISE: lambda call: call.golem.promises.exists(call.key),
    Check.WORKER: lambda call: call.key.worker not in call.golem.promises.deleted_workers,
}


class Routes:
    """The HTTP side of one Golem."""

    def __init__(self, installation: Installation) -> None:
        self._golem = installation
        self.webhooks = Webhooks(installation)

    def read(self, incoming: Incoming) -> Call:
        """Return what the request asks for. Nothing is stored before the call's `complete`."""
        dialect = self._golem.dialect
        segments = incoming.path.partition("?")[0].split("/")
        if dialect.has_webhooks and segments[:2] == ["", "webhooks"]:
            return self.webhooks.read(incoming, segments[2:])  # another port in a real Golem
        origin = incoming.headers.get("Origin")
        if dialect.read_token and origin is not None and not _ORIGIN.fullmatch(origin):
            return _answered(403, "request-origin not allowed")
        match segments:
            case ["", "v1", "components", component, "workers", name, "complete"]:
                return self._read_completion(incoming, component, name)
            case ["", "healthcheck"]:
                return _shown(incoming, {})
            case ["", "version"]:
                return _shown(incoming, {"version": dialect.version})
        return _answered(404, "not found")

    def _read_completion(self, incoming: Incoming, component: str, name: str) -> Call:
        if incoming.method != "POST":
            return _answered(405, "method not allowed")
        try:
            worker = self._worker(component, name)
            _check_content_type(incoming.headers.get("Content-Type"))
            oplog_idx, payload = read_body(incoming.body)
        except FrameworkError as error:
            return Call.refused(Answer.text(error.status, str(error)))
        key, bad_name = PromiseKey(worker, oplog_idx), None
        try:
            key = self._golem.canonical(key)
        except BadNameError as error:
            bad_name = str(error)
        completion = Completion(self._golem, key, payload, incoming.headers, bad_name)
        return Call(key, payload, completion.run)

    def _worker(self, component: str, name: str) -> WorkerKey:
        """Return the worker that the path names. It is percent-decoded once; `+` is a plus."""
        try:
            text, name = (unquote_to_bytes(segment).decode() for segment in (component, name))
        except UnicodeDecodeError:
            raise FrameworkError(400, "invalid path params") from None
        uuid = read_uuid(text)
        if uuid is None:
            parameter = self._golem.dialect.component_parameter
            # The uuid crate says more about it.
            reason = 'failed to parse "string(ComponentId)": not a UUID'
            raise FrameworkError(400, f"failed to parse path `{parameter}`: {reason}")
        return WorkerKey(uuid, name)


def _answered(status: int, message: str) -> Call:
    return Call.refused(Answer.text(status, message), is_completion=False)


def _shown(incoming: Incoming, value: Mapping[str, str]) -> Call:
    if incoming.method not in ("GET", "HEAD"):
        return _answered(405, "method not allowed")
    return Call.refused(Answer.json(200, value), is_completion=False)


# The body, as Golem's framework reads it: serde_json reads the text, and poem-openapi then converts
# the value, field by field, and names what it expected. Its texts echo the value that they refuse.


class FrameworkError(ValueError):
    """The framework does not accept the request; the text is its own."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _check_content_type(content_type: str | None) -> None:
    # A header that is not ASCII is none to the framework.
    if content_type is None or not content_type.isascii():
        message = "the client request does not include the `Content-Type` header"
        raise FrameworkError(415, message)
    if not _JSON_TYPE.fullmatch(content_type):
        message = f"the `Content-Type` requested by the client is not supported: {content_type}"
        raise FrameworkError(415, message)


def read_body(body: bytes) -> tuple[int, bytes]:
    """Return the oplog index and the payload, or raise a FrameworkError."""
    try:
        value = worker_json.loads(body) if body else None  # nothing at all is taken as null
    except ValueError as error:
        raise FrameworkError(400, f"parse request payload error: {error}") from None
    if not isinstance(value, dict):
        _refuse_type("CompleteParameters", value)
    oplog_idx = _integer(value.get("oplogIdx"), "integer(uint64)", "CompleteParameters")
    data, places = value.get("data"), ("list_integer(uint8)", "CompleteParameters")
    if not isinstance(data, list):
        _refuse_type("list_integer(uint8)", data, "CompleteParameters")
    # One pass in C for what is right, which may be megabytes; a bool is an int to bytes().
    if set(map(type, data)) <= {int} and (not data or 0 <= min(data) <= max(data) <= 255):
        return oplog_idx, bytes(data)
    for item in data:
        if _integer(item, "integer(uint8)", *places) > 255:
            _refuse("integer(uint8)", "Only integers from 0 to 255 are accepted.", *places)
    raise AssertionError("poem accepts what bytes() refuses")


def _integer(value: Any, type_name: str, *places: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse_type(type_name, value, *places)
    if isinstance(value, float) or not 0 <= value <= _MAX_U64:
        _refuse(type_name, "invalid integer", *places)
    return value


def _refuse_type(type_name: str, value: Any, *places: str) -> NoReturn:
    _raise(f'Expected input type "{type_name}", found {compact_json(value)}.', *places)


def _refuse(type_name: str, why: str, *places: str) -> NoReturn:
    _raise(f'failed to parse "{type_name}": {why}', *places)


def _raise(message: str, *places: str) -> NoReturn:
    where = "".join(f' (occurred while parsing "{place}")' for place in places)
    raise FrameworkError(400, f"parse request payload error: {message}{where}")


class Webhooks:
    """The capability URLs of Golem 1.5: whoever has the URL may complete the promise.

    Attributes:
        host: The only `Host` that is served. It is known once the fake listens.
    """

    # No token and no name to check: who has the URL is let in.
    _CHECKS = (
        Check.COMPONENT,
        Check.COMPRESSED_SIZE,
        Check.SIZE,
        Check.PROMISE,
        Check.WRITE,
        Check.WORKER,
    )

    def __init__(self, golem: Installation) -> None:
        self._golem = golem
        self._secret = secrets.token_bytes(32)
        self._keys: dict[str, PromiseKey] = {}
        self.host = ""

    def url(self, key: PromiseKey) -> str:
        """Return the promise's URL: its agent's type, and an id that nobody can guess."""
        signature = hmac.digest(self._secret, str(key).encode(), hashlib.sha256)
        webhook_id = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
        self._keys[webhook_id] = key
        return f"http://{self.host}/webhooks/{_agent_type(key)}/{webhook_id}"

    def read(self, incoming: Incoming, segments: list[str]) -> Call:
        """Return what a request to a webhook asks for."""
        if segments[2:] == [""]:
            segments = segments[:2]
        is_post = incoming.method == "POST" and incoming.headers.get("Host") == self.host
        if len(segments) != 2 or not is_post:
            return self._no_route()
        agent_type, webhook_id = segments[0], unquote(segments[1])
        key = self._keys.get(webhook_id)
        if key is None:
            return Call.refused(_unknown_webhook(webhook_id))
        if agent_type != _agent_type(key):
            return self._no_route()
        return Call(key, incoming.body, lambda wakes: self._complete(key, incoming.body, wakes))

    def _complete(self, key: PromiseKey, payload: bytes, wakes: bool) -> Answer | None:  # noqa: FBT001
        call = Completion(self._golem, key, payload)
        _, failed = call.take_in(self._CHECKS, wakes=wakes)
        if failed is None:
            return Answer(204)
        refusal = self._golem.dialect.steps[failed]
        if refusal is None or refusal.status == 413:
            return call.refused(refusal)
        text = f"Invocation failed: {call.said(refusal)}"
        return self._golem.dialect.error(500, text, "INTERNAL_AGENT_EXECUTION_FAILED")

    def _no_route(self) -> Call:
        text = "Resolving route failed: No matching route for request"
        answer = Answer.json(404, {"code": "ROUTE_NOT_FOUND", "error": text})
        return Call.refused(answer, is_completion=False)


def _agent_type(key: PromiseKey) -> str:
    """Return the agent's type name in kebab case."""
    type_name = key.worker.name.partition("(")[0]
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", type_name)
    return words.lower()


def _unknown_webhook(webhook_id: str) -> Answer:
    """Return a 404 for an id that is forged or another Golem's, and a 400 for what is no id."""
    if re.fullmatch(r"[A-Za-z0-9_-]{43}", webhook_id):
        return Answer(404)
    error = f"Failed parsing value; Provided: {webhook_id}; Expected type: AgentWebhookId"
    return Answer.json(400, {"code": "REQUEST_VALUE_PARSING_FAILED", "errors": [error]})
