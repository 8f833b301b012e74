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
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Protocol

from autobahn import util
from autobahn.wamp import ApplicationError, message
from autobahn.wamp.message import _URI_PAT_LOOSE_NON_EMPTY
from crossbar.router import protocol as crossbar_protocol
from crossbar.router.broker import Broker
from crossbar.router.dealer import Dealer
from crossbar.router.observation import UriObservationMap
from crossbar.router.router import Router
from twisted.internet.defer import succeed
from twisted.internet.interfaces import ITCPTransport
from twisted.logger import Logger

from components.core.outbox import OutboxCounters
from components.core.outbox_settings import OutboxSettings, Overflow
from components.core.payload import EncodedPayload
from components.core.topics import is_rate_topic, receives
from components.router.backlog import Condense
from components.router.encodings import RAWSOCKET, UNFRAMED, WEBSOCKET
from components.router.fanout import MAX_CACHED_TOPICS, FanOut, FanOutLimits
from components.router.groups import Subscriber
from components.router.outlet import Outlet
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


class GatewayWebSocketProtocol(crossbar_protocol.WampWebSocketServerProtocol):  # type: ignore[misc]
    """A client's WebSocket connection."""

    outlet: Outlet | None = None

    def onOpen(self) -> None:
        kind = _use_wrapping_serializer(self)
        compressed = self._perMessageCompress is not None
        self.outlet = Outlet(
            TransportSettings.clock,
            TransportSettings.queue,
            TransportSettings.counters,
            (UNFRAMED if compressed else WEBSOCKET)[kind],
            self._frame_writer(),
            lambda data: self.sendMessage(data, kind[0] != "json"),
            self._give_up,
        )
        _prepare(self.transport, self.outlet)
        super().onOpen()

    def send(self, msg: Any) -> None:
        if self.outlet is not None:
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

    def _give_up(self, reason: Overflow) -> None:
        TransportSettings.on_cut(reason)
        if self.isOpen():
            super().send(message.Goodbye(reason.value, CLOSE_TEXTS[reason]))
        self.sendClose(CLOSE_CODES[reason], reason.value)
        TransportSettings.clock.callLater(GOODBYE_TIME_S, self.dropConnection, True)

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
            RAWSOCKET[kind],
            writer(self.transport),
            self.sendString,
            self._give_up,
        )
        _prepare(self.transport, self.outlet)
        super()._on_handshake_complete()

    def send(self, msg: Any) -> None:
        if self.outlet is not None:
            self.outlet.catch_up()
        super().send(msg)

    def sendString(self, data: bytes) -> None:
        was_blocked = self.outlet is not None and self.outlet.blocked
        super().sendString(data)
        if self.outlet is not None and was_blocked:
            self.outlet.piled(len(data))

    def _give_up(self, reason: Overflow) -> None:
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

    def processPublish(self, session: Any, publish: Any) -> None:
        if not self.seam.published_fast(session, publish):
            super().processPublish(session, publish)

    def processSubscribe(self, session: Any, subscribe: Any) -> None:
        super().processSubscribe(session, subscribe)
        if subscribe.get_retained:
            self.seam.send_retained(session, subscribe.topic, subscribe.match)


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
        limits: FanOutLimits,
        condense: Condense,
    ) -> None:
        """Take the router that ``session``, an in-router component's session, is attached to.

        ``decide`` authorises client roles; ``retained`` returns what ``get_retained`` brings, beside what Crossbar retains;
        for ``limits`` and ``condense`` see ``FanOut``.
        """
        router = session._transport._router
        broker = router._broker
        subscriptions = WatchedSubscriptions(broker._subscription_map, self)
        self.decide = decide
        self.fanout = FanOut(clock, self._match, self._overflowed, condense, limits)
        self._router = router
        self._broker = broker
        self._subscriptions = subscriptions
        self._retained = retained
        self._listener = listener
        self._subscribers: dict[Any, Subscriber] = {}
        self._counts: dict[int, int] = {}
        """How many sessions of the fan-out each subscription has."""
        self._other_subscriptions = 0
        """How many subscriptions sessions have that the fan-out does not serve."""
        self._others: dict[str, tuple[Any, ...]] = {}
        """Per topic, the subscriptions with observers that the fan-out does not serve, such as in-router components."""
        self._json = WrappingJsonSerializer()
        self._direct: dict[str, Callable[[bytes], None]] = {}
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
            or self._router.is_traced
            or self._broker._event_store is not None
            or not _URI_PAT_LOOSE_NON_EMPTY.match(publish.topic)
        ):
            return False
        decision = self.decide(session, "publish", publish.topic, {})
        if decision is None or not decision["allow"] or decision.get("disclose"):
            return False
        own = self._subscribers.get(session)
        if own is not None and any(id_ in own.subscriptions for id_, _ in self._match(publish.topic)):
            # The publisher is excluded from its own event.
            return False
        argument = publish.args[0]
        payload = (
            argument if isinstance(argument, EncodedPayload) else EncodedPayload(self._json.serialize([argument])[1:-1])
        )
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
