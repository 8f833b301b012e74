"""What clients of a real router hear of an epoch, and when: more of them than Crossbar sends an event to at once."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from autobahn import util
from autobahn.wamp import message

from components.core.batch import Batch
from components.core.market import Market
from components.core.replay import ReplaySettings, TickHistory
from components.router.relay import Relay
from components.uris import MARKET_STATUS
from tests.harness.inside import InsideRouter, Nobody

CLIENTS = 150


def batch(epoch: int, number: int, seq: int) -> Batch:
    return Batch(epoch, number, [("market.BTCUSDT", seq, b'{"seq":%d}' % seq)])


@pytest.mark.parametrize("status_comes", ["before the last event of the old one", "after the first of the new one"])
def test_every_client_hears_of_an_epoch_between_the_events_of_the_old_one_and_the_new_one(status_comes: str) -> None:
    inside = InsideRouter(lambda session, uri, match: [], Nobody())
    gateway = inside.session(with_outlet=False)
    clients = [inside.session() for _ in range(CLIENTS)]
    for client in clients:
        client.subscribe(MARKET_STATUS)
        client.subscribe("market.BTCUSDT")

    def publish_status(status: dict[str, Any]) -> None:
        inside.router.process(gateway, message.Publish(util.id(), MARKET_STATUS, args=[status], retain=True))

    seconds = inside.clock.seconds
    rates: Any = SimpleNamespace(active=False)
    retained: Any = SimpleNamespace(status=b"")
    relay = Relay(
        Market(seconds, seconds),
        TickHistory(ReplaySettings(), seconds),
        rates,
        retained,
        inside.seam.publish_batch,
        publish_status,
        seconds,
    )

    def hear(epoch: int) -> None:
        relay.take_status(json.dumps({"epoch": epoch, "state": "live", "symbols": ["BTCUSDT"], "stale": []}).encode())

    hear(7)
    relay.take_batch(batch(7, 1, 1))
    if status_comes.startswith("before"):
        hear(8)
    relay.take_batch(batch(7, 2, 2))
    relay.take_batch(batch(8, 1, 1))
    hear(8)
    for _ in range(20):
        inside.clock.advance(0.01)
    for client in clients:
        # Of the first status those beyond the first hundred hear when the process's own loop comes round.
        epoch, ticks = 7, []
        for _, event in client.events:
            epoch = event.get("epoch", epoch)
            if "seq" in event:
                ticks.append((epoch, event["seq"]))
        assert ticks == [(7, 1), (7, 2), (8, 1)]
