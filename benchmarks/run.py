"""Measure this project and its peers, side by side.

``nox -s benchmark`` runs it; ``nox -s benchmark -- --help`` tells what it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report
from contenders import (
    CONTENDERS,
    HERE,
    ROOT,
    Contender,
    environment,
    make_environment,
    prepare,
    versions,
)
from processes import Process, ProcessFailed
from works import WORKS, Setting, Work

SUBJECT_CORE, COUNTERPART_CORE = 0, 1


def pinned(command: list[str]) -> list[str]:
    """Return a command that runs on the core of the subjects, if that can be had."""
    cores = os.cpu_count() or 1
    return ["taskset", "-c", str(SUBJECT_CORE), *command] if cores > 1 else command


def start(contender: Contender, commands: dict[str, list[str]], loop: str) -> Process:
    """Start a contender."""
    command = commands[contender.name]
    if contender.subject is not None:
        command = [*command, loop, str(SUBJECT_CORE)]
    return Process(pinned(command), environment(contender))


def measure(
    work: Work,
    contenders: list[Contender],
    processes: dict[str, Process],
    setting: Setting,
    rounds: int,
    seconds: float,
) -> dict[str, list[float]]:
    """Let contenders do a work in turns.

    Args:
        work: The work.
        contenders: Those that do it.
        processes: Their processes.
        setting: What works need.
        rounds: How many turns each has.
        seconds: How much CPU time a turn should take.

    Returns:
        CPU time per time that it was done, in seconds, for each turn of each contender.

    """
    runs, counts = {}, {}
    for contender in contenders:
        run = work.run(setting, processes[contender.name])
        # The first turns are for warming up; the last of them tells how long it takes.
        count = 4
        try:
            next(run)
            while True:
                cpu = run.send(count)
                if cpu > seconds / 20 or count >= work.limit:
                    break
                count = min(count * 8, work.limit)
        except ProcessFailed as exc:
            print(f"    {contender.name} fails: {exc}", file=sys.stderr)
            processes[contender.name].kill()
            continue
        count = int(count * seconds / max(cpu, 1e-6))
        counts[contender.name] = max(1, min(count, work.limit))
        runs[contender.name] = run
    results: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            results[name].append(run.send(counts[name]) / counts[name])
    for run in runs.values():
        run.close()
    return results


def measure_memory(
    contenders: list[Contender],
    commands: dict[str, list[str]],
    setting: Setting,
    loop: str,
    connections: int,
) -> dict[str, list[float]]:
    """Return how many bytes an idle connection takes a server, with compression negotiated."""
    results = {}
    for contender in contenders:
        process = start(contender, commands, loop)
        try:
            port = process.call("listen", deflate=contender.deflate)["port"]
            options = {"port": port, "size": 16, "deflate": True, "certificate": None}
            # What the first connection takes, others don't.
            setting.counterpart.call("connect", count=50, **options)
            setting.counterpart.call("close", port=port)
            before = process.call("memory")["memory"]
            setting.counterpart.call("connect", count=connections, **options)
            after = process.call("memory")["memory"]
            setting.counterpart.call("close", port=port)
            results[contender.name] = [(after - before) / connections]
        finally:
            process.kill()
    return results


def make_certificate(directory: str) -> str:
    """Make a certificate and its key, for 127.0.0.1; return their path."""
    path = str(Path(directory) / "certificate.pem")
    subprocess.run(
        [
            *["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"],
            *["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
            *["-keyout", path + ".key", "-out", path],
        ],
        check=True,
        capture_output=True,
    )
    with open(path, "a") as file:
        file.write(Path(path + ".key").read_text())
    return path


def describe_machine(contenders: list[Contender], loop: str) -> dict[str, object]:
    """Return what a reader needs to know about a run."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": f"{os.cpu_count()} cores, {model}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "loop": loop,
        "load": os.getloadavg()[0],
        "versions": {contender.name: versions(contender) for contender in contenders},
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="all works, more rounds: an hour")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--rounds", type=int, help="turns of each contender")
    parser.add_argument("--seconds", type=float, help="CPU time of a turn")
    parser.add_argument("--works", help="only works whose name has this in it")
    parser.add_argument("--contenders", help="only these, separated by commas")
    parser.add_argument(
        "--wheels", type=Path, nargs="*", default=[], help="wheels of this project, not its sources"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "benchmark")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (9 if arguments.full else 3)
    seconds = arguments.seconds or (0.5 if arguments.full else 0.05)

    contenders = CONTENDERS
    if arguments.contenders:
        names = arguments.contenders.split(",")
        contenders = [contender for contender in CONTENDERS if contender.name in names]
    works = [
        work
        for work in WORKS
        if (arguments.works in work.name if arguments.works else arguments.full or not work.full)
    ]
    commands = {}
    for contender in contenders:
        print(f"environment of {contender.name} ...", end="\r", file=sys.stderr)
        commands[contender.name] = prepare(contender, arguments.wheels)
    data = {"about": describe_machine(contenders, arguments.loop), "works": []}

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        certificate = make_certificate(directory)
        counterpart = Process(
            [
                *make_environment("counterpart", ("uvloop",))[0],
                *[str(HERE / "counterpart.py"), str(COUNTERPART_CORE)],
            ]
        )
        setting = Setting(
            counterpart,
            counterpart.call("serve", certificate=None)["port"],
            counterpart.call("serve", certificate=certificate)["port"],
            certificate,
        )
        processes = {
            contender.name: start(contender, commands, arguments.loop) for contender in contenders
        }
        try:
            for number, work in enumerate(works, 1):
                print(
                    f"[{number}/{len(works)}, {time.monotonic() - began:.0f} s] {work.title} ...",
                    file=sys.stderr,
                )
                taking_part = [
                    contender
                    for contender in contenders
                    if (contender.client if work.client else contender.server)
                    and (contender.deflate or not work.deflate)
                    and contender.name not in work.without
                ]
                results = measure(work, taking_part, processes, setting, rounds, seconds)
                for contender in taking_part:
                    if contender.name not in results:
                        processes[contender.name] = start(contender, commands, arguments.loop)
                entry = {
                    "name": work.name,
                    "group": work.group,
                    "title": work.title,
                    "unit": "µs",
                    "results": {
                        name: [value * 1e6 for value in values] for name, values in results.items()
                    },
                }
                data["works"].append(entry)
                print(report.line(entry), file=sys.stderr)
            if not arguments.works or arguments.works in "memory":
                print("memory of idle connections ...", file=sys.stderr)
                results = measure_memory(
                    [contender for contender in contenders if contender.server],
                    commands,
                    setting,
                    arguments.loop,
                    5000 if arguments.full else 1000,
                )
                entry = {
                    "name": "memory",
                    "group": "As a server",
                    "title": "memory of an idle connection, compression negotiated",
                    "unit": "KiB",
                    "results": {
                        name: [value / 1024 for value in values] for name, values in results.items()
                    },
                }
                data["works"].append(entry)
                print(report.line(entry), file=sys.stderr)
        finally:
            for process in processes.values():
                process.kill()
            counterpart.kill()
    data["about"]["seconds"] = round(time.monotonic() - began)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "results.json").write_text(json.dumps(data, indent=1))
    print(report.tables(data))
    report.plot(data, arguments.out / "results.png")
    print(f"\nWritten to {arguments.out}: results.json, results.png", file=sys.stderr)


if __name__ == "__main__":
    main()
