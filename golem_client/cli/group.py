"""The commands of `golem-promise`. Each is imported when it is called, so that help is quick."""

from __future__ import annotations

import importlib
import platform
from typing import cast

import click

from golem_client.cli.exit_codes import ExitCode
from golem_client.cli.screen import leave_quietly, warn
from golem_client.version import __version__

COMMANDS = {
    "bulk": "Complete the promises that a JSON Lines file lists.",
    "complete": "Complete one promise.",
    "doctor": "Check the way to Golem step by step, and say what to do.",
    "outbox": "Look after an outbox, and deliver from it.",
    "parse": "Show the parts of a promise id, offline.",
    "serve": "Run a small Golem on this machine, to develop against.",
}
"""Each command, with its line in the help. It is in the module `golem_client.cli.<name>`."""


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
The address of Golem is the first of these that is given:
  1. --url, or --profile (a profile of golem-cli)
  2. GOLEM_URL
  3. the profile of golem-cli that GOLEM_PROFILE names, or its default one
  4. the Golem on this machine, http://localhost:9881
The token comes from --token-file, GOLEM_AUTH_TOKEN or the profile. Proxies
are taken from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.
""",
)
@click.version_option(
    __version__,
    prog_name="golem-promise",
    message=f"%(prog)s %(version)s (Python {platform.python_version()})",
)
def golem_promise() -> None:
    """Complete promises of Golem's workers, and report what happened."""


def run(arguments: list[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    try:
        code = golem_promise.main(arguments, prog_name="golem-promise", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        warn(error.format_message())
        if isinstance(error, click.NoSuchOption) and error.option_name in ("--url", "--profile"):
            warn(f"{error.option_name} follows the name of the command")
        if isinstance(error, click.UsageError) and error.ctx is not None:
            warn(f"see '{error.ctx.command_path} --help'")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        warn("interrupted")
        return ExitCode.INTERRUPTED
    except OSError as error:
        warn(f"failed: {error.strerror or error}")
        leave_quietly()
        return ExitCode.FAILED
    return code if isinstance(code, int) else ExitCode.FULFILLED
