"""Which symbols the feeds follow: those of their environment, or those that an operator has chosen. Pure.

Of two choices the one with the greater version is in force, wherever they are kept and in whatever order they come. So one
that was lost can be put back by anybody who knows it, and undoes nothing that was chosen since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_SYMBOLS = 2000
"""So that a snapshot of all of them stays below the transports' ``max_message_size``."""

SYMBOL_PATTERN = r"[A-Z0-9]{2,20}"
MAX_BY_CHARS = 128

CHANGE_TRIES = 10
"""How often a change is tried that others' changes come before."""

Symbol = Annotated[str, Meta(pattern=rf"^{SYMBOL_PATTERN}\Z")]
Symbols = Annotated[tuple[Symbol, ...], Meta(min_length=1, max_length=MAX_SYMBOLS)]
Version = Annotated[int, Meta(ge=0, le=2**53)]


class InvalidChoice(ValueError):
    """What is kept is no choice; the text is one line for the operator."""


class ChangedMeanwhile(Exception):
    """Another choice stands than the one that was to be changed."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the symbols have been changed meanwhile: their version is {version}")
        self.version = version


class SymbolChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator wants."""

    version: Version = 0
    """0: no operator has chosen anything yet."""

    symbols: Symbols | None = None
    """Without repetition; ``None``: those of each feed's environment."""

    by: Annotated[str, Meta(max_length=MAX_BY_CHARS)] = ""
    """The operator's authid."""

    at_ms: Version = 0
    """When, ms since 1970."""

    @property
    def source(self) -> str:
        """Where the symbols come from: ``operator`` or ``environment``."""
        return "environment" if self.symbols is None else "operator"


NO_CHOICE = SymbolChoice()

_decoder = msgspec.json.Decoder(SymbolChoice)


def repeated(symbols: Sequence[str]) -> str | None:
    """Return the first symbol that is there twice."""
    seen = set()
    for symbol in symbols:
        if symbol in seen:
            return symbol
        seen.add(symbol)
    return None


def next_choice(version: int, symbols: Sequence[str] | None, by: str, now_ms: int) -> SymbolChoice:
    """Return a choice that comes after the one of that version; ``symbols`` are checked, or ``None``."""
    return SymbolChoice(
        max(version + 1, now_ms), None if symbols is None else tuple(symbols), by[:MAX_BY_CHARS], now_ms
    )


def encode_choice(choice: SymbolChoice) -> bytes:
    """Return what is kept of a choice: JSON."""
    return msgspec.json.encode(choice)


def decode_choice(data: bytes) -> SymbolChoice:
    """Return the choice in what was kept.

    Raises:
        InvalidChoice: ``data`` is not what ``encode_choice`` makes.
    """
    try:
        choice = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidChoice(str(error)) from None
    twice = repeated(choice.symbols or ())
    if twice is not None:
        raise InvalidChoice(f"{twice} is there twice")
    return choice
