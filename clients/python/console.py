"""What the commands here have in common: words on stderr, and an end by signal."""

import asyncio
import signal
import sys
from collections.abc import Awaitable

from market_client import ConnectionState, StateChange


def say(text: str) -> None:
    """Print a line to stderr."""
    print(text, file=sys.stderr, flush=True)


def say_state(change: StateChange) -> None:
    """Say what has happened to the connection."""
    if change.state is ConnectionState.WAITING:
        say(f"lost: {change.reason}; next attempt in {change.retry_in_s:.1f} s")
    else:
        say(change.state.value)


async def run_until_signal(work: Awaitable[object]) -> None:
    """Await what runs for ever, until SIGINT or SIGTERM cancels it; whatever it raises is raised here."""
    running = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        say("closed")
