"""One run of `golem-promise bulk`: lines in, records and a table out."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from contextlib import ExitStack, aclosing, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from golem_client import (
    AuthenticationError,
    Completion,
    GolemClient,
    GolemError,
    Outcome,
    PayloadError,
    PermissionDeniedError,
    RateLimitedError,
)
from golem_client.bulk import BulkStoppedError, Item, complete_many
from golem_client.cli.bulk_file import BadLine, Line, count_lines, read_lines
from golem_client.cli.bulk_index import BAD_LINE, FAILED, Index
from golem_client.cli.bulk_plan import Plan
from golem_client.cli.bulk_progress import progress_for
from golem_client.cli.bulk_report import Tally
from golem_client.cli.bulk_results import ResultsError, ResultsFile, load_only
from golem_client.cli.bulk_under_way import UnderWay
from golem_client.cli.exit_codes import ExitCode, code_of_error
from golem_client.cli.screen import say, warn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from golem_client.bulk import BulkRun

_MOST_SHOWN = 20
"""Of the lines that failed, so many are shown where a results file has them all."""


@contextmanager
def job_over(
    file: Path, results: Path | None, *, retry_failed: bool, changes: bool
) -> Iterator[Job]:
    """Read what is recorded, and yield the job that is left.

    Args:
        file: The lines.
        results: The results file, where there is to be one.
        retry_failed: Whether what is recorded as failed is to be sent again.
        changes: Whether the job will change anything; False for a rehearsal.

    Raises:
        ResultsError: The results file is another process's at the moment, or no results file.
        OSError: A file cannot be read or written.
    """
    with ExitStack() as stack:
        index = stack.enter_context(Index())
        records: ResultsFile | None = None
        under_way: UnderWay | None = None
        if results is not None:
            if changes:
                records = stack.enter_context(ResultsFile(results))
                records.load_into(index)
            else:
                load_only(results, index)
            beside = results.with_name(f"{results.name}.under-way")
            under_way = stack.enter_context(closing(UnderWay(beside, read_only=not changes)))
        tally = Tally(total=count_lines(file), recorded=index.size)
        if tally.recorded:
            warn(f"going on: {results} has {tally.recorded:,} promises already")
        yield Job(file, records, index, under_way, tally, retry_failed=retry_failed)


class Job:
    """The lines of one file that are to be completed, and what becomes of them."""

    def __init__(
        self,
        file: Path,
        results: ResultsFile | None,
        index: Index,
        under_way: UnderWay | None,
        tally: Tally,
        *,
        retry_failed: bool,
    ) -> None:
        self._file = file
        self._results = results
        self._index = index
        self._under_way = under_way
        self._tally = tally
        self._plan = Plan(index, tally, self._note_bad_line, under_way, retry_failed)
        self._progress = progress_for(tally)
        self._shown = 0

    def rehearse(self) -> ExitCode:
        """Check every line, and send nothing."""
        for line in read_lines(self._file):
            self._plan.line_to_send(line)
        say(self._tally.table())
        bad = self._tally.now[BAD_LINE]
        say()
        say(f"Dry run: {self._plan.to_send:,} lines would be sent, {bad:,} are bad.")
        return ExitCode.FAILED if bad else ExitCode.FULFILLED

    def run(self, client: GolemClient, concurrency: int) -> ExitCode:
        """Send what is to be sent, and say what became of every line."""
        code, advice = self._run(client, concurrency)
        say(self._tally.table())
        if advice:
            warn(advice)
        return code

    def _run(self, client: GolemClient, concurrency: int) -> tuple[ExitCode, str]:
        """Send what is to be sent; return the exit code, and what is to be said about it."""
        self._progress.start()
        try:
            asyncio.run(self._complete_all(client, concurrency))
        except BulkStoppedError as stopped:
            mend = f"stopped: {stopped.reason} Once that is mended, run the same command again."
            return code_of_error(stopped.reason), mend
        except (ResultsError, OSError, sqlite3.Error) as error:
            return ExitCode.FAILED, f"stopped: {error}"
        except (KeyboardInterrupt, asyncio.CancelledError):
            return ExitCode.INTERRUPTED, self._after_interruption()
        finally:
            self._progress.stop()
        if self._tally.is_complete:
            return ExitCode.FULFILLED, ""
        return ExitCode.FAILED, self._after_failures()

    def _after_interruption(self) -> str:
        if self._results is not None:
            return f"interrupted: {self._results.path} has what ended; the same command goes on"
        return (
            "interrupted: without --results, the same command begins anew; that is harmless, as "
            "what is completed stays as it is"
        )

    def _after_failures(self) -> str:
        failed = self._tally.now[FAILED] + self._tally.before[FAILED]
        if not failed or self._results is None:
            return ""
        return f"to send what failed again, run the same command with --retry-failed ({failed:,})"

    async def _complete_all(self, client: GolemClient, concurrency: int) -> None:
        _cancel_on_sigterm()
        async with (
            client,
            aclosing(self._items()) as items,
            aclosing(complete_many(client, items, concurrency=concurrency)) as run,
        ):
            refreshing = asyncio.create_task(self._keep_fresh(run))
            try:
                async for item, ended in run:
                    self._note(item.tag, ended)
            finally:
                refreshing.cancel()
                for item in run.unsent:
                    self._end(item.tag)

    async def _items(self) -> AsyncGenerator[Item, None]:
        with closing(read_lines(self._file)) as lines:
            for number, parsed in enumerate(lines):
                line = self._plan.line_to_send(parsed)
                if line is not None:
                    if self._under_way is not None:
                        self._under_way.begin(str(line.promise_id), line.fingerprint)
                    yield Item.of_bytes(line.promise_id, line.payload, tag=line)
                elif not number % 100:
                    await asyncio.sleep(0)  # all that comes now may be recorded already

    async def _keep_fresh(self, run: BulkRun) -> None:
        while True:
            await asyncio.sleep(self._progress.interval)
            self._progress.refresh(run.pause)

    def _note(self, line: Line, ended: Completion | GolemError) -> None:
        """Record what became of a line, and count it."""
        if isinstance(ended, Completion):
            self._note_completion(line, ended)
        elif isinstance(ended, PayloadError):
            self._tally.now[BAD_LINE] += 1
            self._note_bad_line(BadLine(line.number, ended.message, line.digest))
        elif not _stops_the_run(ended):
            self._note_failure(line, ended)
        elif ended.may_have_completed:
            return
        self._end(line)

    def _end(self, line: Line) -> None:
        if self._under_way is not None:
            self._under_way.end(str(line.promise_id))

    def _note_completion(self, line: Line, done: Completion) -> None:
        outcome = done.outcome
        if outcome is Outcome.ALREADY_FULFILLED and line.may_be_ours:
            outcome = Outcome.FULFILLED_BY_UNKNOWN
        self._record(line, {"outcome": outcome.value, "attempts": done.attempts})
        self._tally.now[outcome.value] += 1

    def _note_failure(self, line: Line, error: GolemError) -> None:
        facts = {
            "outcome": FAILED,
            "error": type(error).__name__,
            "attempts": error.attempts,
            "may_have_completed": error.may_have_completed or line.may_be_ours,
            "worth_retrying": error.worth_retrying,
            "message": error.message,
        }
        self._record(line, facts)
        self._tally.now[FAILED] += 1
        self._tally.errors[type(error).__name__] += 1
        self._show(f"line {line.number}: {type(error).__name__}: {error.message}")

    def _record(self, line: Line, facts: dict[str, Any]) -> None:
        if self._results is not None:
            what = {"id": str(line.promise_id), "fingerprint": line.fingerprint}
            self._results.add({"line": line.number, **what, **facts})

    def _note_bad_line(self, line: BadLine) -> None:
        """Record a bad line, unless an earlier run has, and show it."""
        if self._index.add_bad_line(line.digest) and self._results is not None:
            what = {"id": None, "fingerprint": line.digest, "outcome": BAD_LINE}
            self._results.add({"line": line.number, **what, "message": line.problem})
        self._show(f"line {line.number}: {line.problem}")

    def _show(self, message: str) -> None:
        self._shown += 1
        if self._results is None or self._shown <= _MOST_SHOWN:
            self._progress.say(message)
        elif self._shown == _MOST_SHOWN + 1:
            self._progress.say(f"more lines failed: {self._results.path} has all of them")


def _stops_the_run(error: GolemError) -> bool:
    """Tell whether the line is to be as if it had not been sent, for the next run to send it."""
    if isinstance(error, AuthenticationError):
        return not error.worth_retrying
    return isinstance(error, PermissionDeniedError | RateLimitedError)


def _cancel_on_sigterm() -> None:
    """Let a polite kill end the run as Ctrl-C does, so that a terminal is left in order."""
    task = asyncio.current_task()
    if task is not None:
        # Windows has no such handlers, and only the main thread may set one.
        with suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
