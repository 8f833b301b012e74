"""The environment, checked once at start and turned into frozen settings; nothing else reads ``CROSSTICK_…`` variables.

What each variable means stands in ``components.variables``. An unknown ``CROSSTICK_…`` name or an impossible value raises
``SettingsError`` with one line that names the variable, the value and the rule.
"""

from __future__ import annotations

import os
import platform
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from components.core.kafka_address import KAFKA_FORMS, InvalidKafkaAddress, is_kafka_url, parse_kafka_url
from components.core.recording import RecordingError, recorded_streams
from components.core.redis_address import REDIS_FORMS, InvalidRedisAddress, is_redis_url, parse_redis_url
from components.core.symbol_choice import MAX_SYMBOLS, SYMBOL_PATTERN
from components.instruments import DEFAULT_SYMBOLS
from components.variables import CLIENT_VARIABLES, KNOWN_VARIABLES

DEFAULT_SIMULATOR_PORT = 9443
DEFAULT_RATE_PER_S = 500
MAX_RATE_PER_S = 50_000
Number = TypeVar("Number", int, float)

_SYMBOL = re.compile(SYMBOL_PATTERN)
_FEED_NAME = re.compile(r"[A-Za-z0-9._:@-]{1,64}")

LOG_VARIABLE = "CROSSTICK_LOG"
LOG_TEXT = "text"
LOG_JSON = "json"

SHARED_BUSES = frozenset({"redis", "rediss", "redis+sentinel", "redis+sentinel+tls", "kafka", "kafka+ssl"})
"""Schemes of ``CROSSTICK_BUS`` whose batches reach every worker; those of the embedded bus reach one."""


class SettingsError(ValueError):
    """A variable of the environment is unknown or has an impossible value; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """What the simulated exchange plays instead of its own prices."""

    path: Path
    """JSON lines, one ``{"t": receive time in s, "msg": raw text}`` each."""

    speed: float
    """1 is the recorded pace; 10 is ten times faster."""

    loop: bool
    """Start over at the end; otherwise the exchange goes quiet there."""


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """The embedded simulated exchange."""

    host: str
    port: int
    rate_per_s: int
    """Trades per second over all symbols, 1 to 50,000."""

    seed: int
    recording: RecordingSettings | None
    """``None``: the exchange makes prices of its own."""


@dataclass(frozen=True, slots=True)
class BusSettings:
    """What carries batches from feed to gateways."""

    kind: str = "wamp"
    """``wamp``, the bus of a single node, ``redis`` or ``kafka``."""

    url: str = field(default="", repr=False)
    """Where it is, checked; empty for ``wamp``. It may hold a password."""


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """What the feed subscribes to, and where."""

    exchange_url: str
    """Base address, without path: ``wss://data-stream.binance.vision``."""

    symbols: tuple[str, ...]
    trade_stream: str
    """``trade`` or ``aggTrade``: which of the exchange's streams becomes ticks."""

    stale_after_s: float
    """A symbol with no message for this long is stale."""

    name: str
    """Which feed this is, for status, logs and metrics: 1 to 64 letters, digits and ``. _ : @ -``."""

    day: bool = True
    """Whether statistics of 24 hours are asked for: a third stream per symbol."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the environment decides, except the token keys (see ``components.tokens``)."""

    feed: FeedSettings
    simulator: SimulatorSettings | None
    """``None``: ``CROSSTICK_EXCHANGE_URL`` names another exchange."""

    bus: BusSettings = BusSettings()

    log: str = LOG_TEXT
    """``text`` for people or ``json`` for machines."""


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings an environment asks for.

    Raises:
        SettingsError: a ``CROSSTICK_…`` name is unknown or a value impossible.
    """
    unknown = sorted(
        name for name in environ if name.startswith("CROSSTICK_") and name not in KNOWN_VARIABLES | CLIENT_VARIABLES
    )
    if unknown:
        raise SettingsError(
            f"unknown environment variable {unknown[0]}; known are {', '.join(sorted(KNOWN_VARIABLES))}"
        )
    recording = _recording(environ)
    if recording is None:
        _recording_options(environ)
    simulator_port = _integer(environ, "CROSSTICK_SIMULATOR_PORT", DEFAULT_SIMULATOR_PORT, 1, 65_535)
    embedded = not environ.get("CROSSTICK_EXCHANGE_URL")
    url = f"ws://127.0.0.1:{simulator_port}" if embedded else environ["CROSSTICK_EXCHANGE_URL"].rstrip("/")
    split = urlsplit(url)
    if split.scheme not in ("ws", "wss") or not _is_host_and_port(split):
        raise SettingsError(f"CROSSTICK_EXCHANGE_URL must be ws://host[:port] or wss://host[:port], was {url!r}")
    if recording and not embedded:
        raise SettingsError("CROSSTICK_RECORDING is played by the embedded exchange: unset CROSSTICK_EXCHANGE_URL")

    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    trade_stream, day = "trade", True
    if recording:
        try:
            streams = recorded_streams(recording.path)
        except (RecordingError, OSError) as error:
            raise SettingsError(f"CROSSTICK_RECORDING cannot be played: {error}") from error
        symbols = tuple(sorted({symbol for symbol, _ in streams}))
        trade_stream = "trade" if any(stream == "trade" for _, stream in streams) else "aggTrade"
        day = any(stream == "miniTicker" for _, stream in streams)
    if "CROSSTICK_SYMBOLS" in environ:
        symbols = parse_symbols(environ["CROSSTICK_SYMBOLS"])
    trade_stream = environ.get("CROSSTICK_TRADE_STREAM", trade_stream)
    if trade_stream not in ("trade", "aggTrade"):
        raise SettingsError(f"CROSSTICK_TRADE_STREAM must be 'trade' or 'aggTrade', was {trade_stream!r}")

    feed = FeedSettings(
        exchange_url=url,
        symbols=symbols,
        trade_stream=trade_stream,
        stale_after_s=_number(environ, "CROSSTICK_STALE_AFTER", 60.0, 1.0, 86_400.0),
        name=_feed_name(environ),
        day=_yes_or_no(environ, "CROSSTICK_DAY", day),
    )
    simulator = SimulatorSettings(
        host="127.0.0.1",
        port=simulator_port,
        rate_per_s=_integer(environ, "CROSSTICK_RATE", DEFAULT_RATE_PER_S, 1, MAX_RATE_PER_S),
        seed=_integer(environ, "CROSSTICK_SEED", 1, 0, 2**63 - 1),
        recording=recording,
    )
    return Settings(feed=feed, simulator=simulator if embedded else None, bus=_bus(environ), log=log_form(environ))


def log_form(environ: Mapping[str, str]) -> str:
    """Return the form of the log, ``text`` or ``json``.

    Raises:
        SettingsError: the environment asks for another one.
    """
    form = environ.get(LOG_VARIABLE, LOG_TEXT)
    if form not in (LOG_TEXT, LOG_JSON):
        raise SettingsError(f"{LOG_VARIABLE} must be {LOG_TEXT!r} or {LOG_JSON!r}, was {form!r}")
    return form


def _feed_name(environ: Mapping[str, str]) -> str:
    if "CROSSTICK_FEED_NAME" not in environ:
        host = re.sub(r"[^A-Za-z0-9._-]", "-", platform.node()) or "feed"
        return f"{host[:48]}:{os.getpid()}"
    name = environ["CROSSTICK_FEED_NAME"]
    if not _FEED_NAME.fullmatch(name):
        raise SettingsError(f"CROSSTICK_FEED_NAME must be 1 to 64 letters, digits and . _ : @ -, was {name!r}")
    return name


def _bus(environ: Mapping[str, str]) -> BusSettings:
    value = environ.get("CROSSTICK_BUS", "wamp")
    if value == "wamp":
        return BusSettings()
    if is_kafka_url(value):
        return _kafka_bus(value)
    if not is_redis_url(value):
        # Whatever it is, it may hold a password: nothing of it is shown but the scheme.
        forms = f"wamp, {REDIS_FORMS}, or {KAFKA_FORMS}"
        raise SettingsError(f"CROSSTICK_BUS must be {forms}, was {value.partition(':')[0]!r}…")
    try:
        parse_redis_url(value)
    except InvalidRedisAddress as error:
        raise SettingsError(f"CROSSTICK_BUS must be {REDIS_FORMS}: {error}") from None
    return BusSettings("redis", value)


def why_one_worker_only(environ: Mapping[str, str]) -> str | None:
    """Say in one line why no more than one router worker may serve clients on this environment's bus; ``None``: more may."""
    # Of an address, which may hold a password, no more than the scheme is shown.
    bus = environ.get("CROSSTICK_BUS", "wamp").partition("://")[0]
    if bus in SHARED_BUSES:
        return None
    return (
        f"several router workers need a bus that each of them reads, CROSSTICK_BUS=redis://… or kafka://…; with {bus!r} "
        "a batch would reach one of them only"
    )


def _kafka_bus(url: str) -> BusSettings:
    try:
        address = parse_kafka_url(url)
    except InvalidKafkaAddress as error:
        raise SettingsError(f"CROSSTICK_BUS must be {KAFKA_FORMS}: {error}") from None
    if address.ca_file:
        try:
            ssl.create_default_context(cafile=address.ca_file)
        except OSError as error:
            raise SettingsError(
                f"CROSSTICK_BUS must name a file of certificates in PEM after ca=, was {address.ca_file!r}: {error}"
            ) from None
    if find_spec("confluent_kafka") is None:
        raise SettingsError("CROSSTICK_BUS=kafka://… needs confluent-kafka: pip install 'crosstick[kafka]'")
    return BusSettings("kafka", url)


def _is_host_and_port(split: SplitResult) -> bool:
    try:
        port = split.port
    except ValueError:
        return False
    rest = split.path or split.query or split.fragment or split.username is not None
    return bool(split.hostname) and port != 0 and not rest


def _recording(environ: Mapping[str, str]) -> RecordingSettings | None:
    name = environ.get("CROSSTICK_RECORDING")
    if not name:
        return None
    path = Path(name)
    if not path.is_file():
        raise SettingsError(f"CROSSTICK_RECORDING must name a file, was {name!r}")
    speed, loop = _recording_options(environ)
    return RecordingSettings(path=path, speed=speed, loop=loop)


def _recording_options(environ: Mapping[str, str]) -> tuple[float, bool]:
    loop = _yes_or_no(environ, "CROSSTICK_RECORDING_LOOP", True)
    return _number(environ, "CROSSTICK_RECORDING_SPEED", 1.0, 0.001, 10_000.0), loop


def _yes_or_no(environ: Mapping[str, str], name: str, default: bool) -> bool:
    text = environ.get(name, "yes" if default else "no")
    if text not in ("yes", "no"):
        raise SettingsError(f"{name} must be 'yes' or 'no', was {text!r}")
    return text == "yes"


def parse_symbols(value: str, name: str = "CROSSTICK_SYMBOLS") -> tuple[str, ...]:
    """Return the symbols of a list with commas between, each once.

    Raises:
        SettingsError: there is none, there are too many, or one is none; ``name`` says of what.
    """
    symbols = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if not symbols:
        raise SettingsError(f"{name} must name at least one symbol, was empty")
    if len(symbols) > MAX_SYMBOLS:
        raise SettingsError(f"{name} must name at most {MAX_SYMBOLS} symbols, named {len(symbols)}")
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise SettingsError(f"{name} must be upper-case symbols such as BTCUSDT, had {symbol!r}")
    return symbols


def _integer(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    return _within(environ, name, default, low, high, int, f"a whole number from {low} to {high}")


def _number(environ: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    return _within(environ, name, default, low, high, float, f"a number from {low:g} to {high:g}")


def _within(
    environ: Mapping[str, str],
    name: str,
    default: Number,
    low: Number,
    high: Number,
    convert: Callable[[str], Number],
    rule: str,
) -> Number:
    text = environ.get(name)
    if text is None:
        return default
    try:
        value = convert(text)
    except ValueError:
        raise SettingsError(f"{name} must be {rule}, was {text!r}") from None
    if not low <= value <= high:
        raise SettingsError(f"{name} must be {rule}, was {text!r}")
    return value
