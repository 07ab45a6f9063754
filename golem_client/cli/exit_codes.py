"""What the exit codes of `golem-promise` mean."""

from __future__ import annotations

from enum import IntEnum

from golem_client import (
    AuthenticationError,
    BadRequestError,
    DeliveryError,
    GolemError,
    InvalidIdError,
    NotFoundError,
    PayloadError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitedError,
    ResponseError,
    ServerError,
    UnexpectedResponseError,
)


class ExitCode(IntEnum):
    """How a command ended. Scripts rely on these numbers: they do not change."""

    FULFILLED = 0
    FAILED = 1
    USAGE = 2
    ALREADY_FULFILLED = 3
    FULFILLED_BY_UNKNOWN = 4
    NOT_FOUND = 5
    NOT_AUTHORISED = 6
    NOT_DELIVERED = 7
    REFUSED = 8
    INTERRUPTED = 130


TABLE = """\
  0    fulfilled: this payload is stored
  2    wrong usage: an option, an id or a setting; nothing was sent
  3    already fulfilled: a payload was stored before, maybe an equal one
  4    fulfilled by unknown: completed, but nobody can know by whom
  5    Golem has no such promise, worker or component
  6    Golem refuses the token or the permission: correct it, run it again
  7    not delivered: Golem did not answer; run it again, same payload
  8    the request was refused: running it again does not help
  130  interrupted
"""
"""The codes of `complete`, for its help."""

_OF_ERROR: tuple[tuple[tuple[type[GolemError], ...], ExitCode], ...] = (
    ((InvalidIdError, PayloadError), ExitCode.USAGE),
    ((PayloadTooLargeError, BadRequestError, UnexpectedResponseError), ExitCode.REFUSED),
    ((NotFoundError,), ExitCode.NOT_FOUND),
    ((AuthenticationError, PermissionDeniedError), ExitCode.NOT_AUTHORISED),
    ((DeliveryError, ServerError, RateLimitedError), ExitCode.NOT_DELIVERED),
)


def code_of_error(error: GolemError) -> ExitCode:
    """Return the exit code of a call that failed, or of a run that a failure stopped."""
    for kinds, code in _OF_ERROR:
        if isinstance(error, kinds):
            is_verdict = code in (ExitCode.NOT_FOUND, ExitCode.NOT_AUTHORISED)
            is_foreign = isinstance(error, ResponseError) and not error.from_golem
            return ExitCode.NOT_DELIVERED if is_verdict and is_foreign else code
    return ExitCode.NOT_DELIVERED if error.worth_retrying else ExitCode.REFUSED
