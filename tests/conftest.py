"""Options of our own: they work only in a conftest that pytest loads before it reads them."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

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


def pytest_configure(config: pytest.Config) -> None:
    # A shell's `pytest &` ignores SIGINT, and so would every process that a test interrupts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers", "fake_only(reason): a real Golem cannot be made to do this, and why"
    )
