"""WebSocket frames as a client sends them (RFC 6455, 5.2 and 5.3): finds the plain ones at the head of what was read.

Plain is a final, masked data frame of one message, shorter than 64 KiB, without extension bits, and valid UTF-8 if it is text.
Everything else is left to a complete WebSocket implementation. Bytes in, bytes out; no I/O.
"""

from __future__ import annotations

TEXT = 0x81
"""First octet of a plain text frame."""

BINARY = 0x82
"""First octet of a plain binary frame."""

ALL = 2**31
_MASKED = 0x80
_NO_KEY = b"\0\0\0\0"


def unmasked(payload: bytes, key: bytes) -> bytes:
    """Return a payload without its mask (or with it: the operation is its own inverse). ``key`` has four octets."""
    size = len(payload)
    mask = key * (size // 4) + key[: size % 4]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")


def plain_messages(data: bytes, first_octet: int, max_bytes: int, most: int = ALL) -> tuple[list[bytes], int]:
    """Return the messages of the plain frames that ``data`` begins with, and how many bytes those frames are.

    ``first_octet`` is ``TEXT`` or ``BINARY``: a frame of the other kind is not plain. Nor is one whose payload is longer than
    ``max_bytes`` (0: no limit). It ends before the first frame that is not plain or not complete, and after ``most`` messages.
    """
    messages: list[bytes] = []
    position = 0
    end = len(data)
    while position + 6 <= end and len(messages) < most:
        octet = data[position + 1]
        if data[position] != first_octet or octet < _MASKED:
            break
        size = octet - _MASKED
        start = position + 6
        if size >= 126:
            # 127 is the long form; a short form that was not needed is a violation.
            size = (data[position + 2] << 8) | data[position + 3]
            start = position + 8
            if octet == 0xFF or size < 126:
                break
        stop = start + size
        if stop > end or 0 < max_bytes < size:
            break
        key = data[start - 4 : start]
        message = data[start:stop] if key == _NO_KEY else unmasked(data[start:stop], key)
        if first_octet == TEXT and not message.isascii() and not _is_utf8(message):
            break
        messages.append(message)
        position = stop
    return messages, position


def first_frame_bytes(data: bytes) -> int:
    """Return how many bytes the first frame of ``data`` is, of whatever kind; all of them where it is not complete."""
    if len(data) < 2:
        return len(data)
    size = data[1] & 0x7F
    extension = {126: 2, 127: 8}.get(size, 0)
    if extension:
        size = int.from_bytes(data[2 : 2 + extension], "big")
    mask = 4 if data[1] & _MASKED else 0
    return min(len(data), 2 + extension + mask + size)


def _is_utf8(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
