"""What is measured: how many clients subscribe to how much, who publishes, and which loads are offered."""

from __future__ import annotations

import random
from dataclasses import dataclass

EXTERNAL_SERVICE = "bench"
"""The service below whose name an external publisher publishes."""

REFERENCE = "crossbar"
"""The system whose saturation others are measured against; its ``published_per_s`` is what ``multiples_of_stock`` multiply."""


@dataclass(frozen=True, slots=True)
class Load:
    """Events published at a steady rate, at which latency is measured."""

    name: str
    """Its key in the figures: the rate, or ``7.5x_stock``."""

    per_s: float
    required: bool
    """Offered to every system, also where that is more than it takes."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One arrangement of clients and topics."""

    name: str
    clients: int
    topics: int
    topics_per_client: int
    """All topics when equal to ``topics``; else that many at random, other ones for every client."""

    external: bool = False
    """A WAMP session publishes ``services.bench.…`` over WebSocket, rather than a feed ``market.…``."""

    offered_per_s: tuple[int, ...] = ()
    """Published events/s at which latency is measured. All systems are to sustain the first."""

    multiples_of_stock: tuple[float, ...] = ()
    """The same, in multiples of what saturated stock Crossbar in this run; offered to the others, whatever they take."""

    churn: bool = False
    """Joins, idle connections and coming back are measured instead of events."""

    @property
    def summary(self) -> str:
        """One line for people."""
        which = "the same" if self.topics_per_client == self.topics else f"a random {self.topics_per_client} of"
        source = "external publisher" if self.external else "joins" if self.churn else "feed"
        clients = "client" if self.clients == 1 else "clients"
        return f"{self.clients:,} {clients} × {which} {self.topics} topics, {source}"

    def loads(self, stock_per_s: float | None) -> list[Load]:
        """Return the loads at which latency is measured.

        ``stock_per_s`` is at what rate stock Crossbar was saturated, or ``None`` where nothing is measured against that.
        """
        loads = [Load(f"{per_s}", per_s, required=number == 0) for number, per_s in enumerate(self.offered_per_s)]
        if stock_per_s is not None:
            loads += [
                Load(name, multiple * stock_per_s, required=True)
                for name, multiple in zip(self._names_of_multiples(), self.multiples_of_stock, strict=True)
            ]
        return loads

    def load_names(self) -> list[str]:
        """Return the names of all loads in their order, measured or not."""
        return [*map(str, self.offered_per_s), *self._names_of_multiples()]

    def _names_of_multiples(self) -> list[str]:
        return [f"{multiple:g}x_stock" for multiple in self.multiples_of_stock]

    def topic_names(self) -> list[str]:
        """Return the topics in publishing order; their last components are symbols."""
        prefix = f"services.{EXTERNAL_SERVICE}." if self.external else "market."
        return [prefix + symbol for symbol in self.symbols()]

    def symbols(self) -> list[str]:
        """Return one symbol per topic."""
        return [f"S{number:03}USDT" for number in range(self.topics)]

    def subscriptions(self) -> list[list[int]]:
        """Return every client's topics as indices; the same for every system and round."""
        if self.topics_per_client == self.topics:
            return [list(range(self.topics))] * self.clients
        choice = random.Random(self.name)  # noqa: S311 - to be repeatable, not secret
        return [sorted(choice.sample(range(self.topics), self.topics_per_client)) for _ in range(self.clients)]


SHAPES = (
    Shape("100x100", 100, 100, 100, offered_per_s=(200, 2_000, 10_000), multiples_of_stock=(1,)),
    Shape("100x100of400", 100, 400, 100, offered_per_s=(500, 5_000)),
    Shape("1000x10of400", 1_000, 400, 10, offered_per_s=(500, 5_000)),
    # The first load is a lone tick: one every 20 ms to an idle node.
    Shape("1x100", 1, 100, 100, offered_per_s=(50, 1_000, 10_000)),
    Shape("100x100-external", 100, 100, 100, external=True, offered_per_s=(200, 1_000), multiples_of_stock=(7.5,)),
    Shape("connections", 1_000, 100, 100, churn=True),
)
