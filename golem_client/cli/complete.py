"""`golem-promise complete`: complete one promise."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import click

from golem_client import (
    Completion,
    GolemClient,
    GolemError,
    Outcome,
    PromiseId,
    UnexpectedResponseError,
)
from golem_client.cli.exit_codes import TABLE, ExitCode, code_of_error
from golem_client.cli.options import (
    DOCTOR,
    MAX_PAYLOAD_BYTES,
    Target,
    in_options,
    output_option,
    seconds_option,
    target_options,
)
from golem_client.cli.parse import checked_id
from golem_client.cli.screen import run_to_the_end, say, say_json, warn
from golem_client.cli.strict_json import JsonError, read_json

_INTERRUPTED = (
    "the promise may be completed, or not. Run the same command again: with the same payload that "
    "is harmless."
)

_SENTENCES = {
    Outcome.FULFILLED: "fulfilled: this payload is stored",
    Outcome.ALREADY_FULFILLED: (
        "already fulfilled: a payload was stored before, and stays; it may be an equal one"
    ),
    Outcome.FULFILLED_BY_UNKNOWN: (
        "fulfilled by unknown: the promise is completed, but an answer was lost or late, so nobody "
        "can know whether by this payload"
    ),
}


@click.command(
    epilog=f"""\b
Examples:
  golem-promise complete ID --json '{{"approved": true}}'
  golem-promise complete "$ID" --text approved --url http://localhost:9881
  golem-promise complete ID --file decision.json --profile cloud
  render-decision | golem-promise complete ID --stdin --output json

\b
Exit codes:
{TABLE}
A payload cannot be replaced: Golem keeps the first one. Running the same
command again is harmless, and wakes a worker whose wake-up was lost. There is
no option for the token itself: other users of this machine can see arguments.
"""
)
@click.argument("promise_id", metavar="ID", callback=checked_id)
@click.option(
    "--json",
    metavar="TEXT",
    help="This JSON text. It is checked strictly and sent unchanged. Other users of this machine "
    "can see arguments: put secrets into --file or --stdin.",
)
@click.option("--text", metavar="TEXT", help="This text, as UTF-8. Other users can see it, too.")
@click.option(
    "--file",
    type=click.File("rb"),
    metavar="PATH",
    help="The bytes of this file. A file named *.json is checked like --json.",
)
@click.option("--verbatim", is_flag=True, help="Send --file unchecked, whatever its name is.")
@click.option("--stdin", is_flag=True, help="The bytes of standard input, unchecked.")
@click.option(
    "--empty", is_flag=True, help="No bytes. await_promise_json fails on an empty payload."
)
@target_options
@seconds_option("--timeout", "For the whole call, including retries; 30 by default.")
@output_option
@click.pass_context
def complete(
    ctx: click.Context,
    /,
    *,
    promise_id: PromiseId,
    verbatim: bool,
    target: Target,
    timeout: float | None,
    output: str,
    **sources: Any,
) -> None:
    """Complete the promise ID with a payload, which cannot be replaced later.

    ID may have any spelling that Golem, its SDKs and golem-cli print.
    """
    payload = _payload(sources, is_verbatim=verbatim)
    client = target.client(timeout=timeout)
    report = _as_json if output == "json" else _as_text
    done = run_to_the_end(_complete(client, promise_id, payload), interrupted=_INTERRUPTED)
    ctx.exit(report(promise_id, done))


async def _complete(
    client: GolemClient, promise_id: PromiseId, payload: bytes
) -> Completion | GolemError:
    async with client:
        try:
            return await client.complete_bytes(promise_id, payload)
        except GolemError as error:
            return error


def _as_text(promise_id: PromiseId, done: Completion | GolemError) -> ExitCode:
    if isinstance(done, GolemError):
        # Whoever typed the id needs no second copy.
        text = str(done).replace(f"(promise {promise_id}, ", "(")
        for line in (text, *getattr(done, "__notes__", ())):
            warn(in_options(line))
        code = code_of_error(done)
        if code is ExitCode.NOT_DELIVERED or isinstance(done, UnexpectedResponseError):
            warn(DOCTOR)
        return code
    attempts = f"{done.attempts} attempt{'s' if done.attempts > 1 else ''}"
    say(f"{_SENTENCES[done.outcome]} ({attempts})", indent="  ")
    return ExitCode[done.outcome.name]


def _as_json(promise_id: PromiseId, done: Completion | GolemError) -> ExitCode:
    result: dict[str, object] = {"promise": str(promise_id), "attempts": done.attempts}
    if isinstance(done, GolemError):
        code = code_of_error(done)
        result |= {
            "outcome": None,
            "error": type(done).__name__,
            "message": in_options(str(done)),
            "status": getattr(done, "status", None),
            "code": getattr(done, "code", None),
            "may_have_completed": done.may_have_completed,
            "worth_retrying": done.worth_retrying,
        }
    else:
        code = ExitCode[done.outcome.name]
        result |= {"outcome": done.outcome.value, "by_this_call": done.by_this_call}
    say_json(result)
    return code


def _payload(sources: dict[str, Any], *, is_verbatim: bool) -> bytes:
    """Return the payload that exactly one of these options gives."""
    given = [name for name, value in sources.items() if value not in (None, False)]
    if len(given) != 1:
        what = "exactly one of --json, --text, --file, --stdin and --empty"
        instead = f", not {' and '.join(f'--{name}' for name in given)}" if given else ""
        raise click.UsageError(f"say what the payload is by {what}{instead}")
    (name,) = given
    if is_verbatim and name != "file":
        raise click.UsageError("--verbatim is for --file; the other options need none")
    value, option = sources[name], f"--{name}"
    if name == "empty":
        return b""
    if name in ("json", "text"):
        payload = _utf8(option, value)
    else:
        payload = _read(value if name == "file" else _stdin(), option)
    if not payload and name != "json":
        raise click.UsageError(
            f"{option} is empty, and an empty payload makes most workers fail for good: "
            "if it is what you mean, say --empty"
        )
    is_json_file = name == "file" and value.name.lower().endswith(".json") and not is_verbatim
    if name == "json" or is_json_file:
        _check_json(option, payload)
    return payload


def _check_json(option: str, payload: bytes) -> None:
    """Check what is sent as it stands: written anew, its numbers might change."""
    try:
        read_json(payload.decode())
    except UnicodeDecodeError:
        problem = "not UTF-8, as JSON must be"
    except JsonError as error:
        problem = f"not JSON that a worker reads: {error}"
    else:
        return
    instead = " (--verbatim sends it as it is)" if option == "--file" else ""
    raise click.UsageError(f"{option} is {problem}{instead}")


def _utf8(option: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass
    raise click.UsageError(f"{option} is not UTF-8: send other bytes by --file or --stdin")


def _read(file: BinaryIO, option: str) -> bytes:
    """Read a payload, and no more than a payload may have: a device has no end."""
    try:
        payload = file.read(MAX_PAYLOAD_BYTES + 1)
    except OSError as error:
        raise click.UsageError(f"{option} cannot be read: {error.strerror}") from None
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise click.UsageError(
            f"{option} has more than the {MAX_PAYLOAD_BYTES:,} bytes that every Golem takes"
        )
    return payload


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise click.UsageError("--stdin: there is no standard input")
    if sys.stdin.isatty():
        warn("reading the payload from the terminal; Ctrl-D at the start of a line ends it")
    return sys.stdin.buffer
