"""What a late subscription begins with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.batch import Batch
from components.core.grants import grants_of
from components.core.market import Market
from components.core.rates import DEFAULT_RATES, RateConflator
from components.core.retained import RetainedEvents
from components.core.topics import receives

FAMILIES = frozenset(["book", "day", *(rate.name for rate in DEFAULT_RATES)])
ALL = grants_of("viewer", "alice", None, (), FAMILIES)
BITCOIN_ONLY = grants_of("viewer", "bob", ["BTC*"], (), FAMILIES)
TICK = b'{"symbol":"BTCUSDT","price":1.0,"volume":1.0,"side":"buy","ts":1,"id":%d,"seq":%d}'


class World:
    def __init__(self, max_age_s: float | None = 60.0) -> None:
        self.now_s = 1000.0
        self.market = Market(lambda: self.now_s, lambda: self.now_s)
        self.rates = RateConflator()
        self.retained = RetainedEvents(self.market, self.rates, max_age_s, lambda: self.now_s)
        self.batches = 0

    def take(self, *events: tuple[str, bytes], epoch: int = 1) -> None:
        self.batches += 1
        batch = Batch(epoch, self.batches, [(topic, 1, payload) for topic, payload in events])
        assert self.market.take_batch(batch)
        self.rates.begin_epoch(epoch)
        self.rates.add(batch.events)

    def received_by(self, uri: str, match: str) -> dict[str, bytes]:
        events = self.retained.received_by(uri, match, ALL)
        assert len(dict(events)) == len(events)
        return dict(events)


MARKET = [
    ("market.BTCUSDT", b"1"),
    ("market.BTCUSDT.book", b"2"),
    ("market.BTCUSDT.day", b"5"),
    ("market.ETHUSDT", b"3"),
    ("market.ETHUSDT.book", b"4"),
]


@pytest.mark.parametrize(
    ("uri", "match", "payloads"),
    [
        ("market.", "prefix", {b"1", b"2", b"3", b"4", b"5", b"status"}),
        ("market.BTC", "prefix", {b"1", b"2", b"5"}),
        ("market.BTCUSDT.", "prefix", {b"2", b"5"}),
        ("market..day", "wildcard", {b"5"}),
        ("market.BTCUSDT.day", "exact", {b"5"}),
        ("market..book", "wildcard", {b"2", b"4"}),
        ("market.", "wildcard", {b"1", b"3", b"status"}),
        ("market..every_1s", "wildcard", {b"1", b"3"}),
        ("market.ETHUSDT.every_1s", "exact", {b"3"}),
        ("market.ETHUSDT.book", "exact", {b"4"}),
        ("market.SOLUSDT", "exact", set()),
        # Crossbar's own.
        ("market.status", "exact", set()),
        ("services.x.", "prefix", set()),
    ],
)
def test_every_topic_that_is_received_has_its_newest_event(uri: str, match: str, payloads: set[bytes]) -> None:
    world = World()
    world.retained.status = b"status"
    world.take(*((topic, b"old") for topic, _ in MARKET))
    world.take(*MARKET)
    assert set(world.received_by(uri, match).values()) == payloads


parts = st.sampled_from(["market", "BTCUSDT", "ETHUSDT", "every_1s", "every_", "book", "status", ""])


@given(st.lists(parts, min_size=1, max_size=3).map(".".join), st.sampled_from(["prefix", "wildcard"]))
def test_a_pattern_gets_what_it_would_receive_and_nothing_else(tail: str, match: str) -> None:
    uri = "market." + tail
    world = World()
    world.retained.status = b"status"
    world.take(*MARKET)
    topics = [topic for topic, _ in MARKET] + ["market.status"]
    topics += [f"market.{symbol}.{rate.name}" for symbol in ("BTCUSDT", "ETHUSDT") for rate in DEFAULT_RATES]
    assert set(world.received_by(uri, match)) == {topic for topic in topics if receives(uri, match, topic)}


def test_before_the_status_is_known_there_is_none() -> None:
    assert World().received_by("market.", "prefix") == {}


def test_what_is_not_granted_is_in_no_snapshot() -> None:
    world = World()
    world.take(*MARKET)
    for uri, match in (("market.", "prefix"), ("market..every_1s", "wildcard"), ("market.ETHUSDT", "exact")):
        events = world.retained.received_by(uri, match, BITCOIN_ONLY)
        assert all(topic.startswith("market.BTCUSDT") for topic, _ in events)


@pytest.mark.parametrize(
    ("uri", "match"), [("market.BTCUSDT", "exact"), ("market.", "prefix"), ("market.", "wildcard")]
)
def test_an_event_is_given_until_it_is_as_old_as_the_limit_and_no_longer(uri: str, match: str) -> None:
    world = World(max_age_s=60.0)
    world.take(("market.BTCUSDT", b"1"))
    world.now_s += 60.0
    assert world.received_by(uri, match) == {"market.BTCUSDT": b"1"}
    world.now_s += 0.5
    assert world.received_by(uri, match) == {}
    world.take(("market.BTCUSDT", b"2"))
    assert world.received_by(uri, match) == {"market.BTCUSDT": b"2"}


def test_the_status_has_no_age() -> None:
    world = World(max_age_s=60.0)
    world.retained.status = b"status"
    world.now_s += 1e6
    assert world.received_by("market.", "prefix") == {"market.status": b"status"}


def test_without_a_limit_nothing_is_too_old() -> None:
    world = World(max_age_s=None)
    world.take(("market.BTCUSDT", b"1"))
    world.now_s += 1e9
    assert world.received_by("market.BTCUSDT", "exact") == {"market.BTCUSDT": b"1"}


def test_ticks_at_a_rate_age_from_when_they_were_made() -> None:
    world = World(max_age_s=60.0)
    topic = "market.BTCUSDT.every_1s"
    world.rates.subscribed(topic, "exact")
    world.take(("market.BTCUSDT", TICK % (1, 1)))
    assert world.received_by(topic, "exact") == {}
    world.rates.make(DEFAULT_RATES[2], world.now_s)
    world.now_s += 60.0
    assert world.received_by(topic, "exact") == {topic: TICK % (1, 1)}
    world.now_s += 0.5
    # A newer trade waits: the one that was made last is still what its tick will go on from, and is too old.
    world.take(("market.BTCUSDT", TICK % (2, 2)))
    assert world.received_by(topic, "exact") == {}
