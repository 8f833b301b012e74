"""The environment: defaults, rules, and one clear line for what breaks them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.settings import BusSettings, SettingsError, load_settings


def test_by_default_the_feed_follows_the_simulated_exchange() -> None:
    settings = load_settings({"PATH": "/bin"})
    assert len(settings.feed.symbols) >= 100
    assert settings.feed.exchange_url == "ws://127.0.0.1:9443"
    assert settings.feed.trade_stream == "trade"
    assert settings.simulator is not None
    assert (settings.simulator.port, settings.simulator.rate_per_s, settings.simulator.recording) == (9443, 500, None)


def test_another_exchange_leaves_the_simulated_one_off() -> None:
    settings = load_settings({"CROSSTICK_EXCHANGE_URL": "wss://data-stream.binance.vision/"})
    assert settings.feed.exchange_url == "wss://data-stream.binance.vision"
    assert settings.simulator is None


def test_a_recording_brings_its_own_symbols_and_trade_stream(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    streams = ["nknusdt@aggTrade", "nknusdt@depth@100ms", "lrcbtc@bookTicker"]
    path.write_text(
        "".join(json.dumps({"t": 1.0, "msg": json.dumps({"stream": name, "data": {}})}) + "\n" for name in streams)
    )
    settings = load_settings({"CROSSTICK_RECORDING": str(path), "CROSSTICK_RECORDING_SPEED": "10"})
    assert settings.feed.symbols == ("LRCBTC", "NKNUSDT")
    assert settings.feed.trade_stream == "aggTrade"
    assert not settings.feed.day
    assert settings.simulator is not None
    assert settings.simulator.recording is not None
    assert (settings.simulator.recording.speed, settings.simulator.recording.loop) == (10.0, True)


def test_statistics_are_asked_for_unless_that_is_turned_off() -> None:
    assert load_settings({}).feed.day
    assert not load_settings({"CROSSTICK_DAY": "no"}).feed.day


def test_what_the_clients_read_is_passed_over() -> None:
    assert load_settings({"CROSSTICK_TOKEN": "x", "CROSSTICK_URL": "ws://x/ws"}) == load_settings({})


def test_symbols_are_taken_in_order_and_once() -> None:
    assert load_settings({"CROSSTICK_SYMBOLS": "ETHUSDT, BTCUSDT,ETHUSDT"}).feed.symbols == ("ETHUSDT", "BTCUSDT")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("CROSSTICK_RAET", "5", "unknown environment variable CROSSTICK_RAET; known are CROSSTICK_BRIDGE_SECRET"),
        ("CROSSTICK_RATE", "0", "CROSSTICK_RATE must be a whole number from 1 to 50000, was '0'"),
        ("CROSSTICK_RATE", "50001", "was '50001'"),
        ("CROSSTICK_RATE", "many", "was 'many'"),
        ("CROSSTICK_SEED", "-1", "CROSSTICK_SEED must be"),
        ("CROSSTICK_SIMULATOR_PORT", "70000", "from 1 to 65535"),
        ("CROSSTICK_STALE_AFTER", "nan", "CROSSTICK_STALE_AFTER must be a number from 1 to 86400, was 'nan'"),
        ("CROSSTICK_DAY", "off", "CROSSTICK_DAY must be 'yes' or 'no', was 'off'"),
        ("CROSSTICK_RECORDING_LOOP", "maybe", "'yes' or 'no', was 'maybe'"),
        ("CROSSTICK_SYMBOLS", " , ", "at least one symbol"),
        ("CROSSTICK_SYMBOLS", "btcusdt", "upper-case symbols such as BTCUSDT, had 'btcusdt'"),
        ("CROSSTICK_SYMBOLS", "BTC.USDT", "had 'BTC.USDT'"),
        ("CROSSTICK_TRADE_STREAM", "kline", "'trade' or 'aggTrade', was 'kline'"),
        ("CROSSTICK_EXCHANGE_URL", "https://example.org", "must be ws://host"),
        ("CROSSTICK_EXCHANGE_URL", "wss://example.org/ws", "must be ws://host"),
        *(
            ("CROSSTICK_EXCHANGE_URL", url, "must be ws://host")
            for url in ("ws://x:99999", "ws://x:abc", "ws://x:0", "ws://u:p@x", "ws://x#f", "ws://")
        ),
        ("CROSSTICK_BUS", "carrier-pigeon", "CROSSTICK_BUS must be wamp, redis://"),
        ("CROSSTICK_BUS", "redis://h/x", "the database must be a number"),
        ("CROSSTICK_BUS", "kafka://h:0", "a host is missing or malformed"),
        ("CROSSTICK_BUS", "kafka+ssl://h?ca=/nowhere.pem", "in PEM after ca=, was '/nowhere.pem': [Errno 2]"),
        ("CROSSTICK_BUS", f"kafka+ssl://h?ca={__file__}", "test_settings.py': [X509"),
        ("CROSSTICK_RECORDING", "/nowhere.jsonl", "must name a file"),
    ],
)
def test_what_breaks_a_rule_is_named_with_its_value_and_the_rule(name: str, value: str, reason: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings({name: value})
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_by_default_the_bus_is_the_nodes_own_and_a_url_names_another() -> None:
    assert load_settings({}).bus == BusSettings()
    assert load_settings({"CROSSTICK_BUS": "redis://h"}).bus == BusSettings("redis", "redis://h")
    assert load_settings({"CROSSTICK_BUS": "kafka://h"}).bus == BusSettings("kafka", "kafka://h")


def test_the_kafka_bus_without_its_library_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.settings.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"needs confluent-kafka: pip install 'crosstick\[kafka\]'$"):
        load_settings({"CROSSTICK_BUS": "kafka://h"})


@pytest.mark.parametrize("url", ["redis://:secret@h/x", "kafka://ann:secret@h", "amqp://ann:secret@h", "kafka2:secret"])
def test_no_password_of_the_bus_is_shown(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings({"CROSSTICK_BUS": url})
    assert "secret" not in str(raised.value)
    assert "secret" not in repr(load_settings({"CROSSTICK_BUS": "redis://:secret@h"}))


def test_a_recording_that_cannot_be_read_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text("nonsense\n")
    with pytest.raises(SettingsError, match=r"CROSSTICK_RECORDING cannot be played: .*broken\.jsonl:1: "):
        load_settings({"CROSSTICK_RECORDING": str(path)})
