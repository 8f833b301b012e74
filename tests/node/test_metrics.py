"""``/metrics``: what was refused, and why connections were closed, can be seen from outside."""

from __future__ import annotations

from collections.abc import Callable

import pytest_twisted
from autobahn.wamp import ApplicationError
from twisted.internet import reactor

from tests.harness.client import Clients, Refused, until
from tests.harness.node import Node, with_limits


@pytest_twisted.ensureDeferred
async def test_refusals_and_closed_connections_are_counted(make_node: Callable[..., Node], clients: Clients) -> None:
    node = make_node(
        change_config=with_limits(max_sessions=1, max_subscriptions=1, refusals_burst=1, refusals_per_s=0.001)
    )
    node.start()
    client = await clients.join(node.ws_url, authid="alice", ticket=node.token("alice"))
    for ticket in (node.token("bob"), "nonsense"):
        try:
            await clients.join(node.ws_url, authid="bob", ticket=ticket)
        except Refused:
            continue
        raise AssertionError("was let in")
    before = node.metrics()
    assert before["crosstick_token_keys",] == 1
    assert before["crosstick_sessions", "market"] == 1
    assert before["crosstick_refusals_total", "max_sessions", "market"] == 1
    assert before["crosstick_refusals_total", "max_subscriptions", "market"] == 0
    assert before["crosstick_refusals_total", "max_sessions", "ops"] == 0
    assert before["crosstick_refused_tickets_total", "malformed"] == 1
    assert before["crosstick_disconnects_total", "crosstick.close.limit_exceeded"] == 0
    assert before["crosstick_ping_failures_total",] == 0
    for symbol in ("BTCUSDT", "ETHUSDT", "BNBUSDT"):
        client.subscribe(lambda tick: None, f"market.{symbol}").addErrback(
            lambda failure: failure.trap(ApplicationError, ConnectionError)
        )
    assert (await client.left).reason == "crosstick.close.limit_exceeded"
    await until(reactor, lambda: node.metrics()["crosstick_sessions", "market"] == 0)
    after = node.metrics()
    assert after["crosstick_refusals_total", "max_subscriptions", "market"] == 2
    assert after["crosstick_disconnects_total", "crosstick.close.limit_exceeded"] == 1
