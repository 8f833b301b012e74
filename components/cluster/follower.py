"""A client that follows many symbols over WAMP in batched JSON, comes back whenever it is cut off, and misses nothing.

As fast as Python allows: of an event it reads symbol and ``seq`` alone. What it has seen is judged by ``sequence``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
from collections import deque
from collections.abc import Sequence
from typing import Any

from components.bench.websocket import CLOSE, PING, PONG, TEXT, client_frame, take_server_frame, upgrade_request
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

SILENT_AFTER_S = 5.0
"""Without a byte for so long the connection is taken for dead: ticks come many times a second here."""


def _tick(seq: int, id_: int, rest: bytes) -> Tick:
    if not rest:
        return seq, seq, id_, id_
    merged, dropped, first_id = (pattern.search(rest) for pattern in (MERGED, DROPPED, FIRST_ID))
    first = seq - (int(merged[1]) if merged else 1) - (int(dropped[1]) if dropped else 0) + 1
    # Of what was left out nobody says the ids.
    return first, seq, 0 if dropped else int(first_id[1]) if first_id else id_, id_


class _Lost(Exception):
    """The connection has ended, or must be; the text says why."""


class Follower:
    """One client."""

    def __init__(
        self, number: int, urls: Sequence[tuple[str, int]], ticket: tuple[str, str], symbols: Sequence[str]
    ) -> None:
        """Follow ``symbols`` at one of the gateways at ``urls``, host and port; ``ticket`` is authid and token."""
        self.number = number
        self.verdict = Verdict()
        self.connections = 0
        self.live_since_s = 0.0
        """When, by the loop's time, ticks came on this connection for the first time; 0 while none have."""

        self.longest_silence_s = 0.0
        """The longest time without a tick since ``listen_for_silence``."""

        self.told: list[str] = []
        """Why connections ended, the last hundred."""

        self._urls = urls
        self._authid, self._token = ticket
        self._sequences = {symbol.encode(): SymbolSequence(symbol, self.verdict) for symbol in symbols}
        self._epoch: int | None = None
        self._random = random.Random(number)  # noqa: S311 - spreads attempts, guards nothing
        self._ticked_s = 0.0

    async def run(self) -> None:
        """Follow until cancelled."""
        attempt = 0
        while True:
            host, port = self._urls[(self.number + self.connections + attempt) % len(self._urls)]
            session = _Session(self, host, port)
            try:
                await session.run(attempt)
            except (_Lost, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                self.told = [*self.told[-99:], str(error) or type(error).__name__]
            finally:
                session.close()
            if session.live:
                attempt = 0
            self.live_since_s = 0.0
            attempt += 1
            # Full jitter, and no longer than a trader would wait.
            await asyncio.sleep(self._random.uniform(0, min(MAX_PAUSE_S, 0.2 * 2 ** min(attempt, 6))))

    def listen_for_silence(self) -> None:
        """Measure silences from here on."""
        self._ticked_s = asyncio.get_running_loop().time()
        self.longest_silence_s = 0.0

    def silence_s(self) -> float:
        """Return the longest time without a tick since ``listen_for_silence``, one that still lasts included."""
        return max(self.longest_silence_s, asyncio.get_running_loop().time() - self._ticked_s)

    def since_tick_s(self) -> float:
        """Return how long ago ticks came last."""
        return asyncio.get_running_loop().time() - self._ticked_s

    def ticked(self) -> None:
        """Take note that ticks have come."""
        now_s = asyncio.get_running_loop().time()
        self.longest_silence_s = max(self.longest_silence_s, now_s - self._ticked_s)
        self._ticked_s = now_s

    def seqs(self) -> dict[str, int | None]:
        """Return up to where each symbol has been seen."""
        return {symbol.decode(): sequence.seq for symbol, sequence in self._sequences.items()}

    @property
    def settled(self) -> bool:
        """Whether it is live, and waits for no answer."""
        return bool(self.live_since_s) and not any(sequence.asking for sequence in self._sequences.values())

    @property
    def epoch(self) -> int | None:
        """The numbering that it follows."""
        return self._epoch


class _Session:
    """One connection of a follower."""

    def __init__(self, follower: Follower, host: str, port: int) -> None:
        self._follower = follower
        self._host, self._port = host, port
        self._writer: asyncio.StreamWriter | None = None
        self._buffer = bytearray()
        self._messages: deque[list[Any]] = deque()
        self._request = 0
        self._status_request = 0
        self._asked: dict[int, bytes] = {}
        """Symbols of which a replay has been asked for, by request."""

        self._to_ask: dict[bytes, float] = {}
        """Symbols of which one is to be asked for, and from when on, by the loop's time."""

        self._calls = float(CALLS_BURST)
        self._calls_counted_s = 0.0
        self._subscribed = 0
        self.live = False

    async def run(self, attempt: int) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(SETUP_TIMEOUT_S):
            reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=1 << 20)
            request = upgrade_request(f"{self._host}:{self._port}", "/ws").replace(
                b"wamp.2.json\r", b"wamp.2.json.batched\r"
            )
            self._writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                raise _Lost(f"HTTP {head.split(b' ', 2)[1].decode()}")
            follower = self._follower
            extra = {"attempt": attempt}
            details = {"roles": {"subscriber": {}, "caller": {}}, "authmethods": ["ticket"], "authid": follower._authid}
            self._say(HELLO, "market", details | {"authextra": extra})
        deadline_s = loop.time() + SETUP_TIMEOUT_S
        while True:
            async with asyncio.timeout(SILENT_AFTER_S if self.live else max(0.1, deadline_s - loop.time())):
                data = await reader.read(1 << 20)
            if not data:
                raise _Lost("closed")
            self._buffer += data
            while (frame := take_server_frame(self._buffer)) is not None:
                self._take(*frame)
            if self._to_ask:
                self._ask()

    def close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.transport.abort()

    def _say(self, *message: Any) -> None:
        assert self._writer is not None  # noqa: S101 - only called on a connection
        if self._writer.transport.is_closing():
            raise _Lost("closed")
        self._writer.write(client_frame(TEXT, json.dumps(message).encode() + SEPARATOR))

    def _call(self, procedure: str, *arguments: Any) -> int:
        self._request += 1
        self._say(CALL, self._request, {}, procedure, arguments)
        return self._request

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == PING and self._writer is not None:
            self._writer.write(client_frame(PONG, payload))
        elif opcode == CLOSE:
            raise _Lost(f"close {int.from_bytes(payload[:2], 'big')}")
        elif opcode == TEXT:
            if not payload.startswith(b"[36,") or payload.count(SEPARATOR + b"[") != payload.count(SEPARATOR + b"[36,"):
                self._take_messages(payload)
            else:
                self._take_ticks(payload)

    def _take_messages(self, payload: bytes) -> None:
        for text in payload.split(SEPARATOR):
            if text.startswith(b"[36,"):
                self._take_ticks(text)
            elif text:
                self._take_message(json.loads(text))

    def _take_ticks(self, payload: bytes) -> None:
        follower = self._follower
        found = 0
        for symbol, id_digits, seq_digits, rest in TICK.findall(payload):
            found += 1
            tick = _tick(int(seq_digits), int(id_digits), rest)
            if follower._sequences[symbol].take(tick):
                self._to_ask[symbol] = 0.0
        if found:
            follower.ticked()
        if found and not self.live:
            self.live = True
            follower.connections += 1
            follower.live_since_s = asyncio.get_running_loop().time()
        if not found or b'"epoch":' in payload:
            for text in payload.split(SEPARATOR):
                if b'"epoch":' in text:
                    self._take_epoch(json.loads(text)[4][0]["epoch"])

    def _take_epoch(self, epoch: int) -> None:
        follower = self._follower
        if epoch <= (follower._epoch or 0):
            return  # none yet, or what a gateway says that has not heard of this one
        if follower._epoch is not None:
            for sequence in follower._sequences.values():
                sequence.begin_epoch()
        follower._epoch = epoch

    def _take_message(self, message: list[Any]) -> None:
        kind = message[0]
        if kind == CHALLENGE:
            self._say(AUTHENTICATE, self._follower._token, {})
        elif kind == WELCOME:
            # The status first: by its epoch what comes then is understood.
            topics = [MARKET_STATUS, *(tick_topic(symbol.decode()) for symbol in self._follower._sequences)]
            for number, topic in enumerate(topics, start=1):
                self._say(SUBSCRIBE, number, {}, topic)
            self._request = len(topics)
        elif kind == SUBSCRIBED:
            self._subscribed += 1
            if self._subscribed == len(self._follower._sequences) + 1:
                self._status_request = self._call(MARKET_STATUS)
        elif kind == RESULT and message[1] == self._status_request:
            self._take_epoch(message[3][0]["epoch"])
            sequences = self._follower._sequences.items()
            self._to_ask |= {symbol: 0.0 for symbol, sequence in sequences if sequence.seq is not None}
        elif kind == RESULT:
            self._take_replay(self._asked.pop(message[1]), message[3][0])
        elif kind in (ABORT, GOODBYE):
            raise _Lost(CLOSE_DRAINING if message[2] == CLOSE_DRAINING else f"told {message[2]}")
        elif kind == ERROR:
            if message[2] in self._asked and message[4] in NOT_NOW:
                self._to_ask[self._asked.pop(message[2])] = asyncio.get_running_loop().time() + ASK_AGAIN_S
                return
            raise _Lost(f"error {message[4]} {message[5:]}")

    def _ask(self) -> None:
        now_s = asyncio.get_running_loop().time()
        self._calls = min(CALLS_BURST, self._calls + (now_s - self._calls_counted_s) * CALLS_PER_S)
        self._calls_counted_s = now_s
        under_way = set(self._asked.values())
        for symbol in [
            symbol for symbol, from_s in self._to_ask.items() if from_s <= now_s and symbol not in under_way
        ]:
            if self._calls < 1 or len(self._asked) == CALLS_AT_ONCE:
                break
            del self._to_ask[symbol]
            seq = self._follower._sequences[symbol].ask()
            if seq is not None:
                self._calls -= 1
                self._asked[self._call(MARKET_REPLAY, symbol.decode(), self._follower._epoch, seq)] = symbol

    def _take_replay(self, symbol: bytes, answer: dict[str, Any]) -> None:
        follower = self._follower
        if answer["epoch"] != follower._epoch:
            if answer["epoch"] > (follower._epoch or 0):
                self._take_epoch(answer["epoch"])
            else:
                # This gateway has not heard of the epoch that this client knows from another.
                self._to_ask[symbol] = asyncio.get_running_loop().time() + ASK_AGAIN_S
            return
        ticks = [(event["seq"], event["seq"], event["id"], event["id"]) for event in answer["events"]]
        missing = [(first, last) for first, last in answer["missing"]]
        follower._sequences[symbol].replayed(ticks, missing, answer["to_seq"], answer["more"])
        if answer["more"]:
            self._to_ask[symbol] = 0.0
