"""A shared bus in memory: one stream, one lead that has a term, and writers of terms gone by are refused."""

from __future__ import annotations

import itertools
import json
from typing import Any

from components.bus import LeadableFeed, WriterFigures
from components.core.batch import Batch, Standing
from components.core.topics import symbol_and_family


class MemoryBus:
    """What all writers have written; the test says who leads."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.statuses: list[dict[str, Any]] = []
        self.term = 0
        self.leader: MemoryWriter | None = None
        self.writers: list[MemoryWriter] = []
        self.refused = 0

    def writer(self) -> MemoryWriter:
        """Return another feed's side."""
        return MemoryWriter(self)

    def give_lead(self, writer: MemoryWriter) -> None:
        """Let a feed lead whose start has been; the one before is not told, as after a crash of either."""
        self.leader = writer
        self.term += 1
        writer.term = self.term
        assert writer.feed is not None
        writer.feed.lead(self.standing())

    def standing(self) -> Standing | None:
        """Return how far the newest epoch has come."""
        if not self.batches:
            return None
        epoch = max(batch.epoch for batch in self.batches)
        newest = {
            topic: (seq, payload)
            for batch in self.batches
            if batch.epoch == epoch
            for topic, seq, payload in batch.events
        }
        return Standing(epoch, self.batches[-1].number, newest)

    def events(self, suffix: str = "") -> list[tuple[str, int, dict[str, Any]]]:
        """Return ``(topic, seq, payload with numbers as text)`` of all events on topics that end so."""
        return [
            (topic, seq, json.loads(payload, parse_float=str))
            for batch in self.batches
            for topic, seq, payload in batch.events
            if topic.endswith(suffix)
        ]

    def ids(self) -> dict[str, list[int]]:
        """Return the ids of all events by topic; of statistics, which have none, their times."""
        ids: dict[str, list[int]] = {}
        for topic, _, payload in self.events():
            ids.setdefault(topic, []).append(payload["id"] if "id" in payload else payload["ts"])
        return ids

    def assert_gap_free(self) -> None:
        """Look at every number of a single epoch: of batches, and of the events of each topic."""
        numbers: dict[str, list[int]] = {}
        for topic, seq, _ in self.events():
            numbers.setdefault(topic, []).append(seq)
        for topic, got in numbers.items():
            assert got == list(range(1, len(got) + 1)), topic
        assert len({batch.epoch for batch in self.batches}) == 1
        assert [batch.number for batch in self.batches] == list(range(1, len(self.batches) + 1))

    def assert_each_trade_once(self) -> None:
        """Look at the ids: trades without hole or repetition, best prices and statistics never going back."""
        for topic, ids in self.ids().items():
            if symbol_and_family(topic)[1]:
                assert all(earlier < later for earlier, later in itertools.pairwise(ids)), topic
            else:
                assert ids == list(range(ids[0], ids[0] + len(ids))), topic


class MemoryWriter:
    """See ``BusWriter``."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self.figures = WriterFigures()
        self.term = 0
        self.feed: LeadableFeed | None = None
        self.cut_off = False
        self.warned_of: list[str] = []
        """Whether the feed cannot reach the bus: what it writes goes nowhere."""

    def start(self, feed: LeadableFeed) -> None:
        self.feed = feed
        self.bus.writers.append(self)
        if self.bus.leader is None:
            self.bus.give_lead(self)
        else:
            feed.follow("another feed leads")

    async def stop(self) -> None:
        if self in self.bus.writers:
            self.bus.writers.remove(self)
        if self.bus.leader is self:
            self.bus.leader = None
            if self.bus.writers:
                self.bus.give_lead(self.bus.writers[0])

    def yield_lead(self, because: str) -> None:
        assert self.feed is not None
        self.feed.follow(because)
        if self.bus.leader is self:
            others = [writer for writer in self.bus.writers if writer is not self]
            self.bus.give_lead((others or [self])[0])

    def warnings(self) -> list[str]:
        return self.warned_of

    def troubles(self) -> list[str]:
        return ["the bus cannot be reached"] if self.cut_off else []

    def write(self, batch: Batch) -> None:
        if self.cut_off:
            return
        if self.term != self.bus.term:
            self.bus.refused += 1
            assert self.feed is not None
            self.feed.follow("another feed leads")
            return
        self.bus.batches.append(batch)

    def write_status(self, status: bytes) -> None:
        if not self.cut_off and self.term == self.bus.term:
            self.bus.statuses.append(json.loads(status))
