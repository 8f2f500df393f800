"""Run the Autobahn testsuite against the echo server and the echo client beside this file.

All cases must pass, and all that aren't named in expected.toml must be "OK". Takes the options of
conformance.py. On a machine without Python 2.7, which the testsuite needs, it says so and succeeds.
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


def unexpected(cases: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line for each case that is neither "OK" nor excused by expected.toml."""
    allowed = tomllib.loads((HERE / "expected.toml").read_text())["allowed"]
    return [
        f"{case} is {result['behavior']}: {result['description']}"
        for case, result in cases.items()
        if result["behavior"] != "OK"
        and not any(
            result["behavior"] == entry["behavior"]
            and any(fnmatch.fnmatch(case, pattern) for pattern in entry["cases"])
            for entry in allowed
        )
    ]


def main(arguments: list[str]) -> int:
    """Run the testsuite; return the exit status."""
    python = shlex.quote(sys.executable)
    options = [
        *["--agent", "asyncio", "--level", "quick", "--parallel"],
        *["--server", f"{python} {shlex.quote(str(HERE / 'echo_server.py'))} {{host}} {{port}}"],
        *["--client", f"{python} {shlex.quote(str(HERE / 'echo_client.py'))} {{url}} {{agent}}"],
        *arguments,
    ]
    parsed = conformance.parse_options(options)
    try:
        conformance.find_python27(parsed.python27)
    except conformance.SetupError as exc:
        print(f"Skipped: {exc}")
        return 0
    status = conformance.main(options)
    if status != 0:
        return status
    summary = json.loads((parsed.out / "summary.json").read_text())
    for role, result in summary.items():
        for line in unexpected(result["cases"]):
            print(f"{role}: case {line}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
