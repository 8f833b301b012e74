"""An exchange that sends as fast as it is read: trades and best prices of 100 symbols, in Binance's combined frames.

Run as a program by ``crosstick bench feed``, on the load's core. Prints the port it listens on and serves one connection.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
from collections.abc import Iterator

from components.bench.errors import BenchError
from components.core.websocket_frames import text_frame

SYMBOLS = tuple(f"S{number:03}USDT" for number in range(100))
MESSAGES_PER_WRITE = 2000
_KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def messages() -> Iterator[list[bytes]]:
    """Yield blocks of messages for ever: of every symbol a trade and a best price in turn, ids without holes."""
    trade_id = 0
    while True:
        block = []
        for _ in range(MESSAGES_PER_WRITE // (2 * len(SYMBOLS))):
            trade_id += 1
            ts_ms = 1_700_000_000_000 + trade_id
            cents = 1_000_000 + trade_id * 7919 % 8_000_000
            price = f"{cents // 100}.{cents % 100:02}000000"
            side = "true" if trade_id & 1 else "false"
            for symbol in SYMBOLS:
                stream = symbol.lower()
                block.append(
                    f'{{"stream":"{stream}@trade","data":{{"e":"trade","E":{ts_ms},"s":"{symbol}","t":{trade_id},'
                    f'"p":"{price}","q":"0.01500000","T":{ts_ms},"m":{side},"M":true}}}}'.encode()
                )
                block.append(
                    f'{{"stream":"{stream}@bookTicker","data":{{"u":{trade_id},"s":"{symbol}","b":"{price}",'
                    f'"B":"31.21000000","a":"{price}","A":"40.66000000"}}}}'.encode()
                )
        yield block


def answer(request: bytes) -> bytes:
    """Return the answer to a WebSocket request.

    Raises:
        BenchError: it is none.
    """
    key = re.search(rb"sec-websocket-key: *(\S+)", request, re.IGNORECASE)
    if key is None:
        raise BenchError(f"not a WebSocket request: {request[:80]!r}")
    accept = base64.b64encode(hashlib.sha1(key[1] + _KEY_SUFFIX, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def main() -> None:
    """Serve one connection until it ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        listener.settimeout(30)
        connection, _ = listener.accept()
    with connection:
        request = b""
        while b"\r\n\r\n" not in request:
            received = connection.recv(65_536)
            if not received:
                return
            request += received
        connection.sendall(answer(request))
        try:
            for block in messages():
                connection.sendall(b"".join(map(text_frame, block)))
        except OSError:
            return  # the feed has seen enough


if __name__ == "__main__":
    main()
