"""A request's headers as text, whatever bytes a client puts into them.

Twisted takes them for UTF-8, and raises where they are not; with a character for each octet, as HTTP once had it (RFC 9110
section 5.5), any bytes are text.
"""

from __future__ import annotations

from typing import Any


def header_texts(request: Any, name: str) -> list[str]:
    """Return the values of a header, one for each time that it is there."""
    values: list[bytes] = request.requestHeaders.getRawHeaders(name.encode("ascii"), [])
    return [value.decode("latin-1") for value in values]


def header_text(request: Any, name: str) -> str | None:
    """Return the last value of a header, ``None`` where there is none."""
    values = header_texts(request, name)
    return values[-1] if values else None
