"""What Golem calls things: components, workers (or agents) and promises, in every spelling.

`values` has the classes, `rules` what they allow. `reading` tells what a value is: plain text
(`text_forms`), JSON (`json_text`), or a record in another notation (`record_text`). It takes off
what is around an id and hands records to `json_forms`. `models` is for pydantic.
"""

from __future__ import annotations

from golem_client.ids.values import AgentId, ComponentId, OplogIndex, PromiseId, WorkerId

__all__ = ["AgentId", "ComponentId", "OplogIndex", "PromiseId", "WorkerId"]
