"""Carry batches and the feed's status from a feed to the routers.

``BusWriter`` is a feed's side, ``BusReader`` a router's. ``wamp`` is the bus of a single node.
"""

from components.bus.interface import BusListener, BusReader, BusWriter, LeadableFeed, OnBatch, OnStatus

__all__ = ["BusListener", "BusReader", "BusWriter", "LeadableFeed", "OnBatch", "OnStatus"]
