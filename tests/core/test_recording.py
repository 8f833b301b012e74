"""Recordings: which stream a line belongs to, untouched digits, and errors that say where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.core.recording import RecordedFrame, RecordingError, read_recording, recorded_streams

CAPTURES = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def write(path: Path, *messages: str, start_s: float = 1633998512.5) -> Path:
    lines = [json.dumps({"t": start_s + number, "msg": message}) for number, message in enumerate(messages)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_combined_message_gives_its_stream_and_the_exact_text_of_its_payload(tmp_path: Path) -> None:
    payload = '{"e":"aggTrade", "s":"NKNUSDT","p":"0.35280000",  "q":"58.00000000"}'
    path = write(tmp_path / "one.jsonl", '{"stream":"nknusdt@aggTrade","data":' + payload + "}")
    assert list(read_recording(path)) == [RecordedFrame(1633998512.5, "nknusdt@aggTrade", payload.encode())]


@pytest.mark.parametrize(
    ("payload", "stream"),
    [
        ('{"e":"trade","s":"BTCUSDT","t":1,"p":"1.0"}', "btcusdt@trade"),
        ('{"e":"aggTrade","s":"BTCUSDT","a":1,"p":"1.0"}', "btcusdt@aggTrade"),
        ('{"u":4,"s":"BTCUSDT","b":"1.0","B":"2.0","a":"1.1","A":"3.0"}', "btcusdt@bookTicker"),
        ('{"e":"kline","s":"BTCUSDT","k":{"i":"1m"}}', "btcusdt@kline_1m"),
        ('{"e":"24hrMiniTicker","s":"BTCUSDT"}', "btcusdt@miniTicker"),
        ('{"e":"depthUpdate","s":"BTCUSDT","U":1,"u":1,"b":[],"a":[]}', "btcusdt@depth@100ms"),
    ],
)
def test_a_bare_payload_tells_its_stream_by_its_fields(tmp_path: Path, payload: str, stream: str) -> None:
    (frame,) = read_recording(write(tmp_path / "bare.jsonl", payload))
    assert (frame.stream, frame.payload) == (stream, payload.encode())


def test_streams_are_upper_case_symbols_and_kinds(tmp_path: Path) -> None:
    path = write(
        tmp_path / "some.jsonl",
        '{"stream":"nknusdt@depth@100ms","data":{}}',
        '{"stream":"nknusdt@depth@100ms","data":{}}',
        '{"stream":"lrcbtc@bookTicker","data":{}}',
        '{"stream":"!miniTicker@arr","data":[]}',
    )
    assert recorded_streams(path) == {("NKNUSDT", "depth@100ms"), ("LRCBTC", "bookTicker")}


def test_empty_lines_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "gaps.jsonl", '{"stream":"a@trade","data":1}')
    path.write_text("\n" + path.read_text() + "\n  \n")
    assert len(list(read_recording(path))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[]",
        '{"t": 1}',
        '{"t": "soon", "msg": "{}"}',
        '{"t": 1, "msg": "{}"}',
        '{"t": 1, "msg": "{\\"e\\":\\"mystery\\",\\"s\\":\\"BTCUSDT\\"}"}',
        '{"t": 1, "msg": "{\\"stream\\":\\"btcusdt\\",\\"data\\":{}}"}',
        '{"t": 1, "msg": "oops"}',
    ],
)
def test_a_malformed_line_is_named_by_file_and_number_in_one_line(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "bad.jsonl", '{"stream":"a@trade","data":1}')
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(RecordingError, match=r"bad\.jsonl:2: ") as caught:
        list(read_recording(path))
    assert "\n" not in str(caught.value)


def test_a_recording_without_streams_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text("")
    with pytest.raises(RecordingError, match="no stream"):
        recorded_streams(path)


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="no real captures beside the repository")
def test_real_captures_are_read_to_the_last_line() -> None:
    for path in CAPTURES.glob("*.jsonl"):
        lines = path.read_text().splitlines()
        frames = list(read_recording(path))
        assert len(frames) == len(lines)
        for line, frame in zip(lines, frames, strict=True):
            message = json.loads(line)["msg"]
            assert '{"stream":"' + frame.stream + '","data":' + frame.payload.decode() + "}" == message
        assert recorded_streams(path)
