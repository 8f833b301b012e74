"""What a client must see of a symbol, whatever happens in between: each trade once and in order, or a gap that is told.

Written apart from the clients that people use, so that it can judge a gateway and not repeat their mistakes. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

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


class SymbolSequence:
    """One symbol, as one client sees it."""

    __slots__ = ("_id", "_symbol", "_verdict", "_waiting", "seq")

    def __init__(self, symbol: str, verdict: Verdict) -> None:
        self._symbol = symbol
        self._verdict = verdict
        self.seq: int | None = None
        """Up to where everything has been seen or told; ``None`` before the first tick."""

        self._id = 0
        """Of the last trade seen; 0 where the next may have any."""

        self._waiting: deque[Tick] | None = None
        """Ticks that came while what was missed is asked for."""

    @property
    def asking(self) -> bool:
        """Whether what was missed has been asked for."""
        return self._waiting is not None

    def ask(self) -> int | None:
        """Be told that the client asks for what it missed; return behind which ``seq``, ``None`` where it has seen none."""
        if self.seq is not None and self._waiting is None:
            self._waiting = deque()
        return self.seq

    def take(self, tick: Tick) -> bool:
        """Take a live tick; return whether something is missing before it, which the client has to ask for."""
        if self._waiting is not None:
            if len(self._waiting) == MAX_WAITING:
                self._verdict.blame(f"{self._symbol}: no answer for {MAX_WAITING} ticks")
                self._waiting.clear()
            self._waiting.append(tick)
            return False
        if self.seq is not None and tick[0] > self.seq + 1:
            self._waiting = deque([tick])
            return True
        if self.seq is not None and tick[1] <= self.seq:
            self._verdict.blame(f"{self._symbol}: {tick[1]} came again behind {self.seq}")
            return False
        self._pass(tick)
        return False

    def _pass(self, tick: Tick) -> None:
        """Go on to a tick that follows on what has been seen, or overlaps it."""
        first, last, first_id, last_id = tick
        if self._id and first_id > self._id + 1:
            self._verdict.lost += first_id - self._id - 1
        self._id = last_id
        self._verdict.ticks += last - (first - 1 if self.seq is None else self.seq)
        self.seq = last

    def replayed(self, ticks: Iterable[Tick], missing: Iterable[tuple[int, int]], to_seq: int, more: bool) -> None:
        """Take the answer to what was asked; with ``more`` the client asks on from ``to_seq``."""
        if self.seq is None or self._waiting is None:
            self._verdict.blame(f"{self._symbol}: a replay that nobody asked for")
            return
        for part in sorted([*ticks, *missing]):
            first, last = part[0], part[1]
            if first != self.seq + 1:
                self._verdict.blame(f"{self._symbol}: a replay goes on with {first} behind {self.seq}")
            if len(part) == 4:
                self._verdict.replayed += last - first + 1
                self._pass(part)
            else:
                self._verdict.gaps += 1
                self._verdict.missing += last - first + 1
                self.seq, self._id = last, 0
        if self.seq != to_seq:
            self._verdict.blame(f"{self._symbol}: a replay to {to_seq} ended with {self.seq}")
            self.seq = max(self.seq, to_seq)
        if more:
            return
        waiting, self._waiting = self._waiting, None
        while waiting:
            tick = waiting.popleft()
            if tick[1] <= self.seq:
                continue  # the replay had it
            if tick[0] > self.seq + 1:
                self._verdict.blame(f"{self._symbol}: {tick[0]} came behind a replay to {self.seq}")
            self._pass(tick)

    def begin_epoch(self) -> None:
        """Be told that the numbering began anew: the client knows, and goes on with what comes."""
        waiting, self._waiting = self._waiting, None
        if self.seq is None:
            return
        self._verdict.epochs += 1
        self.seq, self._id = None, 0
        for tick in waiting or ():
            self.take(tick)
