"""Golem for programs that are not asyncio: the client and the outbox, for threads.

    from golem_client.blocking import BlockingGolemClient

    client = BlockingGolemClient.from_env()  # at import, shared by all threads

    @app.post("/approve")
    def approve():
        client.complete_json(request.json["promise"], {"approved": True})

Nothing is written twice: the methods are those of the asyncio classes, run in one event loop in one
daemon thread per process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from golem_client.blocking.client import BlockingGolemClient, BlockingPromise

if TYPE_CHECKING:
    from golem_client.blocking.outbox import BlockingOutbox, BlockingOutboxPromise

__all__ = [
    "BlockingGolemClient",
    "BlockingOutbox",
    "BlockingOutboxPromise",
    "BlockingPromise",
]


def __getattr__(name: str) -> Any:
    """Import what needs SQLAlchemy when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from golem_client.outbox import Outbox  # noqa: F401, PLC0415 - its error names the extra

    # isort: split
    from golem_client.blocking import outbox  # noqa: PLC0415

    return getattr(outbox, name)
