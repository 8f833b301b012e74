"""Puts the ticks of each symbol in sequence, without a hole or a repetition. Pure: ticks and answers go in, steps come out.

The gateway numbers every symbol's ticks without gaps (`seq`) within an *epoch*; a restarted feed opens another epoch and counts
afresh. Within an epoch a symbol's `seq` grows by one trade, or by the `"merged": n` trades that a tick says it stands for, plus
those that are in no tick, which it says as `"dropped": n` where the gateway left them out.

- What does not follow on the tick before, be it since the client was away or since ticks were lost on the way, is held
  back, and `market.replay` asked for what is between. What comes meanwhile is held too, and joined on.
- What cannot be had is told as a `Gap`, once: before the first tick behind it.
- What was handed on does not come again.

The browser's `sequence.js` does the same.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_HELD = 20_000
"""Ticks of all symbols that are held while replays are asked for; beyond that a symbol's oldest held one goes."""

GONE = "gone"
"""The gateway no longer has them, or never had."""

EPOCH = "epoch"
"""The feed counts afresh; how far the epoch before went nobody says, so the gap has no end."""

OVERFLOW = "overflow"
"""More came while the replay was asked for than is held."""

UNANSWERED = "unanswered"
"""The gateway did not answer the replay."""

BEHIND_AT_MOST = 3
"""Joins in a row at gateways of an earlier epoch before that is believed to be where the feed is: its clock was set back."""


class GatewayBehind(Exception):
    """The gateway has not reached the epoch that this client has seen elsewhere; in a moment it will have."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Ticks that will not come, both ends included; `to_seq` is None where nobody knows it."""

    symbol: str
    epoch: int
    from_seq: int
    to_seq: int | None
    because: str


@dataclass(frozen=True, slots=True)
class Ask:
    """`market.replay` is to be called with these; the answer goes to `answered`, what goes wrong to `ahead` or `failed`."""

    symbol: str
    epoch: int
    after_seq: int


@dataclass(frozen=True, slots=True)
class Deliver:
    """A tick is to be handed on; `missed` counts the symbol's ticks that are missing right before it."""

    tick: dict
    missed: int


Steps = list[Gap | Ask | Deliver]
"""What to do, in this order."""


@dataclass(slots=True)
class _Symbol:
    name: str
    last: int | None = None
    """The number reached; 0 at the beginning of an epoch, None before the first tick."""
    ask: Ask | None = None
    """What is waited for."""
    held: deque[dict] = field(default_factory=deque)
    overflowed: bool = False
    heard: bool = False
    """Whether a tick has come in this session."""
    reached_here: bool = False
    """Whether `last` came from this session's gateway: within an epoch its numbers never fall."""
    end_told: bool = False
    """Whether the end of the epoch has been told before its successor's name."""
    confirmed: bool = False
    """Whether the gateway has just said that its epoch is ours: lower numbers are old ones then, and no other epoch's."""
    missed: int = 0


class SequenceTracker:
    """Where each symbol's sequence stands; kept across sessions."""

    def __init__(self, max_held: int = MAX_HELD) -> None:
        self._epoch = 0
        self._symbols: dict[str, _Symbol] = {}
        self._max_held = max_held
        self._held = 0
        self._joins_behind = 0

    def begin_session(self, epoch: int) -> Steps:
        """Begin anew what was under way, at a gateway of this epoch (0: it knows none yet).

        Raises:
            GatewayBehind: it is of an earlier epoch than ticks that were seen; try another, or later.
        """
        for symbol in self._symbols.values():
            self._let_go(symbol)
            symbol.heard = symbol.reached_here = False
        if 0 < epoch < self._epoch:
            self._joins_behind += 1
            if self._joins_behind < BEHIND_AT_MOST:
                raise GatewayBehind(f"the gateway is at epoch {epoch}, and {self._epoch} has begun")
            self._joins_behind = 0
            return self._begin_epoch(epoch)
        self._joins_behind = 0
        return self.enter_epoch(epoch)

    def enter_epoch(self, epoch: int) -> Steps:
        """Take note of the feed's epoch; one that is not later than what was seen changes nothing."""
        return self._begin_epoch(epoch) if epoch > self._epoch else []

    def change_streams(self) -> None:
        """Take note that ticks come at another rate from here on, of the same gateway: lower numbers are no other epoch."""
        for symbol in self._symbols.values():
            symbol.confirmed = symbol.confirmed or symbol.reached_here

    def resume(self, name: str) -> Steps:
        """Ask for what came while the client was away, of a symbol from which nothing has come in this session."""
        symbol = self._symbols.get(name)
        return [] if symbol is None or symbol.heard or symbol.ask is not None else [self._ask(symbol)]

    def observe(self, tick: dict) -> Steps:
        """Take a tick as it comes, the retained one included."""
        symbol = self._symbols.setdefault(tick["symbol"], _Symbol(tick["symbol"]))
        symbol.heard = True
        seq = tick["seq"]
        if symbol.ask is not None:
            self._hold(symbol, tick)
            return []
        if symbol.last is None or _before(tick) == symbol.last:
            return [self._deliver(symbol, tick)]
        if seq == symbol.last or (seq < symbol.last and symbol.confirmed):
            return []
        steps: Steps = []
        if seq < symbol.last and symbol.reached_here:
            # Another epoch, which the answer will name where it has not been announced yet.
            steps += self._restart(symbol, self._epoch)
            symbol.end_told = True
        self._hold(symbol, tick)
        return [*steps, self._ask(symbol)]

    def answered(self, ask: Ask, answer: dict) -> Steps:
        """Take the answer of `market.replay`."""
        symbol = self._symbols[ask.symbol]
        if symbol.ask is not ask:
            return []  # of an earlier session or epoch
        if answer["epoch"] > self._epoch:
            steps = self._begin_epoch(answer["epoch"])
            return [*steps, self._ask(symbol)] if symbol.ask is ask else steps
        if ask.epoch != self._epoch:
            return [self._ask(symbol)]
        if answer["epoch"] < self._epoch:
            # What has come is of the epoch before, whose end was told.
            self._let_go(symbol)
            return []
        symbol.ask = None
        most = _last_merged(symbol.held)
        steps = list(self._replayed(symbol, answer, most))
        progress = symbol.last > ask.after_seq
        if answer["more"] and progress and (most is None or symbol.last < most):
            return [*steps, self._ask(symbol)]
        steps += self._join(symbol, GONE, may_ask=progress)
        symbol.confirmed = True
        return steps

    def ahead(self, ask: Ask) -> Steps:
        """Take note that the gateway has not got as far as this client: what comes next it has seen."""
        symbol = self._symbols[ask.symbol]
        if symbol.ask is not ask:
            return []
        symbol.ask = None
        steps = self._join(symbol, GONE, may_ask=not symbol.confirmed)
        symbol.confirmed = True
        return steps

    def failed(self, ask: Ask) -> Steps:
        """Go on without an answer."""
        symbol = self._symbols[ask.symbol]
        if symbol.ask is not ask:
            return []
        symbol.ask = None
        return self._join(symbol, UNANSWERED, may_ask=False)

    def _begin_epoch(self, epoch: int) -> Steps:
        ended, self._epoch = self._epoch, epoch
        steps: Steps = []
        if ended == 0:
            return steps  # whatever has come was of this one
        for symbol in self._symbols.values():
            was_waiting = symbol.ask is not None
            steps += self._restart(symbol, ended)
            if was_waiting:
                steps.append(self._ask(symbol))
        return steps

    def _restart(self, symbol: _Symbol, ended: int) -> list[Gap]:
        """Begin a symbol's sequence anew; return the end of the one before, unless that has been told."""
        gaps = [] if symbol.end_told else [Gap(symbol.name, ended, symbol.last + 1, None, EPOCH)]
        self._let_go(symbol)
        symbol.last = symbol.missed = 0
        symbol.reached_here = symbol.end_told = False
        return gaps

    def _replayed(self, symbol: _Symbol, answer: dict, most: int | None) -> Iterator[Gap | Deliver]:
        # What the answer says is missing is what is between its ticks, and behind the last.
        for tick in answer["events"]:
            if most is not None and tick["seq"] > most:
                break
            if tick["seq"] > symbol.last:
                yield from self._gap(symbol, tick["seq"] - 1, GONE)
                yield self._deliver(symbol, tick)
        yield from self._gap(symbol, answer["to_seq"] if most is None else min(answer["to_seq"], most), GONE)

    def _join(self, symbol: _Symbol, because: str, *, may_ask: bool) -> Steps:
        """Hand on what was held, as far as it follows."""
        steps: Steps = []
        held = symbol.held
        while held:
            tick = held[0]
            if tick["seq"] > symbol.last and _before(tick) != symbol.last:
                if may_ask and not symbol.overflowed:
                    return [*steps, self._ask(symbol)]
                # A tick that stands for some that were handed on, and others, would repeat those.
                torn = _before(tick) < symbol.last
                steps += self._gap(
                    symbol, tick["seq"] if torn else _before(tick), OVERFLOW if symbol.overflowed else because
                )
            held.popleft()
            self._held -= 1
            if tick["seq"] > symbol.last:
                steps.append(self._deliver(symbol, tick))
        symbol.overflowed = False
        return steps

    def _ask(self, symbol: _Symbol) -> Ask:
        symbol.ask = Ask(symbol.name, self._epoch, symbol.last)
        return symbol.ask

    def _hold(self, symbol: _Symbol, tick: dict) -> None:
        symbol.held.append(tick)
        self._held += 1
        if self._held > self._max_held:
            symbol.held.popleft()
            self._held -= 1
            symbol.overflowed = True

    def _let_go(self, symbol: _Symbol) -> None:
        self._held -= len(symbol.held)
        symbol.held.clear()
        symbol.ask = None
        symbol.overflowed = symbol.confirmed = False

    def _gap(self, symbol: _Symbol, to_seq: int, because: str) -> list[Gap]:
        """Pass over what is missing up to a number; of what has been passed nothing is missing."""
        first = symbol.last + 1
        if to_seq < first:
            return []
        symbol.last = to_seq
        symbol.end_told = False
        symbol.missed += to_seq - first + 1
        return [Gap(symbol.name, self._epoch, first, to_seq, because)]

    def _deliver(self, symbol: _Symbol, tick: dict) -> Deliver:
        missed = symbol.missed + tick.get("dropped", 0)
        symbol.last = tick["seq"]
        symbol.missed = 0
        symbol.reached_here = True
        symbol.confirmed = symbol.end_told = False
        return Deliver(tick, missed)


def _last_merged(held: deque[dict]) -> int | None:
    """Return how far a replay is taken: to the held tick that is the furthest, if it is a merged one.

    The one that came last may be an older one, which a rate that has just been chosen begins with.

    Behind it come ticks that begin where it ends, as those at a rate do. What were replayed beyond would tear the next one, so
    that it were asked for, and tear the one behind it, and so for ever.
    """
    furthest = max(reversed(held), key=lambda tick: tick["seq"], default=None)
    return furthest["seq"] if furthest is not None and furthest.get("merged", 1) > 1 else None


def _before(tick: dict) -> int:
    """Return the number of the tick that one follows on.

    Not by `first_seq`: some of the numbers between it and `seq` may be dropped ones.
    """
    return tick["seq"] - tick.get("merged", 1) - tick.get("dropped", 0)
