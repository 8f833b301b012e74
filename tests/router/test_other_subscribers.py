"""Sessions that the fan-out does not serve, such as in-router components, get what clients get."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

from components.core.outbox import Condenser
from components.core.outbox_settings import OutboxSettings
from components.core.payload import EncodedPayload
from components.router.engine.blocked import HoldLimits
from components.router.seam.router_seam import RouterSeam
from tests.harness.inside import InsideRouter, Nobody

TICK = ("market.BTCUSDT", EncodedPayload(b'{"seq":1}'))


def test_a_component_that_subscribes_gets_events_until_it_unsubscribes() -> None:
    inside = InsideRouter(lambda session, uri, match: [], Nobody())
    component = inside.session(with_outlet=False)
    inside.seam.publish_batch([TICK])
    subscription = component.subscribe("market.BTCUSDT")
    inside.seam.publish_batch([TICK])
    component.unsubscribe(subscription)
    inside.seam.publish_batch([TICK])
    assert component.events == [({}, {"seq": 1})]


def test_one_that_subscribed_before_the_seam_took_the_router_over_does_too_and_so_does_a_later_one() -> None:
    inside = InsideRouter(lambda session, uri, match: [], Nobody())
    early = inside.session(with_outlet=False)
    subscription = early.subscribe("market.BTCUSDT")
    component = SimpleNamespace(_transport=SimpleNamespace(_router=inside.router))
    seam = RouterSeam(
        component,
        inside.clock,
        inside._decide,
        lambda session, uri, match: [],
        Nobody(),
        partial(Condenser, OutboxSettings()),
        0.005,
        HoldLimits(),
    )
    seam.publish_batch([TICK])
    early.unsubscribe(subscription)
    later = inside.session(with_outlet=False)
    later.subscribe("market.BTCUSDT")
    seam.publish_batch([TICK])
    assert early.events == later.events == [({}, {"seq": 1})]
