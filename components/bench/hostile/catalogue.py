"""All attacks there are."""

from __future__ import annotations

from components.bench.hostile import floods, garbage, half_open, plain, slow, sse, tickets
from components.bench.hostile.attack import Attack

ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for module in (slow, half_open, garbage, floods, tickets, plain, sse)
    for attack in module.ATTACKS
}
