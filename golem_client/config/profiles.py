"""The profiles of golem-cli, from its configuration file of every generation; only read.

| Golem | file | default profile | built in |
| --- | --- | --- | --- |
| 1.4 and later | `config-v4.json` | `defaultProfile`, or `local` | `local`, `cloud` |
| 1.3 | `config-v2.json` | `default_profile`, or `local` | `local`, `cloud` |
| 1.2 | `config.json` | `default_profile` | `local`, `cloud` |
| 1.1 | `config.json` | `active_profile`, or `default`, or `active_cloud_profile`, or `cloud_default` | `default`, `cloud_default` |

| Golem | the address of worker calls, else of all | the token |
| --- | --- | --- |
| 1.4 and later | `customWorkerUrl`, `customUrl` | `auth.Static.secret` or `auth.OAuth2.data.secret` |
| 1.3 | `custom_worker_url`, `custom_url` | as 1.4 |
| 1.1, 1.2, `GolemCloud` | `custom_worker_url`, `custom_url` | `auth.secret` |
| 1.1, 1.2, `Golem` | `worker_url`, `url` | none: an open-source Golem asked for none |

A profile without an address is Golem Cloud's; the profile `local` is this machine's.

The files are in `GOLEM_CONFIG_DIR`, or in `.golem` in the home directory; without a home directory
there are none. golem-cli keeps the files of older generations and reads only its own. Here the
newest file that exists names the default profile, and a name is looked up in the newest file that
has it. A file may change the built-in profiles, as in Golem 1.4; `GOLEM_BUILTIN_LOCAL_URL` (1.5)
wins over what it says of `local`.

Every error names the file and the key, and shows no value but names of profiles.
"""  # noqa: E501 - a table

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import attrs

from golem_client.config.options import (
    CLOUD_URL,
    LOCAL_TOKEN,
    LOCAL_URL,
    Secret,
    checked_token,
    checked_url,
)

Environment = Mapping[str, str]

_LOG_IN = "log in with golem-cli, or give a token yourself"
_REPAIR = "repair it, or move it away and let golem-cli write a new one"


@attrs.frozen
class Profile:
    """What a profile says of a server.

    Attributes:
        where: The profile and its file, for people.
        url: Where its worker calls go.
        url_key: What says so.
        token: Its token; None where there is none.
        token_key: What says so, or why there is none.
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
        """Return the token.

        Raises:
            ValueError: There is none, and the server wants one.
        """
        if self.token is None and self.needs_token:
            raise ValueError(f"{self.where} has no token ({self.token_key}): {_LOG_IN}")
        return self.token


def find_profile(name: str | None, source: str, environ: Environment) -> Profile | None:
    """Return a profile, or None where none is named and there is no file at all.

    Args:
        name: Its name; None for the default profile of the newest file.
        source: What names it, for the text of errors.
        environ: The environment: `GOLEM_CONFIG_DIR`, `HOME`, `GOLEM_BUILTIN_LOCAL_URL`.

    Raises:
        ValueError: There is no such profile, or its file is unreadable or broken.
    """
    directory = _config_dir(environ)
    newest = next(_files(directory), None)
    if name is None:
        if newest is None:
            return None
        name, key = newest.default()
        source = f"{newest.root.path}: {key}"
    stored = (file.stored(name) for file in _files(directory))
    profile = next(filter(None, stored), None) or _built_in(name, newest, directory)
    if profile is None:
        _refuse_name(name, source, directory)
    url = environ.get("GOLEM_BUILTIN_LOCAL_URL")
    if name == "local" and url is not None and (newest or _NO_FILE).generation is _V4:
        variable = "GOLEM_BUILTIN_LOCAL_URL"
        return attrs.evolve(profile, url=checked_url(url, name=variable), url_key=variable)
    return profile


def quoted(name: str) -> str:
    """Return a name for people: whole, but never what a terminal would obey."""
    return repr(name if len(name) <= 60 else f"{name[:59]}…")


@attrs.frozen
class _Entry:
    """A JSON object in a file. It can name its file and key when something is wrong with it."""

    path: Path
    key: str
    fields: Mapping[str, Any] = attrs.field(repr=False)

    def refuse(self, name: str, message: str) -> NoReturn:
        raise ValueError(f"{self.path}: {self._key(name)} {message}")

    def text(self, *names: str) -> tuple[str, str] | None:
        """Return the first of these fields that is not missing or null, and its key."""
        for name in names:
            value = self.fields.get(name)
            if isinstance(value, str):
                return value, self._key(name)
            if value is not None:
                self.refuse(name, "must be a string")
        return None

    def entry(self, name: str) -> _Entry | None:
        """Return the object in this field; None where it is missing or null."""
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse(name, "must be an object")
        return _Entry(self.path, self._key(name), value)

    def flag(self, name: str) -> bool:
        """Return the truth value in this field; false where it is missing."""
        value = self.fields.get(name, False)
        if not isinstance(value, bool):
            self.refuse(name, "must be true or false")
        return value

    def url(self, *names: str) -> tuple[str, str] | None:
        """Return the address in the first of these fields that is there, and its key."""
        found = self.text(*names)
        if found is None:
            return None
        return checked_url(found[0], name=f"{self.path}: {found[1]}"), found[1]

    def token(self, name: str) -> tuple[Secret, str]:
        """Return the token in this field, and its key."""
        found = self.text(name)
        if found is None:
            self.refuse(name, f"is missing: {_LOG_IN}")
        try:
            token = checked_token(found[0])
        except ValueError as error:
            reason = str(error).removeprefix("the token ").rpartition(": ")[0]
        else:
            return Secret(token), found[1]
        raise ValueError(f"{self.path}: {found[1]} {reason}: {_LOG_IN}")

    def _key(self, name: str) -> str:
        shown = name if name.replace("-", "_").isidentifier() else quoted(name)
        return f"{self.key}.{shown}" if self.key else shown


@attrs.frozen
class _Generation:
    """How one generation of golem-cli writes its file.

    Attributes:
        file: Its name.
        default_keys: The fields that may name the default profile.
        keys: The fields of a profile: its address for worker calls, its address for all, and
            whether it accepts any certificate.
    """

    file: str
    default_keys: tuple[str, ...]
    keys: tuple[str, str, str] = ("custom_worker_url", "custom_url", "allow_insecure")


@attrs.frozen
class _File:
    """One configuration file, as far as it is about profiles."""

    generation: _Generation
    root: _Entry
    profiles: _Entry

    @property
    def is_of_1_1(self) -> bool:
        """Whether golem-cli 1.1 wrote it and 1.2 has not migrated it yet."""
        return self.generation is _V1 and "default_profile" not in self.root.fields

    @property
    def built_in(self) -> tuple[str, str]:
        """The names of the profiles that exist without being in the file: local and cloud."""
        return ("default", "cloud_default") if self.is_of_1_1 else ("local", "cloud")

    def default(self) -> tuple[str, str]:
        """Return the name of the default profile, and what names it."""
        local, cloud = self.built_in
        found = self.root.text(*self.generation.default_keys)
        if found is None and self.is_of_1_1 and local not in self.profiles.fields:
            found = self.root.text("active_cloud_profile")
            if found is None and cloud in self.profiles.fields:
                return cloud, "profiles"
        return found or (local, "its built-in default")

    def stored(self, name: str) -> Profile | None:
        """Return the profile that is in the file under this name."""
        entry = self.profiles.entry(name)
        if entry is None:
            return None
        where = f"the profile {quoted(name)} of {self.root.path}"
        return _read_v1(where, entry) if self.generation is _V1 else _read(where, entry, self)


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
        value = json.loads(path.read_bytes().decode())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = f"cannot be read ({error.strerror}): let this user read it"
    except json.JSONDecodeError as error:
        # The error itself holds the whole text, tokens and all: it must not become a context.
        reason = f"is not JSON (line {error.lineno}, column {error.colno}): {_REPAIR}"
    except UnicodeDecodeError:
        reason = f"is not UTF-8: {_REPAIR}"
    except RecursionError:
        reason = f"is nested too deeply: {_REPAIR}"
    except ValueError:
        reason = f"holds a number with thousands of digits: {_REPAIR}"
    else:
        if isinstance(value, dict):
            return value
        reason = f"is not a JSON object: {_REPAIR}"
    raise ValueError(f"{path} {reason}")


def _built_in(name: str, newest: _File | None, directory: Path | None) -> Profile | None:
    """Return the profile that exists without being in a file."""
    where = f"the built-in profile {quoted(name)}"
    local, cloud = (newest or _NO_FILE).built_in
    if name == local:
        token = Secret(LOCAL_TOKEN)
        return Profile(where, LOCAL_URL, "built in", token, "Golem's well-known local token")
    if name == cloud:
        why = f"nobody has logged in: it is not in {directory or 'any file'}"
        return Profile(where, CLOUD_URL, "built in", None, why)
    return None


def _refuse_name(name: str, source: str, directory: Path | None) -> NoReturn:
    there = [
        f"{file.root.path} has "
        f"{', '.join(map(quoted, sorted({*file.profiles.fields, *file.built_in})))}"
        for file in _files(directory)
    ]
    if not there:
        files = ", ".join(generation.file for generation in _GENERATIONS)
        place = directory or "this user has no home directory, and so"
        there = [f"{place} has no configuration file ({files}); built in are 'local', 'cloud'"]
    raise ValueError(f"{source}: there is no profile {quoted(name)}: {'; '.join(there)}")


def _read(where: str, entry: _Entry, file: _File) -> Profile:
    """Read a profile of 1.3 or later: one shape for all servers."""
    worker, main, insecure = file.generation.keys
    built_in = LOCAL_URL if entry.key == "profiles.local" else CLOUD_URL
    url, url_key = entry.url(worker, main) or (built_in, "built in")
    auth = entry.entry("auth")
    if auth is None:
        entry.refuse("auth", f"is missing: {_LOG_IN}")
    static, oauth = auth.entry("Static"), auth.entry("OAuth2")
    login = oauth.entry("data") if oauth is not None else None
    if static is not None or login is not None:
        token, token_key = (static or login or auth).token("secret")
    elif oauth is not None:
        token, token_key = None, f"{oauth.key}.data is null: nobody has logged in"
    else:
        entry.refuse("auth", f'holds neither "Static" nor "OAuth2": {_LOG_IN}')
    is_insecure = entry.flag(insecure)
    return Profile(where, url, url_key, token, token_key, allows_insecure=is_insecure)


def _read_v1(where: str, entry: _Entry) -> Profile:
    """Read a profile of 1.1 or 1.2: one shape for an open-source Golem, one for the cloud."""
    oss, cloud = entry.entry("Golem"), entry.entry("GolemCloud")
    token, token_key = None, "profiles of an open-source Golem 1.1 or 1.2 have none"
    if oss is not None:
        found = oss.url("worker_url", "url")
        if found is None:
            oss.refuse("url", "is missing: set it to the address of the profile's Golem")
    elif cloud is not None:
        found = cloud.url("custom_worker_url", "custom_url") or (CLOUD_URL, "built in")
        auth = cloud.entry("auth")
        missing = f"{cloud.key}.auth is missing: nobody has logged in"
        token, token_key = (None, missing) if auth is None else auth.token("secret")
    else:
        raise ValueError(f'{entry.path}: {entry.key} holds neither "Golem" nor "GolemCloud"')
    is_insecure = (oss or cloud or entry).flag("allow_insecure")
    return Profile(
        where, *found, token, token_key, needs_token=oss is None, allows_insecure=is_insecure
    )


_V4 = _Generation(
    "config-v4.json", ("defaultProfile",), ("customWorkerUrl", "customUrl", "allowInsecure")
)
_V2 = _Generation("config-v2.json", ("default_profile",))
_V1 = _Generation("config.json", ("default_profile", "active_profile"))
_GENERATIONS = (_V4, _V2, _V1)
_NO_FILE = _File(_V4, _Entry(Path(), "", {}), _Entry(Path(), "profiles", {}))
