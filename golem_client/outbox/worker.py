"""Delivering: rows are claimed, sent and settled, a transaction for many at a time.

One loop turns: it takes in what has ended, settles that and claims as many rows as there is room
for in one transaction, and begins their calls. A row belongs to the worker until its lease ends;
every call ends before that. What a settlement says is in `settling`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import random
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from golem_client import (
    AuthenticationError,
    Completion,
    DeliveryError,
    GolemClient,
    GolemError,
    OutboxError,
    RateLimitedError,
    ServerError,
)
from golem_client.outbox.entry import State
from golem_client.outbox.pace import Pace
from golem_client.outbox.settling import Claimed, Rules, Settlement, handed_back, settlement, size
from golem_client.outbox.statements import SETTLING, claiming, values_of_settlement

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from golem_client.outbox.database import Database
    from golem_client.outbox.encryption import Cipher

logger = logging.getLogger("golem_client.outbox")

CONCURRENCY = 64

_POLL_SECONDS = 0.5
_GATHERING_SECONDS = 0.004
_LONGEST_GATHERING_SECONDS = 0.02
_AWAY_SECONDS = 0.5
_MARGIN_SECONDS = 5.0
_LAST_WORDS_SECONDS = 5.0
_NO_KEY_DELAY = timedelta(minutes=1)


@attrs.define(eq=False)
class Settled:
    """A row that a worker has claimed. Its call is under way, or has ended and is to be settled.

    Attributes:
        began: When, by the monotonic clock.
        ended: What the client's call returned or raised; None where it was not called.
    """

    row: Claimed
    lease: str
    began: float
    settlement: Settlement
    ended: Completion | BaseException | None = None
    task: asyncio.Task[Completion] | None = None


OnSettled = Callable[[Sequence[Settled]], None]


@attrs.define(eq=False, kw_only=True)
class Worker:
    """Delivers the rows of a database through a client, once it is run. Made by `Outbox`.

    Attributes:
        siblings: The workers of the same outbox that run.
        tell_waiters: Called after each transaction that has settled something.
        on_settled: Called before, with what it has settled.
        pace: How many rows it tries at a time.
        is_patient: Whether it waits while the database is away, instead of raising.
    """

    client: GolemClient
    database: Database
    cipher: Cipher
    rules: Rules
    lease: float
    siblings: set[Worker]
    tell_waiters: Callable[[], None]
    concurrency: int = CONCURRENCY
    on_settled: OnSettled | None = None
    pace: Pace = attrs.field(factory=Pace)
    is_patient: bool = True
    _calls: dict[int, Settled] = attrs.field(init=False, factory=dict)
    _ended: list[Settled] = attrs.field(init=False, factory=list)
    _news: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _over: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _is_stopping: bool = attrs.field(init=False, default=False)
    _said: str = attrs.field(init=False, default="")
    _waits_since: float | None = attrs.field(init=False, default=None)
    _margin: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Let every call end before its lease does."""
        size("concurrency", self.concurrency)
        self._margin = min(_MARGIN_SECONDS, self.lease / 2)
        timeout = min(self.client.timeout, self.lease - self._margin)
        self.client = self.client.with_options(timeout=timeout)

    def wake(self) -> None:
        """Look for rows now."""
        self._news.set()

    def stop(self) -> None:
        """Take no more rows; `run` returns once the calls under way are settled."""
        self._is_stopping = True
        self._news.set()

    async def ended(self) -> None:
        """Wait until `run` has ended."""
        await self._over.wait()

    async def run(self) -> None:
        """Deliver until `stop`, or until this is cancelled: then the calls under way end at once.

        A task of its own turns, so that cancelling this one interrupts no transaction: what it
        claims is handed back, and what has ended is settled.
        """
        self.siblings.add(self)
        turning = asyncio.create_task(self._turn_until_stopped())
        listening = asyncio.create_task(self.database.listen(self.wake))
        try:
            await asyncio.wait([turning])
        finally:
            self.stop()
            calls = [call.task for call in self._calls.values() if call.task]
            for task in (*calls, listening):
                task.cancel()
            try:
                await asyncio.wait([turning, listening, *calls], timeout=_LAST_WORDS_SECONDS)
                if turning.done():  # an ending loop cancels every task: settle what it left
                    with suppress(OutboxError, TimeoutError):
                        async with asyncio.timeout(_LAST_WORDS_SECONDS):
                            await self._turn_until_stopped()
            finally:
                turning.cancel()
                if self._calls:
                    logger.warning("%d rows are left to their leases", len(self._calls))
                self.siblings.discard(self)
                self._over.set()
        turning.result()

    async def _turn_until_stopped(self) -> None:
        may_be_more = True
        while not self._is_stopping or self._calls:
            await (self._gather() if may_be_more else self._wait_for_news())
            self._news.clear()
            try:
                may_be_more = await self._turn()
                self._said = ""
            except OutboxError as error:
                if not self.is_patient or not error.worth_retrying:
                    raise
                may_be_more = True
                if self._said != error.message:
                    self._said = error.message
                    logger.warning("the outbox waits: %s", error.message)
                if self._has_waited_enough():
                    return
                await asyncio.sleep(_AWAY_SECONDS)

    def _has_waited_enough(self) -> bool:
        """Whether only the database is left to wait for, and has been for long."""
        if not self._is_stopping or len(self._ended) < len(self._calls):
            return False
        now = time.monotonic()
        self._waits_since = self._waits_since or now
        return now - self._waits_since >= _LAST_WORDS_SECONDS

    async def _wait_for_news(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.pace.seconds_left(time.monotonic(), _POLL_SECONDS)):
                await self._news.wait()
        if len(self._ended) < len(self._calls):
            await asyncio.sleep(_GATHERING_SECONDS)  # others end meanwhile, and share a commit

    async def _gather(self) -> None:
        """Let half of the calls end, where rows are waiting: a transaction for many is cheap."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_GATHERING_SECONDS):
                while len(self._ended) < min(len(self._calls), self.concurrency // 2):
                    self._news.clear()
                    await self._news.wait()

    async def _turn(self) -> bool:
        """Settle what has ended, claim what there is room for; whether there may be more rows."""
        # In the order of slots: the order in which all lock rows.
        ended = sorted(self._ended, key=lambda call: call.row.slot)
        room = self._room_after(len(ended))
        lease = uuid.uuid4().hex
        asked_at = time.monotonic()

        async def work(connection: AsyncConnection) -> list[Claimed]:
            if ended:
                values = [values_of_settlement(one.row, one.lease, one.settlement) for one in ended]
                await connection.execute(SETTLING, values)
            return await self._claim(connection, room, lease) if room else []

        if not ended and not room:
            return False
        claimed = await self.database.run(work)
        self._ended = self._ended[len(ended) :]
        for call in ended:
            del self._calls[call.row.id]
        if ended and self.on_settled is not None:
            self.on_settled(ended)
        if ended:
            self.tell_waiters()
        for row in claimed:
            # If its lease ran out while its call was under way, that call is settled first.
            if row.id not in self._calls:
                self._begin(row, lease, asked_at)
        return room == len(claimed) or bool(self._ended)

    def _room_after(self, ended: int) -> int:
        if self._is_stopping:
            return 0
        under_way = len(self._calls) - ended
        return self.pace.room(self.concurrency - under_way, under_way, time.monotonic())

    async def _claim(self, connection: AsyncConnection, room: int, lease: str) -> list[Claimed]:
        rows: list[Claimed] = []
        for state in ("pending", "completed"):  # new rows go before those of a second sending
            if len(rows) < room:
                statement = claiming(state, room - len(rows), lease, self.lease)
                found = (await connection.execute(statement)).mappings()
                rows += sorted((_claimed(row) for row in found), key=lambda row: row.id)
        return rows

    def _begin(self, row: Claimed, lease: str, asked_at: float) -> None:
        now = time.monotonic()
        call = self._calls[row.id] = Settled(row, lease, now, handed_back(row))
        if self._is_stopping or now - asked_at > self._margin / 2:
            self._end(call)  # the lease would not outlast the call
            return
        try:
            payload = self.cipher.decrypt(row.payload, is_encrypted=row.is_encrypted)
        except OutboxError as error:
            logger.error("not sent: %s", error.message, extra=_extra(call))  # noqa: TRY400 - all said
            text = f"OutboxError: {error.message}"
            call.settlement = attrs.evolve(call.settlement, error=text, due_in=_NO_KEY_DELAY)
            self._end(call)
            return
        self.pace.note_begin(now)
        call.task = asyncio.create_task(self._send(row, payload))
        call.task.add_done_callback(lambda task: self._note_end(call, task))

    async def _send(self, row: Claimed, payload: bytes) -> Completion:
        recording = telemetry() if row.trace else None
        with nullcontext() if recording is None else recording.linked_to(row.trace):
            return await self.client.complete_bytes(row.promise_id, payload)

    def _note_end(self, call: Settled, task: asyncio.Task[Completion]) -> None:
        ended: Completion | BaseException
        is_cut = task.cancelled()
        ended = asyncio.CancelledError() if is_cut else task.exception() or task.result()
        call.ended = ended
        now = time.monotonic()
        if isinstance(ended, Completion) or not (is_cut or _is_of_no_row(ended)):
            self.pace.note_answer(now)
        elif not is_cut:
            self.pace.note_failure(ended, call.began, now)
        chance = random.random()  # noqa: S311 - jitter
        # After the pace has noted it: the rules of a bulk run ask the pace.
        call.settlement = settlement(call.row, ended, self.rules, chance=chance)
        self._end(call)
        if not isinstance(ended, Completion | asyncio.CancelledError):
            _log(call, ended)

    def _end(self, call: Settled) -> None:
        self._ended.append(call)
        self._news.set()


_stops: list[Callable[[], object]] = []
"""What a SIGTERM calls: one for each delivery that the main thread runs."""


@contextmanager
def stopping_on_sigterm(stop: Callable[[], object]) -> Iterator[None]:
    """Stop on a SIGTERM, where the main thread runs this and nobody else handles it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _stop_all)
    _stops.append(stop)
    try:
        yield
    finally:
        with suppress(ValueError):  # in the child of a fork
            _stops.remove(stop)
        if not _stops and signal.getsignal(signal.SIGTERM) is _stop_all:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop_all(*_: object) -> None:
    for stop in tuple(_stops):
        stop()


def _forget() -> None:
    """Let a SIGTERM end the child of a fork, in which nothing is delivered."""
    _stops.clear()
    if signal.getsignal(signal.SIGTERM) is _stop_all:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _is_of_no_row(error: BaseException) -> bool:
    """Whether this error says nothing about its row: every other row may meet it."""
    if isinstance(error, AuthenticationError | RateLimitedError | ServerError | DeliveryError):
        return True
    return not isinstance(error, GolemError)  # from the token's callable


def _log(call: Settled, error: BaseException) -> None:
    extra, text = _extra(call), call.settlement.error
    if call.settlement.state is State.DEAD:
        logger.error("dead: %s", text, extra=extra)
        return
    is_ours = isinstance(error, AuthenticationError) or not isinstance(error, GolemError)
    level = logging.ERROR if is_ours else logging.INFO
    logger.log(level, "not delivered, and tried again: %s", text, extra=extra)


def _extra(call: Settled) -> dict[str, Any]:
    return {"golem_promise": call.row.promise_id, "golem_attempt": call.settlement.attempts}


def _claimed(row: Any) -> Claimed:
    age = timedelta(microseconds=row["age"])
    return Claimed(**{**row, "state": State(row["state"]), "age": age})


def telemetry() -> Any:
    """Return `golem_client.telemetry` where the program records traces, and None elsewhere.

    A process that only accepts has OpenTelemetry, but no client, and so no observer of ours.
    """
    if "opentelemetry.trace" not in sys.modules:
        return None
    return importlib.import_module("golem_client.telemetry")
