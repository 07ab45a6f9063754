"""Settings: what a client accepts, and where it finds what its caller does not say.

    options       what a client accepts, checked before any I/O
    proxy         the proxy that the environment names, and whether a token is safe on its way
    environment   the variables, their order, and the connection that they name
    profiles      the profiles of golem-cli, in the files of each generation

`environment` and `profiles` are imported by name, and only by callers that read the environment.
"""

from golem_client.config.options import (
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
)
from golem_client.config.proxy import insecurity, is_private_transport, proxy_for

__all__ = [
    "CLOUD_URL",
    "LOCAL_TOKEN",
    "LOCAL_URL",
    "Secret",
    "checked_count",
    "checked_headers",
    "checked_seconds",
    "checked_token",
    "checked_type",
    "checked_url",
    "insecurity",
    "is_private_transport",
    "proxy_for",
]
