"""Processes that are told what to do, by JSON in lines: both ends."""

from __future__ import annotations

import asyncio
import json
import select
import subprocess
import sys
from typing import Any

# Nothing that is measured takes as long, in seconds.
TIMEOUT = 120


class ProcessFailed(Exception):
    """A process can't do what it is told, doesn't answer, or ended."""


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
        """Have something done, and return what came of it.

        Raises:
            ProcessFailed: If it fails.

        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.poll() is not None:
            raise ProcessFailed(f"process had ended before {name}")
        try:
            self._process.stdin.write(json.dumps({"do": name, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        # Nothing is buffered: each line is read before the next is asked for.
        if not select.select([self._process.stdout], [], [], TIMEOUT)[0]:
            raise ProcessFailed(f"no answer to {name}")
        line = self._process.stdout.readline()
        if not line:
            raise ProcessFailed(f"process ended at {name}, with {self._process.wait()}")
        result: dict[str, Any] = json.loads(line)
        if "error" in result:
            raise ProcessFailed(f"{name}: {result['error']}")
        return result

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()


async def obey(receiver: object) -> None:
    """Call methods of an object as lines of the standard input say, until it ends.

    A line is an object: ``do`` is the name of the method, a coroutine function, and everything
    else its keyword arguments. The answer is a line, too: the object that the method returns, or
    one with an ``error``.
    """
    reader = asyncio.StreamReader(2**20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        try:
            result = await getattr(receiver, command.pop("do"))(**command)
        except Exception as exc:
            result = {"error": f"{type(exc).__name__}: {exc}"}
        print(json.dumps(result), flush=True)
