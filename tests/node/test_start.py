"""A gateway that cannot be what the configuration says opens no port."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.node import Node, component, with_limits


def with_fanout(**values: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        component(config, "gateway")["extra"] = {"fanout": values}

    return change


def without_the_right_to_register(config: dict[str, Any]) -> None:
    for role in config["workers"][0]["realms"][0]["roles"]:
        if role["name"] == "gateway":
            role["permissions"] = []


def on_all_interfaces(config: dict[str, Any]) -> None:
    config["workers"][0]["transports"][1]["endpoint"]["interface"] = ""


def with_a_missing_certificate(config: dict[str, Any]) -> None:
    config["workers"][0]["transports"][1]["endpoint"]["tls"] = {"key": "no.pem", "certificate": "no.pem"}


def as_a_universal_transport(config: dict[str, Any]) -> None:
    transport = config["workers"][0]["transports"][1]
    universal = {name: transport[name] for name in ("id", "endpoint")} | {"type": "universal"}
    universal["websocket"] = {"ws": {"type": "websocket", "auth": transport["paths"]["ws"]["paths"]["/"]["auth"]}}
    config["workers"][0]["transports"][1] = universal


def with_mqtt(config: dict[str, Any]) -> None:
    transport = config["workers"][0]["transports"][1]
    options = {"realm": "market", "role": "viewer"}
    config["workers"][0]["transports"][1] = {name: transport[name] for name in ("id", "endpoint")} | {
        "type": "mqtt",
        "options": options,
    }


@pytest.mark.parametrize(
    ("change_config", "reason"),
    [
        (with_fanout(window_ms=-1), "realm market: window_ms must be a number from 0 to 100, was -1"),
        (with_fanout(max_byte=1), "realm market: fanout has an unknown key 'max_byte'"),
        (with_fanout(rates=["every_1ms"]), "realm market: a rate must be from 10 ms to 3600000 ms, was 'every_1ms'"),
        (with_limits(max_session=1), "gatekeeper of realm market: limits has an unknown key 'max_session'"),
        (
            with_limits("ops", tiers={"gold": {"calls_burst": 0}}),
            "gatekeeper of realm ops: limits.tiers.gold.calls_burst: ",
        ),
        (on_all_interfaces, "transport public: the listener on all interfaces, port "),
        (with_a_missing_certificate, "transport public: TLS file "),
        (as_a_universal_transport, "transport public: its type must be web, websocket or rawsocket"),
        (with_mqtt, "transport public: its type must be web, websocket or rawsocket"),
        (without_the_right_to_register, "the gateway cannot install itself: "),
    ],
    ids=["value", "key", "rate", "limit", "tier", "plaintext", "tls", "universal", "mqtt", "right"],
)
def test_it_refuses_to_start_with_one_line(
    make_node: Callable[..., Node], change_config: Callable[[dict[str, Any]], None], reason: str
) -> None:
    node = make_node(change_config=change_config)
    node.spawn()
    assert node.process.wait(30) != 0
    refusals = [line for line in node.log.splitlines() if "refusing to start: " in line]
    assert len(refusals) == 1
    assert reason in refusals[0]
    assert "listening on TCP" not in node.log
