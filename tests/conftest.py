"""Options of our own: they work only in a conftest that pytest loads before it reads them."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import interpreters

gc.disable()  # until all is collected

# Containers often forbid Python to keep its bytecode. The tests start fifty interpreters, and each
# would compile the package again; pytest would do so with each file of the tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The outbox's databases write each commit through to the disk: a wait of 3 ms each time, and
# of 3 s for a new PostgreSQL. No test pulls the plug.
MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2**30:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

# What a property's own settings leave open. A busy machine is slow, and that is no failure.
settings.register_profile(
    "quick", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("quick")
# By hand: `pytest tests/test_model.py --hypothesis-profile=long`.
settings.register_profile(
    "long",
    max_examples=int(os.environ.get("EXAMPLES", "2000")),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contract", "contract tests against a real Golem (tests/contract)")
    group.addoption(
        "--golem-url", metavar="URL", help="run tests/contract against this Golem, not the fakes"
    )
    group.addoption("--golem-token", metavar="TOKEN", help="its API token, if it wants one")
    group.addoption(
        "--promise-ids",
        metavar="FILE",
        help="fresh pending promises of it, one JSON a line in any spelling; each is used up",
    )


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Start three workers more than there are cores: half of a test's time is waiting."""
    return (yield) + 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start what takes ten seconds of waiting first: at the end, it would wait alone."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/test_model.py"))


def pytest_collection_finish() -> None:
    """Leave what is imported and collected out of each garbage collection."""
    gc.freeze()
    gc.enable()


def pytest_configure(config: pytest.Config) -> None:
    # A script's `pytest &` ignores SIGINT and SIGQUIT, and so would every process of a test.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    interpreters.start_server()
    config.addinivalue_line(
        "markers", "fake_only(reason): a real Golem cannot be made to do this, and why"
    )
    if config.getoption("--golem-url") is None:
        # Reading the machine's authorities takes 40 ms in each process and for each TLS context.
        # The key of this one was thrown away.
        os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("nobody.pem"))
