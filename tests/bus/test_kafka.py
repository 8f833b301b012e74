"""The Kafka bus against brokers that speak the real protocol."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from autobahn.wamp import ApplicationError
from confluent_kafka import KafkaError, KafkaException
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import formatEvent, globalLogPublisher

from components.bus.kafka import KafkaBusWriter
from components.bus.kafka.choice import _Writing
from components.bus.kafka.connection import Contact
from components.bus.kafka.consumer import LogConsumer, LogUnavailable
from components.bus.kafka.health import MAX_CAUSES
from components.bus.kafka.log import Kind, LogReading, encode_record
from components.core.batch import Batch, encode_batch
from components.core.kafka_address import KafkaAddress, parse_kafka_url
from components.core.symbol_choice import SymbolChoice
from components.free_ports import free_port
from tests.bus.kafka_parts import LIMITS, PATIENT, NotingFeed, NotingListener, Parts, let_topics_be_made, until
from tests.harness.certificates import write_pair
from tests.harness.kafka import KafkaBroker


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaBroker]:
    broker = KafkaBroker()
    yield broker
    broker.stop()


@pytest_twisted.async_yield_fixture
async def parts(broker: KafkaBroker) -> AsyncIterator[Parts]:
    parts = Parts(broker)
    yield parts
    broker.answer_after(0)
    broker.come_up()
    await parts.stop()
    await until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("kafka-")])


class FeedProcess:
    """A feed that can be stopped and killed."""

    def __init__(self, parts: Parts) -> None:
        command = [sys.executable, "-m", "tests.bus.kafka_feed", parts.address.brokers, parts.address.prefix]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(line.strip() for line in self.process.stdout)

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(10)
        self._reading.join(10)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def feed_process(parts: Parts) -> Iterator[FeedProcess]:
    process = FeedProcess(parts)
    yield process
    process.end()


def is_unbroken(batches: list[Batch]) -> bool:
    """Tell whether the batches are of one epoch, without hole or repetition, and so are their events."""
    first = batches[0]
    return [(batch.epoch, batch.number, batch.events[0][1]) for batch in batches] == [
        (first.epoch, first.number + i, first.events[0][1] + i) for i in range(len(batches))
    ]


@pytest_twisted.ensureDeferred
async def test_batches_arrive_in_order_and_once(parts: Parts) -> None:
    listener = await parts.listener()
    feed = await parts.leading_feed()
    assert feed.led == [None]
    for _ in range(10):
        feed.write(50)
        await until(lambda: feed.writer.batches_waiting == 0)
    await until(lambda: len(listener.batches) >= 500)
    assert listener.numbers() == list(range(1, 501))
    assert listener.batches[499].events == [("market.BTCUSDT", 500, b'{"seq":500}')]
    assert feed.writer.troubles() == []


@pytest_twisted.ensureDeferred
async def test_who_begins_to_read_is_told_what_stands_then_what_was_then_what_comes(parts: Parts) -> None:
    feed = await parts.leading_feed()
    feed.writer.write_status(b'{"state":"live"}')
    feed.write(20)
    await until(lambda: feed.writer.batches_waiting == 0)
    listener = await parts.listener_told_of(20)
    feed.write(3)
    await until(lambda: listener.batches)
    assert listener.order[:22] == ["standing"] + ["history"] * 20 + ["batch"]
    assert listener.standings[0].newest == {"market.BTCUSDT": (20, b'{"seq":20}')}
    assert [batch.number for batch in listener.history] == list(range(1, 21))
    assert listener.batches[0].number == 21
    assert listener.statuses[0] == b'{"state":"live"}'


@pytest_twisted.ensureDeferred
async def test_history_is_no_longer_than_allowed(parts: Parts) -> None:
    feed = await parts.leading_feed()
    feed.write(100)
    await until(lambda: feed.writer.batches_waiting == 0)
    listener = await parts.listener_told_of(100, replace(LIMITS, history_records=30))
    feed.write()
    await until(lambda: listener.batches)
    assert 0 < len(listener.history) <= 30
    assert is_unbroken(listener.history + listener.batches)


@pytest_twisted.ensureDeferred
async def test_of_several_feeds_that_start_at_once_one_leads(parts: Parts) -> None:
    feeds = [parts.feed() for _ in range(3)]
    await until(lambda: all(feed.said for feed in feeds) and any(feed.leading for feed in feeds))
    leading = next(feed for feed in feeds if feed.leading)
    leading.write(10)
    await until(lambda: leading.writer.batches_waiting == 0)
    await until(lambda: sum("another feed leads" in said for feed in feeds for said in feed.said) >= 2)
    assert [feed.leading for feed in feeds].count(True) == 1


@pytest_twisted.ensureDeferred
async def test_feeds_that_are_not_ready_leave_a_free_lead_to_the_one_that_is(parts: Parts) -> None:
    leader = await parts.leading_feed()
    unready = [parts.feed(ready=False) for _ in range(4)]
    ready = parts.feed()
    tails = [feed.writer._tail for feed in unready]
    await until(lambda: all(tail is not None and tail.another_stands_by() for tail in tails))
    await leader.writer.stop()
    await until(lambda: ready.leading)
    assert [feed.led for feed in unready] == [[]] * 4


@pytest_twisted.ensureDeferred
async def test_a_feed_that_is_stopped_leaves_the_lead_to_another_at_once(parts: Parts) -> None:
    listener = await parts.listener()
    first = await parts.leading_feed(PATIENT)
    second = parts.feed(PATIENT)
    await until(lambda: second.said)
    first.write(200)
    await first.writer.stop()
    stopped_at = time.monotonic()
    await until(lambda: second.leading)
    assert time.monotonic() - stopped_at < 1.0
    second.write(5)
    await until(lambda: len(listener.batches) >= 205)
    assert is_unbroken(listener.batches)


@pytest_twisted.ensureDeferred
async def test_a_feed_that_is_killed_is_followed_by_another_within_three_seconds(
    parts: Parts, feed_process: FeedProcess
) -> None:
    listener = await parts.listener()
    await until(lambda: len(listener.batches) > 10, 20)
    second = parts.feed(PATIENT)
    await until(lambda: second.said)
    feed_process.signal(signal.SIGKILL)
    killed_at = time.monotonic()
    await until(lambda: second.leading)
    assert time.monotonic() - killed_at < 3.0
    second.write(5)
    await until(lambda: listener.batches[-1].number == second.number)
    assert is_unbroken(listener.batches)


@pytest_twisted.ensureDeferred
async def test_what_a_feed_writes_that_was_stopped_and_replaced_reaches_nobody(
    parts: Parts, feed_process: FeedProcess
) -> None:
    listener = NotingListener()
    reader = await parts.reader(listener)
    await until(lambda: len(listener.batches) > 10, 20)
    second = parts.feed()
    await until(lambda: second.said)
    feed_process.signal(signal.SIGSTOP)
    await until(lambda: second.leading)
    second.write(5)
    feed_process.signal(signal.SIGCONT)
    await until(lambda: "follow: another feed leads" in feed_process.said)
    # It may have read that it leads no more before it wrote; here is a batch of one that has not.
    late = encode_batch(Batch(second.epoch, second.number + 1, [("market.BTCUSDT", second.seq + 1, b'{"seq":0}')]))
    parts.write_raw(encode_record(Kind.BATCH, b"no leads", late))
    second.write(5)
    await until(lambda: listener.batches[-1].number == second.number)
    assert is_unbroken(listener.batches)
    assert reader.figures.void_records > 0
    await until(lambda: second.writer.figures.void_records > 0)


@pytest_twisted.ensureDeferred
async def test_a_feed_whose_bus_is_away_for_a_while_loses_nothing(parts: Parts) -> None:
    listener = NotingListener()
    reader = await parts.reader(listener)
    feed = await parts.leading_feed()
    feed.write(10)
    await until(lambda: len(listener.batches) == 10)
    parts.broker.go_down()
    feed.write(10)
    await until(lambda: feed.writer.troubles() and reader.troubles())
    feed.write(10)
    parts.broker.come_up()
    await until(lambda: len(listener.batches) == 30)
    await until(lambda: not feed.writer.troubles() and not reader.troubles())
    assert is_unbroken(listener.batches)
    assert feed.leading
    assert feed.led == [None]


@pytest_twisted.ensureDeferred
async def test_a_standby_does_not_take_a_bus_that_was_away_for_a_feed_that_is_gone(parts: Parts) -> None:
    listener = await parts.listener()
    first = await parts.leading_feed(PATIENT)
    second = parts.feed(PATIENT)
    await until(lambda: second.said)
    parts.broker.go_down()
    # Longer than a leading feed may be silent.
    await deferLater(reactor, 1.5 * PATIENT.candidacy.quiet_s)
    parts.broker.come_up()
    first.write(10)
    await until(lambda: len(listener.batches) == 10)
    await deferLater(reactor, 1.5 * PATIENT.candidacy.quiet_s)
    assert first.leading
    assert not second.led


@pytest.mark.parametrize("goes_on", [True, False])
@pytest_twisted.ensureDeferred
async def test_what_the_bus_does_not_take_in_time_is_given_up_and_then(parts: Parts, goes_on: bool) -> None:
    limits = replace(LIMITS, give_up_after_s=0.6, goes_on_within_s=20.0 if goes_on else 0.5)
    feed = await parts.leading_feed(limits)
    feed.write(10)
    await until(lambda: feed.writer.batches_waiting == 0)
    parts.broker.go_down()
    feed.write(10)
    await until(lambda: feed.said[-1].startswith("follow: Kafka did not take"))
    assert feed.writer.figures.dropped_batches == 10
    parts.broker.come_up()
    await until(lambda: feed.leading)
    if goes_on:
        # The feed still has what was given up, and goes on from what arrived.
        assert feed.led[-1] is not None
        assert feed.led[-1].number == 10
    else:
        assert feed.led[-1] is None


@pytest_twisted.ensureDeferred
async def test_a_full_bus_asks_for_silence_and_keeps_what_still_comes(parts: Parts) -> None:
    listener = await parts.listener()
    feed = await parts.leading_feed(replace(LIMITS, batches_waiting=20))
    parts.broker.answer_after(0.3)
    feed.write(30)
    assert feed.said[-1] == "pause"
    assert feed.writer.batches_waiting == 30
    parts.broker.answer_after(0)
    await until(lambda: feed.said[-1] == "resume")
    await until(lambda: len(listener.batches) == 30)
    assert feed.said.count("pause") == feed.said.count("resume") == 1


@pytest_twisted.ensureDeferred
async def test_a_reader_that_was_away_too_long_says_what_is_missing_and_reads_anew_what_stands(parts: Parts) -> None:
    feed = await parts.leading_feed()
    gate = threading.Event()

    class SlowReactor:
        def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:
            assert gate.wait(20)
            reactor.callFromThread(call, *arguments)  # type: ignore[attr-defined]

    listener = NotingListener()
    reader = await parts.reader(listener, replace(LIMITS, records_at_once=1, fetched_ahead_bytes=1))
    await until(lambda: not reader.troubles() and reader._reading is not None)
    reader._reactor = SlowReactor()
    for _ in range(50):
        feed.write(20)
        await until(lambda: feed.writer.batches_waiting == 0)
    await parts.listener_told_of(1000)
    parts.broker.forget_before(parts.address.log_topic, parts.end_of_log() - 1)
    gate.set()
    await until(lambda: listener.standings)
    feed.write()
    await until(lambda: listener.batches and listener.batches[-1].number == 1001)
    assert reader.figures.holes == 1
    assert listener.standings[-1].number == 1000
    assert reader.figures.missed_batches == 1001 - len(listener.batches) - len(listener.history) > 500
    assert listener.batches[-1].events[0][1] == 1001


@pytest_twisted.ensureDeferred
async def test_a_feed_that_finds_no_more_of_the_log_than_its_end_begins_an_epoch(parts: Parts) -> None:
    first = await parts.leading_feed()
    first.write(10)
    await until(lambda: first.writer.batches_waiting == 0)
    await first.writer.stop()
    parts.broker.forget_before(parts.address.log_topic, parts.end_of_log())
    listener = await parts.listener()
    second = await parts.leading_feed()
    assert second.led == [None]
    second.write(3)
    await until(lambda: len(listener.batches) == 3)
    assert listener.batches[0].epoch == second.epoch > first.epoch


@pytest_twisted.ensureDeferred
async def test_who_finds_neither_standing_nor_the_lead_learns_of_them_from_the_feed_that_leads(parts: Parts) -> None:
    first = await parts.leading_feed(PATIENT)
    first.write(10)
    await until(lambda: first.writer.batches_waiting == 0)
    await parts.listener_told_of(10)
    parts.broker.forget_before(parts.address.standing_topic, parts.end_of_log(parts.address.standing_topic))
    parts.broker.forget_before(parts.address.log_topic, parts.end_of_log())
    listener = await parts.listener()
    second = parts.feed()
    await until(lambda: listener.standings)
    first.write(3)
    await until(lambda: listener.batches and listener.batches[-1].number == 13)
    assert listener.standings[-1].newest == {"market.BTCUSDT": (10, b'{"seq":10}')}
    await until(lambda: second.said)
    assert second.said == ["follow: another feed leads"]
    assert first.leading
    second.write()
    assert (first.writer.figures.leads, second.writer.figures.leads) == (1, 0)
    assert second.writer.figures.refused_batches == 1


@pytest_twisted.ensureDeferred
async def test_a_choice_outlives_the_log_that_had_it(parts: Parts) -> None:
    """Of a cluster that no feed has led for longer than the log is kept."""
    chosen = await parts.way().choose(["BTCUSDT"], "olga", 0)
    parts.broker.forget_before(parts.address.log_topic, parts.end_of_log())
    later = await parts.way().choose(["ETHUSDT"], "olga", chosen.version)
    parts.broker.forget_before(parts.address.log_topic, parts.end_of_log())
    feed = await parts.leading_feed()
    assert feed.choice == later


@pytest_twisted.ensureDeferred
async def test_a_leading_feed_keeps_a_choice_beside_the_log_and_outlives_what_is_no_choice_there(parts: Parts) -> None:
    feed = await parts.leading_feed()
    chosen = await parts.way().choose(["BTCUSDT"], "olga", 0)
    await until(lambda: feed.choice == chosen)
    # What the way wrote there is gone, as it would be behind what the feed writes.
    beside = parts.address.standing_topic
    parts.broker.forget_before(beside, end := parts.end_of_log(beside))
    parts.write_raw(b"{", beside)
    await until(lambda: parts.end_of_log(beside) > end + 2)
    await feed.writer.stop()
    parts.broker.forget_before(parts.address.log_topic, parts.end_of_log())
    assert (await parts.leading_feed()).choice == chosen


@pytest_twisted.ensureDeferred
async def test_a_feed_that_knows_a_choice_that_the_topics_have_lost_tells_them(parts: Parts) -> None:
    known = SymbolChoice(5, ("BTCUSDT",), "olga", 5)
    knowing = parts.feed(knows=known)
    other = parts.feed()
    await until(lambda: other.choice == known)
    with pytest.raises(ApplicationError) as raised:
        await parts.way().choose(["ETHUSDT"], "olga", 0)
    assert raised.value.kwargs == {"version": 5}
    later = await parts.way().choose(["ETHUSDT"], "olga", 5)
    await until(lambda: knowing.choice == other.choice == later)


@pytest_twisted.ensureDeferred
async def test_a_gateway_that_finds_nothing_of_what_stands_overrides_it_or_refuses_and_never_says_what_is_not_so(
    parts: Parts,
) -> None:
    feed = await parts.leading_feed(replace(LIMITS, snapshot_every_s=1000))
    chosen = await parts.way().choose(["BTCUSDT"], "olga", 0)
    await until(lambda: feed.choice == chosen)
    for topic in (parts.address.log_topic, parts.address.standing_topic):
        parts.broker.forget_before(topic, parts.end_of_log(topic))
    for version in (0, chosen.version):
        with pytest.raises(ApplicationError, match="what stands is not known") as raised:
            await parts.way().choose(["ETHUSDT"], "olga", version)
        assert raised.value.error == "crosstick.error.bus_unavailable"
    later = await parts.way().choose(["XRPUSDT"], "olga", None)
    await until(lambda: feed.choice == later)
    last = await parts.way().choose(None, "olga", later.version)
    await until(lambda: feed.choice == last)


@pytest_twisted.ensureDeferred
async def test_a_choice_that_is_in_force_and_not_confirmed_to_be_kept_is_told_so(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = _Writing.write

    def fail(writing: _Writing, topic: str, value: bytes) -> None:
        if topic == parts.address.standing_topic:
            raise LogUnavailable(f"topic {topic}: not today")
        write(writing, topic, value)

    monkeypatch.setattr(_Writing, "write", fail)
    feed = await parts.leading_feed()
    with pytest.raises(ApplicationError, match=r"are in force.*not today") as raised:
        await parts.way().choose(["ETHUSDT"], "olga", None)
    assert raised.value.error == "crosstick.error.not_kept"
    await until(lambda: feed.choice.version == raised.value.kwargs["version"])


def test_a_change_that_is_given_up_leaves_nothing_behind() -> None:
    address = KafkaAddress(f"127.0.0.1:{free_port()}")
    writing = _Writing(address, PATIENT, Contact(address))
    told: list[KafkaError | None] = []

    def tell(error: KafkaError | None, _message: object) -> None:
        told.append(error)

    left = weakref.ref(tell)
    writing._producer.produce(address.log_topic, b"x", partition=0, on_delivery=tell)
    del tell
    writing.close()
    assert left() is None
    assert [error.code() for error in told if error is not None] == [KafkaError._PURGE_QUEUE]


@pytest_twisted.ensureDeferred
async def test_what_is_no_record_is_passed_over(parts: Parts) -> None:
    listener = NotingListener()
    reader = await parts.reader(listener)
    feed = await parts.leading_feed()
    feed.write()
    await until(lambda: feed.writer.batches_waiting == 0)
    for data in (b"", b"nonsense that is long enough", b"\x01" + bytes(8) + b"no batch"):
        parts.write_raw(data)
    feed.write()
    await until(lambda: len(listener.batches) == 2)
    await until(lambda: feed.writer.batches_waiting == 0)
    # The third has a token that is not in force, and is not looked into.
    assert reader.figures.malformed_records == feed.writer.figures.malformed_records == 2
    assert feed.leading


@pytest_twisted.ensureDeferred
async def test_what_a_listener_raises_is_logged_and_the_next_batch_comes(parts: Parts) -> None:
    class Failing(NotingListener):
        def take_batch(self, batch: Batch) -> None:
            super().take_batch(batch)
            if batch.number == 2:
                raise ValueError("this one not")

    logged: list[dict[str, Any]] = []
    globalLogPublisher.addObserver(logged.append)
    try:
        listener = Failing()
        await parts.reader(listener)
        feed = await parts.leading_feed()
        feed.write(3)
        await until(lambda: len(listener.batches) == 3)
    finally:
        globalLogPublisher.removeObserver(logged.append)
    failures = [event for event in logged if "log_failure" in event]
    assert [event["which"] for event in failures] == [f"batch 2 of epoch {feed.epoch}"]


@pytest_twisted.ensureDeferred
async def test_brokers_that_go_and_come_back_are_a_line_each_in_both_sides_logs(parts: Parts) -> None:
    logged: list[tuple[str, str]] = []

    def note(event: Any) -> None:
        if event.get("log_namespace", "").startswith("components.bus.kafka."):
            side = event["log_namespace"].split(".")[3]
            logged.append((side, formatEvent(event)))

    def begun(side: str, what: str) -> bool:
        return any(by == side and what in text for by, text in logged)

    where = f"Kafka at {parts.address.brokers}"
    globalLogPublisher.addObserver(note)
    try:
        await parts.listener()
        await parts.leading_feed()
        await until(lambda: all(begun(side, f"connected to {where}") for side in ("reader", "writer")))
        parts.broker.go_down()
        await until(lambda: all(begun(side, f"{where} ") for side in ("reader", "writer")))
        parts.broker.come_up()
        await until(lambda: all(begun(side, f"{where} is back after ") for side in ("reader", "writer")))
    finally:
        globalLogPublisher.removeObserver(note)
    for side in ("reader", "writer"):
        said = [text for by, text in logged if by == side and where in text]
        assert len([text for text in said if "is back" in text]) == 1
        assert len(said) == len(set(said)) <= 2 + MAX_CAUSES


def let_taking_fail(monkeypatch: pytest.MonkeyPatch, thread: str, when: Callable[[list[int], int], bool]) -> list[int]:
    """Let a thread fail at records for no reason that it knows; return their offsets, with which ``when`` is asked."""
    failed: list[int] = []
    take = LogReading.take

    def fail(reading: LogReading, offset: int, data: bytes) -> Any:
        if threading.current_thread().name == thread and when(failed, offset):
            failed.append(offset)
            raise RuntimeError("an error of its own")
        return take(reading, offset, data)

    monkeypatch.setattr(LogReading, "take", fail)
    return failed


@pytest_twisted.ensureDeferred
async def test_a_reader_that_meets_an_error_of_its_own_says_so_and_reads_on(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = NotingListener()
    reader = await parts.reader(listener)
    feed = await parts.leading_feed()
    feed.write(3)
    await until(lambda: len(listener.batches) == 3)
    failed = let_taking_fail(monkeypatch, "kafka-reader", lambda _failed, _offset: True)
    await until(lambda: len(failed) >= 3 and bool(reader.troubles()))
    assert len(set(failed)) == 1
    assert not reader.figures.connected
    monkeypatch.undo()
    feed.write(3)
    await until(lambda: len(listener.batches) == 6 and not reader.troubles())
    assert is_unbroken(listener.batches)


@pytest_twisted.ensureDeferred
async def test_what_came_before_a_record_at_which_a_reader_fails_is_handed_over(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = await parts.listener()
    feed = await parts.leading_feed()
    failed = let_taking_fail(
        monkeypatch, "kafka-reader", lambda failed, offset: offset % 20 == 19 and offset not in failed
    )
    feed.write(100)
    await until(lambda: listener.batches and listener.batches[-1].number == 100)
    assert len(failed) >= 4
    assert listener.numbers() == list(range(1, 101))


@pytest_twisted.ensureDeferred
async def test_a_feed_whose_reading_meets_an_error_of_its_own_leads_no_more_and_then_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = await parts.listener()
    feed = await parts.leading_feed()
    feed.write(3)
    await until(lambda: len(listener.batches) == 3 and feed.writer.batches_waiting == 0)
    failed = let_taking_fail(monkeypatch, "kafka-tail", lambda failed, _offset: len(failed) < 3)
    await until(lambda: len(feed.led) == 2)
    assert len(failed) == 3
    assert feed.said == ["lead", "follow: reading the log failed", "lead"]
    feed.write(3)
    await until(lambda: len(listener.batches) == 6)
    assert is_unbroken(listener.batches)
    assert feed.writer.troubles() == []


def test_what_librdkafka_raises_while_it_reads_is_a_log_that_is_unavailable() -> None:
    class Failing:
        def poll(self, _timeout_s: float) -> Any:
            raise KafkaException(KafkaError(KafkaError._FAIL, "a hiccup"))

    address = parse_kafka_url("kafka://127.0.0.1:1")
    consumer = LogConsumer(address, LIMITS, Contact(address))
    consumer.close()
    consumer._consumer = Failing()  # type: ignore[assignment]
    with pytest.raises(LogUnavailable, match="a hiccup"):
        consumer.records(0.0)


@pytest_twisted.ensureDeferred
async def test_topics_that_are_missing_are_named_and_found_when_they_are_there(broker: KafkaBroker) -> None:
    parts = Parts(broker)
    parts.address = KafkaAddress(broker.address, prefix="later")
    feed = parts.feed()
    listener = NotingListener()
    reader = await parts.starting_reader(listener)
    await until(lambda: any("later.batches" in line for line in feed.writer.troubles()))
    let_topics_be_made(parts.address)
    await until(lambda: feed.leading and reader._reading is not None)
    feed.write()
    await until(lambda: listener.batches)
    await parts.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return write_pair(tmp_path / "authority.pem")


@pytest.mark.parametrize(
    "url",
    [
        "kafka+ssl://{}",
        "kafka+ssl://ann:secret@{}?ca={}",
        "kafka+ssl://ann:secret@{}?sasl=SCRAM-SHA-256",
        "kafka://ann:secret@{}?sasl=SCRAM-SHA-512",
    ],
)
@pytest_twisted.ensureDeferred
async def test_brokers_that_cannot_be_spoken_to_as_asked_are_a_trouble_that_shows_no_password(
    broker: KafkaBroker, certificate: Path, url: str
) -> None:
    writer = KafkaBusWriter(parse_kafka_url(url.format(broker.address, certificate)), reactor=reactor, limits=LIMITS)
    writer.start(NotingFeed(writer))
    await until(lambda: any("cannot be used" in line for line in writer.troubles()))
    assert "secret" not in " ".join(writer.troubles())
    await writer.stop()


@pytest_twisted.ensureDeferred
async def test_a_writer_and_a_reader_can_be_stopped_while_the_bus_is_down(parts: Parts) -> None:
    listener = NotingListener()
    reader = await parts.reader(listener)
    feed = await parts.leading_feed()
    parts.broker.go_down()
    feed.write(10)
    began = time.monotonic()
    await feed.writer.stop()
    await reader.stop()
    assert time.monotonic() - began < 15
