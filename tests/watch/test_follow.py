"""How a watch connects, comes back and gives up, with a small gateway."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from rich.console import Console

from components.watch import follow as follow_module
from components.watch.board import Board, Line
from components.watch.follow import Refused, Wish, follow
from components.watch.lines import JsonLines, Lines
from components.watch.screen import Screen
from components.watch.terminal import BoardFollower, Drawn
from components.watch.tokens import TokenSource
from tests.watch.gateway import SmallGateway, small_gateway, until
from tests.watch.test_board import texts

SECRET = "s" * 32


def token(sub: str = "alice", ttl_s: float = 3600) -> str:
    return jwt.encode({"sub": sub, "exp": time.time() + ttl_s}, SECRET)


FIXED = TokenSource(token, renews=False)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for what a gateway would be given time for."""
    monkeypatch.setattr(follow_module, "FIRST_RETRY_CEILING_S", 0.02)
    monkeypatch.setattr(follow_module, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(follow_module, "STATUS_EVERY_S", 0.05)
    monkeypatch.setattr(follow_module, "AGAIN_S", 0.02)


class Recorded(BoardFollower):
    """Keeps why the line was lost: a moment later it may be there again."""

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        self.reasons: list[str] = []

    def lost(self, reason: str, retry_in_s: float, now_s: float) -> None:
        super().lost(reason, retry_in_s, now_s)
        self.reasons.append(reason)


@asynccontextmanager
async def following(
    gateway: SmallGateway,
    *globs: str,
    tokens: TokenSource = FIXED,
    every_ms: int | None = None,
    follower: BoardFollower | None = None,
) -> AsyncIterator[Board]:
    follower = follower or BoardFollower(Board(asyncio.get_running_loop().time(), time.time() * 1000))
    task = asyncio.ensure_future(follow([gateway.url], tokens, Wish(globs, every_ms), follower))
    try:
        waits = [task, asyncio.ensure_future(follower.is_live.wait())]
        await asyncio.wait(waits, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield follower.board
    finally:
        task.cancel()
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def with_gateway(test: Callable[[SmallGateway], Awaitable[None]]) -> Callable[[], None]:
    async def run() -> None:
        async with small_gateway() as gateway:
            await test(gateway)

    def wrapped() -> None:
        asyncio.run(run())

    wrapped.__name__ = test.__name__
    return wrapped


@with_gateway
async def test_it_follows_what_its_globs_name(gateway: SmallGateway) -> None:
    async with following(gateway, "ET*") as board:
        assert sorted(board.rows) == ["ETCUSDT", "ETHUSDT"]
        assert board.line is Line.LIVE
        assert board.status is not None
        assert board.status.state == "live"
        await gateway.tick("ETHUSDT")
        await until(lambda: board.rows["ETHUSDT"].seq == 1)
    assert [each["streams"] for each in gateway.asked("subscribe")] == [["status"], ["tick", "book"]]


@with_gateway
async def test_what_is_not_granted_is_refused(gateway: SmallGateway) -> None:
    with pytest.raises(Refused, match=r"NOPE is none of the 3 symbols that this token grants$"):
        async with following(gateway, "NOPE"):
            pass


@with_gateway
async def test_after_a_loss_it_asks_for_what_was_missed_and_tells_what_it_did_not_get(gateway: SmallGateway) -> None:
    async with following(gateway) as board:
        await gateway.tick("BTCUSDT")
        await until(lambda: board.rows["BTCUSDT"].seq == 1)
        await gateway.connections[0].close(1012, "restart")
        await until(lambda: board.connections == 2)
        [resume] = gateway.asked("resume")
        assert (resume["epoch"], resume["last"]["BTCUSDT"]) == (7, 1)
        await gateway.tick("BTCUSDT", skip=4)
        await until(lambda: board.rows["BTCUSDT"].seq == 6)
        assert (board.rows["BTCUSDT"].gaps, board.rows["BTCUSDT"].missed) == (1, 4)


@with_gateway
async def test_at_a_rate_nothing_is_resumed(gateway: SmallGateway) -> None:
    async with following(gateway, every_ms=1000) as board:
        await gateway.connections[0].close(1012, "restart")
        await until(lambda: board.connections == 2)
    assert gateway.asked("resume") == []
    assert {each.get("every_ms") for each in gateway.asked("subscribe") if each["symbols"]} == {1000}


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_ends_it(status: int) -> None:
    async def run() -> None:
        async with small_gateway() as gateway:
            problem = (
                b'{"type":"crosstick.error.authentication_failed","title":"No","detail":"the token is not accepted"}'
            )
            gateway.http_answer = status, {}, problem
            with pytest.raises(Refused, match="authentication_failed: the token is not accepted"):
                async with following(gateway):
                    pass
            assert len(gateway.tokens) == 1

    asyncio.run(run())


@with_gateway
async def test_a_gateway_without_room_is_asked_again_when_it_says(gateway: SmallGateway) -> None:
    gateway.http_answer = 503, {"Retry-After": "0"}, b"no JSON"

    async def room() -> None:
        await until(lambda: len(gateway.tokens) >= 3)
        gateway.http_answer = None

    making = asyncio.ensure_future(room())
    async with following(gateway) as board:
        assert board.line is Line.LIVE
    await making


@with_gateway
async def test_a_fixed_token_that_has_expired_ends_it(gateway: SmallGateway) -> None:
    follower = BoardFollower(Board(0.0, 0.0))
    task = asyncio.ensure_future(follow([gateway.url], FIXED, Wish(()), follower))
    await follower.is_live.wait()
    await gateway.connections[0].close(4004, "crosstick.close.token_expired")
    with pytest.raises(Refused, match="token_expired"):
        await asyncio.wait_for(task, 10)


@with_gateway
async def test_a_token_that_may_be_another_next_time_is_renewed_and_read_anew(gateway: SmallGateway) -> None:
    given: list[str] = []

    def get() -> str:
        given.append(token(f"number-{len(given)}"))
        return given[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow_module, "renewal_delay_s", lambda *_: 0.02 if len(given) == 1 else 3600)
        async with following(gateway, tokens=TokenSource(get, renews=True)):
            await until(lambda: gateway.asked("renew"))
    assert [each["token"] for each in gateway.asked("renew")] == given[1:]


@with_gateway
async def test_a_token_that_has_ended_is_followed_by_the_next_one(gateway: SmallGateway) -> None:
    given: list[str] = []

    def get() -> str:
        given.append(token(f"number-{len(given)}"))
        return given[-1]

    async with following(gateway, tokens=TokenSource(get, renews=True)) as board:
        await gateway.connections[0].close(4004, "crosstick.close.token_expired")
        await until(lambda: board.connections == 2)
    assert gateway.tokens == given


@with_gateway
async def test_a_line_that_has_gone_silent_is_given_up(gateway: SmallGateway) -> None:
    follower = Recorded(Board(0.0, 0.0))
    async with following(gateway, follower=follower) as board:
        gateway.answers_pings = False
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(follow_module, "SILENT_S", 0.2)
            await until(lambda: follower.reasons)
            assert follower.reasons[0] == "nothing has come for 0.2 s"
            assert board.not_live_since_ms() is not None


@with_gateway
async def test_what_is_not_ready_yet_is_asked_again(gateway: SmallGateway) -> None:
    refusals = ["crosstick.error.not_ready"]
    gateway.refuse = lambda request: (refusals.pop(), "") if request["type"] == "list" and refusals else None
    async with following(gateway) as board:
        assert board.line is Line.LIVE
    assert len(gateway.asked("list")) == 2


@with_gateway
async def test_a_rate_that_there_is_not_is_refused(gateway: SmallGateway) -> None:
    def refuse(request: dict[str, Any]) -> tuple[str, str] | None:
        return ("wamp.error.invalid_argument", "every_ms must be one of 100, 1000") if "every_ms" in request else None

    gateway.refuse = refuse
    with pytest.raises(Refused, match="every_ms must be one of 100, 1000"):
        async with following(gateway, every_ms=7):
            pass


@with_gateway
async def test_what_is_listed_later_is_followed_too(gateway: SmallGateway) -> None:
    async with following(gateway, "*USDT") as board:
        gateway.symbols = [*gateway.symbols, "NEWUSDT"]
        gateway.seq["NEWUSDT"] = 5
        await gateway.status("live")
        await until(lambda: "NEWUSDT" in board.rows)
        assert board.rows["NEWUSDT"].seq == 5
        assert gateway.asked("subscribe")[-1]["symbols"] == ["NEWUSDT"]


@with_gateway
async def test_a_gateway_that_says_nonsense_is_left(gateway: SmallGateway) -> None:
    follower = Recorded(Board(0.0, 0.0))
    async with following(gateway, follower=follower):
        await gateway.connections[0].send('["surprise"]')
        await until(lambda: follower.reasons)
        assert "not of this protocol" in follower.reasons[0]


@with_gateway
async def test_lines_have_ticks_and_tell_of_the_line_beside_them(gateway: SmallGateway) -> None:
    written: list[str] = []
    said: list[str] = []
    follower = Lines(Board(0.0, 0.0), written.append, said.append)
    task = asyncio.ensure_future(follow([gateway.url], FIXED, Wish(("BTC*",)), follower))
    await follower.is_live.wait()
    await gateway.tick("BTCUSDT")
    await until(lambda: len(written) == 2)
    assert written[-1].endswith("BTCUSDT 2.5 1 buy seq=1")
    await gateway.connections[0].close(1012, "restart")
    await until(lambda: said.count(f"live at {gateway.url}") == 2)
    assert any(line.startswith("lost: restart; next attempt in ") for line in said)
    task.cancel()


@with_gateway
async def test_a_redirect_takes_no_token_elsewhere(gateway: SmallGateway) -> None:
    follower = Recorded(Board(0.0, 0.0))
    async with small_gateway() as other:
        gateway.http_answer = 302, {"Location": other.url}, b""
        task = asyncio.ensure_future(follow([gateway.url], FIXED, Wish(()), follower))
        await until(lambda: follower.reasons or other.tokens)
        task.cancel()
        assert (follower.reasons[:1], other.tokens) == (["HTTP 302"], [])


@with_gateway
async def test_nothing_that_a_gateway_says_is_obeyed_by_a_terminal(gateway: SmallGateway) -> None:
    said: list[str] = []
    follower = Lines(Board(0.0, 0.0), lambda line: None, said.append)
    task = asyncio.ensure_future(follow([gateway.url], FIXED, Wish(()), follower))
    await follower.is_live.wait()
    await gateway.connections[0].close(4000, "\x1b]0;pwned\x07")
    await until(lambda: any(line.startswith("lost: ") for line in said))
    task.cancel()
    assert any("\\x1b]0;pwned\\x07" in line for line in said)
    assert all(line.isprintable() for line in said)
    drawn = io.StringIO()
    Console(file=drawn, force_terminal=True, width=200).print(
        Drawn(Screen().lines(follower.board, 1.0, 200, 20)), end=""
    )
    assert "\x1b]0;" not in drawn.getvalue()
    assert "\\x1b]0;pwned" in drawn.getvalue()


@with_gateway
async def test_json_has_the_gateways_objects_and_the_lines(gateway: SmallGateway) -> None:
    written: list[str] = []
    follower = JsonLines(Board(0.0, 0.0), written.append, pytest.fail)
    task = asyncio.ensure_future(follow([gateway.url], FIXED, Wish(("BTC*",), batched=False), follower))
    await follower.is_live.wait()
    await gateway.tick("BTCUSDT")
    await until(lambda: len(written) == 4)
    objects = [json.loads(line) for line in written]
    assert [each.get("type") for each in objects] == ["status", None, "connection", None]
    assert objects[2] == {"type": "connection", "state": "live", "url": gateway.url}
    task.cancel()


@with_gateway
async def test_what_no_feed_got_is_told_though_nothing_is_pushed(gateway: SmallGateway) -> None:
    gateway.missed_trades = 5
    written: list[str] = []
    said: list[str] = []
    as_json = JsonLines(Board(0.0, 0.0), written.append, pytest.fail)
    as_text = Lines(Board(0.0, 0.0), lambda line: None, said.append)
    tasks = [
        asyncio.ensure_future(follow([gateway.url], FIXED, Wish((), batched=False), as_json)),
        asyncio.ensure_future(follow([gateway.url], FIXED, Wish(()), as_text)),
    ]
    await as_json.is_live.wait()
    await as_text.is_live.wait()
    gateway.missed_trades = 1170
    await until(lambda: json.loads(written[-1]) == {"type": "feed_missed", "trades": 1165, "more": False})
    await until(lambda: "feed missed: 1165 trades since the beginning, which nobody has" in said)
    assert len([line for line in written if '"status"' in line]) == 1
    for task in tasks:
        task.cancel()


@with_gateway
async def test_what_is_not_there_is_named_beside_what_is(gateway: SmallGateway) -> None:
    said: list[str] = []
    follower = Lines(Board(0.0, 0.0), lambda line: None, said.append)
    unknown = "BTCUSD is none of the 3 symbols that this token grants: did you mean BTCUSDT?"
    async with following(gateway, "BTCUSD", "ETH*", follower=follower) as board:
        assert board.unknown == [unknown]
        assert any(unknown in line for line in texts(Screen().lines(board, 1.0, 120, 20)))
        gateway.symbols = [*gateway.symbols, "BTCUSD"]
        gateway.seq["BTCUSD"] = 0
        await until(lambda: "BTCUSD" in board.rows)
        assert board.unknown == []
    assert said.count(unknown) == 1


@with_gateway
async def test_a_symbol_that_is_listed_no_more_is_told_and_followed_again_when_it_is(gateway: SmallGateway) -> None:
    said: list[str] = []
    written: list[str] = []
    as_json = JsonLines(Board(0.0, 0.0), written.append, pytest.fail)
    follower = Lines(Board(0.0, 0.0), lambda line: None, said.append)
    async with following(gateway, follower=follower) as board, following(gateway, follower=as_json):
        # As many as before: another one has come.
        gateway.symbols = ["BTCUSDT", "ETHUSDT", "NEWUSDT"]
        gateway.seq["NEWUSDT"] = 1
        gateway.symbols_version = 2
        await until(lambda: not board.rows["ETCUSDT"].listed and "NEWUSDT" in board.rows)
        shown = texts(Screen().lines(board, 1.0, 120, 20))
        assert "4 symbols  1 no longer listed" in shown[2]
        [row] = [line for line in shown if line.startswith("ETCUSDT")]
        assert "gone" in row
        await until(lambda: '{"type":"symbol","symbol":"ETCUSDT","listed":false}' in written)
        await until(lambda: "NEWUSDT" in as_json.board.rows)
        gateway.symbols, gateway.symbols_version = ["BTCUSDT", "ETHUSDT", "ETCUSDT"], 3
        await until(lambda: board.rows["ETCUSDT"].listed)
        await until(lambda: gateway.asked("subscribe")[-1]["symbols"] == ["ETCUSDT"])
        await until(lambda: '{"type":"symbol","symbol":"NEWUSDT","listed":false}' in written)
    assert "ETCUSDT is no longer listed: the feed follows it no more" in said
    assert "ETCUSDT is listed again" in said


@with_gateway
async def test_an_address_at_which_nothing_is_ends_it_at_once(gateway: SmallGateway) -> None:
    gateway.http_answer = 404, {}, b"<html>"
    with pytest.raises(Refused, match="nothing is there"):
        async with following(gateway):
            pass
    assert len(gateway.tokens) == 1


@with_gateway
async def test_an_address_at_which_a_gateway_was_is_tried_on(gateway: SmallGateway) -> None:
    follower = Recorded(Board(0.0, 0.0))
    async with following(gateway, follower=follower) as board:
        gateway.http_answer = 404, {}, b"<html>"
        await gateway.connections[0].close(1012, "restart")
        await until(lambda: "HTTP 404" in follower.reasons)
        gateway.http_answer = None
        await until(lambda: board.connections == 2)
