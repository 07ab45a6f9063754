"""An event loop whose time passes only while nothing is to be done, and then at once."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop that never sleeps.

    Attributes:
        now: The time, in seconds. It may be moved forward by hand.
    """

    def __init__(self) -> None:
        self.now = 100.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        if timeout is None:
            raise RuntimeError("nothing is left that could ever happen")
        self._loop.now += max(timeout, 0.0)
        return super().select(0)
