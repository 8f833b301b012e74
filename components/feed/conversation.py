"""One connection's conversation with the exchange: subscribe in few paced messages, notice silence, give up in time.

Owns the control messages; never looks into market data.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from OpenSSL import SSL
from twisted.internet.base import DelayedCall
from twisted.python.failure import Failure

from components.core.binance import Reply
from components.feed.frames import BulkWebSocketClient

if TYPE_CHECKING:
    from components.feed.upstream import Upstream


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
        self._upstream.connected(self)
        rules = self._upstream.rules
        self._watchdog = self._upstream.reactor.callLater(rules.subscribe_timeout_s, self._subscribe_timed_out)

    def onOpen(self) -> None:
        self._upstream.opened(self)
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
        self._sender = self._upstream.reactor.callLater(
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
            self._upstream.subscribed()

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
        self._upstream.closed(self, code, text)
