"""What Golem calls things."""

from __future__ import annotations

from uuid import UUID

import attrs


@attrs.frozen(order=True)
class ComponentId:
    """A component, by its UUID."""

    uuid: UUID

    def __str__(self) -> str:
        return str(self.uuid)


@attrs.frozen(order=True)
class WorkerId:
    """A worker of a component."""

    component_id: ComponentId
    worker_name: str


@attrs.frozen(order=True)
class PromiseId:
    """A promise of a worker."""

    worker_id: WorkerId
    oplog_idx: int
