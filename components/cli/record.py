"""``crosstick record``: what the exchange sends, written to compressed files, for ``crosstick replay``.

Twisted is imported inside the command: the other commands need not wait for it.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from components.cli.progress import Progress
from components.cli.sections import examples
from components.settings import SettingsError, load_settings, parse_symbols

LOOK_INTERVAL_S = 1.0


@click.command(
    short_help="Record what the exchange sends, in compressed files.",
    epilog=examples(
        "crosstick record --out recordings --minutes 60",
        "crosstick record --out recordings --symbols BTCUSDT,ETHUSDT",
    ),
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the files; made if it is not there.",
)
@click.option("--symbols", help="Such as BTCUSDT,ETHUSDT, instead of CROSSTICK_SYMBOLS.")
@click.option(
    "--minutes", type=click.FloatRange(0.01, 1_000_000), help="End after so many.  [default: go on until Ctrl-C]"
)
@click.option(
    "--rotate-minutes",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0.01, 100_000),
    help="Begin another file after so many.",
)
@click.option(
    "--max-bytes",
    default=256 * 2**20,
    show_default=True,
    type=click.IntRange(1024),
    help="Or when one has so many, compressed.",
)
def record(*, out: Path, symbols: str | None, minutes: float | None, rotate_minutes: float, max_bytes: int) -> None:
    """Record what the exchange sends, until SIGTERM or Ctrl-C.

    CROSSTICK_EXCHANGE_URL and CROSSTICK_SYMBOLS say what, as for a feed. Files are named by the time in UTC at which they
    begin, and can be read at any time, also after this process was killed: no more than the last second is missing then.
    """
    environ = dict(os.environ)
    if symbols is not None:
        environ["CROSSTICK_SYMBOLS"] = symbols
    try:
        if symbols is not None:
            parse_symbols(symbols, "--symbols")
        settings = load_settings(environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    _require_writable(out)

    from twisted.internet import reactor
    from twisted.internet.task import LoopingCall
    from twisted.python.failure import Failure

    from components.cli.foreground import Foreground
    from components.logs.begin import begin_log
    from components.recorder.files import RecordingFiles
    from components.recorder.recorder import Recorder
    from components.recorder.writer import RecordingWriter

    loop: Any = reactor
    begin_log(loop, "record", settings.log)

    def disk_failed(error: Exception) -> None:
        loop.callFromThread(foreground.stop, f"{out} takes no more: {error}; what was written before is complete")

    def feed_failed(failure: Failure) -> None:
        Recorder.log.failure("the recorder cannot go on", failure=failure)
        foreground.stop(f"the recorder cannot go on: {failure.getErrorMessage()}")

    files = RecordingFiles(out, rotate_after_s=rotate_minutes * 60, max_file_bytes=max_bytes)
    writer = RecordingWriter(files, disk_failed)
    recorder = Recorder(loop, settings.feed, writer, time.time, feed_failed)
    progress = Progress("recording")

    def figures() -> str:
        return (
            f"{writer.messages:,} messages of {len(settings.feed.symbols)} symbols, {files.written_bytes:,} bytes in "
            f"{files.files} files, {writer.dropped:,} not recorded, {recorder.feed.state.value}"
        )

    def look() -> None:
        recorder.look()
        progress.show(figures())

    async def begin() -> None:
        recorder.start()
        watch.start(LOOK_INTERVAL_S, now=False)

    async def end() -> None:
        if watch.running:
            watch.stop()
        await recorder.stop()

    watch = LoopingCall(look)
    foreground = Foreground(
        loop, end, let_go=progress.let_go, left="; what was written can be read, and may lack the last second"
    )
    if minutes is not None:
        loop.callLater(minutes * 60, foreground.stop)
    with progress:
        problem = foreground.run(begin)
    missed = recorder.feed.intake.sequencer.counters.missed_trades
    Recorder.log.info(
        "recorded {messages:,} messages in {files} files of {written:,} bytes in all; {dropped:,} could not be written, "
        "{missed:,} trades did not come",
        messages=writer.messages,
        files=files.files,
        written=files.written_bytes,
        dropped=writer.dropped,
        missed=missed,
    )
    if problem is not None:
        raise click.ClickException(problem)


def _require_writable(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise click.ClickException(f"{directory} cannot be written to: {error.strerror}") from error
