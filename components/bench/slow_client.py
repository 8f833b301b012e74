"""A WAMP client that reads when it is told to and as much as it is told to: JSON over WebSocket, numbers kept exactly.

Joining blocks, everything after it does not. Its receive buffer is small, else the kernel would read megabytes for it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from components.bench.errors import BenchError
from components.bench.load import Account
from components.bench.websocket import CLOSE, PING, PONG, TEXT, client_frame, take_server_frame, upgrade_request

RECEIVE_BUFFER_BYTES = 16_384
"""SO_RCVBUF as it is asked for; Linux doubles it, for its own overhead."""

JOIN_TIMEOUT_S = 20.0
_HELLO, _WELCOME, _CHALLENGE, _AUTHENTICATE, _GOODBYE, _SUBSCRIBE, _SUBSCRIBED, _EVENT = 1, 2, 4, 5, 6, 32, 33, 36


class SlowClient:
    """One connection; subscribed to its topics when the constructor returns."""

    def __init__(self, port: int, path: str, account: Account, topics: Sequence[str]) -> None:
        """Join and subscribe.

        Raises:
            BenchError: it was refused, or not answered in time.
        """
        self.lost = False
        """Whether the connection has ended: closed or reset."""

        self.goodbye: str | None = None
        """The reason that the router's GOODBYE gave."""

        self.close_code: int | None = None
        self.close_reason: str | None = None
        """What the closing frame said."""

        self._buffer = bytearray()
        self._ticks: list[dict[str, Any]] = []
        self._socket = socket.socket()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            self._socket.settimeout(JOIN_TIMEOUT_S)
            self._socket.connect(("127.0.0.1", port))
            self._join(port, path, account, topics)
        except (OSError, BenchError) as error:
            self.close()
            raise BenchError(f"a slow client cannot join: {error}") from error
        self._socket.setblocking(False)

    def read(self, at_most: int) -> int:
        """Read what has arrived, up to ``at_most`` bytes; return how many there were. Does not block."""
        read = 0
        while read < at_most and not self.lost:
            try:
                data = self._socket.recv(min(at_most - read, 65_536))
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self.lost = not data
            self._buffer += data
            read += len(data)
        return read

    def ticks(self) -> list[dict[str, Any]]:
        """Return the events that were read since the last call, oldest first, with exact numbers.

        Raises:
            BenchError: what was read is not what a router sends.
        """
        self._take_frames()
        ticks, self._ticks = self._ticks, []
        return ticks

    def close(self) -> None:
        """Drop the connection."""
        self.lost = True
        self._socket.close()

    def _join(self, port: int, path: str, account: Account, topics: Sequence[str]) -> None:
        self._socket.sendall(upgrade_request(f"127.0.0.1:{port}", path))
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._receive()
        if b" 101" not in self._buffer[:12]:
            raise BenchError(bytes(self._buffer[:end]).decode(errors="replace").partition("\r\n")[0])
        del self._buffer[: end + 4]
        self._send(
            [_HELLO, "market", {"roles": {"subscriber": {}}, "authmethods": ["ticket"], "authid": account.authid}]
        )
        self._expect(_CHALLENGE)
        self._send([_AUTHENTICATE, account.ticket, {}])
        self._expect(_WELCOME)
        for number, topic in enumerate(topics, 1):
            self._send([_SUBSCRIBE, number, {}, topic])
        for _ in topics:
            self._expect(_SUBSCRIBED)

    def _receive(self) -> None:
        data = self._socket.recv(65_536)
        if not data:
            raise BenchError("the connection was closed")
        self._buffer += data

    def _expect(self, kind: int) -> None:
        while (frame := take_server_frame(self._buffer)) is None:
            self._receive()
        opcode, payload = frame
        message = json.loads(payload) if opcode == TEXT else [None]
        if message[0] != kind:
            raise BenchError(f"{payload[:200]!r} instead of a message of type {kind}")

    def _take_frames(self) -> None:
        while (frame := take_server_frame(self._buffer)) is not None:
            opcode, payload = frame
            if opcode == TEXT:
                message = json.loads(payload, parse_float=Decimal)
                if message[0] == _EVENT:
                    self._ticks.append(message[4][0])
                elif message[0] == _GOODBYE:
                    self.goodbye = message[2]
                else:
                    raise BenchError(f"a slow client got {payload[:200]!r}")
            elif opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big")
                self.close_reason = payload[2:].decode()
            elif opcode == PING and not self.lost:
                try:
                    self._send_frame(PONG, payload)
                except OSError:
                    self.lost = True
            elif opcode not in (PING, PONG):
                raise BenchError(f"a slow client got a frame of type {opcode}")

    def _send(self, message: list[Any]) -> None:
        self._send_frame(TEXT, json.dumps(message).encode())

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        self._socket.sendall(client_frame(opcode, payload))
