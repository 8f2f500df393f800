"""Run the Autobahn testsuite against the echo server and the echo client beside this file.

Both are there for every way of doing I/O, and for the original API. All cases must pass, and all
that aren't named in expected.toml must be "OK". Takes the options of conformance.py. On a machine
without Python 2.7, which the testsuite needs, it says so and succeeds.
"""

from __future__ import annotations

import fnmatch
import json
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import conformance

HERE = Path(__file__).resolve().parent


AGENTS = ["asyncio", "threading", "trio", "legacy"]


def unexpected(agent: str, cases: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line for each case that is neither "OK" nor excused by expected.toml."""
    allowed = tomllib.loads((HERE / "expected.toml").read_text())["allowed"]
    return [
        f"{case} is {result['behavior']}: {result['description']}"
        for case, result in cases.items()
        if result["behavior"] != "OK"
        and not any(
            agent in entry["agents"]
            and result["behavior"] == entry["behavior"]
            and any(fnmatch.fnmatch(case, pattern) for pattern in entry["cases"])
            for entry in allowed
        )
    ]


def run(agent: str, arguments: list[str]) -> int:
    """Run the testsuite for one agent; return the exit status."""
    python = shlex.quote(sys.executable)
    server, client = (shlex.quote(str(HERE / f"echo_{role}.py")) for role in ("server", "client"))
    options = [
        *["--level", "quick", "--parallel"],
        *["--server", f"{python} {server} {{host}} {{port}} {agent}"],
        *["--client", f"{python} {client} {{url}} {agent}"],
        *arguments,
        *["--agent", agent],
    ]
    # Each has reports of its own.
    out = conformance.parse_options(options).out / f"autobahn-{agent}"
    status: int = conformance.main([*options, "--out", str(out)])
    if status > 1:
        return status
    summary = json.loads((out / "summary.json").read_text())
    failed = {case for result in summary.values() for case in find_failed(result["cases"])}
    if failed and not any(result["problems"] for result in summary.values()):
        # The testsuite gives both sides a second for each step, itself included. On a busy machine,
        # that passes in other cases each time; what is wrong fails again.
        out /= "again"
        print(f"{agent}: once more: {', '.join(sorted(failed))}")
        status = conformance.main([*options, "--out", str(out), "--cases", ",".join(failed)])
        if status > 1:
            return status
        again = json.loads((out / "summary.json").read_text())
        for role, result in again.items():
            summary[role]["cases"].update(result["cases"])
    for role, result in summary.items():
        for line in unexpected(agent, result["cases"]):
            print(f"{agent} {role}: case {line}")
            status = 1
    return status


def find_failed(cases: dict[str, dict[str, Any]]) -> list[str]:
    """Return the cases that didn't pass."""
    return [case for case, result in cases.items() if not result["passed"]]


def main(arguments: list[str]) -> int:
    """Run the testsuite; return the exit status."""
    parsed = conformance.parse_options([*arguments, "--setup-only"])
    try:
        conformance.find_python27(parsed.python27)
    except conformance.SetupError as exc:
        print(f"Skipped: {exc}")
        return 0
    return max(run(agent, arguments) for agent in AGENTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
