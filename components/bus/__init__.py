"""Carry batches and the feed's status from a feed to the routers.

``BusWriter`` is a feed's side, ``BusReader`` a router's; ``choice`` makes those of the bus that the settings name.
``wamp`` is the bus of a single node, ``redis`` and ``kafka`` are those of many; ``idle`` carries nothing.
"""

from components.bus.interface import BusListener, BusReader, BusWriter, LeadableFeed, ReaderFigures, WriterFigures

__all__ = ["BusListener", "BusReader", "BusWriter", "LeadableFeed", "ReaderFigures", "WriterFigures"]
