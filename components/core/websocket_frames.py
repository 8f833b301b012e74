"""WebSocket frames as a server sends them (RFC 6455, 5.2): unmasked, final, uncompressed; makes bytes, does no I/O.

Frames are made once and shared by all receivers, which Autobahn's ``sendMessage`` cannot do.
"""

from __future__ import annotations

_TEXT = b"\x81"
_BINARY = b"\x82"


def _header(first: bytes, size: int) -> bytes:
    if size < 126:
        return first + bytes([size])
    if size < 65_536:
        return first + b"\x7e" + size.to_bytes(2, "big")
    return first + b"\x7f" + size.to_bytes(8, "big")


_TEXT_HEADERS = tuple(_header(_TEXT, size) for size in range(1024))


def text_frame(payload: bytes) -> bytes:
    """Return one complete text frame around a payload of UTF-8 bytes (the bytes are not checked)."""
    size = len(payload)
    return (_TEXT_HEADERS[size] if size < 1024 else _header(_TEXT, size)) + payload


def binary_frame(payload: bytes) -> bytes:
    """Return one complete binary frame around a payload."""
    return _header(_BINARY, len(payload)) + payload
