"""The bodies of ``/api``: JSON around the feed's own bytes, of the symbols that a token grants. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from components.core.grants import Grants
from components.core.market import Market
from components.router.http_api.problems import not_ready, unknown_symbol
from components.router.http_api.query import Query


def ticks(market: Market, grants: Grants, query: Query) -> bytes:
    """Return the newest events of some symbols; see ``Market.snapshot``.

    Raises:
        ApiError: the feed has not reported its symbols, or one is unknown or not granted.
    """
    known = _symbols(market)
    if query.symbols is None:
        return market.snapshot(filter(grants.grants_symbol, known))
    check_known(known, grants, query.symbols)
    return market.snapshot(query.symbols)


def tick(market: Market, grants: Grants, symbol: str) -> bytes:
    """Return the newest events of one symbol: ``{"epoch":…,"symbol":"BTCUSDT",…}``, the rest as in ``Market.snapshot``.

    Raises:
        ApiError: as above.
    """
    check_known(_symbols(market), grants, (symbol,))
    return b'{"epoch":%d,"symbol":"%b",%b}' % (market.epoch, symbol.encode(), market.newest(symbol))


def symbols(market: Market, grants: Grants) -> bytes:
    """Return the symbols that are granted: ``{"symbols":["BTCUSDT",…]}``.

    Raises:
        ApiError: the feed has not reported its symbols.
    """
    return msgspec.json.encode({"symbols": list(filter(grants.grants_symbol, _symbols(market)))})


def status(market: Market, grants: Grants) -> bytes:
    """Return what the procedure ``market.status`` answers, with the silent ones of the symbols that are granted."""
    stale = list(filter(grants.grants_symbol, market.stale))
    return msgspec.json.encode(market.status() | {"stale_symbols": stale})


def check_known(known: Iterable[str], grants: Grants, wanted: Iterable[str]) -> None:
    """See to it that symbols are there and granted.

    Raises:
        ApiError: one is not; which of both is not said.
    """
    there = frozenset(known)
    for symbol in wanted:
        if symbol not in there or not grants.grants_symbol(symbol):
            raise unknown_symbol(symbol)


def _symbols(market: Market) -> list[str]:
    if not market.symbols:
        raise not_ready("no feed has reported its symbols yet")
    return market.symbols
