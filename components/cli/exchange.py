"""``crosstick exchange`` and ``crosstick fault``: the simulated exchange in the foreground, and faults in a running one.

Twisted is imported inside the commands: the other commands need not wait for it.
"""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import click

from components.cli.sections import examples
from components.settings import (
    DEFAULT_RATE_PER_S,
    DEFAULT_SIMULATOR_PORT,
    MAX_RATE_PER_S,
    RecordingSettings,
    SettingsError,
    SimulatorSettings,
    log_form,
)
from components.simulator.faults import FaultError, FaultKind, MalformedFrame, parse_fault

FAULT_TIMEOUT_S = 10.0


@click.command(
    short_help="Run the simulated exchange alone.",
    epilog=examples(
        "crosstick exchange --port 9444 --rate 5000 --seed 7",
        "crosstick exchange --recording trades.jsonl --speed 10 --once",
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=DEFAULT_SIMULATOR_PORT, show_default=True, type=click.IntRange(0, 65_535), help="0: any free one."
)
@click.option(
    "--rate",
    default=DEFAULT_RATE_PER_S,
    show_default=True,
    type=click.IntRange(1, MAX_RATE_PER_S),
    help="Trades per second over all symbols.",
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="The same seed, the same prices.")
@click.option(
    "--recording",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Play this file (JSON lines) instead of prices of its own.",
)
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.001, 10_000),
    help="Play the recording this many times faster.",
)
@click.option("--loop/--once", default=True, show_default=True, help="Play the recording over and over, or once.")
def exchange(*, host: str, port: int, rate: int, seed: int, recording: Path | None, speed: float, loop: bool) -> None:
    """Run the simulated exchange alone, until Ctrl-C."""
    if math.isnan(speed):
        raise click.UsageError("--speed must be a number, was nan")
    try:
        form = log_form(os.environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    settings = SimulatorSettings(
        host=host,
        port=port,
        rate_per_s=rate,
        seed=seed,
        recording=RecordingSettings(path=recording, speed=speed, loop=loop) if recording else None,
    )
    from twisted.internet import reactor

    from components.cli.foreground import Foreground
    from components.logs.begin import begin_log
    from components.simulator.listener import ExchangeStartError
    from components.simulator.server import SimulatedExchange

    loop_reactor: Any = reactor
    begin_log(loop_reactor, "exchange", form)
    simulated = SimulatedExchange(loop_reactor, settings)

    async def begin() -> None:
        try:
            await simulated.start()
        except ExchangeStartError as error:
            raise click.ClickException(str(error)) from error
        click.echo(simulated.url)

    problem = Foreground(loop_reactor, simulated.stop).run(begin)
    if problem is not None:
        raise click.ClickException(problem)


@click.command(
    short_help="Ask a simulated exchange to make a fault.",
    epilog=examples(
        "crosstick fault cut                                             end its connections",
        "crosstick fault gap --symbol BTCUSDT --count 3                  leave out trades",
        "crosstick fault silent --seconds 20 --url ws://127.0.0.1:9444   say nothing for a while",
        "crosstick fault resume                                          end all faults",
    ),
)
@click.argument("kind", type=click.Choice([kind.value for kind in FaultKind]))
@click.option("--symbol", help="Only this symbol, such as BTCUSDT.  [default: all, or any]")
@click.option("--seconds", type=float, help="How long it lasts.  [default: down 5, shutdown 1, others until resume]")
@click.option("--count", type=int, help="How many trades, for duplicate, gap and malformed.  [default: 1]")
@click.option("--variant", type=click.Choice([one.value for one in MalformedFrame]), help="How a frame is malformed.")
@click.option(
    "--url", default=f"ws://127.0.0.1:{DEFAULT_SIMULATOR_PORT}", show_default=True, help="The running exchange."
)
def fault(
    *, kind: str, symbol: str | None, seconds: float | None, count: int | None, variant: str | None, url: str
) -> None:
    """Ask a running simulated exchange to make a fault of the given KIND."""
    request = json.dumps({"fault": kind, "symbol": symbol, "seconds": seconds, "count": count, "variant": variant})
    try:
        parse_fault(request)
    except FaultError as error:
        raise click.UsageError(str(error)) from error
    if not re.fullmatch(r"ws://[^/?#@]+/?", url):
        raise click.UsageError(f"--url must be ws://host:port, was {url!r}")
    answer = _ask(f"{url.rstrip('/')}/control", request)
    if "error" in answer:
        raise click.ClickException(answer["error"]["message"])
    click.echo(f"{kind}: {answer['clients']} clients connected")


def _ask(url: str, request: str) -> dict[str, Any]:
    """Send one message and return the answer to it."""
    from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
    from twisted.internet import reactor
    from twisted.internet.endpoints import HostnameEndpoint

    from components.cli.foreground import Foreground, one_answer

    answers: list[dict[str, Any]] = []
    loop: Any = reactor
    foreground = Foreground(loop)

    class Client(WebSocketClientProtocol):  # type: ignore[misc]  # Autobahn ships no types
        def onOpen(self) -> None:
            self.sendMessage(request.encode())

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            answers.append(json.loads(payload))
            self.sendClose(1000)

        def onClose(self, wasClean: bool, code: int, reason: str) -> None:
            foreground.stop(f"no answer from {url}: {reason}")

    factory = WebSocketClientFactory(url)
    factory.protocol = Client

    endpoint = HostnameEndpoint(loop, factory.host, factory.port)
    answer: dict[str, Any] = one_answer(foreground, lambda: endpoint.connect(factory), answers, url, FAULT_TIMEOUT_S)
    return answer
