"""Perform all attacks on this project and on its peers, and write down what they did.

    python run.py --out TABLE.csv [--environments DIRECTORY] [--quick] [--only TEXT]

It ends with an error if one of ours broke a bound. Other libraries are installed into virtual
environments of their own, once; those that can't be are left out.
"""

import argparse
import csv
import subprocess
import sys
import venv
from pathlib import Path

import abuse
from abuse import ATTACKS, perform

OURS = ["ws-asyncio", "ws-legacy"]
PEERS = {"websockets": "websockets==17.4", "aiohttp": "aiohttp==3.14.5", "picows": "picows==2.3.1"}


def install(peer, requirement, directory):
    """Install a peer, unless it is there; return the path of its Python, or None."""
    python = directory / peer / "bin" / "python"
    complete = directory / peer / "complete.txt"
    if complete.is_file() and complete.read_text() == requirement:
        return python
    print(f"Installing {requirement} ...", flush=True)
    try:
        venv.create(directory / peer, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", requirement]
        subprocess.run(command, check=True)
    except (OSError, subprocess.SubprocessError) as exc:
        print(f"{peer} is left out: {exc}", flush=True)
        return None
    complete.write_text(requirement)
    return python


def show_size(attack, size):
    """Return what an attack sends at most, for people."""
    if attack.name.startswith("half-open"):
        return f"{size} connections"
    if attack.name.startswith("broadcasts"):
        return f"{size} s"
    if attack.name.startswith("declared"):
        return "1 frame"
    if attack.name.startswith("request"):
        return "5 kB"
    if attack.name.startswith("decompression"):
        return f"{size * 16 // 2**20} MiB inflated"
    return f"{size // 2**20} MiB"


def show_answer(answer):
    """Return an answer, for people."""
    return f"HTTP {answer}" if answer == 431 else str(answer)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="what the tests do")
    parser.add_argument("--only", default="", help="attacks whose names have this text")
    options = parser.parse_args()
    abuse.TIMEOUT = 20

    pythons = dict.fromkeys(OURS, Path(sys.executable))
    for peer, requirement in PEERS.items():
        python = install(peer, requirement, options.environments)
        if python is not None:
            pythons[peer] = python
    attacks = [attack for attack in ATTACKS if options.only in attack.name]
    header = ["attack", "on a", "input", "bound"]
    rows = [[*header, *(PEERS.get(library, library) for library in pythons)]]
    broken = []
    for number, attack in enumerate(attacks, 1):
        size = attack.quick if options.quick else attack.size
        row = [attack.name, attack.role, show_size(attack, size), f"{attack.bound:g} MiB"]
        for library, python in pythons.items():
            result = perform(attack, library, size, python)
            cell = f"{show_answer(result.answer)}, {result.grown:.1f} MiB, {result.cpu:.1f} s"
            print(
                f"[{number}/{len(attacks)}] {attack.name}, on a {attack.role}: {library}: {cell}",
                flush=True,
            )
            row.append(cell)
            good = result.answer in attack.answers and result.grown <= attack.bound
            if library in OURS and not good:
                broken.append(f"{attack.name}, {attack.role}, {library}: {cell}")
        rows.append(row)
    with options.out.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    if broken:
        sys.exit("\n".join(["These broke their bounds:", *broken]))


if __name__ == "__main__":
    main()
