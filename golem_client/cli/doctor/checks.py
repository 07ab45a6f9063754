"""One line of the report of `doctor`."""

from __future__ import annotations

from enum import Enum

import attrs


class State(Enum):
    """How a check ended, in the word that is printed."""

    OK = "ok"
    NOTE = "note"
    FAILED = "FAIL"


@attrs.frozen
class Check:
    """One line: what was found, and what to do about it."""

    name: str
    state: State
    found: str
    todo: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it for programs."""
        return {
            "check": self.name,
            "state": self.state.name.lower(),
            "found": self.found,
            "todo": self.todo,
        }
