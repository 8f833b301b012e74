"""The feed at an exchange behind TLS: a certificate that the system trusts is taken, another is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest_twisted
from OpenSSL import SSL
from twisted.internet import reactor, ssl
from twisted.internet.threads import deferToThread

from components.settings import SimulatorSettings
from components.simulator.server import SimulatedExchange
from tests.harness.client import until
from tests.harness.node import Node


class TlsReactor:
    """A reactor on which TCP servers speak TLS."""

    def __init__(self, certificate: Path) -> None:
        self._options = ssl.DefaultOpenSSLContextFactory(str(certificate), str(certificate), SSL.TLS_SERVER_METHOD)

    def listenTCP(self, port: int, factory: Any, **options: Any) -> Any:
        return reactor.listenSSL(port, factory, self._options, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


@pytest_twisted.async_yield_fixture
async def tls_port(certificate: Path) -> AsyncIterator[int]:
    """Return the port of a simulated exchange behind TLS."""
    settings = SimulatorSettings(host="127.0.0.1", port=0, rate_per_s=200, seed=1, recording=None)
    exchange = SimulatedExchange(TlsReactor(certificate), settings)
    yield await exchange.start()
    await exchange.stop()


@pytest_twisted.ensureDeferred
async def test_a_trusted_exchange_is_followed(make_node: Callable[..., Node], tls_port: int, certificate: Path) -> None:
    node = make_node(CROSSTICK_EXCHANGE_URL=f"wss://localhost:{tls_port}", SSL_CERT_FILE=str(certificate))
    await deferToThread(node.start)


@pytest_twisted.ensureDeferred
async def test_an_exchange_that_nobody_vouches_for_is_not(make_node: Callable[..., Node], tls_port: int) -> None:
    node = make_node(CROSSTICK_EXCHANGE_URL=f"wss://localhost:{tls_port}")
    node.spawn()
    await until(reactor, lambda: "certificate verify failed" in node.log, timeout_s=40)
    reason = "the feed is connecting: TLS: certificate verify failed"
    await until(reactor, lambda: node.ready() == (False, [reason]))
