"""`clients/python/watch.py` and `clients/node/watch.mjs` at a gateway that does not behave."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.clients.command import CLIENTS, WATCH, Command
from tests.clients.stubborn_gateway import StubbornGateway
from tests.clients.test_watch import LANGUAGES, Run
from tests.harness.client import until

TOKEN = "x.eyJzdWIiOiJhbGljZSJ9.y"  # {"sub":"alice"}, and nobody looks at the rest


@pytest_twisted.async_yield_fixture
async def gateway() -> AsyncIterator[StubbornGateway]:
    made = StubbornGateway(reactor)
    yield made
    await made.stop()


def numbers_of(command: Command) -> list[int]:
    return [json.loads(line)["seq"] for line in command.printed.splitlines()]


@LANGUAGES
@pytest_twisted.ensureDeferred
async def test_a_session_that_was_given_up_is_no_longer_heard(
    gateway: StubbornGateway, run: Run, language: str
) -> None:
    gateway.topics_not_ready = {"market.ETHUSDT"}
    command = run([*WATCH[language], "BTCUSDT", "ETHUSDT"], url=gateway.ws_url, token=TOKEN)
    await until(reactor, lambda: bool(gateway.lines) and gateway.lines[0].goodbye is not None)
    gateway.topics_not_ready = set()
    gateway.lines[0].tick("BTCUSDT", 11)
    await command.until(lambda: "live" in command.said)
    gateway.lines[1].tick("BTCUSDT", 500)
    await command.until(lambda: "500" in command.printed)
    if language == "python":
        await until(reactor, lambda: gateway.lines[0].closed.called)  # by the client
    else:
        gateway.lines[0].tick("BTCUSDT", 12)
    gateway.lines[1].tick("BTCUSDT", 501)
    await command.until(lambda: "501" in command.printed)
    assert numbers_of(command) == [500, 501]
    assert "gap" not in command.said


@LANGUAGES
@pytest.mark.parametrize("error", ["no_auth_method", "no_such_realm", "no_such_role"])
@pytest_twisted.ensureDeferred
async def test_a_refusal_in_crossbars_own_words_ends_the_command_too(
    gateway: StubbornGateway, run: Run, language: str, error: str
) -> None:
    gateway.abort_reason = f"wamp.error.{error}"
    command = run([*WATCH[language], "BTCUSDT"], url=gateway.ws_url, token=TOKEN)
    assert await command.ended == 2
    assert command.said.splitlines() == ["connecting", "refused: the gateway refused the ticket"]


@LANGUAGES
@pytest_twisted.ensureDeferred
async def test_a_session_that_the_gateway_closes_for_reading_too_slowly_is_followed_by_another(
    gateway: StubbornGateway, run: Run, language: str
) -> None:
    command = run([*WATCH[language], "BTCUSDT"], url=gateway.ws_url, token=TOKEN)
    await command.until(lambda: "live" in command.said)
    gateway.lines[0].say(6, {}, "crosstick.close.queue_full")
    await command.until(lambda: command.said.count("live") == 2)
    assert "lost: crosstick.close.queue_full; next attempt in" in command.said


@LANGUAGES
@pytest_twisted.ensureDeferred
async def test_gateways_that_end_are_left_for_the_next_within_a_second_each(run: Run, language: str) -> None:
    gateways = [StubbornGateway(reactor), StubbornGateway(reactor)]
    for ending in gateways:
        ending.abort_reason = "crosstick.close.draining"
    try:
        urls = ", ".join(gateway.ws_url for gateway in gateways)
        command = run([*WATCH[language], "BTCUSDT"], url=urls, token=TOKEN)
        await until(reactor, lambda: min(len(gateway.lines) for gateway in gateways) >= 3)
        delays_s = [float(delay) for delay in re.findall(r"draining; next attempt in (\d+\.\d) s", command.said)]
        assert len(delays_s) >= 5
        assert max(delays_s) <= 1.0
        # The newest connection may not have said HELLO yet.
        lines = [line for gateway in gateways for line in gateway.lines]
        attempts = sorted(line.attempt for line in lines if line.attempt is not None)
        assert len(attempts) >= len(lines) - 1
        assert attempts == list(range(len(attempts)))
        await command.stop()
    finally:
        for gateway in gateways:
            await gateway.stop()


@LANGUAGES
@pytest.mark.parametrize("cause", ["expired", "revoked"])
@pytest_twisted.ensureDeferred
async def test_the_end_of_the_token_ends_the_command(
    gateway: StubbornGateway, run: Run, language: str, cause: str
) -> None:
    command = run([*WATCH[language], "BTCUSDT"], url=gateway.ws_url, token=TOKEN)
    await command.until(lambda: "live" in command.said)
    gateway.lines[0].say(6, {"message": "the token is over"}, f"crosstick.close.token_{cause}")
    assert await command.ended == 2
    assert command.said.splitlines() == ["connecting", "live", "refused: the token is over"]


@pytest_twisted.ensureDeferred
async def test_the_python_client_renews_with_the_tokens_of_its_provider(gateway: StubbornGateway, run: Run) -> None:
    program = f"""
import asyncio, base64, json, sys, time
sys.path.insert(0, {str(CLIENTS / "python")!r})
from market_client import AccessRefused, MarketClient

asked = 0
async def provide():
    global asked
    asked += 1
    if asked == 4:
        raise AccessRefused("signed out")
    claims = json.dumps({{"sub": "alice", "exp": int(time.time()) + 2, "asked": asked}}).encode()
    return "x." + base64.urlsafe_b64encode(claims).rstrip(b"=").decode() + ".y"

async def on_join(session):
    pass

say = lambda change: print(change.state.value, flush=True)
try:
    asyncio.run(MarketClient({gateway.ws_url!r}, provide, on_join, say).run())
except AccessRefused as refusal:
    print(refusal)
"""
    command = run([sys.executable, "-c", program], url=gateway.ws_url, token=TOKEN)
    await until(reactor, lambda: bool(gateway.lines) and len(gateway.lines[0].renewals) == 1)
    gateway.lines[0].say(6, {}, "crosstick.close.token_expired")
    await until(reactor, lambda: len(gateway.lines) == 2)
    assert await command.ended == 0
    assert command.printed.splitlines() == ["connecting", "live", "waiting", "connecting", "live", "signed out"]
    assert [claims_of(token)["asked"] for token in gateway.lines[0].renewals] == [2]


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
