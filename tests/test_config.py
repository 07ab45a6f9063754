"""What a client accepts, and what its refusals do not show."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import ssl
import traceback
import warnings
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

import golem_client
from golem_client import GolemClient, InsecureTransportWarning
from golem_client.config import (
    CLOUD_URL,
    LOCAL_TOKEN,
    LOCAL_URL,
    Secret,
    checked_count,
    checked_headers,
    checked_seconds,
    checked_token,
    checked_type,
    checked_url,
    insecurity,
    is_private_transport,
    proxy_for,
)
from golem_client.retry import RetryPolicy


def shown_below_here(error: BaseException) -> str:
    """Return all that a reporter of errors shows of the frames below the test's own."""
    assert (error.__cause__, error.__context__) == (None, None)
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join([str(error), *(repr(frame.locals) for frame in trace.stack[1:])])


def test_the_addresses_are_golems() -> None:
    """Local and cloud, and the token that every local Golem knows."""
    assert (
        "http://localhost:9881",
        "https://release.api.golem.cloud",
        "5c832d93-ff85-4a8f-9803-513950fdfdb1",
    ) == (LOCAL_URL, CLOUD_URL, LOCAL_TOKEN)


class TestUrl:
    """A base URL is plain http(s)."""

    @pytest.mark.parametrize(
        ("base_url", "expected"),
        [
            ("http://golem", "http://golem"),
            ("http://golem/", "http://golem"),
            ("http://golem///", "http://golem"),
            ("https://golem:9881", "https://golem:9881"),
            ("HTTPS://Golem", "https://golem"),
            ("http://golem/a/b", "http://golem/a/b"),
            ("http://golem/a/b/", "http://golem/a/b"),
            ("http://golem/a%2Fb", "http://golem/a%2Fb"),
            ("http://golem/a@b:c", "http://golem/a@b:c"),
            ("http://127.0.0.1:1", "http://127.0.0.1:1"),
            ("http://[::1]:9881/x", "http://[::1]:9881/x"),
            ("http://bücher.example", "http://xn--bcher-kva.example"),
            ("http://golem/ü", "http://golem/%C3%BC"),
            ("http://golem.", "http://golem."),
            (f"http://{'a' * 63}.example", f"http://{'a' * 63}.example"),
            (f"http://{'a.' * 126}b", f"http://{'a.' * 126}b"),
            (LOCAL_URL, LOCAL_URL),
            (CLOUD_URL, CLOUD_URL),
        ],
    )
    def test_it_is_returned_without_a_trailing_slash(self, base_url: str, expected: str) -> None:
        """And as it goes over the wire; its path is kept."""
        assert expected == checked_url(base_url)

    @pytest.mark.parametrize(
        ("base_url", "why"),
        [
            ("", "must start with"),
            ("golem", "must start with"),
            ("golem:9881", "must start with"),
            ("//golem", "must start with"),
            ("ftp://golem", "must start with"),
            ("unix:///var/run/golem", "must start with"),
            ("http://", "must start with"),
            ("http:golem", "must start with"),
            ("http:///golem", "must start with"),
            ("http://user:zorro@golem", "user name or password"),
            ("http://zorro@golem", "user name or password"),
            ("http://@golem", "user name or password"),
            ("http://golem?zorro=1", "a query or a fragment"),
            ("http://golem/?", "a query or a fragment"),
            ("http://golem#zorro", "a query or a fragment"),
            ("http://golem/#", "a query or a fragment"),
            (" http://golem", "white space"),
            ("http://golem\n", "white space"),
            ("http://go lem", "white space"),
            ("http://golem/\x00", "white space"),
            ("http://golem/\ud800", "white space"),
            ("http://golem\\zorro", "white space"),
            ("http://golem/a\u200bb", "white space"),
            ("http://golem:zorro", "cannot be read"),
            ("http://golem:99999", "cannot be read"),
            ("http://golem:-1", "cannot be read"),
            ("http://[::1", "cannot be read"),
            ("http://[zorro]", "cannot be read"),
            ("http://user:zorro@golem:99999", "cannot be read"),
            ("http://golem\u00af", "cannot be read"),
            ("http://user\u2100zorro@golem", "cannot be read"),
            ("http://a..b", "cannot be read"),
            ("http://127.1:9881", "cannot be read"),
            ("http://0:9881", "cannot be read"),
            ("http://.golem", "cannot be read"),
            ("http://golem..", "cannot be read"),
            (f"http://{'a' * 64}.example", "cannot be read"),
            (f"http://{'ü' * 60}.example", "cannot be read"),
            (f"http://{'a.' * 127}", "cannot be read"),
        ],
    )
    def test_anything_else_is_refused(self, base_url: str, why: str) -> None:
        """With words that say what is wrong."""
        with pytest.raises(ValueError, match=f"^base_url .*{why}"):
            checked_url(base_url)

    @pytest.mark.parametrize("base_url", [None, b"http://golem", 1, ["http://golem"]], ids=repr)
    def test_it_is_a_string(self, base_url: Any) -> None:
        """Nothing is converted."""
        with pytest.raises(TypeError, match=r"^base_url must be a string$"):
            checked_url(base_url)

    @given(st.text(max_size=30) | st.text(max_size=30).map("http://{}".format))
    def test_any_text_is_accepted_or_a_value_error(self, text: str) -> None:
        """And what is accepted is accepted again, unchanged."""
        try:
            url = checked_url(text)
        except ValueError:
            return
        assert url == checked_url(url)


@pytest.mark.parametrize(
    "base_url",
    [
        "http://user:zorro@golem",
        "http://user:zorro@golem:99999",
        "http://golem:zorro",
        "http://user\u2100zorro@golem",
        "http://golem?token=zorro",
        "http://[zorro]",
        "zorro://golem",
    ],
)
def test_no_refused_url_is_shown(base_url: str) -> None:
    """Neither in the message nor in a local variable of ours: a password may be in it."""
    with pytest.raises(ValueError, match=r"^base_url ") as caught:
        checked_url(base_url)
    assert "zorro" not in shown_below_here(caught.value)


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://golem", True),
        ("https://198.51.100.7", True),
        ("http://localhost", True),
        ("http://localhost:9881/x", True),
        ("http://localhost.", True),
        ("http://golem.localhost", True),
        ("http://127.0.0.1", True),
        ("http://127.255.0.1:9881", True),
        ("http://[::1]:9881", True),
        ("http://golem", False),
        ("http://198.51.100.7", False),
        ("http://10.0.0.1", False),
        ("http://192.168.1.1", False),
        ("http://0.0.0.0", False),
        ("http://[::]", False),
        ("http://[fe80::1]", False),
        ("http://localhost.example", False),
        ("http://notlocalhost", False),
        ("http://127.0.0.1.example", False),
        ("http://golem/localhost", False),
    ],
)
def test_transport_is_private_over_tls_and_to_this_machine(base_url: str, expected: bool) -> None:
    """Everything else can be read on the way."""
    assert expected is is_private_transport(base_url)


class TestProxy:
    """The proxy that the environment names."""

    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
        """Return an environment that names no proxy."""
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "request_method"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        return monkeypatch

    def test_none_is_named(self) -> None:
        """Without a variable there is no proxy."""
        assert proxy_for("http://golem") is None

    @pytest.mark.parametrize(
        ("base_url", "expected"),
        [
            ("http://golem", "http://one:3128"),
            ("https://golem", "http://user:zorro@two:3128"),
            ("https://golem:9881/x", "http://user:zorro@two:3128"),
            ("https://direct.example", None),
            ("https://sub.direct.example:443", None),
            ("http://direct.example:9881", None),
        ],
    )
    def test_each_scheme_has_its_own(
        self, environment: pytest.MonkeyPatch, base_url: str, expected: str | None
    ) -> None:
        """And `NO_PROXY` has the last word."""
        environment.setenv("HTTP_PROXY", "http://one:3128")
        environment.setenv("HTTPS_PROXY", "http://user:zorro@two:3128")
        environment.setenv("NO_PROXY", "direct.example")
        assert expected == proxy_for(base_url)

    def test_no_proxy_for_all(self, environment: pytest.MonkeyPatch) -> None:
        """`NO_PROXY=*` switches them off."""
        environment.setenv("HTTP_PROXY", "http://one:3128")
        environment.setenv("NO_PROXY", "*")
        assert proxy_for("http://golem") is None

    @pytest.mark.parametrize(
        "proxy",
        [
            "socks5://user:zorro@one:1080",
            "http://",
            "http://user:zorro@a..b",
            "http://user:zorro@one:99999",
            "http://user:zorro@[one",
            "http://user\u2100zorro@one",
        ],
    )
    def test_another_kind_is_refused_and_not_shown(
        self, environment: pytest.MonkeyPatch, proxy: str
    ) -> None:
        """Its password neither; not even in what the error was raised from."""
        environment.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(ValueError, match=r"^HTTPS_PROXY does not name an http") as caught:
            proxy_for("https://golem")
        assert "zorro" not in shown_below_here(caught.value)

    @pytest.mark.parametrize(
        ("proxy", "expected"),
        [
            ("one:3128", "http://one:3128"),
            ("user:zorro@one:3128", "http://user:zorro@one:3128"),
            ("one", "http://one"),
            (" http://one:3128 ", "http://one:3128"),
            ("https://one", "https://one"),
        ],
    )
    def test_it_needs_no_scheme(
        self, environment: pytest.MonkeyPatch, proxy: str, expected: str
    ) -> None:
        """As with curl, it is then http."""
        environment.setenv("HTTPS_PROXY", proxy)
        assert expected == proxy_for("https://golem")

    @pytest.mark.parametrize(
        ("variables", "expected"),
        [
            ({"HTTP_PROXY": "upper"}, "http://upper"),
            ({"HTTP_PROXY": "upper", "http_proxy": "lower"}, "http://lower"),
            ({"HTTP_PROXY": "upper", "http_proxy": ""}, None),
            ({"HTTP_PROXY": "upper", "REQUEST_METHOD": "GET"}, None),
            ({"http_proxy": "lower", "REQUEST_METHOD": "GET"}, "http://lower"),
            ({"ALL_PROXY": "all"}, "http://all"),
            ({"ALL_PROXY": "all", "all_proxy": "lower"}, "http://lower"),
            ({"ALL_PROXY": "all", "HTTP_PROXY": "upper"}, "http://upper"),
            ({"HTTPS_PROXY": "other"}, None),
            ({"HTTP_PROXY": "upper", "NO_PROXY": "golem", "no_proxy": ""}, "http://upper"),
        ],
    )
    def test_which_variable_counts(self, variables: dict[str, str], expected: str | None) -> None:
        """Lower case first, the one for all last; not what a CGI request brought in."""
        assert expected == proxy_for("http://golem", environ=variables)

    @pytest.mark.parametrize(
        ("entry", "url"),
        [
            ("golem", "http://golem"),
            ("GOLEM", "http://golem"),
            ("GOLEM:80", "http://golem"),
            ("golem.", "http://golem"),
            ("golem", "http://golem."),
            ("example", "http://golem.example"),
            (".corp.example", "http://golem.corp.example"),
            (".corp.example", "http://corp.example"),
            ("*.corp.example", "http://golem.corp.example"),
            ("*.corp.example", "http://a.golem.corp.example:9881"),
            ("*.corp.example:9881", "http://golem.corp.example:9881"),
            ("::1", "http://[::1]:9881"),
            ("[::1]", "http://[::1]:9881"),
            ("[::1]:9881", "http://[::1]:9881"),
            ("0:0:0:0:0:0:0:1", "http://[::1]"),
            ("fd00::/8", "http://[fd00::7]"),
            ("10.0.0.0/8", "http://10.2.3.4"),
            ("10.9.9.9/8", "http://10.2.3.4"),
            ("10.2.3.4", "http://10.2.3.4:80"),
            ("10.2.3.4:80", "http://10.2.3.4"),
            ("10.*", "http://10.2.3.4"),
            ("golem:80", "http://golem"),
            ("golem:443", "https://golem"),
            ("golem:9881", "http://golem:9881/x"),
            ("other,golem", "http://golem"),
            (" other , golem ", "http://golem"),
            ("other golem", "http://golem"),
            ("*", "http://golem"),
            ("other,*", "http://[::1]"),
        ],
    )
    def test_no_proxy_names_it(self, entry: str, url: str) -> None:
        """In each way in which environments write it."""
        variables = {"http_proxy": "one", "https_proxy": "one", "NO_PROXY": entry}
        assert proxy_for(url, environ=variables) is None

    @pytest.mark.parametrize(
        ("entry", "url"),
        [
            ("", "http://golem"),
            (",", "http://golem"),
            (".", "http://golem"),
            ("golem", "http://notgolem"),
            ("golem.example", "http://example"),
            ("*.corp.example", "http://corp.example"),
            ("*.corp.example", "http://corp.example.org"),
            ("golem:9881", "http://golem"),
            ("golem:80", "https://golem"),
            ("golem:99999", "http://golem"),
            ("[::1]:9881", "http://[::1]:1"),
            ("::1", "http://[::2]"),
            ("10.0.0.0/8", "http://11.0.0.1"),
            ("10.0.0.0/8", "http://golem"),
            ("10.0.0.0/99", "http://10.0.0.1"),
            ("fd00::/8", "http://10.0.0.1"),
            ("10.2.3.4", "http://10.2.3.4.example"),
            (f"{'a' * 64}.example", "http://golem"),
            ("[", "http://golem"),
        ],
    )
    def test_no_proxy_names_others(self, entry: str, url: str) -> None:
        """An entry that does not match, or no entry at all, changes nothing."""
        variables = {"http_proxy": "one", "https_proxy": "one", "NO_PROXY": entry}
        assert proxy_for(url, environ=variables) == "http://one"

    @given(st.text(max_size=20), st.text(max_size=20))
    @settings(max_examples=50, deadline=None)
    def test_any_text_is_a_proxy_or_a_value_error(self, proxy: str, no_proxy: str) -> None:
        """Nothing else leaves; a client with `trust_env` is made or refused."""
        variables = {"http_proxy": proxy, "no_proxy": no_proxy}
        try:
            found = proxy_for("http://golem", environ=variables)
        except ValueError:
            return
        assert found is None or found.startswith("http")


PROXIED = "the token goes unencrypted to {}, through the proxy {}: use https"
UNCHECKED = (
    "the token goes to {}, whose certificate is not checked: whoever is in between can read it. "
    "Trust its authority instead (SSL_CERT_FILE)"
)


class TestInsecurity:
    """Why a token is not safe on its way."""

    @pytest.mark.parametrize(
        ("base_url", "proxy", "verifies_tls"),
        [
            ("https://golem", None, True),
            ("https://golem", "http://one:3128", True),
            ("https://localhost", None, False),
            ("https://127.0.0.1:9881", None, False),
            ("http://localhost:9881", None, True),
            ("http://[::1]", None, False),
        ],
    )
    def test_it_is_safe(self, base_url: str, proxy: str | None, verifies_tls: bool) -> None:
        """By TLS with a checked certificate, or on this machine."""
        assert insecurity(base_url, proxy=proxy, verifies_tls=verifies_tls) is None

    @pytest.mark.parametrize(
        ("base_url", "proxy", "verifies_tls", "expected"),
        [
            ("http://golem", None, True, "the token goes unencrypted to http://golem: use https"),
            ("http://golem", None, False, "the token goes unencrypted to http://golem: use https"),
            (
                "http://localhost:9881",
                "http://user:zorro@one:3128",
                True,
                PROXIED.format("http://localhost:9881", "http://one:3128"),
            ),
            (
                "https://golem",
                None,
                False,
                UNCHECKED.format("https://golem"),
            ),
            (
                "https://localhost",
                "http://one",
                False,
                UNCHECKED.format("https://localhost"),
            ),
        ],
        ids=["http", "http-unchecked", "http-proxy", "unchecked", "unchecked-proxy"],
    )
    def test_it_is_not_safe(
        self, base_url: str, proxy: str | None, verifies_tls: bool, expected: str
    ) -> None:
        """The text says why and what to do, and no password of a proxy."""
        assert expected == insecurity(base_url, proxy=proxy, verifies_tls=verifies_tls)


class TestToken:
    """A token is what a header can carry."""

    @pytest.mark.parametrize("token", ["abc", " abc", "abc\n", "\r\n\tabc \u2003"])
    def test_white_space_around_is_stripped(self, token: str) -> None:
        """One from a file ends in a newline."""
        assert checked_token(token) == "abc"

    @pytest.mark.parametrize("token", [LOCAL_TOKEN, "a", "a.b-c_d~e+f/g=", "bearer-7", "Bearers"])
    def test_what_a_header_can_carry_is_accepted(self, token: str) -> None:
        """Golem judges the rest."""
        assert token == checked_token(token)

    @pytest.mark.parametrize("token", ["", " ", "\n", "\u2003"])
    def test_an_empty_token_is_refused(self, token: str) -> None:
        """It is most likely a variable that is not set."""
        with pytest.raises(ValueError, match=r"^the token is empty"):
            checked_token(token)

    @pytest.mark.parametrize(
        "token", ["zor\0ro", "zor\x7fro", "zör", "zor\ud800", "zor\u200bro", "\ufeffzorro"]
    )
    def test_what_no_header_can_carry_is_refused(self, token: str) -> None:
        """Before aiohttp would, at each request."""
        with pytest.raises(ValueError, match=r"^the token holds a character that no header"):
            checked_token(token)

    @pytest.mark.parametrize(
        ("token", "reason"),
        [
            ("Bearer zorro", 'begins with the word "Bearer": give the token alone'),
            ("bearer zorro", 'begins with the word "Bearer"'),
            ("Bearer", 'begins with the word "Bearer"'),
            ("Bearer: zorro", 'begins with the word "Bearer"'),
            ("Authorization: Bearer zorro", 'begins with the word "Bearer"'),
            ('"zorro"', "holds a quotation mark: give the token without quotes"),
            ("'zorro'", "holds a quotation mark"),
            ('zorro"', "holds a quotation mark"),
            ("zor ro", "holds white space: give the token alone"),
            ("zor\tro", "holds white space"),
            ("zor\r\nX: y", "holds white space"),
            ("zor\u00a0ro", "holds white space"),
        ],
    )
    def test_what_is_more_than_a_token_is_refused(self, token: str, reason: str) -> None:
        """Golem would answer 401, which does not say what is wrong."""
        with pytest.raises(ValueError, match=f"^the token {reason}") as caught:
            checked_token(token)
        assert "zor" not in str(caught.value)

    def test_the_text_calls_it_as_the_user_does(self) -> None:
        """A variable or an option."""
        with pytest.raises(ValueError, match=r"^GOLEM_AUTH_TOKEN is empty"):
            checked_token("", name="GOLEM_AUTH_TOKEN")

    @pytest.mark.parametrize("token", [None, b"abc", 1, ["abc"]], ids=repr)
    def test_it_is_a_string(self, token: Any) -> None:
        """Bytes are refused: their encoding is not ours to guess."""
        with pytest.raises(TypeError, match=r"^the token must be a string$"):
            checked_token(token)

    def test_a_refused_token_is_not_shown(self) -> None:
        """Neither in the message nor in a local variable of ours."""
        with pytest.raises(ValueError, match="the token") as caught:
            checked_token("zorro\nzorro")
        assert "zorro" not in shown_below_here(caught.value)


class TestSeconds:
    """A time is finite and greater than 0."""

    @pytest.mark.parametrize("value", [1, 0.5, 1e-9, 1e300, 10**300], ids=repr)
    def test_what_makes_sense_is_a_float(self, value: float) -> None:
        """Integers are numbers of seconds, too."""
        assert (float(value), float) == (
            checked_seconds("timeout", value),
            type(checked_seconds("timeout", value)),
        )

    @pytest.mark.parametrize(
        "value", [0, 0.0, -0.0, -1, math.inf, -math.inf, math.nan, 10**400, -(10**400)]
    )
    def test_what_makes_no_sense_is_refused(self, value: float) -> None:
        """For aiohttp, 0 and less mean no limit at all."""
        with pytest.raises(ValueError, match=r"^timeout must be a finite number of seconds"):
            checked_seconds("timeout", value)

    @pytest.mark.parametrize("value", [True, False, "1", None, 1j, [1]], ids=repr)
    def test_it_is_a_number(self, value: Any) -> None:
        """A truth value is refused."""
        with pytest.raises(TypeError, match=r"^timeout must be a number of seconds$"):
            checked_seconds("timeout", value)


class TestCount:
    """A count is an integer from 1 up."""

    @pytest.mark.parametrize("value", [1, 2, 10**20])
    def test_what_makes_sense_is_returned(self, value: int) -> None:
        """As it is."""
        assert value == checked_count("max_connections", value)

    @pytest.mark.parametrize("value", [0, -1, -(10**20)])
    def test_less_than_one_is_refused(self, value: int) -> None:
        """aiohttp would take 0 connections for "no limit"."""
        with pytest.raises(ValueError, match=r"^max_connections must be at least 1$"):
            checked_count("max_connections", value)

    @pytest.mark.parametrize("value", [True, 1.0, "1", None], ids=repr)
    def test_it_is_an_integer(self, value: Any) -> None:
        """A truth value and a float are refused."""
        with pytest.raises(TypeError, match=r"^max_connections must be an integer$"):
            checked_count("max_connections", value)


class TestType:
    """An option is of its type."""

    @pytest.mark.parametrize(
        ("value", "types"),
        [
            (RetryPolicy(), (RetryPolicy,)),
            (None, (RetryPolicy, None)),
            (True, (bool, ssl.SSLContext)),
        ],
        ids=["type", "none", "one-of-several"],
    )
    def test_a_value_of_the_type_is_returned(
        self, value: object, types: tuple[type | None, ...]
    ) -> None:
        """As it is."""
        assert value is checked_type("option", value, *types)

    @pytest.mark.parametrize(
        ("value", "types", "message"),
        [
            (None, (RetryPolicy,), "retry must be a RetryPolicy"),
            ({}, (RetryPolicy,), "retry must be a RetryPolicy"),
            (RetryPolicy, (RetryPolicy,), "retry must be a RetryPolicy"),
            (0, (bool, ssl.SSLContext), "retry must be a bool or SSLContext"),
            (False, (RetryPolicy, None), "retry must be a RetryPolicy or None"),
        ],
        ids=["none", "mapping", "class", "zero", "false"],
    )
    def test_another_value_is_refused(
        self, value: object, types: tuple[type | None, ...], message: str
    ) -> None:
        """The message names what would be accepted, and not the value."""
        with pytest.raises(TypeError, match=f"^{message}$"):
            checked_type("retry", value, *types)


class TestHeaders:
    """A caller's own headers."""

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"X-Request-Id": "1"},
            {"User-Agent": "mine"},
            {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
            {"X_Under": "a b; c=d"},
            {"X-Empty": ""},
        ],
        ids=str,
    )
    def test_what_a_request_can_carry_is_accepted(self, headers: dict[str, str]) -> None:
        """As it is."""
        assert headers == checked_headers(headers)

    def test_none_means_none(self) -> None:
        """There need not be any."""
        assert {} == checked_headers(None)

    def test_they_are_copied(self) -> None:
        """What the caller does to its mapping later is its own affair."""
        headers = {"X": "1"}
        assert headers is not checked_headers(headers)

    @pytest.mark.parametrize(
        "name",
        [
            "Authorization",
            "authorization",
            "AUTHORIZATION",
            "Cookie",
            "Origin",
            "Host",
            "Content-Type",
            "Content-Length",
            "Content-Encoding",
            "Accept-Encoding",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Expect",
            "Connection",
            "Upgrade",
        ],
    )
    def test_what_is_ours_to_set_is_refused(self, name: str) -> None:
        """In any case of letters; the message names the header, not its value."""
        with pytest.raises(ValueError, match=f"^headers= must not set {name}: this client does$"):
            checked_headers({name: "zorro"})

    @pytest.mark.parametrize("name", ["", " ", "a b", "a:", "a\n", "ä", "-", "a\0"])
    def test_what_is_no_name_is_refused(self, name: str) -> None:
        """Before aiohttp would, at each request."""
        with pytest.raises(ValueError, match=r"^a name in headers= is not a header's name$"):
            checked_headers({name: "1"})

    @pytest.mark.parametrize("value", ["zor\nro", "zor\r\nY: 1", "zor\0", "zör", "zor\ud800"])
    def test_what_no_request_can_carry_is_refused_and_not_shown(self, value: str) -> None:
        """The message names the header, not its value."""
        with pytest.raises(ValueError, match=r"^the value of X-A in headers=") as caught:
            checked_headers({"X-A": value})
        assert "zor" not in str(caught.value)

    @pytest.mark.parametrize("headers", [{"X": 1}, {"X": None}, {"X": b"1"}, {1: "x"}], ids=str)
    def test_they_map_strings_to_strings(self, headers: Any) -> None:
        """Nothing is converted."""
        with pytest.raises(TypeError, match=r"^headers must map strings to strings$"):
            checked_headers(headers)

    @pytest.mark.parametrize("headers", [[("X", "1")], "X: 1", 1, {"X"}, True], ids=repr)
    def test_they_are_a_mapping(self, headers: Any) -> None:
        """Pairs may hold a name twice."""
        with pytest.raises(TypeError, match=r"^headers must be a mapping of strings"):
            checked_headers(headers)

    @pytest.mark.parametrize(
        "headers",
        [{"X-A": "1", "x-a": "2"}, CIMultiDict([("X-A", "1"), ("X-A", "2")])],
        ids=["cases", "multidict"],
    )
    def test_a_header_that_is_there_twice_is_refused(self, headers: Any) -> None:
        """One of the values would be lost."""
        with pytest.raises(ValueError, match=r"^headers= holds a header twice$"):
            checked_headers(headers)


OPTIONS = [
    name
    for name in inspect.signature(GolemClient).parameters
    # An aiohttp connector and an observer are objects of the caller's, not values.
    if name not in ("base_url", "connector", "observers")
]
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=5)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5), max_size=2)
    | st.just(object())
)


@given(
    st.text(max_size=20).map("http://{}".format) | st.just("http://golem") | VALUES,
    st.dictionaries(st.sampled_from(OPTIONS), VALUES, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_whatever_a_client_is_made_of_it_is_made_or_refused(
    base_url: Any, options: dict[str, Any]
) -> None:
    """With a ValueError or a TypeError of ours; no exception of a dependency leaves."""
    refusal: Exception | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureTransportWarning)
        try:
            GolemClient(base_url, **options)
        except (TypeError, ValueError) as error:
            refusal = error
    if refusal is not None:
        place = traceback.extract_tb(refusal.__traceback__)[-1].filename
        assert (True, True) == (type(refusal) in (TypeError, ValueError), place.startswith(OURS))


OURS = str(Path(golem_client.__file__).parent)


@attrs.frozen
class Holder:
    """A class that keeps a secret, as the client's settings do."""

    secret: Secret


HOLDER = Holder(Secret("zorro"))


class TestSecret:
    """A secret shows itself to nobody who does not ask for it by name."""

    def test_it_is_revealed_on_request(self) -> None:
        """`reveal` is the only way."""
        assert Secret("zorro").reveal() == "zorro"

    @pytest.mark.parametrize(
        "show",
        [repr, str, "{}".format, attrs.asdict, attrs.astuple, copy.copy],
        ids=["repr", "str", "format", "asdict", "astuple", "copy"],
    )
    def test_it_is_hidden(self, show: Any) -> None:
        """By whatever way a holder of it is shown."""
        assert "zorro" not in repr(show(HOLDER))

    def test_it_has_no_vars(self) -> None:
        """Debuggers and error reporters list those."""
        with pytest.raises(TypeError):
            vars(Secret("zorro"))

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_it_is_not_pickled(self, protocol: int) -> None:
        """A pickle would hold it in the clear."""
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(HOLDER, protocol)
