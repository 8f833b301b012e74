"""What the page at `/` says while the exchange fails, at a node and an exchange of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest_twisted
from twisted.internet.threads import deferToThread

from components.simulator.faults import Fault, FaultKind
from components.simulator.server import SimulatedExchange
from tests.clients.chromium import Chromium
from tests.harness.node import Node

NOTE_WHAT_IS_SAID = """
    window.said = [];
    const announcer = document.getElementById('announcer');
    new MutationObserver(() => window.said.push(announcer.textContent)).observe(announcer, { childList: true, subtree: true });
    null
"""


def text(element: str) -> str:
    return f"document.getElementById('{element}').textContent"


def figure(element: str) -> str:
    return f"Number({text(element)}.replace(/[,+]/g, ''))"


@pytest_twisted.ensureDeferred
async def test_the_header_tells_a_live_line_from_a_live_feed_and_what_no_feed_got_from_what_was_missed(
    make_node: Callable[..., Node],
    make_exchange: Callable[..., Awaitable[SimulatedExchange]],
    chromium: Chromium,
) -> None:
    exchange = await make_exchange(rate_per_s=500)
    node = make_node(CROSSTICK_EXCHANGE_URL=exchange.url)
    await deferToThread(node.start)
    page = await chromium.open_page(f"{node.url}/#token={node.token('alice')}")
    unheard = "document.querySelector('[data-figure=unheard]').textContent"
    bars = "document.querySelector('.bar-text').textContent"
    await page.wait_for(f"{text('connection')}.startsWith('Live') && /trade/.test({bars})")
    await page.evaluate(NOTE_WHAT_IS_SAID)

    async def lose(count: int) -> Any:
        await exchange.inject(Fault(FaultKind.GAP, symbol="BTCUSDT", count=count))
        return await page.wait_for(f"{unheard} !== '0' && {figure('feed-missed-total')}")

    assert await lose(3) == 3
    assert await page.evaluate(unheard) == "3"
    # The line holds all the while.
    await exchange.inject(Fault(FaultKind.DOWN, seconds=1.0))
    await page.wait_for(f"{text('connection')} === 'Not live: feed connecting'")
    assert await page.evaluate("document.querySelector('.ticker').classList.contains('frozen')")
    assert "The feed is connecting to the exchange since" in await page.text_of("#interruption-reason")
    assert "Prices below stand still." in await page.text_of("#interruption")
    await page.wait_for(f"{text('connection')}.startsWith('Live') && {figure('feed-missed-total')} > 3")
    assert await page.text_of("#missed-total") == "0"
    said = await page.evaluate("window.said")
    assert [line.partition(".")[0].partition(",")[0] for line in said if " late" not in line] == [
        "Not live: feed connecting",
        "Live",
    ]
    await page.wait_for(f"/^[^ ]+: \\d+ while this page looked, \\d+ since it began\\.$/.test({text('feed-misses')})")
    assert page.problems == []

    await deferToThread(node.stop)
    await page.wait_for(f"{text('connection')} === 'Disconnected'")
    assert await page.evaluate("document.querySelectorAll('.ticker tbody tr').length") == 121
