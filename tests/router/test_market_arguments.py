"""What the market's procedures make of arguments."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from autobahn.wamp import ApplicationError

from components.core.arguments import NoArguments, checked
from components.core.grants import grants_of
from components.core.market import Market
from components.router.market_api import MarketApi, SnapshotArguments, register_checked

DETAILS: Any = SimpleNamespace()


class Session:
    """Keeps what is registered on it."""

    def __init__(self) -> None:
        self.procedures: dict[str, Any] = {}

    async def register(self, procedure: Any, uri: str, options: Any) -> None:
        self.procedures[uri] = procedure


def registered() -> dict[str, Any]:
    market = Market(lambda: 1.0)
    market.take_status(b'{"epoch":1,"state":"live","symbols":["BTCUSDT","ETHUSDT"],"stale":[]}')
    session = Session()
    api = MarketApi(market, lambda details: grants_of("viewer", "a", ["*"], (), frozenset()))
    with pytest.raises(StopIteration):
        api.register(session).send(None)
    return session.procedures


def test_symbols_are_answered_once_and_in_order() -> None:
    answer = registered()["market.snapshot"](["ETHUSDT", "BTCUSDT", "ETHUSDT"], details=DETAILS)
    assert list(answer.value()["symbols"]) == ["ETHUSDT", "BTCUSDT"]


def test_an_argument_may_be_given_by_its_name() -> None:
    answer = registered()["market.snapshot"](symbols=["BTCUSDT"], details=DETAILS)
    assert list(answer.value()["symbols"]) == ["BTCUSDT"]


@pytest.mark.parametrize(
    "value",
    ["BTCUSDT", [1], ["\ud800"], ["BTC USDT"], ["BTCUSDT\n"], ["x" * 21], [""], ["BTCUSDT"] * 2001, {"a": 1}, b"x"],
)
def test_what_could_be_no_symbol_is_refused_by_name_and_rule(value: object) -> None:
    with pytest.raises(ApplicationError) as raised:
        registered()["market.snapshot"](value, details=DETAILS)
    assert raised.value.error == "wamp.error.invalid_argument"
    [text] = raised.value.args
    assert text.startswith("symbols")
    assert text.isprintable()
    assert len(text) < 400


def test_every_procedure_refuses_what_it_does_not_take() -> None:
    procedures = registered()
    assert set(procedures) == {"market.symbols", "market.status", "market.snapshot"}
    for call in procedures.values():
        for args, kwargs in (((1, 2), {}), ((), {"evil\n\x1b[31m": 1})):
            with pytest.raises(ApplicationError) as raised:
                call(*args, details=DETAILS, **kwargs)
            assert raised.value.error == "wamp.error.invalid_argument"
            assert str(raised.value.args[0]).isprintable()


def test_others_can_register_procedures_with_a_schema_of_theirs() -> None:
    session = Session()
    with pytest.raises(StopIteration):
        register_checked(session, "a.b", NoArguments, lambda arguments, details: "answer").send(None)
    assert session.procedures["a.b"](details=DETAILS) == "answer"


def test_arguments_are_those_that_were_given() -> None:
    assert checked(SnapshotArguments, [["BTCUSDT"]], {}) == SnapshotArguments(["BTCUSDT"])
    assert checked(SnapshotArguments, [], {}) == checked(SnapshotArguments, [None], {}) == SnapshotArguments(None)
