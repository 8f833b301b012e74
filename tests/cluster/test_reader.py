"""What reads for followers: whatever comes, and however it is cut, it is judged as the implementation in Python does."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.bench.websocket import CLOSE, PING, TEXT
from components.cluster.reader import Kind, Reader
from components.cluster.sequence import Place, SymbolSequence, Tick, Verdict
from components.cluster.session import SEPARATOR, tick_of
from tests.cluster.places import PlainPlace

SYMBOLS = ("BTCUSDT", "ETHUSDT", "1000SATSUSDT")
STATUS = b'[36,1,2,{},[{"epoch":1700000000000,"state":"live"}]]'


def event(symbol: str, seq: int, more: str = "", id_: int | None = None) -> bytes:
    """Return an EVENT as a gateway sends it; trades' ids are 100 more than their numbers."""
    id_ = 100 + seq if id_ is None else id_
    return (
        f'[36,12,345,{{}},[{{"symbol":"{symbol}","price":62520.15,"volume":5.2,"side":"buy","ts":1700000000123,"id":{id_},'
        f'"seq":{seq}{more}}}]]'
    ).encode()


def merged(symbol: str, seq: int, count: int, dropped: int = 0) -> bytes:
    """Return the EVENT of a tick that stands for several, and says that others before it were left out."""
    more = f',"merged":{count},"high":2.5,"low":1.5,"first_id":{101 + seq - count},"last_id":{100 + seq},"first_seq":1'
    return event(symbol, seq, more + (f',"dropped":{dropped}' if dropped else ""))


def frame(*messages: bytes, first: int = 0x80 | TEXT) -> bytes:
    """Return a server's frame with a batch of messages."""
    payload = b"".join(message + SEPARATOR for message in messages)
    return server_frame(first, payload)


def server_frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65_536:
        return bytes([first, 126]) + size.to_bytes(2, "big") + payload
    return bytes([first, 127]) + size.to_bytes(8, "big") + payload


class Judge:
    """A client that gets a replay where one is asked for: the message ``[50,number,to_seq]`` is the answer for a symbol."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.verdict = Verdict()
        self.places = places
        self.sequences = [
            SymbolSequence(symbol, self.verdict, place) for symbol, place in zip(SYMBOLS, places, strict=True)
        ]
        self.messages: list[bytes] = []
        self.controls: list[tuple[int, bytes]] = []
        self.asked: list[tuple[int, int | None]] = []
        self.end = ""

    def tick(self, symbol: int, tick: Tick) -> None:
        if self.sequences[symbol].take(tick):
            self.asked.append((symbol, self.sequences[symbol].seq))

    def message(self, text: bytes) -> None:
        found = tick_of(text)
        if found is not None and found[0].decode() in SYMBOLS:
            self.tick(SYMBOLS.index(found[0].decode()), found[1])
            return
        self.messages.append(text)
        if text.startswith(b"[50,"):
            symbol, to_seq = map(int, text[4:-1].split(b","))
            sequence = self.sequences[symbol]
            if sequence.seq is not None and sequence.ask() is not None and to_seq >= sequence.seq:
                ticks = [(seq, seq, 100 + seq, 100 + seq) for seq in range(sequence.seq + 1, to_seq + 1)]
                sequence.replayed(ticks, [], to_seq, False)
        elif text == STATUS:
            for sequence in self.sequences:
                sequence.begin_epoch()

    def seen(self) -> tuple[object, ...]:
        """Return all that it has come to."""
        return (
            self.verdict,
            [(place.seq, place.id, place.held) for place in self.places],
            sorted(self.asked),
            self.messages,
            self.controls,
        )


class Read(Judge):
    """The same behind a reader, whose connection it has the other end of."""

    def __init__(self, reader: Reader, client: int = 0) -> None:
        super().__init__(reader.places(client))
        self.reader, self.client = reader, client
        self.ours, self.theirs = socket.socketpair()
        reader.watch(client, self.theirs.fileno())

    def feed(self, data: bytes) -> None:
        """Let it read some bytes."""
        self.ours.sendall(data)
        for handed in self.reader.read():
            assert handed.client == self.client
            if handed.kind is Kind.TICKS:
                for symbol, tick in handed.ticks:
                    self.tick(symbol, tick)
            elif handed.kind is Kind.MESSAGE:
                self.message(handed.payload)
            elif handed.kind is Kind.CONTROL:
                self.controls.append((handed.opcode, handed.payload))
            else:
                self.end = handed.why

    def seen(self) -> tuple[object, ...]:
        verdict, *more = super().seen()
        line = self.reader.line(self.client)
        assert isinstance(verdict, Verdict)
        return (replace(verdict, ticks=verdict.ticks + line.ticks, lost=verdict.lost + line.lost), *more)


@contextmanager
def reading() -> Iterator[Read]:
    reader = Reader(SYMBOLS, 1)
    read = Read(reader)
    try:
        yield read
    finally:
        read.ours.close()
        read.theirs.close()
        reader.close()


def parts(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """Cut bytes at some of their borders."""
    at = 0
    for cut in sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)}):
        if cut > at:
            yield data[at:cut]
        at = cut


symbol = st.sampled_from(SYMBOLS)
seq = st.integers(1, 12)
message = st.one_of(
    st.builds(event, symbol, seq),
    st.builds(event, symbol, seq, id_=st.integers(100, 130)),
    st.builds(merged, symbol, seq, st.integers(2, 4), st.integers(0, 3)),
    st.builds(lambda number, to: f"[50,{number},{to}]".encode(), st.integers(0, 2), seq),
    st.sampled_from(
        [
            STATUS,
            b"[33,7,8]",
            event("NOTHERE", 5),
            event("BTCUSDT", 5).replace(b"{},[", b'{"retained":true},['),
            event("BTCUSDT", 6).replace(b'"side":"buy"', b'"side": "buy"'),
            event("BTCUSDT", 7) + b" ",
        ]
    ),
)
upwards = st.builds(
    lambda name, steps: [event(name, 1 + sum(steps[: number + 1])) for number in range(len(steps))],
    symbol,
    st.lists(st.sampled_from([1, 1, 1, 1, 1, 2, 0, -1]), min_size=1, max_size=12),
)
batch = st.one_of(st.lists(message, max_size=6), upwards.map(lambda each: [one for one in each if one]))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.one_of(batch, st.sampled_from([b"ping", b""])), min_size=1, max_size=8),
    st.lists(st.integers(0, 10_000), max_size=12),
)
@example([[event("BTCUSDT", 1), event("BTCUSDT", 3), STATUS, event("BTCUSDT", 2)]], [])
def test_it_judges_as_python_does(frames: list[list[bytes] | bytes], cuts: list[int]) -> None:
    plain = Judge([PlainPlace() for _ in SYMBOLS])
    data = b""
    for each in frames:
        if isinstance(each, bytes):
            data += server_frame(0x80 | PING, each)
            plain.controls.append((PING, each))
            continue
        data += frame(*each)
        for text in each:
            plain.message(text)
    with reading() as read:
        for part in parts(data, cuts):
            read.feed(part)
        assert read.seen() == plain.seen()
        assert read.end == ""


FAULTS = {
    "missing": ([1, 2, 4, 5], (2, True), 2, [], [(0, 2)]),
    "doubled": ([1, 2, 2, 3], (3, False), 3, ["BTCUSDT: 2 came again behind 2"], []),
    "swapped": ([1, 3, 2, 4], (1, True), 1, [], [(0, 1)]),
    "late": ([2, 3, 1, 4], (4, False), 3, ["BTCUSDT: 1 came again behind 3"], []),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_wherever_reads_are_cut(fault: str) -> None:
    seqs, place, ticks, broken, asked = FAULTS[fault]
    data = frame(*[event("BTCUSDT", seq) for seq in seqs[:3]]) + frame(event("ETHUSDT", 1), event("BTCUSDT", seqs[3]))
    for cut in range(len(data)):
        with reading() as read:
            for part in parts(data, [cut]):
                read.feed(part)
            verdict, places, wanted, *_ = read.seen()
            assert isinstance(verdict, Verdict)
            assert isinstance(places, list)
            assert (verdict.ticks - 1, verdict.broken, wanted) == (ticks, broken, asked)
            assert (places[0][0], places[0][2]) == place
            assert places[1][0] == 1


def test_a_trade_in_no_tick_is_counted() -> None:
    with reading() as read:
        read.feed(frame(event("BTCUSDT", 1), event("BTCUSDT", 2, id_=105)))
        verdict = read.seen()[0]
        assert isinstance(verdict, Verdict)
        assert (verdict.lost, verdict.ticks) == (3, 2)


def test_what_follows_goes_by_itself_and_the_rest_is_handed_over_in_order() -> None:
    with reading() as read:
        read.feed(
            frame(event("BTCUSDT", 1), event("BTCUSDT", 3), b"[33,1,2]", event("BTCUSDT", 4), event("ETHUSDT", 1))
        )
        assert read.asked == [(0, 1)]
        assert read.messages == [b"[33,1,2]"]
        assert read.reader.line(0).ticks == 2
        read.feed(frame(b"[50,0,2]", event("BTCUSDT", 5)))
        assert [place.seq for place in read.places] == [5, 1, 0]
        assert read.reader.line(0).ticks == 3


def test_a_message_longer_than_a_read_is_one_message() -> None:
    long = b"[50,0,1" + b" " * 700_000 + b"]"
    data = frame(b"[33,1,2]", long, event("BTCUSDT", 1))
    with reading() as read:
        for at in range(0, len(data), 50_000):
            read.feed(data[at : at + 50_000])
        assert [len(each) for each in read.messages] == [8, len(long)]
        assert read.places[0].seq == 1


def test_more_ticks_than_are_handed_over_at_once_are_all_handed_over() -> None:
    with reading() as read:
        read.feed(frame(event("BTCUSDT", 1)))
        data = frame(*[event("BTCUSDT", seq) for seq in range(3, 1_003)])
        for _ in range(3):
            read.feed(data)
        read.feed(frame(b"[50,0,5000]"))
        assert read.places[0].seq == 5_000
        assert read.verdict.broken == []


@pytest.mark.parametrize(
    "data",
    [
        server_frame(0x80 | TEXT, event("BTCUSDT", 1)),  # a batch whose last message does not end
        frame(event("BTCUSDT", 1), first=TEXT),  # a part of a message
        frame(event("BTCUSDT", 1), first=0xC0 | TEXT),  # compressed
        frame(event("BTCUSDT", 1), first=0x82),  # binary
        bytes([0x80 | TEXT, 0x80 | 5]) + bytes(9),  # masked
        server_frame(0x80 | PING, bytes(126)),
        frame(b"x" * 3_000_000),
    ],
)
def test_what_is_against_the_rules_ends_the_connection(data: bytes) -> None:
    with reading() as read:
        for at in range(0, len(data), 50_000):
            if not read.end:
                read.feed(data[at : at + 50_000])
        assert read.end == "what came is against the rules"
        assert read.reader.line(0).ticks == 0


def test_an_end_is_told_once_and_the_client_can_come_back() -> None:
    with reading() as read:
        read.feed(frame(event("BTCUSDT", 1)) + frame(event("BTCUSDT", 2))[:-10])
        read.ours.close()
        assert [(each.kind, each.why) for each in read.reader.read()] == [(Kind.END, "closed")]
        assert list(read.reader.read()) == []
        read.theirs.close()
        read.ours, read.theirs = socket.socketpair()
        read.reader.watch(0, read.theirs.fileno())
        assert read.reader.line(0).live_since_s == 0
        read.feed(frame(event("BTCUSDT", 2)) + server_frame(0x80 | CLOSE, b"\x03\xe8"))
        assert read.places[0].seq == 2
        assert read.controls == [(CLOSE, b"\x03\xe8")]
        assert read.reader.line(0).connections == 2


def test_a_client_that_is_forgotten_while_it_is_served_is_read_no_further() -> None:
    reader = Reader(SYMBOLS, 2)
    clients = [Read(reader, number) for number in range(2)]
    try:
        for client in clients:
            client.ours.sendall(frame(b"[33,1,2]", event("BTCUSDT", 1)))
        seen = []
        for handed in reader.read():
            seen.append(handed.client)
            reader.forget(0)
        assert sorted(seen) in ([1], [0, 1])
        assert [reader.places(number)[0].seq for number in range(2)] == [0, 1]
    finally:
        for client in clients:
            client.ours.close()
            client.theirs.close()
        reader.close()
