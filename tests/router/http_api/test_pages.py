"""The bodies of ``/api``: the feed's own bytes, of the symbols that a token grants."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from components.core.batch import Batch
from components.core.grants import Grants, grants_of
from components.core.market import Market
from components.router.http_api import pages
from components.router.http_api.problems import ApiError
from components.router.http_api.query import Query
from components.uris import ERROR_NOT_READY, ERROR_UNKNOWN_SYMBOL

TICK = b'{"symbol":"BTCUSDT","price":62520.15000000,"seq":7}'
BOOK = b'{"symbol":"BTCUSDT","bid":0.10000000000000000001,"seq":3}'

DAY = b'{"symbol":"BTCUSDT","last":62520.15000000,"volume":12345.67800000,"seq":2}'


def granting(symbols: Sequence[str] | None = None) -> Grants:
    return grants_of("viewer", "alice", symbols, (), frozenset())


@pytest.fixture
def market() -> Market:
    """Return a market of two symbols, of which one has had events."""
    made = Market(lambda: 0.0, lambda: 0.0)
    status = {"epoch": 5, "state": "live", "symbols": ["BTCUSDT", "ETHUSDT"], "stale": ["ETHUSDT"]}
    made.take_status(json.dumps(status).encode())
    events = [("market.BTCUSDT", 7, TICK), ("market.BTCUSDT.book", 3, BOOK), ("market.BTCUSDT.day", 2, DAY)]
    made.take_batch(Batch(5, 1, events))
    return made


def test_payloads_are_the_feeds_own_bytes(market: Market) -> None:
    body = pages.ticks(market, granting(), Query(("BTCUSDT",)))
    assert body == b'{"epoch":5,"symbols":{"BTCUSDT":{"tick":%b,"book":%b,"day":%b}}}' % (TICK, BOOK, DAY)
    body = pages.tick(market, granting(), "BTCUSDT")
    assert body == b'{"epoch":5,"symbol":"BTCUSDT","tick":%b,"book":%b,"day":%b}' % (TICK, BOOK, DAY)


def test_what_has_not_been_is_null(market: Market) -> None:
    answer = json.loads(pages.tick(market, granting(), "ETHUSDT"))
    assert answer == {"epoch": 5, "symbol": "ETHUSDT", "tick": None, "book": None, "day": None}


def test_without_names_all_symbols_of_the_token_are_meant(market: Market) -> None:
    assert list(json.loads(pages.ticks(market, granting(), Query()))["symbols"]) == ["BTCUSDT", "ETHUSDT"]
    assert list(json.loads(pages.ticks(market, granting(["E*"]), Query()))["symbols"]) == ["ETHUSDT"]
    assert json.loads(pages.symbols(market, granting(["E*"]))) == {"symbols": ["ETHUSDT"]}


def test_of_the_silent_symbols_those_of_the_token_are_named(market: Market) -> None:
    assert json.loads(pages.status(market, granting()))["stale_symbols"] == ["ETHUSDT"]
    answer = json.loads(pages.status(market, granting(["BTC*"])))
    assert (answer["stale_symbols"], answer["stale"], answer["symbols"]) == ([], 1, 2)


def test_an_unknown_symbol_and_one_that_is_not_granted_look_alike(market: Market) -> None:
    answers = []
    for grants, symbol in ((granting(), "NOPE"), (granting(["ETH*"]), "NOPE"), (granting(["X*"]), "BTCUSDT")):
        for ask in (lambda g, s: pages.tick(market, g, s), lambda g, s: pages.ticks(market, g, Query((s,)))):
            with pytest.raises(ApiError) as caught:
                ask(grants, symbol)
            assert caught.value.uri == ERROR_UNKNOWN_SYMBOL
            answers.append(caught.value.body().replace(symbol.encode(), b""))
    assert len(set(answers)) == 1


def test_before_the_feed_has_told_its_symbols_nothing_is_unknown() -> None:
    empty = Market(lambda: 0.0, lambda: 0.0)
    for ask in (lambda: pages.ticks(empty, granting(), Query()), lambda: pages.tick(empty, granting(), "NOPE")):
        with pytest.raises(ApiError) as caught:
            ask()
        assert caught.value.uri == ERROR_NOT_READY
        assert int(caught.value.headers[b"Retry-After"]) >= 1
    assert json.loads(pages.status(empty, granting()))["state"] == "feed_lost"
