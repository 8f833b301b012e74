"""A node whose keys come from an issuer's address: before it answers, while its keys change, and when it is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_twisted
from twisted.internet import reactor

from components.free_ports import free_port
from tests.harness.client import Clients, Refused, first_answer, until
from tests.harness.node import Node
from tests.tokens.jwks_server import JwksServer
from tests.tokens.keyring import claims, jwks, public_jwk, signing_key

REFUSAL = ("crosstick.error.authentication_failed", "token not accepted")


@pytest_twisted.async_yield_fixture
async def issuer() -> AsyncIterator[JwksServer]:
    """Return an issuer's server that does not listen yet; it is gone at the test's end."""
    made = JwksServer()
    yield made
    await made.stop()


def ticket(kid: str, number: int, algorithm: str = "ES256", **changes: Any) -> str:
    return signing_key(algorithm, kid, number).sign(claims(**changes))


async def refused(clients: Clients, node: Node, token: str) -> bool:
    try:
        await clients.join(node.ws_url, authid="alice", ticket=token)
    except Refused as refusal:
        return (refusal.uri, refusal.message) == REFUSAL
    return False


@pytest_twisted.ensureDeferred
async def test_an_issuer_may_come_late_change_its_keys_and_go(
    make_node: Callable[..., Node], clients: Clients, issuer: JwksServer
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/jwks"
    # Production, without a key of its own: the feed's ticket does not depend on the issuer.
    node = make_node(
        with_key=False,
        CROSSTICK_ENV="production",
        CROSSTICK_TOKEN_JWKS=url,
        CROSSTICK_TOKEN_JWKS_REFRESH="2",
        CROSSTICK_TOKEN_ISSUER="https://issuer.example/",
    )
    old = ticket("old", 0, iss="https://issuer.example/")
    current = ticket("current", 1, iss="https://issuer.example/")

    node.spawn()
    await until(reactor, lambda: "no token keys" in "".join(node.ready()[1]), timeout_s=60)
    await until(reactor, lambda: len(node.ready()[1]) == 1 and "no token keys" in node.ready()[1][0], timeout_s=60)
    [reason] = node.ready()[1]
    assert reason.startswith(f"no token keys from {url} yet: Connection was refused")
    assert await refused(clients, node, old)

    issuer.body = jwks(public_jwk("ES256", 0, kid="old"))
    issuer.listen(port)
    await until(reactor, lambda: node.ready() == (True, []))
    assert not await refused(clients, node, old)
    assert await refused(clients, node, ticket("old", 0))
    assert await refused(clients, node, ticket("unknown", 2, iss="https://issuer.example/"))

    issuer.body = jwks(public_jwk("ES256", 1, kid="current"))
    await first_answer(reactor, lambda: refused(clients, node, old))
    assert not await refused(clients, node, current)

    await issuer.stop()
    await until(reactor, lambda: "the last good set stays in force" in node.log)
    assert not await refused(clients, node, current)
    assert node.ready() == (True, [])
    # What the node says of its readiness has them too.
    lines = [line for line in node.log.splitlines() if "token keys from" in line and "not ready yet" not in line]
    assert len(lines) == 3, lines
    assert "tickets are refused until there is a set" in lines[0]
    assert "read again" in lines[1]
    assert old not in node.log
    assert current not in node.log


@pytest_twisted.ensureDeferred
async def test_a_key_that_has_just_come_costs_nobody_a_login(
    make_node: Callable[..., Node], clients: Clients, issuer: JwksServer
) -> None:
    issuer.body = jwks(public_jwk("ES256", 0, kid="old"))
    node = make_node(with_key=False, CROSSTICK_TOKEN_JWKS=f"http://127.0.0.1:{issuer.listen()}/")
    node.spawn()
    await until(reactor, lambda: node.ready()[0], timeout_s=60)
    assert len(issuer.requests) == 1

    issuer.body = jwks(public_jwk("ES256", 0, kid="old"), public_jwk("EdDSA", 0, kid="current"))
    assert not await refused(clients, node, ticket("current", 0, "EdDSA"))
    assert not await refused(clients, node, ticket("old", 0))
    assert len(issuer.requests) == 2

    for _ in range(5):
        assert await refused(clients, node, ticket("unknown", 2))
    assert len(issuer.requests) == 2
