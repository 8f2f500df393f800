"""Fuzz the targets of targets.py, one after the other, guided by coverage.

``python fuzz.py --seconds 60 frames deflate`` gives each of two targets a minute; without names,
all have their turn. What makes a target fail is left in the directory ``--finds``; run that again
with ``python fuzz.py --reproduce FILE TARGET``. Needs atheris, which is libFuzzer for Python.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEEDS = HERE / "seeds"

# Under a process of this one, the name of the target to fuzz.
CHILD = "WS_PROTOCOL_FUZZ_TARGET"


def fuzz(name: str) -> None:
    """Fuzz one target, in a process of its own, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["ws_protocol"]):
        from targets import TARGETS, remove_randomness

    logging.disable()
    remove_randomness()
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


def run(name: str, seconds: int, seed: int, corpus: Path, finds: Path) -> int | None:
    """Run one target.

    Returns:
        How many times it was executed, or :obj:`None` if it failed.

    """
    (corpus / name).mkdir(parents=True, exist_ok=True)
    finds.mkdir(parents=True, exist_ok=True)
    command = [
        *[sys.executable, __file__, f"-max_total_time={seconds}", f"-seed={seed}"],
        *["-print_final_stats=1", "-max_len=4096", f"-artifact_prefix={finds / name}-"],
        # An execution that never ends is a find, too.
        "-timeout=60",
        *[str(corpus / name), str(SEEDS / name)],
    ]
    process = subprocess.run(
        command,
        env=os.environ | {CHILD: name},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    found = re.search(r"stat::number_of_executed_units:\s*(\d+)", process.stdout)
    if process.returncode != 0 or found is None:
        print(process.stdout[process.stdout.find(" === ") :])
        return None
    return int(found[1])


def reproduce(name: str, path: Path) -> None:
    """Run a target once, with a traceback if it fails."""
    from targets import TARGETS, remove_randomness

    remove_randomness()
    TARGETS[name](path.read_bytes())


def main() -> int:
    """Run the command line; return the exit status."""
    names = sorted(path.name for path in SEEDS.iterdir())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *names], default=[], metavar="target")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=0, help="of the randomness; 0 for any")
    parser.add_argument("--corpus", type=Path, help="where to keep inputs that cover more")
    parser.add_argument("--finds", type=Path, default=Path("fuzz-finds"))
    parser.add_argument("--reproduce", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.reproduce is not None:
        reproduce(options.targets[0], options.reproduce)
        return 0
    total, failed = 0, []
    with tempfile.TemporaryDirectory() as directory:
        for name in options.targets or names:
            executions = run(
                name,
                options.seconds,
                options.seed,
                options.corpus or Path(directory),
                options.finds.resolve(),
            )
            if executions is None:
                failed.append(name)
                print(f"{name}: FAILED; see {options.finds}", flush=True)
            else:
                total += executions
                print(f"{name}: {executions:,} executions", flush=True)
    print(f"{total:,} executions, {len(failed)} targets failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if CHILD in os.environ:
        fuzz(os.environ[CHILD])
    else:
        sys.exit(main())
