"""What pytest loads at every start: the plugin of golem-client, without its package.

pytest imports the plugins of all that is installed, used or not. `golem_client.pytest_plugin` by
that name brings golem_client, aiohttp and the rest along: 0.2 s. So the wheel has this file at its
top, and the entry point names it; it runs the plugin's code as its own.
"""

# ruff: noqa: INP001 - it is no part of a package, on purpose

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import Path

_package = find_spec("golem_client")  # finds, and does not import
if _package is None or _package.origin is None:
    raise ImportError("golem_client is not installed beside its pytest plugin")
_plugin = Path(_package.origin).with_name("pytest_plugin.py")
SourceFileLoader(__name__, str(_plugin)).exec_module(sys.modules[__name__])
