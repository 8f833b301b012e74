"""Tokens on a running node: sessions end with theirs, go on with another, and are closed when it is revoked."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_twisted
from autobahn.wamp import ApplicationError
from autobahn.wamp.types import PublishOptions
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from components.free_ports import free_port
from tests.harness.client import Client, Clients, Refused, until
from tests.harness.node import Node, with_limits

EXPIRED = ("crosstick.close.token_expired", 4004)
REVOKED = ("crosstick.close.token_revoked", 4005)
REFUSED = ("crosstick.error.authentication_failed", "token not accepted")


def with_rawsocket(port: int, grace_s: float) -> Any:
    """Return a change of a configuration by which clients may come over RawSocket, and sessions outlive tokens so long."""

    def change(config: dict[str, Any]) -> None:
        with_limits(expiry_grace=grace_s)(config)
        transports = config["workers"][0]["transports"]
        auth = next(transport for transport in transports if transport["type"] == "web")["paths"]["ws"]["paths"]["/"][
            "auth"
        ]
        transports.append(
            {
                "type": "rawsocket",
                "id": "raw",
                "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": port},
                "serializers": ["json", "msgpack"],
                "auth": auth,
            }
        )

    return change


class Life:
    """The node of these tests, and its RawSocket port."""

    def __init__(self, node: Node, raw_port: int) -> None:
        self.node = node
        self.raw_port = raw_port


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    raw_port = free_port()
    node = Node(
        tmp_path_factory.mktemp("life"),
        {"CROSSTICK_SIMULATOR_PORT": str(free_port())},
        change_config=with_rawsocket(raw_port, 0.2),
    )
    node.start()
    yield Life(node, raw_port)
    node.stop()


async def joined(
    clients: Clients, life: Life, authid: str, ticket: str, how: str = "json", realm: str = "market"
) -> Client:
    if how.startswith("raw-"):
        return await clients.join_rawsocket(
            life.raw_port, authid=authid, ticket=ticket, serializer=how.removeprefix("raw-")
        )
    return await clients.join(life.node.ws_url, authid=authid, ticket=ticket, serializer=how, realm=realm)


def closing_code(client: Client) -> Deferred[int]:
    """Return what fires with the code of the close frame that the connection ends with."""
    closed: Deferred[int] = Deferred()
    protocol = client._transport
    on_close = protocol.onClose

    def note(was_clean: bool, code: int, reason: str) -> None:
        on_close(was_clean, code, reason)
        closed.callback(code)

    protocol.onClose = note
    return closed


@pytest_twisted.async_yield_fixture
async def operator(life: Life, clients: Clients) -> AsyncIterator[Client]:
    ticket = life.node.token("olga", "operator", realm="ops")
    yield await joined(clients, life, "olga", ticket, realm="ops")


async def refusal(clients: Clients, life: Life, authid: str, ticket: str) -> tuple[str, str]:
    with pytest.raises(Refused) as raised:
        await joined(clients, life, authid, ticket)
    return raised.value.uri, raised.value.message


@pytest_twisted.ensureDeferred
async def test_a_session_ends_with_its_token_unless_it_has_another(life: Life, clients: Clients) -> None:
    node = life.node
    ways = ["json", "msgpack", "cbor", "raw-msgpack"]
    exp = int(time.time()) + 2
    dying = [await joined(clients, life, f"dying-{way}", node.token(f"dying-{way}", ttl_s=2), way) for way in ways]
    codes = [closing_code(client) for client in dying[:3]]
    longer = await joined(clients, life, "longer", node.token("longer", ttl_s=2))
    answer = await longer.call("auth.renew", node.token("longer", ttl_s=60))
    assert answer["exp"] >= exp + 57
    assert answer["ended"] == []
    assert answer["symbols"] is None
    for client in dying:
        left = await client.left
        assert left.reason == EXPIRED[0]
        assert left.message == "this session's token has expired"
        assert time.time() >= exp
    assert await gatherResults(codes) == [EXPIRED[1]] * 3
    assert (await longer.call("market.status"))["state"] == "live"
    assert not longer.left.called


@pytest_twisted.ensureDeferred
async def test_a_narrower_token_ends_subscriptions_and_nothing_of_theirs_comes_any_more(
    life: Life, clients: Clients
) -> None:
    client = await joined(clients, life, "narrowed", life.node.token("narrowed"))
    bitcoin = await client.events("market.BTCUSDT")
    ether = await client.events("market.ETHUSDT")
    everything = await client.events("market.", "prefix")
    await until(reactor, lambda: bool(bitcoin and ether and everything))
    answer = await client.call("auth.renew", life.node.token("narrowed", symbols=["ETHUSDT"]))
    assert answer["symbols"] == ["ETHUSDT"]
    assert answer["ended"] == ["market.", "market.BTCUSDT"]
    seen = len(bitcoin), len(everything), len(ether)
    await until(reactor, lambda: len(ether) >= seen[2] + 5)
    assert (len(bitcoin), len(everything)) == seen[:2]
    assert await client.refusal(client.subscribe(print, "market.BTCUSDT")) == "wamp.error.not_authorized"
    assert await client.call("market.symbols") == ["ETHUSDT"]
    # And the other way round.
    await client.call("auth.renew", life.node.token("narrowed"))
    again = await client.events("market.BTCUSDT")
    await until(reactor, lambda: bool(again))


@pytest_twisted.ensureDeferred
async def test_a_token_that_is_not_for_this_session_changes_nothing(life: Life, clients: Clients) -> None:
    node = life.node
    client = await joined(clients, life, "steady", node.token("steady"))
    events = await client.events("market.BTCUSDT")
    for wrong in (
        "garbage",
        node.token("other"),
        node.token("steady", "service"),
        node.token("steady", realm="elsewhere"),
        node.token("steady")[:-4] + "AAAA",
    ):
        with pytest.raises(ApplicationError) as raised:
            await client.call("auth.renew", wrong)
        assert (raised.value.error, raised.value.args[0]) == REFUSED
    for arguments in ([], [5], [""], ["a", "b"], ["a", True, 1], ["x" * 9000], [None]):
        assert await client.refusal(client.call("auth.renew", *arguments)) == "wamp.error.invalid_argument"
    seen = len(events)
    await until(reactor, lambda: len(events) > seen)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("by", ["jti", "sub"])
async def test_a_revoked_token_closes_its_sessions_and_opens_none(
    life: Life, clients: Clients, operator: Client, by: str
) -> None:
    node, sub = life.node, f"mallory-{by}"
    ticket = node.token(sub, jti=f"id-{by}")
    ways = ["json", "msgpack", "raw-json"]
    sessions = [await joined(clients, life, sub, ticket, way) for way in ways]
    codes = [closing_code(client) for client in sessions[:2]]
    bystander = await joined(clients, life, "bystander", node.token("bystander"))
    began_s = reactor.seconds()
    assert await operator.call("auth.revoke", **({"jti": f"id-{by}"} if by == "jti" else {"sub": sub})) == {"closed": 3}
    for client in sessions:
        assert (await client.left).reason == REVOKED[0]
    assert reactor.seconds() - began_s < 1.0, "in force within a second, says the contract"
    assert await gatherResults(codes) == [REVOKED[1]] * 2
    assert await refusal(clients, life, sub, ticket) == REFUSED
    assert (await bystander.call("market.status"))["state"] == "live"
    if by == "jti":
        other = await joined(clients, life, sub, node.token(sub))
        with pytest.raises(ApplicationError) as raised:
            await other.call("auth.renew", ticket)
        assert (raised.value.error, raised.value.args[0]) == REFUSED
    assert f"'olga' has revoked {by} " in node.log


@pytest_twisted.ensureDeferred
async def test_who_has_been_closed_does_nothing_more_while_the_connection_lasts(
    life: Life, clients: Clients, operator: Client
) -> None:
    listener = await joined(clients, life, "olga", life.node.token("olga", "operator"))
    heard = await listener.events("services.rogue.news")
    rogue = await clients.peer(life.node.ws_url)
    await rogue.join("rogue", life.node.token("rogue", "service"))
    rogue.say(16, 1, {"acknowledge": True}, "services.rogue.news", ["before"])
    await rogue.hear(17)
    # By hand, and deaf: a client library answers the gateway's close frame, and sends nothing behind it.
    rogue.dataReceived = lambda data: None
    assert await operator.call("auth.revoke", sub="rogue") == {"closed": 1}
    for request in range(2, 7):
        payload = json.dumps([16, request, {}, "services.rogue.news", ["after"]]).encode()
        mask = bytes(4)
        rogue.transport.write(bytes([0x81, 0x80 | len(payload)]) + mask + payload)
    await rogue.closed
    other = await joined(clients, life, "honest", life.node.token("honest", "service"))
    await other.publish("services.honest.news", options=PublishOptions(acknowledge=True))
    assert [argument for _, argument, _ in heard] == ["before"]


@pytest_twisted.ensureDeferred
async def test_a_subject_may_come_back_with_a_token_that_was_issued_later(
    life: Life, clients: Clients, operator: Client
) -> None:
    old = life.node.token("returning")
    await operator.call("auth.revoke", sub="returning")
    later = life.node.authority.mint(
        sub="returning", role="viewer", realm="market", now_s=int(time.time()) + 1, ttl_s=60
    )
    assert await refusal(clients, life, "returning", old) == REFUSED
    second = int(time.time())
    await until(reactor, lambda: time.time() >= second + 1)
    client = await joined(clients, life, "returning", later)
    assert client.authid == "returning"


@pytest_twisted.ensureDeferred
async def test_a_revocation_that_is_lifted_lets_the_token_in_again(
    life: Life, clients: Clients, operator: Client
) -> None:
    ticket = life.node.token("pardoned", jti="pardoned-1")
    await operator.call("auth.revoke", jti="pardoned-1", exp=int(time.time()) + 3600)
    assert any(entry.get("jti") == "pardoned-1" for entry in await operator.call("auth.revocations"))
    assert await operator.call("auth.lift", jti="pardoned-1") == {"lifted": True}
    assert await operator.call("auth.lift", jti="pardoned-1") == {"lifted": False}
    assert not any(entry.get("jti") == "pardoned-1" for entry in await operator.call("auth.revocations"))
    assert (await joined(clients, life, "pardoned", ticket)).authid == "pardoned"


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    "named",
    [{}, {"jti": "a", "sub": "b"}, {"jti": 5}, {"jti": ""}, {"jti": "a", "exp": -1}, {"sub": "x" * 300}, {"who": "a"}],
    ids=str,
)
async def test_wrong_arguments_of_an_operator_are_refused_by_name(operator: Client, named: dict[str, Any]) -> None:
    assert await operator.refusal(operator.call("auth.revoke", **named)) == "wamp.error.invalid_argument"


@pytest_twisted.ensureDeferred
async def test_an_operators_session_is_renewed_like_any_other(life: Life, operator: Client) -> None:
    answer = await operator.call("auth.renew", life.node.token("olga", "operator", realm="ops", ttl_s=7200))
    assert answer["exp"] > time.time() + 7000


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("role", ["viewer", "service", "operator"])
async def test_nobody_revokes_from_the_clients_realm(life: Life, clients: Clients, role: str) -> None:
    client = await joined(clients, life, "nobody", life.node.token("nobody", role))
    for procedure in ("auth.revoke", "auth.revocations", "auth.lift"):
        assert await client.refusal(client.call(procedure)) in (
            "wamp.error.not_authorized",
            "wamp.error.no_such_procedure",
        )


@pytest_twisted.ensureDeferred
async def test_a_restarted_node_knows_what_was_revoked_and_a_damaged_file_stops_it(
    life: Life, clients: Clients, operator: Client
) -> None:
    node = life.node
    ticket = node.token("forgotten", jti="f-1")
    assert await operator.call("auth.revoke", jti="f-1") == {"closed": 0}
    path = node.directory / "revocations.json"
    assert path.stat().st_mode & 0o777 == 0o600
    node.stop()
    node.start()
    assert await refusal(clients, life, "forgotten", ticket) == REFUSED
    node.stop()
    path.write_text(path.read_text()[:-3])
    node.spawn()
    assert node.process.wait(60) != 0
    refusals = [line for line in node.log.splitlines() if "refusing to start" in line]
    assert len(refusals) == 1
    assert "revocations.json is damaged" in refusals[0]
