"""What calls have left behind in a client: the one test helper that looks inside."""

from __future__ import annotations

from golem_client import GolemClient


def leftovers(client: GolemClient) -> list[str]:
    """Return what is left of calls, when none is under way."""
    session = client._sessions.current
    if session is None:
        return []
    connector = session.http.connector
    assert connector is not None
    left = {
        "calls": len(session.waits),
        "slots": client._settings.max_connections - session.gate.free,
        "places in the gate": session.gate.under_way,
        "waiters at the gate": session.gate.pressure().waiting,
        "connections in use": len(connector._acquired),
    }
    return [f"{number} {what}" for what, number in left.items() if number]
