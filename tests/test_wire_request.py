"""The request that completes a promise: its address and its bytes."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.wire import Request, completion_request

COMPONENT = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
SLICE = 64 * 1024


def request(
    payload: bytes = b"", *, name: str = "w1", oplog_idx: int = 42, base_url: str = "http://golem"
) -> Request:
    worker = WorkerId(ComponentId.parse(COMPONENT), name)
    return completion_request(base_url, PromiseId(worker, oplog_idx), payload, {})


def body(payload: bytes) -> bytes:
    return b"".join(request(payload).pieces())


def test_each_byte_value_is_its_number() -> None:
    """JSON reads back the number of each of the 256 bytes."""
    bodies = [json.loads(body(bytes([value]))) for value in range(256)]
    assert [{"oplogIdx": 42, "data": [value]} for value in range(256)] == bodies


SIZES = [
    *(0, 1, 2, 3, 255),
    *(SLICE - 1, SLICE, SLICE + 1),
    *(2 * SLICE - 1, 2 * SLICE, 2 * SLICE + 1),
    3 * SLICE + 7,
]


def patterned(size: int) -> bytes:
    """Return bytes whose period, a prime, does not divide a slice."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
class TestSizes:
    """Sizes around the borders of slices."""

    def test_the_payload_reads_back(self, size: int) -> None:
        """No byte is lost or doubled where two slices meet."""
        assert patterned(size) == bytes(json.loads(body(patterned(size)))["data"])

    def test_the_size_is_the_sum_of_the_slices(self, size: int) -> None:
        """The Content-Length is known before the first slice is made."""
        made = request(patterned(size))
        assert sum(map(len, made.pieces())) == made.size

    def test_no_slice_is_long(self, size: int) -> None:
        """Each slice takes the loop a moment only, whatever the payload's length."""
        assert max(map(len, request(patterned(size)).pieces())) <= 4 * SLICE + 64

    def test_a_second_pass_yields_the_same(self, size: int) -> None:
        """A repeat sends identical bytes."""
        made = request(patterned(size))
        assert list(made.pieces()) == list(made.pieces())


def test_the_slices_are_bytes() -> None:
    """aiohttp writes bytes as they are."""
    assert {bytes} == {type(piece) for piece in request(bytes(2 * SLICE)).pieces()}


def test_an_empty_payload_is_an_empty_list() -> None:
    """Golem takes `[]`; that it means an empty payload is the caller's affair."""
    assert b'{"oplogIdx":42,"data":[]}' == body(b"")


def test_each_number_is_three_wide() -> None:
    """Padding is what JSON allows, and what makes the size known."""
    assert b'{"oplogIdx":42,"data":[  7, 42,255]}' == body(bytes([7, 42, 255]))


@pytest.mark.parametrize("oplog_idx", [0, 1, 2**53 + 1, 2**63, 2**64 - 1])
def test_the_index_is_written_exactly(oplog_idx: int) -> None:
    """All of an unsigned 64-bit number arrives."""
    made = request(b"", oplog_idx=oplog_idx)
    assert oplog_idx == json.loads(b"".join(made.pieces()))["oplogIdx"]


@given(payload=st.binary(max_size=2000), oplog_idx=st.integers(0, 2**64 - 1))
def test_any_body_reads_back(payload: bytes, oplog_idx: int) -> None:
    """Whatever is sent is what JSON reads: the keys as Golem spells them, nothing else."""
    made = request(payload, oplog_idx=oplog_idx)
    assert {"oplogIdx": oplog_idx, "data": list(payload)} == json.loads(b"".join(made.pieces()))


@given(payload=st.binary(max_size=2000), oplog_idx=st.integers(0, 2**64 - 1))
def test_any_size_is_known(payload: bytes, oplog_idx: int) -> None:
    """The size that is announced is the size that is sent."""
    made = request(payload, oplog_idx=oplog_idx)
    assert len(b"".join(made.pieces())) == made.size


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        pytest.param("w-1_a.b~c", "w-1_a.b~c", id="unreserved"),
        pytest.param("a/b", "a%2Fb", id="slash"),
        pytest.param("a:b", "a%3Ab", id="colon"),
        pytest.param("50%", "50%25", id="percent"),
        pytest.param("a%2Fb", "a%252Fb", id="looks-encoded"),
        pytest.param('agent("x")', "agent%28%22x%22%29", id="quotes"),
        pytest.param("a b", "a%20b", id="space"),
        pytest.param("a+b", "a%2Bb", id="plus"),
        pytest.param("a?b#c", "a%3Fb%23c", id="query-and-fragment"),
        pytest.param("a([1,2])[x]", "a%28%5B1%2C2%5D%29%5Bx%5D", id="brackets"),
        pytest.param("a({b:1})", "a%28%7Bb%3A1%7D%29", id="braces"),
        pytest.param("a\\b;c=d&e@f", "a%5Cb%3Bc%3Dd%26e%40f", id="delimiters"),
        pytest.param("größe-😀", "gr%C3%B6%C3%9Fe-%F0%9F%98%80", id="unicode"),
        pytest.param("...", "...", id="three-dots"),
    ],
)
def test_the_worker_name_is_one_segment(name: str, segment: str) -> None:
    """Golem splits the raw path, and decodes each segment once."""
    expected = f"http://golem/v1/components/{COMPONENT}/workers/{segment}/complete"
    assert expected == request(name=name).url


names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60).filter(
    lambda name: name not in (".", "..")
)


@given(names)
def test_any_worker_name_decodes_back(name: str) -> None:
    """Decoded once, the segment is the name."""
    assert name == unquote(request(name=name).url.split("/")[-2], errors="strict")


@given(names)
def test_any_url_is_ascii(name: str) -> None:
    """No client or proxy has to normalise it."""
    assert request(name=name).url.isascii()


@pytest.mark.parametrize(
    "base_url", ["http://golem", "https://golem:9881", "http://golem/a/b", "http://golem/a%2Fb"]
)
def test_the_base_url_is_kept(base_url: str) -> None:
    """A path of the base URL stays in front, as it is."""
    expected = f"{base_url}/v1/components/{COMPONENT}/workers/w1/complete"
    assert expected == request(base_url=base_url).url


def test_equal_calls_make_equal_requests() -> None:
    """Nothing in a request depends on when it was made."""
    assert request(b"payload") == request(b"payload")


def test_a_repr_hides_the_payload() -> None:
    """A request may stand in a log; its payload may not."""
    assert "payload" not in repr(request(b"payload"))
