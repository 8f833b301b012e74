"""The upgrade of ``/ws/trade`` while it is not known yet who comes."""

from __future__ import annotations

from typing import Any

import pytest
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
    factory = PlainSocketFactory(entry.Entry(ApiSettings()), {})
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
