"""The files of golem-cli, as its generations write them."""

from __future__ import annotations

import json
import os
import pwd
import traceback
from pathlib import Path
from typing import Any

import pytest

from golem_client.config import LOCAL_TOKEN
from golem_client.config.environment import (
    Connection,
    connection_from_env,
    connection_from_profile,
)

CLOUD = "https://release.api.golem.cloud"
LOCAL = "http://localhost:9881"
STATIC = "0d8a1f5e-6c53-4e8e-9f1e-6a3c0b0f7a11"
LOGIN = "zorro-4f8c0a5be1d24c7f"
WHEN = {"createdAt": "2025-11-02T09:12:44.123456Z", "expiresAt": "2026-11-02T09:12:44.123456Z"}

# As serde_json's pretty printer writes them.
V1_OF_1_1 = """{
  "profiles": {
    "default": {
      "Golem": {
        "url": "http://localhost:9881/",
        "config": {
          "default_format": "text"
        }
      }
    },
    "split": {
      "Golem": {
        "url": "http://components.example:9881/",
        "worker_url": "http://workers.example:9005/",
        "allow_insecure": true,
        "config": {
          "default_format": "json"
        }
      }
    },
    "cloud_default": {
      "GolemCloud": {
        "config": {
          "default_format": "text"
        },
        "auth": {
          "data": {
            "id": "9d6cbb8e-52a7-43b6-8cf2-5a2d0f1f8a10",
            "accountId": "51de7d7d-f286-49aa-b79a-96022f7e2df9",
            "createdAt": "2025-01-02T09:12:44.123456Z",
            "expiresAt": "2026-01-02T09:12:44.123456Z"
          },
          "secret": "0d8a1f5e-6c53-4e8e-9f1e-6a3c0b0f7a11"
        }
      }
    },
    "logged-out": {
      "GolemCloud": {
        "custom_url": "https://api.dev.example/",
        "config": {
          "default_format": "text"
        }
      }
    }
  },
  "active_profile": "default",
  "active_cloud_profile": "cloud_default"
}"""

V1_OF_1_2 = """{
  "profiles": {
    "dev": {
      "GolemCloud": {
        "custom_url": "https://api.dev.example/",
        "custom_cloud_url": "https://cloud.dev.example/",
        "custom_worker_url": "https://workers.dev.example/base/",
        "config": {
          "default_format": "text"
        },
        "auth": {
          "data": {
            "id": "9d6cbb8e-52a7-43b6-8cf2-5a2d0f1f8a10",
            "accountId": "51de7d7d-f286-49aa-b79a-96022f7e2df9",
            "createdAt": "2025-05-02T09:12:44.123456Z",
            "expiresAt": "2026-05-02T09:12:44.123456Z"
          },
          "secret": "0d8a1f5e-6c53-4e8e-9f1e-6a3c0b0f7a11"
        }
      }
    },
    "local-migrated": {
      "Golem": {
        "url": "http://127.0.0.1:9881/",
        "config": {
          "default_format": "text"
        }
      }
    }
  },
  "default_profile": "local",
  "active_profile": "dev"
}"""

V2 = """{
  "profiles": {
    "local": {
      "custom_url": "http://localhost:9881/",
      "config": {
        "default_format": "text"
      },
      "auth": {
        "Static": {
          "secret": "5c832d93-ff85-4a8f-9803-513950fdfdb1"
        }
      }
    },
    "cloud": {
      "config": {
        "default_format": "text"
      },
      "auth": {
        "OAuth2": {
          "data": null
        }
      }
    },
    "team": {
      "custom_url": "https://golem.team.example/",
      "custom_worker_url": "https://workers.team.example/",
      "allow_insecure": true,
      "config": {
        "default_format": "json"
      },
      "auth": {
        "Static": {
          "secret": "0d8a1f5e-6c53-4e8e-9f1e-6a3c0b0f7a11"
        }
      }
    }
  },
  "default_profile": "team"
}"""

V4 = """{
  "profiles": {
    "cloud": {
      "config": {
        "defaultFormat": "text"
      },
      "auth": {
        "OAuth2": {
          "data": {
            "id": "9d6cbb8e-52a7-43b6-8cf2-5a2d0f1f8a10",
            "accountId": "51de7d7d-f286-49aa-b79a-96022f7e2df9",
            "createdAt": "2026-04-02T09:12:44.123456Z",
            "expiresAt": "2027-04-02T09:12:44.123456Z",
            "secret": "zorro-4f8c0a5be1d24c7f"
          }
        }
      }
    },
    "local": {
      "config": {
        "defaultFormat": "text"
      },
      "auth": {
        "Static": {
          "secret": "5c832d93-ff85-4a8f-9803-513950fdfdb1"
        }
      }
    },
    "team": {
      "customUrl": "https://golem.team.example/",
      "customWorkerUrl": "https://workers.team.example/golem/",
      "allowInsecure": true,
      "config": {
        "defaultFormat": "yaml"
      },
      "auth": {
        "Static": {
          "secret": "0d8a1f5e-6c53-4e8e-9f1e-6a3c0b0f7a11"
        }
      }
    },
    "mylocal": {
      "config": {
        "defaultFormat": "text"
      },
      "auth": {
        "Static": {
          "secret": "0d8a1f5e-6c53-4e8e-9f1e-6a3c0b0f7a11"
        }
      }
    },
    "main-only": {
      "customUrl": "https://golem.team.example/",
      "config": {
        "defaultFormat": "yaml"
      },
      "auth": {
        "Static": {
          "secret": "0d8a1f5e-6c53-4e8e-9f1e-6a3c0b0f7a11"
        }
      }
    },
    "fresh": {
      "config": {
        "defaultFormat": "text"
      },
      "auth": {
        "OAuth2": {
          "data": null
        }
      }
    }
  },
  "defaultProfile": "team",
  "applicationEnvironments": {
    "5d41402abc4b2a76b9719d911017c592": {
      "auth": {
        "data": null
      }
    }
  }
}"""

FILES = {
    "1.1": "config.json",
    "1.2": "config.json",
    "1.3": "config-v2.json",
    "1.4": "config-v4.json",
}
SAMPLES = {"1.1": V1_OF_1_1, "1.2": V1_OF_1_2, "1.3": V2, "1.4": V4}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home directory with an empty directory of golem-cli's."""
    (tmp_path / ".golem").mkdir()
    return tmp_path


def write(home: Path, generation: str, content: Any = None) -> Path:
    path = home / ".golem" / FILES[generation]
    text = SAMPLES[generation] if content is None else content
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def resolve(home: Path, name: str | None = None, **environ: str) -> Connection:
    if name is not None:
        return connection_from_profile(name, environ={"HOME": str(home), **environ})
    return connection_from_env(environ={"HOME": str(home), **environ})


def facts(found: Connection) -> tuple[str, str | None, bool]:
    return found.url, None if found.token is None else found.token.reveal(), found.verifies_tls


@pytest.mark.parametrize(
    ("generation", "name", "expected"),
    [
        ("1.1", "default", (LOCAL, LOCAL_TOKEN, True)),
        ("1.1", "split", ("http://workers.example:9005", None, False)),
        ("1.1", "cloud_default", (CLOUD, STATIC, True)),
        ("1.2", "local", (LOCAL, LOCAL_TOKEN, True)),
        ("1.2", "dev", ("https://workers.dev.example/base", STATIC, True)),
        ("1.2", "local-migrated", ("http://127.0.0.1:9881", LOCAL_TOKEN, True)),
        ("1.3", "local", (LOCAL, LOCAL_TOKEN, True)),
        ("1.3", "team", ("https://workers.team.example", STATIC, False)),
        ("1.4", "local", (LOCAL, LOCAL_TOKEN, True)),
        ("1.4", "cloud", (CLOUD, LOGIN, True)),
        ("1.4", "team", ("https://workers.team.example/golem", STATIC, False)),
        ("1.4", "mylocal", (CLOUD, STATIC, True)),
        ("1.4", "main-only", ("https://golem.team.example", STATIC, True)),
    ],
)
def test_a_profile_of_each_generation_is_read(
    home: Path, generation: str, name: str, expected: tuple[str, str | None, bool]
) -> None:
    """Its worker URL wins over its main URL; where there is none, the cloud's or the local one."""
    write(home, generation)
    assert expected == facts(resolve(home, name))


@pytest.mark.parametrize(
    ("generation", "expected"),
    [
        ("1.1", LOCAL),
        ("1.2", LOCAL),
        ("1.3", "https://workers.team.example"),
        ("1.4", "https://workers.team.example/golem"),
    ],
)
def test_the_file_names_the_default_profile(home: Path, generation: str, expected: str) -> None:
    """Each generation in its own words."""
    write(home, generation)
    assert expected == resolve(home).url


OSS = {"Golem": {"url": "http://oss.example/"}}
PAID = {"GolemCloud": {"custom_url": "https://paid.example", "auth": {"secret": STATIC}}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"profiles": {}}, LOCAL),
        ({"profiles": {"default": OSS}}, "http://oss.example"),
        ({"profiles": {"a": OSS}, "active_profile": "a"}, "http://oss.example"),
        ({"profiles": {"a": PAID}, "active_profile": "a"}, "https://paid.example"),
        (
            {
                "profiles": {"default": OSS, "cloud_default": PAID},
                "active_cloud_profile": "cloud_default",
            },
            "http://oss.example",
        ),
        ({"profiles": {"a": OSS}, "active_profile": "a", "default_profile": "local"}, LOCAL),
        ({"profiles": {"a": OSS}, "active_profile": None}, LOCAL),
    ],
)
def test_the_default_of_golem_1_1(home: Path, content: Any, expected: str) -> None:
    """The active one, or `default`."""
    write(home, "1.1", content)
    assert expected == resolve(home).url


@pytest.mark.parametrize("generation", ["1.3", "1.4"])
def test_without_a_default_it_is_local(home: Path, generation: str) -> None:
    """As golem-cli has it."""
    write(home, generation, {"profiles": {}})
    assert (LOCAL, LOCAL_TOKEN, True) == facts(resolve(home))


def test_an_unknown_profile_is_an_error_that_lists_those_that_are_there(home: Path) -> None:
    """In each file, and those that are built in."""
    new, old = write(home, "1.4", {"profiles": {}}), write(home, "1.3")
    with pytest.raises(ValueError, match="there is no profile 'nobody'") as caught:
        resolve(home, "nobody")
    assert str(caught.value).endswith(
        f"{new} has none; {old} has 'cloud', 'local', 'team'; built in are 'local' and 'cloud'"
    )


def test_without_a_file_the_built_in_profiles_are_there(home: Path) -> None:
    """And everything else is unknown, with the files that were looked for."""
    assert (LOCAL, LOCAL_TOKEN, True) == facts(resolve(home, "local"))
    with pytest.raises(ValueError, match=r"no configuration file \(config-v4.json, config-v2.json"):
        resolve(home, "team")


def test_the_newest_file_names_the_default(home: Path) -> None:
    """golem-cli leaves the files of older generations where they are."""
    write(home, "1.1")
    write(home, "1.3", {"profiles": {}, "default_profile": "split"})
    write(home, "1.4")
    assert "https://workers.team.example/golem" == resolve(home).url


def test_a_name_is_looked_up_in_the_newest_file_that_has_it(home: Path) -> None:
    """`split` is only in the oldest; `team` is in two."""
    write(home, "1.1")
    write(home, "1.3")
    write(home, "1.4")
    assert "http://workers.example:9005" == resolve(home, "split").url
    assert "https://workers.team.example/golem" == resolve(home, "team").url


def test_an_older_file_is_not_read_without_need(home: Path) -> None:
    """One that is broken harms nobody."""
    write(home, "1.3", "{broken")
    write(home, "1.4")
    assert "https://workers.team.example/golem" == resolve(home).url


class TestLocal:
    """The address of the profile `local` in Golem 1.5."""

    def test_the_variable_wins_over_what_the_file_says(self, home: Path) -> None:
        """As golem-cli 1.5 has it."""
        write(home, "1.4")
        found = resolve(home, "local", GOLEM_BUILTIN_LOCAL_URL="http://127.0.0.1:9999")
        assert ("http://127.0.0.1:9999", LOCAL_TOKEN, True) == facts(found)

    def test_it_moves_no_other_profile(self, home: Path) -> None:
        """Its token would go with it."""
        write(home, "1.4")
        found = resolve(home, "team", GOLEM_BUILTIN_LOCAL_URL="http://127.0.0.1:9999")
        assert "https://workers.team.example/golem" == found.url

    def test_older_generations_do_not_know_it(self, home: Path) -> None:
        """Their `local` stays where it is."""
        write(home, "1.3")
        found = resolve(home, "local", GOLEM_BUILTIN_LOCAL_URL="http://127.0.0.1:9999")
        assert LOCAL == found.url

    def test_an_address_in_the_file_holds(self, home: Path) -> None:
        """Golem 1.4 writes one there, and reads it."""
        auth = {"Static": {"secret": STATIC}}
        local = {"customUrl": "http://10.0.0.7:9881/", "auth": auth}
        write(home, "1.4", {"profiles": {"local": local}})
        assert ("http://10.0.0.7:9881", STATIC, True) == facts(resolve(home))


class TestWithoutAToken:
    """A profile whose server wants a token, and that has none."""

    @pytest.mark.parametrize(
        ("generation", "name", "key"),
        [
            ("1.1", "logged-out", "profiles.logged-out.GolemCloud.auth is missing"),
            ("1.2", "cloud", "nobody has logged in: it is not in"),
            ("1.3", "cloud", "profiles.cloud.auth.OAuth2.data is null"),
            ("1.4", "fresh", "profiles.fresh.auth.OAuth2.data is null"),
        ],
    )
    def test_it_is_refused(self, home: Path, generation: str, name: str, key: str) -> None:
        """The error names profile, file and key, and says how to get one."""
        path = write(home, generation)
        with pytest.raises(ValueError, match="log in with golem-cli, or give a token") as caught:
            resolve(home, name)
        text = str(caught.value)
        assert (True, True, True) == (repr(name) in text, str(path.parent) in text, key in text)

    def test_the_caller_may_have_one(self, home: Path) -> None:
        """Then only the address is taken."""
        write(home, "1.4")
        found = connection_from_profile("fresh", needs_token=False, environ={"HOME": str(home)})
        assert (CLOUD, None, True) == facts(found)

    def test_the_environment_may_have_one(self, home: Path) -> None:
        """As with golem-cli."""
        write(home, "1.4")
        found = resolve(home, GOLEM_PROFILE="fresh", GOLEM_AUTH_TOKEN="from-env")
        assert (CLOUD, "from-env", True) == facts(found)


def broken(**profile: Any) -> dict[str, Any]:
    return {"profiles": {"p": profile}, "defaultProfile": "p"}


def static(secret: Any) -> dict[str, Any]:
    return {"Static": {"secret": secret}}


class TestBroken:
    """A file that cannot be read as one."""

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("", "is not JSON (line 1, column 1): repair it"),
            ("{zorro}", "is not JSON (line 1, column 2): repair it"),
            ('{"profiles": {}', "is not JSON (line 1, column 16)"),
            ("[" * 100_000, "is not JSON: repair it"),
            (f'{{"n": {"9" * 5000}}}', "is not JSON: repair it"),
            ("[]", "is not a JSON object"),
            ('"zorro"', "is not a JSON object"),
            ({"profiles": []}, ": profiles must be an object"),
            ({"profiles": {}, "defaultProfile": 7}, ": defaultProfile must be a string"),
            (
                {"profiles": {}, "defaultProfile": "gone"},
                ": defaultProfile: there is no profile 'gone'",
            ),
            ({"profiles": {"p": 1}, "defaultProfile": "p"}, ": profiles.p must be an object"),
            (broken(), " has no token (profiles.p.auth is missing): log in"),
            (broken(auth="zorro"), ": profiles.p.auth must be an object"),
            (broken(auth={}), ": profiles.p.auth.secret is missing: log in"),
            (broken(auth={"Basic": "zorro"}), ": profiles.p.auth.secret is missing"),
            (broken(auth={"Static": {}}), ": profiles.p.auth.Static.secret is missing"),
            (broken(auth=static(17)), ": profiles.p.auth.Static.secret must be a string"),
            (broken(auth=static(" ")), ": profiles.p.auth.Static.secret is empty: log in"),
            (
                broken(auth=static("zorro\u00e9")),
                ": profiles.p.auth.Static.secret holds a character that no header can carry: log",
            ),
            (
                broken(auth={"OAuth2": {"data": {"secret": None}}}),
                ": profiles.p.auth.OAuth2.data.secret is missing",
            ),
            (
                broken(auth={"OAuth2": {"data": "zorro"}}),
                ": profiles.p.auth.OAuth2.data must be an object",
            ),
            (
                broken(customUrl="zorro", auth=static("x")),
                ': profiles.p.customUrl must start with "http://"',
            ),
            (
                broken(customUrl="https://zorro:zorro@x", auth=static("x")),
                ": profiles.p.customUrl must not hold a user name",
            ),
            (
                broken(customWorkerUrl=1, customUrl="http://x", auth=static("x")),
                ": profiles.p.customWorkerUrl must be a string",
            ),
            (
                broken(allowInsecure="zorro", auth=static("x")),
                ": profiles.p.allowInsecure must be true or false",
            ),
            (
                {"profiles": {"a b\u001b": {"auth": {}}}, "defaultProfile": "a b\u001b"},
                r": profiles.'a b\x1b'.auth.secret is missing",
            ),
        ],
    )
    def test_the_error_names_file_and_key_and_shows_no_secret(
        self, home: Path, content: Any, expected: str
    ) -> None:
        """Not even in what it was raised from."""
        path = write(home, "1.4", content)
        with pytest.raises(ValueError, match=r"config-v4\.json") as caught:
            resolve(home)
        error = caught.value
        assert (True, True) == (f"{path}" in str(error), expected in str(error))
        assert "zorro" not in "".join(map(repr, (error, error.__cause__, error.__context__)))

    @pytest.mark.parametrize(
        ("profile", "expected"),
        [
            ({}, "profiles.p.auth is missing"),
            ({"Golem": {"url": "x"}}, "profiles.p.Golem.url must start with"),
            ({"GolemCloud": {"auth": {}}}, "profiles.p.GolemCloud.auth.secret is missing"),
        ],
    )
    def test_in_the_first_generation_too(self, home: Path, profile: Any, expected: str) -> None:
        """Its profiles are tagged."""
        write(home, "1.1", {"profiles": {"p": profile}, "active_profile": "p"})
        with pytest.raises(ValueError, match=expected):
            resolve(home)

    def test_a_file_that_is_not_utf_8(self, home: Path) -> None:
        """The offending byte is not shown, nor what is around it."""
        path = write(home, "1.4", "")
        path.write_bytes(b'{"profiles": {"zorro\xff": 1}}')
        with pytest.raises(ValueError, match="is not JSON: repair it") as caught:
            resolve(home)
        assert (None, None) == (caught.value.__cause__, caught.value.__context__)

    def test_a_file_that_is_a_directory(self, home: Path) -> None:
        """What the system says of it is said."""
        (home / ".golem" / "config-v4.json").mkdir()
        with pytest.raises(ValueError, match=r"config-v4.json cannot be read \(Is a directory\)"):
            resolve(home)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_without_permission(self, home: Path) -> None:
        """It is not passed over: an older file might name another server."""
        write(home, "1.4").chmod(0)
        with pytest.raises(ValueError, match=r"cannot be read \(Permission denied\)"):
            resolve(home)

    def test_a_name_for_people_is_no_escape_sequence(self, home: Path) -> None:
        """And not endless."""
        with pytest.raises(ValueError, match="there is no profile") as caught:
            resolve(home, "\x1b[2J" + "x" * 5000)
        assert (False, True) == ("\x1b" in str(caught.value), len(str(caught.value)) < 400)


class TestDirectory:
    """Where the files are."""

    def test_the_variable_names_it(self, home: Path) -> None:
        """And not the home directory."""
        write(home, "1.4")
        found = resolve(Path("/nowhere"), GOLEM_CONFIG_DIR=str(home / ".golem"))
        assert "https://workers.team.example/golem" == found.url

    @pytest.mark.parametrize("name", ["", "/no/such/directory", "/dev/null", "x" * 5000])
    def test_one_that_is_none_is_an_error(self, home: Path, name: str) -> None:
        """Most likely a typo, which must not lead to another server."""
        with pytest.raises(ValueError, match=r"^GOLEM_CONFIG_DIR names no directory"):
            resolve(home, GOLEM_CONFIG_DIR=name)

    def test_there_need_not_be_any(self, tmp_path: Path) -> None:
        """Whoever has no golem-cli has no directory of it."""
        assert LOCAL == resolve(tmp_path / "nobody").url

    @pytest.mark.parametrize("home", ["/dev/null", "/nonexistent"])
    def test_a_home_that_is_none_has_no_files(self, home: str) -> None:
        """Users of services have such homes."""
        assert LOCAL == resolve(Path(home)).url

    def test_a_home_with_an_endless_name_is_an_error(self) -> None:
        """A ValueError that says what the system says."""
        with pytest.raises(ValueError, match=r"cannot be read \(File name too long\)"):
            resolve(Path("/" + "x" * 5000))

    @pytest.fixture
    def nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process have no HOME, and a uid that no user has."""
        monkeypatch.delenv("HOME", raising=False)

        def no_user(uid: int) -> None:
            raise KeyError(uid)

        monkeypatch.setattr(pwd, "getpwuid", no_user)

    @pytest.mark.usefixtures("nobody")
    @pytest.mark.parametrize("environ", [{}, {"HOME": ""}], ids=["unset", "empty"])
    def test_a_user_without_a_home_has_no_files(self, environ: dict[str, str]) -> None:
        """As in a container with an arbitrary uid."""
        assert (LOCAL, LOCAL_TOKEN, True) == facts(connection_from_env(environ=environ))
        with pytest.raises(ValueError, match=r"this user has no home directory, and so has no"):
            connection_from_profile("team", environ=environ)
        with pytest.raises(ValueError, match=r"nobody has logged in: it is not in any file"):
            connection_from_profile("cloud", environ=environ)


def test_no_local_variable_shows_a_token(home: Path) -> None:
    """Reporters of errors send those of each frame of a traceback."""
    write(home, "1.4", broken(auth=static("zorro zorro")))
    with pytest.raises(ValueError, match="white space") as caught:
        resolve(home, GOLEM_CLIENT_TIMEOUT="x")
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    below = [repr(frame.locals) for frame in trace.stack if frame.filename != __file__]
    assert (True, False) == (len(below) > 3, "zorro" in "".join(below))


def test_nothing_is_written(home: Path) -> None:
    """Not even the migrations that golem-cli would do."""
    path = write(home, "1.1")
    resolve(home)
    resolve(home, "split")
    assert (V1_OF_1_1, [path]) == (path.read_text(), list((home / ".golem").iterdir()))


@pytest.mark.parametrize("name", [None, 1, b"team"])
def test_a_name_is_a_string(name: Any) -> None:
    """None is no name for the default: that is `from_env`."""
    with pytest.raises(TypeError, match="the name of a profile must be a string"):
        connection_from_profile(name)
