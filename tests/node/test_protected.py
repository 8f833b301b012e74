"""A node's listeners with their protection: what strangers see of its web site, and TLS under live sessions."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.x509.oid import NameOID
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from components.free_ports import free_port
from tests.harness.certificates import write_pair
from tests.harness.client import Clients, until
from tests.harness.node import Node
from tests.node.test_transports import assert_events_arrive


class SecureNode(Node):
    """A node that listens with TLS too."""

    def __init__(self, directory: Path) -> None:
        self.tls_port = free_port()
        self.pair = write_pair(directory / "pair.pem", "first")
        environ = {"CROSSTICK_SIMULATOR_PORT": str(free_port())}
        super().__init__(directory, environ, change_config=self._change_config)

    def _change_config(self, config: dict[str, Any]) -> None:
        transports = config["workers"][0]["transports"]
        secure = {name: value for name, value in transports[1].items() if name != "id"}
        tls = {"key": "pair.pem", "certificate": "pair.pem"}
        secure["endpoint"] = {"type": "tcp", "interface": "127.0.0.1", "port": self.tls_port, "tls": tls}
        transports.append(secure)

    def certificate_name(self) -> str:
        """Return whose certificate a connection is shown."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.tls_port), timeout=5) as connection,
            context.wrap_socket(connection) as secure,
        ):
            assert secure.version() == "TLSv1.3"
            certificate = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")
        return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureNode]:
    """Return a running node with TLS."""
    node = SecureNode(tmp_path_factory.mktemp("secure"))
    node.start()
    yield node
    node.stop()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", 200),
        ("/base.css", 200),
        ("/vendor/autobahn.min.js", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/ws", 426),
        ("/nothing", 404),
        ("/vendor/", 404),
        ("/vendor/../../node/watch.mjs", 404),
        ("/..%2f..%2fpyproject.toml", 404),
    ],
)
def test_every_answer_is_marked_and_names_no_version(secure: SecureNode, path: str, expected: int) -> None:
    status, headers, body = secure.get(path)
    assert status == expected
    assert headers["server"] == "Crosstick"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
    if expected >= 400:
        assert b"Crossbar" not in body
        assert b"Autobahn" not in body


@pytest_twisted.ensureDeferred
async def test_a_certificate_is_replaced_under_live_sessions(secure: SecureNode, clients: Clients) -> None:
    url = f"wss://127.0.0.1:{secure.tls_port}/ws"
    before = await clients.join(url, authid="v", ticket=secure.token("v"))
    assert await deferToThread(secure.certificate_name) == "first"
    write_pair(secure.pair, "second")
    # Files are looked at every ten seconds at most.
    await until(reactor, lambda: secure.certificate_name() == "second")
    assert await deferToThread(secure.certificate_name) == "second"
    await assert_events_arrive(before)
    secure.pair.write_bytes(b"broken")
    await until(reactor, lambda: secure.certificate_name() == "second" and "the last good one stays" in secure.log)
    assert secure.log.count("the last good one stays") == 1
    await assert_events_arrive(await clients.join(url, authid="v", ticket=secure.token("v")))
