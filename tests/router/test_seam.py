"""What the seam leans on inside Crossbar and Autobahn. A failure here after an upgrade says what has moved."""

from __future__ import annotations

import json
from importlib.metadata import version
from types import CodeType
from typing import Any

import cbor2
import msgpack
import pytest
from autobahn.wamp import message
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from crossbar.router.broker import Broker, SubscriptionExtra
from crossbar.router.observation import UriObservationMap
from crossbar.router.router import Router
from crossbar.router.service import RouterServiceAgent
from crossbar.router.session import RouterApplicationSession, RouterSession, RouterSessionFactory

from components.core.payload import EncodedPayload
from components.router.engine.encodings import MESSAGES
from components.router.engine.fanout import RetainedEvent
from components.router.seam import client_session, connections, transports
from tests.harness.inside import InsideRouter, Nobody

PAYLOAD = EncodedPayload(b'{"symbol":"NKNUSDT","price":0.35280000,"volume":58.00000000,"id":7}')
VALUE = {"symbol": "NKNUSDT", "price": 0.3528, "volume": 58.0, "id": 7}


class Protocol:
    """As much of a connection as the seam touches."""

    def __init__(self, serializer: object) -> None:
        self._serializer = serializer
        transports.use_wrapping_serializer(self)


def wrapped(serializer: object, sent: message.Message) -> bytes:
    data, _ = Protocol(serializer)._serializer.serialize(sent)  # type: ignore[attr-defined]
    assert isinstance(data, bytes)
    return data


def test_the_versions_are_those_the_seam_was_written_against() -> None:
    assert (version("crossbar"), version("autobahn")) == ("26.10.1", "26.10.2")


@pytest.mark.parametrize("arguments", [[PAYLOAD], (PAYLOAD,)], ids=["list", "tuple"])
def test_json_carries_the_payloads_own_bytes(arguments: list[EncodedPayload]) -> None:
    event = message.Event(5, 6, args=arguments, topic="market.NKNUSDT")
    assert wrapped(JsonSerializer(), event) == b'[36,5,6,{"topic":"market.NKNUSDT"},[' + PAYLOAD.json + b"]]"


def test_a_result_carries_them_too() -> None:
    assert wrapped(JsonSerializer(), message.Result(9, args=[PAYLOAD])) == b"[50,9,{},[" + PAYLOAD.json + b"]]"


def test_batched_json_keeps_its_separator() -> None:
    data = wrapped(JsonSerializer(batched=True), message.Event(5, 6, args=[PAYLOAD]))
    assert data == b"[36,5,6,{},[" + PAYLOAD.json + b"]]\x18"


def test_binary_serializers_carry_the_value() -> None:
    event = message.Event(5, 6, args=[PAYLOAD])
    assert msgpack.unpackb(wrapped(MsgPackSerializer(), event)) == [36, 5, 6, {}, [VALUE]]
    assert cbor2.loads(wrapped(CBORSerializer(), event)) == [36, 5, 6, {}, [VALUE]]


@pytest.mark.parametrize("make", [JsonSerializer, MsgPackSerializer, CBORSerializer])
def test_other_messages_are_serialised_as_ever(make: type) -> None:
    for sent in (
        message.Event(5, 6, args=[{"a": 1}, "b"], kwargs={"c": None}),
        message.Event(5, 6),
        message.Subscribed(1, 2),
        message.Error(48, 7, "wamp.error.x", args=["y"]),
    ):
        sent.uncache()
        expected, _ = make().serialize(sent)
        sent.uncache()
        assert wrapped(make(), sent) == expected


def test_a_message_to_many_connections_is_serialised_once() -> None:
    event = message.Event(5, 6, args=[PAYLOAD])
    assert wrapped(JsonSerializer(), event) is wrapped(JsonSerializer(), event)


def test_an_in_router_session_reaches_its_router_through_its_transport() -> None:
    assert "_router" in RouterApplicationSession.__init__.__code__.co_names
    assert "_session_id_to_session" in Router.__init__.__code__.co_names


class RouterFactory:
    """As much of a router factory as a session touches when it is made."""


def test_a_session_of_ours_is_made_like_crossbars() -> None:
    factory = RouterFactory()
    expected = vars(RouterSession(factory))
    first, second = (vars(client_session.GatewaySession(factory)) for _ in range(2))
    for made in (first, second):
        assert made.keys() == expected.keys() - {"log"}
        assert isinstance(made["_request_id_gen"], type(expected["_request_id_gen"]))
        for name in made.keys() - {"_request_id_gen"}:
            assert made[name] == expected[name], name
    # What a session changes is its own.
    for name in ("_testaments", "_request_id_gen"):
        assert first[name] is not second[name]


def test_the_session_factory_makes_what_it_is_told_to() -> None:
    assert RouterSessionFactory.session is not None
    assert "session" in RouterSessionFactory.__call__.__code__.co_names


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (Router.__init__, ["_is_traced", "_trace_traffic"]),
        (Router.reset_stats, ["_message_stats"]),
        (Router.process, ["_message_stats"]),
        (Router.send, ["_message_stats"]),
        (Broker.__init__, ["_subscription_map", "_session_to_subscriptions", "_event_store", "_option_uri_strict"]),
        (Broker.detach, ["_session_to_subscriptions", "drop_observer", "delete_observation", "retained_events"]),
        (Broker.processSubscribe, ["_subscription_map", "add_observer", "_session_to_subscriptions"]),
        (Broker._unsubscribe, ["drop_observer", "_session_to_subscriptions", "retained_events"]),
        (RouterServiceAgent.__init__, ["_expose_on_sessions"]),
        (RouterSession.onAuthenticate, ["_pending_auth"]),
        (RouterSession.onMessage, ["_authextra"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_crossbar_has_what_plain_requests_lean_on(function: Any, names: list[str]) -> None:
    mentioned: set[str] = set()

    def look(code: CodeType) -> None:
        mentioned.update(code.co_names)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                look(constant)

    look(function.__code__)
    assert set(names) <= mentioned


def test_a_subscription_knows_who_observes_it_and_how_it_matches() -> None:
    subscriptions = UriObservationMap()
    observation, was_observed, _ = subscriptions.add_observer("x", "a.", "prefix", extra=SubscriptionExtra())
    assert not was_observed
    assert (observation.match, observation.uri, observation.observers) == ("prefix", "a.", {"x"})
    assert observation.extra.retained_events == []
    assert subscriptions.get_observation("a.", "prefix") is observation
    assert subscriptions.get_observation("a.", "exact") is None
    assert subscriptions.get_observation_by_id(observation.id) is observation


def test_the_lines_that_are_left_out_are_marked_up_by_functions_of_these_names() -> None:
    for module, names in {
        connections.crossbar_protocol: {"hlid", "hltype", "hlval"},
        connections.crossbar_router: {"hlid", "hltype", "hlval", "pformat"},
        connections.crossbar_session: {"hl", "hlid", "hltype", "hlval", "pformat"},
        connections.autobahn_wamp_websocket: {"hlval"},
        connections.autobahn_twisted_websocket: {"hltype", "hlval"},
        connections.autobahn_websocket: {"hltype", "hlval", "pformat"},
    }.items():
        assert names <= vars(module).keys(), module


def test_json_digits_are_those_of_the_payload() -> None:
    data = wrapped(JsonSerializer(), message.Event(5, 6, args=[PAYLOAD]))
    argument = json.loads(data, parse_float=str)[4][0]
    assert (argument["price"], argument["volume"]) == ("0.35280000", "58.00000000")


@pytest.mark.parametrize("shown", ["market.NKNUSDT", None], ids=["pattern", "exact"])
@pytest.mark.parametrize("kind", [(name, batched) for name in ("json", "msgpack", "cbor") for batched in (False, True)])
def test_a_retained_event_is_byte_for_byte_what_crossbar_would_send(kind: tuple[str, bool], shown: str | None) -> None:
    make = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}[kind[0]]
    stock = message.Event(5, 6, args=[PAYLOAD], topic=shown, retained=True)
    ours = RetainedEvent(5, 6, "market.NKNUSDT", shown is not None, PAYLOAD)
    assert MESSAGES[kind](ours) == wrapped(make(batched=kind[1]), stock)


@pytest.mark.parametrize("match", ["exact", "prefix", "wildcard"])
def test_crossbars_map_gives_a_subscription_and_its_sessions_back(match: str) -> None:
    subscriptions = UriObservationMap()
    added, _, _ = subscriptions.add_observer("session", "market.", match)
    found = subscriptions.get_observation("market.", match)
    assert found is added
    assert (found.uri, found.match, set(found.observers)) == ("market.", match, {"session"})
    assert subscriptions.get_observation("market.x", match) is None


def test_crossbars_broker_and_dealer_have_what_limits_are_counted_by() -> None:
    router = InsideRouter(lambda session, uri, match: [], Nobody()).router
    assert router._broker._session_to_subscriptions == {}
    for name in ("_session_to_registrations", "_caller_to_invocations", "_invocations_by_call", "_invocations"):
        assert getattr(router._dealer, name) == {}, name
