"""`golem-promise outbox`: look after an outbox, and deliver from it."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import attrs
import click
from sqlalchemy import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from golem_client import InvalidIdError, OutboxError, PromiseId
from golem_client.cli.exit_codes import ExitCode
from golem_client.cli.options import (
    Target,
    concurrency_option,
    in_options,
    output_option,
    seconds_option,
    target_options,
)
from golem_client.cli.screen import printable, say, say_json, warn
from golem_client.outbox import Entry, Key, Outbox, State

_AGE = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Name = PromiseId | Key


@asynccontextmanager
async def _opened(place: str) -> AsyncIterator[Outbox]:
    """Open the outbox in a file or a database, with the keys of the environment."""
    keys = os.environ.get("GOLEM_OUTBOX_KEYS", "").replace(",", " ").split()
    refusal = "no outbox can be opened there:"
    async with AsyncExitStack() as stack:
        try:
            url = _url(place) if "://" in place else URL.create("sqlite", database=place)
            if url.get_backend_name() == "sqlite":
                outbox = await Outbox.open(_existing(url.database or ""), keys=keys)
            else:
                engine = create_async_engine(url, hide_parameters=True)
                stack.push_async_callback(engine.dispose)
                outbox = Outbox(engine, keys=keys)
            await stack.enter_async_context(outbox)
        except ModuleNotFoundError as error:
            install = 'pip install "golem-client[outbox-postgresql]"'
            missing = f"{error.name} is missing; postgresql://… needs asyncpg: {install}"
            raise click.UsageError(f"{refusal} {missing}") from None
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise click.UsageError(f"{refusal} {error}") from None
        yield outbox


def _url(text: str) -> URL:
    url = None
    with suppress(SQLAlchemyError, ValueError):  # its words can hold a part of the password
        url = make_url(re.sub("^postgres(ql)?://", "postgresql+asyncpg://", text))
    if url is None:
        raise ValueError("the URL cannot be read; in a password, @ : / are written %40 %3A %2F")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        kind = url.get_backend_name()
        raise ValueError(f"an outbox lives in SQLite or PostgreSQL, not in {kind}")
    if "sslmode" in url.query and url.get_driver_name() == "asyncpg":  # libpq's name for it
        mode = url.query["sslmode"]
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return url


def _existing(path: str) -> Path:
    if not Path(path).is_file():
        is_like_an_address = "@" in path or "=" in path  # and may hold a password
        raise ValueError(f"there is no {'such file' if is_like_an_address else f'file {path}'}")
    return Path(path)


def _place(ctx: click.Context, _: click.Parameter, value: str) -> str:
    """Notice that PLACE was forgotten: the name of a command then stands there."""
    if value in outbox.commands and not Path(value).is_file():
        raise click.UsageError(f"PLACE is missing: golem-promise outbox PLACE {value}", ctx)
    return value


@click.group(
    epilog="""\b
PLACE is a file (SQLite), or the URL of a database, such as
  postgresql://user@host/name
Put its password into PGPASSWORD or ~/.pgpass: other users of this machine
can see arguments. Keys of an encrypted outbox come from GOLEM_OUTBOX_KEYS,
separated by commas; only `work` needs them.

\b
Examples:
  golem-promise outbox golem.sqlite counts
  golem-promise outbox golem.sqlite list --state dead
  golem-promise outbox golem.sqlite retry --dead
  golem-promise outbox postgresql://ops@db/app work --profile cloud

\b
Exit codes:
  0    done, or `work` was ended by SIGTERM
  1    the database cannot be used
  2    wrong usage
  5    no such entry
  130  interrupted
"""
)
@click.argument("place", metavar="PLACE", callback=_place)
@click.pass_context
def outbox(ctx: click.Context, place: str) -> None:
    """Look after the outbox at PLACE, and deliver from it. Payloads are never shown."""
    ctx.obj = place


Work = Callable[..., Awaitable[ExitCode | None]]


def _command(work: Work) -> click.Command:
    """Make a command of a coroutine that takes the opened outbox, and what the options say."""

    async def opened(place: str, options: dict[str, Any]) -> ExitCode | None:
        async with _opened(place) as outbox:
            return await work(outbox, **options)

    @wraps(work)
    @click.pass_context
    def run(ctx: click.Context, /, **options: Any) -> None:
        try:
            code = asyncio.run(opened(ctx.obj, options)) or ExitCode.FULFILLED
        except (OutboxError, OSError) as error:
            warn(getattr(error, "strerror", None) or str(error))
            code = ExitCode.FAILED
        ctx.exit(code)

    return outbox.command(work.__name__.strip("_"))(run)


def _names(command: Work) -> Work:
    """Give a command the IDs of promises, and keys; it takes them as `names`."""

    @wraps(command)
    async def named(outbox: Outbox, *, ids: Any, keys: Any, **options: Any) -> ExitCode | None:
        try:
            names = [*map(PromiseId.parse, ids), *map(Key, keys)]
        except ValueError as error:
            is_of_id = isinstance(error, InvalidIdError)
            hint = " If it is a key, write --key before it." if is_of_id else ""
            raise click.UsageError(f"{in_options(str(error))}{hint}") from None
        return await command(outbox, names=names, **options)

    option = click.option("--key", "keys", multiple=True, help="An entry by its key.")
    return click.argument("ids", nargs=-1, metavar="[ID]...")(option(output_option(named)))


@_command
@click.option("--state", type=click.Choice([str(state) for state in State]), help="Only these.")
@output_option
async def _list(outbox: Outbox, *, state: str | None, output: str) -> None:
    """List the entries, the oldest first."""
    async for entry in outbox.entries(state=state):
        _show(entry, output)


@_command
@_names
async def _show_(outbox: Outbox, *, names: list[Name], output: str) -> ExitCode:
    """Show the entries of promises or keys."""
    return await _each(names, outbox.entry, output)


@_command
@click.option("--dead", is_flag=True, help="Retry all dead entries.")
@_names
async def _retry(outbox: Outbox, *, names: list[Name], dead: bool, output: str) -> ExitCode:
    """Send entries now, without waiting; dead ones become pending again."""
    if dead and names:
        raise click.UsageError("--dead means all that are dead: give no ID and no key")
    if not dead:
        return await _each(names, outbox.retry, output)
    async for entry in outbox.entries(state="dead"):
        if entry.promise_id is not None and (after := await outbox.retry(entry.promise_id)):
            _show(after, output)
    return ExitCode.FULFILLED


@_command
@_names
async def _discard(outbox: Outbox, *, names: list[Name], output: str) -> ExitCode:
    """Delete entries with their payloads, and show what they were."""
    return await _each(names, outbox.discard, output)


async def _each(
    names: list[Name], what: Callable[[Name], Awaitable[Entry | None]], output: str
) -> ExitCode:
    if not names:
        raise click.UsageError("name an ID, or a key with --key")
    code = ExitCode.FULFILLED
    for name in names:
        if entry := await what(name):
            _show(entry, output)
        else:
            warn(f"no entry of {name}")
            code = ExitCode.NOT_FOUND
    return code


def _age(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    found = _AGE.fullmatch(value)
    if found is None:
        raise click.BadParameter("give a number and a unit: 90s, 15m, 12h or 30d", ctx, param)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@_command
@click.option("--older-than", required=True, callback=_age, metavar="AGE", help="Such as 30d.")
@output_option
async def _prune(outbox: Outbox, *, older_than: timedelta, output: str) -> None:
    """Delete entries that ended longer ago than AGE, and unused keys."""
    deleted = await outbox.prune(older_than=older_than)
    if output == "json":
        say_json({"deleted": deleted})
    else:
        say(f"{deleted:,} entries deleted")


@_command
@output_option
async def _counts(outbox: Outbox, *, output: str) -> None:
    """Say how many entries there are, and how old the oldest pending one is."""
    counted = attrs.asdict(await outbox.counts())
    age = counted["oldest_pending"]
    if output == "json":
        say_json({**counted, "oldest_pending": age and round(age.total_seconds(), 3)})
        return
    for state in State:
        say(f"{state:<10}{counted[state]:>12,}")
    if age is not None:
        say(f"the oldest pending one is {str(age).partition('.')[0]} old")


@_command
@concurrency_option("The most calls at the same time.")
@target_options
@seconds_option("--timeout", "For each delivery, including retries; 30 by default.")
async def _work(outbox: Outbox, *, concurrency: int, timeout: float | None, target: Target) -> None:
    """Deliver until SIGTERM or Ctrl-C. Several may run at the same time."""
    client = target.client(timeout=timeout, max_connections=max(100, concurrency))
    logger = logging.getLogger("golem_client")
    handler = _Lines(logging.WARNING)
    logger.addHandler(handler)
    try:
        async with client:
            warn("delivering; SIGTERM or Ctrl-C ends it")
            await outbox.deliver(client, concurrency=concurrency)
    finally:
        logger.removeHandler(handler)
    warn("ended: nothing is under way")


class _Lines(logging.Handler):
    """Shows what the library warns of, with its promise: outages, too."""

    def emit(self, record: logging.LogRecord) -> None:
        promise, line = getattr(record, "golem_promise", None), record.getMessage()
        line += f" (promise {promise})" if promise else ""
        if "AuthenticationError: " in line:
            line += ". Correct the token (--token-file, GOLEM_AUTH_TOKEN or the profile's), and "
            line += "start this command again."
        warn(line)


def _show(entry: Entry, output: str) -> None:
    facts = attrs.asdict(entry, recurse=False, filter=lambda field, _: field.name != "is_new")
    shown: dict[str, Any] = {
        name: value if value is None or isinstance(value, int) else _text(value)
        for name, value in facts.items()
    }
    if output == "json":
        say_json(shown)
        return
    state, outcome = shown.pop("state"), shown.pop("outcome")
    if entry.state is State.COMPLETED:
        del shown["due_at"]  # of the second sending, which is nobody's concern
    say(f"{state}: {outcome.replace('_', ' ')}" if outcome else state)
    for name, value in shown.items():
        if value is not None:
            say(f"  {name.replace('_', ' '):<12} {value}", indent=" " * 15)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else printable(str(value))
