"""Move a recording's ids and times on from one round to the next, so that a loop looks like a market that goes on.

A consumer that drops trades whose ids it has seen would else see nothing from the second round on. Prices and quantities
are strings in the exchange's messages and stay untouched. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from components.core.recording import RecordedFrame


@dataclass(slots=True)
class _Span:
    """The ids of one symbol and kind that a round uses up."""

    low: int
    high: int


@dataclass(slots=True)
class Rounds:
    """What a first round used, and how later ones are shifted by it."""

    _spans: dict[tuple[str, str], _Span] = field(default_factory=dict)
    _first_s: float | None = None
    _last_s: float = 0.0
    _round: int = 0

    def next_round(self) -> None:
        """Begin another round."""
        self._round += 1

    def payload(self, frame: RecordedFrame) -> bytes:
        """Return a frame's payload for this round; in the first one it is the recorded text itself."""
        if self._round == 0:
            self._observe(frame)
            return frame.payload
        message = json.loads(frame.payload)
        if isinstance(message, dict):
            self._shift(message)
        return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()

    def _observe(self, frame: RecordedFrame) -> None:
        if self._first_s is None:
            self._first_s = frame.time_s
        self._last_s = max(self._last_s, frame.time_s)
        message = json.loads(frame.payload)
        if isinstance(message, dict):
            for kind, low, high in _ids(message):
                span = self._spans.setdefault((message.get("s", ""), kind), _Span(low, high))
                span.low, span.high = min(span.low, low), max(span.high, high)

    def _shift(self, message: dict[str, Any]) -> None:
        symbol = message.get("s", "")
        event = message.get("e")
        if event == "trade":
            self._add(message, symbol, "trade", "t")
        elif event == "aggTrade":
            self._add(message, symbol, "aggregate", "a")
            self._add(message, symbol, "trade", "f", "l")
        elif event == "depthUpdate":
            self._add(message, symbol, "update", "U", "u")
        elif event is None:
            self._add(message, symbol, "update", "u")
        elif event == "kline":
            self._add(message["k"], symbol, "trade", "f", "L")
            self._add_time(message["k"], "t", "T")
        self._add_time(message, "E", "T")

    def _add(self, message: dict[str, Any], symbol: str, kind: str, *names: str) -> None:
        span = self._spans.get((symbol, kind))
        for name in names:
            if span is not None and isinstance(message.get(name), int):
                message[name] += self._round * (span.high - span.low + 1)

    def _add_time(self, message: dict[str, Any], *names: str) -> None:
        round_ms = int((self._last_s - (self._first_s or 0.0)) * 1000) + 1
        for name in names:
            if isinstance(message.get(name), int):
                message[name] += self._round * round_ms


def _ids(message: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Return ``(kind, first id, last id)`` of each numbering that a message moves on."""
    match message:
        case {"e": "trade", "t": int(number)}:
            return [("trade", number, number)]
        case {"e": "aggTrade", "a": int(number), "f": int(first), "l": int(last)}:
            return [("aggregate", number, number), ("trade", first, last)]
        case {"e": "depthUpdate", "U": int(first), "u": int(last)}:
            return [("update", first, last)]
        case {"u": int(number), "b": str()}:
            return [("update", number, number)]
    return []
