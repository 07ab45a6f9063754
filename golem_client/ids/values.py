"""The ids themselves: values that are valid, whoever made them."""

from __future__ import annotations

from typing import Any, ClassVar, Self, TypeAlias, cast, final
from uuid import UUID

import attrs

from golem_client.errors import InvalidIdError
from golem_client.ids.json_forms import parts_as_rest_writes_them
from golem_client.ids.models import ModelField
from golem_client.ids.reading import COMPONENT, PROMISE, WORKER, read
from golem_client.ids.rules import (
    MAX_NAME_BYTES,
    MAX_U64,
    checked_index,
    checked_name,
    checked_uuid,
    shown,
    uuid_of_halves,
)

# A number of 64 bits without a sign: the place of an entry in a worker's log of operations.
OplogIndex: TypeAlias = int


@final
@attrs.frozen(order=True)
class ComponentId(ModelField):
    """A component, by its UUID. `ComponentId(uuid)` and `.uuid` convert from and to `uuid.UUID`.

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
        """Return the id that the value spells: a UUID, text, UTF-8 bytes or decoded JSON.

        Raises:
            InvalidIdError: If it spells none.
        """
        if type(value) is cls:
            return value
        if issubclass(type(value), UUID):
            return cls(cast("UUID", value))
        return cls(read(value, COMPONENT))

    @classmethod
    def from_bits(cls, high_bits: int, low_bits: int) -> Self:
        """Return the component whose UUID has these first and last 8 bytes, big-endian.

        Golem writes the halves unsigned; signed ones, as the JVM and SQL have them, are taken too.

        Raises:
            InvalidIdError: If one is not an int from -2^63 to 2^64 - 1.
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
    """A worker of a component, by its name; from Golem 1.3 on it is called an agent.

    Golem's versions differ in the names that they take, and so say themselves what they refuse.
    Refused here is only what no version takes, or no URL carries: an empty name, `.`, `..`, more
    than 512 bytes of UTF-8, control characters and lone surrogates.

    Attributes:
        component_id: The component.
        worker_name: The name; of an agent, the whole of `MyAgent("x")`.

    Raises:
        InvalidIdError: If the name is refused, or either is of another type.

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
            "componentId": ComponentId._rest_schema,  # noqa: SLF001 - of this very file
            "workerName": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_BYTES},
        },
        "required": ["componentId", "workerName"],
    }

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the id that the value spells: text, UTF-8 bytes or decoded JSON.

        In text, all that follows the component and a separator is the name: white space at its
        end too, and the function that Golem 1.1's URNs may have there. In URNs nothing is decoded,
        as Golem encodes nothing from 1.2 on, and few of 1.1's names need it.

        Raises:
            InvalidIdError: If it spells none.
        """
        if type(value) is cls:
            return value
        uuid, worker_name = read(value, WORKER)
        return cls(ComponentId(uuid), worker_name)

    @property
    def urn(self) -> str:
        """The worker's URN as Golem 1.2 and later write it, the name as it is."""
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
    """A promise, by the worker that created it and the place in that worker's oplog.

    Attributes:
        worker_id: The worker.
        oplog_idx: The index, from 0 to 2^64 - 1.

    Raises:
        InvalidIdError: If the index is out of range, or either is of another type.

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
            "workerId": WorkerId._rest_schema,  # noqa: SLF001 - of this very file
            "oplogIdx": {"type": "integer", "minimum": 0, "maximum": MAX_U64},
        },
        "required": ["workerId", "oplogIdx"],
    }

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the id that the value spells: text, UTF-8 bytes or decoded JSON.

        That is every form in which Golem, its SDKs and its command line print a promise's id, and
        the answer of an invocation around one. Unknown fields are passed over. Nothing is guessed:
        a float, a key twice, or halves of a UUID that JavaScript rounded are errors.

        Raises:
            InvalidIdError: If it spells none. No other exception leaves, whatever the value.
        """
        if type(value) is cls:
            return value
        uuid, worker_name, oplog_idx = parts_as_rest_writes_them(value) or read(value, PROMISE)
        return cls(WorkerId(ComponentId(uuid), worker_name), oplog_idx)

    def to_json(self) -> dict[str, Any]:
        """Return the id as Golem's REST API writes it, in camel case."""
        return {"workerId": self.worker_id.to_json(), "oplogIdx": self.oplog_idx}

    def __str__(self) -> str:
        return f"{self.worker_id}/{self.oplog_idx}"
