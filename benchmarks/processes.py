"""Processes that are told by JSON in lines what to do."""

from __future__ import annotations

import json
import select
import subprocess
from typing import Any

# Nothing that is measured takes as long, in seconds.
TIMEOUT = 20


class ProcessFailed(Exception):
    """A process ended, or doesn't answer."""


class Process:
    """A process that answers each line with one.

    Args:
        command: The command.
        env: Its environment variables.

    """

    def __init__(self, command: list[str], env: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Have something done, and return what came of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": name, **arguments}) + "\n")
        self._process.stdin.flush()
        # Nothing is buffered: each line is read before the next is asked for.
        if not select.select([self._process.stdout], [], [], TIMEOUT)[0]:
            raise ProcessFailed(f"no answer to {name}")
        line = self._process.stdout.readline()
        if not line:
            raise ProcessFailed(f"process ended at {name}, with {self._process.wait()}")
        result: dict[str, Any] = json.loads(line)
        return result

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()
