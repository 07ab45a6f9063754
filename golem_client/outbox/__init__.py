"""Accept a completion now, durably, and deliver it for days. Needs the extra `outbox`."""

from golem_client.outbox.key import Key

__all__ = ["Key"]
