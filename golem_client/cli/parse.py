"""`golem-promise parse`: take an id apart, offline."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import click

from golem_client import InvalidIdError, PromiseId
from golem_client.cli.options import in_options, output_option
from golem_client.cli.screen import say, say_json


def checked_id(ctx: click.Context, param: click.Parameter, value: str) -> PromiseId:
    """Return the id of a promise that an argument spells; a callback of click's.

    Raises:
        click.BadParameter: It spells none.
    """
    try:
        return PromiseId.parse(value)
    except InvalidIdError as error:
        hint = ""
        if re.fullmatch(r"[\w.:-]{1,60}", value):
            hint = f". A key of an outbox? golem-promise outbox PLACE show --key {value}"
        raise click.BadParameter(in_options(error.message) + hint, ctx, param) from None


@click.command(
    epilog="""\b
Examples:
  golem-promise parse f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42
  golem-promise parse "$(cat answer-of-an-invocation.json)"
  golem-promise parse --output json "$ID" | jq -r .rest_path
"""
)
@click.argument("promise_id", metavar="ID", callback=checked_id)
@output_option
def parse(promise_id: PromiseId, output: str) -> None:
    """Show the parts of a promise id, offline.

    ID may have any spelling that Golem, its SDKs and golem-cli print: text, JSON, Rust's debug
    text, WAVE.
    """
    worker = promise_id.worker_id
    component = worker.component_id
    name = quote(worker.worker_name, safe="")
    parts = {
        "promise": str(promise_id),
        "component_id": str(component),
        "high_bits": str(component.high_bits),  # JavaScript would round a number
        "low_bits": str(component.low_bits),
        "worker_name": worker.worker_name,
        "oplog_idx": promise_id.oplog_idx,
        "worker_urn": worker.urn,
        "rest_path": f"/v1/components/{component}/workers/{name}/complete",
        "rest_json": promise_id.to_json(),
    }
    if output == "json":
        say_json(parts)
        return
    parts["rest_json"] = json.dumps(promise_id.to_json(), ensure_ascii=False)
    for title, value in parts.items():
        say(f"{title.replace('_', ' '):<12} {value}")
