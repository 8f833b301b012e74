"""The page at `/` in a real browser, at a real node."""

from __future__ import annotations

import time

import pytest
import pytest_twisted

from tests.clients.chromium import Chromium, Page
from tests.clients.line import Line
from tests.harness.node import Node

# On a busy machine trades may be late, which is said behind it.
LIVE = "document.getElementById('connection').textContent.startsWith('Live')"
PRICES = "[...document.querySelectorAll('.ticker .price .value')].map(cell => cell.textContent)"
PRICED = f"{PRICES}.filter(price => price !== '–' && price !== '').length"
CONNECTION = "document.getElementById('connection').textContent"
MOVED = f"(() => {{ const now = {PRICES}; return window.before.filter((price, row) => price !== now[row]).length; }})()"

COUNT_WEBSOCKETS = """
    window.webSockets = 0;
    window.WebSocket = class extends WebSocket {
        constructor(...parameters) { super(...parameters); window.webSockets += 1; }
    };
"""


async def see_moving_prices(page: Page) -> None:
    await page.wait_for(f"{LIVE} && {PRICED} >= 100")
    await page.evaluate(f"window.before = {PRICES}, null")
    await page.wait_for(f"{MOVED} >= 30")


@pytest_twisted.ensureDeferred
async def test_the_page_shows_moving_prices_of_a_hundred_symbols(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page(f"{node.url}/#token={node.token('alice')}")
    await see_moving_prices(page)
    await page.wait_for("document.getElementById('tick-rate').textContent > 0")
    await page.wait_for("document.querySelector('.price[data-direction=up] .arrow').textContent === '▲'")
    await page.wait_for("document.querySelector('.price[data-direction=down] .arrow').textContent === '▼'")
    row = "document.querySelector('[data-symbol=BTCUSDT]')"
    for column in ("change", "day-volume", "bid", "ask", "age"):
        await page.wait_for(f"{row}.querySelector('.{column}').textContent !== '–'")
    assert await page.evaluate(f"{row}.querySelector('.missed').textContent") == "0"
    assert page.problems == []


@pytest_twisted.ensureDeferred
async def test_the_token_leaves_the_address_bar_and_survives_a_reload(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page(f"{node.url}/#token={node.token('alice')}")
    await page.wait_for(LIVE)
    assert await page.evaluate("location.href") == f"{node.url}/"
    await page.reload()
    await page.wait_for(LIVE)


@pytest_twisted.ensureDeferred
async def test_a_token_pasted_into_the_form_connects(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page(f"{node.url}/")
    await page.wait_for(f"{CONNECTION} === 'No token' && document.activeElement.id === 'token'")
    assert "crosstick token --sub me --role viewer" in await page.text_of(".token-panel")
    await page.command("Input.insertText", text=node.token("alice"))
    await page.evaluate("document.querySelector('.token-panel button').click()")
    await see_moving_prices(page)


@pytest_twisted.ensureDeferred
async def test_after_a_cut_the_page_says_so_and_comes_back_by_itself(
    node: Node, line: Line, chromium: Chromium
) -> None:
    page = await chromium.open_page(f"{line.url}/#token={node.token('alice')}")
    await see_moving_prices(page)
    await line.cut()
    await page.wait_for(f"{CONNECTION} === 'Disconnected'")
    assert "Prices stand still" in await page.text_of("#announcer")
    await page.wait_for("/Reconnecting in \\d+ s/.test(document.querySelector('.interruption').innerText)")
    assert await page.evaluate("document.querySelector('.ticker').classList.contains('frozen')")
    line.mend()
    await see_moving_prices(page)
    assert not await page.evaluate("document.querySelector('.ticker').classList.contains('frozen')")
    assert await page.evaluate("document.querySelector('.interruption').hidden")
    # The feed went on meanwhile: what the page has not seen it has asked for. The figures are painted once a second.
    await page.evaluate("document.getElementById('tick-rate').textContent = ''")
    await page.wait_for("document.getElementById('tick-rate').textContent !== ''")
    assert await page.text_of("#missed-total") == "0"


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("when", ["refused", "expired"])
async def test_a_refused_token_is_shown_and_not_tried_again(node: Node, chromium: Chromium, when: str) -> None:
    now_s = int(time.time())
    if when == "expired":
        token = node.authority.mint(sub="alice", role="viewer", realm="market", now_s=now_s - 7200, ttl_s=3600)
    else:
        token = node.token("alice")[:-6] + "AAAAAA"
    page = await chromium.open_page()
    await page.command("Page.addScriptToEvaluateOnNewDocument", source=COUNT_WEBSOCKETS)
    await page.go_to(f"{node.url}/#token={token}")
    await page.wait_for(f"{CONNECTION} === 'Token refused'")
    problem = await page.text_of("#token-problem")
    assert "the gateway refused the ticket" in problem
    assert ("It expired on" in problem) == (when == "expired")
    # A minute passes for the page: twice the longest delay between two attempts.
    expired = page.next_event("Emulation.virtualTimeBudgetExpired")
    await page.command("Emulation.setVirtualTimePolicy", policy="advance", budget=60_000)
    await expired
    assert await page.evaluate("window.webSockets") == 1
    assert await page.evaluate("sessionStorage.length") == 0


@pytest_twisted.ensureDeferred
async def test_a_viewer_of_some_symbols_sees_those(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page(f"{node.url}/#token={node.token('alice', ttl_s=240, symbols=['BTC*'])}")
    await page.wait_for(f"{LIVE} && {PRICED} >= 1")
    symbols = await page.evaluate("[...document.querySelectorAll('.ticker tbody tr')].map(row => row.dataset.symbol)")
    assert symbols
    assert all(symbol.startswith("BTC") for symbol in symbols)
    await page.wait_for("!document.getElementById('token-ends').hidden")
    assert (await page.text_of("#token-ends-in")).startswith("in ")


@pytest_twisted.ensureDeferred
async def test_the_filter_leaves_the_rows_that_match(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page(f"{node.url}/#token={node.token('alice')}")
    await page.wait_for(f"{PRICED} >= 100")
    await page.evaluate("document.getElementById('filter').focus()")
    await page.command("Input.insertText", text="btcu eth")
    visible = "[...document.querySelectorAll('.ticker tbody tr:not([hidden])')].map(row => row.dataset.symbol)"
    symbols = await page.evaluate(visible)
    assert "BTCUSDT" in symbols
    assert all("BTCU" in symbol or "ETH" in symbol for symbol in symbols)
    assert await page.text_of("#symbol-count") == f"{len(symbols)} of 121"
    await page.evaluate("document.getElementById('filter').select()")
    await page.command("Input.insertText", text="nothing-like-it")
    await page.wait_for(f"{visible}.length === 0 && !document.getElementById('nothing-matches').hidden")


@pytest_twisted.ensureDeferred
async def test_a_page_without_autobahn_says_what_to_do(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page()
    await page.command("Network.enable")
    await page.command("Network.setBlockedURLs", urlPatterns=[{"urlPattern": "*://*:*/vendor/*", "block": True}])
    await page.go_to(f"{node.url}/")
    await page.wait_for(f"{CONNECTION}.includes('run `make` there')")
