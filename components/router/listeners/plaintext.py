"""Whether a listener may speak without TLS. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any


def check_plaintext(endpoint: Mapping[str, Any], allow_plaintext: bool) -> str | None:
    """Say in one line why a listener must not start, or ``None`` when it may.

    ``endpoint`` is the one of a transport in Crossbar's configuration. Tickets and prices leave the machine only under TLS, or
    where ``allow_plaintext`` says that something before the node, such as a balancer, takes care of that.
    """
    kind = endpoint.get("type")
    if allow_plaintext or "tls" in endpoint or kind in ("unix", "onion"):
        return None
    if kind != "tcp":
        return (
            f"a listener of type {kind} cannot be seen to be private: give it a tcp endpoint with tls, or set "
            "allow_plaintext: true if that is meant"
        )
    interface = str(endpoint.get("interface", "")).strip()
    if _is_loopback(interface):
        return None
    return (
        f"the listener on {interface or 'all interfaces'}, port {endpoint.get('port')}, would send tickets and prices without "
        "TLS: configure tls on its endpoint, or set allow_plaintext: true if a balancer before it terminates TLS"
    )


def _is_loopback(interface: str) -> bool:
    if interface == "localhost":
        return True
    try:
        address = ipaddress.ip_address(interface)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
