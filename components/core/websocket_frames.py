"""WebSocket frames as a server sends them (RFC 6455, 5.2): unmasked, final, uncompressed; makes bytes, does no I/O.

Frames are made once and shared by all receivers, which Autobahn's ``sendMessage`` cannot do.
"""

from __future__ import annotations

_TEXT = b"\x81"
_HEADERS = tuple(_TEXT + (bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")) for size in range(1024))


def text_frame(payload: bytes) -> bytes:
    """Return one complete text frame around a payload of UTF-8 bytes (the bytes are not checked)."""
    size = len(payload)
    if size < 1024:
        return _HEADERS[size] + payload
    if size < 65_536:
        return b"%b\x7e%b%b" % (_TEXT, size.to_bytes(2, "big"), payload)
    return b"%b\x7f%b%b" % (_TEXT, size.to_bytes(8, "big"), payload)
