"""Who is in a realm: the limits on the number of sessions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from components.core.limits import RealmLimits
from components.core.seats import Seat, Seats


def admitted(
    seats: Seats, authid: str, address: str = "1", role: str = "viewer", tier: str | None = None
) -> Seat | None:
    """Let a session in if there is room."""
    seat = seats.seat(authid, role, tier, address)
    if seats.full(seat, seats.limits.of(role, tier)):
        return None
    seats.enter(seat)
    return seat


def test_each_limit_says_its_name_and_value() -> None:
    seats = Seats(
        RealmLimits.from_mapping({"max_sessions": 4, "max_sessions_per_authid": 1, "max_sessions_per_address": 2})
    )
    assert admitted(seats, "a")
    assert seats.full(seats.seat("a", "viewer", None, "2"), seats.limits.base) == ("max_sessions_per_authid", 1)
    assert admitted(seats, "b")
    assert seats.full(seats.seat("c", "viewer", None, "1"), seats.limits.base) == ("max_sessions_per_address", 2)
    assert admitted(seats, "c", "2")
    assert admitted(seats, "d", "2")
    assert seats.full(seats.seat("e", "viewer", None, "3"), seats.limits.base) == ("max_sessions", 4)
    assert seats.refused == {"max_sessions_per_authid": 1, "max_sessions_per_address": 1, "max_sessions": 1}


def test_who_leaves_makes_room() -> None:
    seats = Seats(RealmLimits.from_mapping({"max_sessions": 1}))
    seat = admitted(seats, "a")
    assert seat
    assert not admitted(seats, "b")
    seats.leave(seat)
    assert admitted(seats, "b")


def test_a_tier_with_a_bound_of_its_own_takes_no_room_from_others() -> None:
    seats = Seats(RealmLimits.from_mapping({"max_sessions": 3, "tiers": {"free": {"max_sessions": 1}}}))
    assert admitted(seats, "a", tier="free")
    assert not admitted(seats, "b", tier="free")
    assert admitted(seats, "b")
    assert admitted(seats, "c")
    # The realm's bound holds for all of them together.
    assert not admitted(seats, "d")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), max_size=60))
def test_no_bound_is_ever_passed_and_nothing_is_kept_of_who_left(steps: list[tuple[int, int, bool]]) -> None:
    seats = Seats(
        RealmLimits.from_mapping({"max_sessions": 5, "max_sessions_per_authid": 2, "max_sessions_per_address": 3})
    )
    inside: list[Seat] = []
    for authid, address, leaves in steps:
        if leaves and inside:
            seats.leave(inside.pop(authid % len(inside)))
        else:
            seat = admitted(seats, str(authid), str(address))
            if seat:
                inside.append(seat)
        assert seats.sessions == len(inside) <= 5
        for name, most in (("authid", 2), ("address", 3)):
            values = [getattr(seat, name) for seat in inside]
            assert all(values.count(value) <= most for value in values)
    for seat in inside:
        seats.leave(seat)
    assert seats.sessions == 0
    assert len(seats._authids) == len(seats._addresses) == len(seats._groups) == 0
