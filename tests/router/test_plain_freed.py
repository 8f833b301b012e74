"""What a plain session's connection leaves behind: nothing that a collection of everything would have to find."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from autobahn.wamp import ApplicationError
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from components.core.market import Market
from components.core.replay import ReplaySettings, TickHistory
from components.router import runtime
from components.router.authenticator import refusal
from components.router.http_api.access import ApiSettings
from components.router.plain import entry, stream
from components.router.seam.plain_session import WorkerSessions
from components.router.seam.plain_socket import PlainSocketFactory
from components.router.seam.plain_stream import StreamConnection
from tests.fuzz.world import Wire, World, frame, world
from tests.router.listeners.web.site import HardenedSite
from tests.router.test_plain_upgrade import PRINCIPAL, UPGRADE

WHOLE = b"GET /stream?symbols=BTCUSDT&token=t HTTP/1.1\r\nHost: node.example\r\n\r\n"


@pytest.fixture
def refused() -> list[ApplicationError]:
    """Return what is answered to the next token, if anything is in it."""
    return []


@pytest.fixture
def inside(refused: list[ApplicationError], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return a world that lets in whoever comes, in which nothing is collected."""

    def verify(*_asked: Any) -> Any:
        if refused:
            raise refused.pop()
        return PRINCIPAL

    made = world()
    monkeypatch.setattr(entry, "create_bearer_authenticator", lambda config: verify)
    monkeypatch.setattr(WorkerSessions, "factory", made._session)
    monkeypatch.setattr(made.router, "has_role", lambda role: True)
    gc.collect()
    gc.disable()
    yield made
    gc.enable()


@pytest.mark.parametrize("accepted", [True, False])
def test_a_socket_that_has_gone_is_gone(inside: World, refused: list[ApplicationError], accepted: bool) -> None:
    if not accepted:
        refused.append(refusal())
    factory = PlainSocketFactory(entry.Entry(ApiSettings()), {})
    factory.reactor = inside.clock
    wire = Wire(inside, factory.buildProtocol(None))
    wire.feed(UPGRADE)
    assert wire.transport.value().startswith(b"HTTP/1.1 101" if accepted else b"HTTP/1.1 401")
    wire.feed(frame(0x81, b'{"type":"ping"}'))
    watched = [weakref.ref(wire.protocol)]
    watched += [weakref.ref(part) for part in (wire.protocol._session, wire.protocol.outlet) if part is not None]
    wire.end()
    del wire.protocol
    wire.transport.producer = None
    assert [each() for each in watched if each() is not None] == []
    inside.check_clean()


@pytest.mark.parametrize("ends", ["it leaves", "it is sent away"])
def test_a_stream_that_has_gone_is_gone(
    inside: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    begun: list[weakref.ref[Any]] = []

    class Watched(StreamConnection):
        def begin(self, *arguments: Any) -> None:
            super().begin(*arguments)
            begun.extend(weakref.ref(part) for part in (self, self._session, self.outlet))
            if ends == "it is sent away":
                self.close_for("crosstick.close.draining", "")

    market = Market(lambda: 0.0, lambda: 0.0)
    status = {"epoch": 5, "state": "live", "symbols": ["BTCUSDT"], "stale": []}
    market.take_status(json.dumps(status).encode())
    environment: Any = None
    node = runtime.Runtime(environment, list, TickHistory(ReplaySettings(), lambda: 0.0), market=market)
    monkeypatch.setattr(runtime, "_runtime", node)
    monkeypatch.setattr(stream, "StreamConnection", Watched)
    (tmp_path / "static").mkdir()
    hardened = HardenedSite(tmp_path / "static")
    hardened.site.resource.putChild(b"stream", stream.Stream())
    connection = hardened.connect()
    received = connection.send(WHOLE)
    assert b"text/event-stream" in received
    assert len(begun) == 3
    transport = connection.transport
    connection.channel.connectionLost(Failure(ConnectionDone()))
    inside.clock.advance(30.0)
    hardened.site.reactor.advance(30.0)
    # As a real one does.
    transport.protocol = transport.producer = None
    del connection, transport
    assert [each() for each in begun if each() is not None] == []
    inside.check_clean()
