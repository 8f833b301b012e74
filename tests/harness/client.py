"""WAMP clients for tests: Autobahn's, in any serializer, and one that keeps the raw text of what it receives."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from autobahn.twisted.rawsocket import WampRawSocketClientFactory, WampRawSocketClientProtocol
from autobahn.twisted.wamp import ApplicationSession
from autobahn.twisted.websocket import (
    WampWebSocketClientFactory,
    WebSocketClientFactory,
    WebSocketClientProtocol,
)
from autobahn.wamp import ApplicationError
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import CloseDetails, ComponentConfig, SubscribeOptions
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateResponseAccept
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ClientEndpoint, TCP4ClientEndpoint
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import deferLater

SERIALIZERS = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}


class Refused(Exception):
    """The router ABORTed the join; ``uri`` and ``message`` are its words."""

    def __init__(self, details: CloseDetails) -> None:
        super().__init__(f"{details.reason}: {details.message}")
        self.uri = details.reason
        self.message = details.message


class Client(ApplicationSession):
    """A joined session with what the tests ask of it."""

    def __init__(self, realm: str, authid: str | None, ticket: str | None) -> None:
        super().__init__(ComponentConfig(realm=realm))
        self.joined: Deferred[Client] = Deferred()
        self.left: Deferred[CloseDetails] = Deferred()
        self._authid_wanted = authid
        self._ticket = ticket

    def onConnect(self) -> None:
        methods = ["anonymous"] if self._ticket is None else ["ticket"]
        self.join(self.config.realm, methods, self._authid_wanted)

    def onChallenge(self, challenge: Any) -> str:
        assert self._ticket is not None
        return self._ticket

    def onJoin(self, details: Any) -> None:
        self.joined.callback(self)

    def onLeave(self, details: CloseDetails) -> None:
        if not self.joined.called:
            self.joined.errback(Refused(details))
        else:
            self.left.callback(details)
        self.disconnect()

    def onDisconnect(self) -> None:
        if not self.joined.called:
            self.joined.errback(ConnectionError("disconnected before the join"))

    async def events(
        self, topic: str, match: str = "exact", *, retained: bool = False
    ) -> list[tuple[str, dict[str, Any], bool]]:
        """Subscribe and return the list that fills with ``(topic, argument, was retained)``."""
        received: list[tuple[str, dict[str, Any], bool]] = []
        await self.subscribe(
            lambda argument, details: received.append((details.topic or topic, argument, bool(details.retained))),
            topic,
            options=SubscribeOptions(match=match, details_arg="details", get_retained=retained or None),
        )
        return received

    async def refusal(self, action: Any) -> str:
        """Return the error URI that a call, subscription, … ends in; fails when it succeeds."""
        try:
            await action
        except ApplicationError as error:
            return str(error.error)
        raise AssertionError("was not refused")


class Clients:
    """Makes clients and disconnects them all in the end."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._connections: list[Any] = []

    async def join(
        self,
        url: str,
        *,
        authid: str | None,
        ticket: str | None,
        realm: str = "market",
        serializer: str = "json",
        compressed: bool = False,
        bind: str = "127.0.0.1",
    ) -> Client:
        """Return a session that joined, from an address of the loopback; ``compressed`` offers permessage-deflate.

        Raises:
            Refused: the router answered with ABORT.
        """
        client = Client(realm, authid, ticket)
        factory = WampWebSocketClientFactory(lambda: client, url=url, serializers=[SERIALIZERS[serializer]()])
        if compressed:
            factory.setProtocolOptions(
                perMessageCompressionOffers=[PerMessageDeflateOffer()],
                perMessageCompressionAccept=lambda response: PerMessageDeflateResponseAccept(response),
            )
        protocol = await self._connect(url, factory, bind)
        # A connection that closes in the WebSocket handshake never tells the session.
        protocol.is_closed.addCallback(lambda _: client.onDisconnect())
        return await client.joined

    async def join_rawsocket(self, port: int, *, authid: str, ticket: str, serializer: str) -> Client:
        """Return a session that joined over RawSocket."""
        client = Client("market", authid, ticket)
        factory = WampRawSocketClientFactory(lambda: client, serializer=SERIALIZERS[serializer]())
        protocol = await TCP4ClientEndpoint(self._reactor, "127.0.0.1", port).connect(factory)
        self._connections.append(protocol)
        return await client.joined

    async def raw(self, url: str, ticket: str, authid: str, topics: list[str], match: str = "exact") -> list[str]:
        """Return a list that fills with the raw text of each EVENT of topics, received by a hand-made JSON client."""
        factory = WebSocketClientFactory(url, protocols=["wamp.2.json"])
        factory.protocol = RawProtocol
        factory.setup = (ticket, authid, topics, match)
        protocol = await self._connect(url, factory)
        await protocol.subscribed
        texts: list[str] = protocol.texts
        return texts

    async def peer(self, url: str, bind: str = "127.0.0.1", subprotocol: str = "wamp.2.json") -> Peer:
        """Return an open WebSocket connection that speaks WAMP in JSON by hand, from an address of the loopback.

        With another ``subprotocol`` it can send bytes, and is sent nothing that it understands.

        Raises:
            ConnectionError: the handshake failed.
        """
        factory = WebSocketClientFactory(url, protocols=[subprotocol])
        factory.protocol = Peer
        peer: Peer = await self._connect(url, factory, bind)
        await peer.opened
        return peer

    async def _connect(self, url: str, factory: Any, bind: str = "127.0.0.1") -> Any:
        scheme, _, rest = url.partition("://")
        host, port = rest.partition("/")[0].split(":")
        # No test is about whether a client trusts the gateway's certificate.
        endpoint = (
            SSL4ClientEndpoint(self._reactor, host, int(port), CertificateOptions(verify=False), bindAddress=(bind, 0))
            if scheme == "wss"
            else TCP4ClientEndpoint(self._reactor, host, int(port), bindAddress=(bind, 0))
        )
        protocol = await endpoint.connect(factory)
        self._connections.append(protocol)
        return protocol

    async def close(self) -> None:
        """Drop every connection and wait until it is gone."""
        for protocol in self._connections:
            if isinstance(protocol, WampRawSocketClientProtocol):
                protocol.abort()
            else:
                protocol.dropConnection(abort=True)
            await protocol.is_closed


class Peer(WebSocketClientProtocol):
    """A connection by hand: sends what it is told, keeps what comes and how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[list[Any]] = []
        self.closed: Deferred[tuple[int | None, str | None]] = Deferred()
        """Fires with code and reason of the close frame."""

        self.opened: Deferred[None] = Deferred()
        self._waiting: list[tuple[int, Deferred[list[Any]]]] = []

    def onOpen(self) -> None:
        self.opened.callback(None)

    def say(self, *message: Any) -> None:
        """Send a WAMP message."""
        self.sendMessage(json.dumps(message).encode())

    async def hear(self, kind: int) -> list[Any]:
        """Return the first message of a kind that has come or comes next, and forget it.

        Raises:
            ConnectionError: the connection closed before.
        """
        for message in self.received:
            if message[0] == kind:
                self.received.remove(message)
                return message
        waiting: Deferred[list[Any]] = Deferred()
        self._waiting.append((kind, waiting))
        return await waiting

    async def join(self, authid: str, ticket: str, realm: str = "market") -> None:
        """Join a realm."""
        self.hello(authid, realm)
        await self.hear(4)
        self.say(5, ticket, {})
        await self.hear(2)

    def hello(self, authid: str, realm: str = "market") -> None:
        """Say HELLO."""
        roles = {role: {} for role in ("subscriber", "publisher", "caller", "callee")}
        self.say(1, realm, {"roles": roles, "authmethods": ["ticket"], "authid": authid})

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = json.loads(payload)
        for place, (kind, waiting) in enumerate(self._waiting):
            if kind == message[0]:
                del self._waiting[place]
                waiting.callback(message)
                return
        self.received.append(message)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if not self.closed.called:
            self.closed.callback((code, reason))
        if not self.opened.called:
            self.opened.errback(ConnectionError(f"closed: {code} {reason}"))
        for _, waiting in self._waiting:
            waiting.errback(ConnectionError(f"closed: {code} {reason}"))
        self._waiting.clear()


class RawProtocol(WebSocketClientProtocol):
    """WAMP by hand: joins, subscribes, keeps texts."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.subscribed: Deferred[None] = Deferred()
        self._waiting = 0

    def _send(self, message: list[Any]) -> None:
        self.sendMessage(json.dumps(message).encode())

    def onOpen(self) -> None:
        roles = {"subscriber": {"features": {}}}
        self._send([1, "market", {"roles": roles, "authmethods": ["ticket"], "authid": self.factory.setup[1]}])

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = json.loads(payload)
        kind = message[0]
        ticket, _, topics, match = self.factory.setup
        if kind == 4:
            self._send([5, ticket, {}])
        elif kind == 2:
            self._waiting = len(topics)
            for number, topic in enumerate(topics, 1):
                self._send([32, number, {"match": match}, topic])
        elif kind == 33:
            self._waiting -= 1
            if not self._waiting:
                self.subscribed.callback(None)
        elif kind == 36:
            self.texts.append(payload.decode())
        else:
            self.subscribed.errback(AssertionError(payload.decode()))


def follows(argument: dict[str, Any], last_seq: int) -> bool:
    """Tell whether nothing is missing between an event and the one before it on its topic.

    A client that was too busy to read gets events merged, and each says how many it stands for.
    """
    return bool(argument["seq"] == last_seq + argument.get("merged", 1))


async def first_answer(reactor: Any, ask: Callable[[], Awaitable[Any]], timeout_s: float = 20.0) -> Any:
    """Ask ten times a second, and return the first answer that is one.

    Raises:
        AssertionError: none was in time.
    """
    deadline_s = reactor.seconds() + timeout_s
    while not (answer := await ask()):
        assert reactor.seconds() < deadline_s, f"still {answer!r}"
        await deferLater(reactor, 0.1)
    return answer


async def until(reactor: Any, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Return when a condition holds, looked at 50 times a second.

    Raises:
        AssertionError: it did not hold in time.
    """
    deadline_s = reactor.seconds() + timeout_s
    while not condition():
        assert reactor.seconds() < deadline_s, "the condition did not come true in time"
        waited: Deferred[None] = Deferred()
        reactor.callLater(0.02, waited.callback, None)
        await waited
