"""Settings: what a client accepts, and where it finds it when nobody tells.

    options       what a client accepts, checked before any I/O
    environment   the variables, their order, and the connection that they name
    profiles      the profiles of golem-cli, in the files of each generation

`connection_from_env` and `connection_from_profile` say where an address and a token come from, as
`GolemClient.from_env` and `GolemClient.from_profile` find them, without making a client.
"""

from golem_client.config.environment import (
    Connection,
    connection_from_env,
    connection_from_profile,
    options_from_env,
)
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
    is_private_transport,
    proxy_for,
)

__all__ = [
    "CLOUD_URL",
    "LOCAL_TOKEN",
    "LOCAL_URL",
    "Connection",
    "Secret",
    "checked_count",
    "checked_headers",
    "checked_seconds",
    "checked_token",
    "checked_type",
    "checked_url",
    "connection_from_env",
    "connection_from_profile",
    "is_private_transport",
    "options_from_env",
    "proxy_for",
]
