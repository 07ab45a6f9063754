"""The examples do what they say, as programs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GOLEM_")}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=EXAMPLES,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_quickstart_completes_a_promise_and_the_worker_receives_it() -> None:
    """The main job, whole."""
    ended = run("quickstart.py")
    assert ended.stderr == ""
    assert ended.returncode == 0
    lines = ended.stdout.splitlines()
    assert lines[1] == "The client completed it over HTTP: FULFILLED"
    assert lines[2] == "The worker woke up and received {'approved': True, 'by': 'ada'}"


def test_quickstart_completes_a_promise_of_a_real_golem() -> None:
    """With GOLEM_URL and an id it takes a server that is there already."""
    server = """
import asyncio, subprocess, sys, os
from golem_client.testing import FakeGolem
async def main():
    async with FakeGolem() as golem:
        promise_id = golem.create_promise()
        environment = {**os.environ, "GOLEM_URL": golem.url, "GOLEM_AUTH_TOKEN": golem.token}
        arguments = [sys.executable, "quickstart.py", *([str(promise_id)] + sys.argv[1:])]
        ended = await asyncio.create_subprocess_exec(*arguments, env=environment)
        code = await ended.wait()
        print(golem.poll_promise(promise_id))
        sys.exit(code)
asyncio.run(main())
"""
    ended = run("-c", server)
    assert ended.returncode == 0, ended.stderr
    assert "is completed: FULFILLED" in ended.stdout
    assert """b'{"approved":true,"by":"ada"}'""" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name the promise to complete"),
        (["oops"], "InvalidIdError: not a promise id"),
        (["f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w/1"], "ConnectionFailedError: cannot connect"),
    ],
)
def test_quickstart_says_what_is_wrong(arguments: list[str], words: str) -> None:
    """A wrong call, a wrong id, no server: one line that says so."""
    settings = {"GOLEM_URL": "http://127.0.0.1:1", "GOLEM_CLIENT_RETRY_MAX_ATTEMPTS": "2"}
    ended = run("quickstart.py", *arguments, **settings)
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_quickstart_never_passes_over_an_id() -> None:
    """Without a URL, too: the fake's success is not that promise's."""
    ended = run("quickstart.py", "oops")
    assert (1, "") == (ended.returncode, ended.stdout)
    assert "InvalidIdError: not a promise id" in ended.stderr
    empty = run("quickstart.py", "oops", GOLEM_URL="")
    assert "ValueError: GOLEM_URL is set and empty: give it a value, or unset it\n" == empty.stderr


def test_backend_service_has_an_answer_to_each_outcome() -> None:
    """Fulfilled, already fulfilled, by unknown, not found, broken link, and what the worker got."""
    ended = run("backend_service.py")
    assert ended.stderr == ""
    assert [line.split(":")[0] for line in ended.stdout.splitlines()] == [
        "your decision counts",
        "somebody else decided before you",
        "decided; see the workflow for which decision counts",
        "this workflow asks for no decision",
        "this link is broken",
        "Decision(approved=True, reviewer='ada')",
    ]


def test_outbox_delivers_what_another_process_accepted() -> None:
    """In less than forty lines."""
    ended = run("outbox.py")
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        "Accepted: pending; a redelivered event is new: False",
        "Delivered: completed, fulfilled",
        "The worker received {'paid': True}",
    ]
    assert 40 > len((EXAMPLES / "outbox.py").read_text().splitlines())


def test_the_users_tests_pass() -> None:
    """With aioresponses and with FakeGolem, on the aiohttp that is installed."""
    ended = run("-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "test_with_mocks.py")
    assert ended.returncode == 0, ended.stdout
    assert "2 passed" in ended.stdout
