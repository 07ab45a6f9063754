"""The examples do what they say."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from golem_client.testing import BlockingFakeGolem

EXAMPLES = Path(__file__).parent.parent / "examples"


@attrs.frozen
class Ran:
    """What a program left behind."""

    code: object
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run an example as `python` does, but in this process: an interpreter costs 0.3 s."""

    def ran(name: str, *arguments: str, **environment: str) -> Ran:
        for variable in [name for name in os.environ if name.startswith("GOLEM_")]:
            monkeypatch.delenv(variable)
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        code: object = 0
        try:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        except SystemExit as ended:
            code = ended.code
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return ran


def test_quickstart_completes_a_promise_and_the_worker_receives_it(run: Run) -> None:
    """The main job, whole."""
    ended = run("quickstart.py")
    assert (0, "") == (ended.code, ended.err)
    lines = ended.out.splitlines()
    assert lines[1] == "The client completed it over HTTP: FULFILLED"
    assert lines[2] == "The worker woke up and received {'approved': True, 'by': 'ada'}"


def test_quickstart_completes_a_promise_of_a_real_golem(
    run: Run, blocking_fake_golem: BlockingFakeGolem
) -> None:
    """With GOLEM_URL and an id it takes a server that is there already."""
    golem = blocking_fake_golem
    promise_id = golem.create_promise()
    settings = {"GOLEM_URL": golem.url, "GOLEM_AUTH_TOKEN": golem.token}
    ended = run("quickstart.py", str(promise_id), **settings)
    assert (0, "") == (ended.code, ended.err)
    assert f"Promise {promise_id} is completed: FULFILLED\n" == ended.out
    assert b'{"approved":true,"by":"ada"}' == golem.poll_promise(promise_id)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name the promise to complete"),
        (["oops"], "InvalidIdError: not a promise id"),
        (["f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w/1"], "ConnectionFailedError: cannot connect"),
    ],
)
def test_quickstart_says_what_is_wrong(run: Run, arguments: list[str], words: str) -> None:
    """A wrong call, a wrong id, no server: Python prints it, and exits with 1."""
    settings = {"GOLEM_URL": "http://127.0.0.1:1", "GOLEM_CLIENT_RETRY_MAX_ATTEMPTS": "2"}
    ended = run("quickstart.py", *arguments, **settings)
    assert words in str(ended.code)
    assert ("", "") == (ended.out, ended.err)


def test_quickstart_never_passes_over_an_id(run: Run) -> None:
    """Without a URL, too: the fake's success is not that promise's."""
    ended = run("quickstart.py", "oops")
    assert "" == ended.out
    assert "InvalidIdError: not a promise id" in str(ended.code)
    empty = run("quickstart.py", "oops", GOLEM_URL="")
    assert "ValueError: GOLEM_URL is set and empty: give it a value, or unset it" == empty.code


def test_backend_service_has_an_answer_to_each_outcome(run: Run) -> None:
    """Fulfilled, already fulfilled, by unknown, not found, broken link, and what the worker got."""
    ended = run("backend_service.py")
    assert ended.err == ""
    assert [line.split(":")[0] for line in ended.out.splitlines()] == [
        "your decision counts",
        "somebody else decided before you",
        "decided; see the workflow for which decision counts",
        "this workflow asks for no decision",
        "this link is broken",
        "Decision(approved=True, reviewer='ada')",
    ]


def test_outbox_delivers_what_was_accepted_before(run: Run) -> None:
    """In less than forty lines."""
    ended = run("outbox.py")
    assert ended.err == ""
    assert ended.out.splitlines() == [
        "Accepted: pending; a redelivered event is new: False",
        "Delivered: completed, fulfilled",
        "The worker received {'paid': True}",
    ]
    assert 40 > len((EXAMPLES / "outbox.py").read_text().splitlines())


def test_the_users_tests_pass() -> None:
    """With aioresponses and with FakeGolem, on the aiohttp that is installed."""
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [*command, "test_with_mocks.py"], cwd=EXAMPLES, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout
    assert "2 passed" in ended.stdout
