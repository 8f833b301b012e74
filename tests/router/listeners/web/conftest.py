"""Fixtures of the tests of listeners."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.router.listeners.web.site import HardenedSite


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """Return an empty folder below a folder of the test's."""
    folder = tmp_path / "static"
    folder.mkdir()
    return folder


@pytest.fixture
def hardened(static: Path) -> HardenedSite:
    """Return a hardened site with the default limits."""
    return HardenedSite(static)
