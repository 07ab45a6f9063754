"""Who signed a request: one verifier for each sender, over the raw bytes, in constant time.

A verifier accepts what the sender's own library accepts, less time stamps that are ahead by more
than five minutes, and SHA-1 (Twilio's excepted, which signs with nothing else). Headers on which
those libraries fail with errors that are not their own are refused like any other garbage.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs
from multidict import MultiDict

from golem_client.answer import Answer
from golem_client.frames import made_without_locals
from golem_client.webhooks.events import form_fields, is_form

Headers = Mapping[str, str]
"""The headers of a request. Names are found in any case."""

Verify = Callable[[Headers, bytes], Any]
"""Returns True, or an awaitable of it, for a genuine request. Anything else refuses it."""

_TOLERANCE = 300  # seconds, either way: what Slack, Stripe and Standard Webhooks allow


def _no_handshake(_headers: Headers, _event: Any) -> Answer | None:
    return None


@attrs.frozen
class Verifier:
    """How one sender signs, and how it behaves; made by `stripe`, `github` and their like.

    Attributes:
        sender: The name of the sender.
        verify: Whether a request is genuine.
        sender_timeout: The seconds that the sender waits for an answer.
        never_repeats: Why a lost delivery is lost for good; empty for a sender that comes again.
        json_field: The field of a form that holds JSON; empty for none.
        handshake: Returns the answer to a request that carries no event, else None.
    """

    sender: str
    verify: Verify = attrs.field(repr=False)
    sender_timeout: float = 10.0
    never_repeats: str = ""
    json_field: str = ""
    handshake: Callable[[Headers, Any], Answer | None] = attrs.field(
        default=_no_handshake, repr=False
    )

    def __call__(self, headers: Headers, body: bytes) -> Any:
        """Return whether the request is genuine."""
        return self.verify(headers, body)


@made_without_locals
def hmac_sha256(
    *,
    header: str,
    secrets: str | bytes | Iterable[str | bytes],
    encoding: Literal["hex", "base64"] = "hex",
    prefix: str = "",
) -> Verifier:
    """Return a verifier for a sender that signs the body alone with HMAC-SHA256.

    Such a signature holds no time, so a recorded request can be repeated for ever. Repeating it
    completes nothing twice.

    Args:
        header: The header that holds the signature.
        secrets: One secret, or several while they are being rotated.
        encoding: How the signature is written.
        prefix: The text before it, such as `sha256=`.

    Raises:
        ValueError: There is no secret or header, a secret is empty, or the encoding is another.
        TypeError: A secret is neither text nor bytes.
    """
    if encoding not in ("hex", "base64"):
        raise ValueError(f"encoding is 'hex' or 'base64', not {encoding!r}")
    if not header:
        raise ValueError("header is empty: name the one that holds the signature")
    keys = _keys("hmac_sha256", (secrets,) if isinstance(secrets, str | bytes) else secrets)

    def verify(headers: Headers, body: bytes) -> bool:
        given = headers.get(header, "")
        if not given.startswith(prefix):
            return False
        signature = given[len(prefix) :]
        if encoding == "hex":
            return _is_one_of(signature.lower(), [_hex(key, body) for key in keys])
        digests = [hmac.digest(key, body, "sha256") for key in keys]
        return _is_one_of(signature, [base64.b64encode(digest) for digest in digests])

    return Verifier("hmac_sha256", verify)


@made_without_locals
def github(*secrets: str | bytes, lossy: bool = False) -> Verifier:
    """Return a verifier for GitHub's webhooks (`X-Hub-Signature-256`).

    A `ping` is answered by itself. The kind of an event is in a header, not in the event: give
    each kind its own URL, or look at the event's fields.

    Args:
        secrets: The webhook's secret; several while they are being rotated.
        lossy: Whether to go without an outbox, although GitHub sends each event once.

    Raises:
        ValueError: There is no secret, or one is empty.
        TypeError: A secret is neither text nor bytes.
    """
    keys = _keys("github", secrets)

    def verify(headers: Headers, body: bytes) -> bool:
        given = headers.get("X-Hub-Signature-256", "")
        return _is_one_of(given, [b"sha256=" + _hex(key, body) for key in keys])

    def ping(headers: Headers, _event: Any) -> Answer | None:
        return Answer(204) if headers.get("X-GitHub-Event") == "ping" else None

    once = "" if lossy else "GitHub sends each event once"
    return Verifier("GitHub", verify, never_repeats=once, json_field="payload", handshake=ping)


@made_without_locals
def slack(*secrets: str | bytes, lossy: bool = False) -> Verifier:
    """Return a verifier for Slack's events, buttons and commands (`X-Slack-Signature`).

    A `url_verification` is answered by itself. Slack waits three seconds for an answer.

    Args:
        secrets: The app's signing secret; several while they are being rotated.
        lossy: Whether to go without an outbox, although Slack sends the press of a button once.

    Raises:
        ValueError: There is no secret, one is empty, or it is a token of Slack's API.
        TypeError: A secret is neither text nor bytes.
    """
    keys = _keys("slack", secrets, "xox", "xapp-")

    def verify(headers: Headers, body: bytes) -> bool:
        stamp = headers.get("X-Slack-Request-Timestamp", "")
        given = headers.get("X-Slack-Signature", "")
        try:
            if not _is_recent(int(stamp)):
                return False
        except ValueError:
            return False
        signed = b"v0:%s:%s" % (stamp.encode(), body)
        return _is_one_of(given, [b"v0=" + _hex(key, signed) for key in keys])

    def challenge(_headers: Headers, event: Any) -> Answer | None:
        if isinstance(event, dict) and event.get("type") == "url_verification":
            return Answer.of_text(200, str(event.get("challenge", "")))
        return None

    once = "" if lossy else "Slack sends the press of a button once"
    return Verifier("Slack", verify, 3.0, once, "payload", challenge)


@made_without_locals
def stripe(*secrets: str | bytes) -> Verifier:
    """Return a verifier for Stripe's webhooks (`Stripe-Signature`, scheme v1).

    Args:
        secrets: The endpoint's signing secret, `whsec_…`, whole; several while they are rotated.

    Raises:
        ValueError: There is no secret, one is empty, or it is a key of Stripe's API.
        TypeError: A secret is neither text nor bytes.
    """
    keys = _keys("stripe", secrets, "sk_", "rk_", "pk_")

    def verify(headers: Headers, body: bytes) -> bool:
        items = [item.split("=", 2) for item in headers.get("Stripe-Signature", "").split(",")]
        try:
            stamp = int([item[1] for item in items if item[0] == "t"][0])  # noqa: RUF015 - all need a value
            given = [item[1] for item in items if item[0] == "v1"]
        except (IndexError, ValueError):
            return False
        expected = [_hex(key, b"%d.%s" % (stamp, body)) for key in keys]
        return _is_recent(stamp) and any(_is_one_of(one, expected) for one in given)

    return Verifier("Stripe", verify)


@made_without_locals
def standard_webhooks(*secrets: str | bytes) -> Verifier:
    """Return a verifier for senders that follow Standard Webhooks, Svix among them.

    The headers are `webhook-id`, `webhook-timestamp` and `webhook-signature`, or Svix's own
    `svix-…`.

    Args:
        secrets: The endpoint's secret, `whsec_` and base64, or the key itself as bytes; several
            while they are being rotated.

    Raises:
        ValueError: There is no secret, or one is empty or not base64.
        TypeError: A secret is neither text nor bytes.
    """
    checked = _checked("standard_webhooks", secrets)
    keys = [key if isinstance(key, bytes) else _standard_key(key) for key in checked]

    def verify(headers: Headers, body: bytes) -> bool:
        family = "webhook" if "webhook-id" in headers else "svix"
        message_id = headers.get(f"{family}-id", "")
        try:
            stamp = float(headers.get(f"{family}-timestamp", ""))
            if not message_id or not _is_recent(stamp):
                return False
            signed = b"%s.%d.%s" % (message_id.encode(), math.floor(stamp), body)
            expected = [hmac.digest(key, signed, "sha256") for key in keys]
            for item in headers.get(f"{family}-signature", "").split(" "):
                version, signature = item.split(",")
                if version == "v1" and _is_one_of(base64.b64decode(signature), expected):
                    return True
        except ValueError:
            return False
        return False

    return Verifier("Standard Webhooks", verify, sender_timeout=15.0)


@made_without_locals
def twilio(*auth_tokens: str, url: str) -> Verifier:
    """Return a verifier for Twilio's webhooks, by Twilio's own library (extra `twilio`).

    Twilio signs the URL together with the fields, with SHA-1, and without a time. It repeats a
    failed request only where the webhook's URL asks for it (`#rc=…&rp=…`): an outbox is safer.

    Args:
        auth_tokens: The account's auth token; several while they are being rotated.
        url: The public URL of the webhook exactly as it is entered at Twilio, with its query:
            behind a proxy the application sees another one.

    Raises:
        ValueError: There is no token, one is empty, or the URL is not http(s).
        TypeError: A token is not text.
        ImportError: The extra is not installed.
    """
    try:
        from twilio.request_validator import (  # type: ignore[import-untyped]  # noqa: PLC0415 - optional
            RequestValidator,
        )
    except ImportError:
        raise ImportError('twilio() needs an extra: pip install "golem-client[twilio]"') from None
    tokens = [key.decode() for key in _keys("twilio", auth_tokens)]
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url is the public URL of the webhook: https://…")
    validators = [RequestValidator(token) for token in tokens]
    separator = "&" if parts.query else "?"

    def verify(headers: Headers, body: bytes) -> bool:
        given = headers.get("X-Twilio-Signature", "")
        signed, content = url, None
        try:
            if is_form(headers):
                content = MultiDict(form_fields(body))
            else:  # the URL that Twilio called ends in the body's hash, and is signed with it
                signed += f"{separator}bodySHA256={hashlib.sha256(body).hexdigest()}"
        except ValueError:
            return False
        return any(one.validate(signed, content, given) for one in validators)

    return Verifier("Twilio", verify, sender_timeout=15.0)


def _is_recent(stamp: float) -> bool:
    """Return whether a time is at most five minutes away; False for NaN."""
    now = time.time()
    return now - _TOLERANCE <= stamp <= now + _TOLERANCE


def _hex(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256").hex().encode()


def _is_one_of(given: str | bytes, expected: list[bytes]) -> bool:
    """Compare with each, in a time that does not depend on where they differ."""
    written = given if isinstance(given, bytes) else given.encode(errors="replace")
    return any(hmac.compare_digest(written, one) for one in expected)


def _checked(maker: str, secrets: Iterable[str | bytes], *foreign: str) -> list[str | bytes]:
    """Return the secrets, if each is one that the sender can have given."""
    checked = list(secrets)
    if not checked:
        raise ValueError(f"{maker}() needs a secret")
    for secret in checked:
        if not isinstance(secret, str | bytes):
            raise TypeError(f"{maker}() takes text or bytes, not {type(secret).__name__}")
        if not secret or secret.strip() != secret:
            raise ValueError(f"{maker}() got a secret that is empty or has white space around it")
        if isinstance(secret, str) and secret.startswith(foreign):
            raise ValueError(f"{maker}() takes the signing secret of the webhook, not an API token")
    return checked


def _keys(maker: str, secrets: Iterable[str | bytes], *foreign: str) -> list[bytes]:
    """Return the secrets as bytes."""
    checked = _checked(maker, secrets, *foreign)
    return [secret if isinstance(secret, bytes) else secret.encode() for secret in checked]


def _standard_key(secret: str) -> bytes:
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("standard_webhooks() takes the secret as it was given: whsec_ and base64")
    return key
