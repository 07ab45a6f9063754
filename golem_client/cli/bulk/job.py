"""One run of `golem-promise bulk`: lines in, records and a table out."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from sqlalchemy.exc import SQLAlchemyError

from golem_client import GolemClient, GolemError, OutboxError
from golem_client.cli.bulk.lines import BadLine, Line, Lines, count_lines, lines_of, read_lines
from golem_client.cli.bulk.pace import BulkPace, BulkRules
from golem_client.cli.bulk.report import REPEATED, Report
from golem_client.cli.bulk.results import BAD_LINE, FAILED, Results, bad_line, journal
from golem_client.cli.exit_codes import ExitCode, code_of_error
from golem_client.cli.options import DOCTOR, in_options
from golem_client.cli.screen import say, show_status, warn
from golem_client.outbox import Outbox
from golem_client.outbox.worker import Settled, Worker
from golem_client.outcome import combined

_MOST_AHEAD = 2000
"""So many lines are accepted before their turn comes."""


class Job:
    """The lines of one file that are to be completed, and what becomes of them.

    A promise that is recorded is not sent again, whatever its line says now. A line that names the
    promise of another with another payload is a bad line: which of the two is stored must not be
    left to chance. So is one of which an earlier run may have sent another payload.
    """

    def __init__(
        self, file: Path | None, results: Results, report: Report, *, retry_failed: bool
    ) -> None:
        self._file = file
        self._results = results
        self._report = report
        self._retry_failed = retry_failed
        self._open = 0
        self._moved = asyncio.Event()
        self._is_over, self._left_behind = False, 0
        self._runner = asyncio.Runner()
        report.total = count_lines(file)
        if results.size:
            warn(f"going on: {results.path} has {results.size:,} records already")

    def rehearse(self) -> ExitCode:
        """Check every line, and send nothing."""
        to_send = sum(len(self._to_send(lines)) for lines in read_lines(self._file))
        bad = self._report.all[BAD_LINE]
        say(self._report.table())
        say()
        say(f"Dry run: lines to send: {to_send:,}, bad lines: {bad:,}.")
        return ExitCode.FAILED if bad else ExitCode.FULFILLED

    def run(self, client: GolemClient, server: str, concurrency: int) -> ExitCode:
        """Send what is to be sent, and say what became of every line."""
        with suppress(ValueError):  # not in the main thread
            # A polite kill ends the run as Ctrl-C does, so that a terminal is left in order.
            signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        path, trouble = self._results.journal, self._report.trouble
        is_new, code = not path.exists(), ExitCode.FAILED
        try:
            reason = self._runner.run(self._complete_all(client, server, concurrency))
            code, advice = self._conclusion(reason)
        except (OutboxError, OSError, SQLAlchemyError) as error:
            advice = f"stopped: {error}"
        except KeyboardInterrupt:
            code, advice = ExitCode.INTERRUPTED, "interrupted: the same command begins anew"
            if self._report.results is not None:
                advice = f"interrupted: the same command goes on; see {self._report.results}"
        finally:
            if code is not ExitCode.INTERRUPTED:  # then it would wait for the threads of its loop
                self._runner.close()
        # Where nothing was sent, the journal would only keep the run from another server.
        if self._is_over or (is_new and not trouble.has_sent):
            path.unlink(missing_ok=True)
        show_status("")
        say(self._report.table())
        if advice:
            warn(advice)
        return code

    def _conclusion(self, reason: GolemError | None) -> tuple[ExitCode, str]:
        """Return the exit code of a run that came to its end, and what to do."""
        if reason is not None:
            code = code_of_error(reason)
            doctor = f" ({DOCTOR})" if code is ExitCode.NOT_DELIVERED else ""
            mend = f"Once that is mended, run the same command again{doctor}."
            return code, in_options(f"stopped: {reason} {mend}")
        code = ExitCode.FULFILLED if self._report.is_complete else ExitCode.FAILED
        if self._left_behind:
            gone = f"{self._left_behind:,} promises of an earlier run have no line any more"
            return code, f"{gone}, and this run left them alone: {self._results.journal} has them"
        if self._report.results is None or not self._report.to_retry:
            return code, ""
        failed = f"{self._report.to_retry:,} of those that failed can still succeed"
        return code, f"{failed}: run the same command with --retry-failed"

    # Delivering

    async def _complete_all(
        self, client: GolemClient, server: str, concurrency: int
    ) -> GolemError | None:
        """Complete what is to be completed; return why the run ended early, where it did."""
        pace = BulkPace(client)

        def note_all(settled: Sequence[Settled]) -> None:
            self._note_all(settled)
            if pace.reason is not None:
                worker.stop()

        async with client, journal(self._results, server) as outbox:
            worker = outbox._worker(  # noqa: SLF001 - it is made for this command
                client,
                concurrency=concurrency,
                on_settled=note_all,
                rules=BulkRules(pace=pace),
                pace=pace,
                is_patient=False,
            )
            await self._deliver(outbox, worker)
            counts = await outbox.counts()
        if self._report.is_complete:
            self._left_behind = counts.dead
            self._is_over = not counts.pending and not counts.dead
        return pace.reason

    async def _deliver(self, outbox: Outbox, worker: Worker) -> None:
        """Accept line after line, and deliver them meanwhile."""
        showing = asyncio.create_task(self._report.show_progress())
        accepting = asyncio.create_task(self._accept_all(outbox))
        accepting.add_done_callback(lambda _: worker.stop())
        try:
            # It also ends by itself, where something stops the run: a pipe may be silent for long.
            await worker.run()
        finally:
            for task in (showing, accepting):
                task.cancel()
            await asyncio.wait([showing, accepting])
        if not accepting.cancelled():
            accepting.result()

    async def _accept_all(self, outbox: Outbox) -> None:
        """Accept all lines, and wait until each has its end."""
        async for lines in lines_of(self._file):
            to_send = self._to_send(lines)
            self._open += len(to_send)
            completions = [(line.promise_id, line.payload) for line in to_send]
            await outbox._accept_all(completions)  # noqa: SLF001 - as above
            await self._until_open(_MOST_AHEAD)
        await self._until_open(0)

    async def _until_open(self, most: int) -> None:
        while self._open > most:
            self._moved.clear()
            await self._moved.wait()

    # Deciding and recording

    def _to_send(self, lines: Lines) -> list[Line]:
        """Return the lines that are to be sent; the others have their end by this."""
        to_send = []
        for line in lines:
            if isinstance(line, BadLine):
                self._note_bad_line(line.number, line.problem)
            elif self._is_to_send(line):
                to_send.append(line)
        self._results.flush()
        return to_send

    def _is_to_send(self, line: Line) -> bool:
        report, payload_hash = self._report, hash(line.payload)
        known = self._results[line.promise_id]
        if known.payload_hash not in (None, payload_hash):
            problem = f"is not sent: it names the promise of line {known.line} with another payload"
            if not known.line:
                problem = (
                    "is not sent: an earlier run may have sent another payload for its promise; "
                    "put the old line back, and run the same command again"
                )
            self._note_bad_line(line.number, problem)
            return False
        if known.line:
            report.all[REPEATED] += 1
            return False
        known.payload_hash, known.line = payload_hash, line.number
        self._results[line.promise_id] = known
        if not known.outcome or (known.outcome == FAILED and self._retry_failed):
            return True
        report.all[known.outcome] += 1
        report.before += 1
        report.to_retry += known.outcome == FAILED and known.worth_retrying
        if known.unrecorded_attempts is not None:  # the run that sent it died before
            self._results.add(
                line.number, line.promise_id, known.outcome, attempts=known.unrecorded_attempts
            )
        return False

    def _note_all(self, settled: Sequence[Settled]) -> None:
        """Record what became of some lines, and count it."""
        for one in settled:
            if one.settlement.is_end:
                self._note(one)
                self._open -= 1
        self._results.flush()
        self._moved.set()

    def _note(self, one: Settled) -> None:
        after, promise_id = one.settlement, one.row.promise_id
        known = self._results[promise_id]
        if after.outcome is not None:
            outcome = combined(after.outcome, may_have_stored=known.may_be_ours)
            self._results.add(known.line, promise_id, outcome, attempts=after.attempts)
            self._report.all[outcome] += 1
            return
        # Anything else could only come from a callable for the token.
        error = cast("GolemError", one.ended)
        name = type(error).__name__
        self._results.add(
            known.line,
            promise_id,
            FAILED,
            error=name,
            attempts=after.attempts,
            may_have_completed=after.may_have_stored or known.may_be_ours,
            worth_retrying=error.worth_retrying,
            message=error.message,
        )
        self._report.all[FAILED] += 1
        self._report.errors[name] += 1
        self._report.to_retry += error.worth_retrying
        self._report.show_failure(known.line, f"{name}: {error.message}")

    def _note_bad_line(self, number: int, problem: str) -> None:
        """Record a bad line, unless an earlier run has, and show it."""
        self._report.all[BAD_LINE] += 1
        if not self._results[bad_line(number, problem)].outcome:
            self._results.add(number, None, BAD_LINE, message=problem)
        self._report.show_failure(number, problem)
