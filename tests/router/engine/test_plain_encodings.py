"""What plain clients are sent for events: shared bytes, arrays of bounded length, and server-sent events."""

from __future__ import annotations

import json

import pytest

from components.core.payload import EncodedPayload
from components.core.websocket_frames import leading_text_frames, text_frame
from components.router.engine.encodings import MAX_BATCH, PLAIN, STREAM
from components.router.engine.events import Event


def events(number: int) -> list[Event]:
    return [Event(1, 2, "market.X", False, EncodedPayload(b'{"seq":%d}' % seq)) for seq in range(number)]


def test_an_event_is_its_payload_in_a_frame() -> None:
    encoding = PLAIN[True, False]
    frames = encoding.frames(events(2))
    assert frames == [text_frame(b'{"seq":0}'), text_frame(b'{"seq":1}')]
    assert encoding.pieces(frames) == [b"".join(frames)]


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize("number", [1, MAX_BATCH, MAX_BATCH + 1, 3 * MAX_BATCH])
def test_a_batch_is_arrays_of_bounded_length(framed: bool, number: int) -> None:
    encoding = PLAIN[framed, True]
    pieces = encoding.pieces(encoding.frames(events(number)))
    messages = [payload for _, payload in leading_text_frames(pieces[0], 65_535)] if framed else pieces
    arrays = [json.loads(message) for message in messages]
    assert max(map(len, arrays)) <= MAX_BATCH
    assert [each["seq"] for array in arrays for each in array] == list(range(number))


def test_a_compressed_connection_frames_by_itself() -> None:
    encoding = PLAIN[False, False]
    assert not encoding.joined
    assert encoding.pieces(encoding.frames(events(2))) == [b'{"seq":0}', b'{"seq":1}']


def test_server_sent_events_are_chunks_where_http_has_chunks() -> None:
    frames = STREAM[True].frames(events(1)) + STREAM[True].objects([b'{"type":"closing","code":"x"}'])
    block = b'data: {"seq":0}\n\nevent: closing\ndata: {"type":"closing","code":"x"}\n\n'
    assert STREAM[False].pieces(frames) == [block]
    assert STREAM[True].pieces(frames) == [b"%x\r\n" % len(block) + block + b"\r\n"]
    live = Event(1, 2, "market.status", False, EncodedPayload(b'{"state":"live"}'))
    assert PLAIN[False, True].frames([live]) == [b'{"type":"status","state":"live"}']
    assert STREAM[True].frames([live]) == [b'event: status\ndata: {"type":"status","state":"live"}\n\n']
    # What a browser names so is the loss of the connection.
    assert STREAM[True].objects([b'{"type":"error"}']) == [b'event: problem\ndata: {"type":"error"}\n\n']
    assert STREAM[False].objects([b'{"a":\r\n1}']) == [b'data: {"a":1}\n\n']
