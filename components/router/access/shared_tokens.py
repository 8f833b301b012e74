"""The tokens of this router worker, made once for all its realms as soon as what is revoked is known."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from components.core.redis_address import is_redis_url, parse_redis_url
from components.router import runtime
from components.router.access.live_tokens import LiveTokens
from components.router.access.revocation_store import FileRevocationStore
from components.settings import BusSettings

_waiting: list[Deferred[LiveTokens]] | None = None
"""Who waits for the tokens; ``None`` before the first has asked."""


def when_tokens_are_known(reactor: Any, bus: BusSettings, directory: Path) -> Deferred[LiveTokens]:
    """Return the worker's tokens: at once where revocations are the node's own, else when those of all nodes have been read.

    Raises:
        RevocationStoreError: the revocations of the node, or its copy of those of all nodes, cannot be read.
    """
    global _waiting
    tokens = runtime.live_tokens()
    if tokens is not None:
        return succeed(tokens)
    file = FileRevocationStore(directory)
    if not is_redis_url(bus.url):
        return succeed(_installed(LiveTokens(file, reactor)))
    waiter: Deferred[LiveTokens] = Deferred()
    if _waiting is not None:
        _waiting.append(waiter)
        return waiter
    _waiting = [waiter]
    from components.bus.redis import RedisLink
    from components.router.access.redis_revocations import RedisRevocationStore

    store = RedisRevocationStore(reactor, RedisLink(reactor, parse_redis_url(bus.url)), file, time.time)

    runtime.await_live_tokens(store.trouble)

    def opened(_nothing: None) -> None:
        tokens = _installed(LiveTokens(store, reactor))
        for waiter in _waiting or ():
            waiter.callback(tokens)

    def failed(failure: Failure) -> None:
        for waiter in _waiting or ():
            if not waiter.called:
                waiter.errback(failure)

    store.open().addCallback(opened).addErrback(failed)
    return waiter


def _installed(tokens: LiveTokens) -> LiveTokens:
    runtime.install_live_tokens(tokens)
    return tokens
