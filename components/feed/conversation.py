"""One connection's conversation with the exchange: subscribe in few paced messages, notice silence, give up in time.

Owns the control messages; never looks into market data. What is to be said is found out when the pace allows a message, from
what is wanted and what has been asked for: however often the wanted streams change, no more waits than that difference.

A SUBSCRIBE that the exchange refuses is asked for again in halves, until it is known which symbol it does not take.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from OpenSSL import SSL
from twisted.internet.base import DelayedCall
from twisted.python.failure import Failure

from components.core.binance import Reply
from components.feed.frames import BulkWebSocketClient
from components.feed.streams import symbol_of

if TYPE_CHECKING:
    from components.feed.upstream import Upstream


MAX_UNANSWERED = 64


class _Request(NamedTuple):
    method: str
    streams: tuple[str, ...]


class ExchangeProtocol(BulkWebSocketClient):
    """The exchange's side of the conversation; one per connection."""

    def __init__(self) -> None:
        super().__init__()
        self._subscribed = False
        self._asked: dict[str, None] = {}
        """Streams that the exchange has been asked for on this connection, in the URL or by a SUBSCRIBE."""

        self._again: set[str] = set()
        """Streams to be unsubscribed from first, and then asked for again."""

        self._apart: deque[tuple[str, ...]] = deque()
        """Streams of refused messages, each group to be asked for by a message of its own."""

        self._refused: dict[str, str] = {}
        """Symbols that the exchange does not take, and what it said, until the connection is live."""

        self._unanswered: dict[int, _Request] = {}
        self._next_id = 1
        self._sender: DelayedCall | None = None
        self._watchdog: DelayedCall | None = None
        self._heard = False
        self._gave_up = ""

    @property
    def _upstream(self) -> Upstream:
        upstream: Upstream = self.factory.upstream
        return upstream

    def onConnecting(self, transport_details: object) -> None:
        # Autobahn makes the request of the factory's URL as soon as this returns.
        self._asked = dict.fromkeys(self._upstream.streams_in_url)

    def connectionMade(self) -> None:
        super().connectionMade()
        self._upstream.connected(self)
        rules = self._upstream.rules
        self._watchdog = self._upstream.reactor.callLater(rules.subscribe_timeout_s, self._subscribe_timed_out)

    def onOpen(self) -> None:
        self._upstream.opened(self)
        self.adjust()

    def adjust(self) -> None:
        """Ask for what is wanted, and let go what is not, as soon as the pace allows it."""
        if self._sender is None:
            self._send_next_control()

    def ask_again(self, streams: Sequence[str]) -> None:
        """Unsubscribe from streams and subscribe to them anew."""
        self._again.update(streams)
        self.adjust()

    def _send_next_control(self) -> None:
        self._sender = None
        # A connection that is closing takes no message.
        if self.state != self.STATE_OPEN:
            return
        request = self._next_request()
        if request is None:
            self._live_when_answered()
            return
        if len(self._unanswered) == MAX_UNANSWERED:
            self.give_up(f"{MAX_UNANSWERED} control messages were not answered")
            return
        request_id, self._next_id = self._next_id, self._next_id + 1
        self._unanswered[request_id] = request
        self.sendMessage(json.dumps({"method": request.method, "params": request.streams, "id": request_id}).encode())
        self._sender = self._upstream.reactor.callLater(
            self._upstream.rules.message_interval_s, self._send_next_control
        )

    def _next_request(self) -> _Request | None:
        """Return the next message, and take note that its streams are asked for, or not any more."""
        size = self._upstream.rules.params_per_message
        wanted = dict.fromkeys(self._upstream.streams)
        # First what is let go: the exchange counts streams.
        surplus = tuple(stream for stream in self._asked if stream not in wanted or stream in self._again)[:size]
        if surplus:
            for stream in surplus:
                del self._asked[stream]
            self._again.difference_update(surplus)
            return _Request("UNSUBSCRIBE", surplus)
        missing = self._next_apart(wanted)
        if not missing:
            self._again.clear()
            missing = tuple(stream for stream in wanted if stream not in self._asked and self._may_ask(stream))[:size]
        self._asked.update(dict.fromkeys(missing))
        return _Request("SUBSCRIBE", missing) if missing else None

    def _next_apart(self, wanted: dict[str, None]) -> tuple[str, ...]:
        while self._apart:
            streams = self._apart.popleft()
            missing = tuple(stream for stream in streams if stream in wanted and stream not in self._asked)
            if missing:
                return missing
        return ()

    def _may_ask(self, stream: str) -> bool:
        return symbol_of(stream) not in self._refused

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self._upstream.consumer.read_ended()

    def onMessages(self, payloads: Iterator[bytes]) -> None:
        self._heard = True
        self._upstream.consumer.frames(payloads)

    def answered(self, reply: Reply) -> None:
        """See ``Upstream.answered``."""
        if reply.error is None:
            if isinstance(reply.id, int):
                self._unanswered.pop(reply.id, None)
            self._live_when_answered()
            return
        # Of most refusals the exchange does not say what they answer; answers come in order.
        request_id = reply.id if reply.id in self._unanswered else next(iter(self._unanswered), None)
        request = None if request_id is None else self._unanswered.pop(int(request_id))
        if request is None or request.method != "SUBSCRIBE":
            self.give_up(f"the exchange refused a control message: {reply.error}")
            return
        self._was_refused(request.streams, reply.error)
        self._live_when_answered()

    def _was_refused(self, streams: tuple[str, ...], error: str) -> None:
        for stream in streams:
            self._asked.pop(stream, None)
        symbols = list(dict.fromkeys(map(symbol_of, streams)))
        if len(symbols) > 1:
            half = set(symbols[: len(symbols) // 2])
            self._apart.append(tuple(stream for stream in streams if symbol_of(stream) in half))
            self._apart.append(tuple(stream for stream in streams if symbol_of(stream) not in half))
            self.adjust()
            return
        self._refused[symbols[0]] = error
        if self._subscribed:
            self._tell_refused()

    def _tell_refused(self) -> None:
        # Not before the connection is live: an exchange that refuses everything says nothing of any symbol. All at once: one
        # of which nobody knows yet would be wanted still, and asked for again.
        refused, self._refused = self._refused, {}
        if refused:
            self._upstream.consumer.symbols_refused(refused)

    def _live_when_answered(self) -> None:
        if self._subscribed or self._unanswered or self._apart or self._is_wanting():
            return
        self._subscribed = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watch_idle()
        self._upstream.subscribed()
        self._tell_refused()

    def _is_wanting(self) -> bool:
        return any(stream not in self._asked and self._may_ask(stream) for stream in self._upstream.streams)

    def _watch_idle(self) -> None:
        self._heard = False
        self._watchdog = self._upstream.reactor.callLater(self._upstream.rules.idle_timeout_s, self._idle_elapsed)

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
            self._watchdog = self._upstream.reactor.callLater(timeout_s, self._subscribe_timed_out)
            return
        self.give_up(f"subscriptions not acknowledged within {self._upstream.rules.subscribe_timeout_s:g} s")

    def give_up(self, reason: str) -> None:
        """Drop the connection for a reason that the status is to tell."""
        self._gave_up = reason
        # Autobahn warns of what is not clean; this is meant, and ``closed`` is told why.
        self.wasClean = True
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
        text = self._gave_up or f"closed with {code}" + (f": {reason[:120]}" if reason else "")
        self._upstream.closed(self, code, text)
