"""Which WebSocket and RawSocket connections of this worker are open, and which of them have not been sent away."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from components.core.closing import CloseReason


class WaitingBytes(NamedTuple):
    """What has been published for a client, and has not been handed to the system yet."""

    bytes: int
    entries: int
    """Events, as they would be sent: those that were merged are one."""

    is_blocked: bool
    """Whether its connection takes no more."""


class OpenConnection(Protocol):
    """A connection, as far as who sends it away needs to know it."""

    @property
    def is_internal(self) -> bool:
        """Whether it is the node's own, such as its feed's, or a link to another router."""

    def part(self, reason: CloseReason) -> None:
        """Be closed, and told why, behind all that waits for the client."""

    def cut(self, reason: CloseReason) -> None:
        """Be closed, and told why, at once."""

    def waiting(self) -> WaitingBytes:
        """Return what waits for the client."""


class OpenConnections:
    """In the order in which they were opened."""

    def __init__(self) -> None:
        self._staying: dict[OpenConnection, None] = {}
        self._parting: dict[OpenConnection, None] = {}

    def opened(self, connection: OpenConnection) -> None:
        """Take note of a connection."""
        self._staying[connection] = None

    def closed(self, connection: OpenConnection) -> None:
        """Take note of the end of a connection, if it was noted."""
        self._staying.pop(connection, None)
        self._parting.pop(connection, None)

    @property
    def staying(self) -> int:
        """How many have not been sent away; those of the node itself are among them until ``take`` has come upon them."""
        return len(self._staying)

    @property
    def any_left(self) -> bool:
        """Whether a client's may be open, sent away or not."""
        return bool(self._staying or self._parting)

    def all(self) -> list[OpenConnection]:
        """Return all, whoever's, sent away or not."""
        return [*self._staying, *self._parting]

    def clients(self) -> list[OpenConnection]:
        """Return all that are clients', sent away or not."""
        return [each for some in (self._staying, self._parting) for each in some if not each.is_internal]

    def take(self, number: int) -> list[OpenConnection]:
        """Return clients' connections that are to be sent away: the oldest of those that stay, ``number`` at most."""
        taken: list[OpenConnection] = []
        passed: list[OpenConnection] = []
        for each in self._staying:
            if len(taken) == number:
                break
            (passed if each.is_internal else taken).append(each)
        for each in (*passed, *taken):
            del self._staying[each]
        self._parting.update(dict.fromkeys(taken))
        return taken
