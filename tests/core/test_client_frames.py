"""Frames as clients send them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from components.core.client_frames import BINARY, TEXT, first_frame_bytes, plain_messages, unmasked

KEYS = st.one_of(st.just(b"\0\0\0\0"), st.binary(min_size=4, max_size=4))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300).map(str.encode)


def frame(payload: bytes, key: bytes, first_octet: int = TEXT) -> bytes:
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    masked = bytes(octet ^ key[index % 4] for index, octet in enumerate(payload))
    return bytes([first_octet]) + length + key + masked


@given(st.binary(max_size=400), st.binary(min_size=4, max_size=4))
def test_unmasking_is_xor_with_the_repeated_key(payload: bytes, key: bytes) -> None:
    assert unmasked(payload, key) == bytes(octet ^ key[index % 4] for index, octet in enumerate(payload))


@given(st.lists(st.tuples(TEXTS, KEYS), max_size=6), st.data())
def test_messages_come_out_whole_wherever_the_read_ends(sent: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    frames = [frame(text, key) for text, key in sent]
    stream = b"".join(frames)
    cut = data.draw(st.integers(0, len(stream)))
    messages, taken = plain_messages(stream[:cut], TEXT, 0)
    assert messages == [text for text, _ in sent][: len(messages)]
    assert taken == sum(map(len, frames[: len(messages)]))
    # Only an incomplete frame may be left.
    assert cut - taken < len(frames[len(messages)]) if len(messages) < len(frames) else taken == cut


@given(st.binary(max_size=300), KEYS)
def test_text_that_is_no_utf8_is_not_plain_and_binary_is(payload: bytes, key: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        assert plain_messages(frame(payload, key), TEXT, 0) == ([], 0)
    assert plain_messages(frame(payload, key, BINARY), BINARY, 0)[0] == [payload]


def test_every_other_first_octet_ends_the_plain_ones() -> None:
    plain = frame(b"[]", b"abcd")
    for octet in set(range(256)) - {TEXT}:
        stream = plain + frame(b"[]", b"abcd", octet) + plain
        assert plain_messages(stream, TEXT, 0) == ([b"[]"], len(plain))


def test_unmasked_long_and_needlessly_long_frames_are_not_plain() -> None:
    assert plain_messages(b"\x81\x02[]" + b" " * 20, TEXT, 0) == ([], 0)
    assert plain_messages(b"\x81\xff" + (70_000).to_bytes(8, "big") + b"abcd" + bytes(70_000), TEXT, 0) == ([], 0)
    assert plain_messages(b"\x81\xfe\x00\x02abcd[]" + b" " * 20, TEXT, 0) == ([], 0)


def test_a_message_over_the_limit_is_not_plain() -> None:
    stream = frame(b"x" * 20, b"abcd")
    assert plain_messages(stream, TEXT, 20) == ([b"x" * 20], len(stream))
    assert plain_messages(stream, TEXT, 19) == ([], 0)


@given(st.binary(max_size=70_000) | st.binary(max_size=200), KEYS, st.binary(max_size=20))
def test_the_first_frame_is_as_long_as_its_header_says(payload: bytes, key: bytes, rest: bytes) -> None:
    size = len(payload)
    whole = frame(payload, key) if size < 65_536 else b"\x81\xff" + size.to_bytes(8, "big") + key + payload
    assert first_frame_bytes(whole + rest) == len(whole)
    assert first_frame_bytes(whole[:-1]) == len(whole) - 1
    assert first_frame_bytes(b"\x89\x00" + rest) == 2
