"""The fan-out's entry in the configuration: defaults, and one clear line for what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from components.router.fanout_settings import FanOutSettings, FanOutSettingsError


def test_what_is_left_out_has_its_default() -> None:
    assert FanOutSettings.from_extra({}) == FanOutSettings()
    assert FanOutSettings.from_extra({"fanout": None}) == FanOutSettings()
    assert [rate.name for rate in FanOutSettings().rates] == ["every_100ms", "every_500ms", "every_1s"]


def test_an_empty_list_of_rates_means_none() -> None:
    assert FanOutSettings.from_extra({"fanout": {"rates": []}}).rates == ()


def test_without_an_age_limit_every_event_is_young_enough() -> None:
    assert FanOutSettings.from_extra({"fanout": {"snapshot_max_age": None}}).snapshot_max_age_s is None
    assert FanOutSettings.from_extra({"fanout": {"snapshot_max_age": 0.5}}).snapshot_max_age_s == 0.5


def test_what_is_kept_for_clients_that_come_back_can_be_set_one_by_one() -> None:
    replay = FanOutSettings.from_extra({"fanout": {"replay": {"max_age": 60}}}).replay
    assert (replay.max_age, replay.max_bytes) == (60, FanOutSettings().replay.max_bytes)


@pytest.mark.parametrize(
    ("fanout", "reason"),
    [
        ({"rates": None}, "rates must be a list"),
        ({"rates": ["every_1s", "every_1s"]}, "rates must differ"),
        ({"rates": ["every_1ms"]}, "a rate must be from 10 ms"),
        ({"snapshot_max_age": 0}, "snapshot_max_age must be null or a number of seconds > 0, was 0"),
        ({"snapshot_max_age": "1h"}, "was '1h'"),
        ({"snapshot_max_age": float("nan")}, "was nan"),
        ({"snapshot_max_age": True}, "was True"),
        ({"rats": []}, "unknown key 'rats'"),
        ({"window_ms": 101}, "window_ms must be a number from 0 to 100, was 101"),
        ({"send_buffer_bytes": 1}, "send_buffer_bytes must be null or a whole number >= 4096, was 1"),
        ({"max_bytes": 0}, "max_bytes must be a whole number > 0, was 0"),
        ({"replay": {"max_events_per_symbol": 0}}, "replay.max_events_per_symbol: expected `int` >= 1, was 0"),
        ({"replay": {"max_event": 5}}, "replay has an unknown key 'max_event'; known are max_events_per_symbol, "),
        ({"replay": [5]}, r"replay must be a mapping, was \[5\]"),
        ([1], "fanout must be a mapping, was \\[1\\]"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(fanout: Any, reason: str) -> None:
    with pytest.raises(FanOutSettingsError, match=reason) as raised:
        FanOutSettings.from_extra({"fanout": fanout})
    assert "\n" not in str(raised.value)


def test_a_misspelt_block_is_not_passed_over() -> None:
    with pytest.raises(FanOutSettingsError, match="extra has an unknown key 'fanuot'; known are fanout"):
        FanOutSettings.from_extra({"fanuot": {"hold_ms": 1}, "cbdir": ".crossbar"})


def test_an_unknown_key_is_answered_with_all_that_are_known() -> None:
    with pytest.raises(FanOutSettingsError, match=r"fanout has an unknown key 'foo'; known are .*hold_ms.*policies"):
        FanOutSettings.from_extra({"fanout": {"foo": 1}})
