"""Which nodes there can be."""

from __future__ import annotations

from typing import Any

import pytest

from components.node_config import ImpossiblePlan, NodePlan, PeerNode, read_peer

REDIS = {"CROSSTICK_BUS": "redis://127.0.0.1"}
PEER = PeerNode("b", "10.0.0.2", range(9100, 9102))


@pytest.mark.parametrize(
    ("plan", "environ", "complaint"),
    [
        ({"workers": 2}, {}, "--workers 2: several router workers need a bus that each of them reads"),
        ({"role": "gateway"}, {}, "--role gateway: a node without feed needs a bus that it reads"),
        ({"workers": 0}, REDIS, "--workers must be 1 to 64, was 0"),
        ({"workers": 65}, REDIS, "--workers must be 1 to 64, was 65"),
        ({"peers": (PEER,)}, REDIS, "--peer needs --links-port"),
        ({"name": "a b"}, REDIS, "--name must be up to 60 letters"),
        ({"name": "b-1", "peers": (PEER,), "links_port": 9100}, REDIS, "must differ, 'b-1' is there twice"),
        ({"peers": (PEER, PEER), "links_port": 9100}, REDIS, "must differ, 'b-1' is there twice"),
        ({"management_port": 8080}, REDIS, "--management-port: port 8080 is --port's already"),
        (
            {"workers": 3, "management_port": 9098, "links_port": 9100},
            REDIS,
            "port 9100 is --management-port's already",
        ),
        ({"workers": 2, "links_port": 65_535}, REDIS, "--links-port: ports must be 1 to 65535, would have 65536"),
        ({"interface": "0.0.0.0"}, REDIS, "--interface 0.0.0.0: tickets and prices would go without TLS"),
        (
            {"links_port": 1, "links_interface": "10.0.0.1"},
            REDIS,
            "--links-interface 10.0.0.1: links would go without TLS",
        ),
    ],
)
def test_what_cannot_be_is_told_in_a_line(plan: dict[str, Any], environ: dict[str, str], complaint: str) -> None:
    with pytest.raises(ImpossiblePlan) as raised:
        NodePlan(**plan).check(environ, 8080)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("plan", [{"workers": 2}, {"role": "gateway"}])
def test_a_password_in_the_buss_address_is_not_shown(plan: dict[str, Any]) -> None:
    with pytest.raises(ImpossiblePlan) as raised:
        NodePlan(**plan).check({"CROSSTICK_BUS": "redos://:secret@h"}, 8080)
    assert "'redos'" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "plan",
    [
        {},
        {"links_port": 9100, "peers": (PEER,)},
        {"interface": "::1"},
        {"interface": "0.0.0.0", "allow_plaintext": True},
        {"interface": "0.0.0.0", "links_port": 1, "links_interface": "0.0.0.0", "tls": ("key", "certificate")},
        {"links_port": 9100, "links_interface": "10.0.0.1", "links_plaintext": True},
    ],
)
def test_what_needs_no_shared_bus_can_be_without(plan: dict[str, Any]) -> None:
    NodePlan(**plan).check({}, 8080)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("b=10.0.0.2:9100", PeerNode("b", "10.0.0.2", range(9100, 9101))),
        ("b=tls://b.example:9100-9103", PeerNode("b", "b.example", range(9100, 9104), tls=True)),
        ("b=[2001:db8::1]:9100", PeerNode("b", "2001:db8::1", range(9100, 9101))),
    ],
)
def test_a_peer_is_read(text: str, peer: PeerNode) -> None:
    assert read_peer(text) == peer


@pytest.mark.parametrize(
    "text", ["b", "b=", "b=host", "b=host:0", "b=host:9101-9100", "b=host:1-99", "=h:1", "b=ws://h:1"]
)
def test_what_is_no_peer_is_told(text: str) -> None:
    with pytest.raises(ImpossiblePlan, match=r"^--peer "):
        read_peer(text)


def test_the_workers_of_a_peer_have_names_and_ports() -> None:
    assert PEER.workers() == {"b-1": 9100, "b-2": 9101}
    assert read_peer("b=h:1").workers() == {"b": 1}
