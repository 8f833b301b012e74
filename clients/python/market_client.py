"""A small asyncio client of a Crosstick gateway: joins with a ticket, reconnects for ever, resubscribes after each join.

Events are handed on as they come; what came while there was no connection, or was lost on the way, is asked for by
`market.replay` and joined on (`resume.py`). A handler that is slow slows the reading, and the gateway merges for this
client what does not fit its queue there.

    sequences = SequenceTracker()

    async def on_join(session):
        await follow_ticks(session, ["BTCUSDT"], lambda tick, missed: print(tick["price"]), sequences)

    asyncio.run(MarketClient("ws://127.0.0.1:8080/ws", token, on_join).run())

Prices and volumes arrive as `decimal.Decimal` with exactly the exchange's digits: the gateway sends them as JSON numbers
and `ExactJsonSerializer` reads those without a float on the way.
"""

import asyncio
import inspect
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import txaio
from autobahn.asyncio.websocket import WampWebSocketClientFactory
from autobahn.wamp.exception import ApplicationError, TransportLost
from autobahn.websocket.util import parse_url
from backoff import retry_delay_s
from resume import Replay, follow_ticks
from ticket import AccessRefused, TokenProvider, renewal_delay_s, subject_of
from ticket_session import ExactJsonSerializer, TicketSession

__all__ = [
    "AccessRefused",
    "ConnectionState",
    "MarketClient",
    "Replay",
    "StateChange",
    "TicketSession",
    "follow_ticks",
    "retry_delay_s",
    "subject_of",
]

logger = logging.getLogger("crosstick.client")

SETUP_TIMEOUT_S = 15.0
"""Connecting, joining and `on_join` together must be done in this time; else the session is given up and retried."""

GOODBYE_TIMEOUT_S = 2.0


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


class MarketClient:
    """A WAMP session to the gateway, kept up until it is cancelled or refused.

    Args:
        url: the gateway's WAMP endpoint, e.g. `ws://127.0.0.1:8080/ws`; of several gateways a list, or a text with commas
            between: they are tried in turn, from a random one on.
        token: JWT used as WAMP ticket; its `sub` is the authid. Or a function that returns one, at once or later: it is
            asked before each join, and for the next token before one ends, by which the session goes on.
        on_join: subscribe and register here. Called after *every* join, since subscriptions end with their session.
            The connection is LIVE once it returns. After an `ApplicationError` the session is left and retried, unless
            it is `wamp.error.not_authorized`.
        on_state: called with each `StateChange`.

    Raises:
        ValueError: `token` is a text, but no token, or `url` no address.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        token: str | TokenProvider,
        on_join: Callable[[TicketSession], Awaitable[None]],
        on_state: Callable[[StateChange], None] = lambda change: None,
        realm: str = "market",
    ) -> None:
        urls = [one.strip() for one in url.split(",")] if isinstance(url, str) else list(url)
        if not urls:
            raise ValueError("there must be a URL, there was none")
        for one in urls:
            try:
                parse_url(one)
            except Exception as error:  # Autobahn raises whatever its parts do
                raise ValueError(f"{one!r} is no WebSocket address: {error}") from None
        self._urls = urls
        self._turn = secrets.randbelow(len(urls))
        self._token = token
        self._on_join = on_join
        self._on_state = on_state
        self._realm = realm
        self._failed_attempts = 0
        self._draining = False
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
            self._draining = False
            reason = await self._run_session()
            self._turn = (self._turn + 1) % len(self._urls)
            # From a gateway that ends, all clients go at once; not in the same moment, but there is nothing to wait for.
            delay_s = retry_delay_s(0 if self._draining else self._failed_attempts)
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
        another_may_come = not isinstance(self._token, str)
        session = TicketSession(self._realm, token, another_may_come, attempt=self._failed_attempts)
        url = self._urls[self._turn]
        factory = WampWebSocketClientFactory(lambda: session, url=url, serializers=[ExactJsonSerializer()])
        # Pings find out when a network has silently gone.
        factory.setProtocolOptions(
            openHandshakeTimeout=SETUP_TIMEOUT_S, closeHandshakeTimeout=1.0, autoPingInterval=10.0, autoPingTimeout=10.0
        )
        renewal = None
        try:
            try:
                async with asyncio.timeout(SETUP_TIMEOUT_S):
                    await self._set_up(session, factory, url)
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
            self._draining = session.draining
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

    async def _set_up(self, session: TicketSession, factory: WampWebSocketClientFactory, url: str) -> None:
        loop = asyncio.get_running_loop()
        secure, host, port, *_ = parse_url(url)
        try:
            await loop.create_connection(factory, host, port, ssl=secure)
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
