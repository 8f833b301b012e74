"""Faults on request: what can be asked for, and what it does to the frames on their way out; pure, cuts no connection.

A fault without a symbol means every symbol for ``silent``, and whichever trades next for the others.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from components.simulator.symbol import Frame

MAX_SECONDS = 86_400.0
MAX_COUNT = 100_000


class FaultKind(StrEnum):
    """What can go wrong."""

    CUT = "cut"
    """Every connection ends abruptly, without a close frame."""

    DOWN = "down"
    """A cut, and nobody can connect for some seconds."""

    SILENT = "silent"
    """A symbol, or all, sends nothing for some seconds or until ``resume``; the connections live on."""

    NO_PONG = "no_pong"
    """The server neither answers pings nor sends any."""

    DUPLICATE = "duplicate"
    """The next trades are sent twice."""

    GAP = "gap"
    """The next trades are not sent: their ids are missing."""

    MALFORMED = "malformed"
    """A broken copy follows each of the next trades."""

    POLICY_VIOLATION = "policy_violation"
    """Every connection is closed with 1008."""

    SHUTDOWN = "shutdown"
    """``serverShutdown`` is announced; after some seconds every connection is cut."""

    RESUME = "resume"
    """Everything above ends."""


class MalformedFrame(StrEnum):
    """How a malformed frame is broken."""

    TRUNCATED = "truncated"
    UNKNOWN_EVENT = "unknown_event"
    WRONG_TYPES = "wrong_types"
    BAD_PRICE = "bad_price"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as asked for."""

    kind: FaultKind
    symbol: str | None = None
    """Upper case; ``None``: all, or any."""

    seconds: float | None = None
    """How long; ``None``: the kind's default (``down`` 5, ``shutdown`` 1, others until ``resume``)."""

    count: int = 1
    """How many trades, for ``duplicate``, ``gap`` and ``malformed``."""

    variant: MalformedFrame = MalformedFrame.TRUNCATED


class FaultError(ValueError):
    """A fault was asked for that there is not."""


def parse_fault(text: str | bytes) -> Fault:
    """Return the fault a JSON object asks for: ``{"fault":"gap","symbol":"BTCUSDT","count":3}``.

    Keys are ``fault``, ``symbol``, ``seconds``, ``count`` and ``variant``; all but the first may be missing or null.

    Raises:
        FaultError: with one line that names the value and the rule.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise FaultError("a fault is asked for as a JSON object") from None
    if not isinstance(message, dict):
        raise FaultError("a fault is asked for as a JSON object")
    known = ("fault", "symbol", "seconds", "count", "variant")
    for key in message:
        if key not in known:
            raise FaultError(f"unknown key {key!r}; known are {', '.join(known)}")
    given = {key: value for key, value in message.items() if value is not None}
    kind = given.get("fault")
    if kind not in list(FaultKind):
        raise FaultError(f"fault must be one of {', '.join(FaultKind)}, was {kind!r}")
    symbol = given.get("symbol")
    if symbol is not None and not (isinstance(symbol, str) and re.fullmatch(r"[A-Z0-9]{2,20}", symbol)):
        raise FaultError(f"symbol must be upper case such as BTCUSDT, was {symbol!r}")
    seconds = given.get("seconds")
    if seconds is not None and not (_is_number(seconds) and 0 <= seconds <= MAX_SECONDS):
        raise FaultError(f"seconds must be a number from 0 to {MAX_SECONDS:g}, was {seconds!r}")
    count = given.get("count", 1)
    if not (isinstance(count, int) and _is_number(count) and 1 <= count <= MAX_COUNT):
        raise FaultError(f"count must be a whole number from 1 to {MAX_COUNT}, was {count!r}")
    variant = given.get("variant", MalformedFrame.TRUNCATED)
    if variant not in list(MalformedFrame):
        raise FaultError(f"variant must be one of {', '.join(MalformedFrame)}, was {variant!r}")
    return Fault(FaultKind(kind), symbol, seconds, count, MalformedFrame(variant))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(slots=True)
class _Armed:
    """A fault that waits for trades; the first trade that fits decides its stream."""

    kind: FaultKind
    name: str | None
    remaining: int
    variant: MalformedFrame
    stream: str | None = None

    def fits(self, stream: str) -> bool:
        if self.stream is not None:
            return stream == self.stream
        name, _, kind = stream.partition("@")
        if kind not in ("trade", "aggTrade") or self.name not in (None, name):
            return False
        self.stream = stream
        return True


class FaultyWire:
    """What frames pass on their way out."""

    def __init__(self) -> None:
        """Begin without a fault."""
        self._silent: dict[str | None, float] = {}
        self._armed: list[_Armed] = []
        self._no_pong_until_s = -math.inf

    def arm(self, fault: Fault, now_s: float) -> None:
        """Begin one of the faults that change frames or pings (the others end connections: the server's part)."""
        until_s = math.inf if fault.seconds is None else now_s + fault.seconds
        name = fault.symbol.lower() if fault.symbol else None
        match fault.kind:
            case FaultKind.SILENT:
                self._silent[name] = until_s
            case FaultKind.NO_PONG:
                self._no_pong_until_s = until_s
            case FaultKind.DUPLICATE | FaultKind.GAP | FaultKind.MALFORMED:
                self._armed.append(_Armed(fault.kind, name, fault.count, fault.variant))
            case FaultKind.RESUME:
                self.clear()
            case _:
                raise ValueError(f"{fault.kind} does not act on frames")

    def clear(self) -> None:
        """End every fault."""
        self._silent.clear()
        self._armed.clear()
        self._no_pong_until_s = -math.inf

    def pings_suspended(self, now_s: float) -> bool:
        """Tell whether the server keeps from pinging and ponging."""
        return now_s < self._no_pong_until_s

    def apply(self, frames: Sequence[Frame], now_s: float) -> Sequence[Frame]:
        """Return what really goes out of the frames that are due."""
        if self._silent:
            self._silent = {name: until_s for name, until_s in self._silent.items() if now_s < until_s}
        if not (self._silent or self._armed):
            return frames
        sent: list[Frame] = []
        for frame in frames:
            if None in self._silent or frame[0].partition("@")[0] in self._silent:
                continue
            armed = next((one for one in self._armed if one.fits(frame[0])), None)
            if armed is None:
                sent.append(frame)
                continue
            armed.remaining -= 1
            if not armed.remaining:
                self._armed.remove(armed)
            if armed.kind is not FaultKind.GAP:
                sent.append(frame)
            if armed.kind is FaultKind.DUPLICATE:
                sent.append(frame)
            elif armed.kind is FaultKind.MALFORMED:
                sent.append((frame[0], break_payload(frame[1], armed.variant)))
        return sent


def break_payload(payload: bytes, variant: MalformedFrame) -> bytes:
    """Return a broken copy of a trade's payload."""
    match variant:
        case MalformedFrame.TRUNCATED:
            return payload[: len(payload) // 2]
        case MalformedFrame.UNKNOWN_EVENT:
            return re.sub(rb'"e":\s*"[^"]*"', b'"e":"mystery"', payload, count=1)
        case MalformedFrame.WRONG_TYPES:
            broken = re.sub(rb'"([ta])":\s*-?\d+', rb'"\1":"seven"', payload, count=1)
            return re.sub(rb'"([pq])":\s*"[^"]*"', rb'"\1":[]', broken)
        case MalformedFrame.BAD_PRICE:
            return re.sub(rb'"p":\s*"[^"]*"', b'"p":"12,5x"', payload, count=1)
