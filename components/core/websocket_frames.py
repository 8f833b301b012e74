"""WebSocket frames as a server sends them (RFC 6455, 5.2): unmasked, final, uncompressed; makes and finds them, does no I/O.

Frames are made once and shared by all receivers, which Autobahn's ``sendMessage`` cannot do, and found many at a time.
"""

from __future__ import annotations

FoundFrame = tuple[int, bytes]
"""``(offset after the frame, payload)``: a plain tuple, since one is made per message."""

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


def leading_text_frames(data: bytes, max_payload_bytes: int) -> list[FoundFrame]:
    """Return the text messages that ``data`` begins with, up to the first byte that is not of one.

    Each is a complete frame: final, unmasked, without extension bits, its length in the shortest form, its payload UTF-8 and
    of at most ``max_payload_bytes`` (never over 65,535).
    """
    frames: list[FoundFrame] = []
    size = len(data)
    start = 0
    while size - start >= 2 and data[start] == 0x81:
        length = data[start + 1]
        begin = start + 2
        if length > 125:
            if length != 126 or size - start < 4:
                break
            length = data[start + 2] << 8 | data[start + 3]
            begin = start + 4
            if length < 126:
                break
        end = begin + length
        if end > size or length > max_payload_bytes:
            break
        payload = data[begin:end]
        if not payload.isascii() and not _is_utf8(payload):
            break
        frames.append((end, payload))
        start = end
    return frames


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
