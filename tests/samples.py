"""What many tests use: an id, a token, and a policy that does not make them wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from golem_client import GolemClient, PromiseId, RetryPolicy

if TYPE_CHECKING:
    from tests.scripted_server import ScriptedServer

PROMISE_ID = PromiseId.parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42")
TOKEN = "tok-3f9c77e1a2b84d50"
QUICK = RetryPolicy(min_delay=0.001, max_delay=0.004)


def client_of(server: ScriptedServer, **options: Any) -> GolemClient:
    """Return a client of a server, one that waits for nothing unless told."""
    return GolemClient(server.url, **{"token": TOKEN, "retry": QUICK, **options})
