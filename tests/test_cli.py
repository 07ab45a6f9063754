"""The command `golem-promise` itself: its help, its pipes, its terminal, and Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from golem_client import cli
from golem_client.cli.group import COMMANDS
from golem_client.cli.screen import warn
from golem_client.testing import FakeGolem
from golem_client.version import __version__
from tests.command_line import (
    COMMAND,
    command,
    environment,
    first_line,
    golem_promise,
    ran,
    read_all,
)
from tests.interpreters import Child
from tests.samples import PROMISE_ID
from tests.scripted_server import ScriptedServer, stall

UUID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
OURS = sorted(set(COMMANDS) - {"bulk"})


class TestHelp:
    """`--help` and `--version`."""

    @pytest.mark.parametrize("name", [*OURS, None])
    async def test_it_fits_a_terminal_and_has_examples(self, name: str | None) -> None:
        """80 columns; the last may make an empty line."""
        ran = await golem_promise(*([name] if name else []), "--help")
        assert (0, "") == (ran.code, ran.err)
        assert [] == [line for line in ran.out.splitlines() if len(line) > 79]
        assert ("Examples:" in ran.out, f"golem-promise {name or 'serve'}" in ran.out) == (
            True,
            True,
        )

    async def test_it_lists_every_command(self) -> None:
        """Without importing one: its list is its own."""
        ran = await golem_promise("--help")
        listed = re.findall(r"^  (\w+)  ", ran.out.partition("Commands:")[2], re.MULTILINE)
        assert sorted(COMMANDS) == listed

    @pytest.mark.parametrize("name", OURS)
    async def test_every_command_is_what_the_list_says(self, name: str) -> None:
        """Its first line of help begins as the list has it, or says as much."""
        ran = await golem_promise(name, "-h")
        assert ran.out.startswith(f"Usage: golem-promise {name} ")

    async def test_the_version(self) -> None:
        """Ours, and Python's."""
        ran = await golem_promise("--version")
        python = sys.version.split()[0]
        assert (0, f"golem-promise {__version__} (Python {python})\n") == (ran.code, ran.out)

    @pytest.mark.parametrize("arguments", [(), ("outbox",)])
    async def test_no_command(self, arguments: tuple[str, ...]) -> None:
        """The help says which there are, and nothing else is said."""
        ran = await golem_promise(*arguments)
        helped = await golem_promise(*arguments, "--help")
        assert (2, "", helped.out) == (ran.code, ran.out, ran.err)

    async def test_an_option_of_a_command_before_it(self) -> None:
        """Where it belongs is said."""
        ran = await golem_promise("--url", "http://localhost:9881", "parse", str(PROMISE_ID))
        assert (2, True) == (ran.code, "--url follows the name of the command" in ran.err)

    async def test_an_unknown_command(self) -> None:
        """It is wrong usage."""
        ran = await golem_promise("compleet")
        assert (2, True) == (ran.code, "No such command 'compleet'" in ran.err)


class TestParse:
    """`golem-promise parse`: offline."""

    async def test_for_people(self) -> None:
        """Each part is a line that can be copied."""
        ran = await golem_promise("parse", 'f81d4fae7dec11d0a76500a0c91e6bf6/MyAgent("x y")/42')
        assert (0, "") == (ran.code, ran.err)
        rest_json = json.dumps(
            {"workerId": {"componentId": UUID, "workerName": 'MyAgent("x y")'}, "oplogIdx": 42}
        )
        assert [
            'promise      f81d4fae-7dec-11d0-a765-00a0c91e6bf6/MyAgent("x y")/42',
            "component id f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "high bits    17878533706586264016",
            "low bits     12062047867550723062",
            'worker name  MyAgent("x y")',
            "oplog idx    42",
            'worker urn   urn:worker:f81d4fae-7dec-11d0-a765-00a0c91e6bf6/MyAgent("x y")',
            f"rest path    /v1/components/{UUID}/workers/MyAgent%28%22x%20y%22%29/complete",
            "rest json    " + rest_json,
        ] == ran.out.splitlines()

    async def test_for_programs(self) -> None:
        """What it prints is read back; the halves are text, which nobody rounds."""
        spelling = json.dumps(PROMISE_ID.to_json())
        ran = await golem_promise("parse", spelling, "--output", "json")
        parts = json.loads(ran.out)
        assert PROMISE_ID.to_json() == parts["rest_json"]
        assert ("17878533706586264016", "w1", 42) == (
            parts["high_bits"],
            parts["worker_name"],
            parts["oplog_idx"],
        )

    async def test_a_name_of_any_script(self) -> None:
        """In text as it is; in JSON as ASCII."""
        promise_id = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/\u043f/1"
        text = await golem_promise("parse", promise_id)
        ascii_only = await golem_promise("parse", promise_id, "--output", "json")
        assert ("\u043f" in text.out, ascii_only.out.isascii()) == (True, True)

    async def test_what_is_no_id(self) -> None:
        """It says what is wrong, and then how to get help."""
        ran = await golem_promise("parse", "urn:worker:f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1")
        first, *_, last = ran.err.splitlines()
        assert (2, "", True) == (
            ran.code,
            ran.out,
            first.startswith("golem-promise: Invalid value"),
        )
        assert "golem-promise: see 'golem-promise parse --help'" == last

    @pytest.mark.parametrize("command", ["parse", "complete"])
    async def test_a_key_of_an_outbox(self, command: str) -> None:
        """It says how its promise is found; what looks like an id is not taken for a key."""
        ran = await golem_promise(command, "order-18")
        assert (2, True) == (ran.code, "golem-promise outbox PLACE show --key order-18" in ran.err)
        assert "outbox" not in (await golem_promise(command, "a/b/3")).err


class TestWithoutTheExtra:
    """Where `click` is not installed."""

    def test_one_line_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """And nothing is imported that would fail."""
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(SystemExit, match="golem-promise needs click") as ended:
            cli.main()
        assert str(ended.value.code).endswith('"golem-client[cli]"')

    def test_the_version_needs_no_command(self) -> None:
        """Nor the help: each command is imported when it is called."""
        program = (
            "import sys; from golem_client.cli.group import run; run(['--help'])\n"
            "names = {name for name in sys.modules if name.startswith('golem_client.cli.')}\n"
            "assert 'aiohttp.web' not in sys.modules\n"
            "print('loaded', *sorted(names))"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            check=True,
            capture_output=True,
            text=True,
        )
        assert (
            "loaded golem_client.cli.exit_codes golem_client.cli.group golem_client.cli.screen"
            == done.stdout.splitlines()[-1]
        )


class TestProcess:
    """The real command, as a process."""

    async def test_piped(self, tmp_path: Path) -> None:
        """With no terminal anywhere, each sentence is one line."""
        async with FakeGolem() as golem:
            promise_id = str(golem.create_promise())
            arguments = ("complete", promise_id, "--stdin", "--url", golem.url)
            async with command(tmp_path, *arguments) as process:
                first = await ran(process, b"\xff\x00")
            async with command(tmp_path, *arguments) as process:
                second = await ran(process, b"\xff\x00")
            assert b"\xff\x00" == golem.payload(promise_id)
        assert (0, "", 1) == (first.code, first.err, first.out.count("\n"))
        assert (3, "", 1) == (second.code, second.err, second.out.count("\n"))

    async def test_a_reader_that_left(self, tmp_path: Path) -> None:
        """Nothing is said of it, and the exit code is that of the completion."""
        async with FakeGolem() as golem:
            promise_id = str(golem.create_promise())
            reader, writer = os.pipe()
            os.close(reader)
            arguments = ("complete", promise_id, "--text", "x", "--url", golem.url)
            async with command(tmp_path, *arguments, stdout=writer) as process:
                os.close(writer)
                done = await ran(process)
            assert b"x" == golem.payload(promise_id)
        assert (0, "") == (done.code, done.err)

    async def test_a_full_disk(self, tmp_path: Path) -> None:
        """It changes nothing of what was done, nor the exit code; the result is told elsewhere."""
        async with FakeGolem() as golem:
            arguments = ("complete", str(golem.create_promise()), "--text", "x", "--url", golem.url)
            with open("/dev/full", "w") as full:  # noqa: ASYNC230 - it opens at once
                async with command(tmp_path, *arguments, stdout=full) as process:
                    done = await ran(process)
        assert (0, 1) == (done.code, done.err.count("\n"))
        assert "this line could not be written (No space left on device): " in done.err
        assert "fulfilled" in done.err

    async def test_full_disks_everywhere(self, tmp_path: Path) -> None:
        """The exit code says all that can be said."""
        with open("/dev/full", "w") as full:  # noqa: ASYNC230 - it opens at once
            async with command(tmp_path, "parse", "zork", stdout=full, stderr=full) as process:
                assert 2 == (await ran(process)).code

    async def test_help_onto_a_full_disk(self, tmp_path: Path) -> None:
        """One line says so: no traceback, and no complaint at the end."""
        with open("/dev/full", "w") as full:  # noqa: ASYNC230 - it opens at once
            async with command(tmp_path, "--help", stdout=full) as process:
                done = await ran(process)
        assert (1, "golem-promise: failed: No space left on device\n") == (done.code, done.err)

    def test_a_terminal_that_is_ascii(self, tmp_path: Path) -> None:
        """What it cannot show is escaped."""
        done = subprocess.run(
            [*COMMAND, "parse", f"{UUID}/\u0431\u20ac/1"],
            env={**environment(tmp_path), "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            check=False,
        )
        assert (0, b"", True) == (done.returncode, done.stderr, rb"\u0431\u20ac" in done.stdout)

    async def test_help_into_a_pipe_that_nobody_reads(self, tmp_path: Path) -> None:
        """As in `golem-promise --help | head -1`; the exit code is click's own."""
        reader, writer = os.pipe()
        os.close(reader)
        async with command(tmp_path, "--help", stdout=writer) as process:
            os.close(writer)
            done = await ran(process)
        assert "" == done.err

    @pytest.mark.parametrize(("text", "code"), [(PROMISE_ID, 0), ("zork", 2)])
    def test_closed_streams(self, tmp_path: Path, text: object, code: int) -> None:
        """As with `<&- >&- 2>&-` in a shell."""
        line = f'"$@" parse {text} <&- >&- 2>&-'
        done = subprocess.run(
            ["sh", "-c", line, "sh", *COMMAND], env=environment(tmp_path), check=False
        )
        assert code == done.returncode

    async def test_ctrl_c_ends_a_call_at_once(self, tmp_path: Path) -> None:
        """It says that the outcome is unknown, and what to do."""
        async with ScriptedServer(stall) as server:
            arguments = ("complete", str(PROMISE_ID), "--text", "x", "--url", server.url)
            async with command(tmp_path, *arguments) as process:
                await asyncio.wait_for(server.is_asked(), 30)
                process.send_signal(signal.SIGINT)
                done = await asyncio.wait_for(ran(process), 30)
        assert (130, "") == (done.code, done.out)
        assert done.err.startswith("golem-promise: interrupted: the promise may be completed, or")
        assert 1 == done.err.count("\n")

    async def test_ctrl_c_while_reading(self, tmp_path: Path) -> None:
        """Nothing was sent then."""
        terminal, end = pty.openpty()
        arguments = ("complete", str(PROMISE_ID), "--stdin")
        async with command(tmp_path, *arguments, stdin=end) as process:
            line = await first_line(process.stderr)
            await asyncio.sleep(0.2)  # until it reads indeed
            process.send_signal(signal.SIGINT)
            done = await asyncio.wait_for(ran(process), 30)
        os.close(terminal)
        os.close(end)
        assert "golem-promise: reading the payload from the terminal" == line[:52]
        assert (130, "", "golem-promise: interrupted") == (done.code, done.out, done.err.strip())

    @pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
    async def test_serve_ends_with_a_signal(self, tmp_path: Path, name: signal.Signals) -> None:
        """That is how it is meant to end."""
        async with command(tmp_path, "serve", "--port", "0", "--faults", "0.3") as process:
            url = (await first_line(process.stdout)).rstrip("\n")
            assert url.startswith("http://127.0.0.1:")
            promise_id = "679ae459-8700-41d9-920c-7e2887459c94/w/1"
            one = await golem_promise("complete", promise_id, "--text", "x", "--url", url)
            process.send_signal(name)
            done = await asyncio.wait_for(ran(process), 30)
        assert (5, 0) == (one.code, done.code)
        assert "golem-promise: stopped: 0 promises completed, 0 pending\n" == done.err
        assert [] == [text for text in done.out.splitlines() if len(text) > 79]


class TestTerminal:
    """On a terminal of 80 columns."""

    def test_sentences_are_wrapped_to_it(self, tmp_path: Path) -> None:
        """And values are not, so that they can be copied."""
        name = 'Agent("' + "long " * 20 + '")'
        text = on_a_terminal(tmp_path, "parse", f"f81d4fae-7dec-11d0-a765-00a0c91e6bf6/{name}/1")
        assert f"worker name  {name}" in text.splitlines()
        text = on_a_terminal(tmp_path, "complete", str(PROMISE_ID), "--profile", "cloud")
        lines = text.splitlines()
        assert (True, True) == (len(lines) > 2, all(len(line) < 80 for line in lines))

    def test_it_says_that_it_reads_from_it(self, tmp_path: Path) -> None:
        """And how to end that."""
        text = on_a_terminal(
            tmp_path, "complete", str(PROMISE_ID), "--stdin", typed=b"\x04", width=200
        )
        assert ("Ctrl-D" in text, "--stdin is empty" in text) == (True, True)


def on_a_terminal(home: Path, *arguments: str, typed: bytes = b"", width: int = 80) -> str:
    """Run a command on a terminal of its own, and return what is on it."""
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, width))
    environ = {**environment(home), "COLUMNS": str(width), "TERM": "xterm"}
    streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    process = Child("-m", "golem_client", *arguments, env=environ, **streams)
    os.close(terminal)
    os.write(screen, typed)
    seen = read_all(screen)
    process.close()
    return seen.replace("\r\n", "\n")


def test_a_message_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """A server may have worded it."""
    warn("no\x1b[2J\rway")
    assert "golem-promise: no [2J way\n" == capsys.readouterr().err
