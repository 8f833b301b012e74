"""A client that follows many symbols over WAMP in batched JSON, comes back whenever it is cut off, and misses nothing.

Ticks that go on where their symbol was it never sees: those ``reader`` counts. Everything else is decided here, and judged by
``sequence``.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from components.bench.websocket import CLOSE, PING, PONG, TEXT, client_frame, upgrade_request
from components.cluster.reader import Handed, Kind, Reader
from components.cluster.sequence import SymbolSequence, Tick, Verdict
from components.uris import (
    CLOSE_DRAINING,
    ERROR_INVALID_ARGUMENT,
    ERROR_LIMIT_EXCEEDED,
    ERROR_NOT_READY,
    MARKET_REPLAY,
    MARKET_STATUS,
    tick_topic,
)

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
SUBSCRIBE, SUBSCRIBED, EVENT, CALL, RESULT = 32, 33, 36, 48, 50

SEPARATOR = b"\x18"
"""Behind each message of a batched JSON frame."""

TICK = re.compile(
    rb'"symbol":"([A-Z0-9]+)","price":[^,]*,"volume":[^,]*,"side":"[a-z]*","ts":\d+,"id":(\d+),"seq":(\d+)([^}]*)'
)
MERGED = re.compile(rb'"merged":(\d+)')
DROPPED = re.compile(rb'"dropped":(\d+)')
FIRST_ID = re.compile(rb'"first_id":(\d+)')

SETUP_TIMEOUT_S = 20.0
MAX_PAUSE_S = 2.0
CALLS_BURST = 80
CALLS_PER_S = 15.0
CALLS_AT_ONCE = 16
"""Less than what a gateway allows a viewer by default."""

ASK_AGAIN_S = 0.5
NOT_NOW = {ERROR_INVALID_ARGUMENT, ERROR_LIMIT_EXCEEDED, ERROR_NOT_READY}
"""Answers to a replay of a gateway that is busy, or has not yet what this client has from another."""

READ_EVERY_S = 0.01
"""What came meanwhile is read together. Every time that followers measure may be longer than it was by so much."""

LOOK_EVERY_S = 0.25
SILENT_AFTER_S = 5.0
"""Without a byte for so long the connection is taken for dead: ticks come many times a second here."""

RECEIVE_BUFFER_BYTES = 131_072
"""What the kernel may hold back of what has come: in clients that are late, old ticks before the answers that they wait for."""

MAX_HEAD_BYTES = 16_384


def tick_of(text: bytes) -> tuple[bytes, Tick] | None:
    """Return symbol and tick of an EVENT's text; ``None`` where it has none."""
    found = TICK.search(text)
    if found is None:
        return None
    seq, id_, rest = int(found[3]), int(found[2]), found[4]
    if not rest:
        return found[1], (seq, seq, id_, id_)
    merged, dropped, first_id = (pattern.search(rest) for pattern in (MERGED, DROPPED, FIRST_ID))
    first = seq - (int(merged[1]) if merged else 1) - (int(dropped[1]) if dropped else 0) + 1
    # Of what was left out nobody says the ids.
    return found[1], (first, seq, 0 if dropped else int(first_id[1]) if first_id else id_, id_)


class _Event(msgspec.Struct):
    seq: int
    id: int


class _Replay(msgspec.Struct):
    epoch: int
    events: list[_Event] = []
    missing: list[tuple[int, int]] = []
    to_seq: int = 0
    more: bool = False


_REPLAY = msgspec.json.Decoder(tuple[int, int, dict[str, Any], tuple[_Replay]])
"""Of a RESULT: a replay is hundreds of ticks, of which only two numbers are needed."""


class _Lost(Exception):
    """The connection has ended, or must be; the text says why."""


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
        self._session: _Session | None = None
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
            except (_Lost, OSError, TimeoutError) as error:
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
        session = self._session = _Session(self, connected)
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
            self._session.end(_Lost("no ticks in time"))
        elif self.live_since_s and now_s - self._line.heard_s > SILENT_AFTER_S:
            self._session.end(_Lost("silence"))

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
            raise _Lost("closed in the handshake")
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise _Lost(f"HTTP {head.split(b' ', 2)[1].decode()}")
    if not head.endswith(b"\r\n\r\n"):
        raise _Lost("spoken to before HELLO")


class _Session:
    """One connection of a follower."""

    def __init__(self, follower: Follower, connected: socket.socket) -> None:
        self._follower = follower
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Fails when the connection ends, with the reason."""

        self._unsent = bytearray()
        self._request = 0
        self._status_request = 0
        self._asked: dict[int, tuple[int, int | None]] = {}
        """Symbols of which a replay has been asked for, and of which epoch, by request."""

        self._to_ask: dict[int, float] = {}
        """Symbols of which one is to be asked for, and from when on, by ``time.monotonic``."""

        self._calls = float(CALLS_BURST)
        self._calls_counted_s = 0.0
        self._subscribed = 0

    @property
    def waits(self) -> bool:
        """Whether there is something to be asked for, or an answer that has not come."""
        return bool(self._to_ask or self._asked)

    def close(self) -> None:
        self._loop.remove_writer(self._socket)
        if not self.ended.cancel() and not self.ended.cancelled():
            self.ended.exception()  # of a client that is cancelled nobody else asks why it ended

    def hello(self, attempt: int) -> None:
        details = {
            "roles": {"subscriber": {}, "caller": {}},
            "authmethods": ["ticket"],
            "authid": self._follower.ticket[0],
        }
        self._say(HELLO, "market", details | {"authextra": {"attempt": attempt}})

    def take(self, handed: Handed) -> None:
        """Take what came; what goes wrong ends the session, or, where that is no way for a session to end, everything."""
        if self.ended.done():
            return
        try:
            self._take(handed)
        except Exception as error:
            self.end(error)

    def end(self, error: Exception) -> None:
        """End it, unless something has ended it before."""
        if not self.ended.done():
            self.ended.set_exception(error)

    def ask(self, now_s: float) -> None:
        if not self._to_ask or self.ended.done() or len(self._asked) == CALLS_AT_ONCE:
            return
        self._calls = min(CALLS_BURST, self._calls + (now_s - self._calls_counted_s) * CALLS_PER_S)
        self._calls_counted_s = now_s
        under_way = {symbol for symbol, _ in self._asked.values()}
        for symbol in [
            symbol for symbol, from_s in self._to_ask.items() if from_s <= now_s and symbol not in under_way
        ]:
            if self._calls < 1 or len(self._asked) == CALLS_AT_ONCE:
                break
            del self._to_ask[symbol]
            seq = self._follower.sequences[symbol].ask()
            if seq is not None:
                self._calls -= 1
                name = self._follower.names[symbol].decode()
                epoch = self._follower.epoch
                self._asked[self._call(MARKET_REPLAY, name, epoch, seq)] = symbol, epoch

    def _say(self, *message: Any) -> None:
        self._send(client_frame(TEXT, json.dumps(message).encode() + SEPARATOR))

    def _send(self, data: bytes) -> None:
        """Send, or end the session."""
        sent = 0
        if not self._unsent:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                pass
            except OSError as error:
                self.end(error)
                return
        if sent == len(data):
            return
        if not self._unsent:
            self._loop.add_writer(self._socket, self._send_rest)
        self._unsent += data[sent:]

    def _send_rest(self) -> None:
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError as error:
            self._unsent.clear()
            self.end(error)
        if not self._unsent:
            self._loop.remove_writer(self._socket)

    def _call(self, procedure: str, *arguments: Any) -> int:
        self._request += 1
        self._say(CALL, self._request, {}, procedure, arguments)
        return self._request

    def _take(self, handed: Handed) -> None:
        if handed.kind is Kind.TICKS:
            for symbol, tick in handed.ticks:
                self._take_tick(symbol, tick)
        elif handed.kind is Kind.MESSAGE:
            self._take_text(handed.payload)
        elif handed.kind is Kind.END:
            raise _Lost(handed.why)
        elif handed.opcode == PING:
            self._send(client_frame(PONG, handed.payload))
        elif handed.opcode == CLOSE:
            raise _Lost(f"close {int.from_bytes(handed.payload[:2], 'big')}")

    def _take_tick(self, symbol: int, tick: Tick) -> None:
        if self._follower.sequences[symbol].take(tick):
            self._to_ask[symbol] = 0.0

    def _take_text(self, text: bytes) -> None:
        if text.startswith(b"[36,"):
            self._take_event(text)
        elif text.startswith(b"[50,") and (request := int(text[4 : text.index(b",", 4)])) in self._asked:
            self._take_replay(*self._asked.pop(request), _REPLAY.decode(text)[3][0])
        else:
            self._take_message(json.loads(text))

    def _take_event(self, text: bytes) -> None:
        """Take an EVENT that the reader does not know: of the status, or a tick in a form that it leaves to others."""
        found = tick_of(text)
        if found is None:
            self._take_epoch(json.loads(text)[4][0]["epoch"])
            return
        name, tick = found
        self._follower.ticked()
        self._take_tick(self._follower.names.index(name), tick)

    def _take_epoch(self, epoch: int) -> None:
        follower = self._follower
        if epoch <= (follower.epoch or 0):
            return  # none yet, or what a gateway says that has not heard of this one
        if follower.epoch is not None:
            for sequence in follower.sequences:
                sequence.begin_epoch()
            # Of the numbering before nothing is of interest any more.
            self._to_ask.clear()
        follower.epoch = epoch

    def _take_message(self, message: list[Any]) -> None:
        kind = message[0]
        follower = self._follower
        if kind == CHALLENGE:
            self._say(AUTHENTICATE, follower.ticket[1], {})
        elif kind == WELCOME:
            # The status first, and what it is: by its epoch what comes then is understood.
            topics = [MARKET_STATUS, *(tick_topic(name.decode()) for name in follower.names)]
            for number, topic in enumerate(topics, start=1):
                self._say(SUBSCRIBE, number, {"get_retained": True} if topic == MARKET_STATUS else {}, topic)
            self._request = len(topics)
        elif kind == SUBSCRIBED:
            self._subscribed += 1
            if self._subscribed == len(follower.names) + 1:
                self._status_request = self._call(MARKET_STATUS)
        elif kind == RESULT and message[1] == self._status_request:
            self._take_epoch(message[3][0]["epoch"])
            sequences = enumerate(follower.sequences)
            self._to_ask |= {number: 0.0 for number, sequence in sequences if sequence.seq is not None}
        elif kind in (ABORT, GOODBYE):
            raise _Lost(CLOSE_DRAINING if message[2] == CLOSE_DRAINING else f"told {message[2]}")
        elif kind == ERROR:
            if message[2] in self._asked and message[4] in NOT_NOW:
                symbol, epoch = self._asked.pop(message[2])
                if epoch == follower.epoch:
                    self._to_ask[symbol] = time.monotonic() + ASK_AGAIN_S
                return
            raise _Lost(f"error {message[4]} {message[5:]}")

    def _take_replay(self, symbol: int, asked_epoch: int | None, answer: _Replay) -> None:
        follower = self._follower
        if answer.epoch != follower.epoch or asked_epoch != follower.epoch:
            if answer.epoch > (follower.epoch or 0):
                self._take_epoch(answer.epoch)
            elif asked_epoch == follower.epoch:
                # This gateway has not heard of the epoch that this client knows from another.
                self._to_ask[symbol] = time.monotonic() + ASK_AGAIN_S
            return
        ticks = [(event.seq, event.seq, event.id, event.id) for event in answer.events]
        follower.sequences[symbol].replayed(ticks, answer.missing, answer.to_seq, answer.more)
        if answer.more:
            self._to_ask[symbol] = 0.0
