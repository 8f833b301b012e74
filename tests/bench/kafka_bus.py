"""What the Kafka bus costs: ``python -m tests.bench.kafka_bus``, on librdkafka's mock cluster.

Feed, gateway and broker are processes of their own; the feed writes 5,000 ticks/s in batches of 1, 10 and 50. Prints batches
and ticks per second that arrived, the time from ``write`` to ``take_batch`` and the CPU time of each process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import psutil
from twisted.internet import reactor as twisted_reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import LoopingCall

from components.bus.kafka import KafkaBusReader, KafkaBusWriter
from components.core.batch import Batch, Standing
from components.core.kafka_address import KafkaAddress
from components.core.symbol_choice import NO_CHOICE, SymbolChoice
from tests.bus.kafka_parts import PATIENT, NotingListener, let_topics_be_made
from tests.harness.kafka import KafkaProcess

reactor: Any = twisted_reactor
TICKS_PER_S = 5000
SECONDS = 10
# The mock cluster answers a fetch that found nothing when its time is over, so that time is part of what is measured.
LIMITS = replace(PATIENT, fetch_wait_ms=1)
PAYLOAD = b'{"symbol":"BTCUSDT","price":62520.15,"volume":0.00521,"side":"buy","ts":1700000000123,"id":123456789,"seq":1234567}'


class _WritingFeed:
    """Writes while it leads, then ends its process."""

    def __init__(self, writer: KafkaBusWriter, ticks_per_batch: int) -> None:
        self._writer = writer
        self._ticks_per_batch = ticks_per_batch
        self._number = 0
        self._began = 0.0
        self.ready = True
        self.choice = NO_CHOICE

    def choose(self, choice: SymbolChoice) -> None:
        raise RuntimeError(f"nobody chose {choice}")

    def lead(self, since: Standing | None) -> None:
        self._began = time.monotonic()
        LoopingCall(self._write_due).start(0.001)

    def follow(self, because: str) -> None:
        raise RuntimeError(because)

    def pause(self) -> None:
        raise RuntimeError("the bus is full")

    def resume(self) -> None: ...

    def _write_due(self) -> None:
        elapsed = time.monotonic() - self._began
        if elapsed > SECONDS:
            reactor.stop()
            return
        while self._number * self._ticks_per_batch < elapsed * TICKS_PER_S:
            self._number += 1
            events = [(f"market.S{i}", self._number, PAYLOAD) for i in range(self._ticks_per_batch - 1)]
            events.append(("market.TIME", self._number, b"%d" % time.time_ns()))
            self._writer.write(Batch(1, self._number, events))


class _TimingListener(NotingListener):
    """Notes how long batches were under way."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.at: list[float] = []

    def take_batch(self, batch: Batch) -> None:
        self.seconds.append((time.time_ns() - int(batch.events[-1][2])) / 1e9)
        self.at.append(time.monotonic())


def _feed(address: KafkaAddress, ticks_per_batch: int) -> None:
    writer = KafkaBusWriter(address, reactor=reactor, limits=LIMITS)
    reactor.callWhenRunning(lambda: writer.start(_WritingFeed(writer, ticks_per_batch)))
    reactor.run()


def _gateway(address: KafkaAddress) -> None:
    listener = _TimingListener()
    reader = KafkaBusReader(address, reactor=reactor, limits=LIMITS)

    async def start() -> None:
        await reader.start(listener)

    def end_when_done() -> None:
        if listener.at and time.monotonic() - listener.at[-1] > 1.5:
            reactor.stop()

    reactor.callWhenRunning(lambda: ensureDeferred(start()))
    LoopingCall(end_when_done).start(0.2)
    reactor.run()
    # Without the first second, in which processes start and connections are made.
    skipped = sum(at < listener.at[0] + 1 for at in listener.at)
    taken = sorted(listener.seconds[skipped:])
    print(
        json.dumps(
            {
                "batches_per_s": round(len(taken) / (listener.at[-1] - listener.at[skipped])),
                "ms": {str(q): round(taken[int(len(taken) * q / 100)] * 1000, 1) for q in (50, 99)},
                "max_ms": round(taken[-1] * 1000, 1),
                "missed": reader.figures.missed_batches,
            }
        )
    )


def _measure(ticks_per_batch: int) -> None:
    broker = KafkaProcess()
    address = KafkaAddress(broker.address, prefix="bench")
    let_topics_be_made(address)
    command = [sys.executable, "-m", "tests.bench.kafka_bus", address.brokers, str(ticks_per_batch)]
    gateway = subprocess.Popen([*command, "gateway"], stdout=subprocess.PIPE, text=True)
    feed = subprocess.Popen([*command, "feed"])
    processes = {
        "feed": psutil.Process(feed.pid), "gateway": psutil.Process(gateway.pid), "broker": psutil.Process(broker.pid),
    }  # fmt: skip
    time.sleep(4)
    before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
    time.sleep(SECONDS - 4)
    cpu = {
        name: f"{(sum(process.cpu_times()[:2]) - before[name]) / (SECONDS - 4):.0%}"
        for name, process in processes.items()
    }
    output, _ = gateway.communicate(timeout=60)
    feed.wait(60)
    broker.stop()
    print(ticks_per_batch, "ticks per batch:", output.strip(), "CPU of a core:", cpu, flush=True)


def main() -> None:
    """Measure, or be one of the measured."""
    if len(sys.argv) > 1:
        address = KafkaAddress(sys.argv[1], prefix="bench")
        if sys.argv[3] == "feed":
            _feed(address, int(sys.argv[2]))
        else:
            _gateway(address)
        return
    for ticks_per_batch in (1, 10, 50):
        _measure(ticks_per_batch)


if __name__ == "__main__":
    main()
