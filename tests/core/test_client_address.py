"""Whose connection it is, by the word of trusted proxies only."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.client_address import (
    MAX_ENTRY_CHARS,
    MAX_HOPS,
    InvalidNetwork,
    TrustedProxies,
    client_address,
    header_values,
    network_key,
)

TRUSTED = TrustedProxies(["10.0.0.0/8", "127.0.0.1", "::1", "2001:db8:ff::/48"])
PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("local", "local"),
        ("", "local"),
        ("gateway.sock", "local"),
    ],
)
def test_addresses_are_counted_by_what_a_site_has(address: str, key: str) -> None:
    assert network_key(address) == key


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.0.0.9", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7, 10.0.0.9", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8::17", "2001:db8::17"),
        ("[2001:db8::17]", "2001:db8::17"),
        ("[2001:db8::17]:4711", "2001:db8::17"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("10.0.0.8, 10.0.0.9", "10.0.0.8"),
        ("203.0.113.7, nonsense, 10.0.0.9", "10.0.0.9"),
        ("203.0.113.7, unknown", PROXY),
        ("203.0.113.7,", PROXY),
        ("[2001:db8::17", PROXY),
        ("[203.0.113.7]", PROXY),
        ("203.0.113.7:http", PROXY),
        ("203.0.113.7:999999", PROXY),
        ("fe80::1%eth0", PROXY),
        ("01.2.3.4", PROXY),
        ("203.0.113.7, " + "1" * (MAX_ENTRY_CHARS + 1), PROXY),
        ("", PROXY),
    ],
)
def test_x_forwarded_for_is_walked_from_the_right(header: str, client: str) -> None:
    assert client_address(PROXY, [header], [], TRUSTED) == client


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ("For=203.0.113.7;proto=https;by=203.0.113.43", "203.0.113.7"),
        ("proto=https; for=203.0.113.7", "203.0.113.7"),
        ('for="203.0.113.7:4711"', "203.0.113.7"),
        ('for="[2001:db8::17]:4711"', "2001:db8::17"),
        ('for="[2001:db8::17]"', "2001:db8::17"),
        ("for=198.51.100.1, for=203.0.113.7, for=10.0.0.9", "203.0.113.7"),
        ('for=203.0.113.7;host="a,b;for=198.51.100.1"', "203.0.113.7"),
        ('for=203.0.113.7;host="a\\",for=198.51.100.1"', "203.0.113.7"),
        # What a client began and did not end is no part of what its proxy wrote.
        ('for="evil, for=203.0.113.7', "203.0.113.7"),
        ("for=unknown", PROXY),
        ("for=_hidden", PROXY),
        ('for="_hidden:4711"', PROXY),
        ("for=203.0.113.7, for=unknown, for=10.0.0.9", "10.0.0.9"),
        ("for=203.0.113.7;for=203.0.113.8", PROXY),
        ("by=203.0.113.7", PROXY),
        ("203.0.113.7", PROXY),
        ("for=", PROXY),
        ('for="', PROXY),
        ("", PROXY),
    ],
)
def test_forwarded_is_read_as_rfc_7239_says(header: str, client: str) -> None:
    assert client_address(PROXY, [], [header], TRUSTED) == client


def test_headers_that_came_in_several_lines_are_one_list() -> None:
    assert client_address(PROXY, ["198.51.100.1", "203.0.113.7, 10.0.0.2", "10.0.0.3"], [], TRUSTED) == "203.0.113.7"


def test_of_both_headers_x_forwarded_for_is_read() -> None:
    assert client_address(PROXY, ["203.0.113.7"], ["for=198.51.100.1"], TRUSTED) == "203.0.113.7"


@given(st.ip_addresses().map(str), st.text(), st.text())
def test_who_is_no_trusted_proxy_is_not_believed(peer: str, x_forwarded_for: str, forwarded: str) -> None:
    found = client_address(peer, [x_forwarded_for], [forwarded], TrustedProxies())
    assert network_key(found) == network_key(peer)


def test_a_walk_ends() -> None:
    hops = ["203.0.113.7", *["10.0.0.9"] * MAX_HOPS]
    assert client_address(PROXY, [", ".join(hops[:-1])], [], TRUSTED) == "203.0.113.7"
    assert client_address(PROXY, [", ".join(hops)], [], TRUSTED) == "10.0.0.9"


headers = st.lists(
    st.one_of(
        st.text(max_size=600),
        st.text(alphabet='for=",;\\[]:. 10.0.0.1_', max_size=600),
        st.lists(st.ip_addresses().map(str)).map(",".join),
    ),
    max_size=4,
)


@given(st.ip_addresses().map(str), headers, headers, st.lists(st.ip_addresses().map(str), max_size=3))
def test_whatever_is_said_an_address_is_found(
    peer: str, x_forwarded_for: list[str], forwarded: list[str], proxies: list[str]
) -> None:
    trusted = TrustedProxies([peer, "10.0.0.0/8", *proxies])
    assert str(ip_address(client_address(peer, x_forwarded_for, forwarded, trusted)))


@given(headers, st.ip_addresses(network="198.51.100.0/24").map(str))
def test_nothing_a_client_sends_hides_what_its_proxy_appends(sent: list[str], client: str) -> None:
    assert client_address(PROXY, [*sent, client], [], TRUSTED) == client
    assert client_address(PROXY, [", ".join([*sent, client])], [], TRUSTED) == client
    assert client_address(PROXY, [], [", ".join([*sent, f"for={client}"])], TRUSTED) == client


@given(st.ip_addresses(v=6).map(str))
def test_all_of_a_64_have_one_key(address: str) -> None:
    key = network_key(address)
    assert key == network_key(address.upper())
    if "/" in key:
        assert ip_address(address) in ip_network(key)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "localhost", "", "10.0.0.0/33", "1.2.3"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(InvalidNetwork, match="is no address or network") as raised:
        TrustedProxies([text])
    assert repr(text) in str(raised.value)


def test_a_request_has_the_headers_its_lines_say_and_no_others() -> None:
    request = (
        b"GET /ws HTTP/1.1\r\nX-Forwarded-For: a\r\nx-forwarded-for:b , c\t\r\n"
        b"X-Other: d\x85X-Forwarded-For: e\x0bX-Forwarded-For: f\nX-Forwarded-For: g\r\n X-Forwarded-For: h\r\n\r\n"
    )
    assert header_values(request, "X-Forwarded-For") == ["a", "b , c"]


@given(st.binary(), st.sampled_from(["forwarded", "x-forwarded-for"]))
def test_any_bytes_have_some_headers_or_none(request: bytes, name: str) -> None:
    assert all(isinstance(value, str) for value in header_values(request, name))
