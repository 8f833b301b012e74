"""What a router worker's configuration has for signed HTTP requests; see ``components.router.bridge``."""

from __future__ import annotations

from typing import Any

from ruamel.yaml.comments import CommentedMap

from components.node_config.nodes import by_id, entry, flow
from components.node_config.plan import NodePlan

REALM = "market"
ROLE = "bridge"


def add_bridge(worker: CommentedMap, plan: NodePlan) -> None:
    """Let a router worker take signed requests of a service."""
    realm = next(realm for realm in worker["realms"] if realm["name"] == REALM)
    roles = realm["roles"]
    # In the middle: what stands behind the last one's lines belongs to the next realm.
    at = next(index for index, role in enumerate(roles) if role["name"] == "gateway")
    permission = entry(
        uri="services.",
        match="prefix",
        allow=flow(call=True, register=False, publish=True, subscribe=False),
        disclose=flow(caller=True, publisher=False),
        cache=True,
    )
    roles.insert(at, entry(name=ROLE, permissions=[permission]))
    roles.yaml_set_comment_before_after_key(at, before="The HTTP bridge's session.", indent=10)
    bridge: dict[str, Any] = {"service": plan.bridge}
    if plan.bridge_calls:
        bridge["services"] = list(plan.bridge_calls)
    worker["components"].append(
        entry(
            type="class",
            id="bridge",
            classname="components.router.bridge.component.Bridge",
            realm=REALM,
            role=ROLE,
            extra=flow(bridge=bridge),
        )
    )
    by_id(worker["transports"], "public")["paths"]["bridge"] = flow(
        type="resource", classname="components.router.bridge.resource.BridgeRoot"
    )
