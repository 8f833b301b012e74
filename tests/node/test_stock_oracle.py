"""Stock Crossbar as the oracle: the same script of subscriptions and publications gives every session the same events."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from autobahn.wamp.types import PublishOptions, SubscribeOptions
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from tests.harness.client import Client, Clients, until
from tests.harness.node import Node

SESSIONS = 4
STEPS = 250
TOPICS = [f"services.x.{name}.{number}" for name in ("a", "b") for number in range(3)]
PATTERNS = [("services.x.", "prefix"), ("services.x.a.", "prefix"), ("services.x..1", "wildcard")]
SUBSCRIPTIONS = [*((topic, "exact") for topic in TOPICS), *PATTERNS]
OPTIONS = [
    None,
    None,
    None,
    {"acknowledge": True},
    {"exclude_me": False},
    {"exclude_me": False, "acknowledge": True},
    {"exclude_authid": ["nobody"]},
    {"eligible_authid": ["x"]},
    {"eligible_authid": ["nobody"]},
]

Step = tuple[str, int, Any, Any]


def script(seed: int) -> list[Step]:
    chance = random.Random(seed)
    steps: list[Step] = []
    for number in range(STEPS):
        who = chance.randrange(SESSIONS)
        kind = chance.choice(["subscribe", "unsubscribe", "publish", "publish", "publish"])
        if kind == "publish":
            arguments = chance.choice(
                [[{"n": number, "price": 0.25}], [number], [[number, None, "ü"]], [number, 2], []]
            )
            steps.append(("publish", who, (chance.choice(TOPICS), arguments), chance.choice(OPTIONS)))
        else:
            steps.append((kind, who, chance.choice(SUBSCRIPTIONS), None))
    return steps


def without_gateway(config: dict[str, Any]) -> None:
    """Make a node stock Crossbar: no component of ours, and permissions instead of an authorizer."""
    [router, *_] = config["workers"]
    config["workers"] = [router]
    del router["components"]
    router["realms"][0]["roles"] = [
        {
            "name": "service",
            "permissions": [
                {
                    "uri": "services.x.",
                    "match": "prefix",
                    "allow": {"call": True, "register": True, "publish": True, "subscribe": True},
                }
            ],
        }
    ]
    for transport in router["transports"]:
        if transport["type"] == "web":
            # Stock Crossbar has nothing below a WebSocket path.
            transport["paths"]["ws"] = transport["paths"]["ws"]["paths"]["/"]
            del transport["paths"]["api"]
            transport["paths"]["ws"]["auth"] = {
                "ticket": {"type": "static", "principals": {"x": {"ticket": "stock", "role": "service"}}}
            }
    router["transports"] = [transport for transport in router["transports"] if transport["type"] == "web"]


async def played(node: Node, clients: Clients, ticket: str, steps: list[Step], serializer: str) -> list[list[Any]]:
    """Return what each session received."""
    joined: list[Client] = [
        await clients.join(node.ws_url, authid="x", ticket=ticket, serializer=serializer) for _ in range(SESSIONS)
    ]
    received: list[list[Any]] = [[] for _ in joined]
    held: list[dict[Any, Any]] = [{} for _ in joined]
    for kind, who, what, options in steps:
        client = joined[who]
        if kind == "publish":
            topic, arguments = what
            publishing = client.publish(topic, *arguments, options=PublishOptions(**options) if options else None)
            if publishing is not None:
                await publishing
            else:
                # A round trip on the same session: what was sent before it has been routed.
                await client.refusal(client.call("services.x.nothing"))
        elif kind == "subscribe" and what not in held[who]:
            topic, match = what

            def take(*arguments: Any, details: Any, who: int = who, subscribed: str = topic) -> None:
                received[who].append((subscribed, details.topic, list(arguments)))

            held[who][what] = await client.subscribe(
                take, topic, options=SubscribeOptions(match=match, details_arg="details")
            )
        elif kind == "unsubscribe" and what in held[who]:
            # Autobahn forgets the handler as it asks: what is under way must have come first, as a reply makes sure.
            await client.refusal(client.call("services.x.nothing"))
            await held[who].pop(what).unsubscribe()
    for who, client in enumerate(joined):
        await client.subscribe(received[who].append, "services.x.end")
    await joined[0].publish("services.x.end", "end", options=PublishOptions(acknowledge=True, exclude_me=False))
    await until(reactor, lambda: all("end" in events for events in received))
    return [[event for event in events if event != "end" and event[1] != "services.x.end"] for events in received]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_every_session_receives_what_it_would_at_stock_crossbar(
    make_node: Callable[..., Node], node: Node, clients: Clients, serializer: str
) -> None:
    stock = make_node(change_config=without_gateway)
    stock.spawn()
    await until(reactor, lambda: "NODE_BOOT_COMPLETE" in stock.log, timeout_s=30)
    for seed in range(3):
        steps = script(seed)
        expected = await played(stock, clients, "stock", steps, serializer)
        got = await played(node, clients, node.token("x", "service"), steps, serializer)
        for who in range(SESSIONS):
            # Not `got == expected`: explaining how lists of this size differ takes pytest minutes.
            differing = [
                (theirs, ours) for theirs, ours in zip(expected[who], got[who], strict=False) if theirs != ours
            ]
            assert differing[:3] == []
            assert len(got[who]) == len(expected[who])
        assert sum(map(len, expected)) > STEPS // 2
    await deferToThread(stock.stop)
