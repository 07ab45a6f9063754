"""No token and no payload in anything of ours: errors, notes, chains, reprs and the log."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Iterator

import pytest

from golem_client import GolemClient, GolemError, PromiseId, RetryPolicy
from tests.samples import PROMISE_ID, QUICK, client_of
from tests.scripted_server import (
    CLOSE,
    RESET,
    TRUE,
    Exchange,
    ScriptedServer,
    Step,
    answer,
    message,
    raw,
    raw_then_close,
    stall,
)

TOKEN = "tok-5e8dd6a4c0ffee11"
CARD = "4111-1111-1111-1111"
PAYLOAD = {"card": CARD, "holder": "Wilhelmina"}


def echoing(status: int, content_type: str, template: str) -> Step:
    """Answer with the request's own token and payload in the text, as validators and proxies do."""

    async def step(exchange: Exchange) -> None:
        text = exchange.request.payload.decode()
        body = template.replace("<token>", exchange.request.headers["authorization"])
        body = body.replace("<payload>", json.dumps(text)[1:-1]).replace("<raw>", text)
        numbers = ", ".join(map(str, exchange.request.payload))
        body = body.replace("<numbers>", numbers)
        await exchange.send(message(status, body.encode(), content_type))

    return step


JSON = "application/json; charset=utf-8"
LEAKY: list[tuple[str, Step]] = [
    (
        "validation text",
        echoing(
            400, "text/plain; charset=utf-8", 'parse request payload error: found "<raw>" <token>'
        ),
    ),
    ("errors", echoing(400, JSON, '{"errors":["bad thing <payload> with <token>"]}')),
    ("error", echoing(500, JSON, '{"error":"could not <payload> <token>","workerError":null}')),
    ("numbers", echoing(400, JSON, '{"errors":["bad data [<numbers>]"]}')),
    ("code", echoing(403, JSON, '{"code":"<payload>","error":"no"}')),
    ("golemError", echoing(500, JSON, '{"golemError":{"type":"Unknown","details":"<payload>"}}')),
    ("golemError type", echoing(500, JSON, '{"golemError":{"type":"<payload>"}}')),
    ("html", echoing(502, "text/html", "<html><raw> <token></html>")),
    ("html 200", echoing(200, "text/html", "<html><raw> <token></html>")),
    ("content type", echoing(500, "text/<token>", "x")),
    ("not found", echoing(404, JSON, '{"error":"Worker not found: <payload> <token>"}')),
    ("token unknown", echoing(401, JSON, '{"error":"unknown <token>"}')),
    (
        "redirect",
        answer(302, b"", "", Location=f"https://{TOKEN}:x@h/{CARD}/{TOKEN}?t={TOKEN}#{TOKEN}"),
    ),
    ("bad status line", raw_then_close(f"HTTP/9.x {TOKEN} {CARD}\r\n\r\n".encode())),
    (
        "bad header",
        raw(f"HTTP/1.1 200 OK\r\n{TOKEN} {CARD}\r\nContent-Length: 4\r\n\r\ntrue".encode()),
    ),
    ("bad chunk", raw(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{CARD}".encode())),
    ("closed", CLOSE),
    ("reset", RESET),
    ("stalled", stall),
]


def everything_of(error: BaseException | None) -> Iterator[str]:
    """Yield all that an error and its chain could show."""
    while error is not None:
        yield repr(error)
        yield str(error)
        yield repr(error.args)
        yield repr(vars(error))
        yield repr(getattr(error, "__notes__", []))
        yield "".join(traceback.format_exception(error))
        yield repr(pickle.dumps(error))
        yield repr(copy.copy(error))
        assert error.__cause__ is None
        error = error.__context__


def assert_hidden(text: str) -> None:
    numbers = ", ".join(str(byte) for byte in CARD.encode())
    for secret in (TOKEN, CARD, "4111-1111", "Wilhelmina", "Wilhel", "5e8dd6a4", numbers):
        assert secret not in text, text


@pytest.mark.parametrize("step", [step for _, step in LEAKY], ids=[name for name, _ in LEAKY])
async def test_no_error_and_no_log_line_holds_a_secret(
    step: Step, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the server says, neither the token nor the payload comes out."""
    caplog.set_level(logging.DEBUG, "golem_client")
    policy = RetryPolicy(max_attempts=2, min_delay=0.001)
    async with (
        ScriptedServer(step) as server,
        client_of(server, token=TOKEN, retry=policy, attempt_timeout=0.1) as client,
    ):
        with pytest.raises(GolemError) as caught:
            await client.complete_json(PROMISE_ID, PAYLOAD)
        for text in everything_of(caught.value):
            assert_hidden(text)
        assert_hidden(repr(client))
        assert_hidden(repr(vars(client)))
        assert_hidden(repr(client._settings))
    assert caplog.records
    assert_hidden(caplog.text)


async def test_golems_own_words_stay_readable() -> None:
    """What quotes nothing is shown, so that a person can act on it."""
    said = "Could not authenticate user using token"
    step = answer(401, f'{{"code":"AUTH_UNAUTHORIZED","error":"{said}"}}'.encode())
    async with ScriptedServer(step) as server, client_of(server, token=TOKEN) as client:
        with pytest.raises(GolemError, match=said):
            await client.complete_json(PROMISE_ID, PAYLOAD)


# The log


async def test_each_attempt_is_a_debug_line_and_each_repeat_an_info_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The reason and the wait are told."""
    caplog.set_level(logging.DEBUG, "golem_client")
    async with (
        ScriptedServer(answer(503, b"", ""), TRUE) as server,
        client_of(server, retry=QUICK) as client,
    ):
        await client.complete_json(PROMISE_ID, 1)
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ["DEBUG", "INFO", "DEBUG"]
    assert "attempt 1: ServerError: " in lines[0][1]
    assert "attempt 1: ServerError: " in lines[1][1]
    assert "; the next follows in 0.00" in lines[1][1]
    assert lines[2][1] == f"promise {PROMISE_ID}: attempt 2: answer true"
    assert {record.name for record in caplog.records} == {"golem_client"}


async def test_a_worker_name_is_cut_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Agent names carry users' data."""
    caplog.set_level(logging.DEBUG, "golem_client")
    component = PROMISE_ID.worker_id.component_id
    promise_id = PromiseId.parse(f"{component}/{'a' * 39}bcdef/1")
    async with ScriptedServer() as server, client_of(server) as client:
        await client.complete_json(promise_id, 1)
    assert f"{component}/{'a' * 39}…/1" in caplog.text
    assert "bcdef" not in caplog.text


def test_the_library_is_silent_unless_asked() -> None:
    """A library's logger has a NullHandler and no level of its own."""
    logger = logging.getLogger("golem_client")
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
    assert logger.level == logging.NOTSET
    assert GolemClient.__module__.startswith("golem_client")
