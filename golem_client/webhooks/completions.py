"""What a route asks for: which promise to complete, and with what."""

from __future__ import annotations

from typing import Any

import attrs

from golem_client import AnyPromiseId
from golem_client.outbox.key import Key


@attrs.frozen
class Complete:
    """Complete a promise with a value as JSON.

    Build the payload from the event alone, without a clock or a random number: a delivery that
    is repeated must send the same bytes.

    Attributes:
        promise_id: The promise, in any spelling; or, with an outbox, the `Key` it is bound to.
        payload: The value, by the rules of `golem_client.payload`.
        as_type: The type to encode it as, where the value alone does not tell.
    """

    promise_id: AnyPromiseId | Key
    payload: Any = attrs.field(repr=False)
    as_type: Any = None

    def by(self, target: Any, **options: float) -> Any:
        """Return the call that completes it, to be awaited."""
        return target.complete_json(self.promise_id, self.payload, self.as_type, **options)


@attrs.frozen
class CompleteText:
    """Complete a promise with a text, as UTF-8; see `Complete`.

    Attributes:
        promise_id: The promise, in any spelling; or, with an outbox, the `Key` it is bound to.
        payload: The text.
    """

    promise_id: AnyPromiseId | Key
    payload: str = attrs.field(repr=False)

    def by(self, target: Any, **options: float) -> Any:
        """Return the call that completes it, to be awaited."""
        return target.complete_text(self.promise_id, self.payload, **options)


@attrs.frozen
class CompleteBytes:
    """Complete a promise with these bytes; see `Complete`.

    Attributes:
        promise_id: The promise, in any spelling; or, with an outbox, the `Key` it is bound to.
        payload: The bytes.
    """

    promise_id: AnyPromiseId | Key
    payload: bytes = attrs.field(repr=False)

    def by(self, target: Any, **options: float) -> Any:
        """Return the call that completes it, to be awaited."""
        return target.complete_bytes(self.promise_id, self.payload, **options)


AnyCompletion = Complete | CompleteText | CompleteBytes
