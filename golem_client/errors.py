"""Every exception of this package.

The branches say who spoke. Each class says what is known and what to do::

    GolemError
    ├── InvalidIdError (ValueError)             us: not an id
    ├── PayloadError (ValueError)               us: cannot be encoded, or too large
    ├── DuplicateItemError                      bulk: the id is under way already
    ├── BulkStoppedError                        bulk: every further item would fail, too
    ├── OutboxError                             outbox: its database cannot be used
    ├── BadLinkError (ValueError)               links: forged, foreign, or not a token
    │   └── ExpiredLinkError                    links: genuine, and too old
    ├── DeliveryError                           nobody answered
    │   ├── ConnectionFailedError               never sent
    │   ├── ConnectionLostError                 sent, no complete answer
    │   ├── AttemptTimeoutError                 no answer within attempt_timeout
    │   └── DeadlineExceededError (TimeoutError)  the whole time was up
    └── ResponseError                           the server answered
        ├── BadRequestError                     400, 415, 422
        ├── AuthenticationError                 401
        ├── PermissionDeniedError               403
        ├── NotFoundError                       404
        │   ├── PromiseNotFoundError            500 in disguise
        │   ├── WorkerNotFoundError             the payload may have been stored
        │   └── ComponentNotFoundError
        ├── PayloadTooLargeError                413, and the 500s that mean it
        ├── RateLimitedError                    429
        ├── ServerError                         other 5xx
        └── UnexpectedResponseError             3xx, and any 2xx but 200 with a boolean

A caller needs no table of them: `worth_retrying` and `may_have_completed` are the facts to act on.

    try:
        await client.complete_json(promise_id, decision)
    except GolemError as error:
        return 503 if error.worth_retrying else 422

No error holds a token or a payload, and all of them pickle and copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from golem_client.ids import PromiseId

__all__ = [
    "AttemptTimeoutError",
    "AuthenticationError",
    "BadLinkError",
    "BadRequestError",
    "BulkStoppedError",
    "ComponentNotFoundError",
    "ConnectionFailedError",
    "ConnectionLostError",
    "DeadlineExceededError",
    "DeliveryError",
    "DuplicateItemError",
    "ExpiredLinkError",
    "GolemError",
    "InsecureTransportWarning",
    "InvalidIdError",
    "NotFoundError",
    "OutboxError",
    "PayloadError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "PromiseNotFoundError",
    "RateLimitedError",
    "ResponseError",
    "ServerError",
    "UnexpectedResponseError",
    "WorkerNotFoundError",
]


class GolemError(Exception):
    """The call failed; see `may_have_completed` before you say that the promise is pending.

    Attributes:
        message: What happened, without a token or a payload.
        promise_id: The promise of the call; None where there is none.
        attempts: The number of requests sent.
        may_have_completed: Whether any attempt may have stored the payload. Where it is true,
            complete again with the *same* payload: that is harmless, and also wakes a worker
            whose wake-up was lost.
        worth_retrying: Whether the same call, later, can succeed.
    """

    promise_id: PromiseId | None = None
    attempts: int = 0
    may_have_completed: bool = False
    worth_retrying: bool = False

    _advice: ClassVar[str] = ""
    _when: ClassVar[str] = "later"

    def __init__(self, message: str, *details: object) -> None:
        # Not super(): on the branch that is also an OSError its constructor eats arguments.
        Exception.__init__(self, message, *details)
        self.message = message

    def __str__(self) -> str:
        advice = self._what_to_do()
        if "base_url" in advice and self.attempts and self.promise_id is None:  # of call_webhook
            advice = "Check the URL of the webhook, which its agent hands out."
        return " ".join(filter(None, (f"{self._sentence()}.", advice, self._facts())))

    def _what_to_do(self) -> str:
        return self._advice

    def _sentence(self) -> str:
        name = "" if self.promise_id is None else brief(self.promise_id)
        where = [f"promise {name}"] if name and name not in self.message else []
        if self.attempts:
            where.append(f"{self.attempts} attempt{'s' if self.attempts > 1 else ''}")
        return f"{self.message} ({', '.join(where)})" if where else self.message

    def _facts(self) -> str:
        if self.may_have_completed:
            return (
                "The promise may be completed all the same: complete it again with the same "
                "payload, which is harmless."
            )
        if self.worth_retrying:
            return f"Nothing was stored; the same call can succeed {self._when}."
        return ""


class InvalidIdError(GolemError, ValueError):
    """The value is not an id in any spelling of Golem's.

    Nothing was sent. The message says what was wrong and where.
    """


class PayloadError(GolemError, ValueError):
    """The payload cannot be encoded, or is larger than `max_payload_bytes`.

    Nothing was sent. The message names the place as a JSON path, never the value.
    """


class DuplicateItemError(GolemError):
    """Another item of the run, under way at the same time, names the same promise.

    Nothing of this item was sent: which of two payloads is stored must not be left to chance.
    """

    _advice = "Decide which of the items is meant."


class BulkStoppedError(GolemError):
    """The run ended early, because every further item would have failed in the same way.

    All items that were sent have had their results. Those not sent are as they were: go on from
    them once the reason is removed.

    Attributes:
        reason: The error that stopped the run; it was the result of an item as well.
        unsent: The number of items that were not sent; None where the source has no length.
    """

    def __init__(self, message: str, reason: GolemError, unsent: int | None = None) -> None:
        super().__init__(message, reason, unsent)
        self.reason = reason
        self.unsent = unsent
        self.worth_retrying = reason.worth_retrying


class OutboxError(GolemError):
    """The outbox's database is away, of a newer version, or lacks a key.

    When accepting raises it, nothing was accepted, unless `may_have_completed` is true: then the
    connection was lost at the last moment. The message says what to do.
    """


class BadLinkError(GolemError, ValueError):
    """The token is forged, was made for another purpose, or is not a token at all.

    Nothing was sent.
    """


class ExpiredLinkError(BadLinkError):
    """The token is genuine, and its time is over. Nothing was sent."""


class DeliveryError(GolemError):
    """Nobody answered."""

    worth_retrying = True


class ConnectionFailedError(DeliveryError):
    """The request was never sent: no connection, no such host, no TLS.

    This attempt stored nothing. Check `base_url` and that Golem is up; the same call can
    succeed later.
    """

    def _what_to_do(self) -> str:
        if self.message.startswith("the certificate of "):
            return "Mend it, or trust it by SSL_CERT_FILE or ssl=."
        return "Check base_url and that Golem is up."


class ConnectionLostError(DeliveryError):
    """The connection broke after the request was sent, at least in part.

    The promise may or may not be completed, unless `may_have_completed` is false: then the request
    was cut off before its last byte. Complete it again with the same payload: that is
    harmless, and wakes a worker whose wake-up was lost.
    """

    may_have_completed = True


class AttemptTimeoutError(DeliveryError):
    """No complete answer came within `attempt_timeout`, and no attempt was left.

    Golem answers late, or not at all, while its executors are away. Complete the promise again
    with the same payload, later.
    """

    may_have_completed = True


class DeadlineExceededError(DeliveryError, TimeoutError):
    """The whole `timeout` of the call was up: in an attempt, or waiting for one.

    `may_have_completed` says whether anything was sent that may have been stored.

    Attributes:
        seconds_down: How long Golem had been down then, in seconds; 0 where it was not.
    """

    seconds_down: float = 0.0

    def _what_to_do(self) -> str:
        if self.seconds_down:
            return "Check base_url and that Golem is up."
        return "A longer timeout=, or more max_connections, gives it more room."


class ResponseError(GolemError):
    """The server answered, and did not complete the promise as far as it says.

    The class itself is raised for a status that has no class of its own (408, 409, 425).

    Attributes:
        status: The HTTP status.
        code: Golem's machine-readable code (1.5), its error type (1.1, 1.2), or None.
        from_golem: Whether Golem itself worded the answer. Where it is false, something before
            Golem answered (a proxy, a firewall, a load balancer): the class follows the status
            all the same, and `worth_retrying` is true, because people can mend that.
    """

    from_golem: bool = True
    _summary: ClassVar[str] = "The server refused the completion"

    def __init__(self, message: str, status: int, code: str | None = None, *more: object) -> None:
        super().__init__(message, status, code, *more)
        self.status = status
        self.code = code

    def _sentence(self) -> str:
        said = " ".join(filter(None, (str(self.status), self.code)))
        summary = self._summary if self.from_golem else "Something before Golem answered"
        return f"{summary}: {said}: {super()._sentence()}"

    def _what_to_do(self) -> str:
        if self.from_golem:
            return super()._what_to_do()
        return "Check what stands before Golem: the address, a proxy, a firewall."


class BadRequestError(ResponseError):
    """Golem did not accept the request: 400, 415 or 422.

    Nothing was stored, and the same call will be refused again. The usual cause is a worker
    name that this version of Golem does not allow.
    """

    _summary = "Golem did not accept the request"
    _advice = "Check the worker name of the promise id against the rules of your Golem's version."


class AuthenticationError(ResponseError):
    """Golem does not know the token: 401. Nothing was stored.

    `worth_retrying` is true: a mended token lets the same call through.

    Attributes:
        is_certain: Whether it is the token that is refused. False for Golem 1.3's 401
            `Get project error`, which can also mean an unknown component or a backend that is
            down.
    """

    is_certain: bool = True
    worth_retrying = True
    _summary = "Golem did not accept the token"
    _advice = (
        "Check token=: Golem wants an API token for this environment. GolemClient.local() has that "
        "of a Golem on this machine, GolemClient.from_env() that of golem-cli."
    )
    _when = "once the token is mended"


class PermissionDeniedError(ResponseError):
    """The token may not complete this promise: 403. Nothing was stored.

    `worth_retrying` is true: a grant lets the same call through. Golem caches permissions for up
    to ten minutes, so that a fresh grant may lag.
    """

    worth_retrying = True
    _summary = "The token may not complete this promise"
    _advice = "Grant it UpdateWorker on the environment; a grant takes up to ten minutes."


class NotFoundError(ResponseError):
    """Something on the way to the promise is not there: 404.

    The class itself is raised for a 404 that names no part of Golem's: from a proxy in
    mid-rollout, say. `worth_retrying` is true where it may be there later.
    """

    _summary = "Not found"
    _advice = "Check base_url: it is the address of Golem's API, without /v1."


class PromiseNotFoundError(NotFoundError):
    """Golem has no such promise, and reports that as 500 in every version.

    The id is wrong, or its promise was deleted. Golem 1.1 and 1.2 store the payload before they
    look for the promise, and a promise created later under that id is born completed with it:
    there, `may_have_completed` is true.
    """

    _summary = "Golem has no such promise"
    _advice = "Check the id: it must come from the worker that created the promise."

    def _facts(self) -> str:
        if self.may_have_completed:
            return (
                "The payload may be stored all the same: Golem 1.1 and 1.2 keep it for a promise "
                "created later under this id, and an earlier attempt of unknown fate may have "
                "completed it."
            )
        return super()._facts()


class WorkerNotFoundError(NotFoundError):
    """The worker of the promise was deleted: 404.

    Golem stores the payload before it looks for the worker, so `may_have_completed` is true; a
    worker created again under this name can meet it.
    """

    may_have_completed = True
    _summary = "The worker of the promise is deleted"
    _advice = "Nobody waits for this promise any more."

    def _facts(self) -> str:
        return "The payload may have been stored." if self.may_have_completed else ""


class ComponentNotFoundError(NotFoundError):
    """The component is unknown, or not deployed any more: 404."""

    _summary = "Golem does not know the component"
    _advice = "Check the component id, and that it is deployed where base_url and token= point to."


class PayloadTooLargeError(ResponseError):
    """The payload is larger than this Golem, or a proxy before it, takes.

    413, and the 500s by which Golem reports the same. Nothing was stored.
    """

    _summary = "The payload is larger than the server takes"
    _advice = "Send a reference instead, or raise the server's limit."


class RateLimitedError(ResponseError):
    """Too many requests: 429. Nothing was stored.

    Attributes:
        retry_after: The seconds that the server asks to wait; None where it names none.
    """

    worth_retrying = True
    _summary = "The server limits the rate of requests"

    def __init__(
        self,
        message: str,
        status: int = 429,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status, code, retry_after)
        self.retry_after = retry_after


class ServerError(ResponseError):
    """Golem, or something before it, failed: a 5xx that means nothing more precise.

    In Golem everything after the existence check happens after the write, so the payload may
    have been stored.
    """

    may_have_completed = True
    worth_retrying = True
    _summary = "The server failed"


class UnexpectedResponseError(ResponseError):
    """The answer is not Golem's: a redirect, or a 2xx that is not 200 with a boolean.

    Usually `base_url` points to something else. Redirects are never followed: they would turn
    the completion into an empty GET.
    """

    _summary = "The answer is not Golem's"
    _advice = "Check base_url: it is the address of Golem's API, without /v1."


class InsecureTransportWarning(UserWarning):
    """A token goes over plain http to a host that is not this machine."""


def brief(promise_id: PromiseId) -> str:
    """Return the id for people, its worker name cut to 40 characters: names carry users' data."""
    worker, name = promise_id.worker_id, promise_id.worker_id.worker_name
    cut = name if len(name) <= 40 else f"{name[:39]}…"
    return f"{worker.component_id}/{cut}/{promise_id.oplog_idx}"
