"""The contract runs unchanged against a Golem elsewhere: here a fake in a process of its own."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def a_golem_elsewhere(dialect: str, ids: Path) -> AsyncIterator[tuple[str, str]]:
    """Run it, with a file of fresh promises; yield its URL and its token."""
    command = ["-m", "tests.contract", "--dialect", dialect, "--ids", str(ids)]
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url, token = (await process.stdout.readline()).decode().split()
        yield url, token
    finally:
        process.stdin.close()
        await process.wait()


async def run_contract(*options: str) -> tuple[int, str]:
    """Run the contract, and return the exit code and what was printed."""
    command = ["-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests/contract", *options]
    deselected = ["--deselect", "tests/contract/test_real_mode.py"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        *deselected,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.parametrize("dialect", ["1.3"])
async def test_the_contract_holds_against_a_golem_elsewhere(dialect: str, tmp_path: Path) -> None:
    """The other dialects by hand: see `tests/contract/__main__.py`."""
    ids = tmp_path / "ids.txt"
    async with a_golem_elsewhere(dialect, ids) as (url, token):
        code, output = await run_contract(
            "--golem-url", url, "--golem-token", token, "--promise-ids", str(ids)
        )
    assert (code, re.findall(r"\d+ (?:failed|errors?)", output)) == (0, []), output
    assert "fake_only: nothing breaks a real Golem's connections to order" in output


async def test_too_few_promises_are_told_before_any_is_used_up(tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text('"f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"\n')
    code, output = await run_contract(
        "--golem-url", "http://127.0.0.1:9", "--promise-ids", str(ids)
    )
    assert code == pytest.ExitCode.USAGE_ERROR
    assert re.search(r"--promise-ids has 1 different promises: \d+ are needed", output)
