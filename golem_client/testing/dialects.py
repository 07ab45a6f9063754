"""What distinguishes the generations of Golem: one table each.

The names of sections are those of our fact sheet, `golem-promise-api.md`. A table says in which
order Golem checks a completion, what it answers where a check fails, and which names and tokens
it accepts. The checks themselves are in `golem.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import attrs

from golem_client.testing import credentials, worker_names
from golem_client.testing.messages import Answer


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


_MESSAGES = {
    400: "Bad request",
    401: "Could not authenticate user using token",
    403: "The environment action UpdateWorker is not allowed",
    404: "Component not found",
    409: "Conflict",
    422: "Limit exceeded",
    500: "Internal error",
}
"""What is said with a status that a test orders; those of 401, 403, 404 and 500 are Golem's."""

GOLEMS_OWN = frozenset(_MESSAGES)
"""The statuses that Golem documents for the endpoint; others come from something before it."""

Refusal = tuple[int, Mapping[str, Any]]
"""A status and a body; what is in braces is filled in."""


@attrs.frozen(kw_only=True)
class Dialect:
    """One generation of Golem.

    Attributes:
        name: What a user asks for.
        version: The version whose sources the table was read from.
        checks: The order of the steps, after those of the framework.
        refusals: What is answered where a step refuses.
        errors: The shapes of a refusal for no reason in particular, by status.
        worker_name: Returns the name that Golem makes of a name, or raises a BadNameError.
        read_token: Returns what Golem makes of a token, or None where it is none. There is no such
            function where Golem asks for no token.
        component_parameter: The framework's name for the first segment of the path.
        name_parameter: Its name for the second.
        checks_origin: Whether a foreign `Origin` is refused.
        message_limit: The bytes of a message to the executor.
        first_oplog_idx: The index of a fresh worker's first promise.
        usual_name: A name as its workers have.
        has_webhooks: Whether promises have a URL of their own.
    """

    name: str
    version: str
    checks: tuple[Check, ...]
    refusals: Mapping[Check, Refusal]
    errors: Callable[[int, str], Mapping[str, Any]]
    worker_name: Callable[[str], str]
    read_token: credentials.ReadToken | None
    component_parameter: str
    name_parameter: str
    checks_origin: bool
    message_limit: int
    first_oplog_idx: int
    usual_name: str
    has_webhooks: bool

    def refuse(self, check: Check, facts: Mapping[str, Any]) -> Answer:
        """Return what this generation answers where the check fails."""
        status, template = self.refusals[check]
        return Answer.json(status, fill(template, facts))

    def error(self, status: int) -> Answer:
        """Return an error of this generation's shape, for no reason in particular."""
        return Answer.json(status, self.errors(status, _MESSAGES[status]))


def fill(template: Any, facts: Mapping[str, Any]) -> Any:
    """Return the template with its `{name}`s filled in; one that stands alone keeps its type."""
    if isinstance(template, Mapping):
        return {key: fill(value, facts) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, facts) for value in template]
    if not isinstance(template, str):
        return template
    alone = re.fullmatch(r"\{(\w+)\}", template)
    return facts[alone[1]] if alone else template.format_map(facts)


_MESSAGE_TOO_LARGE = (
    "Failed to connect to pod: Operation was attempted past the valid range "
    "Error, message length too large: found {found} bytes, the limit is: {limit} bytes"
)


def _errors_of_1_1(status: int, message: str) -> Mapping[str, Any]:
    """Section 2.3, the shapes; keys in alphabetical order."""
    if status == 400:
        return {"errors": [message]}
    if status >= 500:
        return {"golemError": {"details": message, "type": "Unknown"}}
    return {"error": message}


GOLEM_1_1 = Dialect(
    name="1.1",
    version="1.1.0",
    # Sections 1.1 and 3.1: written before the promise is looked for, the "poison" of 3.2.
    checks=(
        Check.NAME,
        Check.COMPRESSED_SIZE,
        Check.WRITE,
        Check.PROMISE,
        Check.WORKER,
        Check.ACTIVATION,
    ),
    # Section 2.3.
    refusals={
        Check.NAME: (400, {"errors": ["Invalid worker name: {reason}"]}),
        Check.PROMISE: (
            500,
            {
                "golemError": {
                    "promiseId": {
                        "oplogIdx": "{oplog_idx}",
                        "workerId": {"componentId": "{component}", "workerName": "{worker_name}"},
                    },
                    "type": "PromiseNotFound",
                }
            },
        ),
        Check.WORKER: (404, {"error": "Worker not found: {worker}"}),
        Check.ACTIVATION: (
            500,
            {
                "golemError": {
                    "componentId": {"componentId": "{component}", "version": 0},
                    # Golem's text is not in the facts; this one is ours.
                    "reason": "Component not found",
                    "type": "ComponentDownloadFailed",
                }
            },
        ),
        Check.COMPRESSED_SIZE: (
            500,
            {"golemError": {"details": _MESSAGE_TOO_LARGE, "type": "Unknown"}},
        ),
    },
    errors=_errors_of_1_1,
    worker_name=worker_names.name_of_1_1,
    read_token=None,
    component_parameter="component_id",
    name_parameter="worker_name",
    checks_origin=False,
    message_limit=4_194_304,
    first_oplog_idx=3,
    usual_name="approval-17",
    has_webhooks=False,
)


def _errors_of_1_3(status: int, message: str) -> Mapping[str, Any]:
    """Section 2.4, the shapes."""
    if status == 400:
        return {"errors": [message]}
    if status >= 500:
        return {"error": message, "workerError": None}
    return {"error": message}


# Section 2.4: any failure of the project lookup collapses to this, a bad token's too.
_NO_PROJECT: Refusal = (401, {"error": "Unauthorized: Get project error"})

GOLEM_1_3 = Dialect(
    name="1.3",
    version="1.3.0",
    # Sections 1.1 and 3.1.
    checks=(
        Check.NAME,
        Check.TOKEN,
        Check.COMPONENT,
        Check.COMPRESSED_SIZE,
        Check.PROMISE,
        Check.WRITE,
        Check.WORKER,
    ),
    # Section 2.4.
    refusals={
        Check.NAME: (400, {"errors": ["Invalid worker name: {reason}"]}),
        Check.TOKEN: _NO_PROJECT,
        Check.COMPONENT: _NO_PROJECT,
        Check.COMPRESSED_SIZE: (500, {"error": _MESSAGE_TOO_LARGE, "workerError": None}),
        Check.PROMISE: (500, {"error": "Promise not found: {promise}", "workerError": None}),
        Check.WORKER: (404, {"error": "Worker not found: {worker}"}),
    },
    errors=_errors_of_1_3,
    worker_name=worker_names.name_of_1_3,
    read_token=credentials.uuid_token,
    component_parameter="param0",
    name_parameter="param1",
    checks_origin=True,
    message_limit=4_194_304,
    first_oplog_idx=4,
    usual_name='approval-agent("order-17")',
    has_webhooks=False,
)


_CODES_OF_1_5 = {
    400: "INVALID_WORKER_ID",
    401: "AUTH_UNAUTHORIZED",
    403: "AUTH_FORBIDDEN",
    404: "COMPONENT_NOT_FOUND",
    409: "CONCURRENT_UPDATE",
    422: "LIMIT_EXCEEDED",
}


def _errors_of_1_5(status: int, message: str) -> Mapping[str, Any]:
    """Section 2.5, the shapes; the codes are those of section 2.6 that fit the status."""
    code = {"code": _CODES_OF_1_5.get(status, "INTERNAL_UNKNOWN")}
    return code | dict(_errors_of_1_3(status, message))


GOLEM_1_5 = Dialect(
    name="1.5",
    version="1.5.9",
    # Sections 1.1 and 3.1.
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
    # Section 2.5; the code comes first.
    refusals={
        Check.TOKEN: (
            401,
            {"code": "AUTH_UNAUTHORIZED", "error": "Could not authenticate user using token"},
        ),
        Check.NAME: (
            400,
            {"code": "INVALID_WORKER_ID", "errors": ["Invalid worker id: {reason}"]},
        ),
        Check.COMPONENT: (404, {"code": "COMPONENT_NOT_FOUND", "error": "Component not found"}),
        Check.COMPRESSED_SIZE: (
            500,
            {
                "code": "INTERNAL_ROUTING_FAILURE",
                "error": _MESSAGE_TOO_LARGE,
                "workerError": None,
            },
        ),
        Check.SIZE: (
            413,
            {
                "code": "REQUEST_PAYLOAD_TOO_LARGE",
                "error": "gRPC message exceeded the configured size limit: Error decompressing: "
                "size limit, of {limit} bytes, exceeded while decompressing message",
            },
        ),
        Check.PROMISE: (
            500,
            {
                "code": "INTERNAL_UNKNOWN",
                "error": "Promise not found: {promise}",
                "workerError": None,
            },
        ),
        Check.WORKER: (404, {"code": "AGENT_NOT_FOUND", "error": "Worker not found: {worker}"}),
    },
    errors=_errors_of_1_5,
    worker_name=worker_names.name_of_1_5,
    read_token=credentials.opaque_token,
    component_parameter="param0",
    name_parameter="param1",
    checks_origin=True,
    message_limit=33_554_432,
    first_oplog_idx=4,
    usual_name='ApprovalAgent("order-17")',
    has_webhooks=True,
)

DIALECTS = {dialect.name: dialect for dialect in (GOLEM_1_1, GOLEM_1_3, GOLEM_1_5)}
