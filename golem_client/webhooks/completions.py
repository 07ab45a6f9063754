"""What a route asks for: which promise to complete, and with what."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, ClassVar

import attrs

from golem_client import AnyPromiseId
from golem_client.outbox.key import Key


@attrs.frozen
class Completing:
    """The base of `Complete`, `CompleteText` and `CompleteBytes`."""

    METHOD: ClassVar[str]
    promise_id: AnyPromiseId | Key
    payload: Any = attrs.field(repr=False)

    def by(self, target: Any, **options: float) -> Awaitable[Any]:
        """Return the call of a client or an outbox that completes it."""
        call: Awaitable[Any] = getattr(target, self.METHOD)(
            *attrs.astuple(self, recurse=False), **options
        )
        return call


@attrs.frozen
class Complete(Completing):
    """Complete a promise with a value as JSON.

    Build the payload from the event alone, without a clock or a random number: a delivery that
    is repeated must send the same bytes.

    Attributes:
        promise_id: The promise, in any spelling; or, with an outbox, the `Key` it is bound to.
        payload: The value, by the rules of `golem_client.payload`.
        as_type: The type to encode it as, where the value alone does not tell.
    """

    METHOD: ClassVar[str] = "complete_json"
    as_type: Any = None


@attrs.frozen
class CompleteText(Completing):
    """Complete a promise with a text, as UTF-8; see `Complete`."""

    METHOD: ClassVar[str] = "complete_text"
    payload: str = attrs.field(repr=False)


@attrs.frozen
class CompleteBytes(Completing):
    """Complete a promise with these bytes; see `Complete`."""

    METHOD: ClassVar[str] = "complete_bytes"
    payload: bytes = attrs.field(repr=False)
