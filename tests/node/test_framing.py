"""WebSocket framing (RFC 6455, RFC 7692) at a real node: the groups of cases of Autobahn's test suite, with WAMP messages.

A case is what a client that has joined sends, and what it gets: the answer to a SUBSCRIBE, which proves that the message
arrived whole, a pong, or a close code. Autobahn's own suite echoes; this endpoint speaks WAMP.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgpack
import pytest

from components.free_ports import free_port
from tests.harness.node import Node, with_limits
from tests.harness.wire import Wire, frame

MAX_BYTES = 70_000
SUBSCRIBED = "subscribed"
REFUSED = "refused"
"""The ERROR of a request that arrived, and is not granted."""

NOTHING = "nothing"
DROPPED = None
"""The connection ends without a close frame. Autobahn takes a close frame that is invalid for the answer to the one by which it
refuses it, and drops the connection before that one is sent; its suite lets both pass.
"""

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A
PART = 0x7F
"""Takes FIN from a first octet."""


def request(size: int = 0) -> bytes:
    """Return a SUBSCRIBE of so many bytes, 26 at least: JSON may have blanks."""
    head = b'[32,1,{},"market.BTCUSDT"'
    return head + b" " * (size - len(head) - 1) + b"]"


def unicode_request(text: str = "ü€𝄞") -> bytes:
    return f'[32,1,{{}},"nothing.{text}"]'.encode()


def packed(size: int) -> bytes:
    """Return a CALL in MessagePack of so many bytes, from 40 on, with an argument that is refused."""
    for rest in range(size - 20, -1, -1):
        data: bytes = msgpack.packb([48, 1, {}, "market.symbols", [b"x" * rest]])
        if len(data) == size:
            return data
    raise ValueError(size)


def fragments(message: bytes, *cuts: int, first: int = TEXT) -> list[bytes]:
    """Return a message's fragments, cut at these places."""
    bounds = [0, *cuts, len(message)]
    parts = [message[start:end] for start, end in pairwise(bounds)]
    octets = [first & PART, *[0] * (len(parts) - 2), CONT]
    return [frame(octet, part) for octet, part in zip(octets, parts, strict=True)]


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


REQUEST = frame(TEXT, request())
BAD_UTF8 = {
    "lone continuation": b"\x80",
    "overlong slash": b"\xc0\xaf",
    "overlong three": b"\xe0\x80\xaf",
    "surrogate": b"\xed\xa0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "five octets": b"\xf8\x88\x80\x80\x80",
    "cut at the end": b"\xce\xba\xe1",
    "FE": b"\xfe",
}
AROUND = unicode_request()
UMLAUT = AROUND.index("ü".encode()) + 1

# Name (with the group of Autobahn's suite), what is sent, what comes.
CASES: list[tuple[str, bytes | list[bytes], object]] = [
    ("1.1.1 an empty text is no WAMP message", frame(TEXT, b""), 1002),
    *[(f"1.1 a text of {size}", frame(TEXT, request(size)), SUBSCRIBED) for size in (125, 126, 127, 128)],
    *[(f"1.1 a text of {size}", frame(TEXT, request(size)), SUBSCRIBED) for size in (65_535, 65_536)],
    ("1.1.8 octet by octet", [bytes([octet]) for octet in REQUEST], SUBSCRIBED),
    ("1.2 binary where text was agreed on", frame(BINARY, request()), 1002),
    ("2.1 an empty ping", frame(PING, b""), b""),
    ("2.3 a ping that is no text", frame(PING, b"\x00\xff\xfe\xfd"), b"\x00\xff\xfe\xfd"),
    ("2.4 a ping of 125", frame(PING, b"\xfe" * 125), b"\xfe" * 125),
    ("2.5 a ping of 126", frame(PING, b"\xfe" * 126), 1002),
    ("2.6 a ping octet by octet", [bytes([octet]) for octet in frame(PING, b"abc")], b"abc"),
    ("2.7 a pong that nobody asked for", [frame(PONG, b""), REQUEST], SUBSCRIBED),
    ("2.9 a pong that nobody asked for, and a ping", [frame(PONG, b"x"), frame(PING, b"y")], b"y"),
    *[
        (f"3 reserved bit {bit:#x}", [REQUEST[:0] + frame(TEXT | bit, request())], 1002)
        for bit in (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70)
    ],
    ("3.7 reserved bits of a ping", frame(PING | 0x10, b""), 1002),
    *[(f"4.1 opcode {opcode}", frame(0x80 | opcode, b""), 1002) for opcode in (3, 4, 5, 6, 7)],
    *[(f"4.2 opcode {opcode}", frame(0x80 | opcode, b"x"), 1002) for opcode in (11, 12, 13, 14, 15)],
    ("5.1 a ping in fragments", [frame(PING & PART, b"a"), frame(CONT, b"b")], 1002),
    ("5.2 a pong in fragments", [frame(PONG & PART, b"a"), frame(CONT, b"b")], 1002),
    ("5.3 text in two fragments", fragments(request(), 10), SUBSCRIBED),
    ("5.5 text in two fragments, octet by octet", [bytes([o]) for o in b"".join(fragments(request(), 9))], SUBSCRIBED),
    (
        "5.6 a ping between fragments",
        [fragments(request(), 10)[0], frame(PING, b"between"), fragments(request(), 10)[1]],
        [b"between", SUBSCRIBED],
    ),
    ("5.9 a continuation of nothing", [frame(CONT, b"x"), REQUEST], 1002),
    ("5.12 a continuation of nothing that is not final", [frame(0, b"x"), REQUEST], 1002),
    ("5.15 a continuation after the end", [*fragments(request(), 10), frame(0, b"x")], [SUBSCRIBED, 1002]),
    ("5.18 a text within a text", [frame(TEXT & PART, b"[32"), REQUEST], 1002),
    ("5.19 five fragments, two pings", [
        *fragments(request(), 3, 6, 9, 12)[:2], frame(PING, b"1"),
        *fragments(request(), 3, 6, 9, 12)[2:4], frame(PING, b"2"), fragments(request(), 3, 6, 9, 12)[4],
    ], [b"1", b"2", SUBSCRIBED]),
    ("6.1 empty fragments around a text", fragments(request(), 0, len(request())), SUBSCRIBED),
    ("6.2 characters of two to four octets", frame(TEXT, AROUND), REFUSED),
    ("6.2 a fragment for each octet", fragments(AROUND, *range(1, len(AROUND))), REFUSED),
    ("6.2 cut within a character", fragments(AROUND, UMLAUT), REFUSED),
    *[(f"6.3 {name}", frame(TEXT, b'["' + octets + b'"]'), 1007) for name, octets in BAD_UTF8.items()],
    *[(f"6.4 {name}, in fragments", fragments(b'["' + octets + b'"]', 3), 1007) for name, octets in BAD_UTF8.items()],
    ("6.4 told at once, in a fragment that is not the last", frame(TEXT & PART, b'["\xf4\x90\x80\x80'), 1007),
    ("6.4 told at once, in a frame that is not complete", frame(TEXT, b'["\xff', declared=500), 1007),
    ("6.21 code points that nobody uses are valid", frame(TEXT, unicode_request("\ufffe\U0010ffff")), REFUSED),
    ("7.1 a close, and then a request", [close(1000), REQUEST], 1000),
    ("7.1 a close within a message", [frame(TEXT & PART, b"[32"), close(1000)], 1000),
    ("7.3.1 an empty close", frame(CLOSE, b""), 1000),
    ("7.3.2 a close of one octet", frame(CLOSE, b"\x03"), (1002, DROPPED)),
    ("7.3.5 a close with a reason of 123", close(1000, b"x" * 123), 1000),
    ("7.3.6 a close of 126", close(1000, b"x" * 124), (1002, DROPPED)),
    ("7.5 a reason that is no text", close(1000, b"\xce\xba\xff"), (1007, DROPPED)),
    *[(f"7.7 close {c}", close(c), 1000) for c in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4999)],
    *[(f"7.9 close {c}", close(c), (1002, DROPPED)) for c in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)],
    *[(f"7.13 close {c}", close(c), (1002, DROPPED)) for c in (5000, 65_535)],
    ("9.1 a text as long as may be", frame(TEXT, request(MAX_BYTES)), SUBSCRIBED),
    ("9.1 one octet more", frame(TEXT, request(MAX_BYTES + 1)), 1009),
    ("9.3 as long as may be, in fragments", fragments(request(MAX_BYTES), *range(997, MAX_BYTES, 997)), SUBSCRIBED),
    ("9.3 one octet more, in fragments", fragments(request(MAX_BYTES + 1), *range(997, MAX_BYTES, 997)), 1009),
    ("9.5 in reads of 997", [frame(TEXT, request(65_536))[at : at + 997] for at in range(0, 66_000, 997)], SUBSCRIBED),
    ("9.9 told by the length alone", frame(TEXT, b"", declared=2**40), 1009),
    ("10.1 automatic fragments", fragments(request(65_536), *range(1300, 65_536, 1300)), SUBSCRIBED),
    ("a frame without a mask", frame(TEXT, request(), masked=False), 1002),
    ("a ping without a mask", frame(PING, b"", masked=False), 1002),
    ("16 bits of length for a short text", frame(TEXT, request(), form=126), 1002),
    ("64 bits of length for a short text", frame(TEXT, request(), form=127), 1002),
    ("64 bits of length for a text of 65535", frame(TEXT, request(65_535), form=127), 1002),
    ("the top bit of a length", frame(TEXT, b"", declared=2**63, form=127), 1002),
    ("many at once", REQUEST * 500, [SUBSCRIBED] * 500),
]  # fmt: skip


def with_deflate(config: dict[str, Any]) -> None:
    with_limits(max_message_bytes=MAX_BYTES)(config)
    config["workers"][0]["transports"][1]["paths"]["ws"]["paths"]["/"]["options"]["compression"] = {"deflate": {}}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(
        tmp_path_factory.mktemp("framing"),
        {"CROSSTICK_SIMULATOR_PORT": str(free_port())},
        change_config=with_deflate,
    )
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def token(endpoint: Node) -> str:
    return endpoint.token("framing", services=["framing"])


def joined(endpoint: Node, token: str, extensions: str = "", serializer: str = "json") -> Wire:
    wire = Wire(endpoint)
    wire.upgrade(extensions, serializer)
    wire.join("framing", token)
    return wire


def comes(wire: Wire, expected: object) -> None:
    """Assert that what comes next is that; events of the subscription may be between."""
    if isinstance(expected, list):
        for one in expected:
            comes(wire, one)
    elif isinstance(expected, (int, tuple)):
        assert wire.close_code() in (expected if isinstance(expected, tuple) else (expected,))
    elif isinstance(expected, bytes):
        while (found := wire.next_frame()) is not None and found[0] != PONG:
            pass
        assert found == (PONG, expected)
    else:
        while (message := wire.message())[0] == 36:
            pass
        assert message[0] == {SUBSCRIBED: 33, REFUSED: 8}[str(expected)], message


@pytest.mark.parametrize(("sent", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_case(endpoint: Node, token: str, sent: bytes | list[bytes], expected: object) -> None:
    with joined(endpoint, token) as wire:
        for data in sent if isinstance(sent, list) else [sent]:
            wire.send(data)
        comes(wire, expected)


@pytest.mark.parametrize("size", [45, 125, 126, 127, 128, 65_535, 65_536, MAX_BYTES])
def test_a_binary_message_of_a_size(endpoint: Node, token: str, size: int) -> None:
    message = packed(size)
    for data in (frame(BINARY, message), b"".join(fragments(message, 20, first=BINARY))):
        with joined(endpoint, token, serializer="msgpack") as wire:
            wire.send(data)
            assert wire.message()[4] == "wamp.error.invalid_argument"


def test_text_where_binary_was_agreed_on(endpoint: Node, token: str) -> None:
    with joined(endpoint, token, serializer="msgpack") as wire:
        wire.send(frame(TEXT, packed(45).decode("latin-1").encode()))
        assert wire.close_code() == 1002


def test_events_of_all_sizes_are_framed_as_they_must_be(endpoint: Node, token: str) -> None:
    topic = "services.framing.x"
    service = endpoint.token("framing", "service")
    # ``Wire`` asserts of each frame that it has no mask, no reserved bit and the shortest length.
    with joined(endpoint, token) as reader, joined(endpoint, token, serializer="msgpack") as binary:
        for wire in (reader, binary):
            wire.say(32, 1, {}, topic)
            assert wire.message()[0] == 33
        with joined(endpoint, service) as writer:
            for size in [0, 1, *range(60, 130), *range(65_440, 65_540, 3), 69_000]:
                writer.say(16, 1, {}, topic, ["y" * size])
                for wire in (reader, binary):
                    assert len(wire.message()[4][0]) == size


# permessage-deflate


def deflated(compressor: Any, message: bytes) -> bytes:
    data: bytes = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert data.endswith(b"\0\0\xff\xff")
    return data[:-4]


def compressor() -> Any:
    return zlib.compressobj(9, zlib.DEFLATED, -15)


def deflating(endpoint: Node, token: str) -> Wire:
    wire = joined(endpoint, token, "permessage-deflate")
    assert wire.extensions.startswith("permessage-deflate")
    return wire


@pytest.mark.parametrize("size", [26, 125, 126, 65_536, MAX_BYTES])
def test_compressed_messages_of_a_size_and_with_a_context_that_goes_on(endpoint: Node, token: str, size: int) -> None:
    with deflating(endpoint, token) as wire:
        context = compressor()
        lengths = []
        for _ in range(3):
            data = deflated(context, request(size))
            lengths.append(len(data))
            wire.send(frame(TEXT | 0x40, data))
            comes(wire, SUBSCRIBED)
        # What was said before is referred to.
        assert size > 1000 or lengths[1] < lengths[0]
        wire.send(REQUEST)
        comes(wire, SUBSCRIBED)


def test_a_compressed_message_in_fragments(endpoint: Node, token: str) -> None:
    data = deflated(compressor(), request(5000) + b" " * 10)
    with deflating(endpoint, token) as wire:
        for part in fragments(data, 1, 5, 9, first=TEXT | 0x40):
            wire.send(part)
        comes(wire, SUBSCRIBED)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT | 0x40, b"\xff\xff\xff\xff\xff"), 1007),
        (frame(TEXT | 0x40, deflated(compressor(), b'["\xff"]')), 1007),
        (frame(PING | 0x40, b""), 1002),
        (frame(TEXT & PART, b"[") + frame(CONT | 0x40, b"]"), 1002),
        (frame(TEXT | 0x60, deflated(compressor(), request())), 1002),
        (frame(TEXT | 0x40, deflated(compressor(), request(MAX_BYTES + 1))), 1009),
    ],
    ids=["no deflate", "no text", "a ping", "a continuation", "another bit", "one octet too long"],
)
def test_a_violation_with_compression(endpoint: Node, token: str, data: bytes, code: int) -> None:
    with deflating(endpoint, token) as wire:
        wire.send(data)
        assert wire.close_code() == code


def test_a_bomb_costs_its_own_connection_and_no_memory(endpoint: Node, token: str) -> None:
    bomb = deflated(compressor(), b" " * 60_000_000)
    assert len(bomb) < MAX_BYTES
    router = endpoint.worker("router")
    with joined(endpoint, token) as other:
        before = router.memory_info().rss
        for data in (
            frame(TEXT | 0x40, bomb),
            b"".join(fragments(bomb, *range(1000, len(bomb), 1000), first=TEXT | 0x40)),
        ):
            for _ in range(3):
                with deflating(endpoint, token) as wire:
                    wire.send(data)
                    assert wire.close_code() == 1009
        assert router.memory_info().rss - before < 30_000_000
        other.send(REQUEST)
        comes(other, SUBSCRIBED)


def test_the_node_has_taken_all_that_in_its_stride(endpoint: Node, token: str) -> None:
    assert endpoint.ready() == (True, [])
    assert "could not be handled" not in endpoint.log
    with joined(endpoint, token) as wire:
        wire.text(json.dumps([48, 1, {}, "market.symbols"]))
        assert wire.message()[0] == 50
