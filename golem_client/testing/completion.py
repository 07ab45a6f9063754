"""A completion, once it is read: the checks of its generation, in order, with no I/O."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

import attrs

from golem_client.ids import PromiseId
from golem_client.testing import credentials
from golem_client.testing.dialects import Check, Dialect
from golem_client.testing.messages import Answer
from golem_client.testing.names import BadNameError
from golem_client.testing.promises import PromiseKey, Promises, WorkerKey

_ENVELOPE_BYTES = 64
"""About what a message to the executor has beside the payload and the worker's name."""

_MOST_GROWTH = 1024 * 16
"""A message this much below the limit is below it however badly it compresses."""


def _compressed_size(payload: bytes) -> int:
    return len(zlib.compress(payload)) + _ENVELOPE_BYTES


def _stored_size(size: int) -> int:
    """Return the size of a gzip stream that compresses nothing: a header for each 32 KiB."""
    return size + 5 * (size // 32_768 + 1) + 18


@attrs.frozen
class Installation:
    """One Golem: a generation, its token, and what it keeps."""

    dialect: Dialect
    token: str = attrs.field(repr=False)
    promises: Promises = attrs.field(factory=Promises)

    def key(self, promise_id: Any) -> PromiseKey:
        """Return the key of an id in any form that `PromiseId.parse` accepts."""
        return self.canonical(PromiseKey.of(PromiseId.parse(promise_id)))

    def canonical(self, key: PromiseKey) -> PromiseKey:
        """Return the key under the name that Golem makes of its own, or raise a BadNameError."""
        name = self.dialect.worker_name(key.worker.name)
        return PromiseKey(WorkerKey(key.worker.component, name), key.oplog_idx)


@attrs.frozen
class Call:
    """A request as read, and not answered yet.

    Attributes:
        key: The promise, where the request came as far as to name one.
        payload: The payload, likewise.
        complete: Does what the request asks for, and returns the answer; None for no answer ever.
            It may be done again. Its argument says whether the worker is woken.
        is_completion: Whether it asks to complete a promise, rightly or not: faults are for these.
    """

    key: PromiseKey | None
    payload: bytes | None
    complete: Callable[[bool], Answer | None]
    is_completion: bool = True

    @classmethod
    def refused(cls, answer: Answer) -> Call:
        """Return a completion that cannot even be read."""
        return cls(None, None, lambda _: answer)

    @classmethod
    def answered(cls, answer: Answer) -> Call:
        """Return a call that asks for nothing but the answer."""
        return cls(None, None, lambda _: answer, is_completion=False)

    def with_headers(self, headers: Mapping[str, str]) -> Call:
        """Return the call with more headers in its answer."""
        complete = self.complete

        def with_more(wakes: bool) -> Answer | None:  # noqa: FBT001
            answer = complete(wakes)
            return answer and attrs.evolve(answer, headers={**answer.headers, **headers})

        return attrs.evolve(self, complete=with_more)


class RefusedError(Exception):
    """Golem refuses the completion; something may be stored all the same."""

    def __init__(self, check: Check, facts: Mapping[str, Any]) -> None:
        super().__init__(check)
        self.check = check
        self.facts = facts


class Completion:
    """The checks of one completion, in the order of the dialect."""

    def __init__(
        self,
        golem: Installation,
        key: PromiseKey,
        payload: bytes,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._golem = golem
        self._key = key
        self._payload = payload
        self._headers = headers or {}
        self._stored = False
        self._wakes = True

    def run(self, wakes: bool = True) -> Answer | None:  # noqa: FBT001, FBT002
        """Complete the promise, and return what Golem answers; None for nothing, ever."""
        read = self._golem.dialect.read_token
        if read is not None and credentials.secret(self._headers, read) is None:
            return Answer.text(401, "authorization error")
        try:
            stored = self.check_all(self._golem.dialect.checks, wakes=wakes)
        except RefusedError as refused:
            return self._golem.dialect.refuse(refused.check, refused.facts)
        return Answer.json(200, stored)

    def check_all(self, checks: tuple[Check, ...], *, wakes: bool = True) -> bool:
        """Return whether the payload was stored, or raise a RefusedError."""
        self._stored, self._wakes = False, wakes
        for check in checks:
            self._STEPS[check](self)
        return self._stored

    def _refuse(self, check: Check, **facts: Any) -> NoReturn:
        named = {
            "promise": str(self._key),
            "worker": str(self._key.worker),
            "component": str(self._key.worker.component),
            "worker_name": self._key.worker.name,
            "oplog_idx": self._key.oplog_idx,
        }
        raise RefusedError(check, named | facts)

    def _check_name(self) -> None:
        try:
            self._key = self._golem.canonical(self._key)
        except BadNameError as error:
            self._refuse(Check.NAME, reason=str(error))

    def _check_token(self) -> None:
        read = self._golem.dialect.read_token
        if read and credentials.secret(self._headers, read) != read(self._golem.token):
            self._refuse(Check.TOKEN)

    def _check_component(self) -> None:
        if self._key.worker.component not in self._golem.promises.deployed_components:
            self._refuse(Check.COMPONENT)

    def _check_compressed_size(self) -> None:
        limit = self._golem.dialect.message_limit
        if self._message_size > limit - _MOST_GROWTH:
            found = min(_compressed_size(self._payload), _stored_size(self._message_size))
            if found > limit:
                self._refuse(Check.COMPRESSED_SIZE, found=found, limit=limit)

    def _check_size(self) -> None:
        limit = self._golem.dialect.message_limit
        if self._message_size > limit:
            self._refuse(Check.SIZE, limit=limit)

    @property
    def _message_size(self) -> int:
        """The bytes of the whole message to the executor: the payload and the promise's id."""
        return len(self._payload) + len(self._key.worker.name.encode()) + _ENVELOPE_BYTES

    def _write(self) -> None:
        self._stored = self._golem.promises.write(self._key, self._payload, wakes=self._wakes)

    def _check_promise(self) -> None:
        if not self._golem.promises.exists(self._key):
            self._refuse(Check.PROMISE)

    def _check_worker(self) -> None:
        if self._key.worker in self._golem.promises.deleted_workers:
            self._refuse(Check.WORKER)

    def _check_activation(self) -> None:
        if self._key.worker.component not in self._golem.promises.deployed_components:
            self._refuse(Check.ACTIVATION)

    _STEPS: ClassVar[Mapping[Check, Callable[[Any], None]]] = {
        Check.NAME: _check_name,
        Check.TOKEN: _check_token,
        Check.COMPONENT: _check_component,
        Check.COMPRESSED_SIZE: _check_compressed_size,
        Check.SIZE: _check_size,
        Check.WRITE: _write,
        Check.PROMISE: _check_promise,
        Check.WORKER: _check_worker,
        Check.ACTIVATION: _check_activation,
    }
