"""What a follower makes of what a gateway says of epochs."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from components.cluster.follower import Follower
from components.cluster.session import Session
from components.uris import MARKET_STATUS

REPLAY = '{"epoch":%d,"symbol":"BTCUSDT","after_seq":7,"to_seq":7,"events":[],"missing":[],"more":false}'


class Session(Session):
    """Keeps what it says."""

    def __init__(self, follower: Follower) -> None:
        super().__init__(follower, SimpleNamespace())  # type: ignore[arg-type]
        self.said: list[list[Any]] = []

    def _say(self, *message: Any) -> None:
        self.said.append(json.loads(json.dumps(message)))

    def hear(self, text: str) -> None:
        self._take_text(text.encode())

    def tick(self, seq: int) -> None:
        self._take_tick(0, (seq, seq, 100 + seq, 100 + seq))


def follower_at(seq: int, epoch: int) -> Follower:
    place = SimpleNamespace(seq=seq, id=0, held=False)
    reader: Any = SimpleNamespace(line=lambda _: SimpleNamespace(ticks=0, lost=0), places=lambda _: [place])
    follower = Follower(0, [("127.0.0.1", 1)], ("alice", "token"), ["BTCUSDT"], reader)
    follower.epoch = epoch
    return follower


def test_the_answer_to_a_question_of_the_epoch_before_is_of_no_interest() -> None:
    async def follow() -> Follower:
        follower = follower_at(7, epoch=1)
        session = Session(follower)
        session.tick(9)
        session.ask(1e9)
        [[_, request, _, _, arguments]] = session.said
        assert arguments == ["BTCUSDT", 1, 7]
        session.hear('[36,1,2,{},[{"epoch":2,"state":"live"}]]')
        session.tick(1)
        session.hear(f"[50,{request},{{}},[{REPLAY % 2}]]")
        session.tick(2)
        assert not session.waits
        return follower

    follower = asyncio.run(follow())
    assert follower.seqs() == {"BTCUSDT": 2}
    assert (follower.verdict.broken, follower.verdict.epochs) == ([], 1)


def test_it_asks_for_the_epoch_before_there_are_ticks() -> None:
    async def join() -> list[list[Any]]:
        session = Session(follower_at(7, epoch=1))
        session.hear("[2,1,{}]")
        return session.said

    said = asyncio.run(join())
    assert [message[2:] for message in said] == [[{"get_retained": True}, MARKET_STATUS], [{}, "market.BTCUSDT"]]
