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
    """A proxy, and the variable that names it. Its URL may hold a password; `str()` shows none."""

    url: str = attrs.field(repr=False)
    variable: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@made_without_locals
def proxy_for(base_url: str, *, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the URL of the proxy that the environment names for this checked address, or None.

    aiohttp's own `trust_env` is not used: with a matching netrc entry it fails on each request
    that has a token of its own (aiohttp 3.14).

    Raises:
        ValueError: The variable does not name an http(s) proxy.
    """
    found = find_proxy(base_url, os.environ if environ is None else environ)
    return None if found is None else found.url


def find_proxy(base_url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for this address, and the variable that names it; see `proxy_for`."""
    url = URL(base_url)
    if _is_direct(url, environ):
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
    """Return why a token is not safe on the way to this checked address; None where it is."""
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
    """Return the variables that may name the proxy; the first one that is set counts."""
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


def _is_direct(url: URL, environ: Mapping[str, str]) -> bool:
    """Return whether NO_PROXY names this host.

    Its entries are names (with their subdomains), patterns with `*`, addresses and networks, with
    a port or without.
    """
    host = _host(url)
    no_proxy = environ.get("no_proxy", environ.get("NO_PROXY", ""))
    for entry in re.split(r"[\s,]+", no_proxy.lower()):
        name, colon, port = entry.rpartition(":")
        if not colon or not port.isdigit() or _is_in(host, entry):
            name, port = entry, ""
        domain = name.strip(".")
        is_named = fnmatchcase(host, name) if "*" in name else f".{host}".endswith(f".{domain}")
        if port in ("", str(url.port)) and ((domain and is_named) or _is_in(host, name)):
            return True
    return False


def _is_in(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network.strip("[]"), strict=False)
    except ValueError:
        return False


def _host(url: URL) -> str:
    return (url.raw_host or "").rstrip(".").lower()
