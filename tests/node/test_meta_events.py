"""The meta API of sessions and subscriptions, whether or not somebody listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest_twisted
from autobahn.wamp.types import SubscribeOptions
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from tests.harness.client import Clients, until
from tests.harness.node import Node


def with_monitor(config: dict[str, Any]) -> None:
    """Add a role that may use the meta API, on a path of its own."""
    router = config["workers"][0]
    allow = {"call": True, "register": False, "publish": False, "subscribe": True}
    router["realms"][0]["roles"].append(
        {"name": "monitor", "permissions": [{"uri": "wamp.", "match": "prefix", "allow": allow}]}
    )
    paths = router["transports"][1]["paths"]
    ticket = {"type": "static", "principals": {"m": {"ticket": "monitor", "role": "monitor"}}}
    paths["monitor"] = paths["ws"]["paths"]["/"] | {"auth": {"ticket": ticket}}


@pytest_twisted.ensureDeferred
async def test_meta_events_come_to_who_may_hear_them_and_the_meta_procedures_count_all(
    make_node: Callable[..., Node], clients: Clients
) -> None:
    node = make_node(change_config=with_monitor)
    await deferToThread(node.start)

    def ignore(tick: Any) -> None:
        """Only the subscription matters."""

    viewers = [await clients.join(node.ws_url, authid=f"v{n}", ticket=node.token(f"v{n}")) for n in range(3)]
    first = await viewers[0].subscribe(ignore, "market.BTCUSDT")
    second = await viewers[1].subscribe(ignore, "market.BTCUSDT")
    assert second.id == first.id
    monitor_url = node.ws_url.replace("/ws", "/monitor")
    monitor = await clients.join(monitor_url, authid="m", ticket="monitor", serializer="msgpack")
    assert await monitor.call("wamp.subscription.count_subscribers", first.id) == 2
    assert await monitor.call("wamp.subscription.match", "market.BTCUSDT") == [first.id]
    ids = [viewer._session_id for viewer in viewers]
    heard: list[tuple[Any, ...]] = []

    def hear(who: Any, what: Any = None, *, details: Any) -> None:
        session = who["session"] if isinstance(who, dict) else who
        subscription = what["id"] if isinstance(what, dict) else what
        heard.append((details.topic.removeprefix("wamp."), session, subscription))

    meta = await monitor.subscribe(hear, "wamp.", options=SubscribeOptions(match="prefix", details_arg="details"))
    await viewers[2].subscribe(ignore, "market.BTCUSDT")
    new = await viewers[2].subscribe(ignore, "market.ETHUSDT")
    await second.unsubscribe()
    await new.unsubscribe()
    late = await clients.join(node.ws_url, authid="late", ticket=node.token("late"))
    await viewers[2].leave()
    await until(reactor, lambda: ("session.on_leave", ids[2], None) in heard and len(heard) == 9)
    assert await monitor.call("wamp.subscription.list_subscribers", first.id) == [viewers[0]._session_id]
    await meta.unsubscribe()
    assert Counter(heard) == Counter(
        [
            ("subscription.on_subscribe", ids[2], first.id),
            ("subscription.on_create", ids[2], new.id),
            ("subscription.on_subscribe", ids[2], new.id),
            ("subscription.on_unsubscribe", ids[1], first.id),
            ("session.on_join", late._session_id, None),
            ("session.on_leave", ids[2], None),
            # Crossbar has forgotten the id of a session that leaves when it tells this.
            ("subscription.on_unsubscribe", None, first.id),
            ("subscription.on_unsubscribe", ids[2], new.id),
            ("subscription.on_delete", ids[2], new.id),
        ]
    )
    # Nobody hears them any more: what happens is still counted, and who leaves is no subscriber any more.
    await viewers[1].subscribe(ignore, "market.BTCUSDT")
    assert await monitor.call("wamp.subscription.count_subscribers", first.id) == 2
    await viewers[1].leave()
    await viewers[0].leave()
    assert await monitor.call("wamp.subscription.lookup", "market.BTCUSDT") is None
    assert await monitor.call("wamp.session.count", ["viewer"]) == 1
