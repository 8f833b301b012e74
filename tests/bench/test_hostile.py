"""The hostile proof's own logic: which endings are counted against a gateway, and which figures fail which condition."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import CliRunner

from components.bench.hostile.attackers import unexpected
from components.bench.hostile.catalogue import ATTACKS
from components.bench.hostile.floods import BLOCK_BYTES, BLOCK_FRAMES, MARK_EVERY, blocks, marked
from components.bench.hostile.governor import Governor
from components.bench.hostile.pace import Taken, within_limits
from components.bench.hostile.proof import conditions, figures
from components.bench.hostile.tickets import AUTHID, forgeries, public_pem
from components.bench.proof import Phase
from components.bench.systems.crosstick import create_rsa_key
from components.bench.websocket import client_frame, take_server_frame
from components.core.limits import Limits
from components.core.websocket_frames import text_frame
from components.tokens import TokenError, load_authority

# By its name in sys.modules: in the package, the command has taken the module's place.
BENCH = importlib.import_module("components.cli.bench")

MIB = 2**20
GOOD = {"p99_ratio": 1.4, "p99_ms_quiet": 5.0, "p99_ms": 7.0, "load_cpu_share": 0.3, "grown_bytes": 20 * MIB}


def failing(
    *rounds: dict[str, float],
    rss_mib: tuple[float, ...] = (280, 300, 301),
    wrong: tuple[str, ...] = (),
    problems: Any = (),
) -> list[str]:
    """Return the conditions that do not hold."""
    found = conditions(rounds or (GOOD, GOOD, GOOD), [size * MIB for size in rss_mib], wrong, problems)
    return [condition.text for condition in found if not condition.holds]


def test_good_rounds_meet_every_condition() -> None:
    assert failing() == []


def test_latency_is_judged_by_its_median_and_memory_by_its_worst_round() -> None:
    assert failing(GOOD, GOOD | {"p99_ratio": 9.0}, GOOD) == []
    [text] = failing(GOOD, GOOD | {"p99_ratio": 2.1}, GOOD | {"p99_ratio": 2.1})
    assert text.startswith("the honest clients' p99")
    [text] = failing(GOOD, GOOD | {"grown_bytes": 300 * MIB}, GOOD)
    assert text.startswith("an attack makes it grow")


def test_what_the_first_attack_leaves_behind_is_not_counted_but_what_adds_up_is() -> None:
    assert failing(rss_mib=(200, 300, 310)) == []
    [text] = failing(rss_mib=(280, 300, 317))
    assert text.startswith("from the first attack's end")


def test_a_lost_tick_a_wrong_ending_and_a_busy_generator_fail() -> None:
    assert [text.split()[0] for text in failing(problems=["of 5 deliveries 1 never came"])] == ["no"]
    assert [text.split()[0] for text in failing(wrong=("silence: 1 × open",))] == ["every"]
    assert [text.split()[1] for text in failing(GOOD | {"load_cpu_share": 0.96})] == ["load"]


def test_a_rounds_figures_are_beside_the_mean_of_the_quiet_phases_around_it() -> None:
    def phase(p99_ms: float) -> Phase:
        return Phase({"p50_ms": 1.0, "p99_ms": p99_ms, "p999_ms": 9.0, "server_cpu_share": 0.5})

    found = figures(phase(4.0), phase(9.0), phase(8.0))
    assert (found["p99_ms"], found["p99_ms_quiet"], found["p99_ratio"]) == (9.0, 6.0, 1.5)


def test_endings_that_are_not_allowed_and_attacks_that_never_came_about_are_told() -> None:
    attacks = {
        "silence": {"endings": {"eof": 3, "open": 2}},
        "slow hello": {"endings": {"http 429": 5}},
        "slow frame": {"endings": {}},
        "slow authenticate": {"endings": {"http 429": 1, "crosstick.close.not_joined": 1}},
    }
    assert unexpected(attacks) == [
        "silence: 2 × open",
        "slow hello: never came about",
        "slow frame: never came about",
    ]


def test_attacks_have_names_that_an_option_can_list_and_say_how_they_may_end() -> None:
    assert len(ATTACKS) > 140
    assert not any("," in name for name in ATTACKS)
    assert all(attack.allowed for attack in ATTACKS.values())


def test_every_forged_ticket_is_refused_by_the_authority_that_it_is_made_for(tmp_path: Path) -> None:
    authority = load_authority({"CROSSTICK_TOKEN_KEY_FILE": str(create_rsa_key(tmp_path))}, tmp_path)
    now_s = int(authority.clock())
    assert authority.signing_key is not None
    forged = forgeries(authority.signing_key.sign, authority.rules.audience, public_pem(authority), now_s)
    accepted = []
    for name, ticket in forged.items():
        try:
            claims = authority.verify(ticket)
        except TokenError:
            continue
        if claims.sub == AUTHID and claims.realm == "market":
            accepted.append(name)
    assert accepted == []
    header = jwt.get_unverified_header(forged["HS256 with the RSA public key"])
    assert header["alg"] == "HS256"


def test_frames_of_a_server_are_taken_when_they_are_whole() -> None:
    whole = text_frame(b"a" * 70_000) + text_frame(b"b" * 200) + text_frame(b"c")
    buffer = bytearray()
    found = []
    for position in range(0, len(whole), 1000):
        buffer += whole[position : position + 1000]
        while (frame := take_server_frame(buffer)) is not None:
            found.append(frame)
    assert found == [(1, b"a" * 70_000), (1, b"b" * 200), (1, b"c")]
    assert not buffer


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_of_a_client_have_the_shortest_length_and_a_mask(size: int) -> None:
    frame = client_frame(2, b"x" * size)
    header = {0: 6, 125: 6, 126: 8, 65_535: 8, 65_536: 14}[size]
    assert len(frame) == header + size
    assert frame[0] == 0x82
    assert frame[1] & 0x80


def test_a_flood_is_sent_in_blocks_of_bounded_size() -> None:
    assert [len(block) for block in blocks(iter([b"a"] * (BLOCK_FRAMES + 1)))] == [BLOCK_FRAMES, 1]
    assert [len(block) for block in blocks(iter([bytes(BLOCK_BYTES)] * 2))] == [BLOCK_BYTES] * 2


LIMITS = Limits(
    messages_burst=100, messages_per_s=10, calls_burst=20, calls_per_s=1, refusals_burst=5, refusals_per_s=0.5
)


@pytest.mark.parametrize(
    ("taken", "frames_per_pong", "within"),
    [
        (Taken(answers=200), 1, True),
        (Taken(answers=201), 1, False),
        (Taken(answers=101, pongs=100), 1, False),
        (Taken(pongs=4), 50, True),
        (Taken(pongs=5), 50, False),
        # Marks stand for what is not answered; what is answered besides is among it.
        (Taken(answers=100, pongs=4), 50, True),
        (Taken(answers=30, of=Counter(calls=30)), 1, True),
        (Taken(answers=31, of=Counter(calls=31)), 1, False),
        (Taken(answers=1, refusals=10), 1, True),
        (Taken(answers=1, refusals=11), 1, False),
        (Taken(), 1, False),
    ],
)
def test_who_is_left_open_has_been_answered_no_faster_than_its_limits_allow(
    taken: Taken, frames_per_pong: int, within: bool
) -> None:
    assert within_limits(taken, LIMITS, frames_per_pong, 10.0) is within


def test_without_a_limit_a_session_may_be_answered_as_fast_as_it_likes() -> None:
    assert within_limits(Taken(answers=10**6), Limits(messages_per_s=None), 1, 1.0)


def test_what_nobody_answers_has_pings_among_it() -> None:
    frames = list(marked(iter([b"a"] * (2 * MARK_EVERY))))
    assert frames.count(b"a") == 2 * MARK_EVERY
    assert [number for number, frame in enumerate(frames, 1) if frame != b"a"] == [MARK_EVERY, 2 * MARK_EVERY]
    assert frames[MARK_EVERY - 1] == client_frame(9, b"mark")


def test_attackers_wait_for_one_another_when_their_share_is_used_up() -> None:
    async def two_connections() -> Counter[str]:
        governor = Governor(1e9, 1e-6, 100.0)
        done: Counter[str] = Counter()

        async def connect() -> None:
            await governor.leave_to_connect()
            done["connections"] += 1

        waiting = [asyncio.create_task(connect()) for _ in range(3)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return done

    assert asyncio.run(two_connections()) == {"connections": 1}


@pytest.mark.parametrize(("holds", "exit_code"), [(True, 0), (False, 1)])
def test_the_command_attacks_as_it_is_told_and_fails_when_a_condition_does_not_hold(
    holds: bool, exit_code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(plan: Any, rounds: int, say: Any) -> dict[str, Any]:
        said = {"attacks": list(plan.attacks), "intensity": plan.intensity, "rounds": rounds}
        return said | {"conditions": [{"text": "x", "found": "2", "holds": holds}]}

    monkeypatch.setattr(BENCH, "run_hostile", run)
    file = tmp_path / "hostile.json"
    options = ["--rounds", "2", "--intensity", "0.5", "--attacks", "silence,slow hello", "--json", str(file)]
    outcome = CliRunner().invoke(BENCH.bench, ["hostile", *options])
    assert outcome.exit_code == exit_code, outcome.output
    found = json.loads(file.read_text())
    assert (found["attacks"], found["intensity"], found["rounds"]) == (["silence", "slow hello"], 0.5, 2)
