"""What a connection leaves behind when it has gone: nothing that a collection of everything would have to find.

With the collector off, visitors come and go at real ports; afterwards there are as many objects as before, of every kind.
"""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from types import CellType, FunctionType, MethodType
from typing import Any
from urllib.parse import SplitResult

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from components.core.closing import CloseReason
from components.tokens import TokenError
from components.tokens.errors import TokenCause
from tests.fuzz.world import AUTHORITY, Wire, World, encoded, frame, mint, spoil, world
from tests.harness.doors import UPGRADE, Doors, Visitor

OF_ALL = frozenset({tuple, list, dict, CellType, SplitResult})
"""What everything has, so that it says nothing of what was left: there is more and less of it all the time. ``SplitResult``:
urllib keeps those of the last 128 URLs, which Autobahn asks for."""

VISITORS = 8
"""What there is more of by so many has been left by each of them."""

ROUNDS = 4
"""What is made once, such as a thread's own, is made in one of them; what is left behind, in all."""

CLOSE = frame(0x88, b"\x03\xe8")
TOPIC = "market.BTCUSDT"


# Before the upgrade


def says_nothing(visitor: Visitor) -> None:
    visitor.close()


def leaves_in_the_middle_of_a_request(visitor: Visitor) -> None:
    visitor.send(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    visitor.close()


def leaves_in_the_middle_of_chunks(visitor: Visitor) -> None:
    visitor.send(b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc")
    visitor.close()


def asks_for_pages(visitor: Visitor) -> None:
    for path, answer in ((b"healthz", b"alive"), (b"none", b"Not found"), (b"index.html", b"the page")):
        visitor.send(b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        visitor.read_until(answer)
    visitor.close()


def asks_for_more_than_it_reads(visitor: Visitor) -> None:
    visitor.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    visitor.close()


def asks_for_what_is_no_request(visitor: Visitor) -> None:
    visitor.send(b"\x00\x01\r\n\r\n")
    visitor.read_until(b" 400 ")
    visitor.close()


def sends_too_much(visitor: Visitor) -> None:
    visitor.send(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
    visitor.read_until(b" 413 ")
    visitor.close()


def asks_for_another_version(visitor: Visitor) -> None:
    visitor.send(UPGRADE.replace(b"Version: 13", b"Version: 99") + b"\r\n")
    assert b" 400 " in visitor.read_to_end()
    visitor.close()


def comes_from_another_page(visitor: Visitor) -> None:
    visitor.send(UPGRADE + b"Origin: http://elsewhere.example\r\n\r\n")
    assert b" 403 " in visitor.read_to_end()
    visitor.close()


# Before the join


def opens(visitor: Visitor) -> None:
    visitor.open()
    visitor.close()


def opens_compressed(visitor: Visitor) -> None:
    visitor.open(b"Sec-WebSocket-Extensions: permessage-deflate")
    visitor.close()


def says_hello(visitor: Visitor) -> None:
    visitor.open()
    visitor.hello()
    visitor.close()


def gives_up_the_join(visitor: Visitor) -> None:
    visitor.open()
    visitor.hello()
    visitor.say(3, {}, "wamp.close.normal")
    visitor.close()


def has_no_ticket(visitor: Visitor) -> None:
    visitor.join("no.such.ticket")
    visitor.close()


def asks_before_it_has_joined(visitor: Visitor) -> None:
    visitor.open()
    visitor.say(32, 1, {}, TOPIC)
    visitor.send(frame(0x89, b"ping"))
    visitor.read_until(b"ping")
    visitor.close()


def floods_before_it_has_joined(visitor: Visitor) -> None:
    visitor.open()
    visitor.send(frame(0x81, b'[32,1,{},"a"]') * 50)
    visitor.read_close()
    visitor.close()


# In a session


def joins(visitor: Visitor) -> None:
    visitor.join()
    visitor.close()


def joins_and_is_reset(visitor: Visitor) -> None:
    visitor.join()
    visitor.reset()


def asks_for_all_there_is(visitor: Visitor) -> None:
    visitor.join()
    visitor.ask(32, 101, {"get_retained": True}, TOPIC)
    visitor.ask(32, 102, {"match": "prefix"}, "market.")
    visitor.ask(32, 103, {"match": "wildcard"}, "market..book")
    visitor.ask(48, 104, {}, "market.symbols")
    visitor.ask(48, 105, {}, "market.snapshot", [["BTCUSDT"]])
    visitor.ask(48, 106, {}, "no.such.procedure")
    visitor.ask(64, 107, {}, "services.fuzz.procedure")
    visitor.ask(32, 108, {}, "no.such.topic")
    visitor.close()


def leaves_the_realm(visitor: Visitor) -> None:
    visitor.join()
    visitor.say(6, {}, "wamp.close.normal")
    visitor.read_until(b"[6,")
    visitor.send(CLOSE)
    visitor.read_to_end()
    visitor.close()


def joins_again(visitor: Visitor) -> None:
    visitor.join()
    visitor.say(6, {}, "wamp.close.normal")
    visitor.read_until(b"[6,")
    visitor.rejoin()
    visitor.close()


def closes(visitor: Visitor) -> None:
    visitor.join()
    visitor.send(CLOSE)
    visitor.read_to_end()
    visitor.close()


def breaks_the_protocol(visitor: Visitor) -> None:
    visitor.join()
    visitor.send(frame(0x83, b"a"))
    visitor.read_close()
    visitor.close()


def sends_no_message(visitor: Visitor) -> None:
    visitor.join()
    visitor.say(999)
    visitor.read_close()
    visitor.close()


def waits_to_be_closed(visitor: Visitor) -> None:
    visitor.open()
    visitor.read_to_end()
    visitor.close()


# RawSocket


def breaks_off_the_handshake(visitor: Visitor) -> None:
    visitor.send(b"\x7f\xf1")
    visitor.close()


def begins_otherwise(visitor: Visitor) -> None:
    visitor.send(b"GET /ws HTTP/1.1\r\n\r\n")
    visitor.read_to_end()
    visitor.close()


Visit = Callable[[Visitor], None]
# In plain JSON


def trades(visitor: Visitor) -> None:
    assert b" 101 " in visitor.ask_to_trade(mint("viewer", "alice"))
    for number, request in enumerate(("subscribe", "list", "status", "ping", "unsubscribe")):
        symbols = {"symbols": ["BTCUSDT"]} if "subscribe" in request else {}
        visitor.say_plainly(type=request, id=number, **symbols)
        visitor.read_until(b'"id":%d' % number)
    visitor.send(CLOSE)
    visitor.read_close()
    visitor.close()


def trades_and_is_reset(visitor: Visitor) -> None:
    visitor.ask_to_trade(mint("viewer", "alice"))
    visitor.say_plainly(type="subscribe", id=1, symbols=["BTCUSDT"])
    visitor.read_until(b'"id":1')
    visitor.reset()


def has_no_token(visitor: Visitor) -> None:
    assert b" 401 " in visitor.ask_to_trade("none")
    visitor.read_to_end()
    visitor.close()


def trades_nonsense(visitor: Visitor) -> None:
    visitor.ask_to_trade(mint("viewer", "alice"))
    visitor.say_plainly(type="nonsense", id=1)
    visitor.read_until(b"error")
    visitor.close()


HTTP: tuple[Visit, ...] = (
    *(says_nothing, leaves_in_the_middle_of_a_request, leaves_in_the_middle_of_chunks, asks_for_pages),
    *(asks_for_more_than_it_reads, asks_for_what_is_no_request, sends_too_much),
    *(asks_for_another_version, comes_from_another_page),
)
OPEN: tuple[Visit, ...] = (
    opens,
    says_hello,
    gives_up_the_join,
    has_no_ticket,
    joins,
    joins_again,
    asks_for_all_there_is,
)
WEBSOCKET: tuple[Visit, ...] = (
    *(*OPEN, opens_compressed, asks_before_it_has_joined, floods_before_it_has_joined, joins_and_is_reset),
    *(leaves_the_realm, closes, breaks_the_protocol, sends_no_message),
)
PLAIN: tuple[Visit, ...] = (trades, trades_and_is_reset, has_no_token, trades_nonsense)
SOME: tuple[Visit, ...] = (
    says_nothing,
    asks_for_pages,
    asks_for_another_version,
    has_no_ticket,
    asks_for_all_there_is,
    closes,
)
RAWSOCKET: tuple[Visit, ...] = (says_nothing, breaks_off_the_handshake, begins_otherwise, *OPEN, sends_no_message)
VISITS = [
    *(("http", visit) for visit in (*HTTP, *WEBSOCKET, *PLAIN)),
    *(("https", visit) for visit in (*SOME, joins_and_is_reset, trades, has_no_token)),
    *(("proxied", visit) for visit in SOME),
    *(("rawsocket", visit) for visit in RAWSOCKET),
    *(("secure rawsocket", visit) for visit in (says_nothing, asks_for_all_there_is)),
]


@pytest_twisted.async_yield_fixture(scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    """Return doors whose visitors are the only ones to make something."""
    made = Doors(world(), tmp_path_factory.mktemp("doors"))
    for door in made.ports:
        # What is made once is no connection's.
        await deferToThread(lambda door=door: says_nothing(Visitor(made, door)))
    await made.all_gone()
    gc.collect()
    gc.freeze()
    yield made
    gc.unfreeze()
    await made.close()
    spoil()


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Let nothing be freed but what nobody mentions."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def kinds() -> Counter[str]:
    """Return how many objects there are, by type or, of functions and methods, by name."""
    return Counter(
        each.__qualname__ if isinstance(each, FunctionType | MethodType) else type(each).__qualname__
        for each in gc.get_objects()
        if type(each) not in OF_ALL
    )


async def left_behind(doors: Doors, door: str, visit: Visit) -> dict[str, int]:
    """Let visitors come and go; return what each has left behind."""

    def come_and_go(number: int) -> None:
        for _ in range(number):
            visit(Visitor(doors, door))

    await deferToThread(come_and_go, 2)
    await doors.all_gone()
    left: dict[str, int] | None = None
    for _ in range(ROUNDS):
        before = kinds()
        await deferToThread(come_and_go, VISITORS)
        await doors.all_gone()
        more = {kind: number for kind, number in (kinds() - before).items() if number >= VISITORS}
        left = more if left is None else {kind: more[kind] for kind in left.keys() & more.keys()}
        if not left:
            break
    return left or {}


@pytest.mark.parametrize(("door", "visit"), VISITS, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.usefixtures("uncollected")
@pytest_twisted.ensureDeferred
async def test_a_connection_that_has_gone_is_gone(doors: Doors, door: str, visit: Visit) -> None:
    assert await left_behind(doors, door, visit) == {}


@pytest.mark.parametrize("door", ["http", "https", "rawsocket"])
@pytest.mark.usefixtures("uncollected")
@pytest_twisted.ensureDeferred
async def test_one_whose_time_was_up_is_gone(doors: Doors, door: str) -> None:
    doors.hurry = True
    try:
        assert await left_behind(doors, door, waits_to_be_closed) == {}
    finally:
        doors.hurry = False


# What comes late


@pytest.fixture
def inside(doors: Doors, uncollected: None) -> World:
    """Return the world behind the doors."""
    return doors.world


def ended(wire: Wire) -> list[Any]:
    """Let a connection end; return what is left of it."""
    watched = [weakref.ref(part) for part in (wire.protocol, wire.protocol._session, wire.protocol.outlet)]
    wire.end()
    del wire.protocol
    wire.transport.producer = None
    return [left for each in watched if (left := each()) is not None]


@pytest.mark.parametrize("accepted", [True, False])
def test_one_whose_ticket_is_decided_on_after_its_end_is_gone(
    inside: World, monkeypatch: pytest.MonkeyPatch, accepted: bool
) -> None:
    ticket = mint("viewer", "late")
    claims = AUTHORITY.verify(ticket)
    decisions: list[Deferred[Any]] = [Deferred()]
    monkeypatch.setattr(type(AUTHORITY), "verify_with_refresh", lambda *_: decisions[0])
    wire = inside.websocket("json")
    wire.send(encoded([1, "market", {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "late"}], "json"))
    wire.send(encoded([5, ticket, {}], "json"))
    left = ended(wire)
    # It is waited for.
    assert left != []
    watched = [weakref.ref(left.pop()) for _ in range(len(left))]
    if accepted:
        decisions[0].callback(claims)
    else:
        decisions[0].errback(TokenError(TokenCause.EXPIRED))
    decisions.clear()
    assert [each() for each in watched if each() is not None] == []
    inside.check_clean()


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_one_that_did_not_read_is_gone(inside: World, serializer: str) -> None:
    wire = inside.joined(serializer, role="viewer", sub="slow")
    wire.send(encoded([32, 1, {}, TOPIC], serializer), text=serializer == "json")
    wire.protocol.outlet.pauseProducing()
    inside.clock.advance(60.0)
    assert wire.protocol.outlet.given_up
    assert ended(wire) == []


def test_one_that_was_sent_away_is_gone(inside: World) -> None:
    wire = inside.joined("json", role="viewer", sub="sent")
    wire.protocol.part(CloseReason.DRAINING)
    assert ended(wire) == []
