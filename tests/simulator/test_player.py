"""The player: when recorded frames are due, and to whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.core.recording import RecordedFrame
from components.simulator.player import RecordingPlayer

FRAMES = [RecordedFrame(1000.0 + second, f"{symbol}@trade", b"%d" % second) for second, symbol in enumerate("abab")]
NOW_MS = 5_000


def player(
    frames: list[RecordedFrame] | None = None, *, speed: float = 1, loop: bool = False, watch: str = "ab"
) -> RecordingPlayer:
    def read() -> Iterator[RecordedFrame]:
        return iter(FRAMES if frames is None else frames)

    made = RecordingPlayer(read, speed=speed, loop=loop)
    for name in watch:
        made.watch(f"{name}@trade")
    return made


def played(source: RecordingPlayer, at_ms: int) -> list[bytes]:
    return [payload for _, payload in source.advance(NOW_MS + at_ms)]


def test_frames_come_at_the_recorded_pace() -> None:
    source = player()
    assert played(source, 0) == [b"0"]
    assert played(source, 999) == []
    assert played(source, 1000) == [b"1"]
    assert played(source, 3000) == [b"2", b"3"]


def test_ten_times_faster_is_ten_times_faster() -> None:
    source = player(speed=10)
    assert played(source, 0) == [b"0"]
    assert played(source, 99) == []
    assert played(source, 300) == [b"1", b"2", b"3"]


def test_it_starts_when_somebody_watches() -> None:
    source = player(watch="")
    assert played(source, 0) == []
    assert played(source, 60_000) == []
    source.watch("a@trade")
    assert played(source, 60_001) == [b"0"]


def test_only_watched_streams_are_played_and_time_passes_for_all() -> None:
    source = player(watch="b")
    assert played(source, 0) == []
    assert played(source, 1000) == [b"1"]
    source.unwatch("b@trade")
    source.watch("a@trade")
    assert played(source, 3000) == [b"2"]


def test_once_means_once() -> None:
    source = player()
    played(source, 0)
    assert not source.ended
    assert played(source, 10_000) == [b"1", b"2", b"3"]
    assert source.ended
    assert played(source, 20_000) == []


def test_a_loop_begins_again_after_the_last_frame() -> None:
    source = player(loop=True)
    played(source, 0)
    assert played(source, 3_001) == [b"1", b"2", b"3", b"0"]
    assert played(source, 4_001) == [b"1"]
    assert not source.ended


def test_a_loop_of_one_instant_does_not_spin() -> None:
    source = player([RecordedFrame(1.0, "a@trade", b"7")], loop=True)
    played(source, 0)
    assert played(source, 50) == [b"7"] * 50


def test_an_empty_recording_has_ended() -> None:
    source = player([], loop=True)
    assert played(source, 0) == []
    assert source.ended


def test_a_step_back_in_recorded_time_is_played_at_once() -> None:
    source = player([RecordedFrame(10.0, "a@trade", b"first"), RecordedFrame(9.0, "a@trade", b"second")])
    assert played(source, 0) == [b"first", b"second"]


def test_a_speed_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="speed must be > 0, was 0"):
        player(speed=0)
