"""Fixtures for what connects from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.clients import chromium as chromium_module
from tests.clients.chromium import Chromium
from tests.clients.command import Command
from tests.clients.line import Line
from tests.harness.node import Node


@pytest_twisted.async_yield_fixture
async def chromium(tmp_path: Path) -> AsyncIterator[Chromium]:
    """Return a browser of the test's own; skips where none is installed."""
    if chromium_module.EXECUTABLE is None:
        pytest.skip("no Chromium on this machine")
    browser = await Chromium.start(tmp_path / "chromium")
    yield browser
    await browser.close()


@pytest_twisted.async_yield_fixture
async def line(node: Node) -> AsyncIterator[Line]:
    """Return a line to the shared node that this test may cut."""
    made = Line(reactor, node.port)
    yield made
    await made.cut()


@pytest_twisted.async_yield_fixture
async def run() -> AsyncIterator[Callable[..., Command]]:
    """Return a function that runs commands; each has ended at the test's end."""
    commands: list[Command] = []

    def start(arguments: list[str], *, url: str, token: str) -> Command:
        if arguments[0] == "None":
            pytest.skip("no node.js on this machine")
        commands.append(Command(arguments, url=url, token=token))
        return commands[-1]

    yield start
    for command in commands:
        await command.stop()
