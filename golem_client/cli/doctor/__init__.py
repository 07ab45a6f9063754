"""`golem-promise doctor`: check the way to Golem, step by step.

checks       one line of the report
connection   settings, name, port and TLS
answers      what Golem answers over HTTP, and what it says of the token
"""

from __future__ import annotations

from pathlib import Path

import click

from golem_client.cli.doctor.answers import check_answers
from golem_client.cli.doctor.checks import Check, State
from golem_client.cli.doctor.connection import check_connection, check_settings
from golem_client.cli.exit_codes import ExitCode
from golem_client.cli.options import Target, Way, output_option, seconds_option, target_options
from golem_client.cli.running import run_to_the_end
from golem_client.cli.screen import say, say_json

_TIMEOUT = 5.0


@click.command(
    epilog="""\b
Examples:
  golem-promise doctor
  golem-promise doctor --profile cloud
  GOLEM_URL=https://golem.example golem-promise doctor --output json

\b
Exit codes:
  0    no check failed
  1    a check failed: its line says what to do
  2    wrong usage
"""
)
@target_options
@seconds_option("--timeout", "For each step; 5 by default.")
@output_option
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    url: str | None,
    profile: str | None,
    token_file: Path | None,
    timeout: float | None,
    output: str,
) -> None:
    """Check the way to Golem step by step, and say what to do.

    It checks the settings and where they come from, the proxy, the host name, the connection,
    TLS, Golem's health, redirects, and whether Golem accepts the token. A step that cannot run has
    no line. Nothing is completed: the request that tests the token names a promise that no Golem
    can have. No secret is shown.
    """
    checks, way = check_settings(Target(url, profile, token_file))
    if way is not None:
        checks += run_to_the_end(
            _check(way, timeout or _TIMEOUT), interrupted="nothing was completed"
        )
    failed = any(check.state is State.FAILED for check in checks)
    if output == "json":
        say_json({"ok": not failed, "checks": [check.to_json() for check in checks]})
    else:
        for check in checks:
            todo = f" -> {check.todo}" if check.todo else ""
            say(f"{check.state.value:<5} {check.name:<10} {check.found}{todo}", indent=" " * 17)
    ctx.exit(ExitCode.FAILED if failed else ExitCode.FULFILLED)


async def _check(way: Way, timeout: float) -> list[Check]:
    checks = await check_connection(way, timeout)
    if checks[-1].state is State.FAILED:
        return checks
    return checks + await check_answers(way, timeout)
