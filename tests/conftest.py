"""Fixtures that several rooms of the suite share."""

from __future__ import annotations

import signal
import warnings

# Warnings are errors in this suite, but not those of the libraries that Crossbar imports: first import it in peace.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import crossbar.router.router
    import crossbar.webservice.static  # noqa: F401

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_twisted
from twisted.internet import reactor

from components.free_ports import free_port
from components.settings import SimulatorSettings
from components.simulator.server import SimulatedExchange
from tests.harness.client import Clients
from tests.harness.node import Node

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that has the suite run behind it lets it ignore this one, which all that the tests start would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Return a function that lays out nodes; each is stopped at the test's end."""
    nodes: list[Node] = []

    def make(
        *,
        with_key: bool = True,
        change_config: Callable[[dict[str, Any]], None] = lambda config: None,
        command: tuple[str, str] = ("crossbar", "start"),
        as_shipped: bool = False,
        **environ: str,
    ) -> Node:
        environ.setdefault("CROSSTICK_SIMULATOR_PORT", str(free_port()))
        if "CROSSTICK_EXCHANGE_URL" in environ:
            del environ["CROSSTICK_SIMULATOR_PORT"]
        node = Node(
            tmp_path / f"node{len(nodes)}",
            environ,
            with_key=with_key,
            change_config=change_config,
            command=command,
            as_shipped=as_shipped,
        )
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.stop()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a running node on the simulated exchange, shared by the tests that only look."""
    shared = Node(tmp_path_factory.mktemp("node"), {"CROSSTICK_SIMULATOR_PORT": str(free_port())}, as_shipped=True)
    try:
        shared.start()
        yield shared
    finally:
        shared.stop()


@pytest.fixture
def recordings() -> list[Path]:
    """Return the recordings of the real exchange; skips where there are none."""
    files = sorted(RECORDINGS.glob("*.jsonl")) if RECORDINGS.is_dir() else []
    if not files:
        pytest.skip("no recordings of the real exchange beside the repository")
    return files


@pytest_twisted.async_yield_fixture
async def clients() -> AsyncIterator[Clients]:
    """Return a maker of WAMP clients, which are gone at the test's end."""
    made = Clients(reactor)
    yield made
    await made.close()


@pytest_twisted.async_yield_fixture
async def make_exchange() -> AsyncIterator[Callable[..., Awaitable[SimulatedExchange]]]:
    """Return a function that starts simulated exchanges in this process; each is stopped at the test's end."""
    exchanges: list[SimulatedExchange] = []

    async def make(**options: Any) -> SimulatedExchange:
        settings = SimulatorSettings(
            host="127.0.0.1",
            port=options.pop("port", 0),
            rate_per_s=options.pop("rate_per_s", 200),
            seed=1,
            recording=options.pop("recording", None),
        )
        exchange = SimulatedExchange(reactor, settings, **options)
        await exchange.start()
        exchanges.append(exchange)
        return exchange

    yield make
    for exchange in exchanges:
        await exchange.stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="count a skipped test as failed")
    parser.addoption("--soak-minutes", type=float, default=0.2, help="how long the soak test lasts")


LONGEST_FIRST = ("tests/cluster/test_faults.py", "tests/node/test_s", "tests/node/", "tests/clients/", "tests/bus/")
"""Beginnings of files' names: with ``--dist loadfile`` the process that has the longest must not begin it last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring files that take long to the front."""

    def place(item: pytest.Item) -> int:
        return next((at for at, start in enumerate(LONGEST_FIRST) if item.nodeid.startswith(start)), len(LONGEST_FIRST))

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if report.skipped and item.config.getoption("--no-skips"):
        report.outcome = "failed"
    return report
