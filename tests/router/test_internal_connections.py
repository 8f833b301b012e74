"""Which connections are the node's own, and so are not sent away with the clients when it leaves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from components.router.seam.transports import ClientConnection


@pytest.mark.parametrize(
    ("role", "is_own"),
    [("feed", True), ("exchange", True), ("peer", True), ("viewer", False), ("service", False), ("operator", False)],
)
def test_the_nodes_components_and_linked_routers_are_its_own_and_clients_are_not(role: str, is_own: bool) -> None:
    connection: Any = SimpleNamespace(_session=SimpleNamespace(_authrole=role))
    assert ClientConnection.is_internal.fget(connection) is is_own


def test_who_has_not_joined_is_a_client() -> None:
    connection: Any = SimpleNamespace()
    assert ClientConnection.is_internal.fget(connection) is False
