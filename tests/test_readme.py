"""What the README says is true: its programs run, its commands are the agreed ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from golem_client import GolemClient, errors
from golem_client.payload import encode_json
from golem_client.testing import FakeGolem
from golem_client.version import __version__

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PROGRAMS: list[str] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

MAIN_JOB = (
    "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/python examples/quickstart.py"
)
TESTS = 'python3 -m venv .venv && .venv/bin/pip install -e ".[dev]" && .venv/bin/python -m pytest'


def program_with(words: str) -> str:
    (program,) = (program for program in PROGRAMS if words in program)
    return program


def test_the_two_commands_stand_on_lines_of_their_own() -> None:
    """Other machines run them as they are."""
    lines = README.splitlines()
    assert (lines.count(MAIN_JOB), lines.count(TESTS)) == (1, 1)


def test_the_first_program_stands_in_the_first_lines_and_runs(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A newcomer sees it work before anything else."""
    assert README.splitlines().index("```python") < 10
    exec(compile(PROGRAMS[0], "README.md", "exec"), {"__name__": "__main__"})
    assert ("FULFILLED {'approved': True}\n", "") == capfd.readouterr()


@pytest.mark.parametrize("program", PROGRAMS[1:])
def test_the_other_programs_are_python(program: str) -> None:
    """Each can be pasted: its names exist."""
    exec(compile(program, "README.md", "exec"), {})


async def test_the_service_of_the_readme_answers() -> None:
    """decide() maps outcomes and errors to statuses."""
    names: dict[str, object] = {}
    exec(compile(program_with("def decide"), "README.md", "exec"), names)
    decide, decision = names["decide"], names["Decision"]
    async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
        promise_id = str(golem.create_promise())
        yes, no = decision(True, "ada"), decision(False, "bob")  # type: ignore[operator]
        answers = [
            await decide(client, spelling, value)  # type: ignore[operator]
            for spelling, value in [(promise_id, yes), (promise_id, no), (promise_id + "9", yes)]
        ]
    assert answers == [200, 409, 422]


def test_the_rust_enum_of_the_readme_is_written_as_it_says() -> None:
    """What the comment shows is what is sent."""
    names: dict[str, Any] = {}
    exec(compile(program_with("externally_tagged"), "README.md", "exec"), names)
    written = [
        encode_json(value, names["Decision"], names["converter"]).decode()
        for value in (names["Approved"](), names["Rejected"]("ada"))
    ]
    assert written == ['"Approved"', '{"Rejected":{"byWhom":"ada"}}']


async def test_the_tests_of_the_readme_pass(
    fake_golem: FakeGolem, fake_golem_client: GolemClient
) -> None:
    """A reader who pastes them sees them pass."""
    names: dict[str, Any] = {}
    exec(compile(program_with("def test_a_lost_answer"), "README.md", "exec"), names)
    await names["test_a_lost_answer_is_no_lost_completion"](fake_golem, fake_golem_client)
    exec(compile(program_with("def test_false_after"), "README.md", "exec"), names)
    await names["test_false_after_a_503_is_by_unknown"]()


def test_every_error_is_in_the_readmes_tree() -> None:
    """The tree that users see is the tree that is."""
    tree = README[README.index("GolemError\n├") :]
    missing = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.GolemError) and name not in tree
    }
    assert missing == set()


def test_the_changelog_names_the_version_or_what_is_to_come() -> None:
    """Keep a Changelog."""
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text or f"## [{__version__}]" in text
