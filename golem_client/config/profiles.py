"""The profiles of golem-cli, from its configuration file of every generation; only read.

| Golem | file | default profile |
| --- | --- | --- |
| 1.4 and later | `config-v4.json` | `defaultProfile` |
| 1.3 | `config-v2.json` | `default_profile` |
| 1.1, 1.2 | `config.json` | `default_profile`, `active_profile`, or the profile `default` |

| Golem | the address of worker calls, else of all | the token |
| --- | --- | --- |
| 1.4 and later | `customWorkerUrl`, `customUrl` | `auth.Static.secret`, `auth.OAuth2.data.secret` |
| 1.3 | `custom_worker_url`, `custom_url` | as 1.4 |
| 1.1, 1.2, `GolemCloud` | `custom_worker_url`, `custom_url` | `auth.secret` |
| 1.1, 1.2, `Golem` | `worker_url`, `url` | none: an open-source Golem asked for none |

The profiles `local` and `cloud` are built in; a file may change them, and `local` is the default of
a file that names none. `GOLEM_BUILTIN_LOCAL_URL` (Golem 1.5) wins over what a file says of `local`.
A profile without an address is Golem Cloud's.

The files are in `GOLEM_CONFIG_DIR`, or in `.golem` in the home directory; without a home directory
there are none. golem-cli keeps the files of older generations and reads only its own. Here the
newest file that exists names the default profile, and a name is looked up in the newest file that
has it.

Every error names the file and the key, and shows no value but names of profiles.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import attrs

from golem_client.config.options import (
    CLOUD_URL,
    LOCAL_TOKEN,
    LOCAL_URL,
    Secret,
    checked_token,
    checked_url,
)

T = TypeVar("T")
Environment = Mapping[str, str]

WELL_KNOWN = "Golem's well-known local token"
_LOG_IN = "log in with golem-cli, or give a token yourself"
_REPAIR = "repair it, or move it away and let golem-cli write a new one"
_KINDS: Mapping[type, str] = {str: "a string", dict: "an object", bool: "true or false"}


@attrs.frozen
class Profile:
    """A server, as a profile describes it.

    Attributes:
        where: The profile and its file, for people.
        url: The address of worker calls.
        url_key: The key that names the address.
        token: Its token; None where there is none.
        token_key: The key that holds the token, or why there is none.
        needs_token: Whether its server wants one: all but those of 1.1 and 1.2 do.
        allows_insecure: Whether it accepts any certificate.
    """

    where: str
    url: str
    url_key: str
    token: Secret | None
    token_key: str
    needs_token: bool = attrs.field(default=True, kw_only=True)
    allows_insecure: bool = attrs.field(default=False, kw_only=True)

    def required_token(self) -> Secret | None:
        """Return the token, or raise a ValueError if there is none and the server wants one."""
        if self.token is None and self.needs_token:
            raise ValueError(f"{self.where} has no token ({self.token_key}): {_LOG_IN}")
        return self.token


def find_profile(name: str | None, source: str, environ: Environment) -> Profile:
    """Return a profile; None names the default one. Errors call the name by its `source`."""
    directory = _config_dir(environ)
    newest = next(_files(directory), None)
    if name is None:
        name, source = ("local", "") if newest is None else newest.default()
    stored = (file.stored(name) for file in _files(directory))
    profile = next(filter(None, stored), None) or _built_in(name, directory)
    if profile is None:
        _refuse_name(name, source, directory)
    url = environ.get("GOLEM_BUILTIN_LOCAL_URL")
    if name == "local" and url is not None and (newest is None or newest.generation is _V4):
        variable = "GOLEM_BUILTIN_LOCAL_URL"
        return attrs.evolve(profile, url=checked_url(url, name=variable), url_key=variable)
    return profile


def quoted(name: str) -> str:
    """Return a name for people: not endless, and without what a terminal would obey."""
    return repr(name if len(name) <= 60 else f"{name[:59]}…")


@attrs.frozen
class _Generation:
    """How one generation of golem-cli writes its file; the names of fields are in their order."""

    file: str
    default_keys: tuple[str, ...]
    url_keys: tuple[str, ...] = ("custom_worker_url", "custom_url")
    insecure_key: str = "allow_insecure"


_V4 = _Generation(
    "config-v4.json", ("defaultProfile",), ("customWorkerUrl", "customUrl"), "allowInsecure"
)
_V2 = _Generation("config-v2.json", ("default_profile",))
_V1 = _Generation(
    "config.json",
    ("default_profile", "active_profile"),
    ("custom_worker_url", "custom_url", "worker_url", "url"),
)
_GENERATIONS = (_V4, _V2, _V1)


@attrs.frozen
class _Entry:
    """A JSON object in a file. It can name its file and key when something is wrong with it."""

    path: Path
    key: str
    fields: Mapping[str, Any] = attrs.field(repr=False)

    def field(self, name: str, kind: type[T]) -> T | None:
        """Return a field; None where it is missing or null."""
        value = self.fields.get(name)
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"{self.path}: {self.key_of(name)} must be {_KINDS[kind]}")
        return value

    def first(self, names: tuple[str, ...]) -> tuple[str, str] | None:
        """Return the first of these texts that is there, and its key."""
        found = ((self.field(name, str), self.key_of(name)) for name in names)
        return next(((text, key) for text, key in found if text is not None), None)

    def entry(self, name: str) -> _Entry | None:
        """Return the object in this field; None where it is missing or null."""
        fields = self.field(name, dict)
        return None if fields is None else _Entry(self.path, self.key_of(name), fields)

    def secret(self) -> tuple[Secret, str]:
        """Return the token in the field `secret`, and its key."""
        text, key = self.field("secret", str), self.key_of("secret")
        reason = "is missing"
        if text is not None:
            try:
                return Secret(checked_token(text)), key
            except ValueError as error:
                reason = str(error).removeprefix("the token ").rpartition(": ")[0]
        raise ValueError(f"{self.path}: {key} {reason}: {_LOG_IN}")

    def key_of(self, name: str) -> str:
        """Return the path of a field within the file."""
        shown = name if name.replace("-", "_").isidentifier() else quoted(name)
        return f"{self.key}.{shown}" if self.key else shown


@attrs.frozen
class _File:
    """One configuration file, as far as it is about profiles."""

    generation: _Generation
    root: _Entry
    profiles: _Entry

    def default(self) -> tuple[str, str]:
        """Return the name of the default profile, and what names it."""
        usual = "default" if "default" in self.profiles.fields else "local"
        name, key = self.root.first(self.generation.default_keys) or (usual, "the built-in default")
        return name, f"{self.root.path}: {key}"

    def stored(self, name: str) -> Profile | None:
        """Return the profile that is in the file under this name."""
        entry = self.profiles.entry(name)
        if entry is None:
            return None
        oss = entry.entry("Golem")  # generations before 1.3 wrap a profile in what it is for
        body = oss or entry.entry("GolemCloud") or entry
        usual = LOCAL_URL if oss or name == "local" else CLOUD_URL
        text, url_key = body.first(self.generation.url_keys) or (usual, "built in")
        token, token_key = _NO_TOKEN if oss else _token(body)
        return Profile(
            f"the profile {quoted(name)} of {self.root.path}",
            checked_url(text, name=f"{self.root.path}: {url_key}"),
            url_key,
            token,
            token_key,
            needs_token=oss is None,
            allows_insecure=body.field(self.generation.insecure_key, bool) or False,
        )


_NO_TOKEN = (None, "profiles of an open-source Golem 1.1 or 1.2 have none")


def _token(profile: _Entry) -> tuple[Secret | None, str]:
    auth = profile.entry("auth")
    if auth is None:
        return None, f"{profile.key_of('auth')} is missing"
    oauth = auth.entry("OAuth2")
    login = None if oauth is None else oauth.entry("data")
    if oauth is not None and login is None:
        return None, f"{oauth.key_of('data')} is null: nobody has logged in"
    return (login or auth.entry("Static") or auth).secret()


def _config_dir(environ: Environment) -> Path | None:
    """Return the directory of golem-cli's configuration; None for a user without a home."""
    if "GOLEM_CONFIG_DIR" in environ:
        directory = environ["GOLEM_CONFIG_DIR"]
        if not os.path.isdir(directory):  # Path's own raises for some names
            raise ValueError(
                f"GOLEM_CONFIG_DIR names no directory ({quoted(directory)}): "
                "unset it, or let it name the one of golem-cli's configuration"
            )
        return Path(directory)
    home = environ.get("HOME") or os.path.expanduser("~")  # Path's own raises
    return None if home == "~" else Path(home) / ".golem"


def _files(directory: Path | None) -> Iterator[_File]:
    """Yield the configuration files that exist, the newest generation first."""
    for generation in _GENERATIONS if directory is not None else ():
        path = (directory or Path()) / generation.file
        content = _content(path)
        if content is not None:
            root = _Entry(path, "", content)
            profiles = root.entry("profiles") or _Entry(path, "profiles", {})
            yield _File(generation, root, profiles)


def _content(path: Path) -> Mapping[str, Any] | None:
    """Return what is in a file; None where there is no file."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = f"cannot be read ({error.strerror}): let this user read it"
    except json.JSONDecodeError as error:
        # The error itself holds the whole text, tokens and all: it must not become a context.
        reason = f"is not JSON (line {error.lineno}, column {error.colno}): {_REPAIR}"
    except (ValueError, RecursionError):  # not UTF-8, or nested without end
        reason = f"is not JSON: {_REPAIR}"
    else:
        if isinstance(value, dict):
            return value
        reason = f"is not a JSON object: {_REPAIR}"
    raise ValueError(f"{path} {reason}")


def _built_in(name: str, directory: Path | None) -> Profile | None:
    """Return the profile that exists without being in a file."""
    if name == "local":
        where = "the built-in profile 'local'"
        return Profile(where, LOCAL_URL, "a Golem on this machine", Secret(LOCAL_TOKEN), WELL_KNOWN)
    if name == "cloud":
        why = f"nobody has logged in: it is not in {directory or 'any file'}"
        return Profile("the built-in profile 'cloud'", CLOUD_URL, "Golem Cloud", None, why)
    return None


def _refuse_name(name: str, source: str, directory: Path | None) -> NoReturn:
    there = [
        f"{file.root.path} has {', '.join(map(quoted, sorted(file.profiles.fields))) or 'none'}"
        for file in _files(directory)
    ]
    if not there:
        place = directory or "this user has no home directory, and so"
        there = [f"{place} has no configuration file ({', '.join(g.file for g in _GENERATIONS)})"]
    there.append("built in are 'local' and 'cloud'")
    raise ValueError(f"{source}: there is no profile {quoted(name)}: {'; '.join(there)}")
