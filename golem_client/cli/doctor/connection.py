"""The steps on the way to Golem that `doctor` checks before it asks anything: up to TLS."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import re
import socket
import ssl
import time
from contextlib import suppress
from urllib.parse import urlsplit

from golem_client.cli.doctor.checks import Check, State
from golem_client.cli.options import Target, Way

_SOON_DAYS = 14
_PROBE_SECONDS = 2.0
_PORTS = {"http": 80, "https": 443}


def check_settings(target: Target) -> tuple[list[Check], Way | None]:
    """Check the settings; a wrong one leaves no way to check."""
    try:
        way = target.way()
    except ValueError as error:
        return [Check("settings", State.FAILED, str(error))], None
    found = way.found
    checks = [Check("address", State.OK, f"{found.url}, from {found.url_from}")]
    if way.proxy is not None:
        checks.append(Check("proxy", State.OK, f"{way.proxy}, from {way.proxy.variable}"))
    if found.token is None:
        todo = "set GOLEM_AUTH_TOKEN, unless it is a Golem 1.1 or 1.2, which ask for none"
        checks.append(Check("token from", State.NOTE, found.token_from, todo))
    else:
        checks.append(Check("token from", State.OK, found.token_from))
    reason = way.insecurity()
    if reason is not None:
        checks.append(Check("transport", State.NOTE, reason))
    return checks, way


async def check_connection(way: Way, timeout: float) -> list[Check]:
    """Check the name, the port and TLS; the first that fails is the last.

    Behind a proxy, name and port are the proxy's, and TLS is checked with the first request.
    """
    host, port = _server(way.found.url if way.proxy is None else way.proxy.url)
    checks = [await _check_name(host, port, timeout)]
    if checks[-1].state is State.OK:
        checks.append(await _check_port(host, port, timeout))
    is_direct_tls = way.found.url.startswith("https:") and way.proxy is None
    if checks[-1].state is State.OK and is_direct_tls:
        checks.append(await _check_tls(way, timeout))
    return checks


def tls_context(way: Way) -> ssl.SSLContext:
    """Return what to connect with over TLS."""
    return ssl.create_default_context() if way.found.verifies_tls else _any_certificate()


def certificate_problem(error: ssl.SSLCertVerificationError, url: str) -> tuple[str, str]:
    """Return what is wrong with a certificate, and what to do."""
    trust = "trust it: SSL_CERT_FILE=certificate.pem"
    found, todo = {
        9: ("it is not valid yet", "check the clocks of both machines"),
        10: ("it has expired", "renew it on the server"),
        18: ("it is self-signed, so no authority vouches for it", trust),
        62: (f"it is not for the name {urlsplit(url).hostname}", "use the name that it is for"),
        64: (f"it is not for {urlsplit(url).hostname}", "use the name that it is for"),
    }.get(error.verify_code, ("no authority that this machine trusts has signed it", trust))
    return f"the certificate is refused: {found} ({error.verify_message})", todo


async def speaks_tls(url: str, timeout: float) -> bool:
    """Return whether TLS is spoken at this address, whatever its certificate."""
    with suppress(OSError):  # TimeoutError and SSLError are some
        await _knock(*_server(url), min(timeout, _PROBE_SECONDS), _any_certificate())
        return True
    return False


async def _speaks_http(url: str, timeout: float) -> bool:
    """Return whether plain HTTP is spoken at this address."""
    hello = b"GET / HTTP/1.1\r\nHost: golem\r\nConnection: close\r\n\r\n"
    with suppress(OSError):
        _, said = await _knock(*_server(url), min(timeout, _PROBE_SECONDS), hello=hello)
        return said == b"HTTP/"
    return False


async def _knock(
    host: str, port: int, timeout: float, tls: ssl.SSLContext | None = None, hello: bytes = b""
) -> tuple[ssl.SSLObject | None, bytes]:
    """Connect and leave again; return what TLS came to, and the beginning of an answer."""
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        try:
            writer.write(hello)
            said = await reader.read(5) if hello else b""
        finally:
            writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return writer.get_extra_info("ssl_object"), said


def _any_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _server(url: str) -> tuple[str, int]:
    """Return the host and the port of a URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


async def _check_name(host: str, port: int, timeout: float) -> Check:
    todo = "check this machine's network and name server"
    try:
        async with asyncio.timeout(timeout):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    except TimeoutError:
        reason = f"the name server does not answer within {timeout:g} s"
    except OSError as error:
        reason = f"{host} cannot be looked up now ({error.strerror})"
        if error.errno == socket.EAI_NONAME:
            reason = f"no host is named {host} ({error.strerror})"
            todo = "check it for a typo, and the network"
    else:
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        more = f" and {len(addresses) - 3} more" if len(addresses) > 3 else ""
        return Check("name", State.OK, f"{host} is {', '.join(addresses[:3])}{more}")
    return Check("name", State.FAILED, reason, todo)


async def _check_port(host: str, port: int, timeout: float) -> Check:
    begin = time.perf_counter()
    todo = "check host and port, the firewall, and whether a proxy is needed"
    try:
        await _knock(host, port, timeout)
    except TimeoutError:
        reason = f": no answer within {timeout:g} s"
    except OSError as error:
        # With several addresses, asyncio raises one error with the text of all and no number.
        numbers = {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}
        reason = f": {', '.join(os.strerror(number) for number in sorted(numbers)) or error}"
        if numbers == {errno.ECONNREFUSED}:
            reason = " refuses connections: nothing listens there"
            todo = "start Golem, or correct the port (a local Golem's is 9881)"
    else:
        milliseconds = (time.perf_counter() - begin) * 1000
        return Check("connection", State.OK, f"port {port} accepts, in {milliseconds:.0f} ms")
    return Check("connection", State.FAILED, f"port {port}{reason}", todo)


async def _check_tls(way: Way, timeout: float) -> Check:
    url, todo = way.found.url, "check the port"
    try:
        tls, _ = await _knock(*_server(url), timeout, tls_context(way))
    except ssl.SSLCertVerificationError as error:
        reason, todo = certificate_problem(error, url)
    except OSError as error:
        late = f"no answer within {timeout:g} s" if isinstance(error, TimeoutError) else ""
        reason = late or getattr(error, "reason", None) or error.strerror or "it broke off"
        reason = f"no TLS: {reason}"
        if await _speaks_http(url, timeout):
            todo = f"try {url.replace('https:', 'http:', 1)}"
            reason = "the port speaks plain HTTP, not TLS"
    else:
        certificate = (tls.getpeercert() if tls is not None else None) or {}
        version = (tls.version() if tls is not None else None) or "TLS"
        return about_certificate(way, version, str(certificate.get("notAfter", "")))
    return Check("TLS", State.FAILED, reason, todo)


def about_certificate(way: Way, version: str, not_after: str) -> Check:
    """Say how long the certificate is good for."""
    if not way.found.verifies_tls:
        found = f"{version}, any certificate is accepted: the profile says so"
        return Check("TLS", State.NOTE, found, "drop allowInsecure from the profile")
    days = math.floor((ssl.cert_time_to_seconds(not_after) - time.time()) / 86400)
    found = f"{version}, the certificate is good for {days} days"
    is_late = days < _SOON_DAYS
    return Check("TLS", State.NOTE if is_late else State.OK, found, "renew it" if is_late else "")
