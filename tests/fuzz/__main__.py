"""Fuzz the targets for a time: ``python -m tests.fuzz --minutes 1``; 1 is the exit code where an input did what none may.

Guided by coverage where atheris is installed, else by mutation of the seeds. Whatever an input breaks is written into
``tests/fuzz/found``, where the suite runs it from then on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

FOUND = Path(__file__).parent / "found"
MAX_INPUT_BYTES = 4096
INSTRUMENTED = [
    *("components.core", "components.router", "components.tokens", "autobahn.websocket.protocol"),
    *("autobahn.wamp.message", "autobahn.wamp.serializer", "crossbar.router.broker", "crossbar.router.dealer"),
    "crossbar.router.session",
]
"""Whose branches guide: what is ours, and what reads a client's bytes for us."""

MAX_BREAKS = 5
"""How often a target may break before the others have their turn."""

ENGINES = ("atheris", "mutation")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append", help="only this one; may be given again")
    parser.add_argument("--engine", choices=ENGINES, default="atheris" if find_spec("atheris") else "mutation")
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.seconds is not None:
        return _fuzz_one(arguments.target[0], arguments.engine, arguments.seconds, arguments.seed)
    return _fuzz_all(arguments.target, arguments.engine, arguments.minutes, arguments.seed)


def _fuzz_all(names: list[str] | None, engine: str, minutes: float, seed: int) -> int:
    """Give each target its share of the time, in a process of its own; return 1 when one of them broke."""
    from tests.fuzz.targets import TARGETS

    unknown = set(names or ()) - set(TARGETS)
    if unknown:
        sys.exit(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    chosen = names or list(TARGETS)
    share_s = minutes * 60 / sum(TARGETS[name].weight for name in chosen)
    broken = []
    for name in chosen:
        seconds = share_s * TARGETS[name].weight
        print(f"{name}: {seconds:.0f} s, engine {engine}, seed {seed}", flush=True)
        command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz", "--target", name, "--engine", engine]
        end = time.monotonic() + seconds
        for attempt in range(MAX_BREAKS):
            left_s = end - time.monotonic()
            if attempt and left_s < 1:
                break
            # Another seed after a break, so that it does not end at the same place.
            options = ["--seconds", str(max(left_s, 1)), "--seed", str(seed + attempt)]
            if subprocess.run([*command, *options], check=False).returncode == 0:
                break
            if name not in broken:
                broken.append(name)
    print(f"broken: {', '.join(broken)}" if broken else f"{len(chosen)} targets, nothing broke", flush=True)
    return 1 if broken else 0


def _fuzz_one(name: str, engine: str, seconds: float, seed: int) -> int:
    # What is fuzzed is imported by the engine, which may have to watch that.
    if engine == "mutation":
        from tests.fuzz.mutate import run_mutations
        from tests.fuzz.targets import TARGETS

        return run_mutations(name, TARGETS[name], seconds, seed, MAX_INPUT_BYTES, FOUND)
    return _run_atheris(name, seconds, seed)


def _run_atheris(name: str, seconds: float, seed: int) -> int:
    """Hand the process to libFuzzer, which ends it."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    FOUND.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, begin in enumerate(target.seeds):
            (Path(corpus) / f"seed{number}").write_bytes(begin)
        options = [
            f"-max_total_time={max(1, int(seconds))}",
            f"-seed={seed}",
            f"-max_len={MAX_INPUT_BYTES}",
            f"-artifact_prefix={FOUND}/{name}-",
            "-rss_limit_mb=2048",
            "-timeout=20",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], target.run)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
