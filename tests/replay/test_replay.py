"""Files as one market by time: what is selected, in which order, how far it is, and what is said of damage."""

from __future__ import annotations

import gzip
import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from components.core.recording import RecordedFrame, RecordingError, dropped_line, recording_line
from components.replay.merge import merged
from components.replay.replay import SETTLE_MS, Replay
from components.replay.sources import ReplayFile, Selection

START_S = 1_782_900_000
ALL = Selection()


def recording(path: Path, symbol: str, seconds: Sequence[float]) -> Path:
    lines = [
        recording_line(START_S + second, b'{"stream":"%b@trade","data":{"t":%d}}' % (symbol.encode(), number))
        for number, second in enumerate(seconds)
    ]
    path.write_bytes(gzip.compress(b"".join(lines)))
    return path


def dump(path: Path, seconds: Sequence[float]) -> Path:
    rows = "".join(
        f"{number},1.50,2,3,{int((START_S + second) * 1_000_000)},True,True\n" for number, second in enumerate(seconds)
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.with_suffix(".csv").name, rows)
    return path


def offsets(frames: Sequence[RecordedFrame]) -> list[tuple[str, float]]:
    return [(frame.stream.partition("@")[0], frame.time_s - START_S) for frame in frames]


def test_recordings_and_dumps_are_one_sequence_by_time(tmp_path: Path) -> None:
    files = [
        ReplayFile(recording(tmp_path / "a.jsonl.gz", "a", [0, 1, 5, 9])),
        ReplayFile(dump(tmp_path / "BUSDT-trades-2026-07-01.zip", [0.5, 1, 2, 8.25])),
        ReplayFile(recording(tmp_path / "c.jsonl.gz", "c", [7, 8.25])),
    ]
    assert offsets(list(merged(files, ALL))) == [
        ("a", 0),
        ("busdt", 0.5),
        ("a", 1),
        ("busdt", 1),
        ("busdt", 2),
        ("a", 5),
        ("c", 7),
        ("busdt", 8.25),
        ("c", 8.25),
        ("a", 9),
    ]


def test_files_that_follow_one_another_are_open_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [ReplayFile(recording(tmp_path / f"{n}.jsonl.gz", "a", [10 * n, 10 * n + 5])) for n in (2, 0, 1)]
    open_at_once = [sum(file._open is not None for file in files) for _ in merged(files, ALL)]
    assert open_at_once == [1] * 6
    assert [second for _, second in offsets(list(merged(files, ALL)))] == [0, 5, 10, 15, 20, 25]


def test_a_step_back_within_a_file_stays_where_it_is(tmp_path: Path) -> None:
    files = [
        ReplayFile(recording(tmp_path / "a.jsonl.gz", "a", [0, 5, 3, 6])),
        ReplayFile(recording(tmp_path / "b.jsonl.gz", "b", [4])),
    ]
    assert offsets(list(merged(files, ALL))) == [("a", 0), ("b", 4), ("a", 5), ("a", 3), ("a", 6)]


def test_times_and_symbols_select(tmp_path: Path) -> None:
    files = [
        ReplayFile(recording(tmp_path / "a.jsonl.gz", "ausdt", [0, 1, 2, 3])),
        ReplayFile(dump(tmp_path / "BUSDT-trades-2026-07-01.zip", [0, 1, 2, 3])),
    ]
    within = Selection(from_s=START_S + 1, to_s=START_S + 3)
    assert [second for _, second in offsets(list(merged(files, within)))] == [1, 1, 2, 2]
    of_one = Selection(symbols=frozenset({"BUSDT"}))
    assert {symbol for symbol, _ in offsets(list(merged(files, of_one)))} == {"busdt"}
    assert [file.position_bytes for file in files] == [file.size_bytes for file in files]


def test_a_dump_says_where_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "BUSDT-aggTrades-2026-07-01.csv"
    path.write_text("1,1.5,2,1,1,1782900000000,true,true\n2,x,2,2,2,1782900000000,true,true\n")
    file = ReplayFile(path)
    with pytest.raises(RecordingError, match=r"BUSDT-aggTrades-2026-07-01\.csv:2: column price is 'x'"):
        list(merged([file], ALL))


def test_a_file_that_is_neither_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "prices.txt"
    path.write_text("")
    with pytest.raises(RecordingError, match=r"prices\.txt:1: neither a recording"):
        ReplayFile(path)


def test_a_recording_whose_writer_was_killed_is_played_and_told(tmp_path: Path) -> None:
    path = tmp_path / "torn.jsonl"
    whole = recording_line(START_S, b'{"stream":"a@trade","data":1}')
    path.write_bytes(whole + dropped_line(START_S, 7) + whole[:40])
    file = ReplayFile(path)
    assert len(list(merged([file], ALL))) == 1
    assert (file.findings.torn, file.findings.dropped) == (f"{path}:3", 7)
    compressed = tmp_path / "torn.jsonl.gz"
    compressed.write_bytes(gzip.compress(whole) + gzip.compress(whole * 1000)[:-9])
    file = ReplayFile(compressed)
    assert len(list(merged([file], ALL))) > 1
    assert file.findings.torn.startswith(f"{compressed}:")


class Played:
    """A replay and what it says of its end."""

    def __init__(self, path: Path, *, speed: float = math.inf, loop: bool = False, wait: bool = True) -> None:
        self.ends: list[str] = []
        self.replay = Replay([ReplayFile(path)], ALL, self.ends.append, speed=speed, loop=loop, wait=wait)

    def numbers(self, now_ms: int) -> list[int]:
        return [json.loads(payload)["t"] for _, payload in self.replay.advance(now_ms)]


def test_it_waits_until_who_subscribes_has_done_so(tmp_path: Path) -> None:
    played = Played(recording(tmp_path / "a.jsonl.gz", "a", [0, 1]))
    assert played.numbers(10 * SETTLE_MS) == []
    played.replay.watch("b@trade")
    assert played.numbers(20 * SETTLE_MS) == []
    played.replay.watch("a@trade")
    assert played.numbers(20 * SETTLE_MS + 500) == []
    assert played.numbers(21 * SETTLE_MS + 499) == []
    assert played.replay.position_bytes == 0
    assert played.numbers(21 * SETTLE_MS + 500) == [0, 1]
    assert played.ends == [""]
    assert played.numbers(30 * SETTLE_MS) == []
    assert played.ends == [""]


def test_without_waiting_it_begins_at_once_and_passes_over_what_nobody_watches(tmp_path: Path) -> None:
    played = Played(recording(tmp_path / "a.jsonl.gz", "a", [0, 1, 2]), speed=10, wait=False)
    assert played.numbers(1000) == []
    played.replay.watch("a@trade")
    assert played.numbers(1100) == [1]
    assert played.numbers(1200) == [2]
    assert (played.replay.player.played, played.replay.sent) == (3, 2)


def test_damage_ends_it_with_file_and_line(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.jsonl.gz", "a", range(3000))
    path.write_bytes(path.read_bytes() + gzip.compress(b"no JSON\n"))
    played = Played(path, wait=False)
    played.numbers(0)
    assert played.ends
    assert played.ends[0].startswith(f"{path}:3001: ")


def test_a_loop_goes_on(tmp_path: Path) -> None:
    played = Played(recording(tmp_path / "a.jsonl.gz", "a", [0]), speed=1, loop=True)
    played.replay.watch("a@trade")
    played.numbers(0)
    assert len(played.numbers(SETTLE_MS)) == 1
    assert len(played.numbers(SETTLE_MS + 20)) == 20
    assert played.ends == []


def test_a_symbol_that_trades_late_is_found_and_one_that_never_does_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.replay.sources.FRAMES_LOOKED_AT", 2)
    path = tmp_path / "a.jsonl"
    streams = ("btcusdt@trade", "!ticker@arr", "ethusdt@trade")
    path.write_bytes(
        b"".join(recording_line(START_S, b'{"stream":"%b","data":{}}' % stream.encode()) for stream in streams)
    )
    file = ReplayFile(path)
    assert file.streams == set(streams[:2])
    found = [file.has_any(Selection(symbols=frozenset(names))) for names in ({"ETHUSDT"}, {"XRPUSDT"}, set())]
    assert found == [True, False, True]
    assert len(list(file.frames(ALL))) == 3
