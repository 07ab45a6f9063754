"""`golem-promise bulk`: complete the promises of a file, and go on where a run was ended."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from golem_client.cli.bulk.job import Job
from golem_client.cli.bulk.report import Report
from golem_client.cli.bulk.results import Results, ResultsError
from golem_client.cli.exit_codes import ExitCode
from golem_client.cli.options import Target, concurrency_option, seconds_option, target_options
from golem_client.cli.screen import exit_interrupted


@click.command(
    epilog="""\b
Each line of FILE is a JSON object: an id in any spelling, and one payload:
  {"id": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42", "json": {"ok": true}}
  {"id": {"workerId": {...}, "oplogIdx": 43}, "text": "approved"}
  {"id": "...", "base64": "AAEC"}
  {"id": "...", "empty": true}

\b
Examples:
  golem-promise bulk approvals.jsonl --dry-run
  golem-promise bulk approvals.jsonl --results done.jsonl
  golem-promise bulk approvals.jsonl --results done.jsonl --retry-failed

\b
Exit codes:
  0    the promise of every line is completed, whoever completed it
  1    at least one line failed, is invalid or was not sent: see the table
  2    wrong usage: nothing was sent
  6    stopped: Golem refused the token
  7    stopped: there is no such server, or it wants a pause of over an hour
  130  interrupted

While Golem is down or limits the rate, the run waits, and says why.

After a crash, a kill or Ctrl-C, run the same command again. It does not send
again what is in the results file, even if the line has changed since. What
was in progress is sent again with the same bytes, which is harmless. The file
OUT.jsonl.journal keeps what is in progress. It belongs to one server, and is
deleted when every promise is completed, or when nothing was sent.
"""
)
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT.jsonl",
    help="Record the result of each line here. The same command continues from it.",
)
@concurrency_option("The most lines in progress at the same time.")
@click.option("--retry-failed", is_flag=True, help="Send the lines again that failed.")
@click.option("--dry-run", is_flag=True, help="Check every line, but send nothing.")
@target_options
@seconds_option("--timeout", "For each line, including retries; 30 by default.")
@click.pass_context
def bulk(
    ctx: click.Context,
    *,
    file: Path,
    results: Path | None,
    concurrency: int,
    retry_failed: bool,
    dry_run: bool,
    target: Target,
    timeout: float | None,
) -> None:
    """Complete the promises that FILE lists, one per line, each with its own payload.

    Use - as FILE to read standard input.
    """
    source = None if str(file) == "-" else file
    if results is None and retry_failed:
        raise click.UsageError("--retry-failed needs --results, which has what failed")
    if results is not None and results.exists() and not results.is_file():
        raise click.UsageError(f"--results {results} is not a regular file")
    report, client = Report(results), None
    if not dry_run:
        # "wait", whatever the environment says: an outage holds the run instead of failing lines.
        client = target.client(
            timeout=timeout,
            max_connections=max(100, concurrency),
            overload="wait",
            observers=[report.trouble],
        )
    try:
        with ExitStack() as stack:
            if results is None:
                results = Path(stack.enter_context(TemporaryDirectory()), "results")
            known = stack.enter_context(closing(Results(results, is_writable=not dry_run)))
            job = Job(source, known, report, retry_failed=retry_failed)
            if client is None:
                code = job.rehearse()
            else:
                code = job.run(client, target.way().found.url, concurrency)
    except ResultsError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"{error.filename or file}: {error.strerror}") from None
    if code is ExitCode.INTERRUPTED:
        exit_interrupted()
    ctx.exit(code)
