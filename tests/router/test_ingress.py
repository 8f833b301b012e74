"""Requests on their way in: what is recognised, and in which order replies, events and Crossbar's handling come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest
from autobahn.wamp import message
from autobahn.wamp.serializer import JsonSerializer, MsgPackSerializer
from hypothesis import given
from hypothesis import strategies as st

from components.core.payload import EncodedPayload
from components.router.engine.ingress import MAX_REPLY_BYTES, MAX_RUN, take
from components.router.engine.requests import CODECS, MAX_BRACKETS, Publish, Subscribe, Unsubscribe, is_plain_json
from components.router.engine.serializers import WrappingJsonSerializer

JSON = CODECS["json", False]
MSGPACK = CODECS["msgpack", False]

IDS = st.one_of(st.integers(-1, 3), st.just(2**53), st.just(2**53 + 1), st.just(1.0), st.just(True), st.just("1"))
OPTIONS = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={
            "match": st.sampled_from(["exact", "prefix", "wildcard", "regex", "", None, 1]),
            "get_retained": st.booleans() | st.none(),
            "acknowledge": st.booleans(),
            "forward_for": st.just([]),
            "_own": st.just(1),
        },
    ),
    st.sampled_from([[], None, "x"]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
TOPICS = st.sampled_from(["a.b", "a", "a..b", "a.", "", "a b", "a#b", "ü.x"]) | st.text(max_size=4)
MESSAGES = st.one_of(
    st.tuples(st.just(32), IDS, OPTIONS, TOPICS),
    st.tuples(st.just(34), IDS, IDS),
    st.tuples(st.just(34), IDS, IDS, OPTIONS),
    st.tuples(st.just(16), IDS, OPTIONS, TOPICS),
    st.tuples(st.just(16), IDS, OPTIONS, TOPICS, VALUES),
    st.tuples(st.just(16), IDS, OPTIONS, TOPICS, st.lists(VALUES, max_size=2)),
    st.tuples(st.just(16), IDS, OPTIONS, TOPICS, st.lists(VALUES, max_size=2), st.just({})),
    st.tuples(st.integers(0, 70), IDS),
    VALUES,
)


def parsed(serializer: Any, data: bytes) -> Any:
    """Return what Autobahn makes of a message, ``None`` when it refuses it."""
    try:
        [received] = serializer.unserialize(data)
    except Exception:
        return None
    return received


@given(MESSAGES)
def test_what_is_recognised_is_what_autobahn_makes_of_it(sent: Any) -> None:
    data = json.dumps(sent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    request = JSON.recognise(data)
    assert_same(request, parsed(JsonSerializer(), data))
    if isinstance(request, Publish):
        argument = bytes(request.arguments[0])
        assert json.loads(argument) == sent[4][0]


@given(MESSAGES)
def test_what_is_recognised_in_messagepack_is_what_autobahn_makes_of_it(sent: Any) -> None:
    try:
        data = msgpack.packb(sent)
    except (OverflowError, UnicodeEncodeError):
        return  # cannot be sent so
    request = MSGPACK.recognise(data)
    assert not isinstance(request, Publish)
    assert_same(request, parsed(MsgPackSerializer(), data))


def assert_same(request: Subscribe | Unsubscribe | Publish | None, received: Any) -> None:
    if request is None:
        return
    if isinstance(request, Publish | Subscribe) and received is None:
        # URIs are checked later, by the existence of the subscription, or by the pattern.
        with pytest.raises(message.InvalidUriError):
            message.check_or_raise_uri(request.topic, allow_empty_components=isinstance(request, Subscribe))
        return
    assert received.request == request.request
    if isinstance(request, Subscribe):
        assert type(received) is message.Subscribe
        assert (received.topic, received.match) == (request.topic, request.options.match)
        assert bool(received.get_retained) is request.options.get_retained
        assert received.forward_for is None
    elif isinstance(request, Unsubscribe):
        assert type(received) is message.Unsubscribe
        assert received.subscription == request.subscription
    else:
        assert type(received) is message.Publish
        assert received.topic == request.topic
        assert len(received.args) == 1
        assert received.marshal_options() == {}
        assert received.kwargs is None


@pytest.mark.parametrize(
    "sent",
    [
        b'[32,1,{},"a.b"]',
        b'[32,9007199254740992,{"match":"prefix"},"a."]',
        b'[32,1,{"get_retained":true},"a.b"]',
        b"[34,1,2]",
        b'[16,1,{},"a.b",[{"price":1.50}]]',
    ],
)
def test_the_usual_requests_are_recognised(sent: bytes) -> None:
    assert JSON.recognise(sent) is not None


@pytest.mark.parametrize(
    "sent",
    [
        b'[32,1,{"get_retained":null},"a.b"]',
        b'[16,1,{"acknowledge":true},"a.b",[1]]',
        b'[16,1,{"exclude_me":false},"a.b",[1]]',
        b'[16,1,{},"a.b"]',
        b'[16,1,{},"a.b",[1,2]]',
        b'[16,1,{},"a.b",[1],{}]',
        b'[16,1,{},"a.b",[NaN]]',
        b'[48,1,{},"a.b"]',
        b"",
    ],
)
def test_what_is_special_is_not(sent: bytes) -> None:
    assert JSON.recognise(sent) is None


def test_replies_are_those_of_autobahn() -> None:
    for codec, serializer in ((JSON, JsonSerializer()), (MSGPACK, MsgPackSerializer())):
        for number in (1, 2**53):
            for frame, reply in (
                (codec.subscribed(7, number), message.Subscribed(7, number)),
                (codec.unsubscribed(number), message.Unsubscribed(number)),
            ):
                data, _ = serializer.serialize(reply)
                assert frame == bytes([codec.first_octet, len(data)]) + data


@given(VALUES)
def test_json_is_read_as_autobahn_reads_it(value: Any) -> None:
    data = json.dumps([36, value]).encode()
    assert repr(WrappingJsonSerializer().unserialize(data)) == repr(JsonSerializer()._serializer.unserialize(data))


def test_binary_data_in_json_is_still_binary() -> None:
    data = b'[36,"\\u0000aGk="]'
    assert WrappingJsonSerializer().unserialize(data) == [[36, b"hi"]]


@pytest.mark.parametrize("data", [b"[1", b"\xff", b"", b"[1]x"])
def test_json_that_is_none_is_refused_as_autobahn_refuses_it(data: bytes) -> None:
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)) as expected:
        JsonSerializer()._serializer.unserialize(data)
    with pytest.raises(expected.type) as raised:
        WrappingJsonSerializer().unserialize(data)
    assert str(raised.value) == str(expected.value)


def test_an_argument_that_not_every_serializer_holds_is_not_plain() -> None:
    assert is_plain_json(rb'"\u00fc \n \\ "')
    assert not is_plain_json(rb'"\ud800"')
    assert not is_plain_json(rb'"\uDFFF"')
    assert not is_plain_json(rb'"\u0000aGk="')
    assert is_plain_json(b"[" * MAX_BRACKETS + b"]" * MAX_BRACKETS)
    assert not is_plain_json(b'{"a":' * (MAX_BRACKETS + 1) + b"1" + b"}" * (MAX_BRACKETS + 1))


class FakeConnection:
    """A connection and its realm, which note what is done; subscriptions to ``new.`` are Crossbar's to make."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.has_joined = True

    def joined(self) -> tuple[Any, Any]:
        return (self if self.has_joined else None), "session"

    def handle(self, data: bytes) -> None:
        self.done.append(("handled", data))
        if data == b"leave":
            self.has_joined = False

    def begin_reply(self) -> None:
        self.done.append("caught up")

    def send_replies(self, frames: list[bytes]) -> None:
        self.done.append(("replies", [frame[2:] for frame in frames]))

    def subscribe(self, session: Any, topic: str, match: str, get_retained: bool) -> tuple[int, list[bytes]] | None:
        if topic.startswith("new."):
            return None
        if topic == "large":
            return 9, [b"x" * (MAX_REPLY_BYTES // 2)]
        return 9, [b"..[36,9]", b"..[36,9]"] if get_retained else []

    def unsubscribe(self, session: Any, subscription: int) -> bool:
        return subscription == 9

    def may_publish_now(self, session: Any, topic: str) -> bool:
        return topic.startswith("own.")

    def publish_all(self, events: Sequence[tuple[str, EncodedPayload]]) -> None:
        self.done.append(("published", [(topic, payload.json) for topic, payload in events]))


def done(*messages: bytes) -> list[Any]:
    connection = FakeConnection()
    take(connection, JSON, messages)
    return connection.done


def test_the_replies_of_one_read_are_written_together() -> None:
    assert done(b'[32,1,{},"a"]', b'[32,2,{},"b"]', b"[34,3,9]") == [
        "caught up",
        ("replies", [b"[33,1,9]", b"[33,2,9]", b"[35,3]"]),
    ]


def test_what_a_subscription_begins_with_follows_its_reply() -> None:
    [_, (kind, replies)] = done(b'[32,1,{"get_retained":true},"a"]', b'[32,2,{},"b"]')
    assert kind == "replies"
    assert [json.loads(reply)[:2] for reply in replies] == [[33, 1], [36, 9], [36, 9], [33, 2]]


def test_many_large_replies_are_not_gathered_but_written() -> None:
    connection = FakeConnection()
    take(connection, JSON, [b'[32,1,{"get_retained":true},"large"]'] * 20)
    written = [
        frames for kind, frames in (step for step in connection.done if step != "caught up") if kind == "replies"
    ]
    assert len(written) == 10
    assert all(sum(map(len, frames)) < 1.5 * MAX_REPLY_BYTES for frames in written)


def test_a_connection_that_takes_no_more_after_a_reply_has_no_more_made_for_it() -> None:
    connection = FakeConnection()
    subscribed: list[str] = []
    subscribe, send_replies = connection.subscribe, connection.send_replies

    def noting(session: Any, topic: str, match: str, get_retained: bool) -> tuple[int, list[bytes]] | None:
        subscribed.append(topic)
        return subscribe(session, topic, match, get_retained)

    def giving_up(frames: list[bytes]) -> None:
        send_replies(frames)
        connection.has_joined = False

    connection.subscribe, connection.send_replies = noting, giving_up  # type: ignore[method-assign]
    take(connection, JSON, [b'[32,1,{"get_retained":true},"large"]'] * 20)
    assert len(subscribed) == 2


def test_replies_are_written_before_crossbar_handles_something_and_before_something_is_published() -> None:
    subscribe, publish, new = b'[32,1,{},"a"]', b'[16,2,{},"own.x",[1.50]]', b'[32,3,{},"new.b"]'
    assert done(subscribe, publish, new, subscribe) == [
        "caught up",
        ("replies", [b"[33,1,9]"]),
        ("published", [("own.x", b"1.50")]),
        ("handled", new),
        "caught up",
        ("replies", [b"[33,1,9]"]),
    ]


def test_publications_go_out_before_a_later_subscription_is_made() -> None:
    publish = b'[16,2,{},"own.x",[1]]'
    assert done(publish, publish, b'[32,1,{},"a"]') == [
        ("published", [("own.x", b"1"), ("own.x", b"1")]),
        "caught up",
        ("replies", [b"[33,1,9]"]),
    ]


def test_a_publication_that_is_not_allowed_or_not_plain_is_crossbars() -> None:
    refused, binary = b'[16,2,{},"other.x",[1]]', b'[16,3,{},"own.x",["\\u0000aGk="]]'
    nested = b'[16,4,{},"own.x",[' + b"[" * 5000 + b"]" * 5000 + b"]]"
    assert done(refused, binary, nested) == [("handled", refused), ("handled", binary), ("handled", nested)]


def test_a_long_run_of_publications_is_handed_over_in_parts() -> None:
    parts = [len(events) for _, events in done(*[b'[16,2,{},"own.x",[1]]'] * (2 * MAX_RUN + 1))]
    assert parts == [MAX_RUN, MAX_RUN, 1]


def test_everything_is_crossbars_once_the_session_has_left() -> None:
    subscribe = b'[32,1,{},"a"]'
    assert done(b"leave", subscribe) == [("handled", b"leave"), ("handled", subscribe)]


@given(
    st.lists(
        st.sampled_from([b'[32,1,{},"a"]', b"[34,2,9]", b"[34,2,8]", b'[16,3,{},"own.x",[1]]', b'[16,4,{},"x",[1]]'])
    )
)
def test_every_message_is_taken_once_and_in_order(messages: list[bytes]) -> None:
    kinds = {
        b'[32,1,{},"a"]': b"[33,1,9]",
        b"[34,2,9]": b"[35,2]",
        b'[16,3,{},"own.x",[1]]': ("own.x", b"1"),
    }
    taken: list[Any] = []
    for step in done(*messages):
        if step != "caught up":
            kind, what = step
            taken += [what] if kind == "handled" else what
    assert taken == [kinds.get(data, data) for data in messages]
