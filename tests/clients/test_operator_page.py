"""The page at `/operator.html` in a real browser, at a real node."""

from __future__ import annotations

import json

import pytest_twisted

from tests.clients.chromium import Chromium, Page
from tests.clients.line import Line
from tests.clients.test_page_security import WATCH_VIOLATIONS
from tests.harness.client import Clients
from tests.harness.node import Node

CONNECTION = "document.getElementById('connection').textContent"
ROWS = "[...document.querySelectorAll('#session-rows tr')]"
HOSTILE = "<img/src=x/onerror=alert(1)>"


def row_of(authid: str) -> str:
    """Return an expression for the row of a session by whose it is."""
    return f"{ROWS}.find(row => row.cells[1].textContent.startsWith({json.dumps(authid + ' ')}))"


def click(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)}).click()"


async def opened(node: Node, chromium: Chromium) -> Page:
    page = await chromium.open_page()
    await page.command("Page.addScriptToEvaluateOnNewDocument", source=WATCH_VIOLATIONS)
    await page.go_to(f"{node.url}/operator.html#token={node.token('olga', role='operator', realm='ops')}")
    await page.wait_for(f"{CONNECTION} === 'Live' && {ROWS}.length > 0")
    return page


async def insert(page: Page, element: str, text: str) -> None:
    await page.evaluate(f"document.getElementById('{element}').focus()")
    await page.command("Input.insertText", text=text)


@pytest_twisted.ensureDeferred
async def test_an_operator_sees_how_the_node_stands_and_closes_a_session(
    node: Node, chromium: Chromium, clients: Clients
) -> None:
    victim = await clients.join(node.ws_url, authid=HOSTILE, ticket=node.token(HOSTILE))
    await victim.subscribe(lambda *_: None, "market.BTCUSDT")
    page = await opened(node, chromium)
    assert await page.evaluate("location.hash") == ""
    await page.wait_for("document.getElementById('feed-state').textContent === 'Live'")
    await page.wait_for("/^(Ready|Degraded)$/.test(document.getElementById('health-state').textContent)")
    assert (await page.text_of("#node-name")).endswith(f"-{node.process.pid}")
    assert (await page.text_of("#memory")).endswith("MB")

    await insert(page, "search", "onerror")
    await page.wait_for(f"{ROWS}.length === 1 && {row_of(HOSTILE)}")
    assert "1 of " in await page.text_of("#sessions-count")
    await page.evaluate(f"{row_of(HOSTILE)}.querySelector('.link').click()")
    await page.wait_for("document.getElementById('session-detail').innerText.includes('market.BTCUSDT')")
    details = await page.evaluate("document.getElementById('session-detail').innerText")
    assert HOSTILE in details
    assert "Max concurrent calls" in details

    await page.evaluate(click("#session-close"))
    await insert(page, "close-reason", "a test")
    await page.evaluate(click("#close-form button.danger"))
    assert (await victim.left).reason == "crosstick.close.by_operator"
    await page.wait_for("document.getElementById('outcome').textContent.includes('is being closed')")
    await page.wait_for(f"{ROWS}.length === 0 && !document.getElementById('no-sessions').hidden")
    assert "a test" in node.log

    # What is next is kept out.
    victim = await clients.join(node.ws_url, authid=HOSTILE, ticket=node.token(HOSTILE))
    await page.wait_for(f"{row_of(HOSTILE)}")
    await page.evaluate(f"{row_of(HOSTILE)}.querySelector('.link').click()")
    await page.wait_for("!document.getElementById('session-revoke').disabled")
    await page.evaluate(click("#session-revoke"))
    await page.evaluate(click("#revoke-form [value=jti]"))
    await page.evaluate(click("#revoke-form button.danger"))
    assert (await victim.left).reason == "crosstick.close.token_revoked"
    await page.wait_for("document.getElementById('outcome').textContent.endsWith('sessions closed on this worker: 1.')")
    await page.evaluate(f"{ROWS}[0] || document.getElementById('session-dialog').showModal()")
    await page.evaluate(click("#session-dialog form button"))
    await page.wait_for("!document.getElementById('session-dialog').open")
    assert await page.evaluate("window.violations") == []
    assert await page.evaluate("document.images.length") == 1
    assert page.problems == []


@pytest_twisted.ensureDeferred
async def test_rows_keep_their_places_under_the_pointer_and_errors_have_their_codes(
    node: Node, chromium: Chromium, clients: Clients
) -> None:
    first = await clients.join(node.ws_url, authid="place-1", ticket=node.token("place-1"))
    page = await opened(node, chromium)
    await insert(page, "search", "place-")
    await page.wait_for(f"{ROWS}.length === 1 && {row_of('place-1')}")
    await page.evaluate("document.getElementById('session-rows').dispatchEvent(new PointerEvent('pointerenter'))")
    await clients.join(node.ws_url, authid="place-2", ticket=node.token("place-2"))
    first.leave()
    await first.left
    await page.wait_for(f"{row_of('place-1')}.classList.contains('gone') && {ROWS}.length === 1")
    assert not await page.evaluate("document.getElementById('held').hidden")

    await page.evaluate(f"{row_of('place-1')}.querySelector('.act button').click()")
    await page.evaluate(click("#close-form button.danger"))
    await page.wait_for(
        "document.getElementById('close-problem').textContent.includes('crosstick.error.no_such_session')"
    )
    assert await page.evaluate("document.getElementById('close-dialog').open")
    await page.evaluate(click("#close-form [data-cancel]"))
    await page.evaluate("document.getElementById('session-rows').dispatchEvent(new PointerEvent('pointerleave'))")
    await page.wait_for(f"{ROWS}.length === 1 && {row_of('place-2')}")
    await page.evaluate(click("[data-order=exp] button"))
    assert await page.evaluate("document.querySelector('[data-order=exp]').ariaSort") == "ascending"

    # The node's name stands before a drain.
    await page.evaluate(click("#drain"))
    assert await page.evaluate("document.getElementById('drain-go').disabled")
    await insert(page, "drain-confirmation", await page.text_of("#drain-name"))
    assert not await page.evaluate("document.getElementById('drain-go').disabled")
    await page.evaluate(click("#drain-form [data-cancel]"))

    await page.evaluate(click("#edit-symbols"))
    chip = "document.querySelector('#symbols-list [data-symbol=BTCUSDT] button')"
    await page.wait_for(chip)
    assert "as the feed's environment has them" in await page.text_of("#symbols-source")
    follower = await clients.join(node.ws_url, authid="place-3", ticket=node.token("place-3"))
    await follower.subscribe(lambda *_: None, "market.BTCUSDT")
    await page.evaluate(f"{chip}.click()")
    await page.wait_for("document.getElementById('symbols-change').textContent.includes('followers each')")
    await insert(page, "symbols-add", "no-symbol")
    await page.wait_for("document.getElementById('symbols-apply').disabled")
    assert "NO-SYMBOL is no symbol" in await page.text_of("#symbols-problem")
    assert await page.text_of("#symbols-change") == ""
    assert page.problems == []


@pytest_twisted.ensureDeferred
async def test_until_the_feeds_symbols_are_known_nothing_can_take_their_place(node: Node, chromium: Chromium) -> None:
    page = await opened(node, chromium)
    typed = "document.getElementById('symbols-add').dispatchEvent(new Event('input'))"
    can_apply = "!document.getElementById('symbols-apply').disabled"
    # All in one turn of the page: no answer can have come.
    before = f"{click('#edit-symbols')}, document.getElementById('symbols-add').value = 'NEWUSDT', {typed}, {can_apply}"
    assert await page.evaluate(before) is False
    await page.wait_for("document.querySelector('#symbols-list [data-symbol=BTCUSDT]')")
    await page.wait_for(
        f"document.getElementById('symbols-change').textContent === 'NEWUSDT will be added.' && {can_apply}"
    )
    await page.evaluate(click("#symbols-form [data-cancel]"))
    assert page.problems == []


@pytest_twisted.ensureDeferred
async def test_a_link_within_the_page_leaves_the_connection_alone(node: Node, chromium: Chromium) -> None:
    page = await opened(node, chromium)
    await page.evaluate(
        "window.said = [], new MutationObserver(() => window.said.push(document.getElementById('connection').textContent))"
        ".observe(document.getElementById('connection'), { childList: true, characterData: true, subtree: true })"
    )
    await page.evaluate(click("a.skip"))
    await page.wait_for("location.hash === '#sessions-heading'")
    await page.evaluate("document.getElementById('refreshed').textContent = ''")
    await page.wait_for("document.getElementById('refreshed').textContent !== ''")
    assert await page.evaluate("window.said") == []


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_shown_keeps_nothing_else_from_being_asked(
    node: Node, chromium: Chromium, clients: Clients
) -> None:
    page = await opened(node, chromium)
    await page.evaluate("document.getElementById('loop-lag').remove()")
    # The second one's session begins when the page has failed to show how the node stands.
    for name in ("later-1", "later-2"):
        await clients.join(node.ws_url, authid=name, ticket=node.token(name))
        await page.wait_for(f"{row_of(name)}")


@pytest_twisted.ensureDeferred
async def test_after_a_cut_the_page_says_so_and_goes_on_by_itself(node: Node, line: Line, chromium: Chromium) -> None:
    token = node.token("olga", role="operator", realm="ops")
    page = await chromium.open_page(f"{line.url}/operator.html#token={token}")
    await page.wait_for(f"{CONNECTION} === 'Live' && {ROWS}.length > 0")
    await page.evaluate(click("#follow"))
    await page.wait_for(f"{CONNECTION} === 'Connected, not refreshed'")
    await page.evaluate(click("#follow"))
    await page.wait_for(f"{CONNECTION} === 'Live'")
    await page.evaluate("document.getElementById('outcome').textContent = 'Draining: listening ends in 2 s', null")
    await line.cut()
    await page.wait_for(f"{CONNECTION} === 'Disconnected' && document.body.classList.contains('old')")
    assert await page.text_of("#outcome") == ""
    line.mend()
    await page.wait_for(f"{CONNECTION} === 'Live' && !document.body.classList.contains('old')")
    await page.evaluate("document.getElementById('refreshed').textContent = ''")
    await page.wait_for("document.getElementById('refreshed').textContent !== ''")


@pytest_twisted.ensureDeferred
async def test_a_fault_that_is_stands_once_with_its_meaning_and_what_to_do(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page(f"{node.url}/operator.html")
    fault = {
        "worker": "router",
        "fault": "bus_away",
        "since_ms": 1,
        "until_ms": None,
        "count": 1,
        "detail": "<b>no</b>",
    }
    fault |= {"help": "The bus is away.", "remedy": "See `because` of `/readyz`."}
    past = fault | {"fault": "feed_lost", "until_ms": 2}
    answer = json.dumps({"active": [fault], "recent": [fault, past], "unanswered": []})
    await page.evaluate(f"import('/operator/faults.js').then(({{ showFaults }}) => showFaults({answer}, false))")
    shown = "[...document.querySelectorAll('#active-faults li p')].slice(1).map(part => part.textContent)"
    assert await page.evaluate(shown) == ["The bus is away.", "<b>no</b>", "See because of /readyz."]
    assert await page.evaluate("document.querySelector('#active-faults code').textContent") == "because"
    lately = "[...document.querySelectorAll('#recent-faults th')].map(name => name.textContent)"
    assert await page.evaluate(lately) == ["Feed lost"]
    assert page.problems == []


@pytest_twisted.ensureDeferred
async def test_a_token_that_is_none_of_an_operator_is_explained(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page(f"{node.url}/operator.html#token={node.token('alice')}")
    await page.wait_for(f"{CONNECTION} === 'Token refused'")
    problem = await page.text_of("#token-problem")
    assert "role viewer for realm market; this page needs role operator and realm ops" in problem
    assert await page.evaluate("sessionStorage.length") == 0
