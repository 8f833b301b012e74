"""One connection's rules: control messages and their errors, the message rate, pings, and the end of its life."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.simulator.protocol import (
    Close,
    ConnectionAttempts,
    ConnectionRules,
    Drop,
    ExchangeConnection,
    Listen,
    Ping,
    Pong,
    Reply,
    Rewrap,
    Target,
    TargetError,
    Unlisten,
    parse_target,
)

RAW = Target((), combined=False, microseconds=False)
CUT_FOR_RATE = [Close(1008, "Too many requests")]


def connection(target: Target = RAW, **rules: float) -> ExchangeConnection:
    return ExchangeConnection(target, ConnectionRules(**rules), now_s=0.0)  # type: ignore[arg-type]  # ints and floats


def ask(machine: ExchangeConnection, message: object, now_s: float = 0.0) -> object:
    """Send one message and return the one reply."""
    text = message if isinstance(message, bytes) else json.dumps(message).encode()
    replies = [action for action in machine.on_message(text, now_s) if isinstance(action, Reply)]
    assert len(replies) == 1
    return json.loads(replies[0].text)


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("/ws", {}, Target((), False, False)),
        ("/ws/btcusdt@trade", {}, Target(("btcusdt@trade",), False, False)),
        ("/ws/btcusdt@trade/ethusdt@depth@100ms", {}, Target(("btcusdt@trade", "ethusdt@depth@100ms"), False, False)),
        ("/stream", {}, Target((), True, False)),
        ("/stream", {"streams": ["a@trade/b@trade/a@trade"]}, Target(("a@trade", "b@trade"), True, False)),
        ("/stream", {"streams": ["a@trade"], "timeUnit": ["MICROSECOND"]}, Target(("a@trade",), True, True)),
        ("/ws", {"timeUnit": ["microsecond"]}, Target((), False, True)),
    ],
)
def test_a_url_says_streams_and_form(path: str, query: dict[str, list[str]], target: Target) -> None:
    assert parse_target(path, query) == target


@pytest.mark.parametrize(("path", "unit"), [("/", None), ("/wsx", None), ("/streams", None), ("/ws", "NANOSECOND")])
def test_another_url_is_refused(path: str, unit: str | None) -> None:
    with pytest.raises(TargetError):
        parse_target(path, {"timeUnit": [unit]} if unit else {})


def test_the_streams_of_the_url_are_listened_to_and_listed() -> None:
    machine = connection(Target(("btcusdt@trade",), combined=True, microseconds=False))
    assert machine.open() == [Listen(("btcusdt@trade",))]
    assert ask(machine, {"method": "LIST_SUBSCRIPTIONS", "id": 3}) == {"result": ["btcusdt@trade"], "id": 3}
    assert ask(machine, {"method": "GET_PROPERTY", "params": ["combined"], "id": 4}) == {"result": True, "id": 4}


def test_an_acknowledgement_precedes_listening() -> None:
    machine = connection()
    message = b'{"method":"SUBSCRIBE","params":["btcusdt@trade","ethusdt@trade"],"id":1}'
    assert machine.on_message(message, 0.0) == [
        Reply(b'{"result":null,"id":1}'),
        Listen(("btcusdt@trade", "ethusdt@trade")),
    ]


def test_a_stream_is_listened_to_once_however_often_it_is_asked_for() -> None:
    machine = connection()
    ask(machine, {"method": "SUBSCRIBE", "params": ["a@trade", "a@trade"], "id": 1})
    again = machine.on_message(b'{"method":"SUBSCRIBE","params":["a@trade","b@trade"],"id":2}', 0.0)
    assert again[1] == Listen(("b@trade",))
    assert machine.streams == ("a@trade", "b@trade")


def test_unsubscribing_ends_a_stream_and_an_unknown_one_is_acknowledged() -> None:
    machine = connection()
    ask(machine, {"method": "SUBSCRIBE", "params": ["a@trade", "b@trade"], "id": 1})
    actions = machine.on_message(b'{"method":"UNSUBSCRIBE","params":["a@trade","never@trade"],"id":312}', 0.0)
    assert actions == [Unlisten(("a@trade",)), Reply(b'{"result":null,"id":312}')]
    assert ask(machine, {"method": "LIST_SUBSCRIPTIONS", "id": 3}) == {"result": ["b@trade"], "id": 3}


def test_the_combined_property_can_be_set_and_read() -> None:
    machine = connection()
    assert ask(machine, {"method": "GET_PROPERTY", "params": ["combined"], "id": 1}) == {"result": False, "id": 1}
    assert machine.on_message(b'{"method":"SET_PROPERTY","params":["combined",true],"id":5}', 0.0) == [
        Reply(b'{"result":null,"id":5}'),
        Rewrap(),
    ]
    assert ask(machine, {"method": "GET_PROPERTY", "params": ["combined"], "id": 2}) == {"result": True, "id": 2}


@pytest.mark.parametrize("request_id", [0, -(2**63), 2**63 - 1, "abc123", "x" * 36, None])
def test_a_good_id_is_echoed(request_id: int | str | None) -> None:
    message = {"method": "SUBSCRIBE", "params": ["a@trade"], "id": request_id}
    assert ask(connection(), message) == {"result": None, "id": request_id}


@pytest.mark.parametrize("request_id", [2**63, -(2**63) - 1, 1.5, True, "x" * 37, "", "no-hyphens", [], {}])
def test_a_bad_id_is_an_error(request_id: object) -> None:
    machine = connection()
    answer = ask(machine, {"method": "SUBSCRIBE", "params": ["a@trade"], "id": request_id})
    assert answer == {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}
    assert machine.streams == ()


EXPECTED = "expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (
            b'{"method":"GET_PROPERTY","params":["colour"],"id":7}',
            {"code": 0, "msg": "Unknown property", "id": 7},
        ),
        (
            b'{"method":"SET_PROPERTY","params":["combined","yes"],"id":7}',
            {"code": 1, "msg": "Invalid value type: expected Boolean"},
        ),
        (
            b'{"method":"SET_PROPERTY","params":["combined"],"id":7}',
            {"code": 1, "msg": "Invalid value type: expected Boolean"},
        ),
        (
            b'{"method":"GET_PROPERTY","params":[],"id":7}',
            {"code": 2, "msg": "Invalid request: property name must be a string"},
        ),
        (
            b'{"method":"SUBSRCIBE","params":[],"id":7}',
            {"code": 2, "msg": f"Invalid request: unknown variant `SUBSRCIBE`, {EXPECTED} at line 1 column 21"},
        ),
        (
            b'{"params":[],"id":7}',
            {"code": 2, "msg": "Invalid request: missing field `method` at line 1 column 20"},
        ),
        (
            b'{"method":"LIST_SUBSCRIPTIONS","params":["a"],"id":7}',
            {"code": 2, "msg": "Invalid request: too many parameters"},
        ),
        (
            b'{"method":"SET_PROPERTY","params":["combined",true,1],"id":7}',
            {"code": 2, "msg": "Invalid request: too many parameters"},
        ),
        (b"hello", {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}),
        (b"\xff\xfe", {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}),
        (b"", {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}),
    ],
)
def test_errors_are_the_documented_ones(message: bytes, answer: dict[str, object]) -> None:
    assert ask(connection(), message) == answer


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["method", "params", "id", "x"]), inner | st.sampled_from(["SUBSCRIBE", "GET_PROPERTY"])
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_is_sent_gets_one_reply_in_json(message: bytes) -> None:
    assert isinstance(ask(connection(), message), dict)


def test_more_than_1024_streams_are_refused_and_the_others_stay() -> None:
    machine = connection()
    names = [f"s{number}@trade" for number in range(1024)]
    assert ask(machine, {"method": "SUBSCRIBE", "params": names, "id": 1}) == {"result": None, "id": 1}
    answer = ask(machine, {"method": "SUBSCRIBE", "params": ["one@more"], "id": 2})
    assert answer == {"code": 2, "msg": "Invalid request: more than 1024 streams"}
    assert len(machine.streams) == 1024


def test_a_url_with_more_than_1024_streams_is_closed() -> None:
    machine = connection(Target(tuple(f"s{number}@trade" for number in range(1025)), True, False))
    assert machine.open() == [Close(1008, "Too many streams")]


def test_a_sixth_message_within_a_second_closes_whatever_its_kind() -> None:
    machine = connection()
    for number in range(2):
        ask(machine, {"method": "LIST_SUBSCRIPTIONS", "id": number}, 10.0)
    assert machine.on_ping(b"x", 10.2) == [Pong(b"x")]
    assert machine.on_pong(b"", 10.3) == []
    assert machine.on_pong(b"", 10.4) == []
    assert machine.on_pong(b"", 10.999) == CUT_FOR_RATE
    assert machine.on_message(b'{"method":"LIST_SUBSCRIPTIONS","id":1}', 20.0) == []


def test_five_messages_every_second_are_allowed_for_ever() -> None:
    machine = connection()
    for second in range(10):
        for _ in range(5):
            assert machine.on_ping(b"", float(second)) == [Pong(b"")]


@given(st.lists(st.integers(0, 700), max_size=40))
def test_the_rate_rule_is_a_strict_rolling_second(pauses_ms: list[int]) -> None:
    machine, times_ms = connection(), [0]
    for pause_ms in pauses_ms:
        times_ms.append(times_ms[-1] + pause_ms)
    for number, now_ms in enumerate(times_ms):
        # Powers of two divide without error: what is under test is the rule, not the rounding.
        cut = machine.on_ping(b"", now_ms / 1024) == CUT_FOR_RATE
        within = [earlier for earlier in times_ms[: number + 1] if now_ms - earlier < 1024]
        assert cut == (len(within) > 5)
        if cut:
            break


def test_it_pings_every_20_seconds_and_an_answered_connection_lives_on() -> None:
    machine = connection()
    pings = 0
    for second in range(600):
        for action in machine.on_time(float(second)):
            assert isinstance(action, Ping)
            assert second % 20 == 0
            pings += 1
            assert machine.on_pong(action.payload, second + 0.1) == []
    assert pings == 29


def test_without_its_pong_for_60_seconds_it_closes() -> None:
    machine = connection()
    assert [type(action) for action in machine.on_time(20.0)] == [Ping]
    assert [type(action) for action in machine.on_time(79.0)] == [Ping]
    assert machine.on_time(80.0) == [Close(1008, "Pong timeout")]
    assert machine.on_time(81.0) == []


def test_a_pong_nobody_asked_for_does_not_help() -> None:
    machine = connection()
    machine.on_time(20.0)
    for second in range(21, 80):
        machine.on_pong(b"", float(second))
        machine.on_time(float(second))
    assert machine.on_time(80.0) == [Close(1008, "Pong timeout")]


def test_a_pong_to_a_later_ping_settles_the_earlier_ones() -> None:
    machine = connection()
    machine.on_time(20.0)
    (second,) = machine.on_time(40.0)
    assert isinstance(second, Ping)
    machine.on_pong(second.payload, 41.0)
    assert [type(action) for action in machine.on_time(80.0)] == [Ping]


def test_after_24_hours_it_is_dropped_without_a_close_frame() -> None:
    machine = connection(ping_interval_s=1e9)
    assert machine.on_time(86_399.9) == []
    assert machine.on_time(86_400.0) == [Drop("24 hours are over")]


def test_suspended_pings_neither_go_out_nor_are_answered_nor_time_out() -> None:
    machine = connection()
    machine.on_time(20.0)
    machine.suspend_pings(21.0, suspended=True)
    assert machine.on_ping(b"x", 22.0) == []
    assert machine.on_time(500.0) == []
    machine.suspend_pings(500.0, suspended=False)
    assert machine.on_ping(b"x", 501.0) == [Pong(b"x")]
    assert machine.on_time(519.0) == []
    assert [type(action) for action in machine.on_time(520.0)] == [Ping]


def test_an_address_has_300_attempts_in_five_minutes() -> None:
    attempts = ConnectionAttempts(ConnectionRules())
    assert all(attempts.admit("127.0.0.1", number / 10) for number in range(300))
    assert not attempts.admit("127.0.0.1", 299.9)
    assert attempts.admit("127.0.0.2", 299.9)
    assert attempts.admit("127.0.0.1", 300.0)
    assert not attempts.admit("127.0.0.1", 300.05)


def test_only_so_many_addresses_are_remembered() -> None:
    attempts = ConnectionAttempts(ConnectionRules(attempts_per_window=1))
    assert attempts.admit("first", 0.0)
    assert not attempts.admit("first", 1.0)
    for number in range(ConnectionAttempts.MAX_ADDRESSES):
        attempts.admit(str(number), 2.0)
    assert attempts.admit("first", 3.0)
