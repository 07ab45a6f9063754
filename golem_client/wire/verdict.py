"""Judge an attempt, whatever it ended with.

`read_answer` and `read_silence` say of one attempt: is the promise completed, is it useful to
repeat, and may the payload have been stored. "Permanent" and "cannot have stored" are allow-lists:
each row has a fact about Golem behind it, and what no row covers is repeated and may have stored.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

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
from golem_client.wire.error_body import MAX_ANSWER_BYTES, Said, as_of_a_webhook, read_error
from golem_client.wire.request import Request
from golem_client.wire.words import describe, is_free_of_secrets

ECHO_SECONDS = 1.0
"""A `false` that took this long may be Golem's own repetition of our request.

Golem's worker service repeats a request inside when an executor fails. Observed on a Golem 1.2.0
under `kill -9`: every such echo of a first attempt took 1.3 seconds or more.
"""


@attrs.frozen
class Verdict:
    """What one attempt means.

    Attributes:
        answer: Golem's answer: True, it stored this payload; False, one was stored before; None,
            there was no such answer.
        error: What to raise if this attempt is the last; None where there is an answer.
        repeat: Whether it is useful to send the same request again.
        may_have_stored: Whether this attempt may have stored the payload.
        at_once: The repeat needs no wait and does not count against the policy.
        retry_after: The seconds that the server asks to wait.
        max_repeats: How often an attempt that ends so is repeated in one call; None: no limit.
    """

    answer: bool | None = None
    error: GolemError | None = None
    repeat: bool = False
    may_have_stored: bool = False
    at_once: bool = False
    retry_after: float | None = None
    max_repeats: int | None = None


STORED = Verdict(answer=True, may_have_stored=True)
STORED_BEFORE = Verdict(answer=False)
STORED_BEFORE_OR_ECHO = Verdict(answer=False, may_have_stored=True)

# How far a request got decides what a missing answer means. Four words are used for it:
#   sent          The last byte of the body was handed to the socket. Golem may have stored the
#                 payload, whatever happens afterwards: it does not notice that a client leaves.
#   half-written  The body began and its last byte was never handed over. What arrived is not
#                 JSON, so nothing can be stored.
#   stale         A kept-alive connection ended before any byte of an answer. Most likely the
#                 server had closed it before our request arrived: repeat at once, on a fresh one.
#   unasked       An answer came before the body was written. It belongs to an earlier request of
#                 the same connection, so it says nothing about this one.


class Sent(enum.Enum):
    """How much of the request's body was handed to the socket."""

    NOTHING = "nothing"
    PART = "a part"
    ALL = "all"


class Silence(enum.Enum):
    """Why there is no complete answer."""

    BROKEN = "the connection failed"
    UNREACHABLE = "there is no such server"
    ATTEMPT_TIMEOUT = "attempt_timeout was up"
    DEADLINE = "the whole timeout was up"
    CLOSED = "the client was closed, or the connector it borrows, while this call was under way"


def read_silence(silence: Silence, reason: str, *, sent: Sent, stale: bool = False) -> Verdict:
    """Judge an attempt without a complete answer.

    Args:
        silence: Why there is none.
        reason: The same in words, for people.
        sent: How much of the request was sent: only a whole one can have stored the payload.
        stale: Whether the connection was a kept-alive one that ended before any byte of an
            answer.
    """
    error: DeliveryError
    if silence is Silence.DEADLINE:
        error = DeadlineExceededError(reason)
    elif sent is Sent.NOTHING:
        error = ConnectionFailedError(reason)
    elif silence is Silence.ATTEMPT_TIMEOUT:
        error = AttemptTimeoutError(reason)
    else:
        error = ConnectionLostError(reason)
    error.may_have_completed = sent is Sent.ALL
    return Verdict(
        error=error,
        repeat=silence in (Silence.BROKEN, Silence.ATTEMPT_TIMEOUT),
        may_have_stored=sent is Sent.ALL,
        at_once=stale,
    )


@attrs.frozen
class _Row:
    """One row of the table: for which answers it holds, and what they mean.

    Attributes:
        code: The code that the answer has; None for any.
        text: What its text matches from the start; None for any. A worker's own error, raised
            after the write, may contain the same words further on.
    """

    error: type[ResponseError]
    statuses: Container[int]
    code: str | None = None
    text: str | None = None
    repeat: bool = False
    may_have_stored: bool = False
    worth_retrying: bool | None = None
    max_repeats: int | None = None

    def holds(self, status: int, said: Said) -> bool:
        return (
            status in self.statuses
            and self.code in (None, said.code)
            and (self.text is None or re.match(self.text, said.text, re.DOTALL) is not None)
        )


_SIZE_LIMIT = (
    r"(?:Unknown: )?"  # the type that 1.1 and 1.2 give it
    r"(?:Failed to connect to pod: |Operation was attempted past |gRPC message exceeded )"
    r".*(?:message length too large|size limit)"
)
_NO_COMPONENT = r"Component not found|Couldn't retrieve component: "

# The first row that holds decides. Each is a fact about Golem, with the versions it was read from.
_ROWS = (
    # 1.1, 1.2: the payload is stored before the promise is looked for.
    _Row(PromiseNotFoundError, {500}, code="PromiseNotFound", may_have_stored=True),
    # 1.3 and later: recognised by its English text, because dozens of failures share its code.
    _Row(PromiseNotFoundError, {500}, text="Promise not found: "),
    # All versions: gRPC refuses the message before the executor sees it.
    _Row(PayloadTooLargeError, {500}, text=_SIZE_LIMIT),
    # 1.5: a bug of the server's that the same request meets again.
    _Row(
        ServerError,
        {500},
        code="INTERNAL_INVARIANT_VIOLATION",
        may_have_stored=True,
        worth_retrying=False,
    ),
    # All versions: the executor stores, and only then looks for the worker.
    _Row(WorkerNotFoundError, {404}, text="Worker not found: ", may_have_stored=True),
    _Row(WorkerNotFoundError, {404}, code="AGENT_NOT_FOUND", may_have_stored=True),
    # 1.3 and later: the executor's own look-up, after it has stored.
    _Row(ComponentNotFoundError, {404}, text="Component for id ", may_have_stored=True),
    # 1.4: a backend that is down, during name resolution.
    _Row(NotFoundError, {404}, text=r".*Internal error\Z", repeat=True),
    _Row(ComponentNotFoundError, {404}, code="COMPONENT_NOT_FOUND"),
    _Row(ComponentNotFoundError, {404}, text=_NO_COMPONENT),
    _Row(NotFoundError, {404}),
    # 1.3: a backend that is down, or an unknown component, or a bad token.
    _Row(
        AuthenticationError,
        {401},
        text="Unauthorized: Get project error",
        repeat=True,
        max_repeats=2,
    ),
    # A mended token or grant lets the same call through.
    _Row(AuthenticationError, {401}, worth_retrying=True),
    _Row(PermissionDeniedError, {403}, worth_retrying=True),
    _Row(BadRequestError, {400, 415, 422}),
    _Row(PayloadTooLargeError, {413}),
    _Row(ResponseError, {408}, repeat=True, may_have_stored=True),
    _Row(ResponseError, {425}, repeat=True),
    _Row(RateLimitedError, {429}, repeat=True),
    _Row(ResponseError, range(400, 500)),
    _Row(UnexpectedResponseError, range(300, 400)),
    _Row(UnexpectedResponseError, range(200, 300), may_have_stored=True),
    _Row(ServerError, range(500, 600), repeat=True, may_have_stored=True),
    _Row(ResponseError, range(1000), repeat=True, may_have_stored=True),
)

_GET_PROJECT_ERROR = (
    "the token is bad, or the component is unknown, or a backend of Golem's is down: "
    "Golem 1.3 says the same of all three"
)


def read_answer(
    request: Request,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    seconds: float = 0.0,
    now: float | None = None,
) -> Verdict:
    """Judge a complete answer.

    Args:
        request: What was sent, so that nothing secret of it is quoted.
        status: The HTTP status.
        headers: The answer's headers; look-ups must ignore the case.
        body: At most `MAX_ANSWER_BYTES` of the body.
        seconds: The time from the last byte of the request to the first of the answer.
        now: Our clock, in seconds since 1970, for a `Retry-After` date in an answer without
            `Date`; None ignores such a date.
    """
    verdict = _read_success(request, status, headers, body, seconds)
    return verdict or _read_refusal(request, status, headers, body, now)


def _read_success(
    request: Request, status: int, headers: Mapping[str, str], body: bytes, seconds: float
) -> Verdict | None:
    """Judge an answer that says that the promise is completed; None where it does not."""
    if request.is_webhook:
        # Golem hides whether the payload was stored before.
        return STORED_BEFORE_OR_ECHO if status == 204 else None
    if status != 200 or len(body) >= MAX_ANSWER_BYTES:
        return None
    word = body.strip(b" \t\r\n")
    if word == b"true":
        return STORED
    if word == b"false":
        return STORED_BEFORE if seconds < ECHO_SECONDS else STORED_BEFORE_OR_ECHO
    if _is_cut_short(word, headers):
        reason = "the answer ended in the middle of a word"
        return read_silence(Silence.BROKEN, reason, sent=Sent.ALL)
    return None


def _read_refusal(
    request: Request, status: int, headers: Mapping[str, str], body: bytes, now: float | None
) -> Verdict:
    """Judge every other answer, by the table above."""
    said = read_error(headers.get("Content-Type", ""), body)
    if request.is_webhook:
        said = as_of_a_webhook(status, body, said)
    row = next(row for row in _ROWS if row.holds(status, said))
    retry_after = _retry_after(headers, now)
    text = describe(request, status, headers, said, body)
    code = said.code if is_free_of_secrets(said.code or "", request) else None
    error = row.error(text, status, code)
    if isinstance(error, RateLimitedError):
        error = RateLimitedError(text, status, code, retry_after)
    if isinstance(error, AuthenticationError) and row.max_repeats is not None:
        error = AuthenticationError(f"{text}; {_GET_PROJECT_ERROR}", status, code)
        error.is_certain = False
    error.may_have_completed = row.may_have_stored
    error.from_golem = bool(said.dialect)
    error.worth_retrying = row.repeat or not error.from_golem  # people can mend a proxy
    if row.worth_retrying is not None:
        error.worth_retrying = row.worth_retrying
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


_SECONDS = re.compile(r"[0-9]{1,300}(?:\.[0-9]{1,300})?")


def _retry_after(headers: Mapping[str, str], now: float | None) -> float | None:
    """Read `Retry-After`: seconds, or one of the three date formats of RFC 9110.

    A date counts from the answer's own `Date`, so that the two clocks need not agree. What cannot
    be read is ignored.
    """
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _date(value)
    sent_at = _date(headers.get("Date", ""))
    if until is None:
        return None
    if sent_at is not None:
        return max((until - sent_at).total_seconds(), 0.0)
    return None if now is None else max(until.timestamp() - now, 0.0)


def _date(value: str) -> datetime | None:
    """Read an HTTP date; one without a zone is in UTC, as RFC 9110 says."""
    try:
        date = parsedate_to_datetime(value)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        date.timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return date
