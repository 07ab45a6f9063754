"""What travels between us and Golem, with no I/O.

Functions here build a request or read an answer. They know paths, headers, JSON shapes and
statuses, and nothing about sockets, clocks or retries.
"""

from golem_client.wire.error_body import MAX_ANSWER_BYTES
from golem_client.wire.request import Request, completion_request, webhook_request
from golem_client.wire.verdict import Sent, Silence, Verdict, read_answer, read_silence

__all__ = [
    "MAX_ANSWER_BYTES",
    "Request",
    "Sent",
    "Silence",
    "Verdict",
    "completion_request",
    "read_answer",
    "read_silence",
    "webhook_request",
]
