"""One connection of an attacker: sends any bytes, notes what it is told and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

from components.bench.hostile.governor import Governor
from components.bench.hostile.pace import Taken, within_limits
from components.bench.load import Account
from components.bench.websocket import CLOSE, PING, PONG, TEXT, client_frame, take_server_frame, upgrade_request
from components.core.limits import Limits
from components.uris import ERROR_LIMIT_EXCEEDED

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, EVENT = 16, 17, 32, 33, 34, 36
CALL, RESULT, REGISTER = 48, 50, 64

RESET, EOF, OPEN = "reset", "eof", "open"
"""How a connection ends without a word: the gateway dropped it, closed it, or left it open for as long as it was looked at."""

PACED = "paced"
"""Left open like that; what it sent was answered, but no faster than its limits allow: who sends much waits for the others."""

LEFT = "left"
"""The attacker went away, as it meant to."""

_LAWFUL = ("wamp.close.goodbye_and_out", "wamp.close.normal")
"""Reasons of a GOODBYE that answers the attacker's own."""

_OF = {CALL: "calls", RESULT: "calls", PUBLISH: "publishes", PUBLISHED: "publishes"}
"""Which limit beside that of messages a request counts for, by its answer or by what an ERROR says that it answers."""

_CALLED = ("symbols", "status", "renewed", "resumed")
"""What plain requests that count as calls are answered with."""

READ_BYTES = 65_536
DEAF_BUFFER_BYTES = 16_384


class Ended(Exception):
    """The gateway has ended the connection."""


class Wire:
    """A connection. ``ending`` says in one word or URI what became of it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, governor: Governor, host: str
    ) -> None:
        self.heard: Counter[int | str] = Counter()
        """Messages by their type: WAMP's, or a plain object's; a plain event is ``event``."""

        self.errors: Counter[str] = Counter()
        """URIs of ERROR, and codes of plain errors."""

        self.status: int | None = None
        """Of the HTTP answer."""

        self.taken = Taken()
        self.limits: Limits | None = None
        """Those of a session that sends without end; see ``PACED``."""

        self.frames_per_pong = 1
        self.compressed = False
        """Whether permessage-deflate was agreed to."""

        self._told: str | None = None
        """Reason of ABORT or GOODBYE."""

        self._close: str | None = None
        self._dropped: str | None = None
        self._left = False
        self._reader = reader
        self._writer = writer
        self._governor = governor
        self._host = host
        self._began_s = asyncio.get_running_loop().time()
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    @property
    def ending(self) -> str:
        """Return the reason that the gateway gave, ``close <code>``, ``http <status>``, or how it ended without one.

        Who was told to go but is still connected has ``… (not dropped)``.
        """
        answered = None if self.status in (None, 101) else f"http {self.status}"
        why = self._told or self._close or answered
        if why is not None and self._dropped is None and not self._left:
            return f"{why} (not dropped)"
        return why or self._dropped or (LEFT if self._left else PACED if self._is_paced() else OPEN)

    def _is_paced(self) -> bool:
        seconds = asyncio.get_running_loop().time() - self._began_s
        return self.limits is not None and within_limits(self.taken, self.limits, self.frames_per_pong, seconds)

    @property
    def dropped(self) -> bool:
        """Whether the gateway has ended the connection."""
        return self._dropped is not None

    def listen(self) -> None:
        """Read all that comes, from here on."""
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    def stop_listening(self) -> None:
        """Read no more, until told to listen again."""
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def send(self, data: bytes) -> None:
        """Send bytes when there is leave to.

        Raises:
            Ended: the connection has ended.
        """
        await self._governor.leave_to_send(len(data))
        if self._dropped is not None:
            raise Ended
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            self._end(RESET)
            raise Ended from None

    async def say(self, *message: Any) -> None:
        """Send a WAMP message."""
        await self.send(client_frame(TEXT, json.dumps(message).encode()))

    async def upgrade(self, path: str, more: str = "", protocol: str | None = "wamp.2.json") -> None:
        """Become a WebSocket connection."""
        await self.send(upgrade_request(self._host, path, more, protocol))
        await self.until(lambda: self.status == 101)

    async def hello(self, account: Account, realm: str = "market") -> None:
        """Say HELLO."""
        roles: dict[str, Any] = {role: {} for role in ("subscriber", "publisher", "caller", "callee")}
        await self.say(HELLO, realm, {"roles": roles, "authmethods": ["ticket"], "authid": account.authid})

    async def authenticate(self, account: Account, realm: str = "market") -> None:
        """Say HELLO, and bring the ticket that is asked for."""
        asked = self.heard[CHALLENGE]
        await self.hello(account, realm)
        await self.until(lambda: self.heard[CHALLENGE] > asked)
        await self.say(AUTHENTICATE, account.ticket, {})

    async def join(self, path: str, account: Account) -> None:
        """Become a session."""
        await self.upgrade(path)
        await self.authenticate(account)
        await self.until(lambda: self.heard[WELCOME] > 0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has been heard.

        Raises:
            Ended: the connection has ended, or is about to.
        """
        while not condition():
            if self._dropped or self._told or self._close:
                raise Ended
            self._news.clear()
            await self._news.wait()

    async def gone(self) -> None:
        """Wait until the gateway has dropped the connection."""
        while self._dropped is None:
            self._news.clear()
            await self._news.wait()

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        self._writer.write_eof()

    def leave(self, *, reset: bool = False) -> None:
        """Go away; ``reset``: with a RST."""
        self._left = True
        if reset:
            handle = self._writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Drop the connection."""
        self.stop_listening()
        self._writer.transport.abort()

    def _end(self, how: str) -> None:
        self._dropped = self._dropped or how
        self._news.set()

    async def _listen(self) -> None:
        try:
            while data := await self._reader.read(READ_BYTES):
                self._buffer += data
                await self._take()
                self._news.set()
        except OSError:
            self._end(RESET)
        except (ValueError, LookupError) as error:
            self._close = f"unreadable: {error}"
            self._end(RESET)
        else:
            self._end(EOF)

    async def _take(self) -> None:
        if self.status is None:
            head, found, _ = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            self.status = int(head.split(b" ", 2)[1])
            self.compressed = b"permessage-deflate" in head
            del self._buffer[: len(head) + 4]
        if self.status != 101:
            # Whatever the page says: only the answer matters.
            self._buffer.clear()
            return
        while (frame := take_server_frame(self._buffer)) is not None:
            opcode, payload = frame
            if opcode == TEXT:
                self._note(payload)
            elif opcode == CLOSE:
                self._close = self._close or f"close {int.from_bytes(payload[:2], 'big')}"
            elif opcode == PONG:
                self.taken.pongs += 1
            elif opcode == PING:
                with contextlib.suppress(Ended):
                    await self.send(client_frame(PONG, payload))

    def _note(self, payload: bytes) -> None:
        if payload.startswith(b"{"):
            self._note_plain(payload)
            return
        kind = int(payload[1 : payload.index(b",")])
        self.heard[kind] += 1
        if kind in (EVENT, CHALLENGE, WELCOME):
            return
        request = kind
        if kind == ERROR:
            _, request, _, _, error, *_ = json.loads(payload)
            self.errors[error] += 1
            if error == ERROR_LIMIT_EXCEEDED:
                self.taken.refusals += 1
                return
        self.taken.answers += 1
        if request in _OF:
            self.taken.of[_OF[request]] += 1
        if kind in (ABORT, GOODBYE):
            reason: str = json.loads(payload)[2]
            if kind == ABORT or reason not in _LAWFUL:
                # What follows on a first reason is its consequence.
                self._told = self._told or reason

    def _note_plain(self, payload: bytes) -> None:
        if not payload.startswith(b'{"type":'):
            self.heard["event"] += 1
            return
        said = json.loads(payload)
        kind: str = said["type"]
        self.heard[kind] += 1
        if kind == "closing":
            self._told = self._told or said["code"]
            return
        if kind == "error":
            self.errors[said["code"]] += 1
            if said["code"] == ERROR_LIMIT_EXCEEDED:
                self.taken.refusals += 1
                return
        self.taken.answers += 1
        if kind in _CALLED:
            self.taken.of["calls"] += 1
