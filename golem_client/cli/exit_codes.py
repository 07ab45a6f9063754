"""What the exit codes of `golem-promise` say."""

from __future__ import annotations

from enum import IntEnum

from golem_client import (
    AuthenticationError,
    DeliveryError,
    GolemError,
    InvalidIdError,
    NotFoundError,
    Outcome,
    PayloadError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
)


class ExitCode(IntEnum):
    """How a command ended. They are documented and stay as they are: scripts go by them."""

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
  3    already fulfilled: another payload is stored
  4    fulfilled by unknown: an answer was lost, nobody can know by whom
  5    no such promise, worker or component
  6    not authorised
  7    not delivered: no useful answer; run it again, with the same payload
  8    refused: Golem, or something before it, does not want the request
  130  interrupted
"""
"""The codes of `complete`, for its help."""

_OF_OUTCOME = {
    Outcome.FULFILLED: ExitCode.FULFILLED,
    Outcome.ALREADY_FULFILLED: ExitCode.ALREADY_FULFILLED,
    Outcome.FULFILLED_BY_UNKNOWN: ExitCode.FULFILLED_BY_UNKNOWN,
}


def code_of_outcome(outcome: Outcome) -> ExitCode:
    """Return the exit code of a completion."""
    return _OF_OUTCOME[outcome]


def code_of_error(error: GolemError) -> ExitCode:
    """Return the exit code of a call that failed."""
    match error:
        case InvalidIdError() | PayloadError():
            return ExitCode.USAGE
        case NotFoundError():
            return ExitCode.NOT_FOUND
        case AuthenticationError() | PermissionDeniedError():
            return ExitCode.NOT_AUTHORISED
        case DeliveryError() | ServerError() | RateLimitedError():
            return ExitCode.NOT_DELIVERED
    return ExitCode.NOT_DELIVERED if error.worth_retrying else ExitCode.REFUSED
