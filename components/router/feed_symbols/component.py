"""The component by which operators see and change what the feeds follow: procedures ``feed.…`` in realm ``ops``.

Owns arguments, answers and errors; how a choice reaches the feeds is ``ways``'. What is in force is what the leading feed says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec
from autobahn.wamp import ApplicationError
from autobahn.wamp.types import CallDetails, SessionDetails
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.core.arguments import NoArguments
from components.core.market import Market
from components.core.symbol_choice import SymbolChoice, Symbols, Version, repeated
from components.environment import refuse_to_start
from components.router import runtime
from components.router.checked_procedures import register_checked
from components.router.component import RouterComponent
from components.router.feed_symbols.ways import WayToFeeds
from components.uris import (
    ERROR_INVALID_ARGUMENT,
    ERROR_NOT_KEPT,
    ERROR_NOT_READY,
    FEED_RESET_SYMBOLS,
    FEED_SET_SYMBOLS,
    FEED_SYMBOLS,
    OPERATORS_REALM,
)


class SetSymbols(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What ``feed.set_symbols`` takes."""

    symbols: Symbols
    if_version: Version | None = None
    """Only instead of the choice of that version; ``None``: whatever stands."""


class ResetSymbols(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What ``feed.reset_symbols`` takes."""

    if_version: Version | None = None


class FeedSymbols(RouterComponent):
    """One per router worker."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        if config.realm != OPERATORS_REALM:
            # Here rather than in onJoin: so the node stops before its transports listen.
            refuse_to_start(
                f"feed symbols: their component belongs into realm {OPERATORS_REALM}, was in {config.realm}"
            )

    async def onJoin(self, details: SessionDetails) -> None:
        try:
            await register_checked(self, FEED_SYMBOLS, NoArguments, self._symbols)
            await register_checked(self, FEED_SET_SYMBOLS, SetSymbols, self._set)
            await register_checked(self, FEED_RESET_SYMBOLS, ResetSymbols, self._reset)
        except Exception as error:
            # Crossbar would go on and open the transports.
            self.life_log.failure("the component of the feed's symbols cannot install itself")
            refuse_to_start(f"the component of the feed's symbols cannot install itself: {error}")

    def _symbols(self, _: NoArguments, details: CallDetails) -> dict[str, Any]:
        """Return what the leading feed follows, and why not all of what is wanted."""
        market = _market()
        choice = market.choice
        return {
            "symbols": _wanted(market),
            "source": choice.source,
            "version": choice.version,
            "by": choice.by or None,
            "at": choice.at or None,
            "rejected": choice.rejected,
            "awaited": choice.awaited,
        }

    async def _set(self, arguments: SetSymbols, details: CallDetails) -> dict[str, Any]:
        twice = repeated(arguments.symbols)
        if twice is not None:
            raise ApplicationError(ERROR_INVALID_ARGUMENT, f"symbols: must differ, {twice} is there twice")
        return await self._choose(arguments.symbols, arguments.if_version, details)

    async def _reset(self, arguments: ResetSymbols, details: CallDetails) -> dict[str, Any]:
        return await self._choose(None, arguments.if_version, details)

    async def _choose(
        self, symbols: tuple[str, ...] | None, if_version: int | None, details: CallDetails
    ) -> dict[str, Any]:
        before = _wanted(_market())
        try:
            choice = await _way().choose(symbols, details.caller_authid or "", if_version)
        except ApplicationError as error:
            self.life_log.error(
                "{operator!r} wanted other symbols: {error}",
                operator=details.caller_authid,
                error=error.error_message(),
            )
            if error.error == ERROR_NOT_KEPT:
                self._log_change(before, symbols, details)
            raise
        self._log_change(before, symbols, details)
        return _answer(choice)

    def _log_change(self, before: Iterable[str], symbols: tuple[str, ...] | None, details: CallDetails) -> None:
        if symbols is None:
            self.life_log.info(
                "{operator!r} has set the symbols back to the environment's", operator=details.caller_authid
            )
            return
        self.life_log.info(
            "{operator!r} has set {count} symbols: {added} more than before, {removed} no longer",
            operator=details.caller_authid,
            count=len(symbols),
            added=len(set(symbols).difference(before)),
            removed=len(set(before).difference(symbols)),
        )

    def onUserError(self, fail: Failure, msg: str) -> None:
        """Log what a procedure raised by mistake; an ``ApplicationError`` is none, but an answer to its caller."""
        if not isinstance(fail.value, ApplicationError):
            self.life_log.failure(msg, failure=fail)


def _market() -> Market:
    node = runtime.current()
    if node is None or node.market is None:
        raise ApplicationError(ERROR_NOT_READY, "the gateway is not up")
    if node.market.feed_silent_s is None:
        raise ApplicationError(ERROR_NOT_READY, "no feed has reported its symbols yet")
    return node.market


def _way() -> WayToFeeds:
    node = runtime.current()
    if node is None or node.way_to_feeds is None:
        raise ApplicationError(ERROR_NOT_READY, "the gateway is not up")
    return node.way_to_feeds


def _wanted(market: Market) -> list[str]:
    """Return what the leading feed is to follow: what it follows, and what the exchange refuses to send."""
    followed = frozenset(market.symbols)
    return [*market.symbols, *(symbol for symbol in market.choice.rejected if symbol not in followed)]


def _answer(choice: SymbolChoice) -> dict[str, Any]:
    return {
        "version": choice.version,
        "source": choice.source,
        "symbols": None if choice.symbols is None else list(choice.symbols),
    }
