"""``crosstick feed``: a feed in a process of its own, without Crossbar, on a bus that it shares with others.

Twisted is imported inside the command: the other commands need not wait for it.
"""

from __future__ import annotations

import os
import time
from typing import Any

import click

from components.cli.sections import examples
from components.settings import SettingsError, load_settings

DEFAULT_PORT = 8081


@click.command(
    short_help="Run a feed alone, on a bus that it shares.",
    epilog=examples(
        "CROSSTICK_BUS=redis://127.0.0.1:6379 crosstick feed",
        "CROSSTICK_BUS=redis://10.0.0.5 CROSSTICK_EXCHANGE_URL=wss://data-stream.binance.vision crosstick feed --port 8082",
    ),
)
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="For /healthz, /readyz and /metrics; 0: any free one.",
)
@click.option("--interface", default="127.0.0.1", show_default=True, help="Address of that port.")
def feed(*, port: int, interface: str) -> None:
    """Run a feed alone, until SIGTERM or Ctrl-C; several may run, and one of them leads.

    CROSSTICK_BUS names the bus that it shares with gateways and other feeds.
    """
    try:
        settings = load_settings(os.environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    if settings.bus.kind == "wamp":
        raise click.ClickException(
            "CROSSTICK_BUS must name a bus that processes share, such as redis://127.0.0.1:6379, was 'wamp': "
            "that one is inside a node, and so is its feed"
        )
    from prometheus_client import CollectorRegistry
    from twisted.internet import reactor
    from twisted.internet.error import CannotListenError
    from twisted.python.failure import Failure

    from components.bus.choice import make_writer
    from components.cli.foreground import Foreground
    from components.feed.feed import Feed
    from components.feed.web import lag_histogram, make_site
    from components.logs.begin import begin_log
    from components.loop_lag import LoopLag

    loop: Any = reactor
    begin_log(loop, "feed", settings.log)

    def failed(failure: Failure) -> None:
        Feed.log.failure("the feed cannot go on", failure=failure)
        foreground.stop(f"the feed cannot go on: {failure.getErrorMessage()}")

    async def end() -> None:
        await alone.stop()

    foreground = Foreground(loop, end)
    registry = CollectorRegistry()
    alone = Feed(
        loop,
        settings.feed,
        make_writer(settings.bus, loop, None, failed),
        lambda: time.time_ns() // 1_000_000,
        failed,
        observe_lag_s=lag_histogram(registry).observe,
    )
    lag = LoopLag(loop)
    try:
        listening = loop.listenTCP(port, make_site(alone, registry, lag), interface=interface)
    except CannotListenError as error:
        raise click.ClickException(f"port {port} of {interface} cannot be had: {error.socketError}") from error
    click.echo(f"http://{interface}:{listening.getHost().port}")

    async def begin() -> None:
        alone.start()
        lag.start()

    problem = foreground.run(begin)
    if problem is not None:
        raise click.ClickException(problem)
