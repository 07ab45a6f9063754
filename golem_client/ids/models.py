"""Ids as fields of pydantic v2 models, and so in FastAPI's handlers.

Only pydantic calls what is here, so that only it is what imports pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from typing import Self

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema


class ModelField:
    """What pydantic asks of a field's type: validate any spelling, write the REST JSON form."""

    __slots__ = ()

    _rest_schema: ClassVar[dict[str, Any]]

    if TYPE_CHECKING:

        @classmethod
        def parse(cls, value: object) -> Self: ...  # noqa: D102

        def to_json(self) -> Any: ...  # noqa: D102

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from pydantic_core import core_schema  # noqa: PLC0415 - see the module's docstring

        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls.to_json, when_used="json"
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        if handler.mode == "serialization":
            return {"title": cls.__name__, **cls._rest_schema}
        others = [
            {"type": "string", "description": "Any text form, or JSON text."},
            {"type": "object", "description": "Any JSON form, or an answer of Golem around it."},
            {"type": "array", "description": "An answer's array.", "minItems": 1, "maxItems": 1},
        ]
        return {"title": cls.__name__, "anyOf": [cls._rest_schema, *others]}
