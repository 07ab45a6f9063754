"""What Golem does with a request, with no I/O: from the bytes that came to its answer.

Every generation reads a completion in the same order: path, content type, body, token syntax.
The checks that follow differ; `dialects.py` has their order and their answers.
"""

from __future__ import annotations

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
        """Return the request's token as Golem compares it; None if it is not well-formed."""
        read, sent = self.dialect.read_token, bearer_token(headers)
        return read(sent) if read and sent else None

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Return whether the request's token is this Golem's, or none is asked for."""
        read = self.dialect.read_token
        return read is None or self.secret(headers) == read(self.token)


@attrs.frozen
class Completion:
    """A payload for a promise, on its way through the checks of a generation.

    Attributes:
        golem: The Golem that is asked.
        key: The promise, under the name that Golem makes of what was sent.
        payload: The payload.
        headers: The headers of the request.
        bad_name: Why Golem refuses the worker's name; None if it does not.
    """

    golem: Installation
    key: PromiseKey
    payload: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)
    bad_name: str | None = None

    def run(self, *, wakes: bool = True) -> Answer | None:
        """Complete the promise, and return what Golem answers; None if it never answers.

        A second time is what Golem does with the same request again.
        """
        dialect = self.golem.dialect
        if dialect.read_token is not None and self.golem.secret(self.headers) is None:
            return Answer.text(401, "authorization error")
        stored, failed = self._take_in(dialect.steps, wakes=wakes)
        return self._refused(dialect.steps[failed]) if failed else Answer.json(200, stored)

    def _take_in(self, checks: Iterable[Check], *, wakes: bool) -> tuple[bool, Check | None]:
        """Return whether the payload was stored, and the check that failed, if one did."""
        stored = False
        for check in checks:
            if check is Check.WRITE:
                stored = self.golem.promises.write(self.key, self.payload, wakes=wakes)
            elif not _PASSES[check](self):
                return stored, check
        return stored, None

    def _refused(self, refusal: Refusal | None) -> Answer | None:
        if refusal is None:
            return None
        if refusal.golem_error is not None:
            return Answer.json(refusal.status, {"golemError": refusal.golem_error(self.key)})
        text = refusal.text.format(call=self)
        return self.golem.dialect.error(refusal.status, text, refusal.code)

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
    Check.COMPONENT: lambda call: call.key.worker.component in call.golem.promises.components,
    Check.COMPRESSED_SIZE: lambda call: call.compressed_size <= call.limit,
    Check.SIZE: lambda call: call.size <= call.limit,
    Check.PROMISE: lambda call: call.golem.promises.exists(call.key),
    Check.WORKER: lambda call: call.key.worker not in call.golem.promises.deleted_workers,
}


class WebhookCompletion(Completion):
    """A completion by a capability URL of Golem 1.5.

    Whoever has the URL may complete the promise: no token is checked, and no name, which was
    checked when the promise was created.
    """

    _CHECKS = (
        Check.COMPONENT,
        Check.COMPRESSED_SIZE,
        Check.SIZE,
        Check.PROMISE,
        Check.WRITE,
        Check.WORKER,
    )

    def run(self, *, wakes: bool = True) -> Answer | None:
        """Complete the promise. A duplicate gets the same answer as the first."""
        _, failed = self._take_in(self._CHECKS, wakes=wakes)
        if failed is None:
            return Answer(204)
        refusal = self.golem.dialect.steps[failed]
        if refusal is None or refusal.status == 413:
            return self._refused(refusal)
        text = f"Invocation failed: {refusal.text.format(call=self)}"
        return self.golem.dialect.error(500, text, "INTERNAL_AGENT_EXECUTION_FAILED")


class Routes:
    """The HTTP side of one Golem."""

    def __init__(self, installation: Installation) -> None:
        self._golem = installation
        self._webhooks: dict[PromiseKey, str] = {}

    def read(self, incoming: Incoming) -> Completion | Answer:
        """Return the completion that the request asks for, or the answer to any other request."""
        dialect = self._golem.dialect
        segments = incoming.path.partition("?")[0].split("/")
        if dialect.has_webhooks and segments[:2] == ["", "webhooks"]:
            return self._read_webhook(incoming, segments[2:])  # another port in a real Golem
        origin = incoming.headers.get("Origin")
        if dialect.read_token and origin is not None and not _ORIGIN.fullmatch(origin):
            return Answer.text(403, "request-origin not allowed")
        match segments:
            case ["", "v1", "components", component, "workers", name, "complete"]:
                return self._read_completion(incoming, component, name)
            case ["", "healthcheck"]:
                return _shown(incoming, {})
            case ["", "version"]:
                return _shown(incoming, {"version": dialect.version})
        return Answer.text(404, "not found")

    def _read_completion(
        self, incoming: Incoming, component: str, name: str
    ) -> Completion | Answer:
        if incoming.method != "POST":
            return _OTHER_METHOD
        try:
            worker = self._worker(component, name)
            _check_content_type(incoming.headers.get("Content-Type"))
            oplog_idx, payload = read_body(incoming.body)
        except FrameworkError as error:
            return Answer.text(error.status, str(error))
        key, bad_name = PromiseKey(worker, oplog_idx), None
        try:
            key = self._golem.canonical(key)
        except BadNameError as error:
            bad_name = str(error)
        return Completion(self._golem, key, payload, incoming.headers, bad_name)

    def _worker(self, component: str, name: str) -> WorkerKey:
        """Return the worker that the path names. It is percent-decoded once; `+` is a plus."""
        try:
            text, name = (unquote_to_bytes(segment).decode() for segment in (component, name))
        except UnicodeDecodeError:
            raise FrameworkError("invalid path params") from None
        uuid = read_uuid(text)
        if uuid is None:
            parameter = self._golem.dialect.component_parameter
            reason = 'failed to parse "string(ComponentId)": not a UUID'
            raise FrameworkError(f"failed to parse path `{parameter}`: {reason}")
        return WorkerKey(uuid, name)

    def webhook_path(self, key: PromiseKey) -> str:
        """Return the path of the promise's webhook: its agent's type, and an id that is secret."""
        type_name = key.worker.name.partition("(")[0]
        kebab = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", type_name).lower()
        return f"/webhooks/{kebab}/{self._webhooks.setdefault(key, secrets.token_urlsafe(32))}"

    def _read_webhook(self, incoming: Incoming, segments: list[str]) -> Completion | Answer:
        if segments[2:] == [""]:
            segments = segments[:2]
        if len(segments) != 2 or incoming.method != "POST":
            text = "Resolving route failed: No matching route for request"
            return Answer.json(404, {"code": "ROUTE_NOT_FOUND", "error": text})
        webhook_id = unquote(segments[1])
        key = next((key for key, known in self._webhooks.items() if known == webhook_id), None)
        if key is None:
            return _unknown_webhook(webhook_id)
        return WebhookCompletion(self._golem, key, incoming.body)


def _unknown_webhook(webhook_id: str) -> Answer:
    """Return a 404 for an id that is forged or another Golem's, and a 400 for a malformed one."""
    if re.fullmatch(r"[A-Za-z0-9_-]{43}", webhook_id):
        return Answer(404)
    error = f"Failed parsing value; Provided: {webhook_id}; Expected type: AgentWebhookId"
    return Answer.json(400, {"code": "REQUEST_VALUE_PARSING_FAILED", "errors": [error]})


_OTHER_METHOD = Answer.text(405, "method not allowed")


def _shown(incoming: Incoming, value: Mapping[str, str]) -> Answer:
    return Answer.json(200, value) if incoming.method in ("GET", "HEAD") else _OTHER_METHOD


# The body, as Golem's framework reads it: serde_json reads the text, and poem-openapi then converts
# the value, field by field, and names what it expected. Its texts echo the value that they refuse.


class FrameworkError(ValueError):
    """The framework does not accept the request; the text is its own."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


def _check_content_type(content_type: str | None) -> None:
    # To the framework, a header that is not ASCII is not there.
    if content_type is None or not content_type.isascii():
        message = "the client request does not include the `Content-Type` header"
        raise FrameworkError(message, 415)
    if not _JSON_TYPE.fullmatch(content_type):
        message = f"the `Content-Type` requested by the client is not supported: {content_type}"
        raise FrameworkError(message, 415)


def read_body(body: bytes) -> tuple[int, bytes]:
    """Return the oplog index and the payload, or raise a FrameworkError."""
    try:
        value = worker_json.loads(body) if body else None  # an empty body counts as null
    except ValueError as error:
        raise FrameworkError(f"parse request payload error: {error}") from None
    if not isinstance(value, dict):
        _refuse(value, "CompleteParameters")
    oplog_idx, data = value.get("oplogIdx"), value.get("data")
    if type(oplog_idx) is not int or not 0 <= oplog_idx <= _MAX_U64:
        _refuse(oplog_idx, "integer(uint64)", "CompleteParameters")
    if not isinstance(data, list):
        _refuse(data, "list_integer(uint8)", "CompleteParameters")
    # These run in C: it may be megabytes. A bool is an int to bytes().
    if not (set(map(type, data)) <= {int} and (not data or 0 <= min(data) <= max(data) <= 255)):
        bad = next(item for item in data if type(item) is not int or not 0 <= item <= 255)
        _refuse(bad, "integer(uint8)", "list_integer(uint8)", "CompleteParameters")
    return oplog_idx, bytes(data)


def _refuse(value: Any, expected: str, *places: str) -> NoReturn:
    """Refuse a value of another type than expected, or a number out of range."""
    is_number = type(value) in (int, float) and expected.startswith("integer")
    if is_number and type(value) is int and 255 < value <= _MAX_U64:
        message = f'failed to parse "{expected}": Only integers from 0 to 255 are accepted.'
    elif is_number:
        message = f'failed to parse "{expected}": invalid integer'
    else:
        message = f'Expected input type "{expected}", found {compact_json(value)}.'
    where = "".join(f' (occurred while parsing "{place}")' for place in places)
    raise FrameworkError(f"parse request payload error: {message}{where}")
