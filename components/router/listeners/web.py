"""The web site of a listener: what Crossbar's answers, made safe to show to strangers.

``protect`` changes one ``Site`` of Crossbar's before it takes connections. Its resources stay as they are configured;
what differs is who gets to them and what is said about them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory
from crossbar.webservice.base import Resource404
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import File

from components.core.client_address import LOCAL
from components.router.http_api.problems import PROBLEM_TYPE, problem_of_status
from components.router.listeners.headers import SERVER
from components.router.listeners.http_channel import BoundedHttpChannel, HttpPolicy

_NOT_FOUND = 404


class PlainAnswer(Resource):
    """One status and its name, as text unless the headers say otherwise: nothing of the request, nothing of the node."""

    isLeaf = True

    def __init__(self, code: int, text: str, headers: dict[bytes, bytes] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted has no types here
        self.code = code
        self._text = text.encode() + b"\n"
        self._headers = headers or {}

    def render(self, request: Any) -> bytes:
        """Answer."""
        # Twisted does not know the names of all.
        request.setResponseCode(self.code, HTTPStatus(self.code).phrase.encode())
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        request.setHeader(b"Cache-Control", b"no-store")
        for name, value in self._headers.items():
            request.setHeader(name, value)
        # Twisted leaves the body of an answer to HEAD out itself.
        request.setHeader(b"Content-Length", b"%d" % len(self._text))
        return self._text


NOT_FOUND = PlainAnswer(404, "Not found")
NOT_ALLOWED = PlainAnswer(405, "Method not allowed", {b"Allow": b"GET, HEAD"})
TOO_MANY = PlainAnswer(429, "Too many requests", {b"Retry-After": b"1"})
UPGRADE_REQUIRED = PlainAnswer(
    426,
    problem_of_status(HTTPStatus.UPGRADE_REQUIRED, "WebSocket connections only").decode().rstrip(),
    {b"Upgrade": b"websocket", b"Connection": b"Upgrade, close", b"Content-Type": PROBLEM_TYPE},
)

_REFUSALS: Mapping[int, Resource] = {404: NOT_FOUND, 429: TOO_MANY}


def protect(factory: Any, policy: HttpPolicy) -> None:
    """Give a transport's factory, before it listens, what ``policy`` says: a web site, or WebSocket without one.

    Other factories, such as RawSocket's, know neither HTTP nor origins, and stay as they are.
    """
    if isinstance(factory, Site):
        harden_site(factory, policy)
    elif isinstance(factory, WebSocketServerFactory):
        _protect_websocket(factory, policy)


def harden_site(site: Any, policy: HttpPolicy) -> None:
    """Make a ``Site`` of Crossbar's bound its connections, mark its answers and tell strangers little.

    The policy's origins hold for all WebSocket resources of the site, also those that are added later.
    """
    site.protocol = partial(BoundedHttpChannel, policy)
    site.timeOut = policy.limits.request_timeout_s
    site.displayTracebacks = False
    # HTTP/2, for which Twisted's channel is another one, is not offered under TLS.
    site.acceptableProtocols = lambda: [b"http/1.1"]
    site.getResourceFor = partial(_resource_for, site, policy)


def _resource_for(site: Any, policy: HttpPolicy, request: Any) -> Any:
    # Many ranges of one file would be many times the file.
    request.requestHeaders.removeHeader(b"range")
    # As Twisted's Site does it.
    request.site = site
    request.sitepath = list(request.prepath)
    refusals = _refusals(site, request)
    if not all(map(_is_plain_segment, request.postpath)):
        return refusals[404]
    resource: Any = site.resource
    while request.postpath and not resource.isLeaf and not isinstance(resource, Resource404):
        segment = request.postpath.pop(0)
        request.prepath.append(segment)
        resource = resource.getChildWithDefault(segment, request)
    if isinstance(resource, WebSocketResource) and _asks_for_upgrade(request):
        # These have bounds of their own, which say so in their own words.
        _protect_websocket(resource._factory, policy)
        return resource
    if not policy.may_request(getattr(request.getClientAddress(), "host", LOCAL)):
        return refusals[429]
    if isinstance(resource, WebSocketResource):
        # Autobahn would show a page with its version, or redirect to wherever the request says.
        return UPGRADE_REQUIRED
    if isinstance(resource, File):
        if resource.isdir():
            # Twisted would redirect to where the request's Host header says.
            return NOT_FOUND
        # For the file that goes between here and its being opened.
        resource.childNotFound = NOT_FOUND  # type: ignore[assignment]  # any resource will do
    if isinstance(resource, PlainAnswer):
        return resource
    if isinstance(resource, Resource404) or getattr(resource, "code", None) == _NOT_FOUND:
        # Crossbar's page names its version, process and folders.
        return NOT_FOUND
    if _refuses_method(resource, request.method):
        return NOT_ALLOWED
    return resource


def _refusals(site: Any, request: Any) -> Mapping[int, Resource]:
    """Return how is said that there is nothing, or too much: what is at the path's first segment may have words of its own."""
    first = request.postpath[0] if request.postpath else b""
    refusals: Mapping[int, Resource] = getattr(site.resource.children.get(first), "refusals", _REFUSALS)
    return refusals


def _asks_for_upgrade(request: Any) -> bool:
    return any(b"websocket" in value.lower() for value in request.requestHeaders.getRawHeaders(b"Upgrade", []))


def _protect_websocket(factory: Any, policy: HttpPolicy) -> None:
    factory.http_policy = policy
    factory.server = SERVER.decode()
    factory.webStatus = False


def _is_plain_segment(segment: bytes) -> bool:
    """Say whether a segment of a path, unquoted, can name a file that is meant to be seen."""
    try:
        text = segment.decode()
    except UnicodeDecodeError:
        return False
    return not text.startswith(".") and "/" not in text and "\\" not in text and (text.isprintable() or not text)


def _refuses_method(resource: Any, method: bytes) -> bool:
    if getattr(type(resource), "render", None) is not Resource.render:
        return False
    return getattr(resource, "render_" + method.decode("ascii", "replace"), None) is None
