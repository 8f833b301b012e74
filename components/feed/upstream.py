"""One connection to the exchange, kept up: subscribe in few paced messages, reconnect with back-off, notice silence.

Owns the socket's life and its control messages; never looks into market data.
"""

from __future__ import annotations

import enum
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from autobahn.twisted.websocket import WebSocketClientFactory
from OpenSSL import SSL
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
from components.feed.frames import BulkWebSocketClient

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
        self.streams = tuple(streams)
        self.rules = rules or UpstreamRules()
        self.consumer = consumer
        self.state = UpstreamState.STOPPED
        self.connections = 0
        """Connections that got as far as their acknowledgements, since the start."""
        self.last_error = ""
        self._reactor = reactor
        self._backoff = backoff
        self._protocol: ExchangeProtocol | None = None
        self._paused = False
        self._proven: DelayedCall | None = None
        in_url = "/".join(self.streams[: self.rules.params_per_message])
        factory = WebSocketClientFactory(f"{url}/stream?streams={in_url}", reactor=reactor)
        factory.protocol = ExchangeProtocol
        factory.upstream = self
        factory.setProtocolOptions(
            openHandshakeTimeout=self.rules.subscribe_timeout_s,
            closeHandshakeTimeout=1,
            maxMessagePayloadSize=self.rules.max_frame_bytes,
            failByDrop=True,
        )
        endpoint: Any = _WatchedEndpoint(_endpoint(reactor, url), self._not_connected)
        self._service = ClientService(
            endpoint,
            factory,
            # The service counts failures to connect; the back-off counts everything up to the acknowledgements.
            retryPolicy=lambda _failed_attempts: backoff.next_delay_s(),
            clock=reactor,
        )

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

    def resubscribe(self, streams: Sequence[str]) -> None:
        """Ask for streams anew that went silent though they were acknowledged. Without a live connection: nothing."""
        if self._protocol is not None and self.state is UpstreamState.LIVE:
            self._protocol.queue_control("UNSUBSCRIBE", streams)
            self._protocol.queue_control("SUBSCRIBE", streams)

    def reconnect_now(self) -> None:
        """Drop the connection; the next one is opened without back-off. What is traded in between is missed."""
        self._backoff.announced()
        if self._protocol is not None:
            self._protocol.give_up("the exchange announced its shutdown")

    def answered(self, reply: Reply) -> None:
        """Take note of the answer to a control message; one that refuses it ends the connection."""
        if self._protocol is not None:
            self._protocol.answered(reply)

    # What the protocol reports.

    def _not_connected(self, failure: Failure) -> None:
        error = f"not connected: {failure.getErrorMessage()}"
        if error != self.last_error:
            self.log.warn("exchange {url} {error}; trying again", url=self.url, error=error)
        self.last_error = error

    def _connected(self, protocol: ExchangeProtocol) -> None:
        self._protocol = protocol

    def _opened(self, protocol: ExchangeProtocol) -> None:
        self._set_state(UpstreamState.SUBSCRIBING)
        self.consumer.connection_started()
        if self._paused:
            protocol.pause_reading()

    def _subscribed(self) -> None:
        self.connections += 1
        self._proven = self._reactor.callLater(self.rules.proven_after_s, self._backoff.succeeded)
        self._set_state(UpstreamState.LIVE)

    def _closed(self, protocol: ExchangeProtocol, code: int | None, reason: str) -> None:
        if self._proven is not None and self._proven.active():
            self._proven.cancel()
        if code == POLICY_VIOLATION:
            self._backoff.policy_violation()
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


class ExchangeProtocol(BulkWebSocketClient):
    """The exchange's side of the conversation; one per connection."""

    def __init__(self) -> None:
        super().__init__()
        self._subscribed = False
        self._control: deque[tuple[int, str, tuple[str, ...]]] = deque()
        self._unanswered: set[int] = set()
        self._next_id = 1
        self._sender: DelayedCall | None = None
        self._watchdog: DelayedCall | None = None
        self._heard = False
        self._gave_up = ""

    @property
    def _upstream(self) -> Upstream:
        upstream: Upstream = self.factory.upstream
        return upstream

    def connectionMade(self) -> None:
        super().connectionMade()
        self._upstream._connected(self)
        rules = self._upstream.rules
        self._watchdog = self._upstream._reactor.callLater(rules.subscribe_timeout_s, self._subscribe_timed_out)

    def onOpen(self) -> None:
        self._upstream._opened(self)
        self.queue_control("SUBSCRIBE", self._upstream.streams[self._upstream.rules.params_per_message :])
        self._live_when_answered()

    def queue_control(self, method: str, streams: Sequence[str]) -> None:
        """Send control messages about streams as soon as the pace allows it."""
        size = self._upstream.rules.params_per_message
        for start in range(0, len(streams), size):
            self._control.append((self._next_id, method, tuple(streams[start : start + size])))
            self._unanswered.add(self._next_id)
            self._next_id += 1
        if self._sender is None:
            self._send_next_control()

    def _send_next_control(self) -> None:
        self._sender = None
        # A connection that is closing takes no message; what is queued goes with it.
        if not self._control or self.state != self.STATE_OPEN:
            return
        request_id, method, streams = self._control.popleft()
        self.sendMessage(json.dumps({"method": method, "params": streams, "id": request_id}).encode())
        self._sender = self._upstream._reactor.callLater(
            self._upstream.rules.message_interval_s, self._send_next_control
        )

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self._upstream.consumer.read_ended()

    def onMessages(self, payloads: Iterator[bytes]) -> None:
        self._heard = True
        self._upstream.consumer.frames(payloads)

    def answered(self, reply: Reply) -> None:
        """See ``Upstream.answered``."""
        if reply.error is not None:
            self.give_up(f"the exchange refused a control message: {reply.error}")
            return
        if isinstance(reply.id, int):
            self._unanswered.discard(reply.id)
        self._live_when_answered()

    def _live_when_answered(self) -> None:
        if not self._unanswered and not self._subscribed:
            self._subscribed = True
            if self._watchdog is not None:
                self._watchdog.cancel()
            self._watch_idle()
            self._upstream._subscribed()

    def _watch_idle(self) -> None:
        self._heard = False
        self._watchdog = self._upstream._reactor.callLater(self._upstream.rules.idle_timeout_s, self._idle_elapsed)

    def _idle_elapsed(self) -> None:
        self._watchdog = None
        if self._heard or self._upstream.paused:
            self._watch_idle()
        else:
            self.give_up(f"no frame for {self._upstream.rules.idle_timeout_s:g} s")

    def _subscribe_timed_out(self) -> None:
        self._watchdog = None
        if self._upstream.paused:
            # The acknowledgements may lie unread.
            timeout_s = self._upstream.rules.subscribe_timeout_s
            self._watchdog = self._upstream._reactor.callLater(timeout_s, self._subscribe_timed_out)
            return
        self.give_up(f"subscriptions not acknowledged within {self._upstream.rules.subscribe_timeout_s:g} s")

    def give_up(self, reason: str) -> None:
        """Drop the connection for a reason that the status is to tell."""
        self._gave_up = reason
        self.dropConnection(abort=True)

    def pause_reading(self) -> None:
        """Take nothing more from the socket."""
        self.transport.pauseProducing()

    def resume_reading(self) -> None:
        """Take from the socket again."""
        self.transport.resumeProducing()

    def connectionLost(self, reason: Failure) -> None:
        # Autobahn says that the peer dropped the connection, whatever TLS found out about the peer.
        if isinstance(reason.value, SSL.Error):
            details = ", ".join(parts[-1] for parts in reason.value.args[0]) if reason.value.args else "no details"
            self._gave_up = f"TLS: {details}"
        super().connectionLost(reason)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        for call in (self._sender, self._watchdog):
            if call is not None and call.active():
                call.cancel()
        self._sender = self._watchdog = None
        self._control.clear()
        text = self._gave_up or f"closed with {code}" + (f": {reason[:120]}" if reason else "")
        self._upstream._closed(self, code, text)


@implementer(IStreamClientEndpoint)
class _WatchedEndpoint:
    """An endpoint whose failures to connect are told to somebody besides the retrying service."""

    def __init__(self, endpoint: Any, on_failure: Callable[[Failure], None]) -> None:
        self._endpoint = endpoint
        self._on_failure = on_failure

    def connect(self, factory: Any) -> Any:
        """Connect as the endpoint does."""
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
