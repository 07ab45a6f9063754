"""Say for people what an answer was, without a token or a payload."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from golem_client.wire.error_body import MAX_ANSWER_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from golem_client.wire.error_body import Said
    from golem_client.wire.request import Request

_SHOWN_CHARACTERS = 300
_SEARCHED_BYTES = 64 * 1024
_ECHO = re.compile(r"""(?:\bfound|\bProvided:)\s""")
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,40}/[\w.+-]{1,40}", re.ASCII)
_NUMBERS = re.compile(r"\d{1,3}(?:[,\s]+\d{1,3}){3,}")
# What is shorter than a run of eight, and still a whole value of a JSON payload.
_SHORT_VALUE = re.compile(r'"(\w{3,7})"(?!\s*:)|(?<![\w.])(\d{4,7})(?![\w.])')
_SHORT_WORD = re.compile(r"(?<!\w)\w{3,7}(?!\w)")


def describe(
    request: Request,
    token: str | None,
    status: int,
    headers: Mapping[str, str],
    said: Said,
    body: bytes,
) -> str:
    """Say what the answer was, quoting nothing but Golem's own words, and those without secrets."""
    if said.dialect:
        return _without_secrets(said.text, request.payload, token) or "no text"
    if 300 <= status < 400:
        location = _location(request, token, headers.get("Location", ""))
        return f"a redirect to {location or 'nowhere'}, which is not followed"
    kind = headers.get("Content-Type", "").partition(";")[0].strip()
    is_known = _MEDIA_TYPE.fullmatch(kind) and is_free_of_secrets(kind, request, token)
    shape = kind if is_known else "no known type"
    cut = " or more" if len(body) >= MAX_ANSWER_BYTES else ""
    return f"not an answer of Golem's: {len(body)}{cut} bytes of {shape}"


def is_free_of_secrets(word: str, request: Request, token: str | None) -> bool:
    """Whether a word that stands where Golem has a fixed one is no echo of what was sent."""
    echoed = word.encode("utf-8", "replace") in request.payload
    return not echoed and (not token or (word not in token and token not in word))


def _location(request: Request, token: str | None, location: str) -> str:
    """Return where a redirect leads; only its server, where a path could quote a long payload."""
    if len(request.payload) <= _SEARCHED_BYTES:
        return _without_secrets(_place(location), request.payload, token)
    return _without_secrets("/".join(_place(location).split("/")[:3]), b"", token)


def _place(location: str) -> str:
    """Return a URL without its userinfo, query and fragment, each of which may be a secret."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "an address that cannot be read"
    bare = parts._replace(query="", fragment="").geturl()
    # Wherever it stands: "http:user:password@host" has its userinfo in what urlsplit calls a path.
    return "/".join(part.rpartition("@")[2] for part in bare.split("/"))


def _without_secrets(text: str, payload: bytes, token: str | None) -> str:
    """Return the text with everything masked that may be the payload or the token.

    Golem's validation texts, and proxies', echo what they refuse: "…, found "…your text…"".
    """
    text = text[: 4 * _SHOWN_CHARACTERS]
    if echo := _ECHO.search(text):
        text = f"{text[: echo.start()].rstrip(' ,:;')} …"
    text = _NUMBERS.sub("…", text)
    if len(payload) > _SEARCHED_BYTES:
        return "(its words are left out: they may quote the payload)"
    sent = payload.decode("utf-8", "replace")
    for secret in (token or "", sent):
        text = _masked(text, secret)
    values = {word for found in _SHORT_VALUE.findall(sent) for word in found}
    text = _SHORT_WORD.sub(lambda word: "…" if word[0] in values else word[0], text)
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"


def _masked(text: str, secret: str) -> str:
    """Replace each run that text and secret have in common by an ellipsis."""
    width = min(8, len(secret))
    if width < 3:
        return text
    runs = {secret[start : start + width] for start in range(len(secret) - width + 1)}
    hidden = [False] * len(text)
    for start in range(len(text) - width + 1):
        if text[start : start + width] in runs:
            hidden[start : start + width] = [True] * width
    shown = "".join("\0" if hide else char for char, hide in zip(text, hidden, strict=True))
    return re.sub("\0+", "…", shown)
