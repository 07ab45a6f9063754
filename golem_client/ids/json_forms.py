"""The JSON forms of ids: records with keys in three cases, and numbers in four spellings.

| component | written by |
| --- | --- |
| `"f81d4fae-…"` | Golem's REST API, all versions |
| `{"uuid": "f81d4fae-…"}` | golem-schema, the Rust SDK after Golem 1.5 |
| `{"uuid": {"highBits": …, "lowBits": …}}` | the SDKs, and WIT records in answers |
| `{"highBits": …, "lowBits": …}` | the same, of the UUID alone |

| number | written by |
| --- | --- |
| `42` | Golem, all versions; exact in Python, rounded by JavaScript above 2^53 |
| `"42"`, `"42n"` | JavaScript, whose JSON has no bigints |
| `{"#bigint": "42"}` | golem-cli's TypeScript templates, after Golem 1.5 |

Unknown keys are passed over: Golem's records have grown some, and users add theirs.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from golem_client.errors import InvalidIdError
from golem_client.ids.rules import decimal, exact, shown, uuid_of_halves
from golem_client.ids.text_forms import HYPHENATED, component_from_text

if TYPE_CHECKING:
    from collections.abc import Mapping

# A field by our name for it, with the key that the record has for it, and the value.
Fields: TypeAlias = dict[str, tuple[str, object]]


def in_all_cases(**fields: str) -> dict[str, str]:
    """Return the field for each key: every name of a field in snake, kebab and camel case."""
    return {
        key: field
        for field, names in fields.items()
        for name in names.split()
        for key in (name, name.replace("_", "-"), _camel(name))
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


# Golem says worker up to 1.2 and agent since 1.3, and calls an agent's name its id.
PROMISE_KEYS = in_all_cases(worker_id="worker_id agent_id", oplog_idx="oplog_idx")
WORKER_KEYS = in_all_cases(component_id="component_id", worker_name="worker_name agent_id")
UUID_KEYS = in_all_cases(high_bits="high_bits", low_bits="low_bits")
COMPONENT_KEYS = {"uuid": "uuid"} | UUID_KEYS
BIGINT_KEYS = {"#bigint": "bigint"}


def fields_of(record: dict[object, object], keys: Mapping[str, str], where: str) -> Fields:
    """Return the record's fields that `keys` knows; two spellings of one field are refused."""
    fields: Fields = {}
    for written, value in record.items():
        key = exact(written)
        if type(key) is not str or (field := keys.get(key)) is None:
            continue
        if field in fields:
            raise InvalidIdError(f"{where}{key} and {fields[field][0]} spell one field twice")
        fields[field] = where + key, value
    return fields


def parts_as_rest_writes_them(value: object) -> tuple[UUID, str, int] | None:
    """Return the parts of a promise id exactly as the REST API writes it; None for all else.

    A short cut for the commonest form, in half the time. It reads nothing differently: without
    it, `promise_from_fields` would return the same.
    """
    outer = _pair(value, _REST_WORKER, _REST_INDEX)
    inner = outer and _pair(outer[0], _REST_COMPONENT, _REST_NAME)
    if not (outer and inner):
        return None
    (component, name), index = inner, outer[1]
    if type(component) is str and type(name) is str and type(index) is int:
        return (UUID(component), name, index) if HYPHENATED.fullmatch(component) else None
    return None


def _pair(
    value: object, first: frozenset[str], second: frozenset[str]
) -> tuple[object, object] | None:
    if type(value) is not dict or len(value) != 2:
        return None
    (one, at_one), (other, at_other) = value.items()
    if type(one) is str and type(other) is str and one in first and other in second:
        return at_one, at_other
    return None


_REST_WORKER, _REST_INDEX = frozenset({"workerId", "agentId"}), frozenset({"oplogIdx"})
_REST_COMPONENT, _REST_NAME = frozenset({"componentId"}), frozenset({"workerName", "agentId"})


def promise_from_fields(fields: Fields, where: str) -> tuple[UUID, str, int]:
    """Return the parts of the promise id that has these fields."""
    key, worker = _required(fields, "worker_id", "workerId or agentId", where)
    worker = exact(worker)
    if type(worker) is not dict:
        raise InvalidIdError(f"{key} must be an object, not {shown(worker)}")
    within = f"{key}."
    uuid, name = worker_from_fields(fields_of(worker, WORKER_KEYS, within), within)
    key, index = _required(fields, "oplog_idx", "oplogIdx", where)
    return uuid, name, whole_number(index, key)


def worker_from_fields(fields: Fields, where: str) -> tuple[UUID, str]:
    """Return the parts of the worker's id that has these fields."""
    key, component = _required(fields, "component_id", "componentId", where)
    uuid = _component(component, key)
    key, name = _required(fields, "worker_name", "workerName or agentId", where)
    name = exact(name)
    if type(name) is not str:
        raise InvalidIdError(f"{key} must be a string, not {shown(name)}")
    return uuid, name


def _component(value: object, where: str) -> UUID:
    component = exact(value)
    if type(component) is str:
        return component_from_text(component, where)
    if type(component) is dict:
        return component_from_fields(fields_of(component, COMPONENT_KEYS, f"{where}."), f"{where}.")
    raise InvalidIdError(f"{where} must be a UUID or an object that holds one, not {shown(value)}")


def component_from_fields(fields: Fields, where: str) -> UUID:
    """Return the UUID of the component's id that has these fields."""
    if "uuid" not in fields:
        return _uuid_of_halves(fields, where)
    if len(fields) > 1:
        raise InvalidIdError(f"{where}uuid stands beside its own halves, which spells it twice")
    key, value = fields["uuid"]
    uuid = exact(value)
    if type(uuid) is str:
        return component_from_text(uuid, key)
    if type(uuid) is dict:
        return _uuid_of_halves(fields_of(uuid, UUID_KEYS, f"{key}."), f"{key}.")
    raise InvalidIdError(f"{key} must be a UUID or its two halves, not {shown(uuid)}")


def _uuid_of_halves(fields: Fields, where: str) -> UUID:
    high_key, high = _required(fields, "high_bits", "highBits", where)
    low_key, low = _required(fields, "low_bits", "lowBits", where)
    high, low = exact(high), exact(low)
    if _rounded_by_javascript(high) and _rounded_by_javascript(low):
        raise InvalidIdError(
            f"{high_key} and {low_key} were rounded by JavaScript, whose numbers are exact only up "
            "to 2^53: send each as a string (bigint.toString()), or the id as its text"
        )
    return uuid_of_halves(whole_number(high, high_key), whole_number(low, low_key))


def _rounded_by_javascript(half: object) -> bool:
    """Tell whether the number is what JavaScript prints for a larger one's nearest double."""
    if type(half) is not int or not 2**53 < abs(half) < 2**65:
        return False
    return half == Decimal(repr(float(half)))


def whole_number(value: object, where: str) -> int:
    """Return the number in any of the four spellings, not yet checked for its range."""
    number = exact(value)
    if type(number) is dict:
        # Not `in`: a foreign key could have the same hash, and an __eq__ of its own.
        _, digits = fields_of(number, BIGINT_KEYS, "").get("bigint", ("", None))
        digits = exact(digits)
        if type(digits) is str:
            return decimal(digits, where)
    elif type(number) is str:
        return decimal(number.removesuffix("n"), where)
    elif type(number) is int:
        return number
    elif type(number) is float:
        problem = f"{where} must be a whole number, not the float {number!r}"
        raise InvalidIdError(f"{problem}, which may have lost digits: send it as a string")
    raise InvalidIdError(f"{where} must be a whole number, not {shown(value)}")


def _required(fields: Fields, field: str, spelled: str, where: str) -> tuple[str, object]:
    if field in fields:
        return fields[field]
    holder = where.removesuffix(".") or "the record"
    raise InvalidIdError(f"{holder} has no {spelled}, in camel, snake or kebab case")
