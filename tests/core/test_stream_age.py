"""Which batches of a stream are too old."""

from __future__ import annotations

from components.core.stream_age import StreamAge


def test_what_was_written_longer_ago_than_the_age_is_too_old_and_nothing_else() -> None:
    age = StreamAge(10.0)
    assert age.too_old(0.0) is None
    for now_s in range(31):
        age.written(float(now_s), 7, now_s * 100)
        known = age.too_old(float(now_s))
        assert known == (None if now_s <= 10 else (7, (now_s - 11) * 100))


def test_of_a_writer_that_pauses_the_last_note_stays() -> None:
    age = StreamAge(10.0)
    age.written(0.0, 7, 5)
    age.written(1.0, 8, 2)
    age.written(50.0, 8, 3)
    assert age.too_old(50.0) == (8, 2)
