"""What the fan-out handles: an event, and the contract of those who turn it into bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from components.core.payload import EncodedPayload


class Event:
    """One publication on one subscription. No dataclass: one is made for each."""

    __slots__ = ("dropped", "merged", "payload", "publication", "subscription", "topic", "topic_shown")

    def __init__(
        self,
        subscription: int,
        publication: int,
        topic: str,
        topic_shown: bool,
        payload: EncodedPayload,
        merged: int = 0,
        dropped: int = 0,
    ) -> None:
        self.subscription = subscription
        self.publication = publication
        self.topic = topic
        self.topic_shown = topic_shown
        """Whether the receiver is told the topic: it is for subscriptions to a pattern."""
        self.payload = payload
        self.merged = merged
        """Events it stands for, where the payload cannot say so; else 0."""
        self.dropped = dropped
        """Events dropped before it, where the payload cannot say so; else 0."""

    retained = False
    """Whether it is from before its receiver's subscription."""


class RetainedEvent(Event):
    """An event from before its receiver's subscription, marked as such."""

    __slots__ = ()
    retained = True


class Encoding(Protocol):
    """A serializer and a framing; one object each, shared by all connections that use it."""

    joined: bool
    """Whether frames may be joined and written as one block."""

    def frames(self, events: Sequence[Event]) -> list[bytes]:
        """Return what is sent for each event."""
