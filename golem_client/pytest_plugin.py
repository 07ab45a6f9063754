"""Fixtures for tests with a fake Golem.

    async def test_approve(fake_golem, fake_golem_client):
        promise_id = fake_golem.create_promise()
        await approve(fake_golem_client, promise_id)
        fake_golem.assert_completed_json(promise_id, {"approved": True})

    def test_view(blocking_fake_golem, blocking_golem_client):
        promise_id = blocking_fake_golem.create_promise()
        ...  # call your Flask, Django or FastAPI app
        blocking_fake_golem.assert_completed_json(promise_id, {"approved": True})

The async ones run in the event loop of each test, with pytest-asyncio 0.24 or later, or anyio.
Override `golem_client_options` to give the clients other options, and `golem_dialect` to choose
another generation of Golem.

Each test has a fake of its own. For one in a whole session, write a fixture:

    @pytest.fixture(scope="session")
    def session_golem():
        with FakeGolem.in_thread() as golem:
            yield golem

or, for async tests that share one event loop (`@pytest.mark.asyncio(loop_scope="session")`):

    @pytest_asyncio.fixture(scope="session", loop_scope="session")
    async def session_golem():
        async with FakeGolem() as golem:
            yield golem
"""

# pytest imports the plugins of all that is installed, at every start. So before a test asks for a
# fixture, nothing is imported here but pytest; and the entry point is a module outside of this
# package, `pytest_golem_client`, which runs this file.

from __future__ import annotations

import inspect
import re
import sys
import warnings
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from golem_client import GolemClient
    from golem_client.blocking import BlockingGolemClient
    from golem_client.testing import BlockingFakeGolem, FakeGolem

_MARK = "golem_dialect"
_INNER = "golem_client_fixtures"
_OLDEST_ASYNCIO = (0, 24)
_LOOP_SCOPES = ("function", "class", "module", "package", "session")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and what must be there once though this file is loaded twice."""
    config.addinivalue_line(
        "markers",
        f'{_MARK}(name, ...): the Golem that fake_golem plays: "1.1", "1.2", "1.3" or "1.5"; '
        "several run the test once for each.",
    )
    if config.pluginmanager.has_plugin(_INNER):
        return
    inner = ModuleType(_INNER)  # pytest finds fixtures in modules and classes only
    vars(inner).update(_async_fixtures("anyio", pytest.fixture))
    if _asyncio_version(config) >= _OLDEST_ASYNCIO:
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
def golem_client_options() -> dict[str, Any]:
    """The options of the fixtures' clients: override it to add some, as in `{"timeout": 2.0}`.

    A retry policy with short delays is the default, so that a test of a failure is quick.
    """
    return {}


@pytest.fixture
def fake_golem_client(
    request: pytest.FixtureRequest,
    fake_golem: FakeGolem,  # noqa: ARG001 - it shows in --setup-plan, and ends after the client
    golem_client_options: dict[str, Any],  # noqa: ARG001 - so that a test can parametrise it
) -> GolemClient:
    """A GolemClient of `fake_golem`, with `golem_client_options`, closed after the test."""
    client: GolemClient = _opened("fake_golem_client", request)
    return client


@pytest.fixture
def golem_client(
    request: pytest.FixtureRequest,
    fake_golem: FakeGolem,  # noqa: ARG001 - as above
    golem_client_options: dict[str, Any],  # noqa: ARG001 - as above
) -> GolemClient:
    """The old name of `fake_golem_client`, which hides the package in tests that import it."""
    message = "the fixture golem_client has the name fake_golem_client now"
    warnings.warn(message, DeprecationWarning, stacklevel=1)
    client: GolemClient = _opened("golem_client", request)
    return client


@pytest.fixture
def blocking_fake_golem(golem_dialect: str) -> Iterator[BlockingFakeGolem]:
    """A fake Golem with blocking methods, in a thread of its own: for tests that are not async."""
    from golem_client.testing import FakeGolem  # noqa: PLC0415 - see above

    with _made(FakeGolem.in_thread, golem_dialect) as golem:
        yield golem


@pytest.fixture
def blocking_golem_client(
    blocking_fake_golem: BlockingFakeGolem, golem_client_options: dict[str, Any]
) -> Iterator[BlockingGolemClient]:
    """A BlockingGolemClient of `blocking_fake_golem`, with `golem_client_options`."""
    from golem_client.blocking import BlockingGolemClient  # noqa: PLC0415 - see above

    options = _options(blocking_fake_golem, golem_client_options)
    with BlockingGolemClient(blocking_fake_golem.url, **options) as client:
        yield client


def _options(golem: FakeGolem | BlockingFakeGolem, options: dict[str, Any]) -> dict[str, Any]:
    from golem_client import RetryPolicy  # noqa: PLC0415 - see above

    return {
        "token": golem.token,
        "retry": RetryPolicy(min_delay=0.001, max_delay=0.01),
        "overload": "ignore",  # so that a fault for ever ends a test after ten attempts
        **options,
    }


def _made(make: Callable[..., Any], dialect: str) -> Any:
    try:
        return make(dialect=dialect)
    except ValueError as error:
        raise pytest.fail.Exception(f"{_MARK}: {error}", pytrace=False) from None


def _async_fixtures(loop: str, fixture: Callable[..., Any]) -> dict[str, Any]:
    """Return what opens and closes the two objects in one kind of loop, by name."""

    async def open_golem(golem_dialect: str) -> AsyncIterator[FakeGolem]:
        from golem_client.testing import FakeGolem  # noqa: PLC0415 - see above

        async with _made(FakeGolem, golem_dialect) as golem:
            yield golem

    async def open_client(
        fake_golem: FakeGolem, golem_client_options: dict[str, Any]
    ) -> AsyncIterator[GolemClient]:
        from golem_client import GolemClient  # noqa: PLC0415 - see above

        options = _options(fake_golem, golem_client_options)
        async with GolemClient(fake_golem.url, **options) as client:
            yield client

    opened = {_name("fake_golem", loop): open_golem, _name("fake_golem_client", loop): open_client}
    return {name: fixture(function, name=name) for name, function in opened.items()}


def _name(fixture: str, loop: str) -> str:
    return f"_{fixture}_in_{loop}_loop"


def _opened(fixture: str, request: pytest.FixtureRequest) -> Any:
    """Have the fixture opened in the loop in which the test runs.

    In any other loop, nobody would serve its sockets while the test runs, and the test would hang.
    """
    if _asks_for(fixture, request.node) and not _is_async(request.node):
        blocking = "blocking_fake_golem" if fixture == "fake_golem" else "blocking_golem_client"
        _fail(
            f"{fixture} runs in the event loop of an async test, and {request.node} is not async: "
            f"use {blocking}"
        )
    opened = "fake_golem" if fixture == "fake_golem" else "fake_golem_client"
    return request.getfixturevalue(_name(opened, _loop_of(fixture, request)))


def _loop_of(fixture: str, request: pytest.FixtureRequest) -> str:
    mark = request.node.get_closest_marker("asyncio")
    if "anyio_backend" in request.fixturenames:
        if mark is not None:
            _fail(f"pytest-asyncio and anyio both take {request.node}: set asyncio_mode = strict")
        if request.getfixturevalue("anyio_backend_name") != "asyncio":
            _fail(f"{fixture} needs asyncio: have anyio_backend return that alone")
        return "anyio"
    version = _asyncio_version(request.config)
    if not version:
        _fail(f"{fixture} needs a plugin that runs async tests: pip install pytest-asyncio")
    if version < _OLDEST_ASYNCIO:
        oldest = ".".join(map(str, _OLDEST_ASYNCIO))
        _fail(f"{fixture} needs pytest-asyncio {oldest} or later: pip install -U pytest-asyncio")
    if mark is not None:
        scope = mark.kwargs.get("loop_scope") or mark.kwargs.get("scope")
        return str(scope or _default_loop_scope(request.config))
    if _is_async(request.node):
        _fail(f"mark {request.node} with @pytest.mark.asyncio, or set asyncio_mode = auto")
    return "function"


def _asks_for(fixture: str, item: Any) -> bool:
    """Return whether a test names the fixture itself; others get it by way of their fixtures."""
    function = getattr(item, "function", None)
    return function is None or fixture in inspect.signature(function).parameters


def _is_async(item: Any) -> bool:
    function = getattr(item, "function", None)
    hypothesis = getattr(function, "hypothesis", None)  # it wraps the test in a plain function
    return inspect.iscoroutinefunction(getattr(hypothesis, "inner_test", function))


def _default_loop_scope(config: pytest.Config) -> str:
    try:
        return str(config.getini("asyncio_default_test_loop_scope"))
    except (KeyError, ValueError):  # pytest-asyncio before 0.26
        return "function"


def _asyncio_version(config: pytest.Config) -> tuple[int, ...]:
    """Return the version of the pytest-asyncio that is at work, or nothing."""
    plugin = sys.modules.get("pytest_asyncio.plugin")
    if plugin is None or not config.pluginmanager.is_registered(plugin):
        return ()
    from importlib.metadata import version  # noqa: PLC0415 - only for those who have it

    return tuple(int(part) for part in re.findall(r"\d+", version("pytest-asyncio"))[:2])


def _fail(message: str) -> NoReturn:
    pytest.fail(message, pytrace=False)
