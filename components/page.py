"""A page of a node's own, such as ``/metrics``: at its own path, and at none below it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import Request


class Page(Resource):
    """Answers GET and HEAD.

    Twisted gives a leaf all that is below it as well. ``/metrics/`` is another path than the one that a balancer or a firewall
    was told to keep inside, so it is none here.
    """

    isLeaf = True

    def __init__(self, _extra: Any = None) -> None:
        """Be made by Crossbar, which hands over what its configuration has for the page."""
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted has no types here

    def render_GET(self, request: Request) -> bytes | int:
        """Answer what the page has, or 404 where the path goes on."""
        request.setHeader(b"Cache-Control", b"no-store")
        if request.postpath:
            request.setResponseCode(404)
            request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
            return b"Not found\n"
        return self.answer(request)

    @abstractmethod
    def answer(self, request: Request) -> bytes | int:
        """Set status and type of the answer, and return its body, or ``NOT_DONE_YET``."""
