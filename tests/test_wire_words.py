"""What an error says: Golem's own words, and nothing of the token or the payload."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from golem_client.errors import GolemError
from golem_client.ids import PromiseId
from golem_client.wire import MAX_ANSWER_BYTES, completion_request, read_answer

COMPONENT = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
PROMISE = PromiseId.parse(f"{COMPONENT}/w1/99")
TOKEN = "zq7Rk-token_Vx93hLmWp2"
JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"

APPROVED = b'{"approved":true}'
ORDER = b'{"card":"4929123498761234","name":"Zuzanna Kowalczyk","note":"line\\none \\"two\\""}'


def error_of(
    status: int,
    kind: str,
    body: bytes | str,
    *,
    payload: bytes = APPROVED,
    token: str | None = TOKEN,
    **headers: str,
) -> GolemError:
    """Return the error that an answer makes; `Location="…"` is a header."""
    raw = body.encode() if isinstance(body, str) else body
    found = CIMultiDict({"Content-Type": kind, "Content-Length": str(len(raw)), **headers})
    sent = {"Authorization": f"Bearer {token}"} if token else {}
    request = completion_request("http://golem", PROMISE, payload, sent)
    error = read_answer(request, status, found, raw).error
    assert error is not None
    return error


def shown(error: GolemError) -> str:
    """Return all that an error can show."""
    return " ".join([str(error), repr(error), repr(vars(error)), *map(repr, error.args)])


def golem_says(text: str, *, payload: bytes = APPROVED, token: str | None = TOKEN) -> str:
    """Return the message of the error that a 500 of Golem's with this text makes."""
    body = json.dumps({"error": text, "workerError": None})
    return error_of(500, JSON, body, payload=payload, token=token).message


READABLE = [
    f'Promise not found: {COMPONENT}/my-agent("x")/99',
    "Failed to get routing table: Shard Manager error: Invalid Request: no shards",
    "Internal error",
    "Previous Invocation Failed",
    "Invalid worker name: Worker name must be between 1 and 512 characters",
    f"Couldn't retrieve component: {COMPONENT}. error: Component not found",
    "The environment action UpdateWorker is not allowed",
    "Could not authenticate user using token",
]


@pytest.mark.parametrize("text", READABLE)
@pytest.mark.parametrize("payload", [APPROVED, ORDER, b"", b"ok", bytes(range(256))])
def test_golems_own_words_stay_readable(text: str, payload: bytes) -> None:
    """What Golem says of itself is shown as it is."""
    assert text == golem_says(text, payload=payload)


def test_golems_framework_stays_readable() -> None:
    """The bare texts of the framework are shown, too."""
    error = error_of(415, TEXT, "the client request does not include the `Content-Type` header")
    assert error.message == "the client request does not include the `Content-Type` header"


def test_several_errors_are_all_shown() -> None:
    """`errors` is a list."""
    assert error_of(400, JSON, '{"errors":["one","two"]}').message == "one; two"


def test_an_error_type_stands_before_its_details() -> None:
    """1.1 and 1.2 name the type; the details say more."""
    body = '{"golemError":{"details":"Internal error: Empty response","type":"Unknown"}}'
    assert error_of(500, JSON, body).message == "Unknown: Internal error: Empty response"


@pytest.mark.parametrize("body", ['{"error":""}', '{"errors":[]}', '{"errors":[""]}'])
def test_an_empty_text_is_called_so(body: str) -> None:
    """A message is never empty."""
    assert error_of(500, JSON, body).message == "no text"


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (
            "text/html",
            "<html>x</html>",
            "an answer that is not Golem's: 14 bytes of text/html",
        ),
        (
            "TEXT/Html; x=y",
            "",
            "an answer that is not Golem's: 0 bytes of TEXT/Html",
        ),
        (
            "",
            "<style>",
            "an answer that is not Golem's: 7 bytes of no known type",
        ),
        (
            "no type at all",
            "",
            "an answer that is not Golem's: 0 bytes of no known type",
        ),
        (
            "a" * 41 + "/b",
            "",
            "an answer that is not Golem's: 0 bytes of no known type",
        ),
        (
            f"text/{TOKEN}",
            "",
            "an answer that is not Golem's: 0 bytes of no known type",
        ),
        (
            "text/not-approved",  # what error_of sends has that word
            "",
            "an answer that is not Golem's: 0 bytes of no known type",
        ),
        (
            "text/plain",
            "Anything",
            "an answer that is not Golem's: 8 bytes of text/plain",
        ),
        (
            JSON,
            b"\xff",
            "an answer that is not Golem's: 1 bytes of application/json",
        ),
        (
            "text/html",
            b"x" * MAX_ANSWER_BYTES,
            "an answer that is not Golem's: 65536 or more bytes of text/html",
        ),
    ],
    ids=["html", "parameters", "no-type", "words", "long", "echo", "sent", "text", "json", "cut"],
)
def test_an_answer_that_is_not_golems_is_described_and_not_quoted(
    kind: str, body: bytes | str, expected: str
) -> None:
    """A proxy's page may echo anything."""
    assert expected == error_of(500, kind, body).message


ECHOES = [
    pytest.param(
        'parse request payload error: Expected input type "list_integer(uint8)", found "{}". '
        '(occurred while parsing "CompleteParameters")',
        'parse request payload error: Expected input type "list_integer(uint8)" …',
        id="found",
    ),
    pytest.param(
        "Failed parsing value; Provided: {}; Expected type: AgentWebhookId",
        "Failed parsing value …",
        id="provided",
    ),
    pytest.param("RuntimeError: cannot read '{}'", "RuntimeError: cannot read '…'", id="quoted"),
]


@pytest.mark.parametrize(("text", "expected"), ECHOES)
def test_an_echo_is_cut(text: str, expected: str) -> None:
    """Where Golem quotes what it refused, the quotation is left out."""
    payload = b"zorro was here, and left"
    assert expected == golem_says(text.format(payload.decode()), payload=payload)


@pytest.mark.parametrize(
    "text",
    [
        'Expected input type "x", found "a payload of another call"',
        "failed to parse it: found null. (occurred",
        "parse error, found  12",
        "Provided: something",
    ],
)
def test_an_echo_is_cut_whatever_it_quotes(text: str) -> None:
    """It need not be the payload as we know it: encodings differ."""
    start = re.split(r",? found|:? found|Provided", text)[0].rstrip(": ,")
    assert f"x {start}".rstrip() + " …" == golem_says(f"x {text}")


@pytest.mark.parametrize("payload", [APPROVED, b"x" * 100_000])
def test_the_message_about_a_size_names_the_sizes(payload: bytes) -> None:
    """`found` quotes nothing there; a long payload does not silence it either."""
    text = (
        "Failed to connect to pod: Operation was attempted past the valid range Error, decoded "
        "message length too large: found 4195045 bytes, the limit is: 4194304 bytes"
    )
    assert text == golem_says(text, payload=payload)


def test_a_framework_text_is_cut_at_its_echo() -> None:
    """The offending value is echoed in full by every version."""
    text = 'parse request payload error: Expected input type "x", found "anything at all"'
    expected = 'parse request payload error: Expected input type "x" …'
    assert expected == error_of(400, TEXT, text).message


PARTS = [
    pytest.param(ORDER.decode(), id="all"),
    pytest.param(ORDER.decode()[:30], id="beginning"),
    pytest.param(ORDER.decode()[-30:], id="end"),
    pytest.param(json.dumps(ORDER.decode()), id="quoted-as-json"),
    pytest.param("4929123498761234", id="number"),
    pytest.param("Zuzanna Kowalczyk", id="value"),
    pytest.param("Kowalczyk", id="word"),
    pytest.param(", ".join(map(str, ORDER)), id="numbers"),
    pytest.param(str(list(ORDER)), id="list"),
    pytest.param(",".join(f"{byte:3}" for byte in ORDER), id="numbers-as-sent"),
    pytest.param(" ".join(map(str, ORDER)), id="numbers-with-spaces"),
    pytest.param(",\n".join(map(str, ORDER)), id="numbers-on-lines"),
    pytest.param(", ".join(map(str, ORDER[10:14])), id="four-numbers"),
]
SECRETS = ["49291234", "Zuzanna", "Kowalczyk", "123, 34", "123,  34", "75, 111", "34, 52, 57, 50"]

PLACES = [
    pytest.param(500, JSON, '{{"error":{0}}}', id="error"),
    pytest.param(400, JSON, '{{"errors":["x",{0}]}}', id="errors"),
    pytest.param(500, JSON, '{{"error":"x","code":{0}}}', id="code"),
    pytest.param(500, JSON, '{{"golemError":{{"type":"Unknown","details":{0}}}}}', id="details"),
    pytest.param(500, JSON, '{{"golemError":{{"type":"Unknown","reason":{0}}}}}', id="reason"),
    pytest.param(500, JSON, '{{"golemError":{{"type":{0}}}}}', id="type"),
    pytest.param(500, JSON, '{{"error":"x","workerError":{{"cause":{0}}}}}', id="worker-error"),
    pytest.param(500, JSON, '{{"message":{0}}}', id="other-json"),
    pytest.param(400, TEXT, "parse request payload error: {0}", id="framework"),
    pytest.param(400, TEXT, "{0}", id="other-text"),
    pytest.param(502, "text/html", "<p>{0}</p>", id="html"),
]


@pytest.mark.parametrize(("status", "kind", "body"), PLACES)
def test_no_part_of_a_payload_is_shown(status: int, kind: str, body: str) -> None:
    """Wherever a server echoes it, and however written."""
    for part in PARTS:
        error = error_of(status, kind, body.format(json.dumps(part)), payload=ORDER)
        assert [] == [(secret, part) for secret in SECRETS if secret in shown(error)]


@pytest.mark.parametrize(("status", "kind", "body"), PLACES)
def test_no_token_is_shown(status: int, kind: str, body: str) -> None:
    """Wherever a server echoes it."""
    for token in (TOKEN, "only_letters_here", "abcd", COMPONENT):
        error = error_of(status, kind, body.format(json.dumps(f"{token}")), token=token)
        assert token not in shown(error)


@pytest.mark.parametrize("part", [TOKEN[:12], TOKEN[5:], f"Bearer {TOKEN}", f"x{TOKEN}x"])
def test_no_part_of_a_token_is_shown(part: str) -> None:
    """A run of eight characters is enough to be hidden."""
    text = golem_says(f"bad header {part}!")
    assert not any(TOKEN[start : start + 8] in text for start in range(len(TOKEN) - 7))


@pytest.mark.parametrize(
    ("payload", "part"),
    [
        (b'{"password":"hunter2"}', "hunter2"),
        (b'{"password": "hunter2" , "x":1}', "hunter2"),
        (b'["a","hunter2","b"]', "hunter2"),
        (b'"hunter2"', "hunter2"),
        (b"hunter2", "hunter2"),
        (b'{"pin":4711}', "4711"),
        (b"[4711,4712]", "4712"),
        (b'{"pin":"4711"}', "4711"),
        (b"yes", "yes"),
        ('{"n":"größe"}'.encode(), "größe"),
        (b"\xff\xfehidden here", "hidden here"),
    ],
)
def test_a_short_value_of_a_payload_is_hidden(payload: bytes, part: str) -> None:
    """A whole value is a secret, however short a word it is."""
    assert golem_says(f"cannot take {part}, sorry", payload=payload) == "cannot take …, sorry"


@pytest.mark.parametrize("word", ["approve", "approvedly", "true", "47110"])
def test_words_that_are_no_value_stay(word: str) -> None:
    """Keys, parts of words and other numbers are not hidden."""
    payload = b'{"approve":"d","n":4711}'
    assert f"it says {word} here" == golem_says(f"it says {word} here", payload=payload)


def test_a_code_that_the_payload_holds_is_none() -> None:
    """A code is shown as it is, so it must not be an echo."""
    error = error_of(500, JSON, '{"error":"x","code":"TOPSECRET"}', payload=b'"TOPSECRET"')
    assert "TOPSECRET" not in shown(error)


LONG = b"".join(b"order %d of card 4929-%d; " % (n, n * 7919) for n in range(20_000))


def test_a_long_payload_does_not_silence_golem() -> None:
    """Golem's words are shown, however much was sent."""
    text = f"Promise not found: {COMPONENT}/w1/99"
    assert text == golem_says(text, payload=LONG)


@pytest.mark.parametrize("start", [*range(300_000, 300_016), len(LONG) - 60])
def test_an_echo_of_a_long_payload_is_hidden(start: int) -> None:
    """No run of 15 characters is shown, wherever it stands."""
    text = golem_says(f"bad: {LONG[start : start + 60].decode()}", payload=LONG)
    shown_runs = {text[at : at + 15] for at in range(len(text) - 14)}
    assert set() == {run for run in shown_runs if run.encode() in LONG}


def test_a_long_text_is_cut() -> None:
    """A message is at most 300 characters and an ellipsis."""
    assert golem_says("word " * 1000) == ("word " * 60) + "…"


@pytest.mark.parametrize(
    "text",
    ["a\1b", "a\nb", "a\x1bb", "a\x7fb", "a\x9bb", "a\u202eb", "a\u2028b", "a\ud800b", "a\u200bb"],
)
def test_a_control_character_becomes_a_space(text: str) -> None:
    """No answer can write lines, colours or directions into a log."""
    assert golem_says(text) == "a b"


LOCATIONS = [
    ("https://golem/v1", "https://golem/v1"),
    ("https://golem:9881/v1/x", "https://golem:9881/v1/x"),
    ("/v1/x", "/v1/x"),
    ("//golem/v1", "//golem/v1"),
    ("https://golem/v1?token=zorro", "https://golem/v1"),
    ("https://golem/v1#zorro", "https://golem/v1"),
    ("https://golem?zorro", "https://golem"),
    ("https://user:zorro@golem/v1", "https://golem/v1"),
    ("https://zorro@golem/v1", "https://golem/v1"),
    ("https://a@zorro@golem/v1", "https://golem/v1"),
    ("//user:zorro@golem/v1", "//golem/v1"),
    ("user:zorro@golem/v1", "golem/v1"),
    ("https://golem/user:zorro@x", "https://golem/x"),
    (f"https://golem/{TOKEN}/x", "https://golem/…/x"),
    ("https://golem/\r\nX: y", "https://golem/X: y"),
    ("https://[zorro/", "an address that cannot be read"),
    ("", "nowhere"),
    ("https://golem/" + "x" * 400, "https://golem/" + "x" * 286 + "…"),
]


@pytest.mark.parametrize(("location", "expected"), LOCATIONS)
def test_a_redirect_names_its_place_without_secrets(location: str, expected: str) -> None:
    """Without userinfo, query, fragment and token."""
    error = error_of(302, "text/html", "", Location=location)
    assert f"a redirect to {expected}, which is not followed" == error.message


@pytest.mark.parametrize(
    "location",
    [
        "https:user:zorro@golem/v1",
        "https:/user:zorro@golem/v1",
        "https:///user:zorro@golem/v1",
        "https:\\\\user:zorro@golem/v1",
        "mailto:user:zorro@golem",
        "://user:zorro@golem",
    ],
)
def test_a_redirect_in_a_broken_spelling_shows_no_password_either(location: str) -> None:
    """Python's versions read these differently."""
    assert "zorro" not in shown(error_of(302, "text/html", "", Location=location))


def test_a_redirect_without_a_place_leads_nowhere() -> None:
    """`Location` may be missing."""
    message = error_of(304, "text/html", "").message
    assert message == "a redirect to nowhere, which is not followed"


def test_a_redirect_names_its_place_when_the_payload_is_long() -> None:
    """Where base_url is wrong, the right place helps, whatever was sent."""
    location = "https://user:zorro@golem:9881/v1/x?y"
    error = error_of(307, "text/html", "", payload=b"x" * 100_000, Location=location)
    assert error.message == "a redirect to https://golem:9881/v1/x, which is not followed"


@given(st.text(min_size=8, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_no_run_of_eight_of_a_payload_is_shown(payload: str, before: str, after: str) -> None:
    """Whatever the payload, and whatever stands around its echo."""
    sent = payload.encode("utf-8", "replace")
    text = golem_says(f"{before}{sent.decode()}{after}", payload=sent, token=None)
    assert sent.decode() not in text


@given(st.text(max_size=400))
def test_a_message_is_printable_and_short(text: str) -> None:
    """Whatever Golem says."""
    message = golem_says(text)
    assert (True, True) == (message.isprintable(), len(message) <= 301)


HARD = [
    pytest.param(b"aaaaaaab" * 8192, '"' + "aaaaaaaab" * 7000 + '"', id="nearly-equal-runs"),
    pytest.param(b"a" * 65536, '"' + "a" * 60_000 + "b" * 5000 + '"', id="equal-runs"),
    pytest.param(b'"abc"' * 13000, '"' + "abc " * 16000 + '"', id="values"),
    pytest.param(b"x", '"' + "12," * 21000 + '"', id="numbers"),
    pytest.param(b"x", '"' + "1 " * 32000 + '"', id="numbers-and-spaces"),
    pytest.param(b"x", '"1' + " " * 65000 + '"', id="spaces"),
    pytest.param(b"x", '"' + "found" * 13000 + '"', id="echo-words"),
    pytest.param(b"x", '"Unknown: ' + "size limi" * 7000 + '"', id="size-words"),
    pytest.param(b"x" * 4_000_000, '"' + "x" * 60_000 + '"', id="four-megabytes"),
]


@pytest.mark.parametrize(("payload", "text"), HARD)
def test_the_hardest_answer_takes_a_moment(payload: bytes, text: str) -> None:
    """No answer blocks the loop: a tenth of what quadratic time would take is far off."""
    sent = {"Authorization": f"Bearer {TOKEN * 300}"}
    request = completion_request("http://golem", PROMISE, payload, sent)
    body = f'{{"error":{text}}}'.encode()
    started = time.process_time()
    read_answer(request, 500, CIMultiDict({"Content-Type": JSON}), body)
    assert time.process_time() - started < 0.2


def test_the_longest_location_takes_a_moment() -> None:
    """A redirect's address of 64 KiB is no work either."""
    started = time.process_time()
    error_of(302, "text/html", "", Location="x" * 65536 + "@" * 10)
    assert time.process_time() - started < 0.2
