"""Which rule writes which class."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.payload.containers import container_rule, record_rule, typed_dict_rule
from golem_client.payload.declarations import class_of, is_model, is_record, is_typed_dict
from golem_client.payload.models import model_rule, old_model_reason
from golem_client.payload.refusals import RefusedError, type_name
from golem_client.payload.rules import Room, Rule, exact_rule
from golem_client.payload.scalars import WRITERS, enum_rule, literal_rule, scalar_rule

if TYPE_CHECKING:
    from golem_client.payload.converter import PayloadConverter

_IDS = (ComponentId, WorkerId, PromiseId)
_HOOK = "register_unstructure_hook() on a converter of make_converter()"


def class_rule(declared: Any, converter: PayloadConverter) -> Rule:
    """Return our rule for a class, for a generic class with its arguments, or for a Literal.

    Raises:
        RefusedError: It is no type, or a class that loses a field.
    """
    cls = class_of(declared)
    if cls is Literal:
        return literal_rule(declared, converter)
    if not isinstance(cls, type):
        raise RefusedError(f"is declared as {type_name(declared)}, which is no type; name a type")
    if is_model(cls):
        return model_rule(cls, converter)
    if is_typed_dict(cls):
        return typed_dict_rule(declared, converter)
    if issubclass(cls, Enum):
        return enum_rule(cls, converter)
    found = None
    if issubclass(cls, tuple(WRITERS)):
        found = scalar_rule(cls, converter)
    found = found or container_rule(declared, cls, converter)
    if is_record(cls) and not issubclass(cls, _IDS):
        return _mixed_rule(cls, converter) if found else record_rule(declared, converter)
    return found or _unknown_rule(declared, cls, converter)


def refusing_rule(declared: Any, reason: str, converter: PayloadConverter) -> Rule:
    """Return a rule that writes nothing."""

    def write(value: Any, room: Room) -> Any:
        del value, room
        raise RefusedError(reason)

    cls = class_of(declared)
    return Rule(declared, converter, lambda v: isinstance(cls, type) and isinstance(v, cls), write)


def _mixed_rule(cls: type, converter: PayloadConverter) -> Rule:
    return refusing_rule(
        cls,
        f"is of type {type_name(cls)}, which has fields and is a value of its own as well; {_HOOK}",
        converter,
    )


def _unknown_rule(declared: Any, cls: type, converter: PayloadConverter) -> Rule:
    """Return the rule of a class that cannot be written. Its subclasses may have one."""

    def fits(value: Any) -> bool:
        try:
            return isinstance(value, cls)
        except TypeError:  # a protocol that is not runtime_checkable
            return True

    def write(value: Any, room: Room) -> Any:
        del value, room
        raise RefusedError(
            old_model_reason(cls)
            or f"is of type {type_name(cls)}, which cannot be written as JSON; convert it first, "
            f"or {_HOOK}"
        )

    return exact_rule(cls, converter, write, fits, declared=declared)
