"""A flood of refusals is a line at its beginning, one a minute, and one at its end with what they came to."""

from __future__ import annotations

from components.core.refusals import LOG_INTERVAL_S, QUIET_S, RefusalLines, Told, by_cause


def test_a_flood_has_a_beginning_and_an_end() -> None:
    lines = RefusalLines()
    assert lines.due(0, 0.0) is None
    told = [(second, lines.due(10 * min(second, 90), float(second))) for second in range(1, 300)]
    assert [(second, line) for second, line in told if line is not None] == [
        (1, Told.REFUSES),
        (1 + LOG_INTERVAL_S, Told.REFUSES),
        (90 + QUIET_S, Told.OVER),
    ]


def test_a_single_refusal_is_one_line() -> None:
    lines = RefusalLines()
    assert lines.due(1, 0.0) is Told.REFUSES
    assert [lines.due(1, float(second)) for second in range(1, 200)] == [None] * 199


def test_floods_one_after_the_other_are_two_lines_a_minute_at_most_and_none_is_left_out() -> None:
    lines = RefusalLines()
    total, logged, at = 0, 0, []
    for second in range(1, 1200):
        if second % 10 == 1 and second < 900:
            total += 100
        if lines.due(total, float(second)) is not None:
            logged = total
            at.append(second)
    assert logged == total
    assert len(at) <= 2 * 900 / LOG_INTERVAL_S + 2
    assert at[-1] <= 900 + LOG_INTERVAL_S


def test_causes_are_named_by_how_many_there_are() -> None:
    counts = {"b": 2, "a": 2, "none": 0, "most": 30, "least": 1, "c": 1}
    assert by_cause(counts) == "30 by most, 2 by a, 2 by b, 1 by c, 1 by least"
    assert by_cause(counts, 3) == "30 by most, 2 by a, 2 by b, 2 by others"
    assert by_cause(counts, 5) == by_cause(counts)
    assert by_cause({}) == ""
