"""Which lines of the file are to be sent, given what is recorded and what came before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from golem_client.cli.bulk_file import BadLine, Line
from golem_client.cli.bulk_index import BAD_LINE, NOTHING_YET, Known
from golem_client.cli.bulk_report import COMPLETED, REPEATED

if TYPE_CHECKING:
    from collections.abc import Callable

    from golem_client.cli.bulk_index import Index
    from golem_client.cli.bulk_report import Tally
    from golem_client.cli.bulk_under_way import UnderWay


@attrs.define
class Plan:
    """Decides on one line after the other, and counts those that need not be sent.

    A promise that is recorded is not sent again, whatever the number of its line is now; with
    another payload than the recorded one it is a bad line. So is one that an earlier line of the
    file names with another payload: which of the two is stored must not be left to chance.

    Attributes:
        index: What is known of each promise.
        tally: Counts what is decided.
        on_bad_line: Is told of each line that cannot be sent.
        under_way: What an earlier run left under way; None where there are no results.
        retry_failed: Whether what is recorded as failed is to be sent again.
        to_send: The number of lines that are.
    """

    index: Index
    tally: Tally
    on_bad_line: Callable[[BadLine], None]
    under_way: UnderWay | None = None
    retry_failed: bool = False
    to_send: int = 0

    def line_to_send(self, line: Line | BadLine | None) -> Line | None:
        """Return the line if it is to be sent."""
        if line is None:
            self.tally.empty += 1
            return None
        if isinstance(line, BadLine):
            self._refuse(line)
            return None
        promise_id = str(line.promise_id)
        known = self._known(promise_id)
        if known is not None and not self._is_open(known, line):
            self._pass_over(line, known)
            return None
        may_be_ours = known is not None and known.may_be_ours
        seen = Known(fingerprint=line.fingerprint, line=line.number, is_seen=True)
        self.index.put(promise_id, seen)
        self.to_send += 1
        return attrs.evolve(line, may_be_ours=may_be_ours)

    def _known(self, promise_id: str) -> Known | None:
        known = self.index.find(promise_id)
        left = self.under_way and self.under_way.left_with(promise_id)
        if left and known is None:
            return Known(fingerprint=left, may_be_ours=True)
        return attrs.evolve(known, may_be_ours=True) if left and known else known

    def _is_open(self, known: Known, line: Line) -> bool:
        if known.is_seen or known.fingerprint != line.fingerprint:
            return False
        return known.outcome == NOTHING_YET or (
            self.retry_failed and known.outcome not in COMPLETED
        )

    def _pass_over(self, line: Line, known: Known) -> None:
        if known.fingerprint != line.fingerprint:
            where = f"line {known.line}" if known.is_seen else "an earlier run"
            problem = f"names the promise of {where} with another payload, and is not sent"
            self._refuse(BadLine(line.number, problem, line.digest))
        elif known.is_seen:
            self.tally.now[REPEATED] += 1
        else:
            self.tally.before[known.outcome] += 1
            if self.under_way is not None and known.outcome in COMPLETED:
                self.under_way.end(str(line.promise_id))  # the kill came after the record
            seen = attrs.evolve(known, line=line.number, is_seen=True)
            self.index.put(str(line.promise_id), seen)

    def _refuse(self, line: BadLine) -> None:
        self.tally.now[BAD_LINE] += 1
        self.on_bad_line(line)
