"""What is imported when: whoever does not use an extra does not pay for it, nor need it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

OPTIONAL = {
    "aioresponses",
    "aiosqlite",
    "asyncpg",
    "click",
    "cryptography",
    "fastapi",
    "hypothesis",
    "itsdangerous",
    "mypy",
    "opentelemetry",
    "orjson",
    "pydantic",
    "pydantic_core",
    "pytest",
    "requests",
    "sqlalchemy",
    "starlette",
    "twilio",
    "typer",
    "uvloop",
    "yaml",
}

# These work without any extra, in this order.
PLAIN = [
    "golem_client.ids",
    "golem_client.payload",
    "golem_client.bulk",
    "golem_client.webhooks",
    "golem_client.outbox.key",
    "golem_client.outbox",
    "golem_client.blocking",
    "golem_client.telemetry",
    "golem_client.cli",
    "golem_client.__main__",
    "golem_client.testing",
]

WITHOUT_ITS_EXTRA = {
    "from golem_client.outbox import Outbox": (
        'Outbox needs sqlalchemy, which the extra has: pip install "golem-client[outbox]"'
    ),
    "from golem_client.blocking import BlockingOutbox": (
        'Outbox needs sqlalchemy, which the extra has: pip install "golem-client[outbox]"'
    ),
    "from golem_client.telemetry import OpenTelemetry": (
        "OpenTelemetry needs opentelemetry-api, which the extra has: "
        'pip install "golem-client[otel]"'
    ),
    "from golem_client.testing import mock_golem; mock_golem()": (
        "mock_golem() needs aioresponses: pip install aioresponses"
    ),
    "import golem_client.testing.strategies": (
        "golem_client.testing.strategies needs Hypothesis: pip install 'golem-client[hypothesis]'"
    ),
    # An observer of one's own needs no extra, and the outbox works on.
    "from golem_client import telemetry; assert telemetry.current_trace() is None": None,
    "with telemetry.linked_to('x'), telemetry.continuing({}): pass": None,
}

# One process for all of it: an interpreter that has imported aiohttp costs a quarter of a second.
PROGRAM = """
import importlib, json, sys
import aiohttp, attrs, cattrs, tenacity
found = {"dependencies": sorted(sys.modules)}
import golem_client
found["package"] = sorted(sys.modules)
plain, optional, statements = json.loads(sys.argv[1])
found["plain"] = {}
for name in plain:
    importlib.import_module(name)
    found["plain"][name] = [each for each in optional if each in sys.modules]
sys.modules.update(dict.fromkeys(optional))
found["missing"] = {}
for statement in statements:
    try:
        exec(statement)
    except ImportError as error:
        found["missing"][statement] = str(error)
    else:
        found["missing"][statement] = None
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Return what one process found in `sys.modules`, and which errors it met."""
    arguments = json.dumps([PLAIN, sorted(OPTIONAL), list(WITHOUT_ITS_EXTRA)])
    command = [sys.executable, "-W", "error", "-c", PROGRAM, arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert "" == ended.stderr
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


def test_the_package_loads_nothing_optional(found: dict[str, Any]) -> None:
    """Nor a part of ours that users of the client alone do not need."""
    parts = {"golem_client.cli", "golem_client.pytest_plugin", "golem_client.testing"}
    assert set() == (OPTIONAL | parts) & set(found["package"])


def test_the_package_starts_no_server_side(found: dict[str, Any]) -> None:
    """`aiohttp.web` is the fake's."""
    assert [] == [name for name in found["package"] if name.startswith("aiohttp.web")]


def test_the_package_adds_only_ours_and_the_standard_library(found: dict[str, Any]) -> None:
    """No third-party package is loaded that the four dependencies do not load themselves."""
    before, after = (
        {name.partition(".")[0] for name in found[stage]} for stage in ("dependencies", "package")
    )
    assert {"golem_client"} == after - before - sys.stdlib_module_names


def test_a_part_loads_nothing_optional_before_it_is_used(found: dict[str, Any]) -> None:
    """Each of these can be imported where no extra is installed."""
    assert {name: [] for name in PLAIN} == found["plain"]


@pytest.mark.parametrize("statement", WITHOUT_ITS_EXTRA)
def test_what_needs_an_extra_names_it(found: dict[str, Any], statement: str) -> None:
    """Where it is not installed; what needs none works."""
    assert WITHOUT_ITS_EXTRA[statement] == found["missing"][statement]
