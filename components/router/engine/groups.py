"""Sessions with the same encoding and the same subscriptions: they get the same bytes, and share them.

Owns who belongs together and who of them is blocked; never writes anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from components.router.engine.backlog import Backlog
from components.router.engine.events import Encoding


class Connection(Protocol):
    """A session's way out."""

    encoding: Encoding

    def write(self, block: bytes) -> None:
        """Send joined frames."""

    def write_each(self, frames: Iterable[bytes]) -> None:
        """Send frames of an encoding that does not join."""

    def give_up(self) -> None:
        """Close the connection: it has missed something."""


class Outbox(Protocol):
    """What waits for a blocked session; see ``components.core.outbox``."""

    def add(self, subscription: int, topic: str, payload: bytes, events: int = 1) -> Any:
        """Keep an event, or one made of several; return why the session must be closed, or ``None``."""

    def discard(self) -> None:
        """Let all go: the session has left."""

    def drain(self) -> Iterable[tuple[int, str, bytes, int, int]]:
        """Yield and forget what was kept: subscription, topic, payload, and how many events were merged or dropped where
        the payload cannot say so (else 0). What was not asked for is still kept."""

    def __bool__(self) -> bool:
        """Tell whether anything is kept."""

    def __len__(self) -> int:
        """Return how many events are kept."""

    bytes: int
    """Of all that is kept."""


class Subscriber:
    """A session as the fan-out sees it."""

    __slots__ = (
        *("backlog", "backlog_from", "blocked", "connection", "gone", "group", "moves", "outbox", "position"),
        "subscriptions",
    )

    def __init__(self, connection: Connection, outbox: Outbox) -> None:
        self.connection = connection
        self.outbox = outbox
        self.subscriptions: dict[int, bool] = {}
        """Whether each is one to a pattern, by id."""
        self.group: Group | None = None
        self.blocked = False
        self.gone = False
        """Whether its connection is closing or lost; its subscriptions end one by one after that."""
        self.position = 0
        """How many of the waiting events are not for it, because it has had them or came after them."""
        self.backlog: Backlog | None = None
        """Its group's open backlog, where that holds something for it."""
        self.backlog_from = 0
        """The first part of the backlog that is for it."""
        self.moves: deque[Iterator[None]] = deque()
        """Closed backlogs on their way into its outbox, the oldest first; ``blocked`` bounds them."""

    def waiting(self) -> tuple[int, int]:
        """Return how many bytes and events wait; those on their way into the outbox are not in it."""
        backlog = self.backlog
        size_bytes, events = (0, 0) if backlog is None else backlog.waiting(self.backlog_from)
        outbox = self.outbox
        return (size_bytes + outbox.bytes, events + len(outbox)) if outbox else (size_bytes, events)


class Group:
    """Subscribers that get the same."""

    __slots__ = ("backlog", "blocked", "encoding", "subscriptions", "writable")

    def __init__(self, encoding: Encoding, subscriptions: frozenset[int]) -> None:
        self.encoding = encoding
        self.subscriptions = subscriptions
        self.writable: set[Subscriber] = set()
        self.blocked: set[Subscriber] = set()
        self.backlog: Backlog | None = None
        """What the blocked ones have not got; ``None`` while there is nothing."""


class Groups:
    """All groups, by what they have in common."""

    def __init__(self) -> None:
        self._groups: dict[tuple[Encoding, frozenset[int]], Group] = {}
        self._by_subscription: dict[int, set[Group]] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def join(self, subscriber: Subscriber) -> None:
        """Put a subscriber into the group of those like it."""
        key = (subscriber.connection.encoding, frozenset(subscriber.subscriptions))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(*key)
            for subscription in group.subscriptions:
                self._by_subscription.setdefault(subscription, set()).add(group)
        (group.blocked if subscriber.blocked else group.writable).add(subscriber)
        subscriber.group = group

    def leave(self, subscriber: Subscriber) -> None:
        """Take a subscriber out of its group, if it is in one; empty groups are forgotten."""
        group, subscriber.group = subscriber.group, None
        if group is None:
            return
        group.writable.discard(subscriber)
        group.blocked.discard(subscriber)
        if not group.blocked:
            group.backlog = None
        if group.writable or group.blocked:
            return
        del self._groups[group.encoding, group.subscriptions]
        for subscription in group.subscriptions:
            groups = self._by_subscription[subscription]
            groups.discard(group)
            if not groups:
                del self._by_subscription[subscription]

    def concerned(self, subscriptions: Iterable[int]) -> set[Group]:
        """Return the groups that have any of these subscriptions."""
        by_subscription = self._by_subscription
        return set().union(*[by_subscription[id_] for id_ in subscriptions if id_ in by_subscription])
