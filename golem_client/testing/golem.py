"""What Golem does with a request, with no I/O: from the bytes that came to its answer.

Every generation reads a completion in the same order: path, content type, body, token syntax
(facts 1.1). The checks that follow differ; `dialects.py` has their order and their answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from golem_client.testing import credentials, uuid_crate
from golem_client.testing.completion import Call, Completion, Installation
from golem_client.testing.messages import Answer, Incoming
from golem_client.testing.promises import PromiseKey, WorkerKey
from golem_client.testing.request_body import BodyError, read_body, refused_content_type
from golem_client.testing.webhooks import Webhooks
from golem_client.testing.worker_names import BadNameError

if TYPE_CHECKING:
    from uuid import UUID

    from golem_client.testing.dialects import Dialect


class Golem:
    """The HTTP side of one Golem."""

    def __init__(self, installation: Installation) -> None:
        self._golem = installation
        self.webhooks = Webhooks(installation)

    def read(self, incoming: Incoming) -> Call:
        """Return what the request asks for. Nothing is stored before the call's `complete`."""
        dialect = self._golem.dialect
        if dialect.checks_origin and credentials.is_foreign(incoming.headers.get("Origin")):
            return Call.answered(Answer.text(403, "request-origin not allowed"))
        match incoming.path.partition("?")[0].split("/"):
            case ["", "v1", "components", component, "workers", name, "complete"] if name:
                return self._read_completion(incoming, component, name)
            case ["", "webhooks", *segments] if dialect.has_webhooks:
                return self.webhooks.read(incoming, segments)
            case ["", "healthcheck"]:
                return _only("GET", incoming, Answer.json(200, {}))
            case ["", "version"]:
                return _only("GET", incoming, Answer.json(200, {"version": dialect.version}))
        return Call.answered(Answer.text(404, "not found"))

    def _read_completion(self, incoming: Incoming, component: str, name: str) -> Call:
        if incoming.method != "POST":
            return Call.answered(Answer.text(405, "method not allowed"))
        try:
            worker = self._worker(component, name)
            if refusal := refused_content_type(incoming.headers.get("Content-Type")):
                return Call.refused(refusal)
            body = read_body(incoming.body)
        except (PathError, BodyError) as error:
            return Call.refused(Answer.text(400, str(error)))
        key = PromiseKey(worker, body.oplog_idx)
        completion = Completion(self._golem, key, body.data, incoming.headers)
        return Call(self._canonical_or_as_is(key), body.data, completion.run)

    def _worker(self, component: str, name: str) -> WorkerKey:
        dialect = self._golem.dialect
        uuid = _component(component, dialect)
        return WorkerKey(uuid, _decoded(name, dialect.name_parameter, "string"))

    def _canonical_or_as_is(self, key: PromiseKey) -> PromiseKey:
        try:
            return self._golem.canonical(key)
        except BadNameError:
            return key


class PathError(ValueError):
    """A segment of the path is not what the framework wants; the text is its own."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(f"failed to parse path `{parameter}`: {message}")


def _component(segment: str, dialect: Dialect) -> UUID:
    parameter = dialect.component_parameter
    text = _decoded(segment, parameter, "string(ComponentId)")
    try:
        return uuid_crate.parse(text)
    except ValueError as error:
        raise PathError(parameter, f'failed to parse "string(ComponentId)": {error}') from None


def _only(method: str, incoming: Incoming, answer: Answer) -> Call:
    allowed = incoming.method == method
    return Call.answered(answer if allowed else Answer.text(405, "method not allowed"))


def _decoded(segment: str, parameter: str, type_name: str) -> str:
    """Percent-decode a segment once; `+` is a plus (facts 4.5)."""
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise PathError(parameter, f'Type "{type_name}" expects an input value.') from None
