"""What is measured: how many clients subscribe to how much, who publishes, and which loads are offered."""

from __future__ import annotations

import random
from dataclasses import dataclass

EXTERNAL_SERVICE = "bench"
"""The service below whose name an external publisher publishes."""


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

    churn: bool = False
    """Joins, idle connections and coming back are measured instead of events."""

    @property
    def summary(self) -> str:
        """One line for people."""
        which = "the same" if self.topics_per_client == self.topics else f"a random {self.topics_per_client} of"
        source = "external publisher" if self.external else "joins" if self.churn else "feed"
        clients = "client" if self.clients == 1 else "clients"
        return f"{self.clients:,} {clients} × {which} {self.topics} topics, {source}"

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
    Shape("100x100", 100, 100, 100, offered_per_s=(200, 2_000, 10_000)),
    Shape("100x100of400", 100, 400, 100, offered_per_s=(500, 5_000, 20_000)),
    Shape("1000x10of400", 1_000, 400, 10, offered_per_s=(500, 5_000, 20_000)),
    Shape("1x100", 1, 100, 100, offered_per_s=(1_000, 10_000, 50_000)),
    Shape("100x100-external", 100, 100, 100, external=True, offered_per_s=(200, 1_000, 4_000)),
    Shape("connections", 1_000, 100, 100, churn=True),
)
