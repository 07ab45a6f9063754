"""What an answer, or the lack of one, means: each row of the facts about Golem."""

from __future__ import annotations

import json
from typing import NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from golem_client.errors import (
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    ComponentNotFoundError,
    ConnectionFailedError,
    ConnectionLostError,
    DeadlineExceededError,
    GolemError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    PromiseNotFoundError,
    RateLimitedError,
    ResponseError,
    ServerError,
    UnexpectedResponseError,
    WorkerNotFoundError,
)
from golem_client.ids import PromiseId
from golem_client.wire import (
    MAX_ANSWER_BYTES,
    Sent,
    Silence,
    Verdict,
    completion_request,
    read_answer,
    read_silence,
    webhook_request,
)

COMPONENT = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
TOKEN = "5c832d93-ff85-4a8f-9803-513950fdfdb1"
REQUEST = completion_request(
    "http://golem",
    PromiseId.parse(f"{COMPONENT}/w1/99"),
    b'{"approved":true}',
    {"Authorization": f"Bearer {TOKEN}"},
)

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html"


def answer(status: int, kind: str | None, body: bytes | str, **headers: str) -> Verdict:
    """Judge an answer; `Retry_After="1"` becomes the header `Retry-After`."""
    raw = body.encode() if isinstance(body, str) else body
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    found.setdefault("Content-Length", str(len(raw)))
    if kind is not None:
        found["Content-Type"] = kind
    return read_answer(REQUEST, status, CIMultiDict(found), raw)


class Meaning(NamedTuple):
    """What a table says of an answer."""

    error: type[GolemError]
    code: str | None = None
    repeat: bool = False
    stored: bool = False
    worth_retrying: bool = False
    max_repeats: int | None = None


def repeated(
    error: type[GolemError],
    code: str | None = None,
    *,
    stored: bool = True,
    max_repeats: int | None = None,
) -> Meaning:
    """Return what is to be repeated, and so worth retrying when the policy gives up on it."""
    return Meaning(error, code, True, stored, True, max_repeats)


def foreign(error: type[GolemError], code: str | None = None) -> Meaning:
    """Return what is not repeated in this call, and can succeed later once somebody mends it."""
    return Meaning(error, code, worth_retrying=True)


def meaning(verdict: Verdict) -> Meaning:
    assert verdict.error is not None
    return Meaning(
        type(verdict.error),
        getattr(verdict.error, "code", None),
        verdict.repeat,
        verdict.may_have_stored,
        verdict.error.worth_retrying,
        verdict.max_repeats,
    )


FRAMEWORK = [
    pytest.param(
        400,
        'failed to parse path `component_id`: failed to parse "string(ComponentId)": '
        "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-]",
        Meaning(BadRequestError),
        id="component-1.1",
    ),
    pytest.param(
        400,
        'failed to parse path `param0`: failed to parse "string(ComponentId)": invalid length',
        Meaning(BadRequestError),
        id="component-1.3",
    ),
    pytest.param(
        400,
        'failed to parse path `worker_name`: Type "string" expects an input value.',
        Meaning(BadRequestError),
        id="name-not-utf-8",
    ),
    pytest.param(
        415,
        "the client request does not include the `Content-Type` header",
        Meaning(BadRequestError),
        id="no-content-type",
    ),
    pytest.param(
        415,
        "the `Content-Type` requested by the client is not supported: text/plain",
        Meaning(BadRequestError),
        id="other-content-type",
    ),
    pytest.param(
        400,
        "parse request payload error: expected value at line 1 column 1",
        Meaning(BadRequestError),
        id="not-json",
    ),
    pytest.param(
        400,
        'parse request payload error: Expected input type "CompleteParameters", found null.',
        Meaning(BadRequestError),
        id="empty-body",
    ),
    pytest.param(
        400,
        'parse request payload error: Expected input type "integer(uint64)", found null. '
        '(occurred while parsing "CompleteParameters")',
        Meaning(BadRequestError),
        id="field-missing",
    ),
    pytest.param(
        400,
        'parse request payload error: failed to parse "integer(uint8)": Only integers from 0 to '
        '255 are accepted. (occurred while parsing "list_integer(uint8)") '
        '(occurred while parsing "CompleteParameters")',
        Meaning(BadRequestError),
        id="byte-256",
    ),
    pytest.param(
        400,
        'parse request payload error: Expected input type "list_integer(uint8)", found "text". '
        '(occurred while parsing "CompleteParameters")',
        Meaning(BadRequestError),
        id="data-is-text",
    ),
    pytest.param(401, "authorization error", foreign(AuthenticationError), id="token-malformed"),
    pytest.param(405, "method not allowed", Meaning(ResponseError), id="wrong-method"),
    pytest.param(404, "not found", Meaning(NotFoundError), id="unknown-path"),
    pytest.param(
        403, "request-origin not allowed", foreign(PermissionDeniedError), id="foreign-origin"
    ),
]


@pytest.mark.parametrize(("status", "body", "expected"), FRAMEWORK)
def test_the_frameworks_own_errors(status: int, body: str, expected: Meaning) -> None:
    """All versions: what the framework below Golem refuses, as a bare text."""
    assert expected == meaning(answer(status, TEXT, body))


def golem_error(kind: str, **fields: object) -> str:
    """Return the body of a 500 of 1.1 and 1.2: compact, its keys in alphabetical order."""
    inner = dict(sorted({**fields, "type": kind}.items()))
    return json.dumps({"golemError": inner}, separators=(",", ":"))


PROMISE = {
    "oplogIdx": 99,
    "workerId": {"componentId": COMPONENT, "workerName": "promise-1"},
}
TOO_LARGE = (
    "Failed to connect to pod: Operation was attempted past the valid range Error, message length "
    "too large: found 5000000 bytes, the limit is: 4194304 bytes"
)

GOLEM_1_1 = [
    pytest.param(
        400,
        '{"errors":["Invalid worker name: Worker name must be between 1 and 100 characters"]}',
        Meaning(BadRequestError),
        id="bad-name",
    ),
    pytest.param(
        500,
        '{"golemError":{"promiseId":{"oplogIdx":99,"workerId":{"componentId":'
        '"f81d4fae-7dec-11d0-a765-00a0c91e6bf6","workerName":"promise-1"}},'
        '"type":"PromiseNotFound"}}',
        Meaning(PromiseNotFoundError, "PromiseNotFound", stored=True),
        id="promise-not-found",
    ),
    pytest.param(
        404,
        f'{{"error":"Worker not found: {COMPONENT}/promise-1"}}',
        Meaning(WorkerNotFoundError, stored=True),
        id="worker-deleted",
    ),
    pytest.param(
        500,
        golem_error("Unknown", details=TOO_LARGE),
        Meaning(PayloadTooLargeError, "Unknown"),
        id="message-too-large",
    ),
    pytest.param(
        500,
        golem_error(
            "Unknown",
            details="Failed to get routing table: Shard Manager error: Invalid Request: x",
        ),
        repeated(ServerError, "Unknown"),
        id="routing-table",
    ),
    pytest.param(
        500,
        golem_error("Unknown", details="Internal error: Empty response"),
        repeated(ServerError, "Unknown"),
        id="empty-response",
    ),
    pytest.param(
        500,
        golem_error(
            "ComponentDownloadFailed",
            componentId={"componentId": COMPONENT, "version": 0},
            reason="the store is away",
        ),
        repeated(ServerError, "ComponentDownloadFailed"),
        id="component-download-failed",
    ),
    pytest.param(
        500,
        golem_error(
            "FailedToResumeWorker",
            workerId=PROMISE["workerId"],
            reason={"golemError": {"type": "PromiseNotFound"}},
        ),
        repeated(ServerError, "FailedToResumeWorker"),
        id="nested-error-is-not-the-error",
    ),
    pytest.param(
        500,
        golem_error("RuntimeError", details="Promise not found: says the worker's own code"),
        repeated(ServerError, "RuntimeError"),
        id="a-workers-own-words-on-promises",
    ),
    pytest.param(
        500,
        golem_error("RuntimeError", details=TOO_LARGE),
        repeated(ServerError, "RuntimeError"),
        id="a-workers-own-words-on-pods",
    ),
    pytest.param(
        500,
        golem_error("RuntimeError", details="upload failed: size limit of 5 MB, sorry"),
        repeated(ServerError, "RuntimeError"),
        id="a-workers-own-words-on-sizes",
    ),
    *(
        pytest.param(500, golem_error(kind), repeated(ServerError, kind), id=kind)
        for kind in (
            "InvalidRequest",
            "WorkerAlreadyExists",
            "WorkerNotFound",
            "WorkerCreationFailed",
            "ComponentParseFailed",
            "GetLatestVersionOfComponentFailed",
            "PromiseDropped",
            "PromiseAlreadyCompleted",
            "Interrupted",
            "ParamTypeMismatch",
            "NoValueInMessage",
            "ValueMismatch",
            "UnexpectedOplogEntry",
            "InvalidShardId",
            "PreviousInvocationFailed",
            "PreviousInvocationExited",
            "InvalidAccount",
            "ShardingNotReady",
            "InitialComponentFileDownloadFailed",
            "FileSystemError",
        )
    ),
]


@pytest.mark.parametrize(("status", "body", "expected"), GOLEM_1_1)
def test_the_errors_of_1_1_and_1_2(status: int, body: str, expected: Meaning) -> None:
    """`golemError`; a promise that is not found may be born completed later."""
    assert expected == meaning(answer(status, JSON, body))


GOLEM_1_3 = [
    pytest.param(
        500,
        '{"error":"Promise not found: f81d4fae-7dec-11d0-a765-00a0c91e6bf6/my-agent(\\"x\\")/99",'
        '"workerError":null}',
        Meaning(PromiseNotFoundError),
        id="promise-not-found",
    ),
    pytest.param(
        404,
        f'{{"error":"Worker not found: {COMPONENT}/w1"}}',
        Meaning(WorkerNotFoundError, stored=True),
        id="worker-deleted",
    ),
    pytest.param(
        400,
        '{"errors":["Invalid worker name: Worker name must not contain whitespaces"]}',
        Meaning(BadRequestError),
        id="bad-name-1.3",
    ),
    pytest.param(
        400,
        '{"errors":["Invalid agent id: unexpected end"]}',
        Meaning(BadRequestError),
        id="bad-name-1.4",
    ),
    pytest.param(
        401,
        '{"error":"Unauthorized: Get project error"}',
        repeated(AuthenticationError, stored=False, max_repeats=2),
        id="get-project-error-1.3",
    ),
    pytest.param(
        404,
        f'{{"error":"Couldn\'t retrieve component: {COMPONENT}. error: Component not found"}}',
        Meaning(ComponentNotFoundError),
        id="unknown-component-1.4",
    ),
    pytest.param(
        401,
        '{"error":"Could not authenticate user using token"}',
        foreign(AuthenticationError),
        id="unknown-token-1.4",
    ),
    pytest.param(
        401,
        '{"error":"Unauthorized: no such action"}',
        foreign(AuthenticationError),
        id="not-permitted-1.3",
    ),
    pytest.param(
        403, '{"error":"Forbidden: no"}', foreign(PermissionDeniedError), id="forbidden-1.3"
    ),
    pytest.param(
        403,
        '{"error":"The environment action UpdateWorker is not allowed"}',
        foreign(PermissionDeniedError),
        id="not-permitted-1.4",
    ),
    pytest.param(
        403, '{"error":"Limit exceeded: workers"}', foreign(PermissionDeniedError), id="limit"
    ),
    pytest.param(
        500,
        '{"error":"Internal error","workerError":null}',
        repeated(ServerError),
        id="backend-failing-1.4",
    ),
    pytest.param(
        404,
        '{"error":"Internal error"}',
        repeated(NotFoundError, stored=False),
        id="backend-failing-in-name-resolution-1.4",
    ),
    pytest.param(
        404,
        f'{{"error":"Couldn\'t retrieve component: {COMPONENT}. error: Internal error"}}',
        repeated(NotFoundError, stored=False),
        id="backend-failing-behind-the-component-1.4",
    ),
    pytest.param(
        500,
        '{"error":"Failed to connect to pod: Unavailable x","workerError":null}',
        repeated(ServerError),
        id="routing",
    ),
    pytest.param(
        500,
        '{"error":"Failed to get routing table: x","workerError":null}',
        repeated(ServerError),
        id="routing-table",
    ),
    pytest.param(
        500,
        f'{{"error":"{TOO_LARGE}","workerError":null}}',
        Meaning(PayloadTooLargeError),
        id="message-too-large",
    ),
    pytest.param(
        500,
        '{"error":"Promise not accepted: x","workerError":null}',
        repeated(ServerError),
        id="other-words-on-promises",
    ),
    pytest.param(
        500,
        f'{{"error":"Runtime error: {TOO_LARGE}","workerError":null}}',
        repeated(ServerError),
        id="a-workers-own-words-on-pods",
    ),
    pytest.param(
        500,
        '{"error":"Previous Invocation Failed","workerError":{"cause":"size limit","stderr":""}}',
        repeated(ServerError),
        id="previous-invocation",
    ),
]


@pytest.mark.parametrize(("status", "body", "expected"), GOLEM_1_3)
def test_the_errors_of_1_3_and_1_4(status: int, body: str, expected: Meaning) -> None:
    """`error` and `workerError`, without a code: only the English text tells."""
    assert expected == meaning(answer(status, JSON, body))


def failure(code: str, text: str = "x") -> str:
    return json.dumps({"code": code, "error": text, "workerError": None}, separators=(",", ":"))


GOLEM_1_5 = [
    pytest.param(
        500,
        '{"code":"INTERNAL_UNKNOWN","error":"Promise not found: '
        'f81d4fae-7dec-11d0-a765-00a0c91e6bf6/MyAgent(\\"x\\")/99","workerError":null}',
        Meaning(PromiseNotFoundError, "INTERNAL_UNKNOWN"),
        id="promise-not-found",
    ),
    pytest.param(
        404,
        f'{{"code":"AGENT_NOT_FOUND","error":"Worker not found: {COMPONENT}/w1"}}',
        Meaning(WorkerNotFoundError, "AGENT_NOT_FOUND", stored=True),
        id="agent-deleted",
    ),
    pytest.param(
        404,
        '{"code":"AGENT_NOT_FOUND","error":"other words"}',
        Meaning(WorkerNotFoundError, "AGENT_NOT_FOUND", stored=True),
        id="agent-deleted-in-other-words",
    ),
    pytest.param(
        404,
        '{"code":"COMPONENT_NOT_FOUND","error":"Component not found"}',
        Meaning(ComponentNotFoundError, "COMPONENT_NOT_FOUND"),
        id="unknown-component",
    ),
    pytest.param(
        404,
        f'{{"code":"COMPONENT_NOT_FOUND","error":"Component for id {COMPONENT} not found"}}',
        Meaning(ComponentNotFoundError, "COMPONENT_NOT_FOUND", stored=True),
        id="unknown-component-in-the-executor",
    ),
    pytest.param(
        400,
        '{"code":"INVALID_WORKER_ID","errors":["Invalid worker id: Agent id is too long: 600, '
        'max length: 512, agent id: x"]}',
        Meaning(BadRequestError, "INVALID_WORKER_ID"),
        id="bad-agent-id",
    ),
    pytest.param(
        401,
        '{"code":"AUTH_UNAUTHORIZED","error":"Could not authenticate user using token"}',
        foreign(AuthenticationError, "AUTH_UNAUTHORIZED"),
        id="unknown-token",
    ),
    pytest.param(
        403,
        '{"code":"AUTH_FORBIDDEN","error":"The environment action UpdateWorker is not allowed"}',
        foreign(PermissionDeniedError, "AUTH_FORBIDDEN"),
        id="not-permitted",
    ),
    pytest.param(
        403,
        '{"code":"AUTH_FORBIDDEN","error":"The permission target Agent { .. } is not allowed"}',
        foreign(PermissionDeniedError, "AUTH_FORBIDDEN"),
        id="not-permitted-head",
    ),
    pytest.param(
        413,
        '{"code":"REQUEST_PAYLOAD_TOO_LARGE","error":"gRPC message exceeded the configured size '
        "limit: Error decompressing: size limit, of 33554432 bytes, exceeded while decompressing "
        'message"}',
        Meaning(PayloadTooLargeError, "REQUEST_PAYLOAD_TOO_LARGE"),
        id="message-too-large",
    ),
    pytest.param(
        500,
        failure("INTERNAL_ROUTING_FAILURE", TOO_LARGE),
        Meaning(PayloadTooLargeError, "INTERNAL_ROUTING_FAILURE"),
        id="incompressible-message-too-large",
    ),
    pytest.param(
        500,
        failure(
            "INTERNAL_ROUTING_FAILURE",
            "Failed to connect to pod: Some resource has been exhausted Error decompressing: "
            "size limit, of 4194304 bytes, exceeded while decompressing message",
        ),
        Meaning(PayloadTooLargeError, "INTERNAL_ROUTING_FAILURE"),
        id="decompressed-message-too-large",
    ),
    pytest.param(
        500,
        failure("INTERNAL_UNKNOWN", "Internal error"),
        repeated(ServerError, "INTERNAL_UNKNOWN"),
        id="registry-failing",
    ),
    pytest.param(
        500,
        failure("INTERNAL_ROUTING_FAILURE", "Failed to connect to pod: x"),
        repeated(ServerError, "INTERNAL_ROUTING_FAILURE"),
        id="routing",
    ),
    pytest.param(
        500,
        failure("INTERNAL_AGENT_EXECUTION_FAILED", "Invocation failed: Promise not found: x"),
        repeated(ServerError, "INTERNAL_AGENT_EXECUTION_FAILED"),
        id="an-agents-own-words-on-promises",
    ),
    pytest.param(
        500,
        failure("INTERNAL_PREVIOUS_INVOCATION_FAILED", "panicked: over the size limit"),
        repeated(ServerError, "INTERNAL_PREVIOUS_INVOCATION_FAILED"),
        id="an-agents-own-words-on-sizes",
    ),
    pytest.param(
        500,
        failure("INTERNAL_INVARIANT_VIOLATION"),
        Meaning(ServerError, "INTERNAL_INVARIANT_VIOLATION", stored=True),
        id="a-bug-of-the-servers",
    ),
    pytest.param(
        410,
        '{"error":"update","code":"CLI_UPDATE_REQUIRED"}',
        Meaning(ResponseError, "CLI_UPDATE_REQUIRED"),
        id="kill-switch",
    ),
    pytest.param(
        404,
        '{"code":"ROUTE_NOT_FOUND","error":"Resolving route failed: No matching route for '
        'request"}',
        Meaning(NotFoundError, "ROUTE_NOT_FOUND"),
        id="webhook-port",
    ),
    *(
        pytest.param(404, failure(code), Meaning(NotFoundError, code), id=code)
        for prefix in (
            *("ENVIRONMENT", "RESOURCE", "ACCOUNT", "AGENT_SECRET", "AGENT_TYPE", "APPLICATION"),
            *("CARD", "DEPLOYMENT", "DOMAIN_REGISTRATION", "FILE", "PERMISSION_SHARE", "PLAN"),
            *("PLUGIN_REGISTRATION", "RESOURCE_DEFINITION", "RETRY_POLICY", "SECURITY_SCHEME"),
            *("TOKEN", "TOOL"),
        )
        for code in [f"{prefix}_NOT_FOUND"]
    ),
    *(
        pytest.param(500, failure(code), repeated(ServerError, code), id=code)
        for code in (
            "INTERNAL_UNKNOWN",
            "INTERNAL_SHARDING_NOT_READY",
            "INTERNAL_DEPENDENCY_FAILURE",
            "INTERNAL_CLIENT_ERROR",
            "INTERNAL_COMPONENT_DOWNLOAD_FAILED",
            "INTERNAL_FILESYSTEM_ERROR",
            "INTERNAL_AGENT_RESUME_FAILED",
            "INTERNAL_COMPONENT_PARSE_FAILED",
            "INTERNAL_AGENT_EXECUTION_FAILED",
            "INTERNAL_PREVIOUS_INVOCATION_FAILED",
        )
    ),
    *(
        pytest.param(status, failure(code), Meaning(error, code), id=code)
        for status, code, error in (
            (400, "VALIDATION_ERROR", BadRequestError),
            (400, "REQUEST_VALUE_PARSING_FAILED", BadRequestError),
            (409, "CONCURRENT_UPDATE", ResponseError),
            (409, "ENVIRONMENT_ALREADY_EXISTS", ResponseError),
            (415, "REQUEST_UNSUPPORTED_LANGUAGE", BadRequestError),
            (422, "LIMIT_EXCEEDED", BadRequestError),
        )
    ),
    *(
        pytest.param(403, failure(code), foreign(PermissionDeniedError, code), id=code)
        for code in ("FEATURE_DISABLED", "OIDC_TOKEN_EXCHANGE_FAILED")
    ),
]


WEBHOOK_CODE = "INTERNAL_AGENT_EXECUTION_FAILED"


def webhook_answer(status: int, body: str) -> Verdict:
    request = webhook_request("https://golem:9006/webhooks/agent/AbCdEf0123", b"{}", {})
    headers = CIMultiDict({"Content-Type": JSON, "Content-Length": str(len(body))})
    return read_answer(request, status, headers, body.encode())


class TestWebhooks:
    """The webhooks of Golem 1.5 answer in their own way."""

    def test_204_says_that_it_is_completed_and_not_by_whom(self) -> None:
        """Golem answers a duplicate likewise."""
        assert Verdict(answer=False, may_have_stored=True) == webhook_answer(204, "")

    @pytest.mark.parametrize("word", ["true", "false"])
    def test_a_200_is_not_golems(self, word: str) -> None:
        """Only the REST API answers with a boolean."""
        assert webhook_answer(200, word).answer is None

    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (404, "", Meaning(NotFoundError)),
            (
                404,
                '{"code":"ROUTE_NOT_FOUND","error":"x"}',
                Meaning(NotFoundError, "ROUTE_NOT_FOUND"),
            ),
            (404, "<html>", foreign(NotFoundError)),
            (
                500,
                failure(
                    "INTERNAL_AGENT_EXECUTION_FAILED", "Invocation failed: Promise not found: x"
                ),
                Meaning(PromiseNotFoundError, WEBHOOK_CODE),
            ),
            (
                500,
                failure(WEBHOOK_CODE, "Invocation failed: no shards"),
                repeated(ServerError, WEBHOOK_CODE),
            ),
            (503, "", repeated(ServerError)),
        ],
        ids=["forged", "route", "page", "promise", "other-500", "503"],
    )
    def test_a_refusal_is_judged_by_the_same_table(
        self, status: int, body: str, expected: Meaning
    ) -> None:
        """An id that is forged is final; something before Golem can be mended."""
        assert expected == meaning(webhook_answer(status, body))

    def test_an_error_shows_nothing_of_the_url(self) -> None:
        """Whoever knows it can complete the promise."""
        error = webhook_answer(400, '{"code":"X","errors":["bad webhooks/agent/AbCdEf0123"]}').error
        assert "AbCdEf" not in str(error)


@pytest.mark.parametrize(("status", "body", "expected"), GOLEM_1_5)
def test_the_errors_of_1_5(status: int, body: str, expected: Meaning) -> None:
    """`code` first, then `error` or `errors`."""
    assert expected == meaning(answer(status, JSON, body))


NGINX = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<h1>{0}</h1>\r\n</body>\r\n</html>"
SOZU = (
    "<style>pre { background: black }</style><pre>\n"
    '{\n  "status_code": {0},\n  "error": "Promise not found: "\n}\n</pre>'
)

IN_FRONT = [
    pytest.param(400, HTML, NGINX, foreign(BadRequestError), id="nginx-400"),
    pytest.param(404, HTML, NGINX, foreign(NotFoundError), id="nginx-404"),
    pytest.param(413, HTML, NGINX, foreign(PayloadTooLargeError), id="nginx-413"),
    pytest.param(414, HTML, NGINX, foreign(ResponseError), id="nginx-414"),
    pytest.param(429, HTML, NGINX, repeated(RateLimitedError, stored=False), id="nginx-429"),
    pytest.param(499, HTML, NGINX, foreign(ResponseError), id="nginx-499"),
    pytest.param(500, HTML, NGINX, repeated(ServerError), id="nginx-500"),
    pytest.param(502, HTML, NGINX, repeated(ServerError), id="nginx-502"),
    pytest.param(503, HTML, NGINX, repeated(ServerError), id="nginx-503"),
    pytest.param(504, HTML, NGINX, repeated(ServerError), id="nginx-504"),
    pytest.param(502, "text/html; charset=utf-8", NGINX, repeated(ServerError), id="alb-502"),
    pytest.param(464, HTML, "", foreign(ResponseError), id="alb-464"),
    pytest.param(400, None, SOZU, foreign(BadRequestError), id="sozu-400"),
    pytest.param(401, None, SOZU, foreign(AuthenticationError), id="sozu-401"),
    pytest.param(404, None, SOZU, foreign(NotFoundError), id="sozu-404"),
    pytest.param(408, None, SOZU, repeated(ResponseError), id="sozu-408"),
    pytest.param(413, None, SOZU, foreign(PayloadTooLargeError), id="sozu-413"),
    pytest.param(502, None, SOZU, repeated(ServerError), id="sozu-502"),
    pytest.param(503, None, SOZU, repeated(ServerError), id="sozu-503"),
    pytest.param(504, None, SOZU, repeated(ServerError), id="sozu-504"),
    pytest.param(507, None, SOZU, repeated(ServerError), id="sozu-507"),
    pytest.param(404, TEXT, "404 page not found", foreign(NotFoundError), id="traefik"),
    pytest.param(404, TEXT, "not found, sorry", foreign(NotFoundError), id="some-text"),
    pytest.param(
        404,
        JSON,
        '{"message":"no Route matched with those values"}',
        foreign(NotFoundError),
        id="kong",
    ),
    pytest.param(404, TEXT, "", foreign(NotFoundError), id="empty-404"),
]


@pytest.mark.parametrize(("status", "kind", "body", "expected"), IN_FRONT)
def test_the_errors_of_what_stands_in_front(
    status: int, kind: str | None, body: str, expected: Meaning
) -> None:
    """A proxy's answer is judged by its status; its words are not Golem's."""
    assert expected == meaning(answer(status, kind, body.replace("{0}", str(status))))


STATUSES = [
    *((status, UnexpectedResponseError, False, False) for status in (300, 301, 302, 303)),
    *((status, UnexpectedResponseError, False, False) for status in (304, 307, 308, 399)),
    *((status, UnexpectedResponseError, False, True) for status in (201, 202, 204, 206)),
    (226, UnexpectedResponseError, False, True),
    *((status, ResponseError, False, False) for status in (402, 405, 406, 409, 410, 411)),
    *((status, ResponseError, False, False) for status in (412, 414, 416, 418, 421, 423)),
    *((status, ResponseError, False, False) for status in (424, 426, 428, 431, 451, 499)),
    *((status, BadRequestError, False, False) for status in (400, 415, 422)),
    (401, AuthenticationError, False, False),
    (403, PermissionDeniedError, False, False),
    (404, NotFoundError, False, False),
    (408, ResponseError, True, True),
    (413, PayloadTooLargeError, False, False),
    (425, ResponseError, True, False),
    (429, RateLimitedError, True, False),
    *((status, ServerError, True, True) for status in (500, 501, 502, 503, 504, 505)),
    *((status, ServerError, True, True) for status in (507, 511, 520, 529, 599)),
    *((status, ResponseError, True, True) for status in (100, 199, 600, 999)),
]


@pytest.mark.parametrize(("status", "error", "repeat", "stored"), STATUSES)
def test_a_status_without_golems_words(
    status: int, error: type[GolemError], repeat: bool, stored: bool
) -> None:
    """Something before Golem answered: whoever mends it makes the same call succeed."""
    expected = Meaning(error, None, repeat, stored, worth_retrying=True)
    assert expected == meaning(answer(status, None, b""))


@pytest.mark.parametrize("kind", ["text/html", "text/plain"])
def test_golems_words_count_only_as_json(kind: str) -> None:
    """A page that quotes Golem is not Golem: every such 404 and 500 is a proxy's."""
    assert [] == [
        (status, body)
        for row in [*GOLEM_1_1, *GOLEM_1_3, *GOLEM_1_5]
        for status, body, _ in [cast("tuple[int, str, Meaning]", row.values)]
        if meaning(answer(status, kind, b"")) != meaning(answer(status, kind, body))
    ]


@pytest.mark.parametrize(
    "kind",
    ["application/json", "APPLICATION/JSON", " application/json ;x", "application/problem+json"],
)
def test_json_is_json_in_any_spelling(kind: str) -> None:
    """Case, parameters and a `+json` suffix make no difference."""
    body = failure("INTERNAL_UNKNOWN", "Promise not found: x")
    assert Meaning(PromiseNotFoundError, "INTERNAL_UNKNOWN") == meaning(answer(500, kind, body))


@pytest.mark.parametrize(
    "body",
    [
        '{"error":"Promise not found: x","code":"INTERNAL_UNKNOWN"}',
        '{ "code" : "INTERNAL_UNKNOWN",\n"new": {"deep": [1]}, "error" : "Promise not found: x" }',
        '\ufeff{"code":"INTERNAL_UNKNOWN","error":"Promise not found: x"}',
        '{"error":"Internal error","code":"INTERNAL_UNKNOWN","error":"Promise not found: x"}',
    ],
    ids=["other-order", "white-space-and-more-fields", "byte-order-mark", "last-duplicate-wins"],
)
def test_the_shape_of_the_json_may_vary(body: str) -> None:
    """Keys come in any order and company."""
    assert Meaning(PromiseNotFoundError, "INTERNAL_UNKNOWN") == meaning(answer(500, JSON, body))


GARBAGE = {
    "brackets": b"[" * MAX_ANSWER_BYTES,
    "braces": b'{"error":' * 7000,
    "huge-integer": b'{"error":' + b"9" * 60_000 + b"}",
    "huge-float": b'{"error":1e999999}',
    "invalid-utf-8": b'{"error":"\xff\xfe"}',
    "utf-16": '{"x":"y"}'.encode("utf-16"),
    "nul": b"\0" * 100,
    "cut": b'{"error":"Promise not f',
    "lone-surrogate": b'{"x":"\\ud800"}',
    "not-an-object": b'["Promise not found: x"]',
    "string": b'"Promise not found: x"',
    "null": b"null",
    "number": b"500",
    "golem-error-is-text": b'{"golemError":"PromiseNotFound"}',
    "golem-error-is-list": b'{"golemError":[{"type":"PromiseNotFound"}]}',
    "golem-error-is-null": b'{"golemError":null}',
    "golem-error-is-empty": b'{"golemError":{}}',
    "type-is-list": b'{"golemError":{"type":["PromiseNotFound"]}}',
    "type-is-null": b'{"golemError":{"type":null}}',
    "error-is-object": b'{"error":{"code":5,"message":"Promise not found: x"}}',
    "error-is-null": b'{"error":null}',
    "error-is-list": b'{"error":["Promise not found: x"]}',
    "errors-is-text": b'{"errors":"Promise not found: x"}',
    "errors-of-numbers": b'{"errors":[1,2]}',
    "errors-of-mixed": b'{"errors":["Promise not found: x",null]}',
    "code-only": b'{"code":"PromiseNotFound"}',
    "empty": b"",
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
def test_json_that_is_not_golems_says_nothing(body: bytes) -> None:
    """Shapes of wrong types and broken JSON are judged by their status alone."""
    bare = [meaning(answer(status, None, b"")) for status in (404, 500)]
    assert bare == [meaning(answer(status, JSON, body)) for status in (404, 500)]


@pytest.mark.parametrize(
    "code",
    ["5", "null", '["A"]', '"two words"', '"' + "A" * 61 + '"', '"A-B"', '""', '"\\u0041\\n"'],
)
def test_what_does_not_look_like_a_code_is_none(code: str) -> None:
    """Whatever else stands in its place may quote the request."""
    assert repeated(ServerError) == meaning(answer(500, JSON, f'{{"error":"x","code":{code}}}'))


def test_an_error_says_whether_it_may_have_stored_as_its_verdict_does() -> None:
    """An error raised for one attempt carries the facts of that attempt."""
    verdicts = [answer(status, JSON, b"") for status in range(201, 600)]
    assert [verdict.may_have_stored for verdict in verdicts] == [
        verdict.error is not None and verdict.error.may_have_completed for verdict in verdicts
    ]


def test_an_error_carries_its_status() -> None:
    """`status` is the answer's own."""
    error = answer(418, HTML, "short and stout").error
    assert isinstance(error, ResponseError)
    assert error.status == 418


def test_get_project_error_names_all_three_causes() -> None:
    """On 1.3 one text stands for three causes."""
    error = answer(401, JSON, '{"error":"Unauthorized: Get project error"}').error
    assert (
        "Unauthorized: Get project error; the token is bad, or the component is unknown, or a "
        "backend of Golem's is down: Golem 1.3 says the same of all three"
    ) == (error and error.message)


class TestSuccess:
    """Only `true` and `false` count."""

    @pytest.mark.parametrize(
        "kind", [JSON, "text/html", "text/plain", "application/octet-stream", None]
    )
    @pytest.mark.parametrize("body", [b"true", b" true", b"true\n", b"\r\n\t true \r\n\t"])
    def test_true_means_that_this_payload_is_stored(self, kind: str | None, body: bytes) -> None:
        """Whatever the content type, and with white space around."""
        assert Verdict(answer=True, may_have_stored=True) == answer(200, kind, body)

    @pytest.mark.parametrize(("seconds", "stored"), [(0.0, False), (0.99, False), (1.0, True)])
    def test_a_false_that_took_a_second_may_be_our_own(self, seconds: float, stored: bool) -> None:
        """Golem repeats a request inside; the first of the two may have stored."""
        verdict = read_answer(REQUEST, 200, CIMultiDict(), b"false", seconds=seconds)
        assert Verdict(answer=False, may_have_stored=stored) == verdict

    @pytest.mark.parametrize("kind", [JSON, "text/html", None])
    @pytest.mark.parametrize("body", [b"false", b" false\n"])
    def test_false_means_that_a_payload_was_stored_before(
        self, kind: str | None, body: bytes
    ) -> None:
        """And that this attempt stored nothing."""
        assert Verdict(answer=False, may_have_stored=False) == answer(200, kind, body)

    @pytest.mark.parametrize(
        "body",
        [
            *(b"TRUE", b"True", b"1", b"0", b'"true"', b"[true]", b"null", b"{}", b""),
            *(b"truefalse", b"true true", b"true,", b"true\0", b"falsey", b"\xef\xbb\xbftrue"),
            *(b"tru", b"fals", b"t", b"\xc2\xa0true", b"\x0btrue", b"<html></html>"),
            "true".encode("utf-16"),
            b"true" * 16384,
            b"true" + b" " * (MAX_ANSWER_BYTES - 4),
        ],
    )
    def test_nothing_else_is_an_answer(self, body: bytes) -> None:
        """A complete 200 that is no boolean is not Golem's, and may have stored."""
        expected = Meaning(UnexpectedResponseError, stored=True, worth_retrying=True)
        assert expected == meaning(answer(200, JSON, body))

    @pytest.mark.parametrize("status", [201, 202, 203, 204, 206, 299])
    @pytest.mark.parametrize("body", [b"true", b"false", b""])
    def test_no_other_status_is_an_answer(self, status: int, body: bytes) -> None:
        """Golem answers with 200; a `true` with another status is somebody else's."""
        expected = Meaning(UnexpectedResponseError, stored=True, worth_retrying=True)
        assert expected == meaning(answer(status, JSON, body))

    @pytest.mark.parametrize("status", [301, 302, 400, 404, 503])
    def test_a_true_with_an_error_status_is_an_error(self, status: int) -> None:
        """The status decides first."""
        assert answer(status, JSON, b"true").answer is None

    @pytest.mark.parametrize("body", [b"", b" ", b"t", b"tru", b"f", b"fals", b"\nfal"])
    def test_a_word_that_the_connection_cut_is_no_answer(self, body: bytes) -> None:
        """A body at no known length that ends within a word was cut: repeat it."""
        verdict = read_answer(REQUEST, 200, CIMultiDict({"Content-Type": JSON}), body)
        assert repeated(ConnectionLostError) == meaning(verdict)

    @pytest.mark.parametrize("word", [b"true", b"false"])
    def test_a_whole_word_at_no_known_length_is_an_answer(self, word: bytes) -> None:
        """HTTP/1.0 ends a body with the connection."""
        verdict = read_answer(REQUEST, 200, CIMultiDict(), word)
        assert (word == b"true") is verdict.answer

    @pytest.mark.parametrize("body", [b"x", b"trux", b"truetrue", b"[", b"{}"])
    def test_other_words_at_no_known_length_are_not_golems(self, body: bytes) -> None:
        """Only the beginning of `true` or `false` can have been cut."""
        verdict = read_answer(REQUEST, 200, CIMultiDict(), body)
        assert Meaning(UnexpectedResponseError, stored=True, worth_retrying=True) == meaning(
            verdict
        )

    def test_a_cut_word_with_transfer_encoding_is_complete(self) -> None:
        """aiohttp itself reports a chunked body that broke off."""
        headers = CIMultiDict({"Transfer-Encoding": "chunked"})
        verdict = read_answer(REQUEST, 200, headers, b"tru")
        assert Meaning(UnexpectedResponseError, stored=True, worth_retrying=True) == meaning(
            verdict
        )


DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 302, 404])
def test_retry_after_counts_with_any_status(status: int) -> None:
    """The floor of the next delay comes from whatever answer names one."""
    assert answer(status, HTML, "", Retry_After="3").retry_after == 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("0", 0.0, id="zero"),
        pytest.param("1", 1.0, id="one"),
        pytest.param(" 120\t", 120.0, id="spaces"),
        pytest.param("007", 7.0, id="leading-zeros"),
        pytest.param("9" * 300, float("9" * 300), id="300-digits"),
        pytest.param("9" * 309, None, id="over-the-largest-double"),
        pytest.param("9" * 5000, None, id="5000-digits"),
        pytest.param("", None, id="empty"),
        pytest.param("-1", None, id="negative"),
        pytest.param("+1", None, id="plus"),
        pytest.param("1.5", 1.5, id="decimal"),
        pytest.param("1,5", None, id="comma"),
        pytest.param("1, 2", None, id="two-values"),
        pytest.param("1e3", None, id="exponent"),
        pytest.param("1_0", None, id="underscore"),
        pytest.param("0x10", None, id="hexadecimal"),
        pytest.param("inf", None, id="infinity"),
        pytest.param("nan", None, id="nan"),
        pytest.param("١٢", None, id="arabic-digits"),
        pytest.param("²", None, id="superscript"),
        pytest.param("soon", None, id="word"),
        pytest.param("3 seconds", None, id="unit"),
        pytest.param("\udc80", None, id="not-utf-8"),
        pytest.param("Sun, 06 Nov 1994 08:49:40 GMT", 3.0, id="date"),
        pytest.param("Sunday, 06-Nov-94 08:49:40 GMT", 3.0, id="rfc-850-date"),
        pytest.param("Sun, 06 Nov 1994 09:49:37 +0100", 0.0, id="other-zone"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 EST", 18000.0, id="named-zone"),
        pytest.param("Sun, 06 Nov 1994 08:49:30 GMT", 0.0, id="past-date"),
        pytest.param("Sun, 06 Nov 1994 08:49:40 -0000", 3.0, id="naive-date"),
        pytest.param("Sun Nov  6 08:49:40 1994", 3.0, id="asctime"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 GMT", 252618189022.0, id="far-date"),
        pytest.param("Fri, 31 Dec 99999 23:59:59 GMT", None, id="year-99999"),
        pytest.param("Mon, 31 Feb 1994 08:49:37 GMT", None, id="no-such-day"),
        pytest.param("Sun, 06 Nov 1994 25:00:00 GMT", None, id="no-such-hour"),
        pytest.param("Sun, 06 Nov 1994 08:49:40 +99999", None, id="zone-of-weeks"),
        pytest.param(f"Sun, 06 Nov 1994 08:49:40 +{'9' * 20}", None, id="zone-overflow"),
        pytest.param(f"Sun, {'9' * 5000} Nov 1994 08:49:40 GMT", None, id="day-of-5000-digits"),
        pytest.param("1994-11-06T08:49:40Z", None, id="iso-date"),
    ],
)
def test_retry_after(value: str, expected: float | None) -> None:
    """Seconds, or a date relative to the answer's own; what cannot be read is ignored."""
    assert expected == answer(503, HTML, "", Retry_After=value, Date=DATE).retry_after


NOW = 784111777.0 - 5  # five seconds before DATE


@pytest.mark.parametrize("date", ["", " ", "yesterday", "0"])
def test_a_retry_after_date_without_a_date_counts_from_our_clock(date: str) -> None:
    """RFC 9110 lets a server without a clock leave `Date` out."""
    headers = CIMultiDict({"Retry-After": DATE, "Date": date})
    assert read_answer(REQUEST, 503, headers, b"", now=NOW).retry_after == 5


def test_a_retry_after_date_with_no_clock_at_all_is_ignored() -> None:
    """There is nothing to compare it with."""
    assert answer(503, HTML, "", Retry_After=DATE).retry_after is None


def test_no_retry_after_is_none() -> None:
    """Where the server asks for no wait, there is no floor."""
    assert answer(503, HTML, "").retry_after is None


def test_a_rate_limit_error_carries_retry_after() -> None:
    """`retry_after` is the caller's to see, too."""
    error = answer(429, HTML, "", Retry_After="7").error
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == 7


date_words = st.sampled_from(
    ["Sun,", "06", "Nov", "1994", "08:49:37", "GMT", "-0000", "+9999", ",", ":", "-", "99999", "x"]
)
headers = st.dictionaries(
    st.sampled_from(["Content-Type", "Retry-After", "Date", "Location", "Content-Length", "X"]),
    st.text(max_size=40)
    | st.lists(date_words, max_size=8).map(" ".join)
    | st.sampled_from([JSON, TEXT, HTML, DATE, "1", "http://h:1/x"]),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["PromiseNotFound", "Promise not found: x", "Internal error", "found x"])
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["golemError", "error", "errors", "code", "type", "details", "reason"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
bodies = (
    st.binary(max_size=200)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.sampled_from([b"true", b"false", b"tru", b"not found"])
)


@given(st.integers(100, 999), headers, bodies)
def test_any_answer_is_judged(status: int, found: dict[str, str], body: bytes) -> None:
    """Whatever comes is an answer or an error, never both and never an exception."""
    verdict = read_answer(REQUEST, status, CIMultiDict(found), body)
    assert (verdict.answer is None) is isinstance(verdict.error, GolemError)


@given(st.integers(100, 999), headers, bodies)
def test_only_a_200_is_an_answer(status: int, found: dict[str, str], body: bytes) -> None:
    """Nothing that a server says with another status completes a promise."""
    verdict = read_answer(REQUEST, status, CIMultiDict(found), body)
    assert verdict.answer is None or (
        status == 200 and body.strip() == (b"true" if verdict.answer else b"false")
    )


@given(st.integers(100, 999), headers, bodies)
def test_what_is_repeated_is_worth_retrying(
    status: int, found: dict[str, str], body: bytes
) -> None:
    """An error that the policy gives up on says that a later call can succeed."""
    verdict = read_answer(REQUEST, status, CIMultiDict(found), body)
    assert verdict.error is None or verdict.error.worth_retrying >= verdict.repeat


@given(headers)
def test_a_retry_after_is_none_or_a_finite_time(found: dict[str, str]) -> None:
    """No header makes a wait that is negative, infinite or not a number."""
    seconds = read_answer(REQUEST, 503, CIMultiDict(found), b"").retry_after
    assert seconds is None or 0 <= seconds < float("inf")


@pytest.mark.parametrize(
    ("silence", "sent", "error", "repeat"),
    [
        (Silence.BROKEN, Sent.NOTHING, ConnectionFailedError, True),
        (Silence.BROKEN, Sent.PART, ConnectionLostError, True),
        (Silence.BROKEN, Sent.ALL, ConnectionLostError, True),
        (Silence.UNREACHABLE, Sent.NOTHING, ConnectionFailedError, False),
        (Silence.ATTEMPT_TIMEOUT, Sent.NOTHING, ConnectionFailedError, True),
        (Silence.ATTEMPT_TIMEOUT, Sent.PART, AttemptTimeoutError, True),
        (Silence.ATTEMPT_TIMEOUT, Sent.ALL, AttemptTimeoutError, True),
        (Silence.DEADLINE, Sent.NOTHING, DeadlineExceededError, False),
        (Silence.DEADLINE, Sent.ALL, DeadlineExceededError, False),
        (Silence.CLOSED, Sent.NOTHING, ConnectionFailedError, False),
        (Silence.CLOSED, Sent.ALL, ConnectionLostError, False),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_an_attempt_without_an_answer(
    silence: Silence, sent: Sent, error: type[GolemError], repeat: bool
) -> None:
    """It may have stored if, and only if, the last byte of the body was sent."""
    verdict = read_silence(silence, "the reason", sent=sent)
    stored = sent is Sent.ALL
    assert Meaning(error, None, repeat, stored, worth_retrying=True) == meaning(verdict)
    assert verdict.error is not None
    assert stored is verdict.error.may_have_completed


@pytest.mark.parametrize("stale", [True, False])
def test_only_a_stale_connection_is_repeated_at_once(stale: bool) -> None:
    """The server had most likely closed it: the wait would be for nothing."""
    assert stale is read_silence(Silence.BROKEN, "x", sent=Sent.ALL, stale=stale).at_once


def test_a_silence_is_told_in_the_given_words() -> None:
    """The reason is the error's message."""
    error = read_silence(Silence.BROKEN, "the reason", sent=Sent.ALL).error
    assert (error and error.message) == "the reason"
