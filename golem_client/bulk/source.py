"""Where the items come from: one thing made of sync and async iterables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from typing import TYPE_CHECKING, cast

from golem_client.bulk.items import Item

if TYPE_CHECKING:
    from collections.abc import Callable


class Source:
    """Items, one at a time. Of an async iterable at most one item is being waited for.

    Attributes:
        taken: The number of items that came out.
        is_ended: Whether no more will come.
        failure: Why, where it is not simply the end.
    """

    def __init__(
        self, items: Iterable[Item] | AsyncIterable[Item], on_ready: Callable[[], None]
    ) -> None:
        self._on_ready = on_ready
        self._later: AsyncIterator[Item] | None = None
        self._now: Iterator[Item] | None = None
        if isinstance(items, AsyncIterable):
            self._later = aiter(items)
        else:
            self._now = _iterator_of(items)
        # An iterator with a length may have been read from before.
        is_counted = isinstance(items, Sized) and not hasattr(items, "__next__")
        self._length = len(cast("Sized", items)) if is_counted else None
        self._pull: asyncio.Task[object] | None = None
        self.taken = 0
        self.is_ended = False
        self.failure: BaseException | None = None

    @property
    def left(self) -> int | None:
        """The number of items that did not come out; None where that is unknown."""
        return None if self._length is None else self._length - self.taken

    @property
    def pull(self) -> asyncio.Task[object] | None:
        """The task that waits for the next item, or has it; None where there is none."""
        return self._pull

    def take(self) -> Item | None:
        """Return the next item; None where there is none at this moment, or none any more."""
        if self._now is not None:
            return self._take_now(self._now)
        if self._later is None:
            return None
        if self._pull is None:
            self._pull = asyncio.create_task(_next_of(self._later))
            self._pull.add_done_callback(self._tell)
        return self.take_what_is_there()

    def take_what_is_there(self) -> Item | None:
        """Return the item that was waited for, if it has come."""
        if self._pull is None or not self._pull.done():
            return None
        pull, self._pull = self._pull, None
        if pull.cancelled():
            self._fail(asyncio.CancelledError("the source of the items was cancelled"))
        elif error := pull.exception():
            self._fail(error)
        elif pull.result() is _END:
            self._end()
        else:
            return self._checked(pull.result())
        return None

    def release(self) -> None:
        """Stop waiting for an item, and let go of what was iterated over."""
        self._end()
        if self._pull is not None:
            self._pull.cancel()

    def _take_now(self, iterator: Iterator[Item]) -> Item | None:
        try:
            item = next(iterator)
        except StopIteration:
            self._end()
            return None
        except Exception as error:  # noqa: BLE001 - it is raised once all results are handed out
            self._fail(error)
            return None
        return self._checked(item)

    def _tell(self, pull: asyncio.Task[object]) -> None:
        if not pull.cancelled():
            pull.exception()  # so that asyncio does not report it where nobody asks any more
        self._on_ready()

    def _checked(self, item: object) -> Item | None:
        if isinstance(item, Item):
            self.taken += 1
            return item
        self._fail(
            TypeError(
                f"items must be of the class Item, not {type(item).__name__}: "
                "Item.of_json(promise_id, value), Item.of_text(…) or Item.of_bytes(…) make one"
            )
        )
        return None

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        self._end()

    def _end(self) -> None:
        self.is_ended = True
        self._now = self._later = None


def _iterator_of(items: Iterable[Item]) -> Iterator[Item]:
    try:
        return iter(items)
    except TypeError:
        pass
    raise TypeError(f"items must be an iterable of Item, not of type {type(items).__name__}")


_END = object()


async def _next_of(iterator: AsyncIterator[Item]) -> object:
    """Return the next item or `_END`: a StopAsyncIteration is not for a task to end with."""
    return await anext(iterator, _END)
