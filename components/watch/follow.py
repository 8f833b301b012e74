"""Follows symbols at a gateway over its plain WebSocket, for ever: connects, subscribes, comes back, asks for what was missed.

The gateway itself joins what was missed on to what comes (``resume``), and says what it has no more; so nothing is held or
put in order here. Backpressure is the socket's: who hands on slowly is merged for by the gateway.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from components.core.backoff import Backoff
from components.core.closing import CLOSE_CODES, CloseReason
from components.core.globs import any_matches
from components.uris import ERROR_LIMIT_EXCEEDED, ERROR_NOT_READY
from components.watch.messages import Message, decode
from components.watch.tokens import NoToken, TokenSource, is_loopback, renewal_delay_s
from components.watch.unknown import no_gateway, unknown_symbols

FIRST_RETRY_CEILING_S = 1.0
RETRY_CEILING_S = 30.0
OPEN_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 15.0
PING_EVERY_S = 2.0
STATUS_EVERY_S = 5.0
"""The feed's counts come with what its state does, and change without that."""

SILENT_S = 10.0
"""A line from which nothing has come for so long, pings being sent, is taken for dead."""

SYMBOLS_AT_ONCE = 100
"""In one request: with ticks and books 200 messages, what a gateway allows in a second by default, after its burst."""

ATTEMPTS = 20
AGAIN_S = 1.0
"""How often a request is made again for which the gateway has no room, or is not ready, and how long after."""

NOT_NOW = frozenset({ERROR_LIMIT_EXCEEDED, ERROR_NOT_READY})
NOT_FOUND = 404
REFUSED_STATUS = frozenset({400, 401, 403})
TOKEN_ENDED = {CLOSE_CODES[CloseReason.TOKEN_EXPIRED], CLOSE_CODES[CloseReason.TOKEN_REVOKED]}
DRAINING = CLOSE_CODES[CloseReason.DRAINING]


class _connect(connect):
    """Follows no redirect: the token is for who was named, and that of the development key for this machine."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Refused(Exception):
    """The gateway says no, and asking again would not help; the text is one line without any token."""


class RequestRefused(Exception):
    """The gateway does not do what it was asked; ``code`` is the error's URI."""

    def __init__(self, answer: Message) -> None:
        super().__init__(f"{answer.code}: {answer.message}")
        self.code = answer.code


class _Lost(Exception):
    """The line is not good any more; the text says why."""


class Follower(Protocol):
    """Who is told; every time is the event loop's, in s."""

    def connecting(self, url: str) -> None:
        """Be told of an attempt."""

    def begin(self, symbols: Iterable[str]) -> None:
        """Be told which symbols are going to be subscribed to."""

    def listed(self, symbols: Sequence[str], unknown: Sequence[str]) -> None:
        """Be told which symbols of those wished for there are now, and what is wished for that there is not, a line each."""

    def live(self) -> None:
        """Be told that all of them are."""

    def lost(self, reason: str, retry_in_s: float, now_s: float) -> None:
        """Be told that there is no line, and when the next attempt will be."""

    def answered(self, pong: Message, asked_s: float, now_s: float) -> None:
        """Be told that a ping has been answered."""

    def received(self, frame: str | bytes, messages: Sequence[Message], now_s: float) -> None:
        """Be handed what has come, as it came and taken apart."""

    def resume_from(self) -> tuple[int, dict[str, int]]:
        """Return epoch and last ``seq`` by symbol; an epoch of 0, or none of them: nothing is to be asked for."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be followed."""

    globs: tuple[str, ...]
    """Of symbols; none: all that the token grants. Those that are listed later, too."""

    every_ms: int | None = None
    """A rate of the gateway's; ``None``: every tick."""

    streams: tuple[str, ...] = ("tick", "book")

    batched: bool = True
    """Whether a frame may hold many objects, which costs least."""


async def follow(urls: Sequence[str], tokens: TokenSource, wish: Wish, follower: Follower) -> None:
    """Go on for ever; ``urls`` are those of gateways' plain WebSockets, tried in turn from a random one on.

    Raises:
        Refused: the gateway accepts no token, does not have what is wished for, or is not where it is said to be.
    """
    # Not all clients of a gateway are to come back in the same moment.
    generator = random.SystemRandom()
    backoff = Backoff(generator.random, FIRST_RETRY_CEILING_S, RETRY_CEILING_S)
    turn = generator.randrange(len(urls))
    loop = asyncio.get_running_loop()
    met: set[str] = set()
    while True:
        url = urls[turn % len(urls)]
        turn += 1
        follower.connecting(url)
        reason, least_s = await _attempt(url, tokens, wish, follower, backoff, met)
        delay_s = max(least_s, backoff.next_delay_s())
        follower.lost(reason, delay_s, loop.time())
        await asyncio.sleep(delay_s)


async def _attempt(
    url: str, tokens: TokenSource, wish: Wish, follower: Follower, backoff: Backoff, met: set[str]
) -> tuple[str, float]:
    """Connect and stay; return why that has ended, and how long to wait at least. ``met`` are URLs that gateways were at."""
    try:
        token = tokens.get()
        async with _connect(
            url,
            additional_headers={"Authorization": f"Bearer {token}"},
            # On this machine no proxy is asked, whatever the environment says.
            proxy=None if is_loopback(urlsplit(url).hostname) else True,
            subprotocols=None if not wish.batched else ["crosstick.json.batched"],  # type: ignore[list-item]
            compression=None,
            open_timeout=OPEN_TIMEOUT_S,
            # The protocol's own pings say more: they are answered behind what waits for this client.
            ping_interval=None,
            close_timeout=1.0,
            max_size=2**24,
        ) as socket:
            met.add(url)
            await _Session(socket, tokens, token, wish, follower, backoff).run()
    except NoToken as error:
        return str(error), 1.0
    except InvalidStatus as error:
        # Where there was one before, it is most likely a proxy's answer while it is away.
        if error.response.status_code == NOT_FOUND and url not in met:
            raise Refused(no_gateway(url)) from error
        return _of_status(error)
    except ConnectionClosed as error:
        return _of_close(error, tokens)
    except (OSError, TimeoutError, InvalidHandshake, _Lost) as error:
        return _line(error), 0.0
    except RequestRefused as error:
        if error.code not in NOT_NOW:
            raise Refused(str(error)) from error
        return str(error), 0.0
    return "the gateway closed the connection", 0.0


def _of_status(error: InvalidStatus) -> tuple[str, float]:
    status, body = error.response.status_code, error.response.body or b""
    try:
        problem = json.loads(body)
        text = f"{problem['type']}: {problem.get('detail') or problem['title']}"
    except (ValueError, KeyError, TypeError, AttributeError):
        text = f"HTTP {status}"
    if status in REFUSED_STATUS:
        raise Refused(text) from error
    after = error.response.headers.get("Retry-After", "0")
    return text, min(RETRY_CEILING_S, float(after)) if after.isdigit() else 0.0


def _of_close(error: ConnectionClosed, tokens: TokenSource) -> tuple[str, float]:
    closed = error.rcvd
    if closed is None:
        return "the line was cut", 0.0
    reason = closed.reason or f"close code {closed.code}"
    if closed.code in TOKEN_ENDED and not tokens.renews:
        raise Refused(reason) from error
    # A gateway that leaves is not alone, or is back in a moment.
    return reason, 0.0


def _line(error: BaseException) -> str:
    """Return one line for people."""
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        # asyncio's own text for a refused connection is about a call.
        return error.strerror if error.errno <= 0 or "SSL" in type(error).__name__ else os.strerror(error.errno)
    return " ".join(str(error).split())[:200] or type(error).__name__


class _Session:
    """One connection."""

    def __init__(
        self,
        socket: ClientConnection,
        tokens: TokenSource,
        token: str,
        wish: Wish,
        follower: Follower,
        backoff: Backoff,
    ) -> None:
        self._socket = socket
        self._tokens = tokens
        self._token = token
        self._wish = wish
        self._follower = follower
        self._backoff = backoff
        self._loop = asyncio.get_running_loop()
        self._heard_s = self._loop.time()
        self._requests = 0
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._subscribed: set[str] = set()
        self._listed: tuple[Any, Any] | None = None
        """How many symbols the feed has, as the last status says, and the version of that choice."""
        self._followed_of: tuple[Any, Any] | None = None
        """Those when the list was asked for."""

    async def run(self) -> None:
        """Go on until something ends it, which is raised."""
        tasks = [asyncio.ensure_future(work) for work in (self._read(), self._live(), self._keep_renewed())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        # Of several the reader's says why: the others only find the line closed.
        for task, outcome in zip(tasks, outcomes, strict=True):
            if task in done and isinstance(outcome, BaseException):
                raise outcome

    async def _read(self) -> None:
        while True:
            frame = await self._socket.recv()
            now_s = self._heard_s = self._loop.time()
            try:
                messages = decode(frame)
            except ValueError as error:
                raise _Lost(f"what came is not of this protocol: {error}") from error
            self._follower.received(frame, messages, now_s)
            for message in messages:
                if message.type and isinstance(message.id, int):
                    answer = self._answers.get(message.id)
                    if answer is not None and not answer.done():
                        answer.set_result(message)
                if message.type == "status":
                    self._listed = (message.symbols, message.symbols_version)

    async def _live(self) -> None:
        await self._ping()
        await self._begin()
        # The newest of all has come when this is answered.
        await self._ping()
        self._backoff.succeeded()
        self._follower.live()
        asked_s = self._loop.time()
        while True:
            await asyncio.sleep(PING_EVERY_S)
            await self._ping()
            if self._loop.time() - asked_s >= STATUS_EVERY_S:
                asked_s = self._loop.time()
                await self._ask_status()
            if self._listed != self._followed_of:
                await self._subscribe_listed()

    async def _ping(self) -> None:
        asked_s = self._loop.time()
        answer = await self._send(type="ping")
        while not answer.done():
            await asyncio.wait({answer}, timeout=SILENT_S / 10)
            # While a long request is done, the gateway sends and does not read.
            if self._loop.time() - max(asked_s, self._heard_s) >= SILENT_S:
                raise _Lost(f"nothing has come for {SILENT_S:g} s")
        self._follower.answered(answer.result(), asked_s, self._loop.time())

    async def _ask_status(self) -> None:
        """Have the status come, which whoever is told takes like any other."""
        try:
            await self._ask(type="status")
        except RequestRefused as error:
            # The next one will do.
            if error.code not in NOT_NOW:
                raise

    async def _begin(self) -> None:
        listed, symbols = await self._symbols()
        if not listed:
            # So it is, too, until a gateway that has just started hears of its feed.
            raise _Lost("the gateway lists no symbol that this token grants")
        unknown = unknown_symbols(self._wish.globs, listed)
        if not symbols:
            raise Refused("; ".join(unknown))
        self._follower.begin(symbols)
        self._follower.listed(symbols, unknown)
        epoch, last = self._follower.resume_from()
        if epoch and self._wish.every_ms is None:
            known = [symbol for symbol in symbols if symbol in last]
            for some in _portions(known):
                await self._ask_until_ready(type="resume", epoch=epoch, last={symbol: last[symbol] for symbol in some})
        await self._ask_until_ready(type="subscribe", symbols=[], streams=["status"])
        await self._subscribe(symbols)

    async def _subscribe_listed(self) -> None:
        """Subscribe to what has been listed since; whoever is told has a row for it when its first event comes."""
        listed, symbols = await self._symbols()
        self._follower.listed(symbols, unknown_symbols(self._wish.globs, listed))
        # One that comes back is subscribed to anew.
        self._subscribed.intersection_update(symbols)
        await self._subscribe([symbol for symbol in symbols if symbol not in self._subscribed])

    async def _symbols(self) -> tuple[list[str], list[str]]:
        """Return which symbols there are for this token, and those of them that are wished for."""
        self._followed_of = self._listed
        globs = self._wish.globs
        listed: list[str] = (await self._ask_until_ready(type="list")).symbols
        return listed, [symbol for symbol in listed if not globs or any_matches(globs, symbol)]

    async def _subscribe(self, symbols: Sequence[str]) -> None:
        every = {} if self._wish.every_ms is None else {"every_ms": self._wish.every_ms}
        for some in _portions(symbols):
            await self._ask_until_ready(type="subscribe", symbols=some, streams=self._wish.streams, **every)
            self._subscribed.update(some)

    async def _keep_renewed(self) -> None:
        while True:
            delay_s = renewal_delay_s(self._token, time.time())
            if delay_s is None or not self._tokens.renews:
                await asyncio.Event().wait()
            await asyncio.sleep(delay_s or 0)
            try:
                self._token = self._tokens.get()
                await self._ask(type="renew", token=self._token)
            except (NoToken, RequestRefused):
                # Tried again until the gateway ends the session, and says why.
                await asyncio.sleep(AGAIN_S)

    async def _ask_until_ready(self, **request: Any) -> Message:
        for _ in range(ATTEMPTS):
            try:
                return await self._ask(**request)
            except RequestRefused as error:
                if error.code not in NOT_NOW:
                    raise
            await asyncio.sleep(AGAIN_S)
        return await self._ask(**request)

    async def _ask(self, **request: Any) -> Message:
        """Return the answer to a request.

        Raises:
            RequestRefused: it is an error.
        """
        said = await asyncio.wait_for(await self._send(**request), ANSWER_TIMEOUT_S)
        if said.type == "error":
            raise RequestRefused(said)
        return said

    async def _send(self, **request: Any) -> asyncio.Future[Message]:
        """Send a request; its answer is to come."""
        self._requests += 1
        number = self._requests
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._answers[number] = answer
        # Of what nobody waits for any more, too.
        answer.add_done_callback(lambda _: self._answers.pop(number, None))
        await self._socket.send(json.dumps(request | {"id": number}))
        return answer


def _portions(symbols: Sequence[str]) -> Iterator[list[str]]:
    for begin in range(0, len(symbols), SYMBOLS_AT_ONCE):
        yield list(symbols[begin : begin + SYMBOLS_AT_ONCE])
