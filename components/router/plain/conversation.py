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
- Who comes back gets of each symbol what was missed, and follows it from there in the same step as the last of that: nothing is
  missing, and nothing comes twice. A connection that takes no more gets no more of it until it does.

Knows WAMP's messages; nothing of sockets, frames or HTTP.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, ClassVar, Protocol

from autobahn.wamp import message
from autobahn.wamp.exception import InvalidUriError, ProtocolError
from msgspec import UNSET
from twisted.logger import Logger

from components.core import plain_json
from components.core.limits import Refusal
from components.core.payload import EncodedPayload
from components.core.plain_json import ALL, Following, OptionalId, RequestRefused
from components.core.replay import MAX_ANSWER_EVENTS, SeqAhead
from components.core.topics import symbol_and_family
from components.router.access.gate import Gate
from components.router.engine.encodings import PlainEncoding
from components.router.plain.market import MarketView
from components.uris import (
    AUTH_RENEW,
    ERROR_INVALID_ARGUMENT,
    ERROR_LIMIT_EXCEEDED,
    ERROR_NOT_READY,
    ERROR_UNKNOWN_SYMBOL,
    MARKET_STATUS,
    MARKET_SYMBOLS,
    tick_topic,
)

RESUME_EVENTS = 200
"""Ticks that a client which comes back is sent in one step."""

BEHIND_S = 1.0
"""How long a gateway that has not yet what a client has had elsewhere is given to get it."""

LOOK_AGAIN_S = 0.02

MAX_GATHERED_BYTES = 65_536
"""Of what is to be said: with more it is written, and counts against a session that does not read."""

_HOLD = True
"""What a step yields after which the connection has to take bytes again."""

Work = Iterator[bool]


class Realm(Protocol):
    """The seam of a session's realm."""

    market: MarketView | None

    def subscribe(self, session: Any, topic: str, match: str, get_retained: bool) -> tuple[int, list[bytes]] | None:
        """Add a session to a subscription; return its id and the frames that it begins with, or that nothing was done."""

    def unsubscribe(self, session: Any, subscription: int) -> bool:
        """Take a session from a subscription; return whether that was done."""


class Connection(Protocol):
    """The client's connection."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done for it."""

    @property
    def is_blocked(self) -> bool:
        """Whether it takes no more bytes at the moment."""

    def joined(self) -> tuple[Realm | None, Any]:
        """Return the realm, where requests may be taken past Crossbar's code, and the session."""

    @property
    def plain_encoding(self) -> PlainEncoding:
        """What makes frames of objects."""

    def begin_reply(self) -> None:
        """Send the events that wait."""

    def send_frames(self, frames: list[bytes]) -> None:
        """Send what the encoding has made."""

    def go_on(self) -> None:
        """Have ``run`` called when it is this connection's turn."""

    def violated(self, reason: str) -> None:
        """Close it: what came broke WAMP's rules."""

    def broke(self) -> None:
        """Close it: an error of our own."""


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
        self._replayed = 0
        """Ticks of replays for which no call has been counted yet."""
        self._look_again: Any = None
        """When what is to be done waits for the gateway's own bus."""
        self._following = Following()
        self._work: deque[Work] = deque()
        self._running = False
        self.is_held = False
        """Whether what is to be done waits for the connection to take bytes again."""
        self._gathered: list[bytes] = []
        """What has been said since the turn began."""
        self._gathered_bytes = 0
        self._requests = 0
        """The number of WAMP's requests so far."""
        self._subscribes: dict[int, tuple[str, OptionalId]] = {}
        """SUBSCRIBEs without an answer: topic, and the client's request."""
        self._calls: dict[int, tuple[str, OptionalId]] = {}
        """CALLs without a result: the type of the reply, and the client's request. ``max_concurrent_calls`` bounds them."""
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
        if self._running:
            return False
        self._running = True
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
            self._running = False
            self._flush()

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
                waits = next(self._work[0], None)
            finally:
                if gate is not None:
                    gate.end()
            if waits is None:
                # An error has cleared it.
                if self._work:
                    self._work.popleft()
            elif waits:
                self.is_held = True
                return False
            if self._clock.seconds() >= until_s:
                break
        return bool(self._work)

    def released(self) -> None:
        """Be told that the connection takes bytes again."""
        if self.is_held:
            self.is_held = False
            self._connection.go_on()

    def _later(self, work: Work) -> None:
        self._work.append(work)
        if not self._running and not self.is_held:
            self._connection.go_on()

    def close(self) -> None:
        """Be told that the connection closes, or has gone."""
        self._work.clear()
        self.is_held = False
        if self._look_again is not None and self._look_again.active():
            self._look_again.cancel()
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
        self._say(plain_json.error(refused.uri, str(refused), refused.id))
        if self._session.gate is not None:
            self._session.gate.fault()

    def _too_many(self, text: bytes) -> Work:
        self._refused(self._session.gate.refuse("messages_per_s"), plain_json.id_of(text))
        yield from ()

    def _do(self, request: plain_json.Request) -> Work:
        if isinstance(request, plain_json.Ping):
            self._say(plain_json.typed("pong", request.id, time=time.time_ns() // 1_000_000))
        elif isinstance(request, plain_json.Subscribe):
            yield from self._subscribe(request)
        elif isinstance(request, plain_json.Unsubscribe):
            yield from self._unsubscribe(request)
        elif isinstance(request, plain_json.List):
            self._call("symbols", request.id, MARKET_SYMBOLS)
        elif isinstance(request, plain_json.Status):
            self._call("status", request.id, MARKET_STATUS)
        elif isinstance(request, plain_json.Renew):
            self._call("renewed", request.id, AUTH_RENEW, request.token)
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
        if not self._afford(messages, len(missing) - len(gone), request.id):
            return
        self._following.end(None if everything else symbols, others)
        self._following.begin(symbols, families, everything=everything)
        for topic in gone:
            self._unfollow(topic)
            yield not _HOLD
        self._say(
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
            self._follow(topic, request.id)
            yield not _HOLD

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
        if not self._afford(max(len(symbols), 1) * len(families), 0, request.id):
            return
        self._following.end(None if everything else symbols, families)
        streams = plain_json.streams_of(request)
        for topic in [*gone, MARKET_STATUS] if plain_json.STATUS in streams else gone:
            self._unfollow(topic)
            yield not _HOLD
        if everything:
            symbols = sorted({symbol_and_family(topic)[0] for topic in gone})
        self._say(
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
        if not self._afford(len(symbols), len(topics) - len(gone), request.id):
            return
        gate: Gate | None = self._session.gate
        refusal = None if gate is None else gate.call(len(self._calls))
        if refusal is not None:
            self._refused(refusal, request.id)
            return
        self._following.end(symbols, others)
        for topic in gone:
            self._unfollow(topic)
            yield not _HOLD
        self._say(plain_json.typed("resumed", request.id, symbols=symbols, epoch=market.epoch))
        behind_until_s = self._clock.seconds() + BEHIND_S
        for symbol, after_seq in request.last.items():
            yield from self._resume_symbol(market, symbol, request, after_seq, behind_until_s)

    def _resume_symbol(
        self, market: MarketView, symbol: str, request: plain_json.Resume, after_seq: int, behind_until_s: float
    ) -> Work:
        topic = tick_topic(symbol)
        while True:
            while self._connection.is_blocked:
                yield _HOLD
            if not market.grants(self._session, symbol):
                # Its token is another one meanwhile.
                self._say(plain_json.error(ERROR_UNKNOWN_SYMBOL, f"unknown symbol {symbol}", request.id))
                return
            if request.epoch != market.epoch:
                yield from self._begin_afresh(symbol, after_seq, "epoch", request.id)
                return
            try:
                page = market.page(symbol, request.epoch, after_seq, RESUME_EVENTS)
            except SeqAhead:
                # This gateway may be a moment behind the one that the client comes from.
                if self._clock.seconds() < behind_until_s:
                    yield self._wait_a_little()
                    continue
                yield from self._begin_afresh(symbol, after_seq, "ahead", request.id)
                return
            objects = [payload for _, payload in plain_json.replayed(symbol, page)]
            if objects:
                self._say(*objects)
                # So that a connection which takes no more says so.
                self._flush()
                yield from self._pay_for(len(objects))
            if not page.more:
                # What is published from here on is not in the page, and all that was is.
                self._follow(topic, request.id, retained=False)
                yield not _HOLD
                return
            after_seq = page.to_seq
            yield not _HOLD

    def _pay_for(self, events: int) -> Work:
        """Wait until a call may be made for what came of a replay, as many as WAMP's answers would have taken."""
        self._replayed += events
        gate: Gate | None = self._session.gate
        while self._replayed >= MAX_ANSWER_EVENTS:
            while gate is not None and not gate.take_call():
                yield self._wait_a_little()
            self._replayed -= MAX_ANSWER_EVENTS

    def _wait_a_little(self) -> bool:
        """Return what a step yields that can go on in a moment."""
        if self._look_again is None or not self._look_again.active():
            self._look_again = self._clock.callLater(LOOK_AGAIN_S, self.released)
        return _HOLD

    def _begin_afresh(self, symbol: str, after_seq: int, reason: str, request_id: OptionalId) -> Work:
        self._say(plain_json.gap(symbol, after_seq + 1, None, reason))
        self._follow(tick_topic(symbol), request_id)
        yield not _HOLD

    def listed(self) -> None:
        """Be told that other symbols are listed than before."""
        if self._following.follows_all:
            self._later(self._follow_listed())

    def _follow_listed(self, renewed: OptionalId | None = None, *, costs: bool = False) -> Work:
        if self._market is None or not self._following.follows_all:
            return
        topics = self._following.listed(self._market.granted(self._session))
        if costs and topics and not self._afford(len(topics), len(topics), UNSET if renewed is None else renewed):
            return
        for topic in topics:
            self._follow(topic, UNSET)
            yield not _HOLD

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

    def _afford(self, messages: int, subscriptions: int, request_id: OptionalId) -> bool:
        """Tell whether the session's limits have room for so many messages and subscriptions more; else say that not."""
        gate: Gate | None = self._session.gate
        if gate is None:
            return True
        refusal = None
        if subscriptions > 0 and not gate.room_for_subscription(len(self._following.topics) + subscriptions - 1):
            refusal = gate.refuse("max_subscriptions")
        refusal = refusal or gate.pay(messages)
        if refusal is not None:
            self._refused(refusal, request_id)
        return refusal is None

    def _refused(self, refusal: Refusal, request_id: OptionalId) -> None:
        limit, value = refusal
        shown = int(value) if value == int(value) else value
        text = f"{limit} is {shown}"
        self._say(plain_json.error(ERROR_LIMIT_EXCEEDED, text, request_id, limit=limit, value=shown))

    def _say(self, *objects: bytes) -> None:
        if self._connection.is_over:
            return
        if not self._gathered:
            # Nothing is published while a turn lasts.
            self._connection.begin_reply()
        self._send(self._connection.plain_encoding.objects(list(objects)))
        if not self._running:
            self._flush()

    def _send(self, frames: list[bytes]) -> None:
        self._gathered += frames
        self._gathered_bytes += sum(map(len, frames))
        if self._gathered_bytes >= MAX_GATHERED_BYTES:
            self._flush()

    def _flush(self) -> None:
        frames, self._gathered, self._gathered_bytes = self._gathered, [], 0
        if frames and not self._connection.is_over:
            self._connection.send_frames(frames)

    # What the session is asked for

    def _number(self) -> int:
        self._requests += 1
        return self._requests

    def _follow(self, topic: str, request_id: OptionalId, *, retained: bool = True) -> None:
        if self._connection.is_over or topic in self._following.topics:
            return
        realm, session = self._connection.joined()
        self._following.topics[topic] = None
        made = None if realm is None else realm.subscribe(session, topic, message.Subscribe.MATCH_EXACT, retained)
        if made is not None:
            self._following.topics[topic], frames = made
            self._send(frames)
            return
        number = self._number()
        self._subscribes[number] = topic, request_id
        self._ask(message.Subscribe(number, topic, get_retained=retained or None))

    def _unfollow(self, topic: str) -> None:
        subscription = self._following.topics.pop(topic, None)
        if subscription is None or self._connection.is_over:
            return
        realm, session = self._connection.joined()
        if realm is None or not realm.unsubscribe(session, subscription):
            self._ask(message.Unsubscribe(self._number(), subscription))

    def _call(self, kind: str, request_id: OptionalId, procedure: str, *arguments: Any) -> None:
        number = self._number()
        self._calls[number] = kind, request_id
        self._ask(message.Call(number, procedure, args=list(arguments)))

    def _ask(self, request: Any) -> None:
        # Of Crossbar's answer a part may be written past what has been gathered.
        self._flush()
        self._session.onMessage(request)

    # On the way out

    def told(self, sent: Any) -> None:
        """Make an object of what the session is sent, where it is one for the client."""
        if isinstance(sent, message.Result):
            self._answer(sent)
        elif isinstance(sent, message.Error):
            self._answer_error(sent)
        elif isinstance(sent, message.Subscribed):
            topic, _ = self._subscribes.pop(sent.request, ("", UNSET))
            if topic in self._following.topics:
                self._following.topics[topic] = sent.subscription
        elif isinstance(sent, message.Unsubscribed):
            if not sent.request:
                # The session's token does not cover it any more.
                self._forget({sent.subscription})
        elif isinstance(sent, message.Event) and sent.args:
            event = sent.args[0]
            if self._following.topics.get(MARKET_STATUS) == sent.subscription:
                if isinstance(event, EncodedPayload):
                    self._say(plain_json.status(event.json))
                else:
                    self._say(plain_json.typed("status", **event))
            elif isinstance(event, EncodedPayload):
                self._say(event.json)

    def _answer(self, result: Any) -> None:
        kind, request_id = self._calls.pop(result.request, ("", UNSET))
        answer = result.args[0] if result.args else None
        if kind == "symbols":
            self._say(plain_json.typed(kind, request_id, symbols=answer))
        elif kind == "status":
            self._say(plain_json.typed(kind, request_id, **(answer or {})))
        elif kind == "renewed" and isinstance(answer, dict):
            ended = [topic for topic in answer["ended"] if topic in self._following.topics]
            for topic in ended:
                del self._following.topics[topic]
            symbols = sorted({symbol_and_family(topic)[0] for topic in ended}) or UNSET
            self._say(plain_json.typed(kind, request_id, expires=answer["exp"], ended=symbols))
            # The token may grant more than the one before: a subscription that the client asks for, other than a new listing.
            self._later(self._follow_listed(request_id, costs=True))

    def _answer_error(self, error: Any) -> None:
        if error.request_type == message.Subscribe.MESSAGE_TYPE:
            topic, request_id = self._subscribes.pop(error.request, ("", UNSET))
            self._following.topics.pop(topic, None)
        elif error.request_type == message.Call.MESSAGE_TYPE:
            _, request_id = self._calls.pop(error.request, ("", UNSET))
        else:
            request_id = UNSET
        text = str(error.args[0]) if error.args else error.error
        said = error.kwargs or {}
        limits = {name: said[name] for name in ("limit", "value") if name in said}
        self._say(plain_json.error(error.error, text, request_id, **limits))

    def _forget(self, subscriptions: set[int]) -> None:
        topics = self._following.topics
        for topic in [topic for topic, subscription in topics.items() if subscription in subscriptions]:
            del topics[topic]
