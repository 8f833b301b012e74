"""The header by which a proxy says whose connection it passes on: HAProxy's PROXY protocol, versions 1 and 2. Pure.

Written to the specification (``proxy-protocol.txt``, 2020/03/05). Twisted's own parser takes a header in one read only,
raises errors of every kind at bytes that are no header, and stays in the way of all that comes after it.

A header comes before everything else on a connection, TLS included. Nothing of it is guessed: bytes that cannot become a
header are an error at the first of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from struct import unpack

MAX_V1_BYTES = 107
"""Of a version 1 line, its CR LF included."""

MAX_V2_PAYLOAD_BYTES = 8192
"""Of what follows a version 2 header's first 16 bytes. The specification allows 65,535; addresses take 216 at most, and
what proxies add, such as a client's certificate, a few thousand."""

_V1_SIGNATURE = b"PROXY "
_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED_BYTES = 16
_STREAM = 1


class InvalidProxyHeader(ValueError):
    """What came is not the beginning of a connection that a proxy passes on."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a proxy said of a connection."""

    client: tuple[str, int] | None
    """Address and port. ``None`` where it is the proxy's own connection, or the proxy does not know or cannot say."""

    size: int
    """Of the header in bytes; what comes after is the client's."""


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Return the header at the beginning of ``data``, or ``None`` when it is not complete.

    Raises:
        InvalidProxyHeader: no more bytes can make it one.
    """
    for signature, parse in ((_V1_SIGNATURE, _parse_v1), (_V2_SIGNATURE, _parse_v2)):
        if data[: len(signature)] == signature[: len(data)]:
            return parse(data) if len(data) >= len(signature) else None
    raise InvalidProxyHeader("neither version's signature")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, MAX_V1_BYTES)
    if end < 0:
        if len(data) >= MAX_V1_BYTES:
            raise InvalidProxyHeader("version 1: the line is too long")
        return None
    size = end + 2
    kind, *words = data[len(_V1_SIGNATURE) : end].split(b" ")
    if kind == b"UNKNOWN":
        # What follows on the line must be ignored.
        return ProxyHeader(None, size)
    if kind not in (b"TCP4", b"TCP6") or len(words) != 4:
        raise InvalidProxyHeader("version 1: not a TCP4, TCP6 or UNKNOWN line")
    make = IPv4Address if kind == b"TCP4" else IPv6Address
    try:
        source, _ = (str(make(word.decode("ascii"))) for word in words[:2])
    except (AddressValueError, UnicodeDecodeError):
        raise InvalidProxyHeader("version 1: not an address of its family") from None
    if "%" in source:
        raise InvalidProxyHeader("version 1: not an address of its family")
    port, _ = (_v1_port(word) for word in words[2:])
    return ProxyHeader((source, port), size)


def _v1_port(word: bytes) -> int:
    if not word.isdigit() or len(word) > 5 or (len(word) > 1 and word.startswith(b"0")) or int(word) > 65_535:
        raise InvalidProxyHeader("version 1: not a port")
    return int(word)


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_FIXED_BYTES:
        return None
    version_command, family_protocol, length = unpack("!BBH", data[12:_V2_FIXED_BYTES])
    if version_command not in (0x20, 0x21):
        raise InvalidProxyHeader("version 2: unknown version or command")
    family, protocol = family_protocol >> 4, family_protocol & 0x0F
    if family > 3 or protocol > 2:
        raise InvalidProxyHeader("version 2: unknown family or protocol")
    if length > MAX_V2_PAYLOAD_BYTES:
        raise InvalidProxyHeader("version 2: the header is too long")
    address_bytes = (0, 12, 36, 216)[family]
    is_proxied = version_command == 0x21
    if is_proxied and protocol and length < address_bytes:
        raise InvalidProxyHeader("version 2: too short for its addresses")
    size = _V2_FIXED_BYTES + length
    if len(data) < size:
        return None
    addresses = data[_V2_FIXED_BYTES:]
    if not is_proxied or protocol != _STREAM or family not in (1, 2):
        # LOCAL is the proxy's own connection, such as a health check; others than TCP count as not known.
        return ProxyHeader(None, size)
    if family == 1:
        return ProxyHeader((str(IPv4Address(addresses[:4])), unpack("!H", addresses[8:10])[0]), size)
    return ProxyHeader((str(IPv6Address(addresses[:16])), unpack("!H", addresses[32:34])[0]), size)
