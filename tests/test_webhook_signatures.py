"""Who is let in: the senders' documented vectors, and their own libraries as oracles."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import gidgethub
import pytest
import standardwebhooks
import stripe as stripe_library
from gidgethub import sansio
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import WebhookVerificationError
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from golem_client.webhooks import (
    Verifier,
    github,
    hmac_sha256,
    slack,
    standard_webhooks,
    stripe,
    twilio,
)
from tests.tracebacks import assert_nothing_shows

# By hand: EXAMPLES=100000 python -m pytest …
quick = settings(max_examples=int(os.environ.get("EXAMPLES", "60")), deadline=None)

SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIG"
    b"lgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
TWILIO_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TWILIO_BODY = (
    b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309"
    b"&To=%2B18005551212"
)
FORM = "application/x-www-form-urlencoded"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


# Each as its sender's documentation prints it: verifier, clock, headers, body.
DOCUMENTED = {
    "GitHub": (
        github("It's a Secret to Everybody"),
        0,
        {
            "X-Hub-Signature-256": "sha256="
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        },
        b"Hello, World!",
    ),
    "Slack": (
        slack("8f742231b10e8888abcd99yyyzzz85a5"),
        1531420618,
        {
            "X-Slack-Request-Timestamp": "1531420618",
            "X-Slack-Signature": "v0="
            "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        },
        SLACK_BODY,
    ),
    "Svix": (
        standard_webhooks(WHSEC),
        1614265330,
        {
            "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "svix-timestamp": "1614265330",
            "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        b'{"test": 2432232314}',
    ),
    "Twilio": (
        twilio("12345", url=TWILIO_URL),
        0,
        {"X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "Content-Type": FORM},
        TWILIO_BODY,
    ),
}


def accepts(verifier: Verifier, headers: dict[str, str], body: bytes) -> bool:
    answer = verifier(CIMultiDict(headers), body)
    assert isinstance(answer, bool)
    return answer


@pytest.mark.parametrize("sender", DOCUMENTED)
def test_a_documented_vector_is_accepted(sender: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the time it was signed, and in any case of the header names."""
    verifier, clock, headers, body = DOCUMENTED[sender]
    monkeypatch.setattr(time, "time", lambda: float(clock))
    assert accepts(verifier, headers, body)
    assert accepts(verifier, {name.upper(): value for name, value in headers.items()}, body)


@pytest.mark.parametrize("sender", DOCUMENTED)
def test_a_documented_vector_with_one_letter_changed_is_refused(
    sender: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the body, or anywhere in the signature."""
    verifier, clock, headers, body = DOCUMENTED[sender]
    monkeypatch.setattr(time, "time", lambda: float(clock))
    name = next(name for name in headers if "ignature" in name)
    signature = headers[name]
    assert not accepts(verifier, headers, body + b"x")
    for n in range(len(signature) - (2 if signature.endswith("=") else 0)):
        changed = "f" if signature[n] != "f" else "e"
        assert not accepts(
            verifier, {**headers, name: signature[:n] + changed + signature[n + 1 :]}, body
        )


# --- signing, as the senders' libraries do it ---


def signed_by_stripe(body: bytes, secret: str, stamp: int) -> dict[str, str]:
    signature = stripe_library.WebhookSignature.generate_signature_header(
        body.decode(), secret, stamp
    )
    return {"Stripe-Signature": signature}


def signed_by_slack(body: bytes, secret: str, stamp: int) -> dict[str, str]:
    signature = SignatureVerifier(secret).generate_signature(timestamp=str(stamp), body=body)
    assert signature is not None
    return {"X-Slack-Request-Timestamp": str(stamp), "X-Slack-Signature": signature}


def signed_by_standard(body: bytes, secret: str, stamp: int) -> dict[str, str]:
    at = datetime.fromtimestamp(stamp, UTC)
    signature = standardwebhooks.Webhook(secret).sign("msg_1", at, body.decode())
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(stamp),
        "webhook-signature": signature,
    }


def signed_by_github(body: bytes, secret: str, _stamp: int) -> dict[str, str]:
    return {
        "X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), body, 'sha256').hexdigest()}"
    }


# --- judging, as they do it: True, False, or None for an error that is not their own ---

Oracle = Callable[[dict[str, str], bytes, str], bool | None]


def stripe_says(headers: dict[str, str], body: bytes, secret: str) -> bool | None:
    try:
        stripe_library.WebhookSignature.verify_header(
            body, headers.get("Stripe-Signature"), secret, tolerance=300
        )
    except stripe_library.SignatureVerificationError:
        return False
    except (ValueError, TypeError):
        return None
    return True


def slack_says(headers: dict[str, str], body: bytes, secret: str) -> bool | None:
    try:
        return SignatureVerifier(secret).is_valid_request(body, headers)
    except (ValueError, TypeError, OverflowError):
        return None


def standard_says(headers: dict[str, str], body: bytes, secret: str) -> bool | None:
    try:
        standardwebhooks.Webhook(secret).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    except (ValueError, TypeError):
        return None
    return True


def github_says(headers: dict[str, str], body: bytes, secret: str) -> bool | None:
    signature = headers.get("X-Hub-Signature-256")
    if signature is None or signature.startswith("sha1="):
        return False
    try:
        sansio.validate_event(body, signature=signature, secret=secret)
    except gidgethub.ValidationFailure:
        return False
    except (ValueError, TypeError):
        return None
    return True


Sender = tuple[Callable[..., Verifier], str, Callable[..., dict[str, str]], Oracle]

SENDERS: dict[str, Sender] = {
    "stripe": (stripe, "whsec_abc123", signed_by_stripe, stripe_says),
    "slack": (slack, "8f742231b10e8888abcd99yyyzzz85a5", signed_by_slack, slack_says),
    "standard": (standard_webhooks, WHSEC, signed_by_standard, standard_says),
    "github": (github, "It's a Secret to Everybody", signed_by_github, github_says),
}
each_sender = pytest.mark.parametrize("sender", SENDERS)


@each_sender
def test_what_is_signed_now_is_accepted_by_both(sender: str) -> None:
    """And by neither with another secret."""
    make, secret, sign, says = SENDERS[sender]
    body = b'{"id": "evt-1"}'
    headers = sign(body, secret, int(time.time()))
    assert says(headers, body, secret) is True
    assert accepts(make(secret), headers, body)
    other = secret[:-2] + "Aa"
    assert not accepts(make(other), headers, body)
    assert accepts(make(other, secret), headers, body)
    assert accepts(make(secret, other), headers, body)


@pytest.mark.parametrize("sender", sorted(set(SENDERS) - {"github"}))
@pytest.mark.parametrize(
    ("seconds", "accepted"), [(-310, False), (-290, True), (290, True), (310, False)]
)
def test_a_time_stamp_is_at_most_five_minutes_old_or_ahead(
    sender: str, seconds: int, accepted: bool
) -> None:
    """Stripe's own library accepts any that is ahead."""
    make, secret, sign, _ = SENDERS[sender]
    body = b"{}"
    headers = sign(body, secret, int(time.time()) + seconds)
    assert accepts(make(secret), headers, body) is accepted


@pytest.mark.parametrize("family", ["webhook", "svix"])
def test_a_message_without_an_id_is_refused(family: str) -> None:
    """As Standard Webhooks' library does, though it be signed."""
    stamp = int(time.time())
    key = base64.b64decode(WHSEC.removeprefix("whsec_"))
    digest = hmac.new(key, b".%d.{}" % stamp, "sha256").digest()
    headers = {
        f"{family}-id": "",
        f"{family}-timestamp": str(stamp),
        f"{family}-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    assert standard_says(headers, b"{}", WHSEC) is False
    assert not accepts(standard_webhooks(WHSEC), headers, b"{}")


text = st.text(max_size=12)
junk = st.one_of(
    text,
    st.sampled_from(
        ["t=", "v1=", "v1,", ",", "=", " ", "v0=", "sha256=", "sha1=", "t", "-1", "nan"]
    ),
    st.sampled_from(
        ["inf", "9" * 400, "1_0", "\u0663", "\x00", "+5", " 7 ", "1e3", "%", "ü", "\ud800"]
    ),
    st.integers(-(10**30), 10**30).map(str),
)


@st.composite
def deliveries(draw: st.DrawFn, sender: str) -> tuple[dict[str, str], bytes]:
    """Genuine headers and a body, most of them spoilt a little."""
    _, secret, sign, _ = SENDERS[sender]
    body = draw(
        st.binary(max_size=40)
        | st.text(max_size=20).map(lambda text: text.encode(errors="replace"))
    )
    stamp = int(time.time()) + draw(st.sampled_from([0, -5, 5, -1000, 1000]))
    try:
        headers = sign(body, secret, stamp)
    except UnicodeDecodeError:
        headers = sign(b"{}", secret, stamp)
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(sorted(headers) or ["X"]))
        value = headers.get(name, "")
        at = draw(st.integers(0, len(value)))
        match draw(st.sampled_from(["insert", "cut", "drop", "replace", "repeat", "sha1", "pad"])):
            case "insert":
                headers[name] = value[:at] + draw(junk) + value[at:]
            case "cut":
                headers[name] = value[:at]
            case "drop":
                headers.pop(name, None)
            case "replace":
                headers[name] = draw(junk)
            case "repeat":
                separator = draw(st.sampled_from([",", " ", "", ",v1=x,", " v1,eA== ", " v2,x "]))
                headers[name] = value + separator + value
            case "sha1":
                digest = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
                headers[name] = f"sha1={digest}"
            case "pad":
                headers[name] = draw(st.sampled_from([" ", "0", "+", "v1,x ", "v1=x,"])) + value
    return headers, body


def is_ahead(headers: dict[str, str]) -> bool:
    """Whether Stripe's stamp is ahead: the one thing its library lets in and we do not."""
    stamps = [
        part[2:] for part in headers.get("Stripe-Signature", "").split(",") if part[:2] == "t="
    ]
    try:
        return bool(stamps) and int(stamps[0].split("=")[0]) > time.time() + 299
    except ValueError:
        return False


def agree(sender: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether we and the sender's library say the same; where it fails, only that we do not."""
    make, secret, _, says = SENDERS[sender]
    ours = accepts(make(secret), headers, body)
    theirs = says(headers, body, secret)
    return theirs is None or ours == (theirs and not is_ahead(headers))


@each_sender
@given(data=st.data())
@quick
def test_we_accept_exactly_what_the_senders_library_accepts(
    sender: str, data: st.DataObject
) -> None:
    """Less what is ahead of time, and SHA-1; where the library breaks, we still answer."""
    headers, body = data.draw(deliveries(sender))
    assert agree(sender, headers, body)


@given(
    fields=st.lists(
        st.tuples(st.sampled_from(["a", "b", "ü", ""]), st.text(max_size=5)), max_size=5
    ),
    url=st.sampled_from([TWILIO_URL, "https://example.org/sms", "http://example.org:8080/sms?a=b"]),
    spoil=st.booleans(),
)
@quick
def test_twilios_forms_are_judged_by_its_library(
    fields: list[tuple[str, str]], url: str, spoil: bool
) -> None:
    """A field that is repeated counts with each of its values."""
    assume(not any("\ud800" <= letter <= "\udfff" for _, value in fields for letter in value))
    signature = RequestValidator("12345").compute_signature(url, MultiDict(fields))
    body = urlencode(fields).encode() + (b"&x=y" if spoil else b"")
    headers = {"X-Twilio-Signature": signature, "Content-Type": f"{FORM}; charset=UTF-8"}
    assert accepts(twilio("0", "12345", url=url), headers, body) is not spoil


@pytest.mark.parametrize("url", [TWILIO_URL, "https://example.org/sms"])
def test_twilios_json_is_signed_by_the_hash_of_its_body(url: str) -> None:
    """Twilio appends it to the URL that it calls and signs."""
    body = b'{"status": "delivered"}'
    called = f"{url}{'&' if '?' in url else '?'}bodySHA256={hashlib.sha256(body).hexdigest()}"
    validator = RequestValidator("12345")
    signature = validator.compute_signature(called, {})
    assert validator.validate(called, body.decode(), signature)
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/json"}
    assert accepts(twilio("12345", url=url), headers, body)
    assert not accepts(twilio("12345", url=url), headers, body + b" ")


@pytest.mark.parametrize("encoding", ["hex", "base64"])
@given(body=st.binary(max_size=50), spoil=st.text(max_size=3))
@quick
def test_a_plain_hmac_is_accepted_and_nothing_else(encoding: Any, body: bytes, spoil: str) -> None:
    """With its prefix, by any of the secrets."""
    digest = hmac.new(b"two", body, "sha256").digest()
    written = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    verifier = hmac_sha256(header="X-Sig", secrets=["one", b"two"], encoding=encoding, prefix="s=")
    assert accepts(verifier, {"x-sig": f"s={written}"}, body)
    assert not accepts(verifier, {"x-sig": written}, body)
    assert not accepts(verifier, {"x-sig": f"v={written}"}, body)
    assert not accepts(verifier, {"x-sig": f"s={written}"}, body + b"x")
    assert accepts(verifier, {"x-sig": f"s={written}{spoil}"}, body) is (spoil == "")


def test_hex_is_accepted_in_capitals() -> None:
    """Some senders write it so."""
    digest = hmac.new(b"one", b"{}", "sha256").hexdigest().upper()
    assert accepts(hmac_sha256(header="X-Sig", secrets="one"), {"X-Sig": digest}, b"{}")


# --- garbage ---

NAMES = [
    "Stripe-Signature",
    "X-Slack-Request-Timestamp",
    "X-Slack-Signature",
    "X-Hub-Signature-256",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "svix-id",
    "svix-timestamp",
    "svix-signature",
    "X-Twilio-Signature",
    "Content-Type",
    "X-Sig",
]
ALL = [
    *(make(secret) for make, secret, _, _ in SENDERS.values()),
    twilio("12345", url=TWILIO_URL),
    hmac_sha256(header="X-Sig", secrets="one"),
    hmac_sha256(header="X-Sig", secrets="one", encoding="base64"),
]


@given(
    headers=st.dictionaries(
        st.sampled_from(NAMES), st.lists(junk, max_size=4).map("".join) | st.just(FORM)
    ),
    body=st.binary(max_size=60),
)
@quick
def test_garbage_is_refused_and_raises_nothing(headers: dict[str, str], body: bytes) -> None:
    """In any header, for any sender."""
    assert [False] * len(ALL) == [accepts(verifier, headers, body) for verifier in ALL]


@pytest.mark.parametrize(
    "value",
    [
        ",".join(["v1=x"] * 100_000),
        " ".join(["v1,eA=="] * 100_000),
        "t=" + "9" * 1_000_000,
        "9" * 1_000_000,
        "=" * 1_000_000,
        "sha256=" + "0" * 1_000_000,
    ],
    ids=["many v1=", "many v1,", "long stamp", "long number", "equal signs", "long hex"],
)
def test_a_megabyte_in_each_header_takes_no_time(value: str) -> None:
    """The work is linear, and the time stamp is looked at before anything is hashed."""
    headers = dict.fromkeys(NAMES, value)
    began = time.process_time()
    assert not any(accepts(verifier, headers, b"&" * 1_000_000) for verifier in ALL)
    assert time.process_time() - began < 1.0


# --- secrets ---

MAKERS: dict[str, Callable[..., Verifier]] = {
    "stripe": stripe,
    "slack": slack,
    "github": github,
    "standard_webhooks": standard_webhooks,
    "twilio": lambda *secrets: twilio(*secrets, url=TWILIO_URL),
    "hmac_sha256": lambda *secrets: hmac_sha256(header="X-Sig", secrets=secrets),
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("secrets", [(), ("",), ("whsec_YWJj", ""), (" ",), ("whsec_YWJj\n",)])
def test_a_secret_that_is_none_is_an_error(maker: str, secrets: tuple[str, ...]) -> None:
    """When the verifier is made: nothing would ever be let in, or everything."""
    with pytest.raises(ValueError, match="secret"):
        MAKERS[maker](*secrets)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("secret", [None, 1, ["whsec_YWJj"]])
def test_a_secret_that_is_no_text_is_an_error(maker: str, secret: object) -> None:
    """An unset environment variable, say."""
    with pytest.raises(TypeError, match="text or bytes, not"):
        MAKERS[maker](secret)


@pytest.mark.parametrize(
    ("make", "secret", "words"),
    [
        (stripe, "sk_live_123", "not an API token"),
        (slack, "xoxb-123", "not an API token"),
        (standard_webhooks, "whsec_!!", "whsec_ and base64"),
        (standard_webhooks, "whpk_YWJj", "whsec_ and base64"),
        (standard_webhooks, "whsec_", "whsec_ and base64"),
    ],
)
def test_a_secret_of_another_kind_is_an_error(
    make: Callable[[str], Verifier], secret: str, words: str
) -> None:
    """It names what is wanted, and not the secret."""
    with pytest.raises(ValueError, match=words) as caught:
        make(secret)
    assert secret not in str(caught.value).replace("whsec_ and base64", "")


@pytest.mark.parametrize("maker", MAKERS)
def test_no_frame_that_leaves_us_shows_a_secret(maker: str) -> None:
    """Reporters of errors send the locals of each frame; the other secret is a good one."""
    good = "whsec_" + base64.b64encode(b"canary").decode()
    for bad in (None, "", "xoxb-1 "):
        with pytest.raises((ValueError, TypeError)) as caught:
            MAKERS[maker](good, bad)
        assert_nothing_shows(caught.value, good, but_for=__file__)
    with pytest.raises(TypeError) as wrong:
        twilio(good, ulr=TWILIO_URL)  # type: ignore[call-arg]
    assert_nothing_shows(wrong.value, good, but_for=__file__)


def test_one_secret_is_not_taken_for_a_list_of_letters() -> None:
    """`secrets="…"` is one secret."""
    digest = hmac.new(b"o", b"{}", "sha256").hexdigest()
    assert not accepts(hmac_sha256(header="X-Sig", secrets="one"), {"X-Sig": digest}, b"{}")


def test_other_wrong_options_are_errors() -> None:
    """At once."""
    with pytest.raises(ValueError, match="'hex' or 'base64'"):
        hmac_sha256(header="X-Sig", secrets="one", encoding="octal")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="header is empty"):
        hmac_sha256(header="", secrets="one")
    for url in ("example.org/sms", "ftp://example.org", "https://"):
        with pytest.raises(ValueError, match="public URL"):
            twilio("12345", url=url)


@pytest.mark.parametrize("verifier", ALL, ids=lambda verifier: verifier.sender)
def test_no_secret_is_in_a_repr(verifier: Verifier) -> None:
    """Nor anywhere else in the object that a reporter would show."""
    shown = repr(verifier) + json.dumps(
        {name: repr(getattr(verifier, name)) for name in ("sender", "verify", "handshake")}
    )
    for secret in ("whsec_abc123", "8f742231", "MfKQ9r8G", "Everybody", "12345", "'one'"):
        assert secret not in shown
