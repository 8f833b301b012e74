"""Those who have no WAMP client: a browser without a library, Python's `websockets`, node's `ws` and curl, at a real node."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted

from tests.clients.chromium import Chromium
from tests.clients.command import CLIENTS, NODE, Command
from tests.clients.line import Line
from tests.harness.documents import block_with
from tests.harness.node import Node

Run = Callable[..., Command]

PLAIN = {
    "python": [sys.executable, str(CLIENTS / "python" / "plain.py")],
    "node": [str(NODE), str(CLIENTS / "node" / "plain.mjs")],
}
LANGUAGES = pytest.mark.parametrize("language", list(PLAIN))
CONNECTION = "document.getElementById('connection').textContent"
PRICES = "JSON.parse(document.getElementById('prices').textContent || '{}')"
TICK = re.compile(r'^\{"symbol":"(BTC|ETH)USDT","price":\d+\.\d{8},"volume":\d+\.\d{8},.*\}$', re.MULTILINE)
"""With all digits of the exchange's."""


def browser_program() -> str:
    """Return the program that the documentation and the issue have."""
    return block_with("/ws/trade?token=", "text")


def symbols_of(command: Command) -> set[str]:
    return set(TICK.findall(command.printed))


@pytest_twisted.ensureDeferred
async def test_the_program_of_three_lines_works_in_a_browser(node: Node, chromium: Chromium) -> None:
    program = browser_program()
    assert "ws://127.0.0.1:8080/ws/trade?token=" in program
    page = await chromium.open_page(f"{node.url}/")
    await page.evaluate(
        f"globalThis.token = {json.dumps(node.token('alice'))}; globalThis.logged = [];"
        "console.log = (object) => logged.push(object); null"
    )
    await page.evaluate(program.replace("127.0.0.1:8080", f"127.0.0.1:{node.port}") + "; null")
    await page.wait_for("['BTCUSDT', 'ETHUSDT'].every((symbol) => logged.some((tick) => tick.symbol === symbol))")
    first, *others = await page.evaluate("logged")
    assert first["type"] == "subscribed"
    assert all(tick["price"] > 0 and tick["seq"] > 0 for tick in others)
    assert page.problems == []


@pytest_twisted.ensureDeferred
async def test_the_plain_page_shows_prices_and_comes_back(node: Node, line: Line, chromium: Chromium) -> None:
    page = await chromium.open_page(f"{line.url}/plain.html#token={node.token('alice')}")
    await page.wait_for(f"{CONNECTION} === 'Live' && Object.keys({PRICES}).length === 2")
    assert await page.evaluate("location.href") == f"{line.url}/plain.html"
    assert page.problems == []
    await line.cut()
    await page.wait_for(f"{CONNECTION} === 'Disconnected'")
    line.mend()
    await page.wait_for(f"{CONNECTION} === 'Live'")


@LANGUAGES
@pytest_twisted.ensureDeferred
async def test_the_example_prints_ticks_with_all_digits_and_comes_back(
    node: Node, line: Line, run: Run, language: str
) -> None:
    command = run([*PLAIN[language], "BTCUSDT", "ETHUSDT"], url=line.ws_url, token=node.token("alice"))
    await command.until(lambda: symbols_of(command) == {"BTC", "ETH"})
    assert json.loads(command.said.splitlines()[0])["type"] == "subscribed"
    await line.cut()
    line.mend()
    await command.until(lambda: "lost: " in command.said)
    printed = len(command.printed)
    await command.until(lambda: len(command.printed) > printed)
    assert [text for text in command.printed.splitlines()[:-1] if not TICK.match(text)] == []


@LANGUAGES
@pytest_twisted.ensureDeferred
async def test_a_token_that_is_not_accepted_ends_the_example_with_one_line(node: Node, run: Run, language: str) -> None:
    token = node.token("alice")[:-6] + "AAAAAA"
    command = run([*PLAIN[language], "BTCUSDT"], url=node.ws_url, token=token)
    assert await command.ended == 2
    assert len(command.said.splitlines()) == 1
    assert command.said.startswith("refused: ")
    assert command.printed == ""


@pytest_twisted.ensureDeferred
async def test_curl_prints_a_stream_of_events(node: Node, run: Run) -> None:
    curl: Any = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl on this machine")
    token = node.token("alice")
    url = f"{node.url}/api/stream?symbols=BTCUSDT,ETHUSDT"
    command = run([curl, "-sS", "-N", "-H", f"Authorization: Bearer {token}", url], url=url, token=token)

    def ticks() -> list[dict[str, Any]]:
        found = re.findall(r'^data: (\{"symbol":.*\})\n', command.printed, re.MULTILINE)
        return [json.loads(text) for text in found]

    await command.until(lambda: {tick["symbol"] for tick in ticks()} == {"BTCUSDT", "ETHUSDT"})
