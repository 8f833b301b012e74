"""``/metrics``: what was refused, and why connections were closed, can be seen from outside."""

from __future__ import annotations

from collections.abc import Callable

import pytest_twisted
from autobahn.wamp import ApplicationError
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor

from tests.harness.client import Clients, Refused, until
from tests.harness.node import Node, with_limits


def metrics(node: Node) -> dict[tuple[str, ...], float]:
    """Return the node's samples by name and the values of its labels, in the order of their names."""
    status, headers, body = node.get("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


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
    before = metrics(node)
    assert before["crosstick_sessions", "market"] == 1
    assert before["crosstick_refusals_total", "max_sessions", "market"] == 1
    assert before["crosstick_refusals_total", "max_subscriptions", "market"] == 0
    assert before["crosstick_refusals_total", "max_sessions", "ops"] == 0
    assert before["crosstick_refused_tickets_total", "malformed"] == 1
    assert before["crosstick_closed_connections_total", "crosstick.close.limit_exceeded"] == 0
    assert before["crosstick_ping_failures_total",] == 0
    for symbol in ("BTCUSDT", "ETHUSDT", "BNBUSDT"):
        client.subscribe(lambda tick: None, f"market.{symbol}").addErrback(
            lambda failure: failure.trap(ApplicationError, ConnectionError)
        )
    assert (await client.left).reason == "crosstick.close.limit_exceeded"
    await until(reactor, lambda: metrics(node)["crosstick_sessions", "market"] == 0)
    after = metrics(node)
    assert after["crosstick_refusals_total", "max_subscriptions", "market"] == 2
    assert after["crosstick_closed_connections_total", "crosstick.close.limit_exceeded"] == 1
