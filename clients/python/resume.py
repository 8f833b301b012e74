"""Follows symbols over a session: subscribes, asks the gateway for what is missing, hands ticks on in sequence.

What follows on what is `sequence.py`'s to decide; here are the subscriptions and the calls. Those are bounded: a few at a
time, and not faster than a gateway's limits allow.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from autobahn.wamp.exception import ApplicationError, TransportLost
from autobahn.wamp.types import SubscribeOptions
from backoff import retry_delay_s
from sequence import Ask, Deliver, Gap, GatewayBehind, SequenceTracker, Steps
from ticket import AccessRefused
from ticket_session import TicketSession

logger = logging.getLogger("crosstick.client")

CALLS_AT_ONCE = 2
"""Their answers fit into what the kernel of a gateway takes for a connection, so that none waits on a slow line and cuts it."""

CALLS_BURST = 80
CALLS_PER_S = 15.0
"""Most of what a gateway allows by default (100 at once, 20 a second): the rest is the application's."""

ATTEMPTS = 5
"""How often a replay is asked for that the gateway has no time for."""

ANSWER_TIMEOUT_S = 15.0

NOT_NOW = {"crosstick.error.limit_exceeded", "crosstick.error.not_ready"}


@dataclass(frozen=True, slots=True)
class Replay:
    """An answer of `market.replay` with ticks in it: what followed `after_seq` up to `to_seq`."""

    symbol: str
    epoch: int
    after_seq: int
    to_seq: int
    ticks: int


class _Pace:
    """Lets calls through, `CALLS_BURST` at once and `CALLS_PER_S` after that."""

    def __init__(self) -> None:
        self._next_s = float("-inf")

    async def turn(self) -> None:
        now_s = asyncio.get_running_loop().time()
        self._next_s = max(self._next_s, now_s - CALLS_BURST / CALLS_PER_S) + 1 / CALLS_PER_S
        if self._next_s > now_s:
            await asyncio.sleep(self._next_s - now_s)


class _Follower:
    """Carries out, in one session, what the tracker says."""

    def __init__(
        self,
        session: TicketSession,
        tracker: SequenceTracker,
        on_tick: Callable[[dict, int], None],
        on_gap: Callable[[Gap], None],
        on_replay: Callable[[Replay], None],
    ) -> None:
        self._session = session
        self._tracker = tracker
        self._on_tick = on_tick
        self._on_gap = on_gap
        self._on_replay = on_replay
        self._pace = _Pace()
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE)
        self._asking: set[asyncio.Task[None]] = set()
        session.ended.add_done_callback(self._end)

    def begin(self, epoch: int) -> None:
        """Begin at a gateway of this epoch; `GatewayBehind` where another is to be tried."""
        self._do(self._tracker.begin_session(epoch))

    def follow_epoch(self, status: dict) -> None:
        if not self._session.deaf:
            self._do(self._tracker.enter_epoch(status["epoch"]))

    def receive(self, tick: dict) -> None:
        # Autobahn calls no handler of a deaf session; of ticks that nobody would be handed nothing must be noted.
        if not self._session.deaf:
            self._do(self._tracker.observe(tick))

    def resume(self, symbol: str) -> None:
        if not self._session.deaf:
            self._do(self._tracker.resume(symbol))

    def _do(self, steps: Steps) -> None:
        try:
            for step in steps:
                match step:
                    case Deliver():
                        self._on_tick(step.tick, step.missed)
                    case Gap():
                        self._on_gap(step)
                    case Ask():
                        task = asyncio.ensure_future(self._replay(step))
                        self._asking.add(task)
                        task.add_done_callback(self._asked)
        except Exception as error:
            self._session.fail(error)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._session.fail(task.exception())

    def _end(self, _ended: object) -> None:
        for task in self._asking:
            task.cancel()

    async def _replay(self, ask: Ask) -> None:
        async with self._turns:
            steps = await self._answer(ask)
        if not self._session.deaf:
            self._do(steps(ask))

    async def _answer(self, ask: Ask) -> Callable[[Ask], Steps]:
        """Call until there is an answer; return what the tracker makes of it."""
        for attempt in range(ATTEMPTS):
            await self._pace.turn()
            try:
                answer = await self._call(ask)
            except ApplicationError as error:
                if error.error == ApplicationError.INVALID_ARGUMENT:
                    return self._tracker.ahead
                if error.error not in NOT_NOW:
                    logger.warning("no replay of %s: %s", ask.symbol, error.error_message())
                    return self._tracker.failed
                await asyncio.sleep(0.5 + retry_delay_s(attempt))
            except (TransportLost, TimeoutError):
                # The session is about to end, and the next one asks again; if it does not, the ticks must go on.
                return self._tracker.failed
            else:
                return lambda ask: self._take(ask, answer)
        logger.warning("no replay of %s: the gateway has had no time for it", ask.symbol)
        return self._tracker.failed

    async def _call(self, ask: Ask) -> dict:
        call = asyncio.ensure_future(self._session.call("market.replay", ask.symbol, ask.epoch, ask.after_seq))
        # It may end when nobody waits any more.
        call.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        # Not `wait_for`, which cancels: Autobahn then sends a CANCEL, by a transport that may have gone.
        await asyncio.wait({call}, timeout=ANSWER_TIMEOUT_S)
        if not call.done():
            raise TimeoutError
        return call.result()

    def _take(self, ask: Ask, answer: dict) -> Steps:
        if answer["events"]:
            self._on_replay(Replay(ask.symbol, answer["epoch"], ask.after_seq, answer["to_seq"], len(answer["events"])))
        return self._tracker.answered(ask, answer)


async def follow_ticks(
    session: TicketSession,
    symbols: Iterable[str],
    on_tick: Callable[[dict, int], None],
    sequences: SequenceTracker | None = None,
    *,
    on_gap: Callable[[Gap], None] = lambda gap: None,
    on_replay: Callable[[Replay], None] = lambda replay: None,
) -> None:
    """Subscribe to the ticks of some symbols; a late joiner gets the newest one at once.

    Args:
        on_tick: called with a tick and the number of the symbol's ticks that are missing right before it. What it or the
            other functions raise ends `MarketClient.run()`.
        sequences: kept by the caller, the ticks of all sessions are one sequence: those that came between two of them are
            asked for, and none comes twice. One call per tracker and session. Without it each session begins anew.
        on_gap: called with each `Gap`, before the tick behind it.
        on_replay: called with each `Replay`, before its ticks.

    Raises:
        AccessRefused: the token has no right to a symbol.
    """
    follower = _Follower(session, sequences or SequenceTracker(), on_tick, on_gap, on_replay)
    # First the topic, then the procedure: so no change can fall in between.
    await session.subscribe(follower.follow_epoch, "market.status")
    status = await session.call("market.status")
    try:
        follower.begin(status["epoch"])
    except GatewayBehind as error:
        raise ApplicationError("crosstick.error.not_ready", str(error)) from error
    subscriptions = {
        symbol: session.subscribe(follower.receive, f"market.{symbol}", options=SubscribeOptions(get_retained=True))
        for symbol in symbols
    }
    outcomes = await asyncio.gather(*subscriptions.values(), return_exceptions=True)
    for symbol, outcome in zip(subscriptions, outcomes, strict=True):
        if isinstance(outcome, ApplicationError) and outcome.error == ApplicationError.NOT_AUTHORIZED:
            raise AccessRefused(f"this token has no right to {symbol}")
        if isinstance(outcome, BaseException):
            raise outcome
    for symbol in subscriptions:
        follower.resume(symbol)
