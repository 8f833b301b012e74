"""A client of ``/ws/trade`` on a plain socket: objects in and out, and whatever bytes a test wants to send."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.harness.node import Node
from tests.harness.wire import Wire, frame

Object = dict[str, Any]


class PlainClient(Wire):
    """One connection; ``open`` makes it a WebSocket one."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._host = f"127.0.0.1:{node.port}"
        self._objects: list[Object] = []
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    def open(self, query: str = "", *, target: str = "GET /ws/trade", **headers: str) -> PlainClient:
        """Ask for the upgrade, with a query and headers (``_`` for ``-``), of a ``target``; ``status`` says what came of it."""
        path = target + (f"?{query}" if query else "")
        lines = [
            f"{path} HTTP/1.1",
            f"Host: {self._host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        self.send("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._data:
            assert self._more(), "no answer to the upgrade"
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *others = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in others)}
        self.extensions = self.headers.get("sec-websocket-extensions", "")
        if self.status != 101:
            self.body = self.rest()
        return self

    def ask(self, kind: str, **fields: Any) -> None:
        """Send a request."""
        self.send(frame(0x81, json.dumps({"type": kind, **fields}).encode()))

    def messages(self) -> Any:
        """Return the next frame's JSON, numbers as their text."""
        while True:
            found = self.next_frame()
            assert found is not None, "the connection ended"
            if found[0] == 0x88:
                raise Closed(int.from_bytes(found[1][:2], "big"), found[1][2:].decode())
            if found[0] & 0x0F < 3:
                payload = self._inflated(found)
                return json.loads(payload, parse_float=str)

    def next(self) -> Object:
        """Return the next object, also out of an array."""
        while not self._objects:
            message = self.messages()
            self._objects = message if isinstance(message, list) else [message]
        return self._objects.pop(0)

    def until(self, is_it: Callable[[Object], bool]) -> list[Object]:
        """Return the objects up to the first that is the one, which is the last of them."""
        objects = [self.next()]
        while not is_it(objects[-1]):
            objects.append(self.next())
        return objects

    def reply(self, kind: str, **fields: Any) -> Object:
        """Ask, and return the next object that has the request's id; events are passed over."""
        self.ask(kind, **fields)
        return self.until(lambda each: each.get("id") == fields["id"])[-1]

    def _inflated(self, found: tuple[int, bytes]) -> bytes:
        first, payload = found
        assert first & 0x80, "a server's message is in fragments"
        if first & 0x40:
            assert self.extensions, "compressed, and not agreed on"
            payload = self._inflate.decompress(payload + b"\0\0\xff\xff")
        return payload


class Closed(Exception):
    """The gateway has begun the closing handshake."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


def is_event(each: Object) -> bool:
    """Tell whether an object is an event of the market."""
    return "type" not in each
