"""A fault leaves the cluster whole: the next one is not to meet a part that is still starting."""

from __future__ import annotations

import random
from typing import Any

import pytest

from components.cluster import faults


class Feed:
    name = "feed1"

    def __init__(self, done: list[str]) -> None:
        self._done = done

    def kill(self) -> None:
        self._done.append("kill")

    def terminate(self) -> None:
        self._done.append("terminate")

    def wait(self, timeout_s: float) -> int:
        return 0

    def start(self) -> None:
        self._done.append("start")


class Cluster:
    def __init__(self) -> None:
        self.done: list[str] = []
        self.feeds = [Feed(self.done)]

    def leader(self) -> int:
        return 0

    def wait_until_can_lead(self, feed: Feed) -> None:
        self.done.append(f"wait for {feed.name}")


@pytest.mark.parametrize(("name", "ending"), [("kill the leading feed", "kill"), ("hand the lead over", "terminate")])
def test_a_feed_that_has_ended_is_back_before_the_next_fault(
    name: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "RESTART_AFTER_S", 0.0)
    cluster: Any = Cluster()
    fault = faults.faults(random.Random(1), 2)[name]()
    assert fault.make(cluster) == "feed1"
    assert cluster.done == [ending, "start", "wait for feed1"]
