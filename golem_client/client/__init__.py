"""The session with a Golem: the only module that touches the network.

A call takes few hops, each named after what it adds: `complete_json` names the encoding,
`_complete` encodes and gives the call its deadline, `Call.run` has `retry` run its attempts,
`_attempt` waits for the token and for its turn, and `_send_once` is the only place that touches
aiohttp. What an answer means is `wire`'s to say.
"""

from golem_client.client.client import GolemClient
from golem_client.client.events import AttemptEvent, CallEvent, Observer
from golem_client.client.promise import AnyPromiseId, Promise
from golem_client.client.settings import TokenSource

__all__ = [
    "AnyPromiseId",
    "AttemptEvent",
    "CallEvent",
    "GolemClient",
    "Observer",
    "Promise",
    "TokenSource",
]
