"""A client for tests, on Autobahn: an independent reading of what the simulated exchange writes."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint

PATIENCE_S = 5.0


class Events:
    """Things that happen to a client, to be awaited one by one."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()
        self._waiter: Deferred[Any] | None = None

    def put(self, event: Any) -> None:
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.callback(event)
        else:
            self._waiting.append(event)

    async def get(self) -> Any:
        if self._waiting:
            return self._waiting.popleft()
        waiter = self._waiter = Deferred()
        waiter.addTimeout(PATIENCE_S, reactor)
        return await waiter

    def drain(self) -> list[Any]:
        events = list(self._waiting)
        self._waiting.clear()
        return events


class ExchangeClient(WebSocketClientProtocol):
    """Connects with ``connect``; ``texts`` are the messages, ``pings`` and ``pongs`` the payloads of control frames."""

    answer_pings = True

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[ExchangeClient] = Deferred()
        self.texts = Events()
        self.pings = Events()
        self.pongs = Events()
        self.ends = Events()

    def onOpen(self) -> None:
        self.opened.callback(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        assert not isBinary
        self.texts.put(payload)

    def onPing(self, payload: bytes) -> None:
        if self.answer_pings:
            self.sendPong(payload)
        self.pings.put(payload)

    def onPong(self, payload: bytes) -> None:
        self.pongs.put(payload)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        if not self.opened.called:
            self.opened.errback(ConnectionError(reason))
        self.ends.put((code, reason))

    def say(self, message: object) -> None:
        """Send a message as JSON."""
        self.sendMessage(json.dumps(message).encode())

    async def ask(self, message: object) -> Any:
        """Send a message and return the next one that comes."""
        self.say(message)
        return await self.next()

    async def next(self) -> Any:
        """Return the next message's content."""
        return json.loads(await self.texts.get())

    async def settled(self) -> None:
        """Return when the exchange has taken in all that was sent so far."""
        self.sendPing(b"settled")
        while await self.pongs.get() != b"settled":
            pass

    async def leave(self) -> None:
        """Close, and return when the connection has ended."""
        self.sendClose(1000)
        await self.ends.get()


async def connect(url: str, headers: dict[str, str] | None = None) -> ExchangeClient:
    """Connect and return the client once it is open; ``ConnectionError`` if it is refused."""
    factory = WebSocketClientFactory(url, headers=headers or {})
    factory.protocol = ExchangeClient
    factory.noisy = False
    client = await HostnameEndpoint(reactor, factory.host, factory.port).connect(factory)
    return await client.opened
