"""Ids as fields of pydantic v2 models, and so in FastAPI's handlers.

Only pydantic calls these methods, so only programs that use pydantic import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from typing import Self


class ModelField:
    """A type of a field for pydantic: takes every spelling, and is written as REST JSON."""

    __slots__ = ()

    _rest_schema: ClassVar[dict[str, Any]]

    if TYPE_CHECKING:

        @classmethod
        def parse(cls, value: Any) -> Self: ...  # noqa: D102

        def to_json(self) -> Any: ...  # noqa: D102

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415 - see the module's docstring

        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls.to_json, when_used="json"
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _core_schema: Any, handler: Any) -> dict[str, Any]:
        if handler.mode == "serialization":
            return {"title": cls.__name__, **cls._rest_schema}
        others = [
            {"type": "string", "description": "Any text form, or JSON text."},
            {"type": "object", "description": "Any JSON form, or an answer of Golem around it."},
            {"type": "array", "description": "The array of an answer of Golem."},
        ]
        return {"title": cls.__name__, "anyOf": [cls._rest_schema, *others]}
