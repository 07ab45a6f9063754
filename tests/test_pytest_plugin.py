"""The pytest plugin, as a user's pytest runs it: in a process of its own, warnings as errors."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import golem_client

pytest_plugins = ["pytester"]

PACKAGE = Path(golem_client.__file__).parent
ROOT = PACKAGE.parent
ENTRY_POINT = ROOT / ".wheel" / "pytest_golem_client.py"
NAME = "golem_client.pytest_plugin"
ASYNCIO, ANYIO = "pytest_asyncio.plugin", "anyio.pytest_plugin"
AIOHTTP = ("pytest_aiohttp.plugin",) if importlib.util.find_spec("pytest_aiohttp") else ()

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a user's tests, with the plugins that it is told alone."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    shutil.copy(ENTRY_POINT, pytester.path)

    def run(tests: str, *options: str, plugins: Iterable[str], **ini: str) -> pytest.RunResult:
        if ASYNCIO in plugins:
            ini.setdefault("asyncio_default_fixture_loop_scope", "function")
        settings = "\n".join(f"{name} = {value}" for name, value in ini.items())
        pytester.makeini(f"[pytest]\naddopts = --strict-markers -W error\n{settings}")
        pytester.makepyfile(test_user=tests)
        loaded = [option for name in plugins for option in ("-p", name)]
        return pytester.runpytest_subprocess(*loaded, *options)

    return run


def failures(result: pytest.RunResult) -> dict[str, str]:
    """Return the first line of what is said about each test that failed or had no fixture."""
    lines = result.outlines
    heads = [number for number, line in enumerate(lines) if line.startswith("____")]
    return {lines[head].strip("_ ").split()[-1]: lines[head + 1] for head in heads}


SIX_LINES = """
async def test_a_lost_answer(fake_golem, golem_client):
    promise_id = fake_golem.create_promise()
    fake_golem.drop_next(applied=True)
    done = await golem_client.complete_json(promise_id, {"approved": True})
    assert done.by_this_call is None
    fake_golem.assert_completed_json(promise_id, {"approved": True})
"""

USES = f"""
import golem_client as package
import golem_client.testing  # a module of a fixture's name
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings, strategies as st

{SIX_LINES}

class TestOfAClass:
    async def test_method(self, fake_golem, golem_client):
        await golem_client.complete_bytes(fake_golem.create_promise(), b"", timeout=1)

@pytest_asyncio.fixture
async def completed(golem_client, fake_golem):
    promise_id = fake_golem.create_promise()
    await golem_client.complete_bytes(promise_id, b"", timeout=1)
    yield promise_id
    await golem_client.complete_bytes(promise_id, b"", timeout=1)

async def test_fixture_of_a_fixture(fake_golem, completed):
    fake_golem.assert_completed(completed, b"")

@pytest.fixture
def both(golem_client, fake_golem):
    return golem_client, fake_golem

async def test_plain_fixture_of_a_fixture(both):
    client, golem = both
    await client.complete_bytes(golem.create_promise(), b"", timeout=1)

@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=3)
@given(n=st.integers())
async def test_property(fake_golem, golem_client, n):
    await golem_client.complete_json(fake_golem.create_promise(), n, timeout=1)

used = []

async def test_it_lives(fake_golem, golem_client):
    assert isinstance(golem_client, package.GolemClient)
    used.extend([fake_golem, golem_client])

async def test_it_has_ended():
    golem, client = used
    with pytest.raises(RuntimeError, match="GolemClient is closed"):
        await client.complete_bytes(golem.create_promise(), b"")
    with pytest.raises(RuntimeError, match="FakeGolem is closed"):
        await golem.await_promise(golem.create_promise())
"""

AUTOUSE = """
class TestOfPlainThings:
    @pytest_asyncio.fixture(autouse=True)
    async def service(self, golem_client):
        yield golem_client

    def test_plain(self): pass
"""


SCOPES = """
async def use(golem, client):
    await client.complete_bytes(golem.create_promise(), b"", timeout=1)

async def test_default(fake_golem, golem_client):
    await use(fake_golem, golem_client)
""" + "".join(
    f"""
@pytest.mark.asyncio(loop_scope="{scope}")
async def test_{scope}(fake_golem, golem_client):
    await use(fake_golem, golem_client)
"""
    for scope in ("function", "class", "module", "package", "session")
)


BESIDE_AIOHTTP = """
from aiohttp import web

async def test_service(aiohttp_client, fake_golem, golem_client):
    async def handle(request):
        await golem_client.complete_json(request.query["id"], await request.json())
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
    async def test_the_closest_mark_wins(self, fake_golem, golem_client):
        await golem_client.complete_bytes(fake_golem.create_promise(), b"")
        assert fake_golem.dialect == "1.3"

@pytest.mark.golem_dialect("1.1", "1.3", "1.5")
async def test_several(fake_golem, golem_dialect):
    assert fake_golem.dialect == golem_dialect

@pytest.mark.parametrize("golem_dialect", ["1.1", "1.3"])
async def test_parametrised(golem_client, fake_golem, golem_dialect):
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


ALL_USES = USES + AUTOUSE + SCOPES + DIALECTS
NUMBER_OF_USES = 25


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
        asyncio_mode=mode,
        asyncio_default_test_loop_scope=loop_scope,
        asyncio_default_fixture_loop_scope=loop_scope,
    )
    result.assert_outcomes(passed=NUMBER_OF_USES + len(AIOHTTP))
    result.stdout.fnmatch_lines(
        [f"*test_several?{name}? PASSED*" for name in ("1.1", "1.3", "1.5")]
    )


OF_ANYIO = f"import pytest\npytestmark = pytest.mark.anyio\n{SIX_LINES}"


@pytest.mark.parametrize("plugins", [(ANYIO, ASYNCIO), (ANYIO,)], ids=["both", "alone"])
def test_the_fixtures_work_with_anyio(run: Run, plugins: tuple[str, ...]) -> None:
    """It comes with httpx and Starlette, and runs what it marks."""
    run(OF_ANYIO, plugins=(NAME, *plugins)).assert_outcomes(passed=1)


def test_the_fixtures_are_described(run: Run) -> None:
    """`pytest --fixtures` shows the three that are for users."""
    shown = run("", "--fixtures", plugins=(NAME, ASYNCIO)).stdout.str()
    names = [line.split()[0] for line in shown.splitlines() if "pytest_plugin.py:" in line]
    assert ["golem_dialect", "fake_golem", "golem_client"] == names


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
async def test_keyword(golem_client): pass

@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.golem_dialect("1.1", "1.3"))])
@pytest.mark.asyncio
async def test_several(fake_golem, n): pass

async def test_unmarked(golem_client): pass

def test_plain(fake_golem): pass

@pytest.mark.anyio
@pytest.mark.asyncio
async def test_of_two(golem_client): pass
"""

_TAKES = 'golem_dialect takes the name of a dialect, as in @pytest.mark.golem_dialect("1.3"): '
SAID = {
    "test_unknown": "golem_dialect: no dialect '1.4': there are 1.1, 1.3, 1.5",
    "test_number": f"{_TAKES}Mark(name='golem_dialect', args=(1.3,), kwargs={{}})",
    "test_nothing": f"{_TAKES}Mark(name='golem_dialect', args=(), kwargs={{}})",
    "test_keyword": f"{_TAKES}Mark(name='golem_dialect', args=(), kwargs={{'name': '1.3'}})",
    "test_several[1]": f"{_TAKES}Mark(name='golem_dialect', args=('1.1', '1.3'), kwargs={{}})",
    "test_unmarked": "mark <Function test_unmarked> with @pytest.mark.asyncio, "
    "or set asyncio_mode = auto",
    "test_plain": "fake_golem runs in the event loop of an async test, "
    "and <Function test_plain> is not async",
    "test_of_two[asyncio]": "pytest-asyncio and anyio both take <Coroutine test_of_two[asyncio]>: "
    "set asyncio_mode = strict",
}


def test_wrong_use_is_an_error_that_says_what_is_right(run: Run) -> None:
    """In one line each, with no traceback, and at once."""
    result = run(WRONG, plugins=(NAME, ASYNCIO, ANYIO))
    result.assert_outcomes(errors=len(SAID))
    assert SAID == failures(result)


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
    run(UNUSED, plugins=(ENTRY_POINT.stem,)).assert_outcomes(passed=1)


def test_the_wheel_has_the_module_that_its_entry_point_names() -> None:
    """At its top, outside of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {"golem_client": ENTRY_POINT.stem} == project["project"]["entry-points"]["pytest11"]
    assert {f".wheel/{ENTRY_POINT.name}": ENTRY_POINT.name} == wheel["force-include"]


EXAMPLE = (ROOT / "examples" / "test_with_plugin.py").read_text()


def test_the_example_passes(run: Run) -> None:
    """As a reader pastes it; also where the plugin is loaded by both of its names."""
    run(EXAMPLE, plugins=(NAME, ASYNCIO, ENTRY_POINT.stem)).assert_outcomes(passed=5)


def test_a_users_test_has_at_most_six_lines() -> None:
    """Each in the example, with the line that defines it."""
    tests = [node for node in ast.parse(EXAMPLE).body if isinstance(node, ast.AsyncFunctionDef)]
    lines = {test.name: 1 + len(test.body) for test in tests if test.name.startswith("test_")}
    assert {} == {name: number for name, number in lines.items() if number > 6}
