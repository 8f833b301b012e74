"""The market as plain sessions need to know it: which symbols there are, and what was missed. Never touches a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from components.core.grants import Grants
from components.core.market import Market
from components.core.rates import Rate
from components.core.replay import ReplayPage, TickHistory
from components.core.topics import STREAMS


class ListedListener(Protocol):
    """Who is told when the exchange lists other symbols than before."""

    def listed(self) -> None:
        """Be told so."""


class MarketView:
    """One per realm with a market."""

    def __init__(
        self,
        market: Market,
        history: TickHistory,
        awaits_history: Callable[[], bool],
        grants_of: Callable[[Any], Grants],
        rates: Iterable[Rate],
    ) -> None:
        """See what these know; ``grants_of`` returns the rights of a session."""
        self._market = market
        self._history = history
        self.awaits_history = awaits_history
        """Tells whether ``page`` may still miss ticks that come later."""
        self._grants_of = grants_of
        self.rates = {rate.interval_ms: rate.name for rate in rates}
        """Names by interval in ms."""
        self.families = (*STREAMS.values(), *self.rates.values())
        """What there is of a symbol."""
        self._listeners: dict[ListedListener, None] = {}
        self._symbols: list[str] = []
        self._listed: tuple[list[str], frozenset[str]] = ([], frozenset())
        """The market's list, and the same as a set."""

    @property
    def is_known(self) -> bool:
        """Whether a feed has reported its symbols."""
        return bool(self._market.symbols)

    @property
    def epoch(self) -> int:
        """The epoch of the ticks that ``page`` returns."""
        return self._history.epoch

    def granted(self, session: Any) -> list[str]:
        """Return the symbols that there are and a session may see."""
        grants = self._grants_of(session)
        return [symbol for symbol in self._market.symbols if grants.grants_symbol(symbol)]

    def grants(self, session: Any, symbol: str) -> bool:
        """Tell whether there is a symbol, and a session may see it: what a request for one symbol costs has nothing to do with
        how many there are.
        """
        symbols = self._market.symbols
        if symbols is not self._listed[0]:
            self._listed = symbols, frozenset(symbols)
        return symbol in self._listed[1] and self._grants_of(session).grants_symbol(symbol)

    def page(self, symbol: str, epoch: int, after_seq: int, most_events: int) -> ReplayPage:
        """Return what followed a tick; see ``TickHistory.page``."""
        return self._history.page(symbol, epoch, after_seq, most_events)

    def listen(self, listener: ListedListener) -> None:
        """Tell one more when other symbols are listed."""
        self._listeners[listener] = None

    def leave(self, listener: ListedListener) -> None:
        """Tell it no more."""
        self._listeners.pop(listener, None)

    def watch(self) -> None:
        """Look whether other symbols are listed; to be called every second."""
        symbols = self._market.symbols
        if symbols != self._symbols:
            self._symbols = symbols
            for listener in tuple(self._listeners):
                listener.listed()
