"""An HTTP connection that is bounded in time and size, whatever the client does.

- *Waiting for a request*, from the connection's begin (a TLS handshake included) or the last answer's end until a request is
  there completely: a deadline, which no byte in between moves. Then the connection ends.
- *Answering*: a deadline too, so that who does not read its answer is not kept. Answers are queued one behind the other, and
  a connection gets so many only.
- *A WebSocket* takes the connection over: no deadline of this module is left, its handshake has one of its own.

Leans on Twisted's ``HTTPChannel`` calling ``allHeadersReceived``, ``allContentReceived`` and ``writeHeaders`` for each request;
``tests/router/listeners/web/test_http_channel.py`` checks it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from twisted.internet._producer_helpers import _PullToPush
from twisted.web.http import HTTPChannel

from components.core.origins import SAME_ORIGIN, OriginPolicy
from components.router.listeners.headers import SecurityHeaders

LINGER_S = 1.0
"""How long a connection that is given up may take to read what says why."""

BAD_REQUEST = "bad_request"
TOO_LARGE = "too_large"
TIMEOUT = "timeout"
ORIGIN = "origin"
REFUSAL_CAUSES = (BAD_REQUEST, TOO_LARGE, TIMEOUT, ORIGIN)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What an HTTP connection may take."""

    request_timeout_s: float = 10.0
    """From the connection's begin, or the last answer's end, until a request is complete."""

    answer_timeout_s: float = 60.0
    """From then until its answer has been handed over."""

    max_body_bytes: int = 65_536
    max_line_bytes: int = 8_192
    """The request line and each header."""

    max_header_bytes: int = 16_384
    """All of them together."""

    max_headers: int = 100
    max_requests: int = 100
    """On one connection, which bounds what answers can wait in its buffer too."""


@dataclass(slots=True)
class HttpPolicy:
    """What all connections of a listener share."""

    limits: HttpLimits = field(default_factory=HttpLimits)
    headers: SecurityHeaders = field(default_factory=SecurityHeaders)
    origins: OriginPolicy = SAME_ORIGIN
    may_request: Callable[[str], bool] = lambda _address: True
    """Tells whether an address may have one more request answered, and counts it."""

    requests_per_s: float | None = None
    """How many that are in a second, in the end; ``None`` for no limit."""

    refused: Counter[str] = field(default_factory=Counter)
    """Connections that were ended before they were of use, by cause (``REFUSAL_CAUSES``)."""


_HTTPChannel: Any = HTTPChannel


class _BodyTooLarge(Exception):
    pass


class BoundedHttpChannel(_HTTPChannel):  # type: ignore[misc]  # Twisted has no types here
    """One HTTP connection."""

    abortTimeout = LINGER_S
    _transferDecoder: Any

    def __init__(self, policy: HttpPolicy) -> None:
        super().__init__()
        self._policy = policy
        limits = policy.limits
        self.MAX_LENGTH = limits.max_line_bytes
        self.totalHeadersSize = limits.max_header_bytes
        self.maxHeaders = limits.max_headers
        self._requests_seen = 0
        self._body_bytes = 0
        self._given_up = False

    @property
    def policy(self) -> HttpPolicy:
        """What holds for all connections of the listener."""
        return self._policy

    # The deadlines

    def resetTimeout(self) -> None:
        """Leave the deadline where it is: a client that sends a byte now and then gets no more time for it."""

    def allContentReceived(self) -> None:
        super().allContentReceived()
        if self.transport is not None and self._handlingRequest:
            # Also where the answer is complete and was the last: its client has to read it.
            self.setTimeout(self._policy.limits.answer_timeout_s)
        elif self.transport is None:
            # A WebSocket has taken the connection: nothing keeps the channel and its request but each other.
            for request in self.requests:
                request.channel = None

    def timeoutConnection(self) -> None:
        self._given_up = True
        if self._handlingRequest:
            self._policy.refused[TIMEOUT] += 1
            self.forceAbortClient()
            return
        # A connection that waits for its next request ends as a matter of course.
        if self._requests_seen == 0 or self.requests or self._receivedHeaderSize or self._buffer:
            self._policy.refused[TIMEOUT] += 1
        self._abortingCall = self.callLater(LINGER_S, self.forceAbortClient)
        self.loseConnection()

    def forceAbortClient(self) -> None:
        self._abortingCall = None
        self.transport.abortConnection()

    # The end: what refers to itself in a circle is freed by no count of references, only when all that is alive is gone through

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)
        self.unregisterProducer()
        # That of a request that is not complete refers to the channel.
        self._transferDecoder = None

    def unregisterProducer(self) -> None:
        producer = self._requestProducer
        super().unregisterProducer()
        if isinstance(producer, _PullToPush):
            # It has been stopped in the midst of what refers to it.
            del producer._coopTask

    # The sizes

    def dataReceived(self, data: bytes) -> None:
        if not self._given_up:
            super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        if not self._given_up:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        self._refuse(b"431 Request Header Fields Too Large", TOO_LARGE)

    def allHeadersReceived(self) -> None:
        if self.length is not None and self.length > self._policy.limits.max_body_bytes:
            self._refuse(b"413 Content Too Large", TOO_LARGE)
            return
        super().allHeadersReceived()
        self._requests_seen += 1
        self._body_bytes = 0
        if self.length is None:
            # Twisted would write a body of unknown length to a file.
            request = self.requests[-1]
            request.content.close()
            request.content = BytesIO()
            self._transferDecoder.dataCallback = self._take_chunk

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        if self._requests_seen + 1 >= self._policy.limits.max_requests:
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
            return False
        return super().checkPersistence(request, version)  # type: ignore[no-any-return]

    def rawDataReceived(self, data: bytes) -> None:
        if self._given_up:
            return
        try:
            super().rawDataReceived(data)
        except _BodyTooLarge:
            self._refuse(b"413 Content Too Large", TOO_LARGE)

    def _take_chunk(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > self._policy.limits.max_body_bytes:
            raise _BodyTooLarge
        self.requests[-1].handleContentChunk(data)

    # The answers

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Any) -> None:
        request = self.requests[0]
        if headers.getRawHeaders(b"Connection") == [b"close"]:
            # Also where it is the answer that says so.
            self.persistent = False
        cors = getattr(request, "cors", {})
        self._policy.headers.mark(headers, request.path, secure=self.isSecure(), cors=cors)
        super().writeHeaders(version, code, reason, headers)

    def _respondToBadRequestAndDisconnect(self) -> None:
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            self._refuse(b"431 Request Header Fields Too Large", TOO_LARGE)
        else:
            self._refuse(b"400 Bad Request", BAD_REQUEST)

    def _refuse(self, status: bytes, cause: str) -> None:
        """Answer, and end the connection a moment later; what comes until then is neither kept nor looked at."""
        if self._given_up:
            return
        self._given_up = True
        self._policy.refused[cause] += 1
        self.setTimeout(None)
        self.transport.write(self._policy.headers.refusal(status, secure=self.isSecure()))
        # Closed at once, with bytes unread, the connection would be reset, and the answer lost with it.
        self._abortingCall = self.callLater(LINGER_S, self.forceAbortClient)
