"""The Redis bus against a real Redis that fails in the ways that Redis fails in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import formatEvent, globalLogPublisher

from components.bus import WriterFigures
from components.bus.redis import RedisBusReader, RedisBusWriter, RedisLink, eviction
from components.bus.redis.scripts import BATCHES, LEAD, STANDBY
from components.core.batch import Batch, Standing, encode_batch
from components.core.redis_address import parse_redis_url
from components.core.written_batches import KeptLimits
from tests.bus.brokers import HeardBatches, RedisBroker, WritingFeed
from tests.harness.certificates import write_pair
from tests.harness.client import until
from tests.harness.cut_line import CutLine


@pytest_twisted.async_yield_fixture
async def make_bus(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[RedisBroker]]]:
    """Return a function that starts servers with lines of configuration; each is stopped at the test's end."""
    brokers: list[RedisBroker] = []

    async def make(*options: str) -> RedisBroker:
        broker = RedisBroker(tmp_path / f"redis{len(brokers)}", *options)
        brokers.append(broker)
        await broker.open()
        return broker

    yield make
    for broker in brokers:
        await broker.close()


@pytest_twisted.async_yield_fixture
async def bus(make_bus: Callable[..., Awaitable[RedisBroker]]) -> AsyncIterator[RedisBroker]:
    yield await make_bus()


async def feed_on(bus: RedisBroker, *, epoch: int = 1_000, **limits: object) -> WritingFeed:
    feed = WritingFeed(await bus.make_writer(**limits), epoch)
    feed.bus.start(feed)
    await until(reactor, lambda: bool(feed.told))
    return feed


async def heard_on(bus: RedisBroker) -> tuple[RedisBusReader, HeardBatches]:
    reader, heard = bus.make_reader(), HeardBatches()
    await reader.start(heard)
    await until(reactor, lambda: reader.figures.connected)
    return reader, heard


@pytest_twisted.ensureDeferred
async def test_a_redis_that_is_restarted_with_its_data_goes_on_where_it_was(
    make_bus: Callable[..., Awaitable[RedisBroker]],
) -> None:
    bus = await make_bus("appendonly yes", "appendfsync always")
    _, heard = await heard_on(bus)
    feed = await feed_on(bus)
    feed.write(20)
    await until(reactor, lambda: len(heard.batches) == 20)
    bus.server.stop()
    feed.write(20)
    bus.start()
    await until(reactor, lambda: len(heard.batches) == 40, timeout_s=8.0)
    assert heard.numbers == list(range(1, 41))
    assert bus.server.command("XLEN", "{crosstick}:batches") == 40
    assert feed.told == [None]


@pytest_twisted.ensureDeferred
async def test_the_late_writes_of_a_leader_that_was_held_up_are_refused(bus: RedisBroker) -> None:
    _, heard = await heard_on(bus)
    old = await feed_on(bus)
    old.write(3)
    await until(reactor, lambda: len(heard.batches) == 3)
    standby = await feed_on(bus)
    line = bus.lines[old.bus]
    line.hold()
    old.write(3, topic="market.LATE")
    await until(reactor, lambda: standby.leads, timeout_s=5.0)
    standby.write(2)
    await until(reactor, lambda: len(heard.batches) == 5)
    line.release()
    await until(reactor, lambda: not old.leads, timeout_s=5.0)
    standby.write(2)
    await until(reactor, lambda: len(heard.batches) == 7)
    assert heard.numbers == [1, 2, 3, 4, 5, 6, 7]
    assert "market.LATE" not in {topic for batch in heard.batches for topic, _, _ in batch.events}
    assert standby.told[1:] == [Standing(old.epoch, 3, {"market.BTCUSDT": (3, b'{"seq":3,"pad":""}')})]


@pytest_twisted.ensureDeferred
async def test_a_redis_without_memory_is_a_trouble_until_it_has_some(bus: RedisBroker) -> None:
    reader, heard = await heard_on(bus)
    feed = await feed_on(bus)
    feed.write(5)
    await until(reactor, lambda: len(heard.batches) == 5)
    bus.server.command("CONFIG", "SET", "maxmemory", "100kb")
    feed.write(5)
    await until(reactor, lambda: any("OOM" in trouble for trouble in feed.bus.troubles()))
    assert heard.numbers == [1, 2, 3, 4, 5]
    assert reader.troubles() == []
    # Redis itself tells the gateway why nobody writes.
    await until(reactor, lambda: bool(reader.shortage()), timeout_s=5.0)
    [shortage] = reader.shortage()
    assert shortage.startswith(
        f"Redis at 127.0.0.1:{bus.server.port}, database 0 is full, and refuses what feeds write: "
    )
    assert shortage.endswith(" of 0.1 MB")
    bus.server.command("CONFIG", "SET", "maxmemory", "0")
    await until(reactor, lambda: len(heard.batches) == 10, timeout_s=5.0)
    assert heard.numbers == list(range(1, 11))
    await until(reactor, lambda: feed.bus.troubles() == [])
    assert feed.told == [None]
    await until(reactor, lambda: reader.shortage() == [], timeout_s=5.0)


@pytest_twisted.ensureDeferred
async def test_a_redis_that_may_throw_away_keys_is_warned_of_once_by_each_side(
    make_bus: Callable[..., Awaitable[RedisBroker]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eviction, "LOOK_EVERY_S", 0.0)
    logged: list[str] = []

    def note(event: Any) -> None:
        logged.append(formatEvent(event))

    bus = await make_bus("maxmemory-policy volatile-ttl")
    globalLogPublisher.addObserver(note)
    try:
        reader, _ = await heard_on(bus)
        feed, standby = await feed_on(bus), await feed_on(bus)
        sides = (reader, feed.bus, standby.bus)
        await until(reactor, lambda: all(side.warnings() for side in sides))
        said = "prices when memory is short (its maxmemory-policy is volatile-ttl): set it to noeviction"
        assert all(said in str(side.warnings()) for side in sides)
        assert [side.troubles() for side in sides] == [[], [], []]
        bus.server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await until(reactor, lambda: not any(side.warnings() for side in sides))
    finally:
        globalLogPublisher.removeObserver(note)
    assert len([line for line in logged if "may throw away" in line]) == 3
    assert len([line for line in logged if "no longer throws away keys" in line]) == 3


@pytest_twisted.ensureDeferred
async def test_a_gateway_that_may_not_ask_how_redis_is_set_reads_all_the_same(bus: RedisBroker) -> None:
    bus.server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    bus.server.command("ACL", "SETUSER", "gateway", "on", ">secret", "~*", "+@all", "-info", "-config")
    link = RedisLink(reactor, parse_redis_url(f"redis://gateway:secret@127.0.0.1:{bus.server.port}"))
    reader, heard = RedisBusReader(reactor, link), HeardBatches()
    await reader.start(heard)
    feed = await feed_on(bus)
    feed.write(2)
    await until(reactor, lambda: heard.numbers == [1, 2])
    assert (reader.warnings(), reader.troubles()) == ([], [])
    await reader.stop()


@pytest_twisted.ensureDeferred
async def test_an_entry_that_is_no_batch_is_passed_over_and_counted(bus: RedisBroker) -> None:
    reader, heard = await heard_on(bus)
    for number, data in ((1, None), (2, b"nonsense"), (3, None)):
        written = data or encode_batch(Batch(1000, number, [("market.A", number, b"a")]))
        bus.server.command("XADD", BATCHES, f"1000-{number}", "t", "1", "b", written)
    await until(reactor, lambda: heard.numbers == [1, 3])
    figures = reader.figures
    assert (figures.malformed_records, figures.missed_batches, figures.holes) == (1, 1, 1)


@pytest_twisted.ensureDeferred
async def test_more_than_can_wait_for_redis_ends_the_epoch(bus: RedisBroker) -> None:
    reader, heard = await heard_on(bus)
    feed = await feed_on(bus, kept=KeptLimits(max_bytes=100_000))
    feed.write(5)
    await until(reactor, lambda: len(heard.batches) == 5)
    bus.stop()
    await until(reactor, lambda: bool(feed.bus.troubles()))
    feed.write(100, padding=2000)
    assert isinstance(feed.bus, RedisBusWriter)
    assert feed.bus.figures.overflows == 1
    assert feed.bus.figures.dropped_batches == 100
    assert "batches are dropped" in feed.bus.troubles()[-1]
    assert feed.paused == 0
    first_epoch = feed.epoch
    bus.start()
    await until(reactor, lambda: feed.told == [None, None], timeout_s=5.0)
    feed.write(2)
    await until(reactor, lambda: len(heard.batches) == 7)
    assert [(batch.epoch, batch.number) for batch in heard.batches[5:]] == [(first_epoch + 1, 1), (first_epoch + 1, 2)]
    assert feed.bus.troubles() == []
    assert reader.figures.missed_batches == 0


@pytest_twisted.ensureDeferred
async def test_a_gateway_that_was_away_for_less_than_the_stream_keeps_misses_nothing(bus: RedisBroker) -> None:
    reader, heard = await heard_on(bus)
    feed = await feed_on(bus)
    feed.write(5)
    await until(reactor, lambda: len(heard.batches) == 5)
    bus.server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    feed.write(300)
    await until(reactor, lambda: len(heard.batches) == 305)
    assert heard.numbers == list(range(1, 306))
    assert (reader.figures.reconnects, reader.figures.missed_batches) == (1, 0)


@pytest_twisted.ensureDeferred
async def test_a_gateway_that_was_away_for_longer_says_what_is_missing_and_gets_what_stands(bus: RedisBroker) -> None:
    (reader, line), heard = await bus.make_cut_reader(), HeardBatches()
    await reader.start(heard)
    feed = await feed_on(bus)
    feed.write(5)
    await until(reactor, lambda: len(heard.batches) == 5)
    await line.cut()
    feed.write(1, topic="market.QUIET")
    feed.write(20)
    await until(reactor, lambda: bus.server.command("HGET", "{crosstick}:state", "number") == b"26")
    bus.server.command("XTRIM", "{crosstick}:batches", "MAXLEN", "10")
    await line.start()
    await until(reactor, lambda: bool(heard.standings))
    assert heard.numbers == [1, 2, 3, 4, 5, *range(17, 27)]
    assert (reader.figures.missed_batches, reader.figures.holes) == (11, 1)
    assert heard.order[-1] == "standing"
    assert heard.standings[0].newest["market.QUIET"][0] == 6


@pytest_twisted.ensureDeferred
async def test_a_gateway_that_loses_redis_in_the_middle_of_history_gets_the_rest_with_the_next_connection(
    bus: RedisBroker,
) -> None:
    class Cutting(HeardBatches):
        cut: Deferred[None] | None = None

        def take_history(self, batch: Batch) -> None:
            super().take_history(batch)
            if batch.number == 100:
                self.cut = ensureDeferred(line.cut())

    feed = await feed_on(bus)
    feed.write(400)
    await until(reactor, lambda: bus.server.command("XLEN", "{crosstick}:batches") == 400)
    (reader, line), heard = await bus.make_cut_reader(), Cutting()
    assert reader.reading_history
    await reader.start(heard)
    await until(reactor, lambda: heard.cut is not None and bool(reader.troubles()))
    assert len(heard.history) < 400
    assert reader.reading_history
    await line.start()
    feed.write(2)
    await until(reactor, lambda: len(heard.batches) == 2)
    assert [batch.number for batch in heard.history] == list(range(1, 401))
    assert heard.order == ["standing", *400 * ["history"], *2 * ["batch"]]
    assert (reader.reading_history, reader.figures.missed_batches) == (False, 0)


@pytest_twisted.ensureDeferred
async def test_what_is_too_old_goes_from_the_stream(bus: RedisBroker) -> None:
    feed = await feed_on(bus, lease_s=0.3, stream_age_s=0.3, trim_interval_s=0.1)
    feed.write(1000)
    await until(reactor, lambda: bus.server.command("XLEN", "{crosstick}:batches") == 1000)

    def is_trimmed() -> bool:
        feed.write(1)
        # Redis forgets a hundred entries at a time.
        return bool(bus.server.command("XLEN", "{crosstick}:batches") <= 200)

    await until(reactor, is_trimmed)
    await feed.bus.stop()


@pytest_twisted.ensureDeferred
async def test_a_wrong_password_is_a_trouble_that_does_not_name_it(bus: RedisBroker) -> None:
    bus.server.command("CONFIG", "SET", "requirepass", "right")
    link = RedisLink(reactor, parse_redis_url(f"redis://:wr0ng@127.0.0.1:{bus.server.port}"))
    reader = RedisBusReader(reactor, link)
    await reader.start(HeardBatches())
    await until(reactor, lambda: "the password was refused: WRONGPASS" in str(reader.troubles()))
    assert "wr0ng" not in str(reader.troubles())
    await reader.stop()
    right = RedisBusReader(
        reactor, RedisLink(reactor, parse_redis_url(f"redis://:right@127.0.0.1:{bus.server.port}/3"))
    )
    await right.start(HeardBatches())
    await until(reactor, lambda: right.figures.connected)
    await right.stop()


@pytest_twisted.ensureDeferred
async def test_over_tls_the_certificate_is_verified(
    bus: RedisBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = write_pair(tmp_path / "redis.pem")
    line = CutLine(reactor, bus.server.port, certificate)
    await line.start()
    address = parse_redis_url(f"rediss://localhost:{line.port}")
    strict, trusting = (RedisBusReader(reactor, RedisLink(reactor, address)) for _ in range(2))
    try:
        await strict.start(HeardBatches())
        await until(reactor, lambda: "certificate verify failed" in str(strict.troubles()))
        await strict.stop()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await trusting.start(HeardBatches())
        await until(reactor, lambda: trusting.figures.connected)
    finally:
        await strict.stop()
        await trusting.stop()
        await line.stop()


@pytest_twisted.ensureDeferred
async def test_a_feed_that_starts_on_an_empty_redis_with_a_clock_behind_is_followed_in_the_end(
    bus: RedisBroker,
) -> None:
    _, heard = await heard_on(bus)
    feed = await feed_on(bus, epoch=2_000)
    feed.write(3)
    await until(reactor, lambda: len(heard.batches) == 3)
    await bus.lose(feed.bus)
    bus.flush()
    behind = await feed_on(bus, epoch=1_000)
    assert behind.leads

    def write_and_look() -> bool:
        behind.write(1)
        return bool(heard.standings)

    await until(reactor, write_and_look, timeout_s=10.0)
    assert heard.standings[0].epoch == behind.epoch
    await until(reactor, lambda: len(heard.history) == heard.standings[0].number)
    read = len(heard.batches)
    behind.write(1)
    await until(reactor, lambda: len(heard.batches) > read)
    assert heard.batches[-1].epoch == behind.epoch


@pytest_twisted.ensureDeferred
async def test_a_feed_whose_epoch_is_older_than_what_stands_begins_another(bus: RedisBroker) -> None:
    feed = await feed_on(bus, epoch=2_000)
    feed.write(1)
    await feed.bus.stop()
    bus.server.command("HSET", "{crosstick}:state", "server", "another")
    late = await feed_on(bus, epoch=1_998)

    def write_and_look() -> bool:
        if not late.bus.troubles():
            late.write(1)
        return int(bus.server.command("HGET", "{crosstick}:state", "epoch")) > feed.epoch

    await until(reactor, write_and_look, timeout_s=10.0)
    assert late.told.count(None) == 4
    await late.bus.stop()


@pytest_twisted.ensureDeferred
async def test_a_standby_leaves_a_redis_that_has_started_anew_to_its_last_leader(bus: RedisBroker) -> None:
    _, heard = await heard_on(bus)
    leader = await feed_on(bus)
    standby = await feed_on(bus)
    leader.write(5)
    await until(reactor, lambda: len(heard.batches) == 5)
    await bus.lose(leader.bus)
    bus.stop()
    leader.write(5)
    await until(reactor, lambda: bool(standby.bus.troubles()))
    bus.start()
    # The standby is back first; the leader needs its line.
    await until(reactor, lambda: standby.bus.troubles() == [])
    await bus.lines[leader.bus].start()
    await until(reactor, lambda: len(heard.batches) == 10, timeout_s=8.0)
    assert heard.numbers == list(range(1, 11))
    assert (leader.leads, standby.leads) == (True, False)
    assert leader.told == [None]
    standby.bus.write(heard.batches[-1])
    assert leader.bus.figures == WriterFigures(leads=2, rewritten_batches=10)
    assert standby.bus.figures == WriterFigures(refused_batches=1)


@pytest_twisted.ensureDeferred
async def test_a_standby_that_was_cut_off_as_well_leaves_a_lead_that_ran_out_to_its_last_holder(
    bus: RedisBroker,
) -> None:
    _, heard = await heard_on(bus)
    leader = await feed_on(bus, lease_s=0.3)
    standby = await feed_on(bus, lease_s=0.3)
    leader.write(5)
    await until(reactor, lambda: len(heard.batches) == 5)
    await bus.lose(standby.bus)
    await bus.lose(leader.bus)
    leader.write(5)
    await until(reactor, lambda: bool(standby.bus.troubles()) and not bus.server.command("EXISTS", LEAD))
    # The standby is back first; the leader needs its line.
    await bus.lines[standby.bus].start()
    await until(reactor, lambda: standby.bus.troubles() == [])
    await bus.lines[leader.bus].start()
    await until(reactor, lambda: len(heard.batches) == 10, timeout_s=8.0)
    assert heard.numbers == list(range(1, 11))
    assert (leader.leads, standby.leads) == (True, False)
    assert leader.told == [None]


@pytest_twisted.ensureDeferred
async def test_a_standby_that_was_cut_off_as_well_leads_when_the_last_holder_stays_away(bus: RedisBroker) -> None:
    leader = await feed_on(bus, lease_s=0.3)
    standby = await feed_on(bus, lease_s=0.3, patience_s=0.5)
    await bus.lose(standby.bus)
    await bus.lose(leader.bus)
    await until(reactor, lambda: bool(standby.bus.troubles()))
    await bus.lines[standby.bus].start()
    await until(reactor, lambda: standby.leads)


@pytest_twisted.ensureDeferred
async def test_a_feed_that_has_just_started_leaves_an_empty_redis_to_who_led_before(bus: RedisBroker) -> None:
    _, heard = await heard_on(bus)
    leader = await feed_on(bus)
    leader.write(5)
    await until(reactor, lambda: len(heard.batches) == 5)
    await bus.lose(leader.bus)
    bus.flush()
    newcomer = WritingFeed(await bus.make_writer(standby_interval_s=0.02), 5_000)
    newcomer.ready = False
    newcomer.bus.start(newcomer)
    await until(reactor, lambda: bool(newcomer.told))
    assert not newcomer.leads
    await bus.lines[leader.bus].start()
    leader.write(5)
    await until(reactor, lambda: len(heard.batches) == 10, timeout_s=8.0)
    newcomer.ready = True
    assert heard.numbers == list(range(1, 11))
    assert (leader.told, newcomer.leads) == ([None], False)


@pytest_twisted.ensureDeferred
async def test_a_feed_that_has_just_started_and_is_not_ready_leads_when_nobody_else_does(bus: RedisBroker) -> None:
    feed = WritingFeed(await bus.make_writer(patience_s=0.3, standby_interval_s=0.02))
    feed.ready = False
    feed.bus.start(feed)
    await until(reactor, lambda: feed.leads)
    assert isinstance(feed.told[0], str)


@pytest_twisted.ensureDeferred
async def test_a_feed_that_is_not_ready_leaves_the_lead_to_one_that_asks_later(bus: RedisBroker) -> None:
    leader = await feed_on(bus)
    unready = await feed_on(bus, standby_interval_s=0.02)
    unready.ready = False
    ready = await feed_on(bus, standby_interval_s=0.5)
    await leader.bus.stop()
    await until(reactor, lambda: ready.leads)
    assert not any(told is None or isinstance(told, Standing) for told in unready.told)
    assert not unready.leads


@pytest_twisted.ensureDeferred
async def test_two_feeds_of_which_none_is_ready_leave_the_lead_where_it_is(bus: RedisBroker) -> None:
    feeds = [await feed_on(bus, lease_s=0.3, standby_interval_s=0.05) for _ in range(2)]
    for feed in feeds:
        feed.ready = False
    await until(reactor, lambda: not bus.server.command("EXISTS", STANDBY))
    renewed = reactor.seconds() + 1.0  # type: ignore[attr-defined]
    await until(reactor, lambda: reactor.seconds() > renewed)  # type: ignore[attr-defined]
    assert feeds[0].told == [None]
    assert feeds[0].leads
