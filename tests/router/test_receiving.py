"""Autobahn as the oracle: whatever a client sends, wherever reads cut it, the same messages arrive and the same is answered."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from autobahn.wamp import message
from crossbar.router.protocol import WampWebSocketServerFactory, WampWebSocketServerProtocol
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from components.core.client_frames import unmasked
from components.core.outbox import OutboxCounters
from components.core.outbox_settings import OutboxSettings
from components.router.engine.turns import Turns
from components.router.seam import connections

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
)
MAX_MESSAGE_BYTES = 500


class Transport(StringTransport):
    """What is written; of Twisted's own transports it has that a producer may be taken away twice."""

    def unregisterProducer(self) -> None:
        self.producer = None


class Session:
    """A session that notes what it receives, and never joins."""

    _session_id = None
    _authid = None

    def __init__(self) -> None:
        self.received: list[Any] = []

    def onOpen(self, transport: Any) -> None:
        """Have a connection."""

    def onMessage(self, received: message.Message) -> None:
        # A session may fail: at GOODBYE this one does.
        self.received.append({}[6] if received.MESSAGE_TYPE == 6 else received.marshal())

    def onClose(self, was_clean: bool) -> None:
        self.received.append(("closed", was_clean))


class Gateway(connections.GatewayWebSocketProtocol):
    """Ours, with a count of what Autobahn did not see."""

    plain = 0

    def handle(self, data: bytes) -> None:
        type(self).plain += 1
        super().handle(data)


def let_all_have_their_turn() -> None:
    settings = connections.TransportSettings
    while len(settings.turns):
        settings.clock.advance(0)


def connection(
    monkeypatch: pytest.MonkeyPatch, protocol: type[Any], options: dict[str, Any]
) -> tuple[Any, Session, Transport]:
    session = Session()
    config = {"serializers": ["json"], "options": {"max_message_size": MAX_MESSAGE_BYTES, **options}}
    factory = WampWebSocketServerFactory(lambda: session, ".", config, None)
    monkeypatch.setattr(factory, "protocol", protocol, raising=False)
    made = factory.buildProtocol(None)
    transport = Transport()
    made.makeConnection(transport)
    made.dataReceived(HANDSHAKE)
    let_all_have_their_turn()
    assert transport.value().startswith(b"HTTP/1.1 101")
    transport.clear()
    return made, session, transport


class HurriedClock(Clock):
    """By which every look at it is a millisecond later: no more is handled in one go than has to be."""

    hurried = False

    def seconds(self) -> float:
        self.rightNow += 0.001 * self.hurried
        return super().seconds()


@pytest.fixture(autouse=True)
def transport_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HurriedClock()
    for name, value in {
        "clock": clock,
        "turns": Turns(clock),
        "queue": OutboxSettings(),
        "counters": OutboxCounters(),
        "send_buffer_bytes": None,
        "on_violation": lambda: None,
        "on_gone": lambda ended_by: None,
        "on_cut": lambda reason, authid, address: None,
    }.items():
        monkeypatch.setattr(connections.TransportSettings, name, value, raising=False)


def frame(
    first: int, payload: bytes, key: bytes = b"abcd", *, masked: bool = True, size_form: int | None = None
) -> bytes:
    size = len(payload)
    form = size_form or (size if size < 126 else 126 if size < 65_536 else 127)
    length = {126: struct.pack("!H", size & 0xFFFF), 127: struct.pack("!Q", size)}.get(form, b"")
    header = bytes([first, (0x80 if masked else 0) | form]) + length
    return header + key + unmasked(payload, key) if masked else header + payload


KEYS = st.one_of(st.just(b"\0\0\0\0"), st.binary(min_size=4, max_size=4))
TEXTS = st.sampled_from(
    [
        b'[32,1,{},"a.b"]',
        '[16,2,{},"a.ü",[{"x":1.50}]]'.encode(),
        b"[34,3,4]",
        b'[48,5,{},"a.b",["' + b"y" * 300 + b'"]]',
        b'[48,5,{},"a.b",["' + b"y" * 600 + b'"]]',
        b'[6,{},"wamp.close.normal"]',
        b'[32,-1,{},"a.b"]',
        b"no json",
        b'[16,2,{},"a.b",["\xff\xfe"]]',
        b"\xc3",
        b"",
    ]
)
GOOD = st.builds(lambda text, key: frame(0x81, text, key), st.sampled_from([b'[32,1,{},"a"]', b"[34,3,4]"]), KEYS)
FRAMES = st.one_of(
    GOOD,
    GOOD,
    st.builds(lambda text, key: frame(0x81, text, key), TEXTS, KEYS),
    st.builds(
        lambda text, key, at, between: frame(0x01, text[:at], key) + between + frame(0x80, text[at:], key),
        TEXTS,
        KEYS,
        st.integers(0, 30),
        st.sampled_from([b"", frame(0x89, b"p"), frame(0x8A, b"q"), frame(0x00, b""), frame(0x81, b"[]")]),
    ),
    st.builds(lambda payload, key: frame(0x89, payload, key), st.binary(max_size=20), KEYS),
    st.builds(lambda payload, key: frame(0x8A, payload, key), st.binary(max_size=20), KEYS),
    st.sampled_from(
        [
            frame(0x88, b""),
            frame(0x88, struct.pack("!H", 1000) + b"bye"),
            frame(0x88, b"x"),
            frame(0x82, b'[32,1,{},"a"]'),
            frame(0x81, b"[34,3,4]", masked=False),
            frame(0x81, b"[34,3,4]", size_form=126),
            frame(0x81, b"[34,3,4]", size_form=127),
            frame(0xC1, b"[34,3,4]"),
            frame(0x83, b"[34,3,4]"),
            frame(0x80, b"[34,3,4]"),
            frame(0x89, b"z" * 130),
            frame(0x09, b"z"),
            frame(0x81, b" " * 66_000),
        ]
    ),
)
SETTINGS = [
    {},
    {"fail_by_drop": True},
    {"max_frame_size": 12},
    {"require_masked_client_frames": False},
    {"validate_utf8": False},
    {"auto_ping_interval": 1000, "auto_ping_timeout": 1000, "auto_ping_restart_on_any_traffic": True},
]


@pytest.mark.parametrize("hurried", [False, True], ids=["at once", "in turns"])
@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_the_same_arrives_and_is_answered_as_with_autobahn(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], hurried: bool
) -> None:
    Gateway.plain = 0
    connections.TransportSettings.clock.hurried = hurried

    @settings(max_examples=400, deadline=None)
    @given(st.lists(FRAMES, max_size=8), st.data())
    def check(frames: list[bytes], data: st.DataObject) -> None:
        stream = b"".join(frames)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
        reads = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        outcomes = []
        for protocol in (WampWebSocketServerProtocol, Gateway):
            made, session, transport = connection(monkeypatch, protocol, options)
            for read in filter(None, reads):
                made.dataReceived(read)
                let_all_have_their_turn()
            # What comes in the read that ends a connection is counted at once here, and frame by frame by Autobahn.
            stats = made.trafficStats.__json__() if made.state == made.STATE_OPEN else None
            outcomes.append((session.received, transport.value(), transport.disconnecting, made.state, stats))
            for call in (made.autoPingPendingCall, made.autoPingTimeoutCall, made.closeHandshakeTimeoutCall):
                if call is not None:
                    call.cancel()
        expected, got = outcomes
        assert got == expected

    check()
    # With frames of 12 bytes at most only the shortest request is plain; without the check of UTF-8 none is.
    assert (Gateway.plain > 0) is (options != {"validate_utf8": False})


@pytest.mark.parametrize("hurried", [False, True], ids=["at once", "in turns"])
def test_a_burst_in_one_read_arrives_whole(monkeypatch: pytest.MonkeyPatch, hurried: bool) -> None:
    made, session, transport = connection(monkeypatch, Gateway, {})
    requests = [b'[32,%d,{},"a.b"]' % number for number in range(1, 2000)]
    stream = b"".join(frame(0x81, request, struct.pack("!L", number)) for number, request in enumerate(requests))
    connections.TransportSettings.clock.hurried = hurried
    for start in range(0, len(stream), 65_536):
        made.dataReceived(stream[start : start + 65_536])
        assert (transport.producerState == "paused") is hurried
        let_all_have_their_turn()
        assert transport.producerState == "producing"
    assert [received[1] for received in session.received] == list(range(1, 2000))


@pytest.mark.parametrize(
    "name",
    [
        "data",
        "current_frame",
        "current_frame_masker",
        "inside_message",
        "failedByMe",
        "trackedTimings",
        "logOctets",
        "logFrames",
        "utf8validateIncoming",
        "applyMask",
        "maxMessagePayloadSize",
        "maxFramePayloadSize",
        "trafficStats",
        "autoPingTimeoutCall",
        "autoPingRestartOnAnyTraffic",
        "_cancelAutoPingTimeoutCall",
        "_perMessageCompress",
        "_session",
    ],
)
def test_autobahns_connection_has_what_receiving_leans_on(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    made, _, _ = connection(monkeypatch, WampWebSocketServerProtocol, {})
    made.dataReceived(frame(0x81, b"[]")[:8])
    assert hasattr(made, name)


def test_a_connection_that_waited_for_others_is_read_from_again(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, _, _ = connection(monkeypatch, Gateway, {})
    made, session, transport = connection(monkeypatch, Gateway, {})
    connections.TransportSettings.clock.hurried = True
    busy.dataReceived(frame(0x81, b'[32,1,{},"a"]') * 2000)
    made.dataReceived(frame(0x81, b'[32,1,{},"a"]'))
    assert (transport.producerState, session.received) == ("paused", [])
    let_all_have_their_turn()
    assert (transport.producerState, len(session.received)) == ("producing", 1)
