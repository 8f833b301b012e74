"""Ticks at a rate inside a real router, by a clock that the test turns."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.wamp import message

from components.core.batch import Batch
from components.core.payload import EncodedPayload
from components.core.rates import RateConflator
from components.router.rate_topics import RateTopics
from tests.harness.inside import InsideRouter, InsideSession


class World:
    """Rate topics, and the router they publish to."""

    def __init__(self) -> None:
        self.published: list[list[str]] = []
        self.inside = InsideRouter(lambda session, uri, match: [], self)
        self.clock = self.inside.clock
        self.rates = RateTopics(self.clock, self.clock.seconds, RateConflator(), self.publish_batch)
        self.seqs: dict[str, int] = {}
        self.batches = 0

    def subscribed(self, uri: str, match: str) -> None:
        self.rates.subscribed(uri, match)

    def unsubscribed(self, uri: str, match: str) -> None:
        self.rates.unsubscribed(uri, match)

    def publish_batch(self, events: list[tuple[str, EncodedPayload]]) -> None:
        self.published.append([topic for topic, _ in events])
        self.inside.seam.publish_batch(events)

    def trade(self, *symbols: str, epoch: int = 1) -> None:
        """Do with a batch what the gateway does."""
        events = []
        for symbol in symbols:
            seq = self.seqs[symbol] = self.seqs.get(symbol, 0) + 1
            tick = b'{"symbol":"%b","price":1.0,"volume":0.5,"side":"buy","ts":1,"id":%d,"seq":%d}'
            events.append((f"market.{symbol}", seq, tick % (symbol.encode(), seq, seq)))
        self.batches += 1
        batch = Batch(epoch, self.batches, events)
        if self.rates.active:
            self.rates.take_batch(batch)
        self.inside.seam.publish_batch((topic, EncodedPayload(payload)) for topic, _, payload in events)

    def end_interval(self) -> None:
        """Let a second pass, and the fan-out flush what was made."""
        self.clock.advance(1.0)
        self.clock.advance(0.01)

    @property
    def timers(self) -> int:
        """Calls that wait while the fan-out has nothing to do, beside those that Crossbar makes in the reactor's next turn."""
        return sum(call.getTime() > self.clock.seconds() for call in self.clock.getDelayedCalls())


def seqs(session: InsideSession) -> list[tuple[Any, ...]]:
    return [(tick["symbol"], tick["seq"], tick.get("merged", 1)) for _, tick in session.events]


def test_all_symbols_of_a_rate_go_out_in_one_batch_per_interval() -> None:
    world = World()
    session = world.inside.session()
    session.subscribe("market..every_500ms", "wildcard")
    world.trade("BTCUSDT", "ETHUSDT", "BTCUSDT")
    writes = session.writes
    world.clock.advance(0.25)
    world.trade("ETHUSDT")
    assert session.writes == writes
    world.clock.advance(0.25)
    assert session.writes == writes + 1
    assert world.published == [["market.BTCUSDT.every_500ms", "market.ETHUSDT.every_500ms"]]
    assert seqs(session) == [("BTCUSDT", 2, 2), ("ETHUSDT", 2, 2)]
    world.clock.advance(5.0)
    assert session.writes == writes + 1


def test_an_interval_that_ended_late_makes_the_next_one_no_later() -> None:
    world = World()
    world.inside.session().subscribe("market.BTCUSDT.every_500ms")
    for number in range(1, 9):
        world.trade("BTCUSDT")
        # By turns late and on time: fractions that a float has exactly.
        world.clock.advance(0.5 + (0.125 if number % 2 else -0.125))
        assert len(world.published) == number


def test_what_is_made_is_made_once_for_all_its_subscribers() -> None:
    world = World()
    sessions = [world.inside.session() for _ in range(3)]
    for session in sessions:
        session.subscribe("market.BTCUSDT.every_1s")
    world.trade("BTCUSDT")
    world.trade("BTCUSDT")
    world.end_interval()
    assert world.published == [["market.BTCUSDT.every_1s"]]
    assert [seqs(session) for session in sessions] == [[("BTCUSDT", 2, 2)]] * 3


def test_nothing_runs_while_nobody_is_subscribed() -> None:
    world = World()
    session = world.inside.session()
    session.subscribe("market.", "prefix")
    session.subscribe("market.BTCUSDT")
    world.trade("BTCUSDT")
    world.end_interval()
    assert not world.rates.active
    assert world.timers == 0
    subscription = session.subscribe("market.BTCUSDT.every_1s")
    other = world.inside.session()
    other.subscribe("market.ETHUSDT.every_", "prefix")
    assert world.rates.active
    assert world.timers == 3
    session.unsubscribe(subscription)
    other.leave()
    assert not world.rates.active
    assert world.timers == 0
    world.trade("BTCUSDT", "ETHUSDT")
    world.clock.advance(2.0)
    assert world.published == []


def test_the_last_of_several_subscribers_ends_it() -> None:
    world = World()
    first, second = world.inside.session(), world.inside.session()
    subscription = first.subscribe("market.BTCUSDT.every_1s")
    second.subscribe("market.BTCUSDT.every_1s")
    first.unsubscribe(subscription)
    world.trade("BTCUSDT")
    world.end_interval()
    assert (seqs(first), seqs(second)) == ([], [("BTCUSDT", 1, 1)])
    second.leave()
    assert world.timers == 0


@pytest.mark.parametrize(
    ("uri", "match", "received"),
    [
        ("market.", "prefix", False),
        ("market.BTCUSDT.", "prefix", False),
        ("market..", "wildcard", False),
        ("market.BTCUSDT.every_1", "prefix", True),
        ("market..every_1s", "wildcard", True),
    ],
)
@pytest.mark.parametrize("with_outlet", [True, False], ids=["client", "in-router"])
def test_a_pattern_gets_ticks_at_a_rate_only_where_it_names_their_kind(
    uri: str, match: str, received: bool, with_outlet: bool
) -> None:
    world = World()
    pattern, exact = world.inside.session(with_outlet=with_outlet), world.inside.session()
    pattern.subscribe(uri, match)
    exact.subscribe("market.BTCUSDT.every_1s")
    world.trade("BTCUSDT")
    before = len(pattern.events)
    world.end_interval()
    assert len(exact.events) == 1
    assert ("market.BTCUSDT.every_1s" in [details["topic"] for details, _ in pattern.events[before:]]) is received


def test_crossbars_own_way_of_publishing_passes_the_same_patterns_by() -> None:
    world = World()
    publisher, everything, wildcard = (world.inside.session() for _ in range(3))
    everything.subscribe("market.", "prefix")
    wildcard.subscribe("market..every_1s", "wildcard")
    for topic in ("market.BTCUSDT.every_1s", "market.BTCUSDT.book"):
        publish = message.Publish(1, topic, args=[1], acknowledge=True)
        world.inside.router.process(publisher, publish)
    assert [details["topic"] for details, _ in everything.events] == ["market.BTCUSDT.book"]
    assert [details["topic"] for details, _ in wildcard.events] == ["market.BTCUSDT.every_1s"]


def test_what_is_left_of_an_epoch_is_published_before_anything_of_the_next() -> None:
    world = World()
    session = world.inside.session()
    session.subscribe("market.BTCUSDT")
    session.subscribe("market.BTCUSDT.every_1s")
    world.trade("BTCUSDT")
    world.trade("BTCUSDT")
    world.seqs.clear()
    world.trade("BTCUSDT", epoch=2)
    world.end_interval()
    assert seqs(session) == [("BTCUSDT", 1, 1), ("BTCUSDT", 2, 1), ("BTCUSDT", 2, 2)] + [("BTCUSDT", 1, 1)] * 2


def test_an_error_is_logged_and_the_next_subscription_starts_the_rate_anew() -> None:
    world = World()
    failures: list[Any] = []
    world.rates.log = type("Log", (), {"failure": lambda self, text, **fields: failures.append(fields)})()  # type: ignore[misc]
    session = world.inside.session()
    session.subscribe("market.BTCUSDT.every_1s")
    world.rates._publish_batch = lambda events: 1 / 0  # type: ignore[assignment,return-value]
    world.trade("BTCUSDT")
    world.end_interval()
    assert [failure["rate"] for failure in failures] == ["every_1s"]
    world.rates._publish_batch = world.publish_batch
    world.trade("BTCUSDT")
    session.subscribe("market.ETHUSDT.every_1s")
    world.end_interval()
    assert seqs(session) == [("BTCUSDT", 2, 1)]


def test_stopped_rates_leave_no_timer() -> None:
    world = World()
    world.inside.session().subscribe("market.BTCUSDT.every_", "prefix")
    world.rates.stop()
    assert world.timers == 0
