"""A small gateway that speaks as much of plain JSON as a watch needs, and does what a test wants it to do wrong."""

from __future__ import annotations

import asyncio
import http
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import Response, ServerConnection, serve
from websockets.datastructures import Headers


class SmallGateway:
    """Grants some symbols; every request is kept."""

    def __init__(self) -> None:
        self.url = ""
        self.symbols = ["BTCUSDT", "ETHUSDT", "ETCUSDT"]
        self.symbols_version = 1
        self.epoch = 7
        self.requests: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.refuse: Callable[[dict[str, Any]], tuple[str, str] | None] = lambda request: None
        """Returns code and message of the error that answers a request."""
        self.http_answer: tuple[int, dict[str, str], bytes] | None = None
        """Instead of an upgrade."""
        self.answers_pings = True
        self.connections: list[ServerConnection] = []
        self.missed_trades = 0
        """Of the feed, since it was started."""
        self.seq = dict.fromkeys(self.symbols, 0)

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """Return the requests of a type."""
        return [request for request in self.requests if request["type"] == kind]

    async def tick(self, symbol: str, *, skip: int = 0) -> None:
        """Publish a tick, after some that are lost."""
        self.seq[symbol] += 1 + skip
        for each in self.connections:
            await self._say(each, self._event(symbol))

    async def status(self, state: str) -> None:
        """Publish a status."""
        for each in self.connections:
            await self._say(each, self._status(state))

    def _event(self, symbol: str) -> dict[str, Any]:
        return {"symbol": symbol, "price": 2.5, "volume": 1, "side": "buy", "ts": 1, "id": 1, "seq": self.seq[symbol]}

    def _status(self, state: str) -> dict[str, Any]:
        return {
            "type": "status",
            "feed": "host:1",
            "started": 1,
            "epoch": self.epoch,
            "state": state,
            "since": 5,
            "symbols": len(self.symbols),
            "symbols_version": self.symbols_version,
            "counters": {"missed_trades": self.missed_trades},
        }

    async def _say(self, socket: ServerConnection, *objects: dict[str, Any]) -> None:
        if socket.subprotocol == "crosstick.json.batched":
            await socket.send(json.dumps(objects))
            return
        for each in objects:
            await socket.send(json.dumps(each))

    async def serve(self, socket: ServerConnection) -> None:
        """Answer one client."""
        self.connections.append(socket)
        try:
            async for text in socket:
                request = json.loads(text)
                self.requests.append(request)
                await self._answer(socket, request)
        finally:
            self.connections.remove(socket)

    async def _answer(self, socket: ServerConnection, request: dict[str, Any]) -> None:
        number = request["id"]
        if error := self.refuse(request):
            await self._say(socket, {"type": "error", "id": number, "code": error[0], "message": error[1]})
        elif request["type"] == "ping":
            if self.answers_pings:
                await self._say(socket, {"type": "pong", "id": number, "time": 1_700_000_000_000})
        elif request["type"] == "list":
            await self._say(socket, {"type": "symbols", "id": number, "symbols": self.symbols})
        elif request["type"] == "status":
            await self._say(socket, self._status("live") | {"id": number})
        elif request["type"] == "renew":
            await self._say(socket, {"type": "renewed", "id": number, "expires": 1})
        elif request["type"] == "resume":
            await self._say(socket, {"type": "resumed", "id": number, "epoch": self.epoch})
        else:
            reply = {"type": "subscribed", "id": number, "symbols": request["symbols"], "epoch": self.epoch}
            news = [self._event(symbol) for symbol in request["symbols"]] or [self._status("live")]
            await self._say(socket, reply, *news)

    def before(self, socket: ServerConnection, request: Any) -> Response | None:
        """Take a token, and refuse the upgrade if a test wants that."""
        self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
        if self.http_answer is None:
            return None
        status, headers, body = self.http_answer
        return Response(status, http.HTTPStatus(status).phrase, Headers(headers), body)


@asynccontextmanager
async def small_gateway() -> AsyncIterator[SmallGateway]:
    """Run one while it is needed."""
    gateway = SmallGateway()
    protocols: Any = ["crosstick.json.batched"]
    async with serve(
        gateway.serve,
        "127.0.0.1",
        0,
        process_request=gateway.before,
        subprotocols=protocols,
        select_subprotocol=lambda _, offered: protocols[0] if protocols[0] in offered else None,
        close_timeout=0.2,
    ) as server:
        gateway.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws/trade"
        yield gateway


async def until(is_so: Callable[[], Any], timeout_s: float = 10.0) -> None:
    """Return when something is so."""
    async with asyncio.timeout(timeout_s):
        while not is_so():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.005)
