"""The upgrade of ``/ws/trade`` while it is not known yet who comes."""

from __future__ import annotations

from typing import Any

import pytest
import txaio
from twisted.internet.defer import Deferred

from components.router.authenticator import refusal
from components.router.http_api.access import ApiSettings
from components.router.plain import entry
from components.router.seam.plain_session import WorkerSessions
from components.router.seam.plain_socket import PlainSocketFactory
from tests.fuzz.world import Wire, World, frame, world

UPGRADE = (
    b"GET /ws/trade?token=t HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
EXTRA = {"exp": 2**40, "symbols": None, "services": [], "tier": None, "jti": None, "iat": None}
PRINCIPAL = {"realm": "market", "authid": "late", "role": "viewer", "extra": EXTRA}
PING = frame(0x81, b'{"type":"ping","id":7}')


@pytest.fixture
def verified() -> Deferred[Any]:
    """Return what tells who comes."""
    return Deferred()


@pytest.fixture
def wire(verified: Deferred[Any], monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Return a connection that has asked for the upgrade."""
    inside: World = world()
    monkeypatch.setattr(entry, "create_bearer_authenticator", lambda config: lambda *asked: verified)
    monkeypatch.setattr(WorkerSessions, "factory", inside._session)
    monkeypatch.setattr(inside.router, "has_role", lambda role: True)
    monkeypatch.setattr(txaio.config, "loop", inside.clock)
    options = {"auto_ping_interval": 20_000, "auto_ping_timeout": 20_000, "auto_ping_size": 12}
    factory = PlainSocketFactory(entry.Entry(ApiSettings()), options)
    factory.reactor = inside.clock
    made = Wire(inside, factory.buildProtocol(None))
    made.feed(UPGRADE)
    return made


def test_nothing_is_read_while_a_token_is_verified(wire: Wire, verified: Deferred[Any]) -> None:
    assert wire.transport.producerState == "paused"
    # What had been read already.
    wire.feed(PING)
    assert wire.transport.producerState == "paused"
    verified.callback(PRINCIPAL)
    assert wire.transport.producerState == "producing"
    assert wire.transport.value().startswith(b"HTTP/1.1 101")
    wire.world.clock.advance(1.0)
    assert b'{"type":"pong","id":7' in wire.transport.value()
    wire.end()
    wire.world.check_clean()


def test_who_is_refused_is_told_so(wire: Wire, verified: Deferred[Any]) -> None:
    verified.errback(refusal())
    assert wire.transport.value().startswith(b"HTTP/1.1 401")
    assert wire.transport.producerState == "producing"
    wire.end()
    wire.world.check_clean()


def test_who_has_gone_meanwhile_is_not_read_again(wire: Wire, verified: Deferred[Any]) -> None:
    wire.end()
    verified.callback(PRINCIPAL)
    assert wire.transport.producerState == "paused"
    assert wire.transport.value() == b""
    wire.world.check_clean()


@pytest.mark.parametrize("is_held", [True, False])
def test_what_is_not_read_while_a_request_is_done_is_not_waited_for(
    wire: Wire, verified: Deferred[Any], is_held: bool
) -> None:
    """Neither the answer to a ping, nor the end of a message."""
    verified.callback(PRINCIPAL)
    protocol = wire.protocol
    held = iter([True] * 1_000)
    wire.feed(PING[:5])
    assert protocol._begun_s is not None
    if is_held:
        protocol._conversation._later(held)
        assert wire.transport.producerState == "paused"
    for _ in range(60):
        wire.world.clock.advance(1.0)
    assert wire.transport.ended is not is_held
    wire.end()
    wire.world.check_clean()
