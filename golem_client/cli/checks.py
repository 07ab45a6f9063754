"""The steps on the way to Golem that `doctor` checks, up to TLS. None shows a secret."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

from golem_client import RetryPolicy
from golem_client.config import Secret, is_private_transport
from golem_client.config.environment import (
    Connection,
    connection_from_env,
    connection_from_profile,
    options_from_env,
)

if TYPE_CHECKING:
    from golem_client.cli.options import Target

_SOON_DAYS = 14


class State(Enum):
    """How a check ended, in the word that is printed."""

    OK = "ok"
    NOTE = "note"
    FAILED = "FAIL"


@attrs.frozen
class Check:
    """One line: what was found, and what to do about it."""

    name: str
    state: State
    found: str
    todo: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it for programs."""
        return {
            "check": self.name,
            "state": self.state.name.lower(),
            "found": self.found,
            "todo": self.todo,
        }


@attrs.frozen
class Way:
    """Where to look."""

    url: str
    token: Secret | None
    verifies_tls: bool

    @property
    def is_tls(self) -> bool:
        """Whether it is https."""
        return self.url.startswith("https:")

    @property
    def host(self) -> str:
        """The host to connect to."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port to connect to."""
        return urlsplit(self.url).port or (443 if self.is_tls else 80)

    def tls(self) -> ssl.SSLContext:
        """Return what to connect with."""
        context = ssl.create_default_context()
        if not self.verifies_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def check_settings(target: Target) -> tuple[list[Check], Way | None]:
    """Check the settings; without an address, there is no way to check."""
    try:
        options_from_env(RetryPolicy)
        found = _connection(target)
    except ValueError as error:
        return [Check("settings", State.FAILED, str(error).replace("base_url", "--url", 1))], None
    given = target.token()
    token = found.token if given is None else Secret(given)
    token_from = found.token_from if given is None else f"--token-file {target.token_file}"
    url_from = "--url" if target.url is not None else found.url_from
    checks = [Check("address", State.OK, f"{found.url}, from {url_from}")]
    checks += _about_token(found.url, token, token_from)
    return checks, Way(found.url, token, found.verifies_tls)


def _connection(target: Target) -> Connection:
    needs_token = target.token_file is None
    if target.profile is not None:
        return connection_from_profile(target.profile, needs_token=needs_token)
    return connection_from_env(target.url, needs_token=needs_token)


def _about_token(url: str, token: Secret | None, token_from: str) -> list[Check]:
    if token is None:
        todo = "set GOLEM_AUTH_TOKEN, unless it is a Golem 1.1 or 1.2, which ask for none"
        return [Check("token from", State.NOTE, token_from, todo)]
    checks = [Check("token from", State.OK, token_from)]
    if not is_private_transport(url):
        found = "plain http to another machine: the token can be read on the way"
        checks.append(Check("transport", State.NOTE, found, "use https"))
    return checks


async def check_connection(way: Way, timeout: float) -> list[Check]:
    """Check the name, the connection and TLS; the first that fails is the last."""
    checks: list[Check] = []
    for step in (_check_name, _check_tcp, *([_check_tls] if way.is_tls else [])):
        try:
            async with asyncio.timeout(timeout):
                checks.append(await step(way))
        except TimeoutError:
            name, todo = _LATE[step.__name__]
            checks.append(Check(name, State.FAILED, f"no answer within {timeout:g} s", todo))
        if checks[-1].state is State.FAILED:
            break
    return checks


_CHECK_FIREWALL = "check the host and port, the firewall, and whether a proxy is needed"
_LATE = {
    "_check_name": ("name", "check the name server of this machine"),
    "_check_tcp": ("connection", _CHECK_FIREWALL),
    "_check_tls": ("TLS", "check that the port speaks https"),
}


async def _check_name(way: Way) -> Check:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(way.host, way.port, type=1)
    except OSError as error:
        todo = f"check the name {way.host!r} for a typo, and the network"
        return Check("name", State.FAILED, f"{way.host} is not known ({error.strerror})", todo)
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    more = f" and {len(addresses) - 3} more" if len(addresses) > 3 else ""
    return Check("name", State.OK, f"{way.host} is {', '.join(addresses[:3])}{more}")


async def _check_tcp(way: Way) -> Check:
    begin = time.perf_counter()
    try:
        _, writer = await asyncio.open_connection(way.host, way.port)
    except OSError as error:
        reason = error.strerror or "refused at each of its addresses"
        todo = "check that Golem is up, and its port (9881 on this machine)"
        return Check("connection", State.FAILED, f"port {way.port}: {reason}", todo)
    milliseconds = (time.perf_counter() - begin) * 1000
    await _close(writer)
    return Check("connection", State.OK, f"port {way.port} accepts, in {milliseconds:.0f} ms")


async def _check_tls(way: Way) -> Check:
    try:
        _, writer = await asyncio.open_connection(
            way.host, way.port, ssl=way.tls(), server_hostname=way.host
        )
    except ssl.SSLCertVerificationError as error:
        todo = "install the authority's certificate (SSL_CERT_FILE), or renew the server's"
        found = f"the certificate is refused: {error.verify_message}"
        return Check("TLS", State.FAILED, found, todo)
    except OSError as error:  # SSLError is one
        todo = "check that the port speaks https"
        reason = getattr(error, "reason", None) or error.strerror or "it broke"
        return Check("TLS", State.FAILED, f"no TLS: {reason}", todo)
    tls = writer.get_extra_info("ssl_object")
    certificate = writer.get_extra_info("peercert") or {}
    await _close(writer)
    return _about_certificate(way, tls.version(), certificate.get("notAfter"))


def _about_certificate(way: Way, version: str, not_after: str | None) -> Check:
    if not way.verifies_tls:
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
