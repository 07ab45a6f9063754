"""Made-up answers of a Golem, for unit tests with aioresponses and no server.

    with mock_golem() as mock:
        mock.answers(promise_id, True)
        await approve(client, promise_id)
    assert mock.json_payload(promise_id) == {"approved": True}

aioresponses takes the place of aiohttp's network: timeouts, connections and redirects do not
happen. Test what depends on them with `FakeGolem`.
"""

# ruff: noqa: SLF001 - mock_golem() is the other half of MockGolem

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn
from unittest.mock import Mock
from urllib.parse import unquote

import aiohttp
import attrs
from aiohttp import hdrs

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.testing import worker_json
from golem_client.testing.dialects import GOLEM_1_5
from golem_client.testing.fixed_methods import FixedMethods
from golem_client.testing.messages import Answer, Incoming, ReceivedRequest
from golem_client.testing.routes import read_body

if TYPE_CHECKING:
    from yarl import URL

Body = str | bytes | Mapping[str, Any]

_COMPLETION = re.compile(
    r"[^?#]*/v1/components/(?P<component>[^/?#]+)/workers/(?P<name>[^/?#]+)/complete\Z"
)
_ANYTHING = re.compile("")
_FOR_OTHERS = """it answers completions alone: for others, give it an aioresponses of yours, as in
  with aioresponses(passthrough=["http://127.0.0.1"]) as mocked, mock_golem(mocked) as mock:
which lets the calls of aiohttp's TestClient through"""


@contextmanager
def mock_golem(mocked: Any = None) -> Iterator[MockGolem]:
    """Return a mocked Golem, to be used in a `with` statement, in async tests too.

    Within it no request leaves the process. A request that has no answer fails the test at once,
    with an AssertionError that no retry repeats; if the code under test catches that, the end of
    the `with` raises it.

    Args:
        mocked: An aioresponses that is active, for calls to others: completions are answered
            here, and everything else stays its own. By default everything is answered here.

    Raises:
        ImportError: aioresponses is not installed.
        RuntimeError: The aioresponses is not active.
    """
    try:
        import aioresponses  # noqa: PLC0415 - optional
    except ImportError:
        raise ImportError("mock_golem() needs aioresponses: pip install aioresponses") from None
    __tracebackhide__ = True
    mock = MockGolem(aioresponses.CallbackResult)
    with aioresponses.aioresponses() if mocked is None else nullcontext(mocked) as active:
        try:
            active.post(_COMPLETION, callback=mock._on_completion, repeat=True)
        except TypeError:  # its table of answers is made when it starts
            message = "the aioresponses that mock_golem() was given is not active"
            raise RuntimeError(message) from None
        for method in hdrs.METH_ALL if mocked is None else ():
            active.add(_ANYTHING, method, callback=partial(mock._refuse, method), repeat=True)
        try:
            yield mock
        except BaseException as error:
            for refusal in mock._refusals:
                if refusal is not error:
                    error.add_note(str(refusal))
            raise
    if mock._refusals:
        raise AssertionError(f"the code under test caught this:\n{mock._refusals[0]}")


class MockGolem(FixedMethods):
    """The answers to completions, and the requests that were sent; `mock_golem()` makes it.

    A completion is known by its path, whatever the base URL, and by the index in its body. Ids are
    accepted in any form.
    """

    def __init__(self, result: Any) -> None:
        self._result = result
        self._tellings: dict[PromiseId, list[_Telling]] = {}
        self._requests: list[ReceivedRequest] = []
        self._refusals: list[AssertionError] = []

    def answers(
        self,
        promise_id: Any,
        answer: bool | int | BaseException | type[BaseException],  # noqa: FBT001 - Golem's own
        *,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
    ) -> None:
        """Set what completions of the promise are answered.

        Several answers are given in the order of these calls. One without `times` is given again
        and again, until another call replaces it.

        Args:
            promise_id: The promise.
            answer: `True` or `False`, as Golem answers; a status; or an exception to raise.
            body: The body of a status: text, bytes, or a mapping for JSON. By default what Golem
                1.5 says with a status of its own, the page of an nginx for another.
            headers: More headers.
            times: How often it is given; by default always.

        Raises:
            TypeError: It is not an answer, or one that cannot have a body or headers.
            ValueError: It is not an id or a status, or `times` is less than 1.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is how often the answer is given, and {times} is never")
        if isinstance(answer, bool | int):
            telling = _Telling(_answer(answer, body, headers), times)
        elif body is None and headers is None and _is_exception(answer):
            telling = _Telling(answer, times)
        else:
            raise TypeError(f"not an answer: {answer!r}; an exception has no body and no headers")
        tellings = self._tellings.setdefault(PromiseId.parse(promise_id), [])
        if tellings and tellings[-1].left is None:
            tellings.pop()
        tellings.append(telling)

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """All completions that were given an answer, in order."""
        return tuple(self._requests)

    def requests_for(self, promise_id: Any) -> tuple[ReceivedRequest, ...]:
        """Return the completions of the promise."""
        wanted = PromiseId.parse(promise_id)
        return tuple(request for request in self._requests if request.promise_id == wanted)

    def payload(self, promise_id: Any) -> bytes:
        """Return the last payload that was sent for the promise; fail if none was sent."""
        __tracebackhide__ = True
        sent = [request.payload for request in self.requests_for(promise_id)]
        if not sent or sent[-1] is None:
            came = [f"  {request}" for request in self._requests] or ["  nothing"]
            what = f"no payload was sent for promise {PromiseId.parse(promise_id)}; what was sent:"
            raise AssertionError("\n".join([what, *came]))
        return sent[-1]

    def json_payload(self, promise_id: Any) -> Any:
        """Return that payload read as JSON, or raise a ValueError if it is not JSON."""
        __tracebackhide__ = True
        return worker_json.read(self.payload(promise_id))

    def _on_completion(self, url: URL, **call: Any) -> Any:
        """Answer a completion: what aioresponses calls in place of a server."""
        __tracebackhide__ = True
        try:
            promise_id, request = _read(url, call)
        except ValueError as error:
            self._refuse("POST", url, f", which is not a completion: {error}")
        tellings = self._tellings.get(promise_id, ())
        telling = next((telling for telling in tellings if telling.left != 0), None)
        if telling is None:
            self._refuse("POST", url, f" for promise {promise_id}")
        if telling.left is not None:
            telling.left -= 1
        answer = telling.answer
        if not isinstance(answer, Answer):
            self._requests.append(attrs.evolve(request, fault=repr(answer)))
            raise answer
        stored, body = answer.body == b"true", answer.body
        self._requests.append(
            attrs.evolve(request, status=answer.status, answer=body, applied=stored)
        )
        return self._result(
            method="POST",
            status=answer.status,
            body=answer.body,
            headers=answer.all_headers(),
            response_class=MockedResponse,
        )

    def _refuse(self, method: str, url: URL, what: str = "", **_: Any) -> NoReturn:
        __tracebackhide__ = True
        lines = ["mock_golem() has no answer for this call:", f"  {method} {url}{what}"]
        lines += ["it has answers for:" if self._tellings else "it was told no answers"]
        for promise_id, tellings in self._tellings.items():
            used_up = all(telling.left == 0 for telling in tellings)
            lines.append(f"  promise {promise_id}" + (", all given" if used_up else ""))
        if not _COMPLETION.match(str(url)):
            lines.append(_FOR_OTHERS)
        refusal = AssertionError("\n".join(lines))
        self._refusals.append(refusal)
        raise refusal from None


class MockedResponse(aiohttp.ClientResponse):
    """What aioresponses 0.7.9 lacks for aiohttp 3.14: a `stream_writer`, and large bodies.

    For mocks of your own, as in `mocked.get(url, response_class=MockedResponse)`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
            kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **kwargs)
        self._mocked_body: Any = None

    @property
    def content(self) -> aiohttp.StreamReader:
        """The body. It takes any number of bytes."""
        body: aiohttp.StreamReader = self._mocked_body
        return body

    @content.setter
    def content(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, _: aiohttp.StreamReader
    ) -> None:
        # The reader that aioresponses brings pauses its connection at 128 KiB, and has none.
        connection: Any = Mock(_reading_paused=False)
        self._mocked_body = aiohttp.StreamReader(connection, limit=sys.maxsize, loop=self._loop)


@attrs.define
class _Telling:
    """An answer, or an exception in its place, and how often it is still given; None for ever."""

    answer: Answer | BaseException | type[BaseException]
    left: int | None


def _read(url: URL, call: Mapping[str, Any]) -> tuple[PromiseId, ReceivedRequest]:
    """Return the completion that was given to aiohttp, or raise a ValueError."""
    place, sent = _COMPLETION.match(str(url)), call.get("data")
    if place is None or not isinstance(sent, aiohttp.Payload):
        raise ValueError("a GolemClient sends another request")
    body = sent.decode().encode()
    oplog_idx, payload = read_body(body)
    name = unquote(place["name"], errors="strict")
    promise_id = PromiseId(WorkerId(ComponentId.parse(place["component"]), name), oplog_idx)
    return promise_id, ReceivedRequest.of(
        Incoming("POST", url.raw_path, call.get("headers") or {}, body),
        promise_id=promise_id,
        payload=payload,
        received_at=asyncio.get_running_loop().time(),
    )


def _is_exception(answer: object) -> bool:
    return issubclass(answer if isinstance(answer, type) else type(answer), BaseException)


def _answer(said: int, body: Body | None, headers: Mapping[str, str] | None) -> Answer:
    """Return the answer with a status, or with Golem's own boolean."""
    if isinstance(said, bool):
        if body is not None:
            raise TypeError(f"{said} is a whole answer: only a status can have another body")
        return attrs.evolve(Answer.json(200, said), headers=dict(headers or {}))
    if not 200 <= said <= 599:
        raise ValueError(f"no answer has the status {said}")
    return GOLEM_1_5.made_up(said, body, headers)
