"""``/healthz`` and ``/readyz`` as Crossbar web resources: JSON bodies, 200 or 503."""

from __future__ import annotations

import json
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import Request

from components.page import Page
from components.router import runtime


class Healthz(Page):
    """Answers 200 while the worker's loop turns."""

    def answer(self, request: Request) -> bytes:
        """Answer ``{"alive": true}``."""
        return _answer(request, 200, {"alive": True})


class Readyz(Page):
    """Answers 200 when clients are served here, else 503 and why not.

    A gateway that serves what it has while its bus is away says so in ``degraded``, and is ready.
    """

    def answer(self, request: Request) -> bytes:
        """Answer ``{"ready": bool, "because": [reason, …], "degraded": [trouble, …]}``."""
        node = runtime.current()
        because = ["the gateway component is not installed"] if node is None else node.readiness()
        if runtime.drains():
            because = ["draining", *because]
        degraded = [] if node is None else node.degraded()
        body = {"ready": not because, "because": because, "degraded": degraded}
        return _answer(request, 503 if because else 200, body)


class NoPage(Resource):
    """The root of a port that has nothing but what is below it."""

    isLeaf = False

    def __init__(self, _extra: Any = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted has no types here


def _answer(request: Request, status: int, body: dict[str, Any]) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json")
    return json.dumps(body).encode() + b"\n"
