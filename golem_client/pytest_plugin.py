"""Fixtures for tests with a fake Golem, in the event loop of each test.

    async def test_approve(fake_golem, golem_client):
        promise_id = fake_golem.create_promise()
        await approve(golem_client, promise_id)
        fake_golem.assert_completed_json(promise_id, {"approved": True})

pytest imports the plugins of all that is installed, at every start, so before a test asks for a
fixture nothing is imported here but pytest. The package around this file is not either: the entry
point names `pytest_golem_client`, which runs this file by itself.
"""

from __future__ import annotations

import inspect
import sys
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from golem_client import GolemClient
    from golem_client.testing import FakeGolem

_MARK = "golem_dialect"
_INNER = "golem_client_fixtures"
_LOOP_SCOPES = ("function", "class", "module", "package", "session")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and what must be there once though this file is loaded twice."""
    config.addinivalue_line(
        "markers",
        f'{_MARK}(name, ...): the Golem that fake_golem plays: "1.1", "1.3" or "1.5"; '
        "several run the test once for each.",
    )
    if config.pluginmanager.has_plugin(_INNER):
        return
    inner = ModuleType(_INNER)  # pytest finds fixtures in modules and classes only
    vars(inner).update(_async_fixtures("anyio", pytest.fixture))
    if _has_pytest_asyncio(config):
        import pytest_asyncio  # noqa: PLC0415 - it is loaded already, where it is there at all

        for scope in _LOOP_SCOPES:
            of_loop = partial(pytest_asyncio.fixture, loop_scope=scope)
            vars(inner).update(_async_fixtures(scope, of_loop))
    vars(inner)["pytest_generate_tests"] = _run_for_each_dialect
    config.pluginmanager.register(inner, _INNER)


def _run_for_each_dialect(metafunc: pytest.Metafunc) -> None:
    if _MARK in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker(_MARK)
        if mark is not None and len(mark.args) > 1:
            metafunc.parametrize(_MARK, mark.args)


@pytest.fixture
def golem_dialect(request: pytest.FixtureRequest) -> str:
    """The generation that `fake_golem` plays: what the mark says, by default the newest.

    Parametrise it, or override it for a whole test suite.
    """
    mark = request.node.get_closest_marker(_MARK)
    if mark is None:
        return "1.5"
    if mark.kwargs or len(mark.args) != 1 or not isinstance(mark.args[0], str):
        _fail(f'{_MARK} takes the name of a dialect, as in @pytest.mark.{_MARK}("1.3"): {mark}')
    return str(mark.args[0])


@pytest.fixture
def fake_golem(
    request: pytest.FixtureRequest,
    golem_dialect: str,  # noqa: ARG001 - named here, so that a test can parametrise it
) -> FakeGolem:
    """A FakeGolem, running in the event loop of the test."""
    golem: FakeGolem = _opened("fake_golem", request)
    return golem


@pytest.fixture
def golem_client(
    request: pytest.FixtureRequest,
    fake_golem: FakeGolem,  # noqa: ARG001 - it shows in --setup-plan, and ends after the client
) -> GolemClient:
    """A GolemClient of `fake_golem`, with the usual settings, closed after the test."""
    client: GolemClient = _opened("golem_client", request)
    return client


def _async_fixtures(loop: str, fixture: Callable[..., Any]) -> dict[str, Any]:
    """Return what opens and closes the two objects in one kind of loop, by name."""

    async def open_golem(golem_dialect: str) -> AsyncIterator[FakeGolem]:
        from golem_client.testing import FakeGolem  # noqa: PLC0415 - see above

        try:
            golem = FakeGolem(dialect=golem_dialect)
        except ValueError as error:
            raise pytest.fail.Exception(f"{_MARK}: {error}", pytrace=False) from None
        async with golem:
            yield golem

    async def open_client(fake_golem: FakeGolem) -> AsyncIterator[GolemClient]:
        from golem_client import GolemClient  # noqa: PLC0415 - see above

        async with GolemClient(fake_golem.url, token=fake_golem.token) as client:
            yield client

    opened = {_name("fake_golem", loop): open_golem, _name("golem_client", loop): open_client}
    return {name: fixture(function, name=name) for name, function in opened.items()}


def _name(fixture: str, loop: str) -> str:
    return f"_{fixture}_in_{loop}_loop"


def _opened(fixture: str, request: pytest.FixtureRequest) -> Any:
    """Have the fixture opened in the loop in which the test runs.

    In any other loop, nobody would serve its sockets while the test runs, and the test would hang.
    """
    if _asks_for(fixture, request.node) and not _is_async(request.node):
        _fail(f"{fixture} runs in the event loop of an async test, and {request.node} is not async")
    return request.getfixturevalue(_name(fixture, _loop_of(fixture, request)))


def _loop_of(fixture: str, request: pytest.FixtureRequest) -> str:
    mark = request.node.get_closest_marker("asyncio")
    if "anyio_backend" in request.fixturenames:
        if mark is not None:
            _fail(f"pytest-asyncio and anyio both take {request.node}: set asyncio_mode = strict")
        if request.getfixturevalue("anyio_backend_name") != "asyncio":
            _fail(f"{fixture} needs asyncio: have anyio_backend return that alone")
        return "anyio"
    if not _has_pytest_asyncio(request.config):
        _fail(f"{fixture} needs a plugin that runs async tests: pip install pytest-asyncio")
    if mark is not None:
        scope = mark.kwargs.get("loop_scope") or mark.kwargs.get("scope")
        return str(scope or request.config.getini("asyncio_default_test_loop_scope"))
    if _is_async(request.node):
        _fail(f"mark {request.node} with @pytest.mark.asyncio, or set asyncio_mode = auto")
    return "function"


def _asks_for(fixture: str, item: Any) -> bool:
    """Tell whether a test names the fixture itself; others get it by way of their fixtures."""
    function = getattr(item, "function", None)
    return function is None or fixture in inspect.signature(function).parameters


def _is_async(item: Any) -> bool:
    function = getattr(item, "function", None)
    hypothesis = getattr(function, "hypothesis", None)  # it wraps the test in a plain function
    return inspect.iscoroutinefunction(getattr(hypothesis, "inner_test", function))


def _has_pytest_asyncio(config: pytest.Config) -> bool:
    plugin = sys.modules.get("pytest_asyncio.plugin")
    return plugin is not None and config.pluginmanager.is_registered(plugin)


def _fail(message: str) -> NoReturn:
    pytest.fail(message, pytrace=False)
