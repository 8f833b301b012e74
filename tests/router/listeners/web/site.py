"""A hardened site of Crossbar's, spoken to in memory with a clock of the test's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossbar.common.twisted.web import Site
from crossbar.webservice.base import Resource404
from crossbar.webservice.static import StaticResourceNoListing
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from components.router.listeners.http_channel import HttpPolicy
from components.router.listeners.web import protect
from tests.router.listeners.wire import HERE, Transport

SECRET = "Crossbar/0.0.0 in /some/folder, worker 4711"


class Templates:
    """What Crossbar renders its pages with; here a page that says too much."""

    def get_template(self, _name: str) -> Any:
        return self

    def render(self, **_values: Any) -> str:
        return SECRET


class Echo(Resource):
    """Answers with the request's body."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return b"got"

    def render_POST(self, request: Any) -> bytes:
        return request.content.read()


class Slow(Resource):
    """Answers when it is told to."""

    isLeaf = True
    requests: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self.requests = []

    def render_GET(self, request: Any) -> int:
        self.requests.append(request)
        return NOT_DONE_YET


class Connection:
    """A client's connection to a site."""

    def __init__(self, site: Any, address: str = HERE.host) -> None:
        self.channel = site.buildProtocol(HERE)
        self.transport = Transport(site.reactor, address)
        self.transport.protocol = self.channel
        self.channel.makeConnection(self.transport)

    def send(self, data: bytes) -> bytes:
        """Send bytes and return what came of it."""
        if self.open:
            # Where a WebSocket has taken the connection over, that is its protocol.
            self.transport.protocol.dataReceived(data)
        return self.received()

    def get(self, path: str, *headers: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Send a request and return status, headers and body of the answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: node.example", *headers]
        return parse(self.send("\r\n".join(lines).encode() + b"\r\n\r\n"))

    def received(self) -> bytes:
        """Return what has been received and not returned yet."""
        data = self.transport.value()
        self.transport.clear()
        return data

    @property
    def open(self) -> bool:
        self.transport.clock.advance(0)
        return self.transport.connected


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers with names in lower case, and body of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers, f"{name} twice"
        headers[name.lower()] = value
    return int(status.split(" ")[1]), headers, body


class HardenedSite:
    """A site as Crossbar makes it of the node's configuration, with static files, after ``protect``."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.clock = Clock()
        (directory / "index.html").write_text("<!doctype html>the page")
        (directory / "vendor").mkdir()
        (directory / "vendor" / "autobahn.min.js").write_text("library()")
        (directory / "without-index").mkdir()
        (directory / "without-index" / "some.js").write_text("some()")
        (directory / ".secret").write_text("secret")
        (directory.parent / "outside.txt").write_text("outside")
        root = StaticResourceNoListing(str(directory).encode(), cache_timeout=60, allow_cross_origin=True)
        root.childNotFound = Resource404(Templates(), b"/some/folder")
        self.slow = Slow()
        root.putChild(b"echo", Echo())
        root.putChild(b"slow", self.slow)
        self.root = root
        self.site = Site(root, display_tracebacks=True)
        self.site.reactor = self.clock
        self.policy = HttpPolicy(**options)
        protect(self.site, self.policy)

    def connect(self, address: str = HERE.host) -> Connection:
        """Open a connection from an address."""
        return Connection(self.site, address)
