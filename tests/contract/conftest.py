"""Which Golem the contract is held against: the three fakes, or with `--golem-url` a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from golem_client import GolemClient, PromiseId
from golem_client.testing import FakeGolem
from tests.contract.golem import DIALECTS, REAL, TheGolem, a_fake, read_ids

_FAKE_ONLY = pytest.StashKey[dict[str, list[str]]]()
_IDS = pytest.StashKey[Iterator[PromiseId]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Hold each test of the contract against each Golem."""
    if "golem_name" in metafunc.fixturenames:
        is_real = metafunc.config.getoption("golem_url") is not None
        metafunc.parametrize("golem_name", [REAL] if is_real else DIALECTS)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what a real Golem cannot be made to do, and see that there are promises enough."""
    fake_only: dict[str, list[str]] = {}
    config.stash[_FAKE_ONLY] = fake_only
    if config.getoption("golem_url") is None:
        return
    ours = [item for item in items if "golem_name" in getattr(item, "fixturenames", ())]
    for item in ours:
        mark = item.get_closest_marker("fake_only")
        if mark is not None:
            (reason,) = mark.args
            fake_only.setdefault(reason, []).append(item.name)
            item.add_marker(pytest.mark.skip(reason=f"fake_only: {reason}"))
    file = config.getoption("promise_ids")
    if file is None:
        raise pytest.UsageError("--golem-url needs --promise-ids FILE: fresh pending promises")
    ids = read_ids(file)
    needed = sum(
        "promise_id" in getattr(item, "fixturenames", ())
        and item.get_closest_marker("fake_only") is None
        for item in ours
    )
    if len(set(ids)) < needed:
        raise pytest.UsageError(
            f"--promise-ids has {len(set(ids))} different promises: {needed} are needed"
        )
    config.stash[_IDS] = iter(dict.fromkeys(ids))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was not held against the real Golem, and why."""
    for reason, names in config.stash.get(_FAKE_ONLY, {}).items():
        terminalreporter.write_line(f"fake_only: {reason}")
        terminalreporter.write_line(f"    {', '.join(names)}")


@pytest.fixture
async def a_golem(
    golem_name: str, pytestconfig: pytest.Config
) -> AsyncIterator[tuple[TheGolem, FakeGolem | None]]:
    if golem_name == REAL:
        url = str(pytestconfig.getoption("golem_url"))
        token = pytestconfig.getoption("golem_token")
        yield TheGolem(REAL, url, token, pytestconfig.stash[_IDS]), None
        return
    async with a_fake(golem_name) as pair:
        yield pair


@pytest.fixture
def golem(a_golem: tuple[TheGolem, FakeGolem | None]) -> TheGolem:
    """The Golem of the test."""
    return a_golem[0]


@pytest.fixture
def fake(a_golem: tuple[TheGolem, FakeGolem | None]) -> FakeGolem:
    """The same, as a fake: for tests that are marked `fake_only`."""
    assert a_golem[1] is not None, "mark the test: fake_only"
    return a_golem[1]


@pytest.fixture
def promise_id(golem: TheGolem) -> PromiseId:
    """A promise that is pending; one for each test."""
    return golem.new_id()


@pytest.fixture
async def client(golem: TheGolem) -> AsyncIterator[GolemClient]:
    async with golem.client() as client:
        yield client
