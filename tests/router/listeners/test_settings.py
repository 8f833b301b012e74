"""The listeners' entry in the configuration: defaults, one clear line for what cannot be, and ids that are a transport's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.core.entries import InvalidEntry
from components.router.listeners.listener import ListenerRegistry
from components.router.listeners.settings import ListenerSettings, check_ids, parse_listeners
from components.router.listeners.transports import CLASSNAME, transport_ids
from tests.harness.node import REPOSITORY


def test_what_is_left_out_has_its_default() -> None:
    assert parse_listeners(None) == parse_listeners({"cbdir": ".crossbar"}) == {}
    assert parse_listeners({"listeners": {"public": {}}}) == {"public": ListenerSettings()}


def test_a_transport_without_an_entry_is_bounded_too() -> None:
    settings = ListenerRegistry().listen("public", lambda: 0.0).settings
    assert settings == ListenerSettings()
    assert None not in (settings.max_connections_per_address, settings.connections_per_s_per_address)
    assert not settings.proxies


def test_null_is_no_limit() -> None:
    entry = {"max_connections_per_address": None, "connections_per_s_per_address": None}
    settings = parse_listeners({"listeners": {"public": entry}})["public"]
    assert (settings.max_connections_per_address, settings.connections_per_s_per_address) == (None, None)


def test_proxies_are_addresses_and_networks() -> None:
    entry = {"trusted_proxies": ["10.0.0.0/8", "::1"], "proxy_protocol": True}
    settings = parse_listeners({"listeners": {"public": entry}})["public"]
    assert settings.proxy_protocol
    assert ["10.1.2.3" in settings.proxies, "::1" in settings.proxies, "11.0.0.1" in settings.proxies] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"max_connection": 1}, "listeners.public has an unknown key 'max_connection'; known are trusted_proxies, "),
        ({"max_connections": 0}, "listeners.public.max_connections: expected `int` >= 1, was 0"),
        ({"max_connections": None}, "listeners.public.max_connections: expected `int`, got `null`, was None"),
        ({"max_connections": "10"}, "expected `int`, got `str`, was '10'"),
        ({"max_connections": True}, "expected `int`, got `bool`, was True"),
        ({"connections_per_s_per_address": 0}, "expected `float` > 0.0, was 0"),
        ({"connections_per_s_per_address": float("nan")}, "was nan"),
        ({"handshake_timeout": 1e9}, "expected `float` <= 3600.0, was 1000000000.0"),
        ({"proxy_protocol": "yes"}, "expected `bool`, got `str`, was 'yes'"),
        ({"proxy_protocol": True}, "listeners.public.proxy_protocol needs trusted_proxies"),
        ({"trusted_proxies": "10.0.0.0/8"}, "listeners.public.trusted_proxies: expected `array`, got `str`"),
        (
            {"trusted_proxies": ["10.0.0.1/8"]},
            "listeners.public.trusted_proxies: '10.0.0.1/8' is no address or network",
        ),
        ({"trusted_proxies": ["balancer"]}, "'balancer' is no address or network"),
        ({"tls_min_version": "1.1"}, "listeners.public.tls_min_version: invalid enum value '1.1'"),
        ({1: 2}, "listeners.public must be a mapping"),
        ([1], r"listeners.public must be a mapping, was \[1\]"),
        (None, "listeners.public must be a mapping, was None"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(entry: Any, reason: str) -> None:
    with pytest.raises(InvalidEntry, match=reason) as raised:
        parse_listeners({"listeners": {"public": entry}})
    assert "\n" not in str(raised.value)


def test_a_misspelt_block_is_not_passed_over() -> None:
    with pytest.raises(InvalidEntry, match="extra has an unknown key 'listener'; known is listeners"):
        parse_listeners({"listener": {}})


def test_the_worker_has_one_component_that_sets_its_listeners_up() -> None:
    registry = ListenerRegistry()
    registry.configure({"public": ListenerSettings(max_connections=5)})
    assert registry.listen("public", lambda: 0.0).settings.max_connections == 5
    with pytest.raises(InvalidEntry, match="by another component already"):
        registry.configure({})
    late = ListenerRegistry()
    late.listen("public", lambda: 0.0)
    with pytest.raises(InvalidEntry, match="listens already"):
        late.configure({})


def test_an_id_that_no_transport_has_is_named() -> None:
    settings = {"public": ListenerSettings(), "pubic": ListenerSettings()}
    with pytest.raises(InvalidEntry, match=r"listeners.pubic: no TCP transport has this id; there are public, x"):
        check_ids(settings, ["public", "x"])
    check_ids({"public": ListenerSettings()}, ["public", "x"])


def test_the_transports_are_those_of_the_nodes_configuration() -> None:
    assert transport_ids(REPOSITORY / ".crossbar", ["public"]) == ("public",)


def with_listeners(*names: str) -> dict[str, Any]:
    return {
        "components": [
            {"classname": "x.Y"},
            {"classname": CLASSNAME, "extra": {"listeners": {name: {} for name in names}}},
        ],
        "transports": [
            {"id": "a", "endpoint": {"type": "tcp"}},
            {"id": "b", "endpoint": {"type": "unix"}},
            {"endpoint": {"type": "tcp"}},
        ],
    }


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("config.yaml", yaml.safe_dump({"workers": [{"type": "container"}, with_listeners("x")]}), ("a",)),
        ("config.json", json.dumps({"workers": [{"type": "container"}, with_listeners("x")]}), ("a",)),
        # Another file's settings: the node has been started with one that is not here.
        ("config.yaml", yaml.safe_dump({"workers": [with_listeners("y")]}), None),
        # Workers that share a port.
        ("config.yaml", yaml.safe_dump({"workers": [with_listeners("x"), with_listeners("x")]}), ("a",)),
        (
            "config.yaml",
            yaml.safe_dump({"workers": [with_listeners("x"), with_listeners("x") | {"transports": []}]}),
            None,
        ),
        ("config.yaml", "workers: [", None),
        ("config.yaml", "workers: 1", None),
        ("config.json", "{", None),
        ("config.json", "[]", None),
        ("elsewhere.yaml", "", None),
    ],
)
def test_ids_are_known_where_the_configuration_is_the_workers(
    tmp_path: Path, name: str, text: str, known: tuple[str, ...] | None
) -> None:
    (tmp_path / name).write_text(text)
    assert transport_ids(tmp_path, ["x"]) == known
