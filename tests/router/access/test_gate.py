"""A session's gate: what passes, what it says when nothing does, and when it has had enough."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.task import Clock

from components.core.limits import Limits
from components.router.access.gate import Gate


class Session:
    """Has a gate, and notes what the gate says."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.refused: Counter[str] = Counter()
        self.closed = 0
        self.gate = Gate(Limits(**limits), self.clock.seconds, self._count, self._close)

    def _count(self, limit: str) -> None:
        self.refused[limit] += 1

    def _close(self) -> None:
        self.closed += 1


def test_messages_of_one_read_are_let_through_as_far_as_they_may() -> None:
    session = Session(messages_per_s=1.0, messages_burst=5)
    assert session.gate.begin(3) == 3
    session.gate.end()
    assert session.gate.begin(4) == 2
    session.gate.end()
    assert not session.refused
    assert not session.gate.take_message()
    session.clock.advance(1.0)
    assert session.gate.take_message()


def test_messages_that_were_counted_together_are_not_counted_again() -> None:
    session = Session(messages_per_s=1.0, messages_burst=1)
    assert session.gate.begin(1) == 1
    assert session.gate.take_message()
    session.gate.end()
    assert not session.gate.take_message()


def test_of_a_reads_messages_those_that_publish_are_counted_as_publications() -> None:
    session = Session(publishes_per_s=1.0, publishes_burst=5)
    assert session.gate.begin(4) == 4
    assert [session.gate.may_publish() for _ in range(2)] == [True, True]
    session.gate.end()
    session.gate.begin(4)
    assert [session.gate.may_publish() for _ in range(4)] == [True, True, True, False]
    session.gate.end()
    assert session.gate.publish() == ("publishes_per_s", 1.0)


def test_without_a_limit_everything_passes() -> None:
    session = Session(
        messages_per_s=None,
        publishes_per_s=None,
        calls_per_s=None,
        max_concurrent_calls=None,
        max_subscriptions=None,
        max_registrations=None,
    )
    gate = session.gate
    assert gate.begin(10**6) == 10**6
    gate.end()
    assert gate.take_message()
    assert gate.publish() is gate.call(10**6) is None
    assert gate.room_for_subscription(10**6)
    assert gate.room_for_registration(10**6)


def test_calls_have_a_rate_and_a_number_that_may_be_unanswered() -> None:
    session = Session(calls_per_s=1.0, calls_burst=2, max_concurrent_calls=3)
    assert session.gate.call(3) == ("max_concurrent_calls", 3)
    assert session.gate.call(2) is None
    assert session.gate.call(0) is None
    assert session.gate.call(0) == ("calls_per_s", 1.0)


def test_each_refusal_is_counted_by_its_limit() -> None:
    session = Session(publishes_per_s=1.0, publishes_burst=1, max_subscriptions=2)
    assert session.gate.publish() is None
    assert session.gate.publish() == ("publishes_per_s", 1.0)
    assert session.gate.refuse("max_subscriptions") == ("max_subscriptions", 2)
    assert session.refused == {"publishes_per_s": 1, "max_subscriptions": 1}


def test_who_is_refused_again_and_again_is_closed_and_who_is_now_and_then_is_not() -> None:
    session = Session(refusals_per_s=1.0, refusals_burst=3)
    for _ in range(10):
        session.gate.refuse("max_subscriptions")
        session.clock.advance(1.0)
    assert session.closed == 0
    for _ in range(4):
        session.gate.refuse("max_subscriptions")
    assert session.closed == 1


def test_a_gate_after_another_gives_no_new_start() -> None:
    session = Session(calls_per_s=1.0, calls_burst=5)
    for _ in range(4):
        assert session.gate.call(0) is None
    limits = Limits(calls_per_s=1.0, calls_burst=50)
    after = Gate(limits, session.clock.seconds, session._count, session._close, session.gate)
    assert after.call(0) is None
    assert after.call(0) == ("calls_per_s", 1.0)
    session.clock.advance(2.0)
    assert after.call(0) is None


def test_what_was_refused_is_counted_for_the_session_too_and_the_next_gate_goes_on_with_that() -> None:
    session = Session()
    assert session.gate.refused is None
    session.gate.refuse("max_subscriptions")
    session.gate.refuse("max_subscriptions")
    after = Gate(Limits(), session.clock.seconds, session._count, session._close, session.gate)
    after.refuse("calls_per_s")
    assert after.refused == {"max_subscriptions": 2, "calls_per_s": 1}
