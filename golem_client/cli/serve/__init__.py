"""`golem-promise serve`: a small Golem on this machine; `golem` has its workers' side as HTTP."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from contextlib import suppress

import click

from golem_client.cli.exit_codes import ExitCode
from golem_client.cli.screen import say, warn
from golem_client.cli.serve.golem import PROMISES, ServedGolem
from golem_client.testing.server import HOST


@click.command(
    epilog="""\b
Examples:
  golem-promise serve -v
  golem-promise serve --port 0 --dialect 1.3
  golem-promise serve --faults 0.2 --seed 7 --latency 0.05

\b
Then, from any language, with URL=http://127.0.0.1:9881:
  curl -X POST $URL/_fake/promises
      create a promise; the answer has its id, and a curl that completes it
      (body: {"workerName", "componentId", "oplogIdx"}, or {"count": 1000})
  curl $URL/_fake/promises
      list them by page: "next" is the address of the next page, or null
  curl "$URL/_fake/promises/ID?wait=30"
      show one, as soon as it is completed or 30 seconds have passed
  curl -X DELETE $URL/_fake/promises
      delete them all, and the faults on order
  curl -X POST $URL/_fake/faults -d '{"fault": "drop", "applied": true}'
      let the next completion meet a fault; without a body, list the kinds

The first line of the standard output is the address. What is stored is lost
when the command ends. Ctrl-C ends it.
"""
)
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    metavar="ADDRESS",
    help="The address to listen on; 0.0.0.0 also serves other machines and containers.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9881,
    show_default=True,
    metavar="PORT",
    help="The port; 0 chooses a free one.",
)
@click.option(
    "--dialect",
    type=click.Choice(["1.1", "1.2", "1.3", "1.5"]),
    default="1.5",
    show_default=True,
    help="The version of Golem to imitate.",
)
@click.option(
    "--faults",
    type=float,
    default=0.0,
    metavar="RATE",
    help="The share of requests that fail, from 0 to 1: lost answers, resets, 502s.",
)
@click.option(
    "--seed", type=int, default=0, metavar="N", help="The same seed gives the same faults."
)
@click.option(
    "--latency",
    type=float,
    default=0.0,
    metavar="SECONDS",
    help="Delay the answer to each completion.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log each request to the standard error.")
@click.pass_context
def serve(
    ctx: click.Context,
    *,
    host: str,
    port: int,
    dialect: str,
    faults: float,
    seed: int,
    latency: float,
    verbose: bool,
) -> None:
    """Run a small Golem on this machine, to develop against.

    It answers completions as Golem does. Other routes play the worker: they create promises, show
    them with their payloads, and wait until one is completed.
    """
    if not (0 <= faults <= 1 and 0 <= latency < math.inf):
        raise click.UsageError("--faults goes from 0 to 1, and --latency from 0 up")
    try:
        golem = ServedGolem(
            dialect=dialect,
            host=HOST if host == "localhost" else host,
            port=port,
            faults=faults,
            seed=seed,
            latency=latency,
            log=warn if verbose else lambda _: None,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        asyncio.run(_serve(golem))
    except OSError as error:
        number = error.errno or 0  # below 0 for a name that is not found
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        warn(f"cannot listen on {host}, port {port}: {reason}. Name another port by --port, or 0.")
        ctx.exit(ExitCode.FAILED)
    counts = golem.counts()
    warn(f"stopped: {counts['completed']} promises completed, {counts['pending']} pending")


async def _serve(golem: ServedGolem) -> None:
    """Serve until a signal says to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with golem:
        for name in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows: there, Ctrl-C is a KeyboardInterrupt
                loop.add_signal_handler(name, stop.set)
        _introduce(golem)
        await stop.wait()


def _introduce(golem: ServedGolem) -> None:
    url = golem.url
    say(url)
    say(f"This is a fake Golem {golem.dialect}. Its token is every local Golem's, no secret:")
    say(f"  {golem.token}")
    say("Create a promise; the answer has a curl that completes it:")
    say(f"  curl -X POST {url}{PROMISES}")
    say("Or complete it by its id:")
    say(f"  golem-promise complete ID --json true --url {url}")
    say("More: golem-promise serve --help. Ctrl-C ends it; what is stored is lost then.")
