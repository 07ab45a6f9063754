"""The generations of Golem: one table each, and the names and tokens that they accept.

A table has Golem's checks of a completion in their order, each with the answer where it fails. It
was read from the sources of the version that it names, and compared with running servers of 1.2.0
and 1.5.9. `routes.py` goes through it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any
from uuid import UUID

import attrs

from golem_client.testing.messages import Answer, proxys_page
from golem_client.testing.promises import PromiseKey

WELL_KNOWN_TOKEN = "5c832d93-ff85-4a8f-9803-513950fdfdb1"  # noqa: S105 - in Golem's own sources
"""The token of a Golem on one's own machine."""

_OPAQUE_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,}")
# `.` does not cross newlines, as in Golem.
_AGENT_ID = re.compile(r"([^(]+)\((.*)\)(?:\[([^\]]+)\])?")
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"?|[^"]+')
_MAX_NAME_BYTES = 512


def read_uuid(text: str) -> UUID | None:
    """Return the UUID in the text, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None


def read_opaque_token(text: str) -> str | None:
    """Return a token as Golem 1.4 and later have them, or None."""
    return text if _OPAQUE_TOKEN.fullmatch(text) else None


class BadNameError(ValueError):
    """The generation does not accept the worker name; the text is Golem's own."""


def _require(met: bool, rule: str) -> None:  # noqa: FBT001
    if not met:
        raise BadNameError(f"Worker name must {rule}")


def name_of_1_1(name: str) -> str:
    """Return the name if it is 1 to 100 bytes of alphanumerics, `_` and `-`, no dash first."""
    _require(1 <= len(name.encode()) <= 100, "be between 1 and 100 characters")
    _require(not any(map(str.isspace, name)), "not contain spaces")
    is_plain = all(char.isalnum() or char in "_-" for char in name)
    _require(is_plain, "contain only alphanumeric characters, underscores, and dashes")
    _require(not name.startswith("-"), "not start with a dash")
    return name


def name_of_1_2(name: str) -> str:
    """Return the name if it is 1 to 512 bytes with no white space, no `/` and no dash first."""
    _require(1 <= len(name.encode()) <= _MAX_NAME_BYTES, "be between 1 and 512 characters")
    _require(not any(map(str.isspace, name)), "not contain whitespaces")
    _require("/" not in name, "not contain '/'")
    _require(not name.startswith("-"), "not start with '-'")
    return name


def name_of_1_5(name: str) -> str:
    """Return an agent id without needless white space, or another name that has no `/`."""
    agent_id = _normalised(name)
    kind, label = ("Agent id", "agent id") if agent_id else ("Legacy worker id", "worker id")
    accepted = agent_id or name
    if (length := len(accepted.encode())) > _MAX_NAME_BYTES:
        limit = f"max length: {_MAX_NAME_BYTES}"
        raise BadNameError(f"{kind} is too long: {length}, {limit}, {label}: {accepted}")
    if agent_id is None and "/" in name:
        raise BadNameError(f"Legacy worker id cannot contain '/', worker id: {name}")
    return accepted


def _normalised(name: str) -> str | None:
    """Return the agent id without white space outside its strings, or None if it is not one."""
    match = _AGENT_ID.fullmatch(name.strip())
    if match is None or not match[1].strip():
        return None
    type_name, params, phantom = match.groups()
    parts = (
        part if part.startswith('"') else re.sub(r"[ \t\r\n]", "", part)
        for part in _STRINGS.findall(params)
    )
    agent_id = f"{type_name.strip()}({''.join(parts)})"
    if phantom is None:
        return agent_id
    uuid = read_uuid(phantom.strip())
    return None if uuid is None else f"{agent_id}[{uuid}]"


class Check(Enum):
    """A step of a completion. Every step but `WRITE` may refuse it, which is then the end."""

    NAME = "the worker name is one that this Golem accepts"
    TOKEN = "the token is known"  # noqa: S105 - a sentence about one
    COMPONENT = "the component is deployed"
    COMPRESSED_SIZE = "the message, compressed, is below the executor's limit"
    SIZE = "the message, decompressed, is below it too"
    WRITE = "the payload is stored, if none is there"
    PROMISE = "the promise exists"
    WORKER = "the worker exists"


GOLEMS_OWN: Mapping[int, tuple[str, str]] = {
    400: ("Bad request", "INVALID_WORKER_ID"),
    401: ("Could not authenticate user using token", "AUTH_UNAUTHORIZED"),
    403: ("The environment action UpdateWorker is not allowed", "AUTH_FORBIDDEN"),
    404: ("Component not found", "COMPONENT_NOT_FOUND"),
    409: ("Conflict", "CONCURRENT_UPDATE"),
    422: ("Limit exceeded", "LIMIT_EXCEEDED"),
    500: ("Internal error", "INTERNAL_UNKNOWN"),
}
"""What Golem says for no reason in particular, by status; other statuses come from a proxy."""


@attrs.frozen
class Refusal:
    """An answer where a check fails.

    Attributes:
        status: The status.
        text: The message. `{call}` in it is the completion, with its `key` and its sizes.
        code: Golem 1.5's code.
        golem_error: What Golem 1.1 and 1.2 answer in place of the text.
    """

    status: int
    text: str = ""
    code: str = ""
    golem_error: Callable[[PromiseKey], Mapping[str, Any]] | None = None


@attrs.frozen(kw_only=True)
class Dialect:
    """One generation of Golem.

    Attributes:
        name: What a user asks for.
        version: The version whose sources the table was read from.
        steps: The checks in their order, each with its refusal; None where Golem then never
            answers. The checks of the framework come before.
        error_body: Returns the body of an error, given its status, message and code.
        worker_name: Returns the name that Golem makes of a name, or raises a BadNameError.
        read_token: Returns a token as Golem compares it, or None if it is malformed. It is None
            itself where Golem asks for no token, and then Golem ignores `Origin` too.
        component_parameter: The framework's name for the first segment of the path.
        message_limit: The bytes of a message to the executor.
        first_oplog_idx: The index of a fresh worker's first promise.
        oplog_step: What lies between two promises in an oplog that has nothing else.
        usual_name: A name as its workers have.
        has_webhooks: Whether promises have a URL of their own.
    """

    name: str
    version: str
    steps: Mapping[Check, Refusal | None]
    error_body: Callable[[int, str, str], Mapping[str, Any]]
    worker_name: Callable[[str], str]
    read_token: Callable[[str], object | None] | None = None
    component_parameter: str = "param0"
    message_limit: int = 4_194_304
    first_oplog_idx: int = 4
    oplog_step: int = 5
    usual_name: str
    has_webhooks: bool = False

    def error(self, status: int, text: str | None = None, code: str | None = None) -> Answer:
        """Return an error in this generation's shape, by default for no reason in particular."""
        usual_text, usual_code = GOLEMS_OWN.get(status, ("", "INTERNAL_UNKNOWN"))
        return Answer.json(status, self.error_body(status, text or usual_text, code or usual_code))

    def made_up(
        self,
        status: int,
        body: str | bytes | Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        """Return an answer that a test asks for.

        Without a body it is Golem's own error, or a proxy's page for a status that Golem never has.
        """
        match body:
            case None:
                answer = self.error(status) if status in GOLEMS_OWN else proxys_page(status)
            case bytes():
                answer = Answer(status, body, "application/octet-stream")
            case str():
                answer = Answer.text(status, body)
            case _:
                answer = Answer.json(status, dict(body))
        return attrs.evolve(answer, headers=dict(headers or {}))


def _error_of_1_1(status: int, text: str, _: str) -> Mapping[str, Any]:
    if status >= 500:
        return {"golemError": {"details": text, "type": "Unknown"}}
    return {"errors": [text]} if status == 400 else {"error": text}


def _error_of_1_3(status: int, text: str, _: str) -> Mapping[str, Any]:
    if status >= 500:
        return {"error": text, "workerError": None}
    return {"errors": [text]} if status == 400 else {"error": text}


def _error_of_1_5(status: int, text: str, code: str) -> Mapping[str, Any]:
    return {"code": code, **_error_of_1_3(status, text, code)}


def _promise_not_found(key: PromiseKey) -> Mapping[str, Any]:
    worker = {"componentId": str(key.worker.component), "workerName": key.worker.name}
    promise = {"oplogIdx": key.oplog_idx, "workerId": worker}
    return {"promiseId": promise, "type": "PromiseNotFound"}


def _component_gone(key: PromiseKey) -> Mapping[str, Any]:
    component = {"componentId": str(key.worker.component), "version": 0}
    # Golem's own reason is not known; this one is ours.
    reason = "Component not found"
    return {"componentId": component, "reason": reason, "type": "ComponentDownloadFailed"}


_TOO_LARGE = (
    "Failed to connect to pod: Operation was attempted past the valid range Error, {0}message "
    "length too large: found {{call.compressed_size}} bytes, the limit is: {{call.limit}} bytes"
)
_BAD_NAME = Refusal(400, "Invalid worker name: {call.bad_name}")
_PROMISE_NOT_FOUND = Refusal(500, "Promise not found: {call.key}", "INTERNAL_UNKNOWN")
_WORKER_NOT_FOUND = Refusal(404, "Worker not found: {call.key.worker}", "AGENT_NOT_FOUND")
# Any failure of the project lookup collapses to this, a bad token's too.
_NO_PROJECT = Refusal(401, "Unauthorized: Get project error")

GOLEM_1_1 = Dialect(
    name="1.1",
    version="1.1.0",
    # It stores before it looks for the promise: one that is created later is born completed.
    steps={
        Check.NAME: _BAD_NAME,
        Check.COMPRESSED_SIZE: Refusal(500, _TOO_LARGE.format("")),
        Check.WRITE: None,
        Check.PROMISE: Refusal(500, golem_error=_promise_not_found),
        Check.WORKER: _WORKER_NOT_FOUND,
        Check.COMPONENT: Refusal(500, golem_error=_component_gone),  # it cannot wake the worker
    },
    error_body=_error_of_1_1,
    worker_name=name_of_1_1,
    component_parameter="component_id",
    first_oplog_idx=3,
    oplog_step=3,
    usual_name="approval-17",
)

GOLEM_1_2 = attrs.evolve(
    GOLEM_1_1,
    name="1.2",
    version="1.2.5",
    steps={**GOLEM_1_1.steps, Check.COMPRESSED_SIZE: Refusal(500, _TOO_LARGE.format("decoded "))},
    worker_name=name_of_1_2,
)

GOLEM_1_3 = Dialect(
    name="1.3",
    version="1.3.0",
    steps={
        Check.NAME: _BAD_NAME,
        Check.TOKEN: _NO_PROJECT,
        Check.COMPONENT: _NO_PROJECT,
        Check.COMPRESSED_SIZE: GOLEM_1_2.steps[Check.COMPRESSED_SIZE],
        Check.PROMISE: _PROMISE_NOT_FOUND,
        Check.WRITE: None,
        Check.WORKER: _WORKER_NOT_FOUND,
    },
    error_body=_error_of_1_3,
    worker_name=name_of_1_2,
    read_token=read_uuid,
    usual_name='approval-agent("order-17")',
)

GOLEM_1_5 = Dialect(
    name="1.5",
    version="1.5.9",
    steps={
        Check.TOKEN: Refusal(401, *GOLEMS_OWN[401]),
        Check.NAME: Refusal(400, "Invalid worker id: {call.bad_name}", "INVALID_WORKER_ID"),
        Check.COMPONENT: Refusal(404, *GOLEMS_OWN[404]),
        Check.COMPRESSED_SIZE: None,  # its worker service repeats the message for ever
        Check.SIZE: Refusal(
            413,
            "gRPC message exceeded the configured size limit: Error decompressing: "
            "size limit, of {call.limit} bytes, exceeded while decompressing message",
            "REQUEST_PAYLOAD_TOO_LARGE",
        ),
        Check.PROMISE: _PROMISE_NOT_FOUND,
        Check.WRITE: None,
        Check.WORKER: _WORKER_NOT_FOUND,
    },
    error_body=_error_of_1_5,
    worker_name=name_of_1_5,
    read_token=read_opaque_token,
    message_limit=33_554_432,
    usual_name='ApprovalAgent("order-17")',
    has_webhooks=True,
)

DIALECTS = {each.name: each for each in (GOLEM_1_1, GOLEM_1_2, GOLEM_1_3, GOLEM_1_5)}


def dialect_for(name: str, token: str) -> Dialect:
    """Return the generation of this name.

    Raises:
        ValueError: There is none, or it does not accept such a token, which is not shown.
    """
    if name not in DIALECTS:
        raise ValueError(f"no dialect {name!r}: there are {', '.join(DIALECTS)}")
    dialect = DIALECTS[name]
    if dialect.read_token is not None and dialect.read_token(token) is None:
        raise ValueError(
            f"this is not a token of Golem {name}: "
            "1.3 takes a UUID, 1.5 sixteen characters or more of [A-Za-z0-9_-]"
        )
    return dialect
