"""One run of `golem-promise bulk`: lines in, records and a table out."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from sqlalchemy.exc import SQLAlchemyError

from golem_client import GolemClient, GolemError, OutboxError
from golem_client.cli.bulk.lines import BadLine, Line, Lines, count_lines, lines_of, read_lines
from golem_client.cli.bulk.pace import BulkPace, BulkRules
from golem_client.cli.bulk.results import BAD_LINE, FAILED, Results, journal
from golem_client.cli.bulk.tally import REPEATED, Tally
from golem_client.cli.exit_codes import ExitCode, code_of_error
from golem_client.cli.options import DOCTOR, in_options
from golem_client.cli.screen import say, show_status, warn
from golem_client.outbox import Outbox
from golem_client.outbox.worker import Settled, Worker
from golem_client.outcome import combined

_MOST_SHOWN = 20
"""Of the lines that failed, so many are shown where a results file has them all."""

_MOST_AHEAD = 2000
"""So many lines are accepted before their turn comes."""

_FIRST_QUIET, _LONGEST_QUIET, _TERMINAL_QUIET = 2.0, 60.0, 0.2
"""The seconds between two lines about the progress, at first, at last, and on a terminal."""

_RETRY_DELAY = timedelta(seconds=0.25)
"""After which a line that an outage held up has its next turn: the client's gate does the rest."""


class Job:
    """The lines of one file that are to be completed, and what becomes of them.

    A promise that is recorded is not sent again, whatever its line says now. A line that names the
    promise of another with another payload is a bad line: which of the two is stored must not be
    left to chance. So is one of which an earlier run may have sent another payload.
    """

    def __init__(self, file: Path | None, results: Results, *, retry_failed: bool) -> None:
        self._file = file
        self._results = results
        self._retry_failed = retry_failed
        self._tally = Tally(total=count_lines(file))
        self._shown = 0
        self._is_explained = False
        self._records: list[dict[str, Any]] = []
        self._open = 0
        self._moved = asyncio.Event()
        self._stopped_by: GolemError | None = None
        if size := len(results.promises):
            warn(f"going on: {results.path} has {size:,} promises already")

    def rehearse(self) -> ExitCode:
        """Check every line, and send nothing."""
        to_send = sum(len(self._to_send(lines)) for lines in read_lines(self._file))
        say(self._tally.table())
        bad = self._tally.all[BAD_LINE]
        say()
        say(f"Dry run: {to_send:,} lines would be sent, {bad:,} are bad.")
        return ExitCode.FAILED if bad else ExitCode.FULFILLED

    def run(self, client: GolemClient, server: str, concurrency: int) -> ExitCode:
        """Send what is to be sent, and say what became of every line."""
        with suppress(ValueError):  # not in the main thread
            # A polite kill ends the run as Ctrl-C does, so that a terminal is left in order.
            signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        try:
            asyncio.run(self._complete_all(client, server, concurrency))
            code, advice = self._conclusion()
        except (OutboxError, OSError, SQLAlchemyError) as error:
            code, advice = ExitCode.FAILED, f"stopped: {error}"
        except KeyboardInterrupt:
            code, advice = ExitCode.INTERRUPTED, "interrupted: the same command begins anew"
            if self._results.path is not None:
                advice = f"interrupted: the same command goes on; see {self._results.path}"
        show_status("")
        say(self._tally.table())
        if advice:
            warn(advice)
        return code

    def _conclusion(self) -> tuple[ExitCode, str]:
        """Return the exit code of a run that came to its end, and what to do."""
        if self._stopped_by is not None:
            code, doctor = code_of_error(self._stopped_by), ""
            if code is ExitCode.NOT_DELIVERED:
                doctor = f" ({DOCTOR})"
            mend = f"Once that is mended, run the same command again{doctor}."
            return code, in_options(f"stopped: {self._stopped_by} {mend}")
        code = ExitCode.FULFILLED if self._tally.is_complete else ExitCode.FAILED
        if self._results.path is None or not self._tally.to_retry:
            return code, ""
        failed = f"{self._tally.to_retry:,} of those that failed can still succeed"
        return code, f"{failed}: run the same command with --retry-failed"

    # Delivering

    async def _complete_all(self, client: GolemClient, server: str, concurrency: int) -> None:
        async with AsyncExitStack() as stack:
            results = self._results.path
            if results is None:
                path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "journal"
            else:
                path = results.with_name(f"{results.name}.journal")
            await stack.enter_async_context(client)
            outbox = await stack.enter_async_context(journal(path, server, self._results))
            pace = BulkPace(client)
            rules = BulkRules(
                give_up_after=timedelta(0),
                nudge_after=None,
                longest_delay=_RETRY_DELAY,
                pace=pace,
            )

            def note_all(settled: Sequence[Settled]) -> None:
                self._note_all(settled)
                if pace.reason is not None:
                    worker.stop()
                elif pace.spared is not None:
                    self._explain_the_wait(pace.spared)

            worker = outbox._worker(  # noqa: SLF001 - it is made for this command
                client,
                concurrency=concurrency,
                on_settled=note_all,
                rules=rules,
                pace=pace,
                is_patient=False,
            )
            await self._deliver(outbox, worker, pace)
            self._stopped_by = pace.reason
            counts = await outbox.counts()
        if self._tally.is_complete and not counts.pending and not counts.dead:
            path.unlink(missing_ok=True)

    async def _deliver(self, outbox: Outbox, worker: Worker, pace: BulkPace) -> None:
        """Accept line after line, and deliver them meanwhile."""
        showing = asyncio.create_task(self._show_progress(pace))
        accepting = asyncio.create_task(self._accept_all(outbox))
        delivering = asyncio.create_task(worker.run())
        accepting.add_done_callback(lambda _: worker.stop())
        try:
            # It also ends by itself, where something stops the run: a pipe may be silent for long.
            await delivering
        finally:
            tasks = (showing, accepting, delivering)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if not accepting.cancelled():
            accepting.result()

    async def _show_progress(self, pace: BulkPace) -> None:
        """Show one line on a terminal; elsewhere write one now and then, less and less often."""
        quiet = _FIRST_QUIET
        is_on_a_terminal = show_status("")
        while True:
            await asyncio.sleep(_TERMINAL_QUIET if is_on_a_terminal else quiet)
            held = pace.why_held(time.monotonic())
            progress = self._tally.progress() + (f"; {held}" if held else "")
            if not show_status(self._tally.bar() + progress):
                warn(progress)
            quiet = min(2 * quiet, _LONGEST_QUIET)

    async def _accept_all(self, outbox: Outbox) -> None:
        """Accept all lines, and wait until each has its end."""
        async for lines in lines_of(self._file):
            to_send = self._to_send(lines)
            self._write()
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
        self._tally.empty += lines.count(None)
        to_send = []
        for line in lines:
            if isinstance(line, BadLine):
                self._note_bad_line(line.number, line.problem)
            elif line is not None and self._is_to_send(line):
                to_send.append(line)
        return to_send

    def _is_to_send(self, line: Line) -> bool:
        promises, payload_hash = self._results.promises, hash(line.payload)
        known = promises[line.promise_id]
        if known.payload_hash not in (None, payload_hash):
            where = f"line {known.line}" if known.line else "an earlier run"
            problem = f"names the promise of {where} with another payload, and is not sent"
            self._note_bad_line(line.number, problem)
            return False
        if known.line:
            self._tally.all[REPEATED] += 1
            return False
        known.payload_hash, known.line = payload_hash, line.number
        promises[line.promise_id] = known
        if not known.outcome or (known.outcome == FAILED and self._retry_failed):
            return True
        self._tally.all[known.outcome] += 1
        self._tally.before += 1
        self._tally.to_retry += known.outcome == FAILED and known.worth_retrying
        if not known.is_recorded:  # the run that sent it died before
            facts = {"outcome": known.outcome, "attempts": known.attempts}
            self._records.append({"line": line.number, "id": line.promise_id, **facts})
        return False

    def _note_all(self, settled: Sequence[Settled]) -> None:
        """Record what became of some lines, and count it."""
        for one in settled:
            if one.settlement.is_end:
                self._note(one)
        self._write()
        self._moved.set()

    def _note(self, one: Settled) -> None:
        after, promise_id = one.settlement, one.row.promise_id
        known = self._results.promises[promise_id]
        self._open -= 1
        if after.outcome is not None:
            outcome = combined(after.outcome, may_have_stored=known.may_be_ours).value
            facts: dict[str, Any] = {"outcome": outcome, "attempts": after.attempts}
        else:
            # Anything else could only come from a callable for the token.
            outcome, error = FAILED, cast("GolemError", one.ended)
            name = type(error).__name__
            facts = {
                "outcome": outcome,
                "error": name,
                "attempts": after.attempts,
                "may_have_completed": after.may_have_stored or known.may_be_ours,
                "worth_retrying": error.worth_retrying,
                "message": error.message,
            }
            self._tally.errors[name] += 1
            self._tally.to_retry += error.worth_retrying
            self._show(f"line {known.line}: {name}: {error.message}")
        self._records.append({"line": known.line, "id": promise_id, **facts})
        self._tally.all[outcome] += 1

    def _explain_the_wait(self, error: GolemError) -> None:
        """Say once why lines wait for their next turn."""
        if not self._is_explained:
            self._is_explained = True
            why = "; ".join([error.message, *getattr(error, "__notes__", ())[:1]])
            show_status("")
            warn(in_options(f"waiting for Golem: {why}. {DOCTOR}"))

    def _note_bad_line(self, number: int, problem: str) -> None:
        """Record a bad line, unless an earlier run has, and show it."""
        self._tally.all[BAD_LINE] += 1
        if (number, problem) not in self._results.bad_lines:
            facts = {"id": None, "outcome": BAD_LINE, "message": problem}
            self._records.append({"line": number, **facts})
        self._show(f"line {number}: {problem}")

    def _write(self) -> None:
        records, self._records = self._records, []
        self._results.add(records)

    def _show(self, message: str) -> None:
        self._shown += 1
        show_status("")
        if self._results.path is None or self._shown <= _MOST_SHOWN:
            warn(in_options(message))
        elif self._shown == _MOST_SHOWN + 1:
            warn(f"more lines failed: {self._results.path} has all of them")
