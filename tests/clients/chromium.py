"""Headless Chromium for tests, spoken to by the DevTools protocol in the suite's own reactor.

The protocol is JSON over one WebSocket, which Autobahn is here for already; a driver such as Playwright would bring a
browser-sized dependency and an event loop of its own.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    "--window-size=1280,800",
)

WAIT_TIMEOUT_S = 20.0

LISTENING = re.compile(rb"DevTools listening on (ws://127\.0\.0\.1:(\d+)/\S+)")


class DevToolsError(Exception):
    """The browser answered a command with an error, or a script threw."""


class _BrowserProcess(ProcessProtocol):
    """Reads where the browser listens from its standard error."""

    def __init__(self) -> None:
        self.listening: Deferred[tuple[str, int]] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self._printed = b""

    def errReceived(self, data: bytes) -> None:
        if self.listening.called:
            return
        self._printed += data
        found = LISTENING.search(self._printed)
        if found:
            self.listening.callback((found[1].decode(), int(found[2])))

    def processEnded(self, reason: Failure) -> None:
        if not self.listening.called:
            self.listening.errback(DevToolsError(f"Chromium ended: {self._printed.decode(errors='replace')}"))
        self.ended.callback(None)


class _DevTools(WebSocketClientProtocol):
    """Matches answers with commands, and hands events to the page they belong to."""

    def onConnect(self, response: object) -> None:
        self.answers: dict[int, Deferred[dict[str, Any]]] = {}
        self.pages: dict[str, Page] = {}
        self.closed: Deferred[None] = Deferred()

    def onOpen(self) -> None:
        self.factory.opened.callback(self)

    def command(self, method: str, params: dict[str, Any], session: str | None = None) -> Deferred[dict[str, Any]]:
        number = self.factory.last_command = self.factory.last_command + 1
        answer = self.answers[number] = Deferred()
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        self.sendMessage(json.dumps(message).encode())
        return answer

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = json.loads(payload)
        if "id" not in message:
            page = self.pages.get(message.get("sessionId", ""))
            if page is not None:
                page.take_event(message["method"], message["params"])
            return
        answer = self.answers.pop(message["id"])
        if "error" in message:
            answer.errback(DevToolsError(message["error"]["message"]))
        else:
            answer.callback(message["result"])

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        answers, self.answers = self.answers, {}
        for answer in answers.values():
            answer.errback(ConnectionDone("the browser has gone"))
        self.closed.callback(None)


class Page:
    """One tab."""

    def __init__(self, devtools: _DevTools, session: str) -> None:
        self._devtools = devtools
        self._session = session
        self._awaited: dict[str, Deferred[dict[str, Any]]] = {}
        self.problems: list[str] = []
        """Uncaught exceptions and what the browser itself complained of (among others: refusals by a content policy)."""

    def take_event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(f"{params['entry']['text']} ({params['entry'].get('url', '')})")

        if method in self._awaited:
            self._awaited.pop(method).callback(params)

    def next_event(self, method: str) -> Deferred[dict[str, Any]]:
        """Return what fires with the next event of this name."""
        return self._awaited.setdefault(method, Deferred())

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a DevTools command for this tab; return its result. Raises `DevToolsError`."""
        return await self._devtools.command(method, params, self._session)

    async def go_to(self, url: str) -> None:
        """Open another document and return when it is loaded."""
        loaded = self.next_event("Page.loadEventFired")
        await self.command("Page.navigate", url=url)
        await loaded

    async def reload(self) -> None:
        """Load the document afresh."""
        loaded = self.next_event("Page.loadEventFired")
        await self.command("Page.reload")
        await loaded

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; promises are awaited."""
        outcome = await self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in outcome:
            raise DevToolsError(outcome["exceptionDetails"].get("exception", {}).get("description", "exception"))
        return outcome["result"].get("value")

    async def wait_for(self, expression: str, timeout_s: float = WAIT_TIMEOUT_S) -> Any:
        """Return the value of an expression as soon as it is truthy; looked at after each animation frame.

        Raises:
            DevToolsError: it was not in time; shows the page's text.
        """
        return await self.evaluate(
            f"""new Promise((resolve, reject) => {{
                const deadline_ms = performance.now() + {timeout_s * 1000};
                const expression = {json.dumps(expression)};
                const look = () => {{
                    const value = ({expression});
                    if (value) resolve(value);
                    else if (performance.now() < deadline_ms) requestAnimationFrame(look);
                    else reject(new Error(`never came true: ${{expression}}\n${{document.body.innerText.slice(0, 500)}}`));
                }};
                look();
            }})"""
        )

    async def text_of(self, selector: str) -> str:
        return await self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent.trim()")


class Chromium:
    """A browser with a profile of its own."""

    def __init__(self, devtools: _DevTools, process: _BrowserProcess) -> None:
        self._devtools = devtools
        self._process = process

    @classmethod
    async def start(cls, profile: Path) -> Chromium:
        """Start the browser and connect to it."""
        assert EXECUTABLE is not None
        process = _BrowserProcess()
        arguments = [EXECUTABLE, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        reactor.spawnProcess(process, EXECUTABLE, arguments, env=None)
        url, port = await process.listening
        factory = WebSocketClientFactory(url)
        factory.protocol = _DevTools
        # Screenshots and page texts come in one message each.
        factory.setProtocolOptions(maxMessagePayloadSize=0, maxFramePayloadSize=0)
        factory.opened = Deferred()
        factory.last_command = 0
        await HostnameEndpoint(reactor, "127.0.0.1", port).connect(factory)
        return cls(await factory.opened, process)

    async def open_page(self, url: str = "about:blank", scheme: str = "light") -> Page:
        """Open a tab; ``scheme`` is the colour scheme that the user prefers."""
        target = await self._devtools.command("Target.createTarget", {"url": "about:blank"})
        attached = await self._devtools.command(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}
        )
        page = Page(self._devtools, attached["sessionId"])
        self._devtools.pages[attached["sessionId"]] = page
        for domain in ("Page", "Runtime", "Log"):
            await page.command(f"{domain}.enable")
        await page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await page.go_to(url)
        return page

    async def close(self) -> None:
        """End the browser and wait until it has gone."""
        closed = self._devtools.closed
        await self._devtools.command("Browser.close", {})
        await closed
        await self._process.ended
