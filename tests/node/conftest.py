"""Fixtures of the tests that start nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.certificates import write_pair


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a PEM file with the key and the self-signed certificate of ``localhost``."""
    return write_pair(tmp_path / "certificate.pem")
