"""The list of options, which stands in several places, and the client that `with_options` makes."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import re
import typing
from types import ModuleType
from typing import Any

import attrs
import pytest

import golem_client
from golem_client import ConnectionFailedError, GolemClient, GolemError, Outcome, RetryPolicy
from golem_client.client.options import ChangeableOptions, ClientOptions, Settings
from golem_client.config import environment
from golem_client.testing import FakeGolem
from tests.samples import PROMISE_ID, TOKEN, client_of
from tests.scripted_server import TRUE, ScriptedServer, answer, stall

FIELDS = {
    field.name: field
    for field in attrs.fields(Settings)
    if field.init and field.name not in ("base_url", "token")
}
CONSTRUCTOR = {
    name: parameter
    for name, parameter in inspect.signature(GolemClient).parameters.items()
    if name not in ("base_url", "token")
}


def test_the_constructor_has_each_option_with_its_default() -> None:
    assert list(CONSTRUCTOR) == list(FIELDS)
    assert {parameter.kind for parameter in CONSTRUCTOR.values()} == {
        inspect.Parameter.KEYWORD_ONLY
    }
    assert {name: one.default for name, one in CONSTRUCTOR.items()} == {
        name: field.default for name, field in FIELDS.items()
    }


def test_the_other_constructors_take_each_option_with_its_type() -> None:
    """`local`, `cloud`, `from_env` and `from_profile` unpack this type."""
    hints = typing.get_type_hints(GolemClient.__init__)
    assert typing.get_type_hints(ClientOptions) == {name: hints[name] for name in FIELDS}
    for make in ("local", "cloud", "from_env", "from_profile"):
        unpacked = typing.get_type_hints(getattr(GolemClient, make))["options"]
        assert typing.get_args(unpacked) == (ClientOptions,)


def test_the_options_that_can_be_changed_are_some_of_them() -> None:
    """Those that belong to connections cannot."""
    hints = typing.get_type_hints(ClientOptions)
    changeable = typing.get_type_hints(ChangeableOptions)
    assert changeable.items() <= hints.items()
    assert sorted(changeable) == [
        "attempt_timeout",
        "converter",
        "headers",
        "overload",
        "retry",
        "timeout",
    ]


def test_each_option_is_explained_where_users_look() -> None:
    text = inspect.getdoc(GolemClient) or ""
    explained = re.findall(r"^    (\w+): ", text, re.MULTILINE)
    assert explained[: len(FIELDS) + 2] == ["base_url", "token", *FIELDS]


def test_the_environments_table_names_options_and_their_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each variable of the table is read, and sets the option that it is named after."""
    rows = re.findall(
        r"^\| `GOLEM_CLIENT_(\w+)` \| .* \| `?([\w.]+)`? \|$",
        environment.__doc__ or "",
        re.MULTILINE,
    )
    assert len(rows) == 9
    defaults = RetryPolicy()
    for name, default in rows:
        monkeypatch.setenv(f"GOLEM_CLIENT_{name}", default)
        if name.startswith("RETRY_"):
            assert float(default) == getattr(defaults, name.removeprefix("RETRY_").lower())
    options = environment.options_from_env(RetryPolicy)
    assert options == {name: FIELDS[name].default for name in options}
    assert sorted(options) == ["attempt_timeout", "overload", "retry", "timeout", "trust_env"]


MODULES = ["", ".testing", ".bulk", ".outbox", ".webhooks", ".links", ".blocking", ".telemetry"]


def _modules() -> list[ModuleType]:
    found = []
    for name in MODULES:
        module = f"golem_client{name}"
        if importlib.util.find_spec(module) is not None:
            found.append(importlib.import_module(module))
    return found


def _public(module: ModuleType) -> list[tuple[str, Any]]:
    """Return what is public in a module: functions, and the methods of classes."""
    found = []
    for name in module.__all__:
        value = getattr(module, name)
        found.append((f"{module.__name__}.{name}", value))
        if not inspect.isclass(value):
            continue
        for method, _ in inspect.getmembers(value):
            if method.startswith("_") and method not in ("__init__", "__call__"):
                continue
            one = inspect.getattr_static(value, method)
            one = one.fget if isinstance(one, property) else getattr(one, "__func__", one)
            if inspect.isfunction(one) and one.__module__.startswith("golem_client"):
                found.append((f"{module.__name__}.{name}.{method}", one))
    return found


# Users are given these; their constructors are no names of users, and would be circular imports.
MADE_FOR_USERS = ("Promise.__init__", "OutboxPromise.__init__", "BlockingFakeGolem.__init__")


def _without_hints(functions: list[tuple[str, Any]]) -> list[str]:
    failed = []
    for name, one in functions:
        try:
            typing.get_type_hints(one)
        except NameError as error:
            failed.append(f"{name}: {error}")
    return failed


def _functions(module: ModuleType) -> list[tuple[str, Any]]:
    return [
        (name, one)
        for name, one in _public(module)
        if inspect.isfunction(one) and one.__qualname__ not in MADE_FOR_USERS
    ]


@pytest.mark.parametrize("module", _modules(), ids=lambda module: module.__name__)
def test_type_hints_of_everything_public_can_be_resolved(module: ModuleType) -> None:
    """Frameworks and documentation tools ask for them."""
    functions = _functions(module)
    assert _without_hints(functions) == []
    assert functions


def test_no_public_signature_shows_a_page_of_default_values() -> None:
    shown = {
        name: str(inspect.signature(one))
        for module in _modules()
        for name, one in _public(module)
        if inspect.isfunction(one)
    }
    assert {name: text for name, text in shown.items() if len(text) > 1100} == {}


# with_options


async def test_the_same_client_with_other_options() -> None:
    """It has the other's connections, and changes nothing of the other."""
    async with ScriptedServer() as server, client_of(server, timeout=20.0) as client:
        other = client.with_options(timeout=5.0, headers={"X-Source": "other"})
        await client.complete_json(PROMISE_ID, 1)
        await other.complete_json(PROMISE_ID, 1)
        assert (client.timeout, other.timeout) == (20.0, 5.0)
    assert [request.headers.get("x-source") for request in server.requests] == [None, "other"]
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {TOKEN}"}
    assert server.connections == 1


async def test_each_option_that_can_be_changed_counts() -> None:
    async with ScriptedServer(stall) as server, client_of(server) as client:
        quick = client.with_options(attempt_timeout=0.02, retry=RetryPolicy.none())
        with pytest.raises(GolemError, match=r"attempt_timeout of 0\.02 s"):
            await quick.complete_json(PROMISE_ID, 1)
        with pytest.raises(GolemError, match=r"timeout of 0\.03 s"):
            await client.with_options(timeout=0.03).complete_json(PROMISE_ID, 1)
        converter = golem_client.make_converter(key_style="camelCase")
        assert client.with_options(converter=converter, overload="ignore").timeout == 30.0


@pytest.mark.parametrize("closes", ["first", "second"])
async def test_closing_either_closes_both(closes: str) -> None:
    async with ScriptedServer() as server:
        first = client_of(server)
        second = first.with_options(timeout=1.0)
        await first.complete_json(PROMISE_ID, 1)
        await (first if closes == "first" else second).aclose()
        for client in (first, second, second.with_options(timeout=2.0)):
            with pytest.raises(RuntimeError, match="closed"):
                await client.complete_json(PROMISE_ID, 1)
    assert len(server.requests) == 1


async def test_closing_one_ends_the_calls_of_the_other() -> None:
    async with ScriptedServer(stall) as server:
        first = client_of(server, max_connections=1)
        busy = first.with_options(timeout=20.0)
        calls = [asyncio.create_task(busy.complete_json(PROMISE_ID, n)) for n in range(2)]
        await server.is_asked()
        await first.aclose()
        lost, unsent = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(lost, GolemError)
    assert isinstance(unsent, ConnectionFailedError)
    assert (lost.may_have_completed, unsent.may_have_completed) == (True, False)


async def test_they_share_the_gate() -> None:
    """What one learns of Golem's health the other knows."""
    async with (
        ScriptedServer(answer(503, b"", Retry_After="1"), TRUE) as server,
        client_of(server, retry=RetryPolicy.none()) as client,
    ):
        other = client.with_options(timeout=0.1)
        with pytest.raises(GolemError):
            await client.complete_json(PROMISE_ID, 1)
        assert not other.pressure.open
        with pytest.raises(GolemError) as caught:
            await other.complete_json(PROMISE_ID, 1)
        assert caught.value.attempts == 0
        done = await other.with_options(overload="ignore").complete_json(PROMISE_ID, 1)
    assert (done.outcome, len(server.requests)) == (Outcome.FULFILLED, 2)


@pytest.mark.parametrize(
    "option", ["max_connections", "max_payload_bytes", "ssl", "trust_env", "connector", "token"]
)
def test_what_belongs_to_the_connections_cannot_be_changed(option: str) -> None:
    client = GolemClient("http://localhost")
    with pytest.raises(TypeError, match=f"cannot change {option}"):
        client.with_options(**{option: None})  # type: ignore[arg-type]


def test_a_changed_option_is_checked() -> None:
    client = GolemClient("http://localhost")
    with pytest.raises(ValueError, match="timeout"):
        client.with_options(timeout=0)
    with pytest.raises(ValueError, match="Authorization"):
        client.with_options(headers={"Authorization": "x"})


async def test_a_subclass_stays_one() -> None:
    class Ours(GolemClient):
        pass

    async with FakeGolem() as golem, Ours(golem.url, token=golem.token) as client:
        assert type(client.with_options(timeout=3.0)) is Ours
