"""Print the ticks of some symbols, one JSON object a line; what happens to the connection goes to stderr.

CROSSTICK_TOKEN=$(crosstick token --sub me --role viewer) python clients/python/watch.py BTCUSDT ETHUSDT

CROSSTICK_URL is the gateway, by default ws://127.0.0.1:8080/ws; or several, with commas between. Exit codes: 0 after
SIGINT or SIGTERM, 2 for wrong use and when the gateway refuses the token.
"""

import asyncio
import os
import sys

import msgspec
from console import run_until_signal, say, say_state
from market_client import AccessRefused, MarketClient, Replay, follow_ticks
from sequence import Gap, SequenceTracker

_encode = msgspec.json.Encoder(decimal_format="number").encode


def _print_tick(tick: dict, missed: int) -> None:
    print(_encode(tick).decode(), flush=True)


def _say_gap(gap: Gap) -> None:
    end = "?" if gap.to_seq is None else gap.to_seq
    say(f"gap: {gap.symbol} {gap.from_seq} to {end} of epoch {gap.epoch}: {gap.because}")


def _say_replay(replay: Replay) -> None:
    say(f"replayed: {replay.ticks} ticks of {replay.symbol} after {replay.after_seq} up to {replay.to_seq}")


async def watch(url: str, token: str, symbols: list[str]) -> None:
    """Print ticks until SIGINT or SIGTERM."""
    sequences = SequenceTracker()

    async def on_join(session) -> None:
        await follow_ticks(session, symbols, _print_tick, sequences, on_gap=_say_gap, on_replay=_say_replay)

    await run_until_signal(MarketClient(url, token, on_join, say_state).run())


def main() -> int:
    """Run the command; return its exit code."""
    symbols = sys.argv[1:]
    token = os.environ.get("CROSSTICK_TOKEN")
    if not symbols:
        say("usage: CROSSTICK_TOKEN=… python watch.py SYMBOL…")
        return 2
    if not token:
        say("CROSSTICK_TOKEN is not set; `crosstick token --sub me --role viewer` prints one")
        return 2
    try:
        asyncio.run(watch(os.environ.get("CROSSTICK_URL", "ws://127.0.0.1:8080/ws"), token, symbols))
    except (AccessRefused, ValueError) as error:
        say(f"refused: {error}")
        return 2
    except BrokenPipeError:
        # A reader that has gone, as in `… | head`, is an ordinary end; keep the interpreter from flushing into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
