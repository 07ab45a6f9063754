"""A typed handle on one promise, for an outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from typing_extensions import TypeForm

from golem_client import PromiseId
from golem_client.frames import without_locals
from golem_client.outbox.entry import Entry
from golem_client.outbox.key import Key

if TYPE_CHECKING:
    from golem_client.outbox.outbox import Outbox

T = TypeVar("T")


class OutboxPromise(Generic[T]):
    """A promise whose worker awaits a `T`; made by `Outbox.promise`.

    Attributes:
        id: The promise, or the key that stands for it.
    """

    def __init__(self, outbox: Outbox, promise_id: PromiseId | Key, type_: TypeForm[T]) -> None:
        self.id = promise_id
        self._outbox = outbox
        # `None` is how Python spells the type; for complete_json it means "as the value tells".
        self._type: Any = type(None) if type_ is None else type_

    def __repr__(self) -> str:
        name = getattr(self._type, "__name__", None) or str(self._type)
        return f"<OutboxPromise[{name}] {self.id}>"

    @without_locals
    async def complete(self, value: T) -> Entry:
        """Accept the completion of the promise with this value; see `Outbox.complete_json`.

        Raises:
            PayloadError: The value is not a `T`, or cannot be encoded.
            OutboxError: As in `Outbox.complete_json`.
        """
        return await self._outbox.complete_json(self.id, value, self._type)
