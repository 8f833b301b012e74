"""A feed with a bus that only encodes its batches. Run as a program by ``crosstick bench feed``, on the server's core.

Prints, as JSON, what the feed did in a measured time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from typing import Any, cast

from twisted.internet import reactor as installed_reactor

from components.bench.firehose import SYMBOLS, messages
from components.bus import LeadableFeed, WriterFigures
from components.core.batch import Batch, encode_batch
from components.core.binance import BookTicker, Trade, parse_frame
from components.core.sequencer import Sequencer
from components.feed.feed import Feed
from components.settings import FeedSettings

CORE_BLOCKS = 30


class EncodingBus:
    """See ``BusWriter``: every batch becomes bytes, which nobody gets."""

    def __init__(self) -> None:
        self.figures = WriterFigures()
        self.batches = 0
        self.events = 0
        self.encoded_bytes = 0

    def start(self, feed: LeadableFeed) -> None:
        """See ``BusWriter.start``."""
        feed.lead(None)

    async def stop(self) -> None:
        """See ``BusWriter.stop``."""

    def yield_lead(self, because: str) -> None:
        """See ``BusWriter.yield_lead``."""

    def troubles(self) -> list[str]:
        """See ``BusWriter.troubles``."""
        return []

    def warnings(self) -> list[str]:
        """See ``BusWriter.warnings``: nothing is known to do harm."""
        return []

    def write(self, batch: Batch) -> None:
        """See ``BusWriter.write``."""
        self.batches += 1
        self.events += len(batch.events)
        self.encoded_bytes += len(encode_batch(batch))

    def write_status(self, status: bytes) -> None:
        """See ``BusWriter.write_status``."""


class _Meter:
    """Runs a feed, and tells what it did between two moments."""

    def __init__(self, reactor: Any, feed: Feed, bus: EncodingBus, warm_s: float, run_s: float) -> None:
        self._feed = feed
        self._bus = bus
        self._run_s = run_s
        self._reactor = reactor
        self._before: dict[str, float] = {}
        self._reactor.callLater(warm_s, self._begin)

    def _reading(self) -> dict[str, float]:
        counters = self._feed.status()["counters"]
        return {
            "seconds": time.perf_counter(),
            "cpu_s": time.process_time(),
            "frames": counters["frames"],
            "events": self._bus.events,
            "batches": self._bus.batches,
            "refused": counters["malformed"] + counters["duplicates"] + counters["gaps"] + counters["ignored"],
        }

    def _begin(self) -> None:
        self._before = self._reading()
        self._reactor.callLater(self._run_s, self._end)

    def _end(self) -> None:
        after = self._reading()
        print(
            json.dumps({name: after[name] - before for name, before in self._before.items()} | core_cost()), flush=True
        )
        self._reactor.stop()


def core_cost() -> dict[str, float]:
    """Return the CPU time that parsing, sequencing and encoding take by themselves, without sockets and WebSocket."""
    payloads = list(itertools.islice(messages(), CORE_BLOCKS))
    sequencer = Sequencer(SYMBOLS)
    sequencer.connection_started(SYMBOLS)
    started_s = time.process_time()
    for number, block in enumerate(payloads, 1):
        events = []
        for payload in block:
            parsed = parse_frame(payload)
            event = sequencer.tick(parsed) if isinstance(parsed, Trade) else None
            if isinstance(parsed, BookTicker):
                event = sequencer.book(parsed, 0.0, 0)
            if event is not None:
                events.append(event)
        encode_batch(Batch(1, number, events))
    return {"core_frames": sum(map(len, payloads)), "core_cpu_s": time.process_time() - started_s}


def main() -> None:
    """Measure a feed at an exchange on the loopback."""
    reactor = cast(Any, installed_reactor)
    arguments = argparse.ArgumentParser()
    arguments.add_argument("port", type=int)
    arguments.add_argument("warm_s", type=float)
    arguments.add_argument("run_s", type=float)
    parsed = arguments.parse_args()
    settings = FeedSettings(
        exchange_url=f"ws://127.0.0.1:{parsed.port}",
        symbols=SYMBOLS,
        trade_stream="trade",
        stale_after_s=60.0,
        name="bench",
        day=False,
    )
    bus = EncodingBus()
    feed = Feed(
        reactor,
        settings,
        bus,
        lambda: time.time_ns() // 1_000_000,
        lambda failure: sys.exit(failure.getTraceback()),
    )
    feed.start()
    _Meter(reactor, feed, bus, parsed.warm_s, parsed.run_s)
    reactor.run()


if __name__ == "__main__":
    main()
