"""A small asyncio client of a Crosstick gateway: joins with a ticket, reconnects for ever, resubscribes after each join.

It keeps nothing but the last sequence number of each symbol: events are handed on as they come. A handler that is
slow therefore slows the reading, and the gateway merges for this client what does not fit its queue there.

    async def on_join(session):
        await follow_ticks(session, ["BTCUSDT"], lambda tick, missed: print(tick["price"]))

    asyncio.run(MarketClient("ws://127.0.0.1:8080/ws", token, on_join).run())

Prices and volumes arrive as `decimal.Decimal` with exactly the exchange's digits: the gateway sends them as JSON numbers
and `ExactJsonSerializer` reads those without a float on the way.
"""

import asyncio
import base64
import binascii
import inspect
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

import msgspec
import txaio
from autobahn.asyncio.wamp import ApplicationSession
from autobahn.asyncio.websocket import WampWebSocketClientFactory
from autobahn.wamp.exception import ApplicationError, TransportLost
from autobahn.wamp.interfaces import IObjectSerializer
from autobahn.wamp.message import Event, Invocation
from autobahn.wamp.serializer import JsonSerializer, Serializer
from autobahn.wamp.types import CloseDetails, SubscribeOptions
from autobahn.websocket.util import parse_url
from sequence import SequenceTracker

logger = logging.getLogger("crosstick.client")

FIRST_RETRY_CEILING_S = 1.0
RETRY_CEILING_S = 30.0

SETUP_TIMEOUT_S = 15.0
"""Connecting, joining and `on_join` together must be done in this time; else the session is given up and retried."""

GOODBYE_TIMEOUT_S = 2.0

REFUSALS = {
    "crosstick.error.authentication_failed",
    "wamp.error.authentication_failed",
    "wamp.error.no_auth_method",
    "wamp.error.no_such_realm",
    "wamp.error.no_such_role",
}
"""The gateway's one answer to a ticket it does not accept, and Crossbar's own before it or without its authenticator."""


TOKEN_ENDED = {"crosstick.close.token_expired", "crosstick.close.token_revoked"}
"""Why the gateway closes a session whose token is no longer good: the same token would not open another."""

RENEW_AHEAD_S = 60.0
"""A token is renewed so long before it ends, or in the last fifth of its time where that is shorter."""

TokenProvider = Callable[[], "str | Awaitable[str]"]
"""Returns a fresh token, at once or later; raises `AccessRefused` when there will be none any more."""


class AccessRefused(Exception):
    """The gateway says no, and asking again would not help."""


class _ConnectFailed(Exception):
    """No connection to the gateway's host and port."""


class ConnectionState(Enum):
    """What `on_state` reports; REFUSED is told by `AccessRefused`, the end by `run()` returning or being cancelled."""

    CONNECTING = "connecting"
    LIVE = "live"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class StateChange:
    """A change of a connection: `reason` and `retry_in_s` say why and how long it is WAITING, and are None otherwise."""

    state: ConnectionState
    reason: str | None = None
    retry_in_s: float | None = None


def retry_delay_s(attempt: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Return the delay before the next attempt: uniform between 0 and a ceiling that doubles up to 30 s ("full jitter")."""
    return uniform(0.0, min(RETRY_CEILING_S, FIRST_RETRY_CEILING_S * 2 ** min(attempt, 16)))


def claims_of(token: str) -> dict:
    """Return the claims of a JWT, unverified: verifying is the gateway's business.

    Raises:
        ValueError: the text is no JWT.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (AttributeError, IndexError, ValueError, binascii.Error):
        # The cause would quote the token.
        raise ValueError("this is not a token with a subject (sub)") from None
    return claims if isinstance(claims, dict) else {}


def subject_of(token: str) -> str:
    """Return the subject (`sub`) of a JWT, unverified.

    Raises:
        ValueError: the text is no JWT or names no subject.
    """
    claims = claims_of(token)
    if "sub" not in claims:
        raise ValueError("this is not a token with a subject (sub)")
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject:
        raise ValueError("the token's subject (sub) must be a text")
    return subject


def renewal_delay_s(token: str, now_s: float) -> float:
    """Return how long to wait before a token is renewed, at least a second."""
    exp = claims_of(token).get("exp")
    left_s = exp - now_s if isinstance(exp, (int, float)) else RENEW_AHEAD_S
    return max(1.0, left_s - min(RENEW_AHEAD_S, left_s / 5))


class _ExactJson:
    """WAMP messages as JSON, with numbers of a fraction as Decimal in both directions."""

    NAME = "json"
    BINARY = False

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(float_hook=Decimal)
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    def serialize(self, obj: object) -> bytes:
        return self._encoder.encode(obj)

    def unserialize(self, payload: bytes) -> list[object]:
        return [self._decoder.decode(payload)]


IObjectSerializer.register(_ExactJson)


class ExactJsonSerializer(JsonSerializer):
    """Autobahn's `wamp.2.json`, keeping every digit. (Its own `use_decimal_from_float` only reads, and is slow at it.)"""

    def __init__(self) -> None:
        Serializer.__init__(self, _ExactJson())


class TicketSession(ApplicationSession):
    """One session: answers the challenge, and tells by futures when it has joined, why it has ended, and that its line has.

    A session that has ended is deaf: its line may still bring what the gateway sent before, and handlers are spared that.
    """

    def __init__(self, realm: str, token: str, another_may_come: bool = False) -> None:
        """Join with a token; `another_may_come` when its end is no refusal."""
        super().__init__()
        loop = asyncio.get_running_loop()
        self.joined: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[str] = loop.create_future()
        self.disconnected: asyncio.Future[None] = loop.create_future()
        self._realm_to_join = realm
        self._token = token
        self._another_may_come = another_may_come
        self._reason = "the line was cut"
        self._deaf = False

    def onConnect(self) -> None:
        if self._deaf:  # given up while the WebSocket was opened
            self.disconnect()
        else:
            self.join(self._realm_to_join, authmethods=["ticket"], authid=subject_of(self._token))

    def onChallenge(self, challenge: object) -> str:
        return self._token

    def onMessage(self, msg: object) -> None:
        if not (self._deaf and isinstance(msg, (Event, Invocation))):
            super().onMessage(msg)

    def onJoin(self, details: object) -> None:
        self.joined.set_result(None)

    def onLeave(self, details: CloseDetails) -> None:
        if details.reason in REFUSALS:
            self._end(AccessRefused("the gateway refused the ticket"))
        elif details.reason in TOKEN_ENDED and not self._another_may_come:
            self._end(AccessRefused(details.message or details.reason))
        elif details.reason != CloseDetails.REASON_TRANSPORT_LOST:
            self._reason = details.message or details.reason
        self.disconnect()

    def onDisconnect(self) -> None:
        super().onDisconnect()  # whoever still waits for an answer gets TransportLost
        self.disconnected.set_result(None)
        self._end(None)

    def onUserError(self, failure: object, message: str) -> None:
        """Log what a handler or procedure raised by mistake. An ApplicationError is none, but an answer to a caller."""
        if not isinstance(failure.value, ApplicationError):
            logger.error("%s", message, exc_info=failure.value)

    def fail(self, error: BaseException) -> None:
        """End this session, and `MarketClient.run()` with this error."""
        self._end(error)

    def turn_deaf(self) -> None:
        """Call no handler and no procedure any more."""
        self._deaf = True

    def _end(self, error: BaseException | None) -> None:
        self.turn_deaf()
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(self._reason)
        else:
            self.ended.set_exception(error)


async def follow_ticks(
    session: TicketSession,
    symbols: Iterable[str],
    on_tick: Callable[[dict, int], None],
    sequences: SequenceTracker | None = None,
) -> None:
    """Subscribe to the ticks of some symbols; a late joiner gets the newest one at once.

    Args:
        on_tick: called with a tick and the number of the symbol's ticks that never came since the last one. What it
            raises ends `MarketClient.run()`.
        sequences: kept by the caller, it finds gaps across reconnects too, and no tick comes twice.

    Raises:
        AccessRefused: the token has no right to a symbol.
    """
    tracker = sequences or SequenceTracker()

    def follow_epoch(status: dict) -> None:
        tracker.enter_epoch(status["epoch"])

    def receive(tick: dict) -> None:
        missed = tracker.observe(tick)
        if missed is None:
            return
        try:
            on_tick(tick, missed)
        except Exception as error:
            session.fail(error)

    # First the topic, then the procedure: so no change can fall in between.
    await session.subscribe(follow_epoch, "market.status")
    follow_epoch(await session.call("market.status"))
    subscriptions = {
        symbol: session.subscribe(receive, f"market.{symbol}", options=SubscribeOptions(get_retained=True))
        for symbol in symbols
    }
    outcomes = await asyncio.gather(*subscriptions.values(), return_exceptions=True)
    for symbol, outcome in zip(subscriptions, outcomes, strict=True):
        if isinstance(outcome, ApplicationError) and outcome.error == ApplicationError.NOT_AUTHORIZED:
            raise AccessRefused(f"this token has no right to {symbol}")
        if isinstance(outcome, BaseException):
            raise outcome


class MarketClient:
    """A WAMP session to the gateway, kept up until it is cancelled or refused.

    Args:
        url: the gateway's WAMP endpoint, e.g. `ws://127.0.0.1:8080/ws`.
        token: JWT used as WAMP ticket; its `sub` is the authid. Or a function that returns one, at once or later: it is
            asked before each join, and for the next token before one ends, by which the session goes on.
        on_join: subscribe and register here. Called after *every* join, since subscriptions end with their session.
            The connection is LIVE once it returns. After an `ApplicationError` the session is left and retried, unless
            it is `wamp.error.not_authorized`.
        on_state: called with each `StateChange`.

    Raises:
        ValueError: `token` is a text, but no token.
    """

    def __init__(
        self,
        url: str,
        token: str | TokenProvider,
        on_join: Callable[[TicketSession], Awaitable[None]],
        on_state: Callable[[StateChange], None] = lambda change: None,
        realm: str = "market",
    ) -> None:
        self._secure, self._host, self._port, *_ = parse_url(url)
        self._url = url
        self._token = token
        self._on_join = on_join
        self._on_state = on_state
        self._realm = realm
        self._failed_attempts = 0
        if isinstance(token, str):
            subject_of(token)

    async def run(self) -> None:
        """Stay connected. Never returns; cancelling it leaves the session politely.

        Raises:
            AccessRefused: the gateway refuses the ticket, or `on_join` raised it.
            Exception: whatever else `on_join` raised, or `TicketSession.fail` was given.
        """
        # Autobahn takes the event loop from this setting of its own.
        txaio.config.loop = asyncio.get_running_loop()
        while True:
            self._on_state(StateChange(ConnectionState.CONNECTING))
            reason = await self._run_session()
            delay_s = retry_delay_s(self._failed_attempts)
            self._failed_attempts += 1
            self._on_state(StateChange(ConnectionState.WAITING, reason, delay_s))
            await asyncio.sleep(delay_s)

    async def _run_session(self) -> str:
        """Connect, join, set up, and wait for the end; return why it ended."""
        try:
            token = await self._next_token()
        except AccessRefused:
            raise
        except Exception as error:
            return f"there is no token to join with: {error}"
        session = TicketSession(self._realm, token, another_may_come=not isinstance(self._token, str))
        factory = WampWebSocketClientFactory(lambda: session, url=self._url, serializers=[ExactJsonSerializer()])
        # Pings find out when a network has silently gone.
        factory.setProtocolOptions(
            openHandshakeTimeout=SETUP_TIMEOUT_S, closeHandshakeTimeout=1.0, autoPingInterval=10.0, autoPingTimeout=10.0
        )
        renewal = None
        try:
            try:
                async with asyncio.timeout(SETUP_TIMEOUT_S):
                    await self._set_up(session, factory)
            except TimeoutError:
                return "the gateway did not answer in time"
            except _ConnectFailed as error:
                return str(error)
            except ApplicationError as error:
                if error.error == ApplicationError.NOT_AUTHORIZED:
                    raise AccessRefused(error.error_message()) from error
                return error.error_message()
            except TransportLost:
                return "the line was cut"
            if not session.ended.done():
                self._failed_attempts = 0
                self._on_state(StateChange(ConnectionState.LIVE))
                if not isinstance(self._token, str):
                    renewal = asyncio.ensure_future(self._keep_renewed(session, token))
            return await asyncio.shield(session.ended)
        finally:
            if renewal is not None:
                renewal.cancel()
            await self._leave(session)

    async def _next_token(self) -> str:
        given = self._token if isinstance(self._token, str) else self._token()
        token = await given if inspect.isawaitable(given) else given
        subject_of(token)
        return token

    async def _keep_renewed(self, session: TicketSession, token: str) -> None:
        """Go on with another token whenever one is about to end; what fails is tried again until the gateway ends it."""
        failed_attempts = 0
        while True:
            retry_s = 1.0 + retry_delay_s(failed_attempts)
            await asyncio.sleep(retry_s if failed_attempts else renewal_delay_s(token, time.time()))
            try:
                token = await self._next_token()
                await session.call("auth.renew", token)
                failed_attempts = 0
            except AccessRefused as error:
                session.fail(error)
                return
            except Exception as error:
                failed_attempts += 1
                logger.warning("the token could not be renewed: %s", error)

    async def _set_up(self, session: TicketSession, factory: WampWebSocketClientFactory) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(factory, self._host, self._port, ssl=self._secure)
        except OSError as error:
            # Told apart from the OSErrors of handlers, such as a closed standard output: those are not the gateway's.
            raise _ConnectFailed(error.strerror or str(error)) from error
        await asyncio.wait({session.joined, session.ended}, return_when=asyncio.FIRST_COMPLETED)
        if session.joined.done():
            await self._on_join(session)

    async def _leave(self, session: TicketSession) -> None:
        """Say goodbye if there is anybody to hear it, and cut the line to whoever does not answer; never raises."""
        session.turn_deaf()
        if session.is_attached():
            session.leave()
        elif session.is_connected():
            session.disconnect()
        try:
            if session.is_connected():
                await asyncio.wait({session.disconnected}, timeout=GOODBYE_TIMEOUT_S)
        finally:
            if session.is_connected():
                session.transport.abort()
        if session.ended.done() and not session.ended.cancelled():
            session.ended.exception()  # told by _run_session, or of no interest any more
