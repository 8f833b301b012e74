"""What somebody who watches a market does with the page at `/`: sorts, filters, looks at a chart, chooses rate and theme."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest_twisted

from tests.clients.chromium import Chromium, Page
from tests.harness.node import Node

# On a busy machine trades may be late, and silent symbols too are said behind it.
LIVE = "document.getElementById('connection').textContent.startsWith('Live')"
SYMBOLS = "[...document.querySelectorAll('.ticker tbody tr:not([hidden])')].map(row => row.dataset.symbol)"
BARS = "document.querySelector('.bar-text').textContent"

WATCH_FRAMES = """
    window.rounds = {};       // frames, frames that the page asked for, most asked for at once, changes outside of them
    Object.assign(window.rounds, { frames: 0, asked: 0, most: 0, outside: 0 });
    const request = window.requestAnimationFrame.bind(window);
    let waiting = 0, painting = false;
    window.requestAnimationFrame = (callback) => {
        window.rounds.most = Math.max(window.rounds.most, waiting += 1);
        window.rounds.asked += 1;
        return request((now) => {
            waiting -= 1;
            painting = true;
            callback(now);
            window.rounds.changes.takeRecords().length && (window.rounds.painted += 1);
            painting = false;
        });
    };
    window.rounds.painted = 0;
    window.rounds.changes = new MutationObserver((records) => { window.rounds.outside += records.length; });
    const countFrame = () => { window.rounds.frames += 1; request(countFrame); };
    request(countFrame);
"""


async def press(page: Page, key: str, **more: Any) -> None:
    """Press a key as a keyboard would."""
    text = {"text": key} if len(key) == 1 else {}
    if key == "Enter":
        text = {"text": "\r"}
    await page.command("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **text, **more)
    await page.command("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, **more)


async def open_market(node: Node, chromium: Chromium, **claims: Any) -> Page:
    page = await chromium.open_page(f"{node.url}/#token={node.token('alice', **claims)}")
    await page.wait_for(LIVE)
    return page


@pytest_twisted.ensureDeferred
async def test_prices_are_painted_within_animation_frames_and_once_in_each(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page()
    await page.command("Page.addScriptToEvaluateOnNewDocument", source=WATCH_FRAMES)
    await page.go_to(f"{node.url}/#token={node.token('alice')}")
    await page.wait_for(
        f"{LIVE} && {SYMBOLS}.length >= 100 && document.querySelector('.price .value').textContent !== ''"
    )
    await page.evaluate(
        "rounds.changes.observe(document.querySelector('.ticker tbody'), { subtree: true, characterData: true });"
        "Object.assign(rounds, { frames: 0, painted: 0, outside: 0 }); null"
    )
    await page.wait_for("rounds.painted >= 20")
    rounds = await page.evaluate("({ ...rounds, changes: undefined })")
    assert rounds["outside"] == 0
    # One more may have begun than has been counted.
    assert rounds["painted"] <= rounds["frames"] + 1
    # The page's one, the chart's one, and the test's that waits.
    assert rounds["most"] <= 3


@pytest_twisted.ensureDeferred
async def test_the_chart_begins_with_what_the_gateway_keeps_and_goes_on(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page(f"{node.url}/")
    await page.evaluate(f"location.hash = 'token={node.token('alice')}'")
    await page.wait_for("document.querySelectorAll('.chart canvas').length > 2")
    await page.wait_for(f"/ O\\s[\\d.,]+ .* V\\s[\\d.,]+ +\\d+\\strades?$/.test({BARS})")
    await page.evaluate(f"window.before = {BARS}, null")
    await page.wait_for(f"{BARS} !== window.before")
    # Another symbol has a chart of its own.
    await page.evaluate("document.querySelector('[data-symbol=ETHUSDT] button').click()")
    assert await page.text_of("#detail h2") == "ETHUSDT"
    await page.wait_for(f"document.querySelector('.history-text').textContent === '' && {BARS} !== 'No trade yet'")
    for choice in ("#interval [value='60']", "#shape [value=line]", "#newest"):
        await page.evaluate(f'document.querySelector("{choice}").click()')
    await page.wait_for(f"{BARS}.includes(':00 ')")
    assert page.problems == []


@pytest_twisted.ensureDeferred
async def test_a_rate_merges_trades_and_loses_none_and_is_kept(node: Node, chromium: Chromium) -> None:
    page = await open_market(node, chromium)
    figure = "Number(document.getElementById('{}').textContent.replace(',', ''))"
    merged, missed = figure.format("merged-total"), figure.format("missed-total")
    await page.wait_for(f"{figure.format('tick-rate')} > 0")
    assert await page.evaluate(merged) == 0
    for value in ("every_100ms", "", "every_1s"):
        await page.evaluate(f"""document.querySelector('#rate [value="{value}"]').click()""")
        await page.evaluate(f"window.before = {merged}, null")
        await page.wait_for(f"{merged} > window.before" if value else f"{figure.format('tick-rate')} > 0")
    assert await page.evaluate(missed) == 0
    await page.reload()
    await page.wait_for(f"{LIVE} && {merged} > 0")
    assert await page.evaluate("document.querySelector('#rate :checked').value") == "every_1s"


@pytest_twisted.ensureDeferred
async def test_columns_sort_and_hold_their_order_while_the_focus_is_in_the_table(
    node: Node, chromium: Chromium
) -> None:
    page = await open_market(node, chromium)
    await page.wait_for("document.querySelector('[data-symbol=BTCUSDT] .day-volume').textContent.length > 1")
    listed = await page.evaluate(SYMBOLS)
    head = "document.querySelector('th[data-column={}]')"
    sort = "document.querySelector('th[data-column={}] button').click()"
    await page.evaluate(sort.format("symbol"))
    assert await page.evaluate(SYMBOLS) == sorted(listed)
    await page.evaluate(sort.format("symbol"))
    assert await page.evaluate(SYMBOLS) == sorted(listed, reverse=True)
    assert await page.evaluate(f"{head.format('symbol')}.ariaSort") == "descending"
    await page.evaluate(sort.format("symbol"))
    assert await page.evaluate(SYMBOLS) == listed
    # By the keyboard: into the table, and sorted by what moves all the time. The focus stays where it is.
    await press(page, "j")
    await press(page, "j")
    focused = await page.evaluate("document.activeElement.textContent")
    assert focused == listed[1]
    await page.evaluate(sort.format("age"))
    assert await page.evaluate(f"{head.format('age')}.ariaSort") == "ascending"
    assert await page.evaluate("document.activeElement.textContent") == focused
    held = await page.evaluate(SYMBOLS)
    assert held != listed
    assert not await page.evaluate("document.getElementById('order-held').hidden")
    # Two rounds of the figures, which like the order are looked at once a second.
    for _ in range(2):
        await page.evaluate("document.getElementById('tick-rate').textContent = ''")
        await page.wait_for("document.getElementById('tick-rate').textContent !== ''")
    assert await page.evaluate(SYMBOLS) == held
    await press(page, "Enter")
    assert await page.text_of("#detail h2") == focused
    await press(page, "Escape")
    await page.wait_for(f"JSON.stringify({SYMBOLS}) !== {json.dumps(json.dumps(held, separators=(',', ':')))}")
    assert await page.evaluate("document.getElementById('order-held').hidden")


@pytest_twisted.ensureDeferred
async def test_keys_reach_filter_help_and_theme_and_the_theme_is_kept(node: Node, chromium: Chromium) -> None:
    page = await open_market(node, chromium, symbols=["BTC*", "ETHUSDT"])
    await page.wait_for(f"{SYMBOLS}.length > 1")
    await press(page, "/")
    await page.command("Input.insertText", text="eth")
    await press(page, "t")  # is typed
    assert await page.evaluate("document.getElementById('filter').value") == "etht"
    await press(page, "Escape")
    assert len(await page.evaluate(SYMBOLS)) > 1
    await press(page, "?")
    assert await page.evaluate("document.querySelector('dialog').open")
    explained = "[...document.querySelectorAll('[data-help]')]"
    described = "document.getElementById(each.getAttribute('aria-describedby')).textContent.trim()"
    assert await page.evaluate(f"{explained}.length > 15 && {explained}.every((each) => {described} === each.title)")
    await press(page, "Escape", windowsVirtualKeyCode=27)
    await page.wait_for("!document.querySelector('dialog').open")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(colour)
    await press(page, "t")
    assert await page.evaluate(colour) == light
    await press(page, "t")
    dark = await page.evaluate(colour)
    assert dark != light
    await page.reload()
    await page.wait_for(LIVE)
    assert await page.evaluate(colour) == dark


@pytest_twisted.ensureDeferred
async def test_latency_is_shown_by_the_gateways_clock_and_a_wrong_clock_here_is_said(
    node: Node, chromium: Chromium
) -> None:
    page = await chromium.open_page()
    wrong = "const now = Date.now; Date.now = () => now() + 3_600_000;"
    await page.command("Page.addScriptToEvaluateOnNewDocument", source=wrong)
    await page.go_to(f"{node.url}/#token={node.token('alice', symbols=['BTCUSDT'])}")
    shown = "document.getElementById('{}').textContent"
    await page.wait_for(f"/ m?s$/.test({shown.format('round-trip')}) && / m?s$/.test({shown.format('tick-age')})")
    await page.wait_for(f"/^differs by (59|60) min$/.test({shown.format('clock-differs')})")


@pytest_twisted.ensureDeferred
async def test_a_feed_that_is_not_heard_is_said_until_it_is(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page(f"{node.url}/")
    since_ms = int(time.time() * 1000)
    told = await page.evaluate(
        f"""import('/connection-view.js').then(({{ ConnectionView }}) => {{
            const frozen = [];
            let now_ms = 0;
            const view = new ConnectionView((now) => frozen.push(now), () => (now_ms += 20_000));
            const [line, banner, announcer] =
                ['connection', 'interruption', 'announcer'].map((id) => document.getElementById(id));
            const said = () => [line.textContent, line.dataset.tone, banner.hidden, announcer.textContent, banner.innerText];
            const outcome = [];
            view.takeFeed({{ state: 'live', since: {since_ms}, stale: 0 }});
            view.take({{ state: 'live', reason: null, uri: null, retryAt_ms: null }});
            const exchange = {{ last_error: 'connection refused' }};
            for (const state of ['live', 'feed_lost', 'connecting', 'live']) {{
                view.tick(outcome.length === 0 ? 0 : 60_000);
                view.takeFeed({{ state, since: {since_ms}, stale: 0, exchange }});
                outcome.push(said());
            }}
            view.tick(60_000);
            outcome.push(said());
            view.take({{ state: 'waiting', reason: 'x', uri: 'crosstick.close.stalled', retryAt_ms: null }});
            outcome.push(said());
            announcer.textContent = 'nothing since';
            for (const state of ['connecting', 'waiting', 'connecting']) {{
                view.take({{ state, reason: 'x', uri: null, retryAt_ms: null }});
                view.tick(0);
            }}
            outcome.push(said());
            return [outcome, frozen];
        }})"""
    )
    [live, lost, connecting, again, quiet, closed, attempts], frozen = told
    assert live[:4] == again[:4] == ["Live", "good", True, "Live"]
    assert lost[:3] == ["Not live: feed lost", "bad", False]
    assert "The gateway hears no feed since" in lost[3]
    assert "Prices stand still" in lost[3]
    assert connecting[0] == "Not live: feed connecting"
    assert "It says: connection refused." in connecting[4]
    assert "refused" not in connecting[3]
    assert quiet[:3] == ["Live, but nothing comes", "waiting", True]
    assert closed[0] == "Disconnected"
    assert "this page did not read for too long" in closed[3]
    # A screen reader is told of the fault, not of each attempt.
    assert attempts[:4] == ["Reconnecting…", "waiting", False, "nothing since"]
    assert frozen == [False, True, False, True]


@pytest_twisted.ensureDeferred
async def test_a_thousand_symbols_are_painted_where_they_are_seen_and_hostile_ones_as_text(
    node: Node, chromium: Chromium
) -> None:
    page = await chromium.open_page(f"{node.url}/")
    hostile = "<img src=x onerror=window.injected=true>"
    await page.evaluate(
        f"""(async () => {{
            const [{{ MarketTable }}, {{ MarketState }}, {{ Painter }}] =
                await Promise.all(['market-table', 'symbol-state', 'painter'].map((name) => import(`/${{name}}.js`)));
            document.body.classList.remove('tokenless');
            window.market = new MarketState();
            window.table = new MarketTable({{ table: document.getElementById('ticker'), painter: new Painter(),
                exchangeTime_ms: Date.now, onSelect() {{}}, onOrder() {{}}, onVisible() {{}} }});
            market.list([{json.dumps(hostile)}, ...Array.from({{ length: 999 }}, (_, number) => `SYMBOL${{number}}`)]);
            table.setSymbols(market.listed);
        }})()"""
    )
    painted = "[...document.querySelectorAll('.ticker .price .value')].filter((cell) => cell.textContent !== '').length"
    await page.wait_for(f"{painted} > 10")
    assert await page.evaluate(painted) < 500
    first = "document.querySelector('.ticker tbody tr')"
    assert await page.evaluate(f"{first}.querySelector('th').textContent") == hostile
    await page.evaluate(
        f"market.takeTick({{ symbol: {json.dumps(hostile)}, price: 1.5, volume: 1, ts: 1, seq: 1 }}, 1);"
        f"table.changed({json.dumps(hostile)})"
    )
    await page.wait_for(f"{first}.querySelector('.value').textContent === '1.5'")
    assert await page.evaluate(f"{first}.querySelector('img') === null && window.injected === undefined")
    assert await page.evaluate(f"{first}.querySelector('.age').textContent") != "–"
    # Of a trade that is dated ahead of now nobody can say how old it is.
    await page.evaluate(
        f"market.takeTick({{ symbol: {json.dumps(hostile)}, price: 2.5, volume: 1, ts: Date.now() + 60000, seq: 2 }}, 2);"
        f"table.changed({json.dumps(hostile)})"
    )
    await page.wait_for(f"{first}.querySelector('.value').textContent === '2.5'")
    assert await page.evaluate(f"{first}.querySelector('.age').textContent") == "–"
    assert page.problems == []


@pytest_twisted.ensureDeferred
async def test_without_any_symbol_the_page_says_so(node: Node, chromium: Chromium) -> None:
    page = await open_market(node, chromium, symbols=["NOTHERE*"])
    await page.wait_for("!document.getElementById('no-symbols').hidden")
    assert await page.evaluate("document.getElementById('detail').hidden")
    assert page.problems == []


CUT = """
    (() => {
        const width = document.documentElement.clientWidth;
        const texts = '.bar *, .facts *, .quote *, .ticker :is(th, td, button), .chart-bar *, .health *, .pairs *, .log *';
        return [...document.querySelectorAll(texts)].filter((each) => {
            const box = each.getBoundingClientRect();
            const hidden = each.closest('.visually-hidden, dialog, .scroll') ?? each.querySelector('.visually-hidden');
            if (box.width === 0 || hidden !== null) return false;
            const range = document.createRange();
            range.selectNodeContents(each);
            const { left, right } = range.getBoundingClientRect();
            return box.right > width + 1 || right > box.right + 1.5 || (right > left && left < box.left - 1.5);
        }).map((each) => `${each.tagName} ${each.className} ${each.textContent.slice(0, 40)}`);
    })()
"""


@pytest_twisted.ensureDeferred
async def test_on_a_phone_nothing_is_cut_and_nothing_scrolls_sideways(node: Node, chromium: Chromium) -> None:
    operator = node.token("olga", role="operator", realm="ops")
    for address, shown in (
        (
            f"/#token={node.token('alice')}",
            "document.querySelector('[data-symbol=BTCUSDT] .change.number')?.textContent",
        ),
        (f"/operator.html#token={operator}", "document.querySelector('#session-rows tr')"),
    ):
        page = await chromium.open_page(f"{node.url}{address}")
        await page.wait_for(f"{LIVE} && {shown}")
        for width in (320, 390, 768):
            await page.command(
                "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
            )
            await page.wait_for(f"innerWidth === {width}")
            assert await page.evaluate(CUT) == [], width
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


@pytest_twisted.ensureDeferred
async def test_long_names_and_prices_have_room(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page(f"{node.url}/")
    await page.evaluate(
        """(async () => {
            const [{ MarketTable }, { MarketState }, { Painter }] =
                await Promise.all(['market-table', 'symbol-state', 'painter'].map((name) => import(`/${name}.js`)));
            document.body.classList.remove('tokenless');
            const market = new MarketState();
            const table = new MarketTable({ table: document.getElementById('ticker'), painter: new Painter(),
                exchangeTime_ms: Date.now, onSelect() {}, onOrder() {}, onVisible() {} });
            market.list(['1000SATSUSDT', '1000000MOGUSDT', 'BTCARS']);
            table.setSymbols(market.listed);
            const prices = [0.00000123, 0.00012345, 123456789.12];
            market.listed.forEach(({ symbol }, at) => {
                market.takeTick({ symbol, price: prices[at], volume: 1, ts: Date.now(), id: 1, seq: 1 }, 0);
                market.takeBook({ symbol, bid: prices[at], bid_volume: 1, ask: prices[at], ask_volume: 123456789.12 });
                market.takeDay({ symbol, last: 12, open: 1, high: 12, low: 1, volume: 1, quote_volume: 1e15 });
                table.changed(symbol);
            });
        })()"""
    )
    await page.wait_for("document.querySelector('.ticker').className === 'ticker long-symbols long-prices'")
    assert await page.evaluate("document.querySelector('[data-symbol=BTCARS] .value').textContent") == "123,456,789.12"
    for width in (320, 390, 768, 1024, 1280, 1920):
        await page.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False
        )
        await page.wait_for(f"innerWidth === {width}")
        assert await page.evaluate(CUT) == [], width
