"""What a conversation asks of its connection and of its realm's seam, which know sockets, frames and Crossbar."""

from __future__ import annotations

from typing import Any, Protocol

from components.router.engine.encodings import PlainEncoding
from components.router.plain.market import MarketView


class Realm(Protocol):
    """The seam of a session's realm."""

    market: MarketView | None

    def subscribe(self, session: Any, topic: str, match: str, get_retained: bool) -> tuple[int, list[bytes]] | None:
        """Add a session to a subscription; return its id and the frames that it begins with, or that nothing was done."""

    def unsubscribe(self, session: Any, subscription: int) -> bool:
        """Take a session from a subscription; return whether that was done."""


class Connection(Protocol):
    """The client's connection."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done for it."""

    @property
    def is_blocked(self) -> bool:
        """Whether it takes no more bytes at the moment."""

    def joined(self) -> tuple[Realm | None, Any]:
        """Return the realm, where requests may be taken past Crossbar's code, and the session."""

    @property
    def plain_encoding(self) -> PlainEncoding:
        """What makes frames of objects."""

    def begin_reply(self) -> None:
        """Send the events that wait."""

    def send_frames(self, frames: list[bytes]) -> None:
        """Send what the encoding has made."""

    def go_on(self) -> None:
        """Have ``run`` called when it is this connection's turn."""

    def violated(self, reason: str) -> None:
        """Close it: what came broke WAMP's rules."""

    def broke(self) -> None:
        """Close it: an error of our own."""
