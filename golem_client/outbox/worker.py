"""Delivering: rows are claimed, sent and settled, a transaction for many at a time.

One loop turns: it takes in what has ended, settles that and claims as many rows as there is room
for in one transaction, and begins their calls. A row belongs to the worker until its lease ends;
every call ends before that. What a settlement says is in `settling`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
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
from golem_client.outbox.settling import Claimed, Rules, Settlement, handed_back, settlement
from golem_client.outbox.statements import SETTLING, claiming, values_of_settlement
from golem_client.outbox.trace import linked_to

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from golem_client.outbox.database import Database
    from golem_client.outbox.encryption import Cipher

logger = logging.getLogger("golem_client.outbox")

_POLL_SECONDS = 0.5
_GATHERING_SECONDS = 0.004
_LONGEST_GATHERING_SECONDS = 0.02
_AWAY_SECONDS = 0.5
_MARGIN_SECONDS = 5.0
_LAST_WORDS_SECONDS = 5.0
_NO_KEY_DELAY = timedelta(minutes=1)


@attrs.frozen
class Settled:
    """A row of this worker, how its delivery ended, and what was written into it.

    Attributes:
        row: The row as it was claimed.
        ended: What the client's call returned or raised; None where it was not called.
        settlement: What was written.
    """

    row: Claimed
    ended: Completion | BaseException | None
    settlement: Settlement


OnSettled = Callable[[Sequence[Settled]], None]


@attrs.define(eq=False)
class _Call:
    """A row whose call is under way, or has ended and is not settled yet."""

    row: Claimed
    lease: str
    began: float
    task: asyncio.Task[Completion] | None = None
    settlement: Settlement | None = None
    ended: Completion | BaseException | None = None


class Worker:
    """Delivers the rows of a database through a client, once it is run. Made by `Outbox`."""

    def __init__(  # noqa: PLR0913 - keyword-only, and each is one thing
        self,
        database: Database,
        client: GolemClient,
        *,
        cipher: Cipher,
        rules: Rules,
        lease: float,
        concurrency: int,
        on_settled: OnSettled,
        siblings: set[Worker],
        pace: Pace,
        is_patient: bool,
    ) -> None:
        self._database = database
        self._cipher = cipher
        self._rules = rules
        self._lease = lease
        self._margin = min(_MARGIN_SECONDS, lease / 2)
        self._client = _bounded(client, lease - self._margin)
        self._concurrency = concurrency
        self._on_settled = on_settled
        self._siblings = siblings
        self._pace = pace
        self._is_patient = is_patient
        self._calls: dict[int, _Call] = {}
        self._ended: list[_Call] = []
        self._news = asyncio.Event()
        self._is_stopping = False
        self._over = asyncio.Event()
        self._said = ""

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

    async def check(self) -> None:
        """Raise an OutboxError for what waiting will not mend: missing tables, a newer version."""
        try:
            await self._database.check()
        except OutboxError as error:
            if not error.worth_retrying:
                raise

    async def run(self) -> None:
        """Deliver until `stop`, or until this is cancelled."""
        self._siblings.add(self)
        try:
            await self._wait_for_database()
            listening = asyncio.create_task(self._database.listen(self.wake))
            try:
                await self._turn_until_stopped()
            finally:
                listening.cancel()
                await asyncio.wait([listening], timeout=_LAST_WORDS_SECONDS)
        finally:
            try:
                await self._end_calls()
            finally:
                self._siblings.discard(self)
                self._over.set()

    async def _wait_for_database(self) -> None:
        while not self._is_stopping:
            try:
                await self._database.check()
            except OutboxError as error:
                if not error.worth_retrying:
                    raise
                await self._wait_out(error)
            else:
                return

    async def _turn_until_stopped(self) -> None:
        may_be_more = True
        while not self._is_stopping or self._calls:
            await (self._gather() if may_be_more else self._wait_for_news())
            self._news.clear()
            try:
                may_be_more = await self._turn()
            except OutboxError as error:
                may_be_more = True
                await self._wait_out(error)

    async def _wait_for_news(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.seconds_left(time.monotonic(), _POLL_SECONDS)):
                await self._news.wait()
        if len(self._ended) < len(self._calls):
            await asyncio.sleep(_GATHERING_SECONDS)  # others end meanwhile, and share a commit

    async def _gather(self) -> None:
        """Let half of the calls end, where rows are waiting: a transaction for many is cheap."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_GATHERING_SECONDS):
                while len(self._ended) < min(len(self._calls), self._concurrency // 2):
                    self._news.clear()
                    await self._news.wait()

    async def _wait_out(self, error: OutboxError) -> None:
        """Wait a little while the database is away, and say so once."""
        if not self._is_patient:
            raise error
        if self._said != error.message:
            self._said = error.message
            logger.warning("the outbox waits: %s", error.message)
        await asyncio.sleep(_AWAY_SECONDS)

    async def _turn(self) -> bool:
        """Settle what has ended, claim what there is room for; whether there may be more rows."""
        ended = self._take_ended()
        room = self._room_after(ended)
        lease = uuid.uuid4().hex
        asked_at = time.monotonic()

        async def work(connection: AsyncConnection) -> list[Claimed]:
            if ended:
                await connection.execute(SETTLING, [_values(call) for call in ended])
            return await self._claim(connection, room, lease) if room else []

        if not ended and not room:
            return False
        transaction = asyncio.create_task(self._database.run(work))
        try:
            await asyncio.wait([transaction])
        except asyncio.CancelledError:
            self._is_stopping = True  # what this claims is handed back
            await asyncio.wait([transaction], timeout=_LAST_WORDS_SECONDS)
            transaction.cancel()
            raise
        finally:
            problem = self._take_in(transaction, ended, lease, asked_at)
        if problem is not None:
            raise problem
        return room == len(transaction.result()) or bool(self._ended)

    def _take_in(
        self,
        transaction: asyncio.Task[list[Claimed]],
        ended: Sequence[_Call],
        lease: str,
        asked_at: float,
    ) -> BaseException | None:
        """Begin what was claimed and forget what was settled; return why it was neither."""
        is_unknown = not transaction.done() or transaction.cancelled()
        problem = None if is_unknown else transaction.exception()
        if is_unknown or problem is not None:
            self._ended[:0] = ended
            return problem
        self._said = ""
        for call in ended:
            del self._calls[call.row.id]
        self._tell(ended)
        for row in transaction.result():
            # Not where its lease ran out before its call of this worker was settled.
            if row.id not in self._calls:
                self._begin(row, lease, asked_at)
        return None

    def _take_ended(self) -> list[_Call]:
        """Return what has ended, in the order of slots: the order in which all lock rows."""
        ended, self._ended = self._ended, []
        return sorted(ended, key=lambda call: call.row.slot)

    def _room_after(self, ended: Sequence[_Call]) -> int:
        if self._is_stopping:
            return 0
        under_way = len(self._calls) - len(ended)
        return self._pace.room(self._concurrency - under_way, under_way, time.monotonic())

    async def _claim(self, connection: AsyncConnection, room: int, lease: str) -> list[Claimed]:
        rows: list[Claimed] = []
        for state in ("pending", "completed"):  # new rows go before those of a second sending
            if len(rows) < room:
                statement = claiming(
                    self._database.dialect, state, room - len(rows), lease, self._lease
                )
                found = (await connection.execute(statement)).mappings()
                rows += sorted((_claimed(row) for row in found), key=lambda row: row.id)
        return rows

    def _begin(self, row: Claimed, lease: str, asked_at: float) -> None:
        now = time.monotonic()
        call = _Call(row, lease, now)
        self._calls[row.id] = call
        if self._is_stopping or now - asked_at > self._margin / 2:
            self._end(call, handed_back(row))  # the lease would not outlast the call
            return
        try:
            payload = self._cipher.decrypt(row.payload, is_encrypted=row.is_encrypted)
        except OutboxError as error:
            self._end(call, self._without_key(row, error))
            return
        self._pace.note_begin(now)
        call.task = asyncio.create_task(self._send(row, payload))
        call.task.add_done_callback(lambda task: self._note_end(call, task))

    async def _send(self, row: Claimed, payload: bytes) -> Completion:
        with linked_to(row.trace):
            return await self._client.complete_bytes(row.promise_id, payload)

    def _without_key(self, row: Claimed, error: OutboxError) -> Settlement:
        logger.error("not sent: %s", error.message, extra=_extra(row, 0))
        text = f"OutboxError: {error.message}"
        return attrs.evolve(handed_back(row), error=text, due_in=_NO_KEY_DELAY)

    def _note_end(self, call: _Call, task: asyncio.Task[Completion]) -> None:
        ended: Completion | BaseException
        is_cut = task.cancelled()
        ended = asyncio.CancelledError() if is_cut else task.exception() or task.result()
        call.ended = ended
        self._note_pace(call, ended)
        chance = random.random()  # noqa: S311 - jitter
        self._end(call, settlement(call.row, ended, self._rules, chance=chance))
        self._log(call, ended)

    def _note_pace(self, call: _Call, ended: Completion | BaseException) -> None:
        now = time.monotonic()
        if isinstance(ended, asyncio.CancelledError):
            return
        if not isinstance(ended, Completion) and _is_of_no_row(ended):
            self._pace.note_failure(ended, call.began, now)
        else:
            self._pace.note_answer(now)

    def _log(self, call: _Call, ended: Completion | BaseException) -> None:
        settled = call.settlement
        if settled is None or isinstance(ended, Completion | asyncio.CancelledError):
            return
        extra = _extra(call.row, settled.attempts)
        if settled.state is State.DEAD:
            logger.error("dead: %s", settled.error, extra=extra)
        elif isinstance(ended, AuthenticationError) or not isinstance(ended, GolemError):
            logger.error("not delivered, and tried again: %s", settled.error, extra=extra)
        else:
            logger.info("not delivered, and tried again: %s", settled.error, extra=extra)

    def _end(self, call: _Call, settled: Settlement) -> None:
        call.settlement = settled
        self._ended.append(call)
        self._news.set()

    def _tell(self, ended: Sequence[_Call]) -> None:
        settled = [
            Settled(call.row, call.ended, call.settlement) for call in ended if call.settlement
        ]
        if settled:
            self._on_settled(settled)

    async def _end_calls(self) -> None:
        """End the calls under way, and write down what is known of them."""
        tasks = [call.task for call in self._calls.values() if call.task and not call.task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._is_stopping = True
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                while self._calls:
                    await asyncio.sleep(0)  # the callbacks of the tasks run
                    await self._turn()
        except (OutboxError, TimeoutError):
            logger.warning("%d rows are left to their leases", len(self._calls))


@contextmanager
def stopping_on_sigterm(worker: Worker) -> Iterator[None]:
    """Let a SIGTERM stop the worker, where the main thread runs it and nobody else handles it."""
    loop = asyncio.get_running_loop()
    is_ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if is_ours:
        try:
            loop.add_signal_handler(signal.SIGTERM, worker.stop)
        except NotImplementedError:  # Windows
            is_ours = False
    try:
        yield
    finally:
        if is_ours:
            loop.remove_signal_handler(signal.SIGTERM)


def _bounded(client: GolemClient, seconds: float) -> GolemClient:
    """Return the client with a timeout that ends before the lease does."""
    return client.with_options(timeout=min(client.timeout, seconds))


def _is_of_no_row(error: BaseException) -> bool:
    """Whether what met this row would meet every other one, too."""
    if isinstance(error, AuthenticationError | RateLimitedError | ServerError | DeliveryError):
        return True
    return not isinstance(error, GolemError)  # from the token's callable


def _claimed(row: Any) -> Claimed:
    return Claimed(
        id=row["id"],
        slot=row["slot"],
        promise_id=row["promise_id"],
        state=State(row["state"]),
        payload=row["payload"],
        is_encrypted=row["is_encrypted"],
        may_have_stored=row["may_have_stored"],
        failures=row["failures"],
        age=timedelta(microseconds=row["age"]),
        trace=row["trace"],
    )


def _values(call: _Call) -> dict[str, Any]:
    assert call.settlement is not None  # noqa: S101 - only what has ended is settled
    return values_of_settlement(call.row, call.lease, call.settlement)


def _extra(row: Claimed, attempts: int) -> dict[str, Any]:
    return {"golem_promise": row.promise_id, "golem_attempt": attempts}
