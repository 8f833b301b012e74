"""The PROXY protocol's header, as HAProxy's specification has it, and whatever else may come in its place."""

from __future__ import annotations

from ipaddress import ip_address
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.proxy_protocol import (
    MAX_V1_BYTES,
    MAX_V2_PAYLOAD_BYTES,
    InvalidProxyHeader,
    ProxyHeader,
    parse_proxy_header,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = bytes([203, 0, 113, 7, 10, 0, 0, 1]) + pack("!HH", 4711, 443)
V6 = ip_address("2001:db8::17").packed + ip_address("::1").packed + pack("!HH", 4711, 443)


def v2(payload: bytes, family: int = 0x11, command: int = 0x21, length: int | None = None) -> bytes:
    return SIGNATURE + pack("!BBH", command, family, len(payload) if length is None else length) + payload


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n", ("203.0.113.7", 4711)),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", ("255.255.255.255", 65535)),
        (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", ("0.0.0.0", 0)),
        (b"PROXY TCP6 2001:db8::17 ::1 4711 443\r\n", ("2001:db8::17", 4711)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
        (v2(V4), ("203.0.113.7", 4711)),
        (v2(V6, 0x21), ("2001:db8::17", 4711)),
        # What follows the addresses, such as TLVs, is skipped.
        (v2(V4 + b"\x03\x00\x04abcd"), ("203.0.113.7", 4711)),
        # LOCAL: whatever else it says.
        (v2(b"", 0x00, 0x20), None),
        (v2(V4, 0x11, 0x20), None),
        (v2(b"", 0x11, 0x20), None),
        # UNSPEC, datagrams and unix sockets: the client has no address that counts.
        (v2(b"", 0x00), None),
        (v2(b"whatever", 0x00), None),
        (v2(V4, 0x12), None),
        (v2(b"/a".ljust(108, b"\0") * 2, 0x31), None),
    ],
)
def test_a_header_says_whose_connection_it_is_at_its_last_byte(header: bytes, client: tuple[str, int] | None) -> None:
    assert all(parse_proxy_header(header[:end]) is None for end in range(len(header)))
    assert parse_proxy_header(header) == ProxyHeader(client, len(header))
    assert parse_proxy_header(header + b"GET / HTTP/1.1\r\n") == ProxyHeader(client, len(header))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"\x7f\xf1\x00\x00",
        b"PROXX",
        b"proxy TCP4",
        b"PROXY\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4711\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443 \r\n",
        b"PROXY TCP4  203.0.113.7 10.0.0.1 4711 443\r\n",
        b"PROXY TCP4 2001:db8::17 ::1 4711 443\r\n",
        b"PROXY TCP6 203.0.113.7 10.0.0.1 4711 443\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 4711 443\r\n",
        b"PROXY TCP4 203.0.113.007 10.0.0.1 4711 443\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 04711 443\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 65536 443\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 +1 443\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 \xb2\r\n",
        b"PROXY TCP4 \xff 10.0.0.1 4711 443\r\n",
        b"PROXY UDP4 203.0.113.7 10.0.0.1 4711 443\r\n",
        b"PROXY UNKNOWN" + b" " * MAX_V1_BYTES,
        b"PROXY UNKNOWN" + b" " * MAX_V1_BYTES + b"\r\n",
        SIGNATURE[:5] + b"x",
        v2(V4, command=0x11),
        v2(V4, command=0x22),
        v2(V4, 0x41),
        v2(V4, 0x13),
        v2(V4[:-1]),
        v2(V6[:-1], 0x21),
        v2(b"", 0x11, length=MAX_V2_PAYLOAD_BYTES + 1),
    ],
)
def test_what_is_no_header_is_an_error(data: bytes) -> None:
    with pytest.raises(InvalidProxyHeader):
        parse_proxy_header(data)


def test_no_more_is_waited_for_than_the_longest_header_has() -> None:
    assert parse_proxy_header(b"PROXY UNKNOWN".ljust(MAX_V1_BYTES - 1)) is None
    assert parse_proxy_header(b"PROXY UNKNOWN".ljust(MAX_V1_BYTES - 2) + b"\r\n") == ProxyHeader(None, MAX_V1_BYTES)
    assert parse_proxy_header(v2(bytes(MAX_V2_PAYLOAD_BYTES - 1), 0x00, length=MAX_V2_PAYLOAD_BYTES)) is None


beginnings = st.sampled_from(
    [b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", SIGNATURE, SIGNATURE + b"\x21", v2(b"")[:15]]
)


@given(beginnings, st.binary(max_size=300))
def test_any_bytes_are_a_header_the_beginning_of_one_or_an_error(beginning: bytes, rest: bytes) -> None:
    data = beginning + rest
    try:
        header = parse_proxy_header(data)
    except InvalidProxyHeader:
        # Nor do more bytes make it one.
        with pytest.raises(InvalidProxyHeader):
            parse_proxy_header(data + b"\r\n")
        return
    if header is None:
        assert len(data) < 16 + MAX_V2_PAYLOAD_BYTES
        return
    assert 0 < header.size <= len(data)
    if header.client is not None:
        host, port = header.client
        assert str(ip_address(host)) == host
        assert 0 <= port <= 65535


@given(st.ip_addresses().map(str), st.integers(0, 65535), st.binary())
def test_both_versions_say_the_same(host: str, port: int, rest: bytes) -> None:
    is_v6 = ":" in host
    line = f"PROXY TCP{6 if is_v6 else 4} {host} {host} {port} 1\r\n".encode()
    binary = v2(ip_address(host).packed * 2 + pack("!HH", port, 1), 0x21 if is_v6 else 0x11)
    for header in (line, binary):
        assert parse_proxy_header(header + rest) == ProxyHeader((host, port), len(header))
