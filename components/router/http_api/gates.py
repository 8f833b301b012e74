"""What each authid may ask over HTTP: the limits of a session's calls and messages, though there is no session. Pure.

A request counts as one message and one call. Who asks is remembered by authid, role and tier in a table of bounded size; the
one that asked longest ago is forgotten first, and begins with a full burst when it comes back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from components.core.limits import Limits
from components.router.access.gate import Gate
from components.router.http_api.problems import ApiError, limit_exceeded

MAX_GATES = 10_000
"""Some 10 MB. Each has a token that was accepted, so it is the issuer who decides how many there are."""


class Asker:
    """One authid in a role and tier, over however many connections."""

    __slots__ = ("_gate", "_too_often")

    def __init__(self, limits: Limits, clock: Callable[[], float], count: Callable[[str], None]) -> None:
        """``clock`` never goes back, ``count`` is told of each refusal's limit."""
        self._gate = Gate(limits, clock, count, self._refused_too_often)
        self._too_often = False

    def ask(self) -> ApiError | None:
        """Count a request; return what is answered if there is no room for it.

        Who was refused too often has its connection closed besides.
        """
        gate = self._gate
        refusal = gate.call(0) if gate.take_message() else gate.refuse("messages_per_s")
        if refusal is None:
            return None
        close, self._too_often = self._too_often, False
        return limit_exceeded(*refusal, gate.wait_s(), close=close)

    def _refused_too_often(self) -> None:
        self._too_often = True


class Askers:
    """Those who have asked, as far as they are remembered."""

    def __init__(self, clock: Callable[[], float], count: Callable[[str], None], max_gates: int = MAX_GATES) -> None:
        """Count by ``clock``, and refusals with ``count``."""
        self._clock = clock
        self._count = count
        self._max_gates = max_gates
        self._known: OrderedDict[tuple[str, str, str | None], Asker] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, authid: str, role: str, tier: str | None, limits: Limits) -> Asker:
        """Return who asks; ``limits`` are those of its role and tier."""
        key = authid, role, tier
        asker = self._known.get(key)
        if asker is None:
            if len(self._known) >= self._max_gates:
                self._known.popitem(last=False)
            asker = self._known[key] = Asker(limits, self._clock, self._count)
        self._known.move_to_end(key)
        return asker
