"""What a plain client missed while it was away, and the way on from there.

Of each symbol it gets what was missed, and follows it from there in the same step as the last of that: nothing is missing, and
nothing comes twice. A connection that takes no more gets no more of it until it does.
"""

from __future__ import annotations

from typing import Any

from components.core import plain_json
from components.core.plain_json import OptionalId
from components.core.replay import MAX_ANSWER_EVENTS, SeqAhead
from components.router.access.gate import Gate
from components.router.plain.connection import Connection
from components.router.plain.market import MarketView
from components.router.plain.replies import Replies
from components.router.plain.requests import Requests
from components.router.plain.steps import Step, Work
from components.uris import ERROR_UNKNOWN_SYMBOL, tick_topic

RESUME_EVENTS = 200
"""Ticks that a client which comes back is sent in one step."""

BEHIND_S = 1.0
"""How long a gateway that has not yet what a client has had elsewhere is given to get it."""


class Resumes:
    """Those of one session, one after the other."""

    def __init__(self, connection: Connection, session: Any, clock: Any, replies: Replies, requests: Requests) -> None:
        """Send to a ``connection`` for a session that has joined; ``clock`` has ``seconds``."""
        self._connection = connection
        self._session = session
        self._clock = clock
        self._replies = replies
        self._requests = requests
        self._replayed = 0
        """Ticks of replays for which no call has been counted yet."""

    def resume(self, market: MarketView, request: plain_json.Resume) -> Work:
        """Send what was missed of each symbol in a ``market``, and follow it; nothing of it is followed yet."""
        behind_until_s = self._clock.seconds() + BEHIND_S
        for symbol, after_seq in request.last.items():
            yield from self._resume(market, symbol, request, after_seq, behind_until_s)

    def _resume(
        self, market: MarketView, symbol: str, request: plain_json.Resume, after_seq: int, behind_until_s: float
    ) -> Work:
        while True:
            while self._connection.is_blocked:
                yield Step.BLOCKED
            if not market.grants(self._session, symbol):
                # Its token is another one meanwhile.
                self._replies.say(plain_json.error(ERROR_UNKNOWN_SYMBOL, f"unknown symbol {symbol}", request.id))
                return
            if request.epoch != market.epoch:
                yield from self._begin_afresh(symbol, after_seq, "epoch", request.id)
                return
            try:
                page = market.page(symbol, request.epoch, after_seq, RESUME_EVENTS)
            except SeqAhead:
                # This gateway may be a moment behind the one that the client comes from.
                if self._clock.seconds() < behind_until_s:
                    yield Step.WAITS
                    continue
                yield from self._begin_afresh(symbol, after_seq, "ahead", request.id)
                return
            objects = [payload for _, payload in plain_json.replayed(symbol, page)]
            if objects:
                self._replies.say(*objects)
                # So that a connection which takes no more says so.
                self._replies.flush()
                yield from self._pay_for(len(objects))
            if not page.more:
                # What is published from here on is not in the page, and all that was is.
                self._requests.follow(tick_topic(symbol), request.id, retained=False)
                yield Step.DONE
                return
            after_seq = page.to_seq
            yield Step.DONE

    def _pay_for(self, events: int) -> Work:
        """Wait until a call may be made for what came of a replay, as many as WAMP's answers would have taken."""
        self._replayed += events
        gate: Gate | None = self._session.gate
        while self._replayed >= MAX_ANSWER_EVENTS:
            while gate is not None and not gate.take_call():
                yield Step.WAITS
            self._replayed -= MAX_ANSWER_EVENTS

    def _begin_afresh(self, symbol: str, after_seq: int, reason: str, request_id: OptionalId) -> Work:
        self._replies.say(plain_json.gap(symbol, after_seq + 1, None, reason))
        self._requests.follow(tick_topic(symbol), request_id)
        yield Step.DONE
