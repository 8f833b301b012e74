"""What the checks see of set-ups that are broken, and of servers that are not what they should be."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigEntry, ConfigResource
from websockets.sync.server import serve

from components.core.kafka_address import KafkaAddress
from components.doctor import certificates, configuration, exchange, kafka, machine, ports, redis, secrets, software
from components.doctor.findings import Finding, Level, worst
from components.doctor.node_setup import Setup
from components.doctor.run import Check, run_checks
from components.free_ports import free_port
from components.tokens import create_development_key
from tests.bus.kafka_parts import let_topics_be_made
from tests.harness.certificates import certificate_pem, generate_key, key_pem, write_private
from tests.harness.kafka import KafkaBroker
from tests.harness.node import REPOSITORY
from tests.harness.redis import RedisServer

OK, WARN, FAIL = Level.OK, Level.WARN, Level.FAIL
SECRET = "correct-horse-battery-staple-and-more-of-it"


def read(cbdir: Path, change: Callable[[dict[str, Any]], None] = lambda config: None, **environ: str) -> Setup:
    """Lay out a node directory on a free port and read it."""
    config = yaml.safe_load((REPOSITORY / ".crossbar" / "config.yaml").read_text())
    config["workers"][0]["transports"][1]["endpoint"]["port"] = free_port()
    change(config)
    (cbdir / "config.yaml").write_text(yaml.safe_dump(config))
    environ.setdefault("CROSSTICK_SIMULATOR_PORT", str(free_port()))
    return Setup.read(environ, cbdir, offline=False)


def said(findings: list[Finding]) -> str:
    return " ".join(f"{each.text} {each.hint}" for each in findings)


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept one connection after the other on a port, and hand each to ``answer``."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_what_runs_these_tests_is_as_pinned(tmp_path: Path) -> None:
    assert worst(software.look(read(tmp_path))) is OK


def test_all_that_is_wrong_with_the_environment_is_said(tmp_path: Path) -> None:
    findings = configuration.look_at_environment(
        read(tmp_path, CROSSTICK_RATES="1", CROSSTICK_RATE="fast", CROSSTICK_URL="x")
    )
    assert [each.level for each in findings] == [FAIL, FAIL]
    assert "did you mean CROSSTICK_RATE?" in said(findings)
    assert "CROSSTICK_RATE must be a whole number" in said(findings)


def test_a_folder_without_a_configuration_is_none(tmp_path: Path) -> None:
    setup = Setup.read({}, tmp_path, offline=True)
    assert "has no config.yaml or config.json" in said(configuration.look_at_crossbars_view(setup))
    (tmp_path / "config.yaml").write_text("workers: [")
    assert "cannot be read" in Setup.read({}, tmp_path, offline=True).node_problem


def test_a_directory_that_cannot_be_written_to_is_found(tmp_path: Path) -> None:
    # Root may write to every folder, but not to a file as if it were one.
    setup = replace(read(tmp_path), cbdir=tmp_path / "config.yaml")
    assert "cannot be written to: Not a directory" in said(configuration.look_at_directory(setup))


def test_a_directory_that_everybody_may_write_to_is_found(tmp_path: Path) -> None:
    setup = read(tmp_path)
    tmp_path.chmod(0o777)
    [finding] = configuration.look_at_directory(setup)
    assert (finding.level, finding.hint) == (FAIL, f"chmod o-w {tmp_path}")
    assert [each.name for each in tmp_path.iterdir()] == ["config.yaml"]


def test_damaged_revocations_are_found(tmp_path: Path) -> None:
    setup = read(tmp_path)
    assert worst(configuration.look_at_revocations(setup)) is OK
    (tmp_path / "revocations.json").write_text("{")
    assert "is damaged" in said(configuration.look_at_revocations(setup))


def test_a_damaged_choice_of_symbols_is_found(tmp_path: Path) -> None:
    assert said(configuration.look_at_symbols(read(tmp_path))).startswith("the symbols are the environment's")
    (tmp_path / "symbols.json").write_text('{"version":1,"symbols":["BTCUSDT"]}')
    assert said(configuration.look_at_symbols(read(tmp_path))).startswith("operators have chosen 1 symbols")
    (tmp_path / "symbols.json").write_text("{")
    [finding] = configuration.look_at_symbols(read(tmp_path))
    assert finding.level is FAIL
    assert "is damaged" in finding.text
    assert configuration.look_at_symbols(read(tmp_path, CROSSTICK_BUS="redis://127.0.0.1")) == []


def test_pages_that_are_not_there_are_found(tmp_path: Path) -> None:
    assert worst(configuration.look_at_folders(read(tmp_path))) is FAIL


def test_without_a_key_nobody_can_join(tmp_path: Path) -> None:
    assert said(secrets.look_at_token_keys(read(tmp_path))).startswith("no token key")
    create_development_key(tmp_path)
    assert worst(secrets.look_at_token_keys(read(tmp_path))) is OK


def test_the_development_key_is_not_for_all_the_world(tmp_path: Path) -> None:
    create_development_key(tmp_path)

    def open_up(config: dict[str, Any]) -> None:
        config["workers"][0]["transports"][1]["endpoint"]["interface"] = "0.0.0.0"

    assert "the development key signs for who connects to 0.0.0.0" in said(
        secrets.look_at_token_keys(read(tmp_path, open_up))
    )


@pytest.mark.parametrize(
    ("mode", "content", "level", "text"),
    [
        (0o600, SECRET, OK, "a secret of 43 bytes"),
        (0o644, SECRET, FAIL, "must be readable by its owner only: chmod 600"),
        (0o600, "short", FAIL, "must hold at least 32 bytes, had 5"),
        (0o600, "x" * 40, WARN, "could be guessed"),
    ],
)
def test_a_key_file_must_be_strong_and_private(
    tmp_path: Path, mode: int, content: str, level: Level, text: str
) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(mode)
    for variable, look in (
        ("CROSSTICK_TOKEN_KEY_FILE", secrets.look_at_token_keys),
        ("CROSSTICK_LINK_KEY_FILE", secrets.look_at_link_key),
        ("CROSSTICK_BRIDGE_SECRET_FILE", secrets.look_at_bridge_secret),
    ):
        findings = look(read(tmp_path, **{variable: str(path)}))
        assert worst(findings) is level
        assert text in said(findings)
        assert content not in said(findings)


def test_what_is_neither_named_nor_needed_is_not_looked_at(tmp_path: Path) -> None:
    setup = read(tmp_path)
    assert secrets.look_at_link_key(setup) == secrets.look_at_bridge_secret(setup) == certificates.look(setup) == []
    assert redis.look(setup) == []
    assert not (tmp_path / "internal.key").exists()


def test_a_jwk_set_must_be_had(tmp_path: Path) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.startswith("/keys") else 500)
            self.end_headers()
            self.wfile.write(b'{"keys": []}')

        def log_message(self, *_: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        found = [
            said(secrets.look_at_token_keys(read(tmp_path, CROSSTICK_TOKEN_JWKS=url + path)))
            for path in ("/keys?code=hush", "/broken")
        ]
        server.shutdown()
        thread.join()
    assert "it has no usable key" in found[0]
    assert "hush" not in found[0]
    assert "HTTP 500" in found[1]
    unreachable = said(
        secrets.look_at_token_keys(read(tmp_path, CROSSTICK_TOKEN_JWKS=f"http://127.0.0.1:{free_port()}/k"))
    )
    assert "Connection refused" in unreachable


@pytest.mark.parametrize(
    ("key_of", "hours", "level", "text"),
    [("own", 24 * 90, OK, "localhost, valid for 89 days"), ("own", 5, WARN, "renew it"), ("other", 5, FAIL, "TLS key")],
)
def test_certificates_must_fit_their_keys(tmp_path: Path, key_of: str, hours: int, level: Level, text: str) -> None:
    import datetime

    key, other = generate_key(), generate_key()
    (tmp_path / "cert.pem").write_bytes(certificate_pem(key, until=datetime.timedelta(hours=hours)))
    write_private(tmp_path / "key.pem", key_pem(key if key_of == "own" else other))

    def with_tls(config: dict[str, Any]) -> None:
        config["workers"][0]["transports"][1]["endpoint"]["tls"] = {"key": "key.pem", "certificate": "cert.pem"}

    findings = certificates.look(read(tmp_path, with_tls))
    assert worst(findings) is level
    assert text in said(findings)


def test_a_port_that_is_taken_is_found_and_by_whom(tmp_path: Path) -> None:
    setup = read(tmp_path)
    assert setup.node is not None
    assert worst(ports.look(setup)) is OK
    [endpoint] = setup.node.endpoints
    with socket.create_server(("127.0.0.1", endpoint.port)):
        taken, simulator = ports.look(setup)
    assert (taken.level, simulator.level) == (FAIL, OK)
    assert f"(process {os.getpid()})" in taken.text


def of_version(version: str) -> Callable[[socket.socket], None]:
    """Return what answers as a Redis of a version would, as far as it is asked here."""
    info = f"redis_version:{version}\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n"
    answers = {b"PING": "+PONG\r\n", b"INFO": f"${len(info)}\r\n{info}\r\n", b"TIME": "*2\r\n$1\r\n5\r\n$1\r\n0\r\n"}

    def answer(connection: socket.socket) -> None:
        while data := connection.recv(1000):
            for word, text in answers.items():
                if word in data:
                    connection.sendall(text.encode())

    return answer


@contextmanager
def hanging_worker(directory: Path) -> Iterator[int]:
    """Have a process of a worker's name that holds a port, and does not answer on it."""
    text = (
        "import setproctitle, socket; setproctitle.setproctitle('crosstick-router');"
        "server = socket.create_server(('127.0.0.1', 0)); print(server.getsockname()[1], flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", text], cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def test_a_node_that_hangs_is_told_from_somebody_elses_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "READYZ_TIMEOUT_S", 0.1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for directory, text in ((tmp_path, "this directory's node runs"), (elsewhere, "end it, or correct")):
        with hanging_worker(directory) as port:

            def move(config: dict[str, Any], port: int = port) -> None:
                config["workers"][0]["transports"][1]["endpoint"]["port"] = port

            findings = ports.look(read(tmp_path, move))
        assert worst(findings) is FAIL
        assert text in said(findings)
        assert "crosstick-router (process " in said(findings)


def test_a_redis_that_is_too_old_and_has_another_time_is_found(tmp_path: Path) -> None:
    with listening(of_version("6.0.16")) as port:
        findings = redis.look(read(tmp_path, CROSSTICK_BUS=f"redis://127.0.0.1:{port}"))
    assert worst(findings) is FAIL
    assert "is Redis 6.0.16, which lacks commands that the bus needs" in said(findings)
    assert "behind this machine's" in said(findings)


def test_a_redis_that_is_not_there_or_hangs_up_is_found(tmp_path: Path) -> None:
    there_is_none = redis.look(read(tmp_path, CROSSTICK_BUS=f"redis://:{SECRET}@127.0.0.1:{free_port()}"))
    assert "cannot be reached: Connection refused" in said(there_is_none)
    with listening(lambda connection: None) as port:
        hangs_up = redis.look(read(tmp_path, CROSSTICK_BUS=f"redis://:{SECRET}@127.0.0.1:{port}"))
        no_sentinel = redis.look(read(tmp_path, CROSSTICK_BUS=f"redis+sentinel://:{SECRET}@127.0.0.1:{port}/ticks"))
    assert worst(hangs_up) is worst(no_sentinel) is FAIL
    assert SECRET not in said(there_is_none) + said(hangs_up) + said(no_sentinel)


def test_what_quotes_the_password_that_it_does_not_know_is_not_quoted(tmp_path: Path) -> None:
    quoted = f"-ERR unknown command 'AUTH', with args beginning with: '{SECRET}' \r\n"
    other = f"-ERR {SECRET} is wrong\r\n"
    for text in (quoted, other):

        def answer(connection: socket.socket, text: str = text) -> None:
            while connection.recv(1000):
                connection.sendall(text.encode())

        with listening(answer) as port:
            findings = redis.look(read(tmp_path, CROSSTICK_BUS=f"redis://:{SECRET}@127.0.0.1:{port}"))
        assert worst(findings) is FAIL
        assert "ERR" in said(findings)
        assert SECRET not in said(findings)


def test_a_real_redis_is_well_and_one_with_another_password_refuses(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", "maxmemory-policy noeviction", "requirepass right")
    server.start()
    try:
        good = redis.look(read(tmp_path, CROSSTICK_BUS=f"redis://:right@127.0.0.1:{server.port}/2"))
        wrong = redis.look(read(tmp_path, CROSSTICK_BUS=f"redis://:{SECRET}@127.0.0.1:{server.port}"))
    finally:
        server.kill()
    assert worst(good) is not FAIL
    assert "it is the master" in said(good)
    assert "WRONGPASS" in said(wrong)
    assert SECRET not in said(wrong)


def test_a_real_redis_without_memory_refuses_what_feeds_write(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", "maxmemory-policy noeviction", "maxmemory 100kb")
    server.start()
    try:
        findings = redis.look(read(tmp_path, CROSSTICK_BUS=server.url))
    finally:
        server.kill()
    assert worst(findings) is FAIL
    assert "it refuses what feeds write" in said(findings)


def test_a_kafka_without_its_topics_or_that_is_not_there_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = KafkaBroker()
    try:
        answers = kafka.look(read(tmp_path, CROSSTICK_BUS=f"kafka://{broker.address}"))
    finally:
        broker.stop()
    assert [each.level for each in answers] == [OK, FAIL, FAIL]
    assert "there is no topic crosstick.batches" in said(answers)
    monkeypatch.setattr(kafka, "TIMEOUT_S", 0.3)
    credentials = f"kafka+ssl://user:{SECRET}@127.0.0.1:{free_port()}"
    none = kafka.look(read(tmp_path, CROSSTICK_BUS=credentials))
    assert worst(none) is FAIL
    assert SECRET not in said(none)


def test_what_kafkas_topics_keep_is_asked_and_said_where_it_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: dict[str, Any] = {}

    def describe(_client: AdminClient, resources: list[ConfigResource], **_options: float) -> dict[Any, Future[Any]]:
        asked = {resource: Future[Any]() for resource in resources}
        for resource, future in asked.items():
            answer = answers[resource.name]
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result({name: ConfigEntry(name, value) for name, value in answer.items()})
        return asked

    monkeypatch.setattr(AdminClient, "describe_configs", describe)
    broker = KafkaBroker()
    try:
        let_topics_be_made(KafkaAddress(broker.address))
        setup = read(tmp_path, CROSSTICK_BUS=f"kafka://{broker.address}")
        answers["crosstick.batches"] = {"cleanup.policy": "delete", "retention.ms": "3600000"}
        answers["crosstick.standing"] = {"cleanup.policy": "delete", "retention.ms": "604800000"}
        *_, log, standing = kafka.look(setup)
        answers["crosstick.batches"] = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "not you"))
        *_, unknown, _ = kafka.look(setup)
    finally:
        broker.stop()
    assert (log.level, standing.level) == (OK, WARN)
    assert "retention.ms=604800000" in standing.text
    assert (unknown.level, "not you" in unknown.text) == (WARN, True)


def test_an_exchange_is_reached_as_a_feed_would(tmp_path: Path) -> None:
    with serve(lambda socket: socket.recv(), "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        setup = read(tmp_path, CROSSTICK_EXCHANGE_URL=f"ws://127.0.0.1:{port}")
        findings = [*exchange.look(setup), *exchange.look_at_clock(setup)]
        server.shutdown()
        thread.join()
    assert worst(findings) is OK
    assert "pings are answered within" in said(findings)
    assert len(findings) == 2, said(findings)


def test_an_exchange_that_cannot_be_reached_is_found_unless_that_is_passed_over(tmp_path: Path) -> None:
    setup = read(tmp_path, CROSSTICK_EXCHANGE_URL=f"wss://127.0.0.1:{free_port()}")
    assert "cannot be reached: Connection refused" in said(exchange.look(setup))
    assert exchange.look_at_clock(setup) == []
    assert exchange.look(Setup.read(setup.environ, tmp_path, offline=True)) == []


def test_the_machine_has_something_to_say(tmp_path: Path) -> None:
    setup = read(tmp_path)
    for look in (
        machine.look_at_open_files,
        machine.look_at_memory,
        machine.look_at_cores,
        machine.look_at_disk,
    ):
        assert look(setup), look.__name__


def test_what_hangs_or_breaks_is_a_failure_and_holds_up_nobody(tmp_path: Path) -> None:
    over = threading.Event()

    def hang(_: Setup) -> list[Finding]:
        over.wait(10)
        return []

    def broken(_: Setup) -> list[Finding]:
        raise RuntimeError(SECRET)

    checks = [Check("hangs", "A", hang, 0.05), Check("breaks", "A", broken), Check("silent", "B", lambda _: [])]
    begun_s = time.monotonic()
    results = list(run_checks(checks, read(tmp_path)))
    over.set()
    assert time.monotonic() - begun_s < 5
    assert [each.check for each in results] == ["hangs", "breaks"]
    assert results[0].findings[0].text == "no answer within 0.05 s"
    assert results[1].findings[0].text == "the check itself broke: RuntimeError"
