"""The error tree: complete, true, made to travel, and with words that say what to do."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from golem_client import errors
from golem_client.errors import (
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    BulkStoppedError,
    ComponentNotFoundError,
    ConnectionFailedError,
    ConnectionLostError,
    DeadlineExceededError,
    DeliveryError,
    GolemError,
    InsecureTransportWarning,
    InvalidIdError,
    NotFoundError,
    PayloadError,
    PayloadTooLargeError,
    PermissionDeniedError,
    PromiseNotFoundError,
    RateLimitedError,
    ResponseError,
    ServerError,
    UnexpectedResponseError,
    WorkerNotFoundError,
    brief,
)
from golem_client.ids import ComponentId, PromiseId, WorkerId

COMPONENT = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
PROMISE = PromiseId(WorkerId(ComponentId.parse(COMPONENT), "w1"), 42)

CLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, GolemError)
]
# BulkStoppedError carries another error along: test_bulk has how it travels.
every_class = pytest.mark.parametrize(
    "kind",
    [kind for kind in CLASSES if kind is not BulkStoppedError],
    ids=lambda kind: kind.__name__,
)

_BRANCH = re.compile(r"^    (?P<indent>[│ ]*)(?:[├└]── )?(?P<name>\w+Error)(?: \((?P<also>\w+)\))?")


def tree_as_drawn() -> dict[str, tuple[str, ...]]:
    """Return each class in the docstring's drawing, with the bases drawn for it."""
    assert errors.__doc__ is not None
    bases: dict[str, tuple[str, ...]] = {}
    path: list[str] = []
    for line in errors.__doc__.partition("GolemError (")[0].partition("::")[2].splitlines():
        if branch := _BRANCH.match(line):
            depth = (branch.start("name") - 4) // 4
            parent = path[depth - 1] if depth else "Exception"
            path[depth:] = [branch["name"]]
            bases[branch["name"]] = (parent, branch["also"]) if branch["also"] else (parent,)
    return bases


def made(kind: type[GolemError]) -> GolemError:
    """Return an error of this class with a value of its own in each attribute."""
    error: GolemError
    if issubclass(kind, RateLimitedError):
        error = kind("slow down", 429, "A_CODE", 2.5)
    elif issubclass(kind, ResponseError):
        error = kind("no", 418, "A_CODE")
    else:
        error = kind("no")
    error.promise_id = PROMISE
    error.attempts = 3
    error.may_have_completed = not kind.may_have_completed
    error.worth_retrying = not kind.worth_retrying
    error.add_note("before it, once: something else")
    return error


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    """Every class is drawn where it stands, with the builtin class that it also is."""
    actual = {kind.__name__: tuple(base.__name__ for base in kind.__bases__) for kind in CLASSES}
    assert tree_as_drawn() == actual


def test_a_class_says_what_happened() -> None:
    """Every class has a docstring of its own."""
    assert [] == [kind for kind in CLASSES if not kind.__dict__.get("__doc__")]


def arrived(error: GolemError) -> dict[str, GolemError]:
    """Return what arrives of an error, by the way that it travelled."""
    pickled = {
        f"pickle protocol {number}": pickle.loads(pickle.dumps(error, number))
        for number in range(pickle.HIGHEST_PROTOCOL + 1)
    }
    return {**pickled, "copy": copy.copy(error), "deepcopy": copy.deepcopy(error)}


def facts(error: GolemError) -> tuple[object, ...]:
    return type(error), vars(error), (error.message, *error.args[1:]), error.args, str(error)


@every_class
def test_an_error_arrives_whole_however_it_travels(kind: type[GolemError]) -> None:
    """The copy has its class, its attributes with the notes, its arguments and its words."""
    error = made(kind)
    copies = arrived(error)
    assert dict.fromkeys(copies, facts(error)) == {way: facts(copies[way]) for way in copies}


@every_class
def test_the_message_is_the_first_argument(kind: type[GolemError]) -> None:
    """No constructor on the way eats an argument: `OSError`'s would."""
    error = made(kind)
    assert (error.message, *error.args[1:]) == error.args


def test_notes_are_not_shared_with_a_deep_copy() -> None:
    """A note added to a deep copy stays there."""
    error = made(ServerError)
    copy.deepcopy(error).add_note("another")
    assert ["before it, once: something else"] == error.__notes__


def test_an_error_outside_of_a_call_has_no_promise_and_no_attempts() -> None:
    """`promise_id` is None and `attempts` 0 until a call says otherwise."""
    assert {(None, 0)} == {(kind.promise_id, kind.attempts) for kind in CLASSES}


@pytest.mark.parametrize(
    ("kind", "may_have_completed", "worth_retrying"),
    [
        (GolemError, False, False),
        (InvalidIdError, False, False),
        (PayloadError, False, False),
        (DeliveryError, False, True),
        (ConnectionFailedError, False, True),
        (ConnectionLostError, True, True),
        (AttemptTimeoutError, True, True),
        (DeadlineExceededError, False, True),
        (ResponseError, False, False),
        (BadRequestError, False, False),
        (AuthenticationError, False, True),
        (PermissionDeniedError, False, True),
        (NotFoundError, False, False),
        (PromiseNotFoundError, False, False),
        (WorkerNotFoundError, True, False),
        (ComponentNotFoundError, False, False),
        (PayloadTooLargeError, False, False),
        (RateLimitedError, False, True),
        (ServerError, True, True),
        (UnexpectedResponseError, False, False),
    ],
)
def test_the_two_facts_have_the_usual_value_of_the_class(
    kind: type[GolemError], may_have_completed: bool, worth_retrying: bool
) -> None:
    """An error that a user's test makes by hand says what its class usually means."""
    assert (may_have_completed, worth_retrying) == (kind.may_have_completed, kind.worth_retrying)


def test_a_rate_limit_keeps_all_its_arguments() -> None:
    """`args` is what the constructor was called with, the wait included."""
    assert ("slow down", 429, "A_CODE", 2.5) == made(RateLimitedError).args


def test_a_rate_limit_needs_a_message_only() -> None:
    """The status is 429, and no wait is asked for, unless said."""
    error = RateLimitedError("slow down")
    assert (429, None, None) == (error.status, error.code, error.retry_after)


def test_a_deadline_is_a_timeout() -> None:
    """`except TimeoutError` catches it, as it does for asyncio's own."""
    with pytest.raises(TimeoutError):
        raise DeadlineExceededError("the timeout of 30 s was up")


def test_a_deadline_has_no_errno() -> None:
    """It is an `OSError` by ancestry only."""
    assert DeadlineExceededError("the timeout of 30 s was up").errno is None


@pytest.mark.parametrize("kind", [InvalidIdError, PayloadError])
def test_what_we_refuse_is_a_value_error(kind: type[GolemError]) -> None:
    """A value that is refused before sending is also a `ValueError`."""
    assert issubclass(kind, ValueError)


def test_an_insecure_transport_warning_is_a_user_warning() -> None:
    """Python shows it by default."""
    assert issubclass(InsecureTransportWarning, UserWarning)


AGAIN = (
    "The promise may be completed all the same: complete it again with the same payload, "
    "which is harmless."
)
LATER = "Nothing was stored; the same call can succeed later."
MENDED = "Nothing was stored; the same call can succeed once the token is mended."
ORDINARY = [
    kind
    for kind in CLASSES
    if kind not in (BulkStoppedError, PromiseNotFoundError, WorkerNotFoundError)
]


@pytest.mark.parametrize("kind", ORDINARY, ids=lambda kind: kind.__name__)
def test_the_text_ends_with_what_the_two_facts_mean(kind: type[GolemError]) -> None:
    """Either to complete again with the same payload, or to call again later, or nothing."""
    later = MENDED if kind is AuthenticationError else LATER
    expected = {(True, True): AGAIN, (True, False): AGAIN, (False, True): later, (False, False): ""}
    said = {}
    for may_have_completed, worth_retrying in expected:
        error = made(kind)
        error.may_have_completed, error.worth_retrying = may_have_completed, worth_retrying
        ends = [fact for fact in (AGAIN, LATER, MENDED) if str(error).endswith(fact)]
        said[may_have_completed, worth_retrying] = "".join(ends)
    assert expected == said


def test_a_promise_not_found_that_may_be_completed_tells_of_old_golems() -> None:
    """1.1 and 1.2 keep the payload for a promise created later under the id."""
    error = PromiseNotFoundError("PromiseNotFound", 500)
    error.may_have_completed = True
    assert "Golem 1.1 and 1.2 keep it for a promise created later under this id" in str(error)


def test_a_deleted_worker_gets_no_advice_to_complete_again() -> None:
    """Nobody waits any more: the text only says that the payload may be there."""
    assert str(WorkerNotFoundError("Worker not found: x", 404)).endswith(
        "Nobody waits for this promise any more. The payload may have been stored."
    )


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ConnectionFailedError("x"), "Check base_url and that Golem is up."),
        (ConnectionFailedError("the certificate of x is refused"), "SSL_CERT_FILE or ssl=."),
        (DeadlineExceededError("x"), "A longer timeout="),
        (BadRequestError("x", 400), "Check the worker name"),
        (AuthenticationError("x", 401), "Check token="),
        (AuthenticationError("x", 401), "GolemClient.local()"),
        (PermissionDeniedError("x", 403), "Grant it UpdateWorker"),
        (NotFoundError("x", 404), "Check base_url"),
        (PromiseNotFoundError("x", 500), "Check the id"),
        (ComponentNotFoundError("x", 404), "Check the component id"),
        (PayloadTooLargeError("x", 413), "Send a reference instead"),
        (UnexpectedResponseError("x", 302), "Check base_url"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, GolemError) else "",
)
def test_the_text_says_what_to_check(error: GolemError, advice: str) -> None:
    """Where one thing is usually to blame, the text names it."""
    assert advice in str(error)


def test_an_answers_text_names_summary_status_code_words_promise_and_attempts() -> None:
    """All that is known is in the one line that a log shows."""
    error = PermissionDeniedError("not allowed", 403, "AUTH_FORBIDDEN")
    error.promise_id, error.attempts = PROMISE, 2
    assert (
        "The token may not complete this promise: 403 AUTH_FORBIDDEN: not allowed "
        f"(promise {COMPONENT}/w1/42, 2 attempts). Grant it UpdateWorker on the environment; "
        "a grant takes up to ten minutes. Nothing was stored; the same call can succeed later."
    ) == str(error)


def test_a_promise_that_the_answer_names_is_named_once() -> None:
    error = PromiseNotFoundError(f"Promise not found: {PROMISE}", 500)
    error.promise_id, error.attempts = PROMISE, 1
    assert 1 == str(error).count(str(PROMISE))
    assert f"{PROMISE} (1 attempt). " in str(error)


@pytest.mark.parametrize(
    ("promise_id", "attempts", "expected"),
    [
        (None, 0, "what happened."),
        (None, 1, "what happened (1 attempt)."),
        (None, 2, "what happened (2 attempts)."),
        (PROMISE, 0, f"what happened (promise {COMPONENT}/w1/42)."),
        (PROMISE, 1, f"what happened (promise {COMPONENT}/w1/42, 1 attempt)."),
    ],
    ids=["nothing", "one-attempt", "two-attempts", "promise", "both"],
)
def test_a_text_names_the_promise_and_the_attempts_where_there_are_any(
    promise_id: PromiseId | None, attempts: int, expected: str
) -> None:
    """What is not known is not mentioned."""
    error = GolemError("what happened")
    error.promise_id, error.attempts = promise_id, attempts
    assert expected == str(error)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("w", "w"),
        ("n" * 40, "n" * 40),
        ("n" * 41, "n" * 39 + "…"),
        ("ü" * 256, "ü" * 39 + "…"),
        ("a/b:c", "a/b:c"),
    ],
    ids=["short", "40", "41", "512-bytes", "separators"],
)
def test_a_brief_id_cuts_the_worker_name_to_40_characters(name: str, shown: str) -> None:
    """Names carry users' data."""
    promise_id = PromiseId(WorkerId(ComponentId.parse(COMPONENT), name), 42)
    assert f"{COMPONENT}/{shown}/42" == brief(promise_id)


def test_an_errors_text_shows_the_brief_id() -> None:
    """The text of an error does not show a long worker name in full."""
    error = GolemError("what happened")
    error.promise_id = PromiseId(WorkerId(ComponentId.parse(COMPONENT), "secret-" * 20), 42)
    assert "secret-" * 6 not in str(error)


@pytest.mark.parametrize(
    "message",
    ["", "{} {0} {x!r} %s %(a)s %", "line\nline\0", "\ud800", "x" * 1_000_000],
    ids=["empty", "format-characters", "control-characters", "lone-surrogate", "megabyte"],
)
def test_any_message_is_shown_as_it_is(message: str) -> None:
    """Words of others are never taken for a format, by no class."""
    errors = [
        kind(message, 500) if issubclass(kind, ResponseError) else kind(message)
        for kind in CLASSES
        if kind is not BulkStoppedError
    ]
    assert [] == [type(error) for error in errors if message not in str(error)]


@every_class
def test_a_repr_names_the_class_and_the_arguments(kind: type[GolemError]) -> None:
    """The repr is Python's own: nothing that the message leaves out is in it."""
    error = made(kind)
    assert f"{kind.__name__}({', '.join(map(repr, error.args))})" == repr(error)


def test_a_further_detail_travels_with_a_deadline() -> None:
    """`OSError` would take a second argument for a message of its own."""
    error = DeadlineExceededError("the timeout was up", "a detail")
    assert ("the timeout was up", "a detail") == pickle.loads(pickle.dumps(error)).args
