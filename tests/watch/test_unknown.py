"""What is wished for and is not there."""

from __future__ import annotations

import pytest

from components.watch.unknown import unknown_symbols

LISTED = ["BTCUSDT", "ETHUSDT", "ETHBTC"]


@pytest.mark.parametrize(
    ("globs", "said"),
    [
        ([], []),
        (["BTCUSDT", "ETH*"], []),
        (["BTCUSD", "ETH*"], ["BTCUSD is none of the 3 symbols that this token grants: did you mean BTCUSDT?"]),
        (["QQQQ", "Q*"], [f"{name} is none of the 3 symbols that this token grants" for name in ("QQQQ", "Q*")]),
        (["ETH"], ["ETH is none of the 3 symbols that this token grants: did you mean ETHUSDT or ETHBTC?"]),
        (["Q" * 999], [f"{'Q' * 40} is none of the 3 symbols that this token grants"]),
    ],
)
def test_it_is_named_with_what_is_meant_perhaps(globs: list[str], said: list[str]) -> None:
    assert unknown_symbols(globs, LISTED) == said
