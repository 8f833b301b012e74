"""The link to one peer: connects, fetches what there is, and comes back by itself until it is stopped.

A peer that is down costs an attempt now and then, and hinders nothing.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from functools import partial
from typing import Any, ClassVar, Protocol

import txaio
from autobahn.twisted.websocket import WampWebSocketClientFactory, WampWebSocketClientProtocol
from autobahn.wamp.serializer import JsonSerializer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from components.core.backoff import Backoff
from components.core.link_offers import Offered, Offers, PeerOffers
from components.router.links.reconciler import Reconciler
from components.router.links.session import LinkLost, LinkRefused, PeerSession
from components.router.runtime import LinkCounters
from components.uris import ERROR_AUTHENTICATION_FAILED

JOIN_TIMEOUT_S = 10.0
PING_INTERVAL_S = 5.0
PING_TIMEOUT_S = 5.0
"""A node that is gone without a word is missed within both."""

MAX_MESSAGE_BYTES = 16_777_216
PROVEN_AFTER_S = 10.0
"""A link that was up for so long was a good one: the next failure is a first one again."""

MAX_CAUSES = 8
"""So many causes of an outage are logged, each once, however long it lasts."""

_URL = "ws://crosstick.invalid/"
"""Where it goes is the endpoint's to know."""


class _QuietProtocol(WampWebSocketClientProtocol):  # type: ignore[misc]
    """Leaves out what Autobahn logs of each connection: the link says what there is to say."""

    log = txaio.make_logger(level="warn")


class LinkOwner(Protocol):
    """Who has the link."""

    def token(self) -> str:
        """Return a token to join a peer with."""

    def met(self, peer: str, offers: Offers) -> str | None:
        """Be told who the peer is; return why it must not be linked, if so."""

    def wanted(self) -> Collection[str]:
        """Return the prefixes of the services whose events are wanted."""

    def wants(self, prefix: str) -> bool:
        """Tell whether a service's events are wanted."""

    def offered(self, peer: str, procedure: str, there: bool) -> None:
        """Be told that a procedure can be called by this link, or no longer."""

    def took_event(self, topic: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """Take an event of a service."""

    def parted(self, peer: str) -> None:
        """Be told that the link is down; its procedures have been taken back."""


class Link:
    """A link, from ``start`` to ``stop``."""

    log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: Any,
        realm: str,
        node: str,
        peer: str,
        endpoint: Any,
        owner: LinkOwner,
        counters: LinkCounters,
        backoff: Backoff | None = None,
    ) -> None:
        """Link router ``node`` with ``peer``, which listens at ``endpoint``, an ``IStreamClientEndpoint``."""
        self.peer = peer
        self.counters = counters
        self.session: PeerSession | None = None
        """``None`` while the link is down."""
        self._reactor = reactor
        self._realm = realm
        self._node = node
        self._endpoint = endpoint
        self._owner = owner
        self._backoff = backoff or Backoff(random.random)
        self._offers = PeerOffers()
        self._following: Reconciler[Any] | None = None
        self._running: Deferred[None] | None = None
        self._told: set[str] = set()
        """Why it was down, since it was last up; so much has been logged."""

    def start(self) -> None:
        """Connect, and go on doing so."""
        self._running = Deferred.fromCoroutine(self._keep_up())
        self._running.addErrback(self._stopped)

    def stop(self) -> None:
        """Be down, and stay so."""
        if self._running is not None:
            self._running.cancel()

    def follow(self, prefix: str) -> None:
        """Look once more at whether a service's events are wanted."""
        if self._following is not None:
            self._following.check(prefix)

    def _stopped(self, failure: Any) -> None:
        if failure.check(CancelledError) is None:
            self.log.failure("the link to {peer} has ended by a mistake", failure=failure, peer=self.peer)

    async def _keep_up(self) -> None:
        while True:
            began_s = self._reactor.seconds()
            try:
                because = await self._once()
            except LinkRefused as error:
                because = f"it refuses this router: {error}"
                if str(error) == ERROR_AUTHENTICATION_FAILED:
                    because += "; have both nodes the same CROSSTICK_LINK_KEY, and are their clocks right?"
                    self._backoff.policy_violation()
            except LinkLost as error:
                because = str(error)
            self._down(because)
            if self._reactor.seconds() - began_s >= PROVEN_AFTER_S:
                self._backoff.succeeded()
            await deferLater(self._reactor, self._backoff.next_delay_s(), lambda: None)

    async def _once(self) -> str:
        """Be up once; return why it is over."""
        session = PeerSession(self._realm, self._node, self._owner.token, self._take_offered, self._take_event)
        factory = WampWebSocketClientFactory(lambda: session, url=_URL, serializers=[JsonSerializer()])
        factory.protocol = _QuietProtocol
        factory.noisy = False
        factory.setProtocolOptions(
            openHandshakeTimeout=JOIN_TIMEOUT_S,
            autoPingInterval=PING_INTERVAL_S,
            autoPingTimeout=PING_TIMEOUT_S,
            maxMessagePayloadSize=MAX_MESSAGE_BYTES,
            tcpNoDelay=True,
        )
        try:
            protocol: Any = await self._endpoint.connect(factory)
        except (ConnectError, OSError) as error:
            raise LinkLost(str(error) or type(error).__name__) from error
        # A connection that closes in the WebSocket handshake never tells its session.
        protocol.is_closed.addCallback(lambda _: session.end("the connection was lost"))
        # To a session that has joined its end alone says nothing: it waits for answers, and for what drops the connection.
        deadline = self._reactor.callLater(JOIN_TIMEOUT_S, _give_up, session, protocol)
        self._offers = PeerOffers()
        try:
            await session.joined
            try:
                offers = await session.offers()
            except Exception as error:
                lost = await session.lost if session.lost.called else f"it does not say what it has: {error}"
                raise LinkLost(lost) from error
            because = self._owner.met(self.peer, offers)
            if because is not None:
                self._backoff.policy_violation()
                raise LinkLost(because)
            if deadline.active():
                deadline.cancel()
            self._up(session, offers)
            return await session.lost
        finally:
            if deadline.active():
                deadline.cancel()
            protocol.dropConnection(abort=True)

    def _up(self, session: PeerSession, offers: Offers) -> None:
        self.session = session
        self.counters.up = True
        self._told.clear()
        self._following = Reconciler(self._owner.wants, session.follow, _unfollow, partial(_not_followed, session))
        self.log.info("link to {peer} is up", peer=self.peer)
        for procedure in self._offers.begin(offers):
            self._owner.offered(self.peer, procedure, True)
        for prefix in self._owner.wanted():
            self._following.check(prefix)

    def _down(self, because: str) -> None:
        was_up, self.session, self._following = self.session is not None, None, None
        self.counters.up = False
        if was_up:
            self.counters.losses += 1
            for procedure in self._offers.procedures:
                self._owner.offered(self.peer, procedure, False)
            self._owner.parted(self.peer)
        if because not in self._told and len(self._told) < MAX_CAUSES:
            self._told.add(because)
            self.log.warn("link to {peer} is down: {because}", peer=self.peer, because=because)

    def _take_offered(self, offered: Offered) -> None:
        changed = self._offers.change(offered)
        if changed is not None and self.session is not None:
            self._owner.offered(self.peer, changed, offered.there)

    def _take_event(self, topic: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self.counters.events += 1
        self._owner.took_event(topic, arguments, keywords)


def _not_followed(session: PeerSession, prefix: str, error: Exception) -> None:
    # Better down and back than deaf to one service.
    session.end(f"{prefix} could not be followed: {error}")


def _give_up(session: PeerSession, protocol: Any) -> None:
    session.end(f"it did not answer within {JOIN_TIMEOUT_S:g} s")
    protocol.dropConnection(abort=True)


async def _unfollow(_prefix: str, subscription: Any) -> None:
    await subscription.unsubscribe()
