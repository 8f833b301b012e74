"""Recorded exchange messages: reads JSON lines of ``{"t": seconds, "msg": raw text}``; plays nothing, keeps no clock.

The raw text is what the exchange sent, either combined (``{"stream": name, "data": payload}``) or a bare payload.
Payloads keep their exact text: digits, spaces and order of fields are never touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec


class RecordingError(ValueError):
    """A recording cannot be read; the text is one line of the form ``file:line: what is wrong``."""


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One message of a recording."""

    time_s: float
    """Receive time, in seconds since the epoch (only differences matter)."""

    stream: str
    """``nknusdt@depth@100ms``; a whole-market stream such as ``!miniTicker@arr`` has no symbol."""

    payload: bytes
    """The stream's payload exactly as recorded, without the combined wrapper."""


class _Line(msgspec.Struct):
    t: float
    msg: str


class _Combined(msgspec.Struct):
    stream: str
    data: msgspec.Raw


class _Interval(msgspec.Struct):
    i: str


class _Payload(msgspec.Struct):
    """The fields that tell which stream a bare payload came from."""

    e: str | None = None
    s: str | None = None
    k: _Interval | None = None
    b: str | list[object] | None = None
    a: str | int | list[object] | None = None


_STREAM_OF_EVENT = {
    "trade": "trade",
    "aggTrade": "aggTrade",
    "24hrMiniTicker": "miniTicker",
    "24hrTicker": "ticker",
    "depthUpdate": "depth@100ms",
}

_decode_line = msgspec.json.Decoder(_Line).decode
_decode_combined = msgspec.json.Decoder(_Combined).decode
_decode_payload = msgspec.json.Decoder(_Payload).decode


def read_recording(path: Path) -> Iterator[RecordedFrame]:
    """Yield a recording's frames in the order of the file; empty lines are passed over.

    A bare ``depthUpdate`` does not say its pace and is taken for ``depth@100ms``.

    Raises:
        RecordingError: a line is not of the form above, or its stream cannot be told.
        OSError: the file cannot be read.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield _frame(line)
            except (msgspec.MsgspecError, ValueError) as error:
                raise RecordingError(f"{path}:{number}: {error}") from error


def recorded_streams(path: Path) -> frozenset[tuple[str, str]]:
    """Return which streams a recording holds: ``{("NKNUSDT", "depth@100ms"), …}``; whole-market streams are left out.

    Raises:
        RecordingError: a line is malformed, or the recording holds no stream of a symbol.
        OSError: the file cannot be read.
    """
    found: set[tuple[str, str]] = set()
    for name in {frame.stream for frame in read_recording(path)}:
        symbol, _, kind = name.partition("@")
        if not symbol.startswith("!"):
            found.add((symbol.upper(), kind))
    if not found:
        raise RecordingError(f"{path}:1: the recording holds no stream of any symbol")
    return frozenset(found)


def _frame(line: bytes) -> RecordedFrame:
    recorded = _decode_line(line)
    try:
        combined = _decode_combined(recorded.msg)
    except msgspec.ValidationError:
        payload = recorded.msg.strip().encode()
        return RecordedFrame(recorded.t, _stream_of(payload), payload)
    if not combined.stream.startswith("!") and "@" not in combined.stream.strip("@"):
        raise ValueError(f"stream name must be <symbol>@<kind>, was {combined.stream!r}")
    return RecordedFrame(recorded.t, combined.stream, bytes(combined.data))


def _stream_of(payload: bytes) -> str:
    fields = _decode_payload(payload)
    if fields.s is None:
        raise ValueError("message names neither a stream nor a symbol")
    symbol = fields.s.lower()
    if fields.e is None and isinstance(fields.b, str) and isinstance(fields.a, str):
        return f"{symbol}@bookTicker"
    if fields.e == "kline" and fields.k is not None:
        return f"{symbol}@kline_{fields.k.i}"
    kind = _STREAM_OF_EVENT.get(fields.e or "")
    if kind is None:
        raise ValueError(f"unknown event type {fields.e!r}")
    return f"{symbol}@{kind}"
