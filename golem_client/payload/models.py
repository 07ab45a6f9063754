"""pydantic models and dataclasses, without importing pydantic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from golem_client.payload.records import field_value
from golem_client.payload.steps import Again, Object, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from golem_client.payload.converter import PayloadConverter


def is_model(cls: type) -> bool:
    """Tell whether it is a model or a dataclass of pydantic 2."""
    return hasattr(cls, "__pydantic_serializer__") and hasattr(cls, "__pydantic_decorators__")


class Model(Rule):
    """A pydantic model: the keys of its `model_dump`, the values by our rules.

    pydantic validates the values, and may make others of them than are declared, so a value of
    another type is written by its own. What has a serializer of its own, pydantic writes.
    """

    def __init__(self, declared: Any, converter: PayloadConverter) -> None:
        super().__init__(declared, converter)
        decorators = declared.__pydantic_decorators__
        config = getattr(declared, "model_config", getattr(declared, "__pydantic_config__", {}))
        self._by_alias = config.get("serialize_by_alias", False)
        self._declared_fields = declared.__pydantic_fields__
        self._computed = {name: each.info for name, each in decorators.computed_fields.items()}
        self.fields = (*self._declared_fields, *self._computed)
        self._modes = self._field_modes(decorators)
        self._mode = _mode(each.info for each in decorators.model_serializers.values())
        self._is_root = getattr(declared, "__pydantic_root_model__", False)
        if self._is_root and not self._mode:
            self._mode = self._modes.get("root", self._modes.get("*"))

    def open(self, value: Any, choose: Callable[..., Any]) -> Object | Again:
        """Take the fields one by one, so that what is in them meets our rules."""
        del choose
        if type(value) is not self.cls:
            return Again(value)
        if self._mode:
            return Again(self._serialized(value, self._mode), finished=True)
        members = self._members(value)
        if self._is_root:
            _, root, declared = next(members)
            return Again(root, declared, lenient=True)
        return Object(members, lenient=True)

    def _members(self, model: Any) -> Iterator[tuple[str, Any, Any]]:
        for name, field in self._declared_fields.items():
            value = field_value(model, name)
            exclude_if = getattr(field, "exclude_if", None)
            if not field.exclude and not (exclude_if and exclude_if(value)):
                yield self._member(model, name, field.serialization_alias, value, field.annotation)
        for name, field in self._computed.items():
            yield self._member(model, name, field.alias, field_value(model, name), Any)
        for name, value in (getattr(model, "__pydantic_extra__", None) or {}).items():
            yield name, value, Any

    def _member(
        self, model: Any, name: str, alias: str | None, value: Any, declared: Any
    ) -> tuple[str, Any, Any]:
        key = alias if self._by_alias and alias else self.converter.key_of(name)
        mode = self._modes.get(name, self._modes.get("*"))
        if mode is None:
            return key, value, declared
        return key, self._serialized(model, mode, include={name}, by_alias=False)[name], Any

    def _serialized(self, model: Any, mode: str, **options: Any) -> Any:
        serializer = self.cls.__pydantic_serializer__
        return serializer.to_python(model, mode=mode, warnings="error", **options)

    def _field_modes(self, decorators: Any) -> dict[str, str]:
        """Return the mode that runs a field's serializer, for the fields that have one."""
        modes: dict[str, str | None] = {}
        for name, field in self._declared_fields.items():
            modes[name] = _mode([*_serializers(field.metadata), *_nested(field.annotation)])
        for name, field in self._computed.items():
            modes[name] = _mode(_nested(field.return_type))
        for each in decorators.field_serializers.values():
            modes |= dict.fromkeys(each.info.fields, _mode([each.info]))
        return {name: mode for name, mode in modes.items() if mode}


def _mode(serializers: Iterable[Any]) -> str | None:
    used = {serializer.when_used for serializer in serializers}
    if not used:
        return None
    return "json" if used & {"json", "json-unless-none"} else "python"


def _serializers(metadata: Iterable[Any]) -> Iterator[Any]:
    return (each for each in metadata if hasattr(each, "when_used") and hasattr(each, "func"))


def _nested(hint: Any) -> Iterator[Any]:
    """Return the serializers that `Annotated` gives to parts of a type."""
    yield from _serializers(getattr(hint, "__metadata__", ()))
    for each in get_args(hint):
        yield from _nested(each)
