"""The unit that travels on the bus: what one read from the exchange brought, with payloads ready to send.

Pure: bytes in, values out.
"""

from __future__ import annotations

import msgspec


class Batch(msgspec.Struct, array_like=True, frozen=True):
    """Events of one feed in the order in which clients are to see them."""

    epoch: int
    """Start of the numbering, ms since 1970; ``seq`` is gap-free per topic within it."""

    number: int
    """1 for the first batch of an epoch; each next one is one more."""

    events: list[tuple[str, int, bytes]]
    """``(topic, seq, payload as JSON bytes)``."""


class Standing(msgspec.Struct, frozen=True):
    """How far a numbering has come on a bus: what a feed goes on from that takes the lead, and a gateway that starts cold."""

    epoch: int
    """Start of the numbering, ms since 1970."""

    number: int
    """Of the last batch."""

    newest: dict[str, tuple[int, bytes]]
    """The newest event of each topic in this epoch: topic → ``(seq, payload as JSON bytes)``."""


class MalformedBatch(ValueError):
    """Bytes that are no batch."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)


def encode_batch(batch: Batch) -> bytes:
    """Return the batch's wire form (MessagePack)."""
    return _encoder.encode(batch)


def decode_batch(data: bytes) -> Batch:
    """Return the batch in ``data``.

    Raises:
        MalformedBatch: ``data`` is not what ``encode_batch`` makes.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedBatch(str(error)) from error
