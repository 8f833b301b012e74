"""Retained events inside a real router: behind SUBSCRIBED, before what follows, and never twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from autobahn.wamp import message
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.payload import EncodedPayload
from components.core.topics import matches
from components.uris import MARKET_STATUS
from tests.harness.inside import InsideRouter, InsideSession


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
        super().__init__(self._newest_of, self.listener)

    def _newest_of(self, session: object, uri: str, match: str) -> list[tuple[str, EncodedPayload]]:
        return [(topic, payload) for topic, payload in self.newest.items() if matches(uri, match, topic)]

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


TOPICS = ["services.a.1", "services.b.1"]
numbers = st.integers(0, 1)
uris = st.sampled_from([("services.a.1", "exact"), ("services.a.", "prefix"), ("services..1", "wildcard")])
steps = st.one_of(
    # A burst, of which all but the first event wait in the fan-out's window.
    st.tuples(st.just("publish"), st.lists(st.sampled_from(TOPICS), min_size=1, max_size=3)),
    st.tuples(st.just("subscribe"), numbers, uris, st.booleans()),
    st.tuples(st.just("subscribe"), numbers, uris, st.booleans()),
    st.tuples(st.just("unsubscribe"), numbers, uris),
    st.tuples(st.just("advance"), st.sampled_from([0.001, 0.004, 0.1])),
    st.tuples(st.just("block"), numbers),
    st.tuples(st.just("unblock"), numbers),
)


class Checked:
    """Sessions, and from which event on each of their subscriptions is to have every event."""

    def __init__(self) -> None:
        self.world = World()
        self.sessions = [self.world.session() for _ in range(2)]
        self.published: Counter[str] = Counter()
        self.subscriptions: dict[tuple[int, tuple[str, str]], int | str] = {}
        self.last: dict[tuple[int, int | str, str], int] = {}

    def publish(self, topics: list[str]) -> None:
        for topic in topics:
            self.published[topic] += 1
            self.world.publish(topic, self.published[topic])

    def subscribe(self, number: int, what: tuple[str, str], get_retained: bool) -> None:
        session = self.sessions[number]
        is_new = (number, what) not in self.subscriptions
        seen = len(session.received)
        subscription = self.subscriptions[number, what] = session.subscribe(*what, get_retained=get_retained)
        self.take(number, session.received[seen:])
        for topic in TOPICS:
            if is_new and matches(*what, topic):
                self.last[number, subscription, topic] = self.published[topic]
        [subscribed] = [place for place, received in enumerate(session.received[seen:]) if received[0] == 33]
        snapshot = session.received[seen + subscribed + 1 :]
        received = {topic for topic in TOPICS if matches(*what, topic) and self.published[topic]}
        assert sorted(topic_of(event, what) for event in snapshot) == sorted(received if get_retained else ())
        assert all(event[1] == subscription and event[3]["retained"] for event in snapshot)
        assert [event[4][0] for event in snapshot] == [self.published[topic_of(event, what)] for event in snapshot]

    def unsubscribe(self, number: int, what: tuple[str, str]) -> None:
        subscription = self.subscriptions.get((number, what))
        if subscription is not None:
            seen = len(self.sessions[number].received)
            self.sessions[number].unsubscribe(subscription)
            self.take(number, self.sessions[number].received[seen:])
            del self.subscriptions[number, what]

    def take(self, number: int, received: list[list[Any]]) -> None:
        """Check that live events follow on what the session had, merged ones by as much as they say."""
        names = {subscription: what for (who, what), subscription in self.subscriptions.items() if who == number}
        for event in received:
            if event[0] == 36 and "retained" not in event[3]:
                key = (number, event[1], topic_of(event, names[event[1]]))
                assert event[4][0] == self.last[key] + event[3].get("_merged", 1)
                self.last[key] = event[4][0]

    def observe(self, action: Any) -> None:
        seen = [len(session.received) for session in self.sessions]
        action()
        for number, session in enumerate(self.sessions):
            self.take(number, session.received[seen[number] :])

    def settle(self) -> None:
        for session in self.sessions:
            outlet_of(session).resumeProducing()
        self.world.clock.advance(1.0)


def topic_of(event: list[Any], what: tuple[str, str]) -> str:
    return str(event[3].get("topic", what[0]))


def outlet_of(session: InsideSession) -> Any:
    return session.outlet


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=50))
def test_a_snapshot_and_what_follows_have_neither_hole_nor_repetition(script: list[tuple[Any, ...]]) -> None:
    checked = Checked()
    for step, *words in script:
        match step:
            case "subscribe" | "unsubscribe":
                getattr(checked, step)(*words)
            case "publish":
                checked.observe(lambda words=words: checked.publish(*words))
            case "advance":
                checked.observe(lambda words=words: checked.world.clock.advance(*words))
            case "block":
                outlet_of(checked.sessions[words[0]]).pauseProducing()
            case "unblock":
                checked.observe(lambda words=words: outlet_of(checked.sessions[words[0]]).resumeProducing())
    checked.observe(checked.settle)
    for (number, what), subscription in checked.subscriptions.items():
        for topic in TOPICS:
            if matches(*what, topic):
                assert checked.last[number, subscription, topic] == checked.published[topic]
