"""What is said of what was seen."""

from __future__ import annotations

import errno
import resource
from dataclasses import replace
from typing import Any

import pytest
import yaml

from components.core.kafka_address import parse_kafka_url
from components.doctor import configuration, exchange, kafka, machine, redis, secrets, software
from components.doctor.certificates import judge_certificate
from components.doctor.findings import Finding, Level, Result, fail, ok, warn, worst
from components.doctor.node_file import Endpoint, NodeFile, NotAConfiguration
from components.doctor.ports import Port, judge_ports
from tests.harness.node import REPOSITORY, component

OK, WARN, FAIL = Level.OK, Level.WARN, Level.FAIL


def shipped() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((REPOSITORY / ".crossbar" / "config.yaml").read_text())
    return config


def levels(findings: list[Finding]) -> list[Level]:
    return [each.level for each in findings]


def test_the_worst_counts_and_every_trouble_has_a_hint() -> None:
    assert worst([ok("a"), fail("b", "c"), warn("d", "e")]) is FAIL
    assert worst([]) is OK
    shown = Result("disk", "Machine", (warn("little", "make room"),), 0.12345).as_object()
    assert shown == {
        "check": "disk",
        "section": "Machine",
        "level": "warn",
        "seconds": 0.123,
        "findings": [{"level": "warn", "text": "little", "hint": "make room"}],
    }


@pytest.mark.parametrize(("version", "level"), [((3, 11, 0), OK), ((3, 14, 1), OK), ((3, 10, 9), FAIL)])
def test_python_must_be_recent(version: tuple[int, int, int], level: Level) -> None:
    assert software.judge_python(version, "cpython").level is level


def test_pins_are_those_of_this_python() -> None:
    lines = [
        "crossbar==26.10.1",
        "msgpack",
        "numpy==1.0; python_version < '3'",
        "extra==1; extra == 'dev'",
        "x[tls]==2",
    ]
    assert software.pinned(lines) == {"crossbar": "26.10.1", "x": "2"}


@pytest.mark.parametrize(
    ("installed", "level", "text"),
    [
        ({"crossbar": "1", "click": "2"}, OK, "2 packages as pinned"),
        ({"crossbar": "9", "click": "2"}, FAIL, "crossbar 1 is pinned, 9 is installed"),
        ({"crossbar": "1", "click": "9"}, WARN, "click 2 is pinned, 9 is installed"),
        ({"crossbar": "1", "click": None}, FAIL, "click 2 is pinned, none is installed"),
    ],
)
def test_packages_must_be_as_pinned(installed: dict[str, str | None], level: Level, text: str) -> None:
    [finding] = software.judge_packages({"crossbar": "1", "click": "2"}, installed)
    assert finding.level is level
    assert finding.text.startswith(text)


def test_a_name_that_is_nearly_one_is_recognised() -> None:
    known = {"CROSSTICK_SYMBOLS", "CROSSTICK_BUS"}
    near, far = configuration.judge_names(["CROSSTICK_SYMBOL", "CROSSTICK_XYZZY", "CROSSTICK_BUS"], known)
    assert near.hint == "did you mean CROSSTICK_SYMBOLS?"
    assert far.text == "unknown variable CROSSTICK_XYZZY"


@pytest.mark.parametrize(
    ("code", "output", "text"),
    [
        (0, "Ok", "crossbar check finds nothing wrong"),
        (1, "Checking\nError: no such type\n\nOrderedDict(", "Error: no such type"),
        (1, "Error: while parsing\nexpected a node\n in line 3", "Error: while parsing expected a node in line 3"),
        (3, "", "it is no configuration"),
    ],
)
def test_of_crossbars_answer_the_error_is_shown(code: int, output: str, text: str) -> None:
    finding = configuration.judge_crossbars_answer(code, output, "it is no configuration" if code == 3 else "")
    assert (finding.text, finding.level) == (text, FAIL if code else OK)


def test_the_shipped_configuration_is_well() -> None:
    node = NodeFile.parse(shipped())
    assert levels(configuration.judge_components(node)) == [OK]
    assert levels(configuration.judge_realms(node)) == [OK]
    assert levels(configuration.judge_transports(node, {})) == [OK]
    [endpoint] = node.endpoints
    assert (endpoint.port, endpoint.backlog, endpoint.answers_readyz) == (8080, 1024, True)
    assert [path for path, _ in node.static_directories] == ["/", "/vendor", "/vendor/lightweight-charts"]
    assert "/ws/trade" in [each.id for each in node.resources]


@pytest.mark.parametrize(
    ("name", "extra", "text"),
    [
        (
            "market-gatekeeper",
            {"limits": {"max_session": 1}},
            "market-gatekeeper: limits has an unknown key 'max_session'",
        ),
        ("market-gatekeeper", {"limit": {}}, "market-gatekeeper: extra has an unknown key 'limit'"),
        ("gateway", {"fanout": {"window_ms": -1}}, "gateway: window_ms must be"),
        ("listeners", {"listeners": {"publik": {}}}, "listeners: listeners.publik: no TCP transport has this id"),
        ("drain", {"drain": {"over_s": "long"}}, "drain: drain.over_s"),
    ],
)
def test_settings_that_a_component_would_refuse_are_found(name: str, extra: dict[str, Any], text: str) -> None:
    config = shipped()
    component(config, name)["extra"] = extra
    [finding] = configuration.judge_components(NodeFile.parse(config))
    assert finding.level is FAIL
    assert finding.text.startswith(text)


def test_a_realm_without_a_gatekeeper_is_closed() -> None:
    config = shipped()
    config["workers"][0]["components"].remove(component(config, "ops-gatekeeper"))
    [finding] = configuration.judge_realms(NodeFile.parse(config))
    assert (finding.level, finding.text) == (FAIL, "realm ops is closed to clients: it has no gatekeeper")


def test_a_realm_that_there_is_not_is_found() -> None:
    config = shipped()
    config["workers"][0]["realms"].pop()
    assert (
        configuration.judge_realms(NodeFile.parse(config))[0].text
        == "clients are let into realm ops, which there is not"
    )


def test_what_listens_in_the_open_without_tls_is_found() -> None:
    config = shipped()
    config["workers"][0]["transports"][1]["endpoint"]["interface"] = "0.0.0.0"
    [finding] = configuration.judge_transports(NodeFile.parse(config), {})
    assert finding.level is FAIL
    assert "without TLS" in finding.text
    component(config, "listeners")["extra"]["listeners"]["public"]["allow_plaintext"] = True
    assert levels(configuration.judge_transports(NodeFile.parse(config), {})) == [OK]


def test_workers_that_share_a_port_need_a_bus_that_they_share() -> None:
    config = shipped()
    config["workers"].append(config["workers"][0])
    unshared, one_bus = configuration.judge_transports(NodeFile.parse(config), {})
    assert "shared: true" in unshared.hint
    assert one_bus.text.startswith("several router workers need a bus")
    config["workers"][0]["transports"][1]["endpoint"]["shared"] = True
    assert levels(configuration.judge_transports(NodeFile.parse(config), {"CROSSTICK_BUS": "redis://x"})) == [OK]


@pytest.mark.parametrize("config", [None, [], {}, {"workers": [7]}, {"workers": [{"type": "router", "realms": [{}]}]}])
def test_what_is_no_configuration_is_said_to_be_none(config: object) -> None:
    with pytest.raises(NotAConfiguration):
        NodeFile.parse(config)


@pytest.mark.parametrize(
    ("folders", "level"),
    [
        ({"/": ["index.html"], "/vendor": ["autobahn.min.js"]}, OK),
        ({"/": None}, FAIL),
        ({"/vendor": []}, FAIL),
        ({"/vendor": ["README"]}, FAIL),
    ],
)
def test_pages_need_their_files(folders: dict[str, Any], level: Level) -> None:
    assert levels(configuration.judge_folders(folders)) == [level]


@pytest.mark.parametrize("path", ["/vendor", "/vendor/lightweight-charts"])
def test_what_make_install_fetches_is_had_by_it(path: str) -> None:
    [finding] = configuration.judge_folders({path: None})
    assert finding.hint.startswith("make install fetches it")


@pytest.mark.parametrize(
    ("secret", "level"),
    [
        (bytes(range(48)), OK),
        (b"kR8vQ2mZ4xT7cB1nW9sL3pY6dF0gH5jA", OK),
        (b"a" * 64, WARN),
        (b"password" * 8, WARN),
        (b"0123456789" * 6, WARN),
        (b"", WARN),
    ],
)
def test_a_secret_must_not_be_guessed(secret: bytes, level: Level) -> None:
    finding = secrets.judge_secret("the key", secret)
    assert finding.level is level
    assert not secret or secret.decode(errors="replace") not in finding.text


@pytest.mark.parametrize(
    ("names", "days", "level"), [(["a.example"], 90, OK), (["a.example"], 20, WARN), ([], 90, WARN)]
)
def test_certificates_need_names_and_time(names: list[str], days: int, level: Level) -> None:
    assert judge_certificate("port 8443", names, days * 86_400 + 60).level is level


NODE = Port(
    "port 8080", errno.EADDRINUSE, "crosstick-router (process 1)", {"ready": True, "because": [], "degraded": []}
)


def without_feed(readiness: dict[str, Any]) -> Port:
    return Port("port 8080", errno.EADDRINUSE, "", readiness)


HELD = Port("port 8080", errno.EADDRINUSE, "nginx (process 7)")
EXCHANGE = Port("port 9443", errno.EADDRINUSE, "x (process 8)", is_simulator=True)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([Port("port 8080"), Port("port 9443", is_simulator=True)], [OK, OK]),
        ([HELD], [FAIL]),
        ([EXCHANGE], [FAIL]),
        ([NODE, EXCHANGE], [OK, OK]),
        ([NODE, Port("port 8090")], [OK, WARN]),
        ([NODE, Port("port 9443", is_simulator=True)], [OK, OK]),
        ([Port("port 8080", errno.EADDRINUSE, "", {"ready": False, "because": ["draining"]})], [FAIL]),
        ([Port("port 8080", errno.EADDRINUSE, "", {"ready": True, "degraded": ["bus: x"]})], [WARN]),
        ([without_feed({"ready": True, "degraded": ["no feed writes to the bus, for 9 s"]})], [FAIL]),
        ([without_feed({"ready": False, "because": ["no feed has reported", "bus: x"]})], [FAIL]),
        ([replace(HELD, is_own=True, is_asked=True), replace(HELD, is_own=True)], [FAIL, OK]),
        ([NODE, replace(HELD, is_own=True, is_asked=True)], [OK, OK]),
        ([Port("port 80", errno.EACCES)], [FAIL]),
        ([Port("10.9.9.9, port 80", errno.EADDRNOTAVAIL)], [FAIL]),
        ([Port("port 80", errno.EINVAL)], [FAIL]),
    ],
)
def test_ports_are_free_or_the_nodes(ports: list[Port], expected: list[Level]) -> None:
    findings = judge_ports(ports)
    assert levels(findings) == expected
    assert all(each.hint for each in findings if each.level is not OK)


def test_without_a_feed_the_feeds_are_to_be_looked_at() -> None:
    [finding] = judge_ports([without_feed({"ready": True, "degraded": ["no feed writes to the bus, for 9 s"]})])
    assert "start a feed" in finding.hint


def test_a_redis_that_throws_keys_away_still_takes_what_is_written() -> None:
    full = {"maxmemory": "3000000", "used_memory": "3100000", "maxmemory_policy": "allkeys-lru"}
    assert worst(redis.judge("Redis at x", redis.Seen(GOOD_REDIS | full, 0.001, None))) is WARN
    buffers = {"maxmemory": "3000000", "used_memory": "3100000", "mem_not_counted_for_evict": "200000"}
    assert worst(redis.judge("Redis at x", redis.Seen(GOOD_REDIS | buffers, 0.001, None))) is WARN


def test_who_holds_a_port_is_named() -> None:
    [finding] = judge_ports([HELD])
    assert "nginx (process 7)" in finding.text


GOOD_REDIS = {"redis_version": "7.2.4", "role": "master", "maxmemory_policy": "noeviction", "aof_enabled": "1"}


@pytest.mark.parametrize(
    ("change", "trip_s", "ahead_s", "level", "text"),
    [
        ({}, 0.001, 0.01, OK, ""),
        ({"redis_version": "6.2.0"}, 0.001, 0.01, OK, ""),
        ({"redis_version": "6.0.16"}, 0.001, 0.01, FAIL, "is Redis 6.0.16, which lacks commands"),
        ({"redis_version": "5.0.3"}, 0.001, 0.01, FAIL, "is Redis 5.0.3"),
        ({"valkey_version": "9.1.2"}, 0.001, 0.01, OK, ""),
        ({"role": "slave"}, 0.001, 0.01, FAIL, "it is a slave"),
        ({"maxmemory_policy": "allkeys-lru"}, 0.001, 0.01, WARN, "maxmemory-policy is allkeys-lru"),
        ({"maxmemory": "1000000", "used_memory": "900000"}, 0.001, 0.01, WARN, "0.9 of 1.0 MB are used"),
        ({"maxmemory": "3000000", "used_memory": "5000000"}, 0.001, 0.01, FAIL, "it refuses what feeds write"),
        ({"rdb_last_bgsave_status": "err"}, 0.001, 0.01, FAIL, "its last snapshot to disk failed"),
        ({}, 0.5, 0.01, WARN, "it answers within 500.0 ms"),
        ({}, 0.001, -7.0, WARN, "its clock is 7.00 s behind"),
        ({}, 0.001, None, OK, ""),
    ],
)
def test_a_redis_must_keep_what_it_is_given(
    change: dict[str, str], trip_s: float, ahead_s: float | None, level: Level, text: str
) -> None:
    findings = redis.judge("Redis at x", redis.Seen(GOOD_REDIS | change, trip_s, ahead_s))
    assert worst(findings) is level
    assert text in " ".join(each.text for each in findings if each.level is not OK)


def test_a_redis_that_says_nothing_of_itself_is_not_called_good() -> None:
    assert worst(redis.judge("Redis at x", redis.Seen({}, 0.001, None))) is WARN


@pytest.mark.parametrize(
    ("replicas", "brokers", "expected"),
    [
        ({"t.batches": 3, "t.standing": 3}, 3, [OK, OK, OK]),
        ({"t.batches": 1, "t.standing": 1}, 1, [OK, OK, OK]),
        ({"t.batches": 1, "t.standing": 3}, 3, [OK, WARN, OK]),
        ({"t.batches": 3}, 3, [OK, OK, FAIL]),
    ],
)
def test_kafka_needs_both_topics(replicas: dict[str, int], brokers: int, expected: list[Level]) -> None:
    address = parse_kafka_url("kafka://one/t")
    assert levels(kafka.judge(address, brokers, replicas, 0.01)) == expected
    assert kafka.judge(address, brokers, replicas, 2.0)[0].level is WARN


@pytest.mark.parametrize(
    ("topic", "policy", "retention_ms", "retention_bytes", "expected"),
    [
        ("t.batches", "delete", "3600000", "-1", OK),
        ("t.batches", "delete", "-1", "-1", WARN),
        ("t.standing", "delete", "-1", "134217728", OK),
        ("t.standing", "delete", "-1", "-1", WARN),
        ("t.standing", "delete", "604800000", "-1", WARN),
        ("t.batches", "compact", "-1", "-1", FAIL),
        ("t.standing", "compact,delete", "-1", "134217728", FAIL),
    ],
)
def test_kafkas_topics_must_take_what_feeds_write_keep_what_operators_chose_and_not_grow_for_ever(
    topic: str, policy: str, retention_ms: str, retention_bytes: str, expected: Level
) -> None:
    settings = {"cleanup.policy": policy, "retention.ms": retention_ms, "retention.bytes": retention_bytes}
    assert kafka.judge_keeping(parse_kafka_url("kafka://one/t"), topic, settings).level is expected


@pytest.mark.parametrize(("ahead_s", "level"), [(0.4, OK), (-1.9, OK), (-5.0, WARN), (600.0, FAIL)])
def test_a_clock_must_not_be_far_off(ahead_s: float, level: Level) -> None:
    assert exchange.judge_clock(ahead_s).level is level


def test_an_exchange_should_be_near() -> None:
    assert exchange.judge_reached("wss://x", 0.2, 0.03).level is OK
    assert exchange.judge_reached("wss://x", 0.2, 0.9).level is WARN


@pytest.mark.parametrize(("limit", "level"), [(1024, WARN), (10_256, OK), (10_255, WARN), (resource.RLIM_INFINITY, OK)])
def test_connections_need_open_files(limit: int, level: Level) -> None:
    assert machine.judge_open_files(limit, 10_000).level is level


def endpoint(port: int, backlog: int = 1024) -> Endpoint:
    return Endpoint("public", "127.0.0.1", port, backlog, False, None, {}, True)


@pytest.mark.parametrize(("somaxconn", "level"), [(128, WARN), (4096, OK)])
def test_the_kernel_must_let_enough_wait(somaxconn: int, level: Level) -> None:
    assert machine.judge_backlog(somaxconn, [endpoint(8080)]).level is level


@pytest.mark.parametrize(
    ("first", "last", "ports", "expected"),
    [
        (32_768, 60_999, [8080, 9443], [OK]),
        (1024, 65_535, [8080, 9443], [WARN]),
        (32_768, 33_000, [8080], [WARN]),
        (8000, 8100, [8080], [WARN, WARN]),
    ],
)
def test_outgoing_connections_leave_the_nodes_ports_alone(
    first: int, last: int, ports: list[int], expected: list[Level]
) -> None:
    assert levels(machine.judge_ephemeral(first, last, ports)) == expected


@pytest.mark.parametrize(("limit_mb", "available_mb", "level"), [(8000, 4000, OK), (8000, 700, WARN), (512, 500, FAIL)])
def test_a_node_needs_memory(limit_mb: float, available_mb: float, level: Level) -> None:
    assert machine.judge_memory(limit_mb, available_mb, *machine.needed_mb(NodeFile.parse(shipped()))).level is level


@pytest.mark.parametrize(("cores", "routers", "level"), [(2, 1, OK), (2, 2, OK), (1.5, 2, WARN)])
def test_each_router_worker_needs_a_core(cores: float, routers: int, level: Level) -> None:
    assert machine.judge_cores(cores, routers, routers + 2).level is level


@pytest.mark.parametrize(("free_mb", "level"), [(5000, OK), (500, WARN), (50, FAIL)])
def test_a_node_needs_disk(free_mb: float, level: Level) -> None:
    assert machine.judge_disk(free_mb, "/x").level is level
