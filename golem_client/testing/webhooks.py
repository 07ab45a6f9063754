"""The capability URLs of Golem 1.5: whoever has the URL may complete the promise."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from urllib.parse import unquote

from golem_client.testing.completion import Call, Completion, Installation, RefusedError
from golem_client.testing.dialects import Check
from golem_client.testing.messages import Answer, Incoming
from golem_client.testing.promises import PromiseKey, WorkerKey

_SIGNATURE_BYTES = 32
_INDEX_BYTES = 8
# No token and no name to check: who has the URL is let in, and the signature covers the name.
_CHECKS = (
    Check.COMPONENT,
    Check.COMPRESSED_SIZE,
    Check.SIZE,
    Check.PROMISE,
    Check.WRITE,
    Check.WORKER,
)
_NO_ROUTE = Answer.json(
    404,
    {
        "code": "ROUTE_NOT_FOUND",
        "error": "Resolving route failed: No matching route for request",
    },
)


class Webhooks:
    """Makes the URLs of one Golem, and reads what is posted to them.

    The id in a URL is opaque: an agent's name, an oplog index, and a signature over the whole
    promise id. The component is not in it. Golem takes it from the route; the fake tries those
    that it knows.

    Attributes:
        host: The only `Host` that is served. It is known once the fake listens.
    """

    def __init__(self, golem: Installation) -> None:
        self._golem = golem
        self._key = secrets.token_bytes(_SIGNATURE_BYTES)
        self.host = ""

    def url(self, key: PromiseKey) -> str:
        """Return the promise's URL."""
        record = key.oplog_idx.to_bytes(_INDEX_BYTES, "big") + key.worker.name.encode()
        return f"http://{self.host}/webhooks/{_suffix(key)}/{_encoded(record + self._sign(key))}"

    def read(self, incoming: Incoming, segments: list[str]) -> Call:
        """Return what a request to a webhook asks for."""
        match segments:
            case [suffix, webhook_id] | [suffix, webhook_id, ""]:
                webhook_id = unquote(webhook_id)
            case _:
                return Call.answered(_NO_ROUTE)
        if incoming.method != "POST" or incoming.headers.get("Host") != self.host:
            return Call.answered(_NO_ROUTE)
        record = _decoded(webhook_id)
        if record is None:
            return Call.refused(_undecodable(webhook_id))
        key = self._signed(*record)
        if key is None:
            return Call.refused(Answer(404))
        if suffix != _suffix(key):
            return Call.answered(_NO_ROUTE)
        return Call(
            key, incoming.body, lambda wakes: self._complete(key, incoming.body, wakes=wakes)
        )

    def _complete(self, key: PromiseKey, payload: bytes, *, wakes: bool) -> Answer | None:
        try:
            Completion(self._golem, key, payload).check_all(_CHECKS, wakes=wakes)
        except RefusedError as refused:
            return self._refused(refused)
        return Answer(204)

    def _refused(self, refused: RefusedError) -> Answer | None:
        dialect = self._golem.dialect
        refusal = dialect.refusals[refused.check]
        if refusal is None or refusal.status == 413:
            return dialect.refuse(refused.check, refused.facts)
        text = f"Invocation failed: {refusal.text.format_map(refused.facts)}"
        return dialect.error(500, text, "INTERNAL_AGENT_EXECUTION_FAILED")

    def _sign(self, key: PromiseKey) -> bytes:
        return hmac.digest(self._key, f"promise {key}".encode(), hashlib.sha256)

    def _signed(self, name: str, oplog_idx: int, signature: bytes) -> PromiseKey | None:
        for component in self._golem.promises.known_components:
            key = PromiseKey(WorkerKey(component, name), oplog_idx)
            if hmac.compare_digest(self._sign(key), signature):
                return key
        return None


def _suffix(key: PromiseKey) -> str:
    """Return the agent's type name in kebab case."""
    type_name = key.worker.name.partition("(")[0]
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", type_name)
    return words.lower()


def _encoded(record: bytes) -> str:
    return base64.urlsafe_b64encode(record).rstrip(b"=").decode()


def _decoded(webhook_id: str) -> tuple[str, int, bytes] | None:
    try:
        record = base64.b64decode(webhook_id + "=" * (-len(webhook_id) % 4), b"-_", validate=True)
        name = record[_INDEX_BYTES:-_SIGNATURE_BYTES].decode()
    except ValueError:
        return None
    # Base64 has several spellings of some records; only ours is an id.
    if len(record) < _INDEX_BYTES + _SIGNATURE_BYTES or _encoded(record) != webhook_id:
        return None
    return name, int.from_bytes(record[:_INDEX_BYTES], "big"), record[-_SIGNATURE_BYTES:]


def _undecodable(webhook_id: str) -> Answer:
    error = f"Failed parsing value; Provided: {webhook_id}; Expected type: AgentWebhookId"
    return Answer.json(400, {"code": "REQUEST_VALUE_PARSING_FAILED", "errors": [error]})
