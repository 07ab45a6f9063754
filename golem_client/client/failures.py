"""What the exceptions of aiohttp mean: the one place that translates them.

Of an exception's own text only the operating system's and OpenSSL's words are used: the rest may
quote the request, or what the server sent.
"""

from __future__ import annotations

import os
import re
import socket
import ssl

import aiohttp

from golem_client.client.body import Body
from golem_client.wire import Sent, Silence

FAILURES = (aiohttp.ClientError, OSError)
"""What an attempt can end with, besides an answer; `TimeoutError` is an `OSError`."""

_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)
_NO_SUCH_HOST = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def sent_before(error: BaseException, body: Body) -> Sent:
    """Return how much of the body was sent before the error.

    The body itself knows, unless a mock stands in for aiohttp: there the exception's class decides.
    """
    if body.is_taken:
        return body.sent
    return Sent.NOTHING if isinstance(error, _NEVER_SENT) else Sent.ALL


def is_stale(error: BaseException, body: Body) -> bool:
    """Whether a kept-alive connection ended before any byte of an answer, or before the request."""
    if not body.is_taken or body.is_answered or isinstance(error, _NEVER_SENT):
        return False
    if isinstance(error, aiohttp.ServerDisconnectedError):
        ended = isinstance(error.message, str)  # otherwise it holds the beginning of an answer
    else:
        ended = isinstance(error, ConnectionError | aiohttp.ClientConnectionError)
    return ended and (body.is_reused or body.sent is Sent.NOTHING)


def silence_of(error: BaseException, *, is_first_contact: bool) -> Silence:
    """Return whether a repeat is of any use.

    Before a session has had its first answer, a host that does not exist and a certificate that
    is refused are most likely mistakes in the configuration. Later they are ordinary failures: a
    service without ready pods has no name.
    """
    is_mistake = isinstance(error, aiohttp.ClientConnectorCertificateError) or _is_no_host(error)
    return Silence.UNREACHABLE if is_first_contact and is_mistake else Silence.BROKEN


def _is_no_host(error: BaseException) -> bool:
    return (
        isinstance(error, aiohttp.ClientConnectorDNSError)
        and isinstance(error.os_error, socket.gaierror)
        and error.os_error.errno in _NO_SUCH_HOST
    )


# The first class that fits decides: the special ones stand before their bases.
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "the name {host} cannot be looked up{why}"),
    (aiohttp.ClientConnectorCertificateError, "the certificate of {host} is refused{why}"),
    (aiohttp.ClientConnectorSSLError, "TLS with {host}:{port} failed{why}"),
    (aiohttp.ServerFingerprintMismatch, "the certificate has another fingerprint than ssl= names"),
    (aiohttp.ClientProxyConnectionError, "cannot connect to the proxy of the environment{why}"),
    (aiohttp.ClientHttpProxyError, "the proxy of the environment refused to connect{why}"),
    (aiohttp.ClientConnectorError, "cannot connect to {host}:{port}{why}"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
    (OSError, "the connection broke{why}"),
    (BaseException, "the connection failed"),
)

# OpenSSL's numbers (X509_V_ERR_…) in words of ours.
_CERTIFICATE_WORDS = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed, so no authority vouches for it",
    19: "it is signed by an authority that is signed by itself and unknown here",
    20: "it is signed by an authority that is unknown here",
    21: "it is signed by an authority that is unknown here",
    62: "it is made out to another name",
    64: "it is made out to another name",
}


def reason(error: BaseException) -> str:
    """Say in our own words what happened, with the system's words beside them."""
    if _is_no_host(error):
        words = "there is no host named {host}{why}"
    else:
        words = next(words for kind, words in _REASONS if isinstance(error, kind))
    host, port = getattr(error, "host", ""), getattr(error, "port", "")
    return words.format(host=host, port=port, why=_why(error))


def _why(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f": status {error.status}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        said = getattr(cause, "verify_message", None)
        ours = _CERTIFICATE_WORDS.get(getattr(cause, "verify_code", 0))
        return f": {ours} ({said})" if ours else f": {said or 'no reason is known'}"
    below: object = getattr(error, "os_error", None) or error
    if isinstance(below, ssl.SSLError):
        said = getattr(below, "verify_message", None) or below.reason
        if said == "WRONG_VERSION_NUMBER":
            said += " (if the port speaks plain HTTP, base_url begins with http://)"
    elif isinstance(below, socket.gaierror):
        said = below.strerror
    else:
        # A name with several addresses has one error with the texts of all, and no number.
        numbers = {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(below))}
        said = ", ".join(map(os.strerror, sorted(numbers)))
    return f": {said}" if said else ""
