"""``/api`` as a Crossbar web resource: the market over HTTP, for those who ask rather than listen.

Owns the way of a request: method, token, room, body, form. Every error is a problem (``problems``), also those that the
listener has for what is below ``/api``. A client that has gone before its token was verified is answered nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from components.core.entries import InvalidEntry
from components.core.grants import Grants
from components.core.market import Market
from components.environment import refuse_to_start
from components.router import runtime
from components.router.http_api import pages
from components.router.http_api.access import ApiAccess, ApiSettings, query_of
from components.router.http_api.cors import cors_headers
from components.router.http_api.description import describe
from components.router.http_api.negotiation import MIN_GZIP_BYTES, accepts_gzip, entity_tag, gzip, has_it, quoted
from components.router.http_api.problems import PROBLEM_TYPE, ApiError, limit_exceeded
from components.router.http_api.query import SYMBOLS, read_query
from components.router.http_api.request_headers import header_text, header_texts
from components.router.listeners.listener import REQUESTS_PER_S_PER_ADDRESS
from components.uris import ERROR_METHOD_NOT_ALLOWED, ERROR_NOT_FOUND, ERROR_RUNTIME

JSON_TYPE = b"application/json"
METHODS = (b"GET", b"HEAD", b"OPTIONS")

REVALIDATE = b"private, no-cache"
"""Of what changes with every trade: a client may keep it, and asks whether it is still so."""

SYMBOLS_MAX_AGE_S = 60
DESCRIPTION_MAX_AGE_S = 300

THREAD_BYTES = 65_536
"""What gzip takes more than some 2 ms for is made in a thread: the ticks of others go on meanwhile."""


class ApiResource(Resource):
    """Answers its methods; what an answer is, a subclass says."""

    isLeaf = True
    methods: tuple[bytes, ...] = METHODS
    cache_control: bytes = REVALIDATE
    vary: bytes = b"Authorization, Accept-Encoding, Origin"
    log: ClassVar[Logger] = Logger()

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted has no types here

    def render(self, request: Any) -> int:
        """Answer, at once or when the client's token is verified."""
        Deferred.fromCoroutine(self._respond(request)).addErrback(self._not_sent, request)
        return NOT_DONE_YET

    def _not_sent(self, failure: Failure, request: Any) -> None:
        """End a connection whose client would wait for an answer that does not come."""
        self.log.failure("an answer of the API could not be sent", failure=failure)
        request.loseConnection()

    async def _respond(self, request: Any) -> None:
        gone: list[bool] = []
        # Also where the connection is lost after the answer; that is no error of anybody's.
        request.notifyFinish().addErrback(lambda _: gone.append(True))
        try:
            self._check_method(request)
            if request.method == b"OPTIONS":
                _options(request, self.methods)
                return
            await self._answer(request, gone)
        except ApiError as error:
            if not gone:
                send_problem(request, error)
        except Exception:
            # What was asked is not logged: there may be a token in it.
            self.log.failure("a request of the API failed")
            if not gone and not request.startedWriting:
                send_problem(request, ApiError(ERROR_RUNTIME))

    async def _answer(self, request: Any, gone: list[bool]) -> None:
        body = await self.body(request)
        if not gone:
            await self._send(request, body, gone)

    @abstractmethod
    async def body(self, request: Any) -> bytes:
        """Return the JSON that is answered.

        Raises:
            ApiError: there is none.
        """

    def _check_method(self, request: Any) -> None:
        if request.method not in self.methods:
            raise ApiError(ERROR_METHOD_NOT_ALLOWED, headers={b"Allow": b", ".join(self.methods)})

    async def _send(self, request: Any, body: bytes, gone: list[bool]) -> None:
        tag = entity_tag(body)
        gzipped = len(body) >= MIN_GZIP_BYTES and accepts_gzip(header_texts(request, "Accept-Encoding"))
        _mark(request, self.cache_control, self.vary)
        request.setHeader(b"ETag", quoted(tag, gzipped=gzipped))
        if has_it(header_texts(request, "If-None-Match"), tag):
            request.setResponseCode(304)
            request.finish()
            return
        if gzipped:
            body = gzip(body) if len(body) < THREAD_BYTES else await deferToThread(gzip, body)
            request.setHeader(b"Content-Encoding", b"gzip")
        if not gone:
            request.setHeader(b"Content-Type", JSON_TYPE)
            request.setHeader(b"Content-Length", b"%d" % len(body))
            request.write(body)
            request.finish()


class _MarketPage(ApiResource):
    """A page for those with a token."""

    def __init__(
        self,
        access: ApiAccess,
        make: Callable[[Market, Grants, str], bytes],
        cache_control: bytes = REVALIDATE,
    ) -> None:
        """``make`` gets the query's text."""
        super().__init__()
        self._access = access
        self._make = make
        self.cache_control = cache_control

    async def body(self, request: Any) -> bytes:
        if request.postpath:
            raise ApiError(ERROR_NOT_FOUND)
        client = await self._access.client(request)
        self._access.count(client)
        return self._make(self._access.market, client.grants, query_of(request))


class _Ticks(_MarketPage):
    """``/api/ticks`` and ``/api/ticks/<SYMBOL>``."""

    def __init__(self, access: ApiAccess) -> None:
        super().__init__(
            access, lambda market, grants, query: pages.ticks(market, grants, read_query(query, (SYMBOLS,)))
        )

    async def body(self, request: Any) -> bytes:
        if not request.postpath:
            return await super().body(request)
        name, *below = request.postpath
        if below or not name:
            raise ApiError(ERROR_NOT_FOUND)
        client = await self._access.client(request)
        self._access.count(client)
        read_query(query_of(request), ())
        return pages.tick(self._access.market, client.grants, name.decode("utf-8", "replace"))


class _Description(ApiResource):
    """``/api/openapi.json``, for everybody."""

    cache_control = b"public, max-age=%d" % DESCRIPTION_MAX_AGE_S
    vary = b"Accept-Encoding, Origin"

    def __init__(self, access: ApiAccess) -> None:
        super().__init__()
        self._access = access
        self._body: bytes | None = None

    async def body(self, request: Any) -> bytes:
        if request.postpath:
            raise ApiError(ERROR_NOT_FOUND)
        if self._body is None:
            self._body = describe(self._access.seats.limits.base)
        return self._body


class ProblemPage(ApiResource):
    """One problem, whatever is asked."""

    def __init__(self, problem: Callable[[Any], ApiError]) -> None:
        """``problem`` gets the request."""
        super().__init__()
        self._problem = problem

    def _check_method(self, request: Any) -> None:
        """Take any method: that there is nothing here goes before."""
        raise self._problem(request)

    async def body(self, request: Any) -> bytes:
        raise self._problem(request)


class Api(Resource):
    """The root: has pages, and is none."""

    isLeaf = False

    def __init__(self, extra: Any = None) -> None:
        """Be made by Crossbar, which hands over what its configuration has for ``/api``."""
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted has no types here
        from twisted.internet import reactor

        # It is one of ``ApiResource`` itself.
        from components.router.plain.stream import Stream

        try:
            settings = ApiSettings.from_extra(extra)
        except InvalidEntry as error:
            refuse_to_start(f"/api: {error}")
        seconds: Any = reactor
        access = ApiAccess(settings, seconds.seconds)
        self._not_found = ProblemPage(lambda request: ApiError(ERROR_NOT_FOUND))
        self.refusals: Mapping[int, Resource] = {404: self._not_found, 429: ProblemPage(too_many_requests)}
        """What the listener answers below this path instead of its own pages."""
        children: dict[bytes, Resource] = {
            b"ticks": _Ticks(access),
            b"symbols": _MarketPage(
                access, partial(_without_query, pages.symbols), b"private, max-age=%d" % SYMBOLS_MAX_AGE_S
            ),
            b"status": _MarketPage(access, partial(_without_query, pages.status)),
            b"openapi.json": _Description(access),
            b"stream": Stream(extra),
        }
        for name, child in children.items():
            self.putChild(name, child)  # type: ignore[arg-type]  # Twisted's own class does not fit its interface

    def getChild(self, path: bytes, request: Any) -> Resource:
        """Return what answers for a path that there is not."""
        return self._not_found

    def render(self, request: Any) -> int:
        """Answer for ``/api`` itself."""
        return self._not_found.render(request)


def send_problem(request: Any, error: ApiError) -> None:
    """Answer with a problem, and end the request."""
    request.write(problem_body(request, error))
    request.finish()


def problem_body(request: Any, error: ApiError) -> bytes:
    """Set status and headers of a problem, and return its body."""
    request.setResponseCode(error.status)
    _mark(request, b"no-store", b"Origin")
    request.responseHeaders.removeHeader(b"ETag")
    request.responseHeaders.removeHeader(b"Content-Encoding")
    for name, value in error.headers.items():
        request.setHeader(name, value)
    body = error.body()
    request.setHeader(b"Content-Type", PROBLEM_TYPE)
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


def _without_query(make: Callable[[Market, Grants], bytes], market: Market, grants: Grants, query: str) -> bytes:
    read_query(query, ())
    return make(market, grants)


def too_many_requests(request: Any) -> ApiError:
    """Return the answer for an address that has asked too much."""
    return limit_exceeded(REQUESTS_PER_S_PER_ADDRESS, request.channel.policy.requests_per_s, 1.0)


def _options(request: Any, methods: Iterable[bytes]) -> None:
    request.setResponseCode(204)
    request.setHeader(b"Allow", b", ".join(methods))
    request.setHeader(b"Vary", b"Origin")
    request.cors = _cors(request, preflight=True)
    request.finish()


def _mark(request: Any, cache_control: bytes, vary: bytes) -> None:
    request.setHeader(b"Cache-Control", cache_control)
    request.setHeader(b"Vary", vary)
    request.cors = _cors(request)
    if runtime.drains():
        request.setHeader(b"Connection", b"close")


def _cors(request: Any, *, preflight: bool = False) -> dict[bytes, bytes]:
    return cors_headers(
        request.channel.policy.origins,
        header_text(request, "Origin"),
        header_text(request, "Host"),
        secure=request.isSecure(),
        preflight=preflight,
    )
