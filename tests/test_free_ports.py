"""Ports for processes that are about to be started."""

from __future__ import annotations

import socket

import pytest

from components import free_ports
from components.free_ports import NoFreePortError


def test_ports_are_different_and_below_those_that_connections_get() -> None:
    found = free_ports.free_ports(50)
    assert len(set(found)) == 50
    assert all(1024 < port < 32_768 for port in found)
    row = free_ports.free_ports_in_a_row(5)
    assert len(row) == 5
    assert row[-1] < 32_768


def test_a_port_that_is_taken_is_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    around = free_ports.free_ports_in_a_row(3)
    monkeypatch.setattr(free_ports, "FIRST", around[0])
    monkeypatch.setattr(free_ports, "BEYOND", around[-1] + 1)
    monkeypatch.setattr(free_ports, "TRIES", 100)
    with socket.create_server(("127.0.0.1", around[1])):
        assert sorted(free_ports.free_ports(2)) == [around[0], around[2]]
        with pytest.raises(NoFreePortError, match="no 2 ports in a row found free"):
            free_ports.free_ports_in_a_row(2)
        with pytest.raises(NoFreePortError, match="only 2"):
            free_ports.free_ports(3)
