"""A backend service: answers the volume-weighted average price (VWAP) of a symbol's last ticks, and publishes it.

CROSSTICK_TOKEN=$(crosstick token --sub quotes --role service) python clients/service/quotes.py

A service's name is its authid (the token's `sub`); with the token above it offers

- the procedure `services.quotes.vwap(symbol)`, and
- the topics `services.quotes.vwap.<SYMBOL>`, each symbol's VWAP every second in which it traded,

both to viewers whose token names the service: `crosstick token --sub alice --role viewer --services quotes`. Result and
event are `{"symbol": "BTCUSDT", "vwap": "62520.15000000", "volume": "12.50000000", "ticks": 200}`. The figures are texts since
a router reads and rewrites the numbers of calls and publications as floats; the market's own ticks go another way.

Procedures fail with `wamp.error.invalid_argument`, `services.quotes.error.unknown_symbol` or
`services.quotes.error.no_ticks_yet`. CROSSTICK_URL and exit codes as for clients/python/watch.py, whose modules this uses.
"""

import asyncio
import os
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from autobahn.wamp.exception import ApplicationError, TransportLost
from autobahn.wamp.types import PublishOptions

# The example is run as a file, and its neighbour is no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from console import run_until_signal, say, say_state
from market_client import AccessRefused, MarketClient, TicketSession, follow_ticks, subject_of
from sequence import SequenceTracker
from vwap import VwapWindow

PUBLISH_INTERVAL_S = 1.0


class QuoteService:
    """Follows all symbols, and offers their averages under `services.<name>.`."""

    def __init__(self, name: str) -> None:
        self._prefix = f"services.{name}."
        self._windows: dict[str, VwapWindow] = {}
        self._traded: set[str] = set()
        self._sequences = SequenceTracker()
        self._session: TicketSession | None = None

    async def on_join(self, session: TicketSession) -> None:
        """Follow the market and offer the procedure; called after each join."""
        symbols = await session.call("market.symbols")
        # Symbols that have left the market leave the memory too.
        self._windows = {symbol: self._windows.get(symbol, VwapWindow()) for symbol in symbols}
        await follow_ticks(session, symbols, self._take_tick, self._sequences)
        await session.register(self.vwap, self._prefix + "vwap")
        self._session = session

    def _take_tick(self, tick: dict, missed: int) -> None:
        # A merged tick weighs in with its last price: the gateway tells the sum of the volumes, and no other price's share.
        # Decimal() for the numbers that the exchange writes without a fraction.
        self._windows[tick["symbol"]].add(Decimal(tick["price"]), Decimal(tick["volume"]))
        self._traded.add(tick["symbol"])

    def vwap(self, *args: object, **kwargs: object) -> dict:
        """Return the average of one symbol: the procedure. Takes anything, so as to answer in its own words."""
        symbol = args[0] if len(args) == 1 and not kwargs else None
        if not isinstance(symbol, str):
            raise ApplicationError(ApplicationError.INVALID_ARGUMENT, "expected one argument: the symbol, a text")
        if symbol not in self._windows:
            raise ApplicationError(self._prefix + "error.unknown_symbol", f"no such symbol: {symbol[:32]}")
        window = self._windows[symbol]
        if not window:
            raise ApplicationError(self._prefix + "error.no_ticks_yet", f"{symbol} has not traded since the start")
        average, volume = window.average()
        return {"symbol": symbol, "vwap": f"{average:f}", "volume": f"{volume:f}", "ticks": len(window)}

    async def publish_forever(self) -> None:
        """Publish the averages of the symbols that traded, once a second, while there is a session."""
        while True:
            await asyncio.sleep(PUBLISH_INTERVAL_S)
            if self._session is not None and self._session.is_attached():
                traded, self._traded = self._traded, set()
                await self._publish(self._session, traded)

    async def _publish(self, session: TicketSession, symbols: Iterable[str]) -> None:
        try:
            for symbol in symbols:
                # Acknowledged, for two reasons: a refusal is told, and a slow gateway slows this loop.
                await session.publish(
                    f"{self._prefix}vwap.{symbol}", self.vwap(symbol), options=PublishOptions(acknowledge=True)
                )
        except TransportLost:
            return  # the client reconnects; a second's averages are not worth keeping
        except ApplicationError as error:
            # Registering was allowed, so this is the gateway's end or a changed rule: no reason to go on as if nothing was.
            raise AccessRefused(error.error_message()) from error


async def serve(url: str, token: str) -> None:
    """Offer the service until SIGINT or SIGTERM."""
    service = QuoteService(subject_of(token))
    client = MarketClient(url, token, service.on_join, say_state)
    await run_until_signal(asyncio.gather(client.run(), service.publish_forever()))


def main() -> int:
    """Run the service; return its exit code."""
    token = os.environ.get("CROSSTICK_TOKEN")
    if not token:
        say("CROSSTICK_TOKEN is not set; `crosstick token --sub quotes --role service` prints one")
        return 2
    try:
        asyncio.run(serve(os.environ.get("CROSSTICK_URL", "ws://127.0.0.1:8080/ws"), token))
    except (AccessRefused, ValueError) as error:
        say(f"refused: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
