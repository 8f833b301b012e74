"""The page under its own security headers in a real browser: it works, and what is not the node's does not."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest
import pytest_twisted

from tests.clients.chromium import Chromium
from tests.harness.node import Node

CONNECTION = "document.getElementById('connection').textContent"

WATCH_VIOLATIONS = """
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => {
        window.violations.push(event.effectiveDirective + ' ' + event.blockedURI);
    });
"""

OPEN_WEBSOCKET = """
    new Promise((resolve) => {{
        const socket = new WebSocket('{url}', 'wamp.2.json');
        socket.onopen = () => {{ socket.close(); resolve('open'); }};
        socket.onerror = () => resolve('refused');
    }})
"""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Return the address of another origin, whose pages are empty."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """The test's output is for its own words."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest_twisted.ensureDeferred
async def test_the_page_works_without_a_violation_of_its_policy(node: Node, chromium: Chromium) -> None:
    page = await chromium.open_page()
    await page.command("Page.addScriptToEvaluateOnNewDocument", source=WATCH_VIOLATIONS)
    await page.go_to(f"{node.url}/")
    await page.wait_for(f"{CONNECTION} === 'No token'")
    await page.command("Input.insertText", text=node.token("alice"))
    await page.evaluate("document.querySelector('.token-panel button').click()")
    await page.wait_for(f"{CONNECTION}.startsWith('Live')")
    await page.wait_for("document.querySelector('.price[data-direction=up] .arrow')?.textContent === '▲'")
    await page.wait_for("document.querySelector('.price[data-direction=down] .arrow')?.textContent === '▼'")
    assert await page.evaluate("document.styleSheets[0].cssRules.length") > 0
    assert await page.evaluate("document.querySelector('.brand img').naturalWidth") > 0
    assert await page.evaluate("window.violations") == []
    assert page.problems == []


@pytest_twisted.ensureDeferred
async def test_what_is_injected_into_the_page_is_stopped(node: Node, elsewhere: str, chromium: Chromium) -> None:
    page = await chromium.open_page()
    await page.command("Page.addScriptToEvaluateOnNewDocument", source=WATCH_VIOLATIONS)
    await page.go_to(f"{node.url}/")
    await page.evaluate(
        f"""
        const add = (name, attributes, text) => {{
            const element = Object.assign(document.createElement(name), attributes);
            element.textContent = text || '';
            document.body.append(element);
        }};
        add('script', {{}}, 'window.injected = true');
        add('style', {{}}, 'body {{ display: none }}');
        add('script', {{ src: '{elsewhere}/x.js' }});
        add('img', {{ src: '{elsewhere}/x.png' }});
        add('iframe', {{ src: '{elsewhere}/' }});
        fetch('{elsewhere}/').catch(() => null);
        try {{ new WebSocket('{elsewhere.replace("http", "ws")}/') }} catch {{}}
        null
        """
    )
    expected = ["connect-src", "frame-src", "img-src", "script-src-elem", "style-src-elem"]
    await page.wait_for("new Set(window.violations.map((each) => each.split(' ')[0])).size >= 5")
    assert sorted({each.split(" ")[0] for each in await page.evaluate("window.violations")}) == expected
    await page.wait_for("window.violations.length >= 7")
    assert await page.evaluate("window.injected") is None


@pytest_twisted.ensureDeferred
async def test_pages_of_another_origin_get_neither_a_websocket_nor_the_page(
    node: Node, elsewhere: str, chromium: Chromium
) -> None:
    page = await chromium.open_page(f"{elsewhere}/")
    assert await page.evaluate(OPEN_WEBSOCKET.format(url=node.ws_url)) == "refused"
    assert await page.evaluate(f"fetch('{node.url}/healthz').then(() => 'read', () => 'refused')") == "refused"
    # The library alone may be embedded elsewhere.
    library = f"Object.assign(document.createElement('script'), {{ src: '{node.url}/vendor/autobahn.min.js' }})"
    await page.evaluate(f"document.head.append({library})")
    await page.wait_for("typeof autobahn === 'object'")
    frame = f"Object.assign(document.createElement('iframe'), {{ src: '{node.url}/', id: 'frame' }})"
    page.problems.clear()
    refused = page.next_event("Log.entryAdded")
    await page.evaluate(f"document.body.append({frame})")
    await refused
    assert "frame-ancestors" in page.problems[0] or "X-Frame-Options" in page.problems[0]
    await page.go_to(f"{node.url}/")
    assert await page.evaluate(OPEN_WEBSOCKET.format(url=node.ws_url)) == "open"
