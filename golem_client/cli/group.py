"""The commands of `golem-promise`. Each is imported when it is called, so that help is quick."""

from __future__ import annotations

import importlib
import platform
from typing import cast

import click

from golem_client.cli.exit_codes import ExitCode
from golem_client.cli.screen import warn
from golem_client.version import __version__

COMMANDS = {
    "bulk": "Complete the promises of a JSON Lines file; it can go on.",
    "complete": "Complete one promise.",
    "doctor": "Check the way to Golem, and say what to do.",
    "outbox": "Look after an outbox, and deliver from it.",
    "parse": "Take the id of a promise apart; offline.",
    "serve": "Run a small Golem on this machine, to develop against.",
}
"""Each command, with the line that the help has for it. `golem_client.cli.<name>` has it."""


class Commands(click.Group):
    """A group whose commands are imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"golem_client.cli.{cmd_name}")
        return cast("click.Command", getattr(module, cmd_name))

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="""\b
Examples:
  golem-promise serve
  golem-promise complete ID --json '{"approved": true}'
  golem-promise parse ID
  golem-promise doctor --profile cloud

\b
Where Golem is: --url or --profile, else GOLEM_URL and GOLEM_AUTH_TOKEN,
else the profile of golem-cli (GOLEM_PROFILE, or its default), else the
Golem on this machine.
""",
)
@click.version_option(
    __version__,
    prog_name="golem-promise",
    message=f"%(prog)s %(version)s (Python {platform.python_version()})",
)
def golem_promise() -> None:
    """Complete promises of Golem's workers, and know what happened."""


def run(arguments: list[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    try:
        code = golem_promise.main(arguments, prog_name="golem-promise", standalone_mode=False)
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        warn("interrupted")
        return ExitCode.INTERRUPTED
    return code if isinstance(code, int) else ExitCode.FULFILLED


def _show(error: click.ClickException) -> None:
    """Say what was wrong, after the way to the help where the usage was."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        warn(f"see '{context.command_path} --help'")
    warn(error.format_message())
