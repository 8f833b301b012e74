"""What a client must see of a symbol, whatever happens in between: each trade once and in order, or a gap that is told.

Written apart from the clients that people use, so that it can judge a gateway and not repeat their mistakes. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

MAX_WAITING = 20_000
"""Ticks of a symbol that may come while what was missed is asked for."""


@dataclass(slots=True)
class Verdict:
    """What happened to one client's ticks, over all symbols."""

    ticks: int = 0
    """Trades that ticks stood for."""

    replayed: int = 0
    gaps: int = 0
    """Ranges that the gateway said are gone."""

    missing: int = 0
    """Trades in them."""

    lost: int = 0
    """Trades that are in no tick, by the exchange's ids: no feed got them."""

    epochs: int = 0
    """Numberings that began anew, each a gap of unknown size that was told."""

    broken: list[str] = field(default_factory=list)
    """What must not be: a hole or a repetition that nobody told of. The first few."""

    def blame(self, text: str) -> None:
        """Note what must not be."""
        if len(self.broken) < 10:
            self.broken.append(text)

    def add(self, other: Verdict) -> None:
        """Take another client's in."""
        for name in ("ticks", "replayed", "gaps", "missing", "lost", "epochs"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for text in other.broken:
            self.blame(text)


Tick = tuple[int, int, int, int]
"""First and last ``seq`` that a tick stands for, what it says was left out before it included, and first and last id of its
trades; the first id is 0 where a tick cannot say it."""


class Place(Protocol):
    """Where a client is with a symbol. Ticks that follow on it may be counted by others than ``SymbolSequence``."""

    seq: int
    """Up to where everything has been seen or told; 0 before the first tick."""

    id: int
    """Of the last trade seen; 0 where the next may have any."""

    held: bool
    """Whether all ticks must go to ``SymbolSequence``, since what was missed is asked for, or since it has to judge one."""


class SymbolSequence:
    """One symbol, as one client sees it."""

    __slots__ = ("_place", "_symbol", "_verdict", "_waiting")

    def __init__(self, symbol: str, verdict: Verdict, place: Place) -> None:
        self._symbol = symbol
        self._verdict = verdict
        self._place = place
        self._waiting: deque[Tick] | None = None
        """Ticks that came while what was missed is asked for."""

    @property
    def seq(self) -> int | None:
        """Up to where everything has been seen or told; ``None`` before the first tick."""
        return self._place.seq or None

    @property
    def asking(self) -> bool:
        """Whether what was missed has been asked for."""
        return self._waiting is not None

    def ask(self) -> int | None:
        """Be told that the client asks for what it missed; return behind which ``seq``, ``None`` where it has seen none."""
        if self._place.seq and self._waiting is None:
            self._waiting = deque()
            self._place.held = True
        return self.seq

    def take(self, tick: Tick) -> bool:
        """Take a live tick; return whether something is missing before it, which the client has to ask for."""
        if self._waiting is not None:
            if len(self._waiting) == MAX_WAITING:
                self._verdict.blame(f"{self._symbol}: no answer for {MAX_WAITING} ticks")
                self._waiting.clear()
            self._waiting.append(tick)
            return False
        seq = self._place.seq
        self._place.held = bool(seq) and tick[0] > seq + 1
        if self._place.held:
            self._waiting = deque([tick])
            return True
        if seq and tick[1] <= seq:
            self._verdict.blame(f"{self._symbol}: {tick[1]} came again behind {seq}")
            return False
        self._pass(tick)
        return False

    def _pass(self, tick: Tick) -> None:
        """Go on to a tick that follows on what has been seen, or overlaps it."""
        first, last, first_id, last_id = tick
        place = self._place
        if place.id and first_id > place.id + 1:
            self._verdict.lost += first_id - place.id - 1
        self._verdict.ticks += last - (place.seq or first - 1)
        place.id, place.seq = last_id, last

    def replayed(self, ticks: Iterable[Tick], missing: Iterable[tuple[int, int]], to_seq: int, more: bool) -> None:
        """Take the answer to what was asked; with ``more`` the client asks on from ``to_seq``."""
        place = self._place
        if not place.seq or self._waiting is None:
            self._verdict.blame(f"{self._symbol}: a replay that nobody asked for")
            return
        for part in sorted([*ticks, *missing]):
            first, last = part[0], part[1]
            if first != place.seq + 1:
                self._verdict.blame(f"{self._symbol}: a replay goes on with {first} behind {place.seq}")
            if len(part) == 4:
                self._verdict.replayed += last - first + 1
                self._pass(part)
            else:
                self._verdict.gaps += 1
                self._verdict.missing += last - first + 1
                place.seq, place.id = last, 0
        if place.seq != to_seq:
            self._verdict.blame(f"{self._symbol}: a replay to {to_seq} ended with {place.seq}")
            place.seq = max(place.seq, to_seq)
        if more:
            return
        waiting, self._waiting, place.held = self._waiting, None, False
        while waiting:
            tick = waiting.popleft()
            if tick[1] <= place.seq:
                continue  # the replay had it
            if tick[0] > place.seq + 1:
                self._verdict.blame(f"{self._symbol}: {tick[0]} came behind a replay to {place.seq}")
            self._pass(tick)

    def begin_epoch(self) -> None:
        """Be told that the numbering began anew: the client knows, and goes on with what comes.

        What waits is of the numbering before: a gateway tells of an epoch ahead of its first tick.
        """
        place = self._place
        self._waiting, place.held = None, False
        if not place.seq:
            return
        self._verdict.epochs += 1
        place.seq = place.id = 0
