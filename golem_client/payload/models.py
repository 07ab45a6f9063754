"""pydantic models, without importing pydantic: whoever has a model has imported it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal, get_args

from golem_client.payload.steps import Again, Object, RefusedError, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from golem_client.payload.converter import PayloadConverter

_UNSET: Any = object()
_Mode = Literal["json", "python"]


def is_model(cls: type) -> bool:
    """Tell whether it is a model of pydantic 2."""
    base = getattr(sys.modules.get("pydantic.main"), "BaseModel", None)
    return base is not None and issubclass(cls, base) and hasattr(cls, "__pydantic_decorators__")


class Model(Rule):
    """A pydantic model: the keys of its `model_dump`, the values by our rules.

    pydantic validates the values, and may make others of them than are declared, so a value of
    another type is written by its own. What has a serializer of its own, pydantic writes.
    """

    def __init__(self, declared: Any, converter: PayloadConverter) -> None:
        super().__init__(declared, converter)
        decorators = declared.__pydantic_decorators__
        self.fields = (*declared.model_fields, *declared.model_computed_fields)
        self._mode = _mode(each.info for each in decorators.model_serializers.values())
        self._modes = _field_modes(declared)
        self._by_alias = declared.model_config.get("serialize_by_alias", False)

    def open(self, value: Any, choose: Callable[..., Any]) -> Object | Again:
        """Take the fields one by one, so that what is in them meets our rules."""
        del choose
        if type(value) is not self.declared:
            return Again(value)
        if self._mode is not None:
            return Again(value.model_dump(mode=self._mode, warnings="error"), finished=True)
        if self.declared.__pydantic_root_model__:
            return Again(next(self._members(value))[1])
        return Object(self._members(value), lenient=True)

    def _members(self, model: Any) -> Iterator[tuple[str, Any, Any]]:
        for name, field in self.declared.model_fields.items():
            value = getattr(model, name, _UNSET)
            if value is _UNSET:
                raise RefusedError(f"has no value in its field {name!r}; set it")
            exclude_if = getattr(field, "exclude_if", None)
            if not field.exclude and not (exclude_if and exclude_if(value)):
                yield self._member(model, name, field.serialization_alias, value, field.annotation)
        for name, field in self.declared.model_computed_fields.items():
            yield self._member(model, name, field.alias, getattr(model, name), field.return_type)
        for name, value in (model.__pydantic_extra__ or {}).items():
            yield name, value, Any

    def _member(
        self, model: Any, name: str, alias: str | None, value: Any, declared: Any
    ) -> tuple[str, Any, Any]:
        key = alias if self._by_alias and alias else self.converter.key_of(name)
        mode = self._modes.get(name, self._modes.get("*"))
        if mode is None:
            return key, value, declared
        written = model.model_dump(mode=mode, include={name}, by_alias=False, warnings="error")
        return key, written[name], Any


def _field_modes(model: Any) -> dict[str, _Mode]:
    """Return the mode of pydantic that runs the serializer of a field, for those that have one."""
    modes: dict[str, _Mode] = {}
    for name, field in (model.model_fields | model.model_computed_fields).items():
        hint = getattr(field, "annotation", None) or getattr(field, "return_type", None)
        mode = _mode([*_serializers(getattr(field, "metadata", ())), *_serializers_in(hint)])
        if mode:
            modes[name] = mode
    for each in model.__pydantic_decorators__.field_serializers.values():
        modes |= dict.fromkeys(each.info.fields, _mode([each.info]) or "python")
    return modes


def _mode(serializers: Iterable[Any]) -> _Mode | None:
    used = {serializer.when_used for serializer in serializers}
    if not used:
        return None
    return "json" if used & {"json", "json-unless-none"} else "python"


def _serializers(metadata: Iterable[Any]) -> Iterator[Any]:
    return (each for each in metadata if hasattr(each, "when_used") and hasattr(each, "func"))


def _serializers_in(hint: Any) -> Iterator[Any]:
    yield from _serializers(getattr(hint, "__metadata__", ()))
    for each in get_args(hint):
        yield from _serializers_in(each)
