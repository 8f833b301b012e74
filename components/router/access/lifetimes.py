"""How long sessions live: each is closed when its token's ``exp`` and a grace have passed, or at once when it is revoked.

Owns one timer for all. Token times are Unix times, and the clock that tells them may be set: it is looked at whenever the
timer fires, and at least once a minute. Many closings at once are spread over turns of the reactor.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, ClassVar

from twisted.logger import Logger

from components.core.closing import CloseReason

LOOK_AGAIN_S = 60.0
"""How late the end of a token may be noticed after the machine's clock was set forward."""

SLICE = 50
"""Sessions that are closed in one turn of the reactor."""

_STALE_ENTRIES = 1000
"""So many entries of sessions that have left or renewed are kept before the heap is looked through, or as many as live."""


class Lifetime:
    """A live session, and the token that it lives by."""

    __slots__ = ("close", "ends_s", "exp", "grace_s", "iat", "joined_s", "jti", "session", "session_id", "sub")

    def __init__(
        self,
        session: Any,
        session_id: int,
        sub: str,
        extra: dict[str, Any],
        grace_s: float,
        close: Callable[[CloseReason], None],
    ) -> None:
        """Live by what the authenticator noted (``exp``, ``jti``, ``iat``) and ``grace_s`` longer; ``close`` ends it."""
        self.session = session
        self.session_id = session_id
        self.sub = sub
        self.grace_s = grace_s
        self.close = close
        self.joined_s = 0.0
        """Unix time of the join, in s."""
        self.take(extra)

    def take(self, extra: dict[str, Any]) -> None:
        """Live by another token."""
        self.exp: int = extra["exp"]
        self.jti: str | None = extra.get("jti")
        self.iat: int | None = extra.get("iat")
        self.ends_s = self.exp + self.grace_s


class Lifetimes:
    """All client sessions of this worker, whatever their realm."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, clock: Any, wall: Callable[[], float] = time.time) -> None:
        """Wait by ``clock`` (``seconds``, ``callLater``); ``wall`` returns Unix time in s."""
        self._clock = clock
        self._wall = wall
        self._live: dict[int, Lifetime] = {}
        self._ends: list[tuple[float, int, Lifetime]] = []
        """A heap; an entry whose session has left or renewed is passed over when its time comes."""
        self._entries = 0
        self._closing: deque[tuple[Lifetime, CloseReason]] = deque()
        """Each is in it once for the end of its token, and once for each revocation while the ones before it are closed."""
        self._timer: Any = None
        self._timer_s = 0.0
        """The wall time for which the timer is set."""
        self._turn: Any = None

    def __len__(self) -> int:
        return len(self._live)

    def get(self, session_id: int) -> Lifetime | None:
        """Return a live session's lifetime by the session's id."""
        return self._live.get(session_id)

    def live(self) -> list[Lifetime]:
        """Return those of all live sessions; of one that leaves later ``session`` is ``None`` then."""
        return list(self._live.values())

    def add(self, lifetime: Lifetime) -> None:
        """Take note of a session that has joined."""
        self._live[lifetime.session_id] = lifetime
        lifetime.joined_s = self._wall()
        self._wait_for(lifetime)

    def remove(self, session_id: int) -> None:
        """Take note of a session that has left, if it was noted."""
        lifetime = self._live.pop(session_id, None)
        if lifetime is None:
            return
        # Its entries may stay for hours; the session shall not.
        lifetime.session = None
        del lifetime.close
        if not self._live:
            self._ends.clear()
            self._stop_timer()
        else:
            self._forget_stale_entries()

    def renew(self, session_id: int, extra: dict[str, Any]) -> None:
        """Let a session live by another token, for which it may be shorter too."""
        lifetime = self._live[session_id]
        lifetime.take(extra)
        self._wait_for(lifetime)
        self._forget_stale_entries()

    def close_soon(self, lifetime: Lifetime) -> None:
        """Close a session whose token is revoked, in a turn of the reactor of its own."""
        self._closing.append((lifetime, CloseReason.TOKEN_REVOKED))
        if self._turn is None:
            self._turn = self._clock.callLater(0, self._close_some)

    def close_revoked(self, is_revoked: Callable[[Lifetime], bool]) -> int:
        """Close all sessions whose token is revoked, the first of them at once; return how many there are."""
        revoked = [lifetime for lifetime in self._live.values() if is_revoked(lifetime)]
        self._close([(lifetime, CloseReason.TOKEN_REVOKED) for lifetime in revoked])
        return len(revoked)

    def ends_of(self, jti: str | None, sub: str | None) -> list[int]:
        """Return when the tokens of live sessions end that have a ``jti``, or else those of a ``sub``."""
        return [
            lifetime.exp
            for lifetime in self._live.values()
            if (lifetime.jti == jti if jti is not None else lifetime.sub == sub)
        ]

    def _is_current(self, entry: tuple[float, int, Lifetime]) -> bool:
        ends_s, _, lifetime = entry
        return ends_s == lifetime.ends_s and self._live.get(lifetime.session_id) is lifetime

    def _forget_stale_entries(self) -> None:
        if len(self._ends) > 2 * len(self._live) + _STALE_ENTRIES:
            self._ends = [entry for entry in self._ends if self._is_current(entry)]
            heapify(self._ends)

    # Waiting

    def _wait_for(self, lifetime: Lifetime) -> None:
        self._entries += 1
        heappush(self._ends, (lifetime.ends_s, self._entries, lifetime))
        if self._timer is None or lifetime.ends_s < self._timer_s:
            self._set_timer()

    def _set_timer(self) -> None:
        self._stop_timer()
        if self._ends:
            now_s = self._wall()
            wait_s = min(max(self._ends[0][0] - now_s, 0.0), LOOK_AGAIN_S)
            self._timer_s = now_s + wait_s
            self._timer = self._clock.callLater(wait_s, self._fired)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fired(self) -> None:
        self._timer = None
        now_s = self._wall()
        over = []
        while self._ends and self._ends[0][0] <= now_s:
            entry = heappop(self._ends)
            if self._is_current(entry):
                over.append((entry[2], CloseReason.TOKEN_EXPIRED))
        self._set_timer()
        self._close(over)

    # Closing

    def _close(self, sessions: list[tuple[Lifetime, CloseReason]]) -> None:
        self._closing.extend(sessions)
        if self._turn is None:
            self._close_some()

    def _close_some(self) -> None:
        self._turn = None
        now_s = self._wall()
        for _ in range(min(SLICE, len(self._closing))):
            lifetime, reason = self._closing.popleft()
            renewed = reason is CloseReason.TOKEN_EXPIRED and lifetime.ends_s > now_s
            if self._live.get(lifetime.session_id) is lifetime and not renewed:
                try:
                    lifetime.close(reason)
                except Exception:
                    # The others are to be closed all the same.
                    self.life_log.failure("a session whose token has ended cannot be closed")
        if self._closing:
            self._turn = self._clock.callLater(0, self._close_some)
