"""A gateway that tests make misbehave: WAMP by hand, as much as the clients speak, and no answer to a GOODBYE."""

from __future__ import annotations

import json
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred

STATUS = {"epoch": 1, "state": "live", "stale": 0, "stale_symbols": []}


class GatewayLine(WebSocketServerProtocol):
    """One client's line."""

    def onConnect(self, request: object) -> str:
        self.subscriptions: dict[str, int] = {}
        self.attempt: int | None = None
        """What its HELLO says of that."""
        self.goodbye: str | None = None
        self.renewals: list[str] = []
        self.closed: Deferred[None] = Deferred()
        self.factory.lines.append(self)
        return "wamp.2.json"

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        match json.loads(payload):
            case [1, _, {"authextra": {"attempt": attempt}}, *_]:
                self.attempt = attempt
        match json.loads(payload):
            case [1, *_] if self.factory.abort_reason is not None:
                self.say(3, {}, self.factory.abort_reason)
            case [1, *_]:
                self.say(2, len(self.factory.lines), {"roles": {"broker": {}, "dealer": {}}})
            case [6, _, reason]:
                self.goodbye = reason
            case [32, request, _, topic] if topic in self.factory.topics_not_ready:
                self.say(8, 32, request, {}, "crosstick.error.not_ready")
            case [32, request, _, topic]:
                self.subscriptions[topic] = len(self.subscriptions) + 1
                self.say(33, request, self.subscriptions[topic])
            case [48, request, _, "auth.renew", [token]]:
                self.renewals.append(token)
                self.say(50, request, {}, [{}])
            case [48, request, _, "market.status"]:
                self.say(50, request, {}, [STATUS])

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        if hasattr(self, "closed"):
            self.closed.callback(None)

    def say(self, *message: Any) -> None:
        self.sendMessage(json.dumps(message).encode())

    def tick(self, symbol: str, seq: int) -> None:
        """Publish a tick to this client alone."""
        self.say(36, self.subscriptions[f"market.{symbol}"], seq, {}, [{"symbol": symbol, "seq": seq}])


class StubbornGateway(WebSocketServerFactory):
    """Listens on a free port; `lines` are the clients' in the order of their coming."""

    protocol = GatewayLine

    def __init__(self, reactor: Any) -> None:
        super().__init__(protocols=["wamp.2.json"])
        self.lines: list[GatewayLine] = []
        self.topics_not_ready: set[str] = set()
        self.abort_reason: str | None = None
        """When set, every HELLO is answered with ABORT and this."""
        self._listening = reactor.listenTCP(0, self, interface="127.0.0.1")
        self.ws_url = f"ws://127.0.0.1:{self._listening.getHost().port}/ws"

    async def stop(self) -> None:
        """End every line, and listen no more."""
        await self._listening.stopListening()
        for line in self.lines:
            line.transport.abortConnection()
            await line.closed
