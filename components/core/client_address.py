"""Whose connection it is: the client's address behind proxies, and the network that it is counted by. Pure.

What a header says of a client is worth as much as who wrote it: it is read only where the connection comes from a trusted
proxy, and from the right, where the nearest proxy wrote. An entry to the left of the first address that is no trusted proxy
is the client's own word, and never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOCAL = "local"
"""What stands for a client without an IP address, as on a unix socket."""

MAX_HOPS = 32
"""So many entries of a header are looked at, from the right."""

MAX_ENTRY_CHARS = 256
"""A longer entry is malformed."""

_IPV6_PREFIX_BITS = 64


class InvalidNetwork(ValueError):
    """A text is neither an address nor a network; the text says what it was."""


def network_key(address: str) -> str:
    """Return what an address is counted by: an IPv4 address itself, of an IPv6 one its /64, else ``LOCAL``.

    A site gets at least a /64, so that a client has as many addresses as it likes within one.
    """
    known = _address(address.partition("%")[0])
    if known is None:
        return LOCAL
    if isinstance(known, IPv4Address):
        return str(known)
    return str(IPv6Network((int(known) >> _IPV6_PREFIX_BITS << _IPV6_PREFIX_BITS, _IPV6_PREFIX_BITS)))


class TrustedProxies:
    """The networks whose word is taken for where a connection comes from."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Take addresses and networks such as ``10.0.0.0/8``, ``::1`` and ``127.0.0.1``.

        Raises:
            InvalidNetwork: one of them is neither, or a network with host bits.
        """
        self._networks: list[Network] = []
        for text in networks:
            try:
                self._networks.append(ip_network(text))
            except ValueError as error:
                raise InvalidNetwork(f"{text!r} is no address or network: {error}") from None

    def __len__(self) -> int:
        """Return how many networks there are."""
        return len(self._networks)

    def __contains__(self, address: str) -> bool:
        """Tell whether an address is a trusted proxy's."""
        known = _address(address.partition("%")[0])
        return known is not None and self.trusts(known)

    def trusts(self, address: Address) -> bool:
        """Tell whether an address is a trusted proxy's."""
        return any(address in network for network in self._networks)


def client_address(peer: str, x_forwarded_for: Sequence[str], forwarded: Sequence[str], trusted: TrustedProxies) -> str:
    """Return the address of the client behind a connection from ``peer``, which is an address.

    The headers' values come in the order of the request. Where both headers are given, ``X-Forwarded-For`` is read and
    ``Forwarded`` is not: nearly every proxy writes the former, and passes the latter on as the client sent it. What is
    malformed, hidden (``unknown``, ``_name``) or beyond ``MAX_HOPS`` ends the walk, and the last proxy found stands for the
    client.
    """
    found = _address(peer.partition("%")[0])
    if found is None:
        return peer
    if not trusted.trusts(found):
        return str(found)
    entries = _x_forwarded_for(x_forwarded_for) if any(x_forwarded_for) else _forwarded(forwarded)
    for entry in entries:
        if entry is None:
            break
        found = entry
        if not trusted.trusts(entry):
            break
    return str(found)


def header_values(request: bytes, name: str) -> list[str]:
    """Return the values of a header, in their order, from the bytes of a request's head.

    Lines end with CR LF and nothing else: a parser that also ends them at other characters would take a part of what a client
    sent for a header of its proxy's.
    """
    wanted = name.lower().encode()
    values = []
    for line in request.split(b"\r\n")[1:]:
        given, colon, value = line.partition(b":")
        if colon and given.lower() == wanted:
            values.append(value.strip(b" \t").decode("latin-1"))
    return values


def _address(text: str) -> Address | None:
    try:
        known = ip_address(text)
    except ValueError:
        return None
    if isinstance(known, IPv6Address):
        if known.scope_id is not None:
            return None
        return known.ipv4_mapped or known
    return known


def _node(text: str) -> Address | None:
    """Return the address of ``address``, ``address:port`` or ``[address]:port``."""
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        if not closed or ":" not in host or not (port == "" or _is_port(port)):
            return None
        return _address(host)
    if text.count(":") == 1:
        host, colon, port = text.partition(":")
        return _address(host) if _is_port(colon + port) else None
    return _address(text)


def _is_port(text: str) -> bool:
    return text.startswith(":") and len(text) <= 6 and text[1:].isascii() and text[1:].isdigit()


def _x_forwarded_for(values: Sequence[str]) -> Iterator[Address | None]:
    """Give the entries from the right; ``None`` for one that names nobody."""
    return _entries(values, lambda value: value.rfind(","), _node)


def _forwarded(values: Sequence[str]) -> Iterator[Address | None]:
    """Give the ``for`` of RFC 7239's elements, from the right; ``None`` for one that names nobody."""
    return _entries(values, _last_unquoted_comma, _forwarded_for)


def _entries(
    values: Sequence[str], last_comma: Callable[[str], int], parse: Callable[[str], Address | None]
) -> Iterator[Address | None]:
    hops = 0
    for value in reversed(values):
        rest: str | None = value
        while rest is not None:
            # What is cut off to the left is beyond the longest entry.
            tail = rest[-MAX_ENTRY_CHARS:]
            comma = last_comma(tail)
            if comma < 0 and len(tail) < len(rest):
                yield None
                return
            entry = tail[comma + 1 :].strip(" \t")
            rest = rest[: len(rest) - len(tail) + comma] if comma >= 0 else None
            hops += 1
            if hops > MAX_HOPS:
                return
            yield parse(entry)


def _last_unquoted_comma(text: str) -> int:
    # From the right: what the nearest proxy wrote is well-formed, whatever the client sent before it.
    quoted = False
    for place in range(len(text) - 1, -1, -1):
        character = text[place]
        if character == '"' and not (quoted and _is_escaped(text, place)):
            quoted = not quoted
        elif character == "," and not quoted:
            return place
    return -1


def _is_escaped(text: str, place: int) -> bool:
    before = text[:place]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _forwarded_for(element: str) -> Address | None:
    nodes = []
    for pair in _pairs(element):
        name, _, value = pair.strip(" \t").partition("=")
        if name.lower() == "for":
            # An escape has no place in an address: what has one is malformed, and found to be none.
            is_quoted = len(value) > 1 and value.startswith('"') and value.endswith('"')
            nodes.append(value[1:-1] if is_quoted else value)
    return _node(nodes[0]) if len(nodes) == 1 else None


def _pairs(element: str) -> Iterator[str]:
    begin, quoted, escaped = 0, False, False
    for place, character in enumerate(element):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == ";" and not quoted:
            yield element[begin:place]
            begin = place + 1
    yield element[begin:]
