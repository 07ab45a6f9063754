"""The pytest plugin, as a user's pytest runs it: with warnings as errors."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PROJECT = Path(__file__).parents[1]
ENTRY_POINT = "pytest_golem_client"
NAME = "golem_client.pytest_plugin"
ASYNCIO, ANYIO = "pytest_asyncio.plugin", "anyio.pytest_plugin"
AIOHTTP = ("pytest_aiohttp.plugin",) if importlib.util.find_spec("pytest_aiohttp") else ()

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a user's tests, with the plugins that it is told alone.

    `fresh` is a process of its own, which costs half a second.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(
        tests: str, *options: str, plugins: Iterable[str], fresh: bool = False, **ini: str
    ) -> pytest.RunResult:
        if ASYNCIO in plugins:
            ini.setdefault("asyncio_default_fixture_loop_scope", "function")
        settings = "\n".join(f"{name} = {value}" for name, value in ini.items())
        pytester.makeini(f"[pytest]\naddopts = --strict-markers -W error\n{settings}")
        pytester.makepyfile(test_user=tests)
        loaded = [option for name in plugins for option in ("-p", name)]
        if fresh:
            return pytester.runpytest_subprocess(*loaded, *options)
        return pytester.runpytest_inprocess(*loaded, *options)

    return run


def failures(result: pytest.RunResult) -> dict[str, str]:
    """Return the first line of what is said about each test that failed or had no fixture."""
    lines = result.outlines
    heads = [number for number, line in enumerate(lines) if line.startswith("____")]
    return {lines[head].strip("_ ").split()[-1]: lines[head + 1] for head in heads}


SIX_LINES = """
async def test_a_lost_answer(fake_golem, fake_golem_client):
    promise_id = fake_golem.create_promise()
    fake_golem.drop_next(applied=True)
    done = await fake_golem_client.complete_json(promise_id, {"approved": True})
    assert done.by_this_call is None
    fake_golem.assert_completed_json(promise_id, {"approved": True})
"""

USES = f"""
import golem_client as package
import golem_client.testing
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings, strategies as st

{SIX_LINES}

class TestOfAClass:
    async def test_method(self, fake_golem, fake_golem_client):
        await fake_golem_client.complete_bytes(fake_golem.create_promise(), b"", timeout=1)

@pytest_asyncio.fixture
async def completed(fake_golem_client, fake_golem):
    promise_id = fake_golem.create_promise()
    await fake_golem_client.complete_bytes(promise_id, b"", timeout=1)
    yield promise_id
    await fake_golem_client.complete_bytes(promise_id, b"", timeout=1)

async def test_fixture_of_a_fixture(fake_golem, completed):
    fake_golem.assert_completed(completed, b"")

@pytest.fixture
def both(fake_golem_client, fake_golem):
    return fake_golem_client, fake_golem

async def test_plain_fixture_of_a_fixture(both):
    client, golem = both
    await client.complete_bytes(golem.create_promise(), b"", timeout=1)

@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=3)
@given(n=st.integers())
async def test_property(fake_golem, fake_golem_client, n):
    await fake_golem_client.complete_json(fake_golem.create_promise(), n, timeout=1)

used = []

async def test_it_lives(fake_golem, fake_golem_client):
    assert isinstance(fake_golem_client, package.GolemClient)
    used.extend([fake_golem, fake_golem_client])

async def test_it_has_ended():
    golem, client = used
    with pytest.raises(RuntimeError, match="GolemClient is closed"):
        await client.complete_bytes(golem.create_promise(), b"")
    with pytest.raises(RuntimeError, match="FakeGolem is closed"):
        await golem.await_promise(golem.create_promise())
"""

BLOCKING = """
import threading
import warnings

def post(golem, promise_id, data=b"7"):
    import json, urllib.request
    worker = promise_id.worker_id
    path = f"/v1/components/{worker.component_id}/workers/{worker.worker_name}/complete"
    body = {"oplogIdx": promise_id.oplog_idx, "data": list(data)}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {golem.token}"}
    request = urllib.request.Request(golem.url + path, json.dumps(body).encode(), headers)
    return urllib.request.urlopen(request).read()

@pytest.mark.golem_dialect("1.1", "1.2")
def test_blocking(blocking_fake_golem, golem_dialect):
    promise_id = blocking_fake_golem.create_promise()
    assert blocking_fake_golem.dialect == golem_dialect
    assert post(blocking_fake_golem, promise_id) == b"true"
    assert blocking_fake_golem.await_promise_json(promise_id, int) == 7

def test_blocking_client(blocking_golem_client, blocking_fake_golem):
    promise_id = blocking_fake_golem.create_promise()
    blocking_fake_golem.fail_next(503, times=8)
    done = blocking_golem_client.complete_json(promise_id, {"approved": True}, timeout=2)
    assert done.attempts == 9
    blocking_fake_golem.assert_completed_json(promise_id, {"approved": True})

blocking_used = []

@pytest.mark.parametrize("golem_client_options", [{"max_payload_bytes": 1}])
def test_blocking_options(blocking_fake_golem, blocking_golem_client):
    blocking_used.append(blocking_golem_client)
    with pytest.raises(package.PayloadError):
        blocking_golem_client.complete_bytes(blocking_fake_golem.create_promise(), b"12")

def test_blocking_has_ended():
    assert "FakeGolem" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(RuntimeError, match="closed"):
        blocking_used[0].complete_bytes("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w/4", b"")

@pytest.mark.filterwarnings("default:the fixture golem_client has")
async def test_the_old_name(fake_golem, golem_client, fake_golem_client):
    assert golem_client is fake_golem_client
    await golem_client.complete_bytes(fake_golem.create_promise(), b"")

class TestOfOptions:
    @pytest.fixture
    def golem_client_options(self):
        return {"retry": package.RetryPolicy.none(), "headers": {"X-Mine": "1"}}

    async def test_they_are_the_clients(self, fake_golem, fake_golem_client):
        fake_golem.fail_next(503)
        with pytest.raises(package.ServerError):
            await fake_golem_client.complete_bytes(fake_golem.create_promise(), b"")
        assert fake_golem.requests[0].headers["x-mine"] == "1"

@pytest.mark.parametrize("golem_client_options", [{"max_payload_bytes": 1}])
async def test_parametrised_options(fake_golem, fake_golem_client):
    with pytest.raises(package.PayloadError):
        await fake_golem_client.complete_bytes(fake_golem.create_promise(), b"12")

async def test_repeats_are_quick(fake_golem, fake_golem_client):
    fake_golem.fail_next(503, times=8)
    done = await fake_golem_client.complete_bytes(fake_golem.create_promise(), b"", timeout=2)
    assert done.attempts == 9
"""

SESSION = """
@pytest.fixture(scope="session")
def session_golem():
    with golem_client.testing.FakeGolem.in_thread() as golem:
        yield golem

@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_async_golem():
    async with golem_client.testing.FakeGolem() as golem:
        yield golem

kept = []

@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.asyncio(loop_scope="session")
async def test_one_for_a_session(session_golem, session_async_golem, n):
    kept.append((session_golem, session_async_golem))
    assert kept[0] == kept[-1]
    promise_id = session_async_golem.create_promise()
    url, token = session_async_golem.url, session_async_golem.token
    async with package.GolemClient(url, token=token) as client:
        await client.complete_bytes(promise_id, b"", timeout=1)
"""

AUTOUSE = """
class TestOfPlainThings:
    @pytest_asyncio.fixture(autouse=True)
    async def service(self, fake_golem_client):
        yield fake_golem_client

    def test_plain(self): pass
"""


SCOPES = """
async def use(golem, client):
    await client.complete_bytes(golem.create_promise(), b"", timeout=1)

async def test_default(fake_golem, fake_golem_client):
    await use(fake_golem, fake_golem_client)
""" + "".join(
    f"""
@pytest.mark.asyncio(loop_scope="{scope}")
async def test_{scope}(fake_golem, fake_golem_client):
    await use(fake_golem, fake_golem_client)
"""
    for scope in ("function", "class", "module", "package", "session")
)


BESIDE_AIOHTTP = """
from aiohttp import web

async def test_service(aiohttp_client, fake_golem, fake_golem_client):
    async def handle(request):
        await fake_golem_client.complete_json(request.query["id"], await request.json())
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", handle)
    service, promise_id = await aiohttp_client(app), fake_golem.create_promise()
    answer = await service.post("/hook", params={"id": str(promise_id)}, json={"paid": True})
    assert answer.status == 204
    fake_golem.assert_completed_json(promise_id, {"paid": True})
"""

DIALECTS = """
import pytest

async def test_default(fake_golem, golem_dialect):
    assert fake_golem.dialect == golem_dialect == package.testing.FakeGolem().dialect

@pytest.mark.golem_dialect("1.1")
class TestOfAnOldGolem:
    async def test_the_class_has_a_mark(self, fake_golem):
        assert fake_golem.dialect == "1.1"

    @pytest.mark.golem_dialect("1.3")
    async def test_the_closest_mark_wins(self, fake_golem, fake_golem_client):
        await fake_golem_client.complete_bytes(fake_golem.create_promise(), b"")
        assert fake_golem.dialect == "1.3"

@pytest.mark.golem_dialect("1.1", "1.2", "1.3", "1.5")
async def test_several(fake_golem, golem_dialect):
    assert fake_golem.dialect == golem_dialect

@pytest.mark.parametrize("golem_dialect", ["1.1", "1.3"])
async def test_parametrised(fake_golem_client, fake_golem, golem_dialect):
    assert fake_golem.dialect == golem_dialect

CASES = [pytest.param("1.3", marks=pytest.mark.golem_dialect("1.3")), "1.5"]

@pytest.mark.parametrize("expected", CASES)
async def test_parameter(fake_golem, expected):
    assert fake_golem.dialect == expected

class TestOfASuiteOfItsOwn:
    @pytest.fixture
    def golem_dialect(self):
        return "1.1"

    async def test_overridden(self, fake_golem):
        assert fake_golem.dialect == "1.1"

@pytest.mark.golem_dialect("1.1", "1.3")
def test_a_mark_on_what_needs_no_golem_changes_nothing(): pass
"""


ALL_USES = USES + BLOCKING + SESSION + AUTOUSE + SCOPES + DIALECTS
NUMBER_OF_USES = 37


def marked(tests: str) -> str:
    """Return the tests with a mark on those that are async and have none."""

    def mark(found: re.Match[str]) -> str:
        before, indent, test = found.groups()
        has_mark = "mark.asyncio" in before
        return found[0] if has_mark else f"{before}{indent}@pytest.mark.asyncio\n{indent}{test}"

    return re.sub(r"(.*\n)( *)(async def test_)", mark, tests)


@pytest.mark.parametrize(
    ("mode", "loop_scope"), [("strict", "session"), ("auto", "function")], ids=str
)
def test_everything_works_in_each_mode(run: Run, mode: str, loop_scope: str) -> None:
    """The fixtures run in the loop of the test, whatever its scope, and the marks count."""
    tests = ALL_USES + (BESIDE_AIOHTTP if AIOHTTP else "")
    result = run(
        marked(tests) if mode == "strict" else tests,
        "-v",
        plugins=(NAME, ASYNCIO, *AIOHTTP),
        fresh=mode == "strict",
        asyncio_mode=mode,
        asyncio_default_test_loop_scope=loop_scope,
        asyncio_default_fixture_loop_scope=loop_scope,
    )
    result.assert_outcomes(passed=NUMBER_OF_USES + len(AIOHTTP))
    result.stdout.fnmatch_lines(
        [f"*test_several?{name}? PASSED*" for name in ("1.1", "1.2", "1.3", "1.5")]
    )
    result.stdout.fnmatch_lines(["*the fixture golem_client has the name fake_golem_client now*"])


OF_ANYIO = f"import pytest\npytestmark = pytest.mark.anyio\n{SIX_LINES}"


@pytest.mark.parametrize("plugins", [(ANYIO, ASYNCIO), (ANYIO,)], ids=["both", "alone"])
def test_the_fixtures_work_with_anyio(run: Run, plugins: tuple[str, ...]) -> None:
    """It comes with httpx and Starlette, and runs what it marks."""
    run(OF_ANYIO, plugins=(NAME, *plugins)).assert_outcomes(passed=1)


def test_the_fixtures_are_described(run: Run) -> None:
    """`pytest --fixtures` shows those that are for users, and no other."""
    shown = run("", "--fixtures", plugins=(NAME, ASYNCIO)).stdout.str()
    names = [line.split()[0] for line in shown.splitlines() if "pytest_plugin.py:" in line]
    assert set(names) == {
        "golem_dialect",
        "golem_client_options",
        "fake_golem",
        "fake_golem_client",
        "golem_client",
        "blocking_fake_golem",
        "blocking_golem_client",
    }


WRONG = """
import pytest

@pytest.mark.golem_dialect("1.4")
@pytest.mark.asyncio
async def test_unknown(fake_golem): pass

@pytest.mark.golem_dialect(1.3)
@pytest.mark.asyncio
async def test_number(fake_golem): pass

@pytest.mark.golem_dialect
@pytest.mark.asyncio
async def test_nothing(fake_golem): pass

@pytest.mark.golem_dialect(name="1.3")
@pytest.mark.asyncio
async def test_keyword(fake_golem_client): pass

@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.golem_dialect("1.1", "1.3"))])
@pytest.mark.asyncio
async def test_several(fake_golem, n): pass

async def test_unmarked(fake_golem_client): pass

def test_plain(fake_golem): pass

def test_plain_client(fake_golem_client): pass

@pytest.mark.golem_dialect("1.4")
def test_unknown_blocking(blocking_fake_golem): pass

@pytest.mark.anyio
@pytest.mark.asyncio
async def test_of_two(fake_golem_client): pass
"""

_TAKES = 'golem_dialect takes the name of a dialect, as in @pytest.mark.golem_dialect("1.3"): '
SAID = {
    "test_unknown": "golem_dialect: no dialect '1.4': there are 1.1, 1.2, 1.3, 1.5",
    "test_unknown_blocking": "golem_dialect: no dialect '1.4': there are 1.1, 1.2, 1.3, 1.5",
    "test_number": f"{_TAKES}Mark(name='golem_dialect', args=(1.3,), kwargs={{}})",
    "test_nothing": f"{_TAKES}Mark(name='golem_dialect', args=(), kwargs={{}})",
    "test_keyword": f"{_TAKES}Mark(name='golem_dialect', args=(), kwargs={{'name': '1.3'}})",
    "test_several[1]": f"{_TAKES}Mark(name='golem_dialect', args=('1.1', '1.3'), kwargs={{}})",
    "test_unmarked": "mark <Function test_unmarked> with @pytest.mark.asyncio, "
    "or set asyncio_mode = auto",
    "test_plain": "fake_golem runs in the event loop of an async test, "
    "and <Function test_plain> is not async: use blocking_fake_golem",
    "test_plain_client": "fake_golem_client runs in the event loop of an async test, "
    "and <Function test_plain_client> is not async: use blocking_golem_client",
    "test_of_two[asyncio]": "pytest-asyncio and anyio both take <Coroutine test_of_two[asyncio]>: "
    "set asyncio_mode = strict",
}


def test_wrong_use_is_an_error_that_says_what_is_right(run: Run) -> None:
    """In one line each, with no traceback, and at once."""
    result = run(WRONG, plugins=(NAME, ASYNCIO, ANYIO))
    result.assert_outcomes(errors=len(SAID))
    assert SAID == failures(result)


OLD = """
import importlib.metadata
importlib.metadata.version = lambda name: "0.23.8"

def pytest_configure(config):
    import pytest_asyncio
    pytest_asyncio.fixture = None  # it had another signature
"""


def test_an_old_pytest_asyncio_breaks_no_plain_test(run: Run, pytester: pytest.Pytester) -> None:
    """And the fixtures say in one sentence what they need."""
    pytester.makepyfile(old=OLD)
    tests = f"def test_plain(): pass\n{SIX_LINES}"
    result = run(tests, plugins=(ASYNCIO, "old", NAME), fresh=True, asyncio_mode="auto")
    result.assert_outcomes(passed=1, errors=1)
    said = "fake_golem needs pytest-asyncio 0.24 or later: pip install -U pytest-asyncio"
    assert failures(result) == {"test_a_lost_answer": said}


FAILING = """
def test_blocking(blocking_fake_golem):
    blocking_fake_golem.assert_completed(blocking_fake_golem.create_promise())

async def test_async(fake_golem):
    fake_golem.assert_completed_json(fake_golem.create_promise(), 1)

async def test_requested(fake_golem):
    fake_golem.assert_requested(fake_golem.create_promise())

async def test_faults(fake_golem):
    fake_golem.drop_next(applied=True)
    fake_golem.assert_faults_fired()

def test_pending(blocking_fake_golem):
    promise_id = blocking_fake_golem.create_promise()
    blocking_fake_golem.complete_promise(promise_id, b"")
    blocking_fake_golem.assert_pending(promise_id)

async def test_mock():
    from golem_client.testing import mock_golem
    with mock_golem() as mock:
        mock.payload("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/order-17/42")
"""


def test_a_failing_assertion_shows_the_tests_own_line(run: Run) -> None:
    """None of our frames."""
    result = run(FAILING, plugins=(NAME, ASYNCIO), asyncio_mode="auto")
    result.assert_outcomes(failed=6)
    shown = result.stdout.str()
    assert "golem_client/testing" not in shown
    assert "golem_client/threads" not in shown
    assert "but it is pending" in shown


def test_without_an_async_plugin_the_fixtures_say_what_to_install(run: Run) -> None:
    """pytest alone runs no async tests."""
    said = "fake_golem needs a plugin that runs async tests: pip install pytest-asyncio"
    assert {"test_a_lost_answer": said} == failures(run(SIX_LINES, plugins=(NAME,)))


UNUSED = """
import sys

def test_nothing_is_loaded():
    heavy = ("golem_client", "aiohttp", "attrs", "cattrs", "tenacity", "pytest_asyncio", "asyncio")
    assert [] == [name for name in sys.modules if name.split(".")[0] in heavy]
"""


def test_it_costs_nothing_when_unused(run: Run) -> None:
    """By its entry point, it imports pytest and the standard library."""
    run(UNUSED, plugins=(ENTRY_POINT,), fresh=True).assert_outcomes(passed=1)


def test_the_wheel_has_the_module_that_its_entry_point_names() -> None:
    """At its top, outside of the package."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {"golem_client": ENTRY_POINT} == project["project"]["entry-points"]["pytest11"]
    assert {f".wheel/{ENTRY_POINT}.py": f"{ENTRY_POINT}.py"} == wheel["force-include"]


EXAMPLE = (PROJECT / "examples" / "test_with_plugin.py").read_text()


def test_the_example_passes(run: Run) -> None:
    """As a reader pastes it; also where the plugin is loaded by both of its names."""
    run(EXAMPLE, plugins=(NAME, ASYNCIO, ENTRY_POINT), fresh=True).assert_outcomes(passed=6)


def test_a_users_test_has_at_most_six_lines() -> None:
    """Each in the example, with the line that defines it."""
    tests = [node for node in ast.parse(EXAMPLE).body if isinstance(node, ast.AsyncFunctionDef)]
    lines = {test.name: 1 + len(test.body) for test in tests if test.name.startswith("test_")}
    assert {} == {name: number for name, number in lines.items() if number > 6}
