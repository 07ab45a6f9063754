"""`golem-promise complete`: what is sent, what is said, and how it exits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import golem_client
from golem_client import GolemError
from golem_client.cli.exit_codes import TABLE, ExitCode, code_of_error
from golem_client.cli.strict_json import JsonError, check_json
from golem_client.testing import FakeGolem
from tests.command_line import golem_promise
from tests.scripted_server import ScriptedServer, answer

ID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"
QUICK = {"GOLEM_CLIENT_RETRY_MIN_DELAY": "0", "GOLEM_CLIENT_RETRY_MAX_DELAY": "0"}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Return an environment in which nothing leads to a Golem."""
    for name in os.environ:
        if name.startswith("GOLEM_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


class TestPayload:
    """Exactly one option says what is sent."""

    @pytest.mark.parametrize(
        ("options", "stdin", "expected"),
        [
            (["--json", '{"approved": true}'], b"", b'{"approved": true}'),
            (["--json", " [1.10, 1e2, 12345678901234567890.0] "], b"", None),
            (["--json", '"\u00fc"'], b"", '"\u00fc"'.encode()),
            (["--json", "null"], b"", b"null"),
            (["--text", "approved"], b"", b"approved"),
            (["--text", "\u00fc \U0001f600\n"], b"", "\u00fc \U0001f600\n".encode()),
            (["--stdin"], b"\x00\xff\n", b"\x00\xff\n"),
            (["--empty"], b"ignored", b""),
        ],
    )
    async def test_it_is_sent_byte_for_byte(
        self, options: list[str], stdin: bytes, expected: bytes | None
    ) -> None:
        """JSON too: re-encoded, its numbers might change."""
        async with FakeGolem() as golem:
            promise_id = golem.create_promise()
            ran = await golem_promise(
                "complete", str(promise_id), *options, "--url", golem.url, stdin=stdin
            )
            payload = golem.payload(promise_id)
        assert (0, options[-1].encode() if expected is None else expected) == (ran.code, payload)

    async def test_it_may_be_in_a_file(self, tmp_path: Path) -> None:
        """Of any bytes."""
        (tmp_path / "data").write_bytes(bytes(range(256)))
        async with FakeGolem() as golem:
            promise_id = golem.create_promise()
            path = str(tmp_path / "data")
            await golem_promise("complete", str(promise_id), "--file", path, "--url", golem.url)
            assert bytes(range(256)) == golem.payload(promise_id)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ([], "exactly one of --json, --text, --file, --stdin and --empty"),
            (["--json", "1", "--text", "1"], "not --json and --text"),
            (["--stdin", "--empty"], "not --stdin and --empty"),
            (["--text", "", "--empty"], "not --text and --empty"),
            (["--json", ""], "--json is not JSON that a worker reads: Expecting value"),
            (["--text", ""], "--text is empty"),
            (["--stdin"], "--stdin is empty"),
            (["--file", "/dev/null"], "--file is empty"),
            (["--file", "/no/such/file"], "No such file"),
            (["--file", "/dev/zero"], "--file has more than the 4,000,000 bytes"),
            (["--text", "\udcff"], "--text is not UTF-8"),
            (["--json", '"\udcff"'], "--json is not UTF-8"),
            (["--json", '{"a": zorro}'], "--json is not JSON that a worker reads"),
        ],
    )
    async def test_anything_else_is_wrong_usage(self, options: list[str], message: str) -> None:
        """Nothing is sent: there is nobody at that address who could take it."""
        ran = await golem_promise("complete", ID, *options, "--url", "http://127.0.0.1:1")
        assert (2, "", True) == (ran.code, ran.out, message in ran.err)
        assert "zorro" not in ran.err


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"a": [1, -0.5, 1e308, "\\ud83d\\ude00"], "b": {"a": null}}',
        "123456789012345678901234567890",
        "[" * 127 + "]" * 127,
        "[" * 127 + '"x"' + "]" * 127,
    ],
)
def test_json_that_a_worker_reads(text: str) -> None:
    """serde_json does, and there is one way to."""
    check_json(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NaN", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("1e999", "beyond the range of f64"),
        ("1" + "0" * 400, "beyond the range of f64"),
        ("1" * 5000, "beyond the range of f64"),
        ('{"a": 1, "a": 1}', "a key twice"),
        ('{"b": [{"a": 1, "\\u0061": 2}]}', "a key twice"),
        ('"\\ud800"', "a lone surrogate"),
        ('{"\\udc00": 1}', "a lone surrogate"),
        ("[" * 128 + "]" * 128, "deeper than 127"),
        ("[" * 100_000, "deeper than 127"),
        ("\ufeff{}", "Unexpected UTF-8 BOM"),
        ("{'a': 1}", "Expecting property name"),
        ("{} {}", "Extra data at line 1, column 4"),
        ('"\t"', "Invalid control character"),
        ("01", "Extra data"),
    ],
)
def test_json_that_no_worker_reads_or_that_is_ambiguous(text: str, message: str) -> None:
    """It would fail the worker for good."""
    with pytest.raises(JsonError, match=message):
        check_json(text)


class TestOutcome:
    """What is said, and the exit code."""

    @pytest.mark.parametrize(
        ("dialect", "idx", "code"), [("1.1", 99, 5), ("1.3", 99, 5), ("1.5", 99, 5)]
    )
    async def test_a_promise_that_is_not_there(self, dialect: str, idx: int, code: int) -> None:
        """In each dialect."""
        async with FakeGolem(dialect=dialect) as golem:
            promise_id = f"{golem.create_promise().worker_id}/{idx}"
            ran = await golem_promise("complete", promise_id, "--json", "1", "--url", golem.url)
        assert (code, "", True) == (ran.code, ran.out, "no such promise" in ran.err)

    async def test_fulfilled_and_then_already_fulfilled(self) -> None:
        """A second time it is another's, as far as Golem tells."""
        async with FakeGolem() as golem:
            arguments = ("complete", str(golem.create_promise()), "--text", "x", "--url", golem.url)
            first, second = await golem_promise(*arguments), await golem_promise(*arguments)
        assert [
            (0, "fulfilled: this payload is stored (1 attempt)\n", ""),
            (3, "already fulfilled: another payload is stored, and stays (1 attempt)\n", ""),
        ] == [(ran.code, ran.out, ran.err) for ran in (first, second)]

    async def test_by_unknown(self) -> None:
        """After a lost answer."""
        async with FakeGolem() as golem:
            promise_id = golem.create_promise()
            golem.drop_next(applied=True)
            ran = await golem_promise(
                "complete", str(promise_id), "--text", "x", "--url", golem.url
            )
        assert (4, "fulfilled by unknown: it is completed, but") == (ran.code, ran.out[:42])

    @pytest.mark.parametrize(
        ("status", "body", "code"),
        [
            (401, b'{"code":"AUTH_UNAUTHORIZED","error":"no"}', 6),
            (403, b'{"code":"AUTH_FORBIDDEN","error":"no"}', 6),
            (404, b'{"code":"COMPONENT_NOT_FOUND","error":"Component not found"}', 5),
            (400, b'{"code":"INVALID_WORKER_ID","errors":["no"]}', 8),
            (413, b"", 8),
            (409, b"", 8),
            (302, b"", 8),
            (204, b"", 8),
            (500, b"", 7),
            (503, b"", 7),
            (429, b"", 7),
            (408, b"", 7),
        ],
    )
    async def test_a_refusal(
        self, settings: pytest.MonkeyPatch, status: int, body: bytes, code: int
    ) -> None:
        """By whether it was delivered, and by what to do."""
        settings.setenv("GOLEM_CLIENT_RETRY_MAX_ATTEMPTS", "2")
        async with ScriptedServer(answer(status, body)) as server:
            ran = await golem_promise("complete", ID, "--text", "x", "--url", server.url)
        assert (code, "") == (ran.code, ran.out)

    async def test_nobody_answers(self) -> None:
        """The port is closed."""
        ran = await golem_promise(
            "complete", ID, "--text", "x", "--url", "http://127.0.0.1:1", "--timeout", "0.2"
        )
        assert (7, "") == (ran.code, ran.out)

    async def test_json_for_programs(self) -> None:
        """One line."""
        async with FakeGolem() as golem:
            promise_id = golem.create_promise()
            arguments = ("--output", "json", "--text", "x", "--url", golem.url)
            done = await golem_promise("complete", str(promise_id), *arguments)
            gone = await golem_promise("complete", f"{promise_id}9", *arguments)
        assert {
            "promise": str(promise_id),
            "attempts": 1,
            "outcome": "fulfilled",
            "by_this_call": True,
        } == json.loads(done.out)
        failed = json.loads(gone.out)
        assert ("no such promise" in failed.pop("message"), gone.err, gone.code) == (True, "", 5)
        assert {
            "promise": f"{promise_id}9",
            "attempts": 1,
            "outcome": None,
            "error": "PromiseNotFoundError",
            "status": 500,
            "code": "INTERNAL_UNKNOWN",
            "may_have_completed": False,
            "worth_retrying": False,
        } == failed

    async def test_each_earlier_attempt_is_a_line(self) -> None:
        """Where they differ."""
        async with ScriptedServer(answer(503, b""), answer(404, b"not found", "text/plain")) as it:
            ran = await golem_promise("complete", ID, "--text", "x", "--url", it.url)
        assert (5, True) == (ran.code, "\ngolem-promise: before it, once: ServerError" in ran.err)


class TestIds:
    """Any spelling is taken, and only ids."""

    async def test_a_json_id(self) -> None:
        """As the REST API writes it."""
        async with FakeGolem() as golem:
            promise_id = golem.create_promise()
            spelling = json.dumps(promise_id.to_json())
            ran = await golem_promise("complete", spelling, "--text", "x", "--url", golem.url)
        assert ran.code == 0

    @pytest.mark.parametrize("text", ["", "zork", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/1.0"])
    async def test_what_is_no_id(self, text: str) -> None:
        """It says why."""
        ran = await golem_promise("complete", text, "--text", "x")
        assert (2, True) == (ran.code, "Invalid value for 'ID': " in ran.err)


class TestTarget:
    """Where it is sent, and with which token."""

    async def test_the_environment_says(self, settings: pytest.MonkeyPatch) -> None:
        """Where the command line does not."""
        async with FakeGolem(token="token-of-the-environment") as golem:
            settings.setenv("GOLEM_URL", golem.url)
            settings.setenv("GOLEM_AUTH_TOKEN", golem.token)
            ran = await golem_promise("complete", str(golem.create_promise()), "--text", "x")
        assert ran.code == 0

    async def test_a_token_file(self, settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """It wins over the environment, and may end in a newline."""
        (tmp_path / "token").write_text("token-of-the-file-1\n")
        settings.setenv("GOLEM_AUTH_TOKEN", "token-of-the-environment")
        async with FakeGolem(token="token-of-the-file-1") as golem:
            promise_id = str(golem.create_promise())
            file = ("--token-file", str(tmp_path / "token"))
            ran = await golem_promise(
                "complete", promise_id, "--text", "x", "--url", golem.url, *file
            )
        assert ran.code == 0

    async def test_a_profile(self, settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Address and token; the environment's are another server's."""
        settings.setenv("GOLEM_URL", "http://127.0.0.1:1")
        settings.setenv("GOLEM_AUTH_TOKEN", "token-of-the-environment")
        async with FakeGolem(token="token-of-the-profile") as golem:
            auth = {"Static": {"secret": golem.token}}
            profile = {"profiles": {"p": {"customUrl": golem.url, "auth": auth}}}
            (tmp_path / ".golem").mkdir()
            (tmp_path / ".golem" / "config-v4.json").write_text(json.dumps(profile))
            promise_id = str(golem.create_promise())
            ran = await golem_promise("complete", promise_id, "--text", "x", "--profile", "p")
        assert ran.code == 0

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--url", "zork"], "--url must start with"),
            (["--url", "http://x", "--profile", "p"], "--url and --profile name two servers"),
            (["--profile", "p"], "there is no profile 'p'"),
            (["--profile", "cloud"], "has no token"),
            (["--token-file", "/no/such/file"], "No such file"),
            (["--token-file", "/dev/null"], "does not hold a token"),
            (["--token-file", "/dev/zero"], "does not hold a token"),
            (["--timeout", "0"], "a finite number greater than 0"),
            (["--timeout", "nan"], "a finite number greater than 0"),
            (["--timeout", "inf"], "a finite number greater than 0"),
            (["--token", "x"], "No such option"),
            (["--output", "xml"], "is not one of"),
        ],
    )
    async def test_a_wrong_setting(self, options: list[str], message: str) -> None:
        """It is named, before anything is sent."""
        ran = await golem_promise("complete", ID, "--text", "x", *options)
        assert (2, "", True) == (ran.code, ran.out, message in ran.err)

    async def test_a_token_in_the_clear_is_one_line(self, settings: pytest.MonkeyPatch) -> None:
        """Not a warning of Python's, with a path and a line of code."""
        settings.setenv("GOLEM_AUTH_TOKEN", "token-of-the-environment")
        ran = await golem_promise(
            "complete", ID, "--text", "x", "--url", "http://golem.invalid", "--timeout", "0.05"
        )
        assert (
            "golem-promise: the token goes unencrypted to http://golem.invalid: use https"
            == ran.err.splitlines()[0]
        )


async def test_no_secret_is_shown(settings: pytest.MonkeyPatch) -> None:
    """Neither the token nor the payload, whatever goes wrong."""
    settings.setenv("GOLEM_AUTH_TOKEN", "zorro-token-0123456789")
    echo = b'{"code":"X","error":"zorro-token-0123456789 and zorro-payload-0123456789"}'
    async with ScriptedServer(answer(400, echo)) as server:
        for output in ("text", "json"):
            ran = await golem_promise(
                "complete",
                ID,
                *("--text", "zorro-payload-0123456789"),
                *("--url", server.url, "--output", output),
            )
            assert (8, False) == (ran.code, "zorro" in ran.out + ran.err)


def test_the_exit_codes_are_distinct_and_documented() -> None:
    """Those of `complete`, in its help."""
    documented = {int(line.split()[0]) for line in TABLE.splitlines()}
    assert documented == {code.value for code in ExitCode} - {ExitCode.FAILED}


@pytest.mark.parametrize("name", [name for name in golem_client.__all__ if name.endswith("Error")])
def test_every_error_has_an_exit_code(name: str) -> None:
    """None of them is that of success, or of another failure."""
    kind = getattr(golem_client, name)
    error = kind("x", 418) if issubclass(kind, golem_client.ResponseError) else kind("x")
    assert isinstance(error, GolemError)
    assert code_of_error(error) in (2, 5, 6, 7, 8)
