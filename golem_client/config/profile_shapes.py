"""What a profile of golem-cli says, in the shape of each generation's file.

| Golem | the address of worker calls, else of all | the token |
| --- | --- | --- |
| from 1.4 on | `customWorkerUrl`, `customUrl` | `auth.Static.secret` or `auth.OAuth2.data.secret` |
| 1.3 | `custom_worker_url`, `custom_url` | as 1.4 |
| 1.1, 1.2, `GolemCloud` | `custom_worker_url`, `custom_url` | `auth.secret` |
| 1.1, 1.2, `Golem` | `worker_url`, `url` | none: an open-source Golem asked for none |

Where there is no address, it is Golem Cloud's, and for the profile `local` this machine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from golem_client.config.options import CLOUD_URL, LOCAL_URL, Secret, checked_token, checked_url

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LOG_IN = (
    "log in with golem-cli, or give a token: GOLEM_AUTH_TOKEN with GOLEM_PROFILE, or token= "
    "(golem-promise: --token-file)"
)


@attrs.frozen(kw_only=True)
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
    needs_token: bool = True
    allows_insecure: bool = False

    def required_token(self) -> Secret | None:
        """Return the token.

        Raises:
            ValueError: There is none, and the server wants one.
        """
        if self.token is None and self.needs_token:
            raise ValueError(f"{self.where} has no token ({self.token_key}): {_LOG_IN}")
        return self.token


@attrs.frozen
class Entry:
    """A JSON object in a file, which says where it is when something is wrong with it."""

    path: Path
    key: str
    fields: Mapping[str, Any]

    def refuse(self, name: str, message: str) -> NoReturn:
        """Raise the error of one field."""
        raise ValueError(f"{self.path}: {self._key(name)} {message}")

    def text(self, *names: str) -> tuple[str, str] | None:
        """Return the first of these fields that is there, and its key; null is not there."""
        for name in names:
            value = self.fields.get(name)
            if isinstance(value, str):
                return value, self._key(name)
            if value is not None:
                self.refuse(name, "must be a string")
        return None

    def entry(self, name: str) -> Entry | None:
        """Return the object in this field; None where there is none, or null."""
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse(name, "must be an object")
        return Entry(self.path, self._key(name), value)

    def flag(self, name: str) -> bool:
        """Return the truth value in this field; false where there is none."""
        value = self.fields.get(name, False)
        if not isinstance(value, bool):
            self.refuse(name, "must be true or false")
        return value

    def url(self, *names: str) -> tuple[str, str] | None:
        """Return the address in the first of these fields that is there, and its key."""
        found = self.text(*names)
        if found is None:
            return None
        text, key = found
        return checked_url_of(f"{self.path}: {key}", text), key

    def token(self, name: str) -> tuple[Secret, str]:
        """Return the token in this field, and its key.

        Raises:
            ValueError: There is none.
        """
        found = self.text(name)
        if found is None:
            self.refuse(name, f"is missing: {_LOG_IN}")
        text, key = found
        try:
            return Secret(checked_token(text)), key
        except ValueError as error:
            reason = str(error).partition(":")[0]
        raise ValueError(f"{self.path}: {key}: {reason}: {_LOG_IN}")

    def _key(self, name: str) -> str:
        shown = name if name.replace("-", "_").isidentifier() else quoted(name)
        return f"{self.key}.{shown}" if self.key else shown


def checked_url_of(source: str, text: str) -> str:
    """Return an address, checked; what is wrong is said of its source."""
    try:
        return checked_url(text)
    except ValueError as error:
        reason = str(error).replace("base_url", source, 1)
    raise ValueError(reason)


def quoted(name: str) -> str:
    """Return a name for people: whole, but never what a terminal would obey."""
    return repr(name if len(name) <= 60 else f"{name[:59]}…")


def read_v4(where: str, entry: Entry) -> Profile:
    """Read a profile of config-v4.json."""
    return _read_flat(where, entry, "customWorkerUrl", "customUrl", "allowInsecure")


def read_v2(where: str, entry: Entry) -> Profile:
    """Read a profile of config-v2.json."""
    return _read_flat(where, entry, "custom_worker_url", "custom_url", "allow_insecure")


def _read_flat(where: str, entry: Entry, worker: str, main: str, insecure: str) -> Profile:
    """Read a profile of 1.3 and later: one shape for all servers."""
    is_local = entry.key == "profiles.local"
    built_in = LOCAL_URL if is_local else CLOUD_URL
    url, url_key = entry.url(worker, main) or (built_in, "built in")
    token, token_key = _read_auth(entry)
    return Profile(
        where=where,
        url=url,
        url_key=url_key,
        token=token,
        token_key=token_key,
        allows_insecure=entry.flag(insecure),
    )


def _read_auth(entry: Entry) -> tuple[Secret | None, str]:
    """Return the token of a profile of 1.3 and later, and its key or why there is none."""
    auth = entry.entry("auth")
    if auth is None:
        entry.refuse("auth", f"is missing: {_LOG_IN}")
    static = auth.entry("Static")
    if static is not None:
        return static.token("secret")
    oauth = auth.entry("OAuth2")
    if oauth is None:
        entry.refuse("auth", f'holds neither "Static" nor "OAuth2": {_LOG_IN}')
    login = oauth.entry("data")
    if login is None:
        return None, f"{oauth.key}.data is null: nobody has logged in"
    return login.token("secret")


def read_v1(where: str, entry: Entry) -> Profile:
    """Read a profile of 1.1 and 1.2: one shape for an open-source Golem, one for the cloud."""
    oss, cloud = entry.entry("Golem"), entry.entry("GolemCloud")
    if oss is not None:
        return _read_oss(where, oss)
    if cloud is not None:
        return _read_cloud(where, cloud)
    raise ValueError(f'{entry.path}: {entry.key} holds neither "Golem" nor "GolemCloud"')


def _read_oss(where: str, entry: Entry) -> Profile:
    found = entry.url("worker_url", "url")
    if found is None:
        entry.refuse("url", "is missing: set it to the address of the profile's Golem")
    url, url_key = found
    return Profile(
        where=where,
        url=url,
        url_key=url_key,
        token=None,
        token_key="profiles of an open-source Golem 1.1 or 1.2 have none",  # noqa: S106 - words
        needs_token=False,
        allows_insecure=entry.flag("allow_insecure"),
    )


def _read_cloud(where: str, entry: Entry) -> Profile:
    url, url_key = entry.url("custom_worker_url", "custom_url") or (CLOUD_URL, "built in")
    auth = entry.entry("auth")
    token, token_key = (
        (None, f"{entry.key}.auth is missing: nobody has logged in")
        if auth is None
        else auth.token("secret")
    )
    return Profile(
        where=where,
        url=url,
        url_key=url_key,
        token=token,
        token_key=token_key,
        allows_insecure=entry.flag("allow_insecure"),
    )
