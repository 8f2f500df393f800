"""What several of these tests need."""

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[1] / "examples" / "demo" / "server.py"


def heed_interrupts():
    """Let a child process be interrupted, even where this one ignores that: in the background of a
    shell, for example."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
async def demo():
    """Start the demo; yield its process and its address."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-W", "error", str(DEMO), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    try:
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
        match = re.fullmatch(r"The chat is at (http://127\.0\.0\.1:\d+/)\n", line)
        assert match, f"{line}{(await process.stderr.read()).decode()}"
        yield process, match[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
