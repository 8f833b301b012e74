"""Faults: what can be asked for, and what they do to frames."""

from __future__ import annotations

import json

import pytest

from components.simulator.faults import (
    Fault,
    FaultError,
    FaultKind,
    FaultyWire,
    MalformedFrame,
    break_payload,
    parse_fault,
)

TRADE = b'{"e":"trade","E":1,"s":"BTCUSDT","t":7,"p":"1.50000000","q":"2.00000000","T":1,"m":true,"M":true}'
BTC = ("btcusdt@trade", TRADE)
BTC_BOOK = ("btcusdt@bookTicker", b"{}")
ETH = ("ethusdt@trade", TRADE.replace(b"BTC", b"ETH"))


def wire(kind: FaultKind, symbol: str | None = None, seconds: float | None = None, count: int = 1) -> FaultyWire:
    faulty = FaultyWire()
    faulty.arm(Fault(kind, symbol, seconds, count), 100.0)
    return faulty


def test_without_a_fault_frames_pass_untouched() -> None:
    frames = [BTC, ETH]
    assert FaultyWire().apply(frames, 0.0) is frames


def test_a_silent_symbol_sends_nothing_and_the_others_do() -> None:
    assert wire(FaultKind.SILENT, "BTCUSDT").apply([BTC, BTC_BOOK, ETH], 101.0) == [ETH]


def test_silence_without_a_symbol_is_everybodys() -> None:
    assert wire(FaultKind.SILENT).apply([BTC, ETH], 101.0) == []


def test_silence_ends_after_its_time() -> None:
    faulty = wire(FaultKind.SILENT, "BTCUSDT", seconds=5)
    assert faulty.apply([BTC], 104.9) == []
    assert faulty.apply([BTC], 105.0) == [BTC]


def test_a_duplicate_is_sent_twice_once() -> None:
    faulty = wire(FaultKind.DUPLICATE, "BTCUSDT")
    assert faulty.apply([ETH, BTC_BOOK, BTC, BTC], 101.0) == [ETH, BTC_BOOK, BTC, BTC, BTC]
    assert faulty.apply([BTC], 102.0) == [BTC]


def test_a_gap_swallows_as_many_trades_as_asked_for() -> None:
    faulty = wire(FaultKind.GAP, "BTCUSDT", count=2)
    assert faulty.apply([BTC, ETH, BTC, BTC_BOOK, BTC], 101.0) == [ETH, BTC_BOOK, BTC]


def test_without_a_symbol_the_first_trade_decides_the_stream() -> None:
    assert wire(FaultKind.GAP, count=2).apply([ETH, BTC, ETH, ETH], 101.0) == [BTC, ETH]


def test_a_malformed_copy_follows_the_good_frame() -> None:
    sent = wire(FaultKind.MALFORMED).apply([BTC, BTC], 101.0)
    assert [frame for frame in sent if frame == BTC] == [BTC, BTC]
    assert len(sent) == 3
    with pytest.raises(json.JSONDecodeError):
        json.loads(sent[1][1])


def test_variants_of_malformed_frames_are_json_with_one_thing_wrong() -> None:
    assert json.loads(break_payload(TRADE, MalformedFrame.UNKNOWN_EVENT))["e"] == "mystery"
    wrong = json.loads(break_payload(TRADE, MalformedFrame.WRONG_TYPES))
    assert (wrong["t"], wrong["p"], wrong["q"]) == ("seven", [], [])
    assert json.loads(break_payload(TRADE, MalformedFrame.BAD_PRICE))["p"] == "12,5x"
    aggregate = TRADE.replace(b'"t":7', b'"a":7,"f":7,"l":7')
    assert json.loads(break_payload(aggregate, MalformedFrame.WRONG_TYPES))["a"] == "seven"


def test_pongs_fail_for_their_time() -> None:
    faulty = wire(FaultKind.NO_PONG, seconds=5)
    assert faulty.pings_suspended(104.0)
    assert not faulty.pings_suspended(105.0)
    assert faulty.apply([BTC], 101.0) == [BTC]


def test_resume_ends_every_fault() -> None:
    faulty = wire(FaultKind.SILENT)
    faulty.arm(Fault(FaultKind.NO_PONG), 100.0)
    faulty.arm(Fault(FaultKind.GAP, count=1000), 100.0)
    faulty.arm(Fault(FaultKind.RESUME), 101.0)
    assert faulty.apply([BTC], 101.0) == [BTC]
    assert not faulty.pings_suspended(101.0)


def test_what_ends_connections_is_not_the_wires_business() -> None:
    with pytest.raises(ValueError, match="cut does not act on frames"):
        wire(FaultKind.CUT)


def test_a_fault_is_asked_for_in_json() -> None:
    assert parse_fault('{"fault":"cut","symbol":null,"seconds":null}') == Fault(FaultKind.CUT)
    assert parse_fault(b'{"fault":"malformed","symbol":"BTCUSDT","count":3,"variant":"bad_price"}') == Fault(
        FaultKind.MALFORMED, "BTCUSDT", None, 3, MalformedFrame.BAD_PRICE
    )
    assert parse_fault('{"fault":"silent","seconds":2.5}').seconds == 2.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "JSON object"),
        ("[]", "JSON object"),
        ("{}", "fault must be one of cut, down, .* was None"),
        ('{"fault":"fire"}', "was 'fire'"),
        ('{"fault":["cut"]}', "fault must be one of"),
        ('{"fault":"gap","symbol":"btcusdt"}', "symbol must be upper case"),
        ('{"fault":"gap","symbol":7}', "symbol must be upper case"),
        ('{"fault":"silent","seconds":-1}', "seconds must be a number from 0"),
        ('{"fault":"silent","seconds":NaN}', "seconds must be a number"),
        ('{"fault":"silent","seconds":true}', "seconds must be a number"),
        ('{"fault":"gap","count":0}', "count must be a whole number from 1"),
        ('{"fault":"gap","count":1.5}', "count must be a whole number"),
        ('{"fault":"malformed","variant":"odd"}', "variant must be one of"),
        ('{"fault":"gap","colour":1}', "unknown key 'colour'"),
    ],
)
def test_an_impossible_fault_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(FaultError, match=message) as caught:
        parse_fault(text)
    assert "\n" not in str(caught.value)
