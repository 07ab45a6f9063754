"""No frame of a traceback that leaves an outbox holds a payload, a key or a password."""

from __future__ import annotations

import asyncio
import inspect
import pydoc
import traceback
import typing
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from golem_client import GolemClient, GolemError, InvalidIdError, OutboxError, PayloadError
from golem_client.outbox import Key, Outbox, OutboxPromise, worker
from tests import tracebacks
from tests.samples import PROMISE_ID
from tests.scripted_server import serving

CARD = "4111-1111-1111-1111"
FERNET = Fernet.generate_key().decode()
PASSWORD = "p4ssw0rd-of-the-database"
SECRETS = (CARD, FERNET, PASSWORD)


@attrs.frozen
class Payment:
    card: str


# The secrets are made within a call: a frame of this file is the caller's own.
def _card() -> str:
    return CARD


def _key() -> str:
    return FERNET


Call = Callable[..., Any]
ACCEPTING: dict[str, Call] = {
    "complete_json": lambda o, id_, **x: o.complete_json(id_, {"card": _card()}, **x),
    "complete_json as a type": lambda o, id_, **x: o.complete_json(
        id_, Payment(_card()), Payment, **x
    ),
    "complete_text": lambda o, id_, **x: o.complete_text(id_, _card(), **x),
    "complete_bytes": lambda o, id_, **x: o.complete_bytes(id_, _card().encode(), **x),
    "OutboxPromise.complete": lambda o, id_, **x: o.promise(id_, Payment).complete(
        Payment(_card()), **x
    ),
}
STATEMENTS: dict[str, Call] = {
    "statement": lambda o, id_, **x: o.statement(id_, {"card": _card()}, **x),
    "statement_text": lambda o, id_, **x: o.statement_text(id_, _card(), **x),
    "statement_bytes": lambda o, id_, **x: o.statement_bytes(id_, _card().encode(), **x),
}
LOOKING_AFTER: dict[str, Call] = {
    "bind": lambda o, id_, **x: o.bind("order-17", id_, **x),
    "entry": lambda o, id_, **x: o.entry(id_, **x),
    "wait": lambda o, id_, **x: o.wait(id_, **x),
    "retry": lambda o, id_, **x: o.retry(id_, **x),
    "discard": lambda o, id_, **x: o.discard(id_, **x),
}
OTHERS: dict[str, Call] = {
    "prune": lambda o, **x: o.prune(older_than=1, **x),
    "counts": lambda o, **x: o.counts(**x),
    "create_tables": lambda o, **x: o.create_tables(**x),
    "deliver": lambda o, **x: o.deliver(GolemClient("http://localhost"), **x),
    "delivering": lambda o: o.delivering(GolemClient("http://localhost")).__aenter__(),
    "entries": lambda o: anext(o.entries()),
}
WITH_ID = {**ACCEPTING, **STATEMENTS, **LOOKING_AFTER}


def each(calls: dict[str, Call]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", calls.values(), ids=list(calls))


def assert_nothing_shows(error: BaseException) -> None:
    tracebacks.assert_nothing_shows(error, *SECRETS, but_for=__file__)
    told = "".join(traceback.format_exception(error))
    assert not any(secret in told for secret in SECRETS)


async def error_of(make: Callable[[], Any]) -> BaseException:
    """Return what a call raises, or what it raises when it is awaited."""
    try:
        made = make()
        if inspect.isawaitable(made):
            await made
    except BaseException as error:  # noqa: BLE001 - a cancellation as well
        return error
    raise AssertionError("the call was to fail")


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    async with await Outbox.open(tmp_path / "x.sqlite", max_payload_bytes=100) as outbox:
        yield outbox


@each({**WITH_ID, **{name: OTHERS[name] for name in ("prune", "counts", "deliver")}})
async def test_a_wrong_argument(outbox: Outbox, call: Call) -> None:
    """The TypeError is Python's own."""
    arguments = [PROMISE_ID] if call in WITH_ID.values() else []
    error = await error_of(lambda: call(outbox, *arguments, wrong=1))
    assert isinstance(error, TypeError)
    assert_nothing_shows(error)


@each(WITH_ID)
async def test_a_wrong_id(outbox: Outbox, call: Call) -> None:
    error = await error_of(lambda: call(outbox, "no id"))
    assert isinstance(error, InvalidIdError)
    # `promise` raises before there is a payload.
    if call is not ACCEPTING["OutboxPromise.complete"]:
        assert_nothing_shows(error)


@pytest.mark.parametrize(
    "call",
    [
        lambda o: o.complete_json(PROMISE_ID, {"card": _card(), "x": object()}),
        lambda o: o.complete_json(PROMISE_ID, Payment(_card()), int),
        lambda o: o.complete_json(PROMISE_ID, [_card()] * 9),
        lambda o: o.promise(PROMISE_ID, int).complete(Payment(_card())),
        lambda o: o.complete_text(PROMISE_ID, _card() + "\ud800"),
        lambda o: o.complete_bytes(PROMISE_ID, _card()),
        lambda o: o.complete_bytes(Key("k"), _card().encode() * 9),
        lambda o: o.statement(PROMISE_ID, {"card": _card(), "x": {1.5: 2}}),
        lambda o: o.statement_text(PROMISE_ID, _card() * 9),
        lambda o: o.statement_bytes(PROMISE_ID, _card()),
    ],
)
async def test_a_payload_that_is_refused(outbox: Outbox, call: Call) -> None:
    error = await error_of(lambda: call(outbox))
    assert isinstance(error, PayloadError)
    assert_nothing_shows(error)


@each({**WITH_ID, **OTHERS})
async def test_an_outbox_that_is_closed(outbox: Outbox, call: Call) -> None:
    await outbox.aclose()
    arguments = [PROMISE_ID] if call in WITH_ID.values() else []
    error = await error_of(lambda: call(outbox, *arguments))
    assert isinstance(error, RuntimeError)
    assert_nothing_shows(error)


@each(ACCEPTING)
async def test_a_table_that_is_gone_and_a_disk_that_is_full(outbox: Outbox, call: Call) -> None:
    """SQLAlchemy's error, which holds the statement and its values, does not leave."""
    async with outbox.engine.connect() as connection:
        await connection.execute(text("PRAGMA max_page_count = 1"))
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        await connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        await connection.commit()
    errors: list[BaseException] = []
    for n in range(200):  # until there is no room for one more
        id_ = attrs.evolve(PROMISE_ID, oplog_idx=n)
        try:
            await call(outbox, id_)
        except OutboxError as full:
            errors.append(full)
            break
    async with outbox.engine.begin() as connection:
        await connection.execute(text("DROP TABLE golem_outbox_entries"))
    errors.append(await error_of(lambda: call(outbox, PROMISE_ID)))
    assert "full" in str(errors[0])
    assert "no such table" in str(errors[1])
    for error in errors:
        assert_nothing_shows(error)


@each({**ACCEPTING, **LOOKING_AFTER, **OTHERS})
async def test_a_database_that_is_away(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, and then cancelled while it does not answer: asyncpg's frames hold the password."""
    monkeypatch.setattr(worker, "_LAST_WORDS_SECONDS", 0.05)
    arguments = [PROMISE_ID] if call in WITH_ID.values() else []
    is_waiting = call in (OTHERS["deliver"], OTHERS["delivering"])
    if not is_waiting:
        away = create_async_engine(f"postgresql+asyncpg://u:{PASSWORD}@127.0.0.1:1/x")
        error = await error_of(lambda: call(Outbox(away), *arguments))
        assert isinstance(error, OutboxError)
        assert_nothing_shows(error)
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        await asyncio.Event().wait()

    async with serving(silent) as url:
        address = url.replace("http://", f"postgresql+asyncpg://u:{PASSWORD}@")
        engine = create_async_engine(f"{address}/x")
        outbox = Outbox(engine)
        task = asyncio.ensure_future(error_of(lambda: call(outbox, *arguments)))
        await asked.wait()
        task.cancel()
        error = await task
    assert isinstance(error, asyncio.CancelledError)
    assert_nothing_shows(error)
    await outbox.aclose()
    await engine.dispose()


@pytest.mark.parametrize(
    "make",
    [
        lambda path: Outbox.open(path, keys=[_key()], lease=0),
        lambda path: Outbox.open(path, keys=[_key(), _key()[1:]]),
        lambda path: Outbox.open(path, keys=_key()),
        lambda path: Outbox.open(path, keys=[_key()], wrong=1),  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
        lambda path: Outbox.open(path.parent / "no" / "x", keys=[_key()]),
        lambda path: Outbox.open(path.parent, keys=[_key()]),
        lambda _: Outbox("no engine", keys=[_key()]),  # type: ignore[arg-type]
        lambda _: Outbox(create_async_engine("sqlite+aiosqlite://"), keys=[_key()], lease=-1),
        lambda _: Outbox(keys=[_key()]),  # type: ignore[call-arg]
    ],
)
async def test_an_outbox_that_cannot_be_made(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    error = await error_of(lambda: make(tmp_path / "x.sqlite"))
    assert isinstance(error, ValueError | TypeError | GolemError)
    assert_nothing_shows(error)


async def test_the_callers_own_frames_are_the_callers(outbox: Outbox) -> None:
    """Their local variables stay, so that a debugger shows them."""

    async def caller() -> Awaitable[Any]:
        mine = _card() * 9
        return await outbox.complete_text(PROMISE_ID, mine)  # type: ignore[return-value]

    error = await error_of(caller)
    shown = [frame.f_locals.get("mine") for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert CARD * 9 in shown


@pytest.mark.parametrize(
    "method",
    [
        *(getattr(Outbox, name) for name in vars(Outbox) if name in WITH_ID),
        *(getattr(Outbox, name) for name in (*LOOKING_AFTER, *OTHERS, "open", "__init__")),
        OutboxPromise.complete,
    ],
)
def test_help_and_type_hints_are_the_methods_own(method: Callable[..., Any]) -> None:
    hints = typing.get_type_hints(method)
    parameters = inspect.signature(method).parameters
    assert "args" not in parameters
    assert {"self", "options"} >= set(parameters) - set(hints)
    assert "cleared" not in pydoc.plain(pydoc.render_doc(method))
