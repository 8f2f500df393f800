"""Measure this project and its peers, side by side.

``nox -s benchmark`` runs it; ``nox -s benchmark -- --help`` tells what it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import report
import targets
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
from works import MEMORY, WORKS, Cpu, Pair, Turn, Work, clients

SUBJECT_CORE, COUNTERPART_CORE = 0, 1
# What a process has open besides its connections.
OTHER_FILES = 200


class Machine:
    """Starts contenders, each with a counterpart of its own.

    Those that hold thousands of connections at a time would take more files than one counterpart
    may open. They don't run out of ports, because each contender listens on one of its own.

    Args:
        commands: The command of each contender.
        counterpart: That of the counterpart.
        loop: Name of the event loop of contenders.
        certificate: Path of the certificate of servers.

    """

    def __init__(
        self, commands: dict[str, list[str]], counterpart: list[str], loop: str, certificate: str
    ) -> None:
        self._commands = commands
        self._counterpart = counterpart
        self._loop = loop
        self._certificate = certificate

    def start(self, contender: Contender) -> Pair:
        """Start a contender and its counterpart."""
        command = self._commands[contender.name]
        if contender.subject is not None:
            command = [*command, self._loop]
        subject = Process(pinned(command, SUBJECT_CORE), environment(contender))
        counterpart = Process(pinned(self._counterpart, COUNTERPART_CORE))
        return Pair(
            subject,
            counterpart,
            counterpart.call("serve", certificate=None)["port"],
            counterpart.call("serve", certificate=self._certificate)["port"],
            self._certificate,
        )


def pinned(command: list[str], core: int) -> list[str]:
    """Return a command that runs on a core, if that can be had."""
    if shutil.which("taskset") is None or core >= (os.cpu_count() or 1):
        return command
    return ["taskset", "-c", str(core), *command]


def find_count(work: Work, turn: Turn, seconds: float, warm_up: float) -> int:
    """Warm a contender up.

    Returns:
        How many times it does a work in so many seconds of CPU time.

    """
    count, used = min(4, work.limit), 0.0
    while True:
        cpu = turn(count).total
        used += cpu
        if cpu <= seconds / 20 and count < work.limit:
            count = min(count * 8, work.limit)
        elif used >= warm_up:
            return max(1, min(int(count * seconds / max(cpu, 1e-6)), work.limit))


def measure(
    work: Work, pairs: dict[Contender, Pair], rounds: int, seconds: float
) -> tuple[dict[str, list[Cpu]], dict[str, str]]:
    """Let contenders do a work in turns.

    Args:
        work: The work.
        pairs: Contenders that do it.
        rounds: How many turns each has.
        seconds: How much CPU time a turn should take.

    Returns:
        CPU time per time that it was done, for each turn of each contender; and why contenders
        failed, whose processes have ended then.

    """
    contexts = {contender: work.prepare(pair) for contender, pair in pairs.items()}
    turns: dict[Contender, Turn] = {}
    counts: dict[Contender, int] = {}
    results: dict[str, list[Cpu]] = {}
    failures: dict[str, str] = {}

    def attempt(contender: Contender, action: Callable[[], None]) -> None:
        if contender.name in failures:
            return
        try:
            action()
        except ProcessFailed as exc:
            failures[contender.name] = str(exc)
            results.pop(contender.name, None)
            pairs[contender].kill()
            with suppress(ProcessFailed):
                contexts[contender].__exit__(None, None, None)

    def begin(contender: Contender) -> None:
        turn = turns[contender] = contexts[contender].__enter__()
        counts[contender] = find_count(work, turn, seconds, contender.warm_up)
        results[contender.name] = []

    def go_on(contender: Contender) -> None:
        count = counts[contender]
        results[contender.name].append(turns[contender](count) / count)

    def end(contender: Contender) -> None:
        contexts[contender].__exit__(None, None, None)

    for step in [begin, *[go_on] * rounds, end]:
        for contender in pairs:
            attempt(contender, lambda: step(contender))  # noqa: B023  # it is called at once
    return results, failures


def measure_memory(pair: Pair, deflate: bool, connections: int) -> float:
    """Return how many bytes an idle connection takes a server."""
    # What the first connections take, others don't.
    with clients(pair, 50, 16, deflate=deflate):
        pass
    before: int = pair.subject.call("memory")["memory"]
    with clients(pair, connections, 16, deflate=deflate):
        after: int = pair.subject.call("memory")["memory"]
    return (after - before) / connections


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


def allow_files(connections: int) -> int:
    """Let this process and those that it starts have as many connections as they may.

    Args:
        connections: As many as that are enough.

    Returns:
        How many one of them can have.

    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(hard, connections + OTHER_FILES), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        except (OSError, ValueError):
            continue
        return limit - OTHER_FILES
    return 0


def describe_machine(contenders: list[Contender], loop: str) -> dict[str, Any]:
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


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="all works, more rounds: an hour")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--rounds", type=int, help="turns of each contender")
    parser.add_argument("--seconds", type=float, help="CPU time of a turn")
    parser.add_argument("--works", help="only works whose name has this in it")
    names = [contender.name for contender in CONTENDERS]
    parser.add_argument("--contenders", nargs="+", choices=names, help="only these")
    parser.add_argument(
        "--wheels", type=Path, nargs="*", default=[], help="wheels of this project, not its sources"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "benchmark")
    arguments = parser.parse_args()
    if arguments.rounds is None:
        arguments.rounds = 9 if arguments.full else 3
    if arguments.seconds is None:
        arguments.seconds = 0.5 if arguments.full else 0.05
    return arguments


def take_part(contenders: list[Contender], work: Work) -> list[Contender]:
    """Return those who do a work."""
    return [
        contender
        for contender in contenders
        if (contender.deflate or not work.deflate) and contender.name not in work.without
    ]


def describe_work(
    work: Work, results: dict[str, list[Cpu]], failures: dict[str, str]
) -> dict[str, Any]:
    """Return what is written of a work, with times in microseconds."""
    return {
        "name": work.name,
        "group": work.group,
        "title": work.title,
        "unit": "µs",
        "results": {name: [cpu.total * 1e6 for cpu in cpus] for name, cpus in results.items()},
        "system": {name: [cpu.system * 1e6 for cpu in cpus] for name, cpus in results.items()},
        "failures": failures,
    }


def run_works(
    works: list[Work], contenders: list[Contender], machine: Machine, rounds: int, seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield what is written of each work."""
    connections = allow_files(max((work.connections for work in works), default=0))
    pairs = {contender: machine.start(contender) for contender in contenders}
    try:
        for number, work in enumerate(works, 1):
            show(f"{number} of {len(works)}: {work.title}")
            if work.connections > connections:
                print("    left out: too few files may be open", file=sys.stderr)
                continue
            taking_part = {contender: pairs[contender] for contender in take_part(contenders, work)}
            results, failures = measure(work, taking_part, rounds, seconds)
            for contender in taking_part:
                if contender.name in failures:
                    pairs[contender] = machine.start(contender)
            yield describe_work(work, results, failures)
    finally:
        for pair in pairs.values():
            pair.kill()


def run_memory(contenders: list[Contender], machine: Machine, connections: int) -> dict[str, Any]:
    """Return what is written of the memory that connections take, in KiB."""
    show("memory of idle connections")
    results, failures = {}, {}
    for contender in contenders:
        pair = machine.start(contender)
        try:
            memory = measure_memory(pair, contender.deflate, connections)
            results[contender.name] = [memory / 1024]
        except ProcessFailed as exc:
            failures[contender.name] = str(exc)
        finally:
            pair.kill()
    return {
        "name": "memory",
        "group": MEMORY,
        "title": "an idle connection of a server, compression negotiated",
        "unit": "KiB",
        "results": results,
        "failures": failures,
    }


def show(title: str) -> None:
    """Show what is done."""
    print(f"{time.strftime('%H:%M:%S')}  {title}", file=sys.stderr)


def main() -> None:
    """Run it."""
    arguments = parse_arguments()
    contenders = [
        contender
        for contender in CONTENDERS
        if not arguments.contenders or contender.name in arguments.contenders
    ]
    works = [
        work
        for work in WORKS
        if (arguments.works in work.name if arguments.works else arguments.full or not work.full)
    ]
    commands = {}
    for contender in contenders:
        show(f"environment of {contender.name}")
        commands[contender.name] = prepare(contender, arguments.wheels)
    counterpart = [*make_environment("counterpart", ("uvloop",))[0], str(HERE / "counterpart.py")]
    data: dict[str, Any] = {"about": describe_machine(contenders, arguments.loop), "works": []}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        machine = Machine(commands, counterpart, arguments.loop, make_certificate(directory))
        rounds, seconds = arguments.rounds, arguments.seconds
        for entry in run_works(works, contenders, machine, rounds, seconds):
            data["works"].append(entry)
            print(report.line(entry), file=sys.stderr)
        if not arguments.works or arguments.works in "memory":
            entry = run_memory(contenders, machine, 5000 if arguments.full else 1000)
            data["works"].append(entry)
            print(report.line(entry), file=sys.stderr)
    data["about"]["seconds"] = round(time.monotonic() - began)
    data["targets"] = targets.compare(data["works"])
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "results.json").write_text(json.dumps(data, indent=1))
    print(report.describe(data))
    report.plot(data, arguments.out / "results.png")
    print(f"\nWritten to {arguments.out}: results.json, results.png", file=sys.stderr)
    if any(entry["failures"] for entry in data["works"]):
        sys.exit("some contenders failed")


if __name__ == "__main__":
    main()
