"""One feed: what it follows, its connections to the exchange, its place on the bus, and how it stands.

Owns the feed's life, its role, its symbols and the staleness watch; never touches a router, and the exchange only through
``Lines``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.bus import BusWriter, WriterFigures
from components.core.batch import Standing
from components.core.log_text import escaped
from components.core.symbol_choice import NO_CHOICE, SymbolChoice
from components.feed.intake import Intake
from components.feed.line import Reports
from components.feed.lines import Lines
from components.feed.streams import stream_name
from components.feed.upstream import UpstreamRules, UpstreamState
from components.settings import FeedSettings

STATUS_INTERVAL_S = 1.0

DAY_STREAM = "miniTicker"
DAY_OVERDUE_AFTER_S = 10.0
"""At the earliest: the exchange sends statistics every second while a symbol trades."""

MAX_REASON_CHARS = 100
"""Of why a symbol is rejected."""

NOTHING_CAME = "the exchange sends nothing of it"
"""Which is how Binance answers for a symbol that it does not have."""


class Feed:
    """All symbols of its settings or of an operator's choice, by as many connections as they need; a ``LeadableFeed``."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: FeedSettings,
        bus: BusWriter,
        wall_clock_ms: Callable[[], int],
        on_failed: Callable[[Failure], None],
        rules: UpstreamRules | None = None,
        observe_lag_s: Callable[[float], None] | None = None,
        choice: SymbolChoice = NO_CHOICE,
        pass_frames: Callable[[Iterable[bytes]], Iterable[bytes]] | None = None,
    ) -> None:
        """Make a feed that writes to ``bus`` when that tells it to lead; ``start`` sets both going.

        ``reactor`` gives connections and monotonic time, ``wall_clock_ms`` the ms since 1970. ``on_failed`` is told of an error
        after which the feed cannot go on. For ``observe_lag_s`` and ``pass_frames`` see ``Intake``. ``choice`` is what is known
        of the symbols that operators want.
        """
        self.settings = settings
        self.choice = choice
        self.symbols = choice.symbols or settings.symbols
        """What is followed: what is wanted, without what the exchange refuses to send."""

        self._refused: dict[str, str] = {}
        """Symbols that are wanted and not followed, since the exchange refuses to send them; with what it said."""

        self.intake = Intake(self.symbols, bus, reactor.seconds, wall_clock_ms, observe_lag_s, pass_frames)
        self._reactor = reactor
        self._wall_clock_ms = wall_clock_ms
        self._on_failed = on_failed
        self._bus = bus
        self._stopping = False
        self._upstream_paused = 0
        self._stale: list[str] = []
        self._asked_again_s: dict[str, float] = {}
        """By stream."""
        self._started_ms = self._since_ms = wall_clock_ms()
        self._state = UpstreamState.STOPPED
        self._kinds = (settings.trade_stream, "bookTicker", *([DAY_STREAM] if settings.day else []))
        self.lines = Lines(
            reactor,
            settings.exchange_url,
            self._kinds,
            self.symbols,
            self.intake,
            Reports(self._state_changed, self._connection_lost, self._symbols_refused),
            rules or UpstreamRules(),
        )
        self._leads = 0
        self._counted_before_lead = self._counted()
        self._ticker = LoopingCall(self._every_second)
        self._ticker.clock = reactor

    def _streams_of(self, symbol: str) -> list[str]:
        return [stream_name(symbol, kind) for kind in self._kinds]

    def start(self) -> None:
        """Connect to the exchange and the bus, and go on until ``stop``."""
        self.tell_start()
        self.lines.start()
        self._bus.start(self)
        self._ticker.start(STATUS_INTERVAL_S).addErrback(self._on_failed)

    def tell_start(self) -> None:
        """Say in the log what begins."""
        self.log.info(
            "feed {name} starts: {symbols} symbols from {url}",
            name=self.settings.name,
            symbols=len(self.symbols),
            url=self.settings.exchange_url,
        )

    def tell_lead(self, how: str) -> None:
        """Say in the log that this feed leads, and ``how`` it comes to its epoch."""
        self.log.info(
            "feed {name} leads: {how} epoch {epoch}", name=self.settings.name, how=how, epoch=self.intake.epoch
        )

    async def stop(self) -> None:
        """Write what was taken, give up the lead, and leave the exchange."""
        self._stopping = True
        if self._ticker.running:
            self._ticker.stop()
        if self.intake.leading:
            self.intake.write_batch()
        self.intake.follow()
        # What comes meanwhile is the next leader's, who gets it from the exchange as well.
        await self._bus.stop()
        await self.lines.stop()

    # What operators want.

    def choose(self, choice: SymbolChoice) -> None:
        """See ``LeadableFeed.choose``. What the exchange refused before is asked for again."""
        if choice.version <= self.choice.version or self._stopping:
            return
        self.choice = choice
        self._refused.clear()
        before = frozenset(self.symbols)
        self._follow_symbols()
        after = frozenset(self.symbols)
        self.log.info(
            "feed {name} follows the {count} symbols of its {source}: {added} more, {removed} no longer",
            name=self.settings.name,
            count=len(after),
            source=choice.source,
            added=len(after - before),
            removed=len(before - after),
        )

    def _symbols_refused(self, refused: Mapping[str, str]) -> None:
        followed = frozenset(self.symbols)
        told = {symbol: error for symbol, error in refused.items() if symbol in followed}
        for symbol, error in told.items():
            self.log.warn("the exchange does not send {symbol}: {error}", symbol=symbol, error=error)
            self._refused[symbol] = escaped(f"the exchange refuses it: {error}", MAX_REASON_CHARS)
        if told:
            self._follow_symbols()

    def _follow_symbols(self) -> None:
        wanted = self.choice.symbols or self.settings.symbols
        self.symbols = tuple(symbol for symbol in wanted if symbol not in self._refused)
        self.intake.set_symbols(self.symbols)
        self.lines.follow(self.symbols)
        followed = frozenset(self.symbols)
        self._stale = [symbol for symbol in self._stale if symbol in followed]
        # Nothing may be left to follow, or something again.
        self._state_changed()
        if self._ticker.running:
            self._write_status()

    # What the bus says.

    def lead(self, since: Standing | None) -> None:
        """See ``LeadableFeed.lead``, and ``Intake.lead``."""
        if self._stopping:
            # Given while this feed was about to leave the bus: what it does not use, it gives up with the rest.
            return
        if not self.intake.leading:
            # What is found to be missing as soon as this feed leads belongs to this lead.
            self._leads += 1
            self._counted_before_lead = self._counted()
        self.intake.lead(since)
        self.tell_lead("begins" if since is None or since.epoch != self.intake.epoch else "goes on with")
        self._since_ms = self._wall_clock_ms()
        if self._ticker.running:
            self._write_status()

    def follow(self, because: str) -> None:
        """See ``LeadableFeed.follow``."""
        if self.intake.leading:
            self._since_ms = self._wall_clock_ms()
        self.log.info("feed {name} follows: {because}", name=self.settings.name, because=because)
        self.intake.follow()
        # A feed that writes nothing fills no bus, and what it does not read it cannot keep.
        self.resume()

    def pause(self) -> None:
        """Stop reading from the exchange: the bus is full."""
        self._upstream_paused += 1
        self.lines.pause()

    def resume(self) -> None:
        """Read again: the bus has room."""
        self.lines.resume()

    @property
    def ready(self) -> bool:
        """See ``LeadableFeed.ready``."""
        return self.state is UpstreamState.LIVE

    @property
    def state(self) -> UpstreamState:
        """See ``Lines.state``."""
        return self.lines.state

    def bus_troubles(self) -> list[str]:
        """Return what is wrong with the bus, a line each."""
        return self._bus.troubles()

    def bus_warnings(self) -> list[str]:
        """Return what in the bus's settings may do harm, a line each."""
        return self._bus.warnings()

    def bus_figures(self) -> WriterFigures:
        """Return what the bus has counted."""
        return self._bus.figures

    def not_ready_because(self) -> list[str]:
        """Return why this feed could not write what the exchange sends, were it to lead; a line each."""
        because = self.bus_troubles()
        status = self.status()
        if self.state is not UpstreamState.LIVE:
            error = status["exchange"]["last_error"]
            because.append(f"the exchange's connection is {self.state.value}" + (f": {error}" if error else ""))
        elif len(self._stale) == len(self.symbols):
            because.append("all symbols are silent")
        return because

    def status(self) -> dict[str, Any]:
        """Return the status as ``market.status`` shows it, all times in ms since 1970.

        ``counters`` are since the feed's start; ``since_lead`` is what of it came in this lead, which is the
        feed's ``lead``-th, ``None`` while it stands by.
        """
        intake = self.intake
        counters = intake.sequencer.counters
        return {
            "feed": self.settings.name,
            "started": self._started_ms,
            "role": "leading" if intake.leading else "standby",
            "epoch": intake.epoch,
            "state": self.state.value,
            "since": self._since_ms,
            "lag_ms": intake.lag_ms,
            "exchange": {"url": self.settings.exchange_url, **self.lines.status()},
            "symbols": list(self.symbols),
            "stale": self._stale,
            "choice": self._choice_status(),
            "counters": {
                "frames": intake.frames,
                "ticks": counters.ticks,
                "books": counters.books,
                "day_updates": counters.day_updates,
                "malformed": intake.malformed,
                "ignored": intake.ignored,
                "duplicates": counters.duplicates,
                "gaps": counters.gaps,
                "missed_trades": counters.missed_trades,
                "id_resets": counters.id_resets,
                "unknown_symbols": counters.unknown_symbols,
                "upstream_paused": self._upstream_paused,
                "kept_dropped": intake.recent.dropped,
            },
            "since_lead": self._counted_in_this_lead() if intake.leading else None,
        }

    def _counted(self) -> dict[str, int]:
        counters = self.intake.sequencer.counters
        return {
            "reconnects": self.lines.reconnects,
            "gaps": counters.gaps,
            "missed_trades": counters.missed_trades,
        }

    def _counted_in_this_lead(self) -> dict[str, int]:
        counted = {name: count - self._counted_before_lead[name] for name, count in self._counted().items()}
        return {"lead": self._leads} | counted

    def _choice_status(self) -> dict[str, Any]:
        choice, unheard = self.choice, self.intake.recent.unheard()
        silent = frozenset(self._stale)
        return {
            "version": choice.version,
            "source": choice.source,
            "by": choice.by,
            "at": choice.at_ms,
            "rejected": self._refused | {symbol: NOTHING_CAME for symbol in unheard if symbol in silent},
            "awaited": [symbol for symbol in unheard if symbol not in silent],
        }

    def _connection_lost(self, reason: str) -> None:
        # What this feed misses from here on another one may get; nothing more is written that would leave it behind.
        if self.intake.leading:
            self.intake.write_batch()
            self._bus.yield_lead(f"its connection to the exchange was lost: {reason}")

    def _state_changed(self) -> None:
        if self.state is not self._state:
            self._state = self.state
            self._since_ms = self._wall_clock_ms()
            # Who was silent on the connection before says nothing of this one.
            self._stale = []
            if self._ticker.running:
                self._write_status()

    def _every_second(self) -> None:
        self._watch_stale_symbols()
        self._write_status()

    def _write_status(self) -> None:
        if self.intake.leading:
            self._bus.write_status(json.dumps(self.status()).encode())

    def _watch_stale_symbols(self) -> None:
        now_s = self._reactor.seconds()
        after_s = self.settings.stale_after_s
        if self.state is not UpstreamState.LIVE:
            # Nothing flows: the state says so already, and asking again is the connection's business.
            return
        stale = self.intake.recent.stale(now_s, after_s)
        newly = [symbol for symbol in stale if symbol not in self._stale]
        if newly:
            self.log.warn(
                "{count} symbols silent for {after_s:g} s, first {first}",
                count=len(newly),
                after_s=after_s,
                first=newly[0],
            )
        self._stale = stale
        self._ask_again({stream for symbol in stale for stream in self._streams_of(symbol)} | self._silent_days(now_s))

    def _silent_days(self, now_s: float) -> set[str]:
        # A symbol without statistics is not stale: its prices flow.
        if DAY_STREAM not in self._kinds:
            return set()
        without = self.intake.recent.without_day(now_s, max(self.settings.stale_after_s, DAY_OVERDUE_AFTER_S))
        silent = {stream_name(symbol, DAY_STREAM) for symbol in without}
        newly = silent - self._asked_again_s.keys()
        if newly:
            self.log.warn("{count} symbols trade without statistics, such as {one}", count=len(newly), one=min(newly))
        return silent

    def _ask_again(self, silent: set[str]) -> None:
        # A subscription can go silent after a good acknowledgement; once per period it is made anew.
        now_s, after_s = self._reactor.seconds(), self.settings.stale_after_s
        due = {stream for stream in silent if now_s - self._asked_again_s.get(stream, float("-inf")) >= after_s}
        self._asked_again_s = {stream: asked for stream, asked in self._asked_again_s.items() if stream in silent}
        self._asked_again_s.update(dict.fromkeys(due, now_s))
        if due:
            self.lines.resubscribe(due)
