"""What `golem-promise bulk` reads and writes: the lines, the results, and what is under way."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from golem_client.cli.bulk import lines as reading
from golem_client.cli.bulk.lines import BadLine, Line, count_lines, read_line, read_lines
from golem_client.cli.bulk.results import FAILED, Results, ResultsError
from tests.samples import PROMISE_ID

ID = str(PROMISE_ID)


def line_of(fields: Any, number: int = 1) -> Line:
    line = read_line(number, json.dumps(fields).encode())
    assert isinstance(line, Line)
    return line


class TestLines:
    """One promise, and the payload that the line says."""

    @pytest.mark.parametrize(
        ("fields", "payload"),
        [
            ('"json": {"b": 1, "a": [1.10, "é"]}', '{"b": 1, "a": [1.10, "é"]}'.encode()),
            ('"json" :\t1E40', b"1E40"),
            ('"json": 12345678901234567890123', b"12345678901234567890123"),
            ('"json": "\\u00e9"', b'"\\u00e9"'),
            ('"json": null', b"null"),
            ('"json": ""', b'""'),
            ('"text": "{\\"json\\": \\u00e9}"', '{"json": é}'.encode()),
            ('"base64": "AP8q"', b"\x00\xff*"),
            ('"empty": true', b""),
        ],
    )
    def test_the_payload_is_what_the_line_says(self, fields: str, payload: bytes) -> None:
        """JSON as it stands there, byte for byte, with every digit."""
        for text in (f'{{"id": "{ID}", {fields}}}', f'{{ {fields} , "id":"{ID}" }}'):
            line = read_line(3, text.encode())
            assert isinstance(line, Line)
            assert (3, ID, payload) == (line.number, line.promise_id, line.payload)

    @pytest.mark.parametrize(
        "spelling",
        [
            ID,
            PROMISE_ID.to_json(),
            [PROMISE_ID.to_json()],
            json.dumps(PROMISE_ID.to_json()),
            {
                "agent_id": {
                    "component_id": {
                        "uuid": {
                            "high_bits": "17878533706586264016",
                            "low_bits": "12062047867550723062",
                        }
                    },
                    "agent_id": "w1",
                },
                "oplog_idx": "42",
            },
        ],
    )
    def test_an_id_is_read_in_any_spelling(self, spelling: Any) -> None:
        """All that `PromiseId.parse` reads."""
        assert ID == line_of({"id": spelling, "text": "x"}).promise_id

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("{", "is not JSON that a worker reads: Expecting property name .* at column 2$"),
            ("secret", "is not JSON"),
            (b"\xff", "is not UTF-8: save the file as UTF-8"),
            ("[]", "is not a JSON object"),
            ("null", "is not a JSON object"),
            ('{"id": "ID"}', "says no payload: exactly one of"),
            ("{}", 'has no "id"'),
            ('{"text": "secret"}', 'has no "id"'),
            ('{"id": "ID", "text": "secret", "json": 1}', 'says "text" and "json": exactly one'),
            ('{"id": "ID", "text": "secret", "empty": true}', 'says "text" and "empty"'),
            ('{"id": "ID", "jsn": "secret"}', "has the unknown key 'jsn'"),
            ('{"id": "ID", "text": "secret", "note": ""}', "has the unknown key 'note'"),
            ('{"ID": "ID", "empty": true}', "has the unknown key 'ID'"),
            ('{"id": "ID", "text": "a", "text": "secret"}', "an object has a key twice"),
            ('{"id": "ID", "id": "ID", "text": "secret"}', "an object has a key twice"),
            ('{"id": "ID", "json": {"secret": 1, "secret": 2}}', "an object has a key twice"),
            ('{"id": "ID", "json": NaN}', "NaN is not a JSON number"),
            ('{"id": "ID", "json": [-Infinity]}', "-Infinity is not a JSON number"),
            ('{"id": "ID", "json": 1e999}', "a number is beyond the range"),
            ('{"id": "ID", "json": "\\ud800"}', "lone surrogate"),
            ('{"id": "ID", "json": %s}' % ("[" * 128 + "]" * 128), "nested deeper than 127"),
            ('{"id": "ID", "json": %s}' % ("[" * 99999 + "]" * 99999), "nested deeper than 127"),
            ('{"id": "ID", "json": %s}' % ("1" * 5000), "a number is beyond the range"),
            ('{"id": "ID", "text": "\\ud800"}', "lone surrogate"),
            ('{"id": "ID", "text": 1}', '"text" must be a string'),
            ('{"id": "ID", "text": null}', '"text" must be a string'),
            ('{"id": "ID", "text": ""}', '"text" is empty: say "empty": true if'),
            ('{"id": "ID", "base64": ""}', '"base64" is empty: say "empty": true if'),
            ('{"id": "ID", "base64": ["AA=="]}', '"base64" must be a string'),
            ('{"id": "ID", "base64": "AA"}', "is not standard base64"),
            ('{"id": "ID", "base64": "AA==AA=="}', "is not standard base64"),
            ('{"id": "ID", "base64": "_-8="}', "is not standard base64"),
            ('{"id": "ID", "base64": "AA\\n=="}', "is not standard base64"),
            ('{"id": "ID", "base64": "é"}', "is not standard base64"),
            ('{"id": "ID", "empty": false}', '"empty" can only be true'),
            ('{"id": "ID", "empty": 1}', '"empty" can only be true'),
            ('{"id": "ID", "empty": "true"}', '"empty" can only be true'),
            ('{"id": "no-id", "text": "secret"}', 'has a bad "id": '),
            ('{"id": 7, "text": "secret"}', 'has a bad "id": '),
            ('{"id": "ID", "text": "secret"} {"id"', "reads: Extra data"),
        ],
    )
    def test_what_is_not_exactly_that_is_a_bad_line(self, text: str | bytes, problem: str) -> None:
        """A typo never sends a payload, least of all an empty one; none is shown either."""
        raw = text if isinstance(text, bytes) else text.replace('"ID"', f'"{ID}"').encode()
        raw = raw.replace(f'{{"{ID}": '.encode(), b'{"ID": ')
        line = read_line(7, raw)
        assert isinstance(line, BadLine)
        assert 7 == line.number
        with pytest.raises(AssertionError, match=problem):
            raise AssertionError(line.problem)
        assert "secret" not in line.problem
        assert 200 > len(line.problem)

    def test_a_payload_that_no_golem_takes_is_a_bad_line(self) -> None:
        """Whatever its kind; four million bytes are taken."""
        for size, kind in ((4_000_000, Line), (4_000_001, BadLine)):
            text = read_line(1, json.dumps({"id": ID, "text": "x" * size}).encode())
            encoded = base64.b64encode(bytes(size)).decode()
            assert kind is type(text)
            assert kind is type(read_line(1, json.dumps({"id": ID, "base64": encoded}).encode()))

    def test_no_payload_is_in_the_repr_of_a_line(self) -> None:
        """It may end in a traceback."""
        assert "secret" not in repr(line_of({"id": ID, "text": "secret"}))


class TestFiles:
    """Lines in their file."""

    async def test_what_goes_wrong_while_reading_is_raised(self, tmp_path: Path) -> None:
        """Not left in the thread that reads."""
        with pytest.raises(IsADirectoryError):
            await anext(reading.lines_of(tmp_path))

    def read(self, tmp_path: Path, content: bytes) -> list[Line | BadLine]:
        path = tmp_path / "in.jsonl"
        path.write_bytes(content)
        return [line for some in read_lines(path) for line in some]

    def test_lines_have_their_numbers(self, tmp_path: Path) -> None:
        """The empty ones count; the last needs no end; a byte order mark and CR do no harm."""
        good = b'{"id": "%s", "empty": true}' % ID.encode()
        lines = self.read(tmp_path, b"\xef\xbb\xbf%s\r\n\n \t\n%s\nx\n%s" % (good, good, good))
        assert len(lines) == count_lines(tmp_path / "in.jsonl")
        assert [1, 4, 5, 6] == [line.number for line in lines]
        assert [Line, Line, BadLine, Line] == [type(x) for x in lines]

    def test_an_empty_file_has_no_lines(self, tmp_path: Path) -> None:
        """Nor is that an error."""
        assert [] == self.read(tmp_path, b"")

    def test_a_line_without_end_is_not_read_into_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is a bad line, and the last one that is read."""
        monkeypatch.setattr(reading, "_LONGEST_LINE", 100)
        monkeypatch.setattr(reading, "_CHUNK", 64)
        good = b'{"id": "%s", "empty": true}' % ID.encode()
        first, second = self.read(tmp_path, good + b"\n" + b"x" * 999 + b"\n" + good)
        assert isinstance(first, Line)
        assert isinstance(second, BadLine)
        assert (2, True) == (second.number, "is longer than" in second.problem)

    @pytest.mark.parametrize("chunk", [1, 7, 64])
    def test_lines_are_put_together(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
    ) -> None:
        """However a pipe cuts them; a bad one among them ends nothing."""
        monkeypatch.setattr(reading, "_CHUNK", chunk)
        good = [b'{"id": "%s%d", "text": "\xc3\xa9"}' % (ID.encode(), n) for n in range(5)]
        lines = self.read(tmp_path, b"\n".join([good[0], b"[]", *good[1:]]))
        assert [f"{ID}{n}" for n in range(5)] == [
            line.promise_id for line in lines if isinstance(line, Line)
        ]

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b'\n[\n  {"id": "ID", "empty": true}\n]\n', "write one object a line"),
            ('{"id": "ID", "empty": true}\n'.encode("utf-16") * 9, "save it as UTF-8"),
            ('{"id": "ID", "empty": true}\n'.encode("utf-16-be") * 9, "save it as UTF-8"),
        ],
        ids=["a JSON array", "UTF-16", "without a byte order mark"],
    )
    def test_what_is_wrong_with_a_whole_file_is_reported_once(
        self, tmp_path: Path, content: bytes, problem: str
    ) -> None:
        """Nothing of it is sent: the last element of an array would be a good line."""
        (line,) = self.read(tmp_path, content.replace(b"ID", ID.encode()))
        assert isinstance(line, BadLine)
        assert (1, True) == (line.number, problem in line.problem)


RECORD: dict[str, Any] = {"line": 1, "promise_id": ID, "outcome": "fulfilled", "attempts": 1}
WHOLE = b'{"line":1,"id":"%s","outcome":"fulfilled","attempts":1}\n' % ID.encode()


class TestResultsFile:
    """What is recorded stays; what is not ours is left alone."""

    @pytest.mark.parametrize("torn", [WHOLE[:n] for n in (1, 4, 8, 30, len(WHOLE) - 2)])
    @pytest.mark.parametrize("before", [b"", WHOLE], ids=["alone", "after another"])
    def test_a_torn_record_is_cut_off(self, tmp_path: Path, before: bytes, torn: bytes) -> None:
        """As a kill in the middle of a write leaves it."""
        path = tmp_path / "out.jsonl"
        path.write_bytes(before + torn)
        with closing(Results(path)) as results:
            results.add(**RECORD)
            results.flush()
        assert before + WHOLE == path.read_bytes()

    @pytest.mark.parametrize(
        "content",
        [
            b"precious\n",
            b"precious",
            b"\x00" * 99,
            b'{"id": "x"}\n',
            b'{"line": "1"}\n' + WHOLE,
            WHOLE + b"\n" + WHOLE,
            WHOLE + b'{"line":\n' + WHOLE,
            b'{"line":1,"outcome":"fulfilled","id":null}\n',
            WHOLE.replace(b"fulfilled", b"foo"),
            WHOLE.replace(b"fulfilled", b"queued"),
            WHOLE.replace(b'"line":1', b'"line":true'),
            b"[]\n",
        ],
    )
    def test_another_file_is_refused_and_left_as_it_is(
        self, tmp_path: Path, content: bytes
    ) -> None:
        """Nothing of it is cut off, and nothing added."""
        path = tmp_path / "out.jsonl"
        path.write_bytes(content)
        for is_writable in (False, True):
            with pytest.raises(ResultsError, match="is not a record of golem-promise bulk"):
                Results(path, is_writable=is_writable)
        assert content == path.read_bytes()

    def test_a_file_is_for_one_process_at_a_time(self, tmp_path: Path) -> None:
        """The lock ends with the process, however that ends."""
        path = tmp_path / "out.jsonl"
        refused = pytest.raises(ResultsError, match="by another golem-promise bulk")
        with closing(Results(path)), refused:
            Results(path)
        Results(path).close()

    def test_of_two_records_of_a_promise_the_later_one_holds(self, tmp_path: Path) -> None:
        """`--retry-failed` writes a second one."""
        path = tmp_path / "out.jsonl"
        with closing(Results(path)) as results:
            for outcome in (FAILED, "fulfilled"):
                results.add(**{**RECORD, "outcome": outcome})
            results.flush()
        with closing(Results(path, is_writable=False)) as results:
            assert "fulfilled" == results[ID].outcome
