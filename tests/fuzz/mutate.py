"""Random mutation of a target's seeds, for machines without atheris; the same seed makes the same inputs."""

from __future__ import annotations

import hashlib
import random
import time
import traceback
from pathlib import Path

from tests.fuzz.targets import Target
from tests.fuzz.world import spoil

_INTERESTING = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"{",
    b"[",
    b'"',
    b"\n",
    b"..",
    b"\xed\xa0\x80",
    b"null",
    b"1e999",
    b"-1",
)


def mutated(data: bytes, others: list[bytes], chance: random.Random, most: int) -> bytes:
    """Return an input near another one, of at most so many bytes."""
    changed = bytearray(data)
    for _ in range(1 << chance.randrange(4)):
        at = chance.randrange(len(changed) + 1)
        kind = chance.randrange(7)
        if kind == 0 and changed:
            changed[at % len(changed)] = chance.randrange(256)
        elif kind == 1 and changed:
            changed[at % len(changed)] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del changed[at : at + 1 + chance.randrange(16)]
        elif kind == 3:
            changed[at:at] = chance.choice(_INTERESTING)
        elif kind == 4:
            changed[at:at] = changed[at : at + 1 + chance.randrange(64)]
        elif kind == 5:
            other = chance.choice(others)
            begin = chance.randrange(len(other) + 1)
            changed[at:] = other[begin:]
        else:
            changed[at:at] = chance.randbytes(1 + chance.randrange(8))
    return bytes(changed[:most])


def run_mutations(name: str, target: Target, seconds: float, seed: int, most: int, found: Path) -> int:
    """Run a target on its seeds and on what comes of them, until the time is over or an input breaks it; return 1 then."""
    chance = random.Random(seed)
    corpus = list(target.seeds)
    end = time.monotonic() + seconds
    runs = 0
    while time.monotonic() < end:
        data = corpus[runs] if runs < len(corpus) else mutated(chance.choice(corpus), corpus, chance, most)
        runs += 1
        try:
            target.run(data)
        except Exception:
            traceback.print_exc()
            spoil()
            found.mkdir(exist_ok=True)
            path = found / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"
            path.write_bytes(data)
            print(f"{name}: broken by {path}", flush=True)
            return 1
    print(f"{name}: {runs} inputs", flush=True)
    return 0
