"""Retained events inside a real router: behind SUBSCRIBED, before what follows, and never twice."""

from __future__ import annotations

import pytest
from autobahn.wamp import message

from components.core.payload import EncodedPayload
from components.uris import MARKET_STATUS
from tests.harness.inside import InsideRouter


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def subscribed(self, uri: str, match: str) -> None:
        self.told.append(("subscribed", uri, match))

    def unsubscribed(self, uri: str, match: str) -> None:
        self.told.append(("unsubscribed", uri, match))


class World(InsideRouter):
    """A router whose sessions are given the newest of what was published."""

    def __init__(self) -> None:
        self.listener = Listener()
        self.newest: dict[str, EncodedPayload] = {}
        super().__init__(lambda session, uri, match: list(self.newest.items()), self.listener)

    def publish(self, topic: str, number: int) -> None:
        payload = self.newest[topic] = EncodedPayload(b"%d" % number)
        self.seam.publish_batch([(topic, payload)])


@pytest.mark.parametrize("with_outlet", [True, False], ids=["client", "in-router"])
def test_a_snapshot_comes_behind_subscribed_and_before_what_is_published_later(with_outlet: bool) -> None:
    world = World()
    world.publish("market.BTCUSDT", 1)
    world.publish("market.ETHUSDT", 2)
    session = world.session(with_outlet=with_outlet)
    subscription = session.subscribe("market.", "prefix", get_retained=True)
    world.publish("market.BTCUSDT", 3)
    world.clock.advance(1.0)
    subscribed, *events = session.received
    assert subscribed[0] == 33
    assert [event[1] for event in events] == [subscription] * 3
    assert session.events == [
        ({"topic": "market.BTCUSDT", "retained": True}, 1),
        ({"topic": "market.ETHUSDT", "retained": True}, 2),
        ({"topic": "market.BTCUSDT"}, 3),
    ]


def test_what_waits_in_the_fan_outs_window_and_is_in_the_snapshot_does_not_come_again() -> None:
    world = World()
    other = world.session()
    other.subscribe("market.", "prefix")
    for number in (1, 2, 3):
        world.publish("market.BTCUSDT", number)
    assert len(other.events) < 3
    session = world.session()
    session.subscribe("market.", "prefix", get_retained=True)
    world.publish("market.BTCUSDT", 4)
    world.clock.advance(1.0)
    assert [argument for _, argument in session.events] == [3, 4]
    assert [argument for _, argument in other.events] == [1, 2, 3, 4]


def test_a_snapshot_is_one_write() -> None:
    world = World()
    for number in range(200):
        world.publish(f"market.S{number}", number)
    session = world.session()
    session.subscribe("market.", "prefix", get_retained=True)
    assert len(session.events) == 200
    # SUBSCRIBED is the other one.
    assert session.writes == 2


def test_an_exact_subscription_is_not_told_the_topic() -> None:
    world = World()
    world.publish("market.BTCUSDT", 1)
    session = world.session()
    session.subscribe("market.BTCUSDT", get_retained=True)
    assert session.events == [({"retained": True}, 1)]


def test_without_get_retained_there_is_no_snapshot() -> None:
    world = World()
    world.publish("market.BTCUSDT", 1)
    session = world.session()
    session.subscribe("market.", "prefix")
    assert session.events == []


@pytest.mark.parametrize(
    ("uri", "match"), [("market.BTCUSDT", "exact"), ("market.", "prefix"), ("market..", "wildcard")]
)
def test_who_is_refused_gets_nothing_and_leaves_nothing(uri: str, match: str) -> None:
    world = World()
    world.publish("market.BTCUSDT", 1)
    world.granted = False
    session = world.session()
    assert session.subscribe(uri, match, get_retained=True) == "wamp.error.not_authorized"
    assert session.events == []
    assert world.router._broker._subscription_map.get_observation(uri, match) is None


def test_a_subscription_leaves_nothing_in_crossbars_map_when_it_ends() -> None:
    world = World()
    world.publish("market.BTCUSDT", 1)
    session = world.session()
    session.unsubscribe(session.subscribe("market.BTCUSDT", get_retained=True))
    assert world.router._broker._subscription_map.get_observation("market.BTCUSDT") is None


def test_what_crossbar_retains_is_given_by_crossbar() -> None:
    world = World()
    world.newest.clear()
    publisher, session = world.session(), world.session()
    publish = message.Publish(1, MARKET_STATUS, args=[{"state": "live"}], retain=True)
    world.router.process(publisher, publish)
    session.subscribe(MARKET_STATUS, get_retained=True)
    assert session.events == [({"retained": True}, {"state": "live"})]


def test_a_blocked_session_gets_its_snapshot_with_the_reply() -> None:
    world = World()
    world.publish("market.BTCUSDT", 1)
    session = world.session()
    assert session.outlet is not None
    session.outlet.pauseProducing()
    session.subscribe("market.", "prefix", get_retained=True)
    world.publish("market.BTCUSDT", 2)
    world.clock.advance(1.0)
    assert [argument for _, argument in session.events] == [1]
    session.outlet.resumeProducing()
    assert [argument for _, argument in session.events] == [1, 2]


def test_the_first_and_the_last_session_of_a_subscription_are_told_and_no_other() -> None:
    world = World()
    first, second = world.session(), world.session()
    inside = world.session(with_outlet=False)
    exact = first.subscribe("market.BTCUSDT")
    second.subscribe("market.BTCUSDT")
    second.subscribe("market.BTCUSDT")
    inside.subscribe("market.BTCUSDT")
    second.subscribe("market.", "prefix")
    assert world.listener.told == [("subscribed", "market.BTCUSDT", "exact"), ("subscribed", "market.", "prefix")]
    world.listener.told.clear()
    first.unsubscribe(exact)
    assert world.listener.told == []
    second.leave()
    assert sorted(world.listener.told) == [
        ("unsubscribed", "market.", "prefix"),
        ("unsubscribed", "market.BTCUSDT", "exact"),
    ]
