"""`golem-promise serve`: a small Golem on this machine, to develop against in any language."""

from __future__ import annotations

import asyncio
import math
import signal
from contextlib import suppress

import click

from golem_client.cli.exit_codes import ExitCode
from golem_client.cli.screen import say, warn
from golem_client.cli.served_golem import PROMISES, ServedGolem


@click.command(
    epilog="""\b
Examples:
  golem-promise serve
  golem-promise serve --port 0 --dialect 1.3
  golem-promise serve --faults 0.2 --seed 7 --latency 0.05

\b
Then, from any language:
  curl -X POST http://127.0.0.1:9881/_fake/promises
  curl http://127.0.0.1:9881/_fake/promises
  curl 'http://127.0.0.1:9881/_fake/promises/ID?wait=30'

\b
The body of the POST may be {"workerName": …, "componentId": …,
"oplogIdx": …}, or {"count": 1000} for many at once.

What is stored is lost when it ends. Ctrl-C ends it.
"""
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9881,
    show_default=True,
    metavar="PORT",
    help="Where to listen, on this machine only; 0 for any free port.",
)
@click.option(
    "--dialect",
    type=click.Choice(["1.1", "1.3", "1.5"]),
    default="1.5",
    show_default=True,
    help="The generation of Golem to play.",
)
@click.option(
    "--faults",
    type=float,
    default=0.0,
    metavar="RATE",
    help="The part of requests that meet bad weather, from 0 to 1: lost answers, resets, 502s.",
)
@click.option("--seed", type=int, default=0, metavar="N", help="The same seed, the same faults.")
@click.option(
    "--latency",
    type=float,
    default=0.0,
    metavar="SECONDS",
    help="How late to answer each completion.",
)
@click.pass_context
def serve(
    ctx: click.Context, *, port: int, dialect: str, faults: float, seed: int, latency: float
) -> None:
    """Run a small Golem on this machine, to develop against.

    It answers completions as Golem does, and has the workers' side as HTTP: it creates promises,
    shows them with their payload, and waits for one.
    """
    golem = ServedGolem(dialect=dialect, port=port)
    if not (0 <= faults <= 1 and 0 <= latency < math.inf):
        raise click.UsageError("--faults goes from 0 to 1, and --latency from 0 up")
    golem.random_faults(faults, seed=seed)
    golem.latency(latency)
    try:
        asyncio.run(_serve(golem))
    except OSError as error:
        warn(f"cannot listen on port {port}: {error.strerror}. Name another by --port, or 0.")
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
    url, token = golem.url, golem.token
    say(f"Golem {golem.dialect}, a fake one, listens on {url}")
    say(f"token {token} (every local Golem's; no secret)")
    say()
    say("Create a promise, show them all, wait for one:")
    say(f"  curl -X POST {url}{PROMISES}")
    say(f"  curl {url}{PROMISES}")
    say(f"  curl '{url}{PROMISES}/ID?wait=30'")
    say("Complete one, at the completeUrl that it is shown with:")
    say("  curl -X POST \"$COMPLETE_URL\" -H 'Content-Type: application/json' \\")
    say(f"    -H 'Authorization: Bearer {token}' \\")
    say("""    -d '{"oplogIdx": 4, "data": [116, 114, 117, 101]}'""")
    say("or:")
    say(f"  golem-promise complete ID --json true --url {url}")
    say()
    say("Ctrl-C ends it; what is stored is lost then.")
