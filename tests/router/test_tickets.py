"""Tickets at a real node: who gets in, and what the others are told."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
import pytest_twisted

from tests.harness.client import Clients, Refused
from tests.harness.node import Node

REFUSAL = ("crosstick.error.authentication_failed", "token not accepted")


async def refusal(clients: Clients, node: Node, **join: Any) -> tuple[str, str]:
    with pytest.raises(Refused) as raised:
        await clients.join(node.ws_url, **join)
    return raised.value.uri, raised.value.message


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("role", ["viewer", "service", "operator"])
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_a_good_ticket_opens_the_realm(node: Node, clients: Clients, role: str, serializer: str) -> None:
    client = await clients.join(node.ws_url, authid="alice", ticket=node.token("alice", role), serializer=serializer)
    assert client.authid == "alice"
    assert client.authrole == role


@pytest_twisted.ensureDeferred
async def test_a_join_leaves_no_line_in_the_log(node: Node, clients: Clients) -> None:
    client = await clients.join(node.ws_url, authid="alice-of-the-log", ticket=node.token("alice-of-the-log"))
    assert str(client._session_id) not in node.log
    assert "alice-of-the-log" not in node.log
    assert "cookie tracking" not in node.log


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    "wrong",
    [
        *(
            "garbage",
            "expired",
            "foreign key",
            "other audience",
            "other realm",
            "no expiry",
            "unsigned",
            "internal role",
        ),
        *("internal key", "unknown kid"),
    ],
)
async def test_every_refused_ticket_gets_the_same_answer(node: Node, clients: Clients, wrong: str) -> None:
    claims = {"sub": "alice", "role": "viewer", "realm": "market", "aud": "crosstick", "exp": int(time.time()) + 60}
    headers = {}
    key: bytes | None = node.authority.key
    algorithm = "HS256"
    match wrong:
        case "expired":
            claims["exp"] = int(time.time()) - 60
        case "foreign key":
            key = b"f" * 64
        case "other audience":
            claims["aud"] = "elsewhere"
        case "other realm":
            claims["realm"] = "ops"
        case "no expiry":
            del claims["exp"]
        case "unsigned":
            key, algorithm = None, "none"
        case "internal role":
            claims |= {"role": "feed"}
        case "internal key":
            key = node.internal_authority.key
        case "unknown kid":
            key, headers = b"f" * 64, {"kid": "unknown"}
    ticket = "garbage" if wrong == "garbage" else jwt.encode(claims, key, algorithm=algorithm, headers=headers)
    assert await refusal(clients, node, authid="alice", ticket=ticket) == REFUSAL


@pytest_twisted.ensureDeferred
async def test_a_ticket_is_good_for_its_own_authid_only(node: Node, clients: Clients) -> None:
    assert await refusal(clients, node, authid="bob", ticket=node.token("alice")) == REFUSAL
    assert await refusal(clients, node, authid=None, ticket=node.token("alice")) == REFUSAL


@pytest_twisted.ensureDeferred
async def test_a_ticket_does_not_open_another_realm(node: Node, clients: Clients) -> None:
    ticket = node.token("olga", "operator")
    assert await refusal(clients, node, authid="olga", ticket=ticket, realm="ops") == REFUSAL
    assert await refusal(clients, node, authid="olga", ticket=ticket, realm="no-such-realm") == REFUSAL


@pytest_twisted.ensureDeferred
async def test_a_viewer_has_no_place_among_the_operators(node: Node, clients: Clients) -> None:
    ticket = node.token("v", "viewer", realm="ops")
    assert await refusal(clients, node, authid="v", ticket=ticket, realm="ops") == REFUSAL


@pytest_twisted.ensureDeferred
async def test_a_genuine_ticket_for_a_realm_that_is_not_there_is_refused_like_any_other(
    node: Node, clients: Clients
) -> None:
    ticket = node.token("v", "viewer", realm="elsewhere")
    assert await refusal(clients, node, authid="v", ticket=ticket, realm="elsewhere") == REFUSAL


@pytest_twisted.ensureDeferred
async def test_an_anonymous_join_is_refused(node: Node, clients: Clients) -> None:
    uri, _ = await refusal(clients, node, authid=None, ticket=None)
    assert uri == "wamp.error.no_auth_method"


def test_without_a_key_the_node_refuses_to_start_and_listens_nowhere(make_node: Any) -> None:
    node = make_node(with_key=False)
    node.spawn()
    assert node.process.wait(30) != 0
    refusals = [line for line in node.log.splitlines() if "refusing to start" in line]
    assert len(refusals) == 1
    assert "no token key: set CROSSTICK_TOKEN_KEY_FILE" in refusals[0]
    assert "listening on TCP" not in node.log


def test_outside_development_the_development_key_is_no_key(make_node: Any) -> None:
    node = make_node(CROSSTICK_ENV="production")
    node.spawn()
    assert node.process.wait(30) != 0
    assert "refusing to start: no token key" in node.log


def test_an_impossible_setting_stops_the_start_with_one_line(make_node: Any) -> None:
    node = make_node(CROSSTICK_RATE="fast")
    node.spawn()
    assert node.process.wait(30) != 0
    assert "refusing to start: CROSSTICK_RATE must be a whole number from 1 to 50000, was 'fast'" in node.log
