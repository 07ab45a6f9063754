"""`golem-promise complete`: what is sent, what is said, and how it exits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import golem_client
from golem_client import GolemError
from golem_client.cli.exit_codes import TABLE, ExitCode, code_of_error
from golem_client.cli.options import in_options
from golem_client.cli.strict_json import JsonError, read_json
from golem_client.testing import FakeGolem
from tests.command_line import golem_promise
from tests.scripted_server import ScriptedServer, answer

ID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42"
OF_THE_LIBRARY = ("base_url", "token=", "timeout=", "max_connections", "max_payload_bytes", "ssl=")
ALREADY = "already fulfilled: a payload was stored before, and stays; it may be an equal one"
QUICK = {"GOLEM_CLIENT_RETRY_MIN_DELAY": "0", "GOLEM_CLIENT_RETRY_MAX_DELAY": "0"}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Return an environment in which nothing leads to a Golem."""
    for name in os.environ:
        if name.startswith("GOLEM_") or name.lower().endswith("_proxy"):
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

    @pytest.mark.parametrize("name", ["decision.json", "DECISION.JSON", "a.b.json"])
    async def test_a_json_file_is_sent_byte_for_byte(self, tmp_path: Path, name: str) -> None:
        """White space and all; it is checked before."""
        content = b' {"price": 1.10, "\xc3\xbc": null}\r\n'
        (tmp_path / name).write_bytes(content)
        async with FakeGolem() as golem:
            promise_id = golem.create_promise()
            path = str(tmp_path / name)
            ran = await golem_promise(
                "complete", str(promise_id), "--file", path, "--url", golem.url
            )
            assert (0, content) == (ran.code, golem.payload(promise_id))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"\xef\xbb\xbf{}", "reads: Unexpected UTF-8 BOM"),
            ("{}".encode("utf-16"), "--file is not UTF-8, as JSON must be"),
            ("{}".encode("utf-16-le"), "--file is not JSON that a worker reads"),
            (b'"\xfc"', "--file is not UTF-8, as JSON must be"),
            (b'{"zorro": }', "--file is not JSON that a worker reads: Expecting value at line 1"),
            (b"{'zorro': 1}", "--file is not JSON that a worker reads"),
            (b"NaN", "--file is not JSON that a worker reads: NaN is not a JSON number"),
            (b"{} {}", "--file is not JSON that a worker reads: Extra data"),
            (b" ", "--file is not JSON that a worker reads"),
            (b"", "--file is empty"),
        ],
    )
    async def test_a_json_file_that_is_none(
        self, tmp_path: Path, content: bytes, message: str
    ) -> None:
        """It is refused; `--verbatim` sends it as it is."""
        path = str(tmp_path / "DECISION.Json")
        (tmp_path / "DECISION.Json").write_bytes(content)
        async with FakeGolem() as golem:
            promise_id = golem.create_promise()
            arguments = ("complete", str(promise_id), "--file", path, "--url", golem.url)
            refused = await golem_promise(*arguments)
            assert (2, "", True) == (refused.code, refused.out, message in refused.err)
            assert (False, None) == ("zorro" in refused.err, golem.payload(promise_id))
            if content:
                sent = await golem_promise(*arguments, "--verbatim")
                assert (0, content) == (sent.code, golem.payload(promise_id))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ([], "exactly one of --json, --text, --file, --stdin and --empty"),
            (["--json", "1", "--text", "1"], "not --json and --text"),
            (["--stdin", "--empty"], "not --stdin and --empty"),
            (["--text", "", "--empty"], "not --text and --empty"),
            (["--json", "1", "--verbatim"], "--verbatim is for --file"),
            (["--verbatim"], "exactly one of --json"),
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
    read_json(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NaN", "NaN is not a JSON number"),
        ("[-Infinity]", "-Infinity is not a JSON number"),
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
        read_json(text)


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
        assert 1 >= ran.err.count(promise_id)

    async def test_fulfilled_and_then_already_fulfilled(self) -> None:
        """The second says nothing of whose payload it was: here it is the same."""
        async with FakeGolem() as golem:
            arguments = ("complete", str(golem.create_promise()), "--text", "x", "--url", golem.url)
            first, second = await golem_promise(*arguments), await golem_promise(*arguments)
        assert [
            (0, "fulfilled: this payload is stored (1 attempt)\n", ""),
            (3, f"{ALREADY} (1 attempt)\n", ""),
        ] == [(ran.code, ran.out, ran.err) for ran in (first, second)]

    async def test_by_unknown(self) -> None:
        """After a lost answer."""
        async with FakeGolem() as golem:
            promise_id = golem.create_promise()
            golem.drop_next(applied=True)
            ran = await golem_promise(
                "complete", str(promise_id), "--text", "x", "--url", golem.url
            )
        sentence = "fulfilled by unknown: the promise is completed, but an answer was lost or late"
        assert (4, sentence, True) == (
            ran.code,
            ran.out[: len(sentence)],
            ran.out.endswith("whether by this payload (2 attempts)\n"),
        )

    @pytest.mark.parametrize(
        ("status", "body", "code"),
        [
            (401, b'{"code":"AUTH_UNAUTHORIZED","error":"no"}', 6),
            (403, b'{"code":"AUTH_FORBIDDEN","error":"no"}', 6),
            (404, b'{"code":"COMPONENT_NOT_FOUND","error":"Component not found"}', 5),
            (400, b'{"code":"INVALID_WORKER_ID","errors":["no"]}', 8),
            (401, b"<html>", 7),
            (403, b"<html>", 7),
            (404, b"<html>", 7),
            (413, b"", 8),
            (409, b'{"code":"X","error":"no"}', 8),
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
        """By whether Golem answered, and by what to do. A proxy's 401 is no verdict of Golem's."""
        settings.setenv("GOLEM_CLIENT_RETRY_MAX_ATTEMPTS", "2")
        async with ScriptedServer(answer(status, body)) as server:
            ran = await golem_promise("complete", ID, "--text", "x", "--url", server.url)
        assert (code, "") == (ran.code, ran.out)
        is_on_the_way = code == 7 or status < 400
        assert is_on_the_way is ("'golem-promise doctor', with the same options" in ran.err)

    async def test_nobody_answers(self) -> None:
        """The port is closed; what to check is told in the words of the command."""
        arguments = ("complete", ID, "--text", "x", "--url", "http://127.0.0.1:1")
        text = await golem_promise(*arguments, "--timeout", "0.2")
        program = await golem_promise(*arguments, "--timeout", "0.2", "--output", "json")
        assert (7, "", 7, "") == (text.code, text.out, program.code, program.err)
        for words in (text.err, json.loads(program.out)["message"]):
            assert "Check --url (or GOLEM_URL) and that Golem is up." in words

    async def test_an_option_wins_over_the_environment(self, settings: pytest.MonkeyPatch) -> None:
        """Here the time for the call."""
        settings.setenv("GOLEM_CLIENT_TIMEOUT", "0.001")
        async with FakeGolem() as golem:
            golem.latency(0.05)
            arguments = ("complete", str(golem.create_promise()), "--text", "x", "--url", golem.url)
            ran = await golem_promise(*arguments, "--timeout", "10")
        assert ran.code == 0

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
            (["--token-file", "/dev/null"], "the token in --token-file /dev/null is empty"),
            (["--token-file", "/dev/zero"], "a character that no header can carry"),
            (["--profile", "p"], "--profile: there is no profile 'p'"),
            (["--url", "http://a..b"], "--url cannot be read as a URL"),
            (["--url", "http://user:zorro@x"], "--url must not hold a user name or password"),
            (["--timeout", "0"], "a finite number greater than 0"),
            (["--timeout", "nan"], "a finite number greater than 0"),
            (["--timeout", "inf"], "a finite number greater than 0"),
            (["--token", "zorro"], "use --token-file, GOLEM_AUTH_TOKEN or --profile"),
            (["--output", "xml"], "is not one of"),
        ],
    )
    async def test_a_wrong_setting(self, options: list[str], message: str) -> None:
        """It is named, before anything is sent."""
        ran = await golem_promise("complete", ID, "--text", "x", *options)
        assert (2, "", True) == (ran.code, ran.out, message in ran.err)
        assert not any(word in ran.err for word in OF_THE_LIBRARY)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"Bearer zorro", 'begins with the word "Bearer"'),
            (b'"zorro"', "holds a quotation mark"),
            (b"zorro zorro", "holds white space"),
            (b"zorro\xff", "is not text in UTF-8"),
            ("zorro".encode("utf-16"), "is not text in UTF-8"),
        ],
    )
    async def test_a_file_that_holds_no_token(
        self, tmp_path: Path, content: bytes, message: str
    ) -> None:
        """It says why, and never what it holds."""
        (tmp_path / "token").write_bytes(content)
        path = str(tmp_path / "token")
        ran = await golem_promise("complete", ID, "--text", "x", "--token-file", path)
        assert (2, True) == (ran.code, f"the token in --token-file {path} {message}" in ran.err)
        assert "zorro" not in ran.err

    async def test_a_token_file_of_windows(self, tmp_path: Path) -> None:
        """With a byte order mark and CR LF."""
        (tmp_path / "token").write_bytes(b"\xef\xbb\xbftoken-of-the-file-1\r\n")
        async with FakeGolem(token="token-of-the-file-1") as golem:
            promise_id = str(golem.create_promise())
            file = ("--token-file", str(tmp_path / "token"))
            ran = await golem_promise(
                "complete", promise_id, "--text", "x", "--url", golem.url, *file
            )
        assert ran.code == 0

    async def test_the_proxy_of_the_environment_is_used(self, settings: pytest.MonkeyPatch) -> None:
        """As by every command; the token in it is warned of, without the proxy's password."""
        settings.setenv("GOLEM_AUTH_TOKEN", "token-of-the-environment")
        async with ScriptedServer() as proxy:
            host = proxy.url.removeprefix("http://")
            settings.setenv("HTTP_PROXY", f"user:zorro@{host}")
            ran = await golem_promise("complete", ID, "--text", "x", "--url", "http://golem.test")
            (request,) = proxy.requests
        assert (0, "http://golem.test/v1/") == (ran.code, request.target[:21])
        assert (
            "golem-promise: the token goes unencrypted to http://golem.test, through the proxy "
            f"{proxy.url}: use https\n"
        ) == ran.err

    @pytest.mark.parametrize(
        ("name", "value"), [("NO_PROXY", "127.0.0.0/8"), ("GOLEM_CLIENT_TRUST_ENV", "false")]
    )
    async def test_the_environment_may_switch_it_off(
        self, settings: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        """For one host, or for all."""
        settings.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        settings.setenv(name, value)
        async with FakeGolem() as golem:
            promise_id = str(golem.create_promise())
            ran = await golem_promise("complete", promise_id, "--text", "x", "--url", golem.url)
        assert (0, "") == (ran.code, ran.err)

    async def test_a_proxy_that_is_none(self, settings: pytest.MonkeyPatch) -> None:
        """The variable is named, and its password not shown."""
        settings.setenv("HTTPS_PROXY", "socks5://user:zorro@x")
        ran = await golem_promise("complete", ID, "--text", "x", "--url", "https://golem.test")
        assert (2, True) == (ran.code, "HTTPS_PROXY does not name an http" in ran.err)
        assert "zorro" not in ran.err

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


ERRORS = sorted(name for name in golem_client.__all__ if name.endswith("Error"))


def an_error(name: str) -> GolemError:
    kind = getattr(golem_client, name)
    arguments = {"BulkStoppedError": (GolemError("x"), 1)}.get(name, ())
    error = (
        kind("x", 418) if issubclass(kind, golem_client.ResponseError) else kind("x", *arguments)
    )
    assert isinstance(error, GolemError)
    return error


def test_every_error_has_an_exit_code() -> None:
    """None of them is that of success, or of another failure."""
    codes = {name: code_of_error(an_error(name)) for name in ERRORS}
    assert {} == {name: code for name, code in codes.items() if code not in (2, 5, 6, 7, 8)}


def test_no_error_speaks_of_the_options_of_the_library() -> None:
    """People at a terminal have others."""
    texts = [in_options(str(an_error(name))) for name in ERRORS]
    assert [] == [text for text in texts if any(word in text for word in OF_THE_LIBRARY)]


def test_the_options_of_the_command_are_named_instead() -> None:
    """Where the library names its own."""
    assert "Mend it, or trust it by SSL_CERT_FILE." == in_options(
        "Mend it, or trust it by SSL_CERT_FILE or ssl=."
    )
    assert "Check --url (or GOLEM_URL) and that Golem is up." == in_options(
        "Check base_url and that Golem is up."
    )
    assert "Check the token (--token-file, GOLEM_AUTH_TOKEN or the profile's): no." == in_options(
        "Check token=: no."
    )
    assert "A longer --timeout gives it more room." == in_options(
        "A longer timeout=, or more max_connections, gives it more room."
    )
