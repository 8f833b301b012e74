"""What stands in the log: records, who leads by them, and which count. Pure: bytes in, values out.

All feeds append to one partition, so everybody reads the same records in the same order, and what a record means depends on
nothing but those before it:

- A feed takes the lead by a *claim* with a random token. A claim names the token that it follows; where that one is no longer
  in force, the claim is void. So of two feeds that claim at once the first in the log leads, and both learn it from the log.
- What a feed writes carries its token. A record whose token is not in force is void, for every reader alike: a feed that was
  stopped for a minute and goes on writing is refused by all, whatever it believes, and no clock is asked.
- A batch that counts is the one after the last one that counted, or the first of another epoch.
- A change of the symbols that operators want needs no lead. It may name the version that it follows, and is void where that one
  does not stand; so of two changes of the same choice the first in the log counts. One that names none counts where it is later
  than what stands: that of an operator who does not mind what stands, and of who writes again what the log has lost.

What came of a prefix of the log is a `Snapshot`: it is true whoever wrote it and whenever. The latest choice is kept beside it,
and may be later than the snapshot: whoever knows it too early finds void what led to it, and has the same in the end.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import NamedTuple

import msgspec

from components.core.batch import Batch, MalformedBatch, Standing, decode_batch
from components.core.symbol_choice import NO_CHOICE, InvalidChoice, SymbolChoice, decode_choice, encode_choice

TOKEN_BYTES = 8
NOBODY = bytes(TOKEN_BYTES)
"""The token in force before the first claim."""

READY = b"1"
"""Of a probe: the feed gets what the exchange sends, and could lead."""

CLAIMS_KEPT = 32
"""Of a snapshot: what is read of the log before it can be told apart this many leads back."""

_CHUNK_BYTES = 700_000
"""Of a snapshot in one record; brokers take records of a million bytes unless told otherwise."""


class Kind(IntEnum):
    """The first byte of a record; the token and what is said here follow."""

    BATCH = 1
    """A batch as ``encode_batch`` makes it."""

    STATUS = 2
    """The feed's status, the JSON of one object."""

    HEARTBEAT = 3
    """Nothing: the feed that leads is alive."""

    CLAIM = 4
    """The token to be followed; nothing: whichever it is."""

    RESIGNATION = 5
    """Nothing: the feed that leads leads no more."""

    PROBE = 6
    """``READY``, or nothing: a feed that does not lead looks whether what it writes comes back. Its token is its own."""

    CHANGE = 7
    """Of the symbols that operators want, as ``encode_change`` makes it. Its token is its own."""


class Taken(NamedTuple):
    """What a record was."""

    kind: Kind
    token: bytes
    counts: bool
    """``False``: it is void."""

    batch: Batch | None = None
    """Of a batch that counts."""

    ready: bool = False
    """Of a probe: see ``READY``."""

    choice: SymbolChoice | None = None
    """Of a change that counts."""


class MalformedRecord(ValueError):
    """Bytes that are no record; whoever reads passes over them."""


class Snapshot(msgspec.Struct, array_like=True, frozen=True):
    """What came of the log before ``offset``."""

    offset: int
    token: bytes
    vacant: bool
    """Nobody leads: nobody has yet, or who led has resigned."""

    epoch: int
    number: int
    """Of the last batch; both are 0 before the first."""

    claims: list[tuple[int, bytes]]
    """``(offset, token)`` of the last claims that counted."""

    status: bytes
    """Empty before the first."""

    newest: dict[str, tuple[int, bytes]]
    """Topic → ``(seq, payload)`` of its newest event in this epoch."""

    def standing(self) -> Standing | None:
        """Return how far the numbering has come; ``None`` before the first batch."""
        return Standing(self.epoch, self.number, self.newest) if self.number else None


class LogReading:
    """How far one reader has read, and what came of it."""

    def __init__(self, offset: int, *, keeps_newest: bool = False) -> None:
        """Begin at ``offset``, from which on nothing is known; at 0 nothing has happened yet.

        Without ``keeps_newest`` no snapshot can be made.
        """
        self.offset = offset
        """Of the next record."""

        self.token: bytes | None = NOBODY if offset == 0 else None
        """In force; ``None``: unknown, until a claim that is valid in any case. Nothing else counts until then."""

        self.vacant = offset == 0
        """Nobody leads."""

        self.epoch = 0
        self.number: int | None = 0
        """Of the last batch; ``None``: any is the next."""

        self.status = b""
        self.choice = NO_CHOICE
        """What operators want, as far as is known."""

        self._claims: deque[tuple[int, bytes]] = deque(maxlen=CLAIMS_KEPT)
        self._known: frozenset[bytes] = frozenset()
        """Claims that are known to count, where the token before them is not."""

        self._newest: dict[str, tuple[int, bytes]] | None = {} if keeps_newest else None

    @classmethod
    def after(cls, snapshot: Snapshot, *, keeps_newest: bool = False) -> LogReading:
        """Go on where ``snapshot`` ends."""
        reading = cls(snapshot.offset, keeps_newest=keeps_newest)
        reading.token, reading.vacant = snapshot.token, snapshot.vacant
        reading.epoch, reading.number = snapshot.epoch, snapshot.number
        reading.status = snapshot.status
        reading._claims.extend(snapshot.claims)
        if keeps_newest:
            reading._newest = dict(snapshot.newest)
        return reading

    @classmethod
    def before(cls, snapshot: Snapshot, offset: int) -> LogReading:
        """Begin at ``offset``, before the end of ``snapshot``, which says whose records counted there."""
        reading = cls(offset)
        for claimed_at, token in snapshot.claims:
            if claimed_at < offset:
                reading.token, reading.vacant = token, False
        if offset:
            reading.number = None
        reading._known = frozenset(token for _, token in snapshot.claims)
        return reading

    def know(self, choice: SymbolChoice) -> None:
        """Hear from elsewhere of a choice that the log has, or had."""
        if choice.version > self.choice.version:
            self.choice = choice

    def snapshot(self) -> Snapshot:
        """Return what came of the log so far; not to be asked for where that is unknown."""
        if self.token is None or self.number is None or self._newest is None:
            raise ValueError("nothing is known of what came before")
        return Snapshot(
            self.offset,
            self.token,
            self.vacant,
            self.epoch,
            self.number,
            list(self._claims),
            self.status,
            dict(self._newest),
        )

    def take(self, offset: int, data: bytes) -> Taken:
        """Return what the record at ``offset`` is.

        Raises:
            MalformedRecord: it is none. The next can be taken all the same.
        """
        self.offset = offset + 1
        kind, token, body = decode_record(data)
        if kind is Kind.PROBE:
            return Taken(kind, token, counts=True, ready=body == READY)
        if kind is Kind.CLAIM:
            return Taken(kind, token, self._claim(offset, token, body))
        if kind is Kind.CHANGE:
            choice = self._change(body)
            return Taken(kind, token, choice is not None, choice=choice)
        if token != self.token or self.vacant:
            return Taken(kind, token, counts=False)
        if kind is Kind.BATCH:
            return self._batch(token, body)
        if kind is Kind.STATUS:
            self.status = body
        elif kind is Kind.RESIGNATION:
            self.vacant = True
        return Taken(kind, token, counts=True)

    def _claim(self, offset: int, token: bytes, follows: bytes) -> bool:
        if follows and follows != self.token and token not in self._known:
            return False
        if self.token is None and self.number is not None:
            # Whoever claims without knowing what stands begins an epoch.
            self.epoch = self.number = 0
        self.token, self.vacant = token, False
        self._claims.append((offset, token))
        return True

    def _change(self, body: bytes) -> SymbolChoice | None:
        try:
            follows, data = _change_decoder.decode(body)
            choice = decode_choice(data)
        except (msgspec.MsgspecError, InvalidChoice) as error:
            raise MalformedRecord(f"a change of the symbols: {error}") from error
        if choice.version <= self.choice.version or follows not in (None, self.choice.version):
            return None
        self.choice = choice
        return choice

    def _batch(self, token: bytes, body: bytes) -> Taken:
        try:
            batch = decode_batch(body)
        except MalformedBatch as error:
            raise MalformedRecord(str(error)) from error
        begins = batch.epoch != self.epoch and batch.number == 1
        follows = batch.epoch == self.epoch and self.number is not None and batch.number == self.number + 1
        if not (begins or follows or self.number is None):
            return Taken(Kind.BATCH, token, counts=False)
        if self._newest is not None:
            if batch.epoch != self.epoch:
                self._newest.clear()
            for topic, seq, payload in batch.events:
                self._newest[topic] = (seq, payload)
        self.epoch, self.number = batch.epoch, batch.number
        return Taken(Kind.BATCH, token, counts=True, batch=batch)


class Kept(NamedTuple):
    """What the topic beside the log says."""

    snapshot: Snapshot | None
    """The newest of this log."""

    choice: SymbolChoice
    """The latest, of this log or one before it."""

    def goes_on_in(self, first: int) -> bool:
        """Tell whether a log that begins at ``first`` has all that came after the snapshot."""
        return self.snapshot is not None and self.snapshot.offset >= first

    def tells_choice(self, first: int) -> bool:
        """Tell whether the choice that stands can be known of a log that begins at ``first``."""
        return first == 0 or self.choice.version > 0 or self.goes_on_in(first)

    def reading(self, first: int, end: int, *, keeps_newest: bool = False) -> LogReading:
        """Return a reading that knows of a log from ``first`` to ``end`` what can be known."""
        if self.snapshot is not None and self.goes_on_in(first):
            reading = LogReading.after(self.snapshot, keeps_newest=keeps_newest)
        else:
            reading = LogReading(0 if first == 0 else end, keeps_newest=keeps_newest)
        reading.know(self.choice)
        return reading


class SnapshotChunks:
    """Puts snapshots together from the records of their topic."""

    def __init__(self) -> None:
        self._offset = -1
        self._parts: dict[int, bytes] = {}

    def take(self, data: bytes) -> Snapshot | None:
        """Return the snapshot that this record completes, if any.

        Raises:
            MalformedRecord: it is no part of a snapshot. The next can be taken all the same.
        """
        try:
            offset, index, count, part = _chunk_decoder.decode(data)
            if offset != self._offset:
                self._offset, self._parts = offset, {}
            self._parts[index] = part
            if len(self._parts) < count:
                return None
            return _snapshot_decoder.decode(b"".join(self._parts[index] for index in range(count)))
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as error:
            raise MalformedRecord(str(error)) from error


def encode_record(kind: Kind, token: bytes, body: bytes = b"") -> bytes:
    """Return a record's wire form."""
    return bytes((kind,)) + token + body


def decode_record(data: bytes) -> tuple[Kind, bytes, bytes]:
    """Return kind, token and the rest of a record.

    Raises:
        MalformedRecord: ``data`` is not what ``encode_record`` makes.
    """
    if len(data) <= TOKEN_BYTES:
        raise MalformedRecord(f"a record has more than {TOKEN_BYTES} bytes, this one had {len(data)}")
    try:
        kind = Kind(data[0])
    except ValueError:
        raise MalformedRecord(f"there is no kind {data[0]} of records") from None
    return kind, data[1 : TOKEN_BYTES + 1], data[TOKEN_BYTES + 1 :]


def encode_change(choice: SymbolChoice, follows: int | None) -> bytes:
    """Return the body of a change that follows the choice of that version; ``None``: any that is earlier."""
    return msgspec.msgpack.encode((follows, encode_choice(choice)))


def is_choice(data: bytes) -> bool:
    """Tell the JSON of a choice from part of a snapshot: both are records of the topic beside the log."""
    return data.startswith(b"{")


def encode_snapshot(snapshot: Snapshot) -> list[bytes]:
    """Return the records of a snapshot, in order."""
    data = msgspec.msgpack.encode(snapshot)
    parts = [data[start : start + _CHUNK_BYTES] for start in range(0, len(data), _CHUNK_BYTES)]
    return [msgspec.msgpack.encode((snapshot.offset, index, len(parts), part)) for index, part in enumerate(parts)]


_change_decoder = msgspec.msgpack.Decoder(tuple[int | None, bytes])
_chunk_decoder = msgspec.msgpack.Decoder(tuple[int, int, int, bytes])
_snapshot_decoder = msgspec.msgpack.Decoder(Snapshot)
