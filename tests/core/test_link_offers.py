"""What linked routers tell each other, and what is made of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.link_offers import (
    MAX_OFFERS,
    Directory,
    Interest,
    Offered,
    Offers,
    OwnOffers,
    PeerOffers,
    builtins,
    read_offered,
    read_offers,
    service_prefix,
    twin,
)

VWAP, BEST = "services.quotes.vwap", "services.quotes.best"


def test_a_procedure_is_told_of_when_its_first_callee_comes_and_its_last_one_goes() -> None:
    own = OwnOffers("a", "x")
    told = [own.changed(VWAP, change) for change in (1, 1, -1, -1)]
    assert told == [Offered(1, VWAP, True), None, None, Offered(2, VWAP, False)]
    assert VWAP not in own


def test_what_is_told_can_be_read() -> None:
    own = OwnOffers("a", "x")
    change = own.changed(VWAP, 1)
    assert change is not None
    assert read_offered(builtins(change)) == change
    assert read_offers(builtins(own.all())) == Offers("a", "x", 1, (VWAP,))


@pytest.mark.parametrize("value", [None, 1, [], {"node": "a"}, {"version": -1, "procedure": VWAP, "there": True}])
def test_what_is_no_offer_is_refused(value: object) -> None:
    for read in (read_offers, read_offered):
        with pytest.raises(ValueError, match=r"Expected|missing"):
            read(value)


MOMENT = st.integers(0, 2**32)
"""Which of some moments, by its remainder."""


@given(st.lists(st.tuples(st.sampled_from([VWAP, BEST]), st.booleans())), MOMENT, MOMENT, MOMENT)
def test_a_peer_knows_what_there_is_whenever_the_whole_comes(
    steps: list[tuple[str, bool]], when_made: int, when_subscribed: int, when_came: int
) -> None:
    """Changes are told from a subscription on; the whole is made behind it, and comes before or behind later changes."""
    own, sent = OwnOffers("a", "x"), []
    wholes = [own.all()]
    for procedure, comes in steps:
        if comes != (procedure in own):
            sent.append(own.changed(procedure, 1 if comes else -1))
            wholes.append(own.all())
    made = when_made % (len(sent) + 1)
    subscribed = when_subscribed % (made + 1)
    came = subscribed + when_came % (len(sent) - subscribed + 1)
    peer = PeerOffers()
    for index, change in enumerate(sent):
        if index == came:
            peer.begin(wholes[made])
        if index >= subscribed:
            assert change is not None
            peer.change(change)
    if came == len(sent):
        peer.begin(wholes[made])
    assert peer.procedures == set(own.all().procedures)


def test_what_is_no_services_procedure_is_left_out() -> None:
    peer = PeerOffers()
    assert peer.begin(Offers("b", "y", 1, ("market.snapshot", VWAP, "services..x"))) == {VWAP}
    assert peer.change(Offered(2, "auth.renew", True)) is None
    assert peer.left_out == 3


def test_what_a_peer_has_is_bounded() -> None:
    peer = PeerOffers()
    peer.begin(Offers("b", "y", 0, ()))
    for version in range(1, MAX_OFFERS + 3):
        peer.change(Offered(version, f"services.quotes.p{version}", True))
    assert (len(peer.procedures), peer.left_out) == (MAX_OFFERS, 2)


def test_peers_take_turns() -> None:
    directory = Directory()
    directory.add("b", VWAP)
    directory.add("c", VWAP)
    assert [directory.choose(VWAP) for _ in range(3)] == ["b", "c", "b"]
    directory.remove("b", VWAP)
    assert directory.choose(VWAP) == "c"
    directory.remove("c", VWAP)
    assert directory.choose(VWAP) is None
    assert VWAP not in directory


@pytest.mark.parametrize(
    ("uri", "prefix"),
    [
        ("services.quotes.vwap", "services.quotes."),
        ("services.quotes.", "services.quotes."),
        ("services.quotes..x", "services.quotes."),
        ("services.quotes", None),
        ("services..vwap", None),
        ("market.BTCUSDT", None),
        ("", None),
    ],
)
def test_a_subscription_is_of_one_service(uri: str, prefix: str | None) -> None:
    assert service_prefix(uri) == prefix


def test_a_service_matters_from_its_first_to_its_last_subscription() -> None:
    interest = Interest()
    subscriptions = [(VWAP, 1), ("services.quotes.", 1), ("market.X", 1), (VWAP, -1), ("services.quotes.", -1)]
    assert [interest.changed(*each) for each in subscriptions] == [
        "services.quotes.",
        None,
        None,
        None,
        "services.quotes.",
    ]
    assert list(interest.all()) == []


def test_a_router_that_is_met_twice_is_told() -> None:
    assert twin("x", "x", {}) == "this router itself"
    assert twin("y", "x", {"b": "y"}) == "b"
    assert twin("z", "x", {"b": "y"}) is None
