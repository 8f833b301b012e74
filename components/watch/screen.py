"""What a terminal of some size shows of a board: lines of styled pieces. Pure.

Columns that do not fit are left out, the least important first; numbers are never cut.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from components.watch.board import FEED_IS_LIVE, Board, Line, Row
from components.watch.messages import digits
from components.watch.sparkline import sparkline

Piece = tuple[str, str]
"""Text, and a style in rich's words."""

StyledLine = list[Piece]

SORTS = ("symbol", "rate", "age", "change", "missed")
SPARK_WIDTH = 20
GAP = "  "
ARROWS = {1: "▲", 0: " ", -1: "▼"}
COLOURS = {1: "green", 0: "", -1: "red"}
GONE = "gone"
"""In place of the age of a symbol that is listed no more."""

OLD_S = 60.0
"""A tick of that age is shown so; the feed calls a symbol stale then, unless told otherwise."""


def age_text(age_s: float | None) -> str:
    """Return an age in at most five characters: ``0.3s``, ``12s``, ``5m03``, ``2h14``, ``9d``."""
    if age_s is None:
        return "-"
    if age_s < 10:
        return f"{int(age_s * 10) / 10:.1f}s"
    seconds = int(age_s)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}"
    if seconds < 86_400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02}"
    return f"{seconds // 86_400}d"


def rate_text(per_s: float | None) -> str:
    """Return a rate with as many digits as mean something."""
    if per_s is None:
        return "-"
    return f"{per_s:.1f}" if per_s < 100 else f"{per_s:.0f}"


def clock_text(unix_ms: float) -> str:
    """Return a time of day by this machine's time zone."""
    return time.strftime("%H:%M:%S", time.localtime(unix_ms / 1000))


def _pair(one: int, other: int, *, at_least: bool = False) -> str:
    return f"{one}/{other}{'+' if at_least else ''}" if one or other else "-"


def _spark(row: Row, _now_s: float) -> str:
    return sparkline(row.samples, SPARK_WIDTH)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: how it is headed, how important it is, and what stands in it."""

    title: str
    rank: int
    """Columns of a higher rank go first where there is no room."""
    width: int
    """The least."""
    text: Callable[[Row, float], str]
    left: bool = False
    over_time: bool = False
    """Whether it takes a while to have anything to say."""
    coloured: bool = False
    """By the price's direction."""


COLUMNS = (
    Column("symbol", 0, 10, lambda row, _: row.symbol, left=True),
    Column("price  ", 0, 12, lambda row, _: f"{digits(row.price)} {ARROWS[row.direction]}", coloured=True),
    Column("bid", 3, 10, lambda row, _: digits(row.bid)),
    Column("ask", 3, 10, lambda row, _: digits(row.ask)),
    Column("volume", 6, 10, lambda row, _: digits(row.volume)),
    Column("age", 1, 5, lambda row, now_s: age_text(row.age_s(now_s)) if row.listed else GONE),
    Column("/s", 2, 5, lambda row, now_s: rate_text(row.rate.per_s(now_s)), over_time=True),
    Column(
        f"last {SPARK_WIDTH} s",
        7,
        SPARK_WIDTH,
        lambda row, _: sparkline(row.samples, SPARK_WIDTH),
        over_time=True,
        coloured=True,
    ),
    Column("seq", 5, 8, lambda row, _: "-" if row.seq is None else str(row.seq)),
    Column(
        "gaps/missed", 4, 11, lambda row, _: _pair(row.gaps, row.missed, at_least=row.lost_epochs > 0), over_time=True
    ),
    Column("merged/dropped", 8, 14, lambda row, _: _pair(row.merged, row.dropped), over_time=True),
)


def sorted_rows(rows: Sequence[Row], sort: str, now_s: float) -> list[Row]:
    """Return rows in order; those that are alike by symbol."""
    keys: dict[str, Callable[[Row], float]] = {
        "symbol": lambda row: 0.0,
        "rate": lambda row: -(row.rate.per_s(now_s) or 0.0),
        "age": lambda row: -(row.age_s(now_s) or 0.0),
        "change": lambda row: -_change(row),
        "missed": lambda row: -float(row.missed + row.dropped),
    }
    key = keys[sort]
    return sorted(rows, key=lambda row: (key(row), row.symbol))


def _change(row: Row) -> float:
    """Return how far the price has moved within the samples, relative to it."""
    first = next((sample for sample in row.samples if sample is not None), None)
    return 0.0 if first in (None, 0.0) or row.price is None else abs(float(row.price) / first - 1)


@dataclass(slots=True)
class Screen:
    """Lays a board out; columns never become narrower, so that nothing jumps."""

    sort: str = "symbol"
    _widths: dict[str, int] = field(default_factory=dict)
    _order: list[str] = field(default_factory=list)
    """Of the symbols, when it was last live."""

    def take_next_sort(self) -> None:
        """Sort in the next way, at once."""
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        self._order = []

    def lines(self, board: Board, now_s: float, width: int, height: int | None) -> list[StyledLine]:
        """Return at most ``height`` lines of at most ``width`` characters; ``None``: as many as there are."""
        head = [*_head(board, now_s, width), [("", "")]]
        since = board.not_live_since_ms()
        rows = self._sorted(board, now_s, is_live=since is None)
        room = len(rows) if height is None else max(0, height - len(head) - 2)
        shown = rows[:room]
        below = [] if height is None else [_foot(len(rows) - len(shown), self.sort, width)]
        every = [*head, *self.table(shown, now_s, width, is_live=since is None), *below]
        return every[:height]

    def _sorted(self, board: Board, now_s: float, *, is_live: bool) -> list[Row]:
        """Return all rows; while nothing comes they stay where they are."""
        if not is_live and self._order:
            places = {symbol: place for place, symbol in enumerate(self._order)}
            return sorted(board.rows.values(), key=lambda row: places.get(row.symbol, len(places)))
        rows = sorted_rows(list(board.rows.values()), self.sort, now_s)
        self._order = [row.symbol for row in rows]
        return rows

    def table(
        self, rows: Sequence[Row], now_s: float, width: int | None, *, is_live: bool, at_once: bool = False
    ) -> list[StyledLine]:
        """Return the head of the table and a line for each row, with the columns for which there is room.

        ``at_once``: without those that take a while to have anything to say.
        """
        candidates = [column for column in COLUMNS if not (at_once and column.over_time)]
        cells = {column.title: [column.text(row, now_s) for row in rows] for column in candidates}
        for column in candidates:
            least = max(column.width, self._widths.get(column.title, 0), len(column.title))
            self._widths[column.title] = max([least, *map(len, cells[column.title])])
        columns = self._fitting(candidates, width)
        lines: list[StyledLine] = [[(GAP.join(self._placed(each, each.title) for each in columns)[:width], "bold")]]
        for index, row in enumerate(rows):
            line: StyledLine = []
            for column in columns:
                text = self._placed(column, cells[column.title][index])
                line.append((text if not line else GAP + text, _style(column, row, now_s, is_live=is_live)))
            lines.append(_cut(line, width))
        return lines

    def _placed(self, column: Column, text: str) -> str:
        width = self._widths[column.title]
        return text.ljust(width) if column.left else text.rjust(width)

    def _fitting(self, candidates: Sequence[Column], width: int | None) -> list[Column]:
        """Return the columns for which there is room, the most important at least, in their order."""
        chosen: list[Column] = []
        used = -len(GAP)
        for column in sorted(candidates, key=lambda each: each.rank):
            needed = self._widths[column.title] + len(GAP)
            if width is None or used + needed <= width or column.rank == 0:
                chosen.append(column)
                used += needed
        return [column for column in candidates if column in chosen]


def _style(column: Column, row: Row, now_s: float, *, is_live: bool) -> str:
    if not row.listed and column.title in ("symbol", "age"):
        return "yellow"
    if not is_live or not row.listed:
        return "dim"
    if column.coloured:
        return COLOURS[row.direction]
    if column.title == "gaps/missed" and row.gaps:
        return "red"
    if column.title == "merged/dropped" and row.dropped:
        return "yellow"
    if column.title == "age" and (row.age_s(now_s) or 0) >= OLD_S:
        return "yellow"
    return ""


def _head(board: Board, now_s: float, width: int) -> list[StyledLine]:
    lines = [_line_state(board, now_s), _feed_state(board, now_s), _totals(board, now_s)]
    lines += [[(note, "yellow")] for note in (board.note, "; ".join(board.unknown)) if note]
    return [_cut(line, width) for line in lines]


def _line_state(board: Board, now_s: float) -> StyledLine:
    if board.line is Line.LIVE:
        trip = "" if board.round_trip_s is None else f"   round trip {board.round_trip_s * 1000:.1f} ms"
        line: StyledLine = [("● live", "bold green"), (f"  {board.url}{trip}", "")]
        if board.connections > 1:
            line.append((f"   reconnected {board.connections - 1}×", ""))
        return line
    if board.line is Line.CONNECTING:
        line = [("○ connecting", "bold yellow"), (f"  {board.url}", "")]
    else:
        wait_s = max(0.0, (board.retry_at_s or now_s) - now_s)
        line = [("✕ down", "bold red"), (f"  next attempt in {wait_s:.0f} s", "")]
    if board.reason:
        line.append((f"   {board.reason}", ""))
    return line


def _feed_state(board: Board, now_s: float) -> StyledLine:
    since_ms = board.not_live_since_ms()
    line: StyledLine = []
    if since_ms is not None:
        if since_ms:
            age = age_text(max(0.0, (board.wall_ms(now_s) - since_ms) / 1000))
            line.append((f"NOT LIVE since {clock_text(since_ms)} ({age})", "bold red"))
        else:
            line.append(("NOT LIVE", "bold red"))
        line.append(("   ", ""))
    status = board.status
    if status is None:
        line.append(("feed: nothing said yet", "dim"))
        return line
    known = board.line is Line.LIVE
    style = "dim" if not known else "green" if status.state in FEED_IS_LIVE else "bold red"
    stale = f", {status.stale} silent" if status.stale else ""
    line.append((f"feed {status.state}{stale}{'' if known else ' when last heard'}", style))
    error = (
        f" ({status.exchange.last_error})" if status.exchange.last_error and status.state not in FEED_IS_LIVE else ""
    )
    line.append((f"   {status.exchange.url or 'exchange unknown'}{error}", "" if known else "dim"))
    return line


def _totals(board: Board, now_s: float) -> StyledLine:
    rows = board.rows.values()
    missed, gaps = sum(row.missed for row in rows), sum(row.gaps for row in rows)
    more = "+" if any(row.lost_epochs for row in rows) else ""
    merged, dropped = sum(row.merged for row in rows), sum(row.dropped for row in rows)
    behind = sum(row.behind for row in rows)
    gone = sum(not row.listed for row in rows)
    lost, lost_more = board.feed_misses.total or 0, "+" if board.feed_misses.more else ""
    return [
        (f"{len(board.rows)} symbols  ", ""),
        (f"{gone} no longer listed  " if gone else "", "yellow"),
        (f"{rate_text(board.rate.per_s(now_s))} ticks/s  {board.ticks:,} ticks  ", ""),
        (f"gaps {gaps}  missed {missed:,}{more}", "red" if gaps else ""),
        (f"  feed missed {lost:,}{lost_more}" if lost or lost_more else "", "red"),
        (f"  merged {merged:,}  ", ""),
        (f"dropped {dropped:,}", "yellow" if dropped else ""),
        (f"  epochs {board.epochs}" if board.epochs > 1 else "", ""),
        (f"  gateway behind {behind:,}×" if behind else "", "yellow"),
    ]


def _foot(left_out: int, sort: str, width: int) -> StyledLine:
    more = f"… {left_out} more   " if left_out else ""
    return _cut([(f"{more}by {sort} (s: another order)   q: quit", "dim")], width)


def _cut(line: StyledLine, width: int | None) -> StyledLine:
    """Cut a line to a width, with a mark where something is missing."""
    if width is None or sum(len(text) for text, _ in line) <= width:
        return line
    room, kept = max(0, width - 1), []
    for text, style in line:
        kept.append((text[:room], style))
        room -= len(text[:room])
    return [*kept, ("…", "")] if width > 0 else []
