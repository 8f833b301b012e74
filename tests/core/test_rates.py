"""Ticks at a rate: whoever comes and goes when, sequences and volumes add up."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.binance import Trade
from components.core.rates import DEFAULT_RATES, InvalidRates, RateConflator, parse_rates
from components.core.sequencer import Sequencer
from components.core.topics import receives

SYMBOLS = ("BTCUSDT", "ETHUSDT")
EVERY_100MS, EVERY_500MS, EVERY_1S = DEFAULT_RATES
BTC_1S = "market.BTCUSDT.every_1s"


class Feed:
    """Makes ticks as the feed does, and remembers the volumes of the epoch."""

    def __init__(self) -> None:
        self.sequencer = Sequencer(SYMBOLS)
        self.epoch = 1
        self.trades = 0
        self.newest: dict[str, tuple[bytes, float]] = {}
        self.volumes: dict[str, list[Decimal]] = {symbol: [] for symbol in SYMBOLS}

    def begin_epoch(self) -> None:
        self.epoch += 1
        self.sequencer.begin_epoch()
        self.newest.clear()
        self.volumes = {symbol: [] for symbol in SYMBOLS}

    def tick(self, symbol: str, volume: str = "1.5") -> tuple[str, int, bytes]:
        self.trades += 1
        event = self.sequencer.tick(Trade(symbol, "100.10", volume, "buy", 0, self.trades, self.trades, self.trades))
        assert event is not None
        self.newest[symbol] = event[2], 0.0
        self.volumes[symbol].append(Decimal(volume))
        return event


class Subscriber:
    def __init__(self, uri: str, match: str) -> None:
        self.uri = uri
        self.match = match
        self.received: dict[str, list[dict[str, Any]]] = {}

    def take(self, topic: str, payload: bytes) -> None:
        self.received.setdefault(topic, []).append(json.loads(payload, parse_float=Decimal))


class World:
    """A feed, a conflator and its subscribers, checked event by event."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.conflator = RateConflator()
        self.subscribers: list[Subscriber] = []
        self.counts: Counter[tuple[str, str]] = Counter()

    def subscribe(self, uri: str, match: str, get_retained: bool) -> None:
        subscriber = Subscriber(uri, match)
        self.subscribers.append(subscriber)
        self.counts[uri, match] += 1
        if self.counts[uri, match] == 1:
            self.conflator.subscribed(uri, match)
        if get_retained:
            for symbol in SYMBOLS:
                for rate in DEFAULT_RATES:
                    topic = f"market.{symbol}.{rate.name}"
                    if receives(uri, match, topic):
                        event = self.conflator.last_event(topic, self.feed.newest.get(symbol))
                        if event is not None:
                            subscriber.take(topic, event[0])

    def unsubscribe(self, number: int) -> None:
        if self.subscribers:
            gone = self.subscribers.pop(number % len(self.subscribers))
            self.counts[gone.uri, gone.match] -= 1
            if not self.counts[gone.uri, gone.match]:
                self.conflator.unsubscribed(gone.uri, gone.match)

    def trade(self, batch: list[tuple[str, str]]) -> None:
        self.deliver(self.conflator.begin_epoch(self.feed.epoch))
        self.conflator.add([self.feed.tick(symbol, volume) for symbol, volume in batch])

    def begin_epoch(self) -> None:
        """Begin an epoch with a batch: what is published of the one before is still checked against its trades."""
        self.deliver(self.conflator.begin_epoch(self.feed.epoch + 1))
        self.feed.begin_epoch()
        for subscriber in self.subscribers:
            subscriber.received.clear()

    def make(self, rate: int) -> None:
        self.deliver(self.conflator.make(DEFAULT_RATES[rate], 0.0))

    def deliver(self, events: list[tuple[str, bytes]]) -> None:
        assert len({topic for topic, _ in events}) == len(events)
        for topic, payload in events:
            tick = json.loads(payload, parse_float=Decimal)
            merged = tick.get("merged", 1)
            stood_for = self.feed.volumes[tick["symbol"]][tick["seq"] - merged : tick["seq"]]
            assert (len(stood_for), sum(stood_for)) == (merged, tick["volume"])
            assert tick.get("first_seq", tick["seq"]) == tick["seq"] - merged + 1
            takers = [taker for taker in self.subscribers if receives(taker.uri, taker.match, topic)]
            assert takers, f"{topic} was made for nobody"
            for taker in takers:
                taker.take(topic, payload)
                *before, _ = taker.received[topic]
                assert not before or tick["seq"] == before[-1]["seq"] + merged


subscriptions = st.sampled_from(
    [
        (BTC_1S, "exact"),
        ("market.BTCUSDT.every_100ms", "exact"),
        ("market.ETHUSDT.every_1s", "exact"),
        ("market..every_1s", "wildcard"),
        ("market.BTCUSDT.every_", "prefix"),
        ("market.ETHUSDT.every_1", "prefix"),
        ("market.ETHUSDT.every_1s", "wildcard"),
        ("market..every_", "prefix"),
        ("market.", "prefix"),
        ("market.BTCUSDT", "exact"),
        ("market.BTCUSDT.every_7ms", "exact"),
    ]
)
volumes = st.decimals(0, 10**9, places=8).map(lambda volume: f"{volume:f}")
steps = st.one_of(
    st.tuples(st.just("subscribe"), subscriptions, st.booleans()),
    st.tuples(st.just("unsubscribe"), st.integers(0, 9)),
    st.tuples(st.just("trade"), st.lists(st.tuples(st.sampled_from(SYMBOLS), volumes), max_size=4)),
    st.tuples(st.just("trade"), st.lists(st.tuples(st.sampled_from(SYMBOLS), volumes), max_size=4)),
    st.tuples(st.just("make"), st.integers(0, 2)),
    st.tuples(st.just("begin_epoch")),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(steps, max_size=60))
def test_whoever_comes_and_goes_sequences_and_volumes_add_up(script: list[tuple[Any, ...]]) -> None:
    world = World()
    for step, *words in script:
        if step == "subscribe":
            (uri, match), get_retained = words
            world.subscribe(uri, match, get_retained)
        else:
            getattr(world, step)(*words)
    # One trade more, so that every topic that somebody receives has an event that ends with the newest trade.
    world.trade([(symbol, "1") for symbol in SYMBOLS])
    for rate in range(len(DEFAULT_RATES)):
        world.make(rate)
    for subscriber in world.subscribers:
        for symbol in SYMBOLS:
            for rate in DEFAULT_RATES:
                topic = f"market.{symbol}.{rate.name}"
                if receives(subscriber.uri, subscriber.match, topic):
                    assert subscriber.received[topic][-1]["seq"] == len(world.feed.volumes[symbol])
    while world.subscribers:
        world.unsubscribe(0)
    assert world.conflator.in_use == []
    world.trade([("BTCUSDT", "1")])
    world.make(0)


def test_a_lone_trade_passes_unchanged_several_in_one_tick_and_none_as_none() -> None:
    feed, conflator = Feed(), RateConflator()
    conflator.subscribed(BTC_1S, "exact")
    lone = feed.tick("BTCUSDT")
    conflator.add([lone])
    assert conflator.make(EVERY_1S, 5.0) == [(BTC_1S, lone[2])]
    assert conflator.make(EVERY_1S, 5.0) == []
    conflator.add([feed.tick("BTCUSDT", "1.25"), feed.tick("ETHUSDT"), feed.tick("BTCUSDT", "0.75000000")])
    [(topic, payload)] = conflator.make(EVERY_1S, 5.0)
    assert topic == BTC_1S
    assert b'"volume":2.00000000,' in payload
    assert b'"seq":3,"merged":2,' in payload


def test_best_prices_status_and_other_topics_are_no_part_of_it() -> None:
    conflator = RateConflator()
    conflator.subscribed("market..every_1s", "wildcard")
    conflator.add([("market.BTCUSDT.book", 1, b'{"bid":1}'), ("market.status", 1, b"{}"), ("services.x", 1, b"{}")])
    assert conflator.make(EVERY_1S, 5.0) == []
    assert conflator.unmergeable == 0


def test_an_event_that_is_no_tick_is_counted_and_spoils_nothing() -> None:
    feed, conflator = Feed(), RateConflator()
    conflator.subscribed(BTC_1S, "exact")
    conflator.add([("market.BTCUSDT", 1, b"nonsense")])
    assert conflator.make(EVERY_1S, 5.0) == []
    tick = feed.tick("BTCUSDT")
    conflator.add([tick, ("market.BTCUSDT", 2, b"{}")])
    assert conflator.make(EVERY_1S, 5.0) == [(BTC_1S, tick[2])]
    assert conflator.unmergeable == 2


def test_what_was_accumulated_for_the_last_subscriber_is_let_go_with_it() -> None:
    feed, conflator = Feed(), RateConflator()
    conflator.subscribed("market..every_1s", "wildcard")
    conflator.subscribed(BTC_1S, "exact")
    ethereum = feed.tick("ETHUSDT")
    conflator.add([feed.tick("BTCUSDT"), ethereum])
    conflator.unsubscribed(BTC_1S, "exact")
    assert len(conflator.make(EVERY_1S, 5.0)) == 2
    conflator.add([feed.tick("BTCUSDT"), feed.tick("ETHUSDT")])
    conflator.subscribed("market.ETHUSDT.every_1s", "exact")
    conflator.unsubscribed("market..every_1s", "wildcard")
    assert [topic for topic, _ in conflator.make(EVERY_1S, 5.0)] == ["market.ETHUSDT.every_1s"]
    conflator.unsubscribed("market.ETHUSDT.every_1s", "exact")
    conflator.subscribed(BTC_1S, "exact")
    assert conflator.last_event(BTC_1S, (b"newest", 4.0)) == (b"newest", 4.0)
    assert conflator.make(EVERY_1S, 5.0) == []


def test_a_late_joiner_is_given_what_the_next_tick_goes_on_from() -> None:
    feed, conflator = Feed(), RateConflator()
    conflator.subscribed(BTC_1S, "exact")
    assert conflator.last_event(BTC_1S, None) is None
    before = (feed.tick("BTCUSDT")[2], 4.0)
    assert conflator.last_event(BTC_1S, before) == before
    conflator.add([feed.tick("BTCUSDT")])
    # No tick ends where the first one will begin.
    assert conflator.last_event(BTC_1S, feed.newest["BTCUSDT"]) is None
    [(_, made)] = conflator.make(EVERY_1S, 5.0)
    assert conflator.last_event(BTC_1S, feed.newest["BTCUSDT"]) == (made, 5.0)
    conflator.add([feed.tick("BTCUSDT")])
    assert conflator.last_event(BTC_1S, feed.newest["BTCUSDT"]) == (made, 5.0)


def test_there_is_nothing_for_a_late_joiner_on_a_topic_that_is_none() -> None:
    conflator = RateConflator()
    for topic in ("market.BTCUSDT.every_7ms", "market.BTCUSDT", "market.BTCUSDT.book", "services.x.every_1s"):
        assert conflator.last_event(topic, (b"newest", 4.0)) is None


def test_a_later_epoch_begins_with_what_was_accumulated_of_the_one_before() -> None:
    feed, conflator = Feed(), RateConflator()
    conflator.subscribed("market.BTCUSDT.every_", "prefix")
    conflator.begin_epoch(1)
    tick = feed.tick("BTCUSDT")
    conflator.add([tick])
    assert conflator.begin_epoch(1) == []
    assert conflator.begin_epoch(2) == [(f"market.BTCUSDT.{rate.name}", tick[2]) for rate in DEFAULT_RATES]
    assert conflator.last_event(BTC_1S, None) is None


def test_only_rates_that_somebody_is_subscribed_to_are_in_use() -> None:
    conflator = RateConflator()
    for uri, match in (
        ("market.", "prefix"),
        ("market..every_1s", "prefix"),
        ("market.BTCUSDT", "exact"),
        ("market.BTCUSDT.every_7ms", "exact"),
        ("services.x.every_1s", "exact"),
    ):
        conflator.subscribed(uri, match)
    assert conflator.in_use == []
    conflator.subscribed("market.BTCUSDT.every_1", "prefix")
    conflator.subscribed(BTC_1S, "exact")
    assert conflator.in_use == [EVERY_100MS, EVERY_1S]
    conflator.unsubscribed("market.BTCUSDT.every_1", "prefix")
    assert conflator.in_use == [EVERY_1S]
    conflator.unsubscribed(BTC_1S, "exact")
    conflator.unsubscribed(BTC_1S, "exact")
    assert conflator.in_use == []


def test_rates_are_told_by_their_names() -> None:
    assert [(rate.name, rate.interval_ms) for rate in parse_rates(["every_10ms", "every_3600s"])] == [
        ("every_10ms", 10),
        ("every_3600s", 3_600_000),
    ]
    assert parse_rates([]) == ()


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("every_1s", "rates must be a list of names such as every_100ms, was 'every_1s'"),
        (None, "rates must be a list of names such as every_100ms, was None"),
        ([100], "a rate must be named every_<N>ms or every_<N>s, was 100"),
        (["1s"], "was '1s'"),
        (["every_1m"], "was 'every_1m'"),
        (["every_0ms"], "was 'every_0ms'"),
        (["every_01s"], "was 'every_01s'"),
        (["every_1s\n"], "was 'every_1s\\\\n'"),
        (["every_9ms"], "a rate must be from 10 ms to 3600000 ms, was 'every_9ms'"),
        (["every_3601s"], "was 'every_3601s'"),
        (["every_1s", "every_1s"], "rates must differ, 'every_1s' is 'every_1s' again"),
        (["every_1s", "every_1000ms"], "rates must differ, 'every_1000ms' is 'every_1s' again"),
    ],
)
def test_rates_that_cannot_be_are_refused_in_one_line(names: object, reason: str) -> None:
    with pytest.raises(InvalidRates, match=reason) as raised:
        parse_rates(names)
    assert "\n" not in str(raised.value)


def test_what_was_accumulated_of_a_symbol_that_ends_is_made_and_nothing_stands() -> None:
    feed, conflator = Feed(), RateConflator()
    conflator.subscribed(BTC_1S, "exact")
    conflator.add([feed.tick("BTCUSDT")])
    conflator.make(EVERY_1S, 1.0)
    conflator.add([feed.tick("BTCUSDT"), feed.tick("BTCUSDT"), feed.tick("ETHUSDT")])
    [(topic, payload)] = conflator.end("BTCUSDT")
    assert (topic, json.loads(payload)["merged"], json.loads(payload)["seq"]) == (BTC_1S, 2, 3)
    assert conflator.end("BTCUSDT") == conflator.make(EVERY_1S, 2.0) == []
    assert conflator.last_event(BTC_1S, None) is None
    # It comes back.
    conflator.add([feed.tick("BTCUSDT")])
    [(_, payload)] = conflator.make(EVERY_1S, 3.0)
    assert json.loads(payload)["seq"] == 4
