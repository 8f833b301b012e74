"""What a router worker's configuration has for links to other routers; see ``components.router.links``."""

from __future__ import annotations

from typing import Any

from ruamel.yaml.comments import CommentedMap

from components.node_config.nodes import by_id, entry, flow, sequence
from components.node_config.plan import NodePlan

REALM = "market"
MAX_MESSAGE_BYTES = 16_777_216
"""Of what peers send: a client's longest message, however long it becomes in JSON."""

_NOTHING = {"call": False, "register": False, "publish": False, "subscribe": False}


def add_links(worker: CommentedMap, plan: NodePlan, index: int) -> None:
    """Let a router worker be linked with all others, of its node and of others."""
    _add_roles(worker)
    _add_component(worker, plan, index)
    if plan.workers > 1:
        # The other workers of this node; the socket lies in the node's folder.
        worker["transports"].append(_transport("links_local", flow(type="unix", path=_socket(index))))
    if plan.links_port is not None:
        endpoint = flow(type="tcp", interface=plan.links_interface, port=plan.links_port + index)
        if plan.tls is not None:
            key, certificate = plan.tls
            endpoint["tls"] = flow(key=key, certificate=certificate)
        worker["transports"].append(_transport("links", endpoint))
        if plan.links_plaintext:
            listeners = by_id(worker["components"], "listeners")["extra"]["listeners"]
            listeners["links"] = flow(allow_plaintext=True)


def _add_roles(worker: CommentedMap) -> None:
    realm = next(realm for realm in worker["realms"] if realm["name"] == REALM)
    roles = realm["roles"]
    # In the middle: what stands behind the last one's lines belongs to the next realm.
    at = next(index for index, role in enumerate(roles) if role["name"] == "gateway")
    here = {"register": True, "publish": True}
    there = {"call": True, "subscribe": True}
    for role, allowed in (("peer", there), ("links", here)):
        permissions = [
            entry(
                uri=uri,
                match="prefix",
                allow=flow(**_NOTHING | allowed),
                # Services are told who calls, by whatever router.
                disclose=flow(caller=True, publisher=False),
                cache=True,
            )
            for uri in ("services.", "crosstick.links.")
        ]
        roles.insert(at, entry(name=role, permissions=permissions))
    roles.yaml_set_comment_before_after_key(
        at, before="What answers here for other routers, and these when they join.", indent=10
    )


def _add_component(worker: CommentedMap, plan: NodePlan, index: int) -> None:
    peers: dict[str, Any] = {}
    for other in range(plan.workers):
        if other != index:
            peers[plan.worker_name(other)] = flow(endpoint={"type": "unix", "path": _socket(other)})
    for peer in plan.peers:
        for name, port in peer.workers().items():
            endpoint: dict[str, Any] = {"type": "tcp", "host": peer.host, "port": port}
            if ":" in peer.host:
                endpoint["version"] = 6
            if peer.tls:
                tls: dict[str, Any] = {"hostname": peer.host}
                if plan.links_ca is not None:
                    tls["ca_certificates"] = [plan.links_ca]
                endpoint["tls"] = tls
            peers[name] = flow(endpoint=endpoint)
    worker["components"].append(
        entry(
            type="class",
            id="links",
            classname="components.router.links.component.Links",
            realm=REALM,
            role="links",
            extra=entry(
                node=plan.worker_name(index),
                across_nodes=plan.links_port is not None,
                peers=CommentedMap(peers) if peers else flow(),
            ),
        )
    )


def _transport(name: str, endpoint: CommentedMap) -> CommentedMap:
    return entry(
        type="websocket",
        id=name,
        endpoint=endpoint,
        serializers=sequence("json"),
        auth=entry(
            ticket=entry(
                type="function",
                create="components.router.authenticator.create_link_authenticator",
                config=flow(realms={REALM: ["peer"]}),
            )
        ),
        options=entry(
            max_message_size=MAX_MESSAGE_BYTES,
            open_handshake_timeout=5000,
            close_handshake_timeout=2000,
            auto_ping_interval=5000,
            auto_ping_timeout=5000,
            auto_ping_size=12,
        ),
    )


def _socket(index: int) -> str:
    return f"links-{index + 1}.sock"
