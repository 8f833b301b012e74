"""The security headers of every HTTP answer, and what else an answer says of the node. Pure.

The page gets all that it needs from the node itself, and nothing else may be loaded, embedded or run: no inline script or
style, no frame, no form. ``'self'`` covers the page's WebSocket to the same host and port (CSP level 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

SERVER = b"Crosstick"
"""What answers name as their server: no version, and none of the libraries below."""

CONTENT_SECURITY_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

COMMON_HEADERS = {
    b"Content-Security-Policy": CONTENT_SECURITY_POLICY,
    b"X-Content-Type-Options": b"nosniff",
    b"X-Frame-Options": b"DENY",
    b"Referrer-Policy": b"no-referrer",
    b"Permissions-Policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    b"Cross-Origin-Opener-Policy": b"same-origin",
}

_CORS_PREFIX = b"access-control-"


@dataclass(frozen=True, slots=True)
class SecurityHeaders:
    """How the answers of a listener are marked."""

    hsts_max_age_s: int | None = 31_536_000
    """For how long browsers that came by TLS come back by TLS only; ``None``: nothing is said. Never sent without TLS."""

    shared_paths: tuple[bytes, ...] = (b"/vendor/",)
    """Below these, pages of other origins may embed what there is: libraries, such as autobahn-js."""

    def mark(
        self, headers: Any, path: bytes, *, secure: bool, cors: Mapping[bytes, bytes] = MappingProxyType({})
    ) -> None:
        """Add the security headers to an answer's (Twisted's ``Headers``), and remove what grants other origins access.

        Crossbar's static files would tell any origin that asks that it may read them, credentials included. ``cors`` is what a
        resource of our own grants them.
        """
        for name in [name for name, _ in headers.getAllRawHeaders() if name.lower().startswith(_CORS_PREFIX)]:
            headers.removeHeader(name)
        for name, value in (*self.of(path, secure=secure).items(), *cors.items()):
            headers.setRawHeaders(name, [value])

    def of(self, path: bytes, *, secure: bool) -> dict[bytes, bytes]:
        """Return the headers of an answer to a request of ``path``."""
        shared = path.startswith(self.shared_paths)
        headers = {
            b"Server": SERVER,
            **COMMON_HEADERS,
            b"Cross-Origin-Resource-Policy": b"cross-origin" if shared else b"same-origin",
        }
        if secure and self.hsts_max_age_s is not None:
            headers[b"Strict-Transport-Security"] = b"max-age=%d" % self.hsts_max_age_s
        return headers

    def refusal(self, status: bytes, *, secure: bool) -> bytes:
        """Return a whole answer without body, after which the connection ends."""
        lines = [b"HTTP/1.1 " + status, b"Content-Length: 0", b"Connection: close"]
        lines += [name + b": " + value for name, value in self.of(b"", secure=secure).items()]
        return b"\r\n".join(lines) + b"\r\n\r\n"
