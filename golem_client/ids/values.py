"""The ids as values. Each is checked when it is made, so every instance is valid."""

from __future__ import annotations

from typing import Any, ClassVar, Self, TypeAlias, final
from uuid import UUID

import attrs

from golem_client.errors import InvalidIdError
from golem_client.ids.models import ModelField
from golem_client.ids.reading import COMPONENT, PROMISE, WORKER, read
from golem_client.ids.records import promise_as_rest_writes_it
from golem_client.ids.rules import (
    MAX_NAME_BYTES,
    MAX_U64,
    checked_index,
    checked_name,
    checked_uuid,
    shown,
    uuid_of_halves,
)

OplogIndex: TypeAlias = int
"""The place of an entry in a worker's log of operations: an unsigned number of 64 bits."""


@final
@attrs.frozen(order=True)
class ComponentId(ModelField):
    """A component, identified by its UUID.

    `ComponentId(uuid)` converts from a `uuid.UUID`, and `.uuid` back to one.

    Attributes:
        uuid: The UUID.

    Raises:
        InvalidIdError: If the UUID is not a `uuid.UUID`.

    Examples:
        >>> component_id = ComponentId.parse("F81D4FAE7DEC11D0A76500A0C91E6BF6")
        >>> str(component_id)
        'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'
        >>> component_id.high_bits, component_id.low_bits
        (17878533706586264016, 12062047867550723062)
    """

    uuid: UUID = attrs.field(converter=checked_uuid)

    _rest_schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "uuid"}

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the id that the value spells.

        Args:
            value: A ComponentId, a `uuid.UUID`, text, UTF-8 bytes or decoded JSON.

        Raises:
            InvalidIdError: If the value spells no component id.
        """
        if type(value) is cls:
            return value
        return cls(value if isinstance(value, UUID) else read(value, COMPONENT))

    @classmethod
    def from_bits(cls, high_bits: int, low_bits: int) -> Self:
        """Return the component whose UUID has these first and last 8 bytes, big-endian.

        Golem writes the halves unsigned. Signed halves, from the JVM or SQL, are accepted too.

        Args:
            high_bits: The first half, from -2^63 to 2^64 - 1.
            low_bits: The second half, from -2^63 to 2^64 - 1.

        Raises:
            InvalidIdError: If a half is not an int in that range.
        """
        return cls(uuid_of_halves(high_bits, low_bits))

    @property
    def high_bits(self) -> int:
        """The first 8 bytes, as an unsigned number."""
        return self.uuid.int >> 64

    @property
    def low_bits(self) -> int:
        """The last 8 bytes, as an unsigned number."""
        return self.uuid.int & MAX_U64

    def to_json(self) -> str:
        """Return the id as Golem's REST API writes it: the lower-case hyphenated UUID."""
        return str(self.uuid)

    def __str__(self) -> str:
        return str(self.uuid)


def _checked_component(value: ComponentId) -> ComponentId:
    if type(value) is not ComponentId:
        raise InvalidIdError(f"component_id must be a ComponentId, not {shown(value)}")
    return value


@final
@attrs.frozen(order=True)
class WorkerId(ModelField):
    """A worker of a component, and its name; Golem 1.3 and later call it an agent.

    The versions of Golem differ in the names that they accept, and refuse the others themselves.
    Refused here are only the names that no version accepts or no URL can carry: an empty name,
    `.`, `..`, more than 512 bytes of UTF-8, control characters and lone surrogates.

    Attributes:
        component_id: The component.
        worker_name: The name. The name of an agent is its whole id, such as `MyAgent("x")`.

    Raises:
        InvalidIdError: If the name is refused, or a value is of another type.

    Examples:
        >>> worker_id = WorkerId.parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1")
        >>> worker_id.urn
        'urn:worker:f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1'
    """

    component_id: ComponentId = attrs.field(converter=_checked_component)
    worker_name: str = attrs.field(converter=checked_name)

    _rest_schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "componentId": ComponentId._rest_schema,  # noqa: SLF001 - of this file
            "workerName": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_BYTES},
        },
        "required": ["componentId", "workerName"],
    }

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the id that the value spells.

        In text, everything after the component and a separator is the name, white space at its
        end included. In the URNs of Golem 1.1, the name of a function may follow the worker's
        name; it looks like a name with a slash, and is read as one. Names in URNs are
        not decoded: Golem 1.2 and later do not encode them, and few names of 1.1 need it.

        Args:
            value: A WorkerId, text, UTF-8 bytes or decoded JSON.

        Raises:
            InvalidIdError: If the value spells no worker id.
        """
        if type(value) is cls:
            return value
        uuid, worker_name = read(value, WORKER)
        return cls(ComponentId(uuid), worker_name)

    @property
    def urn(self) -> str:
        """The worker's URN as Golem 1.2 and later write it, with the name not encoded."""
        return f"urn:worker:{self}"

    def to_json(self) -> dict[str, str]:
        """Return the id as Golem's REST API writes it, in camel case."""
        return {"componentId": self.component_id.to_json(), "workerName": self.worker_name}

    def __str__(self) -> str:
        return f"{self.component_id}/{self.worker_name}"


AgentId = WorkerId


def _checked_worker(value: WorkerId) -> WorkerId:
    if type(value) is not WorkerId:
        raise InvalidIdError(f"worker_id must be a WorkerId, not {shown(value)}")
    return value


@final
@attrs.frozen(order=True)
class PromiseId(ModelField):
    """A promise, identified by the worker that created it and a place in that worker's oplog.

    Attributes:
        worker_id: The worker.
        oplog_idx: The index, from 0 to 2^64 - 1.

    Raises:
        InvalidIdError: If the index is out of range, or a value is of another type.

    Examples:
        >>> promise_id = PromiseId.parse(
        ...     {
        ...         "agentId": {
        ...             "componentId": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        ...             "agentId": 'MyAgent("x")',
        ...         },
        ...         "oplogIdx": 42,
        ...     }
        ... )
        >>> str(promise_id)
        'f81d4fae-7dec-11d0-a765-00a0c91e6bf6/MyAgent("x")/42'
        >>> promise_id == PromiseId.parse(str(promise_id)) == PromiseId.parse(promise_id.to_json())
        True
    """

    worker_id: WorkerId = attrs.field(converter=_checked_worker)
    oplog_idx: OplogIndex = attrs.field(converter=checked_index)

    _rest_schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "workerId": WorkerId._rest_schema,  # noqa: SLF001 - of this file
            "oplogIdx": {"type": "integer", "minimum": 0, "maximum": MAX_U64},
        },
        "required": ["workerId", "oplogIdx"],
    }

    @classmethod
    def parse(cls, value: AnyPromiseId) -> Self:
        """Return the id that the value spells.

        Every form is accepted in which Golem, its SDKs and golem-cli print the id of a promise,
        also inside the answer to an invocation. Unknown fields are ignored. Nothing is guessed:
        a float, a key that comes twice, or halves of a UUID that JavaScript rounded are errors.

        Args:
            value: A PromiseId, text, UTF-8 bytes or decoded JSON.

        Raises:
            InvalidIdError: If the value spells no promise id. No other exception is raised.
        """
        if type(value) is cls:
            return value
        short_cut = promise_as_rest_writes_it(value) if isinstance(value, dict) else None
        uuid, worker_name, oplog_idx = short_cut or read(value, PROMISE)
        return cls(WorkerId(ComponentId(uuid), worker_name), oplog_idx)

    def to_json(self) -> dict[str, Any]:
        """Return the id as Golem's REST API writes it, in camel case."""
        return {"workerId": self.worker_id.to_json(), "oplogIdx": self.oplog_idx}

    def __str__(self) -> str:
        return f"{self.worker_id}/{self.oplog_idx}"


AnyPromiseId: TypeAlias = PromiseId | str | bytes | bytearray | dict[str, Any] | list[Any]
"""A promise id in any form that `PromiseId.parse` accepts: an id, text, or decoded JSON."""
