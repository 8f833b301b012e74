"""Write to a socket at once, rather than when the reactor comes round to it.

Twisted's ``write`` keeps bytes until the socket is reported writable: for every block that is an epoll registration, a turn
of the reactor and a deregistration, which cost more than sending it. A socket with nothing waiting takes the block
directly; only what it does not take is left to Twisted, with its buffer, its producer and its errors. Leans on Twisted's
``FileDescriptor`` keeping unsent bytes in ``dataBuffer`` and ``_tempDataBuffer``, and on its TLS keeping what it has not
encrypted in ``_appSendBuffer``; ``tests/router/engine/test_sockets.py`` checks it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import tcp, unix


def writer(transport: Any) -> Callable[[bytes], None]:
    """Return the fastest way to write to a transport that keeps the order of what is written.

    Where the transport is not a bare socket, as under TLS, that is its own ``write``.
    """
    if type(transport) not in (tcp.Server, unix.Server) or transport.TLS:
        return transport.write  # type: ignore[no-any-return]
    send = transport.getHandle().send

    def write(block: bytes) -> None:
        if transport.dataBuffer or transport._tempDataBuffer or not transport.connected or transport.disconnecting:
            transport.write(block)
            return
        try:
            sent = send(block)
        except OSError:
            # Full, or lost: the reactor finds out which.
            sent = 0
        if sent < len(block):
            transport.write(block[sent:] if sent else block)

    return write


def unsent_bytes(transport: Any) -> int:
    """Return how many bytes were written to a transport that the system has not taken; 0 where it does not tell."""
    size = 0
    while transport is not None and type(transport) not in (tcp.Server, unix.Server):
        size += sum(map(len, getattr(transport, "_appSendBuffer", ())))
        transport = getattr(transport, "transport", None)
    if transport is None:
        return size
    return size + len(transport.dataBuffer) - int(transport.offset) + int(transport._tempDataLen)
