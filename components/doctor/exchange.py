"""The exchange, as a feed on this machine would reach it, and this machine's clock beside its."""

from __future__ import annotations

import http.client
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.sync.client import connect

from components.doctor.findings import Finding, fail, ok, warn
from components.doctor.node_setup import Setup

TIMEOUT_S = 5.0
SLOW_S = 0.5
SKEW_WARN_S = 2.0
SKEW_FAIL_S = 60.0
"""From here on tokens are refused by mistake, and no age means anything."""


def judge_reached(url: str, seconds: float, round_trip_s: float) -> Finding:
    """Return what is to be said of an exchange that answers."""
    text = f"{url}: connected within {seconds * 1000:.0f} ms, pings are answered within {round_trip_s * 1000:.0f} ms"
    if round_trip_s > SLOW_S:
        return warn(text, "let the feed run nearer to the exchange: every tick is late by half of that")
    return ok(text)


def judge_clock(ahead_s: float) -> Finding:
    """Return what is to be said of this machine's clock; HTTP's dates have whole seconds."""
    text = f"this machine's clock is {abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} the exchange's"
    if abs(ahead_s) > SKEW_FAIL_S:
        return fail(text, "let NTP set it (timedatectl set-ntp true)")
    if abs(ahead_s) > SKEW_WARN_S:
        return warn(text, "let NTP set it (timedatectl set-ntp true)")
    return ok(text)


def look(setup: Setup) -> list[Finding]:
    """Open a WebSocket as a feed does, and ping."""
    if setup.settings is None:
        return []
    if setup.settings.simulator is not None:
        return [ok("the simulated exchange, which a node brings along")]
    if setup.offline:
        return []
    url = setup.settings.feed.exchange_url
    begun_s = time.monotonic()
    try:
        # As the feed does, without a proxy.
        with connect(f"{url}/ws", open_timeout=TIMEOUT_S, close_timeout=0.5, proxy=None, compression=None) as socket:
            opened_s = time.monotonic()
            if not socket.ping().wait(TIMEOUT_S):
                return [
                    fail(f"{url} does not answer a ping within {TIMEOUT_S:g} s", "see whether something is between")
                ]
            return [judge_reached(url, opened_s - begun_s, time.monotonic() - opened_s)]
    except ssl.SSLCertVerificationError as error:
        hint = "SSL_CERT_FILE names other authorities; is something between that breaks TLS open?"
        return [fail(f"{url}: {error.verify_message}", hint)]
    except InvalidStatus as error:
        hint = "451 and 403: the exchange serves no one from here; 429 and 418: too many connections, wait"
        return [fail(f"{url} answers with HTTP {error.response.status_code}", hint)]
    except (OSError, InvalidHandshake, WebSocketException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        hint = "does a firewall let this machine out? A feed takes no proxy. --offline passes this over"
        return [fail(f"{url} cannot be reached: {' '.join(reason.split())}", hint)]


def look_at_clock(setup: Setup) -> list[Finding]:
    """Compare the clocks by the date of an HTTP answer, if it has one."""
    if setup.offline or setup.settings is None or setup.settings.simulator is not None:
        return []
    split = urlsplit(setup.settings.feed.exchange_url)
    connection: Any = http.client.HTTPSConnection if split.scheme == "wss" else http.client.HTTPConnection
    asking = connection(split.hostname or "", split.port, timeout=TIMEOUT_S - 1)
    try:
        asked_s = time.time()
        asking.request("GET", "/", headers={"User-Agent": "crosstick"})
        date = asking.getresponse().getheader("Date")
        ours_s = (asked_s + time.time()) / 2
    except (OSError, http.client.HTTPException):
        # Whether it can be reached is said beside.
        return []
    finally:
        asking.close()
    try:
        # What it says has been so for half a second, on average.
        theirs_s = parsedate_to_datetime(date or "").timestamp() + 0.5
    except ValueError:
        return []
    return [judge_clock(ours_s - theirs_s)]
