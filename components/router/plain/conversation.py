"""What a client that speaks plain JSON and its WAMP session say to each other.

Rules:

- The session is one like any other. Requests become SUBSCRIBE, UNSUBSCRIBE and CALL of it, and what it is sent becomes objects.
  So what it may do, and how much, is found out where it is for all.
- Requests are done one after the other, in steps: a request for a thousand symbols takes as many, and others have their turn in
  between. While something is to be done nothing more is read, so what waits is what was read at once.
- A request that does what a thousand WAMP messages would counts as a thousand.
- A reply comes before the events of what it says, and events that were published before it come before it. What is said in one
  turn is written at once.
- Ticks of a symbol come at one rate, or all of them: who asks for another one follows the one before no more.

Knows WAMP's messages; nothing of sockets, frames or HTTP.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar

from autobahn.wamp.exception import InvalidUriError, ProtocolError
from msgspec import UNSET
from twisted.logger import Logger

from components.core import plain_json
from components.core.plain_json import ALL, OptionalId, RequestRefused
from components.core.topics import symbol_and_family
from components.router.access.gate import Gate
from components.router.plain.connection import Connection
from components.router.plain.market import MarketView
from components.router.plain.replies import Replies
from components.router.plain.requests import Renewed, Requests
from components.router.plain.resume import Resumes
from components.router.plain.steps import Step, Work
from components.uris import (
    AUTH_RENEW,
    ERROR_INVALID_ARGUMENT,
    ERROR_NOT_READY,
    ERROR_UNKNOWN_SYMBOL,
    MARKET_STATUS,
    MARKET_SYMBOLS,
)

LOOK_AGAIN_S = 0.02
"""After which what waits for something other than the connection is tried again."""


class Conversation:
    """One per connection, from the join on."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        connection: Connection,
        session: Any,
        market: MarketView | None,
        clock: Any,
    ) -> None:
        """Speak for a ``session`` that has joined; ``market`` is its realm's, ``None`` where that has none.

        ``clock`` has ``seconds`` and ``callLater``.
        """
        self._connection = connection
        self._session = session
        self._market = market
        self._clock = clock
        self._replies = Replies(connection)
        self._requests = Requests(connection, session, self._replies)
        self._following = self._requests.following
        self._resumes = Resumes(connection, session, clock, self._replies, self._requests)
        self._work: deque[Work] = deque()
        self.is_held = False
        """Whether what is to be done waits for the connection to take bytes again, or for a moment to pass."""
        self._look_again: Any = None
        """When what waits for a moment is tried again."""
        if market is not None:
            market.listen(self)

    # On the way in

    @property
    def is_busy(self) -> bool:
        """Whether something is to be done."""
        return bool(self._work)

    def take(self, messages: Iterable[bytes]) -> None:
        """Have messages handled that have been counted."""
        self._work.extend(map(self._handle, messages))

    def take_request(self, request: plain_json.Request) -> None:
        """Have a request handled that came in another way than as a message."""
        self._work.append(self._attempt(request))

    def refuse(self, messages: Iterable[bytes]) -> None:
        """Have messages refused for which there was no room."""
        self._work.extend(map(self._too_many, messages))

    def run(self, until_s: float) -> bool:
        """Do what is to be done until a time, one step at least; return whether there is more that can be done now."""
        if self._replies.gathers:
            return False
        self._replies.gathers = True
        try:
            return self._run(until_s)
        except (ProtocolError, InvalidUriError) as error:
            self._work.clear()
            self._connection.violated(f"WAMP Protocol Error ({error})")
            return False
        except Exception:
            self._work.clear()
            self.life_log.failure("a request of a plain client could not be handled")
            self._connection.broke()
            return False
        finally:
            self._replies.gathers = False
            self._replies.flush()

    def _run(self, until_s: float) -> bool:
        while self._work:
            if self._connection.is_over:
                self._work.clear()
                break
            gate: Gate | None = self._session.gate
            if gate is not None:
                # What a request stands for is counted by ``pay``.
                gate.begin(0)
            try:
                step = next(self._work[0], None)
            finally:
                if gate is not None:
                    gate.end()
            if step is None:
                # An error has cleared it.
                if self._work:
                    self._work.popleft()
            elif step is not Step.DONE:
                self._hold(step)
                return False
            if self._clock.seconds() >= until_s:
                break
        return bool(self._work)

    def _hold(self, step: Step) -> None:
        self.is_held = True
        if step is Step.WAITS and self._look_again is None:
            self._look_again = self._clock.callLater(LOOK_AGAIN_S, self._moment_passed)

    def _moment_passed(self) -> None:
        # A call that was made refers to this for ever.
        self._look_again = None
        self.released()

    def released(self) -> None:
        """Be told that the connection takes bytes again."""
        if self.is_held:
            self.is_held = False
            self._connection.go_on()

    def _later(self, work: Work) -> None:
        self._work.append(work)
        if not self._replies.gathers and not self.is_held:
            self._connection.go_on()

    def close(self) -> None:
        """Be told that the connection closes, or has gone."""
        self._work.clear()
        self.is_held = False
        if self._look_again is not None:
            self._look_again.cancel()
            self._look_again = None
        if self._market is not None:
            self._market.leave(self)

    # Requests

    def _handle(self, text: bytes) -> Work:
        try:
            request = plain_json.parse(text, () if self._market is None else self._market.rates)
        except RequestRefused as refused:
            self._fault(refused)
            return
        yield from self._attempt(request)

    def _attempt(self, request: plain_json.Request) -> Work:
        try:
            yield from self._do(request)
        except RequestRefused as refused:
            self._fault(refused)

    def _fault(self, refused: RequestRefused) -> None:
        self._replies.say(plain_json.error(refused.uri, str(refused), refused.id))
        if self._session.gate is not None:
            self._session.gate.fault()

    def _too_many(self, text: bytes) -> Work:
        self._replies.say_refused(self._session.gate.refuse("messages_per_s"), plain_json.id_of(text))
        yield from ()

    def _do(self, request: plain_json.Request) -> Work:
        if isinstance(request, plain_json.Ping):
            self._replies.say(plain_json.typed("pong", request.id, time=time.time_ns() // 1_000_000))
        elif isinstance(request, plain_json.Subscribe):
            yield from self._subscribe(request)
        elif isinstance(request, plain_json.Unsubscribe):
            yield from self._unsubscribe(request)
        elif isinstance(request, plain_json.List):
            self._requests.call("symbols", request.id, MARKET_SYMBOLS)
        elif isinstance(request, plain_json.Status):
            self._requests.call("status", request.id, MARKET_STATUS)
        elif isinstance(request, plain_json.Renew):
            self._requests.call("renewed", request.id, AUTH_RENEW, request.token)
        else:
            yield from self._resume(request)

    def _subscribe(self, request: plain_json.Subscribe) -> Work:
        market = self._ready_market(request)
        families = plain_json.families(request, market.rates)
        symbols = self._symbols(market, request.symbols, request.id)
        everything = request.symbols == ALL
        missing = self._following.missing(symbols, families)
        streams = plain_json.streams_of(request)
        if plain_json.STATUS in streams and MARKET_STATUS not in self._following.topics:
            missing.append(MARKET_STATUS)
        others = plain_json.replaced(families, market.rates)
        gone = self._following.gone(None if everything else symbols, others)
        messages = len(symbols) * len(families) + (plain_json.STATUS in streams)
        if not self._requests.afford(messages, len(missing) - len(gone), request.id):
            return
        self._following.end(None if everything else symbols, others)
        self._following.begin(symbols, families, everything=everything)
        for topic in gone:
            self._requests.unfollow(topic)
            yield Step.DONE
        self._replies.say(
            plain_json.typed(
                "subscribed",
                request.id,
                symbols=symbols,
                streams=streams,
                every_ms=request.every_ms,
                epoch=market.epoch,
            )
        )
        for topic in missing:
            self._requests.follow(topic, request.id)
            yield Step.DONE

    def _unsubscribe(self, request: plain_json.Unsubscribe) -> Work:
        market = self._ready_market(request)
        families = plain_json.families(request, market.rates)
        everything = request.symbols == ALL
        symbols = [] if everything else list(dict.fromkeys(request.symbols))
        self._check_known(
            symbols,
            lambda symbol: market.grants(self._session, symbol) or self._following.follows(symbol, market.families),
            request.id,
        )
        gone = self._following.gone(None if everything else symbols, families)
        if not self._requests.afford(max(len(symbols), 1) * len(families), 0, request.id):
            return
        self._following.end(None if everything else symbols, families)
        streams = plain_json.streams_of(request)
        for topic in [*gone, MARKET_STATUS] if plain_json.STATUS in streams else gone:
            self._requests.unfollow(topic)
            yield Step.DONE
        if everything:
            symbols = sorted({symbol_and_family(topic)[0] for topic in gone})
        self._replies.say(
            plain_json.typed("unsubscribed", request.id, symbols=symbols, streams=streams, every_ms=request.every_ms)
        )

    def _resume(self, request: plain_json.Resume) -> Work:
        market = self._ready_market(request)
        symbols = list(request.last)
        self._check_known(symbols, partial(market.grants, self._session), request.id)
        if market.awaits_history():
            # The client would take what is not here yet for gone.
            raise RequestRefused(ERROR_NOT_READY, "the bus's history is being read", request.id)
        topics = self._following.missing(symbols, [""])
        if len(topics) < len(symbols):
            text = "resume comes before subscribe: ticks of some of these are followed"
            raise RequestRefused(ERROR_INVALID_ARGUMENT, text, request.id)
        others = plain_json.replaced([""], market.rates)
        gone = self._following.gone(symbols, others)
        if not self._requests.afford(len(symbols), len(topics) - len(gone), request.id):
            return
        if not self._requests.afford_call(request.id):
            return
        self._following.end(symbols, others)
        for topic in gone:
            self._requests.unfollow(topic)
            yield Step.DONE
        self._replies.say(plain_json.typed("resumed", request.id, symbols=symbols, epoch=market.epoch))
        yield from self._resumes.resume(market, request)

    def listed(self) -> None:
        """Be told that other symbols are listed than before."""
        if self._following.follows_all:
            self._later(self._follow_listed())

    def _follow_listed(self, renewed: Renewed | None = None) -> Work:
        if self._market is None or not self._following.follows_all:
            return
        topics = self._following.listed(self._market.granted(self._session))
        if renewed is not None and topics and not self._requests.afford(len(topics), len(topics), renewed.request_id):
            return
        for topic in topics:
            self._requests.follow(topic, UNSET)
            yield Step.DONE

    # What requests have in common

    def _ready_market(self, request: plain_json.Subscribe | plain_json.Unsubscribe | plain_json.Resume) -> MarketView:
        if self._market is not None and (self._market.is_known or getattr(request, "symbols", None) == []):
            return self._market
        raise RequestRefused(ERROR_NOT_READY, "no feed has reported its symbols yet", request.id)

    def _symbols(self, market: MarketView, wanted: Any, request_id: OptionalId) -> list[str]:
        if wanted == ALL:
            return market.granted(self._session)
        symbols = list(dict.fromkeys(wanted))
        self._check_known(symbols, partial(market.grants, self._session), request_id)
        return symbols

    @staticmethod
    def _check_known(symbols: Iterable[str], is_known: Callable[[str], bool], request_id: OptionalId) -> None:
        for symbol in symbols:
            if not is_known(symbol):
                raise RequestRefused(ERROR_UNKNOWN_SYMBOL, f"unknown symbol {symbol}", request_id)

    # On the way out

    def told(self, sent: Any) -> None:
        """Make an object of what the session is sent, where it is one for the client."""
        renewed = self._requests.told(sent)
        if renewed is not None:
            # A subscription that the client asks for, other than a new listing.
            self._later(self._follow_listed(renewed))
