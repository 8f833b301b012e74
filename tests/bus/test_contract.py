"""What ``components.bus.interface`` promises, on every bus: a new one is added to ``BROKERS``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from autobahn.wamp import ApplicationError
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred

from components.bus import WriterFigures
from components.core.batch import Standing
from components.core.symbol_choice import SymbolChoice
from tests.bus.brokers import (
    CHOOSES,
    FAULTS,
    FORGETS,
    KEEPS,
    MANY,
    Broker,
    EmbeddedBroker,
    HeardBatches,
    KafkaBroker,
    RedisBroker,
    WritingFeed,
)
from tests.harness.client import until

BROKERS: dict[str, Callable[[Path], Broker]] = {"embedded": EmbeddedBroker, "redis": RedisBroker, "kafka": KafkaBroker}


def that(capability: str = "") -> Any:
    """Run a test on the buses that have a capability."""
    chosen = [name for name, made in BROKERS.items() if not capability or capability in made.capabilities]  # type: ignore[attr-defined]
    return pytest.mark.parametrize("bus", chosen, indirect=True)


@pytest_twisted.async_yield_fixture
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    broker = BROKERS[request.param](tmp_path)
    await broker.open()
    yield broker
    await broker.close()


async def leading_feed(bus: Broker) -> WritingFeed:
    feed = WritingFeed(await bus.make_writer())
    feed.bus.start(feed)
    await until(reactor, lambda: feed.leads)
    return feed


async def listener(bus: Broker) -> HeardBatches:
    heard = HeardBatches()
    heard.reader = reader = bus.make_reader()
    await reader.start(heard)
    await until(reactor, lambda: reader.figures.connected)
    return heard


@that()
@pytest_twisted.ensureDeferred
async def test_batches_come_once_in_order_and_as_they_were_written(bus: Broker) -> None:
    heard = await listener(bus)
    feed = await leading_feed(bus)
    assert feed.told == [None]
    feed.write(200)
    await until(reactor, lambda: len(heard.batches) == 200)
    assert heard.numbers == list(range(1, 201))
    assert {batch.epoch for batch in heard.batches} == {feed.epoch}
    assert heard.batches[6].events == [("market.BTCUSDT", 7, b'{"seq":7,"pad":""}')]
    assert feed.bus.figures == WriterFigures(leads=1)
    assert feed.bus.troubles() == []
    await feed.bus.stop()


@that()
@pytest_twisted.ensureDeferred
async def test_what_was_handed_over_before_the_stop_arrives(bus: Broker) -> None:
    heard = await listener(bus)
    feed = await leading_feed(bus)
    feed.write(500)
    await feed.bus.stop()
    await until(reactor, lambda: len(heard.batches) == 500)


@that()
@pytest_twisted.ensureDeferred
async def test_the_newest_status_arrives(bus: Broker) -> None:
    heard = await listener(bus)
    feed = await leading_feed(bus)
    for number in range(20):
        feed.bus.write_status(b'{"number":%d}' % number)
    await until(reactor, lambda: b'{"number":19}' in heard.statuses)
    assert heard.statuses == sorted(set(heard.statuses), key=heard.statuses.index)
    await feed.bus.stop()


@that()
@pytest_twisted.ensureDeferred
async def test_what_a_listener_cannot_take_does_not_keep_the_next_from_it(bus: Broker) -> None:
    heard = await listener(bus)
    heard.fails_at = 2
    feed = await leading_feed(bus)
    feed.write(3)
    await until(reactor, lambda: len(heard.batches) == 3)
    await feed.bus.stop()


@that()
@pytest_twisted.ensureDeferred
async def test_a_reader_that_has_stopped_hears_no_more(bus: Broker) -> None:
    heard = HeardBatches()
    reader = bus.make_reader()
    await reader.start(heard)
    await until(reactor, lambda: reader.figures.connected)
    other = await listener(bus) if KEEPS in bus.capabilities else None
    feed = await leading_feed(bus)
    feed.write(1)
    await until(reactor, lambda: len(heard.batches) == 1)
    if other is not None:
        await reader.stop()
        feed.write(1)
        await until(reactor, lambda: len(other.batches) == 2)
        assert len(heard.batches) == 1
    await feed.bus.stop()


@that(KEEPS)
@pytest_twisted.ensureDeferred
async def test_a_reader_that_starts_cold_gets_what_stands_then_the_history_then_what_comes(bus: Broker) -> None:
    feed = await leading_feed(bus)
    feed.write(3)
    feed.write(1, topic="market.ETHUSDT")
    feed.bus.write_status(b'{"state":"live"}')
    early = await listener(bus)
    await until(reactor, lambda: len(early.batches) + len(early.history) == 4 and bool(early.statuses))
    cold = await listener(bus)
    feed.write(2)
    await until(reactor, lambda: len(cold.batches) == 2)
    [standing] = cold.standings
    assert (standing.epoch, standing.number) == (feed.epoch, 4)
    assert standing.newest == {
        "market.BTCUSDT": (3, b'{"seq":3,"pad":""}'),
        "market.ETHUSDT": (4, b'{"seq":4,"pad":""}'),
    }
    assert [batch.number for batch in cold.history] == [1, 2, 3, 4]
    assert cold.numbers == [5, 6]
    assert cold.order == ["standing", "status", *4 * ["history"], *2 * ["batch"]]
    assert cold.was_reading_history == {"standing": {True}, "status": {True}, "history": {True}, "batch": {False}}


@that()
@pytest_twisted.ensureDeferred
async def test_there_is_no_history_to_wait_for_where_nothing_was_written(bus: Broker) -> None:
    heard = await listener(bus)
    assert heard.reader is not None
    await until(reactor, lambda: not heard.reader.reading_history)
    assert heard.order == []


@that(MANY)
@pytest_twisted.ensureDeferred
async def test_of_two_feeds_one_leads_and_the_other_goes_on_when_it_stops(bus: Broker) -> None:
    heard = await listener(bus)
    leader = await leading_feed(bus)
    standby = WritingFeed(await bus.make_writer())
    standby.bus.start(standby)
    await until(reactor, lambda: bool(standby.told))
    assert standby.told == ["another feed leads"]
    leader.write(5)
    await leader.bus.stop()
    await until(reactor, lambda: standby.leads, timeout_s=1.0)
    assert standby.told[1:] == [heard_standing(leader, 5)]
    standby.write(5)
    await until(reactor, lambda: len(heard.batches) == 10)
    assert heard.numbers == list(range(1, 11))


@that(MANY)
@pytest_twisted.ensureDeferred
async def test_a_lead_that_is_yielded_is_the_other_feeds_and_without_one_comes_back(bus: Broker) -> None:
    heard = await listener(bus)
    leader = await leading_feed(bus)
    leader.write(5)
    leader.bus.yield_lead("nothing comes from the exchange")
    assert leader.told[1:] == ["nothing comes from the exchange"]
    await until(reactor, lambda: leader.leads, timeout_s=3.0)
    assert leader.told[2:] == [heard_standing(leader, 5)]
    standby = WritingFeed(await bus.make_writer())
    standby.bus.start(standby)
    await until(reactor, lambda: bool(standby.told))
    leader.write(5)
    leader.bus.yield_lead("nothing comes from the exchange")
    await until(reactor, lambda: standby.leads, timeout_s=1.0)
    standby.write(5)
    await until(reactor, lambda: len(heard.batches) == 15)
    assert heard.numbers == list(range(1, 16))
    await standby.bus.stop()
    await until(reactor, lambda: leader.leads, timeout_s=3.0)
    assert leader.told[-1] == heard_standing(standby, 15)
    await leader.bus.stop()


@that(MANY)
@pytest_twisted.ensureDeferred
async def test_a_feed_that_is_not_ready_leads_while_it_is_alone_and_then_yields_to_one_that_is(bus: Broker) -> None:
    unready = WritingFeed(await bus.make_writer())
    unready.ready = False
    unready.bus.start(unready)
    await until(reactor, lambda: unready.leads)
    unready.write(5)
    other = WritingFeed(await bus.make_writer())
    other.bus.start(other)
    await until(reactor, lambda: other.leads)
    assert not unready.leads
    assert other.told[-1] == heard_standing(unready, 5)
    await other.bus.stop()
    await until(reactor, lambda: unready.leads)
    await unready.bus.stop()


@that(MANY)
@pytest_twisted.ensureDeferred
async def test_a_standby_takes_over_from_a_leader_that_is_gone_without_a_word(bus: Broker) -> None:
    heard = await listener(bus)
    leader = await leading_feed(bus)
    standby = WritingFeed(await bus.make_writer())
    standby.bus.start(standby)
    leader.write(5)
    await until(reactor, lambda: len(heard.batches) == 5 and bool(standby.told))
    await bus.lose(leader.bus)
    await until(reactor, lambda: standby.leads, timeout_s=3.0)
    standby.write(1)
    await until(reactor, lambda: len(heard.batches) == 6)
    assert {batch.epoch for batch in heard.batches} == {leader.epoch}
    assert heard.numbers == [1, 2, 3, 4, 5, 6]


@that(FAULTS)
@pytest_twisted.ensureDeferred
async def test_a_bus_that_was_down_and_comes_back_with_what_it_kept_costs_a_pause(bus: Broker) -> None:
    heard = HeardBatches()
    reader = bus.make_reader()
    await reader.start(heard)
    feed = await leading_feed(bus)
    feed.write(50)
    await until(reactor, lambda: len(heard.batches) == 50)
    bus.stop()
    feed.write(50)
    await until(reactor, lambda: bool(feed.bus.troubles()) and bool(reader.troubles()))
    assert not reader.figures.connected
    bus.start()
    await until(reactor, lambda: len(heard.batches) == 100, timeout_s=8.0)
    await until(reactor, lambda: not feed.bus.troubles() and not reader.troubles())
    feed.write(1)
    await until(reactor, lambda: len(heard.batches) == 101)
    assert heard.numbers == list(range(1, 102))
    assert feed.told == [None]
    assert (reader.figures.reconnects, reader.figures.missed_batches) == (1, 0)


@that(FORGETS)
@pytest_twisted.ensureDeferred
async def test_a_bus_that_forgets_everything_is_told_again(bus: Broker) -> None:
    heard = await listener(bus)
    feed = await leading_feed(bus)
    feed.write(10)
    await until(reactor, lambda: len(heard.batches) == 10)
    bus.flush()
    feed.write(10)
    await until(reactor, lambda: len(heard.batches) == 20, timeout_s=8.0)
    assert heard.numbers == list(range(1, 21))
    cold = await listener(bus)
    assert cold.standings == [heard_standing(feed, 20)]


@that(FAULTS)
@pytest_twisted.ensureDeferred
async def test_a_bus_that_stands_still_for_a_while_is_but_slow(bus: Broker) -> None:
    heard = HeardBatches()
    reader = bus.make_reader()
    await reader.start(heard)
    feed = await leading_feed(bus)
    feed.write(10)
    await until(reactor, lambda: len(heard.batches) == 10)
    bus.pause()
    feed.write(10)
    await until(reactor, lambda: bool(feed.bus.troubles()) and bool(reader.troubles()), timeout_s=10.0)
    bus.resume()
    await until(reactor, lambda: len(heard.batches) == 20, timeout_s=8.0)
    assert heard.numbers == list(range(1, 21))
    assert feed.told == [None]


async def started_feed(bus: Broker) -> WritingFeed:
    feed = WritingFeed(await bus.make_writer())
    feed.bus.start(feed)
    return feed


@that(CHOOSES)
@pytest_twisted.ensureDeferred
async def test_what_is_chosen_is_followed_by_all_feeds_and_by_those_that_come_later(bus: Broker) -> None:
    way = bus.make_way()
    heard = await listener(bus)
    first = await leading_feed(bus)
    second = await started_feed(bus)
    await until(reactor, lambda: bool(second.told))
    chosen = await way.choose(["BTCUSDT", "SOLUSDT"], "olga", 0)
    assert (chosen.symbols, chosen.by, chosen.source) == (("BTCUSDT", "SOLUSDT"), "olga", "operator")
    await until(reactor, lambda: first.choice == second.choice == chosen)
    third = await started_feed(bus)
    await until(reactor, lambda: third.choice == chosen)
    later = await way.choose(None, "oscar", chosen.version)
    assert (later.symbols, later.by, later.source) == (None, "oscar", "environment")
    assert later.version > chosen.version
    await until(reactor, lambda: first.choice == second.choice == third.choice == later)
    # The lead and what was written are as if nothing had been chosen.
    first.write(5)
    await until(reactor, lambda: heard.numbers == [1, 2, 3, 4, 5])
    assert (first.told, first.bus.figures.leads) == ([None], 1)
    assert heard.reader is not None
    assert heard.reader.figures.malformed_records == 0
    for feed in (third, second, first):
        await feed.bus.stop()
    # Nobody is left who knows it, and who comes then knows it before it leads.
    fourth = await leading_feed(bus)
    assert fourth.led_with == [later]
    await fourth.bus.stop()


@that(CHOOSES)
@pytest_twisted.ensureDeferred
async def test_of_choices_made_at_once_each_follows_another_or_is_refused(bus: Broker) -> None:
    async def made(number: int, if_version: int | None) -> SymbolChoice | ApplicationError:
        try:
            return await bus.make_way().choose([f"SYMBOL{number}"], "olga", if_version)
        except ApplicationError as error:
            return error

    async def made_at_once(if_version: int | None) -> tuple[list[SymbolChoice], list[ApplicationError]]:
        waited = [ensureDeferred(made(number, if_version)) for number in range(4)]
        answers = [await one for one in waited]
        choices = [one for one in answers if isinstance(one, SymbolChoice)]
        return choices, [one for one in answers if isinstance(one, ApplicationError)]

    heard = await listener(bus)
    [chosen], refused = await made_at_once(0)
    assert {(error.error, error.kwargs["version"]) for error in refused} == {
        ("crosstick.error.changed_meanwhile", chosen.version)
    }
    assert len(refused) == 3
    choices, refused = await made_at_once(None)
    assert refused == []
    versions = {choice.version for choice in choices}
    assert len(versions) == 4
    assert min(versions) > chosen.version
    # There was no feed; one that comes follows the last.
    feed = await leading_feed(bus)
    assert feed.led_with == [max(choices, key=lambda choice: choice.version)]
    feed.write(1)
    await until(reactor, lambda: heard.numbers == [1])
    assert heard.reader is not None
    assert (heard.reader.figures.void_records, feed.bus.figures.void_records) == (0, 0)
    await feed.bus.stop()


@that(CHOOSES)
@pytest_twisted.ensureDeferred
async def test_what_the_bus_does_not_confirm_is_refused_and_what_was_chosen_before_outlives_it(bus: Broker) -> None:
    way = bus.make_way()
    feed = await leading_feed(bus)
    chosen = await way.choose(["BTCUSDT"], "olga", None)
    await until(reactor, lambda: feed.choice == chosen)
    bus.stop()
    with pytest.raises(ApplicationError) as raised:
        await way.choose(["ETHUSDT"], "olga", None)
    assert raised.value.error == "crosstick.error.bus_unavailable"
    bus.start()
    # Where the bus has lost it, the feed tells it again.
    late = await started_feed(bus)
    await until(reactor, lambda: late.choice == chosen)
    later = await way.choose(["XRPUSDT"], "olga", chosen.version)
    await until(reactor, lambda: feed.choice == late.choice == later)


def heard_standing(feed: WritingFeed, number: int) -> Standing:
    """Return what stands after a feed has written so many batches of one topic."""
    return Standing(feed.epoch, number, {"market.BTCUSDT": (number, b'{"seq":%d,"pad":""}' % number)})
