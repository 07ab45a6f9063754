"""Complete many promises: as fast as Golem takes them, in memory that their number does not change.

`run` takes items from their source, a few at a time, and hands out what became of each. `items`
has what goes in and comes out, `source` makes one thing of sync and async iterables, `hold` has a
run wait while Golem is away or limits the rate.
"""

from golem_client import BulkStoppedError, DuplicateItemError
from golem_client.bulk.items import Item, Result
from golem_client.bulk.run import BulkRun, complete_many

__all__ = [
    "BulkRun",
    "BulkStoppedError",
    "DuplicateItemError",
    "Item",
    "Result",
    "complete_many",
]
