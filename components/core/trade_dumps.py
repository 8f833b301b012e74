"""Binance's public trade dumps (data.binance.vision): one row in, one frame of the exchange's trade stream out. Pure.

Columns of ``SYMBOL-trades-DATE``: id, price, qty, quoteQty, time, isBuyerMaker, isBestMatch; of ``SYMBOL-aggTrades-DATE``:
aggregate id, price, qty, first id, last id, time, isBuyerMaker, isBestMatch. The last one may be missing, as it is for futures.
Times are in ms, and since 2025 in µs. Prices and quantities keep the dump's text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from components.core.recording import RecordedFrame

_NAME = re.compile(r"([A-Z0-9]{2,20})-(trades|aggTrades)-\d{4}-\d\d(?:-\d\d)?\.(?:zip|csv|csv\.gz)")

_ID = rb"0|[1-9][0-9]{0,18}"
# As the feed takes them: no sign, no exponent, at most 18 digits on either side of the point.
_DECIMAL = rb"(?!0[0-9])[0-9]{1,18}(?:\.[0-9]{1,18})?"
_TIME = rb"[0-9]{13}|[0-9]{16}"
_BOOL = rb"[Tt]rue|TRUE|[Ff]alse|FALSE"

_TRADE_COLUMNS = (
    ("id", _ID),
    ("price", _DECIMAL),
    ("qty", _DECIMAL),
    ("quoteQty", rb"[^,]*"),
    ("time", _TIME),
    ("isBuyerMaker", _BOOL),
    ("isBestMatch", _BOOL),
)
_AGGREGATE_COLUMNS = (
    ("aggregate id", _ID),
    ("price", _DECIMAL),
    ("qty", _DECIMAL),
    ("first id", _ID),
    ("last id", _ID),
    ("time", _TIME),
    ("isBuyerMaker", _BOOL),
    ("isBestMatch", _BOOL),
)


def _row_pattern(columns: tuple[tuple[str, bytes], ...]) -> re.Pattern[bytes]:
    parts = [b"(%b)" % pattern for _, pattern in columns]
    return re.compile(b",".join(parts[:-1]) + b"(?:,%b)?\\r?" % parts[-1])


_TRADE = _row_pattern(_TRADE_COLUMNS)
_AGGREGATE = _row_pattern(_AGGREGATE_COLUMNS)
_HEADER = re.compile(rb"[A-Za-z_ ,]+\r?")


@dataclass(frozen=True, slots=True)
class TradeDump:
    """What a dump holds, by its file's name."""

    symbol: str
    aggregated: bool

    @property
    def stream(self) -> str:
        """The exchange's stream that brings the same."""
        return f"{self.symbol.lower()}@{'aggTrade' if self.aggregated else 'trade'}"


def dump_named(name: str) -> TradeDump | None:
    """Return what a file holds that is named as Binance names its dumps; ``None`` for any other name."""
    match = _NAME.fullmatch(name)
    return None if match is None else TradeDump(match[1], match[2] == "aggTrades")


def is_header(row: bytes) -> bool:
    """Tell whether a file's first row names the columns, as some dumps' does."""
    return _HEADER.fullmatch(row) is not None


class RowReader:
    """Makes frames of a dump's rows."""

    def __init__(self, dump: TradeDump) -> None:
        symbol = dump.symbol.encode()
        self._dump = dump
        self._stream = dump.stream
        self._trade = b'{"e":"trade","E":%%b,"s":"%b","t":%%b,"p":"%%b","q":"%%b","T":%%b,"m":%%b,"M":%%b}' % symbol
        self._aggregate = (
            b'{"e":"aggTrade","E":%%b,"s":"%b","a":%%b,"p":"%%b","q":"%%b","f":%%b,"l":%%b,"T":%%b,"m":%%b,"M":%%b}'
            % symbol
        )
        self.frame = self._aggregate_frame if dump.aggregated else self._trade_frame

    def _trade_frame(self, row: bytes) -> RecordedFrame:
        """Return a row's frame.

        Raises:
            ValueError: it is none; the text names the column.
        """
        match = _TRADE.fullmatch(row)
        if match is None:
            raise _no_row(row, _TRADE_COLUMNS)
        number, price, volume, _, time, maker, best = match.groups()
        ms = time[:13]
        payload = self._trade % (ms, number, price, volume, ms, maker.lower(), (best or b"true").lower())
        return RecordedFrame(_seconds(time), self._stream, payload)

    def _aggregate_frame(self, row: bytes) -> RecordedFrame:
        match = _AGGREGATE.fullmatch(row)
        if match is None:
            raise _no_row(row, _AGGREGATE_COLUMNS)
        number, price, volume, first, last, time, maker, best = match.groups()
        ms = time[:13]
        payload = self._aggregate % (
            ms,
            number,
            price,
            volume,
            first,
            last,
            ms,
            maker.lower(),
            (best or b"true").lower(),
        )
        return RecordedFrame(_seconds(time), self._stream, payload)


def _seconds(time: bytes) -> float:
    return int(time) / (1000 if len(time) == 13 else 1_000_000)


def _no_row(row: bytes, columns: tuple[tuple[str, bytes], ...]) -> ValueError:
    cells = row.rstrip(b"\r").split(b",")
    if len(cells) not in (len(columns) - 1, len(columns)):
        return ValueError(f"a row must have {len(columns)} columns, had {len(cells)}: {row[:80]!r}")
    for (name, pattern), cell in zip(columns, cells, strict=False):
        if not re.fullmatch(pattern, cell):
            return ValueError(f"column {name} is {cell[:40].decode('utf-8', 'replace')!r}, which it cannot be")
    raise AssertionError("a row that is none has a column that is none")
