"""What an attack is, and one attacker at it."""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from components.bench.hostile.governor import Governor
from components.bench.hostile.wire import DEAF_BUFFER_BYTES, LEFT, READ_BYTES, Ended, Wire
from components.bench.load import Account
from components.core.limits import Limits

REFUSED = "refused"
"""The connection did not come about."""

OVER = "over"
"""The attack ended before the gateway had had its time."""

ATTACKER_HOSTS = tuple(f"127.0.0.{number}" for number in range(2, 10))
"""Addresses of the loopback from which attackers come; honest clients use 127.0.0.1."""


MAX_TURNS = 200
PAUSE_S = 0.25
"""Between two turns of an attacker."""


@dataclass(slots=True)
class Outcome:
    """What became of an attack's connections."""

    endings: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """URIs of ERROR and codes of plain errors, by how often they came."""

    answers: Counter[str] = field(default_factory=Counter)
    """Messages that came, by their type."""


@dataclass(frozen=True, slots=True)
class Field:
    """What all attackers of a process share."""

    port: int
    path: str
    topics: list[str]
    accounts: Iterator[Account]
    """Viewers' tickets, for ever."""

    service: Account
    tickets: Mapping[str, Account]
    """Tickets of a special kind, by its name."""

    limits: Mapping[str, Limits]
    """Of a session, by its role."""

    patience: float
    """The gateway's timeouts in this field, as a part of what they are by default."""

    slack_s: float
    """For what the gateway does at a time, and the attackers get to hear."""

    governor: Governor


class Attacker:
    """One attacker of a kind; each connection that it makes is noted in the kind's outcome."""

    def __init__(self, field_: Field, outcome: Outcome, number: int, until_s: float) -> None:
        self.field = field_
        self.outcome = outcome
        self.number = number
        """Of this attacker among those of its kind."""

        self.random = random.Random(number)  # noqa: S311 - to be repeatable, not secret
        self.until_s = until_s
        """When the attack is over, by the loop's time."""

        self._deadline: asyncio.Timeout | None = None
        self._lasts_s = 0.0

    @asynccontextmanager
    async def turn(self, lasts_s: float) -> AsyncIterator[None]:
        """Give the gateway ``lasts_s`` to end each connection that is made in it.

        Raises:
            TimeoutError: it did not.
        """
        async with asyncio.timeout_at(self.until_s) as self._deadline:
            self._lasts_s = lasts_s
            yield

    @asynccontextmanager
    async def connection(self, *, deaf: bool = False) -> AsyncIterator[Wire]:
        """Connect; ``deaf``: nothing is read unless ``listen`` is called, and the kernel reads little."""
        await self.field.governor.leave_to_connect()
        handle = socket.socket()
        handle.setblocking(False)
        if deaf:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DEAF_BUFFER_BYTES)
        try:
            handle.bind((ATTACKER_HOSTS[self.number % len(ATTACKER_HOSTS)], 0))
            await asyncio.get_running_loop().sock_connect(handle, ("127.0.0.1", self.field.port))
            reader, writer = await asyncio.open_connection(sock=handle, limit=DEAF_BUFFER_BYTES if deaf else READ_BYTES)
        except OSError as error:
            handle.close()
            self.outcome.endings[REFUSED] += 1
            raise Ended from error
        except asyncio.CancelledError:
            handle.close()
            raise
        # From here on: the attackers wait for one another before.
        due_s = asyncio.get_running_loop().time() + self._lasts_s
        if self._deadline is not None:
            self._deadline.reschedule(min(due_s, self.until_s))
        wire = Wire(reader, writer, self.field.governor, f"127.0.0.1:{self.field.port}")
        if not deaf:
            wire.listen()
        try:
            yield wire
        except Ended:
            # Told to go, it stays until it is dropped.
            await wire.gone()
            raise
        finally:
            had_its_time = due_s <= self.until_s or wire.dropped or wire.ending == LEFT
            self.outcome.endings[wire.ending if had_its_time else OVER] += 1
            self.outcome.errors += wire.errors
            self.outcome.answers += Counter({str(kind): count for kind, count in wire.heard.items()})
            wire.close()

    async def joined(self, wire: Wire) -> None:
        """Make a connection a viewer's session."""
        await wire.join(self.field.path, next(self.field.accounts))

    def topic(self) -> str:
        """Return one of the topics that honest clients follow."""
        return self.random.choice(self.field.topics)

    def symbol(self) -> str:
        """Return the symbol of one of them."""
        return self.topic().rpartition(".")[2]


Act = Callable[[Attacker], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attack:
    """A kind of attack."""

    name: str
    act: Act
    """What an attacker does, again and again; ends when the gateway has had enough, or by itself."""

    allowed: frozenset[str]
    """The endings that its connections may have; see ``Wire.ending``."""

    at_once: int = 6
    timeout_s: float = 0.0
    """How long the gateway waits by default before it ends such a connection."""

    repeated: bool = True

    def lasts_s(self, field_: Field) -> float:
        """Return by when the gateway must have ended a connection."""
        return self.timeout_s * field_.patience + field_.slack_s


def attack(*allowed: str, at_once: int = 6, timeout_s: float = 0.0, repeated: bool = True) -> Callable[[Act], Attack]:
    """Return a decorator that makes a function an attack of the same name."""

    def make(act: Act) -> Attack:
        name = act.__name__.replace("_", " ")
        return Attack(name, act, frozenset(allowed), at_once, timeout_s, repeated)

    return make


async def run_attacker(kind: Attack, attacker: Attacker, repeat: bool) -> None:
    """Attack until the attack is over; no turn begins that could not end before."""
    loop = asyncio.get_running_loop()
    lasts_s = kind.lasts_s(attacker.field)
    for _ in range(MAX_TURNS):
        if loop.time() + lasts_s > attacker.until_s:
            break
        with suppress(Ended, TimeoutError):
            async with attacker.turn(lasts_s):
                await kind.act(attacker)
        if not (repeat and kind.repeated):
            break
        await asyncio.sleep(PAUSE_S)
