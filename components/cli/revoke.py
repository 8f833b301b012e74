"""``crosstick revoke``: take tokens back, and close who lives by them."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from components.cli.sections import examples
from components.uris import AUTH_REVOKE, OPERATORS_REALM

DEFAULT_URL = "ws://127.0.0.1:8080/ws"
ANSWER_TIMEOUT_S = 15.0


@click.command(
    short_help="Take tokens back, and close who lives by them.",
    epilog=examples(
        "export CROSSTICK_TOKEN=$(crosstick token --sub olga --role operator --realm ops)",
        "crosstick revoke --sub mallory",
        "crosstick revoke --jti 5tGh-2kQ --exp 1790000000",
    ),
)
@click.option("--jti", help="The one token with this jti claim.")
@click.option("--sub", help="All tokens of this subject that have been issued until now.")
@click.option("--exp", type=click.IntRange(min=0), help="When they end by themselves (Unix time): not kept longer.")
def revoke(jti: str | None, sub: str | None, exp: int | None) -> None:
    """Revoke tokens at a running node, at once and until it is lifted, and print how many sessions were closed.

    CROSSTICK_TOKEN is an operator's token for realm ops; CROSSTICK_URL is the gateway, by default ws://127.0.0.1:8080/ws.
    """
    if (jti is None) == (sub is None):
        raise click.UsageError("name a --jti or a --sub, and not both")
    token = os.environ.get("CROSSTICK_TOKEN")
    if not token:
        raise click.UsageError("CROSSTICK_TOKEN is not set: crosstick token --sub me --role operator --realm ops")
    named = {name: value for name, value in (("jti", jti), ("sub", sub), ("exp", exp)) if value is not None}
    answer = _call(os.environ.get("CROSSTICK_URL", DEFAULT_URL), token, AUTH_REVOKE, named)
    click.echo(json.dumps(answer))


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


def _call(url: str, token: str, procedure: str, named: dict[str, Any]) -> Any:
    """Join the operators' realm, call, and return the answer."""
    from autobahn.twisted.wamp import ApplicationSession
    from autobahn.twisted.websocket import WampWebSocketClientFactory
    from autobahn.wamp import ApplicationError
    from autobahn.wamp.types import CloseDetails, ComponentConfig
    from twisted.internet import reactor
    from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
    from twisted.internet.ssl import optionsForClientTLS

    loop: Any = reactor
    subject = _subject(token)
    answers: list[Any] = []
    problems: list[str] = []

    class Operator(ApplicationSession):  # type: ignore[misc]  # Autobahn ships no types
        def onConnect(self) -> None:
            self.join(OPERATORS_REALM, ["ticket"], subject)

        def onChallenge(self, challenge: object) -> str:
            return token

        async def onJoin(self, details: object) -> None:
            try:
                answers.append(await self.call(procedure, **named))
            except ApplicationError as error:
                problems.append(error.error_message())
            self.leave()

        def onLeave(self, details: CloseDetails) -> None:
            problems.append(details.message or details.reason)
            self.disconnect()

        def onDisconnect(self) -> None:
            problems.append("the connection was closed")
            loop.stop()

    def failed(failure: Any) -> None:
        problems.append(failure.getErrorMessage())
        loop.stop()

    def late() -> None:
        problems.append(f"no answer within {ANSWER_TIMEOUT_S:g} s")
        loop.stop()

    try:
        factory = WampWebSocketClientFactory(lambda: Operator(ComponentConfig(realm=OPERATORS_REALM)), url=url)
    except Exception as error:
        raise click.UsageError(f"CROSSTICK_URL must be such as {DEFAULT_URL}, was {url!r}") from error
    endpoint: Any = HostnameEndpoint(loop, factory.host, factory.port)
    if factory.isSecure:
        endpoint = wrapClientTLS(optionsForClientTLS(factory.host), endpoint)
    endpoint.connect(factory).addErrback(failed)
    loop.callLater(ANSWER_TIMEOUT_S, late)
    loop.run()
    if not answers:
        raise click.ClickException(problems[0] if problems else "interrupted")
    return answers[0]
