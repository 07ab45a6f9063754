"""The pytest plugin's entry point. The wheel installs this file at its top, beside golem_client.

Packagers: keep it there. pytest imports the entry points of everything that is installed, at each
start, used or not. An entry point inside golem_client would import golem_client and aiohttp on the
way, which takes 0.2 s; this file runs golem_client/pytest_plugin.py without importing its package.
"""

# ruff: noqa: INP001 - it stands outside of every package, on purpose

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import Path

_package = find_spec("golem_client")  # finds, and does not import
if _package is None or _package.origin is None:
    raise ImportError("golem_client is not installed beside its pytest plugin")
_plugin = Path(_package.origin).with_name("pytest_plugin.py")
SourceFileLoader(__name__, str(_plugin)).exec_module(sys.modules[__name__])
