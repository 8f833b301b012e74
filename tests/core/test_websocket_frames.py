"""Frames found in received bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.websocket_frames import binary_frame, leading_text_frames, text_frame

GOOD = text_frame(b"good")
texts = st.one_of(st.text(max_size=5), st.text(min_size=100, max_size=300), st.just("x" * 65_535)).map(str.encode)


def payloads(data: bytes, max_payload_bytes: int = 65_535) -> list[bytes]:
    return [payload for _, payload in leading_text_frames(data, max_payload_bytes)]


@given(st.lists(texts, max_size=10), st.data())
def test_all_complete_frames_are_found_wherever_the_bytes_end(messages: list[bytes], data: st.DataObject) -> None:
    messages = [message for message in messages if len(message) < 65_536]
    frames = [text_frame(message) for message in messages]
    stream = b"".join(frames)
    cut = data.draw(st.integers(0, len(stream)))
    ends = [len(b"".join(frames[: number + 1])) for number in range(len(frames))]
    found = leading_text_frames(stream[:cut], 65_535)
    assert found == [(end, message) for end, message in zip(ends, messages, strict=True) if end <= cut]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(b"\x01\x01x", id="a first fragment"),
        pytest.param(b"\x80\x01x", id="a last fragment"),
        pytest.param(b"\xc1\x01x", id="a compressed frame"),
        pytest.param(b"\x81\x81\x00\x00\x00\x00x", id="a masked frame"),
        pytest.param(b"\x81\x7e\x00\x01x", id="16 bits for a short length"),
        pytest.param(b"\x81\x7f" + (1).to_bytes(8, "big") + b"x", id="64 bits for a short length"),
        pytest.param(text_frame(b"x" * 65_536), id="a length of 64 bits"),
        pytest.param(binary_frame(b"x"), id="a binary frame"),
        pytest.param(b"\x89\x00", id="a ping"),
        pytest.param(b"\x88\x00", id="a close frame"),
        pytest.param(text_frame(b"\xff"), id="no UTF-8"),
        pytest.param(text_frame("é".encode()[:1]), id="half a character"),
        pytest.param(text_frame(b"\xed\xa0\x80"), id="a surrogate"),
    ],
)
def test_whatever_is_not_a_plain_text_frame_ends_the_search(other: bytes) -> None:
    assert payloads(GOOD + other + GOOD) == [b"good"]


def test_a_frame_beyond_the_limit_ends_the_search() -> None:
    assert payloads(text_frame(b"1234") + text_frame(b"12345") + GOOD, 4) == [b"1234"]


def test_characters_of_several_bytes_and_empty_messages_are_text() -> None:
    assert payloads(text_frame("é€😀".encode()) + text_frame(b"")) == ["é€😀".encode(), b""]
