"""Where a listener may speak without TLS."""

from __future__ import annotations

from typing import Any

import pytest

from components.router.listeners.plaintext import check_plaintext


@pytest.mark.parametrize(
    "endpoint",
    [
        {"type": "tcp", "interface": "127.0.0.1", "port": 8080},
        {"type": "tcp", "interface": "127.8.9.10", "port": 8080},
        {"type": "tcp", "interface": "::1", "port": 8080, "version": 6},
        {"type": "tcp", "interface": "::ffff:127.0.0.1", "port": 8080, "version": 6},
        {"type": "tcp", "interface": "localhost", "port": 8080},
        {"type": "tcp", "port": 443, "tls": {"key": "k", "certificate": "c"}},
        {"type": "unix", "path": "internal.sock"},
        {"type": "onion", "port": 80},
    ],
)
def test_what_stays_on_the_machine_or_is_under_tls_may_start(endpoint: dict[str, Any]) -> None:
    assert check_plaintext(endpoint, allow_plaintext=False) is None


@pytest.mark.parametrize(
    "interface", ["", "0.0.0.0", "::", "10.1.2.3", "192.0.2.7", "node.example", "127.0.0.1.example"]
)
def test_what_others_reach_without_tls_may_not(interface: str) -> None:
    endpoint = {"type": "tcp", "interface": interface, "port": 8080}
    reason = check_plaintext(endpoint, allow_plaintext=False)
    assert reason is not None
    assert (interface or "all interfaces") in reason
    assert "8080" in reason
    assert "allow_plaintext: true" in reason
    assert "\n" not in reason
    assert check_plaintext(endpoint, allow_plaintext=True) is None


def test_no_interface_is_all_of_them() -> None:
    assert "all interfaces" in (check_plaintext({"type": "tcp", "port": 8080}, allow_plaintext=False) or "")


def test_an_endpoint_that_cannot_be_judged_needs_the_option() -> None:
    endpoint = {"type": "twisted", "server_string": "tcp:8080"}
    assert "allow_plaintext" in (check_plaintext(endpoint, allow_plaintext=False) or "")
    assert check_plaintext(endpoint, allow_plaintext=True) is None
