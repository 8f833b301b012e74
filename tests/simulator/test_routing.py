"""Routing and framing: who gets which bytes."""

from __future__ import annotations

import pytest

from components.core.websocket_frames import text_frame
from components.simulator.routing import Form, Outbox, StreamRouter, in_form

RAW, COMBINED = Form(False, False), Form(True, False)


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (1023, b"\x81\x7e\x03\xff"),
        (1024, b"\x81\x7e\x04\x00"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f" + bytes([0, 0, 0, 0, 0, 1, 0, 0])),
    ],
)
def test_a_text_frame_has_the_header_of_its_size(size: int, header: bytes) -> None:
    assert text_frame(b"x" * size) == header + b"x" * size


def test_listeners_get_frames_in_their_form_and_the_rest_is_dropped() -> None:
    changes: list[str] = []
    router = StreamRouter(lambda name: changes.append(f"+{name}"), lambda name: changes.append(f"-{name}"))
    raw: Outbox = []
    combined: Outbox = []
    router.listen(("a@trade",), RAW, raw)
    router.listen(("a@trade", "b@trade"), COMBINED, combined)
    assert router.dispatch([("a@trade", b"1"), ("b@trade", b"2"), ("c@trade", b"3")]) == 3
    assert raw == [text_frame(b"1")]
    assert combined == [text_frame(b'{"stream":"a@trade","data":1}'), text_frame(b'{"stream":"b@trade","data":2}')]
    router.unlisten(("a@trade", "never@trade"), raw)
    router.unlisten(("a@trade", "b@trade"), combined)
    assert router.dispatch([("a@trade", b"1")]) == 0
    assert changes == ["+a@trade", "+b@trade", "-a@trade", "-b@trade"]


def test_microseconds_lengthen_times_and_nothing_else() -> None:
    form = Form(False, True)
    trade = b'{"e":"trade","E":1700000000123,"s":"X","t":1700000000555,"p":"1.0","T":1700000000123}'
    assert in_form("x@trade", trade, form) == (
        b'{"e":"trade","E":1700000000123000,"s":"X","t":1700000000555,"p":"1.0","T":1700000000123000}'
    )
    kline = b'{"e":"kline","E":1700000000123,"k":{"t":1700000000000,"T":1700000059999,"L":1700000000000}}'
    assert in_form("x@kline_1m", kline, form) == (
        b'{"e":"kline","E":1700000000123000,"k":{"t":1700000000000000,"T":1700000059999000,"L":1700000000000}}'
    )
