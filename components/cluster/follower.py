"""A client that follows many symbols over WAMP in batched JSON, comes back whenever it is cut off, and misses nothing.

Ticks that go on where their symbol was it never sees: those ``reader`` counts. All else comes by its ``session``, and is judged
by ``sequence``.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Sequence
from dataclasses import replace

from components.bench.websocket import upgrade_request
from components.cluster.reader import Handed, Reader
from components.cluster.sequence import SymbolSequence, Verdict
from components.cluster.session import Lost, Session

SETUP_TIMEOUT_S = 20.0
MAX_PAUSE_S = 2.0
READ_EVERY_S = 0.01
"""What came meanwhile is read together. Every time that followers measure may be longer than it was by so much."""

LOOK_EVERY_S = 0.25
SILENT_AFTER_S = 5.0
"""Without a byte for so long the connection is taken for dead: ticks come many times a second here."""

RECEIVE_BUFFER_BYTES = 131_072
"""What the kernel may hold back of what has come: in clients that are late, old ticks before the answers that they wait for."""

MAX_HEAD_BYTES = 16_384


class Followers:
    """All clients of a process; a context manager, within which ``run`` reads for them."""

    def __init__(
        self, urls: Sequence[tuple[str, int]], tickets: Sequence[tuple[str, str]], symbols: Sequence[str]
    ) -> None:
        """Let a client for each of ``tickets``, authid and token, follow ``symbols`` at one of the gateways at ``urls``.

        Raises:
            BenchError: what reads cannot be compiled.
        """
        self._reader = Reader(symbols, len(tickets))
        self.followers = [
            Follower(number, urls, ticket, symbols, self._reader) for number, ticket in enumerate(tickets)
        ]

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            for follower in self.followers:
                group.create_task(follower.run())

    async def _read(self) -> None:
        look_s = 0.0
        while True:
            await asyncio.sleep(READ_EVERY_S)
            for handed in self._reader.read():
                self.followers[handed.client].take(handed)
            now_s = time.monotonic()
            for follower in self.followers:
                follower.ask(now_s)
            if now_s >= look_s:
                look_s = now_s + LOOK_EVERY_S
                for follower in self.followers:
                    follower.look(now_s)

    def __enter__(self) -> Followers:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()


class Follower:
    """One client."""

    def __init__(
        self,
        number: int,
        urls: Sequence[tuple[str, int]],
        ticket: tuple[str, str],
        symbols: Sequence[str],
        reader: Reader,
    ) -> None:
        """See ``Followers``; ``reader`` knows this one by its ``number``."""
        self.number = number
        self.told: list[str] = []
        """Why connections ended, the last hundred."""

        self.epoch: int | None = None
        """The numbering that it follows."""

        self.ticket = ticket
        self.names = [symbol.encode() for symbol in symbols]
        self._verdict = Verdict()
        self._line = reader.line(number)
        self.sequences = [
            SymbolSequence(symbol, self._verdict, place)
            for symbol, place in zip(symbols, reader.places(number), strict=True)
        ]
        self._urls = urls
        self._reader = reader
        self._session: Session | None = None
        self._deadline_s = 0.0
        """By when ticks must come on a new connection."""

        self._random = random.Random(number)  # noqa: S311 - spreads attempts, guards nothing

    async def run(self) -> None:
        """Follow until cancelled."""
        attempt = 0
        while True:
            host, port = self._urls[(self.number + self.connections + attempt) % len(self._urls)]
            connections = self.connections
            try:
                with socket.socket() as connected:
                    await self._follow(connected, (host, port), attempt)
            except (Lost, OSError, TimeoutError) as error:
                self.told = [*self.told[-99:], str(error) or type(error).__name__]
            if self.connections > connections:
                attempt = 0
            attempt += 1
            # Full jitter, and no longer than a trader would wait.
            await asyncio.sleep(self._random.uniform(0, min(MAX_PAUSE_S, 0.2 * 2 ** min(attempt, 6))))

    async def _follow(self, connected: socket.socket, address: tuple[str, int], attempt: int) -> None:
        self._deadline_s = time.monotonic() + SETUP_TIMEOUT_S
        async with asyncio.timeout(SETUP_TIMEOUT_S):
            await _upgrade(connected, address)
        self._reader.watch(self.number, connected.fileno())
        session = self._session = Session(self, connected)
        try:
            session.hello(attempt)
            await session.ended
        finally:
            self._session = None
            self._line.live_since_s = 0.0
            self._reader.forget(self.number)
            session.close()

    def take(self, handed: Handed) -> None:
        """Take what the reader handed over."""
        if self._session is not None:
            self._session.take(handed)

    def ask(self, now_s: float) -> None:
        """Ask for what is missing and can be asked for; times are those of ``time.monotonic``."""
        if self._session is not None:
            self._session.ask(now_s)

    def look(self, now_s: float) -> None:
        """End a connection on which nothing comes."""
        if self._session is None:
            return
        if not self.live_since_s and now_s > self._deadline_s:
            self._session.end(Lost("no ticks in time"))
        elif self.live_since_s and now_s - self._line.heard_s > SILENT_AFTER_S:
            self._session.end(Lost("silence"))

    def ticked(self) -> None:
        """Take note that ticks have come."""
        self._line.ticked(time.monotonic())

    def listen_for_silence(self) -> None:
        """Measure silences from here on."""
        self._line.ticked_s = time.monotonic()
        self._line.longest_silence_s = 0.0

    def silence_s(self) -> float:
        """Return the longest time without a tick since ``listen_for_silence``, one that still lasts included."""
        return max(self._line.longest_silence_s, self.since_tick_s())

    def since_tick_s(self) -> float:
        """Return how long ago ticks came last."""
        return time.monotonic() - self._line.ticked_s

    def seqs(self) -> dict[str, int | None]:
        """Return up to where each symbol has been seen."""
        return {name.decode(): sequence.seq for name, sequence in zip(self.names, self.sequences, strict=True)}

    @property
    def verdict(self) -> Verdict:
        """What happened to its ticks so far."""
        verdict = self._verdict
        return replace(verdict, ticks=verdict.ticks + self._line.ticks, lost=verdict.lost + self._line.lost)

    @property
    def connections(self) -> int:
        """On how many connections ticks came."""
        return self._line.connections

    @property
    def live_since_s(self) -> float:
        """When, by ``time.monotonic``, ticks came on this connection for the first time; 0 while none have."""
        return self._line.live_since_s

    @property
    def settled(self) -> bool:
        """Whether it is live, and waits for no answer."""
        if not self.live_since_s or self._session is None or self._session.waits:
            return False
        return not any(sequence.asking for sequence in self.sequences)


async def _upgrade(connected: socket.socket, address: tuple[str, int]) -> None:
    loop = asyncio.get_running_loop()
    connected.setblocking(False)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    await loop.sock_connect(connected, address)
    request = upgrade_request("{}:{}".format(*address), "/ws").replace(b"wamp.2.json\r", b"wamp.2.json.batched\r")
    await loop.sock_sendall(connected, request)
    head = b""
    while b"\r\n\r\n" not in head:
        part = await loop.sock_recv(connected, MAX_HEAD_BYTES)
        head += part
        if not part or len(head) > MAX_HEAD_BYTES:
            raise Lost("closed in the handshake")
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise Lost(f"HTTP {head.split(b' ', 2)[1].decode()}")
    if not head.endswith(b"\r\n\r\n"):
        raise Lost("spoken to before HELLO")
