"""The ids of components, workers (or agents) and promises, in every spelling that Golem prints.

A value passes each module once, from the outside in:

| module | what it does |
| --- | --- |
| `values` | the three classes; their `parse` calls `reading` |
| `reading` | finds out what a value is, and takes off the answer of Golem that is around an id |
| `json_text`, `record_text` | decode text: JSON, and the notations of other languages |
| `records` | reads decoded JSON |
| `plain_text` | reads all other text |
| `rules` | what Golem allows in an id, and how a refused value is shown |
| `models` | ids as fields of pydantic models |
"""

from __future__ import annotations

from golem_client.ids.values import (
    AgentId,
    AnyPromiseId,
    ComponentId,
    OplogIndex,
    PromiseId,
    WorkerId,
)

__all__ = ["AgentId", "AnyPromiseId", "ComponentId", "OplogIndex", "PromiseId", "WorkerId"]
