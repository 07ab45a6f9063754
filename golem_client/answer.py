"""The answer to a request, for any web framework: a status, headers and a body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Answer:
    """What a webhook or a link answers; hand it to your framework as its response.

    Attributes:
        status: The HTTP status.
        headers: The headers to send. The content length is the framework's to add.
        body: The body; empty in the answer to a HEAD.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = attrs.field(default=b"", repr=False)

    @classmethod
    def of_text(cls, status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Return an answer of plain text."""
        plain = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
        return cls(status, plain | dict(headers or {}), text.encode(errors="replace"))

    def for_starlette(self) -> Any:
        """Return it as a `starlette.responses.Response`."""
        from starlette.responses import Response  # noqa: PLC0415 - optional

        return Response(self.body, self.status, dict(self.headers))

    def for_aiohttp(self) -> Any:
        """Return it as an `aiohttp.web.Response`."""
        from aiohttp import web  # noqa: PLC0415 - no client needs the server's side

        return web.Response(body=self.body, status=self.status, headers=self.headers)
