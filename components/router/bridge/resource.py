"""``/bridge/publish`` and ``/bridge/call``: Crossbar's own bridge resources, behind a door of ours.

Crossbar's part is to publish and to call. Before it a request must be signed, not have been here, be within the limits and be
granted; after it nothing is written to a client that has gone. This touches Crossbar's private names: written against crossbar
26.10.1; ``tests/node/test_http_bridge.py`` fails when an upgrade moves something.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from autobahn.wamp import ApplicationError
from crossbar.bridge.rest.caller import CallerResource
from crossbar.bridge.rest.publisher import PublisherResource
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from components.router import runtime
from components.router.bridge.desk import BridgeDesk
from components.router.bridge.requests import Action, check_request
from components.router.bridge.signing import NotSigned, TooManySigned
from components.router.http_api.problems import ApiError, draining, not_ready
from components.router.http_api.resource import ProblemPage, problem_body, too_many_requests
from components.router.listeners.connection import listener_of
from components.uris import (
    ERROR_AUTHENTICATION_FAILED,
    ERROR_INVALID_ARGUMENT,
    ERROR_METHOD_NOT_ALLOWED,
    ERROR_NOT_FOUND,
    ERROR_RUNTIME,
)

REALM = "market"
MAX_BODY_BYTES = 65_536

_INVALID_JSON = "the body must be a JSON object, application/json in UTF-8"


class _Behind:
    """What both resources have before Crossbar's own class, whose names these are."""

    action: ClassVar[Action]
    own_log: ClassVar[Logger] = Logger()

    def __init__(self, desk: BridgeDesk) -> None:
        super().__init__({**desk.options, "post_body_limit": MAX_BODY_BYTES}, desk.session)  # type: ignore[call-arg]
        self._desk = desk

    def render(self, request: Any) -> Any:
        try:
            self._check(request)
        except ApiError as error:
            return problem_body(request, error)
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"Content-Type", b"application/json")
        return self._render_request(request)  # type: ignore[attr-defined]

    def _check(self, request: Any) -> None:
        if request.postpath:
            raise ApiError(ERROR_NOT_FOUND)
        if request.method != b"POST":
            raise ApiError(ERROR_METHOD_NOT_ALLOWED, headers={b"Allow": b"POST"})
        body = request.content.read()
        request.content.seek(0)
        try:
            self._desk.signed.accept(request.args, body, time.time())
        except NotSigned as error:
            challenge = {b"WWW-Authenticate": b'Signature realm="crosstick"'}
            raise ApiError(ERROR_AUTHENTICATION_FAILED, str(error), headers=challenge) from None
        except TooManySigned:
            raise not_ready("too many requests were signed within a short time") from None

    def _process(self, request: Any, event: Any) -> Any:
        """Do what Crossbar does with a request that was signed, unless it may not be."""
        try:
            seats = runtime.gatekeeper(REALM)
            if seats is None:
                raise not_ready("the realm has no gatekeeper")
            self._desk.count(self.action, seats)
            check_request(event, self.action, self._desk.grants)
        except ApiError as error:
            return problem_body(request, error)
        gone: list[bool] = []
        request.notifyFinish().addErrback(lambda _: gone.append(True))
        request.is_gone = lambda: bool(gone)
        self._desk.unanswered += 1
        done = super()._process(request, event)  # type: ignore[misc]
        return done.addErrback(self._failed, request).addBoth(self._answered, gone)

    def _answered(self, result: Any, gone: list[bool]) -> Any:
        self._desk.unanswered -= 1
        # Behind this Crossbar ends the request, which must not be done for a client that has gone.
        return Deferred() if gone else result

    def _failed(self, failure: Failure, request: Any) -> None:
        self.own_log.failure("a request of the bridge failed", failure=failure)
        self._complete_request(request, 500, ApiError(ERROR_RUNTIME).body())

    def _complete_request(self, request: Any, code: int, body: bytes, **_: Any) -> None:
        if not request.is_gone():
            request.setResponseCode(code)
            request.write(body)

    def _fail_request(self, request: Any, *, failure: Failure, **_: Any) -> None:
        """Answer with the error that a procedure raised, as Crossbar does, whose code ends the request twice."""
        error: Any = failure.value
        if isinstance(error, ApplicationError):
            said = {"error": error.error, "args": list(error.args), "kwargs": error.kwargs or {}}
            self._complete_request(request, 200, json.dumps(said).encode())
        else:
            self._failed(failure, request)

    def _deny_request(self, request: Any, code: int, **_: Any) -> bytes:
        """Answer what Crossbar says of a body that it cannot read, with nothing of the body in it."""
        return problem_body(request, ApiError(ERROR_INVALID_ARGUMENT, _INVALID_JSON))


class Publish(_Behind, PublisherResource):  # type: ignore[misc]  # Crossbar ships no types
    """``/bridge/publish``."""

    action = "publish"


class Call(_Behind, CallerResource):  # type: ignore[misc]  # Crossbar ships no types
    """``/bridge/call``."""

    action = "call"


class BridgeRoot(Resource):
    """``/bridge``."""

    isLeaf = False

    def __init__(self, _extra: Any = None) -> None:
        """Be made by Crossbar, after the bridge's component."""
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted has no types here
        self._not_found = ProblemPage(lambda request: ApiError(ERROR_NOT_FOUND))
        self._not_ready = ProblemPage(lambda request: not_ready("the bridge has not joined its realm"))
        self._draining = ProblemPage(lambda request: draining())
        self.refusals: Mapping[int, Resource] = {404: self._not_found, 429: ProblemPage(too_many_requests)}

    def getChild(self, path: bytes, request: Any) -> Any:
        """Return what answers for a path."""
        kinds: dict[bytes, type[_Behind]] = {b"publish": Publish, b"call": Call}
        if path not in kinds:
            return self._not_found
        listener = listener_of(request.transport)
        if listener is not None and listener.has_stopped:
            return self._draining
        desk = runtime.bridge()
        return self._not_ready if desk is None else kinds[path](desk)

    def render(self, request: Any) -> int:
        """Answer for ``/bridge`` itself."""
        return self._not_found.render(request)
