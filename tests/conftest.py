"""Fixtures that several rooms of the suite share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.node import Node, free_port

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Return a function that lays out nodes; each is stopped at the test's end."""
    nodes: list[Node] = []

    def make(*, with_key: bool = True, **environ: str) -> Node:
        environ.setdefault("CROSSTICK_SIMULATOR_PORT", str(free_port()))
        if "CROSSTICK_EXCHANGE_URL" in environ:
            del environ["CROSSTICK_SIMULATOR_PORT"]
        node = Node(tmp_path / f"node{len(nodes)}", environ, with_key=with_key)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.stop()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a running node on the simulated exchange, shared by the tests that only look."""
    shared = Node(tmp_path_factory.mktemp("node"), {"CROSSTICK_SIMULATOR_PORT": str(free_port())})
    shared.start()
    yield shared
    shared.stop()


@pytest.fixture
def recordings() -> list[Path]:
    """Return the recordings of the real exchange; skips where there are none."""
    files = sorted(RECORDINGS.glob("*.jsonl")) if RECORDINGS.is_dir() else []
    if not files:
        pytest.skip("no recordings of the real exchange beside the repository")
    return files
