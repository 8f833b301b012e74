"""What the market's procedures make of arguments."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from autobahn.wamp import ApplicationError

from components.core.arguments import NoArguments, checked
from components.core.batch import Batch
from components.core.grants import grants_of
from components.core.market import Market
from components.core.replay import ReplaySettings, TickHistory
from components.router.market_api import MarketApi, SnapshotArguments, register_checked

DETAILS: Any = SimpleNamespace()


class Session:
    """Keeps what is registered on it."""

    def __init__(self) -> None:
        self.procedures: dict[str, Any] = {}

    async def register(self, procedure: Any, uri: str, options: Any) -> None:
        self.procedures[uri] = procedure


def registered(*, awaits_history: bool = False) -> dict[str, Any]:
    market = Market(lambda: 1.0, lambda: 1.0)
    market.take_status(b'{"epoch":1,"state":"live","symbols":["BTCUSDT","ETHUSDT","SOLUSDT"],"stale":[]}')
    history = TickHistory(ReplaySettings(), lambda: 1.0)
    history.take_batch(Batch(1, 1, [("market.BTCUSDT", seq, b'{"price":1.50,"seq":%d}' % seq) for seq in (1, 2)]))
    session = Session()
    api = MarketApi(
        market,
        history,
        lambda: awaits_history,
        lambda details: grants_of("viewer", "a", ["BTC*", "ETH*"], (), frozenset()),
        lambda: 1700000000.1239,
    )
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


def test_a_replay_answers_with_what_followed_and_the_digits_as_they_came() -> None:
    answer = registered()["market.replay"]("BTCUSDT", 1, after_seq=1, details=DETAILS)
    assert answer.json == (
        b'{"epoch":1,"symbol":"BTCUSDT","after_seq":1,"to_seq":2,"events":[{"price":1.50,"seq":2}],"missing":[],"more":false}'
    )
    assert answer.value()["events"] == [{"price": 1.5, "seq": 2}]


@pytest.mark.parametrize(
    ("arguments", "uri", "text"),
    [
        (
            ("BTCUSDT", 1, 3),
            "wamp.error.invalid_argument",
            "after_seq must be at most 2, the newest of this epoch, was 3",
        ),
        (("BTCUSDT", 1, -1), "wamp.error.invalid_argument", "after_seq: expected `int` >= 0, was -1"),
        (("BTCUSDT", 1, True), "wamp.error.invalid_argument", "after_seq: expected `int`, got `bool`, was true"),
        (("BTCUSDT", 2**53 + 1, 0), "wamp.error.invalid_argument", None),
        (("BTCUSDT", "1", 0), "wamp.error.invalid_argument", None),
        (("BTC.USDT", 1, 0), "wamp.error.invalid_argument", None),
        (("BTCUSDT", 1), "wamp.error.invalid_argument", None),
        (("SOLUSDT", 1, 0), "crosstick.error.unknown_symbol", "unknown symbol SOLUSDT"),
        (("NOPE", 1, 0), "crosstick.error.unknown_symbol", "unknown symbol NOPE"),
    ],
)
def test_a_replay_of_what_cannot_be_is_a_clear_error(arguments: Any, uri: str, text: str | None) -> None:
    with pytest.raises(ApplicationError) as raised:
        registered()["market.replay"](*arguments, details=DETAILS)
    assert raised.value.error == uri
    assert text is None or raised.value.args == (text,)


@pytest.mark.parametrize("after_seq", [0, 3])
def test_a_replay_is_put_off_while_the_ticks_may_still_come(after_seq: int) -> None:
    with pytest.raises(ApplicationError) as raised:
        registered(awaits_history=True)["market.replay"]("BTCUSDT", 1, after_seq, details=DETAILS)
    assert (raised.value.error, *raised.value.args) == (
        "crosstick.error.not_ready",
        "the bus's history is being read",
    )


def test_the_time_is_the_gateways_in_whole_milliseconds() -> None:
    assert registered()["market.time"](details=DETAILS) == 1700000000123


def test_every_procedure_refuses_what_it_does_not_take() -> None:
    procedures = registered()
    assert set(procedures) == {"market.symbols", "market.status", "market.snapshot", "market.replay", "market.time"}
    for call in procedures.values():
        for args, kwargs in (((1, 2, 3, 4), {}), ((), {"evil\n\x1b[31m": 1})):
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
