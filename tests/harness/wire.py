"""A WebSocket client by hand, on a plain socket: sends any bytes, reads whole frames, and asserts that they are well-formed."""

from __future__ import annotations

import json
import socket
import zlib
from types import TracebackType
from typing import Any

import msgpack

from components.core.client_frames import unmasked
from tests.harness.node import Node

TIMEOUT_S = 10.0
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
)


def frame(
    first: int, payload: bytes, *, masked: bool = True, form: int | None = None, declared: int | None = None
) -> bytes:
    """Return a client's frame; ``form`` (126, 127) is a form of length that is not the shortest, ``declared`` a false one."""
    size = len(payload) if declared is None else declared
    form = form or (size if size < 126 else 126 if size < 65_536 else 127)
    length = {126: 2, 127: 8}.get(form, 0)
    header = bytes([first, (0x80 if masked else 0) | form]) + (size.to_bytes(length, "big") if length else b"")
    key = b"\x12\x34\x56\x78"
    return header + key + unmasked(payload, key) if masked else header + payload


class Wire:
    """One connection."""

    def __init__(self, node: Node) -> None:
        self._socket = socket.create_connection(("127.0.0.1", node.port), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""
        self.extensions = ""
        self._binary = False
        self._inflate = zlib.decompressobj(-15)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; a peer that has closed is none of a sender's concern."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def shut(self) -> None:
        """Say that nothing more will be sent."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def upgrade(self, extensions: str = "", serializer: str = "json") -> None:
        """Make it a WebSocket connection."""
        self._binary = serializer != "json"
        head = UPGRADE.replace(b"wamp.2.json", f"wamp.2.{serializer}".encode())
        offer = f"Sec-WebSocket-Extensions: {extensions}\r\n".encode() if extensions else b""
        self.send(head[:-2] + offer + b"\r\n")
        while b"\r\n\r\n" not in self._data:
            assert self._more(), "no answer to the upgrade"
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name.lower() == "sec-websocket-extensions":
                self.extensions = value

    def text(self, text: str) -> None:
        """Send a message."""
        self.send(frame(0x81, text.encode("utf-8", "surrogatepass")))

    def close_frame(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake."""
        self.send(frame(0x88, code.to_bytes(2, "big") + reason.encode()))

    def say(self, *message: Any) -> None:
        """Send a WAMP message in the serializer that was agreed on."""
        if self._binary:
            self.send(frame(0x82, msgpack.packb(list(message))))
        else:
            self.text(json.dumps(message))

    def join(self, authid: str, token: str) -> None:
        """Join the realm ``market``."""
        roles = {role: {} for role in ("subscriber", "publisher", "caller", "callee")}
        self.say(1, "market", {"roles": roles, "authmethods": ["ticket"], "authid": authid})
        assert self.message()[0] == 4
        self.say(5, token, {})
        assert self.message()[0] == 2

    def next_frame(self) -> tuple[int, bytes] | None:
        """Return the next frame, first octet and payload; ``None`` at the end. Its form has been looked at."""
        while True:
            found = self._frame()
            if found is not None:
                return found
            if not self._more():
                assert not self._data, "the connection ended within a frame"
                return None

    def message(self) -> Any:
        """Return the next message; pings and pongs are passed over."""
        while True:
            found = self.next_frame()
            assert found is not None, "the connection ended"
            if found[0] & 0x0F < 3:
                return self._decoded(found)
            assert found[0] != 0x88, f"closed: {found[1]!r}"

    def close_code(self) -> int | None:
        """Return the code of the close frame that comes (1005 for one without), ``None`` where the end comes without one."""
        while (found := self.next_frame()) is not None:
            if found[0] == 0x88:
                return int.from_bytes(found[1][:2], "big") if found[1] else 1005
        return None

    def rest(self) -> bytes:
        """Read to the end, as bytes."""
        while self._more():
            pass
        return self._data

    def _decoded(self, found: tuple[int, bytes]) -> Any:
        first, payload = found
        assert first & 0x80, "a server's message is in fragments"
        if first & 0x40:
            assert self.extensions, "compressed, and not agreed on"
            payload = self._inflate.decompress(payload + b"\0\0\xff\xff")
        return msgpack.unpackb(payload) if self._binary else json.loads(payload)

    def _more(self) -> bool:
        try:
            data = self._socket.recv(65_536)
        except ConnectionResetError:
            data = b""
        self._data += data
        return bool(data)

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        first, size = data[0], data[1]
        assert size < 0x80, "a server's frame is masked"
        assert first & 0x30 == 0, "a reserved bit is set"
        start = 2
        if size in (126, 127):
            octets, least = (2, 126) if size == 126 else (8, 65_536)
            if len(data) < 2 + octets:
                return None
            start += octets
            size = int.from_bytes(data[2:start], "big")
            assert size >= least, "a length is not minimal"
        if len(data) < start + size:
            return None
        self._data = data[start + size :]
        return first, data[start : start + size]
