"""The session with a Golem: the only package that touches the network.

The way of a payload: `complete_json` chooses the encoding, `_complete` adds the id, `_call` the
deadline and the observers. `Call.run` makes attempts, repeated by `retry`; each waits for its token
and at the gate, then `_send_once` sends it, the only function that touches aiohttp. The way of an
answer: `wire` judges it, the gate learns from it, and `retry.conclusion` says what all attempts
mean together.

    client     what users call            options   every option, checked once
    call       one call and its attempts  gate      when attempts may begin, for all calls
    session    connections of one loop    body      a request body that knows how far it got
    failures   aiohttp's exceptions       events    what observers are shown
    promise    a typed handle
"""

from golem_client.client.client import GolemClient
from golem_client.client.events import AttemptEvent, CallEvent, Observer
from golem_client.client.gate import Pressure
from golem_client.client.options import TokenSource
from golem_client.client.promise import AnyPromiseId, Promise

__all__ = [
    "AnyPromiseId",
    "AttemptEvent",
    "CallEvent",
    "GolemClient",
    "Observer",
    "Pressure",
    "Promise",
    "TokenSource",
]
