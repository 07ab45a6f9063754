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
from collections.abc import Callable, Iterable, Iterator, Mapping
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
_DAY = 86_400


class BadSignatureError(Exception):
    """Why a request is refused, for the log. It shows nothing that the request holds."""


@attrs.frozen
class Verifier:
    """How one sender signs, and how it behaves; made by `stripe`, `github` and their like.

    Attributes:
        sender: The name of the sender.
        verify: Whether a request is genuine. It may raise a `BadSignatureError` that says why not.
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
        default=lambda _headers, _event: None, repr=False
    )

    def __call__(self, headers: Headers, body: bytes) -> Any:
        """Return whether the request is genuine."""
        try:
            return self.verify(headers, body)
        except BadSignatureError:
            return False


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
    """
    if encoding not in ("hex", "base64"):
        raise ValueError(f"encoding is 'hex' or 'base64', not {encoding!r}")
    if not header:
        raise ValueError("header is empty: name the one that holds the signature")
    keys = _keys("hmac_sha256", (secrets,) if isinstance(secrets, str | bytes) else secrets)
    return Verifier("hmac_sha256", _of_the_body(header, keys, encoding, prefix))


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
    """
    verify = _of_the_body("X-Hub-Signature-256", _keys("github", secrets), "hex", "sha256=")

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
    """
    keys = _keys("slack", secrets, "xox", "xapp-")

    def verify(headers: Headers, body: bytes) -> bool:
        stamp = _header(headers, "X-Slack-Request-Timestamp")
        given = _header(headers, "X-Slack-Signature")
        _check_time(stamp, int)
        return _check([given], keys, b"v0:%s:%s" % (stamp.encode(), body), prefix="v0=")

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
    """
    keys = _keys("stripe", secrets, "sk_", "rk_", "pk_")

    def verify(headers: Headers, body: bytes) -> bool:
        header = _header(headers, "Stripe-Signature")
        items = [item.split("=", 2) for item in header.split(",")]
        try:
            stamps = [item[1] for item in items if item[0] == "t"]
            given = [item[1] for item in items if item[0] == "v1"]
        except IndexError:
            raise BadSignatureError("the header Stripe-Signature is not t=…,v1=…") from None
        stamp = _check_time(stamps[0] if stamps else "", int)
        return _check(given, keys, b"%d.%s" % (stamp, body))

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
    """
    keys = _keys("standard_webhooks", secrets, decode=_standard_key)

    def verify(headers: Headers, body: bytes) -> bool:
        is_svix = "svix-id" in headers and "webhook-id" not in headers
        family = "svix" if is_svix else "webhook"
        message_id = _header(headers, f"{family}-id")
        stamp = _check_time(_header(headers, f"{family}-timestamp"), float)
        signature = f"{family}-signature"
        given = _standard_signatures(_header(headers, signature))
        try:
            signed = b"%s.%d.%s" % (message_id.encode(), math.floor(stamp), body)
            return _check(given, keys, signed, bytes)
        except ValueError:
            raise BadSignatureError(f"the header {signature} is not v1,…") from None

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
    validators = [RequestValidator(key.decode()) for key in _keys("twilio", auth_tokens)]
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url is the public URL of the webhook: https://…")
    separator = "&" if parts.query else "?"

    def verify(headers: Headers, body: bytes) -> bool:
        given = _header(headers, "X-Twilio-Signature")
        signed, content = url, None
        if is_form(headers):
            try:
                content = MultiDict(form_fields(body))
            except ValueError:
                raise BadSignatureError("the body is not a form") from None
        else:  # the URL that Twilio called ends in the body's hash, and is signed with it
            signed += f"{separator}bodySHA256={hashlib.sha256(body).hexdigest()}"
        if any(one.validate(signed, content, given) for one in validators):
            return True
        raise BadSignatureError(f"{_no_match(len(validators))}, or url= is not the one at Twilio")

    return Verifier("Twilio", verify, sender_timeout=15.0)


def _of_the_body(header: str, keys: list[bytes], encoding: str, prefix: str) -> Verify:
    """Return what verifies a signature over the body alone."""
    is_hex = encoding == "hex"

    def verify(headers: Headers, body: bytes) -> bool:
        given = _header(headers, header)
        if not given.startswith(prefix):
            raise BadSignatureError(f"the header {header} does not begin with {prefix!r}")
        signature = given.removeprefix(prefix)
        if is_hex:
            return _check([signature.lower()], keys, body)
        return _check([signature], keys, body, base64.b64encode)

    return verify


def _header(headers: Headers, name: str) -> str:
    if value := headers.get(name):
        return value
    raise BadSignatureError(f"the header {name} is missing or empty")


def _check_time(text: str, number: Callable[[str], float]) -> float:
    """Return the time stamp, which is at most five minutes away."""
    try:
        stamp = number(text)
    except ValueError:
        raise BadSignatureError("the time stamp is not a number") from None
    age = int(time.time()) - stamp
    if abs(age) <= _TOLERANCE:
        return stamp
    seconds = f"{abs(age):.0f} seconds" if abs(age) < _DAY else "more than a day"
    raise BadSignatureError(
        f"the time stamp is {seconds} {'old' if age > 0 else 'ahead'}, and {_TOLERANCE} are "
        "allowed: is this machine's clock right?"
    )


def _hex(digest: bytes) -> bytes:
    return digest.hex().encode()


def _check(
    given: Iterable[str | bytes],
    keys: list[bytes],
    signed: bytes,
    encode: Callable[[bytes], bytes] = _hex,
    prefix: str = "",
) -> bool:
    """Compare in a time that does not depend on where the signatures differ."""
    digests = [hmac.digest(key, signed, "sha256") for key in keys]
    expected = [prefix.encode() + encode(digest) for digest in digests]
    for one in given:
        written = one if isinstance(one, bytes) else one.encode(errors="replace")
        if any(hmac.compare_digest(written, each) for each in expected):
            return True
    raise BadSignatureError(f"{_no_match(len(keys))}, or the body was changed on its way")


def _no_match(secrets: int) -> str:
    ours = "the secret" if secrets == 1 else f"any of the {secrets} secrets"
    return f"the signature does not match {ours}"


def _standard_signatures(header: str) -> Iterator[bytes]:
    for item in header.split(" "):
        version, signature = item.split(",")
        if version == "v1":
            yield base64.b64decode(signature)


def _standard_key(secret: str) -> bytes:
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("standard_webhooks() takes the secret as it was given: whsec_ and base64")
    return key


def _keys(
    maker: str,
    secrets: Iterable[str | bytes],
    *foreign: str,
    decode: Callable[[str], bytes] = str.encode,
) -> list[bytes]:
    """Return the secrets as bytes, if each is one that the sender can have given."""
    keys = []
    for secret in secrets:
        if not isinstance(secret, str | bytes):
            raise TypeError(f"{maker}() takes text or bytes, not {type(secret).__name__}")
        if not secret or secret.strip() != secret:
            raise ValueError(f"{maker}() got a secret that is empty or has white space around it")
        if isinstance(secret, str) and secret.startswith(foreign):
            raise ValueError(f"{maker}() takes the signing secret of the webhook, not an API token")
        keys.append(secret if isinstance(secret, bytes) else decode(secret))
    if not keys:
        raise ValueError(f"{maker}() needs a secret")
    return keys
