"""What every bus guarantees, whatever carries it.

Rules:

- Batches of an epoch are numbered from 1 without a hole. A reader hands each to its listener once and in order; where some can
  no longer be had, the next one's number says so, and ``seq`` says of which topics events are missing.
- At most one feed leads at a time. What a feed writes that leads no more is refused by the bus itself, not by the good will
  of that feed.
- A bus of many feeds keeps what operators want these to follow, and tells each of them: also one that comes later, and who
  takes the lead before it does. Of two changes of the same choice one is made and the other refused. What the bus has lost,
  feeds tell it again.
- A bus that is down, slow, full or empty costs the other parts nothing but what it carries: writer and reader keep what they
  have within their bounds, say what is wrong (``troubles``), and recover by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from components.core.batch import Batch, Standing
from components.core.symbol_choice import SymbolChoice


class LeadableFeed(Protocol):
    """A feed as its side of the bus sees it."""

    @property
    def ready(self) -> bool:
        """Whether the exchange's events come. A feed that is not ready leads only while no feed that is stands by."""

    @property
    def choice(self) -> SymbolChoice:
        """The newest that this feed knows of what operators want it to follow."""

    def choose(self, choice: SymbolChoice) -> None:
        """Follow these symbols from here on, if the choice is newer than the one that is known."""

    def lead(self, since: Standing | None) -> None:
        """Number events and write them from here on, continuing where the numbering stands.

        ``None``: nothing stands, or what stands cannot be continued without a hole that nobody could see; begin an epoch.
        A feed that leads already and is told ``None`` begins an epoch as well.
        """

    def follow(self, because: str) -> None:
        """Write no more until told to lead: another feed leads, or may. What was written and not yet sent is given up."""

    def pause(self) -> None:
        """Stop reading from the exchange: the bus is full."""

    def resume(self) -> None:
        """Read again: the bus has room."""


@dataclass(slots=True)
class WriterFigures:
    """What a writer counts since its start, for the metrics; what a bus has nothing like of stays 0."""

    leads: int = 0
    """How often the lead was given, and given again after a trouble."""

    overflows: int = 0
    """How often what waits for the bus came to its bound."""

    dropped_batches: int = 0
    """Given up: too much waited, or the bus did not confirm them in time, though it may have them."""

    rewritten_batches: int = 0
    """Handed over again, since the bus had lost them or may not have had them."""

    refused_batches: int = 0
    """Handed over by a feed that did not lead."""

    void_records: int = 0
    """Read back in the log, of feeds that led no more."""

    malformed_records: int = 0
    """Read back in the log and passed over, since they were none."""


class BusWriter(Protocol):
    """A feed's side of the bus."""

    @property
    def figures(self) -> WriterFigures:
        """Return what has been counted."""

    def start(self, feed: LeadableFeed) -> None:
        """Go on until ``stop``; ``feed`` is told when it leads and when not, first of all when the bus has been asked."""

    async def stop(self) -> None:
        """Send what waits, for a bounded time, and give up the lead, so that another feed takes it at once."""

    def yield_lead(self, because: str) -> None:
        """Leave the lead to another feed, if one stands by; ``follow`` is called before this returns.

        For a leader that does not get what the exchange sends. Where no other takes the lead, this feed has it again soon. A
        bus of a single feed does nothing.
        """

    def write(self, batch: Batch) -> None:
        """Send a batch; batches arrive in the order of the calls, each once, or the feed is told to begin anew or follow.

        Never blocks, and is called between ``lead`` and ``follow`` only. Beyond its bound the bus asks the feed to stop reading
        from the exchange (``pause``) and later to go on (``resume``); a batch handed over in between is still kept, so that one
        read's worth is never lost.
        """

    def write_status(self, status: bytes) -> None:
        """Send the feed's status, the JSON of one object; only the newest is of interest, older ones may be skipped."""

    def troubles(self) -> list[str]:
        """Return what is wrong with the bus, a line each for ``/readyz`` and the log; empty when nothing is."""

    def warnings(self) -> list[str]:
        """Return what in the bus's settings may do harm and has done none, a line each as of ``troubles``."""


class BusListener(Protocol):
    """Who takes what a reader reads. What it raises is logged with the batch; the next comes all the same."""

    def take_standing(self, standing: Standing) -> None:
        """Be told what is newest, after the batch of the standing's number and before the next one.

        Once when reading begins, before anything else, where the bus has kept it. Again when batches could no longer be had:
        then what differs from what was read is what became of the topics of which they told. Also, and rarely, when the bus has
        lost all that it had and a feed goes on in an earlier epoch: what was read before is not to come back.
        """

    def take_history(self, batch: Batch) -> None:
        """Take a batch that was written before reading began, at most as new as the standing.

        In order, before the first live batch, and as far back as the bus keeps them, the rest of it after the bus was away.
        Nothing for subscribers: they did not miss it. For who asks what he missed elsewhere.
        """

    def take_batch(self, batch: Batch) -> None:
        """Take a batch."""

    def take_status(self, status: bytes) -> None:
        """Take the feed's status, the JSON of one object."""


@dataclass(slots=True)
class ReaderFigures:
    """What a reader counts, for the metrics; what a bus has nothing like of stays 0."""

    connected: bool = False
    """Whether batches could come."""

    batches: int = 0
    """Handed to the listener as they were written; history not counted."""

    missed_batches: int = 0
    """That should have come and can no longer be had."""

    reconnects: int = 0
    """How often the bus was there again after it had been away."""

    lag_s: float = 0.0
    """Of the last batch: from its writing to its reading, by the bus's clock where it has one."""

    void_records: int = 0
    """Of feeds that led no more."""

    malformed_records: int = 0
    """Passed over, since they were none."""

    holes: int = 0
    """How often what was to be read next could no longer be had, and what stands was read anew."""


class BusReader(Protocol):
    """A gateway's side of the bus."""

    figures: ReaderFigures

    shared: ClassVar[bool]
    """Whether all gateways read the same: then none of them is alone with having no feed."""

    @property
    def reading_history(self) -> bool:
        """Whether the listener has still to be told of batches that were written before reading began.

        True from the start until the bus has been asked and ``take_history`` has been called with all that it had; also while
        the bus is away meanwhile. Again when reading begins anew with what stands.
        """

    async def start(self, listener: BusListener) -> None:
        """Read until ``stop``; returns as soon as reading has been set going, also while the bus is down.

        Batches are read on from where reading was broken off: a gateway that lost the bus for a while misses nothing that the
        bus still has.
        """

    async def stop(self) -> None:
        """Read no more."""

    def read_ahead(self) -> None:
        """Take what has come and the reactor has not come round to, for who is about to do what may take a while.

        Called thousands of times a second; costs next to nothing when there is nothing. A bus that has its own thread, or TLS,
        need not do anything.
        """

    def troubles(self) -> list[str]:
        """Return what is wrong with the bus, a line each for ``/readyz`` and the log; empty when nothing is."""

    def warnings(self) -> list[str]:
        """Return what in the bus's settings may do harm and has done none, a line each as of ``troubles``."""

    def shortage(self) -> list[str]:
        """Return what keeps feeds from writing to a bus that can be read, a line each as of ``troubles``."""
