"""What goes into a run of many completions, and what comes out."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import attrs
from typing_extensions import TypeForm

from golem_client import AnyPromiseId, Completion, GolemError


def _check_kind(_: object, __: object, kind: object) -> None:
    if kind not in ("bytes", "text", "json"):  # it may be the payload: it is not shown
        raise ValueError('kind must be "bytes", "text" or "json": Item.of_json() makes an item')


@attrs.frozen(eq=False)
class Item:
    """A promise to complete, and with what. Make one with `of_json`, `of_text` or `of_bytes`.

        Item.of_json(promise_id, {"approved": True}, tag=row.key)

    Nothing is checked before its turn: a bad id or payload becomes this item's result. Do not
    change a JSON value before the result is there.

    Attributes:
        promise_id: The promise, in any spelling that `PromiseId.parse` accepts.
        kind: How the payload is sent: by `complete_json`, `complete_text` or `complete_bytes`.
        payload: What is sent.
        as_type: The type to encode a JSON payload as; see `GolemClient.complete_json`.
        tag: Anything of yours that is to come back with the result: a row's number, say.
    """

    promise_id: AnyPromiseId
    kind: Literal["bytes", "text", "json"] = attrs.field(validator=_check_kind)
    payload: Any = attrs.field(repr=False)
    as_type: TypeForm[Any] | None = attrs.field(default=None, kw_only=True)
    tag: Any = attrs.field(default=None, kw_only=True)

    @classmethod
    def of_bytes(
        cls, promise_id: AnyPromiseId, data: bytes | bytearray | memoryview, *, tag: Any = None
    ) -> Item:
        """Return an item that sends these bytes, verbatim, as they are now."""
        is_bytes = isinstance(data, bytes | bytearray | memoryview)
        return cls(promise_id, "bytes", bytes(data) if is_bytes else data, tag=tag)

    @classmethod
    def of_text(cls, promise_id: AnyPromiseId, text: str, *, tag: Any = None) -> Item:
        """Return an item that sends this text, as UTF-8."""
        return cls(promise_id, "text", text, tag=tag)

    @classmethod
    def of_json(
        cls,
        promise_id: AnyPromiseId,
        value: Any,
        as_type: TypeForm[Any] | None = None,
        *,
        tag: Any = None,
    ) -> Item:
        """Return an item that sends this value as JSON, as `await_promise_json` reads it."""
        return cls(promise_id, "json", value, as_type=as_type, tag=tag)


class Result(NamedTuple):
    """What became of one item: `item, ended = result`.

    Attributes:
        item: The item that was given, the same object.
        ended: Its `Completion`, or the `GolemError` by which it failed.
    """

    item: Item
    ended: Completion | GolemError

    @property
    def completion(self) -> Completion | None:
        """By whom the promise is completed; None where the item failed."""
        return self.ended if isinstance(self.ended, Completion) else None

    @property
    def error(self) -> GolemError | None:
        """Why the item failed; None where its promise is completed."""
        return self.ended if isinstance(self.ended, GolemError) else None
