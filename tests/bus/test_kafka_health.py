"""What a node's log says of brokers that cannot be reached: when it begins, and when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from components.bus.kafka.health import MAX_CAUSES, OVER_AFTER_S, KafkaHealth


class Said:
    """A log, a clock, and the health that uses both."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now_s = 100.0
        log: Any = self
        self.health = KafkaHealth("Kafka at k:9092", log, lambda: self.now_s)

    def warn(self, text: str, **values: Any) -> None:
        self.lines.append("warn: " + text.format(**values))

    def info(self, text: str, **values: Any) -> None:
        self.lines.append("info: " + text.format(**values))

    def look(self, *troubles: str, answered: bool = True, for_s: float = 0.2) -> None:
        self.health.look(troubles, answered=answered)
        self.now_s += for_s

    def well(self) -> None:
        self.look(for_s=OVER_AFTER_S)
        self.look()


@pytest.fixture
def said() -> Said:
    return Said()


def test_the_first_connection_is_said_once(said: Said) -> None:
    said.look(answered=False, for_s=60.0)
    said.look(answered=False)
    assert said.lines == []
    said.well()
    said.well()
    assert said.lines == ["info: connected to Kafka at k:9092"]


def test_a_trouble_is_said_once_whatever_its_figures_and_so_is_its_end(said: Said) -> None:
    said.well()
    said.lines.clear()
    for number in range(20):
        said.look(f"Kafka at k:9092 has not answered for {number} s")
    assert said.lines == ["warn: Kafka at k:9092 has not answered for 0 s"]
    said.well()
    said.well()
    assert said.lines[1:] == ["info: Kafka at k:9092 is back after 4.0 s"]
    said.look("down")
    assert said.lines[2:] == ["warn: down"]


def test_a_moment_without_trouble_is_no_end(said: Said) -> None:
    said.well()
    said.lines.clear()
    for _ in range(20):
        said.look("down (after 3ms in state CONNECT)")
        said.look(for_s=OVER_AFTER_S / 2)
    assert said.lines == ["warn: down (after 3ms in state CONNECT)"]


def test_a_trouble_before_the_first_connection_ends_with_it(said: Said) -> None:
    said.look("no such topic", answered=False)
    said.look(answered=False, for_s=60.0)
    said.well()
    assert said.lines == ["warn: no such topic", "info: connected to Kafka at k:9092"]


def test_of_one_trouble_so_many_causes_are_said(said: Said) -> None:
    for letter in "abcdefghij":
        said.look(f"cause {letter}", "cause a")
    assert len(said.lines) == MAX_CAUSES
