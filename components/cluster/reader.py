"""Reads for many clients in one go: the part in C that takes plain ticks by itself (``reading/``), and what it hands over.

Owns no sockets and no decisions. Times are those of ``time.monotonic()``.
"""

from __future__ import annotations

import ctypes
import enum
import os
import struct
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from components.bench.compile import compiled
from components.cluster.sequence import Tick

SOURCES = Path(__file__).with_name("reading")
FLAGS = ("-O2", "-D_GNU_SOURCE", "-shared", "-fPIC")


class Kind(enum.IntEnum):
    """What was handed over."""

    TICKS = 1
    """Ticks of symbols that are held."""

    MESSAGE = 2
    """A WAMP message that is no tick."""

    CONTROL = 3
    """A WebSocket control frame."""

    END = 4
    """The connection has ended, or must be ended; it is no longer read."""


class Place(ctypes.Structure):
    """Where a client is with one symbol; ``components.cluster.sequence.Place`` in memory that the part in C works on."""

    _fields_ = (("seq", ctypes.c_int64), ("id", ctypes.c_int64), ("held", ctypes.c_bool))
    seq: int
    id: int
    held: bool


class Line(ctypes.Structure):
    """A client over all its connections."""

    _fields_ = (
        ("ticks", ctypes.c_int64),
        ("lost", ctypes.c_int64),
        ("connections", ctypes.c_int64),
        ("heard_s", ctypes.c_double),
        ("live_since_s", ctypes.c_double),
        ("ticked_s", ctypes.c_double),
        ("longest_silence_s", ctypes.c_double),
    )
    ticks: int
    """Trades that ticks which were not handed over stood for."""

    lost: int
    """Trades in no tick, by the ids of those ticks."""

    connections: int
    """On which ticks came."""

    heard_s: float
    """When bytes came last."""

    live_since_s: float
    """When ticks came on this connection for the first time; 0 while none have."""

    ticked_s: float
    """When ticks came last."""

    longest_silence_s: float
    """The longest time without a tick, up to the last one."""

    def ticked(self, now_s: float) -> None:
        """Take note that ticks have come."""
        self.longest_silence_s = max(self.longest_silence_s, now_s - self.ticked_s)
        self.ticked_s = now_s
        if not self.live_since_s:
            self.live_since_s = now_s
            self.connections += 1


_TICK = struct.Struct("=5q")


class _Handed(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int32),
        ("client", ctypes.c_int32),
        ("opcode", ctypes.c_int32),
        ("error", ctypes.c_int32),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_int64),
    )


class Handed(NamedTuple):
    """What a client is to deal with before the rest of its bytes is looked at."""

    client: int
    kind: Kind
    payload: bytes
    """A message, or a control frame's payload."""

    ticks: Sequence[tuple[int, Tick]]
    """Each with the number of its symbol."""

    opcode: int
    """A control frame's."""

    why: str
    """A connection has ended."""


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(compiled("what reads for clients", SOURCES, "reading.so", FLAGS)), use_errno=True)
    pointer, number = ctypes.c_void_p, ctypes.c_int
    for name, result, arguments in (
        ("reader_new", pointer, [ctypes.c_char_p, number]),
        ("reader_free", None, [pointer]),
        ("reader_client", ctypes.POINTER(Line), [pointer, number]),
        ("reader_places", ctypes.POINTER(Place), [pointer, number]),
        ("reader_watch", number, [pointer, number, number]),
        ("reader_forget", None, [pointer, number]),
        ("reader_next", ctypes.c_bool, [pointer, ctypes.POINTER(_Handed)]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Reader:
    """Reads for clients that have numbers from 0 on and follow the same symbols, which have numbers, too."""

    def __init__(self, symbols: Sequence[str], clients: int) -> None:
        """Read for nobody yet.

        Raises:
            BenchError: there is no C compiler, or it fails.
            OSError: there are no descriptors or no memory left.
        """
        self._library = _library()
        self._symbols = len(symbols)
        self._reader = self._library.reader_new(",".join(symbols).encode(), clients)
        if not self._reader:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._handed = _Handed()

    def close(self) -> None:
        """Give everything back; lines and places of clients must not be used after that."""
        self._library.reader_free(self._reader)
        self._reader = None

    def line(self, client: int) -> Line:
        """Return what is known of a client."""
        line: Line = self._library.reader_client(self._reader, client).contents
        return line

    def places(self, client: int) -> list[Place]:
        """Return where a client is, symbol by symbol."""
        places = self._library.reader_places(self._reader, client)
        return [places[number] for number in range(self._symbols)]

    def watch(self, client: int, descriptor: int) -> None:
        """Read what comes on a socket, a client's only one, until ``forget``.

        Raises:
            OSError: the kernel does not want to.
        """
        error = self._library.reader_watch(self._reader, client, descriptor)
        if error:
            raise OSError(error, os.strerror(error))

    def forget(self, client: int) -> None:
        """Read no more for a client; call it before its socket is closed."""
        self._library.reader_forget(self._reader, client)

    def read(self) -> Iterator[Handed]:
        """Read each connection once, and hand over, in the order in which it came, what plain ticks are not.

        A client may be watched, forgotten and have its places changed by who takes what is handed over.
        """
        handed = self._handed
        reference = ctypes.byref(handed)
        go_on = self._library.reader_next
        while go_on(self._reader, reference):
            kind = Kind(handed.kind)
            data, ticks, why = b"", [], ""
            if kind is Kind.TICKS:
                found = _TICK.iter_unpack(ctypes.string_at(handed.data, handed.size * _TICK.size))
                ticks = [(symbol, (first, last, first_id, last_id)) for symbol, first, last, first_id, last_id in found]
            elif kind is Kind.END:
                why = _why(handed.error)
            else:
                data = ctypes.string_at(handed.data, handed.size)
            yield Handed(handed.client, kind, data, ticks, handed.opcode, why)


def _why(error: int) -> str:
    if error < 0:
        return "what came is against the rules"
    return os.strerror(error) if error else "closed"
