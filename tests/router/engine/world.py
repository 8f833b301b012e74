"""A fan-out among stand-ins: connections that keep what is written, outboxes that merge nothing, and what each ought to get."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from twisted.internet.task import Clock

from components.core.payload import EncodedPayload
from components.router.engine.blocked import HoldLimits
from components.router.engine.events import Event
from components.router.engine.fanout import FanOut
from components.router.engine.groups import Subscriber

PATTERN = 99
WRITE_S = 0.001
TOPICS = {f"market.S{number}": 10 + number for number in range(4)}


class PlainEncoding:
    """One line per event, so that a test can read what was written."""

    def __init__(self, joined: bool) -> None:
        self.joined = joined
        self.made = 0

    def frames(self, events: Sequence[Event]) -> list[bytes]:
        self.made += len(events)
        return [
            b"%d %b %b\n"
            % (event.subscription, (event.topic if event.topic_shown else "-").encode(), event.payload.json)
            for event in events
        ]

    def pieces(self, frames: list[bytes]) -> list[bytes]:
        return [b"".join(frames)] if self.joined else frames


class FakeConnection:
    def __init__(self, encoding: PlainEncoding, clock: Clock) -> None:
        self.encoding = encoding
        self.blocks: list[bytes] = []
        self.clock = clock
        self.write_s = WRITE_S
        self.given_up = False
        self.fails = False
        self.then: Callable[[], None] | None = None
        """Called from within each write, as Twisted tells its producers."""

    def write(self, block: bytes) -> None:
        assert self.encoding.joined
        if self.fails:
            raise OSError("broken")
        self.blocks.append(block)
        if self.then is not None:
            self.then()
        # Time passes, but the reactor has no turn in which a timer could fire.
        self.clock.rightNow += self.write_s

    def write_each(self, frames: Iterable[bytes]) -> None:
        assert not self.encoding.joined
        self.blocks.extend(frames)

    def give_up(self) -> None:
        self.given_up = True

    @property
    def lines(self) -> list[str]:
        return b"".join(self.blocks).decode().splitlines()


class KeepingOutbox:
    """Merges nothing, so that what comes out is what went in."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, str, bytes, int, int]] = []
        self.refuse = False

    def add(self, subscription: int, topic: str, payload: bytes, events: int = 1) -> str | None:
        assert events == 1
        if self.refuse:
            return "full"
        self.kept.append((subscription, topic, payload, 0, 0))
        return None

    def drain(self) -> Iterator[tuple[int, str, bytes, int, int]]:
        while self.kept:
            yield self.kept.pop(0)

    def discard(self) -> None:
        self.kept.clear()

    def __bool__(self) -> bool:
        return bool(self.kept)

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def bytes(self) -> int:
        return sum(len(payload) for _, _, payload, _, _ in self.kept)


class KeepingCondenser:
    """Merges nothing either."""

    def __init__(self) -> None:
        self.events: list[tuple[int, str, bytes]] = []

    def add(self, subscription: int, topic: str, payload: bytes) -> None:
        self.events.append((subscription, topic, payload))

    def condensed(self) -> list[tuple[int, str, bytes, int]]:
        return [(*event, 1) for event in self.events]


class World:
    """A fan-out, its sessions, and what each of them ought to have got."""

    def __init__(self, sessions: int = 3, *, window_s: float = 0.005, hold: HoldLimits | None = None) -> None:
        self.condensed = 0
        self.clock = Clock()
        self.overflows: list[tuple[Subscriber, Any]] = []
        self.fanout = FanOut(
            self.clock,
            self.match,
            lambda *overflow: self.overflows.append(overflow),
            self.condenser,
            window_s,
            hold,
        )
        self.encodings = [PlainEncoding(True), PlainEncoding(False)]
        self.sessions = [
            Subscriber(FakeConnection(self.encodings[number % 2], self.clock), KeepingOutbox())
            for number in range(sessions)
        ]
        self.expected: list[list[str]] = [[] for _ in range(sessions)]
        self.published = 0

    def condenser(self) -> KeepingCondenser:
        self.condensed += 1
        return KeepingCondenser()

    def match(self, topic: str) -> list[tuple[int, bool]]:
        taken = {subscription for session in self.sessions for subscription in session.subscriptions}
        found = [(TOPICS[topic], False)] if TOPICS[topic] in taken else []
        return [*found, (PATTERN, True)] if PATTERN in taken else found

    def subscribe(self, number: int, subscription: int) -> None:
        if subscription not in self.sessions[number].subscriptions:
            self.fanout.subscribed(self.sessions[number], subscription, subscription == PATTERN)
            self.fanout.subscriptions_changed()

    def unsubscribe(self, number: int, subscription: int) -> None:
        if subscription in self.sessions[number].subscriptions:
            self.fanout.unsubscribed(self.sessions[number], subscription)
            self.fanout.subscriptions_changed()

    def publish(self, topic: str) -> None:
        self.published += 1
        payload = b'{"n":%d}' % self.published
        for session, expected in zip(self.sessions, self.expected, strict=True):
            for subscription in (TOPICS[topic], PATTERN):
                if subscription in session.subscriptions:
                    shown = topic if subscription == PATTERN else "-"
                    expected.append(f"{subscription} {shown} {payload.decode()}")
        self.fanout.publish(topic, EncodedPayload(payload))

    def reply(self, number: int) -> None:
        session = self.sessions[number]
        self.fanout.catch_up(session)
        self.expected[number].append("reply")
        session.connection.blocks.append(b"reply\n")  # type: ignore[attr-defined]

    def settle(self) -> None:
        for session in self.sessions:
            if session.blocked:
                self.fanout.unblocked(session)
        self.clock.advance(1.0)

    def got(self) -> list[list[str]]:
        return [session.connection.lines for session in self.sessions]  # type: ignore[attr-defined]


def turn(clock: Clock) -> None:
    """Do what a reactor does in one turn: the calls that are due, and not those that they ask for."""
    for call in [call for call in clock.getDelayedCalls() if call.getTime() <= clock.seconds()]:
        clock.calls.remove(call)
        call.called = 1
        call.func(*call.args, **call.kw)
