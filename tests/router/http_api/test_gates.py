"""What an authid may ask over HTTP."""

from __future__ import annotations

from collections import Counter

from twisted.internet.task import Clock

from components.core.limits import Limits
from components.router.http_api.gates import Asker, Askers
from components.uris import ERROR_LIMIT_EXCEEDED

LIMITS = Limits(calls_per_s=2.0, calls_burst=3, refusals_burst=2, refusals_per_s=0.001)


def make(limits: Limits = LIMITS) -> tuple[Asker, Clock, Counter[str]]:
    clock, refused = Clock(), Counter[str]()
    return Asker(limits, clock.seconds, lambda limit: refused.update([limit])), clock, refused


def test_a_burst_is_answered_and_then_the_rate() -> None:
    asker, clock, refused = make()
    assert [asker.ask() for _ in range(3)] == [None] * 3
    error = asker.ask()
    assert error is not None
    assert (error.uri, error.status, error.limit, error.value) == (ERROR_LIMIT_EXCEEDED, 429, "calls_per_s", 2.0)
    assert error.headers[b"Retry-After"] == b"1"
    assert refused == {"calls_per_s": 1}
    clock.advance(0.5)
    assert asker.ask() is None


def test_retry_after_says_when_there_is_room() -> None:
    asker, clock, _ = make(Limits(calls_per_s=0.1, calls_burst=1))
    assert asker.ask() is None
    error = asker.ask()
    assert error is not None
    clock.advance(int(error.headers[b"Retry-After"]))
    assert asker.ask() is None


def test_a_request_is_a_message_too() -> None:
    asker, _, refused = make(Limits(messages_per_s=1.0, messages_burst=1))
    assert asker.ask() is None
    error = asker.ask()
    assert error is not None
    assert error.limit == "messages_per_s"
    assert refused == {"messages_per_s": 1}


def test_who_is_refused_too_often_has_its_connection_closed() -> None:
    asker, _, _ = make()
    answers = [asker.ask() for _ in range(6)]
    assert [None if error is None else error.headers.get(b"Connection") for error in answers] == [
        *([None] * 5),
        b"close",
    ]


def test_each_authid_role_and_tier_has_a_room_of_its_own() -> None:
    clock = Clock()
    askers = Askers(clock.seconds, lambda limit: None)
    alice = askers.get("alice", "viewer", None, LIMITS)
    while alice.ask() is None:
        pass
    assert askers.get("alice", "viewer", None, LIMITS) is alice
    for other in (("bob", "viewer", None), ("alice", "service", None), ("alice", "viewer", "gold")):
        assert askers.get(*other, LIMITS).ask() is None


def test_the_one_that_asked_longest_ago_is_forgotten_first() -> None:
    askers = Askers(Clock().seconds, lambda limit: None, max_gates=2)
    first, second = (askers.get(name, "viewer", None, LIMITS) for name in ("first", "second"))
    assert askers.get("first", "viewer", None, LIMITS) is first
    askers.get("third", "viewer", None, LIMITS)
    assert len(askers) == 2
    assert askers.get("first", "viewer", None, LIMITS) is first
    assert askers.get("second", "viewer", None, LIMITS) is not second
