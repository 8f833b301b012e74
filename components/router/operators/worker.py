"""What one router worker answers for itself, to whichever worker of the node an operator has reached."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from twisted.internet.task import deferLater
from twisted.logger import Logger

from components.core.closing import CloseReason
from components.core.fault_log import FaultEntry
from components.core.log_text import escaped
from components.core.paging import PageBuilder
from components.core.remedies import REMEDIES
from components.router import runtime
from components.router.access.lifetimes import Lifetime, Lifetimes
from components.router.listeners.listener import registry
from components.router.operators.questions import MAX_TEXT_CHARS, SessionsQuestion
from components.router.seam.session_facts import ORDERS, details_of, is_there, row_of, text_of
from components.uris import BOOK_FAMILY, DAY_FAMILY, topic_of

SLICE = 200
"""Sessions that are looked at in one turn of the reactor: some 0.2 ms, a millisecond where a text is searched for."""

MAX_STALE_SYMBOLS = 100
_STATM = Path("/proc/self/statm")


class WorkerAnswers:
    """One per router worker."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: Any,
        lifetimes: Callable[[], Lifetimes | None] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Answer by ``clock``, the reactor; ``lifetimes`` returns those of the worker's sessions, once there are any."""
        self._clock = clock
        self._lifetimes = lifetimes or _lifetimes
        self._started_s = wall()
        self._began_s = clock.seconds()

    async def answer(self, question: str, arguments: dict[str, Any]) -> Any:
        """Answer a question of a worker: ``status``, ``faults``, ``sessions``, ``session``, ``close`` or ``followers``."""
        if question == "sessions":
            return await self.sessions(msgspec.convert(arguments, SessionsQuestion))
        if question == "session":
            lifetime = self._find(arguments["session"])
            return None if lifetime is None else details_of(lifetime)
        if question == "close":
            return self.close(arguments["session"], arguments["operator"], arguments["reason"])
        if question == "followers":
            return self.followers(arguments["symbols"])
        return self.faults() if question == "faults" else self.status()

    # Sessions

    async def sessions(self, question: SessionsQuestion) -> dict[str, Any]:
        """Return a page of this worker's sessions, each row with its ``place``."""
        order = ORDERS[question.order]
        builder = PageBuilder(question.limit, question.after, ascending=question.ascending)
        searched = None if not question.search else question.search.casefold()
        live = self._live()
        for start in range(0, len(live), SLICE):
            if start:
                await deferLater(self._clock, 0)
            for lifetime in live[start : start + SLICE]:
                if (
                    is_there(lifetime)
                    and question.authid in (None, lifetime.sub)
                    and (searched is None or searched in text_of(lifetime))
                ):
                    builder.offer(order(lifetime), lifetime.session_id, lifetime)
        page, after = builder.page()
        rows = [
            {"place": f"{number}:{session}"} | row_of(lifetime)
            for (number, session), lifetime in page
            if is_there(lifetime)
        ]
        return {"rows": rows, "next": after, "total": len(live), "matching": builder.total}

    def close(self, session_id: int, operator: str, reason: str | None) -> dict[str, Any] | None:
        """Close a session; return whose it was, ``None`` where it is not here."""
        lifetime = self._find(session_id)
        if lifetime is None:
            return None
        transport = lifetime.session._transport
        told = {"authid": lifetime.sub, "address": transport.client_address}
        self.life_log.info(
            "{operator!r} closes session {session} of {authid!r} from {address}: {reason}",
            operator=operator,
            session=session_id,
            reason="no reason given" if not reason else escaped(reason, MAX_TEXT_CHARS),
            **told,
        )
        lifetime.close(CloseReason.BY_OPERATOR)
        return told

    def _live(self) -> list[Lifetime]:
        lifetimes = self._lifetimes()
        return [] if lifetimes is None else lifetimes.live()

    def _find(self, session_id: int) -> Lifetime | None:
        lifetimes = self._lifetimes()
        lifetime = None if lifetimes is None else lifetimes.get(session_id)
        return lifetime if lifetime is not None and is_there(lifetime) else None

    @staticmethod
    def followers(symbols: list[str]) -> dict[str, int]:
        """Return how many sessions follow each symbol, by its best followed topic; patterns are not counted."""
        node = runtime.current()
        if node is None:
            return {}
        families = ("", BOOK_FAMILY, DAY_FAMILY, *(rate.name for rate in node.rates))
        return {symbol: max(node.followers(topic_of(symbol, family)) for family in families) for symbol in symbols}

    # How it stands

    def faults(self) -> dict[str, Any]:
        """Return what is wrong, and that with what was lately."""
        node = runtime.current()
        if node is None:
            return {"active": [], "recent": []}
        active = [_told(entry) | {"remedy": REMEDIES[entry.fault]} for entry in node.faults.active()]
        return {"active": active, "recent": [_told(entry) for entry in node.faults.recent()]}

    def status(self) -> dict[str, Any]:
        """Return how this worker stands."""
        node = runtime.current()
        because = ["the gateway component is not installed"] if node is None else node.readiness()
        if runtime.drains():
            because = ["draining", *because]
        figures = None if node is None else node.figures
        return {
            "pid": os.getpid(),
            "started_at": int(self._started_s),
            "uptime_s": int(self._clock.seconds() - self._began_s),
            "ready": not because,
            "because": because,
            "degraded": [] if node is None else node.degraded(),
            "draining": runtime.drains(),
            "sessions": {realm: seats.sessions for realm, seats in runtime.gatekeepers().items()},
            "connections": {name: listener.connections.number for name, listener in registry().listeners.items()},
            "memory_bytes": memory_bytes(),
            "loop_lag_ms": None if figures is None else round(figures.loop_lag.greatest_s * 1000, 1),
            "feed": _feed(node),
        }


def _told(entry: FaultEntry) -> dict[str, Any]:
    return entry.as_dict() | {"help": entry.fault.help}


def memory_bytes() -> int | None:
    """Return what this process has in memory; ``None`` where the system does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def _lifetimes() -> Lifetimes | None:
    tokens = runtime.live_tokens()
    return None if tokens is None else tokens.lifetimes


def _feed(node: runtime.Runtime | None) -> dict[str, Any] | None:
    if node is None or node.market is None:
        return None
    return node.market.status() | {"stale_symbols": node.market.stale[:MAX_STALE_SYMBOLS]}
