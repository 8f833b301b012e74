"""Print the ticks of some symbols, one JSON object a line, over the plain WebSocket; everything else goes to stderr.

Needs nothing of Crosstick's, but `pip install websockets==15.0.1`:

CROSSTICK_TOKEN=$(crosstick token --sub me --role viewer) python clients/python/plain.py BTCUSDT ETHUSDT

CROSSTICK_URL is the gateway, by default ws://127.0.0.1:8080/ws. The exit code is 2 when the gateway refuses the token.
"""

import asyncio
import json
import os
import random
import sys

from websockets.asyncio.client import connect, process_exception
from websockets.exceptions import ConnectionClosed, InvalidStatus

MAX_PAUSE_S = 5.0
FINAL_CODES = (4004, 4005)
"""The token has expired, or was revoked: it would not get better."""


def retried(error: Exception) -> Exception | None:
    """Return an error that ends the attempts to connect, or None: a gateway with too many connections has room later."""
    if isinstance(error, InvalidStatus) and error.response.status_code == 429:
        return None
    return process_exception(error)


async def watch(url: str, token: str, symbols: list[str]) -> None:
    """Print ticks for ever, on one connection after another."""
    headers = {"Authorization": f"Bearer {token}"}
    async for socket in connect(url, additional_headers=headers, process_exception=retried):
        try:
            await socket.send(json.dumps({"type": "subscribe", "symbols": symbols}))
            async for text in socket:
                # The very digits of the exchange: json.loads(text, parse_float=decimal.Decimal) keeps them.
                print(text, file=sys.stderr if "type" in json.loads(text) else sys.stdout, flush=True)
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code in FINAL_CODES:
                raise
            print(f"lost: {closed}", file=sys.stderr, flush=True)
        # Not all clients of a gateway that is started anew are to come back in the same moment.
        await asyncio.sleep(random.uniform(0, MAX_PAUSE_S))  # noqa: S311


if __name__ == "__main__":
    try:
        gateway = os.environ.get("CROSSTICK_URL", "ws://127.0.0.1:8080/ws")
        asyncio.run(watch(f"{gateway}/trade", os.environ["CROSSTICK_TOKEN"], sys.argv[1:]))
    except (InvalidStatus, ConnectionClosed) as error:
        sys.stderr.write(f"refused: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        pass
