"""The description that a node serves, held against the node by Schemathesis: it finds nothing.

Schemathesis wants another version of a library than Crossbar does, so ``make`` gives it an environment of its own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.free_ports import free_port
from tests.harness.node import REPOSITORY, Node, component, with_limits

SCHEMATHESIS = REPOSITORY / ".venv-schemathesis" / "bin" / "schemathesis"
TIMEOUT_S = 60
"""After which something hangs."""


@pytest.fixture(scope="module")
def unlimited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a running node that answers as many requests as come."""

    def change(config: dict[str, Any]) -> None:
        with_limits(messages_per_s=None, calls_per_s=None)(config)
        component(config, "listeners")["extra"]["listeners"]["public"]["requests_per_s_per_address"] = None

    directory = tmp_path_factory.mktemp("unlimited")
    node = Node(directory, {"CROSSTICK_SIMULATOR_PORT": str(free_port())}, change_config=change)
    node.start()
    yield node
    node.stop()


@pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="make install-dev installs Schemathesis")
def test_schemathesis_finds_nothing(unlimited: Node, tmp_path: Path) -> None:
    command = [
        *(str(SCHEMATHESIS), "run", f"{unlimited.url}/api/openapi.json"),
        *("--header", f"Authorization: Bearer {unlimited.token('alice')}"),
        # A stream does not end; it has tests of its own.
        *("--exclude-path", "/api/stream"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--no-shrink", "--seed", "1"),
        *("--request-timeout", "5", "--warnings", "off"),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    shown = "\n".join(line[:300] for line in run.stdout.splitlines())
    assert run.returncode == 0, shown
    assert "No issues found" in run.stdout, shown
    assert "Traceback" not in unlimited.log
