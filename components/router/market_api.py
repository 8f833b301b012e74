"""The market's procedures: what they take, and what they answer to whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from autobahn.wamp import ApplicationError
from autobahn.wamp.types import CallDetails
from msgspec import Meta

from components.core.arguments import NoArguments
from components.core.grants import Grants
from components.core.market import Market
from components.core.payload import EncodedPayload
from components.core.replay import SeqAhead, TickHistory
from components.router.checked_procedures import register_checked
from components.uris import (
    ERROR_INVALID_ARGUMENT,
    ERROR_NOT_READY,
    ERROR_UNKNOWN_SYMBOL,
    MARKET_REPLAY,
    MARKET_SNAPSHOT,
    MARKET_STATUS,
    MARKET_SYMBOLS,
    MARKET_TIME,
)

MAX_SNAPSHOT_SYMBOLS = 2000
Symbol = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]{1,20}\Z")]
"""What could be one."""


class SnapshotArguments(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What ``market.snapshot`` takes."""

    symbols: Annotated[list[Symbol], Meta(max_length=MAX_SNAPSHOT_SYMBOLS)] | None = None


Whole = Annotated[int, Meta(ge=0, le=2**53)]
"""What a JavaScript client can count to."""


class ReplayArguments(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What ``market.replay`` takes."""

    symbol: Symbol
    epoch: Whole
    after_seq: Whole


class MarketApi:
    """Answers for the market, with what the caller's token grants."""

    def __init__(
        self,
        market: Market,
        history: TickHistory,
        awaits_history: Callable[[], bool],
        grants_of_caller: Callable[[CallDetails], Grants],
        time_s: Callable[[], float],
    ) -> None:
        """Answer with what these know.

        ``awaits_history`` tells whether ``history`` may still get older ticks; ``grants_of_caller`` returns the rights of who
        calls, or raises an ``ApplicationError``; ``time_s`` is the wall clock, s since 1970.
        """
        self._market = market
        self._history = history
        self._awaits_history = awaits_history
        self._grants_of_caller = grants_of_caller
        self._time_s = time_s

    async def register(self, session: Any) -> None:
        """Register the procedures on an in-router session."""
        await register_checked(session, MARKET_SYMBOLS, NoArguments, self.symbols)
        await register_checked(session, MARKET_STATUS, NoArguments, self.status)
        await register_checked(session, MARKET_SNAPSHOT, SnapshotArguments, self.snapshot)
        await register_checked(session, MARKET_REPLAY, ReplayArguments, self.replay)
        await register_checked(session, MARKET_TIME, NoArguments, self.time)

    def symbols(self, _: NoArguments, details: CallDetails) -> list[str]:
        """Return the symbols that the caller's token grants."""
        return self._granted(self._grants_of_caller(details))

    def status(self, _: NoArguments, details: CallDetails) -> dict[str, Any]:
        """Return how the market stands, with the silent ones of the caller's symbols."""
        grants = self._grants_of_caller(details)
        stale = [symbol for symbol in self._market.stale if grants.grants_symbol(symbol)]
        return self._market.status() | {"stale_symbols": stale}

    def snapshot(self, arguments: SnapshotArguments, details: CallDetails) -> EncodedPayload:
        """Return the newest events of some symbols, or of all that the caller's token grants."""
        known = self._granted(self._grants_of_caller(details))
        wanted = known if arguments.symbols is None else list(dict.fromkeys(arguments.symbols))
        self._check_ready()
        unknown = sorted(set(wanted) - set(known))
        if unknown:
            raise _unknown(unknown[0])
        return EncodedPayload(self._market.snapshot(wanted))

    def replay(self, arguments: ReplayArguments, details: CallDetails) -> EncodedPayload:
        """Return a symbol's ticks that followed one of the given epoch, as far as they are kept and fit into an answer."""
        grants = self._grants_of_caller(details)
        self._check_ready()
        if arguments.symbol not in self._market.symbols or not grants.grants_symbol(arguments.symbol):
            raise _unknown(arguments.symbol)
        if self._awaits_history():
            # A client would take what is not here yet for gone.
            raise ApplicationError(ERROR_NOT_READY, "the bus's history is being read")
        try:
            return EncodedPayload(self._history.replay(arguments.symbol, arguments.epoch, arguments.after_seq))
        except SeqAhead as error:
            raise ApplicationError(ERROR_INVALID_ARGUMENT, f"{error}, was {arguments.after_seq}") from None

    def time(self, _: NoArguments, details: CallDetails) -> int:
        """Return the gateway's wall clock, ms since 1970, by which a client learns how far its own differs."""
        return int(self._time_s() * 1000)

    def _check_ready(self) -> None:
        if not self._market.symbols:
            raise ApplicationError(ERROR_NOT_READY, "no feed has reported its symbols yet")

    def _granted(self, grants: Grants) -> list[str]:
        return [symbol for symbol in self._market.symbols if grants.grants_symbol(symbol)]


def _unknown(symbol: str) -> ApplicationError:
    """Return the answer for a symbol that there is not, and for one that the token does not grant: nobody can tell which."""
    return ApplicationError(ERROR_UNKNOWN_SYMBOL, f"unknown symbol {symbol}")
