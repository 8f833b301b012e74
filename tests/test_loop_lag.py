"""How late an event loop is."""

from __future__ import annotations

from twisted.internet.task import Clock

from components.loop_lag import BLOCKED_S, INTERVAL_S, WINDOW_S, LoopLag


class BusyClock(Clock):
    """Fires its calls late."""

    def late(self, lag_s: float) -> None:
        """Let a look come so much later than it is due."""
        self.rightNow += lag_s
        self.advance(INTERVAL_S)


def test_a_loop_that_turns_is_never_late() -> None:
    clock = BusyClock()
    lag = LoopLag(clock)
    lag.start()
    clock.pump([INTERVAL_S] * 100)
    assert lag.histogram.count == 100
    assert lag.greatest_s < 1e-6
    lag.stop()
    assert clock.getDelayedCalls() == []


def test_each_time_that_it_stands_still_is_told() -> None:
    clock = BusyClock()
    told: list[float] = []
    lag = LoopLag(clock, told.append)
    lag.start()
    clock.late(BLOCKED_S - 0.01)
    assert told == []
    clock.late(1.0)
    clock.late(2.0)
    assert [round(each, 6) for each in told] == [1.0, 2.0]
    assert lag.times_blocked == 2
    assert dict(lag.histogram.cumulative())[0.5] == 1


def test_the_greatest_is_seen_for_a_while_by_all_who_ask() -> None:
    clock = BusyClock()
    lag = LoopLag(clock)
    lag.start()
    clock.late(3.0)
    clock.pump([INTERVAL_S] * int(WINDOW_S / INTERVAL_S))
    assert round(lag.greatest_s, 6) == 3.0
    clock.pump([INTERVAL_S] * int(WINDOW_S / INTERVAL_S + 2))
    assert lag.greatest_s < 1e-6
