"""What the exceptions of aiohttp mean: the one place that translates them.

Nothing of an exception's own text is used: it may quote the request, or what the server sent.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from golem_client.client.session import Body

FAILURES = (aiohttp.ClientError, OSError)
"""What an attempt can end with, besides an answer; `TimeoutError` is an `OSError`."""

_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)


def was_sent(error: BaseException, body: Body) -> bool:
    """Whether any of the body went out.

    The body itself knows, unless a mock stands in for aiohttp: there the exception's class decides.
    """
    return body.is_begun if body.is_taken else not isinstance(error, _NEVER_SENT)


def is_stale(error: BaseException, body: Body) -> bool:
    """Whether a kept-alive connection ended before any byte of an answer, or before the request."""
    if not body.is_taken or body.is_answered or isinstance(error, _NEVER_SENT):
        return False
    if isinstance(error, aiohttp.ServerDisconnectedError):
        ended = isinstance(error.message, str)  # otherwise it holds the beginning of an answer
    else:
        ended = isinstance(error, ConnectionError | aiohttp.ClientConnectionError)
    return ended and (body.is_reused or not body.is_begun)


# The first class that fits decides: the special ones stand before their bases.
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "there is no host named {host}"),
    (aiohttp.ClientConnectorCertificateError, "the certificate of {host} is not valid for it"),
    (aiohttp.ClientConnectorSSLError, "TLS with {host}:{port} failed{why}"),
    (aiohttp.ServerFingerprintMismatch, "the certificate has another fingerprint than ssl= names"),
    (aiohttp.ClientProxyConnectionError, "cannot connect to the proxy of the environment{why}"),
    (aiohttp.ClientHttpProxyError, "the proxy of the environment refused to connect"),
    (aiohttp.ClientConnectorError, "cannot connect to {host}:{port}{why}"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
    (OSError, "the connection broke{why}"),
    (BaseException, "the connection failed"),
)


def reason(error: BaseException) -> str:
    """Say in our own words what happened."""
    words = next(words for kind, words in _REASONS if isinstance(error, kind))
    host, port = getattr(error, "host", ""), getattr(error, "port", "")
    return words.format(host=host, port=port, why=_why(getattr(error, "os_error", error)))


def _why(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        words = getattr(error, "verify_message", None) or error.reason
    else:
        number = getattr(error, "errno", None)
        words = os.strerror(number) if isinstance(number, int) and number > 0 else None
    return f": {words}" if words else ""
