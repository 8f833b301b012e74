"""A WebSocket client that takes whole text messages many at a time; all that touches Autobahn's inside.

Autobahn's own code takes each frame through a dozen calls that a plain text message does not need. Here such messages are cut
out of the received bytes at once; everything else (control frames, fragments, compression, frames that are not complete,
errors, closing) goes Autobahn's way, byte for byte. tests/feed/test_frames.py holds both ways against each other.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from autobahn.twisted.websocket import WebSocketClientProtocol

from components.core.websocket_frames import FoundFrame, leading_text_frames

_NO_LIMIT = 2**63
_OPEN = WebSocketClientProtocol.STATE_OPEN


class BulkWebSocketClient(WebSocketClientProtocol):  # type: ignore[misc]  # Autobahn ships no types
    """Autobahn's client, with ``onMessages`` in place of ``onMessage``."""

    data: bytes
    """Received and not yet consumed; Autobahn's."""

    def onMessages(self, payloads: Iterator[bytes]) -> None:
        """Take one message or more, in order; to be overridden.

        What is not taken comes with the next call. They end early when the connection closes meanwhile, as Autobahn's calls of
        ``onMessage`` would.
        """
        raise NotImplementedError

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.onMessages(iter((payload,)))

    def dataReceived(self, data: bytes) -> None:
        # Without the debug line of Autobahn's method, whose arguments are coloured even when nobody reads it.
        self._dataReceived(data)

    def processData(self) -> bool:
        # Called by Autobahn as long as it returns True: at the start of a frame, and again for its payload.
        if self._is_between_messages():
            frames = leading_text_frames(self.data, self._max_payload_bytes())
            if frames:
                self._deliver(frames)
                if self.state != _OPEN:
                    return len(self.data) > 0
        going_on: bool = super().processData()
        return going_on

    def _is_between_messages(self) -> bool:
        return (
            self.current_frame is None
            and not self.inside_message
            and self.state == _OPEN
            # Who wants to see every frame, or every message, gets them from Autobahn.
            and not self.logFrames
            and self.trackedTimings is None
            and self._listeners is None
        )

    def _max_payload_bytes(self) -> int:
        return min(limit or _NO_LIMIT for limit in (self.maxMessagePayloadSize, self.maxFramePayloadSize))

    def _deliver(self, frames: list[FoundFrame]) -> None:
        if self.autoPingTimeoutCall and self.autoPingRestartOnAnyTraffic:
            self._cancelAutoPingTimeoutCall()
        payloads = self._taken_while_open(frames)
        try:
            self.onMessages(payloads)
        finally:
            payloads.close()

    def _taken_while_open(self, frames: list[FoundFrame]) -> Generator[bytes, None, None]:
        taken_bytes = 0
        try:
            for taken_bytes, payload in frames:  # noqa: B007 - it is used where the loop is left
                yield payload
                if self.state != _OPEN:
                    break
        finally:
            self.data = self.data[taken_bytes:]
            sizes = [len(payload) for end, payload in frames if end <= taken_bytes]
            stats = self.trafficStats
            stats.incomingWebSocketFrames += len(sizes)
            stats.incomingWebSocketMessages += len(sizes)
            stats.incomingOctetsWebSocketLevel += sum(sizes)
            stats.incomingOctetsAppLevel += sum(sizes)
