"""The body of one attempt, which records how far it got: the one place with aiohttp's internals.

aiohttp (3.14) does not say whether a request was written before it failed, and returns an answer
that waits on a pooled connection to the next request. `aiohttp.Payload` is public;
`writer.protocol`, the connection that a body is written to, and its `should_close` are not
documented. `tests/test_client_body.py` fails when they change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp
from multidict import CIMultiDict

from golem_client.wire import Request, Sent

if TYPE_CHECKING:
    from golem_client.client.session import Session


class Body(aiohttp.Payload):
    """The body of one attempt.

    Args:
        request: What is sent.
        session: Whose connections it goes over.
        on_progress: Called each time that the socket has taken a piece and more follow.
        fresh_since: Refuse a connection that was first used before this time.

    Attributes:
        is_taken: Whether aiohttp has asked for it: not where a mock stands in for aiohttp.
        sent: How much of it was handed to the socket.
        sent_at: When the last byte was, by the loop's clock; None before.
        is_reused: Whether its connection had carried a request before.
        is_answered: Whether the head of an answer came.
        is_refused: Whether it was not written, because its connection may be stale.
    """

    # aiohttp's own constructor makes such headers for each body; the request's win.
    _headers = CIMultiDict({"Content-Type": "application/json"})
    _encoding = None
    _filename = None
    _value: Request

    is_taken = False
    sent = Sent.NOTHING
    sent_at: float | None = None
    is_reused = False
    is_answered = False
    is_refused = False

    def __init__(
        self,
        request: Request,
        session: Session,
        on_progress: Callable[[], None],
        fresh_since: float | None,
    ) -> None:
        self._value = request
        self._session = session
        self._on_progress = on_progress
        self._fresh_since = fresh_since

    @property
    def size(self) -> int:
        """The number of bytes; aiohttp asks for it when it builds a request, a mock never does."""
        self.is_taken = True
        return self._value.size

    async def write(self, writer: Any) -> None:
        """Write it, unless the client is closed, or the connection is stale or holds an answer."""
        connection, session = writer.protocol, self._session
        if connection.should_close or session.is_closed:
            raise aiohttp.ClientConnectionError
        now = session.loop.time()
        first_use = session.first_uses.get(connection)
        if first_use is None:
            session.first_uses[connection] = now
        else:
            self.is_reused = True
            if self._fresh_since is not None and first_use < self._fresh_since:
                self.is_refused = True
                raise aiohttp.ClientConnectionError
        pieces = self._value.pieces()
        piece = next(pieces, b"")
        for following in pieces:
            self.sent = Sent.PART
            await writer.write(piece)
            self._on_progress()
            await asyncio.sleep(0)  # a fast reader never makes a write wait
            piece = following
            now = session.loop.time()
        self.sent = Sent.ALL
        self.sent_at = now
        await writer.write(piece)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text: what tests with aioresponses find in `kwargs["data"]`."""
        return b"".join(self._value.pieces()).decode(encoding, errors)

    def __deepcopy__(self, memo: object) -> Body:
        """Return itself: aioresponses copies what it is given, and would copy the event loop."""
        return self
