"""The table of spellings: what writes each, and the id that it spells; and what spells none."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from golem_client.errors import InvalidIdError
from golem_client.ids import ComponentId, PromiseId, WorkerId

U = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
HIGH, LOW = 17878533706586264016, 12062047867550723062
HALVES = f"high-bits: {HIGH}, low-bits: {LOW}"
RUST = f"Uuid {{ {HALVES} }}"

COMPONENT = ComponentId(UUID(U))
W1 = WorkerId(COMPONENT, "w1")
AGENT = WorkerId(COMPONENT, 'MyAgent("a/b: c")')
P1 = PromiseId(W1, 42)
PA = PromiseId(AGENT, 42)

REST: dict[str, Any] = {"workerId": {"componentId": U, "workerName": "w1"}, "oplogIdx": 42}
REST_AGENT = {"agentId": {"componentId": U, "agentId": AGENT.worker_name}, "oplogIdx": 42}
WIT = {
    "worker-id": {
        "component-id": {"uuid": {"high-bits": HIGH, "low-bits": LOW}},
        "worker-name": "w1",
    },
    "oplog-idx": 42,
}
BIGINTS = {
    "agentId": {
        "componentId": {
            "uuid": {"highBits": {"#bigint": str(HIGH)}, "lowBits": {"#bigint": str(LOW)}}
        },
        "agentId": AGENT.worker_name,
    },
    "oplogIdx": {"#bigint": "42"},
}


def agent_first(**more: object) -> dict[str, object]:
    """Return Golem 1.5's answer, which has an agentId of its own."""
    return {"agentId": {"componentId": U, "agentId": "other"}, "componentRevision": 0, **more}


TEXT_SPELLINGS: list[tuple[str, str, Any]] = [
    # what writes it, the text, the id
    ("server, all versions", U, COMPONENT),
    ("uuid crate, upper case", U.upper(), COMPONENT),
    ("uuid crate, simple", U.replace("-", ""), COMPONENT),
    ("uuid crate, braced", f"{{{U}}}", COMPONENT),
    ("uuid crate, URN", f"urn:uuid:{U}", COMPONENT),
    ("server, component URN", f"urn:component:{U}", COMPONENT),
    ("server, component URN with a version", f"urn:component:{U}/7", COMPONENT),
    ("server, component URN with the last version", f"urn:component:{U}/{2**64 - 1}", COMPONENT),
    ("golem-rust 1.1-1.3, Display", RUST, COMPONENT),
    ("golem-rust, Debug", f"ComponentId {{ uuid: {RUST} }}", COMPONENT),
    ("WAVE", f"{{uuid: {{{HALVES}}}}}", COMPONENT),
    ("WAVE, UUID", f"{{{HALVES}}}", COMPONENT),
    ("server, all versions", f"{U}/w1", W1),
    ("server's parser, all versions", f"{U}:w1", W1),
    ("golem-rust 1.1-1.3, Display", f"{RUST}/w1", W1),
    ("server 1.2 and later, URN", f"urn:worker:{U}/w1", W1),
    ("server 1.5, URN of an agent", f"urn:worker:{U}/{AGENT.worker_name}", AGENT),
    (
        "server 1.1, URN with a function",
        f"urn:worker:{U}/w1/run",
        WorkerId(COMPONENT, "w1/run"),
    ),
    ("server 1.1, URN form-encoded", f"urn:worker:{U}/a%3Ab", WorkerId(COMPONENT, "a%3Ab")),
    ("braced", f"{{{U}}}/w1", W1),
    ("a name that ends in a space", f"  {U}/w1 ", WorkerId(COMPONENT, "w1 ")),
    ("a name that is like an index", f"{U}/w1/42", WorkerId(COMPONENT, "w1/42")),
    (
        "golem-rust, Debug",
        f'WorkerId {{ component-id: ComponentId {{ uuid: {RUST} }}, worker-name: "w1" }}',
        W1,
    ),
    ("WAVE 1.1, 1.2", f'{{component-id: {{uuid: {{{HALVES}}}}}, worker-name: "w1"}}', W1),
    ("server, all versions; golem-rust 1.4 and later", f"{U}/w1/42", P1),
    ("server, Redis", f"{U}:w1:42", P1),
    ("server, Redis, of the completion", f"{U}:w1:42:completed", P1),
    ("golem-rust 1.1-1.3, Display", f"{RUST}/w1/42", P1),
    ("uuid crate, simple", f"{U.replace('-', '').upper()}/w1/42", P1),
    ("uuid crate, braced", f"{{{U}}}:w1:42", P1),
    ("server, of an agent", f"{U}/{AGENT.worker_name}/42", PA),
    ("slashes and colons in a name", f"{U}:a/b:c:7", PromiseId(WorkerId(COMPONENT, "a/b:c"), 7)),
    ("slashes and colons in a name", f"{U}/a:b/c/7", PromiseId(WorkerId(COMPONENT, "a:b/c"), 7)),
    ("a name of slashes", f"{U}/////7", PromiseId(WorkerId(COMPONENT, "///"), 7)),
    ("spaces in a name", f"\n {U}/ a  /7\t\r\n", PromiseId(WorkerId(COMPONENT, " a  "), 7)),
    (
        "a name like a key in Redis",
        f"{U}/a:completed/7",
        PromiseId(WorkerId(COMPONENT, "a:completed"), 7),
    ),
    (
        "golem-rust 1.1-1.7, Debug",
        (
            "PromiseId { worker-id: WorkerId { component-id: ComponentId { uuid: "
            f'{RUST} }}, worker-name: "w1" }}, oplog-idx: 42 }}'
        ),
        P1,
    ),
    (
        "golem-rust 1.8 and later, Debug",
        (
            "PromiseId { agent_id: AgentId { component_id: ComponentId { uuid: Uuid { high_bits: "
            f'{HIGH}, low_bits: {LOW} }} }}, agent_id: "MyAgent(\\"a/b: c\\")" }}, oplog_idx: 42 }}'
        ),
        PA,
    ),
    (
        "golem-rust, Debug on many lines",
        (
            "PromiseId {\n    worker-id: WorkerId {\n        component-id: ComponentId {\n"
            f"            uuid: Uuid {{\n                high-bits: {HIGH},\n"
            f"                low-bits: {LOW},\n            }},\n        }},\n"
            '        worker-name: "w1",\n    },\n    oplog-idx: 42,\n}\n'
        ),
        P1,
    ),
    (
        "golem-cli 1.1, 1.2, WAVE",
        (
            f"{{worker-id: {{component-id: {{uuid: {{{HALVES}}}}}, "
            'worker-name: "w1"}, oplog-idx: 42}'
        ),
        P1,
    ),
    (
        "golem-cli 1.3, 1.4, WAVE",
        (
            f"{{agent-id: {{component-id: {{uuid: {{{HALVES}}}}}, "
            'agent-id: "MyAgent(\\"a/b: c\\")"}, oplog-idx: 42}'
        ),
        PA,
    ),
    (
        "WAVE, escapes",
        f'{{agent-id: {{component-id: "{U}", agent-id: "\\u{{77}}\\\'\\\\"}}, oplog-idx: 42}}',
        PromiseId(WorkerId(COMPONENT, "w'\\"), 42),
    ),
    (
        "MoonBit 1.5, Show",
        (
            f"{{agent_id: {{component_id: {{uuid: {{high_bits: {HIGH}, low_bits: {LOW}}}}}, "
            'agent_id: "w1"}, oplog_idx: 42}'
        ),
        P1,
    ),
]

NAME = json.dumps(AGENT.worker_name)
PRINTED: list[tuple[str, str, Any]] = [
    # what prints it or logs it, the text, the id
    (
        "Scala",
        (
            f"PromiseId(agentId = AgentId(componentId = ComponentId(uuid = Uuid(highBits = {HIGH}, "
            f"lowBits = {LOW})), agentId = {NAME}), oplogIdx = 42)"
        ),
        PA,
    ),
    (
        "Scala, record without names",
        (
            f"{{ agentId = {{ componentId = {{ uuid = {{ highBits = {HIGH}, lowBits = {LOW} }} }}, "
            f"agentId = {NAME} }}, oplogIdx = 42 }}"
        ),
        PA,
    ),
    (
        "MoonBit, with names",
        (
            "PromiseId::{ agent_id: AgentId::{ component_id: ComponentId::{ uuid: Uuid::{ "
            f"high_bits: {HIGH}, low_bits: {LOW} }} }}, agent_id: {NAME} }}, oplog_idx: 42 }}"
        ),
        PA,
    ),
    (
        "golem-cli 1.5, TypeScript syntax",
        (
            f"{{ agentId: {{ componentId: {{ uuid: {{ highBits: {HIGH}, lowBits: {LOW} }} }}, "
            f"agentId: {NAME} }}, oplogIdx: 42 }}"
        ),
        PA,
    ),
    (
        "JavaScript, console.log",
        (
            "{\n  agentId: {\n    componentId: {\n      uuid: { highBits: "
            f"{HIGH}n, lowBits: {LOW}n }}\n    }},\n    agentId: '{AGENT.worker_name}'\n  }},\n"
            "  oplogIdx: 42n\n}\n"
        ),
        PA,
    ),
    (
        "JavaScript, console.log of a class, a WIT record and other fields",
        (
            f"PromiseId {{ 'worker-id': {{ 'component-id': '{U}', 'worker-name': `it's \"1\"` }},"
            " 'oplog-idx': { '#bigint': '42' }, note: undefined, 'is it': true, no: null }"
        ),
        PromiseId(WorkerId(COMPONENT, 'it\'s "1"'), 42),
    ),
    (
        "Python SDK, repr",
        (
            "PromiseId(agent_id=AgentId(component_id=ComponentId(uuid=Uuid(high_bits="
            f"{HIGH}, low_bits={LOW})), agent_id={AGENT.worker_name!r}), oplog_idx=42)"
        ),
        PA,
    ),
    (
        "Python SDK, repr with escapes",
        (
            f"PromiseId(worker_id=WorkerId(component_id='{U}', worker_name='"
            r"""it\'s "1"\xa0\u200b\U000e0001'), oplog_idx=42)"""
        ),
        PromiseId(WorkerId(COMPONENT, 'it\'s "1"\xa0\u200b\U000e0001'), 42),
    ),
    (
        "Python SDK, repr of asdict",
        (
            f"{{'agent_id': {{'component_id': {{'uuid': {{'high_bits': {HIGH}, 'low_bits': {LOW}"
            f"}}}}, 'agent_id': {AGENT.worker_name!r}}}, 'oplog_idx': 42, 'x': None, 'y': True}}"
        ),
        PA,
    ),
    (
        "Python SDK, repr of a worker",
        (
            f"AgentId(component_id=ComponentId(uuid=Uuid(high_bits={HIGH}, low_bits={LOW})), "
            "agent_id='w1')"
        ),
        W1,
    ),
    (
        "JavaScript, console.log with bigints as objects, and Windows' line ends",
        (
            f"{{\r\n  agentId: {{ componentId: {{ uuid: {{ highBits: {{ '#bigint': '{HIGH}' }},"
            f" lowBits: {{ '#bigint': '{LOW}' }} }} }},\r\n agentId: 'w1' }}, oplogIdx: 42n,"
            r" x: '\0\b\f\v\t\n\r\\' }"
        ),
        P1,
    ),
    (
        "Rust, Debug of the last character",
        f'WorkerId {{ component_id: "{U}", worker_name: "\\u{{10ffff}}" }}',
        WorkerId(COMPONENT, "\U0010ffff"),
    ),
    ("JVM, signed", f"Uuid(highBits = {HIGH - 2**64}, lowBits = {LOW - 2**64})", COMPONENT),
    ("Scala, of a component", f"Uuid(highBits = {HIGH}, lowBits = {LOW})", COMPONENT),
    ("MoonBit, of a component", f"Uuid::{{ high_bits: {HIGH}, low_bits: {LOW} }}", COMPONENT),
]
TEXT_SPELLINGS += PRINTED

JSON_SPELLINGS: list[tuple[str, object, Any]] = [
    # what writes it, the JSON, the id
    ("server, all versions", U, COMPONENT),
    ("golem-schema", {"uuid": U}, COMPONENT),
    ("WIT, 1.1-1.4", {"uuid": {"high-bits": HIGH, "low-bits": LOW}}, COMPONENT),
    ("TypeScript, halves alone", {"highBits": str(HIGH), "lowBits": f"{LOW}n"}, COMPONENT),
    ("JVM, SQL, signed", {"high_bits": HIGH - 2**64, "low_bits": str(LOW - 2**64)}, COMPONENT),
    ("answer of 1.3, 1.4", {"result": {"typ": {}, "value": {"uuid": U}}}, COMPONENT),
    ("server 1.1-1.4", REST["workerId"], W1),
    ("server 1.5", REST_AGENT["agentId"], AGENT),
    ("answer of 1.5", agent_first(result={"elements": [{"value": REST["workerId"]}]}), W1),
    ("a name that ends in a space", f"{U}/w1 ", WorkerId(COMPONENT, "w1 ")),
    ("server 1.1-1.4", REST, P1),
    ("server 1.5", REST_AGENT, PA),
    ("fields in another order", dict(reversed(REST.items())), P1),
    ("unknown fields", {**REST, "x": [1.5, None], "": {}, "workerName": "other"}, P1),
    ("brackets in a string after a quote", {**REST, "x": '"' + "[" * 200}, P1),
    ("brackets in a string after a backslash", {**REST, "x": "\\", "y": "[" * 200}, P1),
    (
        "unknown fields like known ones",
        {"workerId": {**REST["workerId"], "uuid": U}, "oplogIdx": 42, "worker": {}, "idx": 1},
        P1,
    ),
    (
        "an answer's key beside the halves",
        {"highBits": str(HIGH), "lowBits": str(LOW), "value": None},
        COMPONENT,
    ),
    (
        "golem-schema",
        {"agentId": {"componentId": {"uuid": U}, "agentId": "w1"}, "oplogIdx": 42},
        P1,
    ),
    ("WIT, 1.1, 1.2", WIT, P1),
    (
        "WIT, 1.3, 1.4",
        {"agent-id": {"component-id": {"uuid": U}, "agent-id": "w1"}, "oplog-idx": 42},
        P1,
    ),
    (
        "Rust DTO with golem-rust 1.1-1.3's Display",
        {"worker_id": {"component_id": RUST, "worker_name": "w1"}, "oplog_idx": 42},
        P1,
    ),
    (
        "Rust SDK, 1.5",
        {
            "agent_id": {
                "component_id": {"uuid": {"high_bits": HIGH, "low_bits": LOW}},
                "agent_id": "w1",
            },
            "oplog_idx": 42,
        },
        P1,
    ),
    ("TypeScript template, after 1.5", BIGINTS, PA),
    ("TypeScript, decimal strings", {**REST, "oplogIdx": "42"}, P1),
    ("TypeScript, bigint literals", {**REST, "oplogIdx": "42n"}, P1),
    ("answer of 1.1, 1.2", {"result": {"typ": {"type": "Tuple"}, "value": [WIT]}}, P1),
    ("answer of 1.3, 1.4", {"result": {"typ": {"type": "Record"}, "value": WIT}}, P1),
    (
        "answer of 1.5",
        agent_first(
            result={"type": "Tuple", "elements": [{"type": "ComponentModel", "value": REST_AGENT}]}
        ),
        PA,
    ),
    ("part of an answer of 1.1, 1.2", {"typ": {"type": "Tuple"}, "value": [WIT]}, P1),
    ("part of an answer of 1.1, 1.2", [WIT], P1),
    ("part of an answer of 1.3, 1.4", {"value": WIT}, P1),
    ("part of an answer of 1.5", {"type": "Tuple", "elements": [{"value": REST}]}, P1),
    ("part of an answer of 1.5", [{"type": "ComponentModel", "value": REST}], P1),
    ("result alone", {"result": REST}, P1),
    ("an answer's key beside the id's own", {**REST, "result": None, "value": 1}, P1),
    ("text in JSON", f"{U}/w1/42", P1),
    ("text in an answer of 1.1, 1.2", {"result": {"typ": {}, "value": [f"{U}/w1/42"]}}, P1),
    ("text in an answer of 1.5", agent_first(result={"elements": [{"value": f"{U}:w1:42"}]}), P1),
    (
        "golem-cli 1.3, 1.4",
        {"idempotency_key": "x", "result_json": {"typ": {}, "value": WIT}, "result_wave": ["?"]},
        P1,
    ),
    (
        "golem-cli 1.3, 1.4, WAVE",
        {
            "result_wave": [
                f'{{worker-id: {{component-id: "{U}", worker-name: "w1"}}, oplog-idx: 42}}'
            ]
        },
        P1,
    ),
    ("golem-cli 1.3, 1.4, text in WAVE", {"result_wave": [json.dumps(f"{U}/w1/42")]}, P1),
    (
        "golem-cli 1.5",
        {
            "idempotency_key": "x",
            "result_json": {"typ": {}, "value": "?"},
            "result": PRINTED[0][1],
            "result_format": "Scala syntax",
        },
        PA,
    ),
    ("golem-cli 1.5, text", {"result": json.dumps(f"{U}/w1/42"), "result_format": "Rust"}, P1),
    ("golem-cli 1.5, JSON text", {"result": json.dumps(json.dumps(BIGINTS))}, PA),
    ("golem-cli 1.5, result_json alone", {"result_json": {"typ": {}, "value": REST}}, P1),
    ("golem-go", list(UUID(U).bytes), COMPONENT),
    ("golem-go, the last one", [255] * 16, ComponentId(UUID(int=2**128 - 1))),
    ("golem-go, the first one", [0] * 16, ComponentId(UUID(int=0))),
    ("golem-go, in an answer", {"result": {"value": list(UUID(U).bytes)}}, COMPONENT),
    ("golem-go", {"ComponentID": list(UUID(U).bytes), "WorkerName": "w1"}, W1),
    (
        "golem-go",
        {"WorkerID": {"ComponentID": list(UUID(U).bytes), "WorkerName": "w1"}, "OplogIdx": 42},
        P1,
    ),
    (
        "golem-go, newer",
        {"AgentID": {"ComponentID": U, "AgentID": AGENT.worker_name}, "OplogIndex": 42},
        PA,
    ),
    (
        "Python SDK, asdict",
        {
            "agent_id": {
                "component_id": {"uuid": {"high_bits": HIGH, "low_bits": LOW}},
                "agent_id": AGENT.worker_name,
            },
            "oplog_idx": 42,
        },
        PA,
    ),
    ("JSON text of the worker's own in JSON", json.dumps(BIGINTS), PA),
    ("JSON text of the worker's own in an answer", [json.dumps(BIGINTS)], PA),
]


def row_ids(rows: list[tuple[str, Any, Any]]) -> list[str]:
    return [f"{type(expected).__name__}, {written_by}" for written_by, _, expected in rows]


@pytest.mark.parametrize(("_by", "text", "expected"), TEXT_SPELLINGS, ids=row_ids(TEXT_SPELLINGS))
def test_a_text_spells_the_id(_by: str, text: str, expected: Any) -> None:
    """As a str, as UTF-8 bytes, and as a string in JSON text."""
    for value in (text, text.encode(), bytearray(text.encode()), json.dumps(text), [text]):
        assert expected == type(expected).parse(value)


@pytest.mark.parametrize(("_by", "value", "expected"), JSON_SPELLINGS, ids=row_ids(JSON_SPELLINGS))
def test_json_spells_the_id(_by: str, value: object, expected: Any) -> None:
    """Decoded, as text, as bytes, and as text with white space in and around it."""
    loose = f"\t\n {json.dumps(value, indent=1)}\r\n"
    for spelling in (value, json.dumps(value), json.dumps(value).encode(), loose):
        assert expected == type(expected).parse(spelling)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            (
                "Invocation results in WAVE format:\n"
                f'  - {{component-id: "{U}", worker-name: "w1"}}\n'
            ),
            W1,
        ),
        (f'  - "{U}/w1/42"', P1),
        (f"- {U}/w1/42", P1),
        (f"Invocation result in Rust syntax:\n{RUST}\n", COMPONENT),
        (f"Invocation result in fallback TypeScript syntax:\n{json.dumps(json.dumps(REST))}\n", P1),
    ],
    ids=ascii,
)
def test_what_golem_cli_prints_as_text_spells_the_id(text: Any, expected: Any) -> None:
    """1.3 and 1.4 print a list in WAVE; 1.5 prints the value in the worker's language."""
    assert expected == type(expected).parse(text) == type(expected).parse(text.encode())


def test_white_space_around_an_id_is_stripped() -> None:
    """Copied ids often end in a newline. Of a worker's text, the end is its name's."""
    stripped = [(t, id_) for _, t, id_ in TEXT_SPELLINGS if type(id_) is not WorkerId]
    assert stripped == [(t, type(i).parse(f" \t\r\n\v\f{t}\f\v\n\r\t ")) for t, i in stripped]


ROUNDED_HIGH, ROUNDED_LOW = 17878533706586264000, 12062047867550724000
SIGNED_HIGH, SIGNED_LOW = -568210367123287600, -6384696206158829000

NOT_SPELLINGS: list[tuple[Any, object, str]] = [
    # the class, the value, a part of the message
    (ComponentId, U[:-1], "does not begin with a component's UUID"),
    (ComponentId, U + "0", "more follows its UUID"),
    (ComponentId, f"{U}/w1", "WorkerId.parse"),
    (ComponentId, f"{U}:w1:42", "PromiseId.parse"),
    (ComponentId, U.replace("f", "g"), "does not begin"),
    (ComponentId, U.replace("8", "\uff18"), "does not begin"),
    (ComponentId, U.replace("-", "_"), "does not begin"),
    (ComponentId, U.replace("-", "", 1), "does not begin"),
    (ComponentId, f"{{{U}", "does not begin"),
    (ComponentId, f"({U})", "does not begin"),
    (ComponentId, f"URN:UUID:{U}", "does not begin"),
    (ComponentId, f"urn:worker:{U}", "does not begin"),
    (ComponentId, f"urn:component:{U}/", "more follows"),
    (ComponentId, f"urn:uuid:{U}/1", "more follows"),
    (ComponentId, f"urn:component:{U}/{10**20}", "more follows"),
    (ComponentId, f"\x1f{U}", "does not begin"),
    (ComponentId, f"\u00a0{U}", "does not begin"),
    (ComponentId, f"\ufeff{U}", "does not begin"),
    (ComponentId, RUST.replace("17", "017"), "high-bits has a leading zero"),
    (ComponentId, RUST.replace(str(HIGH), str(2**64)), "must be a number of 64 bits"),
    (ComponentId, {"uuid": {"high-bits": HIGH}}, "uuid has no lowBits"),
    (ComponentId, {"uuid": U, "highBits": HIGH}, "spells it twice"),
    (ComponentId, {"uuid": {"uuid": U}}, "uuid has no highBits"),
    (ComponentId, {"uuid": 1}, "must be a UUID or its two halves"),
    (ComponentId, {"highBits": HIGH, "high_bits": HIGH, "lowBits": 1}, "spell one field twice"),
    (ComponentId, {"highBits": ROUNDED_HIGH, "lowBits": ROUNDED_LOW}, "rounded by JavaScript"),
    (ComponentId, {"highBits": SIGNED_HIGH, "lowBits": SIGNED_LOW}, "rounded by JavaScript"),
    (ComponentId, {"highBits": 18446744073709552000, "lowBits": ROUNDED_LOW}, "JavaScript"),
    (ComponentId, f"{{ highBits: {ROUNDED_HIGH}, lowBits: {ROUNDED_LOW} }}", "JavaScript"),
    (ComponentId, {"highBits": float(HIGH), "lowBits": float(LOW)}, "float"),
    (ComponentId, {"highBits": 2**53 + 2, "lowBits": -(2**53) - 2}, "rounded by JavaScript"),
    (ComponentId, {"highBits": 2**64, "lowBits": 1}, "64 bits"),
    (ComponentId, {"highBits": "-0", "lowBits": 1}, "zero"),
    (ComponentId, {"highBits": True, "lowBits": 1}, "highBits must be a whole number"),
    (WorkerId, U, "no '/' and worker name follow"),
    (WorkerId, f"{U}/", "is empty"),
    (WorkerId, f"{U} w1", "no '/' and worker name follow"),
    (WorkerId, f"{U}/w1\n", "U+000A"),
    (WorkerId, f"urn:worker:{U}", "no '/' and worker name follow"),
    (WorkerId, f"urn:worker:{U}:w1", "no '/' and worker name follow"),
    (WorkerId, f"urn:agent:{U}/w1", "does not begin"),
    (WorkerId, f"urn:component:{U}/w1", "does not begin"),
    (WorkerId, "Uuid { high-bits: 01, low-bits: 1 }/w1", "does not begin"),
    (WorkerId, f"{RUST.replace('{ ', '{')}/w1", "does not begin"),
    (WorkerId, REST, "no field of one"),
    (WorkerId, {"componentId": U}, "no workerName or agentId"),
    (WorkerId, {"workerName": "w1"}, "no componentId"),
    (WorkerId, {"componentId": U, "workerName": 1}, "workerName must be a string"),
    (WorkerId, {"componentId": U, "workerName": "w1", "agentId": "w1"}, "spell one field twice"),
    (WorkerId, {"componentId": f"{U}/w1", "workerName": "w1"}, "component id at componentId"),
    (WorkerId, {"componentId": None, "workerName": "w1"}, "componentId must be a UUID"),
    (PromiseId, "w1/42", "does not begin with a component's UUID"),
    (PromiseId, "order-18", "'order-18'; an id is such as f81d4fae-7dec-11d0"),
    (PromiseId, "order-18", "a name of your own needs an outbox, as Key(name)"),
    (PromiseId, U, "no '/' and worker name follow"),
    (PromiseId, f"{U}/w1", "no '/' and oplog index follow"),
    (PromiseId, f"{U} w1 42", "no '/' and worker name follow"),
    (PromiseId, f"{U}/w1:42", "no '/' and oplog index follow"),
    (PromiseId, f"{U}:w1/42", "no ':' and oplog index follow"),
    (PromiseId, f"{U}//42", "is empty"),
    (PromiseId, f"{U}/42", "no '/' and oplog index follow"),
    (PromiseId, f"{U}/w1/", "not a whole number"),
    (PromiseId, f"{U}/w1/x", "not a whole number"),
    (PromiseId, f"{U}/w1/-1", "must be from 0 to"),
    (PromiseId, f"{U}/w1/+1", "not a whole number"),
    (PromiseId, f"{U}/w1/1_0", "not a whole number"),
    (PromiseId, f"{U}/w1/4\uff12", "not a whole number"),
    (PromiseId, f"{U}/w1/\u00b2", "not a whole number"),
    (PromiseId, f"{U}/w1/042", "has a leading zero"),
    (PromiseId, f"{U}/w1/00", "zero"),
    (PromiseId, f"{U}/w1/ 42", "not a whole number"),
    (PromiseId, f"{U}/w1/42.0", "not a whole number"),
    (PromiseId, f"{U}/w1/42n", "not a whole number"),
    (PromiseId, f"{U}/w1/42:completed", "not a whole number"),
    (PromiseId, f"{U}/w1/{2**64}", "must be from 0 to"),
    (PromiseId, f"{U}/w1/{10**20}", "is larger than 64 bits"),
    (PromiseId, f"urn:worker:{U}/w1", "PromiseId(WorkerId.parse(urn), oplog_idx)"),
    (PromiseId, f"urn:promise:{U}/w1/42", "there are no URNs of promises"),
    (PromiseId, f" URN:worker:{U}/w1", "PromiseId(WorkerId.parse(urn), oplog_idx)"),
    (PromiseId, [f"urn:worker:{U}/w1/42"], "there are no URNs of promises"),
    (PromiseId, REST["workerId"], "no field of one"),
    (PromiseId, {"workerId": REST["workerId"]}, "the record has no oplogIdx"),
    (PromiseId, {"oplogIdx": 42}, "the record has no workerId or agentId"),
    (PromiseId, {**REST, "workerId": {}}, "workerId has no componentId"),
    (PromiseId, {**REST, "workerId": f"{U}/w1"}, "workerId must be an object"),
    (PromiseId, {**REST, "workerId": [REST["workerId"]]}, "workerId must be an object"),
    (PromiseId, {**REST, "agentId": REST["workerId"]}, "spell one field twice"),
    (
        PromiseId,
        {"workerId": {"componentId": U, "component-id": U}, "oplogIdx": 42},
        "workerId.component-id and workerId.componentId spell one field twice",
    ),
    (
        PromiseId,
        {"workerId": {**REST["workerId"], "agentId": "w1"}, "oplogIdx": 42},
        "workerId.agentId and workerId.workerName spell one field twice",
    ),
    (
        PromiseId,
        {"workerId": {"componentId": f"{U}0", "workerName": "w1"}, "oplogIdx": 42},
        "component id at workerId.componentId: more follows its UUID",
    ),
    (PromiseId, {**REST, "oplog_idx": 42}, "spell one field twice"),
    (PromiseId, {**REST, "oplogIdx": 42.0}, "the float 42.0"),
    (PromiseId, {**REST, "oplogIdx": True}, "oplogIdx must be a whole number, not True"),
    (PromiseId, {**REST, "oplogIdx": None}, "oplogIdx must be a whole number, not None"),
    (PromiseId, {**REST, "oplogIdx": -1}, "must be from 0 to"),
    (PromiseId, {**REST, "oplogIdx": 2**64}, "must be from 0 to"),
    (PromiseId, {**REST, "oplogIdx": "042"}, "oplogIdx has a leading zero"),
    (PromiseId, {**REST, "oplogIdx": " 42"}, "oplogIdx is not a whole number"),
    (PromiseId, {**REST, "oplogIdx": "42nn"}, "oplogIdx is not a whole number"),
    (PromiseId, {**REST, "oplogIdx": "n"}, "oplogIdx is not a whole number"),
    (PromiseId, {**REST, "oplogIdx": {"#bigint": 42}}, "oplogIdx must be a whole number"),
    (PromiseId, {**REST, "oplogIdx": {"#bigint": "42n"}}, "oplogIdx is not a whole number"),
    (PromiseId, {**REST, "oplogIdx": {"bigint": "42"}}, "oplogIdx must be a whole number"),
    (PromiseId, '{"oplogIdx": 1, "oplogIdx": 1}', "the key 'oplogIdx' twice"),
    (PromiseId, f'{{"x": {{"y": 1, "y": 2}}, {json.dumps(REST)[1:]}', "the key 'y' twice"),
    (PromiseId, f'{{"x": NaN, {json.dumps(REST)[1:]}', "contains NaN"),
    (PromiseId, json.dumps({**REST, "oplogIdx": 0}).replace("0}", "-0}"), "the float -0.0"),
    (PromiseId, json.dumps(REST).replace("42}", "4.2e1}"), "the float 42.0"),
    (PromiseId, json.dumps(REST).replace("42}", f"{'4' * 9999}}}"), "must be from 0 to"),
    (PromiseId, json.dumps(REST) + ",", "not valid: Extra data"),
    (PromiseId, json.dumps(REST)[:-1], "not valid: Expecting"),
    (PromiseId, "{'workerId': {}, 'oplogIdx': 42}", "workerId has no componentId"),
    (PromiseId, None, "this is None, which is neither text nor decoded JSON"),
    (
        PromiseId,
        {"result": {"value": {**REST, "workerId": {}}}},
        "result.value.workerId has no componentId",
    ),
    (PromiseId, [], "an array of 0 items"),
    (PromiseId, [REST, REST], "an array of 2 items"),
    (PromiseId, (REST,), "a value of class 'tuple'"),
    (PromiseId, [[REST]], "no answer of Golem's holds one at [0][0]"),
    (PromiseId, {"value": {"value": REST}}, "no answer of Golem's holds one at value.value"),
    (PromiseId, {"result": {"result": REST}}, "no answer of Golem's"),
    (PromiseId, {"value": {"result": REST}}, "no answer of Golem's"),
    (PromiseId, {"result": {"elements": [{"value": [REST]}]}}, "no answer of Golem's"),
    (PromiseId, {"elements": {"value": REST}}, "elements must be an array"),
    (PromiseId, {"result": {"typ": None, "value": None}}, "result.value is null"),
    (PromiseId, {"result": None}, "result is null: the invocation returned nothing"),
    (PromiseId, {"value": {"result_json": REST}}, "no answer of Golem's"),
    (PromiseId, {"result_wave": [f"{U}/w1/42", f"{U}/w1/42"]}, "an array of 2 items"),
    (PromiseId, {"result": json.dumps({"value": REST})}, "no field of one"),
    (PromiseId, {"result": json.dumps(json.dumps(json.dumps(REST)))}, "JSON text within JSON"),
    (PromiseId, {"value": json.dumps(json.dumps(REST))}, "JSON text within JSON"),
    (ComponentId, [1] * 15, "an array of 15 items"),
    (ComponentId, [1] * 15 + [256], "the array must be a UUID as 16 numbers from 0 to 255"),
    (ComponentId, [1] * 15 + [-1], "16 numbers"),
    (ComponentId, [1] * 15 + [True], "16 numbers"),
    (ComponentId, {"value": [1] * 15 + [1.0]}, "value must be a UUID as 16 numbers"),
    (WorkerId, {"ComponentID": [1] * 17, "WorkerName": "w1"}, "ComponentID must be a UUID as 16"),
    (WorkerId, [1] * 16, "an array of 16 items"),
    (PromiseId, {"ok": REST}, "with the keys 'ok' has no field of one"),
    (PromiseId, json.dumps(json.dumps(json.dumps(REST))), "JSON text within JSON holds"),
    (PromiseId, json.dumps(json.dumps(f"{U}/w1/42")), "JSON text within JSON holds"),
    (PromiseId, json.dumps(json.dumps([REST])), "within JSON holds an array of 1 items"),
    (
        PromiseId,
        '{worker-id: {component-id: "' + U + '", worker-name: 1}, oplog-idx: 42}',
        "string",
    ),
    (PromiseId, "{oplog-idx: 42, oplog-idx: 42}", "the field 'oplog-idx' twice"),
    (PromiseId, "{oplog-idx: 042}", "no workerId"),
    (PromiseId, "{oplog-idx: 42m}", "expected a comma or a closing bracket at position 14"),
    (PromiseId, "{oplog-idx: 42)", "expected '}' at position 14"),
    (PromiseId, "PromiseId(oplog_idx=42}", "expected ')' at position 22"),
    (PromiseId, "(oplog_idx=42)", "does not begin"),
    (PromiseId, "{oplog-idx; 42}", "does not begin"),
    (PromiseId, "{oplog-idx: nul}", "expected a record, a string in quotes or a number"),
    (PromiseId, "{oplog-idx: null}", "no workerId"),
    (PromiseId, "{worker-id: null, oplog-idx: 1}", "worker-id must be an object, not None"),
    (PromiseId, "{a: 'x\", oplog-idx: 42}", "expected a record, a string in quotes or a number"),
    (PromiseId, "{ agentId: [Object], oplogIdx: 42n }", "console.log left out a part of the id"),
    (PromiseId, f'{{x: 1}} {{worker-id: {{component-id: "{U}"}}}}', "expected nothing more"),
    (PromiseId, "{oplog-idx: 42} x", "expected nothing more at position 16"),
    (PromiseId, "{,oplog-idx: 42}", "does not begin"),
    (PromiseId, "{oplog-idx: 42,,}", "expected a label"),
    (PromiseId, "{oplog-idx: }", "expected a record, a string in quotes or a number"),
    (PromiseId, "Promise { oplog-idx: 42 }", "does not begin"),
    (PromiseId, f"-{U}/w1/42", "does not begin"),
    (PromiseId, f"- - {U}/w1/42", "does not begin"),
    (PromiseId, f"Invocation result: {U}/w1/42", "does not begin"),
    (PromiseId, "Invocation result in Rust syntax:", "does not begin"),
    (PromiseId, '{a: "\\q"}', "unknown escape"),
    (PromiseId, '{a: "\\u{}"}', "unknown escape"),
    (PromiseId, '{a: "\\u12"}', "unknown escape"),
    (PromiseId, '{a: "\\x1"}', "unknown escape"),
    (PromiseId, '{a: "\\U00110000"}', "unknown escape"),
    (PromiseId, '{a: "\\u{110000}"}', "unknown escape"),
    (PromiseId, "{a:" * 9, "nested deeper"),
    (PromiseId, "{a: " * 8 + "1" + "}" * 8, "nested deeper"),
    (PromiseId, "{oplog-idx: 42nn}", "expected a comma or a closing bracket"),
    (PromiseId, '{"a":' * 101, "nested deeper than 100"),
    (PromiseId, '{"b": [], "a":' + '{"a":' * 99 + "1" + "}" * 100, "no field of one"),
    (PromiseId, "{}", "an object has no field of one"),
    (PromiseId, b"\xff" + U.encode(), "byte 0 is not UTF-8"),
    (PromiseId, "", "does not begin"),
]


@pytest.mark.parametrize(("cls", "value", "fragment"), NOT_SPELLINGS, ids=lambda v: ascii(v)[:60])
def test_what_nobody_writes_is_refused_and_the_message_says_why(
    cls: Any, value: object, fragment: str
) -> None:
    """Nothing is guessed, since a completion cannot be taken back."""
    with pytest.raises(InvalidIdError) as caught:
        cls.parse(value)
    assert fragment in caught.value.message


@pytest.mark.parametrize(
    ("high", "low"),
    [
        (ROUNDED_HIGH, LOW),
        (HIGH, ROUNDED_LOW),
        (str(ROUNDED_HIGH), str(ROUNDED_LOW)),
        (str(ROUNDED_HIGH), ROUNDED_LOW),
        ({"#bigint": str(ROUNDED_HIGH)}, {"#bigint": str(ROUNDED_LOW)}),
        (2**53, 2**53),
        (-(2**53), 0),
        (1, ROUNDED_LOW),
    ],
)
def test_halves_that_javascript_cannot_have_rounded_are_taken(high: object, low: object) -> None:
    """One exact half, halves that came as text, or small ones: no rounding was at work."""
    ComponentId.parse({"highBits": high, "lowBits": low})


def test_an_id_whose_halves_look_rounded_is_read_from_every_other_form() -> None:
    """About one id in a million looks so; only its JSON integers are refused."""
    component = ComponentId.from_bits(ROUNDED_HIGH, ROUNDED_LOW)
    wave = f"{{high-bits: {ROUNDED_HIGH}, low-bits: {ROUNDED_LOW}}}"
    javascript = f"{{highBits: {ROUNDED_HIGH}n, lowBits: {ROUNDED_LOW}n}}"
    scala = f"Uuid(highBits = {ROUNDED_HIGH}, lowBits = {ROUNDED_LOW})"
    assert component == ComponentId.parse(javascript) == ComponentId.parse(scala)
    for text in (str(component), f"Uuid {wave.replace('{', '{ ').replace('}', ' }')}", wave):
        assert component == ComponentId.parse(text)
