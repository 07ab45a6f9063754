"""What each generation of the fake answers, row by row, without a server."""

import itertools
import json
import random
from typing import Any
from urllib.parse import quote
from uuid import UUID

import attrs
import pytest

from golem_client.testing.dialects import DIALECTS, Check
from golem_client.testing.messages import Answer, Incoming
from golem_client.testing.promises import PromiseKey, WorkerKey
from golem_client.testing.routes import Completion, Installation, Routes, WebhookCompletion

Told = tuple[int, str | None, str]

COMPONENT = UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
OTHER = UUID("679ae459-8700-41d9-920c-7e2887459c94")
TOKEN = "5c832d93-ff85-4a8f-9803-513950fdfdb1"
UNKNOWN = "00000000-0000-0000-0000-000000000000"
NAMES = {"1.1": "promise-1", "1.2": "promise:1", "1.3": 'my-agent("x")', "1.5": 'MyAgent("x")'}
EVERY = tuple(DIALECTS)
TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"


class Scene:
    """A Golem with one worker, whose promise 4 is pending, and a way to ask it."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.installation = Installation(DIALECTS[dialect], TOKEN)
        self.promises = self.installation.promises
        self.golem = Routes(self.installation)
        self.worker = WorkerKey(COMPONENT, NAMES[dialect])
        self.promises.create(self.key(4))

    def key(self, idx: int) -> PromiseKey:
        return PromiseKey(self.worker, idx)

    def ask(
        self,
        body: bytes | None = None,
        *,
        idx: int = 4,
        data: bytes = b"x",
        method: str = "POST",
        path: str | None = None,
        name: str | None = None,
        component: UUID | str = COMPONENT,
        token: str | None = TOKEN,
        headers: Any = None,
    ) -> Answer:
        if path is None:
            segment = quote(self.worker.name if name is None else name, safe="")
            path = f"/v1/components/{component}/workers/{segment}/complete"
        if body is None:
            body = json.dumps({"oplogIdx": idx, "data": list(data)}).encode()
        sent: dict[str, str | None] = {"Content-Type": "application/json"}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        sent |= headers or {}
        given = {name: value for name, value in sent.items() if value is not None}
        asked = self.golem.read(Incoming(method, path, given, body))
        answer = asked if isinstance(asked, Answer) else asked.run()
        assert answer is not None
        return answer

    def complete(self, data: bytes) -> Answer:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = Completion(self.installation, self.key(4), data, headers).run()
        assert answer is not None
        return answer


def told(answer: Answer) -> Told:
    return answer.status, answer.content_type, answer.body.decode()


@pytest.fixture
def scene(dialect: str) -> Scene:
    return Scene(dialect)


@pytest.mark.parametrize("dialect", EVERY)
def test_the_first_completion_is_true_and_later_ones_false(scene: Scene) -> None:
    """First write wins: `true`, then `false` whatever the payload."""
    assert told(scene.ask(data=b"first")) == (200, JSON, "true")
    assert told(scene.ask(data=b"first")) == (200, JSON, "false")
    assert told(scene.ask(data=b"other")) == (200, JSON, "false")
    assert scene.promises.payload(scene.key(4)) == b"first"


PARAMETERS = {"1.1": "component_id", "1.2": "component_id", "1.3": "param0", "1.5": "param0"}


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize(
    "component",
    ["nonsense", "", "f81d4fae", f"{COMPONENT}a", f"URN:UUID:{COMPONENT}"],
)
def test_a_component_that_is_no_uuid_is_400(scene: Scene, dialect: str, component: str) -> None:
    """The text is poem's; the uuid crate's own reason is not imitated."""
    status, content_type, body = told(scene.ask(component=component))
    words = f'failed to parse path `{PARAMETERS[dialect]}`: failed to parse "string(ComponentId)": '
    assert (status, content_type, body.startswith(words)) == (400, TEXT, True)


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize(
    "spelling",
    [
        str(COMPONENT).upper(),
        COMPONENT.hex,
        f"%7B{COMPONENT}%7D",
        f"urn:uuid:{COMPONENT}",
        f"urn%3Auuid%3A{COMPONENT}",
    ],
)
def test_a_component_is_read_in_every_syntax_of_the_uuid_crate(scene: Scene, spelling: str) -> None:
    """Hyphenated, simple, braced and URN, in any letter case, percent-encoded or not."""
    assert told(scene.ask(component=spelling)) == (200, JSON, "true")


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize(
    "segments", [f"{COMPONENT}/workers/%FF", "nonsense/workers/%FF", "%FF/workers/w"]
)
def test_a_segment_that_is_not_utf8_is_400(scene: Scene, segments: str) -> None:
    """Percent-decoding happens once, and before the UUID is looked at."""
    answer = scene.ask(path=f"/v1/components/{segments}/complete")
    assert told(answer) == (400, TEXT, "invalid path params")


EMPTY_NAME = {
    "1.1": (400, "Invalid worker name: Worker name must be between 1 and 100 characters"),
    "1.2": (400, "Invalid worker name: Worker name must be between 1 and 512 characters"),
    "1.3": (400, "Invalid worker name: Worker name must be between 1 and 512 characters"),
    "1.5": (500, f"Promise not found: {COMPONENT}//4"),
}


@pytest.mark.parametrize("dialect", EVERY)
def test_an_empty_name_reaches_golem(scene: Scene, dialect: str) -> None:
    answer = scene.ask(name="")
    body = json.loads(answer.body)
    text = body["errors"][0] if "errors" in body else body["error"]
    assert (answer.status, text) == EMPTY_NAME[dialect]


@pytest.mark.parametrize("dialect", EVERY)
def test_a_content_type_that_is_not_ascii_is_none(scene: Scene) -> None:
    body = "the client request does not include the `Content-Type` header"
    for odd in ("application/json; x=\u00e9", "\udcff"):
        assert told(scene.ask(headers={"Content-Type": odd})) == (415, TEXT, body)


@pytest.mark.parametrize("dialect", EVERY)
def test_without_a_content_type_it_is_415(scene: Scene) -> None:
    body = "the client request does not include the `Content-Type` header"
    assert told(scene.ask(headers={"Content-Type": None})) == (415, TEXT, body)


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("content_type", ["text/plain", "application/jsonx", "json", "text/json"])
def test_another_content_type_is_415(scene: Scene, content_type: str) -> None:
    body = f"the `Content-Type` requested by the client is not supported: {content_type}"
    assert told(scene.ask(headers={"Content-Type": content_type})) == (415, TEXT, body)


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "application/vnd.x+json; charset=latin-1",
        "Application/JSON",
    ],
)
def test_parameters_of_the_content_type_do_not_count(scene: Scene, content_type: str) -> None:
    assert scene.ask(headers={"Content-Type": content_type}).status == 200


INTEGER = 'Expected input type "integer(uint64)", found'
IN_BODY = '(occurred while parsing "CompleteParameters")'
IN_LIST = f'(occurred while parsing "list_integer(uint8)") {IN_BODY}'
NOT_JSON = [
    b"x", b" ", b"\xef\xbb\xbf{}", b'{"oplogIdx":4,"data":[]} x', b'{"oplogIdx":4,"data":[NaN]}',
    b'{"oplogIdx":4,"data":[1,]}', b'{"oplogIdx":4,"data":[1', b"\x1f\x8b\x08\x00",
    b'{"oplogIdx":4,"data":[],"x":"\\ud800"}', b'{"oplogIdx":4,"data":[],"x":1}x',
    b'{"oplogIdx":4,"data":[],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("dialect", EVERY)
def test_a_body_that_is_not_json_is_400(scene: Scene) -> None:
    """What serde_json says about it is not imitated."""
    for body in NOT_JSON:
        status, content_type, text = told(scene.ask(body))
        assert (status, content_type) == (400, TEXT), body[:80]
        assert text.startswith("parse request payload error: "), body[:80]
    assert scene.promises.writes == 0


BAD_BODIES = [
    (b"", 'Expected input type "CompleteParameters", found null.'),
    (b"null", 'Expected input type "CompleteParameters", found null.'),
    (b"[4, []]", 'Expected input type "CompleteParameters", found [4,[]].'),
    (b"{}", f"{INTEGER} null. {IN_BODY}"),
    (b'{"oplog_idx":4,"data":[]}', f"{INTEGER} null. {IN_BODY}"),
    (b'{"oplogIdx":"4","data":[]}', f'{INTEGER} "4". {IN_BODY}'),
    (b'{"oplogIdx":true,"data":[]}', f"{INTEGER} true. {IN_BODY}"),
    *[
        (
            b'{"oplogIdx":' + bad + b',"data":[]}',
            f'failed to parse "integer(uint64)": invalid integer {IN_BODY}',
        )
        for bad in (b"-1", b"4.0", b"4e0", b"18446744073709551616")
    ],
    (b'{"oplogIdx":4}', f'Expected input type "list_integer(uint8)", found null. {IN_BODY}'),
    (
        b'{"oplogIdx":4,"data":"c2VjcmV0"}',
        f'Expected input type "list_integer(uint8)", found "c2VjcmV0". {IN_BODY}',
    ),
    (
        b'{"oplogIdx":4,"data":[1,256]}',
        'failed to parse "integer(uint8)": Only integers from 0 to 255 are accepted. ' + IN_LIST,
    ),
    *[
        (
            b'{"oplogIdx":4,"data":[1,' + bad + b"]}",
            f'failed to parse "integer(uint8)": invalid integer {IN_LIST}',
        )
        for bad in (b"-1", b"1.5", b"18446744073709551616")
    ],
    (
        b'{"oplogIdx":4,"data":[true]}',
        f'Expected input type "integer(uint8)", found true. {IN_LIST}',
    ),
]


@pytest.mark.parametrize("dialect", EVERY)
def test_a_body_that_is_not_a_completion_is_400(scene: Scene) -> None:
    """The text names what was expected, and echoes what was found."""
    for body, error in BAD_BODIES:
        answer = (400, TEXT, f"parse request payload error: {error}")
        assert (body, *answer) == (body, *told(scene.ask(body)))
    assert scene.promises.writes == 0


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[1],"oplogIdx":9,"oplogIdx":4}',
        b'{"data":[256],"data":[1],"oplogIdx":4}',
        b' {\r\n"oplogIdx" :4 ,\t"data": [ 1 ] , "more": {"x": [null]} } \n',
    ],
    ids=["last index wins", "last data wins", "white space and unknown keys"],
)
def test_what_serde_json_forgives_is_accepted(scene: Scene, body: bytes) -> None:
    assert told(scene.ask(body)) == (200, JSON, "true")
    assert scene.promises.payload(scene.key(4)) == b"\x01"


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("data", [b"", bytes(range(256))], ids=["empty", "all bytes"])
def test_every_payload_is_stored_as_it_is(scene: Scene, data: bytes) -> None:
    assert told(scene.ask(data=data)) == (200, JSON, "true")
    assert scene.promises.payload(scene.key(4)) == data


@pytest.mark.parametrize("dialect", EVERY)
def test_the_largest_index_keeps_its_precision(scene: Scene) -> None:
    scene.promises.create(scene.key(2**64 - 1))
    assert told(scene.ask(idx=2**64 - 1)) == (200, JSON, "true")


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_405(scene: Scene, method: str) -> None:
    assert told(scene.ask(method=method)) == (405, TEXT, "method not allowed")


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/elsewhere",
        f"/v1/components/{COMPONENT}/workers/a/b/complete",
        f"/v1/components/{COMPONENT}/workers/a/complete/",
        f"//v1/components/{COMPONENT}/workers/a/complete",
        f"/v1/components/{COMPONENT}/workers/a",
    ],
)
def test_an_unknown_path_is_404(scene: Scene, path: str) -> None:
    """A slash in a name must be encoded."""
    assert told(scene.ask(path=path)) == (404, TEXT, "not found")


@pytest.mark.parametrize("dialect", EVERY)
def test_a_query_is_ignored(scene: Scene) -> None:
    segment = quote(NAMES[scene.dialect], safe="")
    path = f"/v1/components/{COMPONENT}/workers/{segment}/complete?x=/y"
    assert scene.ask(path=path).status == 200


@pytest.mark.parametrize("dialect", EVERY)
def test_health_and_version_are_for_everybody(scene: Scene, dialect: str) -> None:
    version = json.dumps({"version": DIALECTS[dialect].version}, separators=(",", ":"))
    assert told(scene.ask(method="GET", path="/healthcheck", token=None)) == (200, JSON, "{}")
    assert told(scene.ask(method="GET", path="/version", token=None)) == (200, JSON, version)
    assert scene.ask(method="HEAD", path="/healthcheck").status == 200
    assert scene.ask(path="/version").status == 405


# Tokens and origins

ERROR = (401, TEXT, "authorization error")


@pytest.mark.parametrize("dialect", ["1.1", "1.2"])
def test_older_golems_ignore_tokens_and_origins(scene: Scene) -> None:
    assert scene.ask(token=None).status == 200
    assert scene.ask(token="?").status == 200
    assert scene.ask(headers={"Origin": "https://example.org"}).status == 200


@pytest.mark.parametrize(
    ("dialect", "token"),
    [
        ("1.3", None),
        ("1.3", ""),
        ("1.3", "an-opaque-secret-of-1-4"),
        ("1.5", None),
        ("1.5", "fifteen-letters"),
        ("1.5", "sixteen.letters."),
        ("1.5", "sixteen letters "),
    ],
)
def test_a_token_that_is_none_is_401_in_plain_text(scene: Scene, token: str | None) -> None:
    assert told(scene.ask(token=token)) == ERROR
    assert scene.promises.writes == 0


@pytest.mark.parametrize("dialect", ["1.3", "1.5"])
@pytest.mark.parametrize(
    ("authorization", "status"),
    [(f"bearer {TOKEN}", 200), (f"Basic {TOKEN}", 401), (TOKEN, 401), ("Bearer", 401)],
)
def test_only_the_bearer_scheme_counts(scene: Scene, authorization: str, status: int) -> None:
    assert scene.ask(headers={"Authorization": authorization}).status == status


def test_golem_1_3_compares_tokens_as_uuids() -> None:
    assert Scene("1.3").ask(token=TOKEN.upper()).status == 200
    assert Scene("1.3").ask(token=TOKEN.replace("-", "")).status == 200
    assert Scene("1.5").ask(token=TOKEN.upper()).status == 401


UNKNOWN_TOKEN = {
    "1.3": (401, JSON, '{"error":"Unauthorized: Get project error"}'),
    "1.5": (
        401,
        JSON,
        '{"code":"AUTH_UNAUTHORIZED","error":"Could not authenticate user using token"}',
    ),
}


@pytest.mark.parametrize("dialect", ["1.3", "1.5"])
def test_a_well_formed_token_that_is_unknown_is_401_in_json(scene: Scene, dialect: str) -> None:
    assert told(scene.ask(token=UNKNOWN)) == UNKNOWN_TOKEN[dialect]
    assert scene.promises.writes == 0


FOREIGN = ["https://example.org", "null", "https://golem.cloud", "https://x.golem.cloud.evil.org"]


@pytest.mark.parametrize("dialect", ["1.3", "1.5"])
@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_origin_is_403(scene: Scene, origin: str) -> None:
    expected = (403, TEXT, "request-origin not allowed")
    assert told(scene.ask(headers={"Origin": origin})) == expected
    assert told(scene.ask(path="/elsewhere", headers={"Origin": origin})) == expected


@pytest.mark.parametrize("dialect", ["1.3", "1.5"])
def test_an_origin_of_golems_is_let_in(scene: Scene) -> None:
    """`https://*.golem.cloud`: the star is a glob's."""
    answer = scene.ask(headers={"Origin": "https://app.golem.cloud"})
    assert told(answer) == (200, JSON, "true")


# the application's answers

PROMISE_NOT_FOUND = {
    "1.1": '{"golemError":{"promiseId":{"oplogIdx":99,"workerId":{"componentId":'
    '"f81d4fae-7dec-11d0-a765-00a0c91e6bf6","workerName":"promise-1"}},"type":"PromiseNotFound"}}',
    "1.2": '{"golemError":{"promiseId":{"oplogIdx":99,"workerId":{"componentId":'
    '"f81d4fae-7dec-11d0-a765-00a0c91e6bf6","workerName":"promise:1"}},"type":"PromiseNotFound"}}',
    "1.3": '{"error":"Promise not found: f81d4fae-7dec-11d0-a765-00a0c91e6bf6/my-agent(\\"x\\")/99"'
    ',"workerError":null}',
    "1.5": '{"code":"INTERNAL_UNKNOWN","error":"Promise not found: '
    'f81d4fae-7dec-11d0-a765-00a0c91e6bf6/MyAgent(\\"x\\")/99","workerError":null}',
}
WORKER_NOT_FOUND = {
    "1.1": '{"error":"Worker not found: f81d4fae-7dec-11d0-a765-00a0c91e6bf6/promise-1"}',
    "1.2": '{"error":"Worker not found: f81d4fae-7dec-11d0-a765-00a0c91e6bf6/promise:1"}',
    "1.3": '{"error":"Worker not found: f81d4fae-7dec-11d0-a765-00a0c91e6bf6/my-agent(\\"x\\")"}',
    "1.5": '{"code":"AGENT_NOT_FOUND","error":"Worker not found: '
    'f81d4fae-7dec-11d0-a765-00a0c91e6bf6/MyAgent(\\"x\\")"}',
}


@pytest.mark.parametrize("dialect", EVERY)
def test_a_promise_that_was_never_created_is_500(scene: Scene, dialect: str) -> None:
    assert told(scene.ask(idx=99)) == (500, JSON, PROMISE_NOT_FOUND[dialect])


@pytest.mark.parametrize("dialect", EVERY)
def test_a_worker_that_never_was_is_a_promise_that_was_never_created(scene: Scene) -> None:
    answer = scene.ask(name="nobody")
    assert (answer.status, b"Promise" in answer.body) == (500, True)


@pytest.mark.parametrize("dialect", EVERY)
def test_a_deleted_promise_is_one_that_was_never_created(scene: Scene, dialect: str) -> None:
    scene.promises.create(scene.key(99))
    scene.promises.delete(scene.key(99))
    assert told(scene.ask(idx=99)) == (500, JSON, PROMISE_NOT_FOUND[dialect])


@pytest.mark.parametrize(
    ("dialect", "stored"), [("1.1", b"x"), ("1.2", b"x"), ("1.3", None), ("1.5", None)]
)
def test_only_older_golems_store_before_it_looks_for_the_promise(
    scene: Scene, stored: bytes | None
) -> None:
    """A promise created later is then born completed, and the right payload comes too late."""
    scene.ask(idx=99)
    assert scene.promises.payload(scene.key(99)) == stored
    scene.promises.create(scene.key(99))
    late = scene.ask(idx=99, data=b"right")
    assert late.body == (b"true" if stored is None else b"false")


@pytest.mark.parametrize("dialect", EVERY)
def test_a_deleted_worker_is_404_and_the_payload_stored(scene: Scene, dialect: str) -> None:
    """A second call is 404 too, not `false`."""
    scene.promises.delete_worker(scene.worker)
    assert told(scene.ask()) == (404, JSON, WORKER_NOT_FOUND[dialect])
    assert scene.promises.payload(scene.key(4)) == b"x"
    assert told(scene.ask()) == (404, JSON, WORKER_NOT_FOUND[dialect])


UNKNOWN_COMPONENT = {
    "1.3": UNKNOWN_TOKEN["1.3"],
    "1.5": (404, JSON, '{"code":"COMPONENT_NOT_FOUND","error":"Component not found"}'),
}


@pytest.mark.parametrize("dialect", ["1.3", "1.5"])
def test_an_unknown_component_is_refused_before_the_promise_is_looked_for(
    scene: Scene, dialect: str
) -> None:
    assert told(scene.ask(component=OTHER)) == UNKNOWN_COMPONENT[dialect]
    scene.promises.components.discard(COMPONENT)
    assert told(scene.ask()) == UNKNOWN_COMPONENT[dialect]
    assert scene.promises.writes == 0


@pytest.mark.parametrize("dialect", ["1.1", "1.2"])
def test_older_golems_look_for_no_component_before_they_wake_the_worker(scene: Scene) -> None:
    """An unknown one is an unknown promise; a forgotten one fails after the payload is stored."""
    assert b'"type":"PromiseNotFound"' in scene.ask(component=OTHER).body
    scene.promises.components.discard(COMPONENT)
    answer = scene.ask()
    assert (answer.status, b'"type":"ComponentDownloadFailed"' in answer.body) == (500, True)
    assert scene.promises.payload(scene.key(4)) == b"x"


BETWEEN_1_1 = "Worker name must be between 1 and 100 characters"
BETWEEN_1_3 = "Worker name must be between 1 and 512 characters"
LEGACY = "Legacy worker id"
BAD_NAMES = [
    ("1.1", "a" * 101, f"worker name: {BETWEEN_1_1}"),
    ("1.1", "é" * 51, f"worker name: {BETWEEN_1_1}"),
    ("1.1", "a b", "worker name: Worker name must not contain spaces"),
    (
        "1.1",
        'a("x")',
        (
            "worker name: Worker name must contain only alphanumeric characters, underscores, and "
            "dashes"
        ),
    ),
    ("1.1", "-a", "worker name: Worker name must not start with a dash"),
    *[
        (dialect, name, f"worker name: {reason}")
        for dialect in ("1.2", "1.3")
        for name, reason in [
            ("a" * 513, BETWEEN_1_3),
            ('a("x y")', "Worker name must not contain whitespaces"),
            ('a("x/y")', "Worker name must not contain '/'"),
            ("-a", "Worker name must not start with '-'"),
        ]
    ],
    (
        "1.5",
        f"a({'1' * 597})",
        f"worker id: Agent id is too long: 600, max length: 512, agent id: a({'1' * 597})",
    ),
    (
        "1.5",
        "a" * 513,
        f"worker id: {LEGACY} is too long: 513, max length: 512, worker id: {'a' * 513}",
    ),
    ("1.5", "a/b", f"worker id: {LEGACY} cannot contain '/', worker id: a/b"),
]


@pytest.mark.parametrize(("dialect", "name", "reason"), BAD_NAMES)
def test_a_bad_worker_name_is_400(scene: Scene, dialect: str, name: str, reason: str) -> None:
    code = {"code": "INVALID_WORKER_ID"} if dialect == "1.5" else {}
    body = json.dumps(code | {"errors": [f"Invalid {reason}"]}, separators=(",", ":"))
    assert told(scene.ask(name=name)) == (400, JSON, body)
    assert scene.promises.writes == 0


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        ("1.1", "a" * 100),
        ("1.1", "größe_1-"),
        ("1.2", "a" * 512),
        ("1.2", 'a:b.c%2F("+")'),
        ("1.3", "a" * 512),
        ("1.3", 'a:b.c%2F("+")'),
        ("1.5", "a" * 512),
        ("1.5", "- a\tb"),
        ("1.5", 'Agent("a/b c", [1,2])'),
        ("1.5", f"Agent({' ' * 600}1)"),
    ],
)
def test_a_good_worker_name_is_not(scene: Scene, name: str) -> None:
    assert scene.ask(name=name).status == 500


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("agent-7(  [ 12, 13 ] )", "agent-7([12,13])"),
        ('  A ( "a b" ,\t"c\\" d" ) ', 'A("a b","c\\" d")'),
        (
            "a()[F81D4FAE7DEC11D0A76500A0C91E6BF6]",
            "a()[f81d4fae-7dec-11d0-a765-00a0c91e6bf6]",
        ),
        ("a( 1 )[zz]", "a( 1 )[zz]"),
        ("a( 1 )b", "a( 1 )b"),
        ("a(\n1 )", "a(\n1 )"),
        ("( 1 )", "( 1 )"),
        (" plain name ", " plain name "),
    ],
)
def test_golem_1_5_normalises_agent_ids(name: str, normal: str) -> None:
    """And the answer names the normal one. What is no agent id is left as it is."""
    body = json.loads(Scene("1.5").ask(name=name).body)
    assert body["error"] == f"Promise not found: {COMPONENT}/{normal}/4"


@pytest.mark.parametrize(
    ("segment", "name"),
    [("a+b", "a+b"), ("a%2Bb", "a+b"), ("a%2520b", "a%20b"), ("a%zz", "a%zz"), ("%2E", ".")],
)
def test_a_name_is_percent_decoded_once(segment: str, name: str) -> None:
    """A plus is a plus."""
    path = f"/v1/components/{COMPONENT}/workers/{segment}/complete"
    body = json.loads(Scene("1.5").ask(path=path).body)
    assert body["error"] == f"Promise not found: {COMPONENT}/{name}/4"


LIMIT = 65_536
NOISE = random.Random(1).randbytes(LIMIT)


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch, dialect: str) -> None:
    """A limit that is quickly reached; the real ones are in the tables."""
    small = attrs.evolve(DIALECTS[dialect], message_limit=LIMIT)
    monkeypatch.setitem(DIALECTS, dialect, small)


def test_an_executor_takes_4_mib_up_to_1_3_and_32_mib_in_1_5() -> None:
    limits = {name: dialect.message_limit >> 20 for name, dialect in DIALECTS.items()}
    assert limits == {"1.1": 4, "1.2": 4, "1.3": 4, "1.5": 32}


@pytest.mark.parametrize(
    ("dialect", "words"), [("1.1", "message"), ("1.2", "decoded message"), ("1.3", "message")]
)
def test_a_message_that_is_too_large_compressed_is_500_up_to_1_3(
    small_limit: None, scene: Scene, words: str
) -> None:
    """The length that counts is that of the whole message, compressed."""
    answer = scene.complete(NOISE)
    body = answer.body.decode()
    assert answer.status == 500
    assert "Failed to connect to pod: Operation was attempted past the valid range Error" in body
    assert f"{words} length too large: found 656" in body
    assert f"the limit is: {LIMIT} bytes" in body
    assert scene.promises.writes == 0
    assert scene.complete(NOISE[:-60]).status == 500
    assert scene.complete(NOISE[:-200]).status == 200
    assert scene.complete(bytes(2 * LIMIT)).status == 200


def test_a_message_over_32_mib_is_413_in_1_5() -> None:
    """The length that counts is that of the whole message."""
    scene = Scene("1.5")
    answer = scene.complete(bytes(33_554_432))
    body = json.loads(answer.body)
    assert answer.status == 413
    assert body["code"] == "REQUEST_PAYLOAD_TOO_LARGE"
    assert body["error"].endswith(
        "size limit, of 33554432 bytes, exceeded while decompressing message"
    )
    assert scene.promises.writes == 0
    assert scene.complete(bytes(33_554_000)).status == 200


def test_a_webhooks_message_has_the_same_limit() -> None:
    scene = Scene("1.5")
    incoming = Incoming("POST", scene.golem.webhook_path(scene.key(4)), {}, bytes(33_554_432))
    asked = scene.golem.read(incoming)
    assert isinstance(asked, WebhookCompletion)
    answer = asked.run()
    assert answer is not None
    assert (answer.status, json.loads(answer.body)["code"]) == (413, "REQUEST_PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("dialect", ["1.5"])
def test_a_message_that_is_too_large_compressed_is_never_answered_in_1_5(
    small_limit: None, scene: Scene
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert Completion(scene.installation, scene.key(4), NOISE, headers).run() is None
    assert scene.promises.writes == 0


# which error wins

BAD: dict[str, dict[str, Any]] = {
    "path": {"component": "nonsense"},
    "content type": {"headers": {"Content-Type": "text/plain"}},
    "body": {"body": b"x"},
    "token syntax": {"token": "?"},
    "token": {"token": UNKNOWN},
    "name": {"name": "-a/ b" * 200},
    "component": {"component": OTHER},
    "promise": {"idx": 99},
}
FIRST = ("path", "content type", "body")
ORDERS = {
    "1.1": (*FIRST, "name", "promise"),
    "1.2": (*FIRST, "name", "promise"),
    "1.3": (*FIRST, "token syntax", "name", "token", "component", "promise"),
    "1.5": (*FIRST, "token syntax", "token", "name", "component", "promise"),
}


@pytest.mark.parametrize("dialect", EVERY)
def test_of_two_errors_the_earlier_check_wins(dialect: str) -> None:
    """One request cannot have two components or two tokens."""
    for first, second in itertools.combinations(ORDERS[dialect], 2):
        if BAD[first].keys() & BAD[second].keys():
            continue
        alone, other, both = (
            (first, second, *_anonymous(told(Scene(dialect).ask(**bad))))
            for bad in (BAD[first], BAD[second], BAD[second] | BAD[first])
        )
        assert alone == both
        assert alone != other or {first, second} <= {"token", "component"}


def _anonymous(answer: Told) -> Told:
    status, content_type, body = answer
    return status, content_type, body.partition("f81d4fae")[0].partition("679ae459")[0]


@pytest.mark.parametrize("dialect", EVERY)
def test_every_generation_stores_and_looks_for_the_promise(dialect: str) -> None:
    assert {Check.NAME, Check.WRITE, Check.PROMISE, Check.WORKER} <= set(DIALECTS[dialect].steps)


def test_an_answer_on_the_wire_has_its_length() -> None:
    wire = Answer.text(404, "not found").wire()
    assert wire == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 9\r\n\r\nnot found"
    )
