"""A node configuration as YAML, from the repository's own and a plan; its comments stay. Pure.

What the repository's configuration says of realms, limits and transports is there once, and read from there.
"""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from components.node_config.bridge import add_bridge
from components.node_config.links import add_links
from components.node_config.nodes import by_id, entry, flow, sequence
from components.node_config.plan import LOOPBACK, ImpossiblePlan, NodePlan


def public_port(base: str) -> int:
    """Return the port that a configuration's clients connect to."""
    [router] = _routers(_yaml().load(base))
    port: int = by_id(router["transports"], "public")["endpoint"]["port"]
    return port


def generate(base: str, plan: NodePlan, made_by: str, base_directory: str = ".", directory: str = ".") -> str:
    """Return the configuration of a node as a plan has it, made from the text of the repository's own.

    ``made_by`` is the command that makes it anew. The folders are those of ``base`` and of the result, relative to the same.

    Raises:
        ImpossiblePlan: the configuration is not one to start from.
    """
    yaml = _yaml()
    config = yaml.load(base)
    routers = _routers(config)
    if len(routers) != 1:
        raise ImpossiblePlan(f"the configuration to start from must have one router worker, had {len(routers)}")
    config.yaml_set_start_comment(f"Made by: {made_by}\nMake it anew rather than change it.\n")
    if plan.role == "gateway":
        _drop_feed(config)
    router = routers[0]
    _set_up_public(router, plan)
    if plan.name is not None:
        by_id(router["components"], "operators")["extra"] = flow(name=plan.name)
    if plan.bridge is not None:
        add_bridge(router, plan)
    _move(config, base_directory, directory)
    # The copies first: their changes are not those of the first.
    workers = [router, *(_copy(router, index) for index in range(1, plan.workers))]
    for index, worker in enumerate(workers):
        if plan.management_port is not None:
            _add_management(worker, plan.management_port + index)
            if plan.workers > 1:
                _add_siblings(worker, index, plan.management_port, plan.workers)
        if plan.is_linked:
            add_links(worker, plan, index)
    at = config["workers"].index(router)
    for index, worker in enumerate(workers[1:], 1):
        config["workers"].insert(at + index, worker)
    text = io.StringIO()
    yaml.dump(config, text)
    return text.getvalue()


def _yaml() -> YAML:
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 200
    yaml.preserve_quotes = True
    return yaml


def _routers(config: CommentedMap) -> list[CommentedMap]:
    return [worker for worker in config["workers"] if worker["type"] == "router"]


def _drop_feed(config: CommentedMap) -> None:
    """Leave out what a node without feed does not have: the containers, and the socket by which they join."""
    for worker in [worker for worker in config["workers"] if worker["type"] != "router"]:
        config["workers"].remove(worker)
    [router] = _routers(config)
    router["transports"].remove(by_id(router["transports"], "internal"))


def _set_up_public(router: CommentedMap, plan: NodePlan) -> None:
    public = by_id(router["transports"], "public")
    endpoint = public["endpoint"]
    if plan.port is not None:
        endpoint["port"] = plan.port
    if plan.interface is not None:
        endpoint["interface"] = plan.interface
    if plan.tls is not None:
        key, certificate = plan.tls
        endpoint["tls"] = flow(key=key, certificate=certificate)
    listener = by_id(router["components"], "listeners")["extra"]["listeners"].setdefault("public", flow())
    if plan.allow_plaintext:
        listener["allow_plaintext"] = True
    if plan.trusted_proxies:
        listener["trusted_proxies"] = sequence(*plan.trusted_proxies)
    if plan.drain_over_s is not None:
        drain = by_id(router["components"], "drain").setdefault("extra", CommentedMap())
        drain.setdefault("drain", flow())["over_s"] = plan.drain_over_s
    if plan.workers > 1:
        # The kernel hands each connection to one of the workers that listen.
        endpoint["shared"] = True
        if plan.management_port is None:
            # Those of one worker by chance are of no use.
            del public["paths"]["metrics"]
        else:
            public["paths"]["metrics"]["classname"] = "components.router.metrics.NodeMetrics"


def _copy(router: CommentedMap, index: int) -> CommentedMap:
    worker: CommentedMap = copy.deepcopy(router)
    worker["id"] = f"{router['id']}_{index + 1}"
    worker["options"]["title"] = f"{router['options']['title']}-{index + 1}"
    # Feed and exchange join the first worker.
    transports = worker["transports"]
    for transport in [transport for transport in transports if transport["id"] == "internal"]:
        transports.remove(transport)
    return worker


def _add_management(worker: CommentedMap, port: int) -> None:
    resource = {"healthz": "health.Healthz", "readyz": "health.Readyz", "metrics": "metrics.Metrics"}
    paths = CommentedMap({"/": flow(type="resource", classname="components.router.health.NoPage")})
    for path, name in resource.items():
        paths[path] = flow(type="resource", classname=f"components.router.{name}")
    worker["transports"].append(
        entry(
            type="web",
            id="management",
            endpoint=flow(type="tcp", interface=LOOPBACK, port=port),
            paths=paths,
        )
    )
    # Who watches a drain, or whether the process lives, asks here to the end of it.
    listeners = by_id(worker["components"], "listeners")["extra"]["listeners"]
    listeners["management"] = flow(listens_while_draining=True)
    worker["transports"].yaml_set_comment_before_after_key(
        len(worker["transports"]) - 1, before="For Prometheus and balancers: this worker's own.", indent=6
    )


def _add_siblings(worker: CommentedMap, index: int, first_port: int, workers: int) -> None:
    worker["components"].append(
        entry(
            type="class",
            id="siblings",
            classname="components.router.siblings.component.SiblingWorkers",
            realm="market",
            role="gateway",
            extra=entry(worker=index + 1, management_ports=sequence(*range(first_port, first_port + workers))),
        )
    )


def _move(config: CommentedMap, base_directory: str, directory: str) -> None:
    """Let relative paths of the code and of pages mean the same in another folder."""

    if base_directory == directory:
        return

    def moved(path: str) -> str:
        return path if os.path.isabs(path) else os.path.relpath(os.path.join(base_directory, path), directory)

    for worker in config["workers"]:
        paths = worker["options"]["pythonpath"]
        paths[:] = [moved(path) for path in paths]
        for transport in worker.get("transports", ()):
            for path in _static_paths(transport.get("paths", {})):
                path["directory"] = moved(path["directory"])


def _static_paths(paths: Mapping[str, Any]) -> Iterator[Any]:
    """Return those of a transport's paths that are folders of files, the ones below others included."""
    for path in paths.values():
        if path["type"] == "static":
            yield path
        yield from _static_paths(path.get("paths", {}))
