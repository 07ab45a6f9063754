"""A typed handle on one promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from golem_client.frames import without_locals
from golem_client.ids import AnyPromiseId, PromiseId
from golem_client.outcome import Completion
from golem_client.payload.refusals import type_name

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from golem_client.client.client import GolemClient

T = TypeVar("T")

__all__ = ["AnyPromiseId", "Promise"]


class Promise(Generic[T]):
    """A promise whose worker awaits a `T`; made by `GolemClient.promise`.

    It holds no connection and no state: make as many as you like, for as long as the client lives.

        promise = client.promise(promise_id, Decision)
        await promise.complete(Decision(approved=True))

    Attributes:
        id: The promise.
    """

    def __init__(self, client: GolemClient, promise_id: PromiseId, type_: TypeForm[T]) -> None:
        self.id = promise_id
        self._client = client
        # `None` is how Python spells the type; for complete_json it means "no type".
        self._type = type(None) if type_ is None else type_

    def __repr__(self) -> str:
        return f"<Promise[{type_name(self._type)}] {self.id}>"

    @without_locals
    async def complete(self, value: T, *, timeout: float | None = None) -> Completion:
        """Complete the promise with this value as JSON; see `GolemClient.complete_json`.

        Raises:
            PayloadError: The value is not a `T`, or cannot be encoded; nothing was sent.
            GolemError: As in `GolemClient.complete_bytes`.
        """
        type_ = cast("TypeForm[Any]", self._type)
        return await self._client.complete_json(self.id, value, type_, timeout=timeout)
