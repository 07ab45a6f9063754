"""A guard against a slip in tests: `golem.latency = 0.5`, where `latency` is a method."""

from __future__ import annotations

from types import FunctionType


class FixedMethods:
    """An object whose methods no value can replace."""

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute.

        Raises:
            AttributeError: It is a method, and the value cannot be called.
        """
        __tracebackhide__ = True
        if isinstance(getattr(type(self), name, None), FunctionType) and not callable(value):
            message = f"{name} is a method of {type(self).__name__}: call it"
            raise AttributeError(message)  # noqa: TRY004 - as for all that cannot be set
        super().__setattr__(name, value)
