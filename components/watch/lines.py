"""The market as lines, for pipes and scripts: text or JSON, and never a control sequence."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from components.core.log_text import escaped
from components.watch.board import AHEAD, Board, Row
from components.watch.feed_misses import FeedMisses
from components.watch.messages import Message, digits
from components.watch.terminal import BoardFollower

ANSWERS = frozenset({"pong", "symbols", "subscribed", "unsubscribed", "resumed", "renewed"})
"""What is the watch's own business."""

UNLISTED = "no longer listed: the feed follows it no more"

encode = msgspec.json.Encoder(decimal_format="number").encode
"""Numbers keep their digits."""


class Lines(BoardFollower):
    """Writes what happens as it happens."""

    def __init__(self, board: Board, write: Callable[[str], None], say: Callable[[str], None]) -> None:
        """Write the market with ``write``, what happens to the line with ``say``; both take lines without their end."""
        super().__init__(board)
        self._write = write
        self._tell = say
        self._feed_missed: tuple[int | None, bool] = (0, False)
        """What was last told of that."""

    def listed(self, symbols: Sequence[str], unknown: Sequence[str]) -> None:
        """See ``Follower``."""
        news = [line for line in unknown if line not in self.board.unknown]
        for row in self.board.listed(symbols, unknown):
            self._say_listed(row)
        for line in news:
            self._say(line)

    def _say_listed(self, row: Row) -> None:
        self._say(f"{row.symbol} is listed again" if row.listed else f"{row.symbol} is {UNLISTED}")

    def live(self) -> None:
        """See ``Follower``."""
        super().live()
        self._say(f"live at {self.board.url}")

    def lost(self, reason: str, retry_in_s: float, now_s: float) -> None:
        """See ``Follower``."""
        super().lost(reason, retry_in_s, now_s)
        self._say(f"lost: {reason}; next attempt in {retry_in_s:.1f} s")

    def received(self, frame: str | bytes, messages: Sequence[Message], now_s: float) -> None:
        """See ``Follower``."""
        super().received(frame, messages, now_s)
        if lines := [line for message in messages if (line := self._line(message))]:
            self._write("\n".join(lines))
        if self._feed_missed_more():
            self._say(feed_missed_line(self.board.feed_misses))

    def _feed_missed_more(self) -> bool:
        """Tell whether there are more trades that no feed got than was told."""
        before, misses = self._feed_missed, self.board.feed_misses
        self._feed_missed = (misses.total or 0, misses.more)
        return self._feed_missed != before

    def _say(self, line: str) -> None:
        self._tell(shown(line))

    def _line(self, message: Message) -> str:
        if message.type == "gap":
            self._say(gap_line(message))
        elif message.type == "status" and message.id is None:
            self._say(f"feed {message.state}")
        elif not message.type:
            return shown(tick_line(message))
        return ""


class JsonLines(Lines):
    """Writes the gateway's objects as they came, one a line, and one of type ``connection`` when that changes."""

    def live(self) -> None:
        """See ``Follower``."""
        BoardFollower.live(self)
        self._connection(state="live", url=self.board.url)

    def lost(self, reason: str, retry_in_s: float, now_s: float) -> None:
        """See ``Follower``."""
        BoardFollower.lost(self, reason, retry_in_s, now_s)
        self._connection(state="lost", reason=reason, retry_in_s=round(retry_in_s, 3))

    def received(self, frame: str | bytes, messages: Sequence[Message], now_s: float) -> None:
        """See ``Follower``; each frame is one object."""
        BoardFollower.received(self, frame, messages, now_s)
        # A status with an id is the answer to the watch's own question.
        if messages[0].type not in ANSWERS and not (messages[0].type == "status" and messages[0].id is not None):
            self._write(frame if isinstance(frame, str) else frame.decode())
        if self._feed_missed_more():
            misses = self.board.feed_misses
            self._write(encode({"type": "feed_missed", "trades": misses.total, "more": misses.more}).decode())

    def _say_listed(self, row: Row) -> None:
        self._write(encode({"type": "symbol", "symbol": row.symbol, "listed": row.listed}).decode())

    def _connection(self, **fields: Any) -> None:
        self._write(encode({"type": "connection", **fields}).decode())


def shown(line: str) -> str:
    """Return a line of which a terminal obeys nothing: a part of it is a gateway's."""
    return escaped(line, len(line))


def gap_line(gap: Message) -> str:
    """Return what a gap is about as one line."""
    if gap.reason == AHEAD:
        return f"behind: {gap.symbol}: the gateway has not had {gap.from_seq - 1} yet, and goes on from what it has"
    end = "nobody knows where" if gap.to_seq is None else gap.to_seq
    return f"gap: {gap.symbol} {gap.from_seq} to {end}: {gap.reason}"


def feed_missed_line(misses: FeedMisses) -> str:
    """Return what no feed got as one line."""
    return f"feed missed: {misses.total}{'+' if misses.more else ''} trades since the beginning, which nobody has"


def tick_line(tick: Message) -> str:
    """Return a tick as one line: time, symbol, price, volume, the taker's side, and what else there is to say."""
    moment = time.strftime("%H:%M:%S", time.localtime(tick.ts // 1000))
    line = f"{moment}.{tick.ts % 1000:03} {tick.symbol} {digits(tick.price)} {digits(tick.volume)} {tick.side} seq={tick.seq}"
    if tick.merged > 1:
        line += f" merged={tick.merged}"
    return f"{line} dropped={tick.dropped}" if tick.dropped else line


def row_object(row: Row, now_s: float, *, is_live: bool) -> dict[str, Any]:
    """Return what is known of a symbol; ``age_s`` is the last tick's, ``null`` stands for what has not come."""
    age_s = row.age_s(now_s)
    return {
        "symbol": row.symbol,
        "price": row.price,
        "bid": row.bid,
        "ask": row.ask,
        "volume": row.volume,
        "seq": row.seq,
        "age_s": None if age_s is None else round(age_s, 3),
        "live": is_live,
    }
