"""Later rounds of a loop: ids and times go on, digits stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components.core.binance import BookTicker, Trade, parse_frame
from components.core.recording import RecordedFrame, read_recording
from components.core.sequencer import Sequencer
from components.simulator.rounds import Rounds


def frame(time_s: float, **message: Any) -> RecordedFrame:
    return RecordedFrame(time_s, "btcusdt@x", json.dumps(message).encode())


def second_round(*frames: RecordedFrame) -> list[dict[str, Any]]:
    rounds = Rounds()
    assert [rounds.payload(each) for each in frames] == [each.payload for each in frames]
    rounds.next_round()
    return [json.loads(rounds.payload(each)) for each in frames]


def test_trades_go_on_where_the_round_before_ended() -> None:
    first, last = second_round(
        frame(10.0, e="trade", s="A", E=100, T=99, t=7, p="1.10", q="2.0"),
        frame(12.5, e="trade", s="A", E=2600, T=2599, t=9, p="1.20", q="2.0"),
    )
    assert (first["t"], last["t"]) == (10, 12)
    assert (first["E"], first["T"]) == (100 + 2501, 99 + 2501)
    assert (first["p"], first["q"]) == ("1.10", "2.0")


def test_each_symbol_and_numbering_has_its_own_span() -> None:
    moved = second_round(
        frame(1.0, e="aggTrade", s="A", E=1, T=1, a=3, f=20, l=24),
        frame(1.0, e="aggTrade", s="B", E=1, T=1, a=9, f=1, l=1),
        frame(1.0, u=50, s="A", b="1", B="1", a="2", A="1"),
        frame(1.0, e="depthUpdate", s="A", E=1, U=51, u=55, b=[], a=[]),
        frame(1.0, e="kline", s="A", E=1, k={"t": 0, "T": 59_999, "f": 10, "L": 24}),
    )
    assert [moved[0][name] for name in "afl"] == [4, 25, 29]
    assert [moved[1][name] for name in "afl"] == [10, 2, 2]
    assert (moved[2]["u"], moved[2]["a"]) == (56, "2")
    assert (moved[3]["U"], moved[3]["u"]) == (57, 61)
    assert (moved[4]["k"]["f"], moved[4]["k"]["L"], moved[4]["k"]["T"]) == (15, 29, 60_000)


def test_a_feed_takes_every_trade_and_price_of_every_round(recordings: list[Path]) -> None:
    for path in recordings:
        frames = list(read_recording(path))
        rounds = Rounds()
        symbols = tuple({each.stream.partition("@")[0].upper() for each in frames})
        sequencer = Sequencer(symbols)
        for _ in range(3):
            for each in frames:
                parsed = parse_frame(b'{"stream":"%b","data":%b}' % (each.stream.encode(), rounds.payload(each)))
                if isinstance(parsed, Trade):
                    assert sequencer.tick(parsed) is not None
                elif isinstance(parsed, BookTicker):
                    assert sequencer.book(parsed, 0.0, 0) is not None
            rounds.next_round()
        assert sequencer.counters.duplicates == 0
