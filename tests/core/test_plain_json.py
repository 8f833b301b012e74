"""The plain JSON protocol: what is a request, what is followed, and in which order what was missed comes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from components.core import plain_json
from components.core.plain_json import Following, RequestRefused, Subscribe, Unsubscribe
from components.core.replay import ReplayPage
from components.uris import ERROR_INVALID_MESSAGE, topic_of

RATES = {100: "every_100ms", 1000: "every_1s"}
SYMBOLS = st.sampled_from(["BTCUSDT", "ETHUSDT", "SOLUSDT"])
SOME = st.lists(SYMBOLS, max_size=3)
FAMILIES = st.lists(st.sampled_from(["", "book", "day", "every_1s"]), min_size=1, max_size=3, unique=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["type", "id", "symbols"]), inner),
    max_leaves=8,
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_a_request_or_refused(message: bytes) -> None:
    try:
        plain_json.parse(message)
    except RequestRefused as error:
        refused = error
    else:
        return
    assert refused.uri == ERROR_INVALID_MESSAGE
    assert refused.id is UNSET or isinstance(refused.id, str | int)
    json.loads(plain_json.error(refused.uri, str(refused), refused.id))


@given(st.text(max_size=64) | st.integers(-(2**53), 2**53), st.dictionaries(st.text(min_size=1), JSON, max_size=3))
def test_an_id_is_found_in_what_is_no_request(request_id: str | int, rest: dict[str, Any]) -> None:
    message = json.dumps({**rest, "type": "nothing", "id": request_id}).encode()
    with pytest.raises(RequestRefused) as refused:
        plain_json.parse(message)
    assert refused.value.id == request_id


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, ("",)),
        ({"streams": ["tick", "book", "tick", "book", "day"]}, None),
        ({"streams": []}, None),
        ({"streams": ["day\n"]}, None),
        ({"streams": ["tick", "book", "day"]}, ("", "book", "day")),
        ({"streams": ["day"], "symbols": []}, None),
        ({"symbols": []}, None),
        ({"symbols": [], "streams": ["book"]}, None),
        ({"symbols": [], "streams": ["status"]}, ()),
        ({"streams": ["status", "tick"]}, ("",)),
        ({"streams": ["book", "book"]}, ("book",)),
        ({"streams": ["book", "tick"]}, ("book", "")),
        ({"every_ms": 1000}, ("every_1s",)),
        ({"every_ms": 100, "streams": ["tick", "book"]}, ("every_100ms", "book")),
    ],
)
def test_a_subscription_names_families(fields: dict[str, Any], named: tuple[str, ...] | None) -> None:
    message = json.dumps({"type": "subscribe", "symbols": "*", **fields}).encode()
    if named is None:
        with pytest.raises(RequestRefused):
            plain_json.parse(message)
        return
    request = plain_json.parse(message)
    assert isinstance(request, Subscribe)
    assert plain_json.families(request, RATES) == named


def test_the_end_of_subscriptions_is_that_of_all_unless_it_says_which() -> None:
    assert plain_json.families(Unsubscribe(symbols="*"), RATES) == ("", "every_100ms", "every_1s", "book", "day")
    assert plain_json.families(Unsubscribe(symbols="*", streams=["book"]), RATES) == ("book",)
    assert plain_json.families(Unsubscribe(symbols="*", every_ms=100), RATES) == ("every_100ms",)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"type": "nope"}, "type must be one of subscribe, unsubscribe, list, status, ping, renew, resume"),
        ({"id": 1}, "type must be one of subscribe, unsubscribe, list, status, ping, renew, resume"),
        ({"type": 1}, "type must be one of subscribe, unsubscribe, list, status, ping, renew, resume"),
        ([], "a message is a request in JSON, one to a text frame, an object"),
        ({"type": "subscribe", "symbols": "BTCUSDT"}, 'symbols must be a list of symbols or "*"'),
        ({"type": "subscribe", "symbols": ["*"]}, 'symbols must be a list of symbols or "*"'),
        ({"type": "unsubscribe"}, 'symbols must be a list of symbols or "*"'),
        ({"type": "subscribe", "symbols": "*", "every_ms": "1000"}, "every_ms must be one of 100, 1000"),
        ({"type": "ping", "id": "x" * 65}, "id must be text of up to 64 characters or an integer"),
        ({"type": "ping", "id": 1.5}, "id must be text of up to 64 characters or an integer"),
        ({"type": "ping", "extra": 1}, "ping has a field that is unknown; known are type, id"),
        ({"type": "renew", "token": 1}, "token must be text"),
        ({"type": "resume", "epoch": 1, "last": {}}, "last must be an object with the last seq by symbol"),
        ({"type": "resume", "last": {"A": 1}}, "epoch must be a whole number"),
    ],
)
def test_what_is_wrong_is_said_with_what_there_is(message: object, text: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        plain_json.parse(json.dumps(message).encode(), RATES)
    assert (refused.value.uri, str(refused.value)) == (ERROR_INVALID_MESSAGE, text)


def test_the_streams_that_there_are_are_named() -> None:
    with pytest.raises(RequestRefused, match=", ".join(plain_json.STREAMS)):
        plain_json.parse(b'{"type":"subscribe","symbols":"*","streams":["trade"]}')


def test_an_id_of_null_is_none() -> None:
    request = plain_json.parse(b'{"type":"ping","id":null}')
    assert plain_json.typed("pong", request.id) == b'{"type":"pong"}'


def test_a_subscription_to_ticks_ends_those_at_other_rates() -> None:
    assert plain_json.replaced(["", "book"], RATES) == ("every_100ms", "every_1s")
    assert plain_json.replaced(["every_1s"], RATES) == ("", "every_100ms")
    assert plain_json.replaced(["book", "day"], RATES) == ()


def test_a_rate_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(RequestRefused, match="must be one of 100, 1000"):
        plain_json.families(Subscribe(symbols="*", every_ms=7), RATES)
    with pytest.raises(RequestRefused, match="tick"):
        plain_json.families(Subscribe(symbols="*", every_ms=100, streams=["book", "day"]), RATES)


@given(
    st.lists(st.tuples(st.sampled_from(["begin", "begin all", "end", "end all", "list"]), SOME, FAMILIES), max_size=12)
)
def test_what_is_followed_is_what_was_asked_for(steps: list[tuple[str, list[str], list[str]]]) -> None:
    """Against sets of pairs, and the rule that all means also what is listed later."""
    following, wanted, everything = Following(), set[tuple[str, str]](), dict[str, set[str]]()
    listed: list[str] = ["BTCUSDT"]

    def follow(topics: list[str]) -> None:
        assert len(topics) == len(set(topics))
        for topic in topics:
            assert topic not in following.topics
            following.topics[topic] = 1

    for step, symbols, named in steps:
        if step == "list":
            listed = list(dict.fromkeys([*listed, *symbols]))
            wanted |= {(s, family) for family, without in everything.items() for s in listed if s not in without}
            follow(following.listed(listed))
            continue
        known = listed if step.endswith("all") else [s for s in dict.fromkeys(symbols) if s in listed]
        pairs = {(symbol, family) for symbol in known for family in named}
        if step.startswith("begin"):
            missing = following.missing(known, named)
            following.begin(known, named, everything=step == "begin all")
            follow(missing)
            wanted |= pairs
        else:
            of_all = step == "end all"
            gone = following.gone(None if of_all else known, named)
            following.end(None if of_all else known, named)
            for topic in gone:
                del following.topics[topic]
            wanted -= {pair for pair in wanted if pair[1] in named} if of_all else pairs
        for family in named:
            if step == "begin all":
                everything[family] = set()
            elif step == "end all":
                everything.pop(family, None)
            elif family in everything:
                without = everything[family]
                everything[family] = without - set(known) if step == "begin" else without | set(known)
        assert set(following.topics) == {topic_of(*pair) for pair in wanted}
        assert following.follows_all == bool(everything)


@given(st.lists(st.booleans(), max_size=40), st.integers(0, 5))
def test_what_was_missed_comes_by_number_with_gaps_in_their_place(there: list[bool], after_seq: int) -> None:
    events, missing = [], []
    for seq, is_there in enumerate(there, after_seq + 1):
        if is_there:
            events.append((seq, b'{"seq":%d}' % seq))
        elif missing and missing[-1][1] == seq - 1:
            missing[-1] = missing[-1][0], seq
        else:
            missing.append((seq, seq))
    page = ReplayPage(after_seq + len(there), events, missing, more=False)
    reached = after_seq
    for is_event, data in plain_json.replayed("BTCUSDT", page):
        said = json.loads(data)
        assert is_event == ("type" not in said)
        assert (said["seq"] if is_event else said["from_seq"]) == reached + 1
        reached = said["seq"] if is_event else said["to_seq"]
    assert reached == page.to_seq


def test_an_error_is_of_bounded_length_and_has_the_id_only_where_there_is_one() -> None:
    said = json.loads(plain_json.error("x", "y" * 1000, 5, limit="z", value=1))
    assert (said["id"], said["limit"], said["value"]) == (5, "z", 1)
    assert len(said["message"]) == plain_json.MAX_TEXT_CHARS + 1
    assert "id" not in json.loads(plain_json.error("x", "y"))
