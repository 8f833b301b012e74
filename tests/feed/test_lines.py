"""Which line brings which symbol, whatever comes in the middle of a change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.feed import lines
from components.feed.line import Reports
from components.feed.lines import Lines
from components.feed.upstream import UpstreamRules, UpstreamState

MOST = 3
"""Symbols of a line."""


class FakeLine:
    """A line without connections, at an exchange that refuses symbols as soon as it is asked for others."""

    def __init__(self, symbols: Sequence[str], reports: Reports, refuses: Callable[[FakeLine], Sequence[str]]) -> None:
        self.symbols = tuple(symbols)
        self.asked = self.symbols
        """What its connection has been told to bring."""
        self.reconnects = self.rotations = 0
        self.state = UpstreamState.LIVE
        self.taking_over: FakeLine | None = None
        self.stopped = False
        self._reports = reports
        self._refuses = refuses

    def start(self) -> None:
        assert not self.stopped, "nobody would ever stop it again"
        self._reports.state()

    async def stop(self) -> None:
        self.stopped = True

    def set_symbols(self, symbols: Sequence[str]) -> None:
        assert symbols, "one that has nothing to bring ends"
        self.symbols = self.asked = tuple(symbols)
        refused = [symbol for symbol in self._refuses(self) if symbol in self.asked]
        if refused:
            self._reports.refused(dict.fromkeys(refused, "unknown symbol"))

    def take_over(self, _other: FakeLine) -> bool:
        return False

    def share_attempts(self, count: int) -> None:
        pass


class Followed:
    """Lines, and who follows the symbols that are wanted and not refused, as a feed does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, symbols: Sequence[str], refuses: Mapping[str, str]) -> None:
        """``refuses`` has by symbol the one at whose coming it is refused."""
        self._refuses = refuses
        self.made: list[FakeLine] = []
        self.wanted = tuple(symbols)
        monkeypatch.setattr(lines, "Line", self._make)
        monkeypatch.setattr(lines, "MAX_STREAMS_PER_CONNECTION", MOST)
        reports = Reports(lambda: None, lambda _reason: None, self._refused)
        intake: Any = None
        self.lines = Lines(None, "ws://exchange", ["trade"], symbols, intake, reports, UpstreamRules())
        self.lines.start()

    def _make(self, _reactor: Any, _url: str, *, symbols: Sequence[str], reports: Reports, **_rest: Any) -> FakeLine:
        line = FakeLine(symbols, reports, self._refused_by)
        self.made.append(line)
        return line

    def _refused_by(self, line: FakeLine) -> Sequence[str]:
        return [symbol for symbol, when in self._refuses.items() if when in line.asked]

    def _refused(self, refused: Mapping[str, str]) -> None:
        if refused.keys() & set(self.wanted):
            self.follow([symbol for symbol in self.wanted if symbol not in refused])

    def follow(self, symbols: Sequence[str]) -> None:
        self.wanted = tuple(symbols)
        self.lines.follow(self.wanted)

    def assert_each_is_brought_once(self) -> None:
        """Look at what the connections have been told, which is all that the exchange knows of."""
        there: list[Any] = list(self.lines)
        assert sorted(chain.from_iterable(line.symbols for line in there)) == sorted(self.wanted)
        for line in self.made:
            assert line.stopped or line in there
            assert line.stopped or line.asked == line.symbols
            assert 0 < len(line.symbols) <= MOST or line.stopped


def test_a_symbol_that_is_refused_in_the_middle_of_a_change_puts_no_other_on_two_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    followed = Followed(monkeypatch, ["A1", "A2", "A3", "B1", "B2", "B3"], {"A2": "X"})
    # X takes A3's place, Y is to take that of B3, and of A2 as soon as that is refused.
    followed.follow(["A1", "A2", "B1", "B2", "X", "Y"])
    assert followed.wanted == ("A1", "B1", "B2", "X", "Y")
    followed.assert_each_is_brought_once()


names = st.lists(st.sampled_from([f"S{number}" for number in range(14)]), unique=True, max_size=14)
refusals = st.dictionaries(st.sampled_from(["S1", "S2", "S3", "S4"]), st.sampled_from(["S5", "S6", "S7", "S8"]))


@given(names, st.lists(names, max_size=5), refusals)
def test_whatever_is_wanted_and_refused_each_symbol_is_brought_once(
    first: list[str], changes: list[list[str]], refuses: dict[str, str]
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        followed = Followed(monkeypatch, first, refuses)
        followed.assert_each_is_brought_once()
        for wanted in changes:
            followed.follow(wanted)
            followed.assert_each_is_brought_once()
