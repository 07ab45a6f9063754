"""Junk in place of answers and of ids: a defined outcome or an error of ours, and nothing else.

In the suite it is a bounded run with a seed; by hand, for longer:

    python -W error -m tests.test_fuzz --cases 200000 --seed 7
    AIOHTTP_NO_EXTENSIONS=1 python -W error -m tests.test_fuzz --cases 50000
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import gzip
import json
import random
import re
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import attrs
import pytest
from multidict import CIMultiDict

from golem_client import (
    Completion,
    ComponentId,
    ComponentNotFoundError,
    ConnectionFailedError,
    GolemClient,
    GolemError,
    InvalidIdError,
    Outcome,
    PayloadTooLargeError,
    PromiseId,
    PromiseNotFoundError,
    ResponseError,
    RetryPolicy,
    WorkerId,
    WorkerNotFoundError,
    wire,
)
from tests.leftovers import leftovers
from tests.samples import PROMISE_ID, TOKEN
from tests.scripted_server import serving

SECRET = b"a-payload-that-nobody-may-see"

# Answers: valid ones, and what may be done to them

_JSON = "Content-Type: application/json; charset=utf-8\r\n"
_ERRORS: list[tuple[int, dict[str, Any]]] = [
    (500, {"golemError": {"promiseId": {"oplogIdx": 42}, "type": "PromiseNotFound"}}),
    (500, {"error": "Promise not found: x/w1/42", "workerError": None}),
    (500, {"code": "INTERNAL_UNKNOWN", "error": "Internal error", "workerError": None}),
    (404, {"code": "AGENT_NOT_FOUND", "error": "Worker not found: x/w1"}),
    (404, {"code": "COMPONENT_NOT_FOUND", "error": "Component not found"}),
    (401, {"error": "Unauthorized: Get project error"}),
    (400, {"code": "INVALID_WORKER_ID", "errors": [f"Invalid: {SECRET.decode()} {TOKEN}"]}),
    (413, {"code": "REQUEST_PAYLOAD_TOO_LARGE", "error": "gRPC message exceeded"}),
]


def _answer(status: int, body: bytes, head: str = _JSON) -> bytes:
    start = f"HTTP/1.1 {status} Words\r\nContent-Length: {len(body)}\r\n{head}\r\n"
    return start.encode() + body


def _chunked(*chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + _JSON.encode() + b"\r\n" + body


_PACKED = [
    _answer(200, gzip.compress(b"true", mtime=0), "Content-Encoding: gzip\r\n"),
    _answer(200, zlib.compress(b"false"), "Content-Encoding: deflate\r\n"),
    _answer(200, gzip.compress(b"x" * 500_000, mtime=0), "Content-Encoding: gzip\r\n"),
]
SEEDS = [
    *(_answer(200, word) for word in (b"true", b"false", b" true\n", b"", b"null", b'"true"')),
    *(_answer(status, json.dumps(body).encode()) for status, body in _ERRORS),
    *_PACKED,
    _chunked(b"true"),
    _chunked(b"fa", b"ls", b"e"),
    _answer(502, b"<html>Bad Gateway</html>", "Content-Type: text/html\r\n"),
    _answer(503, b"", "Retry-After: 3\r\nDate: Fri, 31 Jul 2026 10:00:00 GMT\r\n"),
    _answer(429, b"slow", "Retry-After: Fri, 31 Jul 2026 10:00:09 GMT\r\nDate: Fri, 31 Jul 2026 "
            "10:00:00 GMT\r\n"),
    _answer(302, b"", "Location: http://user:password@elsewhere/path?token=x#y\r\n"),
    _answer(401, b"authorization error", "Content-Type: text/plain; charset=utf-8\r\n"),
    _answer(415, b"the `Content-Type` requested " + SECRET, "Content-Type: text/plain\r\n"),
    _answer(204, b"", "Set-Cookie: GOLEM_SESSION=x; Path=/\r\n"),
    b"HTTP/1.1 100 Continue\r\n\r\n" + _answer(200, b"true"),
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + _answer(200, b"false"),
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\ntrue",
    b"HTTP/1.0 200 OK\r\n\r\ntrue",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfalse",
]  # fmt: skip
STATUS_LINES = [
    b"HTTP/1.1 200 ", b"HTTP/1.1 200", b"HTTP/1.1 0200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 999 X",
    b"HTTP/1.1 600 X", b"HTTP/1.1 000 X", b"HTTP/1.1 -20 X", b"HTTP/2 200 OK", b"HTTP/0.9 200 OK",
    b"HTTP/1.1 2OO OK", b"ICY 200 OK", b"HTTP/1.1  200  OK", b"http/1.1 200 ok", b"", b"\x00",
    b"HTTP/1.1 200 \xff\xfe", b"HTTP/1.1 304 X", b"HTTP/1.1 205 X", b"HTTP/1.1 418 X",
]  # fmt: skip
HEADERS = [
    b"Content-Length: 0", b"Content-Length: -1", b"Content-Length: +4", b"Content-Length: 4, 4",
    b"Content-Length: 0x4", b"Content-Length: 99999999999999999999", b"Content-Length:",
    b"Content-Length: \xb2", b"Content-Length: 5", b"Content-Length: 3",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked, chunked",
    b"Content-Encoding: gzip", b"Content-Encoding: br", b"Content-Encoding: zstd",
    b"Content-Encoding: deflate", b"Content-Encoding: nonsense", b"Content-Encoding:",
    b"Content-Type: application/json; charset=nonsense", b"Content-Type: \xff\xfe",
    b"Content-Type: text/plain", b"Content-Type: application/x+json;;;=",
    b"Content-Type: " + SECRET,
    b"Set-Cookie: a=b; expires=never; domain=.", b"Set-Cookie: \xff\x01=;;;", b"Set-Cookie: =",
    b"Retry-After: -1", b"Retry-After: 1e9", b"Retry-After: \xb2", b"Retry-After: " + b"9" * 5000,
    b"Retry-After: Fri, 31 Jul 99999 10:00:00 GMT", b"Retry-After: ,, ,", b"Retry-After: 1 Jan",
    b"Retry-After: Mon, 01 Jan 0001 00:00:00 +9959", b"Date: nonsense", b"Date: 1",
    b"Date: Fri, 31 Jul 2026 10:00:00 -9999", b"Retry-After: Fri, 99 Jul 2026 77:88:99 GMT",
    b"Location: http://[", b"Location: //" + SECRET, b"Location: \xff", b"Location: " + b"a" * 4000,
    b"Connection: close", b"Connection: upgrade", b"Upgrade: h2c", b"Keep-Alive: timeout=-1",
    b"Link: <<<>>>;;;", b"X: " + b"y" * 9000, b": no name", b"no colon", b" folded: line",
    b"Na me: x", b"\x00: \x00", b"X:\ttab", b"Trailer: Content-Length",
]  # fmt: skip


def mutated(dice: random.Random) -> bytes:
    """Return an answer that was valid, or very nearly."""
    if dice.random() < 0.05:
        return dice.randbytes(dice.randrange(200))
    answer = dice.choice(SEEDS)
    for _ in range(dice.choice((0, 1, 1, 1, 2, 3))):
        answer = dice.choice(_MUTATIONS)(dice, answer)
    return answer


def _flip(dice: random.Random, answer: bytes) -> bytes:
    at = dice.randrange(len(answer) + 1)
    return answer[:at] + dice.randbytes(1) + answer[at + 1 :]


def _insert(dice: random.Random, answer: bytes) -> bytes:
    at = dice.randrange(len(answer) + 1)
    junk = dice.choice((b"\r\n", b"\n", b"\x00", b" ", b"true", b"false", dice.randbytes(3)))
    return answer[:at] + junk + answer[at:]


def _cut_out(dice: random.Random, answer: bytes) -> bytes:
    at = dice.randrange(len(answer) + 1)
    return answer[:at] + answer[at + dice.randrange(12) :]


def _truncate(dice: random.Random, answer: bytes) -> bytes:
    return answer[: dice.randrange(len(answer) + 1)]


def _splice(dice: random.Random, answer: bytes) -> bytes:
    other = dice.choice(SEEDS)
    return answer[: dice.randrange(len(answer) + 1)] + other[dice.randrange(len(other)) :]


def _append(dice: random.Random, answer: bytes) -> bytes:
    return answer + dice.choice((b"true", b"\r\n", dice.choice(SEEDS), dice.randbytes(20)))


def _restart(dice: random.Random, answer: bytes) -> bytes:
    _, end, rest = answer.partition(b"\r\n")
    return dice.choice(STATUS_LINES) + end + rest


def _add_header(dice: random.Random, answer: bytes) -> bytes:
    first, end, rest = answer.partition(b"\r\n")
    return first + end + dice.choice(HEADERS) + b"\r\n" + rest


def _renumber(dice: random.Random, answer: bytes) -> bytes:
    number = str(dice.choice((0, 1, 3, 5, 99, 2**31, 2**64, -1))).encode()
    return re.sub(rb"\d+", lambda found: dice.choice((number, found[0])), answer)


def _many_headers(dice: random.Random, answer: bytes) -> bytes:
    first, end, rest = answer.partition(b"\r\n")
    return first + end + b"X: y\r\n" * dice.choice((50, 130, 500)) + rest


_MUTATIONS: list[Callable[[random.Random, bytes], bytes]] = [
    _flip, _flip, _insert, _cut_out, _truncate, _splice, _append, _restart, _add_header,
    _add_header, _add_header, _renumber, _many_headers,
]  # fmt: skip

# What must be so, whatever the answer was


def objections(answer: bytes, told: Completion | BaseException) -> list[str]:
    """Return what is wrong with what a call was told after this answer."""
    if isinstance(told, Completion):
        return _objections_to_completion(answer, told)
    if not isinstance(told, GolemError):
        return [f"{type(told).__name__} is none of ours"]
    return [*_objections_to_error(answer, told), *_leaks(told)]


def _objections_to_completion(answer: bytes, told: Completion) -> list[str]:
    word = b"true" if told.outcome is Outcome.FULFILLED else b"false"
    wrong = [] if told.attempts == 1 else ["one attempt was made"]
    if b"-Encoding" in answer:  # in chunks, or packed: its letters need not stand together
        return wrong
    if told.outcome is Outcome.FULFILLED_BY_UNKNOWN or word not in answer:
        wrong.append(f"{told.outcome} was not said")
    return wrong


def _objections_to_error(answer: bytes, error: GolemError) -> list[str]:
    """Nothing is stored only where the answer says so, in words that the facts know."""
    if error.may_have_completed:
        return []
    if isinstance(error, ResponseError):
        final = isinstance(error, PromiseNotFoundError | PayloadTooLargeError)
        if isinstance(error, WorkerNotFoundError) or error.status == 408:
            return ["what is stored after the write is not known"]
        if isinstance(error, ComponentNotFoundError) and b"Component for id" in answer:
            return ["what is stored after the write is not known"]
        if 300 <= error.status < 500 or (error.status == 500 and final):
            return []
    return ["the body was sent, and the answer does not say that nothing was stored"]


def _leaks(error: GolemError) -> list[str]:
    shown = [str(error), repr(error), repr(error.args), *getattr(error, "__notes__", [])]
    secrets = (SECRET.decode(), TOKEN, ":password@")
    wrong = [f"{secret} in {text}" for secret in secrets for text in shown if secret in text]
    if error.__cause__ is not None or error.__context__ is not None:
        wrong.append("it carries another exception")
    return wrong


# Over a real socket


@attrs.define
class Fuzzed:
    """A run of calls that are answered with junk.

    Attributes:
        seed: What the junk depends on.
        told: What the calls were told, by kind.
        wrong: What is wrong with it.
        seconds: How long it took.
    """

    seed: int
    told: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)
    seconds: float = 0.0
    _arrived: set[int] = attrs.field(factory=set)
    _unsent: dict[int, ConnectionFailedError] = attrs.field(factory=dict)

    async def run(self, cases: int, at_once: int = 16) -> Fuzzed:
        """Make the calls, and look for what they leave behind."""
        loop, began = asyncio.get_running_loop(), time.monotonic()
        loop.set_exception_handler(lambda _, context: self.wrong.append(f"unheard: {context}"))
        tasks, numbers = asyncio.all_tasks(), iter(range(cases))
        # One Retry-After of junk must not hold all the other calls back.
        options: dict[str, Any] = {
            "retry": RetryPolicy.none(),
            "attempt_timeout": 0.05,
            "overload": "ignore",
        }
        async with (
            serving(self._serve) as url,
            GolemClient(url, token=TOKEN, **options) as client,
        ):
            await asyncio.gather(*(self._call_all(client, numbers) for _ in range(at_once)))
            self.wrong += leftovers(client)
        self.wrong += [
            f"case {number} of seed {self.seed} arrived, and was told: {error}"
            for number, error in self._unsent.items()
            if number in self._arrived or error.may_have_completed
        ]
        gc.collect()
        await asyncio.sleep(0.01)
        self.wrong += [f"left: {task}" for task in asyncio.all_tasks() - tasks]
        loop.set_exception_handler(None)
        self.seconds = time.monotonic() - began
        return self

    def dice(self, number: int) -> random.Random:
        """Return what decides a case: by hand, `mutated(Fuzzed(seed).dice(number))`."""
        return random.Random(f"{self.seed}/{number}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keeps = True
        while keeps:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length is not None
            payload = bytes(json.loads(await reader.readexactly(int(length[1])))["data"])
            number = int(payload.split()[1])
            self._arrived.add(number)
            dice = self.dice(number)
            answer = mutated(dice)
            cut = dice.randrange(len(answer) + 1) if dice.random() < 0.2 else len(answer)
            keeps = dice.random() < 0.15
            for piece in (answer[:cut], answer[cut:]):
                writer.write(piece)
                await asyncio.sleep(0)

    async def _call_all(self, client: GolemClient, numbers: Iterator[int]) -> None:
        for number in numbers:
            payload = b"%s %d" % (SECRET, number)
            calls = [client.complete_bytes(PROMISE_ID, payload)]
            told = (await asyncio.gather(*calls, return_exceptions=True))[0]
            self.told[told.outcome if isinstance(told, Completion) else type(told).__name__] += 1
            if isinstance(told, ConnectionFailedError):
                self._unsent[number] = told
                continue
            answer = mutated(self.dice(number))
            found = objections(answer, told)
            self.wrong += [f"case {number} of seed {self.seed}: {answer!r}: {one}" for one in found]


# Without one


def fuzz_verdicts(cases: int, seed: int) -> list[str]:
    """Judge junk that HTTP would not let through; return what is wrong."""
    request = wire.completion_request(
        "http://h", PROMISE_ID, SECRET, {"Authorization": f"Bearer {TOKEN}"}
    )
    wrong = []
    for number in range(cases):
        dice = random.Random(f"{seed}/{number}")
        status = dice.choice(
            (200, 200, 302, 400, 401, 404, 429, 500, 503, dice.randrange(100, 1000))
        )
        headers: CIMultiDict[str] = CIMultiDict()
        for line in dice.choices(HEADERS, k=3):
            name, _, value = line.decode("utf-8", "surrogateescape").partition(": ")
            headers.add(name, value)
        whole = mutated(dice)
        body = whole.partition(b"\r\n\r\n")[2]
        verdict = wire.read_answer(request, status, headers, body)
        if (verdict.answer is None) == (verdict.error is None):
            wrong.append(f"case {number}: neither an answer nor an error, or both")
        if verdict.answer is not None and (
            status != 200 or body.strip() not in (b"true", b"false")
        ):
            wrong.append(f"case {number}: {body!r} is no answer")
        if verdict.error is not None:
            wrong += [f"case {number}: {leak}" for leak in _leaks(verdict.error)]
    return wrong


_SPELLINGS = [
    str(PROMISE_ID),
    json.dumps(PROMISE_ID.to_json()),
    "f81d4fae-7dec-11d0-a765-00a0c91e6bf6:w1:42",
    "urn:worker:f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1",
    "Uuid { high-bits: 17878533706586264016, low-bits: 12062047867550723062 }/w1/42",
    '{agent-id: {component-id: {uuid: {high-bits: 1, low-bits: 2}}, agent-id: "a"}, oplog-idx: 4}',
    '{"value":{"agent-id":{"component-id":{"high-bits":1,"low-bits":2},"agent-id":"a"},"oplog-idx":1}}',
]  # fmt: skip
_PIECES = [
    *(char.encode() for char in '{}[]",:/-+0\\'), b"9" * 5000, b"1e999", b"NaN", b"null", b"true",
    b"\xff", b"\x00", b"\xed\xa0\x80", b"\xc2\x85", b"\xef\xbb\xbf", b"\xd9\xa3", b"\\u",
    b"\\ud800", b"\\ud800\\udc00", b"[" * 3000, b'{"a":' * 3000, b"Uuid {", b"urn:", b"%2F",
    b'"agentId":', b'"#bigint":', b"18446744073709551616",
]  # fmt: skip


def fuzz_ids(cases: int, seed: int) -> list[str]:
    """Read junk as ids; return what is wrong."""
    wrong = []
    for number in range(cases):
        dice = random.Random(f"{seed}/{number}")
        junk: Any = dice.choice(_SPELLINGS).encode()
        for _ in range(dice.choice((0, 1, 1, 2, 4))):
            at = dice.randrange(len(junk) + 1)
            piece = dice.choice((*_PIECES, dice.randbytes(2), b""))
            junk = junk[:at] + piece + junk[at + dice.randrange(3) :]
        if dice.random() < 0.1:
            junk = dice.randbytes(dice.randrange(60))
        for value in _forms(junk):
            for kind in (PromiseId, WorkerId, ComponentId):
                wrong += _objections_to_id(kind, value)
    return wrong


def _forms(junk: bytes) -> list[Any]:
    forms: list[Any] = [junk, junk.decode("utf-8", "surrogateescape")]
    with suppress(ValueError, RecursionError):
        forms.append(json.loads(junk))
    return forms


def _objections_to_id(kind: Any, value: Any) -> list[str]:
    try:
        found = kind.parse(value)
    except InvalidIdError as error:
        return (
            [] if len(str(error)) < 1000 else [f"{kind.__name__}: {value!r:.80}: too long a text"]
        )
    except Exception as error:  # noqa: BLE001 - this is what must not happen
        return [f"{kind.__name__}: {value!r:.80}: {error!r:.200}"]
    again = [kind.parse(str(found)), kind.parse(found.to_json())]
    return [] if again == [found, found] else [f"{kind.__name__}: {value!r:.80} is not stable"]


# In the suite


async def test_junk_in_place_of_an_answer_is_an_error_of_ours() -> None:
    fuzzed = await Fuzzed(seed=1).run(800)
    assert fuzzed.wrong == []
    assert set(Outcome) - set(fuzzed.told) == {Outcome.FULFILLED_BY_UNKNOWN}
    assert sum(fuzzed.told.values()) == 800


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "closed"])
async def test_a_stray_answer_on_an_idle_connection_is_nobodys(*, keeps: bool) -> None:
    """What comes between two requests belongs to neither, though the next one finds it there."""
    arrived: Counter[bytes] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length is not None
            payload = bytes(json.loads(await reader.readexactly(int(length[1])))["data"])
            arrived[payload] += 1
            number, _, turn = payload.partition(b" ")
            writer.write(_answer(200, b"false"))
            if turn == b"first":
                await asyncio.sleep(0.01)
                writer.write(SEEDS[int(number)])
                if not keeps:
                    return

    async def told_after(number: int) -> Outcome:
        async with GolemClient(url, token=TOKEN, timeout=5.0) as client:
            await client.complete_bytes(PROMISE_ID, b"%d first" % number)
            await asyncio.sleep(0.05)
            return (await client.complete_bytes(PROMISE_ID, b"%d second" % number)).outcome

    async with serving(serve) as url:
        outcomes = await asyncio.gather(*(told_after(number) for number in range(len(SEEDS))))
    assert list(outcomes) == [Outcome.ALREADY_FULFILLED] * len(SEEDS)
    assert set(arrived.values()) == {1}


def test_junk_that_http_would_not_let_through_is_judged_as_well() -> None:
    assert fuzz_verdicts(2000, seed=1) == []


def test_junk_in_place_of_an_id_is_an_invalid_id_or_an_id() -> None:
    assert fuzz_ids(600, seed=1) == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"x", ValueError("none of ours")),
        (_answer(200, b"false"), Completion(Outcome.FULFILLED, 1)),
        (_answer(200, b"true"), Completion(Outcome.FULFILLED_BY_UNKNOWN, 1)),
        (_answer(200, b"true"), Completion(Outcome.FULFILLED, 2)),
        (_answer(500, b""), ResponseError("x", 500)),
        (_answer(404, b""), ResponseError(f"x {TOKEN}", 404)),
        (_answer(408, b""), ResponseError("x", 408)),
    ],
    ids=["foreign", "false", "unknown", "twice", "not stored", "leak", "408"],
)
def test_the_fuzzer_objects_to_what_is_wrong(
    answer: bytes, told: Completion | BaseException
) -> None:
    assert objections(answer, told) != []


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.test_fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    fuzzed = asyncio.run(Fuzzed(options.seed).run(options.cases))
    wrong = [
        *fuzzed.wrong,
        *fuzz_verdicts(options.cases, options.seed),
        *fuzz_ids(options.cases // 4, options.seed),
    ]
    lines = [f"seed {options.seed}, {options.cases} answers in {fuzzed.seconds:.0f} s"]
    lines += [f"  {name:<28} {number:>8}" for name, number in sorted(fuzzed.told.items())]
    lines += [f"wrong: {len(wrong)}", *wrong[:20]]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
