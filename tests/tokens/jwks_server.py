"""An issuer's web server for tests, over HTTP or HTTPS on the loopback: answers as it is told, and counts requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor, ssl
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site


class JwksServer(Resource):
    """Serves ``body`` with ``code`` at every path."""

    isLeaf = True

    def __init__(self, body: bytes = b"") -> None:
        super().__init__()
        self.body = body
        self.code = 200
        self.headers: dict[str, str] = {}
        self.silent = False
        """Takes requests and does not answer."""

        self.requests: list[Request] = []
        self._port: Any = None

    def render_GET(self, request: Request) -> Any:
        self.requests.append(request)
        if self.silent:
            return NOT_DONE_YET
        request.setResponseCode(self.code)
        for name, value in self.headers.items():
            request.setHeader(name, value)
        return self.body

    def listen(self, port: int = 0, certificate: Path | None = None) -> int:
        """Begin to listen, behind TLS where there is a certificate, and return the port."""
        site = Site(self)
        if certificate is None:
            self._port = reactor.listenTCP(port, site, interface="127.0.0.1")  # type: ignore[attr-defined]
        else:
            options = ssl.DefaultOpenSSLContextFactory(str(certificate), str(certificate), SSL.TLS_SERVER_METHOD)
            self._port = reactor.listenSSL(port, site, options, interface="127.0.0.1")  # type: ignore[attr-defined]
        number: int = self._port.getHost().port
        return number

    async def stop(self) -> None:
        """Stop listening, and cut who is still connected."""
        port, self._port = self._port, None
        if port is None:
            return
        for request in self.requests:
            # Twisted takes it away from a request that has been answered.
            channel = getattr(request, "channel", None)
            if channel is not None:
                channel.transport.abortConnection()
        await port.stopListening()
