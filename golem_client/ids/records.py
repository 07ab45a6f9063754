"""Ids in decoded JSON: records with keys in four cases, and numbers in four spellings.

| component | written by |
| --- | --- |
| `"f81d4fae-…"` | Golem's REST API, all versions |
| `{"uuid": "f81d4fae-…"}` | golem-schema, the Rust SDK after Golem 1.5 |
| `{"uuid": {"highBits": …, "lowBits": …}}` | the SDKs, and WIT records in answers |
| `{"highBits": …, "lowBits": …}` | the same, of the UUID alone |
| `[248, 29, …]`, 16 numbers | golem-go's first versions |

| number | written by |
| --- | --- |
| `42` | Golem, all versions; exact in Python, rounded by JavaScript above 2^53 |
| `"42"`, `"42n"` | JavaScript, whose JSON has no bigints |
| `{"#bigint": "42"}` | golem-cli's TypeScript templates, after Golem 1.5 |

Unknown keys are ignored: Golem's records have grown, and users add keys of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn, TypeAlias
from uuid import UUID

from golem_client.errors import InvalidIdError
from golem_client.ids.plain_text import HYPHENATED, component_from_text
from golem_client.ids.rules import decimal, shown, uuid_of_halves

Record: TypeAlias = dict[Any, Any]

# The key under which the record holds each field.
Fields: TypeAlias = dict[str, str]


def in_all_cases(**fields: str) -> dict[str, str]:
    """Return the field for each key: every name in snake, kebab and camel case, and in Go's."""
    return {
        key: field
        for field, names in fields.items()
        for name in names.split()
        for key in (name, name.replace("_", "-"), _camel(name), _go(name))
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


def _go(name: str) -> str:
    return "".join("ID" if word == "id" else word.title() for word in name.split("_"))


# Golem says worker up to 1.2 and agent since 1.3, and calls an agent's name its id.
PROMISE_KEYS = in_all_cases(worker_id="worker_id agent_id", oplog_idx="oplog_idx")
PROMISE_KEYS["OplogIndex"] = "oplog_idx"  # golem-go since Golem 1.5
WORKER_KEYS = in_all_cases(component_id="component_id", worker_name="worker_name agent_id")
UUID_KEYS = in_all_cases(high_bits="high_bits", low_bits="low_bits")
COMPONENT_KEYS = {"uuid": "uuid", **UUID_KEYS}


def fields_of(record: Record, keys: Mapping[str, str], where: str) -> Fields:
    """Return the fields of the record that `keys` knows; refuse two spellings of one field."""
    fields: Fields = {}
    for key in record:
        field = keys.get(key)
        if field is None:
            continue
        if field in fields:
            raise InvalidIdError(f"{where}{key} and {where}{fields[field]} spell one field twice")
        fields[field] = key
    return fields


def promise_as_rest_writes_it(record: Record) -> tuple[UUID, str, int] | None:
    """Return the parts of the promise id, if the record is exactly as the REST API writes it.

    A short cut for the most common record, in two thirds of the time of `promise_from_record`,
    which returns the same.
    """
    worker = record.get("agentId") or record.get("workerId")
    if len(record) == 2 and isinstance(worker, dict) and len(worker) == 2:
        component = worker.get("componentId")
        name = worker.get("agentId") or worker.get("workerName")
        index = record.get("oplogIdx")
        if type(index) is int and isinstance(name, str) and isinstance(component, str):
            return (UUID(component), name, index) if HYPHENATED.fullmatch(component) else None
    return None


def promise_from_record(record: Record, fields: Fields, where: str) -> tuple[UUID, str, int]:
    """Return the parts of the promise id that the record holds."""
    key = fields.get("worker_id") or _missing("workerId or agentId", where)
    worker = record[key]
    if not isinstance(worker, dict):
        raise InvalidIdError(f"{where}{key} must be an object, not {shown(worker)}")
    within = f"{where}{key}."
    uuid, name = worker_from_record(worker, fields_of(worker, WORKER_KEYS, within), within)
    key = fields.get("oplog_idx") or _missing("oplogIdx", where)
    return uuid, name, whole_number(record[key], f"{where}{key}")


def worker_from_record(record: Record, fields: Fields, where: str) -> tuple[UUID, str]:
    """Return the parts of the worker id that the record holds."""
    key = fields.get("component_id") or _missing("componentId", where)
    uuid = _component(record[key], f"{where}{key}")
    key = fields.get("worker_name") or _missing("workerName or agentId", where)
    name = record[key]
    if not isinstance(name, str):
        raise InvalidIdError(f"{where}{key} must be a string, not {shown(name)}")
    return uuid, name


def _component(value: object, where: str) -> UUID:
    if isinstance(value, str):
        return component_from_text(value, where)
    if isinstance(value, dict):
        within = f"{where}."
        return component_from_record(value, fields_of(value, COMPONENT_KEYS, within), within)
    if isinstance(value, list):
        return component_from_octets(value, where)
    raise InvalidIdError(f"{where} must be a UUID or an object that holds one, not {shown(value)}")


def component_from_octets(octets: list[Any], where: str) -> UUID:
    """Return the UUID with these 16 bytes, each of which is a number from 0 to 255."""
    numbers = [octet for octet in octets[:16] if type(octet) is int and 0 <= octet <= 255]
    if len(numbers) == len(octets) == 16:
        return UUID(bytes=bytes(numbers))
    problem = f"must be a UUID as 16 numbers from 0 to 255, not {shown(octets)}"
    raise InvalidIdError(f"{where} {problem}")


def component_from_record(record: Record, fields: Fields, where: str) -> UUID:
    """Return the UUID of the component id that the record holds."""
    if "uuid" not in fields:
        return _uuid_of_halves(record, fields, where)
    key = f"{where}{fields['uuid']}"
    if len(fields) > 1:
        raise InvalidIdError(f"{key} stands beside its own halves, which spells it twice")
    uuid = record[fields["uuid"]]
    if isinstance(uuid, str):
        return component_from_text(uuid, key)
    if isinstance(uuid, dict):
        return _uuid_of_halves(uuid, fields_of(uuid, UUID_KEYS, f"{key}."), f"{key}.")
    raise InvalidIdError(f"{key} must be a UUID or its two halves, not {shown(uuid)}")


def _uuid_of_halves(record: Record, fields: Fields, where: str) -> UUID:
    high_key = fields.get("high_bits") or _missing("highBits", where)
    low_key = fields.get("low_bits") or _missing("lowBits", where)
    high, low = record[high_key], record[low_key]
    high_key, low_key = f"{where}{high_key}", f"{where}{low_key}"
    if _looks_rounded(high) and _looks_rounded(low):
        raise InvalidIdError(
            f"{high_key} and {low_key} were rounded by JavaScript, whose numbers are exact only up "
            "to 2^53: send each as a string (bigint.toString()), or the id as its text"
        )
    return uuid_of_halves(whole_number(high, high_key), whole_number(low, low_key))


def _looks_rounded(half: object) -> bool:
    """Return whether JavaScript prints this number for a larger or smaller one near it."""
    if not isinstance(half, int) or not 2**53 < abs(half) < 2**65:
        return False
    return half == Decimal(repr(float(half)))


def whole_number(value: object, where: str) -> int:
    """Return the number in any of the four spellings, not yet checked for its range."""
    if isinstance(value, str):
        return decimal(value.removesuffix("n"), where)
    if isinstance(value, dict) and isinstance(digits := value.get("#bigint"), str):
        return decimal(digits, where)
    if isinstance(value, float):
        problem = f"{where} must be a whole number, not the float {value!r}"
        raise InvalidIdError(f"{problem}, which may have lost digits: send it as a string")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise InvalidIdError(f"{where} must be a whole number, not {shown(value)}")


def _missing(spelled: str, where: str) -> NoReturn:
    holder = where.removesuffix(".") or "the record"
    raise InvalidIdError(f"{holder} has no {spelled}, in camel, snake or kebab case")
