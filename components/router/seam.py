"""The one place that touches Crossbar's and Autobahn's private names.

Written against crossbar 26.10.1 and autobahn 26.10.2; ``tests/router/test_seam.py`` fails loudly when an upgrade moves
something. What it does:

- ``install_transports`` makes WebSocket and RawSocket transports use protocols of ours: their connections have an ``Outlet``,
  send an ``EncodedPayload`` as it is, and have TCP_NODELAY, which Autobahn's option of that name does not reach. Call it
  before the transports start.
- ``RouterSeam`` puts the fan-out between a realm's broker and its sessions. Subscriptions stay Crossbar's: its map is
  watched, so authorisation, patterns and the meta API are what they were. A publish takes the fast path only when nothing
  about it is special; all others take Crossbar's, and reach a session behind the events that wait for it. What
  ``get_retained`` brings of the market is sent behind Crossbar's SUBSCRIBED. Calls of the bus are answered without an
  invocation.
- What comes over WebSocket is taken from the read by whole messages (``ingress``); Autobahn gets the frames that are not
  plain, and Crossbar the requests that are not. Subscriptions that others have too are made here as ``Broker`` makes them,
  without the meta events that nobody hears; the first and the last of a subscription, and all refusals, are Crossbar's.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar, Protocol

import txaio
from autobahn import util
from autobahn.twisted import websocket as autobahn_twisted_websocket
from autobahn.wamp import ApplicationError, message
from autobahn.wamp import websocket as autobahn_wamp_websocket
from autobahn.wamp.message import _URI_PAT_LOOSE_NON_EMPTY
from autobahn.websocket import protocol as autobahn_websocket
from crossbar.router import protocol as crossbar_protocol
from crossbar.router import router as crossbar_router
from crossbar.router import session as crossbar_session
from crossbar.router.broker import Broker
from crossbar.router.dealer import Dealer
from crossbar.router.observation import UriObservationMap
from crossbar.router.router import Router
from twisted.internet.defer import succeed
from twisted.internet.interfaces import ITCPTransport
from twisted.logger import Logger

from components.core.client_frames import TEXT, first_frame_bytes, plain_messages
from components.core.outbox import OutboxCounters
from components.core.outbox_settings import OutboxSettings, Overflow
from components.core.payload import EncodedPayload, is_plain_value
from components.core.topics import is_rate_topic, receives
from components.router.backlog import MakeCondenser
from components.router.blocked import HoldLimits
from components.router.encodings import RAWSOCKET, UNFRAMED, WEBSOCKET
from components.router.fanout import MAX_CACHED_TOPICS, FanOut
from components.router.groups import Subscriber
from components.router.ingress import take
from components.router.outlet import Outlet
from components.router.pending import frames_of
from components.router.requests import CODECS, RequestCodec, is_plain_json
from components.router.serializers import WRAPPING, WrappingJsonSerializer
from components.router.sockets import writer
from components.uris import ERROR_RUNTIME

Decide = Callable[[Any, str, str, dict[str, Any]], dict[str, Any] | None]
"""``(session, action, uri, options)`` → Crossbar's authorization, or ``None`` where the role is not ours to decide."""

Retained = Callable[[Any, str, str], Iterable[tuple[str, EncodedPayload]]]
"""``(session, uri, match)`` → the ``(topic, payload)`` that a subscription with ``get_retained`` begins with."""


class SubscriptionListener(Protocol):
    """Who is told which subscriptions clients have; a subscription is a URI with how it matches."""

    def subscribed(self, uri: str, match: str) -> None:
        """Be told that a subscription has its first client."""

    def unsubscribed(self, uri: str, match: str) -> None:
        """Be told that a subscription has lost its last client."""


GOODBYE_TIME_S = 1.0
"""How long a connection that is given up may take to send what says why."""

META_TOPICS = tuple(
    f"wamp.subscription.{event}" for event in ("on_create", "on_subscribe", "on_unsubscribe", "on_delete")
)

MAX_RAWSOCKET_BYTES = 2**24
"""What a RawSocket peer may announce at most (WAMP specification, "RawSocket Transport"); all that we send is shorter."""

CLOSE_CODES = {Overflow.STALLED: 4001, Overflow.QUEUE_FULL: 4002, Overflow.TOO_MANY_BYTES: 4003}
"""WebSocket close codes, with the URI as their reason."""

CLOSE_TEXTS = {
    Overflow.STALLED: "this session did not read for longer than stall_timeout",
    Overflow.QUEUE_FULL: "an event would have had to wait on a topic whose policy is disconnect",
    Overflow.TOO_MANY_BYTES: "more than max_bytes waited for this session",
}


class TransportSettings:
    """What all connections of this worker share; set once by ``install_transports``."""

    clock: Any
    queue: OutboxSettings
    counters: OutboxCounters
    send_buffer_bytes: int | None
    """SO_SNDBUF of TCP connections, ``None`` for the system's choice."""

    on_cut: Callable[[Overflow], None]


def install_transports(
    clock: Any,
    queue: OutboxSettings,
    counters: OutboxCounters,
    send_buffer_bytes: int | None,
    on_cut: Callable[[Overflow], None],
) -> None:
    """Make all WAMP transports that start from here on use this module's protocols; ``on_cut`` counts given-up connections."""
    TransportSettings.clock = clock
    TransportSettings.queue = queue
    TransportSettings.counters = counters
    TransportSettings.send_buffer_bytes = send_buffer_bytes
    TransportSettings.on_cut = staticmethod(on_cut)
    crossbar_protocol.WampWebSocketServerFactory.protocol = GatewayWebSocketProtocol
    crossbar_protocol.WampRawSocketServerFactory.protocol = GatewayRawSocketProtocol
    crossbar_session.RouterSessionFactory.session = GatewaySession
    if txaio.get_global_log_level() not in ("debug", "trace"):
        _log_no_sessions()


def _log_no_sessions() -> None:
    """Leave out what Crossbar logs at level info of each session that comes and goes: it takes longer than the join itself.

    So does marking up the arguments of lines that are not written. Warnings and errors are logged as ever, without markup.
    """
    for logged in (GatewayWebSocketProtocol, GatewaySession, GatewayRouter):
        logged.log = txaio.make_logger(level="warn")
    for module in (
        crossbar_protocol,
        crossbar_router,
        crossbar_session,
        autobahn_wamp_websocket,
        autobahn_twisted_websocket,
        autobahn_websocket,
    ):
        for name in ("hl", "hlid", "hltype", "hlval", "pformat"):
            if hasattr(module, name):
                setattr(module, name, _unmarked)


def _unmarked(value: Any, *_markup: Any, **_options: Any) -> Any:
    return value


def _use_wrapping_serializer(protocol: Any) -> tuple[str, bool]:
    # The protocol's Serializer is its own copy; the object serializers are shared by all connections, so that a message
    # sent to many of them is serialised once for each kind.
    serializer = protocol._serializer
    kind = (serializer._serializer.NAME, serializer._serializer._batched)
    serializer._serializer = WRAPPING[kind]
    return kind


def _prepare(transport: Any, outlet: Outlet) -> None:
    if ITCPTransport.providedBy(transport):
        transport.setTcpNoDelay(True)
        send_buffer_bytes = TransportSettings.send_buffer_bytes
        if send_buffer_bytes is not None:
            # So that the kernel cannot hide seconds of stale prices. Under TLS the handle is OpenSSL's; the socket is below.
            handle = transport.getHandle()
            handle = handle if isinstance(handle, socket.socket) else transport.transport.getHandle()
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    # A WebSocket connection begins as a request to Twisted's web server, which leaves itself registered.
    transport.unregisterProducer()
    transport.registerProducer(outlet, True)


class GatewaySession(crossbar_session.RouterSession):  # type: ignore[misc]
    """A client's session, without what each one of Crossbar's makes for itself and never uses, and drops."""

    _alike: dict[str, Any] | None = None
    """What all new sessions have in common."""

    def __init__(self, router_factory: Any) -> None:
        if self._alike is None:
            super().__init__(router_factory)
            GatewaySession._alike = {
                name: value
                for name, value in vars(self).items()
                if name not in ("log", "_testaments", "_request_id_gen", "_router_factory")
            }
            del self.log
            return
        self.__dict__.update(self._alike)
        self._router_factory = router_factory
        self._testaments: dict[str, list[Any]] = {"destroyed": [], "detached": []}
        self._request_id_gen = util.IdGenerator()

    def onJoin(self, details: Any) -> None:
        super().onJoin(details)
        # It holds a second copy of all that is known of the connection.
        self._pending_auth = None


class GatewayWebSocketProtocol(crossbar_protocol.WampWebSocketServerProtocol):  # type: ignore[misc]
    """A client's WebSocket connection."""

    data: bytes
    """Autobahn's: what it could not take yet."""

    outlet: Outlet | None = None
    codec: RequestCodec | None = None
    """How plain requests are recognised; ``None`` where all that comes is Autobahn's to handle."""

    def onOpen(self) -> None:
        kind = _use_wrapping_serializer(self)
        compressed = self._perMessageCompress is not None
        self.outlet = Outlet(
            TransportSettings.clock,
            TransportSettings.queue,
            TransportSettings.counters,
            (UNFRAMED if compressed else WEBSOCKET)[kind],
            self._frame_writer(),
            self._write_message,
            self._give_up,
        )
        _prepare(self.transport, self.outlet)
        super().onOpen()
        autobahn_sees_all = (
            compressed
            or self.trackedTimings
            or self.logOctets
            or self.logFrames
            or not (self.utf8validateIncoming and self.applyMask)
        )
        self.codec = None if autobahn_sees_all else CODECS.get(kind)

    def dataReceived(self, data: bytes) -> None:
        """Take plain frames from the head of what comes; Autobahn gets the others, one by one, and what is not complete."""
        while data:
            codec = self.codec
            if codec is None or self.state != self.STATE_OPEN or self.failedByMe:
                super().dataReceived(data)
                return
            if self.current_frame is not None:
                size = self.current_frame.length - self.current_frame_masker.pointer()
            else:
                if self.data:
                    # A header that was cut; it has been counted.
                    self.trafficStats.incomingOctetsWireLevel -= len(self.data)
                    data, self.data = self.data + data, b""
                if not self.inside_message:
                    messages, size = plain_messages(data, codec.first_octet, self._max_plain_bytes())
                    if messages:
                        self._count_received(messages, size)
                        take(self, codec, messages)
                        data = data[size:]
                        continue
                size = first_frame_bytes(data)
            super().dataReceived(data[:size])
            data = data[size:]

    def _max_plain_bytes(self) -> int:
        limits = [limit for limit in (self.maxMessagePayloadSize, self.maxFramePayloadSize) if limit > 0]
        return min(limits, default=0)

    def _count_received(self, messages: list[bytes], size: int) -> None:
        stats = self.trafficStats
        payload_bytes = sum(map(len, messages))
        stats.incomingOctetsWireLevel += size
        stats.incomingOctetsWebSocketLevel += payload_bytes
        stats.incomingOctetsAppLevel += payload_bytes
        stats.incomingWebSocketFrames += len(messages)
        stats.incomingWebSocketMessages += len(messages)
        if self.autoPingTimeoutCall and self.autoPingRestartOnAnyTraffic:
            self._cancelAutoPingTimeoutCall()

    # What ``ingress.take`` asks

    def joined(self) -> tuple[RouterSeam | None, Any]:
        session = self._session
        router = None if session is None or session._session_id is None else session._router
        if self.outlet is not None and self.outlet.given_up:
            return None, session
        return (router.seam if type(router) is GatewayRouter and router.seam.plain else None), session

    def handle(self, message: bytes) -> None:
        if self.outlet is not None and self.outlet.given_up:
            return
        if self.codec is not None and not self.failedByMe and self.state != self.STATE_CLOSED:
            self.onMessage(message, self.codec.first_octet != TEXT)

    def begin_reply(self) -> None:
        if self.outlet is not None:
            self.outlet.catch_up()

    def send_replies(self, frames: list[bytes]) -> None:
        if self.state == self.STATE_OPEN:
            self.trafficStats.outgoingWebSocketFrames += len(frames)
            self.trafficStats.outgoingWebSocketMessages += len(frames)
            self.sendData(b"".join(frames))

    def send(self, msg: Any) -> None:
        if self.outlet is not None:
            if self.outlet.given_up:
                # It answers our GOODBYE, and Crossbar would reply.
                return
            self.outlet.catch_up()
        super().send(msg)

    def sendData(self, data: bytes, *arguments: Any, **options: Any) -> None:
        was_blocked = self.outlet is not None and self.outlet.blocked
        super().sendData(data, *arguments, **options)
        if self.outlet is not None and was_blocked:
            self.outlet.piled(len(data))

    def _frame_writer(self) -> Callable[[bytes], None]:
        write = writer(self.transport)

        def write_frames(block: bytes) -> None:
            # Once the closing handshake has begun, no data frame may follow.
            if self.state == self.STATE_OPEN:
                write(block)

        return write_frames

    def _write_message(self, data: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self.sendMessage(data, self._serializer._serializer.BINARY)

    def _give_up(self, reason: Overflow | None) -> None:
        if reason is not None:
            TransportSettings.on_cut(reason)
        if reason is None or self.state != self.STATE_OPEN:
            # Behind a close frame nothing may follow, and it may wait for ever in a buffer that nobody empties.
            self.transport.abortConnection()
            return
        if self.isOpen():
            super().send(message.Goodbye(reason.value, CLOSE_TEXTS[reason]))
        self.sendClose(CLOSE_CODES[reason], reason.value)
        TransportSettings.clock.callLater(GOODBYE_TIME_S, self.transport.abortConnection)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self.outlet is not None:
            self.outlet.close()
        super().onClose(wasClean, code, reason)


class GatewayRawSocketProtocol(crossbar_protocol.WampRawSocketServerProtocol):  # type: ignore[misc]
    """A client's RawSocket connection."""

    outlet: Outlet | None = None

    def _on_handshake_complete(self) -> None:
        kind = _use_wrapping_serializer(self)
        self.outlet = Outlet(
            TransportSettings.clock,
            TransportSettings.queue,
            TransportSettings.counters,
            # What a peer may not be sent has to be looked at one by one.
            (RAWSOCKET if self._max_len_send == MAX_RAWSOCKET_BYTES else UNFRAMED)[kind],
            writer(self.transport),
            self._write_message,
            self._give_up,
        )
        _prepare(self.transport, self.outlet)
        super()._on_handshake_complete()

    def send(self, msg: Any) -> None:
        if self.outlet is not None:
            if self.outlet.given_up:
                # It answers our GOODBYE, and Crossbar would reply.
                return
            self.outlet.catch_up()
        super().send(msg)

    def sendString(self, data: bytes) -> None:
        was_blocked = self.outlet is not None and self.outlet.blocked
        super().sendString(data)
        if self.outlet is not None and was_blocked:
            self.outlet.piled(len(data))

    def _write_message(self, data: bytes) -> None:
        if len(data) > self._max_len_send:
            # As Crossbar does with any message.
            self.log.warn("an event of {size} bytes is more than this peer takes", size=len(data))
            return
        self.sendString(data)

    def _give_up(self, reason: Overflow | None) -> None:
        if reason is None:
            self.transport.abortConnection()
            return
        TransportSettings.on_cut(reason)
        if self.isOpen():
            super().send(message.Goodbye(reason.value, CLOSE_TEXTS[reason]))
        TransportSettings.clock.callLater(GOODBYE_TIME_S, self.transport.abortConnection)

    def connectionLost(self, reason: Any) -> None:
        if self.outlet is not None:
            self.outlet.close()
        super().connectionLost(reason)


class WatchedSubscriptions(UriObservationMap):  # type: ignore[misc]
    """Crossbar's map of subscriptions, whose changes the seam is told; patterns reach derived topics as ``topics`` says."""

    def __init__(self, watched: UriObservationMap, seam: RouterSeam) -> None:
        """Take over what a map holds."""
        super().__init__()
        for name in UriObservationMap.__slots__:
            setattr(self, name, getattr(watched, name))
        self.seam = seam

    def match_observations(self, uri: str) -> Any:
        found = super().match_observations(uri)
        if is_rate_topic(uri):
            return [observation for observation in found if receives(observation.uri, observation.match, uri)]
        return found

    def add_observer(self, observer: Any, *arguments: Any, **options: Any) -> Any:
        added = super().add_observer(observer, *arguments, **options)
        observation, was_already_observed, _ = added
        if not was_already_observed:
            self.seam.observer_added(observer, observation)
        return added

    def drop_observer(self, observer: Any, observation: Any) -> Any:
        dropped = super().drop_observer(observer, observation)
        was_observed, _ = dropped
        if was_observed:
            self.seam.observer_dropped(observer, observation)
        return dropped


class GatewayRouter(Router):  # type: ignore[misc]
    """Crossbar's router, which decides on client roles without a call."""

    seam: RouterSeam

    def authorize(self, session: Any, uri: str, action: str, options: dict[str, Any]) -> Any:
        decision = self.seam.decide(session, action, uri, options or {})
        return super().authorize(session, uri, action, options) if decision is None else succeed(decision)


class GatewayBroker(Broker):  # type: ignore[misc]
    """Crossbar's broker, with the fast path and the retained events of the market."""

    seam: RouterSeam

    def detach(self, session: Any) -> None:
        if not self.seam.leave(session):
            super().detach(session)

    def processPublish(self, session: Any, publish: Any) -> None:
        if not self.seam.published_fast(session, publish):
            super().processPublish(session, publish)

    def processSubscribe(self, session: Any, subscribe: Any) -> None:
        topic, match, get_retained = subscribe.topic, subscribe.match, bool(subscribe.get_retained)
        made = None
        if self.seam.plain and not subscribe.forward_for:
            made = self.seam.add_subscriber(session, topic, match, get_retained)
        if made is None:
            super().processSubscribe(session, subscribe)
        else:
            self._router.send(session, message.Subscribed(subscribe.request, made))
        if get_retained:
            self.seam.send_retained(session, topic, match)

    def processUnsubscribe(self, session: Any, unsubscribe: Any) -> None:
        if (
            self.seam.plain
            and not unsubscribe.forward_for
            and self.seam.drop_subscriber(session, unsubscribe.subscription)
        ):
            self._router.send(session, message.Unsubscribed(unsubscribe.request))
        else:
            super().processUnsubscribe(session, unsubscribe)


class GatewayDealer(Dealer):  # type: ignore[misc]
    """Crossbar's dealer, which answers some calls without an invocation."""

    seam: RouterSeam

    def processCall(self, session: Any, call: Any) -> None:
        if not self.seam.answered_directly(session, call):
            super().processCall(session, call)


def _error(call: Any, uri: str, *arguments: object) -> Any:
    return message.Error(message.Call.MESSAGE_TYPE, call.request, uri, args=list(arguments))


class RouterSeam:
    """The router of a realm, seen by a component that runs inside it, with the fan-out put in."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        session: Any,
        clock: Any,
        decide: Decide,
        retained: Retained,
        listener: SubscriptionListener,
        condenser: MakeCondenser,
        window_s: float,
        hold: HoldLimits,
    ) -> None:
        """Take the router that ``session``, an in-router component's session, is attached to.

        ``decide`` authorises client roles; ``retained`` returns what ``get_retained`` brings, beside what Crossbar retains;
        for ``condenser``, ``window_s`` and ``hold`` see ``FanOut``.
        """
        router = session._transport._router
        broker = router._broker
        subscriptions = WatchedSubscriptions(broker._subscription_map, self)
        self.decide = decide
        self.fanout = FanOut(clock, self._match, self._overflowed, condenser, window_s, hold)
        self._router = router
        self._broker = broker
        self._subscriptions = subscriptions
        self._retained = retained
        self._listener = listener
        self._subscribers: dict[Any, Subscriber] = {}
        self._counts: dict[int, int] = {}
        """How many sessions of the fan-out each subscription has."""
        self._other_subscriptions = sum(
            len(observation.observers) for observation in subscriptions._observation_id_to_observation.values()
        )
        """How many subscriptions sessions have that the fan-out does not serve."""
        self._others: dict[str, tuple[Any, ...]] = {}
        """Per topic, the subscriptions with observers that the fan-out does not serve, such as in-router components."""
        self._meta_heard: bool | None = None
        """Whether somebody hears the meta events of subscriptions; ``None`` when it has to be looked up."""
        self._json = WrappingJsonSerializer()
        self._direct: dict[str, Callable[[bytes], None]] = {}
        service = router._realm.session
        if service is not None and len(service._expose_on_sessions) == 1:
            service.publish = partial(self._publish_meta, service.publish)
        router.__class__, router.seam = GatewayRouter, self
        router._dealer.__class__, router._dealer.seam = GatewayDealer, self
        broker.__class__, broker.seam = GatewayBroker, self
        broker._subscription_map = subscriptions

    def auth_extra(self, session_id: int) -> dict[str, Any] | None:
        """Return what the authenticator noted of a session; ``None`` when it has left."""
        session = self._router._session_id_to_session.get(session_id)
        if session is None:
            return None
        return session._authextra or {}

    # Publishing

    def publish(self, topic: str, payload: EncodedPayload) -> None:
        """Deliver a payload to all who are subscribed to a topic."""
        self.fanout.publish(topic, payload)
        self._publish_to_others(topic, payload)

    def publish_batch(self, events: Sequence[tuple[str, EncodedPayload]]) -> None:
        """Deliver events that came together, in their order."""
        self.fanout.publish_batch(events)
        if self._other_subscriptions:
            for topic, payload in events:
                self._publish_to_others(topic, payload)

    def _publish_to_others(self, topic: str, payload: EncodedPayload) -> None:
        others = self._others.get(topic)
        if others is None:
            if len(self._others) >= MAX_CACHED_TOPICS:
                self._others.clear()
            others = self._others[topic] = tuple(
                observation
                for observation in self._subscriptions.match_observations(topic)
                if any(observer not in self._subscribers for observer in observation.observers)
            )
        for observation in others:
            event = message.Event(
                observation.id,
                util.id(),
                args=[payload.value()],
                topic=topic if observation.match != message.Subscribe.MATCH_EXACT else None,
            )
            for observer in tuple(observation.observers):
                if observer not in self._subscribers and getattr(observer, "_transport", None) is not None:
                    self._router.send(observer, event)

    def published_fast(self, session: Any, publish: Any) -> bool:
        """Deliver a PUBLISH that nothing is special about; return whether it was one."""
        if (
            publish.acknowledge
            or publish.retain
            or publish.kwargs
            or publish.payload is not None
            or publish.exclude_me is False
            or publish.exclude
            or publish.exclude_authid
            or publish.exclude_authrole
            or publish.eligible is not None
            or publish.eligible_authid is not None
            or publish.eligible_authrole is not None
            or publish.forward_for
            or publish.transaction_hash
            or not publish.args
            or len(publish.args) != 1
            or not self.plain
        ):
            return False
        if not self.may_publish(session, publish.topic):
            return False
        argument = publish.args[0]
        if not is_plain_value(argument):
            return False
        payload = (
            argument if isinstance(argument, EncodedPayload) else EncodedPayload(self._json.serialize([argument])[1:-1])
        )
        if not is_plain_json(payload.json):
            return False
        self.publish(publish.topic, payload)
        return True

    # Calls

    def answer_directly(self, procedure: str, take: Callable[[bytes], None]) -> None:
        """Let calls of a procedure that is registered here, with bytes as their one argument, reach ``take`` at once.

        Crossbar's way by an INVOCATION and a YIELD costs more than a batch of ticks. Only a call that Crossbar has
        authorised before, and remembers so, goes past it. An ``ApplicationError`` is answered as it would be there.
        """
        self._direct[procedure] = take

    def answered_directly(self, session: Any, call: Any) -> bool:
        """Answer a CALL whose procedure has a direct way; return whether it had."""
        take = self._direct.get(call.procedure)
        if (
            take is None
            or not call.args
            or len(call.args) != 1
            or type(call.args[0]) is not bytes
            or call.kwargs
            or call.receive_progress
            or call.forward_for
            or self._router.is_traced
        ):
            return False
        remembered = self._router._authorization_cache.get((session._realm, session._authrole, call.procedure, "call"))
        if not remembered or not remembered["allow"]:
            return False
        answer = message.Result(call.request, args=[None])
        try:
            take(call.args[0])
        except ApplicationError as error:
            answer = _error(call, error.error, *error.args)
        except Exception as error:
            # As Crossbar does with what a procedure raises by mistake: without an answer the caller would wait for ever.
            self.life_log.failure("a call of {procedure} failed", procedure=call.procedure)
            answer = _error(call, ERROR_RUNTIME, str(error))
        self._router.send(session, answer)
        return True

    def _publish_meta(self, publish: Callable[..., Any], topic: str, *arguments: Any, **options: Any) -> Any:
        """Publish an event of the meta API where somebody hears it; most come with each session, and nobody does."""
        if topic.startswith("wamp.") and "options" not in options and not self._is_heard(topic):
            return None
        return publish(topic, *arguments, **options)

    # Plain requests: the realm of ``ingress``

    @property
    def plain(self) -> bool:
        """Whether requests may be taken past Crossbar's code: nobody traces them, stores events or has stricter rules."""
        router, broker = self._router, self._broker
        return not (
            router._is_traced or router._trace_traffic or broker._event_store is not None or broker._option_uri_strict
        )

    def subscribe(self, session: Any, topic: str, match: str, get_retained: bool) -> tuple[int, list[bytes]] | None:
        """Make a session a subscriber; return the subscription's id and the frames of the events that it begins with."""
        subscription = self.add_subscriber(session, topic, match, get_retained)
        if subscription is None:
            return None
        self._count("received", "subscribe")
        self._count("sent", "subscribed")
        if not get_retained:
            return subscription, []
        subscriber = self._subscribers[session]
        retained = self.fanout.retained(subscriber, subscription, self._retained(session, topic, match))
        self._count("sent", "event", len(retained))
        return subscription, [frame for frame in frames_of(subscriber.connection.encoding, retained) if frame]

    def unsubscribe(self, session: Any, subscription: int) -> bool:
        """Make a session no subscriber any more."""
        done = self.drop_subscriber(session, subscription)
        if done:
            self._count("received", "unsubscribe")
            self._count("sent", "unsubscribed")
        return done

    # What of Crossbar's broker is done here, for all kinds of transports

    def add_subscriber(self, session: Any, topic: str, match: str, get_retained: bool) -> int | None:
        """Do what ``Broker.processSubscribe`` does for a subscription that others have, where no meta event is due, and
        nothing that Crossbar retains is wanted.

        That the subscription exists says that its URI was checked.
        """
        observation = self._subscriptions.get_observation(topic, match)
        own = self._broker._session_to_subscriptions.get(session)
        if observation is None or own is None or self._meta_is_heard():
            return None
        if get_retained and match == message.Subscribe.MATCH_EXACT and observation.extra.retained_events:
            return None
        decision = self.decide(session, "subscribe", topic, {"match": match})
        if decision is None or not decision["allow"]:
            return None
        self._subscriptions.add_observer(session, topic, match)
        own.add(observation)
        observation_id: int = observation.id
        return observation_id

    def drop_subscriber(self, session: Any, subscription: int) -> bool:
        """Do what ``Broker.processUnsubscribe`` does for a subscription that others keep, where no meta event is due."""
        observation = self._subscriptions.get_observation_by_id(subscription)
        if (
            observation is None
            or session not in observation.observers
            or len(observation.observers) == 1
            or self._meta_is_heard()
        ):
            return False
        self._subscriptions.drop_observer(session, observation)
        self._broker._session_to_subscriptions[session].discard(observation)
        return True

    def leave(self, session: Any) -> bool:
        """Do what ``Broker.detach`` does, where no meta event is due; return whether it was done."""
        own = self._broker._session_to_subscriptions.get(session)
        if own is None or not self.plain or self._meta_is_heard():
            return False
        for observation in own:
            _, was_last = self._subscriptions.drop_observer(session, observation)
            if was_last and not observation.extra.retained_events:
                self._subscriptions.delete_observation(observation)
        del self._broker._session_to_subscriptions[session]
        return True

    def may_publish(self, session: Any, topic: str) -> bool:
        """Tell whether a PUBLISH without options may be delivered by the fan-out."""
        decision = self.decide(session, "publish", topic, {})
        if (
            decision is None
            or not decision["allow"]
            or decision.get("disclose")
            # A topic that something was published to has been looked at.
            or not (topic in self._others or _URI_PAT_LOOSE_NON_EMPTY.match(topic))
        ):
            return False
        # The publisher is excluded from its own event.
        own = self._subscribers.get(session)
        return own is None or not any(id_ in own.subscriptions for id_, _ in self._match(topic))

    def publish_all(self, events: Sequence[tuple[str, EncodedPayload]]) -> None:
        """Deliver publications that came in one read, in their order."""
        self._count("received", "publish", len(events))
        self.publish_batch(events)

    def _count(self, direction: str, kind: str, number: int = 1) -> None:
        # As Router.process and Router.send do.
        stats = self._router._message_stats[direction]
        stats[kind] = stats.get(kind, 0) + number

    def _meta_is_heard(self) -> bool:
        """Tell whether somebody is subscribed to the meta events of subscriptions."""
        if self._meta_heard is None:
            self._meta_heard = any(map(self._is_heard, META_TOPICS))
        return self._meta_heard

    def _is_heard(self, topic: str) -> bool:
        return any(observation.observers for observation in self._subscriptions.match_observations(topic))

    # Subscriptions

    def send_retained(self, session: Any, uri: str, match: str) -> None:
        """Send what a subscription begins with to the session that has made it, behind SUBSCRIBED."""
        observation = self._subscriptions.get_observation(uri, match)
        if observation is None or session not in observation.observers:
            # It was refused.
            return
        events = self._retained(session, uri, match)
        subscriber = self._subscribers.get(session)
        if subscriber is not None:
            self.fanout.send_retained(subscriber, observation.id, events)
            return
        for topic, payload in events:
            shown = topic if match != message.Subscribe.MATCH_EXACT else None
            event = message.Event(observation.id, util.id(), args=[payload.value()], topic=shown, retained=True)
            self._router.send(session, event)

    def observer_added(self, observer: Any, observation: Any) -> None:
        """Be told by Crossbar's map that a session has subscribed."""
        self._meta_may_change(observation)
        outlet = getattr(getattr(observer, "_transport", None), "outlet", None)
        if outlet is None:
            self._other_subscriptions += 1
            self._others.clear()
            return
        subscriber = self._subscribers[observer] = outlet.attach(self.fanout)
        self.fanout.subscribed(subscriber, observation.id, observation.match != message.Subscribe.MATCH_EXACT)
        count = self._counts.get(observation.id, 0)
        self._counts[observation.id] = count + 1
        if count == 0:
            self.fanout.subscriptions_changed()
            self._listener.subscribed(observation.uri, observation.match)

    def observer_dropped(self, observer: Any, observation: Any) -> None:
        """Be told by Crossbar's map that a subscription has ended."""
        self._meta_may_change(observation)
        subscriber = self._subscribers.get(observer)
        if subscriber is None:
            self._other_subscriptions -= 1
            self._others.clear()
            return
        self.fanout.unsubscribed(subscriber, observation.id)
        count = self._counts.pop(observation.id) - 1
        if count:
            self._counts[observation.id] = count
        else:
            self.fanout.subscriptions_changed()
            self._listener.unsubscribed(observation.uri, observation.match)
        if not subscriber.subscriptions:
            del self._subscribers[observer]

    def _meta_may_change(self, observation: Any) -> None:
        if observation.match != message.Subscribe.MATCH_EXACT or observation.uri.startswith("wamp."):
            self._meta_heard = None

    def _match(self, topic: str) -> list[tuple[int, bool]]:
        return [
            (observation.id, observation.match != message.Subscribe.MATCH_EXACT)
            for observation in self._subscriptions.match_observations(topic)
            if observation.id in self._counts
        ]

    @staticmethod
    def _overflowed(subscriber: Subscriber, reason: Overflow) -> None:
        outlet: Any = subscriber.connection
        outlet.overflowed(reason)
