"""One run of `golem-promise bulk`: lines in, records and a table out."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from golem_client import GolemClient, GolemError, OutboxError
from golem_client.cli.bulk.journal import journal
from golem_client.cli.bulk.lines import BadLine, Line, Lines, count_lines, lines_of, read_lines
from golem_client.cli.bulk.pace import BulkPace, BulkRules
from golem_client.cli.bulk.plan import Index, Known, Plan
from golem_client.cli.bulk.progress import progress_for
from golem_client.cli.bulk.results import ResultsError, ResultsFile, load_only
from golem_client.cli.bulk.tally import BAD_LINE, FAILED, Tally
from golem_client.cli.exit_codes import ExitCode, code_of_error
from golem_client.cli.options import in_options
from golem_client.cli.screen import say, warn
from golem_client.outbox import Outbox
from golem_client.outbox.settling import error_text
from golem_client.outbox.worker import Settled, Worker
from golem_client.outcome import combined

_MOST_SHOWN = 20
"""Of the lines that failed, so many are shown where a results file has them all."""

_MOST_AHEAD = 2000
"""So many lines are read and accepted before their turn comes."""

_RETRY_DELAY = timedelta(seconds=0.25)
"""After which a line that an outage held up has its next turn: the client's gate does the rest."""

_BEGINS_ANEW = (
    "without --results, the same command begins anew; that is harmless, as what is completed stays "
    "as it is"
)


@contextmanager
def job_over(
    file: Path | None, results: Path | None, *, retry_failed: bool, changes: bool
) -> Iterator[Job]:
    """Read what is recorded, and yield the job that is left.

    Args:
        file: The lines; None for the standard input.
        results: The results file, where there is to be one.
        retry_failed: Whether what is recorded as failed is to be sent again.
        changes: Whether the job will change anything; False for a rehearsal.

    Raises:
        ResultsError: The results file is another process's at the moment, or no results file.
        OSError: A file cannot be read or written.
    """
    with ExitStack() as stack:
        index = stack.enter_context(closing(Index()))
        records: ResultsFile | None = None
        if results is not None and changes:
            records = stack.enter_context(ResultsFile(results))
            records.load_into(index)
        elif results is not None:
            load_only(results, index)
        tally = Tally(total=None if file is None else count_lines(file), recorded=index.size)
        if tally.recorded:
            warn(f"going on: {results} has {tally.recorded:,} promises already")
        # Of the standard input a descriptor of its own: a thread may read it to the very end.
        source = os.dup(sys.stdin.fileno()) if file is None else os.open(file, os.O_RDONLY)
        if file is not None:
            stack.callback(os.close, source)
        yield Job(source, records, index, tally, retry_failed=retry_failed)


class Job:
    """The lines of one file that are to be completed, and what becomes of them."""

    def __init__(
        self,
        file: int,
        results: ResultsFile | None,
        index: Index,
        tally: Tally,
        *,
        retry_failed: bool,
    ) -> None:
        self._file = file
        self._results = results
        self._index = index
        self._tally = tally
        self._plan = Plan(index, tally, self._note_bad_line, self._note_found, retry_failed)
        self._progress = progress_for(tally)
        self._shown = 0
        self._records: list[dict[str, Any]] = []
        self._open = 0
        self._moved = asyncio.Event()
        self._stopped_by: GolemError | None = None

    def rehearse(self) -> ExitCode:
        """Check every line, and send nothing."""
        for lines in read_lines(self._file):
            for line in lines:
                self._plan.line_to_send(line)
        say(self._tally.table())
        bad = self._tally.now[BAD_LINE]
        say()
        say(f"Dry run: {self._plan.to_send:,} lines would be sent, {bad:,} are bad.")
        return ExitCode.FAILED if bad else ExitCode.FULFILLED

    def run(self, client: GolemClient, server: str, concurrency: int) -> ExitCode:
        """Send what is to be sent, and say what became of every line."""
        self._progress.start()
        try:
            asyncio.run(self._complete_all(client, server, concurrency))
            code, advice = self._conclusion()
        except ResultsError as error:
            code, advice = error.code, f"stopped: {error}"
        except (OutboxError, OSError, sqlite3.Error) as error:
            code, advice = ExitCode.FAILED, f"stopped: {error}"
        except (KeyboardInterrupt, asyncio.CancelledError):
            code, advice = ExitCode.INTERRUPTED, f"interrupted: {_BEGINS_ANEW}"
            if self._results is not None:
                has = f"{self._results.path} has the results so far"
                advice = f"interrupted: {has}; the same command goes on"
        finally:
            self._progress.stop()
        if code is not ExitCode.USAGE:
            say(self._tally.table())
        if advice:
            warn(advice)
        return code

    def _conclusion(self) -> tuple[ExitCode, str]:
        """Return the exit code of a run that came to its end, and what to do."""
        if self._stopped_by is not None:
            mend = f"stopped: {self._stopped_by} Once that is mended, run the same command again."
            return code_of_error(self._stopped_by), in_options(mend)
        failed = self._tally.now[FAILED] + self._tally.before[FAILED]
        again = f"to send what failed again, run the same command with --retry-failed ({failed:,})"
        code = ExitCode.FULFILLED if self._tally.is_complete else ExitCode.FAILED
        return code, again if failed and self._results is not None else ""

    async def _complete_all(self, client: GolemClient, server: str, concurrency: int) -> None:
        _cancel_on_sigterm()
        async with AsyncExitStack() as stack:
            if self._results is None:
                path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "journal"
            else:
                path = self._results.path.with_name(f"{self._results.path.name}.journal")
            await stack.enter_async_context(client)
            outbox = await stack.enter_async_context(journal(path, server, self._index))
            pace = BulkPace(client)

            def note_all(settled: Sequence[Settled]) -> None:
                self._note_all(settled)
                if pace.reason is not None:
                    worker.stop()

            worker = outbox.worker(
                client,
                concurrency=concurrency,
                on_settled=note_all,
                rules=BulkRules(
                    give_up_after=timedelta(0),
                    nudge_after=None,
                    longest_delay=_RETRY_DELAY,
                    pace=pace,
                ),
                pace=pace,
                is_patient=False,
            )
            await self._deliver(outbox, worker, pace)
            self._stopped_by = pace.reason
            counts = await outbox.counts()
        is_needed = counts.pending or counts.dead or not self._tally.is_complete
        if not is_needed and self._results is not None:
            path.unlink(missing_ok=True)

    async def _deliver(self, outbox: Outbox, worker: Worker, pace: BulkPace) -> None:
        """Accept line after line, and deliver them meanwhile."""
        refreshing = asyncio.create_task(self._keep_fresh(pace))
        accepting = asyncio.create_task(self._accept_all(outbox))
        delivering = asyncio.create_task(worker.run())
        tasks = (accepting, delivering)
        try:
            # The worker ends first where something ends the run: a pipe may be silent for long.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if accepting.done() and accepting.exception() is None:
                worker.stop()
                await asyncio.wait([delivering])
        finally:
            refreshing.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _accept_all(self, outbox: Outbox) -> None:
        """Accept all lines, and wait until each has its end."""
        async for lines in lines_of(self._file):
            await self._accept(outbox, lines)
            await self._until_open(_MOST_AHEAD)
        await self._until_open(0)

    async def _until_open(self, most: int) -> None:
        while self._open > most:
            self._moved.clear()
            await self._moved.wait()

    async def _accept(self, outbox: Outbox, lines: Lines) -> None:
        """Hand the lines that are to be sent to the outbox, with one commit for all of them."""
        if any(isinstance(line, BadLine) and line.is_file for line in lines):
            self._tally.total = 1  # nothing more is read
        to_send = [line for line in map(self._plan.line_to_send, lines) if line is not None]
        self._write()
        self._open += len(to_send)
        await outbox.accept_all([(line.promise_id, line.payload) for line in to_send])

    async def _keep_fresh(self, pace: BulkPace) -> None:
        while True:
            await asyncio.sleep(self._progress.interval)
            self._progress.refresh(pace.why_held(time.monotonic()))

    def _note_all(self, settled: Sequence[Settled]) -> None:
        """Record what became of some lines, and count it."""
        for one in settled:
            self._note(one)
        self._write()
        self._moved.set()

    def _note(self, one: Settled) -> None:
        after = one.settlement
        if not after.is_end:
            return
        self._open -= 1
        known = self._index.find(one.row.promise_id) or Known()
        if after.outcome is not None:
            outcome = combined(after.outcome, may_have_stored=known.may_be_ours).value
            facts: dict[str, Any] = {"outcome": outcome, "attempts": after.attempts}
        else:
            outcome, error = FAILED, one.ended
            name = type(error).__name__
            message = error.message if isinstance(error, GolemError) else error_text(error)
            facts = {
                "outcome": outcome,
                "error": name,
                "attempts": after.attempts,
                "may_have_completed": after.may_have_stored or known.may_be_ours,
                "worth_retrying": isinstance(error, GolemError) and error.worth_retrying,
                "message": message,
            }
            self._tally.errors[name] += 1
            self._show(f"line {known.line}: {name}: {message}")
        self._records.append({"line": known.line, "id": one.row.promise_id, **facts})
        self._tally.now[outcome] += 1

    def _note_found(self, line: Line, known: Known) -> None:
        """Record a line that an earlier run completed, and died before it was recorded."""
        what = {"id": line.promise_id, "outcome": known.outcome, "attempts": known.attempts}
        self._records.append({"line": line.number, **what})

    def _note_bad_line(self, line: BadLine) -> None:
        """Record a bad line, unless an earlier run has, and show it."""
        what = {"id": None, "outcome": BAD_LINE, "message": line.problem}
        record = {"line": line.number, **what}
        if self._index.load(record):
            self._records.append(record)
        self._show(f"line {line.number}: {line.problem}")

    def _write(self) -> None:
        records, self._records = self._records, []
        if self._results is not None and records:
            self._results.add(records)

    def _show(self, message: str) -> None:
        self._shown += 1
        if self._results is None or self._shown <= _MOST_SHOWN:
            self._progress.say(message)
        elif self._shown == _MOST_SHOWN + 1:
            self._progress.say(f"more lines failed: {self._results.path} has all of them")


def _cancel_on_sigterm() -> None:
    """Let a polite kill end the run as Ctrl-C does, so that a terminal is left in order."""
    task = asyncio.current_task()
    if task is not None:
        # Windows has no such handlers, and only the main thread may set one.
        with suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
