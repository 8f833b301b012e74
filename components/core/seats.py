"""Who is in a realm, counted against the limits on the number of sessions. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from components.core.limits import Limits, RealmLimits, Refusal
from components.core.tally import Tally


@dataclass(frozen=True, slots=True)
class Seat:
    """Whom a session is counted for."""

    authid: str
    address: str
    """The client's address as it is counted; see ``components.core.client_address``."""

    group: tuple[str, str] | None
    """The role or tier that has a bound of its own."""


class Seats:
    """Sessions of a realm against the limits on their number."""

    def __init__(self, limits: RealmLimits) -> None:
        self.limits = limits
        self.sessions = 0
        self.refused: Counter[str] = Counter()
        """How often by each limit."""
        self._authids = Tally()
        self._addresses = Tally()
        self._groups = Tally()

    def count(self, limit: str) -> None:
        """Count a refusal by a limit."""
        self.refused[limit] += 1

    def seat(self, authid: str, role: str, tier: str | None, address: str) -> Seat:
        """Return whom a session would be counted for."""
        return Seat(authid, address, self.limits.group_of(role, tier))

    def full(self, seat: Seat, limits: Limits) -> Refusal | None:
        """Return the limit that leaves no room for one more; the refusal is counted."""
        bounds: list[tuple[str, int, int | None]] = [
            ("max_sessions", self.sessions, self.limits.base.max_sessions),
            ("max_sessions_per_authid", self._authids[seat.authid], limits.max_sessions_per_authid),
            ("max_sessions_per_address", self._addresses[seat.address], limits.max_sessions_per_address),
        ]
        if seat.group is not None:
            bounds.append(("max_sessions", self._groups[seat.group], limits.max_sessions))
        for limit, number, most in bounds:
            if most is not None and number >= most:
                self.count(limit)
                return limit, most
        return None

    def enter(self, seat: Seat) -> None:
        """Count a session in."""
        self.sessions += 1
        self._authids.add(seat.authid)
        self._addresses.add(seat.address)
        if seat.group is not None:
            self._groups.add(seat.group)

    def leave(self, seat: Seat) -> None:
        """Count a session out."""
        self.sessions -= 1
        self._authids.remove(seat.authid)
        self._addresses.remove(seat.address)
        if seat.group is not None:
            self._groups.remove(seat.group)
