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
from components.router.checked_procedures import register_checked
from components.uris import (
    ERROR_NOT_READY,
    ERROR_UNKNOWN_SYMBOL,
    MARKET_SNAPSHOT,
    MARKET_STATUS,
    MARKET_SYMBOLS,
)

MAX_SNAPSHOT_SYMBOLS = 2000
Symbol = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]{1,20}\Z")]
"""What could be one."""


class SnapshotArguments(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What ``market.snapshot`` takes."""

    symbols: Annotated[list[Symbol], Meta(max_length=MAX_SNAPSHOT_SYMBOLS)] | None = None


class MarketApi:
    """Answers for the market, with what the caller's token grants."""

    def __init__(self, market: Market, grants_of_caller: Callable[[CallDetails], Grants]) -> None:
        """``grants_of_caller`` returns the rights of who calls, or raises an ``ApplicationError``."""
        self._market = market
        self._grants_of_caller = grants_of_caller

    async def register(self, session: Any) -> None:
        """Register the procedures on an in-router session."""
        await register_checked(session, MARKET_SYMBOLS, NoArguments, self.symbols)
        await register_checked(session, MARKET_STATUS, NoArguments, self.status)
        await register_checked(session, MARKET_SNAPSHOT, SnapshotArguments, self.snapshot)

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
        if not self._market.symbols:
            raise ApplicationError(ERROR_NOT_READY, "no feed has reported its symbols yet")
        # A symbol that the token does not grant is answered like one that does not exist.
        unknown = sorted(set(wanted) - set(known))
        if unknown:
            raise ApplicationError(ERROR_UNKNOWN_SYMBOL, f"unknown symbol {unknown[0]}")
        return EncodedPayload(self._market.snapshot(wanted))

    def _granted(self, grants: Grants) -> list[str]:
        return [symbol for symbol in self._market.symbols if grants.grants_symbol(symbol)]
