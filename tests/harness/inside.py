"""A real Crossbar router in this process, with the seam put in: sessions without sockets, on a clock that a test turns."""

from __future__ import annotations

import json
from functools import partial
from types import SimpleNamespace
from typing import Any

from autobahn import util
from autobahn.wamp import message
from autobahn.wamp.serializer import JsonSerializer
from crossbar.router import RouterOptions
from crossbar.router.router import Router
from twisted.internet.task import Clock

from components.core.outbox import Condenser, OutboxCounters
from components.core.outbox_settings import OutboxSettings
from components.router.engine.blocked import HoldLimits
from components.router.engine.encodings import EventEncoding, json_message
from components.router.engine.outlet import Outlet
from components.router.engine.serializers import WRAPPING
from components.router.seam.router_seam import Retained, RouterSeam, SubscriptionListener

Message = list[Any]


class InsideSession:
    """A session as the router sees it; ``received`` holds the messages that reached it, in order."""

    def __init__(self, clock: Clock, router: Any, with_outlet: bool) -> None:
        self._session_id = util.id()
        self._realm = "market"
        self._authid = self._authrole = "viewer"
        self._authmethod = self._authprovider = None
        self._authextra: dict[str, Any] = {}
        self._transport = self
        self._router = router
        self._serializer = JsonSerializer()
        self._serializer._serializer = WRAPPING["json", False]
        self.received: list[Message] = []
        self.writes = 0
        self.clock = clock
        self.outlet: Outlet | None = None
        if with_outlet:
            encoding = EventEncoding(json_message, lambda frame: frame + b"\n")
            counters = OutboxCounters()
            self.outlet = Outlet(
                clock, OutboxSettings(), counters, encoding, self._write, self._write, lambda reason: None
            )

    def _write(self, block: bytes) -> None:
        self.writes += 1
        # Writing takes time, by which the fan-out gathers.
        self.clock.rightNow += 0.001
        self.received += map(json.loads, block.splitlines())

    def send(self, sent: message.Message) -> None:
        if self.outlet is not None:
            self.outlet.catch_up()
        self._write(self._serializer.serialize(sent)[0])

    def subscribe(self, uri: str, match: str = "exact", *, get_retained: bool = False) -> int | str:
        """Return the subscription's id, or the URI of the error."""
        request = util.id()
        self._router.process(self, message.Subscribe(request, uri, match, get_retained or None))
        reply = next(reply for reply in self.received if reply[0] in (33, 8) and request in reply[1:3])
        return reply[2] if reply[0] == 33 else reply[4]  # type: ignore[no-any-return]

    def unsubscribe(self, subscription: int | str) -> None:
        self._router.process(self, message.Unsubscribe(util.id(), subscription))

    def leave(self) -> None:
        if self.outlet is not None:
            self.outlet.close()
        self._router.detach(self)

    @property
    def events(self) -> list[tuple[dict[str, Any], Any]]:
        """Details and argument of each EVENT."""
        return [(details, arguments[0]) for kind, _, _, details, arguments in self._of_kind(36) if kind]

    def _of_kind(self, kind: int) -> list[Message]:
        return [received for received in self.received if received[0] == kind]


class Nobody:
    """A listener to whom no subscription matters."""

    def subscribed(self, uri: str, match: str) -> None:
        """Take no note."""

    def unsubscribed(self, uri: str, match: str) -> None:
        """Take no note."""


class InsideRouter:
    """A router with a seam."""

    def __init__(self, retained: Retained, listener: SubscriptionListener, granted: bool = True) -> None:
        self.clock = Clock()
        self.granted = granted
        # As much of a worker's realm and router factory as a router uses.
        service = SimpleNamespace(_expose_on_sessions=["the realm's own"], publish=lambda *arguments, **options: None)
        realm: Any = SimpleNamespace(config={"name": "market"}, session=service)
        factory = SimpleNamespace(_reactor=self.clock, on_last_detach=lambda router: None)
        self.router = Router(factory, realm, RouterOptions(uri_check=RouterOptions.URI_CHECK_LOOSE))
        condenser = partial(Condenser, OutboxSettings())
        inside = SimpleNamespace(_transport=SimpleNamespace(_router=self.router))
        self.seam = RouterSeam(inside, self.clock, self._decide, retained, listener, condenser, 0.005, HoldLimits())

    def _decide(self, session: Any, action: str, uri: str, options: dict[str, Any]) -> dict[str, Any]:
        return {"allow": self.granted, "cache": False, "disclose": False}

    def session(self, *, with_outlet: bool = True) -> InsideSession:
        """Return a session that has joined; one without an outlet is that of an in-router component."""
        session = InsideSession(self.clock, self.router, with_outlet)
        self.router.attach(session)
        return session
