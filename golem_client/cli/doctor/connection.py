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
    context = ssl.create_default_context()
    if not way.found.verifies_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


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
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(OSError):  # TimeoutError and SSLError are some
        async with asyncio.timeout(min(timeout, _PROBE_SECONDS)):
            _, writer = await asyncio.open_connection(*_server(url), ssl=context)
        await _close(writer)
        return True
    return False


async def _speaks_http(url: str, timeout: float) -> bool:
    """Return whether plain HTTP is spoken at this address."""
    with suppress(OSError):
        async with asyncio.timeout(min(timeout, _PROBE_SECONDS)):
            reader, writer = await asyncio.open_connection(*_server(url))
            try:
                writer.write(b"GET / HTTP/1.1\r\nHost: golem\r\nConnection: close\r\n\r\n")
                return await reader.read(5) == b"HTTP/"
            finally:
                writer.close()
    return False


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
        found_nothing = f"the name server does not answer within {timeout:g} s"
        return Check("name", State.FAILED, found_nothing, todo)
    except OSError as error:
        if error.errno != socket.EAI_NONAME:
            reason = f"{host} cannot be looked up now ({error.strerror})"
            return Check("name", State.FAILED, reason, todo)
        reason = f"no host is named {host} ({error.strerror})"
        return Check("name", State.FAILED, reason, "check it for a typo, and the network")
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    more = f" and {len(addresses) - 3} more" if len(addresses) > 3 else ""
    return Check("name", State.OK, f"{host} is {', '.join(addresses[:3])}{more}")


async def _check_port(host: str, port: int, timeout: float) -> Check:
    begin = time.perf_counter()
    firewall = "check host and port, the firewall, and whether a proxy is needed"
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        found = f"port {port}: no answer within {timeout:g} s"
        return Check("connection", State.FAILED, found, firewall)
    except OSError as error:
        # With several addresses, asyncio raises one error with the text of all and no number.
        numbers = {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}
        if numbers == {errno.ECONNREFUSED}:
            found = f"port {port} refuses connections: nothing listens there"
            todo = "start Golem, or correct the port (a local Golem's is 9881)"
            return Check("connection", State.FAILED, found, todo)
        words = ", ".join(os.strerror(number) for number in sorted(numbers)) or str(error)
        return Check("connection", State.FAILED, f"port {port}: {words}", firewall)
    milliseconds = (time.perf_counter() - begin) * 1000
    await _close(writer)
    return Check("connection", State.OK, f"port {port} accepts, in {milliseconds:.0f} ms")


async def _check_tls(way: Way, timeout: float) -> Check:
    url = way.found.url
    host, port = _server(url)
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(
                host, port, ssl=tls_context(way), server_hostname=host
            )
    except ssl.SSLCertVerificationError as error:
        return Check("TLS", State.FAILED, *certificate_problem(error, url))
    except OSError as error:
        if await _speaks_http(url, timeout):
            todo = f"try {url.replace('https:', 'http:', 1)}"
            return Check("TLS", State.FAILED, "the port speaks plain HTTP, not TLS", todo)
        late = f"no answer within {timeout:g} s" if isinstance(error, TimeoutError) else ""
        reason = late or getattr(error, "reason", None) or error.strerror or "it broke off"
        return Check("TLS", State.FAILED, f"no TLS: {reason}", "check the port")
    tls = writer.get_extra_info("ssl_object")
    certificate = writer.get_extra_info("peercert") or {}
    await _close(writer)
    return about_certificate(way, tls.version(), certificate.get("notAfter"))


def about_certificate(way: Way, version: str, not_after: str | None) -> Check:
    """Say how long the certificate is good for."""
    if not way.found.verifies_tls:
        found = f"{version}, any certificate is accepted: the profile says so"
        return Check("TLS", State.NOTE, found, "drop allowInsecure from the profile")
    if not_after is None:
        return Check("TLS", State.OK, version)
    days = math.floor((ssl.cert_time_to_seconds(not_after) - time.time()) / 86400)
    found = f"{version}, the certificate is good for {days} days"
    if days < _SOON_DAYS:
        return Check("TLS", State.NOTE, found, "renew it")
    return Check("TLS", State.OK, found)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
