"""Judge an attempt, whatever it ended with.

`read_answer` and `read_silence` say of one attempt: is the promise completed, is it useful to
repeat, and may the payload have been stored. "Permanent" and "cannot have stored" are allow-lists:
each row has a fact about Golem behind it, and what no row covers is repeated and may have stored.
"""

from __future__ import annotations

import enum
import math
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import attrs

from golem_client.errors import (
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    ComponentNotFoundError,
    ConnectionFailedError,
    ConnectionLostError,
    DeadlineExceededError,
    DeliveryError,
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
from golem_client.wire.error_body import MAX_ANSWER_BYTES, Said, read_error
from golem_client.wire.words import describe, is_free_of_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from golem_client.wire.request import Request


@attrs.frozen
class Verdict:
    """What one attempt means.

    Attributes:
        answer: Golem's word: it stored this payload, or one was stored before; None without one.
        error: What to raise if this attempt is the last; None where there is an answer.
        repeat: Whether it is useful to send the same request again.
        may_have_stored: Whether this attempt can have stored the payload.
        at_once: The repeat needs no wait and does not count against the policy.
        retry_after: The seconds that the server asks to wait.
        max_repeats: How often an attempt that ends so is repeated in one call; None: no limit.
        attempted: Whether the attempt counts as a request: false where it waited for its turn.
    """

    answer: bool | None = None
    error: GolemError | None = None
    repeat: bool = False
    may_have_stored: bool = False
    at_once: bool = False
    retry_after: float | None = None
    max_repeats: int | None = None
    attempted: bool = True


STORED = Verdict(answer=True, may_have_stored=True)
STORED_BEFORE = Verdict(answer=False)


class Silence(enum.Enum):
    """Why there is no complete answer."""

    BROKEN = "the connection failed"
    ATTEMPT_TIMEOUT = "attempt_timeout was up"
    DEADLINE = "the whole timeout was up"
    CLOSED = "the client was closed, or the connector it borrows, while this call was under way"


def read_silence(
    silence: Silence, reason: str, *, sent: bool, stale: bool = False, attempted: bool = True
) -> Verdict:
    """Judge an attempt without a complete answer.

    Args:
        silence: Why there is none.
        reason: The same in words, for people.
        sent: Whether the first byte of the body was written: only then it can have stored.
        stale: Whether the connection was a kept-alive one that ended before any byte of an
            answer: the server had most likely closed it.
        attempted: Whether the attempt had begun.
    """
    error: DeliveryError
    if silence is Silence.DEADLINE:
        error = DeadlineExceededError(reason)
    elif not sent:
        error = ConnectionFailedError(reason)
    elif silence is Silence.ATTEMPT_TIMEOUT:
        error = AttemptTimeoutError(reason)
    else:
        error = ConnectionLostError(reason)
    return Verdict(
        error=error,
        repeat=silence in (Silence.BROKEN, Silence.ATTEMPT_TIMEOUT),
        may_have_stored=sent,
        at_once=stale,
        attempted=attempted,
    )


@attrs.frozen
class _Row:
    """One row of the table: when it holds, what it means."""

    when: Callable[[int, Said], bool]
    error: type[ResponseError]
    repeat: bool = False
    may_have_stored: bool = False
    worth_retrying: bool | None = None
    max_repeats: int | None = None


# The same words further on can be a worker's own, of after the write.
_SIZE_LIMIT = re.compile(
    r"(?:Unknown: )?"  # the type that 1.1 and 1.2 give it
    r"(?:Failed to connect to pod: |Operation was attempted past |gRPC message exceeded )"
    r".*(?:message length too large|size limit)",
    re.DOTALL,
)


def _is_size_limit(said: Said) -> bool:
    return _SIZE_LIMIT.match(said.text) is not None


def _status(*statuses: int) -> Callable[[int, Said], bool]:
    return lambda status, _: status in statuses


# The first row that holds decides. Each is a fact about Golem, with the versions it was read from.
_ROWS = (
    # 1.1, 1.2: the payload is stored before the promise is looked for.
    _Row(
        lambda status, said: (
            status == 500 and said.dialect == "golemError" and said.code == "PromiseNotFound"
        ),
        PromiseNotFoundError,
        may_have_stored=True,
    ),
    # 1.3 and later: only the English text tells; its code is shared with dozens of failures.
    _Row(
        lambda status, said: status == 500 and said.starts("Promise not found: "),
        PromiseNotFoundError,
    ),
    # All versions: gRPC refuses the message before the executor sees it.
    _Row(
        lambda status, said: status == 500 and _is_size_limit(said),
        PayloadTooLargeError,
    ),
    # 1.5: a bug of the server's that the same request meets again.
    _Row(
        lambda status, said: status == 500 and said.code == "INTERNAL_INVARIANT_VIOLATION",
        ServerError,
        may_have_stored=True,
        worth_retrying=False,
    ),
    # All versions: the executor stores, and only then looks for the worker.
    _Row(
        lambda status, said: (
            status == 404 and (said.starts("Worker not found: ") or said.code == "AGENT_NOT_FOUND")
        ),
        WorkerNotFoundError,
        may_have_stored=True,
    ),
    # 1.3 and later: the executor's own look-up, after it has stored.
    _Row(
        lambda status, said: status == 404 and said.starts("Component for id "),
        ComponentNotFoundError,
        may_have_stored=True,
    ),
    # 1.4: a backend that is down, during name resolution.
    _Row(
        lambda status, said: status == 404 and said.text.endswith("Internal error"),
        NotFoundError,
        repeat=True,
    ),
    _Row(
        lambda status, said: (
            status == 404
            and (
                said.code == "COMPONENT_NOT_FOUND"
                or said.starts("Component not found", "Couldn't retrieve component: ")
            )
        ),
        ComponentNotFoundError,
    ),
    _Row(
        lambda status, said: status == 404 and (said.code or "").endswith("_NOT_FOUND"),
        NotFoundError,
    ),
    # All versions: the framework below Golem knows no such path, and will not.
    _Row(
        lambda status, said: status == 404 and said.dialect == "text" and said.text == "not found",
        NotFoundError,
    ),
    # Not Golem's: a proxy in mid-rollout. Permanent for the call, not for good.
    _Row(_status(404), NotFoundError, worth_retrying=True),
    # 1.3: a backend that is down, or an unknown component, or a bad token.
    _Row(
        lambda status, said: status == 401 and said.starts("Unauthorized: Get project error"),
        AuthenticationError,
        repeat=True,
        max_repeats=2,
    ),
    _Row(_status(401), AuthenticationError),
    _Row(_status(403), PermissionDeniedError),
    _Row(_status(400, 415, 422), BadRequestError),
    _Row(_status(413), PayloadTooLargeError),
    _Row(_status(408), ResponseError, repeat=True, may_have_stored=True),
    _Row(_status(425), ResponseError, repeat=True),
    _Row(_status(429), RateLimitedError, repeat=True),
    _Row(lambda status, _: 400 <= status < 500, ResponseError),
    _Row(lambda status, _: 300 <= status < 400, UnexpectedResponseError),
    _Row(lambda status, _: 200 <= status < 300, UnexpectedResponseError, may_have_stored=True),
    _Row(lambda status, _: 500 <= status < 600, ServerError, repeat=True, may_have_stored=True),
    _Row(lambda _status, _said: True, ResponseError, repeat=True, may_have_stored=True),
)

_GET_PROJECT_ERROR = (
    "the token is bad, or the component is unknown, or a backend of Golem's is down: "
    "Golem 1.3 says the same of all three"
)


def read_answer(
    request: Request, token: str | None, status: int, headers: Mapping[str, str], body: bytes
) -> Verdict:
    """Judge a complete answer.

    Args:
        request: What was sent, so that no part of its payload is quoted.
        token: The token that was sent with it, for the same reason.
        status: The HTTP status.
        headers: The answer's headers; look-ups must not mind the case.
        body: At most `MAX_ANSWER_BYTES` of the body.
    """
    if status == 200 and len(body) < MAX_ANSWER_BYTES:
        word = body.strip(b" \t\r\n")
        if word == b"true":
            return STORED
        if word == b"false":
            return STORED_BEFORE
        if _is_cut_short(word, headers):
            reason = "the answer ended in the middle of a word"
            return read_silence(Silence.BROKEN, reason, sent=True)
    said = read_error(headers.get("Content-Type", ""), body)
    row = next(row for row in _ROWS if row.when(status, said))
    retry_after = _retry_after(headers)
    text = describe(request, token, status, headers, said, body)
    if row.max_repeats is not None:
        text = f"{text}; {_GET_PROJECT_ERROR}"
    error: ResponseError
    code = said.code if is_free_of_secrets(said.code or "", request, token) else None
    if row.error is RateLimitedError:
        error = RateLimitedError(text, status, code, retry_after)
    else:
        error = row.error(text, status, code)
    error.worth_retrying = row.repeat if row.worth_retrying is None else row.worth_retrying
    error.may_have_completed = row.may_have_stored
    return Verdict(
        error=error,
        repeat=row.repeat,
        may_have_stored=row.may_have_stored,
        retry_after=retry_after,
        max_repeats=row.max_repeats,
    )


def _is_cut_short(word: bytes, headers: Mapping[str, str]) -> bool:
    """Whether a body that ends with the connection, so at no known length, ended too early."""
    known = "Content-Length" in headers or "Transfer-Encoding" in headers
    return not known and (b"true".startswith(word) or b"false".startswith(word))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After`: seconds, or an HTTP date relative to the answer's own `Date`.

    The difference of the server's two dates needs no clock of ours to be right. What cannot be
    read is ignored.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        seconds = float(value)
        return seconds if math.isfinite(seconds) else None
    try:
        until = parsedate_to_datetime(value)
        now = parsedate_to_datetime(headers.get("Date", ""))
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None
