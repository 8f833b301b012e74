"""TCP ports of the loopback for processes that are about to be started: of benchmarks, the local cluster and tests.

Linux gives a connection any port of its own range (``ip_local_port_range``, from 32,768 on by default), also one that was found
free a moment ago and is to be listened on in a second. These are below that range.
"""

from __future__ import annotations

import contextlib
import random
import socket

FIRST = 12_000
BEYOND = 32_000
TRIES = 10_000

_random = random.SystemRandom()


class NoFreePortError(OSError):
    """None was found."""


def free_port() -> int:
    """Return a port that is free at this moment.

    Raises:
        NoFreePortError: see ``free_ports_in_a_row``.
    """
    return free_ports_in_a_row(1)[0]


def free_ports(count: int) -> list[int]:
    """Return different ports that are free at this moment.

    Raises:
        NoFreePortError: as often as ``free_ports_in_a_row`` tries, one was drawn that there is already.
    """
    found: set[int] = set()
    drawn_before = 0
    while len(found) < count:
        port = free_port()
        drawn_before += port in found
        if drawn_before == TRIES:
            raise NoFreePortError(f"no {count} ports found free between {FIRST} and {BEYOND}, only {len(found)}")
        found.add(port)
    return list(found)


def free_ports_in_a_row(count: int) -> range:
    """Return ports that follow each other and are free at this moment.

    Raises:
        NoFreePortError: ten thousand times one of those that were drawn was taken.
    """
    for _ in range(TRIES):
        first = _random.randrange(FIRST, BEYOND - count + 1)
        ports = range(first, first + count)
        if _are_free(ports):
            return ports
    raise NoFreePortError(f"no {count} ports in a row found free between {FIRST} and {BEYOND}, tried {TRIES} times")


def _are_free(ports: range) -> bool:
    with contextlib.ExitStack() as stack:
        for port in ports:
            probe = stack.enter_context(socket.socket())
            # As servers do: a port whose last connections are still in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
