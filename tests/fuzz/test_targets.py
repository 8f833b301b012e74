"""The fuzzed targets on the inputs that they begin from, on those that once broke them, and on a few that are made of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz import __main__ as runner
from tests.fuzz.mutate import mutated, run_mutations
from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.world import Violation, require, world


@pytest.fixture(autouse=True)
def forgotten_log() -> None:
    """Forget what other tests of this process had logged since the world is there: none of it is a target's doing."""
    world().log.take_all()


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_on_what_it_begins_from(name: str) -> None:
    for data in TARGETS[name].seeds:
        TARGETS[name].run(data)


def test_what_once_broke_a_target_does_not_break_it() -> None:
    for path in sorted(runner.FOUND.glob("*-*")):
        TARGETS[path.name.partition("-")[0]].run(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_on_what_mutation_makes(name: str) -> None:
    chance = random.Random(2)
    seeds = list(TARGETS[name].seeds)
    for _ in range(100):
        TARGETS[name].run(mutated(chance.choice(seeds), seeds, chance, runner.MAX_INPUT_BYTES))


def test_the_same_seed_makes_the_same_inputs() -> None:
    def made(seed: int) -> list[bytes]:
        chance = random.Random(seed)
        return [mutated(b"abc", [b"x", b"yz"], chance, 50) for _ in range(50)]

    assert made(1) == made(1)
    assert made(1) != made(2)
    assert max(map(len, made(1))) <= 50


def test_an_input_that_breaks_a_target_is_kept(tmp_path: Path) -> None:
    def breaks(data: bytes) -> None:
        require(b"!" not in data, "an exclamation mark")

    with pytest.raises(Violation):
        breaks(b"!")
    assert run_mutations("breaks", Target(breaks, [b"a", b"!"]), 5.0, 1, 100, tmp_path) == 1
    [kept] = tmp_path.iterdir()
    assert kept.read_bytes() == b"!"
    assert run_mutations("holds", Target(lambda data: None, [b"a"]), 0.05, 1, 100, tmp_path) == 0
