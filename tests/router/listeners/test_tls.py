"""TLS of listeners: versions, what is refused at start, and certificates replaced while clients are connected."""

from __future__ import annotations

import contextlib
import datetime
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher

from components.router.listeners.tls import TlsError, TlsFactory, tls_factory
from tests.harness.certificates import HOUR, certificate_pem, generate_key, key_pem, write_private
from tests.router.listeners.wire import HERE, TlsClient, Transport

INTERVAL_S = 10.0


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class Listener:
    """A listener's files and its factory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.key, self.certificate = directory / "key.pem", directory / "certificate.pem"
        self.config: dict[str, Any] = {"key": "key.pem", "certificate": "certificate.pem"}
        self.install("first")

    def install(self, name: str) -> None:
        key = generate_key()
        write_private(self.key, key_pem(key))
        write_private(self.certificate, certificate_pem(key, name))

    def factory(self, **options: Any) -> TlsFactory:
        options.setdefault("check_interval_s", INTERVAL_S)
        return tls_factory(self.config, self.directory, Factory.forProtocol(Echo), self.clock, **options)


@pytest.fixture
def listener(tmp_path: Path) -> Listener:
    return Listener(tmp_path)


@pytest.fixture
def errors() -> Iterator[list[str]]:
    """Collect the lines of level error."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        if event["log_level"] >= LogLevel.error:
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def connect(listener: Listener, factory: TlsFactory, **options: Any) -> TlsClient:
    client = TlsClient(factory, **options)
    client.handshake()
    return client


def assert_echoes(listener: Listener, client: TlsClient) -> None:
    client.connection.send(b"hello")
    client.pump()
    # Twisted gathers what is written until the reactor's next turn.
    listener.clock.advance(0)
    assert client.receive() == b"hello"


def test_clients_speak_tls_1_3(listener: Listener) -> None:
    client = connect(listener, listener.factory())
    assert client.connection.get_protocol_version_name() == "TLSv1.3"
    assert_echoes(listener, client)


def test_tls_1_2_is_refused_unless_allowed(listener: Listener) -> None:
    with pytest.raises(SSL.Error):
        connect(listener, listener.factory(), version=SSL.TLS1_2_VERSION)
    client = connect(listener, listener.factory(min_version="1.2"), version=SSL.TLS1_2_VERSION)
    assert client.connection.get_protocol_version_name() == "TLSv1.2"
    cipher = client.connection.get_cipher_name() or ""
    assert cipher.startswith("ECDHE-")
    assert "GCM" in cipher or "CHACHA20" in cipher
    assert connect(listener, listener.factory(min_version="1.2")).connection.get_protocol_version_name() == "TLSv1.3"


def resumed(factory: TlsFactory, version: ssl.TLSVersion) -> bool:
    """Connect twice, the second time with the first session, and say whether the listener took it up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    session = None
    for _ in range(2):
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(to_client, to_server, session=session)
        server, transport = factory.buildProtocol(HERE), Transport(factory._clock)
        transport.protocol = server
        server.makeConnection(transport)
        for step in (client.do_handshake, client.do_handshake, client.do_handshake, client.read):
            with contextlib.suppress(ssl.SSLWantReadError):
                step()
            if to_server.pending:
                server.dataReceived(to_server.read())
            to_client.write(transport.value())
            transport.clear()
        session = client.session
    return bool(client.session_reused)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_can_be_resumed(listener: Listener, version: ssl.TLSVersion) -> None:
    assert not resumed(listener.factory(min_version="1.2"), version)


def test_a_replaced_certificate_holds_for_new_connections_and_leaves_live_ones(listener: Listener) -> None:
    factory = listener.factory()
    before = connect(listener, factory)
    listener.install("second")
    listener.clock.advance(INTERVAL_S - 0.1)
    assert connect(listener, factory).name() == "first", "the files are not looked at for each connection"
    listener.clock.advance(0.1)
    after = connect(listener, factory)
    assert after.name() == "second"
    assert before.name() == "first"
    assert_echoes(listener, before)
    assert_echoes(listener, after)
    assert factory.certificates.reloads == 1
    assert not factory.certificates.stale


def test_a_certificate_replaced_by_renaming_is_seen(listener: Listener) -> None:
    factory = listener.factory()
    key = generate_key()
    for path, content in ((listener.key, key_pem(key)), (listener.certificate, certificate_pem(key, "second"))):
        status = path.stat()
        other = write_private(path.with_suffix(".new"), content)
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.rename(path)
    listener.clock.advance(INTERVAL_S)
    assert connect(listener, factory).name() == "second"


def test_the_expiry_of_what_is_in_use_is_known(listener: Listener) -> None:
    certificates = listener.factory().certificates
    in_an_hour = datetime.datetime.now(datetime.UTC) + HOUR
    assert abs(certificates.not_after_s - in_an_hour.timestamp()) < 60


def cut_short(listener: Listener) -> None:
    listener.certificate.write_bytes(listener.certificate.read_bytes()[:100])


def without_key(listener: Listener) -> None:
    listener.key.unlink()


def garbage_for_a_key(listener: Listener) -> None:
    listener.key.write_bytes(b"garbage")


def of_another_key(listener: Listener) -> None:
    listener.certificate.write_bytes(certificate_pem(generate_key(), "second"))


def expired(listener: Listener) -> None:
    key = generate_key()
    listener.key.write_bytes(key_pem(key))
    listener.certificate.write_bytes(certificate_pem(key, "second", since=-2 * HOUR, until=-HOUR))


def of_tomorrow(listener: Listener) -> None:
    key = generate_key()
    listener.key.write_bytes(key_pem(key))
    listener.certificate.write_bytes(certificate_pem(key, "second", since=24 * HOUR, until=48 * HOUR))


def readable_by_everybody(listener: Listener) -> None:
    listener.install("second")
    listener.key.chmod(0o644)


BREAKAGES = {
    cut_short: "no certificate in PEM format",
    without_key: "No such file",
    garbage_for_a_key: "no private key in PEM format",
    of_another_key: "values mismatch",
    expired: "expired on",
    of_tomorrow: "is not valid before",
    readable_by_everybody: "chmod o=",
}


@pytest.mark.parametrize("damage", BREAKAGES, ids=lambda damage: damage.__name__)
def test_files_that_cannot_be_used_leave_the_last_good_ones(
    listener: Listener, damage: Callable[[Listener], None], errors: list[str]
) -> None:
    factory = listener.factory()
    damage(listener)
    for _ in range(3):
        listener.clock.advance(INTERVAL_S)
        client = connect(listener, factory)
        assert client.name() == "first"
        assert_echoes(listener, client)
    (line,) = errors
    assert BREAKAGES[damage] in line
    assert "\n" not in line
    assert factory.certificates.stale
    assert (factory.certificates.reloads, factory.certificates.refused_reloads) == (0, 1)
    listener.key.unlink(missing_ok=True)
    listener.install("third")
    listener.clock.advance(INTERVAL_S)
    assert connect(listener, factory).name() == "third"
    assert not factory.certificates.stale


@pytest.mark.parametrize("damage", BREAKAGES, ids=lambda damage: damage.__name__)
def test_files_that_cannot_be_used_at_start_are_refused_in_one_line_that_names_one(
    listener: Listener, damage: Callable[[Listener], None]
) -> None:
    damage(listener)
    with pytest.raises(TlsError) as refused:
        listener.factory()
    assert BREAKAGES[damage] in str(refused.value)
    assert str(listener.directory) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_key_that_a_group_may_read_is_taken(listener: Listener) -> None:
    listener.key.chmod(0o640)
    assert connect(listener, listener.factory()).name() == "first"


def test_key_and_certificate_may_be_one_file_and_the_chain_part_of_it(listener: Listener) -> None:
    key, authority = generate_key(), generate_key()
    both = certificate_pem(key, "leaf") + certificate_pem(authority, "authority") + key_pem(key)
    write_private(listener.directory / "all.pem", both)
    listener.config = {"key": "all.pem", "certificate": "all.pem"}
    client = connect(listener, listener.factory())
    assert client.name() == "leaf"
    assert client.chain() == ["leaf", "authority"]


def test_chain_files_are_sent_and_watched(listener: Listener) -> None:
    chain = write_private(listener.directory / "chain.pem", certificate_pem(generate_key(), "authority"))
    listener.config["chain_certificates"] = ["chain.pem"]
    factory = listener.factory()
    assert connect(listener, factory).chain() == ["first", "authority"]
    chain.write_bytes(certificate_pem(generate_key(), "another authority"))
    listener.clock.advance(INTERVAL_S)
    assert connect(listener, factory).chain() == ["first", "another authority"]


def test_clients_must_show_a_certificate_where_authorities_are_named(listener: Listener) -> None:
    write_private(listener.directory / "ca.pem", certificate_pem(generate_key(), "authority"))
    listener.config["ca_certificates"] = ["ca.pem"]
    # In TLS 1.3 the client has finished before the listener looks.
    client = connect(listener, listener.factory())
    with pytest.raises(SSL.Error):
        client.receive()


@pytest.mark.parametrize(
    ("config", "options", "says"),
    [
        ({"certificate": "c"}, {}, "key must be the path"),
        ({"key": "k", "certificate": 1}, {}, "certificate must be the path"),
        ({"key": "k", "certificate": "c", "chain_certificates": "c"}, {}, "chain_certificates must be a list"),
        ({"key": "k", "certificate": "c", "cypher": "x"}, {}, "cypher is unknown"),
        ({"key": "key.pem", "certificate": "certificate.pem"}, {"min_version": "1.1"}, "min_version must be one of"),
    ],
)
def test_an_impossible_configuration_is_refused(
    listener: Listener, config: dict[str, Any], options: dict[str, Any], says: str
) -> None:
    listener.config = config
    with pytest.raises(TlsError, match=says):
        listener.factory(**options)
