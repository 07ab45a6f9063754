"""What the frames of a traceback show: reporters of errors send their local variables."""

from __future__ import annotations

import traceback


def assert_nothing_shows(error: BaseException | None, *secrets: str, but_for: str) -> None:
    """Check every frame of an error and of those before it, but for the test's own file.

    Args:
        error: The error that a call of ours has raised.
        secrets: What no local variable may show.
        but_for: The file of the test, whose frames are the caller's own.
    """
    seen, shown = 0, []
    while error is not None:
        for frame, line in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename != but_for:
                assert line > 0
                seen += "golem_client" in frame.f_code.co_filename
                shown += [
                    f"{frame.f_code.co_qualname}: {name}"
                    for name, value in frame.f_locals.items()
                    if any(secret in repr(value) for secret in secrets)
                ]
        assert not any(secret in str(error) for secret in secrets)
        error = error.__cause__ or error.__context__
    assert seen
    assert shown == []
