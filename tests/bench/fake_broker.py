"""A broker over WebSocket that can be told to do wrong: what the load generator must notice.

It knows one publisher, which speaks WAMP, and clients that subscribe to everything, in WAMP or in plain JSON. A thread of its
own runs it.
"""

from __future__ import annotations

import asyncio
import json
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """An EVENT: its argument and its details, as JSON. Plain clients get the argument alone."""

    event: str
    details: str = "{}"


Deliver = Callable[[int, str], list[Sent]]
"""From the number of a delivery (1 for the first, over all clients) and the event's JSON to what is sent for it."""

WELCOME = '[2,1,{"roles":{"broker":{}}}]'
CHALLENGE = '[4,"ticket",{}]'
HELLO, AUTHENTICATE, PUBLISH, SUBSCRIBE = 1, 5, 16, 32


class FakeBroker:
    """A context manager; ``deliver`` decides what becomes of each delivery."""

    def __init__(self, deliver: Deliver) -> None:
        self.port = 0
        self._deliver = deliver
        self._deliveries = 0
        self._subscribers: set[asyncio.StreamWriter] = set()
        self._plain: dict[asyncio.StreamWriter, bytes] = {}
        """Those who speak plain JSON, with the path that they asked for."""
        self._writers: list[asyncio.StreamWriter] = []
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self) -> FakeBroker:
        self._thread.start()
        assert self._listening.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(5)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._end.wait()
        server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            if b"wamp.2" not in request:
                self._plain[writer] = request.split()[1]
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            while True:
                self._take(await _read_text(reader), writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self._subscribers.discard(writer)
        finally:
            writer.close()

    @property
    def plain_paths(self) -> set[bytes]:
        """Return the paths that plain clients have asked for."""
        return set(self._plain.values())

    def _take(self, message: str, writer: asyncio.StreamWriter) -> None:
        if writer in self._plain:
            request = json.loads(message)
            if request["type"] == "subscribe":
                self._subscribers.add(writer)
                _send(writer, json.dumps({"type": "subscribed", "symbols": request["symbols"]}, separators=(",", ":")))
            return
        kind = int(message[1 : message.index(",")])
        if kind == HELLO:
            _send(writer, CHALLENGE)
        elif kind == AUTHENTICATE:
            _send(writer, WELCOME)
        elif kind == SUBSCRIBE:
            self._subscribers.add(writer)
            _send(writer, f"[33,{json.loads(message)[1]},7]")
        elif kind == PUBLISH:
            event = message[message.index("[{") + 1 : -2]
            for subscriber in self._subscribers:
                self._deliveries += 1
                events = self._deliver(self._deliveries, event)
                path = self._plain.get(subscriber)
                if path is None:
                    for sent in events:
                        _send(subscriber, f"[36,7,1,{sent.details},[{sent.event}]]")
                elif b"batched=1" in path:
                    if events:
                        _send(subscriber, f"[{','.join(sent.event for sent in events)}]")
                else:
                    for sent in events:
                        _send(subscriber, sent.event)


async def _read_text(reader: asyncio.StreamReader) -> str:
    _, length = await reader.readexactly(2)
    size = length & 0x7F
    if size == 126:
        (size,) = struct.unpack(">H", await reader.readexactly(2))
    mask = await reader.readexactly(4)
    assert mask == bytes(4)
    return (await reader.readexactly(size)).decode()


def _send(writer: asyncio.StreamWriter, text: str) -> None:
    data = text.encode()
    header = bytes([0x81, len(data)]) if len(data) < 126 else b"\x81\x7e" + struct.pack(">H", len(data))
    writer.write(header + data)
