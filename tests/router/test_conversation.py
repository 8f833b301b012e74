"""What a plain session does with requests, with a realm and a connection that are none."""

from __future__ import annotations

import gc
import json
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from autobahn.wamp import message
from twisted.internet.task import Clock

from components.core.batch import Batch
from components.core.grants import grants_of
from components.core.limits import Limits
from components.core.market import Market
from components.core.rates import Rate
from components.core.replay import ReplaySettings, TickHistory
from components.router.access.gate import Gate
from components.router.engine.encodings import PLAIN
from components.router.plain import resume
from components.router.plain.conversation import Conversation
from components.router.plain.market import MarketView

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
EPOCH = 5


class Listed(MarketView):
    """Knows how often it went through all symbols."""

    walks = 0

    def granted(self, session: Any) -> list[str]:
        self.walks += 1
        return super().granted(session)


class Talk:
    """A client, and all that it talks to."""

    is_over = is_blocked = False
    plain_encoding = PLAIN[False, True]

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.symbols: tuple[str, ...] | None = None
        self.subscriptions: list[str] = []
        market = Market(lambda: 0.0, lambda: 0.0)
        status = {"epoch": EPOCH, "state": "live", "symbols": SYMBOLS, "stale": []}
        market.take_status(json.dumps(status).encode())
        history = TickHistory(ReplaySettings(), lambda: 0.0)
        for seq in range(1, 4):
            history.take_batch(Batch(EPOCH, seq, [(f"market.{each}", seq, b'{"seq":%d}' % seq) for each in SYMBOLS]))
        self.view = Listed(market, history, lambda: False, self._grants, [Rate("every_1s", 1000)])
        self.clock = Clock()
        self.session = SimpleNamespace(gate=None)
        self.conversation = Conversation(self, self.session, self.view, self.clock)  # type: ignore[arg-type]

    def _grants(self, _session: Any) -> Any:
        return grants_of("viewer", "alice", self.symbols, [], frozenset({"book"}))

    def ask(self, **request: Any) -> None:
        self.conversation.take([json.dumps(request).encode()])

    def run(self) -> list[Any]:
        """Do all that is to be done, and return what was said."""
        while self.conversation.run(1.0):
            pass
        said, self.said = self.said, []
        return said

    def joined(self) -> Any:
        return self, None

    def subscribe(self, _session: Any, topic: str, _match: str, _get_retained: bool) -> tuple[int, list[bytes]]:
        self.subscriptions.append(topic)
        return len(self.subscriptions), []

    def unsubscribe(self, _session: Any, subscription: int) -> bool:
        self.subscriptions[subscription - 1] = ""
        return True

    def begin_reply(self) -> None:
        """Have no events."""

    def go_on(self) -> None:
        """Be run by the test."""

    def send_frames(self, frames: list[bytes]) -> None:
        self.said += map(json.loads, frames)


@pytest.fixture
def talk() -> Talk:
    """Return a conversation."""
    return Talk()


def test_a_request_for_one_symbol_goes_through_no_other(talk: Talk) -> None:
    talk.ask(type="subscribe", symbols=["BTCUSDT"])
    talk.ask(type="resume", epoch=EPOCH, last={"ETHUSDT": 3})
    talk.ask(type="unsubscribe", symbols=["BTCUSDT", "SOLUSDT"])
    talk.ask(type="subscribe", symbols=["NONE"])
    assert [said.get("code", said["type"]) for said in talk.run()] == [
        "subscribed",
        "resumed",
        "unsubscribed",
        "crosstick.error.unknown_symbol",
    ]
    assert talk.view.walks == 0


def test_what_is_followed_may_be_ended_though_the_token_grants_it_no_more(talk: Talk) -> None:
    talk.ask(type="subscribe", symbols=["ETHUSDT"], streams=["book"])
    talk.run()
    talk.symbols = ("BTC*",)
    talk.ask(type="unsubscribe", symbols=["ETHUSDT"])
    talk.ask(type="unsubscribe", symbols=["SOLUSDT"])
    ended, refused = talk.run()
    assert ended["type"] == "unsubscribed"
    assert refused["code"] == "crosstick.error.unknown_symbol"


def test_a_resume_ends_where_another_token_ends_its_right(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "RESUME_EVENTS", 1)
    talk.ask(type="resume", epoch=EPOCH, last={"BTCUSDT": 0, "ETHUSDT": 0}, id=1)
    # A step of each run: the time is always up.
    talk.conversation.run(0.0)
    talk.conversation.run(0.0)
    talk.symbols = ("ETH*",)
    said = talk.run()
    assert [each.get("seq", each.get("code")) for each in said[1:]] == [1, 2, "crosstick.error.unknown_symbol", 1, 2, 3]
    assert talk.subscriptions == ["market.ETHUSDT"]


def test_a_replay_counts_as_the_calls_that_it_would_have_taken_and_waits_for_them(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "MAX_ANSWER_EVENTS", 2)
    limits = Limits(calls_per_s=1.0, calls_burst=2)
    talk.session.gate = Gate(limits, talk.clock.seconds, lambda _: None, lambda: None)
    talk.ask(type="resume", epoch=EPOCH, last=dict.fromkeys(SYMBOLS, 0))
    # One for the request, one for the first two ticks; the next two come with the third, which is sent.
    assert [said.get("seq") for said in talk.run()] == [None, 1, 2, 3, 1, 2, 3]
    talk.clock.advance(0.5)
    assert talk.run() == []
    for _ in range(60):
        talk.clock.advance(0.05)
    assert [said.get("seq") for said in talk.run()] == [1, 2, 3]


def test_what_a_token_grants_besides_costs_what_a_subscription_does(talk: Talk) -> None:
    limits = Limits(messages_per_s=1.0, messages_burst=2)
    talk.session.gate = Gate(limits, talk.clock.seconds, lambda _: None, lambda: None)
    talk.symbols = ("BTC*",)
    talk.ask(type="subscribe", symbols="*")
    talk.run()
    talk.ask(type="renew", id=7, token="another")
    talk.session.onMessage = lambda call: talk.conversation.told(
        message.Result(call.request, args=[{"exp": 1, "ended": []}])
    )
    talk.symbols = None
    for _ in range(2):
        talk.session.gate.pay(2)
    said = talk.run()
    assert [(each["type"], each.get("limit")) for each in said] == [
        ("renewed", None),
        ("error", "messages_per_s"),
    ]
    assert talk.subscriptions == ["market.BTCUSDT"]


def test_a_conversation_that_has_waited_for_a_moment_refers_to_itself_no_more(talk: Talk) -> None:
    left = weakref.ref(talk.conversation)
    talk.ask(type="resume", epoch=EPOCH, last={"BTCUSDT": 9})
    assert [said["type"] for said in talk.run()] == ["resumed"]
    assert talk.conversation.is_held
    talk.clock.advance(resume.BEHIND_S)
    assert [said["type"] for said in talk.run()] == ["gap"]
    talk.conversation.close()
    gc.disable()
    try:
        del talk.conversation
        assert left() is None
    finally:
        gc.enable()
