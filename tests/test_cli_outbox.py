"""`golem-promise outbox`: looking after an outbox, and delivering from it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from golem_client import GolemClient, PromiseId
from golem_client.cli.outbox import _Lines
from golem_client.outbox import Key, Outbox
from golem_client.testing import FakeGolem
from tests.command_line import Ran, command, first_line, golem_promise, ran
from tests.databases import empty_database, postgresql_uri
from tests.samples import PROMISE_ID

DEAD = PromiseId(PROMISE_ID.worker_id, 43)


@pytest.fixture
async def file(tmp_path: Path) -> str:
    """A file with a pending, a dead and a waiting entry."""
    async with await Outbox.open(tmp_path / "golem.sqlite") as outbox:
        await outbox.complete_text(PROMISE_ID, "secret")
        await outbox.complete_text(DEAD, "secret")
        await outbox.complete_text(Key("order-17"), "secret")
        async with outbox.engine.begin() as connection:
            await connection.execute(
                text(
                    "UPDATE golem_outbox_entries SET state = 'dead', due_at = NULL, attempts = 2,"
                    " error = 'XError: ' || char(27) || '[2J' || :words WHERE promise_id = :id"
                ),
                {"id": str(DEAD), "words": "y" * 200},
            )
    return str(tmp_path / "golem.sqlite")


async def entry(file: str, promise_id: PromiseId | Key) -> str | None:
    async with await Outbox.open(file) as outbox:
        found = await outbox.entry(promise_id)
        return None if found is None else str(found.state)


async def test_list_shows_every_entry_and_no_payload(file: str) -> None:
    """For people within 80 columns but for errors in a pipe, and as JSON lines."""
    shown = await golem_promise("outbox", file, "list")
    assert (0, "") == (shown.code, shown.err)
    first, *_ = shown.out.partition("dead\n")
    assert (
        f"pending\n  promise id   {PROMISE_ID}\n  attempts     0\n" == first[: first.find("  acc")]
    )
    assert f"dead\n  promise id   {DEAD}\n  attempts     2\n" in shown.out
    assert "waiting\n  key          order-17\n  attempts     0\n  accepted at  20" in shown.out
    assert "XError:  [2Jyyy" in shown.out
    one = await golem_promise("outbox", file, "list", "--state", "dead", "--output", "json")
    (line,) = one.out.splitlines()
    record = json.loads(line)
    assert (str(DEAD), "dead", None, 2) == tuple(
        record[name] for name in ("promise_id", "state", "outcome", "attempts")
    )
    assert record["accepted_at"].endswith("+00:00")
    assert "secret" not in shown.out + one.out


async def test_show_retry_and_discard_go_by_id_or_key(file: str) -> None:
    """A name without an entry is exit code 5."""
    assert (
        "key          order-17"
        in (await golem_promise("outbox", file, "show", "--key", "order-17")).out
    )
    assert (await golem_promise("outbox", file, "retry", str(DEAD))).out.startswith("pending\n")
    assert "pending" == await entry(file, DEAD)
    gone = await golem_promise("outbox", file, "discard", str(DEAD), "--key", "order-17")
    assert 0 == gone.code
    assert [None, None] == [await entry(file, DEAD), await entry(file, Key("order-17"))]
    missing = await golem_promise("outbox", file, "show", str(DEAD))
    assert (5, "") == (missing.code, missing.out)
    assert f"no entry of {DEAD}" in missing.err


async def test_retry_takes_all_that_are_dead(file: str) -> None:
    """On request."""
    assert 0 == (await golem_promise("outbox", file, "retry", "--dead")).code
    assert "pending" == await entry(file, DEAD)


async def test_counts_and_prune(file: str) -> None:
    """Numbers for people, and for programs."""
    shown = await golem_promise("outbox", file, "counts")
    assert ["waiting", "1"] == shown.out.splitlines()[0].split()
    assert re.search(r"the oldest pending one is 0:00:\d\d old", shown.out)
    counted = json.loads((await golem_promise("outbox", file, "counts", "--output", "json")).out)
    assert (1, 1, 0, 1) == tuple(
        counted[name] for name in ("waiting", "pending", "completed", "dead")
    )
    assert 0 <= counted["oldest_pending"] < 60
    pruned = await golem_promise("outbox", file, "prune", "--older-than", "30d")
    assert (0, "0 entries deleted\n") == (pruned.code, pruned.out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.sqlite", "counts"], "there is no file nowhere.sqlite"),
        (["oops://x", "counts"], "in SQLite or PostgreSQL, not in oops"),
        (["postgresql+psycopg2://x", "counts"], "no outbox can be opened"),
        (["postgresql+nope://x", "counts"], "no outbox can be opened"),
        (["FILE", "show"], "name an ID"),
        (["FILE", "show", "order-17"], "If it is a key, write --key before it."),
        (["FILE", "show", "--key", ""], "key"),
        (["list"], "PLACE is missing: golem-promise outbox PLACE list"),
        (["list", "--state", "dead"], "PLACE is missing: golem-promise outbox PLACE list"),
        (["FILE", "retry", "--dead", str(DEAD)], "give no ID"),
        (["FILE", "prune", "--older-than", "a while"], "a number and a unit: 90s"),
        (["FILE", "list", "--state", "queued"], "queued"),
    ],
)
async def test_wrong_usage_is_exit_code_2(file: str, arguments: list[str], words: str) -> None:
    """And says what is wrong."""
    place, *more = arguments
    ended = await golem_promise("outbox", file if place == "FILE" else place, *more)
    assert (2, "") == (ended.code, ended.out)
    assert words in ended.err


async def test_what_is_no_outbox_is_exit_code_1(tmp_path: Path) -> None:
    """A file of something else is left alone; a database that is away is said to be."""
    (tmp_path / "x").write_text("precious " * 99)
    assert 1 == (await golem_promise("outbox", str(tmp_path / "x"), "counts")).code
    away = await golem_promise("outbox", "postgresql://u:p4ss@127.0.0.1:1/x", "counts")
    assert 1 == away.code
    assert "cannot be used" in away.err
    assert "p4ss" not in away.err


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("postgresql://ops:x:p4ss@host:p4ss/app", "written %40"),
        ("postgresql:/ops:p4ss@host/app", "there is no such file"),
        ("host=db password=p4ss", "there is no such file"),
        ("mysql://ops:p4ss@host/app", "in SQLite or PostgreSQL, not in mysql"),
        ("postgresql+nope://ops:p4ss@host/app", "postgresql.nope"),
    ],
)
async def test_no_place_that_is_refused_shows_its_password(place: str, words: str) -> None:
    """A typing error in a URL ends in somebody's log."""
    ended = await golem_promise("outbox", place, "counts")
    assert (2, "") == (ended.code, ended.out)
    assert words in ended.err
    assert "p4ss" not in ended.err


@pytest.mark.parametrize(
    ("driver", "scheme"), [("asyncpg", "postgres"), ("psycopg", "postgresql+psycopg")]
)
async def test_a_missing_driver_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, driver: str, scheme: str
) -> None:
    """The extra `outbox` has SQLite's alone."""
    monkeypatch.setitem(sys.modules, driver, None)
    ended = await golem_promise("outbox", f"{scheme}://ops:p4ss@host/app", "counts")
    assert 2 == ended.code
    assert f"{driver} is missing" in ended.err
    assert 'pip install "golem-client[outbox-postgresql]"' in " ".join(ended.err.split())
    assert "p4ss" not in ended.err


async def test_postgresql_is_named_by_its_url(tmp_path: Path) -> None:
    """As libpq has it."""
    async with empty_database("asyncpg", tmp_path) as engine:
        assert "create_tables" in (await counts_of_postgresql()).err
        await Outbox(engine).create_tables()
        assert 0 == (await counts_of_postgresql()).code
        # asyncpg has another name for it.
        assert 0 == (await counts_of_postgresql("sslmode=prefer")).code


async def counts_of_postgresql(query: str = "") -> Ran:
    uri = postgresql_uri()
    place = f"{uri}{'&' if '?' in uri else '?'}{query}" if query else uri
    return await golem_promise("outbox", place, "counts")


async def test_a_completed_entry_says_nothing_of_its_second_sending(file: str) -> None:
    """Nothing is left to be done; programs see all."""
    async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
        promise_id = golem.create_promise()
        async with await Outbox.open(file) as outbox, outbox.delivering(client):
            await outbox.complete_text(promise_id, "x")
            await outbox.wait(promise_id, timeout=30)
    shown = await golem_promise("outbox", file, "show", str(promise_id))
    assert (True, False) == (shown.out.startswith("completed: fulfilled\n"), "due at" in shown.out)
    program = await golem_promise("outbox", file, "show", str(promise_id), "--output", "json")
    assert json.loads(program.out)["due_at"] is not None


async def test_work_delivers_until_sigterm(file: str, tmp_path: Path) -> None:
    """It finishes what is under way, hands back the rest, and ends with 0."""
    async with FakeGolem() as golem:
        environ = {"GOLEM_URL": golem.url, "GOLEM_AUTH_TOKEN": golem.token}
        slow, quick = golem.create_promise(), golem.create_promise()
        async with await Outbox.open(file) as outbox:
            await outbox.discard(PROMISE_ID)
            async with command(tmp_path, "outbox", file, "work", environ=environ) as process:
                assert "delivering" in await first_line(process.stderr)
                await outbox.complete_text(quick, "x")
                await outbox.wait(quick, timeout=30)
                golem.latency(0.3)
                await outbox.complete_text(slow, "x")
                async with asyncio.timeout(30):
                    while len(golem.requests) < 2:  # noqa: ASYNC110 - the fake does not tell
                        await asyncio.sleep(0.005)
                process.send_signal(signal.SIGTERM)
                ended = await ran(process)
            entry = await outbox.entry(slow)
    assert (0, "") == (ended.code, ended.out)
    assert entry is not None
    assert "fulfilled" == entry.outcome


def test_work_says_what_to_do_about_a_refused_token(capsys: pytest.CaptureFixture[str]) -> None:
    """It takes a token where it starts, and what others log needs no such advice."""
    for words in ("Golem is down", "tried again: AuthenticationError: no"):
        _Lines().emit(logging.makeLogRecord({"msg": words, "golem_promise": "p"}))
    outage, refusal = capsys.readouterr().err.splitlines()
    assert "golem-promise: Golem is down (promise p)" == outage
    assert refusal.startswith("golem-promise: tried again: AuthenticationError: no (promise p). ")
    assert "Correct the token (--token-file, GOLEM_AUTH_TOKEN or the profile's)" in refusal


def test_the_help_fits_a_terminal() -> None:
    """Of every command."""

    async def helps() -> list[Ran]:
        names = ["list", "show", "retry", "discard", "prune", "work", "counts"]
        return [
            await golem_promise("outbox", "--help"),
            *[await golem_promise("outbox", "x", name, "--help") for name in names],
        ]

    for shown in asyncio.run(helps()):
        assert 0 == shown.code
        assert 80 >= max(map(len, shown.out.splitlines()))
