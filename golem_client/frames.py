"""Frames of tracebacks and warnings: what those of ours show, and where the caller's begin."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

T = TypeVar("T")
P = ParamSpec("P")
C = TypeVar("C")


def without_locals(
    method: Callable[Concatenate[C, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[C, P], Coroutine[Any, Any, T]]:
    """Clear the local variables below a public method when it raises; line numbers stay.

    Reporters of errors send the locals of each frame in a traceback: the payload is in frames of
    ours, and the token in those of aiohttp. Cancellation leaves in the same way.
    """

    @functools.wraps(method)
    async def cleared(self: C, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            call = method(self, *args, **kwargs)
        finally:  # also where an argument's name is wrong: a TypeError
            del args, kwargs
        handled = sys.exception()
        try:
            return await call
        except BaseException as error:
            _clear(error, handled)
            raise

    return cast("Callable[Concatenate[C, P], Coroutine[Any, Any, T]]", cleared)


def made_without_locals(make: Callable[P, T]) -> Callable[P, T]:
    """Do the same for a constructor, whose token is in the frames below."""

    @functools.wraps(make)
    def cleared(*args: P.args, **kwargs: P.kwargs) -> T:
        call = functools.partial(make, *args, **kwargs)
        del args, kwargs
        handled = sys.exception()
        try:
            return call()
        except BaseException as error:
            del call
            _clear(error, handled)
            raise

    return cleared


def _clear(error: BaseException, handled: BaseException | None) -> None:
    """Clear the frames of an error and of those before it; what the caller handles is theirs."""
    each: BaseException | None = error
    while each is not None and each is not handled:
        traceback.clear_frames(each.__traceback__)
        each = each.__cause__ or each.__context__


def is_ours(error: BaseException) -> bool:
    """Whether it is a RuntimeError whose text is this package's: any other may hold a secret."""
    module = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__")
    return type(error) is RuntimeError and _is_inside(module, __name__.partition(".")[0])


def callers_level() -> int:
    """Return the `stacklevel` of the line outside of this package that makes an object of ours.

    Constructors of its subclasses are passed over: they are not where it is made.
    """
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - what warnings.warn itself counts by
    package = __name__.partition(".")[0]
    ours: list[object] = []
    while frame.f_back is not None:
        made = _made(frame)
        if _is_inside(frame.f_globals.get("__name__"), package):
            ours.append(made)
        elif made is None or not any(made is each for each in ours):
            break
        level, frame = level + 1, frame.f_back
    return level


def _made(frame: FrameType) -> object:
    """Return the object whose constructor this is; None for any other frame."""
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_name == "__init__" else None


def _is_inside(module: object, package: str) -> bool:
    return isinstance(module, str) and (module + ".").startswith(package + ".")
