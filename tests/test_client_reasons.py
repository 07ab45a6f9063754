"""Reasons name the cause that they have, in our words and in the system's beside them."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from golem_client import ConnectionFailedError, GolemClient, Outcome, RetryPolicy
from golem_client.testing import FakeGolem
from tests.authority import Certificate, authority
from tests.samples import PROMISE_ID, TOKEN
from tests.scripted_server import TRUE, ScriptedServer, message, raw_then_close, serving

SEVERAL = RetryPolicy(max_attempts=3, min_delay=0.001, max_delay=0.002)


# Certificates


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    raise AssertionError("no request may come")


def self_signed(folder: Path) -> tuple[Certificate, Certificate | None]:
    return authority(folder), None


def unknown_authority(folder: Path) -> tuple[Certificate, Certificate | None]:
    return authority(folder).signs(folder), None


def expired(folder: Path) -> tuple[Certificate, Certificate | None]:
    root = authority(folder)
    return root.signs(folder, is_expired=True), root


def another_host(folder: Path) -> tuple[Certificate, Certificate | None]:
    root = authority(folder)
    return root.signs(folder, "127.0.0.9"), root


def another_name(folder: Path) -> tuple[Certificate, Certificate | None]:
    root = authority(folder)
    return root.signs(folder), root


@pytest.mark.parametrize(
    ("show", "ours", "theirs"),
    [
        (
            self_signed,
            "it is self-signed, so no authority vouches for it",
            "self-signed certificate",
        ),
        (another_name, "it is made out to another name", "Hostname mismatch"),
        (
            unknown_authority,
            "it is signed by an authority that is unknown here",
            "unable to get local issuer certificate",
        ),
        (expired, "it has expired", "certificate has expired"),
        (another_host, "it is made out to another name", "IP address mismatch"),
    ],
)
async def test_a_certificate_is_refused_for_its_own_reason(
    show: Callable[[Path], tuple[Certificate, Certificate | None]],
    ours: str,
    theirs: str,
    tmp_path: Path,
) -> None:
    """It is most likely the configuration: the first contact is not repeated."""
    shown, trusted = show(tmp_path)
    host = "localhost" if show is another_name else "127.0.0.1"
    async with (
        serving(never, shown.shown()) as url,
        GolemClient(
            url.replace("http://127.0.0.1", f"https://{host}"),
            token=TOKEN,
            retry=SEVERAL,
            ssl=trusted.trusted() if trusted else True,
        ) as client,
    ):
        with pytest.raises(ConnectionFailedError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    error = caught.value
    assert f"the certificate of {host} is refused: {ours}" in error.message
    assert theirs in error.message
    assert (error.attempts, error.may_have_completed, error.worth_retrying) == (1, False, True)
    assert (error.__cause__, error.__context__) == (None, None)


async def test_a_certificate_that_is_refused_later_is_repeated(tmp_path: Path) -> None:
    """A server in mid-rollout may show its old one for a moment."""
    root = authority(tmp_path)
    bad = root.signs(tmp_path, is_expired=True)
    context = root.shown()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"]}")
        writer.write(message(Connection="close"))
        await writer.drain()

    async with (
        serving(serve, context) as url,
        GolemClient(url.replace("http:", "https:"), retry=SEVERAL, ssl=root.trusted()) as client,
    ):
        await client.complete_json(PROMISE_ID, 1)
        context.load_cert_chain(bad.path)
        with pytest.raises(ConnectionFailedError, match="it has expired") as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (caught.value.attempts, caught.value.worth_retrying) == (3, True)


async def test_https_to_a_port_of_plain_http_names_the_scheme() -> None:
    """OpenSSL's WRONG_VERSION_NUMBER tells nobody."""
    async with FakeGolem() as golem:
        url = golem.url.replace("http:", "https:")
        async with GolemClient(url, retry=RetryPolicy.none()) as client:
            with pytest.raises(ConnectionFailedError, match="base_url begins with http://"):
                await client.complete_json(PROMISE_ID, 1)


# Names


class Resolver(AbstractResolver):
    """One that fails as it is told to."""

    def __init__(self, *answers: OSError | None) -> None:
        self.answers = list(answers)

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - the name is aiohttp's
    ) -> list[ResolveResult]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            raise answer
        found = ResolveResult(
            hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
        )
        return [found]

    async def close(self) -> None:
        pass


def no_such_host() -> OSError:
    return socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def client_with(resolver: Resolver, port: str = "1") -> GolemClient:
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
    return GolemClient(f"http://golem.internal:{port}", connector=connector, retry=SEVERAL)


async def closed(client: GolemClient) -> None:
    connector = client._settings.connector
    assert connector is not None
    await client.aclose()
    await connector.close()


@pytest.mark.parametrize(
    ("failure", "says", "attempts"),
    [
        (
            no_such_host(),
            "there is no host named golem.internal: Name or service not known",
            1,
        ),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            "the name golem.internal cannot be looked up: Temporary failure in name resolution",
            3,
        ),
        (
            socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"),
            "the name golem.internal cannot be looked up: Non-recoverable failure",
            3,
        ),
        (
            OSError(errno.EMFILE, "x"),
            "the name golem.internal cannot be looked up: Too many open files",
            3,
        ),
        (OSError("words of a resolver's own"), "the name golem.internal cannot be looked up", 3),
    ],
    ids=["no such host", "try again", "failed", "out of files", "no number"],
)
async def test_a_name_is_not_found_for_its_own_reason(
    failure: OSError, says: str, attempts: int
) -> None:
    """Only a host that does not exist is taken for a slip in the configuration."""
    client = client_with(Resolver(failure))
    with pytest.raises(ConnectionFailedError) as caught:
        await client.complete_json(PROMISE_ID, 1)
    await closed(client)
    error = caught.value
    assert says in error.message
    assert (error.attempts, error.may_have_completed, error.worth_retrying) == (
        attempts,
        False,
        True,
    )


async def test_a_host_that_is_gone_after_the_first_answer_is_repeated() -> None:
    """A service without ready pods has no name, for a while."""
    async with ScriptedServer(raw_then_close(message(Connection="close"))) as server:
        port = server.url.rpartition(":")[2]
        client = client_with(Resolver(None, no_such_host(), no_such_host(), None), port)
        first = await client.complete_json(PROMISE_ID, 1)
        second = await client.complete_json(PROMISE_ID, 1)
        await closed(client)
    assert (first.attempts, second.attempts) == (1, 3)
    assert second.outcome is Outcome.FULFILLED


async def test_a_refusal_is_an_answer_too() -> None:
    """Whatever the first one says: there is such a server."""
    steps = [raw_then_close(message(403, b"", Connection="close")), TRUE]
    async with ScriptedServer(*steps) as server:
        port = server.url.rpartition(":")[2]
        client = client_with(Resolver(None, no_such_host(), None), port)
        with pytest.raises(Exception, match="403"):
            await client.complete_json(PROMISE_ID, 1)
        assert (await client.complete_json(PROMISE_ID, 1)).attempts == 2
        await closed(client)


class TwoAddresses(Resolver):
    """One that finds two addresses; no connection leads to the second."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        (found,) = await super().resolve(host, port, family)
        nowhere: ResolveResult = {**found, "host": "::ffff:255.255.255.255"}
        nowhere["family"] = socket.AF_INET6
        return [found, nowhere]


async def test_the_reasons_of_several_addresses_are_all_named() -> None:
    """Where they differ, the error has no number of its own."""
    client = client_with(TwoAddresses(None))
    with pytest.raises(ConnectionFailedError) as caught:
        await client.complete_json(PROMISE_ID, 1)
    await closed(client)
    assert re.fullmatch(
        r"cannot connect to golem\.internal:1: \w[\w ]+, Connection refused", caught.value.message
    )
