"""A session of the operators' realm, for commands that ask a running node for something."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import click

from components.cli.refused import why_refused
from components.uris import ERROR_AUTHENTICATION_FAILED, OPERATORS_REALM

DEFAULT_URL = "ws://127.0.0.1:8080/ws"
ANSWER_TIMEOUT_S = 15.0


class Call(Protocol):
    """Calls a procedure."""

    def __call__(self, procedure: str, /, **arguments: Any) -> Awaitable[Any]:
        """Return the answer; raises an ``ApplicationError``."""


def as_operator(talk: Callable[[Call], Awaitable[Any]]) -> Any:
    """Join the operators' realm of the node that the environment names, and return what ``talk`` does.

    CROSSTICK_TOKEN is the operator's token, CROSSTICK_URL the gateway. For a process that does nothing else: it runs the
    reactor, and ends it.

    Raises:
        click.ClickException: there is no answer, or ``talk`` raised an ``ApplicationError``; with its text.
    """
    token = os.environ.get("CROSSTICK_TOKEN")
    if not token:
        raise click.UsageError("CROSSTICK_TOKEN is not set: crosstick token --sub me --role operator --realm ops")
    url = os.environ.get("CROSSTICK_URL", DEFAULT_URL)
    if "," in url:
        raise click.UsageError("CROSSTICK_URL names several gateways: name one of them, which is asked for all")
    return _talk(url, token, talk)


def _subject(token: str) -> str:
    import jwt

    try:
        subject = jwt.decode(token, options={"verify_signature": False}).get("sub")
    except jwt.PyJWTError:
        subject = None
    if not isinstance(subject, str):
        # The cause would quote the token.
        raise click.UsageError("CROSSTICK_TOKEN is not a token with a subject (sub)") from None
    return subject


def _talk(url: str, token: str, talk: Callable[[Call], Awaitable[Any]]) -> Any:
    from autobahn.twisted.wamp import ApplicationSession
    from autobahn.twisted.websocket import WampWebSocketClientFactory, WampWebSocketClientProtocol
    from autobahn.wamp import ApplicationError
    from autobahn.wamp.types import CloseDetails, ComponentConfig
    from twisted.internet import reactor
    from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
    from twisted.internet.ssl import optionsForClientTLS

    from components.cli.foreground import Foreground, one_answer

    loop: Any = reactor
    subject = _subject(token)
    answers: list[Any] = []
    problems: list[str] = []
    foreground = Foreground(loop)

    class Operator(ApplicationSession):  # type: ignore[misc]  # Autobahn ships no types
        def onConnect(self) -> None:
            self.join(OPERATORS_REALM, ["ticket"], subject)

        def onChallenge(self, challenge: object) -> str:
            return token

        async def onJoin(self, details: object) -> None:
            try:
                answers.append(await talk(self.call))
            except ApplicationError as error:
                problems.append(error.error_message())
            except click.ClickException as error:
                problems.append(error.message)
            self.leave()

        def onLeave(self, details: CloseDetails) -> None:
            problem = details.message or details.reason
            if details.reason == ERROR_AUTHENTICATION_FAILED:
                problem += why_refused(token, OPERATORS_REALM, time.time())
            problems.append(problem)
            self.disconnect()

    class Connection(WampWebSocketClientProtocol):  # type: ignore[misc]
        def onClose(self, wasClean: bool, code: int, reason: str) -> None:
            # Also where the handshake fails, of which a session is not told.
            super().onClose(wasClean, code, reason)
            foreground.stop(
                problems[0] if problems else f"{url}: {self.wasNotCleanReason or 'the connection was closed'}"
            )

    try:
        factory = WampWebSocketClientFactory(lambda: Operator(ComponentConfig(realm=OPERATORS_REALM)), url=url)
    except Exception as error:
        raise click.UsageError(f"CROSSTICK_URL must be such as {DEFAULT_URL}, was {url!r}") from error
    factory.protocol = Connection
    endpoint: Any = HostnameEndpoint(loop, factory.host, factory.port)
    if factory.isSecure:
        endpoint = wrapClientTLS(optionsForClientTLS(factory.host), endpoint)
    return one_answer(foreground, lambda: endpoint.connect(factory), answers, url, ANSWER_TIMEOUT_S)
