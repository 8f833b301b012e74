"""``crosstick cluster prove``: one fault after the other in a running cluster, and what each of many clients saw of it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from components.bench.errors import BenchError
from components.cluster.faults import Fault
from components.cluster.follower import Follower, Followers
from components.cluster.prometheus import NAMED_WITHIN_S, Prometheus
from components.cluster.sequence import Verdict
from components.cluster.topology import Cluster, ClusterError

SETTLE_TIMEOUT_S = 180.0
"""By when every client must follow again after a fault. Ticks come within seconds; what takes a while, where a gateway gets the
clients of another and has no core for itself, is the replays: one for each symbol of each client."""

QUIET_S = 1.5
STEADY_S = 5.0
"""For how long it is measured what clients get, and what each part uses for that, before there are faults."""

TOKEN_TTL_S = 86_400


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What a fault did to the clients."""

    fault: str
    detail: str
    """Which part it was."""

    cut_off: int
    """Clients that lost their connection."""

    silence_p50_s: float
    silence_max_s: float
    """The longest time without a tick, of half the clients and of all."""

    settled_s: float
    """Until every client followed again and waited for nothing."""

    replayed: int
    gaps: int
    missing: int
    lost: int
    epochs: int
    named_after_s: float | None
    """Until Prometheus had its name; ``None`` without Prometheus, or where it had that name still from another fault."""


async def prove(
    cluster: Cluster,
    clients: int,
    faults: Iterable[Fault],
    say: Callable[[str], None],
    pause_s: float = 2.0,
    prometheus: Prometheus | None = None,
) -> dict[str, Any]:
    """Let clients follow a cluster through faults, one when the one before is over.

    With ``prometheus`` each fault must have its name there within ``NAMED_WITHIN_S``.

    Returns ``{"steady": {…}, "faults": […], "clients": {…}, "endings": {…}, "problems": […]}``, and with ``prometheus``
    ``without_series``, the dashboard's queries that have none when all is over.

    Raises:
        ClusterError: the clients do not come in, or a part cannot be started anew.
    """
    now_s = int(time.time())
    names = [f"follower{number}" for number in range(clients)]
    tickets = [
        (name, cluster.authority.mint(sub=name, role="viewer", realm="market", now_s=now_s, ttl_s=TOKEN_TTL_S))
        for name in names
    ]
    try:
        reading = Followers([("127.0.0.1", cluster.port)], tickets, cluster.symbols)
    except BenchError as error:
        raise ClusterError(str(error)) from error
    with reading:
        steady, aftermaths, problems = await _go_through(cluster, reading, faults, say, pause_s, prometheus)
        total = _total(reading.followers)
        connections = sum(follower.connections for follower in reading.followers)
    dashboard = {} if prometheus is None else {"without_series": prometheus.without_series()}
    problems += total.broken
    if total.lost:
        problems.append(f"{total.lost} trades are in no tick that clients got, and no gap says so")
    told = Counter(reason for follower in reading.followers for reason in follower.told)
    return {
        "steady": steady,
        "faults": [asdict(aftermath) for aftermath in aftermaths],
        "clients": asdict(total) | {"number": clients, "connections": connections},
        "endings": dict(told.most_common(20)),
        "problems": problems,
        **dashboard,
    }


async def _go_through(
    cluster: Cluster,
    reading: Followers,
    faults: Iterable[Fault],
    say: Callable[[str], None],
    pause_s: float,
    prometheus: Prometheus | None,
) -> tuple[dict[str, Any], list[Aftermath], list[str]]:
    """Return how it goes without faults, what faults did, and how clients differ in the end."""
    followers = reading.followers
    task = asyncio.create_task(reading.run())
    aftermaths: list[Aftermath] = []
    unnamed: list[str] = []
    try:
        await _settled(followers, task, "in the beginning")
        steady = await _measured(cluster, followers)
        cores = ", ".join(f"{name} {share:.0%}" for name, share in steady["cores"].items())
        say(f"without faults: {steady['ticks_per_s']:,.0f} ticks/s to clients; of a core {cores}")
        for fault in faults:
            await asyncio.sleep(pause_s)
            naming = asyncio.create_task(asyncio.to_thread(_naming, prometheus, fault))
            aftermath = await _suffer(cluster, followers, task, fault, naming)
            aftermaths.append(aftermath)
            unnamed += [problem for problem in [naming.result()[1]] if problem]
            say(
                f"{aftermath.fault} ({aftermath.detail}): {aftermath.cut_off} cut off, silence {aftermath.silence_p50_s:.2f} s,"
                f" at most {aftermath.silence_max_s:.2f} s; {aftermath.replayed} ticks replayed, {aftermath.gaps} gaps of"
                f" {aftermath.missing}, {aftermath.epochs} epochs, {aftermath.lost} trades lost"
                + (
                    ""
                    if aftermath.named_after_s is None
                    else f"; {fault.shown_as} after {aftermath.named_after_s:.1f} s"
                )
            )
        await asyncio.sleep(pause_s)
        return steady, aftermaths, unnamed + await _compare(cluster, followers)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _measured(cluster: Cluster, followers: Sequence[Follower]) -> dict[str, Any]:
    """Return ``{"ticks_per_s": …, "cores": {part: share of one}}``; clients, which are this process, are one of the parts."""

    def used() -> dict[str, float]:
        return {part.name: part.cpu_s() for part in cluster.parts} | {"clients": time.process_time()}

    began_s, ticks, before = time.monotonic(), _total(followers).ticks, await asyncio.to_thread(used)
    await asyncio.sleep(STEADY_S)
    took_s, after = time.monotonic() - began_s, await asyncio.to_thread(used)
    return {
        "ticks_per_s": (_total(followers).ticks - ticks) / took_s,
        "cores": {name: (after[name] - before[name]) / took_s for name in after},
    }


def _naming(prometheus: Prometheus | None, fault: Fault) -> tuple[float | None, str]:
    """Return how long it took until a fault that is being made had its name, and what is wrong with that."""
    if prometheus is None or fault.shown_as in prometheus.named():
        return None, ""
    after_s = prometheus.named_after_s(fault.shown_as, 2 * NAMED_WITHIN_S)
    if after_s is None:
        return None, f"{fault.name}: {fault.shown_as} was not named within {2 * NAMED_WITHIN_S:g} s"
    late = f"{fault.name}: {fault.shown_as} was named after {after_s:.1f} s only"
    return after_s, late if after_s > NAMED_WITHIN_S else ""


async def _suffer(
    cluster: Cluster,
    followers: Sequence[Follower],
    task: asyncio.Task[None],
    fault: Fault,
    naming: asyncio.Task[tuple[float | None, str]],
) -> Aftermath:
    before = _total(followers)
    connections = [follower.connections for follower in followers]
    for follower in followers:
        follower.listen_for_silence()
    began_s = asyncio.get_running_loop().time()
    detail = await asyncio.to_thread(fault.make, cluster)
    await _settled(followers, task, f"after {fault.name}")
    settled_s = asyncio.get_running_loop().time() - began_s
    named_after_s, _ = await naming
    silences = [follower.silence_s() for follower in followers]
    after = _total(followers)
    return Aftermath(
        fault=fault.name,
        detail=detail,
        cut_off=sum(follower.connections > count for follower, count in zip(followers, connections, strict=True)),
        silence_p50_s=statistics.median(silences),
        silence_max_s=max(silences),
        settled_s=settled_s,
        named_after_s=named_after_s,
        **{
            name: getattr(after, name) - getattr(before, name)
            for name in ("replayed", "gaps", "missing", "lost", "epochs")
        },
    )


async def _settled(followers: Sequence[Follower], task: asyncio.Task[None], when: str) -> None:
    """Wait until every client gets ticks and waits for no answer, and has done so for a moment."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + SETTLE_TIMEOUT_S
    quiet_since_s = loop.time()
    while loop.time() - quiet_since_s < QUIET_S:
        await asyncio.sleep(0.05)
        if task.done():
            task.result()
        unsettled = [follower for follower in followers if not follower.settled or follower.since_tick_s() > 1.0]
        if unsettled:
            quiet_since_s = loop.time()
        if loop.time() > deadline_s:
            told = Counter(follower.told[-1] if follower.told else "nothing" for follower in unsettled)
            raise ClusterError(
                f"{len(unsettled)} of {len(followers)} clients do not follow {when}; told: {told.most_common(3)}"
            )


async def _compare(cluster: Cluster, followers: Sequence[Follower]) -> list[str]:
    """Let the exchange fall silent, and see whether all clients have come to the same."""
    await asyncio.to_thread(cluster.exchange.kill)
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + 20
    while True:
        await asyncio.sleep(0.2)
        newest: dict[str, int] = {}
        for follower in followers:
            for symbol, seq in follower.seqs().items():
                newest[symbol] = max(newest.get(symbol, 0), seq or 0)
        behind = [follower for follower in followers if follower.seqs() != newest]
        epochs = {follower.epoch for follower in followers}
        if not behind and len(epochs) == 1:
            return []
        if loop.time() > deadline_s:
            examples = [
                f"client {follower.number} {symbol}: {seq} of {newest[symbol]}"
                for follower in behind[:3]
                for symbol, seq in follower.seqs().items()
                if seq != newest[symbol]
            ][:3]
            return [
                f"{len(behind)} clients did not come to what others had, in {len(epochs)} epochs: {'; '.join(examples)}"
            ]


def _total(followers: Sequence[Follower]) -> Verdict:
    total = Verdict()
    for follower in followers:
        total.add(follower.verdict)
    return total
