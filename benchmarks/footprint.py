"""How much an installation takes, and importing it, beside the library published as websockets.

Processes that import take turns; what counts is the CPU time of each, user and system, over that of
one that imports nothing. The best of several is the one that was disturbed least.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path

from contenders import PIP, make_environment

PUBLIC = ("websockets==17.*", "trio>=0.27")

# What is imported here, and there.
IMPORTS = {
    "import websockets": "import websockets",
    "import ws_protocol": "from websockets.protocol import Protocol",
    "import websockets.asyncio.client": "import websockets.asyncio.client",
    "import websockets.asyncio.server": "import websockets.asyncio.server",
    "import asyncio, ssl": "import asyncio, ssl",
    "import websockets.sync.client": "import websockets.sync.client",
    "import websockets.trio.client": "import websockets.trio.client",
    "import trio": "import trio",
}

SIZES = """
from importlib.metadata import distributions
for found in sorted(distributions(), key=lambda found: found.name):
    paths = [path for path in found.files if path.suffix != ".pyc"]
    size = sum(path.locate().stat().st_size for path in paths)
    if found.name.startswith("ws-") or found.name == "websockets":
        print(f"{found.name} {found.version}: {len(paths)} files, {size:,} bytes")
"""


def measure(python: list[str], program: str) -> float:
    """Return the CPU time that a program takes, in milliseconds."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = subprocess.Popen([*python, "-I", "-c", program], env=variables)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, program
    return (usage.ru_utime + usage.ru_stime) * 1000


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="turns of each import")
    parser.add_argument("--wheels", type=Path, nargs="+", required=True, help="of this project")
    arguments = parser.parse_args()
    ours, _ = make_environment("footprint-ours", ("trio>=0.27",))
    options = ["--no-index", "--no-deps", "--force-reinstall"]
    subprocess.run([*ours, *PIP, *options, *map(str, arguments.wheels)], check=True)
    public, _ = make_environment("footprint-public", PUBLIC)
    for python in (ours, public):
        print(subprocess.run([*python, "-c", SIZES], stdout=subprocess.PIPE, text=True).stdout)
    works = [(ours, "pass"), (public, "pass")]
    for here, there in IMPORTS.items():
        works += [(ours, here), (public, there)]
    best: dict[tuple[str, str], float] = {}
    # The first round writes bytecode.
    for number in range(arguments.rounds + 1):
        for python, program in works:
            taken = measure(python, program)
            key = python[0], program
            if number:
                best[key] = min(taken, best.get(key, taken))
    print(f"nothing: {best[ours[0], 'pass']:.0f} ms, {best[public[0], 'pass']:.0f} ms")
    for here, there in IMPORTS.items():
        times = [
            best[python[0], program] - best[python[0], "pass"]
            for python, program in ((ours, here), (public, there))
        ]
        print(f"{here}: {times[0]:.0f} ms; there, {there}: {times[1]:.0f} ms")


if __name__ == "__main__":
    main()
