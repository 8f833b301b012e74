"""What the gateway makes of arguments."""

from __future__ import annotations

import pytest
from autobahn.wamp import ApplicationError

from components.router.gateway import _symbol_list


def test_symbols_are_taken_once_and_in_order() -> None:
    assert _symbol_list(["ETHUSDT", "BTCUSDT", "ETHUSDT"]) == ["ETHUSDT", "BTCUSDT"]


@pytest.mark.parametrize(
    "value", ["BTCUSDT", [1], None, ["\ud800"], ["BTC USDT"], ["x" * 21], [""], ["BTCUSDT"] * 2001]
)
def test_what_could_be_no_symbol_is_refused_without_being_repeated(value: object) -> None:
    with pytest.raises(ApplicationError) as raised:
        _symbol_list(value)
    assert raised.value.error == "wamp.error.invalid_argument"
    assert "\ud800" not in str(raised.value)
