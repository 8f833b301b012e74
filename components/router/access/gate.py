"""A session's gate: counts what the session does against its limits, and says when it has been refused too often.

Knows nothing of Crossbar: who asks it sends the refusal.
"""

from __future__ import annotations

from collections.abc import Callable

from components.core.limits import Limits, Refusal
from components.core.token_bucket import TokenBucket


class Gate:
    """One per session. Each method that asks for leave returns ``None``, or the limit that forbids it."""

    __slots__ = (
        *("_calls", "_clock", "_close", "_count", "_messages", "_publishes", "_refusals", "_ready_to_publish"),
        *("counted", "limits", "refused"),
    )

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float],
        count: Callable[[str], None],
        close: Callable[[], None],
        before: Gate | None = None,
    ) -> None:
        """``clock`` never goes back; ``count`` is told of each refusal's limit; ``close`` ends the session for abuse.

        With the gate that a client had ``before``, it has no more left at once than it had there.
        """
        now_s = clock()
        self.limits = limits
        self.counted = False
        """Whether the messages that are handled at the moment have been counted together."""
        self._clock = clock
        self._count = count
        self._close = close
        self._messages = _bucket(limits.messages_per_s, limits.messages_burst, now_s)
        self._publishes = _bucket(limits.publishes_per_s, limits.publishes_burst, now_s)
        self._calls = _bucket(limits.calls_per_s, limits.calls_burst, now_s)
        self.refused: dict[str, int] | None = None if before is None else before.refused
        """How often what the session asked for was refused, by limit; ``None`` while nothing was, which is most of the time."""
        self._ready_to_publish = 0
        """Publications of the messages that are handled at the moment which have been counted ahead."""

        self._refusals = TokenBucket(limits.refusals_per_s, limits.refusals_burst, now_s)
        if before is not None:
            for name in _BUCKETS:
                bucket, other = getattr(self, name), getattr(before, name)
                if bucket is not None and other is not None:
                    bucket.lower_to(other.left(now_s))

    def begin(self, number: int) -> int:
        """Return how many of a number of messages may be taken, without being asked for, until ``end`` is called.

        The others are to be asked for one by one, after it.
        """
        now_s = self._clock()
        allowed = number if self._messages is None else self._messages.take(now_s, number)
        if self._publishes is not None:
            self._ready_to_publish = self._publishes.take(now_s, allowed)
        self.counted = True
        return allowed

    def end(self) -> None:
        """Be told that the messages have been handled."""
        self.counted = False
        if self._publishes is not None:
            self._publishes.give_back(self._ready_to_publish)
            self._ready_to_publish = 0

    def take_message(self) -> bool:
        """Count a message that has not been counted, or a frame without one; return whether there was room for it."""
        return self.counted or self._messages is None or self._messages.take(self._clock()) == 1

    def pay(self, number: int) -> Refusal | None:
        """Ask for a message that does what so many would, which has been counted as one.

        More than could ever be taken at once need no more than that.
        """
        if self._messages is None:
            return None
        wanted = min(number, self.limits.messages_burst) - 1
        taken = self._messages.take(self._clock(), wanted) if wanted > 0 else wanted
        if taken == wanted:
            return None
        self._messages.give_back(taken)
        return self.refuse("messages_per_s")

    def may_publish(self) -> bool:
        """Tell whether a publication may be taken, and count it; what is refused here is to be asked for again."""
        if self._ready_to_publish:
            self._ready_to_publish -= 1
            return True
        return self._publishes is None or self._publishes.take(self._clock()) == 1

    def publish(self) -> Refusal | None:
        """Ask for a publication."""
        return None if self.may_publish() else self.refuse("publishes_per_s")

    def call(self, unanswered: int) -> Refusal | None:
        """Ask for a call, when so many have not been answered."""
        most = self.limits.max_concurrent_calls
        if most is not None and unanswered >= most:
            return self.refuse("max_concurrent_calls")
        if self._calls is None or self._calls.take(self._clock()):
            return None
        return self.refuse("calls_per_s")

    def take_call(self) -> bool:
        """Count what is as much as one more call, where it can wait; return whether there is room for it now."""
        return self._calls is None or self._calls.take(self._clock()) > 0

    def room_for_subscription(self, subscriptions: int) -> bool:
        """Tell whether a session that has so many may have one more."""
        most = self.limits.max_subscriptions
        return most is None or subscriptions < most

    def room_for_pattern(self, patterns: int) -> bool:
        """Tell whether a session that is subscribed to so many patterns may subscribe to one more."""
        most = self.limits.max_pattern_subscriptions
        return most is None or patterns < most

    def room_for_registration(self, registrations: int) -> bool:
        """Tell whether a session that has so many may have one more."""
        most = self.limits.max_registrations
        return most is None or registrations < most

    def let_go(self) -> None:
        """Hold the session no more: it has ended, and is freed with the last that mentions it."""
        self._close = _nothing

    def fault(self) -> None:
        """Take note of a request that could not be one, and close the session when there have been too many."""
        if not self._refusals.take(self._clock()):
            self._close()

    def wait_s(self) -> float:
        """Return how long it is until there is room for one more call, and its message."""
        now_s = self._clock()
        return max(
            (bucket.wait_s(now_s) for bucket in (self._messages, self._calls) if bucket is not None), default=0.0
        )

    def refuse(self, limit: str) -> Refusal:
        """Count a refusal, and close the session when there have been too many; return the limit and its value."""
        self._count(limit)
        if self.refused is None:
            self.refused = {}
        self.refused[limit] = self.refused.get(limit, 0) + 1
        self.fault()
        value: float = getattr(self.limits, limit)
        return limit, value


_BUCKETS = ("_messages", "_publishes", "_calls", "_refusals")


def _bucket(rate: float | None, burst: int, now_s: float) -> TokenBucket | None:
    return None if rate is None else TokenBucket(rate, burst, now_s)


def _nothing() -> None:
    """Close what has been closed."""
