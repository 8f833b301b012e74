"""Keys from a JWK Set at an address: asked for again and again, and at once when a token names a key that is not there.

One request at a time. After a failure the next comes soon, then less and less often; what tokens say can bring a request
forward, but not so often that this node becomes a burden for the issuer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from components.core.backoff import Backoff
from components.tokens.jwks import JwksError
from components.tokens.keys import KeySet, KeyStatus
from components.tokens.last_good import LastGoodSet, reason_of

EARLY_INTERVAL_S = 10.0
"""Least time between two requests that tokens ask for."""

EARLY_WAIT_S = 2.0
"""How long a join waits for a request."""

MAX_WAITING = 1000
"""Joins that wait at one time; those beyond are refused at once."""

RETRY_INITIAL_S = 1.0
RETRY_CAP_S = 60.0

Fetch = Callable[[], Awaitable[bytes]]


class JwksUrl:
    """A set at an address, asked for again and again; one request at a time."""

    def __init__(
        self, source: str, refresh_s: float, fetch: Callable[[Any], Fetch], random: Callable[[], float]
    ) -> None:
        """Keep what ``fetch``, given the reactor, brings; asked for every ``refresh_s`` seconds, a tenth more or less.

        ``source`` names the address in log lines and to operators. ``fetch`` fails with ``JwksError`` or ``OSError``, in
        bounded time.
        """
        self._good = LastGoodSet(source)
        self._refresh_s = refresh_s
        self._make_fetch = fetch
        self._random = random
        self._backoff = Backoff(random, initial_s=RETRY_INITIAL_S, cap_s=RETRY_CAP_S)
        self._reactor: Any = None
        self._fetch: Fetch | None = None
        self._request: Deferred[None] | None = None
        self._timer: DelayedCall | None = None
        self._refreshed_early_at_s: float | None = None
        self._waiting: set[Deferred[None]] = set()

    def keys(self) -> KeySet | None:
        """See ``KeySource``."""
        return self._good.set

    def start(self, reactor: Any) -> None:
        """See ``KeySource``."""
        self._reactor = reactor
        self._fetch = self._make_fetch(reactor)
        self._ask()

    def stop(self) -> None:
        """See ``KeySource``."""
        self._fetch = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._request is not None:
            self._request.cancel()
        self._release()

    def early_refresh(self) -> Deferred[None] | None:
        """See ``KeySource``: joins what is under way, else asks at most every 10 s; waits for 2 s at most."""
        if self._fetch is None or len(self._waiting) >= MAX_WAITING:
            return None
        if self._request is None:
            now_s = self._reactor.seconds()
            if self._refreshed_early_at_s is not None and 0 <= now_s - self._refreshed_early_at_s < EARLY_INTERVAL_S:
                return None
            self._refreshed_early_at_s = now_s
            self._ask()
        waiting: Deferred[None] = Deferred()
        if self._request is None:
            waiting.callback(None)
            return waiting
        self._waiting.add(waiting)
        timer = self._reactor.callLater(EARLY_WAIT_S, self._release_one, waiting)
        return waiting.addCallback(lambda _: timer.cancel() if timer.active() else None)

    def status(self) -> KeyStatus:
        """See ``KeySource``."""
        return self._good.status(0.0 if self._reactor is None else self._reactor.seconds())

    def not_ready_because(self) -> list[str]:
        """See ``KeySource``."""
        return self._good.not_ready_because()

    def _ask(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        request = Deferred.fromCoroutine(self._ask_once())
        if not request.called:
            self._request = request
        request.addErrback(self._request_failed)

    async def _ask_once(self) -> None:
        if self._fetch is None:
            return
        try:
            self._good.take(await self._fetch(), self._reactor.seconds())
        except (OSError, JwksError) as error:
            self._good.failed(reason_of(error))
            delay_s = RETRY_INITIAL_S + self._backoff.next_delay_s()
        else:
            self._backoff.succeeded()
            delay_s = self._refresh_s * (0.9 + 0.2 * self._random())
        self._request = None
        if self._fetch is not None:
            self._timer = self._reactor.callLater(min(delay_s, self._refresh_s * 1.1), self._ask)
        self._release()

    def _request_failed(self, failure: Failure) -> None:
        self._request = None
        self._release()
        if self._fetch is None:
            return
        # A mistake of this program's: said, and no reason to stop asking.
        self._good.log.failure(
            "token keys from {source}: the request failed", failure=failure, source=self._good.source
        )
        self._good.failed(f"internal error: {type(failure.value).__name__}")
        self._timer = self._reactor.callLater(RETRY_CAP_S, self._ask)

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for one in waiting:
            one.callback(None)

    def _release_one(self, one: Deferred[None]) -> None:
        self._waiting.discard(one)
        one.callback(None)
