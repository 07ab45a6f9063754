"""`golem-promise bulk`: every line has its end, and a run that was ended goes on."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pty
import re
import signal
import stat
import termios
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, closing
from io import FileIO
from pathlib import Path
from typing import Any

import attrs
import pytest

from golem_client import PromiseId
from golem_client.cli.bulk import report, results
from golem_client.cli.bulk.report import Report
from golem_client.cli.bulk.results import Results
from golem_client.cli.group import run
from golem_client.testing import FakeGolem
from tests.command_line import read_all
from tests.interpreters import Child
from tests.samples import PROMISE_ID, TOKEN
from tests.scripted_server import (
    FALSE,
    TRUE,
    Exchange,
    ScriptedServer,
    Step,
    answer,
    stall,
)

Line = dict[str, Any]
REFUSED = answer(401, b"authorization error", "text/plain; charset=utf-8")
Start = Callable[[Step], Awaitable[ScriptedServer]]


@attrs.define
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


@attrs.define
class Bulk:
    """The command over one file, in a thread or in a process of its own."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    processes: list[Child] = attrs.field(factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "in.jsonl"

    @property
    def results(self) -> Path:
        return self.folder / "out.jsonl"

    @property
    def journal(self) -> Path:
        return self.folder / "out.jsonl.journal"

    def write(self, lines: Iterable[Line | str]) -> None:
        texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        self.file.write_text("".join(f"{text}\n" for text in texts))

    def records(self) -> list[Line]:
        return [json.loads(line) for line in self.results.read_text().splitlines()]

    async def has_recorded(self, count: int) -> None:
        """Wait until so many lines have ended; a file tells nobody that it has grown."""
        async with asyncio.timeout(30):
            while not self.results.exists() or self.results.read_bytes().count(b"\n") < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def run(self, *options: str, results: bool = True, file: str | None = None) -> Ended:
        """Run the command in a thread, so that a server of the test can answer it."""
        recording = ["--results", str(self.results)] if results else []
        self.capsys.readouterr()
        arguments = ["bulk", file or str(self.file), *recording, *options]
        code = await asyncio.to_thread(run, arguments)
        written = self.capsys.readouterr()
        return Ended(code, written.out, written.err)

    def start(
        self, *options: str, file: str | None = None, program: str = "", **streams: int
    ) -> Child:
        """Start the command in a process of its own, or a program that does."""
        python = ("-c", program) if program else ("-m", "golem_client")
        arguments = [file or str(self.file), "--results", str(self.results), *options]
        process = Child(*python, "bulk", *arguments, env=None, **streams)
        self.processes.append(process)
        return process


@pytest.fixture
def bulk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bulk]:
    bulk = Bulk(tmp_path, capsys)
    yield bulk
    for process in bulk.processes:
        process.close()


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("GOLEM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GOLEM_CONFIG_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("GOLEM_AUTH_TOKEN", TOKEN)


@pytest.fixture
async def golem(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeGolem]:
    async with FakeGolem() as golem:
        monkeypatch.setenv("GOLEM_URL", golem.url)
        monkeypatch.setenv("GOLEM_AUTH_TOKEN", golem.token)
        yield golem


@pytest.fixture
async def scripted(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    servers: list[ScriptedServer] = []

    async def start(step: Step) -> ScriptedServer:
        servers.append(await ScriptedServer(step).__aenter__())
        monkeypatch.setenv("GOLEM_URL", servers[0].url)
        return servers[0]

    yield start
    for server in servers:
        await server.__aexit__()


def texts(count: int) -> list[Line]:
    return [{"id": str(PromiseId(PROMISE_ID.worker_id, n)), "text": f"t{n}"} for n in range(count)]


def lines_for(golem: FakeGolem, count: int) -> dict[PromiseId, Line]:
    """Return a line for each of so many new promises, with a payload of its own."""
    promises = [golem.create_promise() for _ in range(count)]
    return {promise: {"id": str(promise), "text": f"t{n}"} for n, promise in enumerate(promises)}


def assert_each_has_its_own(golem: FakeGolem, lines: dict[PromiseId, Line]) -> None:
    for promise, line in lines.items():
        golem.assert_completed(promise, line["text"].encode())


def rows(table: str) -> dict[str, str]:
    """Return the number of each row of the table."""
    return dict(re.findall(r"(?m)^ *(\S.*?)  +([\d,]+)$", table))


class TestCompleting:
    """Every line is sent once, and has its end."""

    async def test_every_promise_gets_the_payload_of_its_line(
        self, golem: FakeGolem, bulk: Bulk
    ) -> None:
        """Of every kind, JSON byte for byte; all completed is exit code 0."""
        kinds = {
            '"json": {"a":  1.10}': b'{"a":  1.10}',
            '"text": "é"': "é".encode(),
            '"base64": "AP8="': b"\x00\xff",
            '"empty": true': b"",
        }
        promises = [golem.create_promise() for _ in kinds]
        bulk.write(
            f'{{"id": {json.dumps(promise.to_json())}, {kind}}}'
            for promise, kind in zip(promises, kinds, strict=True)
        )
        ended = await bulk.run()
        assert (0, "") == (ended.code, ended.err)
        assert list(kinds.values()) == [golem.payload(promise) for promise in promises]
        assert "4" == rows(ended.out)["fulfilled"]

    async def test_bad_weather_completes_all_the_same(self, golem: FakeGolem, bulk: Bulk) -> None:
        """Exit code 0 says that all promises are completed, by whomever."""
        lines = lines_for(golem, 60)
        golem.random_faults(0.2, seed=3)
        bulk.write(lines.values())
        ended = await bulk.run("--concurrency", "16")
        assert 0 == ended.code
        assert_each_has_its_own(golem, lines)
        assert 60 == len(bulk.records())
        assert not bulk.journal.exists()

    async def test_a_record_says_what_became_of_a_line(self, golem: FakeGolem, bulk: Bulk) -> None:
        """And never what its payload was."""
        lines = list(lines_for(golem, 2).values())
        lines[1]["id"] += "9"
        bulk.write(lines)
        ended = await bulk.run("--concurrency", "1")
        assert 1 == ended.code
        good, bad = bulk.records()
        assert {"line": 1, "id": lines[0]["id"], "outcome": "fulfilled", "attempts": 1} == good
        assert {
            "line": 2,
            "id": lines[1]["id"],
            "outcome": "failed",
            "error": "PromiseNotFoundError",
            "attempts": 1,
            "may_have_completed": False,
            "worth_retrying": False,
            "message": bad["message"],
        } == bad
        assert "line 2: PromiseNotFoundError: " in ended.err
        assert "--retry-failed" not in ended.err
        assert "1" == rows(ended.out)["PromiseNotFoundError"]

    async def test_a_bad_line_is_reported_and_the_rest_goes_on(
        self, golem: FakeGolem, bulk: Bulk
    ) -> None:
        """With its number; in the results too, but only once."""
        lines = lines_for(golem, 2)
        first, last = lines.values()
        bulk.write([first, '{"id": "x", "jsn": "secret"}', "", last])
        once, again = await bulk.run(), await bulk.run()
        assert (1, 1) == (once.code, again.code)
        assert "line 2: has the unknown key 'jsn'" in once.err
        assert "line 2: has the unknown key 'jsn'" in again.err
        assert_each_has_its_own(golem, lines)
        (bad,) = [record for record in bulk.records() if record["outcome"] == "bad_line"]
        assert (2, None) == (bad["line"], bad["id"])
        assert "3" == rows(again.out)["lines"]

    async def test_no_payload_and_no_token_is_shown_or_recorded(
        self, golem: FakeGolem, bulk: Bulk
    ) -> None:
        """Whatever goes wrong."""
        lines: list[Line] = [
            {"id": str(golem.create_promise()), "text": "secret"},
            {"id": f"{golem.create_promise()}9", "json": {"secret": 1}},
            {"id": str(golem.create_promise()), "text": "secret", "json": 1},
            {"id": str(golem.create_promise()), "base64": "secret"},
        ]
        golem.fail_next(400, body="what is secret")
        bulk.write([*lines, '"secret'])
        ended = await bulk.run()
        for text in (ended.out, ended.err, bulk.results.read_text()):
            assert "secret" not in text
            assert golem.token not in text

    @pytest.mark.usefixtures("golem")
    async def test_without_results_everything_that_fails_is_shown(self, bulk: Bulk) -> None:
        """With them, the first twenty."""
        bulk.write([{"id": "x", "text": "x", "n": n} for n in range(30)])
        shown = [
            len(re.findall(r"line \d+:", (await bulk.run(results=results)).err))
            for results in (False, True)
        ]
        assert [30, 20] == shown
        assert 30 == len(bulk.records())

    async def test_a_line_that_is_there_twice_is_sent_once(
        self, golem: FakeGolem, bulk: Bulk
    ) -> None:
        """With the same payload it is no failure; with another one it is a bad line."""
        lines = lines_for(golem, 1)
        (line,) = lines.values()
        bulk.write([line, line])
        assert 0 == (await bulk.run()).code
        bulk.write([line, line, {**line, "text": "other"}])
        ended = await bulk.run()
        assert 1 == ended.code
        assert (
            "line 3: is not sent: it names the promise of line 1 with another payload" in ended.err
        )
        assert 1 == len(golem.requests)
        assert_each_has_its_own(golem, lines)


class TestGoingOn:
    """The same command with the same results file goes on."""

    async def test_nothing_recorded_is_sent_again(self, golem: FakeGolem, bulk: Bulk) -> None:
        """Not what failed either; the exit code is that of all lines."""
        lines = [*lines_for(golem, 3).values(), {"id": f"{golem.create_promise()}9", "text": "x"}]
        bulk.write(lines)
        first = await bulk.run()
        golem.clear_requests()
        before = bulk.results.read_bytes()
        second = await bulk.run()
        assert (1, 1) == (first.code, second.code)
        assert ((), before) == (golem.requests, bulk.results.read_bytes())
        assert "3" == rows(second.out)["fulfilled"]
        assert "1" == rows(second.out)["failed"]

    async def test_what_failed_is_sent_again_on_request(self, golem: FakeGolem, bulk: Bulk) -> None:
        """And only that."""
        lines = lines_for(golem, 3)
        bulk.write(lines.values())
        golem.fail_next(400)
        assert 1 == (await bulk.run()).code
        golem.clear_requests()
        assert 0 == (await bulk.run("--retry-failed")).code
        assert 1 == len(golem.requests)
        assert_each_has_its_own(golem, lines)

    async def test_the_file_may_be_edited_meanwhile(self, golem: FakeGolem, bulk: Bulk) -> None:
        """Lines are moved, added and taken away; what is recorded is known by its promise.

        It is not sent again, whatever its line says now: nothing kept tells its payload.
        """
        lines = lines_for(golem, 6)
        one, two, three, four, five, six = lines.values()
        bulk.write([one, two, three, four])
        await bulk.run()
        golem.clear_requests()
        bulk.write([five, four, {**two, "text": "edited"}, six, one])
        ended = await bulk.run()
        assert {five["id"], six["id"]} == {str(request.promise_id) for request in golem.requests}
        assert_each_has_its_own(golem, lines)
        assert (0, "5") == (ended.code, rows(ended.out)["fulfilled"])

    async def test_another_file_is_no_results_file(self, golem: FakeGolem, bulk: Bulk) -> None:
        """Nothing is sent, and the file is left alone."""
        bulk.write(lines_for(golem, 1).values())
        bulk.results.write_text("precious\n")
        ended = await bulk.run()
        assert (2, "precious\n") == (ended.code, bulk.results.read_text())
        assert () == golem.requests

    async def test_the_file_itself_is_no_results_file(self, golem: FakeGolem, bulk: Bulk) -> None:
        """It would be appended to."""
        bulk.write(lines_for(golem, 1).values())
        before = bulk.file.read_bytes()
        ended = await bulk.run("--results", str(bulk.file))
        assert (2, before, ()) == (ended.code, bulk.file.read_bytes(), golem.requests)

    async def test_a_device_is_no_results_file(self, golem: FakeGolem, bulk: Bulk) -> None:
        """Nothing could be read from it."""
        bulk.write(lines_for(golem, 1).values())
        ended = await bulk.run("--results", "/dev/zero")
        assert (2, ()) == (ended.code, golem.requests)

    async def test_two_runs_do_not_share_a_results_file(self, golem: FakeGolem, bulk: Bulk) -> None:
        """The second is refused, and sends nothing."""
        bulk.write(lines_for(golem, 1).values())
        with closing(Results(bulk.results)):
            ended = await bulk.run()
        assert (2, ()) == (ended.code, golem.requests)
        assert "by another golem-promise bulk" in ended.err

    async def test_a_results_file_that_cannot_be_made_is_wrong_usage(
        self, golem: FakeGolem, bulk: Bulk
    ) -> None:
        """Before anything is sent."""
        bulk.write(lines_for(golem, 1).values())
        ended = await bulk.run("--results", str(bulk.folder / "no" / "out.jsonl"))
        assert (2, ()) == (ended.code, golem.requests)
        assert "No such file" in ended.err

    async def test_a_full_disk_ends_the_run(
        self, golem: FakeGolem, bulk: Bulk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What cannot be recorded is sent again by the next run, with the same payload."""
        lines = lines_for(golem, 40)
        bulk.write(lines.values())
        room = 5

        class FullDisk(FileIO):
            def write(self, data: Any) -> int:
                nonlocal room
                room -= 1
                if room < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return super().write(data if room else data[:30])

        with monkeypatch.context() as patched:
            patched.setattr(results, "FileIO", FullDisk)
            ended = await bulk.run("--concurrency", "2")
        assert 1 == ended.code
        assert f"stopped: [Errno 28] No space left on device: '{bulk.results}'" in ended.err
        assert 40 > len(golem.requests)
        ended = await bulk.run()
        assert 0 == ended.code
        assert 40 == len(bulk.records())
        assert_each_has_its_own(golem, lines)

    async def test_an_answer_lost_by_a_kill_is_nobodys(self, scripted: Start, bulk: Bulk) -> None:
        """What was under way may be ours: `false` is then fulfilled by unknown."""
        arrived: list[int] = []

        async def kill_then_answer(exchange: Exchange) -> None:
            arrived.append(1)
            if len(arrived) == 2:
                process.kill()
            await (FALSE if len(arrived) >= 2 else TRUE)(exchange)

        await scripted(kill_then_answer)
        bulk.write(texts(4))
        process = bulk.start("--concurrency", "1")
        await asyncio.to_thread(process.communicate, timeout=30)
        assert [1] == [record["line"] for record in bulk.records()]
        ended = await bulk.run("--concurrency", "1")
        assert ["fulfilled", "fulfilled_by_unknown", "already_fulfilled", "already_fulfilled"] == [
            record["outcome"] for record in bulk.records()
        ]
        assert 0 == ended.code
        assert not bulk.journal.exists()


class TestJournal:
    """An outbox file beside the results."""

    async def test_it_is_its_owners_and_gone_when_all_is_completed(
        self, golem: FakeGolem, bulk: Bulk
    ) -> None:
        """Results and journal have mode 0600, and nothing that is made from a payload."""
        lines = lines_for(golem, 3)
        bulk.write([*lines.values(), "bad"])
        assert 1 == (await bulk.run()).code
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (bulk.results, bulk.journal)]
        assert [0o600, 0o600] == modes
        keys = {key for record in bulk.records() for key in record}
        assert {"line", "id", "outcome", "attempts", "message"} == keys
        bulk.write(lines.values())
        assert 0 == (await bulk.run()).code
        assert ["in.jsonl", "out.jsonl"] == sorted(path.name for path in bulk.folder.iterdir())

    async def test_it_is_for_one_server(self, golem: FakeGolem, bulk: Bulk) -> None:
        """Another one is refused, and nothing is sent to it."""
        lines = lines_for(golem, 2)
        bulk.write([*lines.values(), "bad"])
        await bulk.run()
        async with FakeGolem() as other:
            ended = await bulk.run("--url", other.url)
            assert (2, "", ()) == (ended.code, ended.out, other.requests)
        assert f"against {golem.url}" in ended.err

    async def test_what_a_kill_left_unrecorded_is_recorded(
        self, golem: FakeGolem, bulk: Bulk
    ) -> None:
        """The journal knows how it ended: it is not sent again."""
        lines = lines_for(golem, 5)
        bulk.write([*lines.values(), "bad"])
        await bulk.run()
        whole = bulk.results.read_text().splitlines(keepends=True)
        bulk.results.write_text("".join(whole[:2]) + whole[2][:10])
        golem.clear_requests()
        ended = await bulk.run()
        assert ((), 1) == (golem.requests, ended.code)
        assert sorted(whole) == sorted(bulk.results.read_text().splitlines(keepends=True))

    async def test_a_line_met_by_a_401_after_a_kill_is_nobodys(
        self, scripted: Start, bulk: Bulk
    ) -> None:
        """Sent and killed, refused by a 401 in the second run, answered `false` in the third."""
        answers: list[Step] = [REFUSED, FALSE]

        async def kill_then_answer(exchange: Exchange) -> None:
            if process.poll() is None and len(answers) == 2:
                process.kill()
                return
            await (answers.pop(0) if len(answers) > 1 else answers[0])(exchange)

        await scripted(kill_then_answer)
        bulk.write(texts(1))
        process = bulk.start()
        await asyncio.to_thread(process.communicate, timeout=30)
        assert 6 == (await bulk.run()).code
        assert 0 == (await bulk.run()).code
        assert ["fulfilled_by_unknown"] == [record["outcome"] for record in bulk.records()]

    async def test_a_line_that_was_taken_out_is_not_sent(self, scripted: Start, bulk: Bulk) -> None:
        """Though a run that was stopped had accepted it."""
        server = await scripted(REFUSED)
        bulk.write(texts(9))
        assert 6 == (await bulk.run("--concurrency", "1")).code
        server.steps = [TRUE]
        server.requests.clear()
        bulk.write(texts(9)[:2])
        ended = await bulk.run()
        assert (0, True) == (ended.code, "7 promises of an earlier run have no line" in ended.err)
        assert [b"t0", b"t1"] == sorted(request.payload for request in server.requests)

    async def test_a_payload_that_may_be_out_is_not_replaced(
        self, scripted: Start, bulk: Bulk
    ) -> None:
        """A line that was edited after a lost answer is a bad one."""
        server = await scripted(stall)
        bulk.write(texts(1))
        assert 1 == (await bulk.run("--timeout", "0.3")).code
        server.steps = [FALSE]
        bulk.write([{**texts(1)[0], "text": "edited"}])
        ended = await bulk.run("--retry-failed")
        assert "line 1: is not sent: an earlier run may have sent another payload" in ended.err
        bulk.write(texts(1))
        await bulk.run("--retry-failed")
        assert "fulfilled_by_unknown" == bulk.records()[-1]["outcome"]


class TestPipe:
    """`-` reads the standard input; a pipe may have a name, too."""

    async def test_a_slow_pipe_blocks_nothing(self, golem: FakeGolem, bulk: Bulk) -> None:
        """A line is sent when it comes; Ctrl-C ends the run though the pipe is open."""
        lines = list(lines_for(golem, 3).items())
        reading, writing = os.pipe()
        process = bulk.start(file="-", stdin=reading)
        os.close(reading)
        for promise, line in lines[:2]:
            os.write(writing, json.dumps(line).encode() + b"\n")
            assert b"t" in await asyncio.wait_for(golem.await_promise(promise), 40)
        await bulk.has_recorded(2)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.to_thread(process.communicate, timeout=40)
        assert 130 == process.returncode
        assert b"Traceback" not in err
        os.close(writing)

    async def test_a_refused_token_does_not_wait_for_the_next_line(
        self, scripted: Start, bulk: Bulk
    ) -> None:
        """Whatever feeds the pipe may be silent for long."""
        await scripted(REFUSED)
        reading, writing = os.pipe()
        os.write(writing, json.dumps(texts(1)[0]).encode() + b"\n")
        ended = await asyncio.wait_for(bulk.run(file=f"/dev/fd/{reading}"), 40)
        os.close(reading)
        os.close(writing)
        assert (6, True) == (ended.code, "stopped: " in ended.err)

    async def test_its_end_is_the_end_of_the_run(self, golem: FakeGolem, bulk: Bulk) -> None:
        """With the table."""
        lines = lines_for(golem, 3)
        reading, writing = os.pipe()
        os.write(writing, "".join(f"{json.dumps(line)}\n" for line in lines.values()).encode())
        os.close(writing)
        ended = await bulk.run(file=f"/dev/fd/{reading}")
        os.close(reading)
        assert (0, "3") == (ended.code, rows(ended.out)["fulfilled"])
        assert_each_has_its_own(golem, lines)


class TestStopping:
    """What will hit every line ends the run."""

    async def test_a_refused_token_stops_the_run(self, golem: FakeGolem, bulk: Bulk) -> None:
        """What it refused is as if it had not been sent: the next run sends it."""
        lines = lines_for(golem, 30)
        bulk.write(lines.values())
        golem.fail_next(401, times=99)
        ended = await bulk.run("--concurrency", "4")
        assert 6 == ended.code
        assert 4 >= len(golem.requests)
        assert ([], "30") == (bulk.records(), rows(ended.out)["not completed yet"])
        assert "stopped: " in ended.err
        golem.clear_faults()
        assert 0 == (await bulk.run()).code
        assert_each_has_its_own(golem, lines)

    async def test_a_missing_grant_is_the_result_of_its_line(
        self, golem: FakeGolem, bulk: Bulk
    ) -> None:
        """It is per environment: other lines may be of another one."""
        lines = lines_for(golem, 10)
        bulk.write(lines.values())
        golem.fail_next(403, promise_id=next(iter(lines)))
        for fulfilled in ("9", "9"):
            ended = await bulk.run()
            assert (1, fulfilled) == (ended.code, rows(ended.out)["fulfilled"])
            assert "1 of those that failed can still succeed: " in ended.err
        assert 0 == (await bulk.run("--retry-failed")).code
        assert_each_has_its_own(golem, lines)

    async def test_a_rate_limit_without_end_stops_the_run(
        self, golem: FakeGolem, bulk: Bulk
    ) -> None:
        """It is not delivered, and the next run goes on."""
        lines = lines_for(golem, 3)
        bulk.write(lines.values())
        golem.fail_next(429, retry_after=86400)
        ended = await bulk.run("--concurrency", "1")
        assert (7, []) == (ended.code, bulk.records())
        assert 1 == len(golem.requests)
        assert 0 == (await bulk.run()).code
        assert_each_has_its_own(golem, lines)


class TestOutages:
    """A Golem that is away holds the run, for as long as it is; no line fails."""

    @pytest.fixture(autouse=True)
    def _often(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(report, "_FIRST_QUIET", 0.05)
        monkeypatch.setattr(report, "_LONGEST_QUIET", 0.1)

    @pytest.mark.parametrize("max_attempts", [1, 10])
    @pytest.mark.parametrize("kind", ["refused", "503 to everything"])
    async def test_no_line_fails(
        self,
        golem: FakeGolem,
        bulk: Bulk,
        monkeypatch: pytest.MonkeyPatch,
        kind: str,
        max_attempts: int,
    ) -> None:
        """Although the outage outlasts the time of each line, and whatever the environment says."""
        monkeypatch.setenv("GOLEM_CLIENT_RETRY_MAX_ATTEMPTS", str(max_attempts))
        monkeypatch.setenv("GOLEM_CLIENT_OVERLOAD", "ignore")
        lines = lines_for(golem, 20)
        bulk.write(lines.values())
        async with AsyncExitStack() as outage:
            outage.callback(golem.clear_faults)
            if kind == "refused":
                await outage.enter_async_context(golem.outage())
            else:
                golem.fail_next(503, times=1_000_000)
            run = asyncio.create_task(bulk.run("--timeout", "0.8"))
            said = ""
            while not re.search("waiting for Golem for [1-9] s", said):
                await asyncio.sleep(0.02)
                assert not run.done(), run.result()
                said += bulk.capsys.readouterr().err
            assert [] == bulk.records()
        ended = await run
        (why,) = [line for line in said.splitlines() if "waiting for Golem: " in line]
        cause = {"refused": ": Connection refused. ", "503 to everything": "Golem: 503: "}[kind]
        assert cause in why
        assert "'golem-promise doctor', with the same options, looks for the cause" in why
        assert "golem-promise: 0 of 20, 0/s; waiting for Golem for " in said
        outcomes = [record["outcome"] for record in bulk.records()]
        # A call may be cut off by its own time right after the outage: then nobody can know.
        assert (0, 20) == (ended.code, len(outcomes)), ended.err
        assert {"fulfilled", "fulfilled_by_unknown"} >= set(outcomes)
        assert_each_has_its_own(golem, lines)

    async def test_the_cause_is_shown_for_a_single_line_too(
        self, golem: FakeGolem, bulk: Bulk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Though its first failure does not close the gate; the line is spared all the same."""
        monkeypatch.setattr(report, "_SHORT_TROUBLE", 0.1)
        monkeypatch.setenv("GOLEM_CLIENT_RETRY_MAX_ATTEMPTS", "1")
        bulk.write(lines_for(golem, 1).values())
        async with golem.outage():
            run = asyncio.create_task(bulk.run())
            said = ""
            while "waiting for Golem: cannot connect to " not in said:
                await asyncio.sleep(0.02)
                assert not run.done(), run.result()
                said += bulk.capsys.readouterr().err
        assert 0 == (await run).code

    async def test_a_limited_rate_fails_no_line(
        self, golem: FakeGolem, bulk: Bulk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Even where each call sends once: its line has another turn."""
        monkeypatch.setenv("GOLEM_CLIENT_RETRY_MAX_ATTEMPTS", "1")
        lines = lines_for(golem, 3)
        bulk.write(lines.values())
        golem.fail_next(429, times=4)
        assert 0 == (await bulk.run()).code
        assert 7 == len(golem.requests)
        assert_each_has_its_own(golem, lines)

    async def test_a_line_that_fails_among_others_is_its_own_failure(
        self, golem: FakeGolem, bulk: Bulk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One dead executor of Golem holds nobody up."""
        monkeypatch.setenv("GOLEM_CLIENT_RETRY_MAX_ATTEMPTS", "3")
        monkeypatch.setenv("GOLEM_CLIENT_RETRY_MAX_DELAY", "0.1")
        lines = lines_for(golem, 60)
        golem.fail_next(503, promise_id=next(iter(lines)), times=9)
        golem.latency(0.02)
        bulk.write(lines.values())
        ended = await bulk.run("--concurrency", "2")
        assert (1, "59") == (ended.code, rows(ended.out)["fulfilled"])
        assert "1" == rows(ended.out)["ServerError"]

    async def test_ctrl_c_ends_it(self, golem: FakeGolem, bulk: Bulk) -> None:
        """What it held is sent by the same command later."""
        lines = lines_for(golem, 5)
        bulk.write(lines.values())
        async with golem.outage():
            process = bulk.start("--timeout", "0.1")
            while not bulk.journal.exists():  # noqa: ASYNC110 - a file tells nobody that it is made
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            process.send_signal(signal.SIGINT)
            out, err = await asyncio.to_thread(process.communicate, timeout=30)
        assert (130, "5") == (process.returncode, rows(out.decode())["not completed yet"])
        assert b"the same command goes on" in err
        assert ([], False) == (bulk.records(), bulk.journal.exists())  # nothing was sent
        assert 0 == (await bulk.run()).code
        assert_each_has_its_own(golem, lines)

    async def test_a_server_that_does_not_exist_ends_the_run(
        self, golem: FakeGolem, bulk: Bulk
    ) -> None:
        """A name with a typing error would not come back; the right one is taken then."""
        lines = lines_for(golem, 30)
        bulk.write(lines.values())
        ended = await bulk.run("--url", "http://no-such-host.invalid", "--timeout", "5")
        assert (7, "30") == (ended.code, rows(ended.out)["not completed yet"])
        assert "stopped: " in ended.err
        assert "no-such-host.invalid" in ended.err
        assert "golem-promise doctor" in ended.err
        assert [] == bulk.records()
        assert 0 == (await bulk.run()).code
        assert_each_has_its_own(golem, lines)


class TestDryRun:
    """Every line is checked, and nothing is sent."""

    async def test_nothing_is_sent_or_written(self, bulk: Bulk) -> None:
        """It needs no Golem."""
        bulk.write(texts(3))
        ended = await bulk.run("--dry-run")
        assert (0, "") == (ended.code, ended.err)
        assert "lines to send: 3, bad lines: 0." in ended.out
        assert ["in.jsonl"] == [path.name for path in bulk.folder.iterdir()]

    async def test_bad_lines_are_reported(self, golem: FakeGolem, bulk: Bulk) -> None:
        """And what is recorded is not counted."""
        lines = list(lines_for(golem, 3).values())
        bulk.write(lines[:1])
        await bulk.run()
        bulk.write([*lines, "{"])
        before = bulk.results.read_bytes()
        ended = await bulk.run("--dry-run")
        assert 1 == ended.code
        assert "lines to send: 2, bad lines: 1." in ended.out
        assert "line 4: is not JSON" in ended.err
        assert before == bulk.results.read_bytes()


class TestUsage:
    """What is wrong is said before anything is sent."""

    @pytest.mark.parametrize(
        "options",
        [
            ("--concurrency", "0"),
            ("--concurrency", "1001"),
            ("--timeout", "0"),
            ("--url", "ftp://x"),
            ("--no-such-option",),
        ],
    )
    async def test_wrong_usage_is_exit_code_2(self, bulk: Bulk, options: tuple[str, ...]) -> None:
        """As everywhere."""
        bulk.write(texts(1))
        assert 2 == (await bulk.run(*options)).code

    async def test_a_file_that_is_not_there_is_wrong_usage(self, bulk: Bulk) -> None:
        """No results file is made."""
        assert 2 == (await bulk.run()).code
        assert not bulk.results.exists()

    async def test_retry_failed_needs_results(self, bulk: Bulk) -> None:
        """Nothing else knows what failed."""
        bulk.write(texts(1))
        assert 2 == (await bulk.run("--retry-failed", results=False)).code

    async def test_the_help_fits_a_terminal(self, bulk: Bulk) -> None:
        """And has examples and the exit codes."""
        out = (await bulk.run("--help", results=False)).out
        assert 80 >= max(map(len, out.splitlines()))
        assert "Examples:" in out
        assert "Exit codes:" in out


class TestProcess:
    """What only a process of its own can show."""

    async def test_a_killed_run_goes_on_where_it_stopped(
        self, golem: FakeGolem, bulk: Bulk
    ) -> None:
        """Every promise is completed once, with its own payload; little is sent twice."""
        lines = lines_for(golem, 300)
        golem.random_faults(0.1, seed=2)
        golem.latency(0.01)
        bulk.write(lines.values())
        process = bulk.start("--concurrency", "8")
        await bulk.has_recorded(100)
        process.kill()
        await asyncio.to_thread(process.communicate, timeout=30)
        recorded = bulk.results.read_bytes().count(b"\n")
        assert 100 <= recorded < 290
        golem.clear_requests()
        golem.clear_faults()
        ended = await bulk.run()
        assert 0 == ended.code
        sent = {str(request.promise_id) for request in golem.requests}
        assert 300 - recorded == len(sent)
        assert_each_has_its_own(golem, lines)
        assert {line["id"] for line in lines.values()} == {r["id"] for r in bulk.records()}
        assert 300 == len(bulk.records())
        assert not bulk.journal.exists()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    async def test_ctrl_c_ends_at_once_with_a_clear_state(
        self, golem: FakeGolem, bulk: Bulk, number: signal.Signals
    ) -> None:
        """A polite kill too; the same command goes on."""
        lines = lines_for(golem, 40)
        bulk.write(lines.values())
        for promise in list(lines)[20:]:
            golem.stall_next(applied=True, promise_id=promise)
        process = bulk.start("--concurrency", "8")
        await bulk.has_recorded(20)
        while len(golem.requests) < 28:  # noqa: ASYNC110 - nor does the fake
            await asyncio.sleep(0.005)
        sent_at = time.monotonic()
        process.send_signal(number)
        out, err = await asyncio.to_thread(process.communicate, timeout=30)
        assert 130 == process.returncode
        assert 10 > time.monotonic() - sent_at  # a line has 30 s
        assert b"interrupted: " in err
        assert b"the same command goes on" in err
        assert b"Traceback" not in err
        assert "20" == rows(out.decode())["fulfilled"]
        assert "20" == rows(out.decode())["not completed yet"]
        golem.clear_faults()
        assert 0 == (await bulk.run()).code
        assert_each_has_its_own(golem, lines)
        outcomes = [record["outcome"] for record in bulk.records()[20:]]
        assert 8 == outcomes.count("fulfilled_by_unknown")

    async def test_ctrl_c_does_not_wait_for_a_name(self, bulk: Bulk) -> None:
        """The thread that looks it up may take a minute."""
        asked = bulk.folder / "asked"
        program = f"""
import pathlib, socket, time
from golem_client.cli import main
def look_up(*_, **__):
    pathlib.Path({str(asked)!r}).touch()
    time.sleep(60)
socket.getaddrinfo = look_up
main()
"""
        bulk.write(texts(1))
        process = bulk.start("--url", "http://golem.example", program=program)
        async with asyncio.timeout(30):
            while not asked.exists():  # noqa: ASYNC110 - a file tells nobody that it is made
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(process.communicate, timeout=30)
        assert (130, "1") == (process.returncode, rows(out.decode())["not completed yet"])
        assert b"the same command goes on" in err

    async def test_a_broken_pipe_is_silent(self, golem: FakeGolem, bulk: Bulk) -> None:
        """The run goes on: its results are in the file."""
        lines = lines_for(golem, 3)
        bulk.write([*lines.values(), "bad"])
        reading, writing = os.pipe()
        os.close(reading)
        process = bulk.start(stdout=writing, stderr=writing)
        os.close(writing)
        await asyncio.to_thread(process.communicate, timeout=30)
        assert 1 == process.returncode
        assert_each_has_its_own(golem, lines)
        assert 4 == len(bulk.records())

    async def test_a_terminal_shows_one_line(self, golem: FakeGolem, bulk: Bulk) -> None:
        """A bar and counts, no wider than the terminal; messages stay above it."""
        golem.latency(0.01)
        bulk.write([*lines_for(golem, 300).values(), '{"id": "%s"}' % ("x" * 200)])
        screen, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 80))
        process = bulk.start("--concurrency", "8", stdout=terminal, stderr=terminal)
        os.close(terminal)
        shown = await asyncio.to_thread(read_all, screen)
        assert 1 == await asyncio.to_thread(process.wait)
        pieces = re.split(r"[\r\n]+(?:\x1b\[K)?", shown)
        assert 80 > max(map(len, pieces))
        on_the_way = [piece for piece in pieces if re.match(r"\[#* *\] [\d,]+ of 301, ", piece)]
        assert re.search(r"of 301, [\d,]+/s, 0:0\d left, \d+ fulfilled, 1 bad", on_the_way[-1])
        assert any("line 301: " in piece for piece in pieces)
        assert "\x1b" not in "".join(pieces)


class TestReport:
    """What is shown on the way, and at the end."""

    def test_the_progress_says_how_far_and_how_fast(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """How long still, and what it came to."""
        monkeypatch.setattr(time, "monotonic", lambda: 5.0)
        shown = Report(total=200_000, before=50_000, began=0.0)
        shown.all.update(fulfilled=54_900, failed=100)
        progress = "55,000 of 200,000, 1,000/s, 2:25 left, 54,900 fulfilled, 100 failed"
        assert ("[##        ] ", progress) == (shown.bar(), shown.progress())
        assert "" == Report().bar()

    def test_the_table_fits_a_terminal(self) -> None:
        """With the longest names and numbers."""
        shown = Report(before=123_456_789)
        for name in ("fulfilled", "failed", "bad_line", "repeated_line"):
            shown.all[name] = 123_456_789
        shown.errors["UnexpectedResponseError"] = 123_456_789
        assert 80 >= max(map(len, shown.table().splitlines()))
