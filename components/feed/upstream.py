"""A connection to the exchange, kept up: made anew with back-off whenever it is lost.

Owns when to connect; what is said on a connection is ``conversation``'s.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from autobahn.twisted.websocket import WebSocketClientFactory
from twisted.application.internet import ClientService
from twisted.internet.base import DelayedCall
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from components.core.backoff import Backoff
from components.core.binance import Reply
from components.feed.conversation import ExchangeProtocol

POLICY_VIOLATION = 1008


class UpstreamState(enum.Enum):
    """Where one connection stands."""

    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class UpstreamRules:
    """Times and sizes of a connection, set by what the exchange allows."""

    params_per_message: int = 200
    """Streams named in the URL, and in each SUBSCRIBE after it. Few long ones, since each message counts towards 5 a second."""

    message_interval_s: float = 0.4
    """Least time between two control messages: half of what is allowed, which leaves the rest to pongs."""

    subscribe_timeout_s: float = 15.0
    """From the TCP connection to the last acknowledgement."""

    idle_timeout_s: float = 30.0
    """A subscribed connection without one frame for this long is given up."""

    proven_after_s: float = 60.0
    """A connection that was live for this long was a good one: the next failure is a first one again."""

    max_frame_bytes: int = 1_048_576

    rotate_after_s: float = 85_800.0
    """23 h 50 min: when the next connection is opened. The exchange ends one after 24 h."""

    rotate_jitter_s: float = 240.0
    """So much sooner or later, so that not all connections of an address are made at once."""

    overlap_min_s: float = 2.0
    """A connection and the next one run side by side for this long at least, both live."""

    overlap_max_s: float = 60.0
    """And for this long at most, if the next one has not brought all that the first one did."""

    rotation_retry_initial_s: float = 1.0
    rotation_retry_cap_s: float = 60.0
    """Between attempts to open the next connection while the first one lives, nothing is urgent."""


class FrameConsumer(Protocol):
    """Who takes what the connection brings."""

    def connection_started(self) -> None:
        """Be told that frames from here on come from a connection made anew."""

    def frames(self, frames: Iterable[bytes]) -> None:
        """Take all the text frames; those that answer control messages go to ``Upstream.answered`` in their turn.

        The iteration ends early when the connection does.
        """

    def read_ended(self) -> None:
        """Be told that all frames of one read from the socket were handed over."""

    def state_changed(self) -> None:
        """Be told that ``Upstream.state`` is another one."""

    def symbols_refused(self, refused: Mapping[str, str]) -> None:
        """Be told which symbols the exchange refuses to send, and what it said of each. They are asked for no more on this
        connection if ``Upstream.set_streams`` is called without them before this returns.
        """


class Upstream:
    """A connection that carries up to 1,024 streams and comes back by itself until it is stopped."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        url: str,
        streams: Sequence[str],
        consumer: FrameConsumer,
        backoff: Backoff,
        rules: UpstreamRules | None = None,
    ) -> None:
        """Make a connection to ``url`` (``ws://host[:port]``) that subscribes to ``streams``; ``start`` opens it."""
        self.url = url
        self.streams: tuple[str, ...] = ()
        """What is wanted; for ``set_streams`` to change."""

        self.streams_in_url: tuple[str, ...] = ()
        """Those of them that the next connection asks for by its URL."""

        self.rules = rules or UpstreamRules()
        self.consumer = consumer
        self.state = UpstreamState.STOPPED
        self.connections = 0
        """Connections that got as far as their acknowledgements, since the start."""
        self.last_error = ""
        self.waiting = False
        """Whether it waits before its next attempt."""
        self.reactor = reactor
        self.backoff = backoff
        self._protocol: ExchangeProtocol | None = None
        self._paused = False
        self._proven: DelayedCall | None = None
        self._factory = factory = WebSocketClientFactory(reactor=reactor)
        self.set_streams(streams)
        factory.protocol = ExchangeProtocol
        factory.upstream = self
        factory.setProtocolOptions(
            openHandshakeTimeout=self.rules.subscribe_timeout_s,
            closeHandshakeTimeout=1,
            maxMessagePayloadSize=self.rules.max_frame_bytes,
            failByDrop=True,
        )
        endpoint: Any = _WatchedEndpoint(_endpoint(reactor, url), self._connecting, self._not_connected)
        self._service = ClientService(
            endpoint,
            factory,
            # The service counts failures to connect; the back-off counts everything up to the acknowledgements.
            retryPolicy=self._wait_s,
            clock=reactor,
        )

    def _wait_s(self, _failed_attempts: int) -> float:
        self.waiting = True
        return self.backoff.next_delay_s()

    def start(self) -> None:
        """Connect, and keep at it."""
        self._set_state(UpstreamState.CONNECTING)
        self._service.startService()

    async def stop(self) -> None:
        """Close the connection and stay away."""
        self._set_state(UpstreamState.STOPPED)
        if self._protocol is not None:
            # An orderly close would wait for an exchange that may have fallen silent.
            self._protocol.give_up("stopped")
        await self._service.stopService()

    def pause(self) -> None:
        """Stop reading; the exchange's frames wait in the kernel, then at the exchange."""
        self._paused = True
        if self._protocol is not None:
            self._protocol.pause_reading()

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        if self._protocol is not None:
            self._protocol.resume_reading()

    @property
    def paused(self) -> bool:
        """Whether reading is stopped."""
        return self._paused

    def set_streams(self, streams: Sequence[str]) -> None:
        """Carry these streams from here on, and no others; what stays is not touched."""
        self.streams = tuple(streams)
        self.streams_in_url = self.streams[: self.rules.params_per_message]
        self._factory.setSessionParameters(
            f"{self.url}/stream?streams={'/'.join(self.streams_in_url)}", useragent=self._factory.useragent
        )
        if self._protocol is not None:
            self._protocol.adjust()

    def resubscribe(self, streams: Sequence[str]) -> None:
        """Ask for streams anew that went silent though they were acknowledged. Without a live connection: nothing."""
        if self._protocol is not None and self.state is UpstreamState.LIVE:
            self._protocol.ask_again(streams)

    def end_announced(self) -> None:
        """Take note that the exchange is about to end the connection: the next one is opened without back-off."""
        self.backoff.announced()

    def reconnect_now(self) -> None:
        """Drop the connection; the next one is opened without back-off. What is traded in between is missed."""
        self.end_announced()
        if self._protocol is not None:
            self._protocol.give_up("the exchange announced its shutdown")

    def give_up(self, reason: str) -> None:
        """Drop the connection; the next one is opened after the back-off."""
        if self._protocol is not None:
            self._protocol.give_up(reason)

    def answered(self, reply: Reply) -> None:
        """Take note of the answer to a control message; one that refuses it ends the connection."""
        if self._protocol is not None:
            self._protocol.answered(reply)

    # What the protocol reports.

    def _connecting(self) -> None:
        self.waiting = False

    def _not_connected(self, failure: Failure) -> None:
        if self.state is UpstreamState.STOPPED:
            # The attempt was broken off by ``stop``, and nothing is wrong.
            return
        error = f"not connected: {failure.getErrorMessage()}"
        if error != self.last_error:
            self.log.warn("exchange {url} {error}; trying again", url=self.url, error=error)
        self.last_error = error

    def connected(self, protocol: ExchangeProtocol) -> None:
        """Be told that there is a TCP connection."""
        self._protocol = protocol

    def opened(self, protocol: ExchangeProtocol) -> None:
        """Be told that the WebSocket handshake is done."""
        self._set_state(UpstreamState.SUBSCRIBING)
        self.consumer.connection_started()
        if self._paused:
            protocol.pause_reading()

    def subscribed(self) -> None:
        """Be told that all subscriptions are acknowledged."""
        self.connections += 1
        self._proven = self.reactor.callLater(self.rules.proven_after_s, self.backoff.succeeded)
        self._set_state(UpstreamState.LIVE)

    def closed(self, protocol: ExchangeProtocol, code: int | None, reason: str) -> None:
        """Be told that the connection is gone; ``reason`` is for the status."""
        if self._proven is not None and self._proven.active():
            self._proven.cancel()
        if code == POLICY_VIOLATION:
            self.backoff.policy_violation()
        if self._paused:
            reason = f"lost while not reading, since the gateway is too slow: {reason}"
        self.last_error = reason
        if self._protocol is protocol:
            self._protocol = None
        if self.state is not UpstreamState.STOPPED:
            self.log.warn("exchange connection lost: {reason}; connecting again", reason=reason)
            self._set_state(UpstreamState.CONNECTING)

    def _set_state(self, state: UpstreamState) -> None:
        if state is not self.state:
            self.state = state
            if state is UpstreamState.LIVE:
                self.log.info("exchange connection live: {url}, {count} streams", url=self.url, count=len(self.streams))
            self.consumer.state_changed()


@implementer(IStreamClientEndpoint)
class _WatchedEndpoint:
    """An endpoint whose attempts and failures to connect are told to somebody besides the retrying service."""

    def __init__(self, endpoint: Any, on_attempt: Callable[[], None], on_failure: Callable[[Failure], None]) -> None:
        self._endpoint = endpoint
        self._on_attempt = on_attempt
        self._on_failure = on_failure

    def connect(self, factory: Any) -> Any:
        """Connect as the endpoint does."""
        self._on_attempt()
        connecting = self._endpoint.connect(factory)
        connecting.addErrback(self._failed)
        return connecting

    def _failed(self, failure: Failure) -> Failure:
        self._on_failure(failure)
        return failure

    def __repr__(self) -> str:
        return repr(self._endpoint)


def _endpoint(reactor: Any, url: str) -> Any:
    split = urlsplit(url)
    host = split.hostname or ""
    plain: Any = HostnameEndpoint(reactor, host, split.port or (443 if split.scheme == "wss" else 80))
    # Autobahn's own TLS connector does not verify the server's certificate; this one does, by the system's authorities.
    return wrapClientTLS(optionsForClientTLS(host), plain) if split.scheme == "wss" else plain
