"""Get a JWK Set over HTTP: bounded in time and size, no redirects, no cookies, no decompression.

Twisted's plain ``Agent`` rather than treq, which follows redirects and inflates bodies: an issuer that says where its keys are
needs neither, and both would let it lead this node somewhere else or fill its memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse

from components.tokens.jwks import MAX_JWKS_BYTES, JwksError

TIMEOUT_S = 10.0
"""From the request to the last byte of the answer."""

_HTTP_OK = 200
_HEADERS = Headers({"User-Agent": ["crosstick"], "Accept": ["application/jwk-set+json, application/json"]})
_BROKEN = (RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived)


def jwks_fetcher(url: str, reactor: Any) -> Callable[[], Awaitable[bytes]]:
    """Return what gets the body at an ``http`` or ``https`` address, whose certificate the system must trust.

    It fails with ``JwksError`` alone: nobody answers, not with 200, not within 10 s, or with more than 256 KiB.
    """
    # A connection of its own for each request: they are minutes apart.
    agent = Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))

    async def get() -> bytes:
        try:
            response = await agent.request(b"GET", url.encode("ascii"), _HEADERS)
            return await _body(response)
        except (ConnectError, DNSLookupError, *_BROKEN) as error:
            raise JwksError(_description(error)) from error

    def fetch() -> Deferred[bytes]:
        return Deferred.fromCoroutine(get()).addTimeout(TIMEOUT_S, reactor, _timed_out)

    return fetch


class _BoundedBody(Protocol):
    """Collects a body up to a size; what is longer is cut off with its connection."""

    def __init__(self, done: Deferred[bytes]) -> None:
        self._done: Deferred[bytes] | None = done
        self._parts: list[bytes] = []
        self._length = 0

    def dataReceived(self, data: bytes) -> None:
        self._length += len(data)
        if self._done is None:
            return
        if self._length > MAX_JWKS_BYTES:
            self.fail(f"its answer is longer than {MAX_JWKS_BYTES} bytes")
        else:
            self._parts.append(data)

    def fail(self, reason: str) -> None:
        """Give up the answer for a reason."""
        done, self._done = self._done, None
        self._parts.clear()
        self.abort()
        if done is not None:
            done.errback(JwksError(reason))

    def abort(self) -> None:
        """Cut the connection."""
        # Twisted's stand-in for the transport has a polite end only, for which a TLS peer can keep one waiting for ever.
        connection = getattr(self.transport, "_producer", None)
        if connection is not None:
            connection.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        if reason.check(ResponseDone):
            done.callback(b"".join(self._parts))
        else:
            # A body without length that ends with its connection may be a part of one.
            done.errback(JwksError("its answer broke off"))


def _body(response: IResponse) -> Deferred[bytes]:
    done: Deferred[bytes] = Deferred(lambda _: body.abort())
    body = _BoundedBody(done)
    refused = ""
    if response.code != _HTTP_OK:
        refused = f"it answered with HTTP {response.code}"
    elif response.length is not UNKNOWN_LENGTH and response.length > MAX_JWKS_BYTES:
        refused = f"its answer is longer than {MAX_JWKS_BYTES} bytes"
    if refused:
        body.fail(refused)
    # A refused one, too: the connection comes with the body.
    response.deliverBody(body)  # type: ignore[call-arg, misc]  # zope's interfaces are no types
    if refused:
        body.abort()
    return done


def _timed_out(_outcome: object, timeout_s: float) -> Failure:
    return Failure(JwksError(f"no complete answer within {timeout_s:g} s"))


def _description(error: Exception) -> str:
    """Return one line: the innermost reason, in words for an operator."""
    reasons = getattr(error, "reasons", None)
    if reasons:
        return _description(reasons[0].value)
    if isinstance(error, SSL.Error):
        parts = error.args[0] if error.args else ()
        return "TLS: " + (", ".join(part[-1] for part in parts) or "no details")
    if isinstance(error, VerificationError):
        return "TLS: its certificate is for another host"
    return str(error).split("\n", 1)[0] or type(error).__name__
