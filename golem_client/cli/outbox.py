"""`golem-promise outbox`: look after an outbox, and deliver from it."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import click
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine

from golem_client import InvalidIdError, OutboxError, PromiseId
from golem_client.cli.exit_codes import ExitCode
from golem_client.cli.options import Target, output_option, seconds_option, target_options
from golem_client.cli.screen import printable, say, say_json, warn
from golem_client.outbox import Entry, Key, Outbox, State

_AGE = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Work = Callable[[Outbox], Awaitable[ExitCode]]


@attrs.frozen
class Place:
    """Where an outbox is: the URL of a database, or a file."""

    name: str

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Outbox]:
        """Open the outbox, with the keys of the environment.

        Raises:
            click.UsageError: There is no such file, or the URL is none.
        """
        keys = os.environ.get("GOLEM_OUTBOX_KEYS", "").replace(",", " ").split()
        async with AsyncExitStack() as stack:
            try:
                outbox = await self._open(stack, keys)
            except (ArgumentError, ImportError, ValueError) as error:
                problem = "" if isinstance(error, ArgumentError) else f": {error}"
            else:
                yield await stack.enter_async_context(outbox)
                return
        raise click.UsageError(f"no outbox can be opened there{problem}")

    async def _open(self, stack: AsyncExitStack, keys: list[str]) -> Outbox:
        path = self.name
        if "://" in path:
            url = make_url(re.sub("^postgres(ql)?://", "postgresql+asyncpg://", path))
            if url.get_backend_name() != "sqlite":
                engine = create_async_engine(url, hide_parameters=True)
                stack.push_async_callback(engine.dispose)
                return Outbox(engine, keys=keys)
            path = url.database or ""
        return await Outbox.open(_existing(path), keys=keys)


def _existing(path: str) -> Path:
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    return Path(path)


@click.group(
    epilog="""\b
PLACE is a file (SQLite), or the URL of a database, such as
  postgresql://user@host/name
asyncpg reads the password from PGPASSWORD or ~/.pgpass: everybody on the
machine can read a command line. Keys of an encrypted outbox come from
GOLEM_OUTBOX_KEYS, separated by commas; only `work` needs them.

\b
Examples:
  golem-promise outbox golem.sqlite counts
  golem-promise outbox golem.sqlite list --state dead
  golem-promise outbox golem.sqlite retry --dead
  golem-promise outbox postgresql://ops@db/app work --profile cloud

\b
Exit codes:
  0    done; `work` ended by SIGTERM
  1    the database cannot be used
  2    wrong usage
  5    no such entry
  130  interrupted
"""
)
@click.argument("place", metavar="PLACE")
@click.pass_context
def outbox(ctx: click.Context, place: str) -> None:
    """Look after the outbox at PLACE, and deliver from it. Payloads are never shown."""
    ctx.obj = Place(place)


@outbox.command("list")
@click.option("--state", type=click.Choice([str(state) for state in State]), help="Only these.")
@output_option
@click.pass_context
def list_entries(ctx: click.Context, *, state: str | None, output: str) -> None:
    """List the entries, the oldest first."""

    async def work(outbox: Outbox) -> ExitCode:
        async for entry in outbox.entries(state=state):
            _show(entry, output)
        return ExitCode.FULFILLED

    _run(ctx, work)


def _ids(command: Any) -> Any:
    """Give a command IDs of promises, and keys."""
    command = click.option("--key", "keys", multiple=True, help="An entry by its key.")(command)
    return click.argument("ids", nargs=-1, metavar="[ID]...")(command)


@outbox.command()
@_ids
@output_option
@click.pass_context
def show(ctx: click.Context, *, ids: tuple[str, ...], keys: tuple[str, ...], output: str) -> None:
    """Show the entries of promises or keys."""
    _for_each(ctx, ids, keys, lambda outbox, name: outbox.entry(name), output)


@outbox.command()
@_ids
@click.option("--dead", is_flag=True, help="All that are dead.")
@output_option
@click.pass_context
def retry(
    ctx: click.Context, *, ids: tuple[str, ...], keys: tuple[str, ...], dead: bool, output: str
) -> None:
    """Let entries be sent now; dead ones are pending again."""
    if dead and (ids or keys):
        raise click.UsageError("--dead means all that are dead: give no ID and no key")
    if not dead:
        _for_each(ctx, ids, keys, lambda outbox, name: outbox.retry(name), output)

    async def work(outbox: Outbox) -> ExitCode:
        async for entry in outbox.entries(state="dead"):
            if entry.promise_id is not None:
                after = await outbox.retry(entry.promise_id)
                if after is not None:
                    _show(after, output)
        return ExitCode.FULFILLED

    _run(ctx, work)


@outbox.command()
@_ids
@output_option
@click.pass_context
def discard(
    ctx: click.Context, *, ids: tuple[str, ...], keys: tuple[str, ...], output: str
) -> None:
    """Delete entries with their payloads, and show what they were."""
    _for_each(ctx, ids, keys, lambda outbox, name: outbox.discard(name), output)


def _age(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    found = _AGE.fullmatch(value)
    if found is None:
        raise click.BadParameter("it must be such as 90s, 15m, 12h or 30d", ctx, param)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@outbox.command()
@click.option("--older-than", required=True, callback=_age, metavar="AGE", help="Such as 30d.")
@output_option
@click.pass_context
def prune(ctx: click.Context, *, older_than: timedelta, output: str) -> None:
    """Delete what has been completed or dead for longer, and unused keys."""

    async def work(outbox: Outbox) -> ExitCode:
        deleted = await outbox.prune(older_than=older_than)
        if output == "json":
            say_json({"deleted": deleted})
        else:
            say(f"{deleted:,} entries deleted")
        return ExitCode.FULFILLED

    _run(ctx, work)


@outbox.command()
@output_option
@click.pass_context
def counts(ctx: click.Context, *, output: str) -> None:
    """Say how many entries there are, and how old the oldest pending one is."""

    async def work(outbox: Outbox) -> ExitCode:
        counted = await outbox.counts()
        age = counted.oldest_pending
        seconds = None if age is None else round(age.total_seconds(), 3)
        if output == "json":
            say_json({**attrs.asdict(counted), "oldest_pending": seconds})
            return ExitCode.FULFILLED
        for state in State:
            older = f"  the oldest for {_span(age)}" if age and state is State.PENDING else ""
            say(f"{state:<10}{getattr(counted, state):>12,}{older}")
        return ExitCode.FULFILLED

    _run(ctx, work)


@outbox.command()
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    default=64,
    show_default=True,
    help="The most calls at the same time.",
)
@target_options
@seconds_option("--timeout", "For each delivery, retries included; 30 by default.")
@click.pass_context
def work(
    ctx: click.Context,
    *,
    concurrency: int,
    url: str | None,
    profile: str | None,
    token_file: Path | None,
    timeout: float | None,
) -> None:
    """Deliver until SIGTERM or Ctrl-C. Any number of these may run at once."""
    options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    options["max_connections"] = max(100, concurrency)
    client = Target(url, profile, token_file).client(**options)
    logger = logging.getLogger("golem_client.outbox")
    handler = _Lines(logging.WARNING)

    async def deliver(outbox: Outbox) -> ExitCode:
        logger.addHandler(handler)
        try:
            async with client:
                warn("delivering; SIGTERM or Ctrl-C ends it")
                await outbox.deliver(client, concurrency=concurrency)
        finally:
            logger.removeHandler(handler)
        warn("ended: nothing is under way")
        return ExitCode.FULFILLED

    _run(ctx, deliver)


class _Lines(logging.Handler):
    """Shows what the worker logs, with its promise."""

    def emit(self, record: logging.LogRecord) -> None:
        promise = getattr(record, "golem_promise", None)
        warn(record.getMessage() + (f" (promise {promise})" if promise else ""))


def _run(ctx: click.Context, work: Work) -> None:
    """Open the outbox, do the work, and exit with its code."""

    async def opened() -> ExitCode:
        async with ctx.obj.opened() as outbox:
            return await work(outbox)

    try:
        code = asyncio.run(opened())
    except OutboxError as error:
        warn(str(error))
        code = ExitCode.FAILED
    except OSError as error:
        warn(error.strerror or str(error))
        code = ExitCode.FAILED
    ctx.exit(code)


def _for_each(
    ctx: click.Context,
    ids: tuple[str, ...],
    keys: tuple[str, ...],
    what: Callable[[Outbox, PromiseId | Key], Awaitable[Entry | None]],
    output: str,
) -> None:
    if not ids and not keys:
        raise click.UsageError("name an ID, or a key with --key")
    names: list[PromiseId | Key] = []
    try:
        names += [PromiseId.parse(name) for name in ids]
        names += [Key(name) for name in keys]
    except (InvalidIdError, ValueError) as error:
        raise click.UsageError(str(error)) from None

    async def work(outbox: Outbox) -> ExitCode:
        code = ExitCode.FULFILLED
        for name in names:
            entry = await what(outbox, name)
            if entry is None:
                warn(f"no entry of {name}")
                code = ExitCode.NOT_FOUND
            else:
                _show(entry, output)
        return code

    _run(ctx, work)


def _show(entry: Entry, output: str) -> None:
    if output == "json":
        say_json(_as_json(entry))
        return
    now = datetime.now(UTC)
    facts = [f"accepted {_span(now - entry.accepted_at)} ago"]
    if entry.attempts:
        facts.append(f"{entry.attempts} request{'s' if entry.attempts > 1 else ''}")
    if entry.due_at is not None:
        again = "sent again" if entry.state is State.COMPLETED else "due"
        facts.append(f"{again} in {_span(entry.due_at - now)}")
    outcome = "" if entry.outcome is None else f" {entry.outcome.replace('_', ' ')}"
    say(f"{entry.state}{outcome}: {', '.join(facts)}")
    say("  " + (f"key {entry.key}" if entry.promise_id is None else str(entry.promise_id)))
    if entry.promise_id is not None and entry.key is not None:
        say(f"  key {entry.key}")
    if entry.error is not None:
        say(f"  {printable(entry.error)}", indent="  ")


def _as_json(entry: Entry) -> dict[str, Any]:
    times = {
        name: None if value is None else value.isoformat()
        for name, value in attrs.asdict(entry, recurse=False).items()
        if name.endswith("_at")
    }
    return {
        "promise_id": None if entry.promise_id is None else str(entry.promise_id),
        "key": entry.key,
        "state": str(entry.state),
        "outcome": None if entry.outcome is None else str(entry.outcome),
        "attempts": entry.attempts,
        "error": entry.error,
        **times,
    }


def _span(span: timedelta) -> str:
    """Return a time for people, in its largest unit."""
    seconds = max(span.total_seconds(), 0.0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
