"""Run everything that must pass, as many sessions at a time as there are processors.

What a session prints is shown when it fails, after all of them. It is nox that runs them, one by
one and with all they print, for whoever wants to watch: ``nox``, or ``nox -s`` and a name.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import os
import re
import subprocess
import time
from collections.abc import Iterable, Sequence

__all__ = ["Result", "arrange", "describe", "run_all"]

# They install other software once, for all of them, into the same places.
ONE_AT_A_TIME = {"integration"}


class Result:
    """How a session ended.

    Attributes:
        session: The session.
        status: Exit status.
        output: What it printed.
        seconds: How long it took, in seconds.

    """

    def __init__(self, session: str, status: int, output: str, seconds: float) -> None:
        self.session = session
        self.status = status
        self.output = output
        self.seconds = seconds


def arrange(sessions: Iterable[dict[str, str]]) -> list[list[str]]:
    """Say what may run side by side.

    Args:
        sessions: What ``nox --list --json`` prints.

    Returns:
        Lists of sessions, each of which is to be run in order, those first that take longest.

    """
    chains: dict[str, list[str]] = {}
    for number, session in enumerate(sessions):
        name = session["name"]
        key = name if name in ONE_AT_A_TIME else str(number)
        chains.setdefault(key, []).append(session["session"])
    return sorted(chains.values(), key=len, reverse=True)


def describe(result: Result) -> str:
    """Say in a line how a session ended."""
    if result.status != 0:
        outcome = "failed"
    elif skipped := re.search(r"Session \S+ skipped: (.+)", result.output):
        outcome = f"skipped: {skipped[1].rstrip('.')}"
    else:
        counts = re.findall(r"^=+ (.*passed.*) in \S+s.* =+$", result.output, re.MULTILINE)
        outcome = "passed" + (f" ({counts[-1]})" if counts else "")
    return f"{result.session}: {outcome}, {result.seconds:.0f} s"


def run_session(nox: Sequence[str], session: str) -> Result:
    """Run a session."""
    start = time.monotonic()
    run = subprocess.run(
        [*nox, "--session", session],
        check=False,
        # All sessions require build, which has run already.
        env={**os.environ, "WHEELS_ARE_BUILT": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    return Result(session, run.returncode, run.stdout, time.monotonic() - start)


def run_all(nox: Sequence[str]) -> int:
    """Run all sessions that are tagged ``ci``; return the exit status.

    Args:
        nox: How to call nox.

    """
    status = subprocess.run([*nox, "--session", "build"], check=False).returncode
    if status != 0:
        return status
    listing = subprocess.run(
        [*nox, "--list", "--json", "--tags", "ci"], check=True, stdout=subprocess.PIPE
    )
    sessions = [session for session in json.loads(listing.stdout) if session["name"] != "build"]
    workers = os.cpu_count() or 1
    print(f"{len(sessions)} sessions, {workers} at a time", flush=True)
    numbers = itertools.count(1)
    results: list[Result] = []

    def run_chain(chain: list[str]) -> None:
        for session in chain:
            result = run_session(nox, session)
            results.append(result)
            print(f"[{next(numbers)}/{len(sessions)}] {describe(result)}", flush=True)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(run_chain, chain) for chain in arrange(sessions)]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    failed = [result for result in results if result.status != 0]
    for result in failed:
        print(f"\n{result.session}:\n\n{result.output}", flush=True)
        print(describe(result), flush=True)
    print(f"\n{len(results) - len(failed)} passed, {len(failed)} failed", flush=True)
    return 1 if failed else 0
