"""What the bridge's web resources and its session share: the key, the service's rights, and its limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components.core.grants import Grants
from components.core.seats import Seats
from components.router.access.gate import Gate
from components.router.bridge.requests import Action
from components.router.bridge.signing import SignedRequests
from components.router.http_api.problems import limit_exceeded


class BridgeDesk:
    """One per router worker that has a bridge."""

    def __init__(
        self, session: Any, signed: SignedRequests, grants: Grants, clock: Callable[[], float], key: str, secret: str
    ) -> None:
        """``session`` publishes and calls; ``clock`` never goes back."""
        self.session = session
        self.signed = signed
        self.grants = grants
        self.options = {"key": key, "secret": secret}
        """What Crossbar's own resources are to check."""
        self.unanswered = 0
        """Calls that have not been answered."""
        self._clock = clock
        self._gate: Gate | None = None

    def count(self, action: Action, seats: Seats) -> None:
        """Count a request against the limits of role ``service``.

        Raises:
            ApiError: there is no room for it.
        """
        if self._gate is None:
            limits = seats.limits.of(self.grants.role, None)
            self._gate = Gate(limits, self._clock, seats.count, _stay_open)
        gate = self._gate
        if not gate.take_message():
            refusal = gate.refuse("messages_per_s")
        else:
            asked = gate.publish() if action == "publish" else gate.call(self.unanswered)
            if asked is None:
                return
            refusal = asked
        raise limit_exceeded(*refusal, gate.wait_s())


def _stay_open() -> None:
    """Do nothing: a service's connections are those of its HTTP library, and each request is refused by itself."""
