"""Say for people what an answer was, without a token or a payload."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from golem_client.wire.error_body import MAX_ANSWER_BYTES, Said
from golem_client.wire.request import Request

_SHOWN_CHARACTERS = 300
_SEARCHED_BYTES = 64 * 1024
# Golem's parse errors quote the offending value in full after "found". Elsewhere "found" is an
# ordinary word: "message length too large: found 4195045 bytes, the limit is …".
_PARSE_ERROR = re.compile(r"\bparse\b|Expected input type")
_FOUND = re.compile(r"\bfound\s")
_PROVIDED = re.compile(r"\bProvided:\s")
_HARMLESS = frozenset({"accept-encoding", "content-type", "user-agent"})
_KNOWN_TYPES = frozenset(
    {"text/html", "text/plain", "text/xml", "application/json", "application/problem+json"}
    | {"application/xml", "application/xhtml+xml", "application/octet-stream", "application/grpc"}
)
_NUMBERS = re.compile(r"\d{1,3}(?:[,\s]+\d{1,3}){3,}")
# What is shorter than a run of eight, and still a whole value of a JSON payload.
_SHORT_VALUE = re.compile(r'"(\w{3,7})"(?!\s*:)|(?<![\w.])(\d{4,7})(?![\w.])')
_SHORT_WORD = re.compile(r"(?<!\w)\w{3,7}(?!\w)")


def describe(
    request: Request, status: int, headers: Mapping[str, str], said: Said, body: bytes
) -> str:
    """Say what the answer was, quoting nothing but Golem's own words, and those without secrets."""
    if said.dialect:
        return _without_secrets(said.text, request) or "no text"
    if 300 <= status < 400:
        if request.is_webhook:
            return "a redirect, which is not followed"
        place = _without_secrets(_place(headers.get("Location", "")), request)
        return f"a redirect to {place or 'nowhere'}, which is not followed"
    kind = headers.get("Content-Type", "").partition(";")[0].strip()
    shape = kind if kind.lower() in _KNOWN_TYPES else "no known type"  # others may be an echo
    cut = " or more" if len(body) >= MAX_ANSWER_BYTES else ""
    size = f"{len(body)}{cut} bytes of {shape}"
    return f"an answer that is not Golem's: {size}"


def is_free_of_secrets(word: str, request: Request) -> bool:
    """Whether a word that stands where Golem has a fixed one is not an echo of what was sent."""
    if word.encode("utf-8", "replace") in request.payload:
        return False
    return not any(word in secret or secret in word for secret in _secrets(request))


def _secrets(request: Request) -> list[str]:
    """Return the secrets of the headers: the token, and users' own keys."""
    values = [value for name, value in request.headers.items() if name.lower() not in _HARMLESS]
    if request.is_webhook:
        values.append("/".join(request.url.split("/")[3:]))
    return [value.removeprefix("Bearer ") for value in values]


def _place(location: str) -> str:
    """Return a URL without its userinfo, query and fragment, each of which may be a secret."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "an address that cannot be read"
    bare = parts._replace(query="", fragment="").geturl()
    # Wherever it stands: "http:user:password@host" has its userinfo in what urlsplit calls a path.
    return "/".join(part.rpartition("@")[2] for part in bare.split("/"))


def _without_secrets(text: str, request: Request) -> str:
    """Return the text with everything masked that may be the payload or a header's value.

    Golem's validation texts, and proxies', echo what they refuse: "…, found "…your text…"".
    """
    text = text[: 4 * _SHOWN_CHARACTERS]
    text = _without_echo(text)
    text = _NUMBERS.sub("…", text)
    for secret in _secrets(request):
        text = _masked(text, secret)
    if len(request.payload) <= _SEARCHED_BYTES:
        sent = request.payload.decode("utf-8", "replace")
        text = _masked(text, sent)
        values = {word for found in _SHORT_VALUE.findall(sent) for word in found}
        text = _SHORT_WORD.sub(lambda word: "…" if word[0] in values else word[0], text)
    else:
        text = _masked_by_samples(text, request.payload)
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"


def _without_echo(text: str) -> str:
    """Cut a text of Golem's where it begins to quote the request."""
    parse_error = _PARSE_ERROR.search(text)
    for echo in (
        _FOUND.search(text, parse_error.end()) if parse_error else None,
        _PROVIDED.search(text),
    ):
        if echo:
            text = f"{text[: echo.start()].rstrip(' ,:;')} …"
    return text


def _masked(text: str, secret: str) -> str:
    """Replace each run that text and secret have in common by an ellipsis."""
    width = min(8, len(secret))
    if width < 3:
        return text
    runs = {secret[start : start + width] for start in range(len(secret) - width + 1)}
    starts = range(len(text) - width + 1)
    return _hidden(text, [start for start in starts if text[start : start + width] in runs], width)


def _masked_by_samples(text: str, payload: bytes) -> str:
    """Do the same for a long payload: every eighth run of the text is looked for.

    To look for every run in megabytes would block the event loop. A common run of 15 characters
    or more holds one that is looked for; its neighbours are hidden with it.
    """
    text = text[: _SHOWN_CHARACTERS + 8]
    starts = [
        max(start - 7, 0)
        for start in range(0, len(text) - 7, 8)
        if text[start : start + 8].encode("utf-8", "replace") in payload
    ]
    return _hidden(text, starts, 22)


def _hidden(text: str, starts: list[int], width: int) -> str:
    """Replace the runs of this width that begin there by an ellipsis."""
    hidden = bytearray(len(text) + width)
    for start in starts:
        hidden[start : start + width] = b"\1" * width
    shown = "".join("\0" if hide else char for char, hide in zip(text, hidden, strict=False))
    return re.sub("\0+", "…", shown)
