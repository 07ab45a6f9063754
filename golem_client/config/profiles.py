"""The profiles of golem-cli, from its configuration file of every generation; only read.

| Golem | file | default profile | built in |
| --- | --- | --- | --- |
| 1.4 and later | `config-v4.json` | `defaultProfile`, or `local` | `local`, `cloud` |
| 1.3 | `config-v2.json` | `default_profile`, or `local` | `local`, `cloud` |
| 1.2 | `config.json` | `default_profile` | `local`, `cloud` |
| 1.1 | `config.json` | `active_profile`, or `default`, or `active_cloud_profile`, or `cloud_default` | `default`, `cloud_default` |

The files lie in `GOLEM_CONFIG_DIR`, or in `.golem` in the home directory. golem-cli keeps the files
of older generations and reads only its own. Here the newest file that is there names the default
profile, and a name is looked up in the newest file that has it.

What a file says of the built-in profiles holds, as in Golem 1.4; `GOLEM_BUILTIN_LOCAL_URL` (1.5)
wins over what it says of `local`.

Every error names the file and the key, and shows no value but names of profiles.
"""  # noqa: E501 - a table

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import attrs

from golem_client.config.options import CLOUD_URL, LOCAL_TOKEN, LOCAL_URL, Secret
from golem_client.config.profile_shapes import (
    Entry,
    Profile,
    checked_url_of,
    quoted,
    read_v1,
    read_v2,
    read_v4,
)

Environment = Mapping[str, str]


@attrs.frozen
class Generation:
    """How one generation of golem-cli writes its file."""

    file: str
    read: Callable[[str, Entry], Profile]
    default_keys: tuple[str, ...]
    has_local_url_variable: bool = False


@attrs.frozen
class ProfileFile:
    """One configuration file, as far as it is about profiles."""

    generation: Generation
    root: Entry
    profiles: Entry

    @property
    def is_of_1_1(self) -> bool:
        """Whether it was written by golem-cli 1.1 and not migrated by 1.2 yet."""
        return self.generation is _V1 and "default_profile" not in self.root.fields

    @property
    def built_in(self) -> tuple[str, str]:
        """The names of the profiles that are there without being in the file: local and cloud."""
        return ("default", "cloud_default") if self.is_of_1_1 else ("local", "cloud")

    @property
    def names(self) -> list[str]:
        """The names of all its profiles."""
        return sorted({*self.profiles.fields, *self.built_in})

    def default(self) -> tuple[str, str]:
        """Return the name of its default profile, and what says so."""
        found = self.root.text(*self.generation.default_keys)
        if found is not None:
            return found
        if self.is_of_1_1 and self.built_in[0] not in self.profiles.fields:
            found = self.root.text("active_cloud_profile")
            if found is not None:
                return found
            if self.built_in[1] in self.profiles.fields:
                return self.built_in[1], "profiles"
        return self.built_in[0], "its built-in default"

    def stored(self, name: str) -> Profile | None:
        """Return the profile that is in the file under this name."""
        entry = self.profiles.entry(name)
        if entry is None:
            return None
        where = f"the profile {quoted(name)} of {self.root.path}"
        return self.generation.read(where, entry)


def find_profile(name: str | None, source: str, environ: Environment) -> Profile | None:
    """Return a profile, or None where none is named and there is no file at all.

    Args:
        name: Its name; None for the default profile of the newest file.
        source: What names it, for the text of errors.
        environ: The environment: `GOLEM_CONFIG_DIR`, `HOME`, `GOLEM_BUILTIN_LOCAL_URL`.

    Raises:
        ValueError: There is no such profile, or its file is unreadable or broken.
    """
    directory = config_dir(environ)
    newest = next(_files(directory), None)
    if name is None:
        if newest is None:
            return None
        name, key = newest.default()
        source = f"{newest.root.path}: {key}"
    profile = _stored(name, directory) or _built_in(name, newest, directory)
    if profile is None:
        _refuse_name(name, source, directory)
    has_variable = newest is None or newest.generation.has_local_url_variable
    if name == "local" and has_variable and "GOLEM_BUILTIN_LOCAL_URL" in environ:
        return _moved(profile, environ["GOLEM_BUILTIN_LOCAL_URL"])
    return profile


def config_dir(environ: Environment) -> Path:
    """Return the directory of golem-cli's configuration.

    Raises:
        ValueError: `GOLEM_CONFIG_DIR` names none.
    """
    if "GOLEM_CONFIG_DIR" in environ:
        directory = Path(environ["GOLEM_CONFIG_DIR"])
        if not environ["GOLEM_CONFIG_DIR"] or not directory.is_dir():
            raise ValueError(
                f"GOLEM_CONFIG_DIR names no directory ({quoted(str(directory))}): "
                "unset it, or let it name the one of golem-cli's configuration"
            )
        return directory
    home = Path(environ.get("HOME") or Path("~").expanduser())
    return home / ".golem"


def _files(directory: Path) -> Iterator[ProfileFile]:
    """Yield the configuration files that are there, the newest generation first."""
    for generation in _GENERATIONS:
        path = directory / generation.file
        content = _content(path)
        if content is not None:
            root = Entry(path, "", content)
            profiles = root.entry("profiles") or Entry(path, "profiles", {})
            yield ProfileFile(generation, root, profiles)


def _content(path: Path) -> Mapping[str, Any] | None:
    """Return what is in a file; None where there is no file."""
    try:
        value = json.loads(path.read_bytes().decode())
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = f"cannot be read ({error.strerror}): let this user read it"
    except json.JSONDecodeError as error:
        # The error itself holds the whole text, tokens and all: it must not become a context.
        reason = f"is not JSON (line {error.lineno}, column {error.colno}): {_REPAIR}"
    except (UnicodeDecodeError, RecursionError):
        reason = f"is not JSON in UTF-8: {_REPAIR}"
    else:
        if isinstance(value, dict):
            return value
        reason = f"is not a JSON object: {_REPAIR}"
    raise ValueError(f"{path} {reason}")


_REPAIR = "repair it, or move it away and let golem-cli write a new one"


def _stored(name: str, directory: Path) -> Profile | None:
    """Return the profile from the newest file that has it."""
    found = (file.stored(name) for file in _files(directory))
    return next((profile for profile in found if profile is not None), None)


def _built_in(name: str, newest: ProfileFile | None, directory: Path) -> Profile | None:
    """Return the profile that is there without being in a file."""
    where = f"the built-in profile {quoted(name)}"
    local, cloud = (newest or _NO_FILE).built_in
    if name == local:
        return Profile(
            where=where,
            url=LOCAL_URL,
            url_key="built in",
            token=Secret(LOCAL_TOKEN),
            token_key="Golem's well-known local token",  # noqa: S106 - words
        )
    if name == cloud:
        key = f"nobody has logged in: it is not in {directory}"
        return Profile(where=where, url=CLOUD_URL, url_key="built in", token=None, token_key=key)
    return None


def _moved(profile: Profile, url: str) -> Profile:
    """Return the profile `local` at the address that the environment has for it."""
    name = "GOLEM_BUILTIN_LOCAL_URL"
    return attrs.evolve(profile, url=checked_url_of(name, url), url_key=name)


def _refuse_name(name: str, source: str, directory: Path) -> NoReturn:
    there = [
        f"{file.root.path} has {', '.join(map(quoted, file.names))}" for file in _files(directory)
    ]
    if not there:
        files = ", ".join(generation.file for generation in _GENERATIONS)
        there = [f"{directory} has no configuration file ({files}); built in are 'local', 'cloud'"]
    raise ValueError(f"{source}: there is no profile {quoted(name)}: {'; '.join(there)}")


_V4 = Generation("config-v4.json", read_v4, ("defaultProfile",), has_local_url_variable=True)
_V2 = Generation("config-v2.json", read_v2, ("default_profile",))
_V1 = Generation("config.json", read_v1, ("default_profile", "active_profile"))
_GENERATIONS = (_V4, _V2, _V1)
_NO_FILE = ProfileFile(_V4, Entry(Path(), "", {}), Entry(Path(), "profiles", {}))
