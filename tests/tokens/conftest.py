"""Fixtures that this room shares with others."""

from tests.node.conftest import certificate

__all__ = ["certificate"]
