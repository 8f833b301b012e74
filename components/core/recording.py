"""Recorded exchange messages: makes and reads JSON lines of ``{"t": seconds, "msg": raw text}``; plays nothing, keeps no clock.

The raw text is what the exchange sent, either combined (``{"stream": name, "data": payload}``) or a bare payload.
Payloads keep their exact text: digits, spaces and order of fields are never touched. Two more kinds of lines are passed over
and counted: ``{"t": …, "other": raw text}`` is a message that is no market data, such as the answer to a SUBSCRIBE, and
``{"t": …, "dropped": n}`` says that ``n`` messages came that were not written. Files whose names end in ``.gz`` are gzip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from components.core.line_file import DamagedFile, LineFile


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


@dataclass(slots=True)
class Findings:
    """What a recording has besides frames; grows while it is read."""

    others: int = 0
    """Messages that are no market data."""

    dropped: int = 0
    """Messages that the recorder could not write."""

    torn: str = ""
    """``file:line`` where it ends in the middle, as if its writer had been killed; empty where it does not."""


class _Line(msgspec.Struct):
    t: float
    msg: str | None = None
    other: str | None = None
    dropped: int | None = None


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
_encode = msgspec.json.encode


def recording_line(time_s: float, message: bytes) -> bytes:
    """Return the line of a message that came at ``time_s``: as market data if it is some in combined form, else as other.

    A byte sequence that is no UTF-8, which no text message may have, is replaced.
    """
    text = message.decode("utf-8", "replace")
    try:
        _check_stream(_decode_combined(message).stream)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return b'{"t":%b,"other":%b}\n' % (_encode(time_s), _encode(text))
    return b'{"t":%b,"msg":%b}\n' % (_encode(time_s), _encode(text))


def dropped_line(time_s: float, dropped: int) -> bytes:
    """Return the line that says that ``dropped`` messages up to ``time_s`` were not written."""
    return b'{"t":%b,"dropped":%d}\n' % (_encode(time_s), dropped)


def read_recording(path: Path, findings: Findings | None = None) -> Iterator[RecordedFrame]:
    """Yield a recording's frames in the order of the file; empty lines are passed over, ``findings`` told of other ones.

    A bare ``depthUpdate`` does not say its pace and is taken for ``depth@100ms``. A file may end in the middle: what is whole
    is yielded, and ``findings`` say so.

    Raises:
        RecordingError: a line is not of the form above, or its stream cannot be told.
        OSError: the file cannot be read.
    """
    try:
        file = LineFile(path)
    except DamagedFile as error:
        raise RecordingError(str(error)) from error
    yield from read_recorded_lines(file, findings)


def read_recorded_lines(file: LineFile, findings: Findings | None = None) -> Iterator[RecordedFrame]:
    """Yield the frames of an open file; as ``read_recording``."""
    findings = findings or Findings()
    try:
        for line in file:
            if not line.strip():
                continue
            try:
                frame = _frame(line, findings)
            except (msgspec.MsgspecError, ValueError) as error:
                if not file.unended:
                    raise RecordingError(f"{file.path}:{file.line}: {error}") from error
                findings.torn = f"{file.path}:{file.line}"
                return
            if frame is not None:
                yield frame
        if file.ended_early:
            findings.torn = f"{file.path}:{file.line + 1}"
    except DamagedFile as error:
        raise RecordingError(str(error)) from error
    finally:
        file.close()


def recorded_streams(path: Path, findings: Findings | None = None) -> frozenset[tuple[str, str]]:
    """Return which streams a recording holds: ``{("NKNUSDT", "depth@100ms"), …}``; whole-market streams are left out.

    ``findings`` are told of the rest.

    Raises:
        RecordingError: a line is malformed, or the recording holds no stream of a symbol.
        OSError: the file cannot be read.
    """
    found: set[tuple[str, str]] = set()
    for name in {frame.stream for frame in read_recording(path, findings)}:
        symbol, _, kind = name.partition("@")
        if not symbol.startswith("!"):
            found.add((symbol.upper(), kind))
    if not found:
        raise RecordingError(f"{path}:1: the recording holds no stream of any symbol")
    return frozenset(found)


def _frame(line: bytes, findings: Findings) -> RecordedFrame | None:
    recorded = _decode_line(line)
    if recorded.msg is None:
        if recorded.dropped is None and recorded.other is None:
            raise ValueError("a line needs msg, other or dropped, had none")
        findings.dropped += recorded.dropped or 0
        findings.others += recorded.other is not None
        return None
    try:
        combined = _decode_combined(recorded.msg)
    except msgspec.ValidationError:
        payload = recorded.msg.strip().encode()
        return RecordedFrame(recorded.t, _stream_of(payload), payload)
    _check_stream(combined.stream)
    return RecordedFrame(recorded.t, combined.stream, bytes(combined.data))


def _check_stream(stream: str) -> None:
    if not stream.startswith("!") and "@" not in stream.strip("@"):
        raise ValueError(f"stream name must be <symbol>@<kind>, was {stream!r}")


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
