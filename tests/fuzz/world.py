"""A realm in this process as the gateway makes it: seam, limits, tickets and a market, with connections that have no sockets.

One world serves many inputs, one after the other. ``check_clean`` says what an input has left behind.
"""

from __future__ import annotations

import json
import time
from functools import partial
from types import SimpleNamespace
from typing import Any

import cbor2
import msgpack
from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.types import ComponentConfig, RegisterOptions
from crossbar.router import RouterOptions
from crossbar.router.protocol import WampRawSocketServerFactory, WampWebSocketServerFactory
from crossbar.router.router import Router
from crossbar.router.session import RouterApplicationSession
from twisted.internet.defer import succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, globalLogBeginner, globalLogPublisher
from twisted.python.failure import Failure
from txaio import set_global_log_level

from components.core.batch import Batch
from components.core.client_frames import unmasked
from components.core.grants import Grants, grants_of
from components.core.limits import RealmLimits
from components.core.market import Market
from components.core.outbox import Condenser, OutboxCounters
from components.core.outbox_settings import OutboxSettings
from components.core.payload import EncodedPayload
from components.core.rates import parse_rates
from components.core.replay import ReplaySettings, TickHistory
from components.core.seats import Seats
from components.router import gateway, runtime
from components.router.engine.blocked import HoldLimits
from components.router.http_api.access import ApiSettings
from components.router.plain.entry import Entry
from components.router.plain.market import MarketView
from components.router.seam.client_session import GatewaySession
from components.router.seam.connections import GatewayWebSocketProtocol, install_transports
from components.router.seam.plain_session import WorkerSessions
from components.router.seam.plain_socket import PlainSocketFactory
from components.router.seam.rawsocket import GatewayRawSocketProtocol
from components.router.seam.router_seam import RouterSeam
from components.tokens import CLIENT_ROLES, TokenAuthority, TokenRules

KEY = b"a key of which nobody makes secrets"
NOW_S = 1_700_000_000
SERIALIZERS = ("json", "msgpack", "cbor", "json.batched", "msgpack.batched", "cbor.batched")
MAX_MESSAGE_BYTES = 65_536
ALLOWED_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1009, *range(4001, 4100)})
HONEST_TOPIC = "market.BTCUSDT"
SYMBOLS = ("BTCUSDT", "BTCEUR", "ETHUSDT")
EPOCH = 1_700_000_000_000
LIMITS = {"messages_per_s": None, "publishes_per_s": None, "calls_per_s": None, "refusals_per_s": 1e9}
FAMILIES = frozenset({"book", "day", "every_1s"})
AUTHORITY = TokenAuthority.of_secret(KEY, TokenRules("crosstick"))


class Violation(AssertionError):
    """An input did what no input may do."""


def require(condition: bool, says: str) -> None:
    """Raise ``Violation`` unless a condition holds."""
    if not condition:
        raise Violation(says)


class Transport(StringTransport):
    """What is written; ends when it is told to, as a socket would."""

    ended = False

    def unregisterProducer(self) -> None:
        self.producer = None

    def loseConnection(self) -> None:
        super().loseConnection()
        self.ended = True

    def abortConnection(self) -> None:
        self.ended = True


class LogWatch:
    """Everything that is logged while it is there."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.take)

    def take(self, event: dict[str, Any]) -> None:
        """Note an event that an operator would see."""
        if event["log_level"] >= LogLevel.info:
            self.events.append(event)

    def take_all(self) -> list[dict[str, Any]]:
        """Return what has been noted, and forget it."""
        events, self.events = self.events, []
        return events


class MarketComponent(ApplicationSession):  # type: ignore[misc]
    """The market's procedures; every one but the status answers with what it was given."""

    async def onJoin(self, details: Any) -> None:
        for name in ("symbols", "snapshot"):
            await self.register(self._answer, f"market.{name}", options=RegisterOptions(details_arg="details"))
        await self.register(lambda *_, **__: {"state": "live"}, "market.status")

    @staticmethod
    def _answer(*args: Any, details: Any = None, **kwargs: Any) -> Any:
        return [list(args), kwargs]


class Listener:
    """Whom no subscription matters to."""

    def subscribed(self, uri: str, match: str) -> None:
        """Take no note."""

    def unsubscribed(self, uri: str, match: str) -> None:
        """Take no note."""


class World:
    """A router with one realm, an in-router component, and one honest client."""

    def __init__(self) -> None:
        begin_logging()
        self.clock = Clock()
        self.clock.advance(NOW_S)
        self.log = LogWatch()
        install_transports(
            self.clock,
            OutboxSettings(),
            OutboxCounters(),
            None,
            lambda reason, authid, address: None,
            lambda: None,
            lambda: None,
            lambda ended_by: None,
        )
        environment: Any = SimpleNamespace(authority=AUTHORITY)
        history = TickHistory(ReplaySettings(), lambda: 0.0)
        runtime.install(runtime.Runtime(environment, list, history))
        if runtime.gatekeeper("market") is None:
            runtime.add_gatekeeper("market", Seats(RealmLimits.from_mapping(LIMITS)))
        worker = SimpleNamespace(
            personality=SimpleNamespace(EXTRA_AUTH_METHODS={}),
            has_realm=lambda realm: realm == "market",
            has_role=lambda realm, role: role in CLIENT_ROLES,
        )
        service = SimpleNamespace(_expose_on_sessions=["the realm's own"], publish=lambda *args, **options: None)
        realm: Any = SimpleNamespace(config={"name": "market"}, session=service, id="market")
        self._factory: Any = Routers()
        self._factory._node_id = self._factory._worker_id = "fuzz"
        self._factory._worker = worker
        self._factory._reactor = self.clock
        self.router = Router(self._factory, realm, RouterOptions(uri_check=RouterOptions.URI_CHECK_LOOSE))
        self._factory._routers = {"market": self.router}
        # Of whom the transport knows already, Crossbar asks whether the realm has the role; what it may, the seam says.
        self.router._roles = dict.fromkeys(CLIENT_ROLES)
        self.router.authorize = self._authorize_component
        component = MarketComponent(ComponentConfig("market"))
        RouterApplicationSession(component, self.router, authid="gateway", authrole="gateway")
        del self.router.authorize
        self.seam = RouterSeam(
            component,
            self.clock,
            self._decide,
            self._retained,
            Listener(),
            partial(Condenser, OutboxSettings()),
            0.005,
            HoldLimits(),
        )
        self.seam.market = MarketView(_market(history), history, lambda: False, self._grants, parse_rates(["every_1s"]))
        WorkerSessions.factory = self._session
        self._plain = {
            compressed: self._plain_factory(**({"compression": {"deflate": {}}} if compressed else {}))
            for compressed in (False, True)
        }
        self._websockets = self._websocket_factory()
        self._compressing = self._websocket_factory(compression={"deflate": {}})
        self._rawsockets = WampRawSocketServerFactory(self._session, _transport(max_message_size=MAX_MESSAGE_BYTES))
        self._rawsockets.protocol = GatewayRawSocketProtocol
        self.honest = self.joined("json", role="viewer", sub="honest")
        self.honest.send(json.dumps([32, 1, {}, HONEST_TOPIC]).encode())
        require(self.honest.take_messages()[0][0] == 33, "the honest client could not subscribe")
        self._published = 0
        self.log.take_all()

    def _authorize_component(self, *_: Any, **__: Any) -> Any:
        return succeed({"allow": True, "cache": True, "disclose": True})

    def _grants(self, session: Any) -> Grants:
        extra = session._authextra or {}
        return grants_of(session._authrole, session._authid, extra.get("symbols"), extra.get("services", ()), FAMILIES)

    def _decide(self, session: Any, action: str, uri: str, options: dict[str, Any]) -> dict[str, Any] | None:
        if session._authrole not in CLIENT_ROLES:
            return {"allow": True, "cache": False, "disclose": False}
        return gateway._decision(self._grants(session), action, uri, options)

    @staticmethod
    def _retained(session: Any, uri: str, match: str) -> list[tuple[str, EncodedPayload]]:
        return [(uri, EncodedPayload(b'{"seq":1}'))] if match == "exact" and uri.startswith("market.") else []

    def websocket(self, serializer: str, *, compressed: bool = False) -> Wire:
        """Return a WebSocket connection, open."""
        wire = self.http(compressed=compressed)
        extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if compressed else b""
        wire.feed(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: wamp.2."
            + serializer.encode()
            + b"\r\n"
            + extension
            + b"\r\n"
        )
        require(wire.transport.value().startswith(b"HTTP/1.1 101"), "the handshake failed")
        wire.transport.clear()
        return wire

    def http(self, *, compressed: bool = False) -> Wire:
        """Return a connection that has not been upgraded."""
        return Wire(self, self._compressing.buildProtocol(None) if compressed else self._websockets.buildProtocol(None))

    def plain(self, role: str, *, batched: bool = False, compressed: bool = False) -> Wire:
        """Return a connection of the plain JSON protocol, open."""
        wire = Wire(self, self._plain[compressed].buildProtocol(None))
        extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if compressed else b""
        wire.feed(
            b"GET /ws/trade?%btoken=%b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n%b\r\n"
            % (b"batched=1&" if batched else b"", mint(role, "fuzz").encode(), extension)
        )
        require(wire.transport.value().startswith(b"HTTP/1.1 101"), "a genuine token was refused")
        wire.transport.clear()
        return wire

    def plain_http(self) -> Wire:
        """Return a connection of the plain JSON protocol that has not been upgraded."""
        return Wire(self, self._plain[False].buildProtocol(None))

    def _plain_factory(self, **options: Any) -> Any:
        settings = ApiSettings(roles=sorted(CLIENT_ROLES))
        factory = PlainSocketFactory(Entry(settings), {"max_message_size": MAX_MESSAGE_BYTES, **options})
        # A listener would have answered before: see ``listeners.handshake``.
        factory._templates = _TEMPLATES
        factory.reactor = self.clock
        return factory

    def raw(self) -> Wire:
        """Return a RawSocket connection, before its handshake."""
        return Wire(self, self._rawsockets.buildProtocol(None))

    def _websocket_factory(self, **options: Any) -> Any:
        config = _transport(max_message_size=MAX_MESSAGE_BYTES, **options)
        factory = WampWebSocketServerFactory(self._session, ".", config, _TEMPLATES)
        factory.protocol = GatewayWebSocketProtocol
        factory.reactor = self.clock
        return factory

    def joined(self, serializer: str, role: str, sub: str, *, compressed: bool = False) -> Wire:
        """Return a connection whose session has joined."""
        wire = self.websocket(serializer, compressed=compressed)
        token = mint(role, sub)
        roles = {name: {} for name in ("subscriber", "publisher", "caller", "callee")}
        name = serializer.partition(".")[0]
        hello = [1, "market", {"roles": roles, "authmethods": ["ticket"], "authid": sub}]
        wire.send(encoded(hello, serializer), text=name == "json")
        wire.send(encoded([5, token, {}], serializer), text=name == "json")
        require(wire.protocol._session._session_id is not None, "a genuine ticket was refused")
        wire.transport.clear()
        return wire

    def _session(self) -> GatewaySession:
        return GatewaySession(self._factory)

    def publish(self) -> None:
        """Publish one more event to the honest client, and to whom else it concerns."""
        self._published += 1
        self.seam.publish(HONEST_TOPIC, EncodedPayload(b'{"seq":%d}' % self._published))

    def check_clean(self) -> None:
        """Require that all but the honest client has gone, and that it gets an event that is published now."""
        ids = self.router._session_id_to_session
        require(len(ids) == 2, f"sessions stayed: {len(ids) - 2}")
        subscriptions = self.router._broker._subscription_map._observation_id_to_observation
        stayed = [observation.uri for observation in subscriptions.values() if observation.uri != HONEST_TOPIC]
        require(not stayed, f"subscriptions stayed: {stayed[:3]}")
        registrations = self.router._dealer._registration_map._observation_id_to_observation
        require(len(registrations) == 3, "registrations stayed")
        require(not self.router._dealer._invocations, "invocations stayed")
        seats = runtime.gatekeeper("market")
        require(seats is not None and seats.sessions == 1, "seats stayed taken")
        calls = [call for call in self.clock.getDelayedCalls() if call.active()]
        require(len(calls) <= 3, f"timers stayed: {calls}")
        self.honest.transport.clear()
        self.publish()
        self.clock.advance(1.0)
        events = self.honest.take_messages()
        require(
            bool(events) and events[-1][0] == 36 and events[-1][4] == [{"seq": self._published}],
            f"the honest client got {events}",
        )

    def check_log(self) -> None:
        """Require that nothing was logged that means a mistake of ours."""
        for event in self.log.take_all():
            text = str(event.get("tb", "")) + str(event.get("log_format", "")) + str(event.get("err", ""))
            failure = event.get("log_failure")
            mistake = failure is not None or (
                "Traceback" in text and "ProtocolError" not in text and "InvalidUriError" not in text
            )
            require(not mistake, f"logged: {failure.getTraceback() if failure else text}"[-3000:])


class Routers:
    """As much of a router factory as sessions use."""

    _routers: dict[str, Any]

    def get(self, realm: str) -> Any:
        """Return a realm's router."""
        return self._routers.get(realm)

    def __getitem__(self, realm: str) -> Any:
        return self._routers[realm]

    def __contains__(self, realm: object) -> bool:
        return realm in self._routers

    def on_last_detach(self, router: Any) -> None:
        """Keep it."""


class Wire:
    """A client's end of a connection."""

    def __init__(self, world: World, protocol: Any) -> None:
        self.world = world
        self.protocol = protocol
        self.transport = Transport()
        self._lost = False
        protocol.makeConnection(self.transport)

    def feed(self, data: bytes) -> None:
        """Send bytes, unless the connection has ended."""
        if data and not self.transport.ended:
            self.protocol.dataReceived(data)

    def send(self, message: bytes, *, text: bool = True) -> None:
        """Send a message in one frame."""
        self.feed(frame(0x81 if text else 0x82, message))

    def take_messages(self) -> list[Any]:
        """Return the JSON messages that have come, and forget them."""
        messages = [json.loads(payload) for octet, payload in frames(self.transport.value()) if octet & 0x0F == 1]
        self.transport.clear()
        return messages

    def end(self) -> None:
        """Lose the connection, and let all its timers run out."""
        if not self._lost:
            self._lost = True
            self.protocol.connectionLost(Failure(ConnectionDone()))
        self.world.clock.advance(30.0)

    def close_code(self) -> int | None:
        """Return the code of the close frame that came; 1005 for one without, ``None`` where none came."""
        for octet, payload in frames(self.transport.value()):
            if octet & 0x0F == 8:
                return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        return None


def frame(first: int, payload: bytes, key: bytes = b"abcd") -> bytes:
    """Return a client's frame."""
    size = len(payload)
    header = bytes([first, 0x80 | (size if size < 126 else 126 if size < 65_536 else 127)])
    if size >= 126:
        header += size.to_bytes(2 if size < 65_536 else 8, "big")
    return header + key + unmasked(payload, key)


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Return what a server wrote: ``(first octet, payload)`` of each frame. Requires minimal lengths, no mask, no rest."""
    found = []
    position = 0
    while position < len(data):
        require(position + 2 <= len(data), "a server's frame was cut")
        first, size = data[position], data[position + 1]
        require(size < 0x80, "a server's frame is masked")
        position += 2
        for form, octets, least in ((126, 2, 126), (127, 8, 65_536)):
            if size == form:
                size = int.from_bytes(data[position : position + octets], "big")
                require(size >= least, "a server's length is not minimal")
                position += octets
                break
        require(position + size <= len(data), "a server's frame was cut")
        found.append((first, data[position : position + size]))
        position += size
    return found


def encoded(message: Any, serializer: str) -> bytes:
    """Return a WAMP message as a serializer, batched or not, writes it."""
    name, _, batched = serializer.partition(".")
    if name == "json":
        return json.dumps(message).encode() + (b"\x18" if batched else b"")
    data: bytes = msgpack.packb(message) if name == "msgpack" else cbor2.dumps(message)
    return len(data).to_bytes(4, "big") + data if batched else data


def mint(role: str, sub: str) -> str:
    """Return a genuine token that does not expire."""
    return AUTHORITY.mint(
        sub=sub, role=role, realm="market", now_s=int(time.time()), ttl_s=86_400, services=("quotes", "fuzz")
    )


def _transport(**options: Any) -> dict[str, Any]:
    ticket = {
        "type": "function",
        "create": "components.router.authenticator.create_client_authenticator",
        "config": {"realms": {"market": ["viewer", "service", "operator"]}},
    }
    return {"serializers": ["json", "msgpack", "cbor"], "options": options, "auth": {"ticket": ticket}}


_TEMPLATES = SimpleNamespace(get_template=lambda name: SimpleNamespace(render=lambda **values: "<html>"))
"""A page that says who listens is all that is rendered."""


def _market(history: TickHistory) -> Market:
    """Return a market of a few symbols, of one of which there are ticks to come back to."""
    market = Market(lambda: 0.0, lambda: float(NOW_S))
    status = {"epoch": EPOCH, "state": "live", "symbols": list(SYMBOLS), "stale": []}
    market.take_status(json.dumps(status).encode())
    events = [(HONEST_TOPIC, seq, b'{"symbol":"BTCUSDT","seq":%d}' % seq) for seq in (1, 2, 4, 5)]
    batch = Batch(EPOCH, 1, events)
    market.take_batch(batch)
    history.take_batch(batch)
    return market


_logging_has_begun = False


def begin_logging() -> None:
    """Log as a worker does, to observers alone: before that, Twisted prints what is critical."""
    global _logging_has_begun
    if not _logging_has_begun:
        _logging_has_begun = True
        set_global_log_level("info")
        globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)


_world: World | None = None


def world() -> World:
    """Return this process's world; a ``Violation`` spoils it, and the next call makes another."""
    global _world
    if _world is None:
        _world = World()
    return _world


def spoil() -> None:
    """Forget this process's world."""
    global _world
    if _world is not None:
        globalLogPublisher.removeObserver(_world.log.take)
        seats = runtime.gatekeeper("market")
        if seats is not None:
            runtime._gatekeepers.clear()
    _world = None
