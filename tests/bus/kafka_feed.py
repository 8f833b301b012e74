"""A feed in a process of its own, that can be stopped and killed: ``python -m tests.bus.kafka_feed ADDRESS PREFIX``.

Writes a batch every 10 ms while it leads, and prints a line when it leads or follows. Ends with its standard input.
"""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall

from components.bus.kafka import KafkaBusWriter
from components.core.batch import Standing
from components.core.kafka_address import KafkaAddress
from tests.bus.kafka_parts import LIMITS, NotingFeed


class _PrintingFeed(NotingFeed):
    def lead(self, since: Standing | None) -> None:
        super().lead(since)
        print("lead", flush=True)

    def follow(self, because: str) -> None:
        super().follow(because)
        print(f"follow: {because}", flush=True)

    def write_if_leading(self) -> None:
        if self.leading:
            self.write()


class _Input(Protocol):
    def connectionLost(self, reason: object = None) -> None:
        if reactor.running:  # type: ignore[attr-defined]
            reactor.stop()  # type: ignore[attr-defined]


def main() -> None:
    address = KafkaAddress(sys.argv[1], prefix=sys.argv[2])
    feed = _PrintingFeed(KafkaBusWriter(address, reactor=reactor, limits=LIMITS))
    feed.writer.start(feed)
    LoopingCall(feed.write_if_leading).start(0.01)
    StandardIO(_Input())
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
