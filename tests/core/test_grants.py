"""Who may do what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.grants import grants_of

FAMILIES = frozenset({"book", "day", "every_100ms", "every_1s"})
VIEWER = grants_of("viewer", "alice", None, (), FAMILIES)
ENTITLED = grants_of("viewer", "bob", ["BTC*", "ETHUSDT"], ["quotes", "risk-*"], FAMILIES)
SERVICE = grants_of("service", "quotes", None, (), FAMILIES)
OPERATOR = grants_of("operator", "olga", None, (), FAMILIES)


@pytest.mark.parametrize(
    ("grants", "action", "uri", "match", "allowed"),
    [
        (VIEWER, "subscribe", "market.BTCUSDT", "exact", True),
        (VIEWER, "subscribe", "market.BTCUSDT.book", "exact", True),
        (VIEWER, "subscribe", "market.BTCUSDT.day", "exact", True),
        (VIEWER, "subscribe", "market..day", "wildcard", True),
        (VIEWER, "subscribe", "market.BTCUSDT.days", "exact", False),
        (VIEWER, "subscribe", "market.", "prefix", True),
        (VIEWER, "subscribe", "market..book", "wildcard", True),
        (VIEWER, "subscribe", "market.status", "exact", True),
        (VIEWER, "subscribe", "", "prefix", False),
        (VIEWER, "subscribe", "m", "prefix", False),
        (VIEWER, "subscribe", "market", "prefix", False),
        (VIEWER, "subscribe", ".BTCUSDT", "wildcard", False),
        (VIEWER, "subscribe", "crosstick.bus.push", "exact", False),
        (VIEWER, "subscribe", "wamp.session.on_join", "exact", False),
        (VIEWER, "subscribe", "services.quotes.vwap", "exact", False),
        (VIEWER, "call", "market.snapshot", "exact", True),
        (VIEWER, "call", "market.other", "exact", False),
        (VIEWER, "call", "crosstick.bus.push", "exact", False),
        (VIEWER, "call", "crosstick.authorize", "exact", False),
        (VIEWER, "call", "wamp.session.list", "exact", False),
        (VIEWER, "call", "wamp.session.kill", "exact", False),
        (VIEWER, "publish", "market.BTCUSDT", "exact", False),
        (VIEWER, "register", "market.mine", "exact", False),
        (VIEWER, "publish", "services.alice.x", "exact", False),
        (VIEWER, "register", "services.alice.x", "exact", False),
        (VIEWER, "subscribe", "market.BTCUSDT.every_1s", "exact", True),
        (VIEWER, "subscribe", "market.BTCUSDT.every_7ms", "exact", False),
        (VIEWER, "subscribe", "market.BTCUSDT.every_1s.x", "exact", False),
        (VIEWER, "subscribe", "market.BTCUSDT.depth", "exact", False),
        (VIEWER, "subscribe", "market..every_1s", "wildcard", True),
        (VIEWER, "subscribe", "market..every_7ms", "wildcard", False),
        (VIEWER, "subscribe", "market.BTCUSDT.every_", "prefix", True),
        (VIEWER, "subscribe", "market.BTCUSDT.every_7", "prefix", False),
        (OPERATOR, "subscribe", "market.BTCUSDT.every_7ms", "exact", False),
        (ENTITLED, "subscribe", "market.BTCUSDT.every_1s", "exact", True),
        (ENTITLED, "subscribe", "market.ETHUSDT.every_100ms", "exact", True),
        (ENTITLED, "subscribe", "market.ETHUSDTX.every_100ms", "exact", False),
        (ENTITLED, "subscribe", "market.SOLUSDT.every_1s", "exact", False),
        (ENTITLED, "subscribe", "market.ETHUSDT.every_7ms", "exact", False),
        (ENTITLED, "subscribe", "market.ETHUSDT.every_", "prefix", False),
        (ENTITLED, "subscribe", "market..every_1s", "wildcard", False),
        (ENTITLED, "subscribe", "market.BTCUSDT", "exact", True),
        (ENTITLED, "subscribe", "market.ETHUSDT.book", "exact", True),
        (ENTITLED, "subscribe", "market.ETHUSDT.day", "exact", True),
        (ENTITLED, "subscribe", "market.SOLUSDT.day", "exact", False),
        (ENTITLED, "subscribe", "market..day", "wildcard", False),
        (ENTITLED, "subscribe", "market.SOLUSDT", "exact", False),
        (ENTITLED, "subscribe", "market.SOLUSDT.book", "exact", False),
        (ENTITLED, "subscribe", "market.", "prefix", False),
        (ENTITLED, "subscribe", "market.BTC", "prefix", False),
        (ENTITLED, "subscribe", "market..book", "wildcard", False),
        (ENTITLED, "subscribe", "services.quotes.vwap.BTCUSDT", "exact", True),
        (ENTITLED, "subscribe", "services.quotes.", "prefix", True),
        (ENTITLED, "subscribe", "services.", "prefix", False),
        (ENTITLED, "subscribe", "services.quotes", "prefix", False),
        (ENTITLED, "subscribe", "services..vwap", "wildcard", False),
        (ENTITLED, "call", "services.risk-eu.limit", "exact", True),
        (ENTITLED, "call", "services.quotesx.vwap", "exact", False),
        (ENTITLED, "publish", "services.quotes.vwap", "exact", False),
        (ENTITLED, "register", "services.quotes.vwap", "exact", False),
        (SERVICE, "publish", "services.quotes.vwap.BTCUSDT", "exact", True),
        (SERVICE, "register", "services.quotes.vwap", "exact", True),
        (SERVICE, "register", "services.quotes.", "prefix", False),
        (SERVICE, "publish", "services.risk.x", "exact", False),
        (SERVICE, "publish", "market.BTCUSDT", "exact", False),
        (SERVICE, "register", "market.snapshot", "exact", False),
        (SERVICE, "subscribe", "market.BTCUSDT", "exact", True),
        (OPERATOR, "subscribe", "services.quotes.vwap", "exact", True),
        (OPERATOR, "subscribe", "services.", "prefix", False),
        (OPERATOR, "call", "services.quotes.vwap", "exact", False),
        (OPERATOR, "publish", "market.BTCUSDT", "exact", False),
        (OPERATOR, "publish", "services.quotes.vwap", "exact", False),
    ],
)
def test_rights_are_the_least_that_the_role_needs(
    grants: object, action: str, uri: str, match: str, allowed: bool
) -> None:
    assert grants.allows(action, uri, match) is allowed  # type: ignore[attr-defined]


@given(st.text(max_size=12), st.sampled_from(["prefix", "wildcard"]))
def test_no_pattern_reaches_a_symbol_that_the_token_does_not_grant(tail: str, match: str) -> None:
    assert not ENTITLED.allows("subscribe", "market." + tail, match)


@given(st.text("BTCEHUSDX", max_size=9), st.sampled_from(["", ".book", ".every_1s", ".every_100ms"]))
def test_a_symbols_topics_are_granted_all_or_none(symbol: str, family: str) -> None:
    assert ENTITLED.allows("subscribe", f"market.{symbol}{family}") is ENTITLED.grants_symbol(symbol)


@given(st.text(max_size=30), st.sampled_from(["publish", "register"]))
def test_a_viewer_never_publishes_nor_registers(uri: str, action: str) -> None:
    assert not ENTITLED.allows(action, uri)
