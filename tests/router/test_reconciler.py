"""What is wanted of each key is made so, one step at a time."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from components.router.links.reconciler import Reconciler


class World:
    """Steps that end when a test says so."""

    def __init__(self) -> None:
        self.wanted: set[str] = set()
        self.steps: list[tuple[str, Deferred[str]]] = []
        self.failed: list[str] = []
        self.reconciler: Reconciler[str] = Reconciler(
            self.wanted.__contains__, self._make, self._unmake, lambda key, error: self.failed.append(f"{key}: {error}")
        )

    async def _make(self, key: str) -> str:
        self.steps.append((f"make {key}", Deferred()))
        return await self.steps[-1][1]

    async def _unmake(self, key: str, made: str) -> None:
        self.steps.append((f"unmake {made}", Deferred()))
        await self.steps[-1][1]

    def want(self, *keys: str) -> None:
        changed = self.wanted ^ set(keys)
        self.wanted.clear()
        self.wanted.update(keys)
        for key in changed:
            self.reconciler.check(key)

    def finish(self) -> None:
        name, step = self.steps[-1]
        step.callback(name)


def test_what_is_not_wanted_any_more_when_it_is_made_is_unmade() -> None:
    world = World()
    world.want("a")
    world.want()
    assert [name for name, _ in world.steps] == ["make a"]
    world.finish()
    assert [name for name, _ in world.steps] == ["make a", "unmake make a"]
    world.want("a")
    world.finish()
    assert [name for name, _ in world.steps] == ["make a", "unmake make a", "make a"]


def test_what_was_lost_is_made_anew() -> None:
    world = World()
    world.want("a")
    world.finish()
    assert world.reconciler.lost("a") == "make a"
    assert world.reconciler.lost("a") is None
    world.reconciler.check("a")
    assert [name for name, _ in world.steps] == ["make a", "make a"]


@pytest.mark.parametrize("checks", [1, 2])
def test_a_step_that_fails_is_told_and_tried_once_for_each_check(checks: int) -> None:
    world = World()
    world.want("a")
    for _ in range(checks):
        world.steps[-1][1].errback(ValueError("no"))
        world.reconciler.check("a")
    assert world.failed == ["a: no"] * checks
    assert len(world.steps) == checks + 1
