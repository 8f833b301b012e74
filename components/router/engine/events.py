"""What the fan-out handles: an event, and the contract of those who turn it into bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import msgspec

from components.core.payload import EncodedPayload


class Event(msgspec.Struct, gc=False, eq=False):
    """One publication on one subscription.

    A Struct outside the garbage collector's reach, since one is made for each publication and none can be part of a cycle.
    """

    subscription: int
    publication: int
    topic: str
    topic_shown: bool
    """Whether the receiver is told the topic: it is for subscriptions to a pattern."""
    payload: EncodedPayload
    merged: int = 0
    """Events it stands for, where the payload cannot say so; else 0."""
    dropped: int = 0
    """Events dropped before it, where the payload cannot say so; else 0."""

    retained: ClassVar[bool] = False
    """Whether it is from before its receiver's subscription."""


class RetainedEvent(Event, gc=False, eq=False):
    """An event from before its receiver's subscription, marked as such."""

    retained: ClassVar[bool] = True


class Encoding(Protocol):
    """A serializer and a framing; one object each, shared by all connections that use it."""

    joined: bool
    """Whether ``pieces`` returns one block, to be written as it is."""

    def frames(self, events: Sequence[Event]) -> list[bytes]:
        """Return what is sent for each event."""

    def pieces(self, frames: list[bytes]) -> list[bytes]:
        """Return what is written for frames: one block, or messages that the connection frames by itself."""
