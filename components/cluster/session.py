"""One connection of a follower: joins, subscribes, asks for what is missing, and hands over what comes."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from typing import Any, Protocol

import msgspec

from components.bench.websocket import CLOSE, PING, PONG, TEXT, client_frame
from components.cluster.reader import Handed, Kind
from components.cluster.sequence import SymbolSequence, Tick
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

CALLS_BURST = 80
CALLS_PER_S = 15.0
CALLS_AT_ONCE = 16
"""Less than what a gateway allows a viewer by default."""

ASK_AGAIN_S = 0.5
NOT_NOW = {ERROR_INVALID_ARGUMENT, ERROR_LIMIT_EXCEEDED, ERROR_NOT_READY}
"""Answers to a replay of a gateway that is busy, or has not yet what this client has from another."""


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


class Lost(Exception):
    """The connection has ended, or must be; the text says why."""


class Client(Protocol):
    """Whose connection it is; lives on when the connection has ended."""

    epoch: int | None
    """The numbering that it follows."""

    ticket: tuple[str, str]
    """Authid and token."""

    names: list[bytes]
    sequences: list[SymbolSequence]
    """By the places of ``names``."""

    def ticked(self) -> None:
        """Take note that ticks have come."""


class Session:
    """One connection of a follower."""

    def __init__(self, follower: Client, connected: socket.socket) -> None:
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
        """Let go of the socket, which is whose it was."""
        self._loop.remove_writer(self._socket)
        if not self.ended.cancel() and not self.ended.cancelled():
            self.ended.exception()  # of a client that is cancelled nobody else asks why it ended

    def hello(self, attempt: int) -> None:
        """Begin to join; ``attempt`` is the number of the connection attempt."""
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
        """Ask for what is missing and can be asked for now."""
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
            raise Lost(handed.why)
        elif handed.opcode == PING:
            self._send(client_frame(PONG, handed.payload))
        elif handed.opcode == CLOSE:
            raise Lost(f"close {int.from_bytes(handed.payload[:2], 'big')}")

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
            raise Lost(CLOSE_DRAINING if message[2] == CLOSE_DRAINING else f"told {message[2]}")
        elif kind == ERROR:
            if message[2] in self._asked and message[4] in NOT_NOW:
                symbol, epoch = self._asked.pop(message[2])
                if epoch == follower.epoch:
                    self._to_ask[symbol] = time.monotonic() + ASK_AGAIN_S
                return
            raise Lost(f"error {message[4]} {message[5:]}")

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
