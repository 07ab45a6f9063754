"""The proxy that the environment names, and whether a token is safe on its way."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import attrs
from yarl import URL

from golem_client.config.options import read_url
from golem_client.frames import made_without_locals


@attrs.frozen
class Proxy:
    """A proxy that the environment names.

    Attributes:
        url: Its address, which may hold a user name and a password.
        variable: The variable that names it.
    """

    url: str = attrs.field(repr=False)
    variable: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@made_without_locals
def proxy_for(base_url: str, *, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the URL of the proxy that the environment names for this address, or None.

    aiohttp's own `trust_env` is not used: with a matching netrc entry it fails on each request
    that has a token of its own (aiohttp 3.14).

    Args:
        base_url: The address, as `checked_url` returns it.
        environ: The environment; by default that of the process.

    Raises:
        ValueError: The variable names no http(s) proxy.
    """
    found = find_proxy(base_url, os.environ if environ is None else environ)
    return None if found is None else found.url


def find_proxy(base_url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for this address, and the variable that names it; see `proxy_for`."""
    url = URL(base_url)
    if any(_matches(entry, url) for entry in re.split(r"[\s,]+", _no_proxy(environ)) if entry):
        return None
    for name in _variables(url.scheme, environ):
        text = environ.get(name)
        if text is None:
            continue
        if not text.strip():
            return None  # set and empty: no proxy, whatever the less specific variables say
        return Proxy(_checked_proxy(name, text.strip()), name)
    return None


def insecurity(base_url: str, *, proxy: str | None, verifies_tls: bool) -> str | None:
    """Return why a token is not safe on the way to this address; None where it is.

    Args:
        base_url: The address, as `checked_url` returns it.
        proxy: The proxy that requests go through.
        verifies_tls: Whether the server's certificate is checked.
    """
    is_local = proxy is None and is_loopback(base_url)
    if base_url.startswith("http:") and proxy is not None:
        place = Proxy(proxy, "")
        return f"the token goes unencrypted to {base_url}, through the proxy {place}: use https"
    if base_url.startswith("http:") and not is_local:
        return f"the token goes unencrypted to {base_url}: use https"
    if not verifies_tls and not is_local:
        return (
            f"the token goes to {base_url}, whose certificate is not checked: whoever is in "
            "between can read it. Trust its authority instead (SSL_CERT_FILE)"
        )
    return None


def is_private_transport(base_url: str) -> bool:
    """Return whether nobody can read what is sent there on the way: by TLS, or on this machine."""
    return base_url.startswith("https:") or is_loopback(base_url)


def is_loopback(base_url: str) -> bool:
    """Return whether the address is on this machine."""
    host = _host(URL(base_url))
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _variables(scheme: str, environ: Mapping[str, str]) -> list[str]:
    """Return the variables that may name the proxy, the first one that is set counts."""
    # A web server passes a request's header `Proxy:` to a CGI program as HTTP_PROXY.
    is_cgi = "REQUEST_METHOD" in environ
    upper = [] if scheme == "http" and is_cgi else [f"{scheme.upper()}_PROXY"]
    return [f"{scheme}_proxy", *upper, "all_proxy", "ALL_PROXY"]


def _checked_proxy(name: str, text: str) -> str:
    proxy = text if "://" in text else f"http://{text}"
    url = read_url(proxy)
    if url is None or url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{name} does not name an http or https proxy, such as http://proxy:3128")
    return proxy


def _no_proxy(environ: Mapping[str, str]) -> str:
    return environ.get("no_proxy", environ.get("NO_PROXY", ""))


def _matches(entry: str, url: URL) -> bool:
    """Return whether an entry of NO_PROXY names this host.

    Entries are names (with their subdomains), addresses and networks, each with or without a
    port, and patterns with `*`.
    """
    name, port = _split_port(entry)
    if port not in ("", str(url.port)):
        return False
    host = _host(url)
    if "*" in name:
        return fnmatchcase(host, name)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        domain = _ascii(name.strip("."))
        return host == domain or host.endswith(f".{domain}")
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


def _split_port(entry: str) -> tuple[str, str]:
    """Return the name in an entry of NO_PROXY, and its port or ""."""
    found = re.fullmatch(r"\[([^\]]*)\](?::([0-9]+))?|([^:]*):([0-9]+)", entry.lower())
    if found is None:
        return entry.lower(), ""
    in_brackets, port, name, other_port = found.groups(default="")
    return in_brackets or name, port or other_port


def _ascii(name: str) -> str:
    """Return a name as it stands in a checked URL."""
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


def _host(url: URL) -> str:
    return (url.raw_host or "").rstrip(".").lower()
