"""What the board makes of what a gateway says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from components.watch.board import Board, Line, Rate
from components.watch.lines import gap_line
from components.watch.messages import Message, decode, digits
from components.watch.screen import Screen, StyledLine

WALL_MS = 1_700_000_000_000.0


def texts(lines: list[StyledLine]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def live_board(*symbols: str) -> Board:
    board = Board(100.0, WALL_MS)
    board.connecting("ws://one/ws/trade")
    board.begin(symbols or ("BTCUSDT",))
    board.take(Message(type="status", epoch=7, state="live"), 100.0)
    board.live()
    return board


def tick(seq: int, price: str = "1.0", *, merged: int = 1, dropped: int = 0, age_ms: int = 0) -> Message:
    return Message(
        symbol="BTCUSDT",
        price=Decimal(price),
        volume=1,
        ts=int(WALL_MS) - age_ms,
        seq=seq,
        merged=merged,
        dropped=dropped,
    )


@pytest.mark.parametrize(
    ("ticks", "gaps", "missed", "merged", "dropped"),
    [
        ([tick(5), tick(6), tick(7)], 0, 0, 0, 0),
        ([tick(5), tick(9)], 1, 3, 0, 0),
        ([tick(5), tick(9, merged=4)], 0, 0, 3, 0),
        ([tick(5), tick(9, merged=2, dropped=2)], 0, 0, 1, 2),
        ([tick(5), tick(9, merged=2)], 1, 2, 1, 0),
        # The newest again, as a rate that is subscribed to anew begins with it.
        ([tick(5), tick(5)], 0, 0, 0, 0),
        # A feed that counts afresh before it has said so.
        ([tick(500), tick(1), tick(2)], 0, 0, 0, 0),
    ],
)
def test_what_lies_between_two_ticks_is_missed(
    ticks: list[Message], gaps: int, missed: int, merged: int, dropped: int
) -> None:
    board = live_board()
    for each in ticks:
        board.take(each, 101.0)
    row = board.rows["BTCUSDT"]
    assert (row.gaps, row.missed, row.merged, row.dropped) == (gaps, missed, merged, dropped)
    assert board.ticks == len(ticks) + merged


def test_a_gap_that_the_gateway_tells_of_counts_once() -> None:
    board = live_board()
    board.take(tick(5), 101.0)
    board.take(Message(type="gap", symbol="BTCUSDT", from_seq=6, to_seq=9, reason="gone"), 101.0)
    board.take(tick(10), 101.0)
    row = board.rows["BTCUSDT"]
    assert (row.gaps, row.missed) == (1, 4)


def test_another_epoch_begins_its_own_sequence() -> None:
    board = live_board()
    board.take(tick(5), 101.0)
    board.take(Message(type="status", epoch=8, state="live"), 101.0)
    board.take(tick(90), 101.0)
    assert (board.rows["BTCUSDT"].missed, board.epochs) == (0, 2)
    assert board.resume_from() == (8, {"BTCUSDT": 90})


def test_a_gap_without_an_end_is_not_resumed_from() -> None:
    board = live_board()
    board.take(tick(5), 101.0)
    board.take(Message(type="gap", symbol="BTCUSDT", from_seq=6, to_seq=None, reason="epoch"), 101.0)
    assert board.resume_from() == (7, {})
    row = board.rows["BTCUSDT"]
    assert (row.gaps, row.missed, row.lost_epochs) == (1, 0, 1)
    [line] = [each for each in texts(Screen().lines(board, 102.0, 200, 20)) if each.startswith("BTC")]
    assert line.split()[-2:] == ["1/0+", "-"]


@pytest.mark.parametrize(
    ("seqs", "gaps", "missed"),
    [
        # It catches up: everything comes, some of it once more.
        ([3, 4, 5, 6, 7], 0, 0),
        # It has caught up before it was subscribed to, and what came meanwhile nobody has got.
        ([9, 10], 1, 3),
    ],
)
def test_a_gateway_that_is_behind_ends_no_epoch_and_loses_only_what_does_not_come(
    seqs: list[int], gaps: int, missed: int
) -> None:
    board = live_board()
    board.take(tick(5), 101.0)
    board.take(Message(type="gap", symbol="BTCUSDT", from_seq=6, to_seq=None, reason="ahead"), 101.0)
    assert board.resume_from() == (7, {"BTCUSDT": 5})
    for seq in seqs:
        board.take(tick(seq), 101.0)
    row = board.rows["BTCUSDT"]
    assert (row.behind, row.lost_epochs, row.gaps, row.missed) == (1, 0, gaps, missed)
    said = texts(Screen().lines(board, 102.0, 200, 20))
    [totals] = [line for line in said if "ticks/s" in line]
    assert f"gaps {gaps}  missed {missed}  " in totals
    assert totals.endswith("gateway behind 1×")
    [line] = [each for each in said if each.startswith("BTC")]
    assert line.split()[-2] == (f"{gaps}/{missed}" if gaps else "-")


def test_an_epoch_that_ended_is_not_shown_as_a_gateway_that_is_behind() -> None:
    board = live_board()
    board.take(tick(5), 101.0)
    board.take(Message(type="gap", symbol="BTCUSDT", from_seq=6, to_seq=None, reason="epoch"), 101.0)
    [totals] = [line for line in texts(Screen().lines(board, 102.0, 200, 20)) if "ticks/s" in line]
    assert "gaps 1  missed 0+" in totals
    assert "behind" not in totals


@pytest.mark.parametrize(
    ("to_seq", "reason", "line"),
    [
        (9, "gone", "gap: BTCUSDT 6 to 9: gone"),
        (None, "epoch", "gap: BTCUSDT 6 to nobody knows where: epoch"),
        (None, "ahead", "behind: BTCUSDT: the gateway has not had 5 yet, and goes on from what it has"),
    ],
)
def test_a_line_says_what_a_gap_is(to_seq: int | None, reason: str, line: str) -> None:
    assert gap_line(Message(type="gap", symbol="BTCUSDT", from_seq=6, to_seq=to_seq, reason=reason)) == line


def test_ages_grow_and_prices_are_not_live_while_the_line_is_down() -> None:
    board = live_board()
    board.take(tick(5, age_ms=250), 100.0)
    row = board.rows["BTCUSDT"]
    assert row.age_s(100.0) == pytest.approx(0.25)
    assert board.not_live_since_ms() is None
    board.lost("the line was cut", 3.0, 110.0)
    assert (board.line, board.retry_at_s) == (Line.WAITING, 113.0)
    board.connecting("ws://two/ws/trade")
    board.lost("Connection refused", 4.0, 120.0)
    assert board.not_live_since_ms() == WALL_MS + 10_000
    assert row.age_s(130.0) == pytest.approx(30.25)


def test_a_feed_that_is_lost_is_not_live_either() -> None:
    board = live_board()
    board.take(Message(type="status", epoch=7, state="feed_lost", since=1234), 101.0)
    assert board.not_live_since_ms() == 1234
    board.take(Message(type="status", epoch=7, state="stale", since=5678), 102.0)
    assert board.not_live_since_ms() is None


def test_ages_are_told_by_the_gateways_clock() -> None:
    board = live_board()
    # It is 5 s ahead, and half of the round trip ago.
    board.answered(Message(type="pong", time=int(WALL_MS) + 5_000), 100.0, 100.0)
    board.take(Message(symbol="BTCUSDT", price=1, ts=int(WALL_MS) + 4_000, seq=1), 100.0)
    assert board.rows["BTCUSDT"].age_s(100.0) == pytest.approx(1.0)


def test_what_came_before_all_is_subscribed_to_is_no_trade_of_now() -> None:
    board = live_board()
    board.line = Line.CONNECTING
    board.take(tick(5, merged=3), 101.0)
    assert (board.ticks, board.rows["BTCUSDT"].merged, board.rows["BTCUSDT"].seq) == (0, 0, 5)


def test_samples_are_blank_while_nothing_is_live() -> None:
    board = live_board()
    board.take(tick(5, "2.5"), 100.0)
    board.sample(101.0)
    board.sample(101.5)
    board.lost("gone", 1.0, 101.6)
    board.sample(102.1)
    assert list(board.rows["BTCUSDT"].samples) == [2.5, None]


def test_a_rate_is_that_of_the_last_whole_seconds() -> None:
    rate = Rate()
    assert rate.per_s(0.0) is None
    for tenth in range(100):
        rate.add(2, 50 + tenth / 10)
    assert rate.per_s(60.0) == 20.0
    assert rate.per_s(62.5) == 12.0
    assert rate.per_s(70.0) == 0.0


def test_digits_are_the_exchanges() -> None:
    [message] = decode('[{"symbol":"A","price":0.00000010,"volume":5,"ts":1,"seq":1}]')
    assert (digits(message.price), digits(message.volume), digits(None)) == ("0.00000010", "5", "-")
    assert decode(b'{"type":"pong","id":3,"time":5}') == [Message(type="pong", id=3, time=5)]
    with pytest.raises(ValueError, match="object"):
        decode("7")
