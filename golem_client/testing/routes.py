"""What Golem does with a request, with no I/O: from the bytes that came to its answer.

Every generation reads a completion in the same order: path, content type, body, token syntax.
The checks that follow differ; `dialects.py` has their order and their answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from golem_client.testing import credentials
from golem_client.testing.completion import Call, Completion, Installation
from golem_client.testing.messages import Answer, Incoming
from golem_client.testing.names import BadNameError, read_uuid
from golem_client.testing.promises import PromiseKey, WorkerKey
from golem_client.testing.request_body import read_body, refused_content_type
from golem_client.testing.webhooks import Webhooks


class Routes:
    """The HTTP side of one Golem."""

    def __init__(self, installation: Installation) -> None:
        self._golem = installation
        self.webhooks = Webhooks(installation)

    def read(self, incoming: Incoming) -> Call:
        """Return what the request asks for. Nothing is stored before the call's `complete`."""
        dialect = self._golem.dialect
        segments = incoming.path.partition("?")[0].split("/")
        if dialect.has_webhooks and segments[:2] == ["", "webhooks"]:
            return self.webhooks.read(incoming, segments[2:])  # another port in a real Golem
        origin = incoming.headers.get("Origin") if dialect.checks_origin else None
        if origin is not None and credentials.is_foreign(origin):
            return Call.answered(Answer.text(403, "request-origin not allowed"))
        call = self._read(incoming, segments)
        return call if origin is None else call.with_headers(_cors(origin))

    def _read(self, incoming: Incoming, segments: list[str]) -> Call:
        match segments:
            case ["", "v1", "components", component, "workers", name, "complete"]:
                return self._read_completion(incoming, component, name)
            case ["", "healthcheck"]:
                return _shown(incoming, {})
            case ["", "version"]:
                return _shown(incoming, {"version": self._golem.dialect.version})
        return Call.answered(Answer.text(404, "not found"))

    def _read_completion(self, incoming: Incoming, component: str, name: str) -> Call:
        if incoming.method != "POST":
            return Call.answered(Answer.text(405, "method not allowed"))
        try:
            worker = self._worker(component, name)
            if refusal := refused_content_type(incoming.headers.get("Content-Type")):
                return Call.refused(refusal)
            body = read_body(incoming.body)
        except ValueError as error:
            return Call.refused(Answer.text(400, str(error)))
        key = PromiseKey(worker, body.oplog_idx)
        completion = Completion(self._golem, key, body.data, incoming.headers)
        return Call(self._canonical_or_as_is(key), body.data, completion.run)

    def _worker(self, component: str, name: str) -> WorkerKey:
        """Return the worker that the path names, or raise a ValueError with the framework's text.

        Each segment is percent-decoded once; `+` is a plus.
        """
        try:
            text, name = (unquote_to_bytes(segment).decode() for segment in (component, name))
        except UnicodeDecodeError:
            raise ValueError("invalid path params") from None
        uuid = read_uuid(text)
        if uuid is None:
            parameter = self._golem.dialect.component_parameter
            # The uuid crate says more about it.
            reason = 'failed to parse "string(ComponentId)": not a UUID'
            raise ValueError(f"failed to parse path `{parameter}`: {reason}")
        return WorkerKey(uuid, name)

    def _canonical_or_as_is(self, key: PromiseKey) -> PromiseKey:
        try:
            return self._golem.canonical(key)
        except BadNameError:
            return key


def _shown(incoming: Incoming, value: Mapping[str, str]) -> Call:
    allowed = incoming.method in ("GET", "HEAD")
    answer = Answer.json(200, value) if allowed else Answer.text(405, "method not allowed")
    return Call.answered(answer)


def _cors(origin: str) -> Mapping[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
    }
