"""What the environment says, and what is sent where because of it."""

from __future__ import annotations

import json
import os
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest

from golem_client import GolemClient, InsecureTransportWarning, Outcome, RetryPolicy
from golem_client.config import LOCAL_TOKEN
from golem_client.config.environment import Connection, connection_from_env, options_from_env
from golem_client.testing import FakeGolem
from tests.scripted_server import ScriptedServer


class Recording(GolemClient):
    """A client that remembers the options it was made with."""

    def __init__(self, base_url: str, **options: Any) -> None:
        super().__init__(base_url, **options)
        self.options = options


LOCAL = "http://localhost:9881"
PROFILES = {
    "profiles": {
        "team": {
            "customUrl": "https://golem.team.example:8443/",
            "allowInsecure": True,
            "auth": {"Static": {"secret": "of-team"}},
        },
        "other": {"customUrl": "http://10.0.0.9/", "auth": {"Static": {"secret": "of-other"}}},
    },
    "defaultProfile": "team",
}
TEAM = "https://golem.team.example:8443"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home directory with two profiles."""
    (tmp_path / ".golem").mkdir()
    (tmp_path / ".golem" / "config-v4.json").write_text(json.dumps(PROFILES))
    return tmp_path


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Return the environment of this process, without anything of Golem's."""
    for name in os.environ:
        if name.startswith("GOLEM_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    return monkeypatch


def facts(found: Connection) -> tuple[str, str | None]:
    return found.url, None if found.token is None else found.token.reveal()


TEXT = "https://a.example"


@pytest.mark.parametrize(
    ("base_url", "environ", "expected"),
    [
        # arguments, then GOLEM_URL, then the profile, then this machine
        (None, {}, (TEAM, "of-team")),
        (None, {"HOME": "/nowhere"}, (LOCAL, LOCAL_TOKEN)),
        (None, {"GOLEM_PROFILE": "other"}, ("http://10.0.0.9", "of-other")),
        (None, {"GOLEM_URL": TEXT}, (TEXT, None)),
        (TEXT, {"GOLEM_URL": "https://b.example"}, (TEXT, None)),
        (None, {"GOLEM_URL": TEXT, "GOLEM_AUTH_TOKEN": "t"}, (TEXT, "t")),
        (TEXT, {"GOLEM_AUTH_TOKEN": "t"}, (TEXT, "t")),
        (None, {"GOLEM_AUTH_TOKEN": "t"}, (TEAM, "t")),
        (None, {"GOLEM_AUTH_TOKEN": "t", "GOLEM_PROFILE": "other"}, ("http://10.0.0.9", "t")),
        (None, {"GOLEM_AUTH_TOKEN": "t", "HOME": "/nowhere"}, (LOCAL, "t")),
        (None, {"GOLEM_URL": " http://a/ ", "GOLEM_AUTH_TOKEN": " t\n"}, ("http://a", "t")),
        # the well-known token stays on this machine
        (None, {"GOLEM_URL": "http://127.0.0.1:1"}, ("http://127.0.0.1:1", LOCAL_TOKEN)),
        (None, {"GOLEM_URL": "https://localhost"}, ("https://localhost", LOCAL_TOKEN)),
        ("http://[::1]:9881", {}, ("http://[::1]:9881", LOCAL_TOKEN)),
        (None, {"GOLEM_URL": "http://10.0.0.1"}, ("http://10.0.0.1", None)),
        (None, {"GOLEM_URL": "http://localhost.example"}, ("http://localhost.example", None)),
        ("https://localhost.example", {}, ("https://localhost.example", None)),
        # a profile's token goes to its own server alone
        (None, {"GOLEM_URL": f"{TEAM}/"}, (TEAM, None)),
        (TEAM, {"GOLEM_PROFILE": "team"}, (TEAM, None)),
        (TEXT, {"GOLEM_PROFILE": "nobody"}, (TEXT, None)),
        (
            None,
            {"GOLEM_URL": TEXT, "GOLEM_AUTH_TOKEN": "t", "GOLEM_PROFILE": "team"},
            (TEXT, "t"),
        ),
        # the local default may be elsewhere
        (
            None,
            {"HOME": "/nowhere", "GOLEM_BUILTIN_LOCAL_URL": "http://127.0.0.1:5"},
            ("http://127.0.0.1:5", LOCAL_TOKEN),
        ),
    ],
)
def test_the_first_source_that_names_one_wins(
    home: Path, base_url: str | None, environ: dict[str, str], expected: tuple[str, str | None]
) -> None:
    """And no token goes where it does not belong."""
    environ = {"HOME": str(home), **environ}
    assert expected == facts(connection_from_env(base_url, environ=environ))


def test_an_address_and_a_profile_are_two_servers(home: Path) -> None:
    """The token of the profile goes to its own; which one is meant, nobody can know."""
    environ = {"HOME": str(home), "GOLEM_URL": TEAM, "GOLEM_PROFILE": "team"}
    with pytest.raises(ValueError, match="GOLEM_URL and GOLEM_PROFILE both name a server"):
        connection_from_env(environ=environ)
    assert connection_from_env(needs_token=False, environ=environ).url == TEAM


@pytest.mark.parametrize(
    ("base_url", "environ", "expected"),
    [
        (None, {}, False),
        (None, {"GOLEM_AUTH_TOKEN": "t"}, False),
        (None, {"GOLEM_PROFILE": "other"}, True),
        (None, {"GOLEM_URL": TEAM, "GOLEM_PROFILE": "team", "GOLEM_AUTH_TOKEN": "t"}, True),
        (TEAM, {}, True),
    ],
)
def test_a_profile_accepts_any_certificate_for_its_own_address_alone(
    home: Path, base_url: str | None, environ: dict[str, str], *, expected: bool
) -> None:
    """An address from elsewhere is verified."""
    found = connection_from_env(base_url, environ={"HOME": str(home), **environ})
    assert expected is found.verifies_tls


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"GOLEM_URL": ""}, "^GOLEM_URL is set and empty"),
        ({"GOLEM_URL": " "}, "^GOLEM_URL is set and empty"),
        ({"GOLEM_URL": "zorro"}, "^GOLEM_URL must start with"),
        ({"GOLEM_URL": "https://u:zorro@x"}, "^GOLEM_URL must not hold a user name"),
        ({"GOLEM_URL": "https://x?zorro"}, "^GOLEM_URL must not have a query"),
        ({"GOLEM_URL": TEXT, "GOLEM_AUTH_TOKEN": ""}, "^GOLEM_AUTH_TOKEN is set and empty"),
        ({"GOLEM_AUTH_TOKEN": "zor\nro"}, "^GOLEM_AUTH_TOKEN holds white space"),
        ({"GOLEM_PROFILE": ""}, "^GOLEM_PROFILE is set and empty"),
        ({"GOLEM_PROFILE": "nobody"}, "^GOLEM_PROFILE: there is no profile 'nobody'"),
        ({"HOME": "/x", "GOLEM_BUILTIN_LOCAL_URL": "zorro"}, "^GOLEM_BUILTIN_LOCAL_URL must"),
        ({"HOME": "/x", "GOLEM_BUILTIN_LOCAL_URL": ""}, "^GOLEM_BUILTIN_LOCAL_URL must start"),
    ],
)
def test_a_wrong_variable_is_named_and_not_shown(
    home: Path, environ: dict[str, str], message: str
) -> None:
    """An empty one too: the setting did not arrive, and another Golem would get the payload."""
    with pytest.raises(ValueError, match=message) as caught:
        connection_from_env(environ={"HOME": str(home), **environ})
    links = (caught.value, caught.value.__cause__, caught.value.__context__)
    assert "zorro" not in "".join(map(repr, links))


def test_where_settings_come_from_is_said_without_a_secret(home: Path) -> None:
    """For `golem-promise doctor`, and for logs."""
    local = connection_from_env(environ={"HOME": "/nowhere"})
    assert (local.url_from, local.token_from) == (
        "the built-in profile 'local' (a Golem on this machine)",
        "the built-in profile 'local' (Golem's well-known local token)",
    )
    found = connection_from_env(environ={"HOME": str(home)})
    file = f"the profile 'team' of {home}/.golem/config-v4.json"
    assert (
        f"{file} (profiles.team.customUrl)",
        f"{file} (profiles.team.auth.Static.secret)",
        False,
    ) == (found.url_from, found.token_from, "of-team" in repr(found))


class TestOptions:
    """Times and retries."""

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({}, {}),
            ({"GOLEM_HTTP_TIMEOUT": "PT5S", "GOLEM_TIMEOUT": "5"}, {}),
            ({"GOLEM_CLIENT_TIMEOUT": "12"}, {"timeout": 12.0}),
            ({"GOLEM_CLIENT_ATTEMPT_TIMEOUT": " 2.5 "}, {"attempt_timeout": 2.5}),
            ({"GOLEM_CLIENT_RETRY_MAX_ATTEMPTS": "1"}, {"retry": RetryPolicy.none()}),
            ({"GOLEM_CLIENT_OVERLOAD": "ignore"}, {"overload": "ignore"}),
            ({"GOLEM_CLIENT_OVERLOAD": " wait"}, {"overload": "wait"}),
            ({"GOLEM_CLIENT_TRUST_ENV": "true"}, {"trust_env": True}),
            ({"GOLEM_CLIENT_TRUST_ENV": "false"}, {"trust_env": False}),
            (
                {
                    "GOLEM_CLIENT_RETRY_MAX_ATTEMPTS": "3",
                    "GOLEM_CLIENT_RETRY_MIN_DELAY": "0",
                    "GOLEM_CLIENT_RETRY_MAX_DELAY": "7.5",
                    "GOLEM_CLIENT_RETRY_MULTIPLIER": "3",
                    "GOLEM_CLIENT_RETRY_MAX_JITTER_FACTOR": "0.25",
                },
                {"retry": RetryPolicy(3, 0.0, 7.5, 3.0, 0.25)},
            ),
        ],
    )
    def test_they_are_plain_numbers_and_words(
        self, environ: dict[str, str], expected: dict[str, Any]
    ) -> None:
        """What is not set keeps its default."""
        assert expected == options_from_env(RetryPolicy, environ=environ)

    @pytest.mark.parametrize("text", ["30s", "PT30S", "inf", "nan", "-1", "1e3", "1_0", "٣", ".5"])
    def test_anything_else_is_refused(self, text: str) -> None:
        """golem-cli's own variables are durations: one may be taken for the other."""
        with pytest.raises(ValueError, match=r"^GOLEM_CLIENT_TIMEOUT must be a plain number"):
            options_from_env(RetryPolicy, environ={"GOLEM_CLIENT_TIMEOUT": text})

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("TIMEOUT", "0", "GOLEM_CLIENT_TIMEOUT must be a finite number of seconds greater"),
            ("TIMEOUT", "", "GOLEM_CLIENT_TIMEOUT is set and empty"),
            ("ATTEMPT_TIMEOUT", "0.0", "GOLEM_CLIENT_ATTEMPT_TIMEOUT must be a finite number"),
            ("RETRY_MAX_ATTEMPTS", "0", "GOLEM_CLIENT_RETRY_MAX_ATTEMPTS must be at least 1"),
            ("RETRY_MAX_ATTEMPTS", "2.5", "GOLEM_CLIENT_RETRY_MAX_ATTEMPTS must be a whole number"),
            ("RETRY_MAX_ATTEMPTS", "", "GOLEM_CLIENT_RETRY_MAX_ATTEMPTS is set and empty"),
            ("OVERLOAD", "Wait", "GOLEM_CLIENT_OVERLOAD must be 'wait' or 'ignore'"),
            ("OVERLOAD", "", "GOLEM_CLIENT_OVERLOAD is set and empty"),
            ("TRUST_ENV", "1", "GOLEM_CLIENT_TRUST_ENV must be 'true' or 'false'"),
            ("RETRY_MULTIPLIER", "0.5", "GOLEM_CLIENT_RETRY_MULTIPLIER must be a finite number"),
            (
                "RETRY_MAX_DELAY",
                "0.01",
                "GOLEM_CLIENT_RETRY_MAX_DELAY must not be below min_delay",
            ),
        ],
    )
    def test_the_variable_is_named(self, name: str, text: str, message: str) -> None:
        """Whoever checks it."""
        with pytest.raises(ValueError, match=f"^{message}"):
            options_from_env(RetryPolicy, environ={f"GOLEM_CLIENT_{name}": text})


def test_no_local_variable_shows_the_environment(process: pytest.MonkeyPatch) -> None:
    """It holds the token, and its repr shows all of it."""
    process.setenv("GOLEM_AUTH_TOKEN", "zorro")
    process.setenv("GOLEM_CLIENT_TIMEOUT", "soon")
    with pytest.raises(ValueError, match="GOLEM_CLIENT_TIMEOUT") as caught:
        GolemClient.from_env()
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    below = [repr(frame.locals) for frame in trace.stack if "config" in frame.filename]
    assert (True, False) == (len(below) > 1, "zorro" in "".join(below))


class TestFromEnv:
    """`GolemClient.from_env()` and `GolemClient.from_profile()`."""

    async def test_it_completes(self, process: pytest.MonkeyPatch) -> None:
        """With address and token of the environment."""
        async with FakeGolem() as golem:
            process.setenv("GOLEM_URL", golem.url)
            process.setenv("GOLEM_AUTH_TOKEN", golem.token)
            promise_id = golem.create_promise()
            async with GolemClient.from_env() as client:
                done = await client.complete_json(promise_id, {})
            assert (Outcome.FULFILLED, golem.token) == (done.outcome, golem.requests[0].token)

    async def test_a_profile_completes(self, process: pytest.MonkeyPatch, home: Path) -> None:
        """Whatever the variables say."""
        process.setenv("HOME", str(home))
        process.setenv("GOLEM_URL", "http://127.0.0.1:1")
        process.setenv("GOLEM_AUTH_TOKEN", "of-another-server")
        process.setenv("GOLEM_PROFILE", "nobody")
        async with FakeGolem(token="the-token-of-this-profile") as golem:
            auth = {"Static": {"secret": golem.token}}
            content = {"profiles": {"fake": {"customUrl": golem.url, "auth": auth}}}
            (home / ".golem" / "config-v4.json").write_text(json.dumps(content))
            promise_id = golem.create_promise()
            async with GolemClient.from_profile("fake") as client:
                await client.complete_text(promise_id, "x")
            assert golem.token == golem.requests[0].token

    async def test_a_token_of_the_caller_wins(self, process: pytest.MonkeyPatch) -> None:
        """A callable as well."""

        async def token() -> str:
            return "from-a-vault-1234567890"

        process.setenv("GOLEM_AUTH_TOKEN", "from-env")
        async with (
            ScriptedServer() as server,
            GolemClient.from_env(server.url, token=token) as client,
        ):
            await client.complete_bytes("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/42", b"x")
            assert "Bearer from-a-vault-1234567890" == server.requests[0].headers["authorization"]

    def test_options_of_the_caller_win(self, process: pytest.MonkeyPatch) -> None:
        """Over the environment's; what neither says keeps its default."""
        process.setenv("GOLEM_CLIENT_TIMEOUT", "7")
        process.setenv("GOLEM_CLIENT_ATTEMPT_TIMEOUT", "3")
        options = Recording.from_env(timeout=5.0).options
        assert {"token": LOCAL_TOKEN, "timeout": 5.0, "attempt_timeout": 3.0} == options

    @pytest.mark.parametrize(
        ("options", "expected"), [({}, False), ({"ssl": True}, True)], ids=["profile", "caller"]
    )
    @pytest.mark.filterwarnings("ignore::golem_client.InsecureTransportWarning")
    def test_any_certificate_is_accepted_where_the_profile_says_so(
        self, process: pytest.MonkeyPatch, home: Path, options: Any, *, expected: bool
    ) -> None:
        """Unless the caller says otherwise."""
        process.setenv("HOME", str(home))
        clients = (Recording.from_env(**options), Recording.from_profile("team", **options))
        assert [expected, expected] == [client.options["ssl"] for client in clients]

    @pytest.mark.usefixtures("process")
    def test_a_subclass_makes_its_own(self) -> None:
        """As with `local` and `cloud`."""

        class Ours(GolemClient):
            pass

        assert (Ours, Ours) == (type(Ours.from_env()), type(Ours.from_profile("local")))

    def test_a_token_in_the_clear_is_warned_of(
        self, process: pytest.MonkeyPatch, home: Path
    ) -> None:
        """As ever."""
        process.setenv("HOME", str(home))
        with pytest.warns(InsecureTransportWarning, match="unencrypted to http://10.0.0.9"):
            GolemClient.from_profile("other")

    def test_the_environment_is_not_changed(self, process: pytest.MonkeyPatch, home: Path) -> None:
        """It belongs to the process."""
        process.setenv("HOME", str(home))
        before = dict(os.environ)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            GolemClient.from_env()
            GolemClient.from_profile("other")
        assert before == dict(os.environ)

    @pytest.mark.usefixtures("process")
    def test_wrong_arguments_are_the_clients_own_errors(self) -> None:
        """Before any I/O."""
        with pytest.raises(ValueError, match=r"^base_url must start with"):
            GolemClient.from_env("zorro")
        with pytest.raises(ValueError, match=r"^the token is empty"):
            GolemClient.from_env(token="")
