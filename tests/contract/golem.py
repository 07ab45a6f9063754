"""The Golem of a contract test: one of the fakes, or a real one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
from yarl import URL

from golem_client import GolemClient, PromiseId
from golem_client.testing import FakeGolem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DIALECTS = ("1.1", "1.2", "1.3", "1.5")
REAL = "real"


@attrs.frozen
class Answer:
    """An answer as it came."""

    status: int
    content_type: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class TheGolem:
    """What a contract test knows of a Golem, whichever it is.

    Attributes:
        name: The dialect of a fake, or "real".
        url: Its address.
        token: Its token, if it wants one.
    """

    def __init__(self, name: str, url: str, token: str | None, ids: Iterator[PromiseId]) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self.token = token
        self._ids = ids

    def new_id(self) -> PromiseId:
        """Return a promise that is pending."""
        return next(self._ids)

    def client(self, **options: Any) -> GolemClient:
        """Return a client of it."""
        return GolemClient(self.url, **{"token": self.token, **options})

    def path(self, promise_id: PromiseId) -> str:
        """Return the path that completes the promise, with nothing encoded that need not be."""
        worker = promise_id.worker_id
        name = "".join(_encoded(char) for char in worker.worker_name)
        return f"/v1/components/{worker.component_id}/workers/{name}/complete"

    async def post(
        self,
        path: str,
        body: bytes | str | Mapping[str, Any],
        *,
        content_type: str | None = "application/json",
        token: str | None = None,
        method: str = "POST",
    ) -> Answer:
        """Send one request as it is told, by none of our client's code; its token by default."""
        data = json.dumps(body) if isinstance(body, Mapping) else body
        headers = {} if content_type is None else {"Content-Type": content_type}
        sent = self.token if token is None else token
        if sent:
            headers["Authorization"] = f"Bearer {sent}"
        async with (
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(30)
            ) as http,
            http.request(
                method,
                URL(self.url + path, encoded=True),
                data=data,
                headers=headers,
                skip_auto_headers=["Content-Type"],
                allow_redirects=False,
            ) as response,
        ):
            kind = response.headers.get("Content-Type", "")
            return Answer(response.status, kind, await response.read())


@asynccontextmanager
async def a_fake(dialect: str) -> AsyncIterator[tuple[TheGolem, FakeGolem]]:
    """Run a fake, and hand it out in both ways."""
    async with FakeGolem(dialect=dialect) as fake:

        def ids() -> Iterator[PromiseId]:
            while True:
                yield fake.create_promise()

        yield TheGolem(dialect, fake.url, fake.token, ids()), fake


def read_ids(file: str) -> list[PromiseId]:
    """Read promises from a file: one JSON a line, in any spelling; a JSON string is one as well."""
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    return [PromiseId.parse(line) for line in lines if line.strip()]


def _encoded(char: str) -> str:
    safe = char.isascii() and (char.isalnum() or char in "-._~!$&'()*+,;=:@")
    return char if safe else "".join(f"%{byte:02x}" for byte in char.encode())
