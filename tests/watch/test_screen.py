"""What fits on a terminal."""

from __future__ import annotations

import pytest

from components.watch.board import Board
from components.watch.messages import Message
from components.watch.screen import SORTS, Screen, age_text, rate_text
from components.watch.sparkline import sparkline
from tests.watch.test_board import WALL_MS, live_board, texts, tick


def board_of(number: int) -> Board:
    board = live_board(*(f"COIN{index:03}USDT" for index in range(number)))
    for index in range(number):
        board.take(Message(symbol=f"COIN{index:03}USDT", price=index, ts=int(WALL_MS), seq=1 + index, volume=1), 101.0)
    return board


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50), (40, 10), (20, 5), (1, 1), (300, 200)])
def test_nothing_is_wider_or_higher_than_the_terminal(width: int, height: int) -> None:
    lines = texts(Screen().lines(board_of(121), 102.0, width, height))
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)


def test_what_does_not_fit_is_counted() -> None:
    lines = texts(Screen().lines(board_of(121), 102.0, 100, 24))
    shown = [line for line in lines if line.startswith("COIN")]
    assert lines[-1].startswith(f"… {121 - len(shown)} more")
    assert len(shown) == 24 - 6


def test_the_important_columns_stay_when_there_is_less_room() -> None:
    board = board_of(3)
    [head] = [line for line in texts(Screen().lines(board, 102.0, 60, 20)) if line.startswith("symbol")]
    assert "price" in head
    assert "age" in head
    assert "merged" not in head
    [wide] = [line for line in texts(Screen().lines(board, 102.0, 200, 20)) if line.startswith("symbol")]
    assert "merged/dropped" in wide
    assert "last 20 s" in wide


def test_a_line_that_is_down_dims_prices_and_says_since_when() -> None:
    board = board_of(3)
    live = Screen().lines(board, 102.0, 120, 20)
    assert not any(style == "dim" for line in live for text, style in line if "COIN" in text)
    assert any(text.startswith("● live") for text in texts(live))
    board.lost("the line was cut", 9.0, 105.0)
    down = Screen().lines(board, 112.0, 120, 20)
    assert all(style == "dim" for line in down if line[0][0].startswith("COIN") for _, style in line)
    said = "\n".join(texts(down))
    assert "next attempt in 2 s" in said
    assert "the line was cut" in said
    assert "NOT LIVE since" in said
    assert "(7.0s)" in said


def test_rows_stay_where_they_are_while_nothing_comes_and_are_sorted_anew_on_demand() -> None:
    board = live_board("AAAUSDT", "BTCUSDT")
    screen = Screen(sort="rate")
    for seq in range(5):
        board.take(tick(seq + 1), 101.0)

    def first() -> str:
        return next(line for line in texts(screen.lines(board, board_s, 100, 20)) if "USDT" in line)

    board_s = 102.5
    assert first().startswith("BTCUSDT")
    board.lost("gone", 9.0, 103.0)
    board_s = 150.0
    assert first().startswith("BTCUSDT")
    for _ in SORTS:
        screen.take_next_sort()
    assert screen.sort == "rate"
    assert first().startswith("AAAUSDT")


def test_columns_never_become_narrower() -> None:
    board = live_board()
    screen = Screen()
    board.take(tick(1, "123456789012345.12345678"), 101.0)
    wide = texts(screen.table(list(board.rows.values()), 101.0, None, is_live=True))
    assert "123456789012345.12345678" in wide[1]
    board.take(tick(2, "1"), 101.0)
    assert len(texts(screen.table(list(board.rows.values()), 101.0, None, is_live=True))[0]) == len(wide[0])


@pytest.mark.parametrize(
    ("age_s", "text"),
    [
        (None, "-"),
        (0.0, "0.0s"),
        (9.99, "9.9s"),
        (10, "10s"),
        (59.9, "59s"),
        (61, "1m01"),
        (7384, "2h03"),
        (900_000, "10d"),
    ],
)
def test_ages_are_short(age_s: float | None, text: str) -> None:
    assert age_text(age_s) == text


def test_rates_are_short() -> None:
    assert [rate_text(per_s) for per_s in (None, 0.2, 99.94, 5027.2)] == ["-", "0.2", "99.9", "5027"]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], "    "),
        ([1.0, 2.0], "  ▁█"),
        ([9.0, 1.0, None, 1.5, 2.0], "▁ ▅█"),
        ([3.0, 3.0, 3.0, 3.0], "▄▄▄▄"),
        ([None, None, None, None], "    "),
    ],
)
def test_a_spark_line_shows_the_last_values(values: list[float | None], line: str) -> None:
    assert sparkline(values, 4) == line
