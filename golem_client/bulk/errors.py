"""What only a run of many completions can meet; the rest is the tree of `golem_client.errors`.

GolemError
├── DuplicateItemError       us: an item names a promise that is under way in the same run
└── BulkStoppedError         the run ended early: every further item would have failed alike
"""

from __future__ import annotations

from golem_client import GolemError


class DuplicateItemError(GolemError):
    """Another item of the run, under way at the same time, names the same promise.

    Nothing of this item was sent: which of two payloads is stored must not be left to chance.
    """

    _advice = "Decide which of the items is meant."


class BulkStoppedError(GolemError):
    """The run ended early, because every further item would have failed in the same way.

    All items that were sent have had their results. Those not sent are as they were: go on from
    them once the reason is removed.

    Attributes:
        reason: The error that stopped the run; it was the result of an item as well.
        unsent: The number of items that were not sent; None where the source does not tell its
            length.
    """

    def __init__(self, message: str, reason: GolemError, unsent: int | None = None) -> None:
        super().__init__(message, reason, unsent)
        self.reason = reason
        self.unsent = unsent
        self.worth_retrying = reason.worth_retrying
