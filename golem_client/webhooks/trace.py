"""The trace of an incoming request, which the completion goes on with.

`golem_client.telemetry` has the function `continuing(headers)`, a context manager under which the
event is handled. In a program that has not imported OpenTelemetry nothing is read.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast


def continuing(headers: Mapping[str, str]) -> AbstractContextManager[Any]:
    """Return what an event is handled under."""
    if "opentelemetry.trace" not in sys.modules:
        return nullcontext()
    telemetry = importlib.import_module("golem_client.telemetry")
    return cast("AbstractContextManager[Any]", telemetry.continuing(headers))
