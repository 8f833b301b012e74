"""Read a connection of the bus before the reactor comes round to it.

A turn of the reactor goes through all sockets that have something, a hundred of clients' perhaps and some of them with work
for a millisecond, and a tick that arrives meanwhile would wait for all of them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp, unix
from twisted.logger import Logger

_BARE = (tcp.Client, tcp.Server, unix.Client, unix.Server)
_log = Logger()


def read_ahead(transport: Any) -> None:
    """Read what is there, if anything is; nothing where the transport is not a bare socket, as under TLS.

    Not for a connection whose reading somebody pauses.
    """
    if type(transport) not in _BARE or transport.TLS or not transport.connected or transport.disconnecting:
        return
    try:
        # A socket that has ended ends for whoever reads next, too: that is left to the reactor, which tells the protocol.
        transport.doRead()
    except Exception:
        # As the reactor does with a protocol that fails.
        _log.failure("what came on a connection of the bus could not be taken; it is dropped")
        transport.abortConnection()
