"""What the answers of ``/api`` look like, for their description. Pure.

The bodies are the feed's own bytes, never made from these; a test holds them against a node's answers.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

SymbolName = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,20}$", examples=["BTCUSDT"])]
Count = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[int, Meta(ge=0, description="Milliseconds since 1970")]
Decimal = Annotated[float, Meta(description="With exactly the exchange's digits: read it as a decimal to keep them")]


class Tick(Struct, forbid_unknown_fields=True):
    """One trade; `merged` and what follows are there where it stands for several."""

    symbol: SymbolName
    price: Decimal
    volume: Decimal
    side: Annotated[Literal["buy", "sell"], Meta(description="The taker's")]
    ts: Annotated[int, Meta(ge=0, description="The exchange's time, milliseconds since 1970")]
    id: Annotated[int, Meta(description="The exchange's trade id")]
    seq: Annotated[int, Meta(ge=1, description="Per symbol, without holes within an epoch")]
    merged: Count | UnsetType = UNSET
    dropped: Count | UnsetType = UNSET
    high: Decimal | UnsetType = UNSET
    low: Decimal | UnsetType = UNSET
    first_id: int | UnsetType = UNSET
    last_id: int | UnsetType = UNSET
    first_seq: Count | UnsetType = UNSET


class Book(Struct, forbid_unknown_fields=True):
    """Best bid and ask."""

    symbol: SymbolName
    bid: Decimal
    bid_volume: Decimal
    ask: Decimal
    ask_volume: Decimal
    received_ts: Annotated[int, Meta(ge=0, description="The feed's time, milliseconds since 1970")]
    id: int
    seq: Annotated[int, Meta(ge=1)]
    merged: Count | UnsetType = UNSET
    dropped: Count | UnsetType = UNSET


class Day(Struct, forbid_unknown_fields=True):
    """Statistics of the last 24 hours."""

    symbol: SymbolName
    last: Decimal
    open: Annotated[Decimal, Meta(description="The first price of the 24 hours")]
    high: Decimal
    low: Decimal
    volume: Annotated[Decimal, Meta(description="In the symbol's base asset")]
    quote_volume: Annotated[Decimal, Meta(description="In the symbol's quote asset")]
    ts: Annotated[int, Meta(ge=0, description="The exchange's time, milliseconds since 1970")]
    seq: Annotated[int, Meta(ge=1)]
    merged: Count | UnsetType = UNSET
    dropped: Count | UnsetType = UNSET


class Newest(Struct, forbid_unknown_fields=True):
    """The newest events of a symbol; `null` where there has been none in this epoch."""

    tick: Tick | None
    book: Book | None
    day: Day | None


class Ticks(Struct, forbid_unknown_fields=True):
    """The newest events of some symbols."""

    epoch: Milliseconds
    symbols: dict[SymbolName, Newest]


class SymbolTicks(Struct, forbid_unknown_fields=True):
    """The newest events of one symbol."""

    epoch: Milliseconds
    symbol: SymbolName
    tick: Tick | None
    book: Book | None
    day: Day | None


class Symbols(Struct, forbid_unknown_fields=True):
    """The symbols that the token grants."""

    symbols: list[SymbolName]


class Status(Struct):
    """How the feed stands; there may be more in it."""

    epoch: Milliseconds
    state: Annotated[str, Meta(max_length=32, examples=["live", "stale", "feed_lost"])]
    symbols: Annotated[int, Meta(ge=0, description="How many the feed follows")]
    stale: Annotated[int, Meta(ge=0, description="How many of them are silent")]
    symbols_version: Annotated[Count, Meta(description="Another one after operators have changed the symbols")]
    stale_symbols: Annotated[list[SymbolName], Meta(description="The silent ones of the token's")]
    missed_batches: Count
