"""What operators want the feeds to follow."""

from __future__ import annotations

import pytest

from components.core.symbol_choice import (
    NO_CHOICE,
    InvalidChoice,
    SymbolChoice,
    decode_choice,
    encode_choice,
    next_choice,
    repeated,
)


@pytest.mark.parametrize("symbols", [None, ("BTCUSDT", "1INCHUSDT")])
def test_what_is_kept_is_read_again(symbols: tuple[str, ...] | None) -> None:
    choice = next_choice(5, symbols, "olga", 1_700_000_000_000)
    assert decode_choice(encode_choice(choice)) == choice
    assert choice.source == ("environment" if symbols is None else "operator")


def test_each_choice_comes_after_the_one_before_whatever_the_clock() -> None:
    assert [next_choice(5, None, "", now_ms).version for now_ms in (3, 6, 100)] == [6, 6, 100]
    assert NO_CHOICE.version == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}nonsense",
        b'{"version":-1}',
        b'{"version":1,"symbols":[]}',
        b'{"version":1,"symbols":["btcusdt"]}',
        b'{"version":1,"symbols":["BTCUSDT\\n"]}',
        b'{"version":1,"symbols":["BTCUSDT","BTCUSDT"]}',
        b'{"version":1,"unknown":1}',
        b"\xff",
    ],
)
def test_what_is_no_choice_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(InvalidChoice):
        decode_choice(data)


def test_too_many_are_none() -> None:
    with pytest.raises(InvalidChoice):
        decode_choice(encode_choice(SymbolChoice(1, tuple(f"A{number}" for number in range(2001)))))


def test_what_is_there_twice_is_named() -> None:
    assert (repeated(["A1", "B1", "A1"]), repeated(["A1"])) == ("A1", None)
