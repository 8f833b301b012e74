"""WebSocket as a client speaks it (RFC 6455), byte by byte: made and found, no I/O. Frames are masked with a key of zeros."""

from __future__ import annotations

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def upgrade_request(host: str, path: str, more: str = "", protocol: str | None = "wamp.2.json") -> bytes:
    """Return the request that opens a connection, for WAMP in JSON unless another subprotocol (or none) is named.

    ``more`` are further header lines, each with its CRLF.
    """
    offered = "" if protocol is None else f"Sec-WebSocket-Protocol: {protocol}\r\n"
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: Y3Jvc3N0aWNrLWJlbmNoLg==\r\nSec-WebSocket-Version: 13\r\n"
        f"{offered}{more}\r\n"
    ).encode()


def client_frame(opcode: int, payload: bytes, *, final: bool = True, reserved: int = 0) -> bytes:
    """Return a frame; ``reserved`` are the bits RSV1 (4) to RSV3 (1)."""
    return client_header(opcode, len(payload), final=final, reserved=reserved) + payload


def client_header(opcode: int, size: int, *, final: bool = True, reserved: int = 0) -> bytes:
    """Return the header of a frame whose payload, of ``size`` bytes, is sent after it."""
    first = bytes([0x80 * final | reserved << 4 | opcode])
    if size < 126:
        return first + bytes([0x80 | size]) + bytes(4)
    if size < 65_536:
        return first + b"\xfe" + size.to_bytes(2, "big") + bytes(4)
    return first + b"\xff" + size.to_bytes(8, "big") + bytes(4)


def take_server_frame(buffer: bytearray) -> tuple[int, bytes] | None:
    """Return opcode and payload of the first whole frame of a buffer, taken out of it."""
    if len(buffer) < 2:
        return None
    size, header = buffer[1], 2
    if size == 126:
        size, header = int.from_bytes(buffer[2:4], "big"), 4
    elif size == 127:
        size, header = int.from_bytes(buffer[2:10], "big"), 10
    if len(buffer) < header + size:
        return None
    opcode, payload = buffer[0] & 0x0F, bytes(buffer[header : header + size])
    del buffer[: header + size]
    return opcode, payload
