"""The exchange's streams of a symbol, by their names. Pure."""

from __future__ import annotations


def stream_name(symbol: str, kind: str) -> str:
    """Return the exchange's name of a symbol's stream: ``("BTCUSDT", "trade")`` → ``btcusdt@trade``."""
    return f"{symbol.lower()}@{kind}"


def symbol_of(stream: str) -> str:
    """Return the symbol of a stream."""
    return stream.partition("@")[0].upper()
