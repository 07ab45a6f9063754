"""What distinguishes the generations of Golem: one table each.

A table says in which order Golem checks a completion, what it answers where a check fails, and
which names and tokens it accepts. It was read from the sources of the version that it names, and
compared with running servers of 1.2.0 and 1.5.9. The checks themselves are in `completion.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import attrs

from golem_client.testing import credentials, names
from golem_client.testing.messages import Answer

Facts = Mapping[str, Any]
"""What an answer can name: `promise`, `worker`, `component`, `worker_name`, `oplog_idx` …"""


class Check(Enum):
    """A step of a completion. Each may refuse, and then ends it."""

    NAME = "the worker name is one that this Golem accepts"
    TOKEN = "the token is known"  # noqa: S105 - a sentence about one
    COMPONENT = "the component is deployed"
    COMPRESSED_SIZE = "the message, compressed, is below the executor's limit"
    SIZE = "the message, decompressed, is below it too"
    WRITE = "the payload is stored, if none is there"
    PROMISE = "the promise exists"
    WORKER = "the worker exists"
    ACTIVATION = "the worker can be woken"


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
        text: The message; what is in braces is filled in.
        code: Golem 1.5's code.
        golem_error: What Golem 1.1 and 1.2 say in place of the text.
    """

    status: int
    text: str
    code: str = ""
    golem_error: Callable[[Facts], Mapping[str, Any]] | None = None


@attrs.frozen(kw_only=True)
class Dialect:
    """One generation of Golem.

    Attributes:
        name: What a user asks for.
        version: The version whose sources the table was read from.
        checks: The order of the steps, after those of the framework.
        refusals: What is answered where a step refuses. None: Golem never answers.
        shape: Returns the body of an error, given its status, message and code.
        worker_name: Returns the name that Golem makes of a name, or raises a BadNameError.
        read_token: Returns what Golem makes of a token, or None where it is none. There is no such
            function where Golem asks for no token.
        component_parameter: The framework's name for the first segment of the path.
        checks_origin: Whether a foreign `Origin` is refused.
        message_limit: The bytes of a message to the executor.
        first_oplog_idx: The index of a fresh worker's first promise.
        oplog_step: What lies between two promises in an oplog that has nothing else.
        usual_name: A name as its workers have.
        has_webhooks: Whether promises have a URL of their own.
    """

    name: str
    version: str
    checks: tuple[Check, ...]
    refusals: Mapping[Check, Refusal | None]
    shape: Callable[[int, str, str], Mapping[str, Any]]
    worker_name: Callable[[str], str]
    read_token: credentials.ReadToken | None = None
    component_parameter: str = "param0"
    checks_origin: bool = True
    message_limit: int = 4_194_304
    first_oplog_idx: int = 4
    oplog_step: int = 5
    usual_name: str
    has_webhooks: bool = False

    def refuse(self, check: Check, facts: Facts) -> Answer | None:
        """Return what this generation answers where the check fails; None for no answer ever."""
        refusal = self.refusals[check]
        if refusal is None:
            return None
        if refusal.golem_error is not None:
            return Answer.json(refusal.status, {"golemError": refusal.golem_error(facts)})
        return self.error(refusal.status, refusal.text.format_map(facts), refusal.code)

    def error(self, status: int, text: str | None = None, code: str | None = None) -> Answer:
        """Return an error of this generation's shape, by default for no reason in particular."""
        usual_text, usual_code = GOLEMS_OWN.get(status, ("", "INTERNAL_UNKNOWN"))
        body = self.shape(status, text or usual_text, code or usual_code)
        return Answer.json(status, body)


def _shape_of_1_1(status: int, text: str, code: str) -> Mapping[str, Any]:  # noqa: ARG001
    if status == 400:
        return {"errors": [text]}
    return (
        {"golemError": {"details": text, "type": "Unknown"}} if status >= 500 else {"error": text}
    )


def _shape_of_1_3(status: int, text: str, code: str) -> Mapping[str, Any]:  # noqa: ARG001
    if status == 400:
        return {"errors": [text]}
    return {"error": text, "workerError": None} if status >= 500 else {"error": text}


def _shape_of_1_5(status: int, text: str, code: str) -> Mapping[str, Any]:
    return {"code": code, **_shape_of_1_3(status, text, code)}


def _promise_not_found(facts: Facts) -> Mapping[str, Any]:
    worker = {"componentId": facts["component"], "workerName": facts["worker_name"]}
    promise = {"oplogIdx": facts["oplog_idx"], "workerId": worker}
    return {"promiseId": promise, "type": "PromiseNotFound"}


def _component_gone(facts: Facts) -> Mapping[str, Any]:
    component = {"componentId": facts["component"], "version": 0}
    # Golem's own reason is not known; this one is ours.
    reason = "Component not found"
    return {"componentId": component, "reason": reason, "type": "ComponentDownloadFailed"}


_TOO_LARGE = (
    "Failed to connect to pod: Operation was attempted past the valid range "
    "Error, {decoded}message length too large: found {{found}} bytes, the limit is: {{limit}} bytes"
)
_BAD_NAME = Refusal(400, "Invalid worker name: {reason}")
_PROMISE_NOT_FOUND = Refusal(500, "Promise not found: {promise}", "INTERNAL_UNKNOWN")
_WORKER_NOT_FOUND = Refusal(404, "Worker not found: {worker}", "AGENT_NOT_FOUND")
# Any failure of the project lookup collapses to this, a bad token's too.
_NO_PROJECT = Refusal(401, "Unauthorized: Get project error")

GOLEM_1_1 = Dialect(
    name="1.1",
    version="1.1.0",
    # It stores before it looks for the promise: one that is created later is born completed.
    checks=(
        Check.NAME,
        Check.COMPRESSED_SIZE,
        Check.WRITE,
        Check.PROMISE,
        Check.WORKER,
        Check.ACTIVATION,
    ),
    refusals={
        Check.NAME: _BAD_NAME,
        Check.COMPRESSED_SIZE: Refusal(500, _TOO_LARGE.format(decoded="")),
        Check.PROMISE: Refusal(500, "", golem_error=_promise_not_found),
        Check.WORKER: _WORKER_NOT_FOUND,
        Check.ACTIVATION: Refusal(500, "", golem_error=_component_gone),
    },
    shape=_shape_of_1_1,
    worker_name=names.name_of_1_1,
    component_parameter="component_id",
    checks_origin=False,
    first_oplog_idx=3,
    oplog_step=3,
    usual_name="approval-17",
)

GOLEM_1_2 = attrs.evolve(
    GOLEM_1_1,
    name="1.2",
    version="1.2.5",
    refusals={
        **GOLEM_1_1.refusals,
        Check.COMPRESSED_SIZE: Refusal(500, _TOO_LARGE.format(decoded="decoded ")),
    },
    worker_name=names.name_of_1_2,
)

GOLEM_1_3 = Dialect(
    name="1.3",
    version="1.3.0",
    checks=(
        Check.NAME,
        Check.TOKEN,
        Check.COMPONENT,
        Check.COMPRESSED_SIZE,
        Check.PROMISE,
        Check.WRITE,
        Check.WORKER,
    ),
    refusals={
        Check.NAME: _BAD_NAME,
        Check.TOKEN: _NO_PROJECT,
        Check.COMPONENT: _NO_PROJECT,
        Check.COMPRESSED_SIZE: GOLEM_1_2.refusals[Check.COMPRESSED_SIZE],
        Check.PROMISE: _PROMISE_NOT_FOUND,
        Check.WORKER: _WORKER_NOT_FOUND,
    },
    shape=_shape_of_1_3,
    worker_name=names.name_of_1_2,
    read_token=credentials.uuid_token,
    usual_name='approval-agent("order-17")',
)

GOLEM_1_5 = Dialect(
    name="1.5",
    version="1.5.9",
    checks=(
        Check.TOKEN,
        Check.NAME,
        Check.COMPONENT,
        Check.COMPRESSED_SIZE,
        Check.SIZE,
        Check.PROMISE,
        Check.WRITE,
        Check.WORKER,
    ),
    refusals={
        Check.TOKEN: Refusal(401, *GOLEMS_OWN[401]),
        Check.NAME: Refusal(400, "Invalid worker id: {reason}", "INVALID_WORKER_ID"),
        Check.COMPONENT: Refusal(404, *GOLEMS_OWN[404]),
        # Its worker service repeats a message that the executor refuses for ever.
        Check.COMPRESSED_SIZE: None,
        Check.SIZE: Refusal(
            413,
            "gRPC message exceeded the configured size limit: Error decompressing: "
            "size limit, of {limit} bytes, exceeded while decompressing message",
            "REQUEST_PAYLOAD_TOO_LARGE",
        ),
        Check.PROMISE: _PROMISE_NOT_FOUND,
        Check.WORKER: _WORKER_NOT_FOUND,
    },
    shape=_shape_of_1_5,
    worker_name=names.name_of_1_5,
    read_token=credentials.opaque_token,
    message_limit=33_554_432,
    usual_name='ApprovalAgent("order-17")',
    has_webhooks=True,
)

DIALECTS = {each.name: each for each in (GOLEM_1_1, GOLEM_1_2, GOLEM_1_3, GOLEM_1_5)}
