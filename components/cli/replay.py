"""``crosstick replay``: recordings and Binance's trade dumps, played by an exchange on a local port.

Twisted is imported inside the command: the other commands need not wait for it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from components.cli.progress import Progress
from components.cli.sections import examples
from components.core.recording import RecordingError
from components.replay.replay import Replay
from components.replay.sources import ReplayFile, Selection
from components.settings import (
    DEFAULT_SIMULATOR_PORT,
    SettingsError,
    SimulatorSettings,
    log_form,
    parse_symbols,
)

LOOK_INTERVAL_S = 1.0
END_LOOK_INTERVAL_S = 0.02


class Speed(click.ParamType[float]):
    """A number, or ``max``."""

    name = "number|max"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the speed, infinity for ``max``."""
        if value == "max":
            return math.inf
        try:
            speed = float(value)
        except ValueError:
            speed = math.nan
        if not 0.001 <= speed <= 10_000:
            self.fail(f"must be a number from 0.001 to 10000, or max, was {value!r}", param, ctx)
        return speed


class Moment(click.ParamType[float]):
    """A time, in UTC unless it says otherwise."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds since 1970."""
        if isinstance(value, float):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"must be a time such as 2026-07-01T12:30:00, was {value!r}", param, ctx)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@click.command(
    short_help="Play recordings, or Binance's trade dumps, as an exchange.",
    epilog=examples(
        "crosstick replay recordings/*.jsonl.gz --speed 10",
        "crosstick replay BTCUSDT-trades-2026-07-01.zip ETHUSDT-trades-2026-07-01.zip",
        "crosstick replay BTCUSDT-aggTrades-2026-07-01.zip --speed max --from 2026-07-01T12:30",
    ),
)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE…",
)
@click.option(
    "--speed",
    default="1",
    show_default=True,
    type=Speed(),
    help="Play so many times faster; max: as fast as clients read.",
)
@click.option("--loop", is_flag=True, help="Play over and over; ids and times go on from round to round.")
@click.option("--from", "from_s", type=Moment(), help="Leave out what is earlier, such as 2026-07-01T12:30.")
@click.option("--to", "to_s", type=Moment(), help="End before this time.")
@click.option("--symbols", help="Play these only, such as BTCUSDT,ETHUSDT.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Begin when somebody has subscribed.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=DEFAULT_SIMULATOR_PORT, show_default=True, type=click.IntRange(0, 65_535), help="0: any free one."
)
def replay(
    *,
    files: tuple[Path, ...],
    speed: float,
    loop: bool,
    from_s: float | None,
    to_s: float | None,
    symbols: str | None,
    wait: bool,
    host: str,
    port: int,
) -> None:
    """Play recordings (….jsonl, ….jsonl.gz) and Binance's trade dumps (SYMBOL-trades-DATE.zip, SYMBOL-aggTrades-DATE.zip, or
    .csv), merged by time, as an exchange that speaks Binance's protocol.
    """
    try:
        form = log_form(os.environ)
        selection = Selection(
            -math.inf if from_s is None else from_s,
            math.inf if to_s is None else to_s,
            frozenset(parse_symbols(symbols, "--symbols")) if symbols is not None else frozenset(),
        )
        sources = [ReplayFile(path) for path in files]
    except (SettingsError, RecordingError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if selection.from_s >= selection.to_s:
        raise click.UsageError("--from must be before --to")
    try:
        is_there = any(source.has_any(selection) for source in sources)
    except (RecordingError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if not is_there:
        raise click.ClickException(
            "there is nothing to play: the files have no frame of the symbols that were asked for"
        )

    from twisted.internet import reactor
    from twisted.internet.task import LoopingCall, deferLater
    from twisted.logger import Logger

    from components.cli.foreground import Foreground
    from components.logs.begin import begin_log
    from components.simulator.listener import ExchangeStartError
    from components.simulator.server import SimulatedExchange

    reactor_loop: Any = reactor
    begin_log(reactor_loop, "replay", form)
    log = Logger("components.replay")
    started: list[bool] = []
    ended: list[bool] = []

    def on_end(problem: str) -> None:
        ended.append(True)
        # The last frames are still to be sent.
        reactor_loop.callLater(0, foreground.stop, problem or None)

    played = Replay(sources, selection, on_end, speed=speed, loop=loop, wait=wait)
    settings = SimulatorSettings(host=host, port=port, rate_per_s=1, seed=1, recording=None)
    exchange = SimulatedExchange(reactor_loop, settings, source=played, waits_for_clients=True)
    progress = Progress("playing", played.size_bytes)

    async def begin() -> None:
        try:
            await exchange.start()
        except ExchangeStartError as error:
            raise click.ClickException(str(error)) from error
        started.append(True)
        progress.say(exchange.url)
        progress.say(_hint(exchange.url, selection, sources))
        watch.start(LOOK_INTERVAL_S, now=False)

    def look() -> None:
        progress.show(_figures(played, exchange.clients), played.position_bytes)

    async def end() -> None:
        if watch.running:
            watch.stop()
        look()
        while ended and exchange.is_held_up and not foreground.interrupted:
            await deferLater(reactor_loop, END_LOOK_INTERVAL_S, lambda: None)
        await (exchange.finish("the replay has ended") if ended and not foreground.interrupted else exchange.stop())

    watch = LoopingCall(look)
    foreground = Foreground(reactor_loop, end, let_go=progress.let_go)
    with progress:
        problem = foreground.run(begin)
    if problem is not None and not started:
        raise click.ClickException(problem)
    _tell_findings(log, sources)
    log.info(
        "played {played:,} frames, {sent:,} of them to subscribers, in {seconds:.1f} s",
        played=played.player.played,
        sent=played.sent,
        seconds=0.0 if played.began_ms is None else (played.now_ms - played.began_ms) / 1000,
    )
    if problem is not None:
        raise click.ClickException(problem)
    if not played.player.played and ended:
        raise click.ClickException(
            "nothing was played: the files have no frame of the times and symbols that were asked for"
        )


def _hint(url: str, selection: Selection, sources: Iterable[ReplayFile]) -> str:
    """Return with which environment a node or a feed follows this replay."""
    streams = {stream for source in sources for stream in source.streams if selection.has_symbol(stream)}
    symbols = sorted({stream.partition("@")[0].upper() for stream in streams if not stream.startswith("!")})
    # One that is seldom traded may come later than was looked.
    symbols = symbols or sorted(selection.symbols)
    kinds = {stream.partition("@")[2] for stream in streams}
    chosen = f" CROSSTICK_SYMBOLS={','.join(symbols)}" if symbols else ""
    trades = " CROSSTICK_TRADE_STREAM=aggTrade" if "aggTrade" in kinds and "trade" not in kinds else ""
    return f"To follow it: CROSSTICK_EXCHANGE_URL={url}{chosen}{trades} crosstick run"


def _figures(played: Replay, clients: int) -> str:
    player = played.player
    if not player.started:
        return "waiting for a subscriber"
    at = "" if player.time_s is None else f"{datetime.fromtimestamp(player.time_s, UTC):%Y-%m-%d %H:%M:%S} UTC, "
    return f"{at}{player.played:,} frames, {clients} clients"


def _tell_findings(log: Any, sources: Iterable[ReplayFile]) -> None:
    for source in sources:
        found = source.findings
        if found.torn:
            log.warn(
                "{place}: the recording ends in the middle of a line; what is before it was played", place=found.torn
            )
        if found.dropped:
            log.warn(
                "{path}: {dropped:,} messages could not be recorded, and are missing",
                path=str(source.path),
                dropped=found.dropped,
            )
