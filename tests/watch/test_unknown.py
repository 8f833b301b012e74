"""What is wished for and is not there."""

from __future__ import annotations

import pytest

from components.watch.unknown import no_gateway, unknown_symbols

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


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ws://127.0.0.1:8080/trade", "did you mean --url ws://127.0.0.1:8080/ws?"),
        ("wss://[::1]:8443/market/trade", "did you mean --url wss://[::1]:8443/ws?"),
        ("ws://a/ws/trade", "is it a gateway of Crosstick's?"),
    ],
)
def test_where_there_is_no_gateway_the_likely_address_is_said(url: str, said: str) -> None:
    assert no_gateway(url) == f"{url}: nothing is there (HTTP 404): {said}"
