"""Which pages of other origins may read an API's answers: those that may open a WebSocket (``allowed_origins``). Pure.

No cookie is looked at, so nothing is granted with credentials: a page sends its token itself. Source: the Fetch standard, "CORS
protocol".
"""

from __future__ import annotations

from components.core.origins import OriginPolicy

PREFLIGHT_MAX_AGE_S = 600


def cors_headers(
    policy: OriginPolicy, origin: str | None, host: str | None, *, secure: bool, preflight: bool = False
) -> dict[bytes, bytes]:
    """Return what lets a page read an answer, by its request's ``Origin`` and ``Host``; nothing for who may not."""
    # What is no ASCII is no origin of a browser's, and could not be sent back.
    if origin is None or not origin.isascii() or not policy.allows(origin, host, secure=secure):
        return {}
    headers = {b"Access-Control-Allow-Origin": b"*" if policy.anything else origin.encode("ascii")}
    if preflight:
        headers |= {
            b"Access-Control-Allow-Methods": b"GET, HEAD",
            b"Access-Control-Allow-Headers": b"Authorization, If-None-Match",
            b"Access-Control-Max-Age": b"%d" % PREFLIGHT_MAX_AGE_S,
        }
    else:
        headers[b"Access-Control-Expose-Headers"] = b"ETag, Retry-After"
    return headers
