"""A node's configuration as the checks look at it. Pure: what YAML holds goes in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

CLIENT_AUTHENTICATOR = "components.router.authenticator.create_client_authenticator"
READYZ = "components.router.health.Readyz"
DEFAULT_BACKLOG = 50
"""Crossbar's, where an endpoint does not say."""


class NotAConfiguration(ValueError):
    """What was read has not the shape of one; the text is one line."""


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a worker."""

    classname: str
    id: str
    realm: str
    extra: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A TCP port that a router worker listens on."""

    transport: str
    """Its id, or empty."""
    interface: str
    """Empty: all."""
    port: int
    backlog: int
    shared: bool
    tls: Mapping[str, Any] | None
    raw: Mapping[str, Any]
    """As configured."""
    answers_readyz: bool

    @property
    def host(self) -> str:
        """Where this machine reaches it."""
        return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.interface, self.interface)  # noqa: S104

    def __str__(self) -> str:
        return f"{self.interface or 'all interfaces'}, port {self.port}"


@dataclass(frozen=True, slots=True)
class RouterWorker:
    """What the checks need of one."""

    realms: tuple[str, ...]
    client_realms: tuple[str, ...]
    """Those that clients are let into by a transport."""
    components: tuple[Component, ...]
    endpoints: tuple[Endpoint, ...]

    def of_class(self, end: str) -> list[Component]:
        """Return the components of a class, by the last part of its name."""
        return [each for each in self.components if each.classname.rpartition(".")[2] == end]


@dataclass(frozen=True, slots=True)
class NodeFile:
    """The whole."""

    workers: int
    routers: tuple[RouterWorker, ...]
    static_directories: tuple[tuple[str, str], ...]
    """Path of the URL, and folder."""
    resources: tuple[Component, ...] = field(default=())
    """What answers at paths; ``id`` is the path."""

    @property
    def endpoints(self) -> list[Endpoint]:
        """All ports, those that workers share once."""
        found = {(each.interface, each.port): each for router in self.routers for each in router.endpoints}
        return list(found.values())

    def has(self, end: str) -> bool:
        """Tell whether there is a component of a class, by the last part of its name."""
        return any(router.of_class(end) for router in self.routers)

    @classmethod
    def parse(cls, config: object) -> NodeFile:
        """Take a configuration apart.

        Raises:
            NotAConfiguration: something in it is of another kind than it must be.
        """
        try:
            return cls._parse(config)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotAConfiguration(f"it is not a node's configuration: {type(error).__name__}: {error}") from error

    @classmethod
    def _parse(cls, config: Any) -> NodeFile:
        workers = config["workers"]
        routers = [worker for worker in workers if worker["type"] == "router"]
        paths = [pair for worker in routers for transport in worker.get("transports", ()) for pair in _paths(transport)]
        return cls(
            workers=len(workers),
            routers=tuple(map(_router, routers)),
            static_directories=tuple(
                dict.fromkeys((path, each["directory"]) for path, each in paths if each["type"] == "static")
            ),
            resources=tuple(
                Component(each["classname"], path, "", each.get("extra") or {})
                for path, each in paths
                if each["type"] == "resource"
            ),
        )


def _router(worker: Mapping[str, Any]) -> RouterWorker:
    transports = worker.get("transports", ())
    return RouterWorker(
        realms=tuple(realm["name"] for realm in worker.get("realms", ())),
        client_realms=tuple(dict.fromkeys(realm for each in transports for realm in _client_realms(each))),
        components=tuple(
            Component(each["classname"], each.get("id", ""), each["realm"], each.get("extra") or {})
            for each in worker.get("components", ())
            if each["type"] == "class"
        ),
        endpoints=tuple(_endpoint(each) for each in transports if each["endpoint"]["type"] == "tcp"),
    )


def _endpoint(transport: Mapping[str, Any]) -> Endpoint:
    endpoint = transport["endpoint"]
    return Endpoint(
        transport=transport.get("id", ""),
        interface=str(endpoint.get("interface", "")).strip(),
        port=int(endpoint["port"]),
        backlog=int(endpoint.get("backlog", DEFAULT_BACKLOG)),
        shared=bool(endpoint.get("shared", False)),
        tls=endpoint.get("tls"),
        raw=endpoint,
        answers_readyz=any(path == "/readyz" and each.get("classname") == READYZ for path, each in _paths(transport)),
    )


def _paths(transport: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what a web transport has at which path, nested ones too."""
    yield from _nested("", transport.get("paths", {}))


def _nested(above: str, paths: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, each in paths.items():
        path = above or "/" if name == "/" else f"{above}/{name}"
        yield path, each
        if each["type"] == "path":
            yield from _nested(path, each["paths"])


def _client_realms(transport: Mapping[str, Any]) -> Iterator[str]:
    places = [transport, *(each for _, each in _paths(transport))]
    for place in places:
        for method in (place.get("auth") or {}).values():
            if isinstance(method, Mapping) and method.get("create") == CLIENT_AUTHENTICATOR:
                yield from method["config"]["realms"]
