"""Messages taken many at a time, held against Autobahn's own way."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from autobahn.exception import Disconnected
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateResponseAccept
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from components.core.websocket_frames import binary_frame, text_frame
from components.feed.frames import BulkWebSocketClient

LIMIT_BYTES = 300


class TakingFailed(Exception):
    """What an application may do to a protocol."""


class Application:
    """Notes what a connection brings, and does what a message says: ``close``, ``drop``, ``answer``, ``pause``, ``fail``."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def take(self, payload: bytes) -> None:
        protocol: Any = self
        self.seen.append(("message", payload))
        if payload == b"close":
            protocol.sendClose(1000, "enough")
        elif payload == b"drop":
            protocol.dropConnection(abort=True)
        elif payload == b"answer":
            protocol.sendMessage(b"answered")
        elif payload == b"pause":
            protocol.transport.pauseProducing()
        elif payload == b"fail":
            raise TakingFailed

    def onPing(self, payload: bytes) -> None:
        self.seen.append(("ping", payload))
        super().onPing(payload)  # type: ignore[misc]

    def onPong(self, payload: bytes) -> None:
        self.seen.append(("pong", payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.seen.append(("close", wasClean, code, reason))


class Stock(Application, WebSocketClientProtocol):
    """Autobahn's way."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.take(payload)


class Hesitant(Application, BulkWebSocketClient):
    """Takes one message a call and keeps hold of the others."""

    def onMessages(self, payloads: Iterator[bytes]) -> None:
        self.held = payloads
        self.take(next(payloads))


class Bulk(Application, BulkWebSocketClient):
    """Many at a time."""

    calls = 0

    def onMessages(self, payloads: Iterator[bytes]) -> None:
        self.calls += 1
        for payload in payloads:
            self.take(payload)


BOTH = pytest.mark.parametrize("kind", [Stock, Bulk])


@dataclass(frozen=True)
class Options:
    """What a connection may be set to, and may have negotiated."""

    fail_by_drop: bool = True
    max_message_bytes: int = LIMIT_BYTES
    max_frame_bytes: int = 0
    compression: bool = False
    masked_accepted: bool = False
    utf8_checked: bool = True


def open_connection(kind: type[Any], options: Options, clock: Clock | None = None) -> Any:
    """Return a connection after its handshake, without any timer that a clock was not given for."""
    factory = WebSocketClientFactory("ws://exchange.example:9443/stream", reactor=Clock())
    factory.protocol = kind
    factory.setProtocolOptions(
        failByDrop=options.fail_by_drop,
        maxMessagePayloadSize=options.max_message_bytes,
        maxFramePayloadSize=options.max_frame_bytes,
        acceptMaskedServerFrames=options.masked_accepted,
        utf8validateIncoming=options.utf8_checked,
        maskClientFrames=False,  # masks are random, and what is sent is compared
        openHandshakeTimeout=0,
        closeHandshakeTimeout=0,
        serverConnectionDropTimeout=0,
        autoPingInterval=10 if clock else 0,
        autoPingTimeout=5 if clock else 0,
        perMessageCompressionOffers=[PerMessageDeflateOffer()] if options.compression else [],
        perMessageCompressionAccept=lambda offered: PerMessageDeflateResponseAccept(offered),
    )
    if clock is not None:
        factory._batched_timer = BatchedTimer(clock)
    protocol: Any = factory.buildProtocol(None)
    protocol.makeConnection(Transport())
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", protocol.transport.value())
    assert key is not None
    accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    extensions = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if options.compression else b""
    protocol.transport.clear()
    protocol.dataReceived(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n" + extensions + b"\r\n"
    )
    assert protocol.state == protocol.STATE_OPEN
    return protocol


class Transport(StringTransport):
    """As easy about producers as a TCP connection."""

    def __init__(self) -> None:
        super().__init__(lenient=True)

    def unregisterProducer(self) -> None:
        self.producer = None


class BatchedTimer:
    """As much of txaio's as Autobahn uses."""

    def __init__(self, clock: Clock) -> None:
        self.call_later = clock.callLater


def receive(kind: type[Any], options: Options, chunks: list[bytes]) -> list[object]:
    """Return all that can be told from outside after each chunk of a connection's life."""
    protocol = open_connection(kind, options)
    told: list[object] = []
    for chunk in chunks:
        failed = False
        try:
            protocol.dataReceived(chunk)
        except (TakingFailed, Disconnected):
            failed = True
        transport = protocol.transport
        told.append(
            (
                list(protocol.seen),
                protocol.state,
                transport.value(),
                (transport.disconnecting, transport.disconnected, transport.producerState),
                protocol.trafficStats.__json__(),
                failed,
            )
        )
        if failed or transport.disconnected:
            # As Twisted does with a protocol that raises.
            break
    protocol.connectionLost(Failure(ConnectionDone()))
    return [*told, protocol.seen, protocol.wasNotCleanReason, protocol.localCloseCode, protocol.remoteCloseCode]


def compressed(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(b"\x00\x00\xff\xff")


def frame(first: int, payload: bytes, length_form: int = 0, mask: bytes = b"") -> bytes:
    """Return a frame as RFC 6455, 5.2 has it, or as it forbids it; ``length_form``: bits of the extended length."""
    size, masked = len(payload), 0x80 if mask else 0
    form = length_form or (0 if size < 126 else 16 if size < 65_536 else 64)
    if form == 0:
        length = bytes([masked | min(size, 125)])
    else:
        length = bytes([masked | (126 if form == 16 else 127)]) + size.to_bytes(form // 8, "big")
    if mask:
        payload = bytes(byte ^ mask[position % 4] for position, byte in enumerate(payload))
    return bytes([first]) + length + mask + payload


actions = st.sampled_from([b"close", b"drop", b"answer", b"pause", b"fail"])
texts = st.one_of(
    st.text(max_size=8).map(str.encode),
    st.integers(0, LIMIT_BYTES + 10).map(lambda size: b"x" * size),
    st.integers(0, 120).map(lambda size: ("é" * size).encode()),
)
plain_frames = texts.map(text_frame)
other_frames = st.one_of(
    actions.map(text_frame),
    st.binary(max_size=40).map(text_frame),
    st.binary(max_size=40).map(lambda tail: text_frame(b"x" * 30 + tail)),
    texts.map(binary_frame),
    # Fragments of one message, with or without a ping between them.
    st.tuples(texts, st.integers(0, 8), st.booleans()).map(
        lambda parts: (
            frame(0x01, parts[0][: parts[1]]) + (frame(0x89, b"p") * parts[2]) + frame(0x80, parts[0][parts[1] :])
        )
    ),
    texts.map(lambda text: frame(0xC1, compressed(text))),
    st.just(frame(0xC1, compressed(b"x" * 100_000))),
    st.binary(max_size=20).map(lambda payload: frame(0x89, payload)),
    st.binary(max_size=20).map(lambda payload: frame(0x8A, payload)),
    st.sampled_from([b"", b"\x03", b"\x03\xe8", b"\x03\xf0over", b"\x03\xe8\xff", b"\x00\x01"]).map(
        lambda payload: frame(0x88, payload)
    ),
    st.tuples(st.integers(0, 255), texts, st.sampled_from([0, 16, 64]), st.sampled_from([b"", b"mask"])).map(
        lambda parts: frame(*parts)
    ),
    st.binary(max_size=10),
)
streams = st.lists(st.one_of(plain_frames, plain_frames, plain_frames, other_frames), max_size=12).map(b"".join)
options = st.builds(
    Options,
    fail_by_drop=st.booleans(),
    max_message_bytes=st.sampled_from([LIMIT_BYTES, 0, 100]),
    max_frame_bytes=st.sampled_from([0, LIMIT_BYTES, 100]),
    compression=st.booleans(),
    masked_accepted=st.booleans(),
    utf8_checked=st.sampled_from([True, True, False]),
)


@given(streams, st.lists(st.integers(0, 1000), max_size=4), options)
@example(text_frame(b"a") + text_frame(b"drop") + text_frame(b"b"), [], Options())
@example(text_frame(b"a") + text_frame(b"close") + text_frame(b"b") + frame(0x88, b""), [], Options(fail_by_drop=False))
@example(text_frame(b"a") + text_frame(b"fail") + text_frame(b"b"), [], Options())
@example(text_frame(b"a") + text_frame(b"pause") + text_frame(b"b"), [], Options())
@example(text_frame(b"a") + text_frame(b"\xff") + text_frame(b"b"), [], Options())
@example(text_frame(b"a") + text_frame(b"\xff") + text_frame(b"b"), [], Options(fail_by_drop=False))
@example(text_frame(b"a") + text_frame(b"x" * (LIMIT_BYTES + 1)) + text_frame(b"b"), [], Options())
@example(text_frame(b"a") + text_frame(b"x" * 101) + text_frame(b"b"), [], Options(max_frame_bytes=100))
@example(frame(0x01, b"a") + text_frame(b"b") + text_frame(b"c"), [], Options())
@example(frame(0x01, b"a") + text_frame(b"b") + frame(0x80, b"c"), [], Options(fail_by_drop=False))
@example(frame(0xC1, compressed(b"a")) + text_frame(b"b") + frame(0xC1, b"\xff"), [], Options(compression=True))
def test_both_ways_are_the_same_from_outside(stream: bytes, cuts: list[int], options: Options) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(places)]
    assert receive(Bulk, options, chunks) == receive(Stock, options, chunks)


def test_plain_messages_of_one_read_come_in_one_call() -> None:
    protocol = open_connection(Bulk, Options())
    protocol.dataReceived(text_frame(b"a") * 100)
    assert protocol.calls == 1
    assert len(protocol.seen) == 100


def test_after_the_rest_of_a_frame_that_was_cut_they_come_in_one_call_again() -> None:
    protocol = open_connection(Bulk, Options())
    protocol.dataReceived((text_frame(b"a") * 100)[:-1])
    protocol.dataReceived(b"a" + text_frame(b"a") * 100)
    assert protocol.calls == 3
    assert len(protocol.seen) == 200


def test_messages_that_are_not_taken_come_with_the_next_call() -> None:
    protocol = open_connection(Hesitant, Options())
    protocol.dataReceived(b"".join(text_frame(b"%d" % number) for number in range(10)))
    assert protocol.seen == [("message", b"%d" % number) for number in range(10)]


@BOTH
def test_a_message_stands_for_the_pong_that_is_waited_for(kind: type[Any]) -> None:
    clock = Clock()
    protocol = open_connection(kind, Options(), clock)
    clock.advance(10)
    assert protocol.autoPingTimeoutCall is not None
    protocol.dataReceived(text_frame(b"a"))
    assert protocol.autoPingTimeoutCall is None
    clock.advance(9)
    assert protocol.autoPingTimeoutCall is None
    clock.advance(1)
    assert protocol.autoPingTimeoutCall is not None
    clock.advance(5)
    assert protocol.state == protocol.STATE_CLOSED


@BOTH
@pytest.mark.parametrize(
    "ask",
    [
        lambda protocol: setattr(protocol, "logFrames", True),
        lambda protocol: protocol.setTrackTimings(True),
        lambda protocol: protocol.on("message", lambda *_arguments, **_options: None),
    ],
)
def test_who_asks_for_more_than_messages_gets_it(kind: type[Any], ask: Callable[[Any], None]) -> None:
    protocol = open_connection(kind, Options())
    ask(protocol)
    ended: list[object] = []
    protocol.onFrameEnd, end_frame = lambda: ended.append(end_frame()), protocol.onFrameEnd
    protocol.dataReceived(text_frame(b"a") * 3)
    assert len(ended) == 3
    assert len(protocol.seen) == 3
